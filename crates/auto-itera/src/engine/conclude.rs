//! `open_test`, `verdict` and `show_chart`.

use super::{Answer, CallContext, Engine, Experiment, settle};
use crate::envelope::Envelope;
use crate::requests as ask;
use itera_core::command::open_test::OpenTest;
use itera_core::command::verdict::{Conclude, ReachVerdict};
use itera_core::command::{Command, Move};
use itera_core::event::Event;
use itera_core::ids::{ArmId, Split};
use itera_core::scores::records_digest;
use itera_core::state::Stage;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

impl Engine {
    /// `open_test`.
    pub async fn open_test(&self, input: ask::OnExperiment, _: CallContext) -> Envelope {
        let _turn = self.turn.lock().await;
        settle(self.open_sealed(input).await)
    }

    async fn open_sealed(&self, input: ask::OnExperiment) -> Answer {
        let mut experiment = self.load(input.experiment_id.as_ref())?;
        experiment.permit(Move::OpenTest)?;
        let locked_fingerprints = experiment
            .entries
            .iter()
            .find_map(|e| match &e.event {
                Event::ArmsLocked { fingerprints, .. } => Some(fingerprints.clone()),
                _ => None,
            })
            .unwrap_or_default();
        let mut fingerprints = BTreeMap::new();
        for (arm, version) in experiment.state.locked.clone().unwrap_or_default() {
            // Opening the runtime verifies files and prepared state against the ledger.
            experiment.runtime(&arm, version)?;
            fingerprints.insert(arm.clone(), experiment.fingerprint(&arm, version)?);
        }
        let rows = experiment.rows_of(Split::Test)?;
        experiment.commit(Command::OpenTest(OpenTest { rows, fingerprints, locked_fingerprints }))?;
        experiment.observe_fence("open_test")?;
        self.launch(&experiment).await?;
        let plan = experiment.state.open_pass().map(|p| p.plan.clone());
        Ok(experiment.answer(json!({
            "pass": plan.as_ref().map(|p| p.pass),
            "arms": plan.as_ref().map(|p| &p.arms),
            "test_rows": plan.as_ref().map(|p| p.rows.len()),
            "trials": plan.as_ref().map(|p| p.trials),
            "calls": plan.as_ref().map(|p| p.calls),
        })))
    }

    /// `verdict`.
    pub async fn verdict(&self, input: ask::OnExperiment, _: CallContext) -> Envelope {
        let _turn = self.turn.lock().await;
        settle(self.decide_verdict(input))
    }

    fn decide_verdict(&self, input: ask::OnExperiment) -> Answer {
        let mut experiment = match self.load(input.experiment_id.as_ref()) {
            Ok(experiment) => experiment,
            // A verdict whose folder was not written yet is concluded and still unfinished.
            Err(refused) if input.experiment_id.is_none() => match self.unfinished()? {
                Some(experiment) => experiment,
                None => return Err(refused),
            },
            Err(refused) => return Err(refused),
        };
        let unfinished = experiment.state.stage == Stage::Concluded && experiment.state.folder.is_none();
        if !unfinished {
            experiment.permit(Move::Verdict)?;
            let record = experiment.record()?;
            let Some(test) = experiment.state.test_pass().map(|p| p.plan.clone()) else {
                return Err(experiment.problem("test", "there is no test pass", "Call `open_test`."));
            };
            let scores = record.pass(test.pass);
            let arms: Vec<ArmId> = test.arms.iter().map(|(a, _)| a.clone()).collect();
            let (Some(frame), Some(sample)) = (&experiment.state.frame, &experiment.state.sample) else {
                return Err(experiment.problem("frame", "there is no frame", "Call `status`."));
            };
            let table = itera_core::pairing::table(frame, sample, &arms, &record.rows, &scores).map_err(|e| {
                experiment.problem("scores", e, "The scores cannot be judged; the experiment can only be abandoned.")
            })?;
            experiment.commit(Command::Verdict(ReachVerdict { table, records_digest: records_digest(&scores) }))?;
        }
        self.write_folder(&mut experiment)?;
        self.conclusion(&experiment)
    }

    fn unfinished(&self) -> Result<Option<Experiment>, Box<Envelope>> {
        let project = self.project()?;
        for id in project.experiments().map_err(|e| super::failure(None, None, &e))? {
            let experiment = self.load(Some(&id))?;
            if experiment.state.stage == Stage::Concluded && experiment.state.folder.is_none() {
                return Ok(Some(experiment));
            }
        }
        Ok(None)
    }

