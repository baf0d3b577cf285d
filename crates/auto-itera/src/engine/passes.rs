//! Passes: `score_start`, `score_wait`, `score_cancel`, and the job behind them.

use super::runtime::VaultRows;
use super::{Answer, CallContext, Engine, Experiment, settle};
use crate::envelope::Envelope;
use crate::requests as ask;
use itera_arms::BoxError;
use itera_arms::runner::{Budget, CallOutcome, CallSink, Progress, RunContext, RunEnd};
use itera_arms::score::{CompiledScorer, Scored};
use itera_core::command::pass::{CancelPass, CompletePass, StartPass, arms_to_score};
use itera_core::command::{Command, Move};
use itera_core::event::PassKind;
use itera_core::ids::{Digest, ExperimentId, RowId, Split};
use itera_core::pairing::{differences, row_means};
use itera_core::scores::{RowMeta, ScoreRecord, records_digest, rows_digest};
use itera_ledger::{CallRow, LedgerError, RunLock, Store};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Train rows scored along with a dev pass, for error analysis.
const TRAIN_ROWS: usize = 40;
/// Longest that one call waits.
const WAIT_LIMIT: f64 = 45.0;

/// A running pass.
pub(super) struct Job {
    cancel: CancellationToken,
    progress: watch::Receiver<Progress>,
    task: JoinHandle<()>,
    outcome: watch::Receiver<Option<Ended>>,
}

/// How a job ended.
#[derive(Clone, Debug)]
enum Ended {
    Completed,
    Cancelled,
    Stopped(String),
}

impl Job {
    pub(super) async fn stop(self) {
        self.cancel.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(4), self.task).await;
    }
}

/// The registered scorer, compiled.
pub(super) struct Scoring(CompiledScorer);

impl Scoring {
    pub(super) fn new(experiment: &Experiment) -> Result<Self, Box<Envelope>> {
        let Some(frame) = &experiment.state.frame else {
            return Err(experiment.problem("frame", "there is no frame", "Write one with `frame`."));
        };
        CompiledScorer::new(&frame.metric, &frame.failure_modes)
            .map(Self)
            .map_err(|p| experiment.problem("metric", p.join("; "), "Abandon and frame anew."))
    }

    pub(super) fn score(&self, fields: &Map<String, Value>, outcome: &CallOutcome) -> Scored {
        self.0.score(fields, outcome.status, outcome.output.as_deref(), &outcome.failure_modes)
    }
}

/// Scores a finished call and makes it durable.
struct Sink {
    store: Arc<Store>,
    scoring: Scoring,
    pass: u32,
    splits: BTreeMap<RowId, Split>,
}

impl CallSink for Sink {
    fn record(&self, outcome: &CallOutcome) -> Result<(), BoxError> {
        let row = self.store.open_row(&outcome.item.row)?;
        let scored = self.scoring.score(&row.fields, outcome);
        let text = outcome.output.as_deref().unwrap_or("");
        let call = CallRow {
            score: ScoreRecord {
                pass: self.pass,
                arm: outcome.item.arm.clone(),
                version: outcome.item.version,
                row: outcome.item.row.clone(),
                trial: outcome.item.trial,
                score: scored.score,
                status: outcome.status,
                failure_modes: scored.failure_modes,
                cost_usd: outcome.cost_usd,
                input_tokens: outcome.input_tokens,
                output_tokens: outcome.output_tokens,
                latency_ms: outcome.latency_ms,
                first_call: outcome.first_call,
                // Keyed, so that nobody can guess a short output from its digest.
                output_digest: Digest(self.store.row_id(&format!("output/{text}")).0),
            },
            attempt: outcome.attempt,
            output: outcome.output.clone(),
            error: outcome.error.clone(),
        };
        let sealed = self.splits.get(&outcome.item.row) == Some(&Split::Test);
        self.store.record_call(&call, sealed)?;
        Ok(())
    }
}

impl Engine {
    /// `score_start`.
    pub async fn score_start(&self, input: ask::OnExperiment, _: CallContext) -> Envelope {
        let _turn = self.turn.lock().await;
        settle(self.start_dev(input).await)
    }

