//! Every forbidden move, tried through the real server.
//!
//! [`ATTACKS`] is the suite: one row says where an experiment stands, what is tried there and which
//! guard must refuse it. One experiment walks through all the stages; at each of them every attack
//! of that stage is made, and after each of those the ledger must hold what it held before. As the
//! walk then goes on to a verdict, the honest path past every guard is tried too.
//!
//! To add an attack: add a row. Attacks that need rows, arms or a store of their own stand below as
//! tests with [`refused`].

use crate::support::fixture::{self, arm, arm_spec, frame, frame_with};
use crate::support::{Server, World, confirmed, guards_of};
use itera_core::ids::Split;
use serde_json::{Value, json};
use std::fmt::Write;

/// Where the experiment stands when an attack is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    /// No experiment.
    Nothing,
    Drafted,
    Framed,
    Sourced,
    Piloted,
    /// A dev pass runs and cannot end.
    Scoring,
    Scored,
    /// A change is proposed and not piloted.
    Proposed,
    /// Three iterations are scored, the last of which quotes rows.
    SprintFull,
    Gated,
    /// Three gates are passed.
    SprintsSpent,
    Locked,
    /// The test pass runs and cannot end.
    Testing,
    Tested,
    Concluded,
    Abandoned,
}

/// What must come of an attack.
#[derive(Debug, Clone, Copy)]
enum Expect {
    /// This guard is among those that refuse.
    Guard(&'static str),
    /// No guard, but a problem that names this place or says this.
    Problem(&'static str),
}

use Expect::{Guard, Problem};
use Point as P;

/// What an attack can build on.
struct Ctx<'a> {
    world: &'a World,
    id: &'a str,
}

impl Ctx<'_> {
    /// Any row of a split, by its id.
    fn row(&self, split: Split) -> String {
        let metas = self.world.store(self.id).metas().expect("rows");
        metas.into_iter().find(|m| m.split == split).expect("a row").row.to_string()
    }
}

struct Attack {
    name: &'static str,
    at: Point,
    tool: &'static str,
    args: fn(&Ctx) -> Value,
    expect: Expect,
    /// A file of the project that is edited for the time of the attack.
    edit: Option<&'static str>,
}

const fn attack(name: &'static str, at: Point, tool: &'static str, args: fn(&Ctx) -> Value, expect: Expect) -> Attack {
    Attack { name, at, tool, args, expect, edit: None }
}

const fn editing(file: &'static str, attack: Attack) -> Attack {
    Attack { edit: Some(file), ..attack }
}

/// The experiment alone.
fn this(ctx: &Ctx) -> Value {
    json!({ "experiment_id": ctx.id })
}

fn with(ctx: &Ctx, more: Value) -> Value {
    let mut args = this(ctx);
    for (key, value) in more.as_object().expect("an object") {
        args[key] = value.clone();
    }
    args
}

fn draft(change: impl FnOnce(&mut Value)) -> Value {
    json!({ "frame": frame_with(change) })
}

fn read(ctx: &Ctx, splits: &[Split]) -> Value {
    with(ctx, json!({ "rows": splits.iter().map(|s| ctx.row(*s)).collect::<Vec<_>>() }))
}

fn propose(ctx: &Ctx, arm: &str, hypothesis: &str, change: &str) -> Value {
    with(ctx, json!({ "arm": arm, "hypothesis": hypothesis, "change": change }))
}

const HYPOTHESIS: &str = "Customers use other words for the same wish, so that naming these words moves their tickets.";
const CHANGE: &str = "one more word is read as the same queue";

fn good_proposal(ctx: &Ctx) -> Value {
    propose(ctx, "next", HYPOTHESIS, CHANGE)
}

/// A gate over versions of `next`, each with its class.
fn gate(ctx: &Ctx, changes: &[(u32, &str)]) -> Value {
    let changes: Vec<Value> = changes
        .iter()
        .map(|(version, class)| json!({ "arm": "next", "version": version, "class": class, "reason": "Any customer might use these words; no row was needed." }))
        .collect();
    with(ctx, json!({ "changes": changes, "signal_left": true, "reason": "Some rows still differ." }))
}

