//! The verdict as data: what is reported, recomputed and compared.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A registered slice: a value of a slice column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SliceRef {
    /// The slice column, for instance `language`.
    pub column: String,
    /// The value, for instance `de`.
    pub value: String,
}

impl std::fmt::Display for SliceRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.column, self.value)
    }
}

/// What the rule says of one arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The arm passes the rule everywhere.
    Ship,
    /// The arm passes on these slices only; with several slice columns, on rows all of whose slices are listed.
    Scope {
        /// Where it may ship.
        slices: Vec<SliceRef>,
    },
    /// The arm is ruled out: its upper bound is below the margin, or a registered guard stops it.
    Kill {
        /// The arm is shown to do harm: its upper bound is below zero, or it moves errors into the most severe mode.
        harm: bool,
    },
    /// The data cannot tell.
    Underpowered {
        /// Test rows, in all, that would settle it if the truth is what was observed; `None` when the observed effect
        /// sits so close to the boundary that no practical number would.
        rows_needed: Option<u64>,
    },
}

/// The verdict over the whole family of arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FamilyOutcome {
    /// Ship this arm everywhere.
    Ship {
        /// The arm's id.
        arm: String,
    },
    /// Ship this arm on these slices.
    Scope {
        /// The arm's id.
        arm: String,
        /// Where.
        slices: Vec<SliceRef>,
    },
    /// Every arm is killed.
    Kill {
        /// Every arm is shown to do harm.
        harm: bool,
    },
    /// The data cannot tell.
    Underpowered {
        /// The fewest rows that would settle one of the open arms.
        rows_needed: Option<u64>,
    },
}

/// The clause of the rule that decided. The ids are stable: they appear in `data.json` and in conclusions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clause {
    /// Ship: the aggregate and every slice floor are proven, family-wise.
    Eligible,
    /// Ship, but another eligible arm has the lower severity-weighted loss.
    EligibleHigherLoss,
    /// Ship, but another eligible arm is cheaper and no worse in severity-weighted loss.
    EligibleCostlier,
    /// Scope: the aggregate is proven, some slice floors are not.
    ScopeProvenFloors,
    /// Scope: the aggregate is not proven, the effect in these slices is.
    ScopeProvenSlices,
    /// Kill: the upper bound is below the margin.
    BelowMargin,
    /// Kill: the upper bound is below zero.
    Harm,
    /// Kill: errors move into the most severe failure mode.
    SevereModeShift,
    /// Kill: the severity-weighted ranking puts the arm below the baseline, and it is the registered tie-break.
    SeverityTieBreak,
    /// Kill: the required gain in cost or latency is ruled out.
    RequiredGainRuledOut,
    /// Underpowered: the aggregate effect is not proven.
    EffectUnproven,
    /// Underpowered: some slice floor is not proven.
    FloorUnproven,
    /// Underpowered: the required gain in cost or latency is not proven.
    GainUnproven,
    /// Underpowered: proven for this arm alone, not over the family of arms.
    FamilyUnproven,
}

impl Clause {
    /// The stable id, as serialised.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Eligible => "eligible",
            Self::EligibleHigherLoss => "eligible_higher_loss",
            Self::EligibleCostlier => "eligible_costlier",
            Self::ScopeProvenFloors => "scope_proven_floors",
            Self::ScopeProvenSlices => "scope_proven_slices",
            Self::BelowMargin => "below_margin",
            Self::Harm => "harm",
            Self::SevereModeShift => "severe_mode_shift",
            Self::SeverityTieBreak => "severity_tie_break",
            Self::RequiredGainRuledOut => "required_gain_ruled_out",
            Self::EffectUnproven => "effect_unproven",
            Self::FloorUnproven => "floor_unproven",
            Self::GainUnproven => "gain_unproven",
            Self::FamilyUnproven => "family_unproven",
        }
    }
}

