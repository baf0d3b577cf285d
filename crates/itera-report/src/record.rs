//! The record of an experiment as it stands in its folder: `ledger.jsonl` and `scores.csv`.
//!
//! Both are exact: writing what was read gives the same bytes, so a changed byte is found.

use itera_core::chain::Entry;
use itera_core::event::{Event, PassKind, PassPlan};
use itera_core::frame::Frame;
use itera_core::ids::{ArmId, Digest, RowId, Split};
use itera_core::sample::SampleSummary;
use itera_core::scores::{CallStatus, RowMeta, ScoreRecord};
use itera_core::state::State;
use std::collections::BTreeMap;

/// Columns of `scores.csv` before the slice columns.
const BEFORE: [&str; 4] = ["pass", "kind", "row", "split"];
/// Columns of `scores.csv` after the slice columns.
const AFTER: [&str; 15] = [
    "stratum",
    "cluster",
    "severity",
    "arm",
    "version",
    "trial",
    "score",
    "status",
    "failure_modes",
    "cost_usd",
    "input_tokens",
    "output_tokens",
    "latency_ms",
    "first_call",
    "output_digest",
];

/// An experiment's record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The ledger.
    pub entries: Vec<Entry>,
    /// Metadata of every scored row.
    pub rows: BTreeMap<RowId, RowMeta>,
    /// Records of every complete pass.
    pub scores: Vec<ScoreRecord>,
}