    async fn start_dev(&self, input: ask::OnExperiment) -> Answer {
        let mut experiment = self.load(input.experiment_id.as_ref())?;
        experiment.permit(Move::Score)?;
        let arms = arms_to_score(&experiment.state);
        let drift = arms.iter().map(|(arm, _)| (arm.clone(), experiment.drift(&self.root, arm))).collect();
        let mut changed = Vec::new();
        for (arm, version) in &arms {
            match experiment.runtime(arm, *version) {
                Ok(_) => {}
                Err(e) if e.refusal.is_some() => changed.push((arm.clone(), *version)),
                Err(e) => return Err(e),
            }
        }
        let train: Vec<RowId> = experiment.rows_of(Split::Train)?.into_iter().take(TRAIN_ROWS).collect();
        let command = StartPass { rows: experiment.rows_of(Split::Dev)?, train_rows: train, drift, changed };
        experiment.commit(Command::StartPass(command))?;
        experiment.observe_fence("score_start")?;
        self.launch(&experiment).await?;
        let plan = experiment.state.open_pass().map(|p| p.plan.clone());
        Ok(experiment.answer(json!({
            "pass": plan.as_ref().map(|p| p.pass),
            "arms": plan.as_ref().map(|p| &p.arms),
            "dev_rows": plan.as_ref().map(|p| p.rows.len()),
            "train_rows_along": plan.as_ref().map(|p| p.train_rows.len()),
            "trials": plan.as_ref().map(|p| p.trials),
            "calls": plan.as_ref().map(|p| p.calls),
        })))
    }

    /// Starts the job of the open pass, or resumes it; nothing where it runs already.
    pub(super) async fn launch(&self, experiment: &Experiment) -> Result<(), Box<Envelope>> {
        let mut jobs = self.jobs.lock().await;
        if let Some(job) = jobs.get(&experiment.id)
            && !job.task.is_finished()
        {
            return Ok(());
        }
        let (Some(pass), Some(frame)) = (experiment.state.open_pass(), &experiment.state.frame) else { return Ok(()) };
        let lock = experiment.store.run_lock().map_err(|e| experiment.fail(&e))?;
        let plan = pass.plan.clone();
        let mut arms = BTreeMap::new();
        for (arm, version) in &plan.arms {
            arms.insert((arm.clone(), *version), experiment.runtime(arm, *version)?);
        }
        let done = experiment.store.recorded_items(plan.pass).map_err(|e| experiment.fail(&e))?;
        let spent: f64 = experiment.state.passes.iter().map(|p| p.cost_usd).sum();
        let metas = experiment.metas()?;
        let (progress_in, progress) = watch::channel(Progress::default());
        let cancel = CancellationToken::new();
        let ctx = RunContext {
            experiment_seed: frame.seed(),
            arms,
            limits: frame.limits.clone(),
            rows: Arc::new(VaultRows::new(experiment.store.clone(), frame)),
            budget: Budget {
                calls: plan.calls - (done.len() as u64).min(plan.calls),
                // A pass over the test is never cut short by money: half a test proves nothing.
                cost_usd: frame
                    .limits
                    .max_cost_usd
                    .filter(|_| plan.kind == PassKind::Dev)
                    .map(|c| (c - spent).max(0.0)),
            },
            done,
            cancel: cancel.clone(),
            progress: progress_in,
        };
        let sink = Arc::new(Sink {
            store: experiment.store.clone(),
            scoring: Scoring::new(experiment)?,
            pass: plan.pass,
            splits: metas.into_values().map(|m| (m.row, m.split)).collect(),
        });
        let (ended_in, outcome) = watch::channel(None);
        let work = plan.work();
        let task = tokio::spawn(async move {
            let _lock: RunLock = lock;
            let ended = match itera_arms::runner::run(work, ctx, sink).await {
                Ok(RunEnd::Completed) => Ended::Completed,
                Ok(RunEnd::Cancelled) => Ended::Cancelled,
                Ok(RunEnd::BudgetExhausted(_)) => Ended::Stopped(
                    "the budget registered in the frame is spent; the pass cannot be completed".to_owned(),
                ),
                Err(error) => Ended::Stopped(super::runtime::causes(&error)),
            };
            let _ = ended_in.send(Some(ended));
        });
        jobs.insert(experiment.id.clone(), Job { cancel, progress, task, outcome });
        Ok(())
    }

    pub(super) async fn stop_job(&self, id: &ExperimentId) {
        let job = self.jobs.lock().await.remove(id);
        if let Some(job) = job {
            job.stop().await;
        }
    }

