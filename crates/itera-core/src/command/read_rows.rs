//! `read_rows`: train rows freely, dev rows at the price of moving to train, test rows never.

use super::{Move, permit};
use crate::event::Event;
use crate::guards::{GuardId, Problem, Rejection};
use crate::ids::{RowId, Split};
use crate::state::{Stage, State};

/// Reveal rows.
#[derive(Debug, Clone)]
pub struct ReadRows {
    /// The rows asked for and the split each was drawn into; nothing for an unknown id.
    pub rows: Vec<(RowId, Option<Split>)>,
}

pub(super) fn decide(state: &State, command: ReadRows) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::ReadRows)?;
    let mut rejection = Rejection::default();
    let sealed = command.rows.iter().filter(|(_, s)| *s == Some(Split::Test)).count();
    if sealed > 0 {
        rejection.refuse(
            GuardId::SealedTest,
            format!("`read_rows` of {} row(s)", command.rows.len()),
            format!("{sealed} of them belong to the sealed test"),
        );
    }
    let unknown = command.rows.iter().filter(|(_, s)| s.is_none()).count();
    if unknown > 0 {
        rejection.problem(
            "rows",
            format!("{unknown} id(s) are not rows of this experiment"),
            "Take ids from `diagnose` or from a page of `read_rows`.",
        );
    }
    let mut revealed: Vec<RowId> = command
        .rows
        .iter()
        .filter(|(row, s)| s.is_some_and(|s| state.split_now(row, s) == Split::Dev))
        .map(|(row, _)| row.clone())
        .collect();
    revealed.sort();
    revealed.dedup();
    if !revealed.is_empty() && state.open_pass().is_some() {
        rejection.problems.push(Problem::new(
            "rows",
            format!("{} of them are dev rows of a running pass", revealed.len()),
            "Wait for the pass with `score_wait`, or read train rows.",
        ));
    }
    if !revealed.is_empty() && state.stage >= Stage::Locked {
        rejection.refuse(
            GuardId::NoIterationAfterVerdict,
            "`read_rows` of dev rows",
            "the arms are locked: there is nothing left that reading dev could serve",
        );
    }
    rejection.or(if revealed.is_empty() { Vec::new() } else { vec![Event::RowsDemoted { rows: revealed }] })
}

#[cfg(test)]
mod tests {
    use crate::command::Command;
    use crate::command::read_rows::ReadRows;
    use crate::command::testkit::Bench;
    use crate::guards::GuardId as G;
    use crate::ids::{RowId, Split};

    fn read(rows: &[(&str, Option<Split>)]) -> Command {
        Command::ReadRows(ReadRows { rows: rows.iter().map(|(r, s)| (RowId::from(*r), *s)).collect() })
    }

    #[test]
    fn train_rows_cost_nothing() {
        assert_eq!(Bench::scored().when(read(&[("r_001", Some(Split::Train))])), Ok(Vec::new()));
    }

    #[test]
    fn a_dev_row_moves_to_train_and_then_costs_nothing() {
        let bench = Bench::scored().given(read(&[("r_030", Some(Split::Dev)), ("r_030", Some(Split::Dev))]));
        assert_eq!(bench.state.demoted.len(), 1);
        assert_eq!(bench.when(read(&[("r_030", Some(Split::Dev))])), Ok(Vec::new()));
    }

    #[test]
    fn one_test_row_among_others_refuses_all() {
        let mixed = read(&[("r_030", Some(Split::Dev)), ("r_100", Some(Split::Test))]);
        assert_eq!(Bench::scored().refused(mixed), [G::SealedTest]);
    }

    #[test]
    fn dev_rows_stay_shut_while_a_pass_runs_and_after_the_lock() {
        assert!(Bench::scoring().when(read(&[("r_030", Some(Split::Dev))])).is_err());
        assert_eq!(
            Bench::scored().locked().refused(read(&[("r_030", Some(Split::Dev))])),
            [G::NoIterationAfterVerdict]
        );
    }

    #[test]
    fn no_row_is_read_before_sourcing() {
        assert_eq!(Bench::framed().refused(read(&[])), [G::FrameFirst]);
    }
}
