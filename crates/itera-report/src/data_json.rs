//! `data.json`: every figure of an experiment, as the charts read it and `verify` recomputes it.
//!
//! The file is a superset of the form that the original chart script reads: a file that holds only
//! those keys parses, and everything of ours is optional. Scores, shares and effects are fractions
//! (0.05 is five percentage points); a name that ends in `_pp` or `_pct` is in percentage points.

mod check;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the schema that this crate writes.
pub const SCHEMA_VERSION: u32 = 1;

/// Every figure of one experiment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DataJson {
    /// Version of this schema; absent in a file of the original form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<u32>,
    /// What was asked and how it was measured.
    pub experiment: Experiment,
    /// The arms; the first is the baseline.
    pub arms: Vec<Arm>,
    /// The slices of the verdict.
    #[serde(default)]
    pub slices: Vec<Slice>,
    /// Registered kinds of error and how often each arm made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_modes: Option<FailureModes>,
    /// Results weighted by the stake of each row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Arm to the mean dev score of each trial.
    #[serde(default)]
    pub variance_trials: BTreeMap<String, Vec<f64>>,
    /// Arm to the mean test score of each trial.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub test_set_trials: BTreeMap<String, Vec<f64>>,
    /// Arm to its mean test score.
    #[serde(default)]
    pub test_set_aggregate: BTreeMap<String, f64>,
    /// Arm to slice to mean test score.
    #[serde(default)]
    pub test_set_per_slice: BTreeMap<String, BTreeMap<String, f64>>,
    /// Candidate to its effects against the baseline.
    #[serde(default)]
    pub effect_sizes: BTreeMap<String, ArmEffects>,
    /// The registered rule, in numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ship_rule: Option<ShipRule>,
    /// Hash under which the frame was locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_hash: Option<String>,
    /// Hash of the ledger's last event when this file was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger_head: Option<String>,
    /// Seed of everything random, in decimal digits (it may exceed what a JSON number holds).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// Rows of each split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub splits: Option<Splits>,
    /// Where the rows came from and how they compare with production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// Level of every two-sided interval of this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_level: Option<f64>,
    /// Calls and dollars of all complete passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend: Option<Spend>,
    /// Changes that were tried, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub iterations: Vec<Iteration>,
    /// Gates between sprints, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Mean dev scores in the order in which they were measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trajectory: Vec<TrajectoryPoint>,
    /// What was planned before the frame was locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design: Option<Design>,
    /// What the design could have found: the chance of each outcome under assumed truths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operating_characteristics: Vec<OperatingPoint>,
    /// Candidate to its effect on dev beside that on test.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dev_to_test: BTreeMap<String, DevToTest>,
    /// How far the judge agrees with a second one, or with people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judge_agreement: Vec<JudgeAgreement>,
    /// What a reader must know before trusting the figures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disclosures: Vec<Disclosure>,
    /// What the ledger proves of every guard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audit: Vec<AuditLine>,
    /// Digests of the files beside this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digests: Option<Digests>,
    /// What was decided.
    #[serde(default)]
    pub verdict: Verdict,
}

/// What was asked and how it was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Experiment {
    /// `YYYY-MM-DD-<topic>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Short slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Name for people.
    pub name: String,
    /// The question in the person's own words.
    #[serde(default)]
    pub question: String,
    /// What was expected and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypothesis: Option<String>,
    /// How a row is scored, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scorer: Option<String>,
    /// The primary metric in words.
    #[serde(default)]
    pub metric: String,
    /// Smallest effect worth shipping, in pp; for non-inferiority minus the margin.
    #[serde(default)]
    pub threshold_pct: Option<f64>,
    /// The registered rule in words.
    #[serde(default)]
    pub threshold_rule: String,
    /// Rows of the test split.
    #[serde(default)]
    pub test_set_n: Option<u64>,
    /// Trials per row and arm.
    #[serde(default)]
    pub trials_per_arm: Option<u32>,
}

/// One arm.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Arm {
    /// Id, as used in every map of this file.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Steady-state dollars per thousand rows.
    #[serde(default)]
    pub cost_per_1k_usd: Option<f64>,
    /// Version that went to the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// What is deployed or would be: `path:line`, a version or an endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What it changes against the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// What the arm is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Mean over the trials of its last dev pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev_mean: Option<f64>,
    /// Mean test score with its interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_score: Option<Interval>,
    /// Dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
}

