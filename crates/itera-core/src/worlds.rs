//! Simulated worlds with known truth, for planning and for calibration.
//!
//! # The model
//!
//! A row of slice `s` has a latent ease `u ~ N(0, 1)`. The baseline answers a trial right when
//! `√v u + √(1-v) e > -μ_s`, with `e ~ N(0, 1)` fresh in every trial; an arm when
//! `√v (ρ u + √(1-ρ²) w) + √(1-v) e > -(μ_s + shift)`, with `w ~ N(0, 1)` fresh in every row and arm. All marginals are
//! probits, so accuracies are exact. `v` sets how much trials of one row differ and `ρ` how much arm and baseline do:
//!
//! - **discordance** is the chance that one trial of an arm without effect disagrees with one trial of the baseline;
//! - **trial share** is the part of it that two trials of the *same* arm show (0.6 by default, which gives the variance
//!   that three-trial runs of language models show).
//!
//! On top of it: **graded** scores (several right-or-wrong parts per trial), **clusters** (every cluster moves the arm's
//! latent shift by its own amount), **breakage** (in a share of rows the arm deterministically scores zero, and gains
//! elsewhere so that its effect is what was asked), slices of unequal size and a test mix **off the production mix**.
//!
//! `u` is drawn from 64 equally likely values and everything after it from exact tables, so that a row costs a few
//! table look-ups and the true effects of the discretised world are computed, not approximated.

mod catalogue;
mod draw;

use itera_stats::distribution::{bivariate_normal_cdf, normal_cdf, normal_pdf, normal_quantile};

use crate::rule::{ArmColumn, SliceColumn, Table, TrialCounts};

pub use catalogue::{CalibrationCase, TruthShape, calibration_cases};
pub use draw::{Replicate, replicate};

/// Values of the row latent.
const EASE: usize = 64;
/// Quadrature points of the arm's own row latent.
const OWN: usize = 24;
/// Values of a cluster's shift.
const LEVELS: usize = 5;

/// One slice of a world.
#[derive(Debug, Clone, PartialEq)]
pub struct WorldSlice {
    /// Its name.
    pub name: String,
    /// Its share of production; shares are normalised.
    pub share: f64,
    /// Its test rows.
    pub rows: usize,
    /// The baseline's accuracy, in (0, 1).
    pub accuracy: f64,
    /// The true effect of each arm, a fraction; accuracy plus effect in (0, 1).
    pub effects: Vec<f64>,
}

/// Clusters of a world.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorldClusters {
    /// How many.
    pub count: usize,
    /// Standard deviation of a cluster's shift of an arm, on the latent scale (0.2 is about 7pp at 70% accuracy).
    pub spread: f64,
    /// Clusters lie within slices; otherwise every cluster has rows of every slice.
    pub nested: bool,
}

/// A world, in words and numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct WorldSpec {
    /// Its slices; one is enough. The slice column is called `slice`.
    pub slices: Vec<WorldSlice>,
    /// The slices are registered, with floors; otherwise there is no slice column.
    pub sliced: bool,
    /// The test mix is weighted back to production by slice.
    pub post_stratified: bool,
    /// Trials per row, at least one.
    pub trials: u32,
    /// Parts of a trial's score: 1 for right or wrong, `g` for scores `0, 1/g, .. 1`.
    pub grades: u32,
    /// Discordance of one trial at no effect, in (0, 1).
    pub discordance: f64,
    /// Part of the discordance that two trials of one arm show, in `[0, 1)`.
    pub trial_share: f64,
    /// Clusters, if any.
    pub clusters: Option<WorldClusters>,
    /// Share of rows in which an arm deterministically scores zero, in `[0, 1)`.
    pub breakage: f64,
}

/// Why a world cannot exist.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WorldError {
    /// A number is outside its range.
    #[error("{field} must be {range}, got {got}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its range, in words.
        range: &'static str,
        /// The value.
        got: f64,
    },
    /// Two answers of this accuracy cannot disagree that often.
    #[error("at an accuracy of {accuracy} the discordance is at most {most:.3}, {asked} was asked")]
    Discordance {
        /// The accuracy.
        accuracy: f64,
        /// The largest discordance.
        most: f64,
        /// What was asked.
        asked: f64,
    },
    /// Accuracy plus effect (over the rows that do not break) leaves (0, 1).
    #[error("an accuracy of {accuracy} with an effect of {effect} and {breakage} breakage is not possible")]
    Effect {
        /// The accuracy.
        accuracy: f64,
        /// The effect.
        effect: f64,
        /// Share of rows that break.
        breakage: f64,
    },
    /// No slices, no arms, or slices with different numbers of arms.
    #[error("a world needs slices that name the same arms, at least one of each")]
    Empty,
}

