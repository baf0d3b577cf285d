//! Arms and scorers: what is compared, how it is run, and how an answer becomes a score.
//!
//! An arm's life: [`snapshot::take`] reads the files it declares, [`snapshot::materialise`] writes
//! them where they run, [`prepare::prepare`] lets it fit on train rows once, [`ArmRuntime::open`]
//! checks all of it, [`runner::run`] makes the calls of a pass, and [`score::CompiledScorer`]
//! scores each answer.
//!
//! Architecture invariant: no error and no log line of this crate carries row content. What an arm
//! wrote (its output, its stderr) travels in [`runner::CallOutcome`] only, in fields that say so.
//!
//! Architecture invariant: a child never outlives the future that runs it. Each child leads a
//! process group of its own, and the group is killed when the leader exits, times out, writes too
//! much, is cancelled or is dropped.

mod answer;
mod command;
mod environment;
mod error;
pub mod prepare;
mod process;
pub mod runner;
mod runtime;
pub mod score;
pub mod snapshot;
mod worker;

pub use error::{ArmError, BoxError, Budgeted};
pub use runtime::ArmRuntime;
