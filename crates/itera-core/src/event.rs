//! What happened, in the past tense. The ledger is a list of these, and everything else is folded
//! from it.

use crate::frame::{ArmSpec, Frame};
use crate::ids::{ArmId, Digest, ExperimentId, RowId, Version};
use crate::rule::Verdict;
use crate::sample::SampleSummary;
use crate::snapshot::{Snapshot, SnapshotDiff};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a ledger holds tens of events, and boxes would hide their fields")]
pub enum Event {
    /// A draft of the frame was written or replaced.
    FrameDrafted {
        /// The experiment.
        id: ExperimentId,
        /// The draft.
        frame: Box<Frame>,
    },
    /// The person confirmed the draft in a terminal.
    FrameConfirmed {
        /// Hash of the frame that was shown.
        frame_hash: Digest,
    },
    /// The frame was confirmed and locked.
    FrameLocked {
        /// Hash of the frame.
        frame_hash: Digest,
        /// Who confirmed it and how.
        consent: Consent,
        /// What each arm was, baseline included.
        snapshots: BTreeMap<ArmId, Snapshot>,
        /// How each arm differs from the baseline.
        diffs: BTreeMap<ArmId, SnapshotDiff>,
        /// What the planned test could see; nothing where the rows could not be counted.
        design: Option<PlannedDesign>,
    },
    /// Rows were sampled, split and sealed.
    RowsSourced {
        /// Counts and audit.
        summary: Box<SampleSummary>,
        /// Digest of the metadata of all rows.
        rows_digest: Digest,
        /// Earlier experiments of the project that saw rows of this test.
        seen_before: Vec<SeenBefore>,
    },
    /// An arm version's prepare command ran to its end.
    ArmPrepared {
        /// Arm.
        arm: ArmId,
        /// Version.
        version: Version,
        /// Digest of everything it wrote.
        state_digest: Digest,
        /// Train rows it was given.
        train_rows: u64,
        /// Seconds it took.
        seconds: f64,
    },
    /// An arm was repaired after a failed pilot, before any dev row was scored.
    ArmRepaired {
        /// Arm.
        arm: ArmId,
        /// Why.
        reason: String,
        /// What it is now.
        snapshot: Snapshot,
        /// Difference to what was locked.
        diff: SnapshotDiff,
    },
    /// One train row went through every arm.
    PilotRun {
        /// The row.
        row: RowId,
        /// Every arm's fields, checked.
        arms: BTreeMap<ArmId, PilotArm>,
        /// Whether every field of every arm was populated.
        passed: bool,
    },
    /// A pass over dev or test was started.
    PassStarted {
        /// Its plan.
        pass: PassPlan,
    },
    /// All calls of a pass were recorded.
    PassCompleted {
        /// Number of the pass.
        pass: u32,
        /// Digest of all its score records.
        records_digest: Digest,
        /// Records.
        records: u64,
        /// Records of failed calls.
        failed_calls: u64,
        /// Dollars spent by the pass.
        cost_usd: f64,
        /// Digest of the metadata of the rows scored.
        rows_digest: Digest,
        /// The outcome of the iteration this pass scored, if it did.
        iteration: Option<IterationOutcome>,
    },
    /// A dev pass was cancelled; its scores are never shown.
    PassCancelled {
        /// Number of the pass.
        pass: u32,
        /// Why.
        reason: String,
    },
    /// The differences of the last pass were shown.
    Diagnosed {
        /// Number of the pass.
        pass: u32,
    },
    /// Whether the editor's fence saw the call that made this move.
    FenceObserved {
        /// The tool that was called.
        during: String,
        /// Number of the call by the fence's own count; nothing where the fence did not see it.
        seen: Option<u64>,
    },
    /// Dev rows were revealed, and so belong to train from now on.
    RowsDemoted {
        /// The rows.
        rows: Vec<RowId>,
    },
    /// A new version of an arm was registered.
    ChangeProposed {
        /// What was proposed.
        proposal: Proposal,
    },
    /// The gate between sprints was passed.
    GateJudged {
        /// What was found and decided.
        gate: GateRecord,
    },
    /// The versions that go to the test were locked.
    ArmsLocked {
        /// Version of every arm that goes to the test, baseline included.
        versions: BTreeMap<ArmId, Version>,
        /// Digest of what each will run.
        fingerprints: BTreeMap<ArmId, Digest>,
    },
    /// The registered rule was applied.
    VerdictReached {
        /// The verdict.
        verdict: Box<Verdict>,
        /// Digest of the score records it was computed from.
        records_digest: Digest,
    },
    /// The folder of the conclusion was written.
    Concluded {
        /// Folder, relative to the project.
        folder: String,
        /// Digest of every file in it.
        files: BTreeMap<String, Digest>,
    },
    /// The experiment was given up.
    Abandoned {
        /// Why.
        reason: String,
    },
}