    /// Writes the folder of the conclusion whole, then records it.
    pub(super) fn write_folder(&self, experiment: &mut Experiment) -> Result<(), Box<Envelope>> {
        if experiment.state.folder.is_some() {
            return Ok(());
        }
        let record = experiment.record()?;
        let files = itera_report::folder::build(&record).map_err(|e| {
            experiment.problem(
                "conclusion",
                super::runtime::causes(&e),
                "The verdict stands in the ledger; report this message.",
            )
        })?;
        let folder = format!("docs/experiments/{}", experiment.id);
        write_whole(&self.root.join(&folder), &files).map_err(|e| {
            experiment.problem(&folder, e, "Make room on the disk or give write access, then call `verdict` again: the verdict stands in the ledger.")
        })?;
        experiment.commit(Command::Conclude(Conclude { folder, files: itera_report::folder::digests(&files) }))
    }

    fn conclusion(&self, experiment: &Experiment) -> Answer {
        let Some(verdict) = &experiment.state.verdict else {
            return Err(experiment.problem("verdict", "there is none", "Call `verdict`."));
        };
        let folder = experiment.state.folder.clone().unwrap_or_default();
        let page = std::fs::read_to_string(self.root.join(&folder).join("conclusion.md")).unwrap_or_default();
        let arms: Vec<serde_json::Value> = verdict
            .arms
            .iter()
            .map(|a| json!({ "arm": a.arm, "outcome": a.outcome, "clause": a.clause, "sentence": a.sentence }))
            .collect();
        Ok(experiment
            .answer(json!({
                "outcome": verdict.family.outcome,
                "winner": verdict.family.winner,
                "sentence": verdict.family.sentence,
                "arms": arms,
                "folder": folder,
                "conclusion_md": super::frame::cut(&page, 12_000),
            }))
            .notice(format!("Commit {folder}; anyone can recheck it with `auto-itera verify {folder}`.")))
    }

    /// `show_chart`.
    pub async fn show_chart(&self, input: ask::ShowChart, _: CallContext) -> Envelope {
        settle(self.figure(input))
    }

    fn figure(&self, input: ask::ShowChart) -> Answer {
        let experiment = match &input.experiment_id {
            Some(id) => self.load(Some(id))?,
            None => self.latest_concluded()?,
        };
        let Some(folder) = experiment.state.folder.clone() else {
            return Err(experiment.problem(
                "chart",
                "the experiment has no conclusion yet",
                "Call `verdict` first; until then `diagnose` shows the numbers.",
            ));
        };
        let name = format!("charts/{}.png", input.chart.stem());
        let path = self.root.join(&folder).join(&name);
        let png = std::fs::read(&path).map_err(|e| {
            experiment.problem(&name, e, "Restore the folder from version control, or run `auto-itera verify` on it.")
        })?;
        let data = std::fs::read(self.root.join(&folder).join("data.json"))
            .map_err(|e| experiment.problem("data.json", e, "Restore the folder from version control."))?;
        let data = itera_report::data_json::parse(&data)
            .map_err(|e| experiment.problem("data.json", e, "Restore the folder from version control."))?;
        let mut answer = experiment.answer(json!({
            "chart": input.chart,
            "file": format!("{folder}/{name}"),
            "test_set_aggregate": data.test_set_aggregate,
            "effect_sizes": data.effect_sizes,
        }));
        answer.image = Some(png);
        Ok(answer)
    }

    fn latest_concluded(&self) -> Result<Experiment, Box<Envelope>> {
        let project = self.project()?;
        let mut ids = project.experiments().map_err(|e| super::failure(None, None, &e))?;
        ids.sort();
        for id in ids.iter().rev() {
            let experiment = self.load(Some(id))?;
            if experiment.state.folder.is_some() {
                return Ok(experiment);
            }
        }
        Err(super::rejected(
            None,
            None,
            itera_core::guards::Problem::new(
                "experiment_id",
                "no experiment is concluded",
                "Call `verdict` first; until then `diagnose` shows the numbers.",
            ),
        ))
    }
}

/// Writes all files beside the folder, then puts the folder in place: nothing half-written.
fn write_whole(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<()> {
    let parent = folder.parent().ok_or(std::io::ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(parent)?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let fresh = parent.join(format!(".{name}.new-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&fresh);
    for (file, bytes) in files {
        let path = fresh.join(file);
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let mut out = std::fs::File::create(path)?;
        out.write_all(bytes)?;
        out.sync_all()?;
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::rename(&fresh, folder)
}
