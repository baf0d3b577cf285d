//! The folder of a conclusion: a pure function of the record, and its verification.

use crate::attestation;
use crate::chart;
use crate::conclusion::conclusion_md;
use crate::figures::{figures, rejudge};
use crate::frame_page::frame_md;
use crate::record::{Record, RecordError};
use itera_core::chain;
use itera_core::command::{Move, permit};
use itera_core::event::{Event, PassKind};
use itera_core::ids::{Digest, RowId};
use itera_core::rule::Verdict;
use itera_core::scores::{RowMeta, records_digest, rows_digest};
use itera_core::state::{State, evolve};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Every file of the folder by its relative name.
///
/// # Errors
/// When the record has no verdict or a figure cannot be computed or drawn.
pub fn build(record: &Record) -> Result<BTreeMap<String, Vec<u8>>, RecordError> {
    build_as(record, env!("CARGO_PKG_VERSION"))
}

/// [`build`] as the tool of that version signs it.
fn build_as(record: &Record, tool_version: &str) -> Result<BTreeMap<String, Vec<u8>>, RecordError> {
    let data = figures(record)?;
    let mut files = BTreeMap::new();
    files.insert("frame.md".to_owned(), frame_md(record)?.into_bytes());
    files.insert("conclusion.md".to_owned(), conclusion_md(&data).into_bytes());
    files.insert("report.html".to_owned(), crate::report_html::report_html(record, &data)?.into_bytes());
    files.insert("data.json".to_owned(), data.to_json().into_bytes());
    files.insert("scores.csv".to_owned(), record.scores_csv());
    files.insert("ledger.jsonl".to_owned(), record.ledger_jsonl());
    for (name, bytes) in chart::render_all(&data)? {
        files.insert(format!("charts/{name}"), bytes);
    }
    files.insert(attestation::STATEMENT.to_owned(), attestation::statement(&files, &data, tool_version));
    Ok(files)
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub what: String,
    /// Whether it holds.
    pub ok: bool,
    /// What was found.
    pub found: String,
}

/// Everything that was checked in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Checks, in order.
    pub checks: Vec<Check>,
}

impl Verification {
    /// Whether all checks hold.
    pub fn ok(&self) -> bool {
        self.checks.iter().all(|c| c.ok)
    }

    fn say(&mut self, what: &str, found: Result<String, String>) {
        let (ok, found) = match found {
            Ok(found) => (true, found),
            Err(found) => (false, found),
        };
        self.checks.push(Check { what: what.to_owned(), ok, found });
    }
}

/// Recomputes everything in a folder from its ledger and scores.
///
/// # Errors
/// When the ledger or the scores cannot be read at all; every difference is a failed check.
pub fn verify(dir: &Path) -> Result<Verification, std::io::Error> {
    verify_signed(dir, None)
}

/// [`verify`], and that the key of this id ([`attestation::key_id`]) has signed the attestation.
///
/// # Errors
/// As [`verify`].
pub fn verify_signed(dir: &Path, signer: Option<&str>) -> Result<Verification, std::io::Error> {
    let ledger = std::fs::read(dir.join("ledger.jsonl"))?;
    let scores = std::fs::read(dir.join("scores.csv"))?;
    let mut v = Verification { checks: Vec::new() };
    let record = match Record::read(&ledger, &scores) {
        Ok(record) => record,
        Err(error) => {
            v.say("record", Err(error.to_string()));
            return Ok(v);
        }
    };
    v.say(
        "chain",
        chain::check(&record.entries).map(|()| format!("{} entries", record.entries.len())).map_err(|e| e.to_string()),
    );
    v.say("order of the loop", order(&record));
    v.say("digests of passes", passes(&record));
    v.say("verdict", verdict(&record));
    let statement = std::fs::read(dir.join(attestation::STATEMENT)).unwrap_or_default();
    let written_by = attestation::tool_version(&statement);
    match build_as(&record, written_by.as_deref().unwrap_or(env!("CARGO_PKG_VERSION"))) {
        Err(error) => v.say("figures", Err(error.to_string())),
        Ok(files) => {
            for (name, bytes) in &files {
                let found = match std::fs::read(dir.join(name)) {
                    Err(error) => Err(error.to_string()),
                    Ok(found) if &found == bytes => Ok(format!("{} bytes as recomputed", bytes.len())),
                    Ok(found) => Err(format!(
                        "differs from what the record gives, first at byte {}",
                        first_difference(&found, bytes)
                    )),
                };
                v.say(name, found);
            }
            for extra in extras(dir, &files) {
                v.say(&extra, Err("is not part of the record".to_owned()));
            }
        }
    }
    match std::fs::read(dir.join(attestation::ENVELOPE)) {
        Ok(envelope) => v.say(
            attestation::ENVELOPE,
            attestation::check(&envelope, &statement, signer)
                .map(|keys| format!("signed by {}", keys.join(", ")))
                .map_err(|e| e.to_string()),
        ),
        Err(_) => {
            if let Some(signer) = signer {
                v.say(attestation::ENVELOPE, Err(format!("is missing; a signature by {signer} was asked for")));
            }
        }
    }
    Ok(v)
}

fn first_difference(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len())) + 1
}

