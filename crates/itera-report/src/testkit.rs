//! A small experiment for tests: two slices, three arms, one change, a test pass and a verdict.

use crate::figures::rejudge;
use crate::record::Record;
use itera_core::chain;
use itera_core::event::{
    ChangeClass, Consent, ConsentChannel, Event, GateDecision, GateFinding, GateRecord, IterationOutcome, Outcome,
    PassKind, PassPlan, PilotArm, PlannedDesign, PlannedPoint, Proposal,
};
use itera_core::frame::Frame;
use itera_core::ids::{ArmId, Digest, RowId, Split, Version};
use itera_core::rule::Verdict;
use itera_core::scores::{CallStatus, RowMeta, ScoreRecord, records_digest, rows_digest};
use itera_core::snapshot::Snapshot;
use serde_json::json;
use std::collections::BTreeMap;

/// What a test may put into the record to see it come out unharmed.
pub struct Told<'a> {
    /// The person's question.
    pub question: &'a str,
    /// The value of the losing slice.
    pub slice: &'a str,
    /// The change of `v3`, also the reason of the gate.
    pub change: &'a str,
}

impl Default for Told<'_> {
    fn default() -> Self {
        Self { question: "Should we use v2 or v3, or stay?", slice: "smb", change: "trusts the number" }
    }
}

fn frame(told: &Told<'_>) -> Frame {
    let arm = |id: &str, change: &str| json!({"id": id, "name": id, "reference": format!("{id}.json:1"), "change": change, "command": ["./run", id], "files": []});
    serde_json::from_value(json!({
        "topic": "small",
        "kind": "prompt",
        "question": told.question,
        "hypothesis": "The counterparty tells the code.",
        "baseline": arm("v1", ""),
        "arms": [arm("v2", "reads the counterparty"), arm("v3", told.change)],
        "source": {
            "path": "rows.csv",
            "provenance": {"origin": "generated", "statement": "By a test."},
            "key": "id",
            "inputs": ["text"],
            "slices": ["segment"],
        },
        "metric": {
            "name": "code right",
            "stake": "a wrong code is a wrong entry",
            "scorer": {"kind": "exact", "label": "code"},
            "baseline_value": 0.6,
        },
        "failure_modes": [
            {"id": "wrong_code", "description": "another account", "weight": 1.0, "when": [{"left": "output", "op": "ne", "right": "row.code"}]},
            {"id": "wrong_sign", "description": "in for out", "weight": 3.0, "when": [{"left": "output", "op": "eq", "value": "x"}]},
        ],
        "severity": {"column": "amount", "cap": 100.0},
        "ship_rule": {"objective": "superiority", "min_effect_pp": 5.0, "loss_floor_pp": 2.0, "alpha": 0.05, "power": 0.8},
    }))
    .expect("a frame")
}

fn rows(split: Split, n: usize, told: &Told<'_>) -> Vec<RowMeta> {
    (0..n)
        .map(|i| {
            let slice = if i % 2 == 0 { "enterprise" } else { told.slice };
            RowMeta {
                row: RowId(format!("r_{split}{i:04}")),
                split,
                slices: vec![slice.to_owned()],
                stratum: slice.to_owned(),
                cluster: None,
                severity: 1.0 + (i % 50) as f64,
            }
        })
        .collect()
}

/// Right or wrong, by a pattern that gives `v2` a win everywhere and `v3` a loss in the second slice.
fn answer(arm: &str, version: Version, row: &RowId, trial: u32, second: bool) -> (f64, Vec<String>) {
    let i: usize = row.0.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0) / 2;
    let right = match (arm, second) {
        ("v2", _) => i % 10 < if version > 1 { 9 } else { 8 },
        ("v3", false) => i % 10 < 7,
        ("v3", true) => i % 10 < 4,
        _ => i % 10 < 6 || (i % 10 == 6 && trial == 1),
    };
    let modes = match (right, i % 4) {
        (true, _) => Vec::new(),
        (false, 0) => vec!["wrong_code".to_owned(), "wrong_sign".to_owned()],
        (false, _) => vec!["wrong_code".to_owned()],
    };
    (f64::from(u8::from(right)), modes)
}

