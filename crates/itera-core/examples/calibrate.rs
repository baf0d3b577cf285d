//! The long form of the calibration: writes the page `docs/calibration.md` to standard output.
//!
//! ```text
//! cargo run --release -p itera-core --example calibrate > docs/calibration.md
//! ```
//!
//! `--quick` draws a tenth of the experiments.

use std::io::{self, Write};

use itera_core::plan::{coverage, simulate};
use itera_core::rule::{RuleSpec, Table};
use itera_core::worlds::{Replicate, TruthShape, World, WorldSlice, WorldSpec, calibration_cases, replicate};
use itera_stats::EsTango;
use itera_stats::gate::{GateSignal, hidden_fold, twins};

const SEED: u64 = 20_261_123;

fn main() -> io::Result<()> {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let mut out = io::BufWriter::new(io::stdout().lock());
    let experiments = if quick { 2_000 } else { 20_000 };
    introduction(&mut out, experiments)?;
    boundary(&mut out, experiments)?;
    bounds(&mut out, experiments)?;
    characteristics(&mut out, experiments)?;
    rivals(&mut out, experiments)?;
    whole_alpha(&mut out, experiments)?;
    gate(&mut out, experiments / 4)?;
    limits(&mut out, experiments)?;
    choices(&mut out)?;
    out.flush()
}

fn plan(count: u64, salt: u64) -> Replicate {
    Replicate { count, seed: SEED + salt, threads: 0 }
}

fn percent(rate: f64) -> String {
    format!("{:.1}", 100.0 * rate)
}

fn world(spec: &WorldSpec) -> World {
    World::new(spec).unwrap_or_else(|error| panic!("the catalogue holds an impossible world: {error}"))
}

fn introduction(out: &mut impl Write, experiments: u64) -> io::Result<()> {
    writeln!(
        out,
        "# Calibration\n\n\
         Written by `cargo run --release -p itera-core --example calibrate > docs/calibration.md` (seed {SEED}); do not edit.\n\n\
         The promise: in at most 5% of experiments does the rule ship, or scope to slices, an arm whose true effect is not\n\
         above the margin, or whose true effect in a shipped slice is not above the floor, over all arms and slices together.\n\
         Here the registered rule itself judges simulated experiments whose truth is known. The worlds are described in\n\
         `crates/itera-core/src/worlds.rs`; a short form of this page runs as a test (`crates/itera-core/tests/calibration.rs`).\n\n\
         Each figure rests on {experiments} experiments: its standard error at 5% is {:.2} points.\n",
        100.0 * (0.05f64 * 0.95 / experiments as f64).sqrt()
    )
}

fn boundary(out: &mut impl Write, experiments: u64) -> io::Result<()> {
    const ROWS: [usize; 5] = [24, 40, 150, 600, 2000];
    writeln!(
        out,
        "## False ships and false scopes, on the boundary\n\n\
         Percent of experiments with a false ship or a false scope of any arm. Every truth sits exactly on the boundary,\n\
         where errors are most frequent: an arm exactly at the margin is not above it. A dash marks worlds of fewer than eight\n\
         clusters, in which the rule speaks of those clusters only.\n"
    )?;
    writeln!(out, "| world | truth | n = 24 | 40 | 150 | 600 | 2000 |\n|---|---|---|---|---|---|---|")?;
    let mut worst: f64 = 0.0;
    for (at, case) in calibration_cases().iter().enumerate() {
        let rule = case.rule().unwrap_or_else(|error| panic!("{error}"));
        for (i, shape) in TruthShape::ALL.into_iter().enumerate() {
            let mut cells = Vec::new();
            for n in ROWS {
                let Some(spec) = case.world(n, shape) else {
                    cells.push("-".to_owned());
                    continue;
                };
                let count = if n > 1000 { experiments / 2 } else { experiments };
                let salt = (at * 1000 + i * 100 + n) as u64;
                let tally = simulate(&rule, &world(&spec), plan(count, salt)).unwrap_or_else(|error| panic!("{error}"));
                worst = worst.max(tally.rate(tally.false_any));
                cells.push(percent(tally.rate(tally.false_any)));
            }
            if cells.iter().any(|cell| cell != "-") {
                writeln!(out, "| {}: {} | {} | {} |", case.name, case.tries, shape.name(), cells.join(" | "))?;
            }
        }
    }
    writeln!(
        out,
        "\nThe largest of them is {}%. Cells above 5% by more than sampling error come from clusters whose effects differ a lot: the\n\
         errors of a mean of few, skewed clusters are only approximately Student's.\n",
        percent(worst)
    )
}