/// Cumulative outcome tables: `cut[bin * width + s]` is the chance, scaled to 32 bits, that at most `s` parts are right.
#[derive(Debug, Clone)]
struct Outcomes {
    width: usize,
    cut: Vec<u32>,
}

impl Outcomes {
    fn new(probabilities: &[Vec<f64>]) -> Self {
        let width = probabilities[0].len();
        let mut cut = Vec::with_capacity(probabilities.len() * width);
        for bin in probabilities {
            let mut sum = 0.0;
            for (s, p) in bin.iter().enumerate() {
                sum += p;
                cut.push(if s + 1 == width { u32::MAX } else { (sum * 4_294_967_296.0).min(4_294_967_295.0) as u32 });
            }
        }
        Self { width, cut }
    }

    #[inline]
    fn draw(&self, bin: usize, random: u32) -> usize {
        let row = &self.cut[bin * self.width..(bin + 1) * self.width];
        let mut s = 0;
        while s + 1 < row.len() && random >= row[s] {
            s += 1;
        }
        s
    }
}

/// The true effects of a world.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// Per arm, weighted to production (or to the test mix where the world is not post-stratified).
    pub aggregate: Vec<f64>,
    /// Per slice and arm.
    pub slices: Vec<Vec<f64>>,
    /// Weight of each slice in the aggregate.
    pub shares: Vec<f64>,
}

impl Truth {
    /// The true effect of an arm over some slices.
    #[must_use]
    pub fn over(&self, arm: usize, slices: &[usize]) -> f64 {
        let share: f64 = slices.iter().map(|&s| self.shares[s]).sum();
        slices.iter().map(|&s| self.shares[s] * self.slices[s][arm]).sum::<f64>() / share
    }
}

/// A world that can be drawn from.
#[derive(Debug, Clone)]
pub struct World {
    blank: Table,
    truth: Truth,
    /// Per slice the baseline's outcomes; per slice, arm and level the arm's.
    baseline: Vec<Outcomes>,
    arms: Vec<Vec<Vec<Outcomes>>>,
    /// Slice of every row.
    slice_of: Vec<u32>,
    parts: u32,
}

impl World {
    /// Builds the tables of a world.
    ///
    /// # Errors
    /// When a number is out of range or the accuracies, effects and discordance cannot be had together.
    pub fn new(spec: &WorldSpec) -> Result<Self, WorldError> {
        let arms = spec.slices.first().map_or(0, |s| s.effects.len());
        if arms == 0 || spec.slices.iter().any(|s| s.effects.len() != arms) {
            return Err(WorldError::Empty);
        }
        let check = |ok: bool, field, range, got| {
            if ok { Ok(()) } else { Err(WorldError::OutOfRange { field, range, got }) }
        };
        check(spec.discordance > 0.0 && spec.discordance < 1.0, "discordance", "in (0, 1)", spec.discordance)?;
        check((0.0..1.0).contains(&spec.trial_share), "trial_share", "in [0, 1)", spec.trial_share)?;
        check((0.0..1.0).contains(&spec.breakage), "breakage", "in [0, 1)", spec.breakage)?;
        check(spec.trials >= 1 && spec.grades >= 1, "trials and grades", "at least one", f64::from(spec.trials))?;
        for slice in &spec.slices {
            check(slice.share > 0.0, "a slice's share", "above zero", slice.share)?;
            check(slice.rows > 0, "a slice's rows", "at least one", slice.rows as f64)?;
            check(slice.accuracy > 0.0 && slice.accuracy < 1.0, "accuracy", "in (0, 1)", slice.accuracy)?;
        }
        let parts = spec.trials * spec.grades;
        let levels = spec.clusters.map_or(1, |_| LEVELS);
        let spread = spec.clusters.map_or(0.0, |c| c.spread);
        let (mut baseline, mut outcomes) = (Vec::new(), Vec::new());
        let mut known: Vec<(f64, f64, Vec<Outcomes>)> = Vec::new();
        for slice in &spec.slices {
            let latent = Latent::new(slice.accuracy, spec.discordance, spec.trial_share)?;
            baseline.push(latent.baseline(parts));
            let mut per_arm = Vec::with_capacity(arms);
            for &effect in &slice.effects {
                // Slices and arms often repeat the same truth; its tables are the dear part of building a world.
                let found = known.iter().find(|(a, e, _)| *a == slice.accuracy && *e == effect).map(|k| k.2.clone());
                let tables = match found {
                    Some(tables) => tables,
                    None => {
                        let tables = latent.arm(effect, spec.breakage, levels, spread, parts)?;
                        known.push((slice.accuracy, effect, tables.clone()));
                        tables
                    }
                };
                per_arm.push(tables);
            }
            outcomes.push(per_arm);
        }
        let (blank, slice_of) = blank_table(spec, arms);
        let total: f64 = spec.slices.iter().map(|s| weight_of(spec, s)).sum();
        let shares: Vec<f64> = spec.slices.iter().map(|s| weight_of(spec, s) / total).collect();
        let aggregate = (0..arms)
            .map(|arm| spec.slices.iter().zip(&shares).map(|(slice, share)| share * slice.effects[arm]).sum())
            .collect();
        let truth = Truth { aggregate, slices: spec.slices.iter().map(|s| s.effects.clone()).collect(), shares };
        Ok(Self { blank, truth, baseline, arms: outcomes, slice_of, parts })
    }

