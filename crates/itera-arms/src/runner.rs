//! A pass: every call of a plan, in its order, so many at once, each recorded as it ends.

use crate::command::{self, Bounds, Ended, Request};
use crate::error::{ArmError, BoxError, Budgeted};
use crate::runtime::ArmRuntime;
use crate::worker::Pool;
use itera_core::frame::{ArmKind, Limits};
use itera_core::ids::{ArmId, Digest, RowId, Version};
use itera_core::scores::{CallStatus, WorkItem};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Where the runner reads what an arm may see.
pub trait RowSource: Send + Sync {
    /// The columns of a row that arms may see. May block (it is called off the async threads).
    ///
    /// # Errors
    /// Any; the call is not made and the run stops. The message must not carry row content.
    fn input(&self, row: &RowId) -> Result<Map<String, Value>, BoxError>;
}

/// Where outcomes go.
pub trait CallSink: Send + Sync {
    /// Keeps one outcome; durable when it returns. Called once per finished call, one at a time, in
    /// the order in which calls finish. May block.
    ///
    /// # Errors
    /// Any; the run stops, calls in flight are killed, and the call must be made again.
    fn record(&self, outcome: &CallOutcome) -> Result<(), BoxError>;
}

/// How one call ended.
#[derive(Debug, Clone, PartialEq)]
pub struct CallOutcome {
    /// The call.
    pub item: WorkItem,
    /// How it ended.
    pub status: CallStatus,
    /// What the arm answered; only where `status` is ok. Row content: never for an error or a log.
    pub output: Option<String>,
    /// Why the call failed, in the engine's words and free of row content.
    pub error: Option<String>,
    /// The end of the arm's stderr where the call failed: at most 4,096 bytes of it, control
    /// characters escaped. An arm may quote its row there: handle it as the output.
    pub stderr: Option<String>,
    /// Dollars, where reported; also of a call that failed after reporting them.
    pub cost_usd: Option<f64>,
    /// Input tokens, where reported.
    pub input_tokens: Option<u64>,
    /// Output tokens, where reported.
    pub output_tokens: Option<u64>,
    /// Milliseconds of the child alone: from its start (a worker's: from writing the line) to its end
    /// (a worker's: to reading the answer). Waiting for a turn is not in it. 0 where not started.
    pub latency_ms: f64,
    /// Attempts it took, from 1. Only a start that the system was too busy for, or a worker that had
    /// ended before the call reached it, is tried again: an answer is an answer.
    pub attempt: u32,
    /// Whether this call comes first of its arm version in the plan (cold caches).
    pub first_call: bool,
    /// Failure modes that the arm reported, as it wrote them; row content until they are matched with
    /// the registered ones.
    pub failure_modes: Vec<String>,
}

/// What is left to spend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Calls that may still be made.
    pub calls: u64,
    /// Dollars that may still be spent; no bound where absent. No call is started once they are
    /// spent; those in flight then still finish, and may exceed it.
    pub cost_usd: Option<f64>,
}

/// How far a run is. Says nothing of scores.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Progress {
    /// Calls of the plan.
    pub planned: u64,
    /// Calls recorded, those of earlier runs of the plan included.
    pub finished: u64,
    /// Of those recorded in this run, the failed ones.
    pub failed: u64,
    /// Calls in flight.
    pub in_flight: u64,
    /// Dollars reported in this run.
    pub cost_usd: f64,
}

/// Everything a run needs besides its plan and its sink.
pub struct RunContext {
    /// Seed of the experiment, from which each call's seed follows.
    pub experiment_seed: u64,
    /// Every arm version that the plan names.
    pub arms: BTreeMap<(ArmId, Version), ArmRuntime>,
    /// Parallelism, timeout and output cap.
    pub limits: Limits,
    /// The rows.
    pub rows: Arc<dyn RowSource>,
    /// What is left to spend.
    pub budget: Budget,
    /// Calls of the plan that were recorded before: they are not repeated.
    pub done: BTreeSet<WorkItem>,
    /// Ends the run early: calls in flight are killed and not recorded.
    pub cancel: CancellationToken,
    /// Told after every recorded call.
    pub progress: watch::Sender<Progress>,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// Every call of the plan is recorded.
    Completed,
    /// It was cancelled.
    Cancelled,
    /// The budget was spent before the plan was done.
    BudgetExhausted(Budgeted),
}

/// Makes every call of the plan that is not in `done`, in plan order, at most `limits.parallel` at
/// once. Returns only when no child of the run is left.
///
/// Always pass the whole plan, on resume as well: the first call of each arm version is told from it.
///
/// # Errors
/// [`ArmError::UnknownArm`], [`ArmError::PlannedTwice`] and [`ArmError::BadLimit`] before any call;
/// [`ArmError::Changed`] where an arm's files were touched: the call is not made;
/// [`ArmError::Rows`], [`ArmError::Sink`]. Calls recorded until then stay recorded.
pub async fn run(plan: Vec<WorkItem>, ctx: RunContext, sink: Arc<dyn CallSink>) -> Result<RunEnd, ArmError> {
    let mut run = Run::new(&plan, ctx, sink)?;
    let ended = run.drive(plan).await;
    for arm in run.arms.values() {
        if let Runner::Worker(pool) = &arm.runner {
            pool.close().await;
        }
    }
    ended
}

