//! The test set as columns: one row per test row, one block of columns per arm.

mod builder;

pub use builder::{Observation, Record, RowAttributes, RowId, TableBuilder};

/// Index of the baseline among a table's arms.
pub const BASELINE: usize = 0;

/// A slice column: which of its values each row belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct SliceColumn {
    /// The column's name.
    pub name: String,
    /// Its values, sorted.
    pub values: Vec<String>,
    /// Index into `values` per row; [`SliceColumn::NONE`] for a row without a value.
    pub member: Vec<u32>,
}

impl SliceColumn {
    /// A row that belongs to no slice of the column.
    pub const NONE: u32 = u32::MAX;
}

/// Failure modes of one arm: the share of a row's trials that show the mode.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModeColumns {
    /// One column per mode of [`Table::modes`], one share in `[0, 1]` per row.
    pub share: Vec<Vec<f32>>,
    /// Answers with the mode, over rows and trials.
    pub count: Vec<u64>,
}

/// How many trials the rows of an arm have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrialCounts {
    /// Fewest of any row.
    pub min: u32,
    /// Most of any row.
    pub max: u32,
}

/// The columns of one arm.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmColumn {
    /// The arm's id.
    pub name: String,
    /// Mean score over the row's trials, in `[0, 1]`.
    pub mean: Vec<f64>,
    /// Sampling variance of that mean, `s²/K`; zero with a single trial.
    pub within: Vec<f64>,
    /// Trials per row.
    pub trials: TrialCounts,
    /// Failure modes, when any were recorded.
    pub modes: Option<ModeColumns>,
    /// Mean cost per row in US dollars; NaN where it was not recorded.
    pub cost: Option<Vec<f64>>,
    /// Mean latency per row in milliseconds; NaN where it was not recorded.
    pub latency: Option<Vec<f64>>,
}

impl ArmColumn {
    /// Whether every row of the arm gave the same score in all its trials. With a single trial there is no telling.
    #[must_use]
    pub fn is_deterministic(&self) -> bool {
        self.trials.min > 1 && self.within.iter().all(|v| *v == 0.0)
    }
}

/// The paired scores of one test set. Build it with [`TableBuilder`].
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub(crate) n: usize,
    /// Stratum per row.
    pub(crate) stratum: Vec<u32>,
    pub(crate) stratum_names: Vec<String>,
    /// Share of each stratum in production, summing to one.
    pub(crate) shares: Vec<f64>,
    /// The shares were registered, not taken from the sample.
    pub(crate) weighted: bool,
    /// Cluster per row, and the number of clusters.
    pub(crate) clusters: Option<(Vec<u32>, usize)>,
    pub(crate) severity: Option<Vec<f64>>,
    pub(crate) slices: Vec<SliceColumn>,
    pub(crate) modes: Vec<String>,
    /// The baseline first.
    pub(crate) arms: Vec<ArmColumn>,
}

impl Table {
    /// Test rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.n
    }

    /// Candidate arms, without the baseline.
    #[must_use]
    pub fn candidates(&self) -> &[ArmColumn] {
        &self.arms[1..]
    }

    /// The baseline's columns.
    #[must_use]
    pub fn baseline(&self) -> &ArmColumn {
        &self.arms[BASELINE]
    }

    /// The slice columns.
    #[must_use]
    pub fn slice_columns(&self) -> &[SliceColumn] {
        &self.slices
    }

    /// Strata with their shares of production.
    pub fn strata(&self) -> impl Iterator<Item = (&str, f64)> {
        self.stratum_names.iter().map(String::as_str).zip(self.shares.iter().copied())
    }

    /// Recorded failure modes.
    #[must_use]
    pub fn modes(&self) -> &[String] {
        &self.modes
    }

    /// Number of clusters, when rows carry one.
    #[must_use]
    pub fn cluster_count(&self) -> Option<usize> {
        self.clusters.as_ref().map(|c| c.1)
    }
}