static ATTACKS: &[Attack] = &[
    // Frame: what cannot be registered.
    attack("no arm", P::Nothing, "frame", |_| draft(|f| f["arms"] = json!([])), Guard("named-candidates")),
    attack(
        "four arms",
        P::Nothing,
        "frame",
        |_| {
            draft(|f| {
                f["arms"] = (0..4).map(|i| arm_spec(&format!("arm{i}"), "takes another word for billing")).collect();
            })
        },
        Guard("named-candidates"),
    ),
    attack(
        "an id twice",
        P::Nothing,
        "frame",
        |_| draft(|f| f["arms"][1]["id"] = json!("next")),
        Guard("named-candidates"),
    ),
    attack(
        "only controls",
        P::Nothing,
        "frame",
        |_| {
            draft(|f| {
                f["arms"][0]["role"] = json!("negative_control");
                f["arms"][1]["role"] = json!("negative_control");
            })
        },
        Guard("named-candidates"),
    ),
    attack(
        "baseline nowhere",
        P::Nothing,
        "frame",
        |_| draft(|f| f["baseline"]["reference"] = json!("arms/gone.sh:1")),
        Guard("real-baseline"),
    ),
    attack(
        "baseline beyond the end",
        P::Nothing,
        "frame",
        |_| draft(|f| f["baseline"]["reference"] = json!("arms/base.sh:900")),
        Guard("real-baseline"),
    ),
    attack(
        "baseline outside the project",
        P::Nothing,
        "frame",
        |_| draft(|f| f["baseline"]["reference"] = json!("../keys/x:1")),
        Guard("real-baseline"),
    ),
    attack(
        "baseline unsaid",
        P::Nothing,
        "frame",
        |_| draft(|f| f["baseline"]["reference"] = json!("todo")),
        Guard("real-baseline"),
    ),
    attack(
        "an arm without its change",
        P::Nothing,
        "frame",
        |_| draft(|f| f["arms"][0]["change"] = json!("better")),
        Guard("one-change-per-arm"),
    ),
    attack(
        "a model question without control",
        P::Nothing,
        "frame",
        |_| draft(|f| f["kind"] = json!("model")),
        Guard("negative-control"),
    ),
    attack(
        "three secondary metrics",
        P::Nothing,
        "frame",
        |_| {
            draft(|f| {
                f["secondary"] = json!([{ "name": "a", "measure": "cost" }, { "name": "b", "measure": "latency" }, { "name": "c", "measure": "output_tokens" }]);
            })
        },
        Guard("one-primary-metric"),
    ),
    attack(
        "a metric without stake",
        P::Nothing,
        "frame",
        |_| draft(|f| f["metric"]["stake"] = json!("")),
        Guard("one-primary-metric"),
    ),
    attack(
        "a scorer without label",
        P::Nothing,
        "frame",
        |_| draft(|f| f["metric"]["scorer"] = json!({ "kind": "exact" })),
        Guard("one-primary-metric"),
    ),
    attack(
        "two failure modes",
        P::Nothing,
        "frame",
        |_| {
            draft(|f| {
                f["failure_modes"].as_array_mut().expect("a list").truncate(2);
            })
        },
        Guard("taxonomy-locked"),
    ),
    attack(
        "six failure modes",
        P::Nothing,
        "frame",
        |_| {
            draft(|f| {
                f["failure_modes"] =
                    (0..6).map(|i| json!({ "id": format!("m{i}"), "description": "x", "weight": 1.0 })).collect();
            })
        },
        Guard("taxonomy-locked"),
    ),
    attack(
        "a failure mode without weight",
        P::Nothing,
        "frame",
        |_| draft(|f| f["failure_modes"][0]["weight"] = json!(0.0)),
        Guard("taxonomy-locked"),
    ),
    attack("two trials", P::Nothing, "frame", |_| draft(|f| f["trials"] = json!(2)), Guard("three-trials")),
    attack(
        "labels made up",
        P::Nothing,
        "frame",
        |_| draft(|f| f["source"]["provenance"]["origin"] = json!("made_up")),
        Guard("provenance"),
    ),
    attack(
        "provenance unsaid",
        P::Nothing,
        "frame",
        |_| draft(|f| f["source"]["provenance"]["statement"] = json!("logs")),
        Guard("provenance"),
    ),
    attack(
        "a guard waived that cannot be",
        P::Nothing,
        "frame",
        |_| {
            draft(|f| {
                f["acknowledged"]["sealed-test"] = json!("We would rather look at the test as we go along.");
            })
        },
        Problem("acknowledged.sealed-test"),
    ),
    attack(
        "the label as input",
        P::Nothing,
        "frame",
        |_| draft(|f| f["source"]["inputs"] = json!(["text", "queue"])),
        Problem("source.inputs"),
    ),
    attack(
        "a field that does not exist",
        P::Nothing,
        "frame",
        |_| draft(|f| f["verdict"] = json!("ship")),
        Problem("verdict"),
    ),
    attack(
        "a wrong type",
        P::Nothing,
        "frame",
        |_| draft(|f| f["ship_rule"]["min_effect_pp"] = json!("five")),
        Problem("frame.ship_rule.min_effect_pp"),
    ),
    // Draft: nothing may be read or run.
    attack("rows from a draft", P::Drafted, "source_rows", this, Guard("frame-first")),
    attack("a pilot from a draft", P::Drafted, "pilot", this, Guard("frame-first")),
    attack("scores from a draft", P::Drafted, "score_start", this, Guard("frame-first")),
    attack("reading from a draft", P::Drafted, "read_rows", this, Guard("frame-first")),
    attack("diagnosing a draft", P::Drafted, "diagnose", this, Guard("frame-first")),
    attack("a change to a draft's arm", P::Drafted, "propose", good_proposal, Guard("frame-first")),
    attack("locking a draft's arms", P::Drafted, "lock_arms", this, Guard("frame-first")),
    attack("a test from a draft", P::Drafted, "open_test", this, Guard("frame-first")),
    attack("a verdict from a draft", P::Drafted, "verdict", this, Guard("frame-first")),
    attack(
        "locking what was not shown",
        P::Drafted,
        "lock_frame",
        |c| with(c, json!({ "frame_hash": "0".repeat(64), "confirmation": "yes" })),
        Guard("frame-frozen"),
    ),
    attack(
        "replacing a draft by a bad one",
        P::Drafted,
        "frame",
        |c| {
            let mut args = draft(|f| f["trials"] = json!(1));
            args["experiment_id"] = json!(c.id);
            args
        },
        Guard("three-trials"),
    ),
    // Framed: nothing in the frame may change, nothing may be scored.
    attack(
        "a lower threshold after the lock",
        P::Framed,
        "frame",
        |c| {
            let mut args = draft(|f| f["ship_rule"]["min_effect_pp"] = json!(1.0));
            args["experiment_id"] = json!(c.id);
            args
        },
        Guard("frame-frozen"),
    ),
    attack(
        "locking twice",
        P::Framed,
        "lock_frame",
        |c| with(c, json!({ "frame_hash": "0".repeat(64), "confirmation": "yes" })),
        Guard("frame-frozen"),
    ),
    attack("scores without rows", P::Framed, "score_start", this, Guard("pilot-first")),
    attack("reading before the draw", P::Framed, "read_rows", this, Guard("frame-first")),
    attack("a test without rows", P::Framed, "open_test", this, Guard("lock-latest")),
    attack("a verdict without rows", P::Framed, "verdict", this, Guard("registered-rule")),
    // Sourced.
    attack("drawing again", P::Sourced, "source_rows", this, Guard("sealed-test")),
    attack("scoring before the pilot", P::Sourced, "score_start", this, Guard("pilot-first")),
    attack("reading a test row", P::Sourced, "read_rows", |c| read(c, &[Split::Test]), Guard("sealed-test")),
    attack(
        "a test row among train rows",
        P::Sourced,
        "read_rows",
        |c| read(c, &[Split::Train, Split::Test, Split::Train]),
        Guard("sealed-test"),
    ),
    attack(
        "a row that does not exist",
        P::Sourced,
        "read_rows",
        |c| with(c, json!({ "rows": ["r_0000000000000000"] })),
        Problem("rows"),
    ),
    attack(
        "train rows into the open",
        P::Sourced,
        "read_rows",
        |c| with(c, json!({ "save_as": "../train.ndjson" })),
        Problem("save_as"),
    ),
    attack("locking the unscored", P::Sourced, "lock_arms", this, Guard("pilot-first")),
    attack(
        "the frame once rows are seen",
        P::Sourced,
        "frame",
        |c| with(c, json!({ "frame": frame() })),
        Guard("frame-frozen"),
    ),
    editing("arms/base.sh", attack("a pilot of an edited arm", P::Sourced, "pilot", this, Guard("same-inputs"))),
    // Piloted.
    editing(
        "arms/base.sh",
        attack("scoring an edited baseline", P::Piloted, "score_start", this, Guard("same-inputs")),
    ),
    editing("arms/next.sh", attack("scoring an edited arm", P::Piloted, "score_start", this, Guard("same-inputs"))),
    attack("the test instead of dev", P::Piloted, "open_test", this, Guard("lock-latest")),
    attack("locking before dev", P::Piloted, "lock_arms", this, Guard("pilot-first")),
    attack("a verdict without a test", P::Piloted, "verdict", this, Guard("registered-rule")),
    attack("a verdict by hand", P::Piloted, "verdict", |c| with(c, json!({ "verdict": "ship" })), Problem("verdict")),
    // Scoring: nothing of a running pass is shown.
    attack("looking early", P::Scoring, "diagnose", this, Guard("no-early-stop")),
    attack("locking early", P::Scoring, "lock_arms", this, Guard("no-early-stop")),
    attack("the test while dev runs", P::Scoring, "open_test", this, Guard("lock-latest")),
    attack("a verdict while dev runs", P::Scoring, "verdict", this, Guard("registered-rule")),
    attack("a dev row while dev runs", P::Scoring, "read_rows", |c| read(c, &[Split::Dev]), Problem("rows")),
    attack("a test row while dev runs", P::Scoring, "read_rows", |c| read(c, &[Split::Test]), Guard("sealed-test")),
    attack("a second pass beside the first", P::Scoring, "score_start", this, Problem("scoring")),
    attack("a change while dev runs", P::Scoring, "propose", good_proposal, Problem("scoring")),
    attack(
        "the frame while dev runs",
        P::Scoring,
        "frame",
        |c| with(c, json!({ "frame": frame() })),
        Guard("frame-frozen"),
    ),
    // Scored.
    attack("scoring again for a luckier pass", P::Scored, "score_start", this, Guard("hypothesis-first")),
    attack("drawing again after the scores", P::Scored, "source_rows", this, Guard("sealed-test")),
    editing(
        "arms/next.sh",
        attack(
            "a change without hypothesis",
            P::Scored,
            "propose",
            |c| propose(c, "next", "better", CHANGE),
            Guard("hypothesis-first"),
        ),
    ),
    editing(
        "arms/next.sh",
        attack(
            "a change unsaid",
            P::Scored,
            "propose",
            |c| propose(c, "next", HYPOTHESIS, "tuned"),
            Guard("one-change-per-iteration"),
        ),
    ),
    editing(
        "arms/base.sh",
        attack(
            "a weaker baseline",
            P::Scored,
            "propose",
            |c| propose(c, "base", HYPOTHESIS, CHANGE),
            Guard("frame-frozen"),
        ),
    ),
    editing(
        "arms/next.sh",
        attack(
            "a repair after the scores",
            P::Scored,
            "pilot",
            |c| with(c, json!({ "repair": [{ "arm": "next", "reason": "it was a little broken" }] })),
            Guard("same-inputs"),
        ),
    ),
    attack("a change that changes nothing", P::Scored, "propose", good_proposal, Problem("files")),
    attack("a change to no arm", P::Scored, "propose", |c| propose(c, "nobody", HYPOTHESIS, CHANGE), Problem("arm")),
    attack("choosing a trial", P::Scored, "score_wait", |c| with(c, json!({ "trial": 1 })), Problem("trial")),
    attack(
        "choosing versions",
        P::Scored,
        "lock_arms",
        |c| with(c, json!({ "versions": { "next": 1 } })),
        Problem("versions"),
    ),
    attack("a test row for the analysis", P::Scored, "read_rows", |c| read(c, &[Split::Test]), Guard("sealed-test")),
    attack("the test straight from dev", P::Scored, "open_test", this, Guard("lock-latest")),
    attack("a verdict on dev scores", P::Scored, "verdict", this, Guard("registered-rule")),
    attack("a gate over nothing", P::Scored, "gate", |c| gate(c, &[]), Problem("scored")),
    // Proposed.
    attack("scoring an unpiloted change", P::Proposed, "score_start", this, Guard("pilot-first")),
    attack("locking past the gate", P::Proposed, "lock_arms", this, Guard("gate-between-sprints")),
    editing(
        "arms/same.sh",
        attack(
            "two changes at once",
            P::Proposed,
            "propose",
            |c| propose(c, "same", HYPOTHESIS, CHANGE),
            Guard("one-change-per-iteration"),
        ),
    ),
    attack("a gate before the score", P::Proposed, "gate", |c| gate(c, &[(2, "mechanism")]), Problem("iterating")),
    editing("arms/next.sh", attack("piloting what was not proposed", P::Proposed, "pilot", this, Guard("same-inputs"))),
    // Three iterations are scored.
    editing("arms/next.sh", attack("a fourth iteration", P::SprintFull, "propose", good_proposal, Guard("sprint-cap"))),
    attack("locking without a gate", P::SprintFull, "lock_arms", this, Guard("gate-between-sprints")),
    attack(
        "a gate over one of three",
        P::SprintFull,
        "gate",
        |c| gate(c, &[(2, "mechanism")]),
        Guard("gate-between-sprints"),
    ),
    attack(
        "a change judged twice",
        P::SprintFull,
        "gate",
        |c| gate(c, &[(2, "mechanism"), (2, "hardcode"), (3, "mechanism"), (4, "hardcode")]),
        Guard("gate-between-sprints"),
    ),
    attack(
        "quoted rows as a mechanism",
        P::SprintFull,
        "gate",
        |c| gate(c, &[(2, "mechanism"), (3, "mechanism"), (4, "mechanism")]),
        Guard("no-hardcodes"),
    ),
    attack("the test past the gate", P::SprintFull, "open_test", this, Guard("lock-latest")),
    // Gated.
    attack("scoring after the gate", P::Gated, "score_start", this, Guard("hypothesis-first")),
    attack("a second gate over the same", P::Gated, "gate", |c| gate(c, &[(2, "hardcode")]), Problem("gated")),
    attack("the test without the lock", P::Gated, "open_test", this, Guard("lock-latest")),
    editing(
        "arms/next.sh",
        attack("a fourth sprint", P::SprintsSpent, "propose", good_proposal, Guard("sprint-limit")),
    ),
    // Locked.
    attack(
        "a dev row after the lock",
        P::Locked,
        "read_rows",
        |c| read(c, &[Split::Dev]),
        Guard("no-iteration-after-verdict"),
    ),
    attack("a test row after the lock", P::Locked, "read_rows", |c| read(c, &[Split::Test]), Guard("sealed-test")),
    editing(
        "arms/next.sh",
        attack("a change after the lock", P::Locked, "propose", good_proposal, Guard("lock-latest")),
    ),
    attack("dev again after the lock", P::Locked, "score_start", this, Guard("lock-latest")),
    attack("locking again", P::Locked, "lock_arms", this, Guard("lock-latest")),
    attack("a verdict before the test", P::Locked, "verdict", this, Guard("registered-rule")),
    // Testing.
    attack("a second test", P::Testing, "open_test", this, Guard("one-test-pass")),
    attack(
        "cancelling the test",
        P::Testing,
        "score_cancel",
        |c| with(c, json!({ "reason": "it looks bad" })),
        Guard("one-test-pass"),
    ),
    attack("dev during the test", P::Testing, "score_start", this, Guard("one-test-pass")),
    attack("a verdict on half a test", P::Testing, "verdict", this, Guard("no-early-stop")),
    attack("looking into the test", P::Testing, "diagnose", this, Guard("no-early-stop")),
    attack("a test row during the test", P::Testing, "read_rows", |c| read(c, &[Split::Test]), Guard("sealed-test")),
    editing(
        "arms/next.sh",
        attack("a change during the test", P::Testing, "propose", good_proposal, Guard("no-iteration-after-verdict")),
    ),
    attack("other versions during the test", P::Testing, "lock_arms", this, Guard("lock-latest")),
    // Tested.
    attack("the test once more", P::Tested, "open_test", this, Guard("one-test-pass")),
    attack("dev after the test", P::Tested, "score_start", this, Guard("one-test-pass")),
    attack("diagnosing the test", P::Tested, "diagnose", this, Problem("tested")),
    attack("a test row once scored", P::Tested, "read_rows", |c| read(c, &[Split::Test]), Guard("sealed-test")),
    editing(
        "arms/next.sh",
        attack("a change once tested", P::Tested, "propose", good_proposal, Guard("no-iteration-after-verdict")),
    ),
    attack(
        "another rule for the verdict",
        P::Tested,
        "verdict",
        |c| with(c, json!({ "min_effect_pp": 1.0 })),
        Problem("min_effect_pp"),
    ),
    attack(
        "a looser frame once tested",
        P::Tested,
        "frame",
        |c| with(c, json!({ "frame": frame() })),
        Guard("frame-frozen"),
    ),
    // Concluded.
    editing(
        "arms/next.sh",
        attack(
            "a change after the verdict",
            P::Concluded,
            "propose",
            good_proposal,
            Guard("no-iteration-after-verdict"),
        ),
    ),
    attack("the test after the verdict", P::Concluded, "open_test", this, Guard("no-iteration-after-verdict")),
    attack("dev after the verdict", P::Concluded, "score_start", this, Guard("no-iteration-after-verdict")),
    attack("fresh rows for the same frame", P::Concluded, "source_rows", this, Guard("no-iteration-after-verdict")),
    attack("another verdict", P::Concluded, "verdict", this, Guard("no-iteration-after-verdict")),
    attack(
        "the frame after the verdict",
        P::Concluded,
        "frame",
        |c| with(c, json!({ "frame": frame() })),
        Guard("no-iteration-after-verdict"),
    ),
    attack(
        "a test row after the verdict",
        P::Concluded,
        "read_rows",
        |c| read(c, &[Split::Test]),
        Guard("sealed-test"),
    ),
    // Abandoned.
    attack("going on after giving up", P::Abandoned, "source_rows", this, Problem("abandoned")),
    attack("a verdict after giving up", P::Abandoned, "verdict", this, Problem("abandoned")),
];

