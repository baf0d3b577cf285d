//! Asking the person before the lock: through the client where it offers to ask (in both protocol
//! eras), or in a terminal. What the agent relays is a third way, and disclosed.

use crate::engine::{Asked, Engine};
use anyhow::bail;
use itera_core::event::ConsentChannel;
use itera_core::ids::ExperimentId;
use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationSchema,
    InputRequest, InputRequests, InputRequiredResult, ProtocolVersion,
};
use rmcp::service::RequestContext;
use serde_json::json;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

/// Longest that one call waits for the person.
const PATIENCE: Duration = Duration::from_secs(40);
/// Name of the question in a multi-round-trip answer.
const QUESTION: &str = "confirm_frame";
/// Characters of the frame that the question shows.
const SHOWN: usize = 6_000;

/// What is known of the person's answer, or the question to send.
pub(crate) enum Step {
    /// Go on with this.
    Known(Asked),
    /// Answer the call with this question; the client calls again with the reply.
    Ask(Box<InputRequiredResult>),
}

/// Finds out whether the person confirms the draft that a `lock_frame` call names.
pub(crate) async fn ask(
    engine: &Engine,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Step {
    let offered = context.client_capabilities().is_some_and(|c| c.elicitation.is_some());
    let id = request
        .arguments
        .as_ref()
        .and_then(|a| a.get("experiment_id"))
        .and_then(|v| v.as_str())
        .map(ExperimentId::from);
    // A draft that cannot be locked is refused by the tool itself, without asking anybody.
    let (true, Ok(draft)) = (offered, engine.to_confirm(id.as_ref())) else { return Step::Known(Asked::NotOffered) };
    let message = format!(
        "Lock this experiment under {}? Nothing in it can change afterwards.\n\n{}",
        draft.frame_hash.short(),
        draft.text.chars().take(SHOWN).collect::<String>()
    );
    let stateless = context.protocol_version().is_some_and(|v| v >= ProtocolVersion::V_2026_07_28);
    if stateless {
        let state = draft.frame_hash.0;
        let reply = request.input_responses.as_ref().and_then(|r| r.get(QUESTION)).cloned();
        return match reply.and_then(|r| serde_json::from_value::<ElicitResult>(r).ok()) {
            // The draft was replaced between question and answer: the answer is not about it.
            Some(_) if request.request_state.as_deref() != Some(&state) => Step::Known(Asked::NotOffered),
            Some(reply) => Step::Known(read(&reply)),
            None => {
                let question = InputRequest::Elicitation(ElicitRequest::new(form(message)));
                let questions = InputRequests::from([(QUESTION.to_owned(), question)]);
                Step::Ask(Box::new(InputRequiredResult::new(Some(questions), Some(state))))
            }
        };
    }
    match context.peer.create_elicitation_with_timeout(form(message), Some(PATIENCE)).await {
        Ok(reply) => Step::Known(read(&reply)),
        Err(error) => {
            tracing::warn!(%error, "the client could not ask the person");
            Step::Known(Asked::NotOffered)
        }
    }
}

fn form(message: String) -> ElicitRequestParams {
    let schema = json!({
        "type": "object",
        "properties": { "confirm": { "type": "boolean", "title": "Lock it", "description": "Yes: lock the frame and let these commands run." } },
        "required": ["confirm"],
    });
    ElicitRequestParams::FormElicitationParams {
        meta: None,
        message,
        requested_schema: serde_json::from_value(schema).unwrap_or_else(|_| ElicitationSchema::new(Default::default())),
    }
}

fn read(reply: &ElicitResult) -> Asked {
    let yes = reply.content.as_ref().and_then(|c| c.get("confirm")).and_then(|v| v.as_bool());
    match (&reply.action, yes) {
        (ElicitationAction::Accept, Some(true)) => Asked::Confirmed(ConsentChannel::Elicited),
        (ElicitationAction::Accept, _) | (ElicitationAction::Decline, _) => Asked::Declined,
        // Clients without a person in front cancel by themselves.
        _ => Asked::Cancelled,
    }
}

/// Shows a draft in the terminal and records a yes.
///
/// # Errors
/// When there is no terminal, no draft, or the answer cannot be recorded.
pub(crate) async fn in_terminal(id: Option<String>, project: Option<PathBuf>) -> anyhow::Result<bool> {
    let engine = Engine::new(project.unwrap_or_else(|| PathBuf::from(".")));
    let id = id.map(ExperimentId);
    let draft = match engine.to_confirm(id.as_ref()) {
        Ok(draft) => draft,
        Err(refused) => bail!("{}", said(&refused)),
    };
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        bail!("a confirmation needs a person at a terminal; run `auto-itera confirm {}` in one", draft.id);
    }
    write!(std::io::stdout(), "{}\nLock {} under {}? [y/N] ", draft.text, draft.id, draft.frame_hash.short())?;
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if !matches!(answer.trim(), "y" | "Y" | "yes" | "Yes") {
        writeln!(std::io::stdout(), "Not confirmed. Nothing changed.")?;
        return Ok(false);
    }
    let recorded = engine.confirm(&draft.id, draft.frame_hash).await;
    if !recorded.ok {
        bail!("{}", said(&recorded));
    }
    writeln!(std::io::stdout(), "Confirmed. The agent may now call lock_frame.")?;
    Ok(true)
}

fn said(envelope: &crate::envelope::Envelope) -> String {
    let guards =
        envelope.refusal.iter().flat_map(|r| &r.guards).map(|g| format!("[{}] {}. {}", g.guard, g.why, g.remedy));
    let problems = envelope.problems.iter().map(|p| format!("{}: {}. {}", p.at, p.what, p.remedy));
    guards.chain(problems).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(action: ElicitationAction, content: Option<serde_json::Value>) -> ElicitResult {
        let mut result = ElicitResult::new(action);
        result.content = content;
        result
    }

    #[test]
    fn only_an_accepted_yes_is_a_yes() {
        let read = |a, c| super::read(&reply(a, c));
        assert_eq!(
            read(ElicitationAction::Accept, Some(json!({ "confirm": true }))),
            Asked::Confirmed(ConsentChannel::Elicited)
        );
        assert_eq!(read(ElicitationAction::Accept, Some(json!({ "confirm": false }))), Asked::Declined);
        assert_eq!(read(ElicitationAction::Accept, None), Asked::Declined);
        assert_eq!(read(ElicitationAction::Decline, Some(json!({ "confirm": true }))), Asked::Declined);
        assert_eq!(read(ElicitationAction::Cancel, None), Asked::Cancelled);
    }

    #[test]
    fn the_form_is_an_object_of_primitives() {
        let ElicitRequestParams::FormElicitationParams { requested_schema, .. } = form("?".into()) else {
            unreachable!()
        };
        let schema = serde_json::to_value(requested_schema).unwrap();
        assert_eq!(schema["properties"]["confirm"]["type"], "boolean");
    }
}
