//! The frame: everything the person decides before a row is read.
//!
//! A frame is plain data. What makes one acceptable is in [`crate::command`]; what it means for
//! the verdict is in [`crate::rule`].

use crate::ids::{ArmId, Digest};
use crate::rule::{Evidence, FailureModeWeight, Objective, RequiredGain, RuleSpec, TieBreak};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The registered question, candidates, data, metric and rule of one experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// Short slug, 1 to 48 characters of `a-z`, `0-9`, `-`; names the folder of the conclusion.
    pub topic: String,
    /// Which of the six kinds of question this is.
    pub kind: QuestionKind,
    /// The question in the person's own words, quoted verbatim in the conclusion.
    pub question: String,
    /// What is expected to happen and by which mechanism.
    pub hypothesis: String,
    /// What is deployed today.
    pub baseline: ArmSpec,
    /// One to three candidates, each changing one thing.
    pub arms: Vec<ArmSpec>,
    /// Where the rows come from.
    pub source: SourceSpec,
    /// The one primary metric, scored per row in 0..1.
    pub metric: Metric,
    /// At most two secondary metrics; reported, never decisive.
    #[serde(default)]
    pub secondary: Vec<SecondaryMetric>,
    /// Three to five kinds of error, each weighted by its blast radius.
    pub failure_modes: Vec<FailureMode>,
    /// Row weights where the stake of a row varies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The rule by which the engine will decide.
    pub ship_rule: ShipRule,
    /// Trials per row and arm, at least 3.
    #[serde(default = "three")]
    pub trials: u32,
    /// How the sample is divided.
    #[serde(default)]
    pub split: SplitPlan,
    /// Bounds on what the run may spend.
    #[serde(default)]
    pub limits: Limits,
    /// When the person would stop the experiment early and abandon it.
    #[serde(default)]
    pub stop_conditions: Vec<String>,
    /// Reasons for the waivers this frame takes, keyed by guard id (for example `powered-design`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub acknowledged: BTreeMap<String, String>,
}

fn three() -> u32 {
    3
}

impl Frame {
    /// The hash under which the frame is locked: the digest of its canonical JSON.
    pub fn hash(&self) -> Digest {
        Digest::of_json(self)
    }

    /// Baseline first, then the arms in registered order.
    pub fn all_arms(&self) -> impl Iterator<Item = &ArmSpec> {
        std::iter::once(&self.baseline).chain(&self.arms)
    }

    /// The arm of that id, baseline included.
    pub fn arm(&self, id: &ArmId) -> Option<&ArmSpec> {
        self.all_arms().find(|a| &a.id == id)
    }

    /// Seed of everything random in the experiment, derived from the frame's hash so that nobody
    /// picks it.
    pub fn seed(&self) -> u64 {
        u64::from_str_radix(&self.hash().0[..16], 16).unwrap_or(0)
    }

    /// The verdict rule this frame registers, in fractions.
    pub fn rule(&self) -> RuleSpec {
        let rule = &self.ship_rule;
        RuleSpec {
            objective: rule.objective,
            min_effect: rule.min_effect_pp.abs() / 100.0,
            loss_floor: -rule.loss_floor_pp.abs() / 100.0,
            evidence: rule.evidence,
            alpha: rule.alpha,
            power: rule.power,
            required_gain: rule.required_gain,
            tie_break: rule.tie_break,
            failure_modes: self
                .failure_modes
                .iter()
                .map(|m| FailureModeWeight { id: m.id.clone(), severity_weight: m.weight })
                .collect(),
        }
    }

    /// Columns that hold the truth and are therefore never shown to an arm.
    pub fn truth_columns(&self) -> Vec<&str> {
        let scorer = &self.metric.scorer;
        let mut columns: Vec<&str> = scorer.label.iter().map(String::as_str).collect();
        columns.extend(scorer.fields.iter().map(|f| f.column.as_str()));
        columns.extend(self.source.hidden.iter().map(String::as_str));
        columns.sort_unstable();
        columns.dedup();
        columns
    }
}

/// The six kinds of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuestionKind {
    /// Which prompt.
    Prompt,
    /// Which model.
    Model,
    /// Which retrieval method.
    Retrieval,
    /// Which orchestration of calls.
    Workflow,
    /// Which architecture.
    Architecture,
    /// Whether a judge can be trusted.
    JudgeAudit,
}

/// What an arm is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArmRole {
    /// A candidate that might ship (the baseline also carries this value).
    #[default]
    Candidate,
    /// An arm that is expected not to move.
    NegativeControl,
}

/// How an arm is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArmKind {
    /// One process per row: row as JSON on stdin, answer on stdout.
    #[default]
    Command,
    /// One long-running process: a JSON line in, a JSON line out, matched by `id`.
    Worker,
}

