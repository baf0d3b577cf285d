//! `gate`: mechanism or hardcode, for every change of the sprint.

use super::order::SPRINT_LIMIT;
use super::{Move, permit};
use crate::event::{ChangeClass, Event, FoldEvidence, GateDecision, GateFinding, GateRecord, Outcome};
use crate::guards::{GuardId, Problem, Rejection};
use crate::ids::{ArmId, Version};
use crate::state::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the agent says of one change.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Classified {
    /// Arm.
    pub arm: ArmId,
    /// Version that carries the change.
    pub version: Version,
    /// Would it have been written without seeing a row?
    pub class: ChangeClass,
    /// Why.
    pub reason: String,
}

/// Judge the sprint's changes.
#[derive(Debug, Clone)]
pub struct Gate {
    /// One classification per change of the sprint.
    pub changes: Vec<Classified>,
    /// Whether there is signal left to work on.
    pub signal_left: bool,
    /// Why.
    pub reason: String,
    /// Dev rows whose text a change quotes while no train row has it, by arm and version.
    pub quoted_dev_rows: BTreeMap<(ArmId, Version), u64>,
    /// Gain of each change on visible and hidden dev rows.
    pub folds: BTreeMap<(ArmId, Version), FoldEvidence>,
}

pub(super) fn decide(state: &State, command: Gate) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::Gate)?;
    let mut rejection = Rejection::default();
    let mut findings = Vec::new();
    for proposal in &state.sprint {
        let mine: Vec<&Classified> =
            command.changes.iter().filter(|c| c.arm == proposal.arm && c.version == proposal.version).collect();
        let [change] = mine[..] else {
            rejection.refuse(
                GuardId::GateBetweenSprints,
                "`gate`",
                format!(
                    "version {} of `{}` is classified {} times; every change of the sprint needs exactly one classification",
                    proposal.version,
                    proposal.arm,
                    mine.len()
                ),
            );
            continue;
        };
        if change.reason.trim().chars().count() < 20 {
            rejection.problems.push(Problem::new(
                format!("changes[{} v{}].reason", change.arm, change.version),
                "the reason is shorter than 20 characters",
                "Say why this change would (or would not) have been written without seeing a row.",
            ));
        }
        let quoted = command.quoted_dev_rows.get(&(change.arm.clone(), change.version)).copied().unwrap_or(0);
        if change.class == ChangeClass::Mechanism && quoted > 0 {
            rejection.refuse(
                GuardId::NoHardcodes,
                format!("calling version {} of `{}` a mechanism", change.version, change.arm),
                format!("its diff quotes text of {quoted} dev row(s) that no train row has"),
            );
        }
        let fold = command.folds.get(&(change.arm.clone(), change.version)).copied();
        if let Some(f) = fold.filter(|f| f.flagged && change.class == ChangeClass::Mechanism) {
            rejection.refuse(
                GuardId::NoHardcodes,
                format!("calling version {} of `{}` a mechanism", change.version, change.arm),
                format!(
                    "its gain is {:+.1} pp on the {} dev rows that were shown and {:+.1} pp on the {} that were not (T = {:.1}, flagged above 2.33)",
                    f.visible_gain * 100.0,
                    f.visible_rows,
                    f.hidden_gain * 100.0,
                    f.hidden_rows,
                    f.statistic
                ),
            );
        }
        findings.push(GateFinding {
            arm: change.arm.clone(),
            version: change.version,
            class: change.class,
            reason: change.reason.clone(),
            quoted_dev_rows: quoted,
            fold,
            kept: change.class == ChangeClass::Mechanism,
        });
    }
    for change in &command.changes {
        if !state.sprint.iter().any(|p| p.arm == change.arm && p.version == change.version) {
            rejection.problem(
                "changes",
                format!("version {} of `{}` is no change of this sprint", change.version, change.arm),
                "Classify exactly the changes that `status` lists for the sprint.",
            );
        }
    }
    if command.reason.trim().is_empty() {
        rejection.problem(
            "reason",
            "no reason is given for whether signal is left",
            "Say in a sentence what the remaining differences suggest.",
        );
    }
    // Mostly hardcodes: more than half of an arm's changes in this sprint.
    let mut killed = Vec::new();
    for arm in state.arms.keys() {
        let mine: Vec<&GateFinding> = findings.iter().filter(|f| &f.arm == arm).collect();
        let dropped = mine.iter().filter(|f| !f.kept).count();
        if mine.len() > 1 && dropped * 2 > mine.len() {
            killed.push(arm.clone());
        }
    }
    let candidates_left = state.frame.as_ref().map_or(0, |f| {
        f.arms.iter().filter(|a| !killed.contains(&a.id) && state.arms.get(&a.id).is_some_and(|s| !s.killed)).count()
    });
    let supported = findings.iter().any(|f| {
        f.kept
            && state
                .passes
                .iter()
                .filter_map(|p| p.iteration.as_ref())
                .any(|i| i.arm == f.arm && i.version == f.version && i.outcome != Outcome::Falsified)
    });
    let decision = if candidates_left == 0 {
        GateDecision::Kill
    } else if command.signal_left && supported && state.gates.len() + 1 < SPRINT_LIMIT {
        GateDecision::Continue
    } else {
        GateDecision::Lock
    };
    let sprint = state.sprint_number();
    rejection.or(vec![Event::GateJudged {
        gate: GateRecord {
            sprint,
            findings,
            signal_left: command.signal_left,
            reason: command.reason,
            killed,
            decision,
        },
    }])
}

