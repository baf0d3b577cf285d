//! `diagnose`, `propose`, `gate` and `lock_arms`.

use super::passes::round;
use super::pilot::diff_versions;
use super::{Answer, CallContext, Engine, Experiment, settle};
use crate::envelope::Envelope;
use crate::requests as ask;
use itera_core::command::lock_arms::LockArms;
use itera_core::command::propose::{Propose, builds_on};
use itera_core::command::{Command, Move, decide, gate};
use itera_core::event::FoldEvidence;
use itera_core::ids::{ArmId, RowId, Split, Version};
use itera_core::pairing::{HiddenFold, differences, row_means};
use itera_core::quotes::{Scan, added_lines};
use itera_core::rule::EffectEstimate;
use itera_core::scores::{RowMeta, ScoreRecord};
use itera_report::record::Record;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

impl Experiment {
    /// The record as it would be exported now.
    pub(super) fn record(&self) -> Result<Record, Box<Envelope>> {
        let mut scores = Vec::new();
        for pass in self.state.passes.iter().filter(|p| p.records_digest.is_some()) {
            scores.extend(self.store.scores(pass.plan.pass).map_err(|e| self.fail(&e))?);
        }
        let metas = self.metas()?;
        let scored: std::collections::BTreeSet<&RowId> = scores.iter().map(|r| &r.row).collect();
        let rows = metas.into_iter().filter(|(row, _)| scored.contains(row)).collect();
        Ok(Record { entries: self.entries.clone(), rows, scores })
    }

    /// The part of dev that is hidden until the gate.
    pub(super) fn hidden_fold(&self) -> HiddenFold {
        match (&self.state.frame, &self.state.sample) {
            (Some(frame), Some(sample)) => HiddenFold::of(frame, sample),
            _ => HiddenFold::none(),
        }
    }

    /// Paired gain of a version over another on every dev row that both were scored on.
    pub(super) fn gains(
        &self,
        arm: &ArmId,
        version: Version,
        over: Version,
    ) -> Result<BTreeMap<RowId, f64>, Box<Envelope>> {
        let means = |version: Version| -> Result<BTreeMap<RowId, f64>, Box<Envelope>> {
            let Some(pass) = self.state.dev_pass_of(arm, version) else { return Ok(BTreeMap::new()) };
            let scores = self.store.scores(pass.plan.pass).map_err(|e| self.fail(&e))?;
            let mut means = row_means(&scores, arm, version);
            means.retain(|row, _| pass.plan.rows.contains(row) && !self.state.demoted.contains(row));
            Ok(means)
        };
        Ok(differences(&means(over)?, &means(version)?))
    }

    fn fields_of(&self, split: Split) -> Result<Vec<Map<String, Value>>, Box<Envelope>> {
        self.rows_of(split)?
            .iter()
            .map(|id| self.store.open_row(id).map(|r| r.fields).map_err(|e| self.fail(&e)))
            .collect()
    }
}

impl Engine {
    /// `diagnose`.
    pub async fn diagnose(&self, input: ask::Diagnose, _: CallContext) -> Envelope {
        let _turn = self.turn.lock().await;
        settle(self.differences(input))
    }