/// One arm: what runs, what it depends on, and the one thing it changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArmSpec {
    /// Id used everywhere: 1 to 32 characters of `a-z`, `0-9`, `-`, `_`.
    pub id: ArmId,
    /// Name for people; the id where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is deployed or would be: `path:line` of a file in the project, a version, or an endpoint.
    pub reference: String,
    /// The one thing this arm changes against the baseline; empty for the baseline only.
    #[serde(default)]
    pub change: String,
    /// Candidate or negative control.
    #[serde(default)]
    pub role: ArmRole,
    /// How it is run.
    #[serde(default)]
    pub kind: ArmKind,
    /// The program and its arguments (never a shell string). Relative paths are inside the snapshot.
    pub command: Vec<String>,
    /// Run once per version after sourcing, before the pilot: may fit on the train rows it finds
    /// in the file named by `ITERA_TRAIN` (NDJSON, labels included) and writes to `ITERA_STATE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepare: Vec<String>,
    /// Files and folders of the project that the arm needs; hashed, kept, and all that is in its
    /// working directory when it runs.
    #[serde(default)]
    pub files: Vec<String>,
    /// Names of environment variables that are passed through (values are never stored).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
}

impl ArmSpec {
    /// The file and line that the reference names, where it has the form `path:line`.
    pub fn reference_file(&self) -> Option<(&str, u64)> {
        let (path, line) = self.reference.trim().rsplit_once(':')?;
        let line = line.parse().ok()?;
        (!path.is_empty() && !path.contains("//") && !path.contains(char::is_whitespace)).then_some((path, line))
    }

    /// The arm with the file its reference names among its files: this is what is snapshotted.
    #[must_use]
    pub fn with_reference_file(&self) -> Self {
        let mut spec = self.clone();
        if let Some((path, _)) = self.reference_file()
            && !spec.files.iter().any(|f| f == path)
        {
            spec.files.push(path.to_owned());
        }
        spec
    }

    /// The name for people.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(self.id.as_str())
    }
}

/// A file or query with production rows, and what its columns mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// Path of the file inside the project.
    pub path: String,
    /// Format; guessed from the file's name where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<SourceFormat>,
    /// Where the rows came from.
    pub provenance: Provenance,
    /// Column with a unique key per row; the row's position where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Columns given to the arms; where empty, all but the truth, the key and the hidden ones.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// Columns never given to an arm, besides the label.
    #[serde(default)]
    pub hidden: Vec<String>,
    /// Columns whose values are the slices of the verdict.
    #[serde(default)]
    pub slices: Vec<String>,
    /// Further columns by which the split is stratified (the failure the experiment is about).
    #[serde(default)]
    pub strata: Vec<String>,
    /// Column naming the customer, vendor or document a row belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Most rows of one entity in the sample; only with `entity`.
    #[serde(default = "three")]
    pub entity_cap: u32,
    /// Column whose equal values must stay in one split, and count as one unit of evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Most rows to sample; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u64>,
    /// Production share of each slice value, by slice column; counted from the source where absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub production_mix: BTreeMap<String, BTreeMap<String, f64>>,
}

/// Formats of a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceFormat {
    /// Comma-separated values with a header line.
    Csv,
    /// Tab-separated values with a header line.
    Tsv,
    /// One JSON object a line.
    Ndjson,
    /// One JSON array of objects.
    Json,
}

/// Where rows and labels came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Production rows, or rows from a generator with a known source of truth.
    pub origin: Origin,
    /// How the rows were collected and who or what labelled them.
    pub statement: String,
}

/// Origin of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Logged from production.
    Production,
    /// Written by a generator that knows the true label by construction.
    Generated,
    /// Labels written for this experiment; refused.
    MadeUp,
}

/// The primary metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Name, for example `exact category and sign`.
    pub name: String,
    /// The real stake it stands for.
    pub stake: String,
    /// How a row's output becomes a score.
    pub scorer: Scorer,
    /// Known value of the baseline in production (0..1), where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_value: Option<f64>,
}

/// A secondary metric: reported with the verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondaryMetric {
    /// Name for people.
    pub name: String,
    /// What is measured.
    pub measure: SecondaryMeasure,
}

/// What a secondary metric measures, per row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecondaryMeasure {
    /// Dollars per row.
    Cost,
    /// Milliseconds per row.
    Latency,
    /// Output tokens per row.
    OutputTokens,
}

/// A deterministic scorer: output and row in, score in 0..1 out.
///
/// One flat record; which fields matter depends on `kind`, and the others are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scorer {
    /// Which scorer.
    pub kind: ScorerKind,
    /// Column with the expected answer (all kinds but `json` and `regex` with a pattern).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `regex`: the pattern the output must match; `{label}` stands for the escaped label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// `numeric`: largest absolute difference that still counts as right (default 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// `numeric`: largest difference relative to the label that still counts as right (default 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_tolerance: Option<f64>,
    /// `set`: `f1` (default), `jaccard` or `exact`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<SetMeasure>,
    /// `set`: separator of the label's and the output's items where they are not JSON lists (default `;`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// `json`: fields of the output and the columns they must equal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<JsonField>,
    /// `json`: score the share of right fields instead of all-or-nothing.
    #[serde(default)]
    pub partial: bool,
}

