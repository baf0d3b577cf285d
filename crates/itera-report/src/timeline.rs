//! The ledger in words: one line per entry.

use crate::page::{escaped, sentence};
use crate::words::{count, pp, usd};
use itera_core::chain::Entry;
use itera_core::event::{Event, GateDecision, Outcome, PassKind};
use std::collections::BTreeMap;

/// One entry of the ledger, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Number of the entry.
    pub entry: u64,
    /// When it was written: UTC, to the second.
    pub at: String,
    /// What happened, in the small Markdown of [`crate::page`].
    pub what: String,
}

/// Every entry up to the verdict, in order.
pub fn timeline(entries: &[Entry]) -> Vec<Moment> {
    let mut passes = BTreeMap::new();
    let mut moments = Vec::new();
    for entry in entries {
        if let Event::PassStarted { pass } = &entry.event {
            passes.insert(pass.pass, pass.kind);
        }
        if matches!(entry.event, Event::Concluded { .. }) {
            continue;
        }
        let at = entry.at.to_string();
        moments.push(Moment {
            entry: entry.seq,
            at: format!("{} {} UTC", at.get(..10).unwrap_or_default(), at.get(11..19).unwrap_or_default()),
            what: words(&entry.event, &passes),
        });
    }
    moments
}

fn words(event: &Event, passes: &BTreeMap<u32, PassKind>) -> String {
    let of = |pass: &u32| match passes.get(pass) {
        Some(PassKind::Test) => "the sealed test".to_owned(),
        _ => format!("dev (pass {pass})"),
    };
    match event {
        Event::FrameDrafted { frame, .. } => format!(
            "**Frame drafted**: baseline `{}`, {} candidate(s), metric {}.",
            frame.baseline.id,
            frame.arms.len(),
            escaped(&frame.metric.name)
        ),
        Event::FrameConfirmed { frame_hash } => {
            format!("**Frame confirmed** in a terminal, as `{}`.", frame_hash.short())
        }
        Event::FrameLocked { frame_hash, consent, .. } => {
            format!("**Frame locked** under `{}`, confirmed {}.", frame_hash.short(), consent.channel.words())
        }
        Event::FenceObserved { during, seen } => match seen {
            Some(_) => format!("**Fence seen** at work during `{}`.", escaped(during)),
            None => format!("**Fence not seen** during `{}`: the editor's hooks were not at work.", escaped(during)),
        },
        Event::RowsSourced { summary, .. } => format!(
            "**Rows sourced**: {} of {}; {} train, {} dev, {} test, sealed.",
            count(summary.sampled),
            count(summary.source_rows),
            count(summary.splits.train),
            count(summary.splits.dev),
            count(summary.splits.test)
        ),
        Event::ArmPrepared { arm, version, train_rows, .. } => {
            format!("**Arm prepared**: `{arm}` version {version}, given {} train rows.", count(*train_rows))
        }
        Event::ArmRepaired { arm, reason, .. } => {
            format!("**Arm repaired** after a failed pilot: `{arm}`. {}", escaped(&sentence(reason)))
        }
        Event::PilotRun { arms, passed, .. } => format!(
            "**Pilot** on one train row through {}: {}.",
            arms.keys().map(|a| format!("`{a}`")).collect::<Vec<_>>().join(", "),
            if *passed { "every field was there" } else { "something was missing" }
        ),
        Event::PassStarted { pass } => format!(
            "**{}**: {} calls over {} rows{}, {} trial(s) each.",
            if pass.kind == PassKind::Test {
                "Test opened".to_owned()
            } else {
                format!("Dev pass {} started", pass.pass)
            },
            count(pass.calls),
            count(pass.rows.len() as u64),
            match pass.train_rows.len() as u64 {
                0 => String::new(),
                n => format!(" and {} of train", count(n)),
            },
            pass.trials
        ),
        Event::PassCompleted { pass, records, failed_calls, cost_usd, iteration, .. } => {
            let failed = if *failed_calls > 0 { format!(", {} failed", count(*failed_calls)) } else { String::new() };
            let spent = if *cost_usd > 0.0 { format!(", {}", usd(*cost_usd)) } else { String::new() };
            let found = iteration.as_ref().map_or_else(String::new, |i| {
                format!(
                    " `{}` version {}: {} pp, {}.",
                    i.arm,
                    i.version,
                    pp(i.effect),
                    match i.outcome {
                        Outcome::Supported => "supported",
                        Outcome::Neutral => "neutral",
                        Outcome::Falsified => "falsified",
                    }
                )
            });
            format!("**Scored** {}: {} answers{failed}{spent}.{found}", of(pass), count(*records))
        }
        Event::PassCancelled { pass, reason } => {
            format!("**Cancelled** {}; its scores were never shown. {}", of(pass), escaped(&sentence(reason)))
        }
        Event::Diagnosed { pass } => format!("**Differences shown** for {}.", of(pass)),
        Event::RowsDemoted { rows } => {
            format!("**Dev rows revealed**: {}; they belong to train from here on.", count(rows.len() as u64))
        }
        Event::ChangeProposed { proposal: p } => format!(
            "**Change {}.{}** to `{}`, now version {}: {} Expected: {}",
            p.sprint,
            p.iteration,
            p.arm,
            p.version,
            escaped(&sentence(&p.change)),
            escaped(&sentence(&p.hypothesis))
        ),
        Event::GateJudged { gate } => format!(
            "**Gate {}**: {}; {} of {} change(s) kept. {}",
            gate.sprint,
            match gate.decision {
                GateDecision::Continue => "another sprint may follow",
                GateDecision::Lock => "lock",
                GateDecision::Kill => "no candidate is left",
            },
            gate.findings.iter().filter(|f| f.kept).count(),
            gate.findings.len(),
            escaped(&sentence(&gate.reason))
        ),
        Event::ArmsLocked { versions, .. } => format!(
            "**Versions locked** for the test: {}.",
            versions.iter().map(|(a, v)| format!("`{a}` version {v}")).collect::<Vec<_>>().join(", ")
        ),
        Event::VerdictReached { verdict, .. } => format!("**Verdict**: {}.", verdict.family.outcome.name()),
        Event::Concluded { folder, .. } => format!("**Concluded** in {}.", escaped(folder)),
        Event::Abandoned { reason } => format!("**Abandoned**. {}", escaped(&sentence(reason))),
    }
}
