//! Searching the test size, the test share and the allocation that reach the registered power.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::characteristics::planned_effect;
use super::{Design, PlanError, Simulation, Tally, simulate, simulated};
use crate::rule::RuleSpec;
use crate::worlds::{Replicate, World};

/// How test rows are allocated to slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Allocation {
    /// By production share.
    #[default]
    Proportional,
    /// The same number for every slice, weighted back to production.
    Equal,
}

/// The answer of a sample-size search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SampleSize {
    /// The true effect that it is for, a fraction.
    pub effect: f64,
    /// The power that was asked.
    pub required_power: f64,
    /// The fewest rows found to reach it, within 5%; `None` when the search's limit does not.
    pub rows: Option<usize>,
    /// Chance to ship at that size (or at the limit).
    pub power: f64,
    /// The largest size that was tried.
    pub limit: usize,
}

/// One way to split a pool of labelled rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SplitOption {
    /// Share of the pool that is sealed as test.
    pub test_share: f64,
    /// Test rows.
    pub test_rows: usize,
    /// How they are allocated.
    pub allocation: Allocation,
    /// Test rows of every slice, in the design's order.
    pub slice_rows: Vec<usize>,
    /// Chance to ship at the planned effect.
    pub ship: f64,
    /// Chance to be scoped at the planned effect.
    pub scope: f64,
    /// The registered power is reached.
    pub reaches_power: bool,
}

/// The answer of a split search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SplitSearch {
    /// The true effect that it is for, a fraction.
    pub effect: f64,
    /// All options that were simulated.
    pub options: Vec<SplitOption>,
    /// Index of the recommended one: the smallest test that reaches the power, else the one that comes closest.
    pub recommended: usize,
}

fn tally_at(spec: &RuleSpec, design: &Design, effect: f64, simulation: Simulation) -> Result<Tally, PlanError> {
    let world = World::new(&design.world(|_, arm| if arm == 0 { effect } else { 0.0 }))?;
    simulate(
        spec,
        &world,
        Replicate { count: simulation.replicates, seed: simulation.seed, threads: simulation.threads },
    )
}

/// Finds the fewest test rows at which the rule ships an arm of true effect `effect` (by default the planned one) with
/// the registered power. Doubles from 25 rows to `limit`, then bisects to 5%.
///
/// # Errors
/// When the rule or the design is not well formed, or the assumed scores cannot exist.
pub fn sample_size(
    spec: &RuleSpec,
    design: &Design,
    effect: Option<f64>,
    limit: usize,
    simulation: Simulation,
) -> Result<SampleSize, PlanError> {
    let rule = simulated(spec)?;
    let effect = effect.unwrap_or_else(|| planned_effect(spec));
    let power_at = |rows: usize| -> Result<f64, PlanError> {
        let mut sized = design.clone();
        sized.rows = rows;
        sized.clusters = design.clusters.map(|c| (c * rows / design.rows.max(1)).clamp(1, rows));
        for slice in &mut sized.slices {
            slice.rows = slice.rows.map(|r| (r * rows / design.rows.max(1)).max(1));
        }
        sized.validate()?;
        let tally = tally_at(&rule, &sized, effect, simulation)?;
        Ok(tally.rate(tally.ship))
    };
    let limit = limit.max(25);
    let answer = |rows, power| SampleSize { effect, required_power: spec.power, rows, power, limit };
    let (mut low, mut high) = (0, 25);
    let mut power = power_at(high)?;
    while power < spec.power {
        if high >= limit {
            return Ok(answer(None, power));
        }
        low = high;
        high = (2 * high).min(limit);
        power = power_at(high)?;
    }
    while (high - low) as f64 > (0.05 * high as f64).max(1.0) && high > 12 {
        let middle = usize::midpoint(low, high).max(12);
        if middle == high || middle <= low {
            break;
        }
        let found = power_at(middle)?;
        if found >= spec.power {
            (high, power) = (middle, found);
        } else {
            low = middle;
        }
    }
    Ok(answer(Some(high), power))
}

/// Compares test shares of 20% to 70% of a pool of `pool` labelled rows, with proportional and with equal slices, at
/// the planned effect.
///
/// Equal slices cost precision in the aggregate and buy it where floors are hardest to prove, in small slices. A slice
/// never gets more rows than the pool holds of it; what is left over goes to the others.
///
/// # Errors
/// When the rule or the design is not well formed, or the assumed scores cannot exist.
pub fn search_split(
    spec: &RuleSpec,
    design: &Design,
    pool: usize,
    simulation: Simulation,
) -> Result<SplitSearch, PlanError> {
    let rule = simulated(spec)?;
    let effect = planned_effect(spec);
    let mut options = Vec::new();
    for percent in [20, 30, 40, 50, 60, 70] {
        let test_rows = (pool * percent / 100).max(itera_stats::MIN_ROWS);
        let allocations: &[Allocation] = if design.slices.len() > 1 {
            &[Allocation::Proportional, Allocation::Equal]
        } else {
            &[Allocation::Proportional]
        };
        for &allocation in allocations {
            let mut split = design.clone();
            split.rows = test_rows;
            split.allocation = allocation;
            split.clusters = design.clusters.map(|c| (c * test_rows / design.rows.max(1)).clamp(1, test_rows));
            for slice in &mut split.slices {
                slice.rows = None;
            }
            if allocation == Allocation::Equal {
                for (slice, rows) in split.slices.iter_mut().zip(equal_rows(design, pool, test_rows)) {
                    slice.rows = Some(rows);
                }
            }
            split.validate()?;
            let tally = tally_at(&rule, &split, effect, simulation)?;
            options.push(SplitOption {
                test_share: percent as f64 / 100.0,
                test_rows,
                allocation,
                slice_rows: split.slice_rows(),
                ship: tally.rate(tally.ship),
                scope: tally.rate(tally.scope),
                reaches_power: tally.rate(tally.ship) >= spec.power,
            });
        }
    }
    // Options run from small to large tests, so the first that reaches the power is the smallest. Of two allocations of
    // the same size the stronger one is preferred.
    let stronger = |a: usize, b: usize| {
        let (x, y) = (&options[a], &options[b]);
        if y.test_rows == x.test_rows && y.ship > x.ship { b } else { a }
    };
    let recommended = (0..options.len())
        .find(|&i| options[i].reaches_power)
        .map(|first| (first..options.len()).filter(|&i| options[i].reaches_power).fold(first, stronger));
    let recommended = recommended.unwrap_or_else(|| {
        (0..options.len()).fold(0, |best, i| if options[i].ship > options[best].ship { i } else { best })
    });
    Ok(SplitSearch { effect, options, recommended })
}

/// Equal rows per slice, none above what the pool holds.
fn equal_rows(design: &Design, pool: usize, test_rows: usize) -> Vec<usize> {
    let total: f64 = design.slices.iter().map(|s| s.share).sum();
    let held: Vec<usize> = design.slices.iter().map(|s| ((pool as f64 * s.share / total) as usize).max(1)).collect();
    let mut rows = vec![0usize; held.len()];
    let mut left = test_rows;
    while left > 0 {
        let open: Vec<usize> = (0..rows.len()).filter(|&i| rows[i] < held[i]).collect();
        if open.is_empty() {
            break;
        }
        let each = (left / open.len()).max(1);
        for i in open {
            let take = each.min(held[i] - rows[i]).min(left);
            rows[i] += take;
            left -= take;
        }
    }
    rows.iter().map(|r| (*r).max(1)).collect()
}