fn bounds(out: &mut impl Write, experiments: u64) -> io::Result<()> {
    const ROWS: [usize; 6] = [20, 40, 60, 100, 200, 1000];
    writeln!(
        out,
        "## Bounds that miss\n\n\
         Percent of one-sided 95% lower bounds above the true aggregate effect / of upper bounds below it, every slice at the margin.\n"
    )?;
    writeln!(out, "| world | n = 20 | 40 | 60 | 100 | 200 | 1000 |\n|---|---|---|---|---|---|---|")?;
    for (at, case) in calibration_cases().iter().enumerate() {
        let rule = case.rule().unwrap_or_else(|error| panic!("{error}"));
        let mut cells = Vec::new();
        for n in ROWS {
            let Some(spec) = case.world(n, TruthShape::AtMargin) else {
                cells.push("-".to_owned());
                continue;
            };
            let seen = coverage(&rule, &world(&spec), plan(experiments, (at * 7 + n) as u64))
                .unwrap_or_else(|error| panic!("{error}"));
            let rate = |count: u64| percent(count as f64 / seen.aggregates as f64);
            cells.push(format!("{} / {}", rate(seen.lower_misses), rate(seen.upper_misses)));
        }
        writeln!(out, "| {} | {} |", case.name, cells.join(" | "))?;
    }
    writeln!(out)
}

/// Slices 50/30/20, one arm, three trials, accuracy 70%, discordance 20%: the world of the design table.
fn design(n: usize, effects: [f64; 3]) -> World {
    let slices = [0.5, 0.3, 0.2]
        .iter()
        .zip(effects)
        .enumerate()
        .map(|(s, (share, effect))| WorldSlice {
            name: format!("s{}", s + 1),
            share: *share,
            rows: (n as f64 * share).round() as usize,
            accuracy: 0.7,
            effects: vec![effect],
        })
        .collect();
    world(&WorldSpec {
        slices,
        sliced: true,
        post_stratified: false,
        trials: 3,
        grades: 1,
        discordance: 0.2,
        trial_share: 0.6,
        clusters: None,
        breakage: 0.0,
    })
}

const TRUTHS: [(&str, [f64; 3]); 7] = [
    ("+0", [0.0; 3]),
    ("+4", [0.04; 3]),
    ("+4.9", [0.049; 3]),
    ("+7.5", [0.075; 3]),
    ("+10", [0.10; 3]),
    ("+15", [0.15; 3]),
    ("+10 overall, smallest slice -8", [0.145, 0.145, -0.08]),
];

const DESIGN_ROWS: [usize; 5] = [60, 100, 200, 400, 1000];

fn characteristics(out: &mut impl Write, experiments: u64) -> io::Result<()> {
    let rule = RuleSpec::superiority(0.05, -0.02).unwrap_or_else(|error| panic!("{error}"));
    writeln!(
        out,
        "## Operating characteristics\n\n\
         One arm, margin 5pp, floor -2pp, slices 50/30/20, three trials, accuracy 70%, discordance 20%.\n\
         Percent of experiments that end in ship / scope / kill; the rest is underpowered.\n"
    )?;
    writeln!(out, "| truth, pp | n = 60 | 100 | 200 | 400 | 1000 |\n|---|---|---|---|---|---|")?;
    for (i, (name, effects)) in TRUTHS.iter().enumerate() {
        let mut cells = Vec::new();
        for n in DESIGN_ROWS {
            let tally = simulate(&rule, &design(n, *effects), plan(experiments / 2, (i * 10_000 + n) as u64))
                .unwrap_or_else(|error| panic!("{error}"));
            let rate = |count| format!("{:.0}", 100.0 * tally.rate(count));
            cells.push(format!("{} / {} / {}", rate(tally.ship), rate(tally.scope), rate(tally.kill)));
        }
        writeln!(out, "| {name} | {} |", cells.join(" | "))?;
    }
    writeln!(out)
}

/// Per-slice sums of one experiment, as a spreadsheet would have them.
struct Sheet {
    effect: f64,
    slices: Vec<f64>,
    /// Standard deviation of the trial means, the larger of baseline and arm.
    spread: f64,
}

