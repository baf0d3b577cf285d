//! `auto-itera confirm`: the person confirms the draft in a terminal.

use super::{Move, permit};
use crate::event::Event;
use crate::guards::{GuardId, Rejection};
use crate::ids::Digest;
use crate::state::State;

/// The person confirmed what was shown.
#[derive(Debug, Clone)]
pub struct Confirm {
    /// Hash of the frame that was shown.
    pub frame_hash: Digest,
}

pub(super) fn decide(state: &State, command: Confirm) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::Lock)?;
    let mut rejection = Rejection::default();
    let hash = state.frame.as_ref().map(|f| f.hash());
    if hash.as_ref() != Some(&command.frame_hash) {
        rejection.refuse(
            GuardId::FrameFrozen,
            "confirming the frame",
            format!(
                "the frame shown has the hash {}, the draft has {}",
                command.frame_hash.short(),
                hash.as_ref().map_or("none", Digest::short)
            ),
        );
    }
    rejection.or(vec![Event::FrameConfirmed { frame_hash: command.frame_hash }])
}

#[cfg(test)]
mod tests {
    use crate::command::Command;
    use crate::command::confirm::Confirm;
    use crate::command::testkit::{Bench, draft, frame};
    use crate::ids::Digest;

    #[test]
    fn a_confirmation_counts_for_the_draft_that_was_shown_only() {
        let bench = Bench::default().given(draft());
        assert!(bench.when(Command::Confirm(Confirm { frame_hash: Digest::of(b"other") })).is_err());
        let bench = bench.given(Command::Confirm(Confirm { frame_hash: frame().hash() }));
        assert_eq!(bench.state.confirmed, Some(frame().hash()));
        assert_eq!(bench.given(draft()).state.confirmed, None);
    }

    #[test]
    fn there_is_nothing_to_confirm_before_a_draft_or_after_the_lock() {
        let confirm = || Command::Confirm(Confirm { frame_hash: frame().hash() });
        assert!(Bench::default().when(confirm()).is_err());
        assert!(Bench::framed().when(confirm()).is_err());
    }
}
