//! `score_start`, its completion and `score_cancel`: passes over dev.

use super::{Move, permit};
use crate::event::{Event, IterationOutcome, Outcome, PassKind, PassPlan};
use crate::guards::{GuardId, Problem, Rejection};
use crate::ids::{ArmId, Digest, RowId, Version};
use crate::state::State;
use std::collections::BTreeMap;

/// Start a dev pass.
#[derive(Debug, Clone)]
pub struct StartPass {
    /// Dev rows that were not revealed, sorted.
    pub rows: Vec<RowId>,
    /// Train rows to score along.
    pub train_rows: Vec<RowId>,
    /// Files of the project that differ from the arm's latest snapshot, by arm.
    pub drift: BTreeMap<ArmId, Vec<String>>,
    /// Arm versions whose kept files or prepared state are no longer what was registered.
    pub changed: Vec<(ArmId, Version)>,
}

/// The versions a dev pass would score now: all live arms the first time, then only the version
/// that a proposal added.
pub fn arms_to_score(state: &State) -> Vec<(ArmId, Version)> {
    match state.pending_proposal() {
        Some(p) => vec![(p.arm.clone(), p.version)],
        None => state.live_arms(),
    }
}

pub(super) fn decide_start(state: &State, command: StartPass) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::Score)?;
    let mut rejection = Rejection::default();
    let Some(frame) = &state.frame else {
        return Ok(Vec::new());
    };
    refuse_drift("`score_start`", &command.drift, &command.changed, &mut rejection);
    let arms = arms_to_score(state);
    if command.rows.is_empty() {
        rejection.problem(
            "dev",
            "no dev row is left: all were revealed",
            "Lock the arms, or abandon and source more rows.",
        );
    }
    let calls = (command.rows.len() + command.train_rows.len()) as u64 * u64::from(frame.trials) * arms.len() as u64;
    check_budget(state, calls, &mut rejection);
    let pass = state.passes.len() as u32 + 1;
    rejection.or(vec![Event::PassStarted {
        pass: PassPlan {
            pass,
            kind: PassKind::Dev,
            arms,
            rows: command.rows,
            train_rows: command.train_rows,
            trials: frame.trials,
            seed: frame.seed().wrapping_add(u64::from(pass)),
            calls,
        },
    }])
}

pub(super) fn refuse_drift(
    attempted: &str,
    drift: &BTreeMap<ArmId, Vec<String>>,
    changed: &[(ArmId, Version)],
    rejection: &mut Rejection,
) {
    for (arm, files) in drift.iter().filter(|(_, f)| !f.is_empty()) {
        rejection.refuse(
            GuardId::SameInputs,
            attempted,
            format!("{} file(s) of `{arm}` changed since its snapshot: {}", files.len(), files.join(", ")),
        );
    }
    for (arm, version) in changed {
        rejection.refuse(
            GuardId::SameInputs,
            attempted,
            format!("the kept copy of version {version} of `{arm}` is no longer what was registered"),
        );
    }
}

pub(super) fn check_budget(state: &State, calls: u64, rejection: &mut Rejection) {
    let Some(frame) = &state.frame else { return };
    let planned = state.planned_calls();
    if planned + calls > frame.limits.max_calls {
        rejection.problem(
            "limits.max_calls",
            format!(
                "this pass needs {calls} calls; {planned} are planned already and the frame allows {}",
                frame.limits.max_calls
            ),
            "The cap was fixed with the frame: abandon and register a higher one, or fewer rows.",
        );
    }
    if let Some(cap) = frame.limits.max_cost_usd {
        let spent: f64 = state.passes.iter().map(|p| p.cost_usd).sum();
        let done: u64 = state.passes.iter().filter(|p| p.records_digest.is_some()).map(|p| p.plan.calls).sum();
        let estimate = if done == 0 { pilot_cost(state) } else { spent / done as f64 } * calls as f64;
        if spent + estimate > cap {
            rejection.problem(
                "limits.max_cost_usd",
                format!("this pass would cost about ${estimate:.2}; ${spent:.2} of ${cap:.2} are spent"),
                "The cap was fixed with the frame: abandon and register a higher one, or fewer rows.",
            );
        }
    }
}

fn pilot_cost(state: &State) -> f64 {
    let Some(pilot) = &state.pilot else {
        return 0.0;
    };
    let costs: Vec<f64> = pilot.values().filter_map(|a| a.cost_usd).collect();
    if costs.is_empty() { 0.0 } else { costs.iter().sum::<f64>() / costs.len() as f64 }
}

/// Close a pass whose calls are all recorded.
#[derive(Debug, Clone)]
pub struct CompletePass {
    /// Number of the pass.
    pub pass: u32,
    /// Digest of its score records.
    pub records_digest: Digest,
    /// Records.
    pub records: u64,
    /// Records of failed calls.
    pub failed_calls: u64,
    /// Dollars.
    pub cost_usd: f64,
    /// Digest of the metadata of its rows.
    pub rows_digest: Digest,
    /// Where the pass scored a proposal: paired difference of each dev row that both versions
    /// answered, new version minus the one it builds on (fractions).
    pub differences: Vec<f64>,
}

