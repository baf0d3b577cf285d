//! `abandon`: give an experiment up, with a reason; its rows count as seen.

use super::{Move, permit};
use crate::event::Event;
use crate::guards::{Problem, Rejection};
use crate::state::State;

/// Give up.
#[derive(Debug, Clone)]
pub struct Abandon {
    /// Why.
    pub reason: String,
}

pub(super) fn decide(state: &State, command: Abandon) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::Abandon)?;
    let reason = command.reason.trim();
    if reason.is_empty() {
        return Err(Problem::new(
            "reason",
            "no reason is given",
            "Say in a sentence why the experiment is given up; it is kept in the ledger.",
        )
        .into());
    }
    Ok(vec![Event::Abandoned { reason: reason.to_owned() }])
}

#[cfg(test)]
mod tests {
    use crate::command::Command;
    use crate::command::abandon::Abandon;
    use crate::command::testkit::{Bench, draft};
    use crate::state::Stage;

    #[test]
    fn an_experiment_is_given_up_with_a_reason_and_stays_closed() {
        let give_up = |reason: &str| Command::Abandon(Abandon { reason: reason.into() });
        assert!(Bench::scored().when(give_up(" ")).is_err());
        let bench = Bench::scored().given(give_up("the question changed"));
        assert_eq!(bench.state.stage, Stage::Abandoned);
        assert!(bench.when(draft()).is_err());
        assert!(Bench::all_the_way().when(give_up("no")).is_err());
    }
}
