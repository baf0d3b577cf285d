//! `open_test`: start the one pass over the sealed rows.

use super::pass::check_budget;
use super::{Move, permit};
use crate::event::{Event, PassKind, PassPlan};
use crate::guards::{GuardId, Rejection};
use crate::ids::{ArmId, Digest, RowId};
use crate::state::State;
use std::collections::BTreeMap;

/// Open the sealed test.
#[derive(Debug, Clone)]
pub struct OpenTest {
    /// The sealed rows, sorted.
    pub rows: Vec<RowId>,
    /// Digest of what each locked version would run now, by arm.
    pub fingerprints: BTreeMap<ArmId, Digest>,
    /// The digests under which they were locked.
    pub locked_fingerprints: BTreeMap<ArmId, Digest>,
}

pub(super) fn decide(state: &State, command: OpenTest) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::OpenTest)?;
    let mut rejection = Rejection::default();
    let (Some(frame), Some(locked)) = (&state.frame, &state.locked) else {
        return Ok(Vec::new());
    };
    for (arm, locked_as) in &command.locked_fingerprints {
        if command.fingerprints.get(arm) != Some(locked_as) {
            rejection.refuse(
                GuardId::SameInputs,
                "`open_test`",
                format!("`{arm}` is no longer what was locked under {}", locked_as.short()),
            );
        }
    }
    let arms: Vec<(ArmId, u32)> = frame.all_arms().filter_map(|a| Some((a.id.clone(), *locked.get(&a.id)?))).collect();
    let calls = command.rows.len() as u64 * u64::from(frame.trials) * arms.len() as u64;
    check_budget(state, calls, &mut rejection);
    let pass = state.passes.len() as u32 + 1;
    rejection.or(vec![Event::PassStarted {
        pass: PassPlan {
            pass,
            kind: PassKind::Test,
            arms,
            rows: command.rows,
            train_rows: Vec::new(),
            trials: frame.trials,
            seed: frame.seed().wrapping_add(u64::from(pass)),
            calls,
        },
    }])
}

#[cfg(test)]
mod tests {
    use crate::command::Command;
    use crate::command::testkit::{Bench, lock_arms, open_test};
    use crate::guards::GuardId as G;
    use crate::ids::{ArmId, Digest};

    #[test]
    fn the_test_opens_once() {
        let bench = Bench::scored().locked();
        let prints = lock_arms(&bench.state).fingerprints;
        let bench = bench.given(Command::OpenTest(open_test(&prints)));
        assert_eq!(bench.refused(Command::OpenTest(open_test(&prints))), [G::OneTestPass]);
        let bench = bench.tested();
        assert_eq!(bench.refused(Command::OpenTest(open_test(&prints))), [G::OneTestPass]);
        let bench = bench.concluded();
        assert_eq!(bench.refused(Command::OpenTest(open_test(&prints))), [G::NoIterationAfterVerdict]);
    }

    #[test]
    fn unlocked_arms_and_changed_arms_are_refused() {
        let bench = Bench::scored();
        let prints = lock_arms(&bench.state).fingerprints;
        assert_eq!(bench.refused(Command::OpenTest(open_test(&prints))), [G::LockLatest]);
        let mut command = open_test(&prints);
        command.fingerprints.insert(ArmId::from("next"), Digest::of(b"edited"));
        assert_eq!(bench.locked().refused(Command::OpenTest(command)), [G::SameInputs]);
    }
}
