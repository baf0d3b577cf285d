//! Given-when-then: states built from commands, commands decided, guards read off.

use super::draft::{Draft, ReferenceFound};
use super::gate::{Classified, Gate};
use super::lock::Lock;
use super::lock_arms::LockArms;
use super::open_test::OpenTest;
use super::pass::{CompletePass, StartPass};
use super::pilot::Pilot;
use super::propose::Propose;
use super::source::Source;
use super::verdict::ReachVerdict;
use super::{Command, decide};
use crate::event::{ChangeClass, Consent, ConsentChannel, Event, PilotArm};
use crate::frame::Frame;
use crate::guards::{GuardId, Rejection};
use crate::ids::{ArmId, Digest, ExperimentId, RowId, Split};
use crate::pairing::table;
use crate::sample::{CellCount, SampleSummary, SplitCounts};
use crate::scores::{CallStatus, RowMeta, ScoreRecord, records_digest, rows_digest};
use crate::snapshot::{Snapshot, SnapshotDiff};
use crate::state::{State, evolve};
use std::collections::BTreeMap;

/// A frame that breaks no rule.
pub fn frame() -> Frame {
    serde_json::from_value(serde_json::json!({
        "topic": "kit",
        "kind": "prompt",
        "question": "Should we use the new prompt?",
        "hypothesis": "The new prompt names the codes, so fewer are wrong.",
        "baseline": { "id": "base", "reference": "prompts/base.txt:1", "command": ["./run", "base"], "files": ["prompts/base.txt"] },
        "arms": [
            { "id": "next", "reference": "prompts/next.txt:1", "change": "names every code in the prompt", "command": ["./run", "next"], "files": ["prompts/next.txt"] },
        ],
        "source": {
            "path": "rows.csv",
            "provenance": { "origin": "production", "statement": "Exported from the ledger, labelled by accountants." },
            "slices": ["segment"],
        },
        "metric": { "name": "right code", "stake": "wrong ledger entries", "scorer": { "kind": "exact", "label": "code" } },
        "failure_modes": [
            { "id": "wrong", "description": "another code", "weight": 1.0 },
            { "id": "sign", "description": "wrong sign", "weight": 3.0 },
            { "id": "transfer", "description": "transfer as revenue", "weight": 8.0 },
        ],
        "ship_rule": { "min_effect_pp": 5.0, "loss_floor_pp": 2.0 },
    }))
    .expect("the kit's frame reads")
}

pub fn references() -> BTreeMap<String, ReferenceFound> {
    BTreeMap::from([("base".into(), ReferenceFound::Lines(3)), ("next".into(), ReferenceFound::Lines(3))])
}

pub fn snapshot(frame: &Frame, arm: &str, text: &str) -> Snapshot {
    let spec = frame.arm(&ArmId::from(arm)).expect("an arm of the frame");
    Snapshot::new(
        spec,
        vec![crate::snapshot::FileDigest {
            path: spec.files[0].clone(),
            bytes: text.len() as u64,
            digest: Digest::of(text.as_bytes()),
            executable: false,
        }],
    )
}

pub fn diff() -> SnapshotDiff {
    SnapshotDiff { text: "+a\n".into(), added: 1, removed: 0, hunks: 1, files: vec!["prompts/next.txt".into()] }
}

pub fn draft() -> Command {
    Command::Draft(Draft { id: ExperimentId::from("2026-01-01-kit"), frame: frame(), references: references() })
}

pub fn lock() -> Lock {
    let frame = frame();
    Lock {
        consent: Consent { channel: ConsentChannel::Relayed, statement: "yes".into() },
        confirmed_hash: frame.hash(),
        references: references(),
        snapshots: ["base", "next"].map(|a| (ArmId::from(a), snapshot(&frame, a, a))).into(),
        diffs: BTreeMap::from([(ArmId::from("next"), diff())]),
        source_digest: None,
        design: None,
    }
}

/// Rows of the kit: 20 train, 60 dev, 60 test, two slices.
pub fn rows() -> Vec<RowMeta> {
    (0..140)
        .map(|i| RowMeta {
            row: RowId(format!("r_{i:03}")),
            split: match i {
                0..20 => Split::Train,
                20..80 => Split::Dev,
                _ => Split::Test,
            },
            slices: vec![if i % 2 == 0 { "large" } else { "small" }.into()],
            stratum: if i % 2 == 0 { "large" } else { "small" }.into(),
            cluster: None,
            severity: 1.0,
        })
        .collect()
}