struct Run {
    arms: BTreeMap<(ArmId, Version), Arc<Arm>>,
    first: BTreeMap<(ArmId, Version), (RowId, u32)>,
    done: BTreeSet<WorkItem>,
    rows: Arc<dyn RowSource>,
    sink: Arc<dyn CallSink>,
    seed: u64,
    bounds: Bounds,
    parallel: usize,
    budget: Budget,
    started: u64,
    // The caller's token ends the run; this one also ends it from within.
    cancel: CancellationToken,
    watch: watch::Sender<Progress>,
    progress: Progress,
}

struct Arm {
    runtime: ArmRuntime,
    runner: Runner,
}

enum Runner {
    Command,
    Worker(Pool),
}

impl Run {
    fn new(plan: &[WorkItem], ctx: RunContext, sink: Arc<dyn CallSink>) -> Result<Self, ArmError> {
        let RunContext { experiment_seed, arms, limits, rows, budget, done, cancel, progress } = ctx;
        let parallel = usize::try_from(limits.parallel).unwrap_or(usize::MAX);
        if !(1..=64).contains(&parallel) {
            return Err(ArmError::BadLimit { name: "parallel", why: "1 to 64" });
        }
        let timeout = Duration::try_from_secs_f64(limits.timeout_s)
            .ok()
            .filter(|t| !t.is_zero())
            .ok_or(ArmError::BadLimit { name: "timeout_s", why: "a number of seconds above 0" })?;
        let output_bytes = usize::try_from(limits.max_output_bytes).unwrap_or(usize::MAX);
        let mut seen = BTreeSet::new();
        let mut first = BTreeMap::new();
        let mut trials = BTreeSet::new();
        for item in plan {
            let key = (item.arm.clone(), item.version);
            if !arms.contains_key(&key) {
                return Err(ArmError::UnknownArm { arm: key.0, version: key.1 });
            }
            if !seen.insert(item) {
                return Err(ArmError::PlannedTwice { arm: key.0, row: item.row.clone(), trial: item.trial });
            }
            trials.insert(item.trial);
            first.entry(key).or_insert_with(|| (item.row.clone(), item.trial));
        }
        let finished = plan.iter().filter(|item| done.contains(item)).count() as u64;
        let arms = arms
            .into_iter()
            .map(|(key, runtime)| {
                let runner = match runtime.kind {
                    ArmKind::Command => Runner::Command,
                    ArmKind::Worker => Runner::Worker(Pool::new(parallel, trials.len())),
                };
                (key, Arc::new(Arm { runtime, runner }))
            })
            .collect();
        Ok(Self {
            arms,
            first,
            done,
            rows,
            sink,
            seed: experiment_seed,
            bounds: Bounds { timeout, output_bytes },
            parallel,
            budget,
            started: 0,
            cancel: cancel.child_token(),
            watch: progress,
            progress: Progress { planned: plan.len() as u64, finished, ..Progress::default() },
        })
    }

    /// One turn of the loop records one finished call and starts the next one, or waits for a call
    /// to finish. Recording and reading the next row share one visit to the blocking threads.
    async fn drive(&mut self, plan: Vec<WorkItem>) -> Result<RunEnd, ArmError> {
        self.watch.send_replace(self.progress);
        let mut left = plan.into_iter().filter(|item| !self.done.contains(item)).collect::<Vec<_>>().into_iter();
        let mut flying: JoinSet<Option<CallOutcome>> = JoinSet::new();
        let mut finished: Option<CallOutcome> = None;
        let mut ended: Option<Result<RunEnd, ArmError>> = None;
        loop {
            let mut next = None;
            if ended.is_none() && flying.len() < self.parallel && !left.as_slice().is_empty() {
                match self.bound() {
                    Some(end) => ended = Some(Ok(end)),
                    None => next = left.next(),
                }
            }
            if finished.is_some() || next.is_some() {
                let failed = finished.as_ref().map(|o| o.status != CallStatus::Ok);
                let (recorded, ready) = self.visit(finished.take(), next).await?;
                match recorded {
                    Ok(()) => self.tell(failed, flying.len()),
                    Err(source) => {
                        // What still flies could not be recorded either.
                        self.cancel.cancel();
                        ended = Some(keep_first_error(ended, ArmError::Sink(source)));
                        continue;
                    }
                }
                match ready {
                    Some(Ok(ready)) => {
                        self.started += 1;
                        flying.spawn(ready.call(self.bounds, self.cancel.clone()));
                    }
                    Some(Err(e)) => ended = Some(keep_first_error(ended, e)),
                    None => {}
                }
                continue;
            }
            match flying.join_next().await {
                None => return ended.unwrap_or(Ok(RunEnd::Completed)),
                Some(Ok(Some(outcome))) => {
                    // The money is gone whether or not the outcome can be kept.
                    self.progress.cost_usd += outcome.cost_usd.unwrap_or(0.0);
                    finished = Some(outcome);
                }
                Some(Ok(None)) => {
                    ended.get_or_insert(Ok(RunEnd::Cancelled));
                }
                Some(Err(_)) => {
                    self.cancel.cancel();
                    ended = Some(keep_first_error(ended, ArmError::Task));
                }
            }
        }
    }