    fn differences(&self, input: ask::Diagnose) -> Answer {
        let mut experiment = self.load(input.experiment_id.as_ref())?;
        experiment.permit(Move::Diagnose)?;
        let Some(frame) = experiment.state.frame.clone() else {
            return Err(experiment.problem("frame", "there is no frame", "Write one with `frame`."));
        };
        let most = input.rows.unwrap_or(10).min(50) as usize;
        let record = experiment.record()?;
        let metas = experiment.metas()?;
        // The newest scored version of every arm, whether or not a gate will keep it.
        let versions: Vec<(ArmId, Version)> = frame
            .all_arms()
            .filter_map(|a| {
                let arm = experiment.state.arms.get(&a.id)?;
                if arm.killed {
                    return None;
                }
                let v = (1..=arm.newest()).rev().find(|v| experiment.state.dev_pass_of(&a.id, *v).is_some())?;
                Some((a.id.clone(), v))
            })
            .collect();
        let estimates = itera_report::figures::dev_estimates(&record, &versions, true)
            .map_err(|e| experiment.problem("scores", e, "See the message."))?;
        let fold = experiment.hidden_fold();
        let scores_of = |arm: &ArmId, version: Version| -> Vec<ScoreRecord> {
            let Some(pass) = experiment.state.dev_pass_of(arm, version) else { return Vec::new() };
            record
                .scores
                .iter()
                .filter(|r| {
                    r.pass == pass.plan.pass
                        && &r.arm == arm
                        && r.version == version
                        && pass.plan.rows.contains(&r.row)
                        && !experiment.state.demoted.contains(&r.row)
                        && !fold.holds(&r.row)
                })
                .cloned()
                .collect()
        };
        let base = versions.first().cloned().unwrap_or((frame.baseline.id.clone(), 1));
        let base_scores = scores_of(&base.0, base.1);
        let base_means = row_means(&base_scores, &base.0, base.1);
        let mut arms = Vec::new();
        let mut all_fail: BTreeMap<RowId, usize> =
            base_means.iter().filter(|(_, m)| **m == 0.0).map(|(r, _)| (r.clone(), 1)).collect();
        for (arm, version) in versions.iter().skip(1) {
            let scores = scores_of(arm, *version);
            let means = row_means(&scores, arm, *version);
            for (row, _) in means.iter().filter(|(_, m)| **m == 0.0) {
                if let Some(n) = all_fail.get_mut(row) {
                    *n += 1;
                }
            }
            let found = estimates.as_ref().and_then(|e| e.arm(arm.as_str()));
            let diffs = differences(&base_means, &means);
            let list =
                |sign: f64| rows_that_differ(&diffs, sign, most, &metas, &frame.source.slices, &base_scores, &scores);
            arms.push(json!({
                "arm": arm,
                "version": version,
                "effect": found.map(|f| effect(&f.aggregate)),
                "slices": found.map(|f| f.slices.iter().map(|s| json!({"slice": s.slice.to_string(), "effect": effect(&s.estimate)})).collect::<Vec<_>>()),
                "severity_weighted": found.and_then(|f| f.severity_weighted.as_ref()).map(effect),
                "failure_modes": found.map(|f| f.failure_modes.iter().map(|m| json!({
                    "mode": m.mode, "baseline_per_100": round(m.baseline_rate * 100.0), "arm_per_100": round(m.arm_rate * 100.0), "shift_per_100": round(m.shift * 100.0)
                })).collect::<Vec<_>>()),
                "suggestion": found.map(|f| f.suggestion),
                "rows_won": diffs.values().filter(|d| **d > 0.0).count(),
                "rows_lost": diffs.values().filter(|d| **d < 0.0).count(),
                "wins": list(1.0),
                "losses": list(-1.0),
                "no_effect_at_all": diffs.values().all(|d| *d == 0.0),
            }));
        }
        let hard = all_fail.values().filter(|n| **n == versions.len()).count();
        experiment.commit(Command::Diagnose)?;
        let mut answer = experiment.answer(json!({
            "baseline": { "arm": base.0, "version": base.1, "dev_mean": round(base_means.values().sum::<f64>() / base_means.len().max(1) as f64), "dev_rows": base_means.len() },
            "arms": arms,
            "rows_that_all_fail": hard,
            "sprint": experiment.state.sprint_number(),
            "iterations_in_sprint": experiment.state.sprint.len(),
        }));
        for arm in &arms {
            if arm["no_effect_at_all"] == true {
                answer = answer.notice(format!(
                    "`{}` differs from the baseline on no row: did its changed code run at all?",
                    arm["arm"].as_str().unwrap_or("?")
                ));
            }
        }
        if hard > 0 {
            answer = answer.notice(format!("{hard} dev row(s) are failed by every arm in every trial: hard rows or wrong labels. Look for the same among train rows with read_rows."));
        }
        Ok(answer)
    }