/// What the ledger holds: entries and the last hash.
fn ledger(world: &World, id: &str) -> Option<(usize, String)> {
    if id.is_empty() {
        return None;
    }
    let entries = world.store(id).entries().expect("entries");
    Some((entries.len(), entries.last().map(|e| e.hash.to_string()).unwrap_or_default()))
}

/// What must not be told to anyone: a word that every text of the fixture holds.
fn shows_rows(answer: &Value) -> bool {
    ["was charged twice in", "asks about invoice", "wants money back for"]
        .iter()
        .any(|t| answer.to_string().contains(t))
}

/// Makes every attack of a point; what went wrong.
async fn attack_at(point: Point, world: &World, server: &Server, id: &str, report: &mut String) {
    for a in ATTACKS.iter().filter(|a| a.at == point) {
        let before = (ledger(world, id), server.call("status", json!({})).await["data"].clone());
        let kept = a.edit.map(|file| (file, world.read(file)));
        if let Some((file, text)) = &kept {
            world.write(file, &format!("{text}# edited\n"));
        }
        let answer = server.call(a.tool, (a.args)(&Ctx { world, id })).await;
        if let Some((file, text)) = &kept {
            world.write(file, text);
        }
        let after = (ledger(world, id), server.call("status", json!({})).await["data"].clone());
        let mut complain = |what: &str| {
            let _ = writeln!(report, "{point:?}, {}: {what}: {answer}", a.name);
        };
        if answer["ok"] != false {
            complain("was allowed");
        }
        match a.expect {
            Guard(id) => {
                if !guards_of(&answer).iter().any(|g| g == id) {
                    complain(&format!("is not refused by {id}"));
                }
            }
            Problem(place) => {
                let said = answer["problems"].to_string();
                if !said.contains(place) || answer["refusal"].is_object() {
                    complain(&format!("is no problem that names {place}"));
                }
            }
        }
        if shows_rows(&answer) {
            complain("shows a row");
        }
        let same = match point {
            // Calls may end while the attack is made; the ledger may not move all the same.
            Point::Scoring | Point::Testing => before.0 == after.0,
            _ => before == after,
        };
        if !same {
            complain("changed something");
        }
    }
}

