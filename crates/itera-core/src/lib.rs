//! The pure core of auto-itera: frame, commands, events, the decider, the guard registry and the verdict rule.

pub mod plan;
pub mod rule;
pub mod worlds;