/// What an arm is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// What is deployed today.
    Baseline,
    /// Might ship.
    Candidate,
    /// Is expected not to move.
    NegativeControl,
}

/// An estimate with its two-sided 95% interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// The estimate.
    pub mean: f64,
    /// Lower end, where an interval is defined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci_low: Option<f64>,
    /// Upper end, where an interval is defined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci_high: Option<f64>,
}

/// What the calls of one arm cost on the test split, in dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// Mean of a call after the first of a pass (warm caches).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady_mean_usd: Option<f64>,
    /// Mean of first calls of a pass (cold caches).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_call_mean_usd: Option<f64>,
    /// Lower end of the 95% interval of dollars per thousand rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_1k_ci_low_usd: Option<f64>,
    /// Upper end of the 95% interval of dollars per thousand rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_1k_ci_high_usd: Option<f64>,
    /// Steady-state dollars per thousand rows above (or, negative, below) the baseline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_1k_difference_usd: Option<f64>,
    /// The same difference as a fraction of the baseline's cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_difference: Option<f64>,
}

/// How long the calls of one arm took on the test split, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_ms: Option<f64>,
    /// Median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
}

/// Tokens per call of one arm on the test split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tokens {
    /// Mean input tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_mean: Option<f64>,
    /// Mean output tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_mean: Option<f64>,
}

/// One slice of the verdict.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Slice {
    /// `column=value`.
    pub id: String,
    /// The value; with its column where several columns are registered.
    pub name: String,
    /// The column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Rows of the test split in the slice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_n: Option<u64>,
    /// Share of the slice in production (its column's values sum to 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub production_share: Option<f64>,
    /// Share of the slice in the test split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_share: Option<f64>,
}

/// Registered kinds of error and how often each arm made them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailureModes {
    /// Date of registration.
    #[serde(default)]
    pub registered_at_phase_2: Option<String>,
    /// The modes.
    pub categories: Vec<FailureCategory>,
    /// Arm to mode to answers of the test split that carry it.
    #[serde(default)]
    pub test_set_counts: BTreeMap<String, BTreeMap<String, u64>>,
    /// Arm to mode to its share of answers, and the change against the baseline.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub test_set_rates: BTreeMap<String, BTreeMap<String, ModeRate>>,
    /// Answers of each arm that were looked at (rows times trials); rows of the test split where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers_per_arm: Option<u64>,
}

/// How often an arm makes one kind of error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModeRate {
    /// Share of answers that carry it.
    pub rate: f64,
    /// The baseline's share taken away; absent for the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<f64>,
}

/// One registered kind of error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailureCategory {
    /// Id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Weight by blast radius.
    #[serde(default)]
    pub severity_weight: Option<f64>,
}

/// Results weighted by the stake of each row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Severity {
    /// The stake, in words.
    #[serde(default)]
    pub field: String,
    /// Date of registration.
    #[serde(default)]
    pub registered_at_phase_2: Option<String>,
    /// Largest stake that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<f64>,
    /// Arm to its mean test score weighted by stake.
    #[serde(default)]
    pub test_set_weighted_accuracy: BTreeMap<String, f64>,
    /// Candidate to its effect against the baseline, weighted by stake.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub effect_sizes: BTreeMap<String, Effect>,
}

/// Effects of one candidate against the baseline on the test split.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ArmEffects {
    /// Over all rows, weighted to production.
    pub aggregate: Effect,
    /// Slice to its effect.
    #[serde(default)]
    pub per_slice: BTreeMap<String, Effect>,
}

/// A paired difference to the baseline; fractions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// Mean paired difference.
    pub delta: f64,
    /// Lower end of the two-sided 95% interval.
    #[serde(default)]
    pub ci_low: Option<f64>,
    /// Upper end of the two-sided 95% interval.
    #[serde(default)]
    pub ci_high: Option<f64>,
    /// One-sided lower bound at the registered alpha.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower_bound: Option<f64>,
    /// One-sided upper bound at the registered alpha.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper_bound: Option<f64>,
    /// p-value against the effect that the rule tests (the minimum effect, or a slice's loss floor).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// Rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// Effective sample size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_star: Option<f64>,
    /// Smallest effect that the rows could show at the registered power.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mde: Option<f64>,
    /// Standard error of the difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_se: Option<f64>,
    /// How much of the difference is wins and how much losses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discordance: Option<Discordance>,
}

/// Weighted means of the positive and the negative part of the paired differences; fractions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Discordance {
    /// Gained.
    pub wins: f64,
    /// Lost.
    pub losses: f64,
}

