//! One child process and its group: started, captured within bounds, and ended for certain.

use crate::environment::Launch;
use itera_core::scores::CallStatus;
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

/// Bytes of stderr that are kept.
pub(crate) const TAIL_BYTES: usize = 4_096;
/// How long output is still drained after the leader exited. Its group is dead by then, so only
/// a process that left the group can hold a pipe open.
pub(crate) const DRAIN: Duration = Duration::from_millis(500);
/// How long a killed process may take to be gone.
const REAP: Duration = Duration::from_secs(5);
/// Attempts to start a process that the system is too busy to start.
const START_ATTEMPTS: u32 = 5;

/// A running child that leads a process group; dropping it kills the group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Group,
}

/// The pipes of a child.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
}

#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn kill(&self) {
        if let Some(pid) = self.0 {
            // No such group: everything in it has already ended.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    /// Starts a child, again where the system was too busy to (no process, memory or descriptor to
    /// be had, or the file just written and still open somewhere). Nothing ran in those cases, so
    /// nothing is counted twice. Answers the process, its pipes, the moment just before the
    /// successful start, and the attempts it took.
    pub(crate) async fn start(launch: &Launch, extra: &[(&str, &OsStr)]) -> (io::Result<(Self, Pipes, Instant)>, u32) {
        let mut pause = Duration::from_millis(20);
        let mut attempt = 1;
        loop {
            let started = Self::start_once(launch, extra);
            match &started {
                Err(e) if attempt < START_ATTEMPTS && is_passing(e) => {
                    tokio::time::sleep(pause).await;
                    pause *= 4;
                    attempt += 1;
                }
                _ => return (started, attempt),
            }
        }
    }

    fn start_once(launch: &Launch, extra: &[(&str, &OsStr)]) -> io::Result<(Self, Pipes, Instant)> {
        let mut command = launch.command(extra);
        let begun = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
        let missing = || io::Error::other("a pipe of the child is missing");
        let pipes = Pipes {
            stdin: child.stdin.take().ok_or_else(missing)?,
            stdout: child.stdout.take().ok_or_else(missing)?,
            stderr: child.stderr.take().ok_or_else(missing)?,
        };
        Ok((Self { child, group }, pipes, begun))
    }

    /// Waits for the leader. Safe to drop and call again.
    pub(crate) async fn exited(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Whether the leader has ended, without waiting.
    pub(crate) fn has_exited(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills whatever is left of the group, now.
    pub(crate) fn kill(&self) {
        self.group.kill();
    }

    /// Kills the group and waits until the leader is reaped.
    pub(crate) async fn end(&mut self) {
        self.kill();
        match tokio::time::timeout(REAP, self.child.wait()).await {
            // Its id may be given to another process from now on: it is not signalled again.
            Ok(_) => self.group.0 = None,
            Err(_) => tracing::warn!("a killed process is not gone after {REAP:?}"),
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let busy = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::TXTBSY];
    error.raw_os_error().is_some_and(|code| busy.iter().any(|e| e.raw_os_error() == code))
}

/// How the end of a leader counts, with the reason where it failed.
pub(crate) fn judge_exit(status: ExitStatus) -> (CallStatus, Option<String>) {
    match (status.code(), status.signal()) {
        (Some(0), _) => (CallStatus::Ok, None),
        (Some(code), _) => (CallStatus::ExitCode, Some(format!("the process ended with exit code {code}"))),
        (None, Some(signal)) => (CallStatus::Signal, Some(format!("the process was ended by signal {signal}"))),
        (None, None) => (CallStatus::Signal, Some("the process ended in an unknown way".to_owned())),
    }
}

/// Reads until the end or until `bytes` holds more than `cap`. Answers whether the cap was exceeded.
pub(crate) async fn read_capped<R: AsyncRead + Unpin>(mut from: R, cap: usize, bytes: &mut Vec<u8>) -> bool {
    loop {
        if bytes.len() > cap {
            bytes.truncate(cap);
            return true;
        }
        // A pipe that breaks is a pipe that ended.
        match from.read_buf(bytes).await {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
    }
}

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    pub(crate) fn push(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
        if self.bytes.len() > 2 * TAIL_BYTES {
            self.bytes.drain(..self.bytes.len() - TAIL_BYTES);
        }
    }

    /// The last [`TAIL_BYTES`] as text, control characters escaped; nothing where there is only
    /// white space.
    pub(crate) fn text(&self) -> Option<String> {
        let from = self.bytes.len().saturating_sub(TAIL_BYTES);
        let text = String::from_utf8_lossy(&self.bytes[from..]);
        let text = text.trim();
        (!text.is_empty()).then(|| escape(text))
    }
}

/// Reads to the end, keeping the tail.
pub(crate) async fn read_tail<R: AsyncRead + Unpin>(mut from: R, mut keep: impl FnMut(&[u8])) {
    let mut chunk = [0_u8; 2_048];
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        keep(&chunk[..n]);
    }
}

/// Escapes control characters other than the line feed and the tab, so that a terminal or a
/// protocol is never driven by what an arm wrote.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' && c != '\t' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_keeps_the_end_and_escapes_control_characters() {
        let mut tail = Tail::default();
        assert_eq!(tail.text(), None);
        for _ in 0..10_000 {
            tail.push(b"abcdefgh\n");
        }
        tail.push(b"\x1b[31mred\x00\xff\n");
        let text = tail.text().unwrap();
        assert!(text.len() <= TAIL_BYTES + 32, "{}", text.len());
        assert!(text.ends_with("\\u{1b}[31mred\\u{0}\u{fffd}"), "{text:?}");
    }

    #[tokio::test]
    async fn reading_stops_at_the_cap() {
        let mut bytes = Vec::new();
        assert!(!read_capped(&b"12345"[..], 5, &mut bytes).await);
        assert_eq!(bytes, b"12345");
        bytes.clear();
        assert!(read_capped(&b"123456"[..], 5, &mut bytes).await);
        assert_eq!(bytes, b"12345");
    }
}
