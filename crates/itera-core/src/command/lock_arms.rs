//! `lock_arms`: the latest gate-passed version of every arm goes to the test.

use super::{Move, permit};
use crate::event::Event;
use crate::guards::{GuardId, Rejection};
use crate::ids::{ArmId, Digest, Version};
use crate::state::State;
use std::collections::BTreeMap;

/// Lock what goes to the test.
#[derive(Debug, Clone)]
pub struct LockArms {
    /// Arm versions whose kept files or prepared state are no longer what was registered.
    pub changed: Vec<(ArmId, Version)>,
    /// Test rows whose content stands in an arm's files while no train row has it, by arm.
    pub quoted_test_rows: BTreeMap<ArmId, u64>,
    /// Digest of what each version runs: snapshot and prepared state.
    pub fingerprints: BTreeMap<ArmId, Digest>,
}

pub(super) fn decide(state: &State, command: LockArms) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::LockArms)?;
    let mut rejection = Rejection::default();
    super::pass::refuse_drift("`lock_arms`", &BTreeMap::new(), &command.changed, &mut rejection);
    for (arm, rows) in command.quoted_test_rows.iter().filter(|(_, n)| **n > 0) {
        rejection.refuse(
            GuardId::ContaminationScan,
            "`lock_arms`",
            format!("`{arm}` contains text of {rows} sealed test row(s) that no train row has"),
        );
    }
    let versions: BTreeMap<ArmId, Version> = state.live_arms().into_iter().collect();
    for (arm, version) in &versions {
        if state.dev_pass_of(arm, *version).is_none() {
            rejection.refuse(
                GuardId::PilotFirst,
                "`lock_arms`",
                format!("version {version} of `{arm}` was never scored on dev"),
            );
        }
    }
    rejection.or(vec![Event::ArmsLocked { versions, fingerprints: command.fingerprints }])
}

#[cfg(test)]
mod tests {
    use crate::command::Command;
    use crate::command::testkit::{Bench, gate, lock_arms};
    use crate::event::ChangeClass;
    use crate::guards::GuardId as G;
    use crate::ids::ArmId;

    #[test]
    fn without_changes_the_arms_lock_as_registered() {
        let bench = Bench::scored().locked();
        assert_eq!(bench.state.locked.as_ref().unwrap()[&ArmId::from("next")], 1);
    }

    #[test]
    fn ungated_changes_refuse_the_lock() {
        let bench = Bench::scored().iterated("2");
        let command = lock_arms(&bench.state);
        assert_eq!(bench.refused(Command::LockArms(command)), [G::GateBetweenSprints]);
    }

    #[test]
    fn the_latest_kept_version_is_locked_even_if_an_earlier_scored_higher() {
        let bench = Bench::scored().iterated("2").iterated("3");
        let mut command = gate(&bench.state, ChangeClass::Mechanism);
        command.changes[1].class = ChangeClass::Hardcode;
        let bench = bench.given(Command::Gate(command)).locked();
        assert_eq!(bench.state.locked.as_ref().unwrap()[&ArmId::from("next")], 2);
    }

    #[test]
    fn an_arm_that_quotes_the_test_is_refused() {
        let bench = Bench::scored();
        let mut command = lock_arms(&bench.state);
        command.quoted_test_rows.insert(ArmId::from("next"), 1);
        assert_eq!(bench.refused(Command::LockArms(command)), [G::ContaminationScan]);
    }
}