/// The registered rule, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShipRule {
    /// What the arm has to show.
    pub objective: Objective,
    /// Superiority: smallest gain worth shipping. Non-inferiority: largest loss accepted. A magnitude, in pp.
    pub min_effect_pp: f64,
    /// Largest loss accepted in any slice; a magnitude, in pp.
    #[serde(default)]
    pub loss_floor_pp: Option<f64>,
    /// One-sided family-wise error rate.
    pub alpha: f64,
    /// How the rule reads the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// What the arm has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Better than the baseline by at least the minimum effect.
    Superiority,
    /// Not worse than the baseline by more than the margin.
    NonInferiority,
}

/// The registered readings of the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// How the minimum effect is read.
    pub effect: EffectEvidence,
    /// How the loss floor is read.
    pub floor: FloorEvidence,
}

/// How the minimum effect is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EffectEvidence {
    /// The lower bound reaches the minimum effect.
    ProvenMargin,
    /// The lower bound is above zero and the estimate reaches the minimum effect.
    ProvenGain,
}

/// How the loss floor is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FloorEvidence {
    /// Every slice's lower bound is above the floor.
    Proven,
    /// Every slice's estimate is above the floor.
    Estimate,
}

/// Rows of each split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Splits {
    /// Rows that may be read.
    pub train: u64,
    /// Rows that each iteration is scored on.
    pub dev: u64,
    /// Sealed rows, scored once.
    pub test: u64,
}

/// Where the rows came from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// Rows in the source.
    pub source_rows: u64,
    /// Rows drawn from it.
    pub sampled: u64,
    /// Every value of every slice and stratum column.
    #[serde(default)]
    pub distribution: Vec<SampleCell>,
}

/// One value of a slice or stratum column, in production and in the sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SampleCell {
    /// Column.
    pub column: String,
    /// Value.
    pub value: String,
    /// Share of production.
    pub production_share: f64,
    /// Share of the sample.
    pub sample_share: f64,
    /// Share of the sample minus share of production.
    pub gap: f64,
    /// Rows of each split.
    pub splits: Splits,
}

/// Calls and dollars of all complete passes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spend {
    /// Calls that were recorded.
    pub calls: u64,
    /// Those that failed and scored 0.
    pub failed_calls: u64,
    /// Dollars, as the arms reported them.
    pub cost_usd: f64,
}

/// What was planned before the frame was locked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Design {
    /// Test rows that the source was expected to give.
    pub test_rows: u64,
    /// True effect that was planned for, in pp.
    pub planned_effect_pp: f64,
    /// Chance that an arm of that effect ships.
    pub power: f64,
}

/// A candidate's effect on dev beside that on test; fractions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DevToTest {
    /// Effect on dev.
    pub dev_effect: f64,
    /// Effect on test.
    pub test_effect: f64,
    /// Dev minus test.
    pub drop: f64,
    /// Standard error of the drop.
    pub noise: f64,
    /// Whether the drop is above twice its noise: an alarm of overfitting.
    pub raised: bool,
}

/// What the ledger proves of one guard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditLine {
    /// The guard.
    pub guard: String,
    /// Whether it was held.
    pub status: AuditStatus,
    /// What proves it, or why nothing does.
    pub evidence: String,
    /// Entry of `ledger.jsonl` that proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
}

/// What the ledger proves of a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditStatus {
    /// The rule was held.
    Passed,
    /// The rule was waived or bent in the open.
    Disclosed,
    /// The rule has no object in this experiment.
    NotApplicable,
    /// Its stage was not reached.
    Pending,
    /// The version that ran does not enforce it; nothing is claimed.
    NotEnforced,
}

/// One change that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Iteration {
    /// Sprint, from 1.
    pub sprint: u32,
    /// Iteration within the sprint, from 1.
    pub iteration: u32,
    /// Arm that changed.
    pub arm: String,
    /// The new version.
    pub version: u32,
    /// The version it was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builds_on: Option<u32>,
    /// What should have happened and why.
    pub hypothesis: String,
    /// The one change.
    pub change: String,
    /// Mean paired difference on dev; absent where it was never scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<f64>,
    /// Its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub se: Option<f64>,
    /// Dev rows compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// What became of the hypothesis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<IterationOutcome>,
    /// What the gate found on the change; absent where no gate has judged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateFinding>,
}

