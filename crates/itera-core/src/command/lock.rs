//! `lock_frame`: one confirmation by the person, then the frame is hashed and frozen.

use super::draft::{ReferenceFound, check};
use super::{Move, permit};
use crate::event::{Consent, Event, PlannedDesign};
use crate::guards::{GuardId, Rejection};
use crate::ids::{ArmId, Digest};
use crate::snapshot::{Snapshot, SnapshotDiff};
use crate::state::State;
use std::collections::BTreeMap;

/// Confirm and lock the frame.
#[derive(Debug, Clone)]
pub struct Lock {
    /// Who confirmed it and how.
    pub consent: Consent,
    /// Hash of the frame that was shown and confirmed.
    pub confirmed_hash: Digest,
    /// What stands at the arms' references.
    pub references: BTreeMap<String, ReferenceFound>,
    /// What each arm is now.
    pub snapshots: BTreeMap<ArmId, Snapshot>,
    /// How each arm differs from the baseline.
    pub diffs: BTreeMap<ArmId, SnapshotDiff>,
    /// Digest of the source file, where it could be read.
    pub source_digest: Option<Digest>,
    /// What the planned test could see, where the rows could be counted.
    pub design: Option<PlannedDesign>,
}

pub(super) fn decide(state: &State, command: Lock) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::Lock)?;
    let mut rejection = Rejection::default();
    let Some(frame) = &state.frame else {
        return Ok(Vec::new());
    };
    check(frame, &command.references, &mut rejection);
    let hash = frame.hash();
    if command.confirmed_hash != hash {
        rejection.refuse(
            GuardId::FrameFrozen,
            "`lock_frame`",
            format!(
                "the frame confirmed has the hash {}, the draft has {}",
                command.confirmed_hash.short(),
                hash.short()
            ),
        );
    }
    if command.consent.channel.relayed() && command.consent.statement.trim().is_empty() {
        rejection.problem(
            "confirmation",
            "nothing says that the person confirmed the frame",
            "Show the person the frame and every command that will run, and pass on their answer verbatim.",
        );
    }
    for spec in frame.all_arms() {
        let Some(snapshot) = command.snapshots.get(&spec.id) else {
            rejection.problem(format!("arm `{}`", spec.id), "it could not be snapshotted", "See the other messages.");
            continue;
        };
        let source = command.source_digest.as_ref();
        if snapshot.files.iter().any(|f| f.path == frame.source.path || Some(&f.digest) == source) {
            rejection.refuse(
                GuardId::SealedTest,
                format!("locking arm `{}`", spec.id),
                "the source of the rows is among its files, so it could look up the answers",
            );
            if let Some(last) = rejection.guards.last_mut() {
                last.remedy =
                    "Remove it from `files`; an arm may be fitted on the train rows alone, by its `prepare` command."
                        .into();
            }
        }
        let twin = frame
            .all_arms()
            .take_while(|other| other.id != spec.id)
            .find(|other| command.snapshots.get(&other.id).is_some_and(|s| s.digest == snapshot.digest));
        if let Some(twin) = twin {
            rejection.problem(
                format!("arm `{}`", spec.id),
                format!("it runs exactly what `{}` runs", twin.id),
                "Arms that do not differ answer no question: check `command` and `files`.",
            );
        }
    }
    let power = frame.ship_rule.power;
    let waived = frame.acknowledged.get(GuardId::PoweredDesign.name()).is_some_and(|r| r.trim().chars().count() >= 20);
    if let (Some(design), false) = (&command.design, waived)
        && design.power < power
    {
        rejection.refuse(
            GuardId::PoweredDesign,
            "`lock_frame`",
            format!(
                "with about {} test rows the rule ships an arm of {:+.1} pp in {:.0}% of experiments; {:.0}% are registered",
                design.test_rows,
                design.planned_effect_pp,
                design.power * 100.0,
                power * 100.0
            ),
        );
    }
    rejection.or(vec![Event::FrameLocked {
        frame_hash: hash,
        consent: command.consent,
        snapshots: command.snapshots,
        diffs: command.diffs,
        design: command.design,
    }])
}

#[cfg(test)]
mod tests {
    use crate::command::Command;
    use crate::command::testkit::{Bench, draft, frame, lock, snapshot};
    use crate::event::PlannedDesign;
    use crate::guards::GuardId as G;
    use crate::ids::{ArmId, Digest};
    use crate::state::Stage;

    #[test]
    fn given_a_draft_when_the_person_says_yes_then_it_is_locked_under_its_hash() {
        let bench = Bench::default().given(draft()).given(Command::Lock(lock()));
        assert_eq!(bench.state.stage, Stage::Framed);
        assert_eq!(bench.state.frame_hash, Some(frame().hash()));
    }

    #[test]
    fn a_hash_that_is_not_the_drafts_is_refused() {
        let mut command = lock();
        command.confirmed_hash = Digest::of(b"another frame");
        assert_eq!(Bench::default().given(draft()).refused(Command::Lock(command)), [G::FrameFrozen]);
    }

    #[test]
    fn a_design_without_power_is_refused_unless_acknowledged() {
        let mut command = lock();
        command.design =
            Some(PlannedDesign { power: 0.31, planned_effect_pp: 10.0, test_rows: 60, points: Vec::new() });
        assert_eq!(Bench::default().given(draft()).refused(Command::Lock(command)), [G::PoweredDesign]);
    }

    #[test]
    fn arms_that_run_the_same_are_a_problem() {
        let mut command = lock();
        let base = snapshot(&frame(), "base", "base");
        command.snapshots.insert(ArmId::from("next"), base);
        let rejection = Bench::default().given(draft()).when(Command::Lock(command)).unwrap_err();
        assert!(rejection.problems[0].what.contains("exactly what `base` runs"));
    }

    #[test]
    fn an_empty_relayed_confirmation_is_a_problem() {
        let mut command = lock();
        command.consent.statement = " ".into();
        let rejection = Bench::default().given(draft()).when(Command::Lock(command)).unwrap_err();
        assert_eq!(rejection.problems[0].at, "confirmation");
    }

    #[test]
    fn an_arm_that_carries_the_source_is_refused() {
        let mut command = lock();
        command.source_digest = Some(Digest::of(b"next"));
        assert_eq!(Bench::default().given(draft()).refused(Command::Lock(command)), [G::SealedTest]);
    }

    #[test]
    fn a_second_lock_is_refused() {
        assert_eq!(Bench::framed().refused(Command::Lock(lock())), [G::FrameFrozen]);
    }
}