fn sheet(table: &Table, trials: f64) -> Sheet {
    let (base, arm) = (table.baseline(), &table.candidates()[0]);
    let n = table.rows() as f64;
    let column = &table.slice_columns()[0];
    let mut sums = vec![(0.0, 0.0); column.values.len()];
    let mut total = 0.0;
    for (row, slice) in column.member.iter().enumerate() {
        let d = arm.mean[row] - base.mean[row];
        total += d;
        let cell = &mut sums[*slice as usize];
        cell.0 += d;
        cell.1 += 1.0;
    }
    // The variance of one trial's mean over the rows is the sum of the rows' one-trial variances over n².
    let spread = |within: &[f64]| (within.iter().sum::<f64>() * trials).sqrt() / n;
    Sheet {
        effect: total / n,
        slices: sums.into_iter().map(|(sum, count)| sum / count).collect(),
        spread: spread(&base.within).max(spread(&arm.within)),
    }
}

fn rivals(out: &mut impl Write, experiments: u64) -> io::Result<()> {
    let rule = RuleSpec::superiority(0.05, -0.02).unwrap_or_else(|error| panic!("{error}"));
    writeln!(
        out,
        "## Beside two rules of thumb\n\n\
         Percent of experiments that ship everywhere, in the worlds above: the registered rule / the point estimates (effect at\n\
         least 5pp, no slice below -2pp) / the threshold and twice the spread of the trial means (no look at slices). In the\n\
         first three rows and in the last every ship is an error.\n"
    )?;
    writeln!(out, "| truth, pp | n = 60 | 100 | 200 | 400 | 1000 |\n|---|---|---|---|---|---|")?;
    for (i, (name, effects)) in TRUTHS.iter().enumerate() {
        let mut cells = Vec::new();
        for n in DESIGN_ROWS {
            let world = design(n, *effects);
            let plan = plan(experiments / 2, (i * 10_000 + n) as u64);
            let ours = simulate(&rule, &world, plan).unwrap_or_else(|error| panic!("{error}"));
            let (points, spreads) = replicate(
                &world,
                plan,
                || (0u64, 0u64),
                |(points, spreads), table| {
                    let sheet = sheet(table, 3.0);
                    let reaches = sheet.effect >= 0.05;
                    *points += u64::from(reaches && sheet.slices.iter().all(|s| *s >= -0.02));
                    *spreads += u64::from(reaches && sheet.effect > 2.0 * sheet.spread);
                },
                |sum, more| {
                    sum.0 += more.0;
                    sum.1 += more.1;
                },
            );
            let rate = |count: u64| format!("{:.0}", 100.0 * ours.rate(count));
            cells.push(format!("{} / {} / {}", rate(ours.ship), rate(points), rate(spreads)));
        }
        writeln!(out, "| {name} | {} |", cells.join(" | "))?;
    }
    writeln!(out)
}

/// A dev set whose first 70% are visible. Arms: the version under test, and for twins its answer and the old version's
/// on the paraphrase.
fn dev(n: usize, visible: f64, hidden: f64) -> World {
    let slice = |name: &str, share: f64, gain: f64| WorldSlice {
        name: name.to_owned(),
        share,
        rows: (n as f64 * share).round() as usize,
        accuracy: 0.7,
        effects: vec![gain, hidden, 0.0],
    };
    world(&WorldSpec {
        slices: vec![slice("visible", 0.7, visible), slice("hidden", 0.3, hidden)],
        sliced: true,
        post_stratified: false,
        trials: 3,
        grades: 1,
        discordance: 0.2,
        trial_share: 0.6,
        clusters: None,
        breakage: 0.0,
    })
}

