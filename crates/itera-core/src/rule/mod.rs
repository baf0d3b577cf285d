//! The registered verdict rule: from a table of paired scores to ship, scope narrowly, kill or underpowered.
//!
//! The module knows nothing of frames, files or time. A caller registers a [`RuleSpec`], fills a [`Table`] and asks
//! [`judge`]. Everything is deterministic: the same table gives the same [`Verdict`], in whatever order rows and arms
//! were recorded.
//!
//! The promise that the rule keeps: over the whole family of arms and slices, in at most `alpha` of experiments does it
//! ship (or scope) an arm whose true effect is not above the margin, or whose true effect in a shipped slice is below
//! the loss floor. `docs/calibration.md` holds the evidence.
//!
//! Data's way through: `table` (columns), `measure` (moments per region), `decide` (the rule proper, on scalars),
//! `report` (intervals and words). [`crate::plan`] simulates the middle two, so that its operating characteristics are
//! those of the rule itself.

mod decide;
mod judge;
mod measure;
mod overfit;
mod report;
mod sentence;
mod spec;
mod table;
mod verdict;

pub(crate) use decide::Decision;
pub(crate) use judge::Decider;
pub use judge::judge;
pub use overfit::{OverfitAlarm, overfit_alarm};
pub use spec::{
    EffectEvidence, Evidence, FailureModeWeight, FloorEvidence, GainMetric, Objective, RequiredGain, RuleSpec,
    SHIP_SHARE, SpecError, TieBreak,
};
pub use table::{
    ArmColumn, BASELINE, ModeColumns, Observation, Record, RowAttributes, RowId, SliceColumn, Table, TableBuilder,
    TableError, TrialCounts,
};
pub use verdict::{
    ArmVerdict, Clause, Disclosure, DisclosureKind, EffectEstimate, FamilyOutcome, FamilyVerdict, Inference, ModeShift,
    Outcome, ResourceEstimate, SliceRef, SliceVerdict, Suggestion, Verdict,
};

/// Why a verdict cannot be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The rule itself is not well formed.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The table is not well formed.
    #[error(transparent)]
    Table(#[from] TableError),
    /// An estimate is undefined.
    #[error(transparent)]
    Stats(#[from] itera_stats::StatsError),
    /// The rule requires a gain in a resource that was not recorded for every row and arm.
    #[error(
        "the rule requires a gain in {metric}, but {missing} of {rows} rows of arm `{arm}` or the baseline lack it"
    )]
    MissingResource {
        /// The arm.
        arm: String,
        /// `cost` or `latency`.
        metric: &'static str,
        /// Rows without the figure.
        missing: usize,
        /// Rows in all.
        rows: usize,
    },
}
