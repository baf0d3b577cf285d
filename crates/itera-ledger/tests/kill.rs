//! A writer that is killed at any moment loses nothing that it was told is recorded.

use itera_core::event::Event;
use itera_core::ids::Digest;
use itera_core::scores::{CallStatus, ScoreRecord};
use itera_ledger::{CallRow, Project, Store};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const FOLDER: &str = "ITERA_LEDGER_KILL_TEST_FOLDER";
const ROUNDS: usize = 8;

fn store(folder: &Path) -> Store {
    let project = Project::with_keys(&folder.join("project"), &folder.join("keys")).unwrap();
    let id = "kill".into();
    if project.experiments().unwrap().is_empty() { project.create(&id) } else { project.store(&id) }.unwrap()
}

fn call(n: u64) -> CallRow {
    CallRow {
        score: ScoreRecord {
            pass: 1,
            arm: "arm".into(),
            version: 1,
            row: format!("r_{n}").as_str().into(),
            trial: 1,
            score: 0.1,
            status: CallStatus::Ok,
            failure_modes: vec![],
            cost_usd: None,
            input_tokens: None,
            output_tokens: None,
            latency_ms: 1.0,
            first_call: false,
            output_digest: Digest::of(b""),
        },
        attempt: 1,
        output: Some("answer".into()),
        error: None,
    }
}

/// One line to standard error, in one write, so that a kill cannot tear it.
fn report(events: u64, calls: u64) {
    std::io::stderr().write_all(format!("recorded {events} {calls}\n").as_bytes()).unwrap();
}

/// The writer: started by the test below in a process of its own, and killed by it. Prints what it
/// was told is recorded.
#[test]
fn writer() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = store(Path::new(&folder));
    let mut head = store.entries().unwrap().last().map(|entry| entry.hash.clone());
    let mut calls = store.count(1).unwrap();
    loop {
        let event = Event::Abandoned { reason: "a step".into() };
        let entries = store.append(head.as_ref(), vec![event], jiff::Timestamp::UNIX_EPOCH).unwrap();
        let last = entries.last().unwrap();
        head = Some(last.hash.clone());
        report(last.seq, calls);
        calls += 1;
        store.record_call(&call(calls), false).unwrap();
        report(last.seq, calls);
    }
}

#[test]
fn a_killed_writer_loses_nothing_it_reported() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("project")).unwrap();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reported = (0, 0);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = 0;
        let mut read = |line: String| {
            let mut words = line.split(' ');
            assert_eq!(words.next(), Some("recorded"), "{line}");
            reported = (words.next().unwrap().parse().unwrap(), words.next().unwrap().parse().unwrap());
        };
        while seen < 3 + round * 5 {
            read(lines.next().unwrap().unwrap());
            seen += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.map_while(Result::ok).for_each(&mut read);

        let store = store(folder.path());
        let (events, calls) = (store.entries().unwrap().len() as u64, store.scores(1).unwrap().len() as u64);
        assert!(events >= reported.0 && calls >= reported.1, "{events} {calls} {reported:?}");
        // At most the one step in flight is more than was reported.
        assert!(events + calls <= reported.0 + reported.1 + 1, "{events} {calls} {reported:?}");
    }
}
