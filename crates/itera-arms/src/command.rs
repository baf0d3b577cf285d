//! One process per call: the request on stdin, the answer on stdout.

use crate::answer::{self, Answer};
use crate::environment::Launch;
use crate::process::{DRAIN, Process, Tail, judge_exit, read_capped, read_tail};
use itera_core::scores::CallStatus;
use std::ffi::OsStr;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

/// What one call may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) timeout: Duration,
    pub(crate) output_bytes: usize,
}

/// One call, ready to be written.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) line: Vec<u8>,
    pub(crate) seed: u32,
    pub(crate) trial: u32,
}

/// How a call ended; nothing where it was cancelled before it did.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: CallStatus,
    pub(crate) answer: Option<Answer>,
    pub(crate) error: Option<String>,
    pub(crate) stderr: Option<String>,
    pub(crate) latency: Duration,
    pub(crate) attempt: u32,
}

impl Ended {
    pub(crate) fn not_started(kind: std::io::ErrorKind, attempt: u32) -> Self {
        Self {
            status: CallStatus::NotStarted,
            answer: None,
            error: Some(format!("the program could not be started: {kind}")),
            stderr: None,
            latency: Duration::ZERO,
            attempt,
        }
    }
}

/// What made a process end.
#[derive(Debug)]
pub(crate) enum Stop {
    Exited(ExitStatus),
    Lost(std::io::ErrorKind),
    Timeout,
    TooLarge,
    Cancelled,
}

/// A process that has run to its end, whatever that was.
#[derive(Debug)]
pub(crate) struct Execution {
    pub(crate) stop: Stop,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Option<String>,
    pub(crate) latency: Duration,
}

/// Runs a process to its end: stdin is written while stdout and stderr are read, the group is
/// killed as soon as the leader exits, the time is up, the output is too large or the run is
/// cancelled. Latency is from just before the start to the leader's end.
pub(crate) async fn execute(
    launch: &Launch,
    extra: &[(&str, &OsStr)],
    input: &[u8],
    bounds: Bounds,
    cancel: &CancellationToken,
) -> (std::io::Result<Execution>, u32) {
    let (started, attempt) = Process::start(launch, extra).await;
    let (mut process, pipes, begun) = match started {
        Ok((process, pipes, begun)) => (process, pipes, begun),
        Err(e) => return (Err(e), attempt),
    };
    let mut stdin = pipes.stdin;
    let mut stdout = Vec::new();
    let mut tail = Tail::default();
    let (stop, latency) = {
        let mut feed = pin!(async move {
            // An arm may ignore its input: a closed pipe is no error.
            let _ = stdin.write_all(input).await;
        });
        let mut out = pin!(read_capped(pipes.stdout, bounds.output_bytes, &mut stdout));
        let mut err = pin!(read_tail(pipes.stderr, |bytes| tail.push(bytes)));
        let mut time = pin!(tokio::time::sleep(bounds.timeout));
        let (mut fed, mut out_ended, mut err_ended) = (false, false, false);
        let mut stop = loop {
            tokio::select! {
                biased;
                exit = process.exited() => break match exit {
                    Ok(status) => Stop::Exited(status),
                    Err(e) => Stop::Lost(e.kind()),
                },
                exceeded = &mut out, if !out_ended => {
                    out_ended = true;
                    if exceeded {
                        break Stop::TooLarge;
                    }
                }
                () = cancel.cancelled() => break Stop::Cancelled,
                () = &mut time => break Stop::Timeout,
                () = &mut feed, if !fed => fed = true,
                () = &mut err, if !err_ended => err_ended = true,
            }
        };
        let latency = begun.elapsed();
        process.end().await;
        let rest = async {
            tokio::join!(async { !out_ended && out.await }, async {
                if !err_ended {
                    err.await;
                }
            },)
            .0
        };
        if !matches!(stop, Stop::Cancelled)
            && tokio::time::timeout(DRAIN, rest).await == Ok(true)
            && matches!(stop, Stop::Exited(_))
        {
            stop = Stop::TooLarge;
        }
        (stop, latency)
    };
    (Ok(Execution { stop, stdout, stderr: tail.text(), latency }), attempt)
}

/// One call of a `command` arm; nothing where it was cancelled.
pub(crate) async fn call(
    launch: &Launch,
    request: &Request,
    bounds: Bounds,
    cancel: &CancellationToken,
) -> Option<Ended> {
    let (seed, trial) = (request.seed.to_string(), request.trial.to_string());
    let extra = [("ITERA_SEED", OsStr::new(&seed)), ("ITERA_TRIAL", OsStr::new(&trial))];
    let (execution, attempt) = execute(launch, &extra, &request.line, bounds, cancel).await;
    let Execution { stop, stdout, stderr, latency } = match execution {
        Ok(execution) => execution,
        Err(e) => return Some(Ended::not_started(e.kind(), attempt)),
    };
    let (status, error) = match stop {
        Stop::Cancelled => return None,
        Stop::Exited(status) => judge_exit(status),
        Stop::Lost(kind) => (CallStatus::Signal, Some(format!("the process was lost: {kind}"))),
        Stop::Timeout => (CallStatus::Timeout, Some(timeout_error(bounds))),
        Stop::TooLarge => (CallStatus::OutputTooLarge, Some(too_large_error(bounds))),
    };
    let (status, answer, error) = match (status, answer::read(&stdout)) {
        (CallStatus::Ok, Ok(answer)) => (status, Some(answer), None),
        (CallStatus::Ok, Err(why)) => (CallStatus::BadOutput, None, Some(why)),
        // The money of a call that failed was spent all the same.
        (CallStatus::ExitCode | CallStatus::Signal, Ok(answer)) => (status, Some(answer), error),
        (status, _) => (status, None, error),
    };
    Some(Ended { status, answer, error, stderr, latency, attempt })
}

pub(crate) fn timeout_error(bounds: Bounds) -> String {
    format!("no answer within {} s", bounds.timeout.as_secs_f64())
}

pub(crate) fn too_large_error(bounds: Bounds) -> String {
    format!("more than {} bytes of output", bounds.output_bytes)
}
