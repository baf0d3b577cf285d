//! Long-running processes: a JSON line in, a JSON line out, matched by `id`.
//!
//! A process answers one call at a time. The processes of one arm version are kept apart by trial,
//! so that none of them sees a row twice: a worker that remembers its answers cannot pass one
//! answer off as three trials.

use crate::answer;
use crate::command::{Bounds, Ended, Request, timeout_error, too_large_error};
use crate::environment::Launch;
use crate::process::{DRAIN, Process, Tail, judge_exit, read_tail};
use itera_core::scores::CallStatus;
use serde_json::Value;
use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a worker may take to end by itself once its stdin is closed.
const FAREWELL: Duration = Duration::from_millis(500);

/// The processes of one arm version.
#[derive(Debug)]
pub(crate) struct Pool {
    per_trial: usize,
    trials: Mutex<HashMap<u32, Arc<Trial>>>,
}

#[derive(Debug)]
struct Trial {
    room: Semaphore,
    idle: Mutex<Vec<Worker>>,
}

#[derive(Debug)]
struct Worker {
    process: Process,
    /// Nothing once the worker was told that no more calls come.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: Arc<Mutex<Tail>>,
    stderr_reader: JoinHandle<()>,
    answered: bool,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stderr_reader.abort();
    }
}

/// How one exchange with a worker ended.
enum Exchange {
    /// A line whose `id` is the call's.
    Line(serde_json::Map<String, Value>),
    /// A line that is not a JSON object with a text `id`.
    Garbled,
    TooLarge,
    Timeout,
    Cancelled,
    /// The process ended, or closed its stdout; whether it had written anything for this call.
    Gone {
        silent: bool,
    },
}

impl Pool {
    /// A pool for `parallel` calls at once, spread over `trials` trials.
    pub(crate) fn new(parallel: usize, trials: usize) -> Self {
        Self { per_trial: parallel.div_ceil(trials.max(1)).max(1), trials: Mutex::default() }
    }

    fn trial(&self, trial: u32) -> Arc<Trial> {
        let mut trials = self.trials.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Trial { room: Semaphore::new(self.per_trial), idle: Mutex::default() });
        Arc::clone(trials.entry(trial).or_insert_with(fresh))
    }

    /// One call; nothing where it was cancelled. Latency is from writing the line to reading the
    /// answer; for a process that was started for this call that includes its own start-up.
    pub(crate) async fn call(
        &self,
        launch: &Launch,
        request: &Request,
        bounds: Bounds,
        cancel: &CancellationToken,
    ) -> Option<Ended> {
        let trial = self.trial(request.trial);
        let _room = tokio::select! {
            room = trial.room.acquire() => room.ok()?,
            () = cancel.cancelled() => return None,
        };
        let mut attempt = 1;
        loop {
            let mut worker = match trial.idle() {
                Some(worker) => worker,
                None => match Worker::start(launch).await {
                    (Ok(worker), _) => worker,
                    (Err(e), attempts) => {
                        return Some(Ended::not_started(e.kind(), attempt + attempts - 1));
                    }
                },
            };
            let begun = Instant::now();
            let exchange = worker.exchange(request, bounds, cancel).await;
            let latency = begun.elapsed();
            // A worker that has answered before and ended in peace without a byte for this call
            // had finished its turn: the call never reached it.
            if let Exchange::Gone { silent: true } = exchange
                && worker.answered
                && attempt == 1
                && worker.exit().await.0 == CallStatus::Ok
            {
                attempt += 1;
                continue;
            }
            return worker.conclude(exchange, bounds, latency, attempt, &trial).await;
        }
    }

    /// Closes every idle process: its stdin first, then its group.
    pub(crate) async fn close(&self) {
        let trials: Vec<_> = {
            let mut trials = self.trials.lock().unwrap_or_else(PoisonError::into_inner);
            trials.drain().map(|(_, trial)| trial).collect()
        };
        let mut closing = tokio::task::JoinSet::new();
        for trial in trials {
            let idle = std::mem::take(&mut *trial.idle.lock().unwrap_or_else(PoisonError::into_inner));
            for worker in idle {
                closing.spawn(worker.close());
            }
        }
        while closing.join_next().await.is_some() {}
    }
}

impl Trial {
    /// An idle worker that still lives.
    fn idle(&self) -> Option<Worker> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(mut worker) = idle.pop() {
            if !worker.process.has_exited() {
                return Some(worker);
            }
        }
        None
    }
}

impl Worker {
    async fn start(launch: &Launch) -> (io::Result<Self>, u32) {
        let (started, attempts) = Process::start(launch, &[]).await;
        let worker = started.map(|(process, pipes, _)| {
            let stderr = Arc::new(Mutex::new(Tail::default()));
            let kept = Arc::clone(&stderr);
            let stderr_reader = tokio::spawn(read_tail(pipes.stderr, move |bytes| {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
            }));
            Self {
                process,
                stdin: Some(pipes.stdin),
                stdout: BufReader::new(pipes.stdout),
                stderr,
                stderr_reader,
                answered: false,
            }
        });
        (worker, attempts)
    }