pub fn rows_of(split: Split) -> Vec<RowId> {
    rows().into_iter().filter(|r| r.split == split).map(|r| r.row).collect()
}

pub fn summary() -> SampleSummary {
    let cell = |value: &str| CellCount {
        column: "segment".into(),
        value: value.into(),
        is_slice: true,
        production_share: 0.5,
        sampled: 70,
        splits: SplitCounts { train: 10, dev: 30, test: 30 },
    };
    SampleSummary {
        source_digest: Digest::of(b"rows"),
        source_rows: 140,
        dropped_empty: BTreeMap::new(),
        dropped_entity_cap: 0,
        dropped_max_rows: 0,
        sampled: 140,
        splits: SplitCounts { train: 20, dev: 60, test: 60 },
        linked_groups: 0,
        duplicate_rows: 0,
        conflicting_labels: 0,
        entities: None,
        dominant_entity_share: None,
        distribution: vec![cell("large"), cell("small")],
        severity: None,
        numeric_spread: BTreeMap::new(),
    }
}

pub fn source() -> Command {
    Command::Source(Source { summary: summary(), rows_digest: rows_digest(&rows()), seen_before: Vec::new() })
}

pub fn pilot(arms: &[&str]) -> Command {
    let good = PilotArm {
        answered: true,
        output_chars: 5,
        score: 1.0,
        failure_modes: Vec::new(),
        cost_usd: None,
        input_tokens: None,
        output_tokens: None,
        latency_ms: 2.0,
        problems: Vec::new(),
    };
    Command::Pilot(Pilot {
        row: RowId::from("r_000"),
        arms: arms.iter().map(|a| (ArmId::from(*a), good.clone())).collect(),
    })
}

pub fn start() -> StartPass {
    StartPass { rows: rows_of(Split::Dev), train_rows: Vec::new(), drift: BTreeMap::new(), changed: Vec::new() }
}

/// Records of the open pass: each arm right with a chance in hundredths, by row.
pub fn records(state: &State, right: impl Fn(&str, u32) -> usize) -> Vec<ScoreRecord> {
    let Some(pass) = state.open_pass().or(state.passes.last()) else { return Vec::new() };
    pass.plan
        .work()
        .into_iter()
        .map(|item| {
            let n: usize = item.row.as_str()[2..].parse().expect("the kit's row ids end in numbers");
            let good = n * 37 % 100 < right(item.arm.as_str(), item.version);
            ScoreRecord {
                pass: pass.plan.pass,
                arm: item.arm,
                version: item.version,
                row: item.row,
                trial: item.trial,
                score: f64::from(u8::from(good)),
                status: CallStatus::Ok,
                failure_modes: if good { Vec::new() } else { vec!["wrong".into()] },
                cost_usd: None,
                input_tokens: None,
                output_tokens: None,
                latency_ms: 1.0,
                first_call: false,
                output_digest: Digest::of(b"x"),
            }
        })
        .collect()
}

pub fn complete(state: &State, right: impl Fn(&str, u32) -> usize) -> Command {
    let records = records(state, right);
    Command::CompletePass(CompletePass {
        pass: state.passes.len() as u32,
        records_digest: records_digest(&records),
        records: records.len() as u64,
        failed_calls: 0,
        cost_usd: 0.0,
        rows_digest: Digest::of(b"rows"),
        differences: vec![0.1; 60],
    })
}

pub fn propose(text: &str) -> Propose {
    let frame = frame();
    Propose {
        arm: ArmId::from("next"),
        hypothesis: "Naming the sign convention removes sign errors in both segments.".into(),
        change: "one sentence on signs added to the prompt".into(),
        spec: frame.arms[0].clone(),
        snapshot: snapshot(&frame, "next", text),
        diff: diff(),
    }
}

pub fn gate(state: &State, class: ChangeClass) -> Gate {
    Gate {
        changes: state
            .sprint
            .iter()
            .map(|p| Classified {
                arm: p.arm.clone(),
                version: p.version,
                class,
                reason: "It would have been written without seeing a row.".into(),
            })
            .collect(),
        signal_left: true,
        reason: "Sign errors are left in one segment.".into(),
        quoted_dev_rows: BTreeMap::new(),
        folds: BTreeMap::new(),
    }
}

