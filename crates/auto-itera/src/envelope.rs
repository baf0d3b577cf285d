//! The one answer of every tool.

use itera_core::guards::{Problem, Refusal, Rejection};
use itera_core::ids::ExperimentId;
use itera_core::state::Stage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What every tool answers, success and refusal alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope {
    /// Whether the move was made.
    pub ok: bool,
    /// The experiment, where one is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment_id: Option<ExperimentId>,
    /// Where the experiment stands after the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Tools that move on from here, likeliest first.
    pub next: Vec<String>,
    /// What the tool found.
    #[serde(skip_serializing_if = "Value::is_null", default)]
    #[schemars(schema_with = "any_object")]
    pub data: Value,
    /// Guards that refused the move; nothing changed then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusalBody>,
    /// Input that could not be used; nothing changed then.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub problems: Vec<Problem>,
    /// What the person should know.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notices: Vec<String>,
    /// A figure, sent as image content and not as text.
    #[serde(skip)]
    pub image: Option<Vec<u8>>,
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object" })
}

/// The guards that refused a move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefusalBody {
    /// All of them.
    pub guards: Vec<Refusal>,
}

impl Envelope {
    /// A success without an experiment.
    pub fn plain(data: Value) -> Self {
        Self {
            ok: true,
            experiment_id: None,
            stage: None,
            next: Vec::new(),
            data,
            refusal: None,
            problems: Vec::new(),
            notices: Vec::new(),
            image: None,
        }
    }

    /// A success of an experiment at a stage.
    pub fn at(id: &ExperimentId, stage: Stage, data: Value) -> Self {
        Self {
            experiment_id: Some(id.clone()),
            stage: Some(stage),
            next: stage.next_tools().iter().map(|t| (*t).to_owned()).collect(),
            ..Self::plain(data)
        }
    }

    /// A rejection at a stage.
    pub fn rejected(id: Option<&ExperimentId>, stage: Option<Stage>, rejection: Rejection) -> Self {
        let next = match stage {
            Some(stage) => stage.next_tools().iter().map(|t| (*t).to_owned()).collect(),
            None => vec!["status".to_owned(), "frame".to_owned()],
        };
        Self {
            ok: false,
            experiment_id: id.cloned(),
            stage,
            next,
            refusal: (!rejection.guards.is_empty()).then_some(RefusalBody { guards: rejection.guards }),
            problems: rejection.problems,
            ..Self::plain(Value::Null)
        }
    }

    /// The same with a notice.
    #[must_use]
    pub fn notice(mut self, text: impl Into<String>) -> Self {
        self.notices.push(text.into());
        self
    }

    /// The same with more notices.
    #[must_use]
    pub fn notices(mut self, texts: impl IntoIterator<Item = String>) -> Self {
        self.notices.extend(texts);
        self
    }
}