struct Builder {
    record: Record,
    second: String,
}

impl Builder {
    fn say(&mut self, event: Event) {
        let at = format!("2026-01-02T03:{:02}:00Z", self.record.entries.len());
        let more = chain::extend(self.record.entries.last(), vec![event], at.parse().expect("a time"));
        self.record.entries.extend(more);
    }

    fn pass(
        &mut self,
        kind: PassKind,
        arms: &[(&str, Version)],
        rows: &[RowMeta],
        iteration: Option<IterationOutcome>,
    ) {
        let pass = self.record.plans().len() as u32 + 1;
        let arms: Vec<(ArmId, Version)> = arms.iter().map(|(a, v)| (ArmId::from(*a), *v)).collect();
        let plan = PassPlan {
            pass,
            kind,
            calls: (arms.len() * rows.len() * 3) as u64,
            arms,
            rows: rows.iter().map(|r| r.row.clone()).collect(),
            train_rows: Vec::new(),
            trials: 3,
            seed: 7,
        };
        let scores: Vec<ScoreRecord> = plan
            .work()
            .into_iter()
            .enumerate()
            .map(|(n, w)| {
                let meta = rows.iter().find(|r| r.row == w.row).expect("a planned row");
                let (score, failure_modes) =
                    answer(w.arm.as_str(), w.version, &w.row, w.trial, meta.slices[0] == self.second);
                ScoreRecord {
                    pass,
                    row: w.row,
                    trial: w.trial,
                    score,
                    status: CallStatus::Ok,
                    failure_modes,
                    cost_usd: Some(if w.arm.as_str() == "v2" { 0.0003 } else { 0.0002 }),
                    input_tokens: Some(200),
                    output_tokens: Some(12),
                    latency_ms: 10.0 + (n % 7) as f64,
                    first_call: n < 3,
                    output_digest: Digest::from("r_0000000000000000"),
                    arm: w.arm,
                    version: w.version,
                }
            })
            .collect();
        self.say(Event::PassStarted { pass: plan });
        self.record.rows.extend(rows.iter().map(|r| (r.row.clone(), r.clone())));
        let digest = records_digest(&scores);
        let (records, cost_usd) = (scores.len() as u64, scores.iter().filter_map(|s| s.cost_usd).sum());
        self.record.scores.extend(scores);
        self.say(Event::PassCompleted {
            pass,
            records_digest: digest,
            records,
            failed_calls: 0,
            cost_usd,
            rows_digest: rows_digest(rows),
            iteration,
        });
    }

    fn pilot(&mut self, arms: &[&str]) {
        let answered = PilotArm {
            answered: true,
            output_chars: 4,
            score: 1.0,
            failure_modes: Vec::new(),
            cost_usd: Some(0.0002),
            input_tokens: Some(200),
            output_tokens: Some(12),
            latency_ms: 10.0,
            problems: Vec::new(),
        };
        let arms = arms.iter().map(|a| (ArmId::from(*a), answered.clone())).collect();
        self.say(Event::PilotRun { row: RowId::from("r_train0000"), arms, passed: true });
    }
}