/// Appends rows that are not train rows to an arm: their text stands in it from now on.
fn quote_hidden_rows(world: &World, id: &str, file: &str) {
    let train: Vec<String> = {
        let store = world.store(id);
        let metas = store.metas().expect("rows");
        metas.iter().filter(|m| m.split == Split::Train).map(|m| store.open_row(&m.row).expect("a row").key).collect()
    };
    let mut text = world.read(file);
    for line in fixture::tickets().lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        if !train.iter().any(|key| key == fields[0]) {
            let _ = writeln!(text, "# {} -> {}", fields[2], fields[3]);
        }
    }
    world.write(file, &text);
}

async fn iterate(world: &World, server: &Server, edit: impl FnOnce(&World)) {
    edit(world);
    server.ok("propose", json!({ "arm": "next", "hypothesis": HYPOTHESIS, "change": CHANGE })).await;
    server.ok("pilot", json!({})).await;
    server.ok("score_start", json!({})).await;
    server.wait().await;
}

fn add_word(world: &World, word: &str) {
    let cases = fixture::NEXT.replace("*refund*", &format!("*refund*|*{word}*"));
    world.write("arms/next.sh", &arm("next", &cases));
}

#[tokio::test]
async fn every_forbidden_move_is_refused_and_changes_nothing() {
    let world = World::new();
    let server = world.server().await;
    let mut report = String::new();
    attack_at(P::Nothing, &world, &server, "", &mut report).await;
    assert!(!world.project().join(".auto-itera").join("experiments").exists(), "a refused frame left something behind");

    let drafted = server.ok("frame", json!({ "frame": frame() })).await;
    let id = drafted["experiment_id"].as_str().expect("an id").to_owned();
    let ctx = Ctx { world: &world, id: &id };
    attack_at(P::Drafted, &world, &server, &id, &mut report).await;
    let silent = json!({ "experiment_id": id, "frame_hash": drafted["data"]["frame_hash"] });
    let answer = server.call("lock_frame", silent).await;
    assert!(
        answer["ok"] == false && answer["problems"].to_string().contains("confirm"),
        "nobody confirmed: {answer:#}"
    );

    server.ok("lock_frame", confirmed(&drafted)).await;
    attack_at(P::Framed, &world, &server, &id, &mut report).await;
    server.ok("source_rows", json!({})).await;
    attack_at(P::Sourced, &world, &server, &id, &mut report).await;
    server.ok("pilot", json!({})).await;
    attack_at(P::Piloted, &world, &server, &id, &mut report).await;

    world.hold();
    server.ok("score_start", json!({})).await;
    attack_at(P::Scoring, &world, &server, &id, &mut report).await;
    world.release();
    server.wait().await;
    attack_at(P::Scored, &world, &server, &id, &mut report).await;

    add_word(&world, "rebate");
    server.ok("propose", good_proposal(&ctx)).await;
    attack_at(P::Proposed, &world, &server, &id, &mut report).await;
    server.ok("pilot", json!({})).await;
    server.ok("score_start", json!({})).await;
    server.wait().await;
    iterate(&world, &server, |w| add_word(w, "restitution")).await;
    iterate(&world, &server, |w| quote_hidden_rows(w, &id, "arms/next.sh")).await;
    attack_at(P::SprintFull, &world, &server, &id, &mut report).await;

    let judged = server.ok("gate", gate(&ctx, &[(2, "mechanism"), (3, "mechanism"), (4, "hardcode")])).await;
    assert_eq!(judged["data"]["latest_gate_passed_versions"]["next"], 3, "{judged:#}");
    attack_at(P::Gated, &world, &server, &id, &mut report).await;
    iterate(&world, &server, |w| add_word(w, "payback")).await;
    server.ok("gate", gate(&ctx, &[(5, "mechanism")])).await;
    iterate(&world, &server, |w| add_word(w, "clawback")).await;
    server.ok("gate", gate(&ctx, &[(6, "mechanism")])).await;
    attack_at(P::SprintsSpent, &world, &server, &id, &mut report).await;

    let locked = server.ok("lock_arms", json!({})).await;
    assert_eq!(locked["data"]["locked"]["next"], 6, "the latest that passed, whatever it scored");
    attack_at(P::Locked, &world, &server, &id, &mut report).await;
    world.hold();
    server.ok("open_test", json!({})).await;
    attack_at(P::Testing, &world, &server, &id, &mut report).await;
    world.release();
    server.wait().await;
    attack_at(P::Tested, &world, &server, &id, &mut report).await;
    server.ok("verdict", json!({})).await;
    attack_at(P::Concluded, &world, &server, &id, &mut report).await;

    let second = server.lock(frame()).await;
    server.ok("abandon", json!({ "experiment_id": second, "reason": "the question was another one" })).await;
    attack_at(P::Abandoned, &world, &server, &second, &mut report).await;
    assert!(report.is_empty(), "\n{report}");
}

