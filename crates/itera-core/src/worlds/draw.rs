//! Drawing experiments from a world.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{EASE, LEVELS, World};
use crate::rule::Table;

impl World {
    /// Fills `table` (from [`World::blank`]) with the scores of one experiment. Replicate `index` of `seed` is always
    /// the same experiment.
    pub fn draw(&self, seed: u64, index: u64, table: &mut Table) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(index);
        let arms = table.arms.len() - 1;
        let levels: Vec<u8> = match &table.clusters {
            Some((_, count)) => (0..count * arms).map(|_| ((rng.next_u32() as usize * LEVELS) >> 32) as u8).collect(),
            None => Vec::new(),
        };
        let parts = f64::from(self.parts);
        // The sampling variance of a mean of `parts` right-or-wrong parts, as a function of how many are right.
        let within = |right: usize| {
            if self.parts > 1 {
                let p = right as f64 / parts;
                p * (1.0 - p) / (parts - 1.0)
            } else {
                0.0
            }
        };
        let scores: Vec<(f64, f64)> =
            (0..=self.parts as usize).map(|right| (right as f64 / parts, within(right))).collect();
        let (baseline, candidates) = table.arms.split_at_mut(1);
        for row in 0..table.n {
            let slice = self.slice_of[row] as usize;
            let ease = rng.next_u32() as usize % EASE;
            let (mean, variance) = scores[self.baseline[slice].draw(ease, rng.next_u32())];
            baseline[0].mean[row] = mean;
            baseline[0].within[row] = variance;
            for (arm, column) in candidates.iter_mut().enumerate() {
                let tables = &self.arms[slice][arm];
                let level = match &table.clusters {
                    Some((cluster, _)) => usize::from(levels[cluster[row] as usize * arms + arm]),
                    None => 0,
                };
                let (mean, variance) = scores[tables[level].draw(ease, rng.next_u32())];
                column.mean[row] = mean;
                column.within[row] = variance;
            }
        }
    }
}

/// How many experiments to draw, from which seed, on how many threads. The result does not depend on the threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicate {
    /// Experiments.
    pub count: u64,
    /// The seed.
    pub seed: u64,
    /// Threads; 0 for one per core.
    pub threads: usize,
}

/// Draws experiments and folds `each` over them. `each` sees the experiments of its thread in order; `merge` joins the
/// threads' results in the order of their experiments.
pub fn replicate<T: Send>(
    world: &World,
    plan: Replicate,
    start: impl Fn() -> T + Sync,
    each: impl Fn(&mut T, &Table) + Sync,
    merge: impl Fn(&mut T, T),
) -> T {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if plan.threads == 0 { cores } else { plan.threads }.max(1) as u64;
    let part = |thread: u64| plan.count * thread / threads..plan.count * (thread + 1) / threads;
    let run = |range: std::ops::Range<u64>| {
        let mut table = world.blank();
        let mut result = start();
        for index in range {
            world.draw(plan.seed, index, &mut table);
            each(&mut result, &table);
        }
        result
    };
    if threads == 1 {
        return run(part(0));
    }
    std::thread::scope(|scope| {
        let handles: Vec<_> = (1..threads)
            .map(|thread| {
                let run = &run;
                let range = part(thread);
                scope.spawn(move || run(range))
            })
            .collect();
        let mut total = run(part(0));
        for handle in handles {
            match handle.join() {
                Ok(result) => merge(&mut total, result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        total
    })
}