#[cfg(test)]
mod tests {
    use crate::command::Command;
    use crate::command::testkit::{Bench, gate};
    use crate::event::{ChangeClass, FoldEvidence, GateDecision};
    use crate::guards::GuardId as G;
    use crate::ids::ArmId;

    #[test]
    fn a_kept_mechanism_is_what_counts_afterwards() {
        let bench = Bench::scored().iterated("2").gated();
        assert_eq!(bench.state.arms[&ArmId::from("next")].effective(), 2);
        assert_eq!(bench.state.gates[0].decision, GateDecision::Continue);
    }

    #[test]
    fn a_hardcode_is_dropped_with_what_builds_on_it() {
        let bench = Bench::scored().iterated("2").iterated("3");
        let mut command = gate(&bench.state, ChangeClass::Mechanism);
        command.changes[0].class = ChangeClass::CannotTell;
        let bench = bench.given(Command::Gate(command));
        assert_eq!(bench.state.arms[&ArmId::from("next")].effective(), 1);
    }

    #[test]
    fn mostly_hardcodes_kill_the_arm() {
        let bench = Bench::scored().iterated("2").iterated("3");
        let command = gate(&bench.state, ChangeClass::Hardcode);
        let bench = bench.given(Command::Gate(command));
        assert!(bench.state.arms[&ArmId::from("next")].killed);
        assert_eq!(bench.state.gates[0].decision, GateDecision::Kill);
    }

    #[test]
    fn a_change_that_quotes_dev_rows_is_no_mechanism() {
        let bench = Bench::scored().iterated("2");
        let mut command = gate(&bench.state, ChangeClass::Mechanism);
        command.quoted_dev_rows.insert((ArmId::from("next"), 2), 3);
        assert_eq!(bench.refused(Command::Gate(command)), [G::NoHardcodes]);
    }

    #[test]
    fn a_gain_that_vanishes_on_hidden_rows_is_no_mechanism() {
        let bench = Bench::scored().iterated("2");
        let memorised: Vec<f64> = (0..140).map(|i| f64::from(u8::from(i % 3 == 0))).collect();
        let honest: Vec<f64> = (0..60).map(|i| f64::from(u8::from(i % 3 == 0))).collect();
        let judged = |hidden: &[f64]| {
            let mut command = gate(&bench.state, ChangeClass::Mechanism);
            let fold = FoldEvidence::new(&memorised, hidden).unwrap();
            command.folds.insert((ArmId::from("next"), 2), fold);
            Command::Gate(command)
        };
        assert_eq!(bench.refused(judged(&[0.0; 60])), [G::NoHardcodes]);
        assert!(bench.when(judged(&honest)).is_ok());
    }

    #[test]
    fn every_change_is_classified_exactly_once() {
        let bench = Bench::scored().iterated("2").iterated("3");
        let mut command = gate(&bench.state, ChangeClass::Mechanism);
        command.changes.pop();
        assert_eq!(bench.refused(Command::Gate(command)), [G::GateBetweenSprints]);
        let mut command = gate(&bench.state, ChangeClass::Mechanism);
        let twice = command.changes[0].clone();
        command.changes.push(twice);
        assert_eq!(bench.refused(Command::Gate(command)), [G::GateBetweenSprints]);
    }

    #[test]
    fn the_third_gate_ends_the_iterations() {
        let bench = Bench::scored().iterated("2").gated().iterated("3").gated().iterated("4").gated();
        assert_eq!(bench.state.gates[2].decision, GateDecision::Lock);
    }
}
