//! Operating characteristics of a design, before the lock: how often would the registered rule ship, scope, kill or
//! stay underpowered if the truth were this or that?
//!
//! Nothing here is a formula. Experiments are drawn from [`crate::worlds`] and judged by the rule itself.

mod characteristics;
mod search;
mod tally;

pub use characteristics::{OperatingCharacteristics, OperatingPoint, TruthKind, operating_characteristics};
pub use search::{Allocation, SampleSize, SplitOption, SplitSearch, sample_size, search_split};
pub use tally::{Coverage, Tally, coverage, simulate};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rule::{RuleError, RuleSpec};
use crate::worlds::{WorldClusters, WorldError, WorldSlice, WorldSpec};

/// A slice as planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedSlice {
    /// Its name.
    pub name: String,
    /// Its share of production, in any unit.
    pub share: f64,
    /// Its test rows; allocated by [`Design::allocation`] when absent.
    #[serde(default)]
    pub rows: Option<usize>,
}

/// A planned test: rows, slices, arms and what is assumed about the scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Design {
    /// Test rows in all.
    pub rows: usize,
    /// Registered slices; may be empty.
    #[serde(default)]
    pub slices: Vec<PlannedSlice>,
    /// How rows are allocated to slices.
    #[serde(default)]
    pub allocation: Allocation,
    /// Candidate arms.
    pub arms: usize,
    /// Trials per row.
    pub trials: u32,
    /// Parts of a score: 1 for right or wrong, more for graded scores.
    #[serde(default = "one")]
    pub grades: u32,
    /// Chance that one trial of an arm without effect disagrees with one of the baseline, from a pilot or from history.
    pub discordance: f64,
    /// The baseline's accuracy.
    #[serde(default = "default_accuracy")]
    pub accuracy: f64,
    /// Clusters, when rows are clustered.
    #[serde(default)]
    pub clusters: Option<usize>,
}

fn one() -> u32 {
    1
}

fn default_accuracy() -> f64 {
    0.7
}

/// Standard deviation of a cluster's latent shift that plans assume; about 7pp at an accuracy of 70%.
pub const CLUSTER_SPREAD: f64 = 0.2;

/// Discordances to show when neither pilot nor history tells.
pub const ASSUMED_DISCORDANCES: [f64; 3] = [0.10, 0.20, 0.30];

impl Design {
    /// A design without slices or clusters: one arm, three trials, an accuracy of 70%.
    #[must_use]
    pub fn new(rows: usize, discordance: f64) -> Self {
        Self {
            rows,
            slices: Vec::new(),
            allocation: Allocation::Proportional,
            arms: 1,
            trials: 3,
            grades: 1,
            discordance,
            accuracy: default_accuracy(),
            clusters: None,
        }
    }

    /// The same with slices of these production shares.
    #[must_use]
    pub fn with_slices<S: Into<String>>(mut self, slices: impl IntoIterator<Item = (S, f64)>) -> Self {
        self.slices =
            slices.into_iter().map(|(name, share)| PlannedSlice { name: name.into(), share, rows: None }).collect();
        self
    }

    fn validate(&self) -> Result<(), PlanError> {
        let check = |ok: bool, field, range, got| {
            if ok { Ok(()) } else { Err(PlanError::OutOfRange { field, range, got }) }
        };
        check(
            self.rows >= itera_stats::MIN_ROWS && self.rows <= 1_000_000,
            "rows",
            "between 12 and 1,000,000",
            self.rows as f64,
        )?;
        check((1..=20).contains(&self.arms), "arms", "between 1 and 20", self.arms as f64)?;
        check((1..=100).contains(&self.trials), "trials", "between 1 and 100", f64::from(self.trials))?;
        check((1..=100).contains(&self.grades), "grades", "between 1 and 100", f64::from(self.grades))?;
        check(self.discordance > 0.0 && self.discordance < 1.0, "discordance", "in (0, 1)", self.discordance)?;
        check(self.accuracy > 0.0 && self.accuracy < 1.0, "accuracy", "in (0, 1)", self.accuracy)?;
        if let Some(clusters) = self.clusters {
            check(clusters >= 1 && clusters <= self.rows, "clusters", "between 1 and the rows", clusters as f64)?;
        }
        for slice in &self.slices {
            check(slice.share > 0.0 && slice.share.is_finite(), "a slice's share", "above zero", slice.share)?;
        }
        Ok(())
    }