/// A concluded experiment.
pub fn record(told: &Told<'_>) -> Record {
    let frame = frame(told);
    let (dev, test) = (rows(Split::Dev, 60, told), rows(Split::Test, 240, told));
    let record = Record { entries: Vec::new(), rows: BTreeMap::new(), scores: Vec::new() };
    let mut b = Builder { record, second: told.slice.to_owned() };
    let snapshots = frame.all_arms().map(|a| (a.id.clone(), Snapshot::new(a, Vec::new()))).collect();
    b.say(Event::FrameDrafted { id: "2026-01-02-small".into(), frame: Box::new(frame.clone()) });
    let point = PlannedPoint {
        truth: "+10.0pp (twice the minimum effect)".into(),
        effect_pp: 10.0,
        ship: 0.9,
        scope: 0.0,
        kill: 0.0,
        underpowered: 0.1,
    };
    b.say(Event::FrameLocked {
        frame_hash: frame.hash(),
        consent: Consent { channel: ConsentChannel::Demo, statement: String::new() },
        snapshots,
        diffs: BTreeMap::new(),
        design: Some(PlannedDesign { test_rows: 250, power: 0.9, planned_effect_pp: 10.0, points: vec![point] }),
    });
    let splits = |t: u64, d: u64, s: u64| json!({"train": t, "dev": d, "test": s});
    let cell = |value: &str, share: f64| json!({"column": "segment", "value": value, "is_slice": true, "production_share": share, "sampled": 160, "splits": splits(10, 30, 120)});
    let summary = json!({
        "source_digest": "0", "source_rows": 4000, "dropped_empty": {}, "dropped_entity_cap": 0, "dropped_max_rows": 0,
        "sampled": 320, "splits": splits(20, 60, 240), "linked_groups": 0, "duplicate_rows": 0, "conflicting_labels": 0,
        "distribution": [cell("enterprise", 0.55), cell(told.slice, 0.45)],
        "severity": {"min": 1.0, "median": 20.0, "max": 50.0, "capped": 0}, "numeric_spread": {},
    });
    b.say(Event::RowsSourced {
        summary: serde_json::from_value(summary).expect("a summary"),
        rows_digest: Digest::from("0"),
        seen_before: Vec::new(),
    });
    b.pilot(&["v1", "v2", "v3"]);
    b.pass(PassKind::Dev, &[("v1", 1), ("v2", 1), ("v3", 1)], &dev, None);
    b.say(Event::Diagnosed { pass: 1 });
    let spec = frame.arms[0].clone();
    b.say(Event::ChangeProposed {
        proposal: Proposal {
            arm: "v2".into(),
            version: 2,
            builds_on: 1,
            sprint: 1,
            iteration: 1,
            hypothesis: "An own account is a transfer.".into(),
            change: "own accounts are transfers".into(),
            snapshot: Snapshot::new(&spec, Vec::new()),
            spec,
            diff: serde_json::from_value(json!({"text": "", "added": 1, "removed": 1, "hunks": 1, "files": []}))
                .expect("a diff"),
        },
    });
    b.pilot(&["v2"]);
    let found = IterationOutcome {
        arm: "v2".into(),
        version: 2,
        builds_on: 1,
        effect: 0.1,
        se: 0.03,
        rows: 60,
        outcome: Outcome::Supported,
    };
    b.pass(PassKind::Dev, &[("v2", 2)], &dev, Some(found));
    b.say(Event::GateJudged {
        gate: GateRecord {
            sprint: 1,
            findings: vec![GateFinding {
                arm: "v2".into(),
                version: 2,
                class: ChangeClass::Mechanism,
                reason: "It names no row.".into(),
                quoted_dev_rows: 0,
                fold: None,
                kept: true,
            }],
            signal_left: false,
            reason: told.change.to_owned(),
            killed: Vec::new(),
            decision: GateDecision::Lock,
        },
    });
    let locked: BTreeMap<ArmId, Version> = [("v1", 1), ("v2", 2), ("v3", 1)].map(|(a, v)| (a.into(), v)).into();
    let fingerprints = locked.keys().map(|a| (a.clone(), Digest::from("0"))).collect();
    b.say(Event::ArmsLocked { versions: locked, fingerprints });
    b.pass(PassKind::Test, &[("v1", 1), ("v2", 2), ("v3", 1)], &test, None);
    let verdict: Verdict = rejudge(&b.record).expect("a verdict");
    let digest = records_digest(&b.record.pass(3));
    b.say(Event::VerdictReached { verdict: Box::new(verdict), records_digest: digest });
    b.record
}
