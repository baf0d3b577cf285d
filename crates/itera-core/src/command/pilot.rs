//! `pilot`: one train row through every arm, every field checked; and the prepare step before it.

use super::{Move, permit};
use crate::event::{Event, PilotArm};
use crate::guards::{GuardId, Rejection};
use crate::ids::{ArmId, Digest, RowId, Version};
use crate::rule::GainMetric;
use crate::snapshot::{Snapshot, SnapshotDiff};
use crate::state::{Stage, State};
use std::collections::BTreeMap;

/// Record what an arm's prepare command wrote.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Arm.
    pub arm: ArmId,
    /// Version.
    pub version: Version,
    /// Digest of everything it wrote.
    pub state_digest: Digest,
    /// Train rows it was given.
    pub train_rows: u64,
    /// Seconds it took.
    pub seconds: f64,
}

pub(super) fn decide_prepared(state: &State, c: Prepared) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::Pilot)?;
    let known = state.arms.get(&c.arm).and_then(|a| a.version(c.version));
    let mut rejection = Rejection::default();
    match known {
        None => rejection.problem("arm", "no such arm version", "Call `status`."),
        Some(v) if v.state_digest.as_ref().is_some_and(|d| *d != c.state_digest) => rejection.refuse(
            GuardId::SameInputs,
            "preparing an arm again",
            format!("version {} of `{}` was prepared before and gave something else", c.version, c.arm),
        ),
        Some(_) => {}
    }
    rejection.or(vec![Event::ArmPrepared {
        arm: c.arm,
        version: c.version,
        state_digest: c.state_digest,
        train_rows: c.train_rows,
        seconds: c.seconds,
    }])
}

/// A repair of an arm between the lock and the first dev pass.
#[derive(Debug, Clone)]
pub struct Repair {
    /// Arm.
    pub arm: ArmId,
    /// Why.
    pub reason: String,
    /// What it is now.
    pub snapshot: Snapshot,
    /// Difference to what was locked.
    pub diff: SnapshotDiff,
}

/// Record one train row's way through the arms.
#[derive(Debug, Clone)]
pub struct Pilot {
    /// The row.
    pub row: RowId,
    /// Each arm's answer; `problems` holds what the shell saw missing.
    pub arms: BTreeMap<ArmId, PilotArm>,
}

/// Whether an arm's files may be replaced now: after a pilot failed or before any, while nothing
/// was scored on dev.
///
/// # Errors
/// The guard that forbids it.
pub fn repair(state: &State, repairs: Vec<Repair>) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::Pilot)?;
    let mut rejection = Rejection::default();
    for r in &repairs {
        if !matches!(state.stage, Stage::Sourced | Stage::Piloted) {
            rejection.refuse(
                GuardId::SameInputs,
                format!("repairing `{}`", r.arm),
                "dev rows have been scored: from now on a change needs a hypothesis",
            );
        }
        if !state.arms.contains_key(&r.arm) {
            rejection.problem("repair", format!("no arm `{}`", r.arm), "Name an arm of the frame.");
        }
        if r.reason.trim().chars().count() < 10 {
            rejection.problem(
                "repair",
                "the reason is shorter than 10 characters",
                "Say what was broken; it is printed with the verdict.",
            );
        }
    }
    rejection.or(repairs
        .into_iter()
        .map(|r| Event::ArmRepaired { arm: r.arm, reason: r.reason, snapshot: r.snapshot, diff: r.diff })
        .collect())
}

pub(super) fn decide(state: &State, mut command: Pilot) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::Pilot)?;
    let gain = state.frame.as_ref().and_then(|f| f.ship_rule.required_gain);
    for arm in command.arms.values_mut() {
        if !arm.answered {
            arm.problems.push("no answer came".into());
        } else if arm.output_chars == 0 {
            arm.problems.push("the output is empty".into());
        }
        if arm.latency_ms.is_nan() || arm.latency_ms <= 0.0 {
            arm.problems.push("no latency was measured".into());
        }
        if gain.is_some_and(|g| g.metric == GainMetric::Cost) && arm.cost_usd.is_none() {
            arm.problems.push("the ship rule asks for a gain in cost and the arm reports none".into());
        }
        arm.problems.dedup();
    }
    let passed = command.arms.values().all(|a| a.problems.is_empty());
    Ok(vec![Event::PilotRun { row: command.row, arms: command.arms, passed }])
}

#[cfg(test)]
mod tests {
    use crate::command::Command;
    use crate::command::pilot::{Pilot, Repair, repair};
    use crate::command::testkit::{Bench, diff, frame, pilot, snapshot, start};
    use crate::event::Event;
    use crate::guards::GuardId as G;
    use crate::ids::ArmId;
    use crate::state::Stage;

    #[test]
    fn an_arm_without_an_answer_fails_the_pilot_and_scoring_stays_refused() {
        let Command::Pilot(Pilot { row, mut arms }) = pilot(&["base", "next"]) else { unreachable!() };
        if let Some(arm) = arms.get_mut(&ArmId::from("next")) {
            arm.output_chars = 0;
        }
        let bench = Bench::sourced().given(Command::Pilot(Pilot { row, arms }));
        assert_eq!(bench.state.stage, Stage::Sourced);
        assert_eq!(bench.refused(Command::StartPass(start())), [G::PilotFirst]);
    }

    #[test]
    fn a_pilot_before_the_lock_is_refused() {
        assert_eq!(Bench::default().refused(pilot(&["base"])), [G::FrameFirst]);
    }

    #[test]
    fn a_repair_is_allowed_until_the_first_pass_only() {
        let fixed = || {
            vec![Repair {
                arm: ArmId::from("next"),
                reason: "the prompt file had no placeholder".into(),
                snapshot: snapshot(&frame(), "next", "fixed"),
                diff: diff(),
            }]
        };
        let events = repair(&Bench::piloted().state, fixed()).unwrap();
        assert!(matches!(events[0], Event::ArmRepaired { .. }));
        let refused = repair(&Bench::scored().state, fixed()).unwrap_err();
        assert_eq!(refused.guards[0].guard, G::SameInputs);
    }
}