    /// `score_wait`.
    pub async fn score_wait(&self, input: ask::ScoreWait, ctx: CallContext) -> Envelope {
        settle(self.wait(input, ctx).await)
    }

    async fn wait(&self, input: ask::ScoreWait, ctx: CallContext) -> Answer {
        let timeout = input.timeout_s.unwrap_or(40.0);
        if !(0.0..=WAIT_LIMIT).contains(&timeout) {
            return Err(super::rejected(
                None,
                None,
                itera_core::guards::Problem::new(
                    "timeout_s",
                    format!("{timeout} is not within 0..{WAIT_LIMIT}"),
                    "Leave it out for 40 seconds, and call again while the pass runs.",
                ),
            ));
        }
        let experiment = self.load(input.experiment_id.as_ref())?;
        if experiment.state.open_pass().is_none() {
            return self.completed(&experiment);
        }
        self.launch(&experiment).await?;
        let (mut progress, mut outcome) = {
            let jobs = self.jobs.lock().await;
            let Some(job) = jobs.get(&experiment.id) else {
                return Err(experiment.problem("pass", "no job runs", "Call `status`."));
            };
            (job.progress.clone(), job.outcome.clone())
        };
        let deadline = tokio::time::Instant::now() + Duration::from_secs_f64(timeout);
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        let ended = loop {
            if let Some(ended) = outcome.borrow_and_update().clone() {
                break Some(ended);
            }
            tokio::select! {
                _ = outcome.changed() => {}
                _ = tick.tick() => {
                    let p = *progress.borrow_and_update();
                    if let Some(report) = &ctx.progress {
                        report(p.finished, p.planned);
                    }
                }
                () = tokio::time::sleep_until(deadline) => break None,
            }
        };
        let p = *progress.borrow();
        match ended {
            None => Ok(experiment.answer(json!({ "complete": false, "calls_done": p.finished, "calls": p.planned, "failed_calls": p.failed }))
                .notice("Scores are shown once every call is in. Call score_wait again.")),
            Some(Ended::Completed) => {
                let _turn = self.turn.lock().await;
                self.jobs.lock().await.remove(&experiment.id);
                let mut experiment = self.load(Some(&experiment.id))?;
                self.close(&mut experiment)?;
                self.completed(&experiment)
            }
            Some(Ended::Cancelled) => {
                self.jobs.lock().await.remove(&experiment.id);
                let experiment = self.load(Some(&experiment.id))?;
                Ok(experiment.answer(json!({ "complete": false, "cancelled": true })))
            }
            Some(Ended::Stopped(why)) => {
                self.jobs.lock().await.remove(&experiment.id);
                Err(experiment.problem(
                    "pass",
                    format!("the pass stopped after {} of {} calls: {why}", p.finished, p.planned),
                    "Mend what the message names and call `score_wait`: recorded calls are kept and the rest goes on. A dev pass may be cancelled with `score_cancel`.",
                ))
            }
        }
    }

    /// Closes the open pass if all of its calls are recorded.
    pub(super) fn close(&self, experiment: &mut Experiment) -> Result<(), Box<Envelope>> {
        let Some(plan) = experiment.state.open_pass().map(|p| p.plan.clone()) else { return Ok(()) };
        let scores = experiment.store.scores(plan.pass).map_err(|e| experiment.fail(&e))?;
        if (scores.len() as u64) < plan.calls {
            return Ok(());
        }
        let metas = experiment.metas()?;
        let ids: BTreeSet<&RowId> = scores.iter().map(|r| &r.row).collect();
        let rows: Vec<RowMeta> = ids.iter().filter_map(|r| metas.get(*r).cloned()).collect();
        let command = CompletePass {
            pass: plan.pass,
            records_digest: records_digest(&scores),
            records: scores.len() as u64,
            failed_calls: scores.iter().filter(|r| r.status != itera_core::scores::CallStatus::Ok).count() as u64,
            cost_usd: scores.iter().filter_map(|r| r.cost_usd).fold(0.0, |sum, cost| sum + cost),
            rows_digest: rows_digest(&rows),
            differences: self.paired(experiment, &scores)?,
        };
        experiment.commit(Command::CompletePass(command))
    }

