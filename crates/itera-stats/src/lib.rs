//! Estimators, intervals, tests, power and agreement for paired evaluations. Pure: no IO, no clock,
//! no hidden randomness.
//!
//! Conventions that hold throughout the crate:
//!
//! - scores are in `[0, 1]`, paired differences in `[-1, 1]`, effects and margins are fractions
//!   (0.05 is five percentage points); percentage points exist only at the edges of the product;
//! - `b` is the weighted mass of wins (`Σ w d⁺`), `c` the mass of losses (`Σ w d⁻`), so that the
//!   effect is `b - c`;
//! - `alpha` of a bound or a test is one-sided; an interval's `level` is two-sided;
//! - an undefined case is a [`StatsError`], never a NaN.
//!
//! The row is the unit of analysis. Trials of one row are averaged before anything is estimated:
//! pooling rows and trials as if independent covers 84% for a nominal 95%, and the spread of trial
//! means as the error of the effect covers 60%.

pub mod agreement;
pub mod cluster;
pub mod distribution;
mod error;
pub mod es_tango;
pub mod gate;
pub mod multiplicity;
pub mod paired;
pub mod power;
pub mod ppi;
pub mod proportion;
mod root;
pub mod tango;

pub use error::StatsError;
pub use es_tango::{EsTango, Sample, Stratum};
pub use tango::ScoreTable;

/// Fewest rows for which an interval is reported. Below it the answer is an error, because no
/// interval that was tried keeps its promise there.
pub const MIN_ROWS: usize = 12;

/// Fewest clusters from which one can speak about clusters that were not seen.
pub const MIN_CLUSTERS: usize = 8;