/// Why records do not make a table. Every variant names the place and what to do about it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// No candidate arm, or an arm named like another.
    #[error("arms must be a baseline and at least one candidate with distinct ids; `{id}` is {problem}")]
    Arms {
        /// The arm's id.
        id: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A record names an arm that the frame does not.
    #[error("arm `{arm}` is not in the frame (row `{row}`); the frame names {known}")]
    UnknownArm {
        /// The arm in the record.
        arm: String,
        /// The record's row.
        row: String,
        /// Arms of the frame.
        known: String,
    },
    /// A score is not a number in `[0, 1]`.
    #[error("score of row `{row}`, arm `{arm}`, trial {trial} is {score}; scores must be numbers in [0, 1]")]
    BadScore {
        /// The record's row.
        row: String,
        /// The record's arm.
        arm: String,
        /// The record's trial.
        trial: u32,
        /// The score.
        score: f64,
    },
    /// The same trial of a row and an arm was recorded twice.
    #[error("row `{row}`, arm `{arm}`, trial {trial} was recorded twice; keep one record of each trial")]
    DuplicateTrial {
        /// The record's row.
        row: String,
        /// The record's arm.
        arm: String,
        /// The record's trial.
        trial: u32,
    },
    /// Rows that not every arm scored. A pair cannot be dropped without a bias that no interval shows.
    #[error(
        "{count} row and arm pairs have no score, first row `{row}` for arm `{arm}`; every arm must score every row"
    )]
    MissingPairs {
        /// How many.
        count: usize,
        /// The first row.
        row: String,
        /// Its arm.
        arm: String,
    },
    /// Fewer rows than any interval needs.
    #[error("a verdict needs at least {needed} test rows, got {got}")]
    TooFewRows {
        /// How many it needs.
        needed: usize,
        /// How many there are.
        got: usize,
    },
    /// Records of one row disagree about the row itself.
    #[error("row `{row}` has two values of {attribute}: `{first}` and `{second}`; it must be the same in every record")]
    ConflictingAttribute {
        /// The row.
        row: String,
        /// Stratum, cluster, severity or a slice column.
        attribute: String,
        /// The value seen first.
        first: String,
        /// The other value.
        second: String,
    },
    /// Some rows carry an attribute and others do not.
    #[error("row `{row}` has no {attribute}, other rows have one; give it to all rows or to none")]
    MissingAttribute {
        /// The row.
        row: String,
        /// Stratum, cluster or severity.
        attribute: &'static str,
    },
    /// A severity weight that is not above zero.
    #[error("severity of row `{row}` is {severity}; it must be a number above zero")]
    BadSeverity {
        /// The row.
        row: String,
        /// The weight.
        severity: f64,
    },
    /// A cost or latency that is negative or not finite.
    #[error("{metric} of row `{row}`, arm `{arm}`, trial {trial} is {value}; it must be a number of at least zero")]
    BadResource {
        /// `cost` or `latency`.
        metric: &'static str,
        /// The record's row.
        row: String,
        /// The record's arm.
        arm: String,
        /// The record's trial.
        trial: u32,
        /// The value.
        value: f64,
    },
    /// The number of slice values differs from the number of slice columns.
    #[error("row `{row}` gives {got} slice values for {expected} slice columns")]
    SliceCount {
        /// The row.
        row: String,
        /// Values given.
        got: usize,
        /// Slice columns.
        expected: usize,
    },
    /// A production share that is not above zero.
    #[error("production share of stratum `{stratum}` is {share}; it must be a number above zero")]
    BadShare {
        /// The stratum.
        stratum: String,
        /// The share.
        share: f64,
    },
    /// Production holds a stratum that the test set does not.
    #[error("production has {percent:.1}% in stratum `{stratum}`, the test set has no row of it; draw some or reframe")]
    EmptyStratum {
        /// The stratum.
        stratum: String,
        /// Its share in production, percent.
        percent: f64,
    },
    /// The test set holds a stratum that production does not.
    #[error("row `{row}` is of stratum `{stratum}`, which the production mix does not name")]
    UnknownStratum {
        /// The row.
        row: String,
        /// The stratum.
        stratum: String,
    },
    /// More than the 4,294,967,294 rows or records that the columns can index.
    #[error("too many {what} for one table")]
    TooMany {
        /// Rows, records or clusters.
        what: &'static str,
    },
}