/// A call that a guard must refuse; the reason it gives.
async fn refused(server: &Server, tool: &str, args: Value, guard: &str) -> String {
    let answer = server.call(tool, args).await;
    assert!(guards_of(&answer).iter().any(|g| g == guard), "`{tool}` is not refused by {guard}: {answer:#}");
    assert!(!shows_rows(&answer), "the refusal shows a row: {answer:#}");
    answer["refusal"]["guards"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|g| g["id"] == guard)
        .map(|g| g["why"].to_string())
        .unwrap_or_default()
}

#[tokio::test]
async fn a_slice_of_few_rows_cannot_be_split() {
    let world = World::new();
    let server = world.server().await;
    server.lock(frame_with(|f| f["source"]["max_rows"] = json!(30))).await;
    let why = refused(&server, "source_rows", json!({}), "stratified-split").await;
    assert!(why.contains("12 are needed") && why.contains("test"), "{why}");
    assert_eq!(server.ok("status", json!({})).await["stage"], "framed");
}

#[tokio::test]
async fn stakes_that_vary_must_be_weighted() {
    let world = World::new();
    let mut csv = String::new();
    for (i, line) in fixture::tickets().lines().enumerate() {
        let _ = writeln!(csv, "{line},{}", if i == 0 { "amount".to_owned() } else { (i * i).to_string() });
    }
    world.write("tickets.csv", &csv);
    let server = world.server().await;
    server.lock(frame()).await;
    let why = refused(&server, "source_rows", json!({}), "severity-declared").await;
    assert!(why.contains("amount") && why.contains("-fold"), "{why}");
}