    /// Test rows of every slice: as given, else by the allocation. At least one each.
    #[must_use]
    pub fn slice_rows(&self) -> Vec<usize> {
        let total: f64 = self.slices.iter().map(|s| s.share).sum();
        let count = self.slices.len() as f64;
        let mut rows: Vec<usize> = self
            .slices
            .iter()
            .map(|slice| {
                let share = match self.allocation {
                    Allocation::Proportional => slice.share / total,
                    Allocation::Equal => 1.0 / count,
                };
                slice.rows.unwrap_or_else(|| ((self.rows as f64 * share).round() as usize).max(1))
            })
            .collect();
        // Rounding must not change the number of rows that were asked for.
        if self.slices.iter().all(|s| s.rows.is_none())
            && let Some(largest) = (0..rows.len()).max_by_key(|&i| rows[i])
        {
            let others: usize = rows.iter().sum::<usize>() - rows[largest];
            rows[largest] = self.rows.saturating_sub(others).max(1);
        }
        rows
    }

    /// Whether test rows are off the production mix, so that aggregates are weighted back.
    #[must_use]
    pub fn is_post_stratified(&self) -> bool {
        self.allocation == Allocation::Equal || self.slices.iter().any(|s| s.rows.is_some())
    }

    /// The world in which slice `s` of arm `a` has the effect `effect(s, a)`.
    pub(crate) fn world(&self, effect: impl Fn(usize, usize) -> f64) -> WorldSpec {
        let effects = |s: usize| (0..self.arms).map(|arm| effect(s, arm)).collect();
        let slices = if self.slices.is_empty() {
            vec![WorldSlice {
                name: "all".to_owned(),
                share: 1.0,
                rows: self.rows,
                accuracy: self.accuracy,
                effects: effects(0),
            }]
        } else {
            self.slices
                .iter()
                .zip(self.slice_rows())
                .enumerate()
                .map(|(s, (slice, rows))| WorldSlice {
                    name: slice.name.clone(),
                    share: slice.share,
                    rows,
                    accuracy: self.accuracy,
                    effects: effects(s),
                })
                .collect()
        };
        WorldSpec {
            slices,
            sliced: !self.slices.is_empty(),
            post_stratified: self.is_post_stratified(),
            trials: self.trials,
            grades: self.grades,
            discordance: self.discordance,
            trial_share: 0.6,
            clusters: self.clusters.map(|count| WorldClusters { count, spread: CLUSTER_SPREAD, nested: false }),
            breakage: 0.0,
        }
    }
}

/// How much to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Simulation {
    /// Experiments per truth.
    pub replicates: u64,
    /// The seed; the same seed gives the same table.
    pub seed: u64,
    /// Threads; 0 for one per core. The result does not depend on it.
    #[serde(default)]
    pub threads: usize,
}

impl Default for Simulation {
    fn default() -> Self {
        Self { replicates: 2000, seed: 20_260, threads: 0 }
    }
}

/// Why a design cannot be simulated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A number is outside its range.
    #[error("{field} must be {range}, got {got}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its range, in words.
        range: &'static str,
        /// The value.
        got: f64,
    },
    /// The rule is not well formed, or cannot be applied.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The assumed scores cannot exist.
    #[error(transparent)]
    World(#[from] WorldError),
}

/// The rule as it can be simulated: without the gain in cost or latency, which plans take as proven.
fn simulated(spec: &RuleSpec) -> Result<RuleSpec, PlanError> {
    spec.validate().map_err(RuleError::from)?;
    Ok(RuleSpec { required_gain: None, ..spec.clone() })
}
