//! Measures spawn -> `tools/list` of two MCP servers on stdio, by turns.
//!
//! usage: startup RUNS OURS BARE
//!
//! Prints the medians in milliseconds and their ratio; exit code 1 where the ratio is above 2.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// From spawn until the list of tools is read and parsed.
fn start(server: &Path) -> std::io::Result<Duration> {
    let began = Instant::now();
    let mut child = Command::new(server)
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(std::io::ErrorKind::BrokenPipe.into());
    };
    let mut lines = BufReader::new(stdout).lines();
    let initialize = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "startup", "version": "1" } });
    writeln!(stdin, "{}", json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize }))?;
    answer(&mut lines, 1)?;
    writeln!(stdin, "{}", json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))?;
    writeln!(stdin, "{}", json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {} }))?;
    let listed = answer(&mut lines, 2)?;
    let took = began.elapsed();
    if !listed["result"]["tools"].is_array() {
        return Err(std::io::Error::other(format!("no tools: {listed}")));
    }
    drop(stdin);
    child.wait()?;
    Ok(took)
}

fn answer(lines: &mut impl Iterator<Item = std::io::Result<String>>, id: u64) -> std::io::Result<Value> {
    loop {
        let line = lines.next().ok_or(std::io::ErrorKind::UnexpectedEof)??;
        let message: Value = serde_json::from_str(&line)?;
        if message["id"] == id {
            return Ok(message);
        }
    }
}

/// Median in milliseconds.
fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1_000.0
}

fn main() -> std::io::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (Some(runs), [ours, bare]) = (args.first().and_then(|n| n.parse::<usize>().ok()), args.get(1..).unwrap_or(&[]))
    else {
        return Err(std::io::Error::other("usage: startup RUNS OURS BARE"));
    };
    // Full paths: the servers start in another folder.
    let (ours, bare) = (&Path::new(ours).canonicalize()?, &Path::new(bare).canonicalize()?);
    // Once unmeasured, so that both are in the page cache.
    start(ours)?;
    start(bare)?;
    let (mut of_ours, mut of_bare) = (Vec::new(), Vec::new());
    for run in 0..runs.max(1) {
        // Whoever goes first warms something for the other: take turns.
        for first in [run % 2 == 0, run % 2 != 0] {
            if first {
                of_ours.push(start(ours)?);
            } else {
                of_bare.push(start(bare)?);
            }
        }
    }
    let (a, b) = (median(&mut of_ours), median(&mut of_bare));
    let ratio = a / b;
    writeln!(
        std::io::stdout(),
        "spawn -> tools/list, median of {runs}: auto-itera {a:.1} ms, bare rmcp server {b:.1} ms, ratio {ratio:.2}"
    )?;
    Ok(ExitCode::from(u8::from(ratio > 2.0)))
}