    /// `propose`.
    pub async fn propose(&self, input: ask::Propose, _: CallContext) -> Envelope {
        let _turn = self.turn.lock().await;
        settle(self.register(input))
    }

    fn register(&self, input: ask::Propose) -> Answer {
        let mut experiment = self.load(input.experiment_id.as_ref())?;
        experiment.permit(Move::Propose)?;
        let Some(base) = builds_on(&experiment.state, &input.arm) else {
            return Err(experiment.problem(
                "arm",
                "no such arm in the frame",
                &format!(
                    "Name one of: {}.",
                    experiment.state.arms.keys().map(ArmId::as_str).collect::<Vec<_>>().join(", ")
                ),
            ));
        };
        let before = experiment.version(&input.arm, base)?.clone();
        let mut spec = before.spec.clone();
        if let Some(command) = input.command {
            if command.is_empty() {
                return Err(experiment.problem("command", "the command is empty", "Leave it out to keep the command."));
            }
            spec.command = command;
        }
        let taken = itera_arms::snapshot::take(&self.root, &spec.with_reference_file())
            .map_err(|e| experiment.arm_error(&input.arm, &e))?;
        let diff = diff_versions(&experiment, &before.snapshot, &taken.snapshot, &taken.blobs)?;
        let command = Propose {
            arm: input.arm.clone(),
            hypothesis: input.hypothesis,
            change: input.change,
            spec,
            snapshot: taken.snapshot,
            diff: diff.clone(),
        };
        let events = decide(&experiment.state, Command::Propose(command)).map_err(|r| experiment.reject(r))?;
        for (_, bytes) in &taken.blobs {
            experiment.store.put_blob(bytes).map_err(|e| experiment.fail(&e))?;
        }
        experiment.append(events)?;
        let version = experiment.state.arms.get(&input.arm).map_or(0, |a| a.newest());
        let mut answer = experiment.answer(json!({
            "arm": input.arm,
            "version": version,
            "builds_on": base,
            "sprint": experiment.state.sprint_number(),
            "iteration": experiment.state.sprint.len(),
            "diff": { "added": diff.added, "removed": diff.removed, "hunks": diff.hunks, "files": diff.files, "text": super::frame::cut(&diff.text, 6_000) },
        }));
        if diff.files.len() > 1 {
            answer = answer.notice(format!(
                "The change touches {} files in {} places: it must be one mechanism, or be split.",
                diff.files.len(),
                diff.hunks
            ));
        }
        Ok(answer)
    }

    /// `gate`.
    pub async fn gate(&self, input: ask::Gate, _: CallContext) -> Envelope {
        let _turn = self.turn.lock().await;
        settle(self.judge_sprint(input))
    }

    fn judge_sprint(&self, input: ask::Gate) -> Answer {
        let mut experiment = self.load(input.experiment_id.as_ref())?;
        experiment.permit(Move::Gate)?;
        let train = experiment.fields_of(Split::Train)?;
        let dev = experiment.fields_of(Split::Dev)?;
        let mut quoted = BTreeMap::new();
        for p in &experiment.state.sprint {
            let scan = Scan::new(&added_lines(&p.diff.text));
            quoted.insert((p.arm.clone(), p.version), scan.quoted(&train, &dev));
        }
        let mut folds = BTreeMap::new();
        let fold = experiment.hidden_fold();
        for p in &experiment.state.sprint {
            let gains = experiment.gains(&p.arm, p.version, p.builds_on)?;
            let (hidden, visible): (Vec<_>, Vec<_>) = gains.into_iter().partition(|(row, _)| fold.holds(row));
            let only = |rows: Vec<(RowId, f64)>| rows.into_iter().map(|(_, d)| d).collect::<Vec<f64>>();
            if let Some(found) = FoldEvidence::new(&only(visible), &only(hidden)) {
                folds.insert((p.arm.clone(), p.version), found);
            }
        }
        experiment.commit(Command::Gate(gate::Gate {
            changes: input.changes,
            signal_left: input.signal_left,
            reason: input.reason,
            quoted_dev_rows: quoted,
            folds,
        }))?;
        let record = experiment.state.gates.last().cloned();
        let effective: BTreeMap<ArmId, Version> = experiment.state.live_arms().into_iter().collect();
        Ok(experiment.answer(json!({ "gate": record, "latest_gate_passed_versions": effective })))
    }