#[tokio::test]
async fn one_customer_may_not_stand_for_all() {
    let world = World::new();
    let mut csv = String::new();
    for (i, line) in fixture::tickets().lines().enumerate() {
        let customer = if i % 2 == 0 { "big".to_owned() } else { format!("c{i}") };
        let _ = writeln!(csv, "{line},{}", if i == 0 { "customer".to_owned() } else { customer });
    }
    world.write("tickets.csv", &csv);
    let server = world.server().await;
    server
        .lock(frame_with(|f| {
            f["source"]["entity"] = json!("customer");
            f["source"]["entity_cap"] = json!(1_000);
        }))
        .await;
    let why = refused(&server, "source_rows", json!({}), "reflect-distribution").await;
    assert!(why.contains('%'), "{why}");
}

#[tokio::test]
async fn a_design_without_power_needs_a_reason() {
    let world = World::new();
    let server = world.server().await;
    let drafted = server
        .ok(
            "frame",
            json!({ "frame": frame_with(|f| { f.as_object_mut().expect("an object").remove("acknowledged"); }) }),
        )
        .await;
    let why = refused(&server, "lock_frame", confirmed(&drafted), "powered-design").await;
    assert!(why.contains("test rows") && why.contains('%'), "{why}");
}

#[tokio::test]
async fn an_arm_that_holds_test_rows_is_not_locked() {
    let world = World::new();
    let mut text = world.read("arms/same.sh");
    for line in fixture::tickets().lines().skip(1) {
        let _ = writeln!(text, "# {line}");
    }
    world.write("arms/same.sh", &text);
    let server = world.server().await;
    server.lock(frame()).await;
    server.ok("source_rows", json!({})).await;
    server.ok("pilot", json!({})).await;
    server.ok("score_start", json!({})).await;
    server.wait().await;
    let why = refused(&server, "lock_arms", json!({}), "contamination-scan").await;
    assert!(why.contains("60 sealed test row(s)"), "{why}");
}