    /// Why no further call may be started, where one is left.
    fn bound(&self) -> Option<RunEnd> {
        if self.cancel.is_cancelled() {
            return Some(RunEnd::Cancelled);
        }
        if self.started >= self.budget.calls {
            return Some(RunEnd::BudgetExhausted(Budgeted::Calls));
        }
        let spent = self.budget.cost_usd.is_some_and(|limit| self.progress.cost_usd >= limit);
        spent.then_some(RunEnd::BudgetExhausted(Budgeted::Dollars))
    }

    /// Records a finished call and gets the next one ready: its arm's files compared, its row read.
    /// Where the record fails, nothing is got ready.
    async fn visit(
        &self,
        finished: Option<CallOutcome>,
        next: Option<WorkItem>,
    ) -> Result<(Result<(), BoxError>, Option<Result<Ready, ArmError>>), ArmError> {
        let next = next.map(|item| {
            let key = (item.arm.clone(), item.version);
            let arm = self.arms.get(&key).map(Arc::clone);
            let first_call = self.first.get(&key).is_some_and(|(row, trial)| *row == item.row && *trial == item.trial);
            (item, arm, first_call)
        });
        let (sink, rows, seed) = (Arc::clone(&self.sink), Arc::clone(&self.rows), self.seed);
        tokio::task::spawn_blocking(move || {
            if let Some(outcome) = &finished
                && let Err(e) = sink.record(outcome)
            {
                return (Err(e), None);
            }
            let ready = next.map(|(item, arm, first_call)| {
                let arm = arm.ok_or_else(|| ArmError::UnknownArm { arm: item.arm.clone(), version: item.version })?;
                arm.runtime.unchanged()?;
                let input = rows.input(&item.row).map_err(|source| ArmError::Rows { row: item.row.clone(), source })?;
                Ok(Ready { request: request(&item, input, seed), item, arm, first_call })
            });
            (Ok(()), ready)
        })
        .await
        .map_err(|_| ArmError::Task)
    }

    fn tell(&mut self, recorded_failed: Option<bool>, in_flight: usize) {
        if let Some(failed) = recorded_failed {
            self.progress.finished += 1;
            self.progress.failed += u64::from(failed);
        }
        self.progress.in_flight = in_flight as u64;
        self.watch.send_replace(self.progress);
    }
}

/// A call whose row is read and whose arm is verified.
struct Ready {
    item: WorkItem,
    arm: Arc<Arm>,
    request: Request,
    first_call: bool,
}

impl Ready {
    async fn call(self, bounds: Bounds, cancel: CancellationToken) -> Option<CallOutcome> {
        let launch = &self.arm.runtime.launch;
        let ended = match &self.arm.runner {
            Runner::Command => command::call(launch, &self.request, bounds, &cancel).await,
            Runner::Worker(pool) => pool.call(launch, &self.request, bounds, &cancel).await,
        };
        ended.map(|ended| outcome(self.item, ended, self.first_call))
    }
}

fn keep_first_error(ended: Option<Result<RunEnd, ArmError>>, error: ArmError) -> Result<RunEnd, ArmError> {
    match ended {
        Some(Err(first)) => Err(first),
        _ => Err(error),
    }
}

/// What an arm reads. The id names neither the row nor the arm: it differs for every call and is a
/// hash, so that nothing can be looked up by it.
fn request(item: &WorkItem, input: Map<String, Value>, experiment_seed: u64) -> Request {
    #[derive(Serialize)]
    struct Line<'a> {
        id: &'a str,
        input: Map<String, Value>,
        seed: u32,
        trial: u32,
    }
    let name = format!("call/{experiment_seed}/{}/{}/{}/{}", item.arm, item.version, item.row, item.trial);
    let id = format!("c_{}", &Digest::of(name.as_bytes()).as_str()[..16]);
    let seed = item.seed(experiment_seed);
    let mut line = serde_json::to_vec(&Line { id: &id, input, seed, trial: item.trial }).unwrap_or_default();
    line.push(b'\n');
    Request { id, line, seed, trial: item.trial }
}

fn outcome(item: WorkItem, ended: Ended, first_call: bool) -> CallOutcome {
    let Ended { status, answer, error, stderr, latency, attempt } = ended;
    let answer = answer.unwrap_or_default();
    let ok = status == CallStatus::Ok;
    CallOutcome {
        item,
        status,
        output: ok.then_some(answer.output),
        error,
        stderr: stderr.filter(|_| !ok),
        cost_usd: answer.cost_usd,
        input_tokens: answer.input_tokens,
        output_tokens: answer.output_tokens,
        latency_ms: latency.as_secs_f64() * 1e3,
        attempt,
        first_call,
        failure_modes: answer.failure_modes,
    }
}

#[cfg(test)]
mod tests;
