//! Commands and the decider.
//!
//! One file per command; each holds its request, what the shell found out for it beforehand, its
//! guards and its given-when-then tests. The order in which commands may come is one table, in
//! [`order`].

pub mod abandon;
pub mod confirm;
pub mod draft;
pub mod gate;
pub mod lock;
pub mod lock_arms;
pub mod open_test;
pub mod order;
pub mod pass;
pub mod pilot;
pub mod propose;
pub mod read_rows;
pub mod source;
#[cfg(test)]
pub(crate) mod testkit;
pub mod verdict;
#[cfg(test)]
mod walks;

use crate::event::Event;
use crate::guards::Rejection;
use crate::state::State;
pub use order::{Move, permit};

/// Everything that can be asked of an experiment, with what was found out for it.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a command is built, decided and dropped, one at a time")]
pub enum Command {
    /// Write or replace the draft of the frame.
    Draft(draft::Draft),
    /// Record that the person confirmed the draft in a terminal.
    Confirm(confirm::Confirm),
    /// Confirm and lock the frame.
    Lock(lock::Lock),
    /// Record the sample that was drawn.
    Source(source::Source),
    /// Record what an arm's prepare command wrote.
    Prepared(pilot::Prepared),
    /// Record one train row's way through the arms.
    Pilot(pilot::Pilot),
    /// Start a dev pass.
    StartPass(pass::StartPass),
    /// Close a pass whose calls are all recorded.
    CompletePass(pass::CompletePass),
    /// Cancel a dev pass.
    CancelPass(pass::CancelPass),
    /// Note that differences were shown.
    Diagnose,
    /// Reveal rows.
    ReadRows(read_rows::ReadRows),
    /// Register a change.
    Propose(propose::Propose),
    /// Judge the sprint's changes.
    Gate(gate::Gate),
    /// Lock what goes to the test.
    LockArms(lock_arms::LockArms),
    /// Open the sealed test.
    OpenTest(open_test::OpenTest),
    /// Apply the registered rule.
    Verdict(verdict::ReachVerdict),
    /// Record the folder that was written.
    Conclude(verdict::Conclude),
    /// Give up.
    Abandon(abandon::Abandon),
}

/// What follows from a command.
///
/// # Errors
/// Every guard that the command violates and every problem of its input, not the first alone;
/// nothing happened then.
pub fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Draft(c) => draft::decide(state, c),
        Command::Confirm(c) => confirm::decide(state, c),
        Command::Lock(c) => lock::decide(state, c),
        Command::Source(c) => source::decide(state, c),
        Command::Prepared(c) => pilot::decide_prepared(state, c),
        Command::Pilot(c) => pilot::decide(state, c),
        Command::StartPass(c) => pass::decide_start(state, c),
        Command::CompletePass(c) => pass::decide_complete(state, c),
        Command::CancelPass(c) => pass::decide_cancel(state, c),
        Command::Diagnose => {
            permit(state, Move::Diagnose)?;
            let pass = state.last_dev_pass().map_or(0, |p| p.plan.pass);
            Ok(vec![Event::Diagnosed { pass }])
        }
        Command::ReadRows(c) => read_rows::decide(state, c),
        Command::Propose(c) => propose::decide(state, c),
        Command::Gate(c) => gate::decide(state, c),
        Command::LockArms(c) => lock_arms::decide(state, c),
        Command::OpenTest(c) => open_test::decide(state, c),
        Command::Verdict(c) => verdict::decide(state, c),
        Command::Conclude(c) => verdict::decide_conclude(state, c),
        Command::Abandon(c) => abandon::decide(state, c),
    }
}