fn extras(dir: &Path, files: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let mut found = Vec::new();
    for (sub, prefix) in [(dir.to_path_buf(), ""), (dir.join("charts"), "charts/")] {
        let Ok(entries) = std::fs::read_dir(&sub) else { continue };
        for entry in entries.flatten() {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_file() && !files.contains_key(&name) && name != attestation::ENVELOPE {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

/// Replays the ledger and asks the decider's order table of every step.
fn order(record: &Record) -> Result<String, String> {
    let mut state = State::default();
    for entry in &record.entries {
        let step = match &entry.event {
            Event::FrameDrafted { .. } => Some(Move::Draft),
            Event::FrameConfirmed { .. } | Event::FrameLocked { .. } => Some(Move::Lock),
            Event::RowsSourced { .. } => Some(Move::Source),
            Event::ArmPrepared { .. } | Event::ArmRepaired { .. } | Event::PilotRun { .. } => Some(Move::Pilot),
            Event::PassStarted { pass } => Some(if pass.kind == PassKind::Dev { Move::Score } else { Move::OpenTest }),
            Event::PassCancelled { .. } => Some(Move::Cancel),
            Event::Diagnosed { .. } => Some(Move::Diagnose),
            Event::RowsDemoted { .. } => Some(Move::ReadRows),
            Event::ChangeProposed { .. } => Some(Move::Propose),
            Event::GateJudged { .. } => Some(Move::Gate),
            Event::ArmsLocked { .. } => Some(Move::LockArms),
            Event::VerdictReached { .. } => Some(Move::Verdict),
            Event::Abandoned { .. } => Some(Move::Abandon),
            Event::PassCompleted { .. } | Event::Concluded { .. } | Event::FenceObserved { .. } => None,
        };
        if let Some(step) = step {
            permit(&state, step).map_err(|r| format!("entry {}: {r}", entry.seq))?;
        }
        if let Event::FrameLocked { frame_hash, .. } = &entry.event
            && state.frame.as_ref().map(|f| f.hash()).as_ref() != Some(frame_hash)
        {
            return Err(format!("entry {}: the frame locked is not the frame drafted", entry.seq));
        }
        state = evolve(state, &entry.event);
    }
    Ok("every step was allowed when it was taken".to_owned())
}

fn passes(record: &Record) -> Result<String, String> {
    let mut n = 0;
    let plans = record.plans();
    for entry in &record.entries {
        let Event::PassCompleted { pass, records_digest: stated, rows_digest: rows_stated, .. } = &entry.event else {
            continue;
        };
        let scores = record.pass(*pass);
        if records_digest(&scores) != *stated {
            return Err(format!("the {} records of pass {pass} are not those that were recorded", scores.len()));
        }
        let ids: std::collections::BTreeSet<&RowId> = scores.iter().map(|r| &r.row).collect();
        let metas: Vec<RowMeta> = ids.iter().filter_map(|r| record.rows.get(*r).cloned()).collect();
        if rows_digest(&metas) != *rows_stated {
            return Err(format!("the rows of pass {pass} are not described as they were recorded"));
        }
        let Some(plan) = plans.iter().find(|p| p.pass == *pass) else {
            return Err(format!("pass {pass} was completed and never started"));
        };
        let mut planned = plan.work();
        let mut done: Vec<_> = scores
            .iter()
            .map(|r| itera_core::scores::WorkItem {
                arm: r.arm.clone(),
                version: r.version,
                row: r.row.clone(),
                trial: r.trial,
            })
            .collect();
        planned.sort();
        done.sort();
        if planned != done {
            return Err(format!("the calls of pass {pass} are not the calls that were planned"));
        }
        n += scores.len();
    }
    let strays = record.scores.iter().filter(|r| !plans.iter().any(|p| p.pass == r.pass)).count();
    if strays > 0 {
        return Err(format!("{strays} records belong to no complete pass"));
    }
    Ok(format!("{n} records, each planned and recorded once"))
}

fn verdict(record: &Record) -> Result<String, String> {
    let again = rejudge(record).map_err(|e| e.to_string())?;
    let stated: Option<&Verdict> = record.entries.iter().find_map(|e| match &e.event {
        Event::VerdictReached { verdict, .. } => Some(verdict.as_ref()),
        _ => None,
    });
    let Some(stated) = stated else { return Err("the ledger holds no verdict".to_owned()) };
    let a = serde_json::to_value(&again).map_err(|e| e.to_string())?;
    let b = serde_json::to_value(stated).map_err(|e| e.to_string())?;
    match differs(&a, &b, "verdict") {
        None => Ok(again.family.sentence),
        Some(at) => Err(format!("the registered rule gives something else than the ledger says, at {at}")),
    }
}

/// The first place where two values differ by more than the last bits of a float.
fn differs(a: &serde_json::Value, b: &serde_json::Value, at: &str) -> Option<String> {
    use serde_json::Value as V;
    match (a, b) {
        (V::Number(x), V::Number(y)) => {
            let (x, y) = (x.as_f64()?, y.as_f64()?);
            ((x - y).abs() > 1e-9 * x.abs().max(y.abs()).max(1.0)).then(|| at.to_owned())
        }
        (V::Object(x), V::Object(y)) if x.len() == y.len() => x.iter().find_map(|(k, v)| match y.get(k) {
            Some(other) => differs(v, other, &format!("{at}.{k}")),
            None => Some(format!("{at}.{k}")),
        }),
        (V::Array(x), V::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).enumerate().find_map(|(i, (v, w))| differs(v, w, &format!("{at}[{i}]")))
        }
        _ => (a != b).then(|| at.to_owned()),
    }
}

/// Digests of the files of a folder.
pub fn digests(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Digest> {
    files.iter().map(|(name, bytes)| (name.clone(), Digest::of(bytes))).collect()
}
