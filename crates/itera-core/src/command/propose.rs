//! `propose`: a hypothesis and the one change that tests it.

use super::{Move, permit};
use crate::event::{Event, Proposal};
use crate::frame::ArmSpec;
use crate::guards::{GuardId, Problem, Rejection};
use crate::ids::{ArmId, Version};
use crate::snapshot::{Snapshot, SnapshotDiff};
use crate::state::State;

/// Fewest characters of a hypothesis or a change that says anything.
const STATEMENT: usize = 20;

/// Register a change.
#[derive(Debug, Clone)]
pub struct Propose {
    /// Arm that changes.
    pub arm: ArmId,
    /// What should happen and why.
    pub hypothesis: String,
    /// The one change.
    pub change: String,
    /// The arm as it is now.
    pub spec: ArmSpec,
    /// Its files now.
    pub snapshot: Snapshot,
    /// Difference to the version it builds on.
    pub diff: SnapshotDiff,
}

/// The version a new proposal for an arm would build on.
pub fn builds_on(state: &State, arm: &ArmId) -> Option<Version> {
    let pending = state.pending_proposal().filter(|p| &p.arm == arm);
    match pending {
        Some(p) => Some(p.builds_on),
        None => state.arms.get(arm).map(|a| a.effective()),
    }
}

pub(super) fn decide(state: &State, command: Propose) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::Propose)?;
    let mut rejection = Rejection::default();
    let (Some(frame), Some(arm)) = (&state.frame, state.arms.get(&command.arm)) else {
        return Err(Problem::new(
            "arm",
            "no such arm in the frame",
            format!("Name one of: {}.", state.arms.keys().map(ArmId::as_str).collect::<Vec<_>>().join(", ")),
        )
        .into());
    };
    let attempted = format!("`propose` for `{}`", command.arm);
    if command.arm == frame.baseline.id {
        rejection.refuse(
            GuardId::FrameFrozen,
            &attempted,
            "the baseline is what is deployed; it does not change within an experiment",
        );
    }
    if arm.killed {
        rejection.refuse(
            GuardId::NoHardcodes,
            &attempted,
            "the gate killed this arm: most of its changes were hardcodes",
        );
    }
    if let Some(pending) = state.pending_proposal().filter(|p| p.arm != command.arm) {
        rejection.refuse(
            GuardId::OneChangePerIteration,
            &attempted,
            format!("version {} of `{}` is registered and not yet scored", pending.version, pending.arm),
        );
    }
    let said = |text: &str| text.trim().chars().count() >= STATEMENT;
    if !said(&command.hypothesis) {
        rejection.refuse(
            GuardId::HypothesisFirst,
            &attempted,
            format!(
                "the hypothesis has {} characters; a prediction with a mechanism needs at least {STATEMENT}",
                command.hypothesis.trim().chars().count()
            ),
        );
    }
    if !said(&command.change) {
        rejection.refuse(
            GuardId::OneChangePerIteration,
            &attempted,
            format!(
                "the change is stated in {} characters; at least {STATEMENT} are needed to say what the one change is",
                command.change.trim().chars().count()
            ),
        );
    }
    let source = state.sample.as_ref().map(|s| &s.source_digest);
    if command.snapshot.files.iter().any(|f| f.path == frame.source.path || Some(&f.digest) == source) {
        rejection.refuse(
            GuardId::SealedTest,
            &attempted,
            "the source of the rows is among the arm's files, so it could look up the answers",
        );
    }
    let Some(base) = builds_on(state, &command.arm) else {
        return rejection.or(Vec::new());
    };
    if arm.version(base).is_some_and(|v| v.snapshot.digest == command.snapshot.digest) {
        rejection.problem(
            "files",
            format!("nothing changed: the arm's files and command are those of version {base}"),
            "Edit the arm's files (or give a new command), then propose.",
        );
    }
    let iteration = state.pending_proposal().map_or(state.sprint.len() as u32 + 1, |p| p.iteration);
    rejection.or(vec![Event::ChangeProposed {
        proposal: Proposal {
            version: arm.newest() + 1,
            builds_on: base,
            sprint: state.sprint_number(),
            iteration,
            arm: command.arm,
            hypothesis: command.hypothesis,
            change: command.change,
            spec: command.spec,
            snapshot: command.snapshot,
            diff: command.diff,
        },
    }])
}

#[cfg(test)]
mod tests {
    use crate::command::Command;
    use crate::command::testkit::{Bench, gate, propose, start};
    use crate::event::ChangeClass;
    use crate::guards::GuardId as G;
    use crate::ids::ArmId;

    #[test]
    fn a_change_without_a_hypothesis_or_statement_is_refused() {
        let mut command = propose("two");
        command.hypothesis = "better".into();
        command.change = "stuff".into();
        assert_eq!(Bench::scored().refused(Command::Propose(command)), [G::HypothesisFirst, G::OneChangePerIteration]);
    }

    #[test]
    fn the_baseline_does_not_change() {
        let mut command = propose("two");
        command.arm = ArmId::from("base");
        assert!(Bench::scored().refused(Command::Propose(command)).contains(&G::FrameFrozen));
    }

    #[test]
    fn a_proposal_that_changes_nothing_is_a_problem() {
        assert!(
            Bench::scored().when(Command::Propose(propose("next"))).unwrap_err().problems[0]
                .what
                .contains("nothing changed")
        );
    }

    #[test]
    fn the_fourth_iteration_of_a_sprint_is_refused() {
        let bench = Bench::scored().iterated("2").iterated("3").iterated("4");
        assert_eq!(bench.refused(Command::Propose(propose("5"))), [G::SprintCap]);
        assert!(bench.gated().when(Command::Propose(propose("5"))).is_ok());
    }

    #[test]
    fn the_fourth_sprint_is_refused() {
        let bench = Bench::scored().iterated("2").gated().iterated("3").gated().iterated("4").gated();
        assert_eq!(bench.refused(Command::Propose(propose("5"))), [G::SprintLimit]);
    }

    #[test]
    fn an_unscored_proposal_is_replaced_and_keeps_its_place() {
        let bench = Bench::scored().given(Command::Propose(propose("2"))).given(Command::Propose(propose("3")));
        assert_eq!(bench.state.sprint.len(), 1);
        assert_eq!((bench.state.sprint[0].version, bench.state.sprint[0].builds_on), (3, 1));
        assert_eq!(bench.refused(Command::StartPass(start())), [G::PilotFirst]);
    }

    #[test]
    fn a_proposal_builds_on_the_latest_kept_version() {
        let bench = Bench::scored().iterated("2");
        let hardcode = gate(&bench.state, ChangeClass::Hardcode);
        let bench = bench.given(Command::Gate(hardcode)).given(Command::Propose(propose("3")));
        assert_eq!((bench.state.sprint[0].version, bench.state.sprint[0].builds_on), (3, 1));
    }

    #[test]
    fn nothing_changes_once_the_test_is_open() {
        let bench = Bench::scored().locked();
        assert_eq!(bench.refused(Command::Propose(propose("2"))), [G::LockLatest]);
        assert_eq!(bench.testing().refused(Command::Propose(propose("2"))), [G::NoIterationAfterVerdict]);
    }
}
