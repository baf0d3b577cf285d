//! The inputs of the tools.

use itera_core::command::gate::Classified;
use itera_core::frame::{Frame, SourceFormat};
use itera_core::ids::{ArmId, ExperimentId, RowId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Input of `describe_source`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DescribeSource {
    /// Path of the file inside the project.
    pub path: String,
    /// Format; guessed from the file's name where absent.
    #[serde(default)]
    pub format: Option<SourceFormat>,
}

/// Input of `frame`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftFrame {
    /// The draft to replace; a new experiment where absent.
    #[serde(default)]
    pub experiment_id: Option<ExperimentId>,
    /// The whole frame.
    pub frame: Frame,
}

/// Input of `lock_frame`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockFrame {
    /// The experiment; the only open one where absent.
    #[serde(default)]
    pub experiment_id: Option<ExperimentId>,
    /// Hash of the frame that the person saw, as `frame` answered it.
    pub frame_hash: String,
    /// The person's answer, verbatim, where the client cannot ask them itself.
    #[serde(default)]
    pub confirmation: Option<String>,
}

/// Input of the tools that need only the experiment.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnExperiment {
    /// The experiment; the only open one where absent.
    #[serde(default)]
    pub experiment_id: Option<ExperimentId>,
}

/// Input of `pilot`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pilot {
    /// The experiment; the only open one where absent.
    #[serde(default)]
    pub experiment_id: Option<ExperimentId>,
    /// Arms whose files were repaired since the lock, with the reason; before the first pass only.
    #[serde(default)]
    pub repair: Vec<RepairArm>,
}

/// One repaired arm.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepairArm {
    /// Arm.
    pub arm: ArmId,
    /// What was broken.
    pub reason: String,
}

/// Input of `score_wait`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreWait {
    /// The experiment; the only open one where absent.
    #[serde(default)]
    pub experiment_id: Option<ExperimentId>,
    /// Seconds to wait at most, 0 to 45 (default 40).
    #[serde(default)]
    pub timeout_s: Option<f64>,
}

/// Input of `score_cancel` and `abandon`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WithReason {
    /// The experiment; the only open one where absent.
    #[serde(default)]
    pub experiment_id: Option<ExperimentId>,
    /// Why.
    pub reason: String,
}

/// Input of `diagnose`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Diagnose {
    /// The experiment; the only open one where absent.
    #[serde(default)]
    pub experiment_id: Option<ExperimentId>,
    /// Rows listed per arm and direction, 0 to 50 (default 10).
    #[serde(default)]
    pub rows: Option<u64>,
}

/// Input of `read_rows`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadRows {
    /// The experiment; the only open one where absent.
    #[serde(default)]
    pub experiment_id: Option<ExperimentId>,
    /// Rows to reveal by id; a page of train rows where absent. A dev row moves to train when it
    /// is revealed.
    #[serde(default)]
    pub rows: Vec<RowId>,
    /// First train row of the page (default 0).
    #[serde(default)]
    pub offset: u64,
    /// Rows of the page, 1 to 50 (default 10).
    #[serde(default)]
    pub limit: Option<u64>,
    /// Write all train rows as NDJSON to this new file of the project instead of answering them.
    #[serde(default)]
    pub save_as: Option<String>,
}

/// Input of `propose`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Propose {
    /// The experiment; the only open one where absent.
    #[serde(default)]
    pub experiment_id: Option<ExperimentId>,
    /// The arm whose files were edited.
    pub arm: ArmId,
    /// What should improve, on which rows, and by which mechanism.
    pub hypothesis: String,
    /// The one change.
    pub change: String,
    /// A new command, where the change is in the command itself.
    #[serde(default)]
    pub command: Option<Vec<String>>,
}

/// Input of `gate`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The experiment; the only open one where absent.
    #[serde(default)]
    pub experiment_id: Option<ExperimentId>,
    /// One classification for every change of the sprint.
    pub changes: Vec<Classified>,
    /// Whether the differences still suggest a mechanism worth another sprint.
    pub signal_left: bool,
    /// Why.
    pub reason: String,
}

/// Input of `show_chart`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowChart {
    /// The experiment; the latest concluded one where absent.
    #[serde(default)]
    pub experiment_id: Option<ExperimentId>,
    /// Which figure.
    pub chart: ChartName,
}

/// The figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChartName {
    /// Mean per arm with interval and trials.
    ArmBar,
    /// Effects by slice with intervals.
    ForestPlot,
    /// Cost against score.
    CostVsAccuracy,
}

impl ChartName {
    /// The file's stem.
    pub fn stem(self) -> &'static str {
        match self {
            Self::ArmBar => "arm-bar",
            Self::ForestPlot => "forest-plot",
            Self::CostVsAccuracy => "cost-vs-accuracy",
        }
    }
}