    /// The true effects.
    #[must_use]
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// A table with the world's rows, slices and clusters and all scores zero, to be filled by [`World::draw`].
    #[must_use]
    pub fn blank(&self) -> Table {
        self.blank.clone()
    }
}

fn weight_of(spec: &WorldSpec, slice: &WorldSlice) -> f64 {
    if spec.post_stratified { slice.share } else { slice.rows as f64 }
}

/// The layout of the test set: slices one after the other.
fn blank_table(spec: &WorldSpec, arms: usize) -> (Table, Vec<u32>) {
    let n: usize = spec.slices.iter().map(|s| s.rows).sum();
    let mut slice_of = Vec::with_capacity(n);
    for (s, slice) in spec.slices.iter().enumerate() {
        slice_of.extend(std::iter::repeat_n(s as u32, slice.rows));
    }
    let names: Vec<String> = spec.slices.iter().map(|s| s.name.clone()).collect();
    let total: f64 = spec.slices.iter().map(|s| s.share).sum();
    let (stratum, stratum_names, shares) = if spec.post_stratified {
        (slice_of.clone(), names.clone(), spec.slices.iter().map(|s| s.share / total).collect())
    } else {
        (vec![0; n], vec!["all".to_owned()], vec![1.0])
    };
    let clusters = spec.clusters.map(|clusters| {
        let count = clusters.count.clamp(1, n);
        let column =
            (0..n).map(|row| if clusters.nested { (row * count / n) as u32 } else { (row % count) as u32 }).collect();
        (column, count)
    });
    let column = |name: String| ArmColumn {
        name,
        mean: vec![0.0; n],
        within: vec![0.0; n],
        trials: TrialCounts { min: spec.trials, max: spec.trials },
        modes: None,
        cost: None,
        latency: None,
    };
    let table = Table {
        n,
        stratum,
        stratum_names,
        shares,
        weighted: spec.post_stratified,
        clusters,
        severity: None,
        slices: if spec.sliced {
            vec![SliceColumn { name: "slice".to_owned(), values: names, member: slice_of.clone() }]
        } else {
            Vec::new()
        },
        modes: Vec::new(),
        arms: std::iter::once("baseline".to_owned())
            .chain((1..=arms).map(|arm| format!("arm-{arm}")))
            .map(column)
            .collect(),
    };
    (table, slice_of)
}

/// The latent model of one accuracy.
struct Latent {
    accuracy: f64,
    /// Share of a row's latent in the variance of a trial.
    v: f64,
    /// Correlation of arm and baseline between rows.
    rho: f64,
    ease: Vec<f64>,
    own: Vec<f64>,
}

/// The middles of `k` equally likely bins of a standard normal, scaled to unit variance.
fn normal_bins(k: usize) -> Vec<f64> {
    let raw: Vec<f64> = (0..k).map(|i| normal_quantile((i as f64 + 0.5) / k as f64)).collect();
    let sd = (raw.iter().map(|x| x * x).sum::<f64>() / k as f64).sqrt();
    raw.into_iter().map(|x| x / sd).collect()
}