/// Rows of this test that an earlier experiment of the project saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeenBefore {
    /// The earlier experiment.
    pub experiment: ExperimentId,
    /// Rows that were in its test, and that test was opened.
    pub in_opened_test: u64,
    /// Rows that were in its train or dev.
    pub in_train_or_dev: u64,
}

/// The power of a planned test, by simulation of the rule itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedDesign {
    /// Test rows that the source would give.
    pub test_rows: u64,
    /// Chance to ship at the planned effect (0..1).
    pub power: f64,
    /// That effect, pp.
    pub planned_effect_pp: f64,
    /// Chance of every verdict under each true effect.
    pub points: Vec<PlannedPoint>,
}

/// The rule's verdicts under one true effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedPoint {
    /// The truth in words.
    pub truth: String,
    /// True effect of the first arm, pp.
    pub effect_pp: f64,
    /// Chance of ship.
    pub ship: f64,
    /// Chance of scope.
    pub scope: f64,
    /// Chance of kill.
    pub kill: f64,
    /// Chance of underpowered.
    pub underpowered: f64,
}

/// Who confirmed the frame and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Consent {
    /// How the confirmation reached the engine.
    pub channel: ConsentChannel,
    /// What was said, where it was relayed.
    pub statement: String,
}

/// How a confirmation reached the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsentChannel {
    /// The client asked the person (elicitation); the agent cannot forge this.
    Elicited,
    /// The person confirmed in a terminal.
    Terminal,
    /// The agent says that the person confirmed; disclosed.
    Relayed,
    /// The same, after the client's own question was cancelled; disclosed.
    RelayedAfterCancel,
    /// The demo, which has no person to ask.
    Demo,
}

impl ConsentChannel {
    /// Whether the engine has only the agent's word for it.
    pub fn relayed(self) -> bool {
        matches!(self, Self::Relayed | Self::RelayedAfterCancel)
    }

    /// The channel in words, to follow "confirmed".
    pub fn words(self) -> &'static str {
        match self {
            Self::Elicited => "by the person through the client",
            Self::Terminal => "by the person in a terminal",
            Self::Relayed => "as relayed by the agent",
            Self::RelayedAfterCancel => "as relayed by the agent, after the client's own question was cancelled",
            Self::Demo => "by the demo",
        }
    }
}

/// One arm's answer to the pilot row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PilotArm {
    /// Whether an output came.
    pub answered: bool,
    /// Characters of output.
    pub output_chars: u64,
    /// Score of the row.
    pub score: f64,
    /// Failure modes of the row.
    pub failure_modes: Vec<String>,
    /// Dollars, where reported.
    pub cost_usd: Option<f64>,
    /// Input tokens, where reported.
    pub input_tokens: Option<u64>,
    /// Output tokens, where reported.
    pub output_tokens: Option<u64>,
    /// Milliseconds.
    pub latency_ms: f64,
    /// What is missing or wrong, for the person; empty where the arm passed.
    pub problems: Vec<String>,
}

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PassKind {
    /// Dev rows (and a few train rows whose outputs may be read).
    Dev,
    /// The sealed rows, once.
    Test,
}

/// The work of one pass; the list of calls follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PassPlan {
    /// Number, from 1.
    pub pass: u32,
    /// Dev or test.
    pub kind: PassKind,
    /// Arm versions that answer.
    pub arms: Vec<(ArmId, Version)>,
    /// Rows of dev (or test).
    pub rows: Vec<RowId>,
    /// Train rows scored along for error analysis (dev passes only).
    pub train_rows: Vec<RowId>,
    /// Trials per row.
    pub trials: u32,
    /// Seed of the order of calls.
    pub seed: u64,
    /// Calls in all.
    pub calls: u64,
}