pub(super) fn decide_complete(state: &State, command: CompletePass) -> Result<Vec<Event>, Rejection> {
    let Some(pass) = state.open_pass().filter(|p| p.plan.pass == command.pass) else {
        return Err(Problem::new("pass", format!("pass {} is not open", command.pass), "Call `status`.").into());
    };
    if command.records != pass.plan.calls {
        return Err(Problem::new(
            "pass",
            format!("{} of {} calls are recorded", command.records, pass.plan.calls),
            "Wait with `score_wait`.",
        )
        .into());
    }
    let iteration = state
        .pending_proposal()
        .filter(|_| pass.plan.kind == PassKind::Dev)
        .map(|p| outcome(p.arm.clone(), p.version, p.builds_on, &command.differences));
    Ok(vec![Event::PassCompleted {
        pass: command.pass,
        records_digest: command.records_digest,
        records: command.records,
        failed_calls: command.failed_calls,
        cost_usd: command.cost_usd,
        rows_digest: command.rows_digest,
        iteration,
    }])
}

/// What dev says of a change: the mean paired difference against twice its standard error.
pub fn outcome(arm: ArmId, version: Version, builds_on: Version, differences: &[f64]) -> IterationOutcome {
    let n = differences.len() as f64;
    let effect = if differences.is_empty() { 0.0 } else { differences.iter().sum::<f64>() / n };
    let se = if differences.len() < 2 {
        f64::MAX
    } else {
        (differences.iter().map(|d| (d - effect).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt()
    };
    let outcome = if effect > 0.0 && effect >= 2.0 * se {
        Outcome::Supported
    } else if effect < 0.0 && -effect >= 2.0 * se {
        Outcome::Falsified
    } else {
        Outcome::Neutral
    };
    IterationOutcome {
        arm,
        version,
        builds_on,
        effect,
        se: if se == f64::MAX { 0.0 } else { se },
        rows: differences.len() as u64,
        outcome,
    }
}

/// Cancel a dev pass.
#[derive(Debug, Clone)]
pub struct CancelPass {
    /// Why.
    pub reason: String,
}

pub(super) fn decide_cancel(state: &State, command: CancelPass) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::Cancel)?;
    let Some(pass) = state.open_pass() else {
        return Ok(Vec::new());
    };
    Ok(vec![Event::PassCancelled { pass: pass.plan.pass, reason: command.reason }])
}

#[cfg(test)]
mod tests {
    use super::outcome;
    use crate::command::Command;
    use crate::command::pass::CancelPass;
    use crate::command::testkit::{Bench, complete, skill, start};
    use crate::event::Outcome;
    use crate::guards::GuardId as G;
    use crate::ids::ArmId;
    use crate::state::Stage;

    #[test]
    fn scoring_before_the_pilot_is_refused() {
        assert_eq!(Bench::sourced().refused(Command::StartPass(start())), [G::PilotFirst]);
        assert_eq!(Bench::framed().refused(Command::StartPass(start())), [G::PilotFirst]);
    }

    #[test]
    fn scoring_again_without_a_hypothesis_is_refused() {
        assert_eq!(Bench::scored().refused(Command::StartPass(start())), [G::HypothesisFirst]);
    }

    #[test]
    fn a_changed_file_is_refused() {
        let mut command = start();
        command.drift.insert(ArmId::from("next"), vec!["prompts/next.txt".into()]);
        command.changed.push((ArmId::from("base"), 1));
        assert_eq!(Bench::piloted().refused(Command::StartPass(command)), [G::SameInputs, G::SameInputs]);
    }

    #[test]
    fn a_pass_with_missing_calls_does_not_close() {
        let bench = Bench::scoring();
        let Command::CompletePass(mut c) = complete(&bench.state, skill) else { unreachable!() };
        c.records -= 1;
        assert!(bench.when(Command::CompletePass(c)).unwrap_err().problems[0].what.contains("359 of 360"));
    }

    #[test]
    fn a_cancelled_pass_goes_back_to_where_it_came_from() {
        let bench = Bench::scoring().given(Command::CancelPass(CancelPass { reason: "wrong key".into() }));
        assert_eq!(bench.state.stage, Stage::Piloted);
        let bench = bench.given(Command::StartPass(start()));
        assert_eq!(bench.state.passes.len(), 2);
    }

    #[test]
    fn a_test_pass_cannot_be_cancelled() {
        let bench = Bench::scored().locked().testing();
        assert_eq!(bench.refused(Command::CancelPass(CancelPass { reason: "looks bad".into() })), [G::OneTestPass]);
    }

    #[test]
    fn outcomes_are_read_off_twice_the_noise() {
        let judged = |d: &[f64]| outcome(ArmId::from("a"), 2, 1, d).outcome;
        let some = |sign: f64| (0..100).map(|i| if i % 5 == 0 { sign } else { 0.0 }).collect::<Vec<_>>();
        assert_eq!(judged(&some(1.0)), Outcome::Supported);
        assert_eq!(judged(&some(-1.0)), Outcome::Falsified);
        assert_eq!(judged(&[1.0, -1.0, 0.0, 0.0]), Outcome::Neutral);
        assert_eq!(judged(&[]), Outcome::Neutral);
    }
}