/// Why a record cannot be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A line of `ledger.jsonl` is not an entry.
    #[error("ledger.jsonl, line {line}: {what}")]
    Ledger {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A line of `scores.csv` is not a record.
    #[error("scores.csv, line {line}: {what}")]
    Scores {
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// The ledger does not reach what was asked of it.
    #[error("the ledger holds no {0}")]
    Missing(&'static str),
    /// The scores do not make a table.
    #[error("the scores cannot be judged: {0}")]
    Table(#[from] itera_core::rule::TableError),
    /// The rule cannot be applied.
    #[error("the rule cannot be applied: {0}")]
    Rule(#[from] itera_core::rule::RuleError),
    /// A figure is out of its range.
    #[error("data.json would not be valid: {0}")]
    Data(#[from] crate::data_json::DataError),
    /// A figure cannot be drawn.
    #[error("a chart cannot be drawn: {0}")]
    Chart(#[from] crate::chart::ChartError),
}

impl Record {
    /// The state that the ledger folds to.
    pub fn state(&self) -> State {
        State::replay(self.entries.iter().map(|e| &e.event))
    }

    /// The locked frame.
    ///
    /// # Errors
    /// When there is none.
    pub fn frame<'a>(&self, state: &'a State) -> Result<&'a Frame, RecordError> {
        state.frame.as_ref().filter(|_| state.frame_hash.is_some()).ok_or(RecordError::Missing("locked frame"))
    }

    /// What sourcing found.
    ///
    /// # Errors
    /// When nothing was sourced.
    pub fn sample<'a>(&self, state: &'a State) -> Result<&'a SampleSummary, RecordError> {
        state.sample.as_ref().ok_or(RecordError::Missing("sample"))
    }

    /// Records of one pass.
    pub fn pass(&self, pass: u32) -> Vec<ScoreRecord> {
        self.scores.iter().filter(|r| r.pass == pass).cloned().collect()
    }

    /// Plans of all complete passes.
    pub fn plans(&self) -> Vec<PassPlan> {
        let done: Vec<u32> = self
            .entries
            .iter()
            .filter_map(|e| match &e.event {
                Event::PassCompleted { pass, .. } => Some(*pass),
                _ => None,
            })
            .collect();
        self.entries
            .iter()
            .filter_map(|e| match &e.event {
                Event::PassStarted { pass } if done.contains(&pass.pass) => Some(pass.clone()),
                _ => None,
            })
            .collect()
    }

    /// The ledger up to the verdict, one JSON object a line.
    pub fn ledger_jsonl(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for entry in &self.entries {
            if matches!(entry.event, Event::Concluded { .. }) {
                continue;
            }
            out.extend(serde_json::to_vec(entry).unwrap_or_default());
            out.push(b'\n');
        }
        out
    }

    /// The scores of all complete passes, sorted.
    pub fn scores_csv(&self) -> Vec<u8> {
        let state = self.state();
        let slices = state.frame.as_ref().map_or(&[][..], |f| &f.source.slices[..]);
        let kinds: BTreeMap<u32, PassKind> = self.plans().into_iter().map(|p| (p.pass, p.kind)).collect();
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header: Vec<String> = BEFORE
            .iter()
            .map(|c| (*c).to_owned())
            .chain(slices.iter().map(|s| format!("slice:{s}")))
            .chain(AFTER.iter().map(|c| (*c).to_owned()))
            .collect();
        // Writing to memory cannot fail.
        let _ = writer.write_record(&header);
        let mut sorted: Vec<&ScoreRecord> = self.scores.iter().collect();
        sorted.sort_by_key(|r| r.sort_key());
        for r in sorted {
            let Some(meta) = self.rows.get(&r.row) else { continue };
            let mut line: Vec<String> = vec![
                r.pass.to_string(),
                kinds.get(&r.pass).map_or("", |k| kind_name(*k)).to_owned(),
                r.row.0.clone(),
                meta.split.to_string(),
            ];
            line.extend(meta.slices.iter().cloned());
            line.extend([
                meta.stratum.clone(),
                meta.cluster.clone().unwrap_or_default(),
                meta.severity.to_string(),
                r.arm.0.clone(),
                r.version.to_string(),
                r.trial.to_string(),
                r.score.to_string(),
                r.status.as_str().to_owned(),
                r.failure_modes.join(";"),
                r.cost_usd.map(|v| v.to_string()).unwrap_or_default(),
                r.input_tokens.map(|v| v.to_string()).unwrap_or_default(),
                r.output_tokens.map(|v| v.to_string()).unwrap_or_default(),
                r.latency_ms.to_string(),
                r.first_call.to_string(),
                r.output_digest.0.clone(),
            ]);
            let _ = writer.write_record(&line);
        }
        writer.into_inner().unwrap_or_default()
    }

    /// Reads both files back.
    ///
    /// # Errors
    /// The first line that cannot be read.
    pub fn read(ledger: &[u8], scores: &[u8]) -> Result<Self, RecordError> {
        let entries = read_ledger(ledger)?;
        let (rows, scores) = read_scores(scores)?;
        Ok(Self { entries, rows, scores })
    }
}

fn kind_name(kind: PassKind) -> &'static str {
    match kind {
        PassKind::Dev => "dev",
        PassKind::Test => "test",
    }
}

fn read_ledger(bytes: &[u8]) -> Result<Vec<Entry>, RecordError> {
    let text = std::str::from_utf8(bytes).map_err(|e| RecordError::Ledger { line: 0, what: e.to_string() })?;
    text.lines()
        .enumerate()
        .map(|(i, line)| {
            serde_json::from_str(line).map_err(|e| RecordError::Ledger { line: i + 1, what: e.to_string() })
        })
        .collect()
}

fn read_scores(bytes: &[u8]) -> Result<(BTreeMap<RowId, RowMeta>, Vec<ScoreRecord>), RecordError> {
    let mut reader = csv::Reader::from_reader(bytes);
    let bad = |line: u64, what: String| RecordError::Scores { line, what };
    let header = reader.headers().map_err(|e| bad(1, e.to_string()))?.clone();
    let slices = header.iter().filter(|h| h.starts_with("slice:")).count();
    if header.len() != 4 + slices + 15 {
        return Err(bad(1, format!("{} columns, expected {}", header.len(), 4 + slices + 15)));
    }
    let mut rows = BTreeMap::new();
    let mut scores = Vec::new();
    for (i, record) in reader.records().enumerate() {
        let line = i as u64 + 2;
        let r = record.map_err(|e| bad(line, e.to_string()))?;
        let cell = |i: usize| r.get(i).unwrap_or("");
        let after = |i: usize| cell(4 + slices + i);
        let number =
            |text: &str, what: &str| text.parse::<f64>().map_err(|_| bad(line, format!("{what} is not a number")));
        let whole = |text: &str, what: &str| {
            text.parse::<u32>().map_err(|_| bad(line, format!("{what} is not a whole number")))
        };
        let optional = |text: &str, what: &str| match text {
            "" => Ok(None),
            text => text.parse::<u64>().map(Some).map_err(|_| bad(line, format!("{what} is not a whole number"))),
        };
        let row = RowId::from(cell(2));
        let split = match cell(3) {
            "train" => Split::Train,
            "dev" => Split::Dev,
            "test" => Split::Test,
            _ => return Err(bad(line, "split is not train, dev or test".into())),
        };
        let meta = RowMeta {
            row: row.clone(),
            split,
            slices: (0..slices).map(|i| cell(4 + i).to_owned()).collect(),
            stratum: after(0).to_owned(),
            cluster: Some(after(1)).filter(|c| !c.is_empty()).map(str::to_owned),
            severity: number(after(2), "severity")?,
        };
        if let Some(before) = rows.insert(row.clone(), meta.clone())
            && before != meta
        {
            return Err(bad(line, "this row is described differently above".into()));
        }
        scores.push(ScoreRecord {
            pass: whole(cell(0), "pass")?,
            arm: ArmId::from(after(3)),
            version: whole(after(4), "version")?,
            row,
            trial: whole(after(5), "trial")?,
            score: number(after(6), "score")?,
            status: CallStatus::parse(after(7)).ok_or_else(|| bad(line, "unknown status".into()))?,
            failure_modes: after(8).split(';').filter(|m| !m.is_empty()).map(str::to_owned).collect(),
            cost_usd: if after(9).is_empty() { None } else { Some(number(after(9), "cost_usd")?) },
            input_tokens: optional(after(10), "input_tokens")?,
            output_tokens: optional(after(11), "output_tokens")?,
            latency_ms: number(after(12), "latency_ms")?,
            first_call: after(13) == "true",
            output_digest: Digest::from(after(14)),
        });
    }
    Ok((rows, scores))
}
