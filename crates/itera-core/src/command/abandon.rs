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
    Ok(vec![Event::Abandoned {
        reason: reason.to_owned(),
    }])
}