/// What can be inferred about an effect; absent under 12 rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Inference {
    /// Lower end of the two-sided 95% interval, a fraction.
    pub ci_low: f64,
    /// Upper end of the two-sided 95% interval, a fraction.
    pub ci_high: f64,
    /// One-sided lower bound at the registered `alpha`, a fraction.
    pub lower_bound: f64,
    /// One-sided upper bound at the registered `alpha`, a fraction.
    pub upper_bound: f64,
    /// p-value of the hypothesis that the effect is at most `against`, unadjusted.
    pub p_value: f64,
    /// What the p-value is held against: the margin (aggregate) or the loss floor (slices), a fraction.
    pub against: f64,
    /// Effective number of rows.
    pub n_star: f64,
    /// Degrees of freedom.
    pub nu: f64,
    /// Clusters that the error speaks for, when there are enough of them.
    pub n_clusters: Option<usize>,
    /// Standard error of the effect, a fraction.
    pub se: f64,
    /// Smallest effect above the reference that would be seen with the registered power, `(z_a + z_b) SE`, a fraction.
    pub mde: f64,
    /// The effect is below twice its own noise (2 SE).
    pub below_noise: bool,
}

/// An estimated effect: the mean paired difference arm minus baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EffectEstimate {
    /// Rows.
    pub n_rows: usize,
    /// The baseline's mean score, weighted to production, in `[0, 1]`.
    pub baseline_mean: f64,
    /// The arm's mean score, weighted to production, in `[0, 1]`.
    pub arm_mean: f64,
    /// The effect, a fraction.
    pub effect: f64,
    /// Weighted mass of wins, `Σ w d⁺`.
    pub wins: f64,
    /// Weighted mass of losses, `Σ w d⁻`.
    pub losses: f64,
    /// Rows whose mean score rose.
    pub rows_won: usize,
    /// Rows whose mean score fell.
    pub rows_lost: usize,
    /// Interval and test; `None` under 12 rows.
    pub inference: Option<Inference>,
}

/// One slice of one arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SliceVerdict {
    /// Which slice.
    pub slice: SliceRef,
    /// Its share of production, in `[0, 1]`.
    pub share: f64,
    /// The effect in it; the test is against the loss floor.
    pub estimate: EffectEstimate,
    /// The floor is shown to hold, at `alpha` for this slice alone (or by its estimate, where that is registered).
    pub floor_holds: bool,
}

/// The change of one failure mode's rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModeShift {
    /// The mode's id.
    pub mode: String,
    /// Its registered severity weight; `None` for a mode that was not registered.
    pub severity_weight: Option<f64>,
    /// Answers of the baseline, over rows and trials, with this mode.
    pub baseline_count: u64,
    /// Answers of the arm with this mode.
    pub arm_count: u64,
    /// The baseline's rate, weighted to production, in `[0, 1]`.
    pub baseline_rate: f64,
    /// The arm's rate, in `[0, 1]`.
    pub arm_rate: f64,
    /// Rate of the arm minus rate of the baseline, a fraction.
    pub shift: f64,
    /// p-value of the hypothesis that the mode has not become more frequent; `None` under 12 rows.
    pub p_increase: Option<f64>,
    /// It is (one of) the most severe registered modes.
    pub most_severe: bool,
}

/// The change of cost or latency per row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceEstimate {
    /// Rows for which both arm and baseline have the figure.
    pub n_rows: usize,
    /// The baseline's mean, in its own unit.
    pub baseline_mean: f64,
    /// The arm's mean.
    pub arm_mean: f64,
    /// Arm minus baseline.
    pub difference: f64,
    /// Two-sided 95% interval of the difference.
    pub difference_ci: Option<(f64, f64)>,
    /// Reduction as a fraction of the baseline's mean; below zero when the arm needs more.
    pub reduction: Option<f64>,
    /// Two-sided 95% interval of the reduction (Fieller); `None` where it is unbounded.
    pub reduction_ci: Option<(f64, f64)>,
    /// p-value of the hypothesis that the reduction is at most the registered one (zero when none is registered).
    pub p_value: Option<f64>,
}

/// What would sharpen the estimate most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Suggestion {
    /// More rows: rows differ more than trials do.
    Rows,
    /// More trials per row: trial noise is above half of the variance.
    Trials,
}