fn gate(out: &mut impl Write, experiments: u64) -> io::Result<()> {
    writeln!(
        out,
        "## The gate\n\n\
         Percent of sprints flagged (statistic above 2.33) / warned (above 1.645), on a hidden 30% of dev and on paraphrase twins\n\
         of the visible 70%. A mechanism gains the same everywhere; a memorised gain exists on the visible rows only.\n"
    )?;
    writeln!(out, "| dev rows | gain | hidden fold | twins |\n|---|---|---|---|")?;
    for n in [100, 200, 300, 500] {
        for (name, visible, hidden) in [
            ("none", 0.0, 0.0),
            ("a mechanism of +5pp", 0.05, 0.05),
            ("a mechanism of +15pp", 0.15, 0.15),
            ("memorised +10pp", 0.10, 0.0),
            ("memorised +17pp", 0.17, 0.0),
            ("+5pp, and +12pp memorised", 0.17, 0.05),
        ] {
            let world = dev(n, visible, hidden);
            let plan = plan(experiments, n as u64 + (1000.0 * visible) as u64);
            let counts = replicate(
                &world,
                plan,
                || [0u64; 4],
                |counts, table| {
                    let base = &table.baseline().mean;
                    let [new, twin, old_twin] = [0, 1, 2].map(|arm| &table.candidates()[arm].mean);
                    let member = &table.slice_columns()[0].member;
                    let gains = |slice: u32| -> Vec<f64> {
                        (0..table.rows()).filter(|&r| member[r] == slice).map(|r| new[r] - base[r]).collect()
                    };
                    let visible = gains(0);
                    let twin_gains: Vec<f64> = (0..visible.len()).map(|r| twin[r] - old_twin[r]).collect();
                    let readings = [hidden_fold(&visible, &gains(1)), twins(&visible, &twin_gains)];
                    for (i, reading) in readings.into_iter().enumerate() {
                        match reading.map(|found| found.signal) {
                            Ok(GateSignal::Flagged) => {
                                counts[2 * i] += 1;
                                counts[2 * i + 1] += 1;
                            }
                            Ok(GateSignal::Warning) => counts[2 * i + 1] += 1,
                            _ => {}
                        }
                    }
                },
                |sum, more| sum.iter_mut().zip(more).for_each(|(s, m)| *s += m),
            );
            let rate = |count: u64| percent(count as f64 / experiments as f64);
            writeln!(
                out,
                "| {n} | {name} | {} / {} | {} / {} |",
                rate(counts[0]),
                rate(counts[1]),
                rate(counts[2]),
                rate(counts[3])
            )?;
        }
    }
    writeln!(out)
}

/// Without slices there is nothing to scope to; what would spending all of alpha on the aggregate buy?
fn whole_alpha(out: &mut impl Write, experiments: u64) -> io::Result<()> {
    let part = RuleSpec::superiority(0.05, -0.02).unwrap_or_else(|error| panic!("{error}"));
    // Four fifths of 6.25% are 5%.
    let whole = RuleSpec { alpha: 0.0625, ..part.clone() };
    let plain = |n: usize, trials: u32, accuracy: f64, discordance: f64, effect: f64| WorldSpec {
        slices: vec![WorldSlice { name: "all".to_owned(), share: 1.0, rows: n, accuracy, effects: vec![effect] }],
        sliced: false,
        post_stratified: false,
        trials,
        grades: 1,
        discordance,
        trial_share: 0.6,
        clusters: None,
        breakage: 0.0,
    };
    writeln!(
        out,
        "## Without slices\n\n\
         Where no slice is registered there is nothing to scope to, and the aggregate test could spend all of alpha instead of\n\
         four fifths of it. Percent of experiments that ship, with four fifths (the rule) / with all of it. The first three\n\
         rows are errors: all of alpha buys three to four points of power, but its false ships reach 9% where one trial per row and\n\
         hardly any loss leave the statistic few values. The rule keeps four fifths; in that corner (an arm that only wins, about as\n\
         often as the margin, one trial) even these exceed 5%: run three trials.\n"
    )?;
    writeln!(out, "| truth, pp | n = 60 | 100 | 200 | 400 |\n|---|---|---|---|---|")?;
    for (name, trials, accuracy, discordance, effect) in [
        ("+5 (the margin)", 3, 0.7, 0.2, 0.05),
        ("+5 (the margin), one trial, accuracy 85%, discordance 8%", 1, 0.85, 0.08, 0.05),
        ("+5 (the margin), one trial, accuracy 50%, discordance 5%", 1, 0.5, 0.05, 0.05),
        ("+7.5", 3, 0.7, 0.2, 0.075),
        ("+10", 3, 0.7, 0.2, 0.10),
        ("+15", 3, 0.7, 0.2, 0.15),
    ] {
        let mut cells = Vec::new();
        for n in [60, 100, 200, 400] {
            let world = world(&plain(n, trials, accuracy, discordance, effect));
            let plan = plan(experiments, (1000.0 * effect) as u64 + n as u64);
            let [a, b] = [&part, &whole].map(|rule| {
                let tally = simulate(rule, &world, plan).unwrap_or_else(|error| panic!("{error}"));
                percent(tally.rate(tally.ship))
            });
            cells.push(format!("{a} / {b}"));
        }
        writeln!(out, "| {name} | {} |", cells.join(" | "))?;
    }
    writeln!(out)
}

