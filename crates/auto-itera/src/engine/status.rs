//! `status`: where things stand, and the resumption of what was interrupted.

use super::{Answer, CallContext, Engine, Experiment, settle};
use crate::envelope::Envelope;
use crate::requests as ask;
use itera_core::audit::{AuditStatus, audit};
use itera_core::state::Stage;
use serde_json::{Value, json};
use std::collections::BTreeMap;

impl Engine {
    /// `status`.
    pub async fn status(&self, input: ask::OnExperiment, _: CallContext) -> Envelope {
        let _turn = self.turn.lock().await;
        settle(self.where_things_stand(input).await)
    }

    async fn where_things_stand(&self, input: ask::OnExperiment) -> Answer {
        let project = self.project()?;
        let ids = project.experiments().map_err(|e| super::failure(None, None, &e))?;
        if input.experiment_id.is_none() {
            let mut open = Vec::new();
            let mut list = Vec::new();
            for id in &ids {
                match self.load(Some(id)) {
                    Ok(e) => {
                        list.push(json!({ "experiment_id": id, "stage": e.state.stage, "folder": e.state.folder }));
                        if !matches!(e.state.stage, Stage::Concluded | Stage::Abandoned) {
                            open.push(id.clone());
                        }
                    }
                    Err(refused) => list.push(
                        json!({ "experiment_id": id, "unusable": refused.refusal, "problems": refused.problems }),
                    ),
                }
            }
            if open.len() != 1 {
                let mut answer = Envelope::plain(json!({ "experiments": list }));
                answer.next = vec!["frame".into(), "describe_source".into(), "status".into()];
                return Ok(answer.notice(match open.len() {
                    0 => "No experiment is open. Start one with `frame`.".to_owned(),
                    n => format!("{n} experiments are open: name one."),
                }));
            }
        }
        let mut experiment = self.load(input.experiment_id.as_ref())?;
        self.close(&mut experiment)?;
        let mut notices = Vec::new();
        if experiment.state.open_pass().is_some()
            && let Err(refused) = self.launch(&experiment).await
        {
            notices.extend(
                refused.problems.iter().map(|p| format!("The pass is not running here: {}. {}", p.what, p.remedy)),
            );
            notices.extend(
                refused
                    .refusal
                    .iter()
                    .flat_map(|r| &r.guards)
                    .map(|g| format!("The pass cannot go on: {}. {}", g.why, g.remedy)),
            );
        }
        if experiment.state.stage == Stage::Concluded && experiment.state.folder.is_none() {
            self.write_folder(&mut experiment)?;
        }
        let data = report(&experiment)?;
        Ok(experiment.answer(data).notices(notices))
    }
}

fn report(experiment: &Experiment) -> Result<Value, Box<Envelope>> {
    let state = &experiment.state;
    let lines = audit(&experiment.entries);
    let named =
        |status: AuditStatus| lines.iter().filter(|l| l.status == status).map(|l| l.guard.name()).collect::<Vec<_>>();
    let pass = match state.open_pass() {
        Some(p) => {
            let done = Engine::recorded(&experiment.store, p.plan.pass).map_err(|e| experiment.fail(&e))?;
            json!({ "pass": p.plan.pass, "kind": p.plan.kind, "calls_done": done, "calls": p.plan.calls })
        }
        None => Value::Null,
    };
    let arms: BTreeMap<&str, Value> = state
        .arms
        .iter()
        .map(|(id, a)| {
            (id.as_str(), json!({ "versions": a.newest(), "counts_now": a.effective(), "killed": a.killed }))
        })
        .collect();
    let spent = state.passes.iter().fold(0.0, |sum, p| sum + p.cost_usd);
    let limits = state.frame.as_ref().map(|f| f.limits.clone());
    Ok(json!({
        "question": state.frame.as_ref().map(|f| f.question.clone()),
        "frame_hash": state.frame_hash,
        "ledger_entries": experiment.entries.len(),
        "splits": state.sample.as_ref().map(|s| s.splits),
        "dev_rows_revealed": state.demoted.len(),
        "arms": arms,
        "sprint": state.sprint_number(),
        "changes_to_classify": state.sprint.iter().map(|p| json!({ "arm": p.arm, "version": p.version, "change": p.change })).collect::<Vec<_>>(),
        "running": pass,
        "spend": { "calls_planned": state.planned_calls(), "max_calls": limits.as_ref().map(|l| l.max_calls), "cost_usd": spent, "max_cost_usd": limits.and_then(|l| l.max_cost_usd) },
        "verdict": state.verdict.as_ref().map(|v| v.family.sentence.clone()),
        "folder": state.folder,
        "guards": { "passed": named(AuditStatus::Passed), "disclosed": named(AuditStatus::Disclosed), "pending": named(AuditStatus::Pending), "not_enforced": named(AuditStatus::NotEnforced) },
    }))
}