/// What became of a hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IterationOutcome {
    /// A gain of at least twice its noise.
    Supported,
    /// Within twice its noise.
    Neutral,
    /// A loss of at least twice its noise.
    Falsified,
}

/// What the gate found on one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateFinding {
    /// What kind of change it is.
    pub class: ChangeClass,
    /// Whether it is kept.
    pub kept: bool,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Pieces of text quoted from dev rows that no train row has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quoted_dev_rows: Option<u64>,
}

/// What kind of change a gate found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeClass {
    /// Would have been written without seeing a row.
    Mechanism,
    /// Wins particular rows.
    Hardcode,
    /// Cannot tell; counts as a hardcode.
    CannotTell,
}

/// The gate at the end of a sprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gate {
    /// Sprint that ended, from 1.
    pub sprint: u32,
    /// What followed.
    pub decision: GateDecision,
    /// Whether signal was seen to be left.
    #[serde(default)]
    pub signal_left: bool,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Arms killed here.
    #[serde(default)]
    pub killed: Vec<String>,
}

/// What follows from a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateDecision {
    /// Another sprint may start.
    Continue,
    /// Signal is spent: lock.
    Lock,
    /// No candidate is left.
    Kill,
}

/// The mean dev score of one arm version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrajectoryPoint {
    /// Dev pass, from 1.
    pub pass: u32,
    /// Sprint, from 1; 0 before the first change.
    #[serde(default)]
    pub sprint: u32,
    /// Iteration within the sprint, from 1; 0 before the first change.
    #[serde(default)]
    pub iteration: u32,
    /// Arm.
    pub arm: String,
    /// Version.
    pub version: u32,
    /// Mean over rows and trials.
    pub mean: f64,
    /// Lower end of the two-sided 95% interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci_low: Option<f64>,
    /// Upper end of the two-sided 95% interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci_high: Option<f64>,
    /// Dev rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
}

/// The chance of each outcome if the truth were so; fractions that sum to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperatingPoint {
    /// True effect in the aggregate, in pp.
    pub truth_pp: f64,
    /// A further assumption, in words (for example one slice that loses).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// Ship.
    pub ship: f64,
    /// Scope narrowly.
    pub scope: f64,
    /// Kill.
    pub kill: f64,
    /// Underpowered.
    pub underpowered: f64,
}

/// How far a judge agrees with a second judge, or with people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgeAgreement {
    /// The judge.
    pub judge: String,
    /// With whom it is compared.
    pub compared_with: String,
    /// Rows that both judged.
    pub n: u64,
    /// Share of equal judgements.
    pub agreement: f64,
    /// Cohen's kappa.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kappa: Option<f64>,
    /// Lower end of kappa's two-sided 95% interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kappa_ci_low: Option<f64>,
}

/// Something a reader must know before trusting the figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Disclosure {
    /// What kind of disclosure (the id of a guard, or of a kind in the rule).
    pub id: String,
    /// The sentence.
    pub text: String,
}

/// Digests (BLAKE3, 64 hexadecimal digits) of the files beside `data.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Digests {
    /// Of `scores.csv`.
    pub scores_csv: String,
    /// Of `ledger.jsonl`.
    pub ledger_jsonl: String,
}

/// What was decided.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The arm that ships, if one does.
    #[serde(default)]
    pub winner: Option<String>,
    /// Arms that are killed.
    #[serde(default)]
    pub killed: Vec<String>,
    /// Why, in words.
    #[serde(default)]
    pub rationale: String,
    /// The outcome of the experiment as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The outcome of each candidate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_arm: Vec<ArmVerdict>,
}

/// The four outcomes of the registered rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Ship everywhere.
    Ship,
    /// Ship in the named slices only.
    Scope,
    /// Give the arm up.
    Kill,
    /// The rows cannot tell.
    Underpowered,
}

impl Outcome {
    /// The words for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Ship => "ship",
            Self::Scope => "scope narrowly",
            Self::Kill => "kill",
            Self::Underpowered => "underpowered",
        }
    }
}

/// The outcome of one candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ArmVerdict {
    /// The arm.
    pub arm: String,
    /// The outcome.
    pub outcome: Outcome,
    /// Slices in which it ships, where scoped.
    #[serde(default)]
    pub slices: Vec<String>,
    /// The clause of the rule that decided.
    pub clause: String,
    /// The decision as a sentence with its numbers.
    pub sentence: String,
    /// Test rows that would settle it, where underpowered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_needed: Option<u64>,
    /// The arm's p-value: the largest of those that the rule asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// The same, adjusted over all arms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_adjusted: Option<f64>,
    /// Slices where the loss floor is not shown to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub floor_open: Vec<String>,
}