/// The deterministic scorers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScorerKind {
    /// Output equals the label, byte for byte after trimming the ends.
    Exact,
    /// Equal after Unicode lower-casing, and with runs of white space and punctuation as one space.
    Normalized,
    /// A number within a tolerance of the label.
    Numeric,
    /// The output matches a pattern.
    Regex,
    /// The output contains the label (after the same normalisation as `normalized`).
    Contains,
    /// Two sets of items compared by F1, Jaccard or equality.
    Set,
    /// Fields of a JSON output compared with columns.
    Json,
}

/// How two sets are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SetMeasure {
    /// Harmonic mean of precision and recall.
    #[default]
    F1,
    /// Intersection over union.
    Jaccard,
    /// 1 if the sets are equal, else 0.
    Exact,
}

/// One field of a JSON output and the column that holds its truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonField {
    /// Dotted path in the output object, for example `answer.code`.
    pub path: String,
    /// Column of the row.
    pub column: String,
    /// Largest absolute difference for numbers; text compares exactly where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
}

/// One registered kind of error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailureMode {
    /// Id: 1 to 32 characters of `a-z`, `0-9`, `-`, `_`.
    pub id: String,
    /// What goes wrong, for people.
    pub description: String,
    /// Weight by blast radius, above 0; the mode of the highest weight is the most severe.
    pub weight: f64,
    /// When a failed row carries this mode: all conditions hold. Empty: only an arm's own
    /// `failure_modes` field sets it.
    #[serde(default)]
    pub when: Vec<Condition>,
}

/// A comparison between parts of the row and the output, read only where the row scored below 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Left operand: `output`, `output.<path>`, `row.<column>` or `status`.
    pub left: String,
    /// The comparison.
    pub op: ConditionOp,
    /// Right operand of the same forms; one of `right` and `value` for binary comparisons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
    /// Literal right operand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Comparisons of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConditionOp {
    /// Equal (numbers numerically, else trimmed text).
    Eq,
    /// Not equal.
    Ne,
    /// Less (numbers).
    Lt,
    /// Greater (numbers).
    Gt,
    /// Left contains right, without regard to case.
    Contains,
    /// Left does not contain right.
    NotContains,
    /// Left matches the regular expression on the right.
    Matches,
    /// Left is absent, null or empty.
    Empty,
    /// Left is present and not empty.
    NotEmpty,
}

/// How the stake of a row is weighted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Severity {
    /// Numeric column; its absolute value is the stake.
    pub column: String,
    /// Largest stake that counts, in the column's units, so that no row dominates.
    pub cap: f64,
}

/// The registered rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShipRule {
    /// Better by a margin, or not worse than a margin with a proven gain elsewhere.
    #[serde(default = "superiority")]
    pub objective: Objective,
    /// Superiority: smallest gain worth shipping, in pp. Non-inferiority: largest loss accepted, in pp.
    pub min_effect_pp: f64,
    /// Largest loss accepted in any slice, in pp (a magnitude; its sign is ignored).
    pub loss_floor_pp: f64,
    /// How much must be proven.
    #[serde(default)]
    pub evidence: Evidence,
    /// One-sided family-wise error rate, default 0.05.
    #[serde(default = "five_percent")]
    pub alpha: f64,
    /// Power the design should reach, default 0.8.
    #[serde(default = "eighty_percent")]
    pub power: f64,
    /// Non-inferiority only: the gain that must be proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_gain: Option<RequiredGain>,
    /// What decides where severity-weighted and plain readings disagree.
    #[serde(default)]
    pub tie_break: TieBreak,
}

fn superiority() -> Objective {
    Objective::Superiority
}

fn five_percent() -> f64 {
    0.05
}

fn eighty_percent() -> f64 {
    0.8
}

/// Shares of the sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitPlan {
    /// Share of train, 0..1.
    pub train: f64,
    /// Share of dev, 0..1.
    pub dev: f64,
    /// Share of test, 0..1.
    pub test: f64,
}

impl Default for SplitPlan {
    fn default() -> Self {
        Self { train: 0.3, dev: 0.5, test: 0.2 }
    }
}

/// Bounds on a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Calls in flight at once, 1 to 64.
    #[serde(default = "four")]
    pub parallel: u32,
    /// Seconds one call may take.
    #[serde(default = "sixty")]
    pub timeout_s: f64,
    /// Bytes of output one call may produce.
    #[serde(default = "one_mebibyte")]
    pub max_output_bytes: u64,
    /// Calls the whole experiment may make; a pass that would exceed it is refused before it starts.
    #[serde(default = "hundred_thousand")]
    pub max_calls: u64,
    /// Dollars the whole experiment may spend; the run stops when it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<f64>,
}

fn four() -> u32 {
    4
}
fn sixty() -> f64 {
    60.0
}
fn one_mebibyte() -> u64 {
    1 << 20
}
fn hundred_thousand() -> u64 {
    100_000
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parallel: four(),
            timeout_s: sixty(),
            max_output_bytes: one_mebibyte(),
            max_calls: hundred_thousand(),
            max_cost_usd: None,
        }
    }
}