#[tokio::test]
async fn kept_files_of_an_arm_are_not_to_be_edited() {
    let world = World::new();
    let server = world.server().await;
    let id = server.lock(frame()).await;
    server.ok("source_rows", json!({})).await;
    server.ok("pilot", json!({})).await;
    let kept = world.project().join(".auto-itera/experiments").join(&id).join("arms/base-v1/files/arms/base.sh");
    let text = std::fs::read_to_string(&kept).expect("the kept file");
    let edit = |text: &str| {
        let _ = std::fs::remove_file(&kept);
        fixture::write_file(&kept, text);
    };
    edit(&text.replace("billing", "other"));
    refused(&server, "score_start", json!({}), "same-inputs").await;
    edit(&text);
    server.ok("score_start", json!({})).await;
    server.wait().await;
    server.ok("lock_arms", json!({})).await;
    edit(&text.replace("billing", "other"));
    refused(&server, "open_test", json!({}), "same-inputs").await;
    assert_eq!(server.ok("status", json!({})).await["stage"], "locked");
}

#[tokio::test]
async fn equal_rows_stay_in_one_split_and_a_look_at_dev_costs_the_row() {
    let world = World::new();
    let mut csv = fixture::tickets();
    for i in 0..40 {
        let _ = writeln!(csv, "d-{i:04},small,{} was charged  TWICE in Oslo,billing", ["Ole", "ole", " Ole"][i % 3]);
    }
    world.write("tickets.csv", &csv);
    let server = world.server().await;
    let id = server.lock(frame_with(|f| f["source"]["max_rows"] = json!(640))).await;
    server.ok("source_rows", json!({})).await;
    let store = world.store(&id);
    let metas = store.metas().expect("rows");
    let of = |split| metas.iter().filter(|m| m.split == split).collect::<Vec<_>>();
    let mut homes = std::collections::BTreeSet::new();
    for m in &metas {
        if store.open_row(&m.row).expect("a row").key.starts_with("d-") {
            homes.insert(m.split.to_string());
        }
    }
    assert_eq!(homes.len(), 1, "forty equal rows lie in {homes:?}");
    let dev = of(Split::Dev)[0].row.clone();
    let answer = server.ok("read_rows", json!({ "rows": [dev] })).await;
    assert!(answer["notices"].to_string().contains("peek-demotes"), "{answer:#}");
    let status = server.ok("status", json!({})).await;
    assert_eq!(status["data"]["dev_rows_revealed"], 1);
    server.ok("pilot", json!({})).await;
    let started = server.ok("score_start", json!({})).await;
    assert_eq!(started["data"]["dev_rows"], of(Split::Dev).len() - 1);
    server.ok("score_cancel", json!({ "reason": "this was all to see" })).await;
}

