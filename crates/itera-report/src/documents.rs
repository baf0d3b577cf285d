//! `frame.md` and `conclusion.md`.

use crate::data_json as out;
use crate::figures::overfit;
use crate::record::{Record, RecordError};
use crate::words::{cell, distribution_table, frame_table, plain_number, pp, rule};
use itera_core::audit::{AuditStatus, audit};
use itera_core::event::Event;
use itera_core::frame::Frame;
use itera_core::rule::{Outcome, Verdict};
use std::fmt::Write;

/// The registered frame, with the hash under which it was locked.
///
/// # Errors
/// When no frame is locked.
pub fn frame_md(record: &Record) -> Result<String, RecordError> {
    let state = record.state();
    let frame = record.frame(&state)?;
    let locked = record
        .entries
        .iter()
        .find_map(|e| match &e.event {
            Event::FrameLocked { consent, snapshots, .. } => Some((e.at, consent, snapshots)),
            _ => None,
        })
        .ok_or(RecordError::Missing("lock"))?;
    let mut text = format!("# Frame: {}\n\n{}\n", frame.topic, frame_table(frame));
    let _ = writeln!(
        text,
        "Locked {} under `{}`, confirmed {}.\n",
        locked.0,
        state.frame_hash.as_ref().map_or("", |h| h.as_str()),
        locked.1.channel.words()
    );
    text.push_str("## What ran\n\n| arm | command | snapshot | files |\n|---|---|---|---|\n");
    for arm in frame.all_arms() {
        let snapshot = locked.2.get(&arm.id);
        let _ = writeln!(
            text,
            "| `{}` | `{}` | `{}` | {} |",
            arm.id,
            cell(&arm.command.join(" ")),
            snapshot.map_or("", |s| s.digest.short()),
            snapshot.map_or(String::new(), |s| s
                .files
                .iter()
                .map(|f| format!("`{}`", f.path))
                .collect::<Vec<_>>()
                .join(", "))
        );
    }
    text.push_str("\n## As registered\n\n```json\n");
    text.push_str(&serde_json::to_string_pretty(frame).unwrap_or_default());
    text.push_str("\n```\n");
    Ok(text)
}

/// The one-page conclusion.
///
/// # Errors
/// When the record has no verdict.
pub fn conclusion_md(record: &Record, data: &out::DataJson, verdict: &Verdict) -> Result<String, RecordError> {
    let state = record.state();
    let frame = record.frame(&state)?;
    let mut text = String::new();
    let outcome = data.verdict.outcome.map_or("", out::Outcome::label);
    let _ = writeln!(text, "# {}: {}\n", headline(data, verdict), frame.topic);
    let _ = writeln!(text, "> {}\n", cell(&frame.question));
    let _ = writeln!(text, "**Verdict: {outcome}.** {}\n", data.verdict.rationale);
    let _ =
        writeln!(text, "Rule, registered before any row was read: {}. {}\n", rule(frame), crate::words::scorer(frame));
    verdict_table(&mut text, data, verdict, frame);
    text.push_str("\n![Effects by slice](charts/forest-plot.svg)\n\n");
    arms_section(&mut text, data, frame);
    iterations_section(&mut text, data);
    modes_section(&mut text, data);
    severity_section(&mut text, data, verdict);
    cost_section(&mut text, data);
    text.push_str("## What to test next\n\n");
    let _ = writeln!(text, "{}\n", next_question(data, verdict, frame));
    limits_section(&mut text, record, data, verdict)?;
    audit_section(&mut text, record);
    let _ = writeln!(
        text,
        "\nRecheck everything on this page: `auto-itera verify <this folder>`. Frame `{}`, ledger head `{}`.",
        data.frame_hash.as_deref().unwrap_or("").get(..12).unwrap_or(""),
        data.ledger_head.as_deref().unwrap_or("").get(..12).unwrap_or("")
    );
    Ok(text)
}

fn headline(data: &out::DataJson, verdict: &Verdict) -> String {
    match &verdict.family.outcome {
        itera_core::rule::FamilyOutcome::Ship { arm } => format!("Ship `{arm}`"),
        itera_core::rule::FamilyOutcome::Scope { arm, slices } => {
            format!("Scope `{arm}` to {}", slices.iter().map(|s| s.value.as_str()).collect::<Vec<_>>().join(", "))
        }
        itera_core::rule::FamilyOutcome::Kill { .. } => {
            let arms = data.verdict.per_arm.iter().map(|a| format!("`{}`", a.arm)).collect::<Vec<_>>().join(", ");
            format!("Kill {arms}")
        }
        itera_core::rule::FamilyOutcome::Underpowered { .. } => "Underpowered".to_owned(),
    }
}