/// Everything about one arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ArmVerdict {
    /// The arm's id.
    pub arm: String,
    /// The effect over all rows, weighted to production; the test is against the margin.
    pub aggregate: EffectEstimate,
    /// The effect in every registered slice, in the order of columns and values.
    pub slices: Vec<SliceVerdict>,
    /// The effect weighted by row severity, where rows carry one.
    pub severity_weighted: Option<EffectEstimate>,
    /// Failure modes, registered ones first.
    pub failure_modes: Vec<ModeShift>,
    /// Cost per row, where recorded.
    pub cost: Option<ResourceEstimate>,
    /// Latency per row, where recorded.
    pub latency: Option<ResourceEstimate>,
    /// Variance of rows' true differences, a squared fraction.
    pub between_variance: f64,
    /// What trial noise adds to the variance of a row's mean difference.
    pub within_variance: f64,
    /// What would sharpen the estimate most.
    pub suggestion: Suggestion,
    /// The arm's p-value: the largest of the aggregate's (over its share of `alpha`), the slices' and the gain's.
    pub p_arm: f64,
    /// Holm-adjusted over the arms.
    pub p_holm: f64,
    /// What the rule says.
    pub outcome: Outcome,
    /// The clause that decided.
    pub clause: Clause,
    /// The same in a sentence, with numbers.
    pub sentence: String,
}

/// What a reader has to know beside the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisclosureKind {
    /// Rows do not all have the same number of trials.
    UnequalTrials,
    /// Fewer than three trials per row.
    FewTrials,
    /// Too few clusters to speak of new ones.
    FewClusters,
    /// A slice has fewer than 12 rows and no interval.
    SmallSlice,
    /// How family-wise error is controlled.
    Multiplicity,
    /// The aggregate is weighted back to production.
    PostStratified,
    /// A reading of the evidence other than the default is registered, with its price.
    WeakEvidence,
    /// Severity-weighted and plain rankings differ.
    SeverityDisagrees,
    /// The most severe failure mode became more frequent, not provably.
    SevereModeRises,
    /// Cost or latency is missing for some rows.
    PartialResource,
    /// Rows without a value in a slice column.
    Unsliced,
}

/// A disclosure with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Disclosure {
    /// What kind.
    pub kind: DisclosureKind,
    /// In words, with the numbers.
    pub text: String,
}

/// The verdict over all arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FamilyVerdict {
    /// What the rule says.
    pub outcome: FamilyOutcome,
    /// The arm to ship (or to scope), when there is one.
    pub winner: Option<String>,
    /// In a sentence, with numbers.
    pub sentence: String,
}

/// The verdict of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The baseline's id.
    pub baseline: String,
    /// Test rows.
    pub n_rows: usize,
    /// Strata that the aggregate is weighted over; 1 when it is not.
    pub n_strata: usize,
    /// Clusters, when rows carry one.
    pub n_clusters: Option<usize>,
    /// Fewest and most trials of any row and arm.
    pub trials: (u32, u32),
    /// One entry per arm, in the table's order.
    pub arms: Vec<ArmVerdict>,
    /// Over all arms.
    pub family: FamilyVerdict,
    /// What a reader has to know.
    pub disclosures: Vec<Disclosure>,
}

impl Verdict {
    /// The verdict on one arm.
    #[must_use]
    pub fn arm(&self, id: &str) -> Option<&ArmVerdict> {
        self.arms.iter().find(|a| a.arm == id)
    }
}

impl Outcome {
    /// The outcome's word: `ship`, `scope`, `kill` or `underpowered`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ship => "ship",
            Self::Scope { .. } => "scope",
            Self::Kill { .. } => "kill",
            Self::Underpowered { .. } => "underpowered",
        }
    }
}

impl FamilyOutcome {
    /// The outcome's word: `ship`, `scope`, `kill` or `underpowered`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ship { .. } => "ship",
            Self::Scope { .. } => "scope",
            Self::Kill { .. } => "kill",
            Self::Underpowered { .. } => "underpowered",
        }
    }
}
