//! How fast a verdict is: 1.2 million score records (100,000 rows, four arms, three trials, five slices) from memory
//! through the builder and the rule, and the operating characteristics of a plan.
//!
//! ```text
//! cargo bench -p itera-core --bench judge
//! python crates/itera-core/benches/judge.py        # the same figures with scipy and statsmodels
//! ```

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use itera_core::plan::{Design, Simulation, operating_characteristics};
use itera_core::rule::{Record, RowAttributes, RuleSpec, Table, TableBuilder, judge};

const ROWS: usize = 100_000;
const TRIALS: u32 = 3;
const ARMS: [&str; 4] = ["baseline", "arm-1", "arm-2", "arm-3"];
const SLICES: [&str; 5] = ["en", "de", "fr", "es", "it"];

/// One record as a reader would hand it over: names, not numbers.
struct Score {
    row: String,
    arm: &'static str,
    slice: &'static str,
    trial: u32,
    score: f64,
}

fn scores() -> Vec<Score> {
    // SplitMix64 is enough to scatter right and wrong answers.
    let mut state = 7u64;
    let mut uniform = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut scores = Vec::with_capacity(ROWS * ARMS.len() * TRIALS as usize);
    for row in 0..ROWS {
        let ease = uniform();
        for (i, arm) in ARMS.into_iter().enumerate() {
            for trial in 0..TRIALS {
                let p = (0.45 + 0.5 * ease + 0.02 * i as f64).min(1.0);
                let score = f64::from(u8::from(uniform() < p));
                scores.push(Score { row: format!("row-{row:06}"), arm, slice: SLICES[row % 5], trial, score });
            }
        }
    }
    scores
}

fn build(scores: &[Score]) -> Table {
    let mut builder = TableBuilder::new(ARMS[0], &ARMS[1..], &["slice"])
        .unwrap()
        .production_mix([("en", 40.0), ("de", 20.0), ("fr", 20.0), ("es", 10.0), ("it", 10.0)])
        .with_capacity(ROWS, scores.len());
    for s in scores {
        let slices = [Some(s.slice)];
        let attributes = RowAttributes { stratum: Some(s.slice), slices: &slices, ..RowAttributes::default() };
        let record =
            Record { row: &s.row, arm: s.arm, trial: s.trial, score: s.score, attributes, ..Record::default() };
        builder.push(&record).unwrap();
    }
    builder.build().unwrap()
}

fn benches(c: &mut Criterion) {
    let rule = RuleSpec::superiority(0.03, -0.02).unwrap();
    let scores = scores();
    let table = build(&scores);
    let mut group = c.benchmark_group("1.2M scores");
    group.sample_size(10);
    group.bench_function("build and judge", |b| {
        b.iter_batched(|| (), |()| judge(&rule, &build(black_box(&scores))).unwrap(), BatchSize::PerIteration);
    });
    group.bench_function("judge", |b| b.iter(|| judge(&rule, black_box(&table)).unwrap()));
    group.finish();

    let mut group = c.benchmark_group("plan");
    group.sample_size(10);
    for (name, arms) in [("one arm", 1), ("three arms", 3)] {
        let mut design = Design::new(400, 0.2).with_slices([("a", 50.0), ("b", 30.0), ("c", 20.0)]);
        design.arms = arms;
        let rule = RuleSpec::superiority(0.05, -0.02).unwrap();
        group.bench_function(format!("400 rows, {name}, 2,000 replicates per truth"), |b| {
            b.iter(|| operating_characteristics(&rule, black_box(&design), Simulation::default()).unwrap());
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