    /// `lock_arms`.
    pub async fn lock_arms(&self, input: ask::OnExperiment, _: CallContext) -> Envelope {
        let _turn = self.turn.lock().await;
        settle(self.lock_versions(input))
    }

    fn lock_versions(&self, input: ask::OnExperiment) -> Answer {
        let mut experiment = self.load(input.experiment_id.as_ref())?;
        experiment.permit(Move::LockArms)?;
        let train = experiment.fields_of(Split::Train)?;
        let test = experiment.fields_of(Split::Test)?;
        let mut command =
            LockArms { changed: Vec::new(), quoted_test_rows: BTreeMap::new(), fingerprints: BTreeMap::new() };
        for (arm, version) in experiment.state.live_arms() {
            match experiment.runtime(&arm, version) {
                Ok(_) => {}
                Err(e) if e.refusal.is_some() => command.changed.push((arm.clone(), version)),
                Err(e) => return Err(e),
            }
            let mut text = String::new();
            for file in &experiment.version(&arm, version)?.snapshot.files {
                let bytes = experiment.store.blob(&file.digest).map_err(|e| experiment.fail(&e))?;
                if let Ok(part) = std::str::from_utf8(&bytes) {
                    text.push_str(part);
                    text.push('\n');
                }
            }
            command.quoted_test_rows.insert(arm.clone(), Scan::new(&text).quoted(&train, &test));
            command.fingerprints.insert(arm.clone(), experiment.fingerprint(&arm, version)?);
        }
        experiment.commit(Command::LockArms(command))?;
        experiment.observe_fence("lock_arms")?;
        let test_rows = test.len();
        Ok(experiment
            .answer(json!({ "locked": experiment.state.locked, "test_rows": test_rows }))
            .notice("open_test opens the sealed rows once; nothing can be tuned afterwards."))
    }
}

fn effect(e: &EffectEstimate) -> Value {
    json!({
        "pp": round(e.effect * 100.0),
        "rows": e.n_rows,
        "baseline_mean": round(e.baseline_mean),
        "arm_mean": round(e.arm_mean),
        "ci95_pp": e.inference.as_ref().map(|i| [round(i.ci_low * 100.0), round(i.ci_high * 100.0)]),
        "noise_se_pp": e.inference.as_ref().map(|i| round(i.se * 100.0)),
        "mde_pp": e.inference.as_ref().map(|i| round(i.mde * 100.0)),
        "below_twice_noise": e.inference.as_ref().map(|i| i.below_noise),
    })
}

/// Rows whose mean differs most in one direction, without content.
fn rows_that_differ(
    diffs: &BTreeMap<RowId, f64>,
    sign: f64,
    most: usize,
    metas: &BTreeMap<RowId, RowMeta>,
    slices: &[String],
    before: &[ScoreRecord],
    after: &[ScoreRecord],
) -> Vec<Value> {
    let mut rows: Vec<(&RowId, f64)> = diffs.iter().map(|(r, d)| (r, *d)).filter(|(_, d)| d * sign > 0.0).collect();
    rows.sort_by(|a, b| (b.1 * sign).total_cmp(&(a.1 * sign)).then(a.0.cmp(b.0)));
    let modes = |scores: &[ScoreRecord], row: &RowId| {
        let mut found: Vec<String> =
            scores.iter().filter(|r| r.row == *row).flat_map(|r| r.failure_modes.clone()).collect();
        found.sort();
        found.dedup();
        found
    };
    rows.into_iter()
        .take(most)
        .map(|(row, d)| {
            let meta = metas.get(row);
            json!({
                "row": row,
                "difference": round(d),
                "slices": meta.map(|m| slices.iter().cloned().zip(m.slices.iter().cloned()).collect::<BTreeMap<_, _>>()),
                "modes_before": modes(before, row),
                "modes_after": modes(after, row),
            })
        })
        .collect()
}
