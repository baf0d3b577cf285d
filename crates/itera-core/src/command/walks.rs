//! Random walks: no sequence of commands reaches a verdict without the steps before it.

use super::testkit::{
    Bench, complete, draft, gate, lock, lock_arms, open_test, pilot, propose, rows_of, skill, source, start, verdict,
};
use super::{Command, abandon::Abandon, pass::CancelPass, read_rows::ReadRows};
use crate::event::{ChangeClass, Event, PassKind};
use crate::ids::{RowId, Split};
use crate::state::State;
use proptest::prelude::*;

fn command(bench: &Bench, choice: u8, salt: u8) -> Command {
    match choice % 16 {
        0 => draft(),
        1 => Command::Lock(lock()),
        2 => source(),
        3 => pilot(&["base", "next"]),
        4 => pilot(&["next"]),
        5 => Command::StartPass(start()),
        6 => complete(&bench.state, skill),
        7 => Command::CancelPass(CancelPass { reason: "walk".into() }),
        8 => Command::Diagnose,
        9 => Command::Propose(propose(&format!("text {salt}"))),
        10 => {
            let class = [ChangeClass::Mechanism, ChangeClass::Hardcode, ChangeClass::CannotTell][salt as usize % 3];
            Command::Gate(gate(&bench.state, class))
        }
        11 => Command::LockArms(lock_arms(&bench.state)),
        12 => Command::OpenTest(open_test(&lock_arms(&bench.state).fingerprints)),
        13 if bench.state.test_pass().is_some() => verdict(&bench.state, skill),
        14 => Command::ReadRows(ReadRows { rows: vec![(RowId(format!("r_{:03}", 20 + salt % 60)), Some(Split::Dev))] }),
        15 if salt == 0 => Command::Abandon(Abandon { reason: "walk".into() }),
        _ => Command::ReadRows(ReadRows {
            rows: rows_of(Split::Test).into_iter().take(1).map(|r| (r, Some(Split::Test))).collect(),
        }),
    }
}

fn position(events: &[Event], wanted: impl Fn(&Event) -> bool) -> Option<usize> {
    events.iter().position(wanted)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_walk_reaches_a_verdict_without_the_guards_events(steps in proptest::collection::vec((any::<u8>(), any::<u8>()), 0..160)) {
        let mut bench = Bench::default();
        for (choice, salt) in steps {
            let command = command(&bench, choice, salt);
            let before = bench.state.clone();
            match bench.when(command) {
                Ok(events) => {
                    for event in events {
                        bench.state = crate::state::evolve(std::mem::take(&mut bench.state), &event);
                        bench.events.push(event);
                    }
                }
                Err(rejection) => {
                    prop_assert!(!rejection.is_empty());
                    prop_assert_eq!(&bench.state, &before);
                }
            }
            prop_assert!(bench.state.sprint.len() <= 3);
            prop_assert!(bench.state.gates.len() <= 3);
        }
        // Replay equals the live state.
        prop_assert_eq!(&State::replay(&bench.events), &bench.state);
        let e = &bench.events;
        let tests = e.iter().filter(|e| matches!(e, Event::PassStarted { pass } if pass.kind == PassKind::Test)).count();
        prop_assert!(tests <= 1);
        if let Some(at) = position(e, |e| matches!(e, Event::VerdictReached { .. })) {
            let steps = [
                position(e, |e| matches!(e, Event::FrameLocked { .. })),
                position(e, |e| matches!(e, Event::RowsSourced { .. })),
                position(e, |e| matches!(e, Event::PilotRun { passed: true, .. })),
                position(e, |e| matches!(e, Event::PassStarted { pass } if pass.kind == PassKind::Dev)),
                position(e, |e| matches!(e, Event::ArmsLocked { .. })),
                position(e, |e| matches!(e, Event::PassStarted { pass } if pass.kind == PassKind::Test)),
                Some(at),
            ];
            prop_assert!(steps.iter().all(Option::is_some));
            prop_assert!(steps.windows(2).all(|w| w[0] < w[1]));
            let after = &e[at + 1..];
            prop_assert!(after.is_empty());
        }
    }

    #[test]
    fn honest_loops_meet_no_refusal(iterations in proptest::collection::vec(0u8..4, 1..4)) {
        let mut bench = Bench::scored();
        let mut n = 0;
        for in_sprint in iterations {
            for _ in 0..in_sprint.min(3) {
                n += 1;
                bench = bench.iterated(&format!("text {n}"));
            }
            if in_sprint > 0 {
                bench = bench.gated();
            }
        }
        let bench = bench.locked().testing().tested().concluded();
        prop_assert!(bench.state.verdict.is_some());
    }
}
