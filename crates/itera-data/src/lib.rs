//! Sources, sampling, splitting, leakage and the distribution audit of production rows.
//!
//! Two ways in: [`describe`] says what columns a source has without a cell's text, and [`draw`]
//! turns a source into a [`Sample`](itera_core::sample::Sample): rows with their splits, and the
//! figures by which the sample is compared with production. [`locate`] finds a source inside the
//! project.
//!
//! A source is read as a stream, twice when drawing: once to count, once to collect. Memory holds
//! the sample, one small record per entity where entities are capped, and one row at a time.
//!
//! Invariant: no message of this crate quotes a cell. Errors name lines, columns and counts.

mod allot;
mod describe;
mod draw;
mod error;
mod locate;
mod record;
mod rows;
mod split;
mod summary;
mod text;

pub use describe::{ColumnDescription, ColumnType, Description, Distinct, Role, describe};
pub use draw::draw;
pub use error::DataError;
pub use locate::{guess_format, locate};

/// Result of this crate.
pub type Result<T, E = DataError> = std::result::Result<T, E>;
