//! A small production log of support tickets and arms that answer it by keywords.
//!
//! The arms are POSIX shell without a child process of their own, so that a call takes about a
//! millisecond. Each appends the request it was sent to the file of `ARM_LOG`, and waits while
//! the file of `ARM_HOLD` exists.

use serde_json::{Value, json};
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Rows of the log.
pub const ROWS: usize = 600;
/// Rows that the frame samples.
pub const SAMPLED: u64 = 150;

/// Writes a file that may be run, and the folders above it.
pub fn write_file(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
}

/// Writes rows and arms into a project.
pub fn write(project: &Path) {
    write_file(&project.join("tickets.csv"), &tickets());
    write_file(&project.join("arms/base.sh"), &arm("base", BASE));
    write_file(&project.join("arms/next.sh"), &arm("next", NEXT));
    write_file(&project.join("arms/same.sh"), &arm("same", SAME));
}

/// Keywords of the baseline.
pub const BASE: &str = "*invoice*) echo billing ;; *refund*) echo refund ;;";
/// Keywords of the candidate that helps.
pub const NEXT: &str = "*invoice*|*charged*) echo billing ;; *refund*) echo refund ;;";
/// Keywords of the candidate that changes nothing that matters.
pub const SAME: &str = "*invoice*|*'bill of'*) echo billing ;; *refund*) echo refund ;;";

/// A shell arm with the given cases.
pub fn arm(name: &str, cases: &str) -> String {
    format!(
        "#!/bin/sh\n# {name}: a ticket's queue by keywords.\nIFS= read -r line || :\n\
         [ -z \"$ARM_LOG\" ] || printf '%s\\n' \"{name} $line\" >> \"$ARM_LOG\"\n\
         while [ -n \"$ARM_HOLD\" ] && [ -e \"$ARM_HOLD\" ]; do sleep 0.05; done\n\
         case \"$line\" in\n  {cases}\n  *) echo other ;;\nesac\n"
    )
}

/// The log: id, segment, text, queue. Every text is unlike every other.
pub fn tickets() -> String {
    let cities = ["Aarhus", "Bremen", "Cork", "Dijon", "Essen", "Faro", "Ghent", "Huelva", "Izola", "Jena", "Kiel"];
    let names = ["Ada", "Ben", "Cleo", "Dov", "Eve", "Finn", "Gus", "Hal", "Ida", "Jon", "Kit", "Lea", "Mo"];
    let mut out = String::from("id,segment,text,queue\n");
    let mut state: u64 = 20_261_123;
    let mut below = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    for i in 0..ROWS {
        let segment = if below(10) < 6 { "large" } else { "small" };
        let (city, name) = (cities[below(11) as usize], names[below(13) as usize]);
        let number = 10_000 + i * 17;
        let (text, queue) = match below(10) {
            0..=2 => (format!("{name} asks about invoice {number} sent to {city}"), "billing"),
            3..=5 => (format!("{name} was charged twice in {city} on order {number}"), "billing"),
            6 => (format!("{name} wants a refund of order {number} shipped to {city}"), "refund"),
            7 => (format!("{name} wants money back for parcel {number} lost near {city}"), "refund"),
            _ => (format!("{name} cannot sign in from {city} with device {number}"), "other"),
        };
        let _ = writeln!(out, "t-{i:04},{segment},{text},{queue}");
    }
    out
}

/// One arm of the frame.
pub fn arm_spec(id: &str, change: &str) -> Value {
    json!({
        "id": id,
        "reference": format!("arms/{id}.sh:7"),
        "change": change,
        "command": [format!("./arms/{id}.sh")],
        "files": [format!("arms/{id}.sh")],
        "env": ["ARM_LOG", "ARM_HOLD"],
    })
}

/// The frame of an honest experiment over the fixture.
pub fn frame() -> Value {
    json!({
        "topic": "ticket-queue",
        "kind": "prompt",
        "question": "Should tickets that mention a charge go to billing, or should routing stay as it is?",
        "hypothesis": "Customers say charged where the rules wait for invoice, in both segments.",
        "baseline": arm_spec("base", ""),
        "arms": [
            arm_spec("next", "takes the word charged for a billing matter"),
            arm_spec("same", "takes the words bill of for a billing matter"),
        ],
        "source": {
            "path": "tickets.csv",
            "provenance": { "origin": "generated", "statement": "Written by the fixture, which knows the true queue of every ticket." },
            "key": "id",
            "inputs": ["text"],
            "slices": ["segment"],
            "max_rows": SAMPLED,
        },
        "metric": {
            "name": "right queue",
            "stake": "a ticket in the wrong queue waits a day longer",
            "scorer": { "kind": "exact", "label": "queue" },
        },
        "failure_modes": [
            { "id": "lost_billing", "description": "a billing matter elsewhere", "weight": 2.0, "when": [{ "left": "row.queue", "op": "eq", "value": "billing" }] },
            { "id": "lost_refund", "description": "a refund elsewhere", "weight": 3.0, "when": [{ "left": "row.queue", "op": "eq", "value": "refund" }] },
            { "id": "noise", "description": "anything else", "weight": 1.0, "when": [{ "left": "row.queue", "op": "eq", "value": "other" }] },
        ],
        "ship_rule": { "min_effect_pp": 5.0, "loss_floor_pp": 3.0 },
        "trials": 3,
        "split": { "train": 0.25, "dev": 0.35, "test": 0.4 },
        "limits": { "parallel": 4, "timeout_s": 60.0 },
        "acknowledged": { "powered-design": "A fixture for tests: a few rows are enough to see this effect." },
    })
}

/// The frame with one change to it.
pub fn frame_with(change: impl FnOnce(&mut Value)) -> Value {
    let mut frame = frame();
    change(&mut frame);
    frame
}
