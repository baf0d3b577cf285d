//! Counting verdicts over simulated experiments.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PlanError;
use crate::rule::{Decider, Decision, RuleSpec};
use crate::worlds::{Replicate, Truth, World, replicate};

/// Verdicts over simulated experiments with a known truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Experiments.
    pub replicates: u64,
    /// Some arm ships everywhere.
    pub ship: u64,
    /// Some arm is scoped, none ships.
    pub scope: u64,
    /// Every arm is killed.
    pub kill: u64,
    /// None of these.
    pub underpowered: u64,
    /// Some arm passes as shippable whose true effect is not above the margin, or whose true effect in a slice is not
    /// above the floor.
    pub false_ship: u64,
    /// Some arm is scoped to slices over which its true effect is not above the margin, or one of which is not above
    /// the floor.
    pub false_scope: u64,
    /// Experiments with a false ship or a false scope of any arm.
    pub false_any: u64,
}

impl Tally {
    /// A count as a share of the experiments.
    #[must_use]
    pub fn rate(&self, count: u64) -> f64 {
        count as f64 / self.replicates.max(1) as f64
    }

    fn add(&mut self, other: Self) {
        self.replicates += other.replicates;
        self.ship += other.ship;
        self.scope += other.scope;
        self.kill += other.kill;
        self.underpowered += other.underpowered;
        self.false_ship += other.false_ship;
        self.false_scope += other.false_scope;
        self.false_any += other.false_any;
    }
}

/// Applies the rule to simulated experiments and counts. An effect exactly at the margin or at the floor counts as
/// false: the promise is *above*.
///
/// # Errors
/// When the rule cannot be applied to the world's table.
pub fn simulate(spec: &RuleSpec, world: &World, plan: Replicate) -> Result<Tally, PlanError> {
    let blank = world.blank();
    let decider = Decider::new(spec, &blank)?;
    let truth = world.truth();
    let tally = replicate(
        world,
        plan,
        Tally::default,
        |tally, table| {
            let decisions = decider.decisions(table);
            tally.replicates += 1;
            let (mut false_ship, mut false_scope) = (false, false);
            for (arm, decided) in decisions.arms.iter().enumerate() {
                match &decided.decision {
                    Decision::Ship => {
                        let everywhere: Vec<usize> = (0..truth.slices.len()).collect();
                        false_ship |= is_false(spec, truth, arm, &everywhere, !blank.slice_columns().is_empty());
                    }
                    Decision::Scope(slices) => false_scope |= is_false(spec, truth, arm, slices, true),
                    Decision::Kill { .. } | Decision::Underpowered => {}
                }
            }
            tally.false_ship += u64::from(false_ship);
            tally.false_scope += u64::from(false_scope);
            tally.false_any += u64::from(false_ship || false_scope);
            if decisions.ship.is_some() {
                tally.ship += 1;
            } else if decisions.scope.is_some() {
                tally.scope += 1;
            } else if decisions.arms.iter().all(|arm| matches!(arm.decision, Decision::Kill { .. })) {
                tally.kill += 1;
            } else {
                tally.underpowered += 1;
            }
        },
        Tally::add,
    );
    Ok(tally)
}

fn is_false(spec: &RuleSpec, truth: &Truth, arm: usize, slices: &[usize], floors: bool) -> bool {
    const SLACK: f64 = 1e-9;
    truth.over(arm, slices) <= spec.margin() + SLACK
        || floors && slices.iter().any(|&s| truth.slices[s][arm] <= spec.loss_floor + SLACK)
}

/// How often one-sided bounds miss the truth, over simulated experiments and all arms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// Bounds on aggregates.
    pub aggregates: u64,
    /// Lower bounds above the true aggregate.
    pub lower_misses: u64,
    /// Upper bounds below the true aggregate.
    pub upper_misses: u64,
    /// Bounds on slices of at least 20 rows.
    pub slices: u64,
    /// Lower bounds above the true effect of such a slice.
    pub slice_lower_misses: u64,
}

/// Counts misses of the one-sided bounds at `spec.alpha`, by their equivalent tests.
///
/// # Errors
/// When the rule cannot be applied to the world's table.
pub fn coverage(spec: &RuleSpec, world: &World, plan: Replicate) -> Result<Coverage, PlanError> {
    let decider = Decider::new(spec, &world.blank())?;
    let truth = world.truth();
    Ok(replicate(
        world,
        plan,
        Coverage::default,
        |seen, table| {
            for (arm, (p_low, p_high, slices)) in decider.p_at(table, truth).into_iter().enumerate() {
                debug_assert!(arm < truth.aggregate.len());
                seen.aggregates += 1;
                seen.lower_misses += u64::from(p_low < spec.alpha);
                seen.upper_misses += u64::from(p_high < spec.alpha);
                seen.slices += slices.len() as u64;
                seen.slice_lower_misses += slices.iter().filter(|p| **p < spec.alpha).count() as u64;
            }
        },
        |seen, other| {
            seen.aggregates += other.aggregates;
            seen.lower_misses += other.lower_misses;
            seen.upper_misses += other.upper_misses;
            seen.slices += other.slices;
            seen.slice_lower_misses += other.slice_lower_misses;
        },
    ))
}