pub fn lock_arms(state: &State) -> LockArms {
    LockArms {
        changed: Vec::new(),
        quoted_test_rows: BTreeMap::new(),
        fingerprints: state.live_arms().into_iter().map(|(a, v)| (a, Digest::of(&v.to_le_bytes()))).collect(),
    }
}

pub fn open_test(fingerprints: &BTreeMap<ArmId, Digest>) -> OpenTest {
    OpenTest {
        rows: rows_of(Split::Test),
        fingerprints: fingerprints.clone(),
        locked_fingerprints: fingerprints.clone(),
    }
}

pub fn verdict(state: &State, right: impl Fn(&str, u32) -> usize) -> Command {
    let records = records(state, right);
    let rows = rows().into_iter().map(|r| (r.row.clone(), r)).collect();
    let arms: Vec<ArmId> =
        state.test_pass().map(|p| p.plan.arms.iter().map(|(a, _)| a.clone()).collect()).unwrap_or_default();
    let table = table(&frame(), &summary(), &arms, &rows, &records).expect("the kit's records make a table");
    Command::Verdict(ReachVerdict { table, records_digest: records_digest(&records) })
}

/// An experiment under test.
#[derive(Default, Clone)]
pub struct Bench {
    pub state: State,
    pub events: Vec<Event>,
}

impl Bench {
    /// Decides and folds; panics where the command is rejected.
    #[track_caller]
    pub fn given(mut self, command: Command) -> Self {
        match decide(&self.state, command) {
            Ok(events) => {
                for event in events {
                    self.state = evolve(std::mem::take(&mut self.state), &event);
                    self.events.push(event);
                }
                self
            }
            Err(rejection) => panic!("rejected: {rejection}"),
        }
    }

    #[track_caller]
    pub fn when(&self, command: Command) -> Result<Vec<Event>, Rejection> {
        decide(&self.state, command)
    }

    /// The guards that refuse a command, by name.
    #[track_caller]
    pub fn refused(&self, command: Command) -> Vec<GuardId> {
        match decide(&self.state, command) {
            Ok(events) => panic!("allowed: {events:?}"),
            Err(rejection) => rejection.guards.into_iter().map(|g| g.guard).collect(),
        }
    }

    pub fn framed() -> Self {
        Self::default().given(draft()).given(Command::Lock(lock()))
    }

    pub fn sourced() -> Self {
        Self::framed().given(source())
    }

    pub fn piloted() -> Self {
        Self::sourced().given(pilot(&["base", "next"]))
    }

    pub fn scoring() -> Self {
        Self::piloted().given(Command::StartPass(start()))
    }

    pub fn scored() -> Self {
        let bench = Self::scoring();
        let done = complete(&bench.state, skill);
        bench.given(done)
    }

    /// One more iteration, proposed, piloted and scored.
    pub fn iterated(self, text: &str) -> Self {
        let bench =
            self.given(Command::Propose(propose(text))).given(pilot(&["next"])).given(Command::StartPass(start()));
        let done = complete(&bench.state, skill);
        bench.given(done)
    }

    pub fn gated(self) -> Self {
        let gate = gate(&self.state, ChangeClass::Mechanism);
        self.given(Command::Gate(gate))
    }

    pub fn locked(self) -> Self {
        let lock = lock_arms(&self.state);
        self.given(Command::LockArms(lock))
    }

    pub fn testing(self) -> Self {
        let prints = lock_arms(&self.state).fingerprints;
        self.given(Command::OpenTest(open_test(&prints)))
    }

    pub fn tested(self) -> Self {
        let done = complete(&self.state, skill);
        self.given(done)
    }

    pub fn concluded(self) -> Self {
        let verdict = verdict(&self.state, skill);
        self.given(verdict)
    }

    pub fn all_the_way() -> Self {
        Self::scored().iterated("second").gated().locked().testing().tested().concluded()
    }
}

/// How often an arm is right, in hundredths.
pub fn skill(arm: &str, version: u32) -> usize {
    match (arm, version) {
        ("base", _) => 55,
        (_, v) => 80 + v as usize,
    }
}