impl Latent {
    fn new(accuracy: f64, discordance: f64, trial_share: f64) -> Result<Self, WorldError> {
        let cut = normal_quantile(accuracy);
        // Disagreement of two answers of this accuracy whose latents correlate with r.
        let disagree = |r: f64| 2.0 * (accuracy - bivariate_normal_cdf(cut, cut, r));
        let most = disagree(0.0);
        if discordance > most {
            return Err(WorldError::Discordance { accuracy, most, asked: discordance });
        }
        let correlation_for = |target: f64| {
            let (mut low, mut high) = (0.0, 0.999_999);
            for _ in 0..50 {
                let middle = 0.5 * (low + high);
                if disagree(middle) > target { low = middle } else { high = middle }
            }
            0.5 * (low + high)
        };
        let between = correlation_for(discordance);
        let v = correlation_for(trial_share * discordance).clamp(between, 0.9999);
        Ok(Self { accuracy, v, rho: (between / v).min(1.0), ease: normal_bins(EASE), own: normal_bins(OWN) })
    }

    /// Chance of a right part at a row latent `x` of unit variance.
    fn right(&self, x: f64, cut: f64) -> f64 {
        normal_cdf((self.v.sqrt() * x + cut) / (1.0 - self.v).sqrt())
    }

    /// The threshold at which the mean over `points` is `target`; Newton's steps from the probit of the target.
    fn calibrate(&self, points: &[f64], target: f64) -> f64 {
        let scale = (1.0 - self.v).sqrt();
        let mut cut = normal_quantile(target);
        for _ in 0..20 {
            let (mut mean, mut slope) = (0.0, 0.0);
            for &x in points {
                let z = (self.v.sqrt() * x + cut) / scale;
                mean += normal_cdf(z);
                slope += normal_pdf(z) / scale;
            }
            let k = points.len() as f64;
            let step = (mean / k - target) / (slope / k).max(1e-9);
            cut -= step.clamp(-0.5, 0.5);
            if step.abs() < 1e-12 {
                break;
            }
        }
        cut
    }

    fn baseline(&self, parts: u32) -> Outcomes {
        let cut = self.calibrate(&self.ease, self.accuracy);
        let rows: Vec<Vec<f64>> = self.ease.iter().map(|&u| binomial(parts, self.right(u, cut))).collect();
        Outcomes::new(&rows)
    }

    /// The outcome tables of an arm, one per cluster level.
    fn arm(
        &self,
        effect: f64,
        breakage: f64,
        levels: usize,
        spread: f64,
        parts: u32,
    ) -> Result<Vec<Outcomes>, WorldError> {
        let target = (self.accuracy + effect) / (1.0 - breakage);
        if !(target > 0.0 && target < 1.0) {
            return Err(WorldError::Effect { accuracy: self.accuracy, effect, breakage });
        }
        let own_scale = (1.0 - self.rho * self.rho).max(0.0).sqrt();
        let shifts: Vec<f64> = if levels == 1 { vec![0.0] } else { normal_bins(levels) };
        let latent = |u: f64, w: f64, level: f64| self.rho * u + own_scale * w + level * spread / self.v.sqrt();
        let mut points = Vec::with_capacity(EASE * OWN * levels);
        for &level in &shifts {
            for &u in &self.ease {
                points.extend(self.own.iter().map(|&w| latent(u, w, level)));
            }
        }
        let cut = self.calibrate(&points, target);
        Ok(shifts
            .iter()
            .map(|&level| {
                let rows: Vec<Vec<f64>> = self
                    .ease
                    .iter()
                    .map(|&u| {
                        let mut outcome = vec![0.0; parts as usize + 1];
                        for &w in &self.own {
                            let p = self.right(latent(u, w, level), cut);
                            for (sum, value) in outcome.iter_mut().zip(binomial(parts, p)) {
                                *sum += (1.0 - breakage) * value / OWN as f64;
                            }
                        }
                        outcome[0] += breakage;
                        outcome
                    })
                    .collect();
                Outcomes::new(&rows)
            })
            .collect())
    }
}

/// The probabilities of a binomial.
fn binomial(n: u32, p: f64) -> Vec<f64> {
    let mut out = vec![0.0; n as usize + 1];
    out[0] = 1.0;
    for trial in 0..n as usize {
        for s in (0..=trial).rev() {
            let stay = out[s];
            out[s + 1] += stay * p;
            out[s] = stay * (1.0 - p);
        }
    }
    out
}