    /// Differences of the proposal just scored to the version it builds on, on visible dev rows of both.
    fn paired(&self, experiment: &Experiment, scores: &[ScoreRecord]) -> Result<Vec<f64>, Box<Envelope>> {
        let state = &experiment.state;
        let Some(p) = state.pending_proposal() else { return Ok(Vec::new()) };
        let Some(before) = state.dev_pass_of(&p.arm, p.builds_on) else { return Ok(Vec::new()) };
        let old = experiment.store.scores(before.plan.pass).map_err(|e| experiment.fail(&e))?;
        let Some(now) = state.open_pass() else { return Ok(Vec::new()) };
        let old = row_means(&old, &p.arm, p.builds_on);
        let new = row_means(scores, &p.arm, p.version);
        let fold = experiment.hidden_fold();
        Ok(differences(&old, &new)
            .into_iter()
            .filter(|(row, _)| now.plan.rows.contains(row) && !fold.holds(row))
            .map(|(_, d)| d)
            .collect())
    }

    /// The answer once a pass is complete.
    fn completed(&self, experiment: &Experiment) -> Answer {
        let Some(last) = experiment.state.passes.iter().rev().find(|p| !p.cancelled) else {
            return Err(experiment.problem("pass", "no pass was started", "Call `pilot`, then `score_start`."));
        };
        if last.plan.kind == PassKind::Test {
            return Ok(experiment
                .answer(json!({ "complete": true, "pass": last.plan.pass, "calls": last.plan.calls, "cost_usd": last.cost_usd }))
                .notice("The sealed test is scored. Its scores come with the verdict."));
        }
        let scores = experiment.store.scores(last.plan.pass).map_err(|e| experiment.fail(&e))?;
        let fold = experiment.hidden_fold();
        let dev: Vec<&ScoreRecord> =
            scores.iter().filter(|r| last.plan.rows.contains(&r.row) && !fold.holds(&r.row)).collect();
        let arms: Vec<Value> = last
            .plan
            .arms
            .iter()
            .map(|(arm, version)| {
                let mine: Vec<&ScoreRecord> =
                    dev.iter().copied().filter(|r| &r.arm == arm && r.version == *version).collect();
                let by_trial: BTreeMap<u32, Vec<f64>> = mine.iter().fold(BTreeMap::new(), |mut m, r| {
                    m.entry(r.trial).or_default().push(r.score);
                    m
                });
                let trials: Vec<f64> =
                    by_trial.values().map(|v| round(v.iter().sum::<f64>() / v.len() as f64)).collect();
                json!({
                    "arm": arm,
                    "version": version,
                    "dev_mean": round(mine.iter().map(|r| r.score).sum::<f64>() / mine.len().max(1) as f64),
                    "mean_of_each_trial": trials,
                    "failed_calls": mine.iter().filter(|r| r.status != itera_core::scores::CallStatus::Ok).count(),
                })
            })
            .collect();
        let iteration = last.iteration.as_ref().map(|i| {
            json!({
                "arm": i.arm, "version": i.version, "builds_on": i.builds_on, "outcome": i.outcome,
                "effect_pp": round(i.effect * 100.0), "noise_se_pp": round(i.se * 100.0), "rows": i.rows,
            })
        });
        Ok(experiment
            .answer(json!({
                "complete": true,
                "pass": last.plan.pass,
                "calls": last.plan.calls,
                "cost_usd": round(last.cost_usd),
                "arms": arms,
                "iteration": iteration,
            }))
            .notice("Call diagnose for paired differences with their noise; a difference of means alone says little."))
    }

    /// `score_cancel`.
    pub async fn score_cancel(&self, input: ask::WithReason, _: CallContext) -> Envelope {
        let _turn = self.turn.lock().await;
        settle(self.cancel(input).await)
    }

    async fn cancel(&self, input: ask::WithReason) -> Answer {
        let mut experiment = self.load(input.experiment_id.as_ref())?;
        experiment.permit(Move::Cancel)?;
        self.stop_job(&experiment.id).await;
        // Another process may hold the pass; it alone can stop it.
        let _lock = experiment.store.run_lock().map_err(|e| experiment.fail(&e))?;
        experiment.commit(Command::CancelPass(CancelPass { reason: input.reason }))?;
        Ok(experiment.answer(json!({ "cancelled": true })))
    }

    /// Calls recorded of the open pass.
    pub(super) fn recorded(store: &Store, pass: u32) -> Result<u64, LedgerError> {
        store.count(pass)
    }
}

pub(super) fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