fn interval(e: &out::Effect) -> String {
    match (e.ci_low, e.ci_high) {
        (Some(low), Some(high)) => format!("{} [{}, {}]", pp(e.delta), pp(low), pp(high)),
        _ => format!("{} (no interval)", pp(e.delta)),
    }
}

fn verdict_table(text: &mut String, data: &out::DataJson, verdict: &Verdict, frame: &Frame) {
    let floor = -frame.ship_rule.loss_floor_pp.abs() / 100.0;
    text.push_str("## Verdict\n\n| arm | where | n | effect, pp [95%] | one-sided bounds | MDE | rule |\n|---|---|---:|---:|---:|---:|---|\n");
    for arm in &verdict.arms {
        let Some(effects) = data.effect_sizes.get(&arm.arm) else { continue };
        let bounds = |e: &out::Effect| match (e.lower_bound, e.upper_bound) {
            (Some(l), Some(u)) => format!("{}, {}", pp(l), pp(u)),
            _ => "-".to_owned(),
        };
        let mde = |e: &out::Effect| e.mde.map_or("-".to_owned(), |m| format!("{:.1}", m * 100.0));
        let word = match &arm.outcome {
            Outcome::Ship => "**ship**".to_owned(),
            Outcome::Scope { slices } => {
                format!("**scope** to {}", slices.iter().map(|s| s.to_string()).collect::<Vec<_>>().join(", "))
            }
            Outcome::Kill { harm: true } => "**kill** (harm)".to_owned(),
            Outcome::Kill { harm: false } => "**kill**".to_owned(),
            Outcome::Underpowered { .. } => "**underpowered**".to_owned(),
        };
        let a = &effects.aggregate;
        let _ = writeln!(
            text,
            "| `{}` | all rows | {} | {} | {} | {} | {word} |",
            arm.arm,
            a.n.unwrap_or(0),
            interval(a),
            bounds(a),
            mde(a)
        );
        for slice in &arm.slices {
            let Some(e) = effects.per_slice.get(&slice.slice.to_string()) else { continue };
            let says = if slice.floor_holds {
                "floor holds"
            } else if e.upper_bound.is_some_and(|u| u < floor) {
                "**below the floor**"
            } else {
                "floor not shown"
            };
            let _ = writeln!(
                text,
                "| | {} | {} | {} | {} | {} | {says} |",
                cell(&slice.slice.to_string()),
                e.n.unwrap_or(0),
                interval(e),
                bounds(e),
                mde(e)
            );
        }
    }
    text.push('\n');
    for arm in &data.verdict.per_arm {
        let _ = writeln!(text, "- `{}`: {} (clause `{}`)", arm.arm, arm.sentence, arm.clause);
    }
}

fn arms_section(text: &mut String, data: &out::DataJson, frame: &Frame) {
    text.push_str("## Arms\n\n| arm | reference | version | dev, mean of trials | test | latency p50 / p95, ms |\n|---|---|---:|---:|---:|---:|\n");
    for arm in &data.arms {
        let trials = data.variance_trials.get(&arm.id).cloned().unwrap_or_default();
        let dev = crate::figures::mean(&trials).map_or("-".to_owned(), |m| format!("{:.1}%", m * 100.0));
        let latency =
            arm.latency.and_then(|l| Some(format!("{:.0} / {:.0}", l.p50_ms?, l.p95_ms?))).unwrap_or("-".into());
        let test = arm.test_score.map_or("-".to_owned(), |s| format!("{:.1}%", s.mean * 100.0));
        let change =
            frame.arms.iter().find(|a| a.id.as_str() == arm.id).map_or(String::new(), |a| format!(": {}", a.change));
        let _ = writeln!(
            text,
            "| `{}`{} | {} | {} | {dev} | {test} | {latency} |",
            arm.id,
            cell(&change),
            cell(arm.reference.as_deref().unwrap_or("")),
            arm.version.unwrap_or(1)
        );
    }
    text.push_str("\n![Mean per arm](charts/arm-bar.svg)\n\n");
}

