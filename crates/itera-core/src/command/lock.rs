//! `lock_frame`: one confirmation by the person, then the frame is hashed and frozen.

use super::draft::{ReferenceFound, check};
use super::{Move, permit};
use crate::event::{Consent, ConsentChannel, Event};
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
    /// Chance that the registered rule ships an arm whose true effect is three times the minimum
    /// effect, where the design could be simulated (0..1).
    pub best_power: Option<f64>,
    /// Rows that the test split would have, where known.
    pub planned_test_rows: Option<u64>,
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
    if command.consent.channel == ConsentChannel::Relayed
        && command.consent.statement.trim().is_empty()
    {
        rejection.problem(
            "confirmation",
            "nothing says that the person confirmed the frame",
            "Show the person the frame and every command that will run, and pass on their answer verbatim.",
        );
    }
    for spec in frame.all_arms() {
        let Some(snapshot) = command.snapshots.get(&spec.id) else {
            rejection.problem(
                format!("arm `{}`", spec.id),
                "it could not be snapshotted",
                "See the other messages.",
            );
            continue;
        };
        let twin = frame
            .all_arms()
            .take_while(|other| other.id != spec.id)
            .find(|other| {
                command
                    .snapshots
                    .get(&other.id)
                    .is_some_and(|s| s.digest == snapshot.digest)
            });
        if let Some(twin) = twin {
            rejection.problem(
                format!("arm `{}`", spec.id),
                format!("it runs exactly what `{}` runs", twin.id),
                "Arms that do not differ answer no question: check `command` and `files`.",
            );
        }
    }
    let power = frame.ship_rule.power;
    let waived = frame
        .acknowledged
        .get(GuardId::PoweredDesign.name())
        .is_some_and(|r| r.trim().chars().count() >= 20);
    if let (Some(best), false) = (command.best_power, waived)
        && best < power
    {
        rejection.refuse(
            GuardId::PoweredDesign,
            "`lock_frame`",
            format!(
                "with {} test rows the rule ships an arm of three times the minimum effect in {:.0}% of experiments; {:.0}% are registered",
                command.planned_test_rows.map_or("the planned".to_owned(), |n| format!("about {n}")),
                best * 100.0,
                power * 100.0
            ),
        );
    }
    rejection.or(vec![Event::FrameLocked {
        frame_hash: hash,
        consent: command.consent,
        snapshots: command.snapshots,
        diffs: command.diffs,
    }])
}