/// Where the interval does not keep its promise, so that nobody has to find out.
fn limits(out: &mut impl Write, experiments: u64) -> io::Result<()> {
    writeln!(
        out,
        "## A known limit\n\n\
         Graded scores that rise by nearly the same small amount on every row, and fall from one to zero on one row in a\n\
         hundred or two. While no such row has been drawn the sample holds no trace of it, and no interval that adapts to\n\
         the observed spread can know. Percent of 95% lower bounds above the true mean (gain of 6pp with the given standard\n\
         deviation between rows, true mean effect +5pp):\n"
    )?;
    writeln!(out, "| spread of the gain | n = 60 | 200 | 600 | 2000 |\n|---|---|---|---|---|")?;
    // Mean 0.05 with gains of 0.06: a share p of total losses with 0.06 (1 - p) - p = 0.05.
    let broken = 0.01 / 1.06;
    for spread in [0.0, 0.05, 0.1, 0.2] {
        let mut cells = Vec::new();
        for n in [60, 200, 600, 2000] {
            let mut state = SEED ^ (n as u64);
            let mut uniform = || {
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
            };
            let count = experiments / 10;
            let mut misses = 0;
            for _ in 0..count {
                let d: Vec<f64> = (0..n)
                    .map(|_| {
                        if uniform() < broken {
                            -1.0
                        } else {
                            // Uniform with the asked standard deviation.
                            0.06 + spread * 12f64.sqrt() * (uniform() - 0.5)
                        }
                    })
                    .collect();
                misses += u64::from(EsTango::from_differences(&d).is_ok_and(|es| es.p_above(0.05) < 0.05));
            }
            cells.push(percent(misses as f64 / count as f64));
        }
        writeln!(out, "| {}pp | {} |", 100.0 * spread, cells.join(" | "))?;
    }
    writeln!(
        out,
        "\nScores that are right or wrong, over one or several trials, cannot behave like this. Where graded scores might, register\n\
         the collapse as a failure mode with its own severity: the rule tests its rate by itself.\n"
    )
}

/// What the rule does where a plain reading of its definition leaves a choice.
fn choices(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "## Choices\n\n\
         Where the definition of interval and rule leaves a choice, this is what the code does.\n\n\
         - **Post-stratified jackknife.** Leaving a cluster out recomputes every stratum mean, so the mix stays the registered one.\n\
         - **No discordance with weights or clusters.** The bound `-(1 - alpha^(1/n))` takes for `n` the smallest `n_s / share_s`, times\n\
         \x20 clusters over rows: the stratum in which a silent loss would weigh most, and clusters that break as a whole.\n\
         - **Slices of two to seven clusters** in a test that has at least eight keep the cluster variance with few degrees of\n\
         \x20 freedom. Taken for fixed, 5.8% of slices at the floor passed in the world of nested clusters at n = 150; now 1.9%.\n\
         - **Starved strata.** Where a stratum bears more than three times the weight of its rows, the degrees of freedom are at most\n\
         \x20 Satterthwaite's. With `n - strata` 6.5% of upper bounds missed in the world of the starved slice at n = 60; now 5.0%.\n\
         - **Slices under twelve rows** have no interval. Where floors must be proven, theirs is not, no arm ships everywhere, and a\n\
         \x20 scope may leave them out; where floors are read from estimates, theirs is too.\n\
         - **Several slice columns.** A scope is the set of rows all of whose slices passed. Where the aggregate is not proven, the\n\
         \x20 slices of one column must show the effect and those of the other columns their floor, by Bonferroni.\n\
         - **A required gain** is tested by Student's t on `(1 - r) cost_baseline - cost_arm`; it enters the arm's p-value, and a scope\n\
         \x20 needs it both over all rows and over the scope. Nested tests, so no error is added.\n\
         - **The most severe failure mode** stops an arm when its rate is shown to rise (score interval on the paired rates, at alpha).\n\
         \x20 A rise within noise is disclosed and loses ties between eligible arms. The stop can only prevent ships.\n\
         - **Severity-weighted effects** are ratios; their variance is linearised and then treated like any other.\n\
         - **Rows that would settle it**: `n ((z_a + z_b) SE / distance)^2` for every open question, the largest of them; none is named\n\
         \x20 beyond ten million.\n"
    )
}