fn iterations_section(text: &mut String, data: &out::DataJson) {
    text.push_str("## Iterations\n\n");
    if data.iterations.is_empty() {
        text.push_str("None: the arms went to the test as they were registered.\n\n");
        return;
    }
    for i in &data.iterations {
        let found = match (i.outcome, i.effect, i.se) {
            (Some(o), Some(e), Some(se)) => format!(
                "{} on dev: {} pp, noise {:.1} pp, {} rows",
                match o {
                    out::IterationOutcome::Supported => "Supported",
                    out::IterationOutcome::Neutral => "Neutral",
                    out::IterationOutcome::Falsified => "Falsified",
                },
                pp(e),
                se * 100.0,
                i.rows.unwrap_or(0)
            ),
            _ => "Withdrawn before it was scored".to_owned(),
        };
        let gate = match &i.gate {
            Some(g) if g.kept => format!("Kept at the gate as a mechanism: {}", sentence(&g.reason)),
            Some(g) => format!("Not kept at the gate: {}", sentence(&g.reason)),
            None => "Not judged by a gate.".to_owned(),
        };
        let _ = writeln!(
            text,
            "**Sprint {}, iteration {}: `{}` v{}.** {} Change: {} {found}. {gate}\n",
            i.sprint,
            i.iteration,
            i.arm,
            i.version,
            sentence(&i.hypothesis),
            sentence(&i.change)
        );
    }
}

fn sentence(text: &str) -> String {
    let text = cell(text.trim());
    if text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}

fn modes_section(text: &mut String, data: &out::DataJson) {
    let Some(modes) = &data.failure_modes else { return };
    let answers = modes.answers_per_arm.unwrap_or(1).max(1) as f64;
    text.push_str(
        "## Failure modes\n\nPer 100 answers on test; a wrong answer may carry several.\n\n| mode | weight |",
    );
    for arm in &data.arms {
        let _ = write!(text, " `{}` |", arm.id);
    }
    text.push_str("\n|---|---:|");
    text.push_str(&"---:|".repeat(data.arms.len()));
    text.push('\n');
    let base = data.arms.first().map(|a| a.id.clone()).unwrap_or_default();
    for mode in &modes.categories {
        let _ = write!(
            text,
            "| `{}` ({}) | {} |",
            mode.id,
            cell(&mode.name),
            mode.severity_weight.map_or("-".into(), plain_number)
        );
        let rate = |arm: &str| {
            modes.test_set_counts.get(arm).and_then(|m| m.get(&mode.id)).map(|n| *n as f64 / answers * 100.0)
        };
        for arm in &data.arms {
            match (rate(&arm.id), rate(&base)) {
                (Some(r), _) if arm.id == base => {
                    let _ = write!(text, " {r:.1} |");
                }
                (Some(r), Some(b)) => {
                    let _ = write!(text, " {r:.1} ({:+.1}) |", r - b);
                }
                _ => text.push_str(" - |"),
            }
        }
        text.push('\n');
    }
    text.push('\n');
}

fn severity_section(text: &mut String, data: &out::DataJson, verdict: &Verdict) {
    let Some(severity) = &data.severity else { return };
    let _ = writeln!(
        text,
        "## Weighted by stake\n\nRows weighted by `{}`{}.\n\n| arm | unweighted effect, pp | weighted effect, pp [95%] | agree |\n|---|---:|---:|---|",
        severity.field,
        severity.cap.map_or(String::new(), |c| format!(", capped at {}", plain_number(c)))
    );
    for arm in &verdict.arms {
        let (Some(plain), Some(weighted)) = (data.effect_sizes.get(&arm.arm), severity.effect_sizes.get(&arm.arm))
        else {
            continue;
        };
        let agree = if plain.aggregate.delta.signum() == weighted.delta.signum() { "yes" } else { "**no**" };
        let _ = writeln!(text, "| `{}` | {} | {} | {agree} |", arm.arm, pp(plain.aggregate.delta), interval(weighted));
    }
    text.push('\n');
}

fn cost_section(text: &mut String, data: &out::DataJson) {
    if data.arms.iter().all(|a| a.cost.is_none()) {
        text.push_str("## Cost\n\nNo arm reported a cost.\n\n");
        return;
    }
    text.push_str("## Cost\n\nSteady state, first calls apart.\n\n| arm | per 1,000 rows, USD | first call, USD |\n|---|---:|---:|\n");
    for arm in &data.arms {
        let first = arm.cost.and_then(|c| c.first_call_mean_usd).map_or("-".to_owned(), |c| format!("{c:.6}"));
        let _ = writeln!(
            text,
            "| `{}` | {} | {first} |",
            arm.id,
            arm.cost_per_1k_usd.map_or("-".into(), |c| format!("{c:.4}"))
        );
    }
    text.push_str("\n![Cost against score](charts/cost-vs-accuracy.svg)\n\n");
}

