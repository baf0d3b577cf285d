//! The pure core of auto-itera: frame, commands, events, the decider, the guard registry and the
//! verdict rule.
//!
//! `decide` turns a state and a command into events or into a rejection that lists everything
//! that stands against it; `evolve` folds an event into the state. Nothing here does IO or reads
//! a clock: what the shell looked up beforehand travels inside the command.

pub mod audit;
pub mod chain;
pub mod command;
pub mod event;
pub mod frame;
pub mod guards;
pub mod ids;
pub mod pairing;
pub mod plan;
pub mod quotes;
pub mod rule;
pub mod sample;
pub mod scores;
pub mod snapshot;
pub mod state;
pub mod worlds;
