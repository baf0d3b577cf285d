//! Intervals for one proportion and for a paired difference of two.

use crate::StatsError;
use crate::distribution::{beta_quantile, normal_quantile};

fn check_counts(x: u64, n: u64) -> Result<(), StatsError> {
    if n == 0 {
        return Err(StatsError::TooFew { what: "a proportion", unit: "trials", needed: 1, got: 0 });
    }
    if x > n {
        return Err(StatsError::OutOfRange {
            what: "the number of successes",
            range: "at most the number of trials",
            got: x as f64,
        });
    }
    Ok(())
}

/// Wilson's score interval for `x` successes in `n` trials, two-sided at `level`.
///
/// Source: Wilson 1927, JASA 22:209.
///
/// # Errors
/// When `n` is zero, `x > n`, or the level is not in (0, 1).
pub fn wilson(x: u64, n: u64, level: f64) -> Result<(f64, f64), StatsError> {
    check_counts(x, n)?;
    StatsError::check_level(level)?;
    Ok(wilson_with(x as f64, n as f64, normal_quantile(0.5 + 0.5 * level)))
}

fn wilson_with(x: f64, n: f64, z: f64) -> (f64, f64) {
    let p = x / n;
    let z2 = z * z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// The exact Clopper-Pearson interval for `x` successes in `n` trials, two-sided at `level`.
///
/// Source: Clopper and Pearson 1934, Biometrika 26:404.
///
/// # Errors
/// When `n` is zero, `x > n`, or the level is not in (0, 1).
pub fn clopper_pearson(x: u64, n: u64, level: f64) -> Result<(f64, f64), StatsError> {
    check_counts(x, n)?;
    StatsError::check_level(level)?;
    let tail = 0.5 * (1.0 - level);
    let (successes, failures) = (x as f64, (n - x) as f64);
    let low = if x == 0 { 0.0 } else { beta_quantile(tail, successes, failures + 1.0) };
    let high = if x == n { 1.0 } else { beta_quantile(1.0 - tail, successes + 1.0, failures) };
    Ok((low, high))
}

/// The cells of a paired two-by-two table of counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairedCounts {
    /// Both right.
    pub both: u64,
    /// Only the candidate right.
    pub candidate_only: u64,
    /// Only the baseline right.
    pub baseline_only: u64,
    /// Neither right.
    pub neither: u64,
}

impl PairedCounts {
    /// All pairs.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.both + self.candidate_only + self.baseline_only + self.neither
    }
}

/// Newcombe's hybrid score interval for a paired difference (method 10: Wilson limits without continuity correction,
/// with the corrected correlation of the margins), two-sided at `level`.
///
/// Source: Newcombe 1998, Stat Med 17:2635.
///
/// # Errors
/// When the table is empty or the level is not in (0, 1).
pub fn newcombe10(counts: PairedCounts, level: f64) -> Result<(f64, f64), StatsError> {
    StatsError::check_level(level)?;
    let total = counts.total();
    if total == 0 {
        return Err(StatsError::TooFew { what: "a paired interval", unit: "pairs", needed: 1, got: 0 });
    }
    let [a, b, c, d] = [counts.both, counts.candidate_only, counts.baseline_only, counts.neither].map(|x| x as f64);
    let n = total as f64;
    let z = normal_quantile(0.5 + 0.5 * level);
    let (p_candidate, p_baseline) = ((a + b) / n, (a + c) / n);
    let (l1, u1) = wilson_with(a + b, n, z);
    let (l2, u2) = wilson_with(a + c, n, z);
    let margins = (a + b) * (c + d) * (a + c) * (b + d);
    let determinant = a * d - b * c;
    let corrected = if determinant > n / 2.0 {
        determinant - n / 2.0
    } else if determinant >= 0.0 {
        0.0
    } else {
        determinant
    };
    let phi = if margins > 0.0 { corrected / margins.sqrt() } else { 0.0 };
    let (dl1, du1, dl2, du2) = (p_candidate - l1, u1 - p_candidate, p_baseline - l2, u2 - p_baseline);
    let difference = (b - c) / n;
    let below = (dl1 * dl1 - 2.0 * phi * dl1 * du2 + du2 * du2).max(0.0).sqrt();
    let above = (du1 * du1 - 2.0 * phi * du1 * dl2 + dl2 * dl2).max(0.0).sqrt();
    Ok((difference - below, difference + above))
}

/// The Wald interval of a paired difference; with `pseudo` 0.5 per cell it is Agresti and Min's.
///
/// Kept for comparison only: it misses its lower bound far too often when discordance is rare.
/// Source: Agresti and Min 2005, Stat Med 24:729.
///
/// # Errors
/// When the table is empty or the level is not in (0, 1).
pub fn wald_paired(counts: PairedCounts, pseudo: f64, level: f64) -> Result<(f64, f64), StatsError> {
    StatsError::check_level(level)?;
    let n = counts.total() as f64 + 4.0 * pseudo;
    if n <= 0.0 {
        return Err(StatsError::TooFew { what: "a paired interval", unit: "pairs", needed: 1, got: 0 });
    }
    let (b, c) = (counts.candidate_only as f64 + pseudo, counts.baseline_only as f64 + pseudo);
    let difference = (b - c) / n;
    let half = normal_quantile(0.5 + 0.5 * level) * ((b + c - (b - c) * (b - c) / n).max(0.0)).sqrt() / n;
    Ok((difference - half, difference + half))
}