impl PassPlan {
    /// Every call, in its seeded order.
    pub fn work(&self) -> Vec<crate::scores::WorkItem> {
        let rows: Vec<RowId> = self.rows.iter().chain(&self.train_rows).cloned().collect();
        crate::scores::work_plan(&self.arms, &rows, self.trials, self.seed)
    }
}

/// A hypothesis and the one change that tests it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Proposal {
    /// Arm that changes.
    pub arm: ArmId,
    /// The new version.
    pub version: Version,
    /// The version it builds on.
    pub builds_on: Version,
    /// Sprint, from 1.
    pub sprint: u32,
    /// Iteration within the sprint, from 1.
    pub iteration: u32,
    /// What should happen and why.
    pub hypothesis: String,
    /// The one change.
    pub change: String,
    /// The arm as it is now (its command may have changed).
    pub spec: ArmSpec,
    /// Its files.
    pub snapshot: Snapshot,
    /// Difference to the version it builds on.
    pub diff: SnapshotDiff,
}

/// What dev says of one iteration, computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IterationOutcome {
    /// Arm.
    pub arm: ArmId,
    /// New version.
    pub version: Version,
    /// Version it is compared with.
    pub builds_on: Version,
    /// Mean paired difference on dev rows that both versions answered (fraction).
    pub effect: f64,
    /// Its standard error (fraction).
    pub se: f64,
    /// Rows compared.
    pub rows: u64,
    /// Supported, neutral or falsified.
    pub outcome: Outcome,
}

/// What became of a hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The gain is at least twice its noise.
    Supported,
    /// The difference is within twice its noise.
    Neutral,
    /// A loss of at least twice its noise.
    Falsified,
}

/// What the agent says a change is.
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

/// The gate's finding on one change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateFinding {
    /// Arm.
    pub arm: ArmId,
    /// Version that carries the change.
    pub version: Version,
    /// What the agent says it is.
    pub class: ChangeClass,
    /// The agent's reason.
    pub reason: String,
    /// Pieces of text that the change quotes from dev rows and that no train row has: how many.
    pub quoted_dev_rows: u64,
    /// The gain on visible and hidden dev rows, where dev is large enough for a hidden fold.
    pub fold: Option<FoldEvidence>,
    /// Whether the change is kept.
    pub kept: bool,
}

/// A change's gain on the dev rows that were shown and on those that were not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FoldEvidence {
    /// Mean paired gain on visible rows (fraction).
    pub visible_gain: f64,
    /// Visible rows.
    pub visible_rows: u64,
    /// Mean paired gain on hidden rows (fraction).
    pub hidden_gain: f64,
    /// Hidden rows.
    pub hidden_rows: u64,
    /// Welch statistic of their difference, at most 1,000.
    pub statistic: f64,
    /// The statistic is above 2.33: the gain vanishes where nobody looked.
    pub flagged: bool,
    /// The statistic is above 1.645.
    pub warning: bool,
}

impl FoldEvidence {
    /// The evidence from paired differences; nothing where either part has fewer than two rows.
    pub fn new(visible: &[f64], hidden: &[f64]) -> Option<Self> {
        use itera_stats::gate::{GateSignal, hidden_fold};
        let found = hidden_fold(visible, hidden).ok()?;
        Some(Self {
            visible_gain: found.visible_gain,
            visible_rows: visible.len() as u64,
            hidden_gain: found.hidden_gain,
            hidden_rows: hidden.len() as u64,
            statistic: found.statistic.min(1_000.0),
            flagged: found.signal == GateSignal::Flagged,
            warning: found.signal != GateSignal::Clear,
        })
    }
}

/// What follows from a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateDecision {
    /// Another sprint may start (or the arms may be locked).
    Continue,
    /// Signal is spent: lock.
    Lock,
    /// No candidate is left.
    Kill,
}

/// The gate between two sprints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateRecord {
    /// Sprint that ends here, from 1.
    pub sprint: u32,
    /// One finding per change of the sprint.
    pub findings: Vec<GateFinding>,
    /// Whether the agent sees signal left, and why.
    pub signal_left: bool,
    /// Why.
    pub reason: String,
    /// Arms killed because most of their changes were hardcodes.
    pub killed: Vec<ArmId>,
    /// What follows.
    pub decision: GateDecision,
}