#[tokio::test]
async fn a_broken_record_refuses_everything() {
    // What was done to the store, and the tools that build on the part that was hurt.
    let damages: [(&str, &[&str], &str); 4] = [
        (
            "an event rewritten",
            &["diagnose", "lock_arms", "propose"],
            "UPDATE events SET body = replace(body, 'charge', 'charges') WHERE seq = (SELECT min(seq) FROM events)",
        ),
        (
            "the last event cut off",
            &["diagnose", "lock_arms", "propose"],
            "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)",
        ),
        (
            "a score raised",
            &["diagnose", "score_wait"],
            "UPDATE calls SET record = replace(record, '\"score\":0.0', '\"score\":1.0')",
        ),
        ("a call removed", &["diagnose", "score_wait"], "DELETE FROM calls WHERE n = (SELECT max(n) FROM calls)"),
    ];
    let world = World::new();
    let server = world.server().await;
    let id = server.lock(frame()).await;
    server.ok("source_rows", json!({})).await;
    server.ok("pilot", json!({})).await;
    server.ok("score_start", json!({})).await;
    server.wait().await;
    server.close().await;
    let folder = world.project().join(".auto-itera/experiments").join(&id);
    let whole = world.beside("whole");
    crate::support::copy_folder(&folder, &whole);
    for (what, tools, sql) in damages {
        let database = std::fs::read_dir(&folder)
            .expect("a folder")
            .flatten()
            .map(|e| e.path())
            .find(|p| std::fs::read(p).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3")));
        let connection = rusqlite::Connection::open(database.expect("a database")).expect("it opens");
        let changed = connection.execute(sql, []).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(changed > 0, "{what} did not happen");
        drop(connection);
        let server = world.server().await;
        for tool in tools {
            let mut args = json!({ "experiment_id": id });
            if *tool == "propose" {
                args = json!({ "experiment_id": id, "arm": "next", "hypothesis": HYPOTHESIS, "change": CHANGE });
            }
            let answer = server.call(tool, args).await;
            assert_eq!(guards_of(&answer), ["ledger-intact"], "{what}: `{tool}`: {answer:#}");
        }
        server.close().await;
        std::fs::remove_dir_all(&folder).expect("removed");
        crate::support::copy_folder(&whole, &folder);
    }
    let server = world.server().await;
    server.ok("diagnose", json!({ "experiment_id": id })).await;
}