/// One thing that is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path in the file, for example `effect_sizes.v2.aggregate.delta`.
    pub path: String,
    /// What is wrong, in lower case.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Why a file is not a `data.json`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The bytes are not JSON.
    #[error("not JSON: {message}")]
    NotJson {
        /// What the reader met, with line and column.
        message: String,
    },
    /// A value has the wrong type, or a required key is missing.
    #[error("{path}: {message}")]
    Shape {
        /// Path of the value.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// The file was written by a later version.
    #[error("schema_version: {found} is newer than {SCHEMA_VERSION}, which this version reads")]
    TooNew {
        /// Version found.
        found: u32,
    },
    /// The values contradict each other or their ranges.
    #[error("{}", list(.problems))]
    Invalid {
        /// Everything that is wrong; never empty.
        problems: Vec<Problem>,
    },
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

/// Reads and validates a `data.json`.
///
/// # Errors
/// The first wrong type with its path, or everything that [`DataJson::validate`] finds.
pub fn parse(bytes: &[u8]) -> Result<DataJson, DataError> {
    // A file saved by an editor may start with a byte order mark, which is not JSON.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let data: DataJson = serde_path_to_error::deserialize(&mut reader).map_err(|e| shape(&e))?;
    reader.end().map_err(|e| DataError::NotJson { message: e.to_string() })?;
    data.validate()?;
    Ok(data)
}

fn shape(error: &serde_path_to_error::Error<serde_json::Error>) -> DataError {
    let message = error.inner().to_string();
    if error.inner().is_data() {
        let path = match error.path().to_string() {
            root if root == "." => "the file".to_owned(),
            path => path,
        };
        DataError::Shape { path, message }
    } else {
        DataError::NotJson { message }
    }
}

/// The JSON Schema (draft 2020-12) of the file.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(DataJson);
    schema.insert("$id".to_owned(), format!("urn:auto-itera:data-json:{SCHEMA_VERSION}").into());
    schema.insert("title".to_owned(), "auto-itera data.json".into());
    schema.to_value()
}

impl DataJson {
    /// The file's text: indented JSON, keys in declared (maps: sorted) order, a newline at the end.
    ///
    /// # Panics
    /// Never: the type holds no map with keys other than text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("all keys are text");
        text.push('\n');
        text
    }

    /// Checks ranges, finiteness and that every id is known.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn validate(&self) -> Result<(), DataError> {
        check::validate(self)
    }

    /// The baseline: the first arm.
    #[must_use]
    pub fn baseline(&self) -> Option<&Arm> {
        self.arms.first()
    }

    /// All arms but the baseline.
    #[must_use]
    pub fn candidates(&self) -> &[Arm] {
        self.arms.get(1..).unwrap_or_default()
    }

    /// The arm of that id.
    #[must_use]
    pub fn arm(&self, id: &str) -> Option<&Arm> {
        self.arms.iter().find(|arm| arm.id == id)
    }

    /// The effect that the aggregate is held against, as a fraction: the minimum effect, or minus
    /// the non-inferiority margin.
    #[must_use]
    pub fn threshold(&self) -> Option<f64> {
        let pp = match &self.ship_rule {
            Some(rule) => Some(match rule.objective {
                Objective::Superiority => rule.min_effect_pp,
                Objective::NonInferiority => -rule.min_effect_pp.abs(),
            }),
            None => self.experiment.threshold_pct,
        };
        pp.map(|pp| pp / 100.0)
    }

    /// The effect below which no slice may fall, as a fraction (zero or negative).
    #[must_use]
    pub fn loss_floor(&self) -> Option<f64> {
        self.ship_rule.and_then(|rule| rule.loss_floor_pp).map(|pp| -pp.abs() / 100.0)
    }

    /// The outcome of a candidate: as recorded, or what `winner` and `killed` of the original form imply.
    #[must_use]
    pub fn outcome_of(&self, arm: &str) -> Option<Outcome> {
        let recorded = self.verdict.per_arm.iter().find(|v| v.arm == arm).map(|v| v.outcome);
        recorded.or_else(|| {
            if self.verdict.winner.as_deref() == Some(arm) {
                Some(Outcome::Ship)
            } else if self.verdict.killed.iter().any(|k| k == arm) {
                Some(Outcome::Kill)
            } else {
                None
            }
        })
    }
}
