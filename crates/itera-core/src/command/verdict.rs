//! `verdict`: the registered rule applied to the sealed test, and the folder that follows.

use super::{Move, permit};
use crate::event::Event;
use crate::guards::{Problem, Rejection};
use crate::ids::Digest;
use crate::rule::{Table, judge};
use crate::state::{Stage, State};
use std::collections::BTreeMap;

/// Apply the registered rule.
#[derive(Debug)]
pub struct ReachVerdict {
    /// The test's scores.
    pub table: Table,
    /// Digest of the score records the table was built from.
    pub records_digest: Digest,
}

pub(super) fn decide(state: &State, command: ReachVerdict) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::Verdict)?;
    let Some(frame) = &state.frame else {
        return Ok(Vec::new());
    };
    let recorded = state.test_pass().and_then(|p| p.records_digest.as_ref());
    if recorded != Some(&command.records_digest) {
        return Err(Problem::new(
            "results",
            "the score records of the test are not those that were recorded when the pass was completed",
            "Restore the project's store from a copy.",
        )
        .into());
    }
    match judge(&frame.rule(), &command.table) {
        Ok(verdict) => {
            Ok(vec![Event::VerdictReached { verdict: Box::new(verdict), records_digest: command.records_digest }])
        }
        Err(error) => Err(Problem::new(
            "ship_rule",
            error.to_string(),
            "The rule cannot be applied to these scores; the experiment can only be abandoned.",
        )
        .into()),
    }
}

/// Record the folder that was written.
#[derive(Debug, Clone)]
pub struct Conclude {
    /// Folder, relative to the project.
    pub folder: String,
    /// Digest of every file in it.
    pub files: BTreeMap<String, Digest>,
}

pub(super) fn decide_conclude(state: &State, command: Conclude) -> Result<Vec<Event>, Rejection> {
    if state.stage != Stage::Concluded {
        return Err(Problem::new("stage", "there is no verdict yet", "Call `verdict`.").into());
    }
    Ok(vec![Event::Concluded { folder: command.folder, files: command.files }])
}

#[cfg(test)]
mod tests {
    use crate::command::testkit::{Bench, skill, verdict};
    use crate::guards::GuardId as G;

    #[test]
    fn the_rule_decides_and_closes_the_experiment() {
        let bench = Bench::all_the_way();
        let reached = bench.state.verdict.clone().unwrap();
        assert_eq!(reached.arms.len(), 1);
        assert_eq!(bench.refused(verdict(&bench.state, skill)), [G::NoIterationAfterVerdict]);
    }

    #[test]
    fn no_verdict_before_the_test_is_complete() {
        let bench = Bench::scored().locked().testing();
        assert_eq!(bench.refused(verdict(&bench.state, skill)), [G::NoEarlyStop]);
    }

    #[test]
    fn other_scores_than_those_recorded_are_not_judged() {
        let bench = Bench::scored().locked().testing().tested();
        let doctored = verdict(&bench.state, |arm, v| if arm == "next" { 100 } else { skill(arm, v) });
        assert_eq!(bench.when(doctored).unwrap_err().problems[0].at, "results");
    }
}