fn next_question(data: &out::DataJson, verdict: &Verdict, frame: &Frame) -> String {
    use itera_core::rule::FamilyOutcome as F;
    let worst = verdict
        .arms
        .iter()
        .flat_map(|a| a.slices.iter().map(move |s| (a, s)))
        .filter(|(_, s)| !s.floor_holds)
        .min_by(|a, b| a.1.estimate.effect.total_cmp(&b.1.estimate.effect));
    match &verdict.family.outcome {
        F::Ship { arm } => match worst {
            Some((other, s)) if other.arm != *arm => format!(
                "Does the change of `{}` help elsewhere once {} is left to `{arm}`, on fresh rows?",
                other.arm, s.slice
            ),
            _ => format!(
                "With `{arm}` as the new baseline, which of its remaining `{}` errors has a cause that a single change addresses?",
                worst_mode(data, arm)
            ),
        },
        F::Scope { arm, .. } => match worst {
            Some((_, s)) => {
                format!("What makes {} different, such that `{arm}` cannot be shown to hold its floor there?", s.slice)
            }
            None => format!("Can `{arm}` be shown to hold outside the slices it ships in, on fresh rows?"),
        },
        F::Kill { .. } => format!(
            "Which mechanism other than \"{}\" would move `{}`?",
            cell(frame.hypothesis.trim_end_matches('.')),
            cell(&frame.metric.name)
        ),
        F::Underpowered { rows_needed } => match rows_needed {
            Some(n) => format!("The same question with about {n} fresh test rows."),
            None => "The same question with a threshold that this volume of production rows can resolve.".to_owned(),
        },
    }
}

fn worst_mode<'a>(data: &'a out::DataJson, arm: &str) -> &'a str {
    let Some(modes) = &data.failure_modes else { return "remaining" };
    modes
        .categories
        .iter()
        .max_by(|a, b| {
            let load = |c: &out::FailureCategory| {
                let n = modes.test_set_counts.get(arm).and_then(|m| m.get(&c.id)).copied().unwrap_or(0);
                n as f64 * c.severity_weight.unwrap_or(1.0)
            };
            load(a).total_cmp(&load(b))
        })
        .map_or("remaining", |c| c.id.as_str())
}

fn limits_section(
    text: &mut String,
    record: &Record,
    data: &out::DataJson,
    verdict: &Verdict,
) -> Result<(), RecordError> {
    let state = record.state();
    let sample = record.sample(&state)?;
    text.push_str("## Limits and disclosures\n\n");
    for d in &data.disclosures {
        let _ = writeln!(text, "- {} ({})", sentence(&d.text), d.id);
    }
    for (arm, alarm) in overfit(record, verdict)? {
        if !alarm.raised {
            let _ = writeln!(
                text,
                "- `{arm}`: {} pp on dev, {} pp on test; the difference is within twice its noise ({:.1} pp).",
                pp(alarm.dev_effect),
                pp(alarm.test_effect),
                alarm.noise * 100.0
            );
        }
    }
    let _ = writeln!(
        text,
        "- {} rows of {} in the source: {} train, {} dev, {} sealed test. The verdict speaks of rows like these.\n",
        sample.sampled, sample.source_rows, sample.splits.train, sample.splits.dev, sample.splits.test
    );
    let _ = writeln!(
        text,
        "<details><summary>Sample against production</summary>\n\n{}\n</details>\n",
        distribution_table(sample)
    );
    Ok(())
}

fn audit_section(text: &mut String, record: &Record) {
    let lines = audit(&record.entries);
    let count = |s: AuditStatus| lines.iter().filter(|l| l.status == s).count();
    let _ = writeln!(
        text,
        "<details><summary>Discipline, from the ledger: {} passed, {} disclosed, {} not applicable, {} not enforced by this version</summary>\n",
        count(AuditStatus::Passed),
        count(AuditStatus::Disclosed),
        count(AuditStatus::NotApplicable),
        count(AuditStatus::NotEnforced) + count(AuditStatus::Pending),
    );
    text.push_str("| | guard | what proves it | entry |\n|---|---|---|---:|\n");
    for line in &lines {
        let mark = match line.status {
            AuditStatus::Passed => "passed",
            AuditStatus::Disclosed => "**disclosed**",
            AuditStatus::NotApplicable => "n/a",
            AuditStatus::Pending => "pending",
            AuditStatus::NotEnforced => "not enforced",
        };
        let _ = writeln!(
            text,
            "| {mark} | `{}` | {} | {} |",
            line.guard,
            cell(&line.evidence),
            line.entry.map_or(String::new(), |e| e.to_string())
        );
    }
    text.push_str("\n</details>\n");
}