    async fn exchange(&mut self, request: &Request, bounds: Bounds, cancel: &CancellationToken) -> Exchange {
        let Self { process, stdin, stdout, .. } = self;
        let mut read = 0;
        let mut feed = pin!(async {
            // A worker that is gone is seen on its stdout.
            if let Some(stdin) = stdin {
                let _ = stdin.write_all(&request.line).await;
            }
        });
        let mut answer = pin!(answer_line(stdout, &request.id, bounds.output_bytes, &mut read));
        let mut time = pin!(tokio::time::sleep(bounds.timeout));
        let (mut fed, mut exited) = (false, false);
        // Once the leader is gone its group is killed, and what it wrote before is read for a while.
        let mut drained = pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            tokio::select! {
                biased;
                exchange = &mut answer => return exchange,
                () = cancel.cancelled() => return Exchange::Cancelled,
                () = &mut time => return Exchange::Timeout,
                _ = process.exited(), if !exited => {
                    exited = true;
                    process.kill();
                    drained.set(tokio::time::sleep(DRAIN));
                }
                () = &mut drained, if exited => return Exchange::Gone { silent: false },
                () = &mut feed, if !fed => fed = true,
            }
        }
    }

    /// How the process ended, once it has; ends it where it has not.
    async fn exit(&mut self) -> (CallStatus, Option<String>) {
        match tokio::time::timeout(DRAIN, self.process.exited()).await {
            Ok(Ok(status)) => judge_exit(status),
            _ => (CallStatus::BadOutput, Some("the worker closed its stdout without an answer".to_owned())),
        }
    }

    async fn conclude(
        mut self,
        exchange: Exchange,
        bounds: Bounds,
        latency: Duration,
        attempt: u32,
        trial: &Trial,
    ) -> Option<Ended> {
        let (status, answer, error) = match exchange {
            Exchange::Line(object) => match answer::read_line(object) {
                Ok(answer) => (CallStatus::Ok, Some(answer), None),
                Err(why) => (CallStatus::BadOutput, None, Some(why)),
            },
            Exchange::Garbled => {
                let why = "the worker wrote a line that is not a JSON object with an `id`";
                (CallStatus::BadOutput, None, Some(why.to_owned()))
            }
            Exchange::TooLarge => (CallStatus::OutputTooLarge, None, Some(too_large_error(bounds))),
            Exchange::Timeout => (CallStatus::Timeout, None, Some(timeout_error(bounds))),
            Exchange::Cancelled => {
                self.process.end().await;
                return None;
            }
            Exchange::Gone { .. } => match self.exit().await {
                (CallStatus::Ok, _) => {
                    (CallStatus::BadOutput, None, Some("the worker ended without an answer".to_owned()))
                }
                (status, error) => (status, None, error),
            },
        };
        if status == CallStatus::Ok && self.stdout.buffer().is_empty() && !self.process.has_exited() {
            self.answered = true;
            *self.stderr.lock().unwrap_or_else(PoisonError::into_inner) = Tail::default();
            trial.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self);
            return Some(Ended { status, answer, error, stderr: None, latency, attempt });
        }
        self.process.end().await;
        let _ = tokio::time::timeout(DRAIN, &mut self.stderr_reader).await;
        let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner).text();
        Some(Ended { status, answer, error, stderr: stderr.filter(|_| status != CallStatus::Ok), latency, attempt })
    }

    async fn close(mut self) {
        drop(self.stdin.take());
        let _ = tokio::time::timeout(FAREWELL, self.process.exited()).await;
        self.process.end().await;
    }
}

/// Reads lines until one has the call's `id`. A line with another text as its `id` answers a call
/// that is over and is passed over; anything else is garbled. All lines count towards the cap.
async fn answer_line(from: &mut BufReader<ChildStdout>, id: &str, cap: usize, read: &mut usize) -> Exchange {
    loop {
        let mut line = Vec::new();
        loop {
            let (used, ended) = match from.fill_buf().await {
                Ok([]) | Err(_) => return Exchange::Gone { silent: *read == 0 },
                Ok(chunk) => {
                    let end = chunk.iter().position(|b| *b == b'\n');
                    let used = end.map_or(chunk.len(), |at| at + 1);
                    line.extend_from_slice(&chunk[..used]);
                    (used, end.is_some())
                }
            };
            from.consume(used);
            *read += used;
            if *read > cap.saturating_add(id.len() + 64) {
                return Exchange::TooLarge;
            }
            if ended {
                break;
            }
        }
        let Ok(Value::Object(mut object)) = serde_json::from_slice(&line) else {
            return Exchange::Garbled;
        };
        match object.remove("id") {
            Some(Value::String(found)) if found == id => return Exchange::Line(object),
            Some(Value::String(_)) => {}
            _ => return Exchange::Garbled,
        }
    }
}
