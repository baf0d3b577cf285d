//! A project in a temporary folder, with values to put into it.

use crate::{CallRow, Project, Store};
use itera_core::event::{Event, PilotArm};
use itera_core::ids::{Digest, ExperimentId, Split};
use itera_core::sample::{SampleSummary, SampledRow};
use itera_core::scores::{CallStatus, RowMeta, ScoreRecord};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

pub(crate) struct Bench {
    root: tempfile::TempDir,
    keys: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), keys: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn id(&self) -> ExperimentId {
        "2026-01-01-topic".into()
    }

    pub(crate) fn at(&self) -> jiff::Timestamp {
        "2026-01-01T12:00:00.5Z".parse().unwrap()
    }

    pub(crate) fn key_dir(&self) -> PathBuf {
        self.keys.path().join("keys")
    }

    pub(crate) fn project(&self) -> Project {
        Project::with_keys(self.root.path(), &self.key_dir()).unwrap()
    }

    pub(crate) fn create(&self) -> Store {
        self.project().create(&self.id()).unwrap()
    }

    pub(crate) fn open(&self) -> Store {
        self.project().store(&self.id()).unwrap()
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.project().experiment_dir(&self.id())
    }

    pub(crate) fn db_path(&self) -> PathBuf {
        self.folder().join("store.db")
    }

    /// Edits the store as an agent with a shell would.
    pub(crate) fn sql(&self, sql: &str) {
        rusqlite::Connection::open(self.db_path()).unwrap().execute_batch(sql).unwrap();
    }

    pub(crate) fn anchor_path(&self) -> PathBuf {
        let id = fs::read_to_string(self.project().state_dir().join("project-id")).unwrap();
        self.key_dir().join(id.trim()).join(format!("{}.anchor", self.id()))
    }

    pub(crate) fn anchor_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        [self.anchor_path(), self.folder().join("head")].map(|path| (path.clone(), fs::read(path).unwrap())).into()
    }

    pub(crate) fn restore(&self, files: &[(PathBuf, Vec<u8>)]) {
        for (path, bytes) in files {
            fs::write(path, bytes).unwrap();
        }
    }

    pub(crate) fn folder_contains(&self, needle: &[u8]) -> bool {
        fs::read_dir(self.folder()).unwrap().any(|entry| {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
    }
}

pub(crate) fn drafted() -> Event {
    abandoned("first")
}

pub(crate) fn abandoned(reason: &str) -> Event {
    Event::Abandoned { reason: reason.into() }
}

pub(crate) fn pilot(score: f64) -> Event {
    let arm = PilotArm {
        answered: true,
        output_chars: 3,
        score,
        failure_modes: vec![],
        cost_usd: Some(0.1),
        input_tokens: None,
        output_tokens: None,
        latency_ms: 1.5,
        problems: vec![],
    };
    Event::PilotRun { row: "r_1".into(), arms: BTreeMap::from([("a".into(), arm)]), passed: true }
}

pub(crate) fn sourced() -> Event {
    let summary = SampleSummary {
        source_digest: Digest::of(b""),
        source_rows: 0,
        dropped_empty: BTreeMap::new(),
        dropped_entity_cap: 0,
        dropped_max_rows: 0,
        sampled: 0,
        splits: Default::default(),
        linked_groups: 0,
        duplicate_rows: 0,
        conflicting_labels: 0,
        entities: None,
        dominant_entity_share: None,
        distribution: vec![],
        severity: None,
        numeric_spread: BTreeMap::new(),
    };
    Event::RowsSourced { summary: Box::new(summary), rows_digest: Digest::of(b""), seen_before: Vec::new() }
}

pub(crate) fn row(id: &str, split: Split) -> SampledRow {
    SampledRow {
        meta: RowMeta {
            row: id.into(),
            split,
            slices: vec!["smb".into()],
            stratum: "smb".into(),
            cluster: None,
            severity: 1.0,
        },
        key: format!("key of {id}"),
        fields: [("text".to_owned(), format!("content of {id}").into()), ("n".to_owned(), 0.1.into())]
            .into_iter()
            .collect(),
    }
}

pub(crate) fn call(pass: u32, id: &str, trial: u32) -> CallRow {
    let output = format!("output of {id} {trial}");
    CallRow {
        score: ScoreRecord {
            pass,
            arm: "arm".into(),
            version: 1,
            row: id.into(),
            trial,
            score: 0.25,
            status: CallStatus::Ok,
            failure_modes: vec!["wrong_code".into()],
            cost_usd: Some(0.001),
            input_tokens: Some(3),
            output_tokens: None,
            latency_ms: 12.5,
            first_call: false,
            output_digest: Digest::of(output.as_bytes()),
        },
        attempt: 1,
        output: Some(output),
        error: None,
    }
}
