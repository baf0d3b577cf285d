//! Variance components, the smallest detectable effect, sample size and trials per row.

use crate::StatsError;
use crate::distribution::normal_quantile;

/// The variance of a per-row paired difference, split into what rows and what trials contribute.
///
/// With `K` trials the variance of one row's mean difference is `between + within_baseline/K_A + within_arm/K_B`; the
/// error of the effect is its root over `√n`. Units: squared fractions.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct VarianceSplit {
    /// `ω²`: variance of the rows' true differences, never below zero.
    pub between: f64,
    /// `(sA² + sB²) / K`: what trial noise adds to the variance of a row's mean difference.
    pub within: f64,
    /// Variance of a row's observed mean difference, `between + within` unless `between` was clipped at zero.
    pub total: f64,
}

impl VarianceSplit {
    /// Splits the observed variance of row means. `differences` are per-row mean differences, `within` the sampling
    /// variance of each (`s²_A/K_A + s²_B/K_B`, zero for deterministic arms).
    ///
    /// Source: one-way random-effects analysis of variance; Miller 2024 (arXiv 2411.00640, section 3.3).
    ///
    /// # Errors
    /// Under two rows, or when the lengths differ.
    pub fn estimate(differences: &[f64], within: &[f64]) -> Result<Self, StatsError> {
        StatsError::check_lengths("differences and within-row variances", differences.len(), within.len())?;
        if differences.len() < 2 {
            return Err(StatsError::TooFew { what: "a variance", unit: "rows", needed: 2, got: differences.len() });
        }
        let n = differences.len() as f64;
        let mean = differences.iter().sum::<f64>() / n;
        let total = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Ok(Self::from_parts(total, within.iter().sum::<f64>() / n))
    }

    /// The split of a known total and trial contribution.
    #[must_use]
    pub fn from_parts(total: f64, within: f64) -> Self {
        Self { between: (total - within).max(0.0), within, total }
    }

    /// Whether more trials help more than more rows: trial noise above half of the variance.
    #[must_use]
    pub fn favours_trials(&self) -> bool {
        self.within > 0.5 * self.total
    }
}

/// `z_(1-alpha) + z_power`.
fn z_sum(alpha: f64, power: f64) -> Result<f64, StatsError> {
    StatsError::check_alpha(alpha)?;
    if !(power > 0.0 && power < 1.0) {
        return Err(StatsError::OutOfRange { what: "power", range: "in (0, 1)", got: power });
    }
    Ok(normal_quantile(1.0 - alpha) + normal_quantile(power))
}

/// The smallest effect above a margin that is seen with the given power: `(z_a + z_b) SE`, a fraction.
///
/// # Errors
/// When `alpha` or `power` is not in (0, 1), or `se` is negative.
pub fn minimum_detectable_effect(se: f64, alpha: f64, power: f64) -> Result<f64, StatsError> {
    if !(se >= 0.0 && se.is_finite()) {
        return Err(StatsError::OutOfRange { what: "a standard error", range: "at least zero", got: se });
    }
    Ok(z_sum(alpha, power)? * se)
}

/// Rows needed to prove an effect `delta` above `margin`:
/// `n = (z_a + z_b)² variance / (delta - margin)²`, rounded up, at least [`crate::MIN_ROWS`].
///
/// `variance` is that of one row's mean difference ([`VarianceSplit::total`]); for binary scores and one trial it is
/// `discordance - delta²`. `alpha` is one-sided; pass half of a two-sided level.
///
/// Source: Miller 2024 (arXiv 2411.00640, equation 9).
///
/// # Errors
/// When `delta <= margin`, the variance is negative, or `alpha` or `power` is not in (0, 1).
pub fn rows_needed(delta: f64, margin: f64, variance: f64, alpha: f64, power: f64) -> Result<u64, StatsError> {
    if delta.partial_cmp(&margin) != Some(std::cmp::Ordering::Greater) {
        return Err(StatsError::OutOfRange { what: "the planned effect", range: "above the margin", got: delta });
    }
    if !(variance >= 0.0 && variance.is_finite()) {
        return Err(StatsError::OutOfRange { what: "a variance", range: "at least zero", got: variance });
    }
    let n = z_sum(alpha, power)?.powi(2) * variance / (delta - margin).powi(2);
    // A billion rows is not an answer; the cast saturates far above it.
    Ok((n - 1e-9).ceil().max(crate::MIN_ROWS as f64) as u64)
}

/// Rows on which nothing may be lost before "no loss beyond `floor`" is proven without any win:
/// the smallest `n` with `(1 - |floor|)^n <= alpha`. 149 for 2pp at 5%.
///
/// # Errors
/// When `floor` is not in `(-1, 0)` or `alpha` not in (0, 1).
pub fn rows_for_silent_floor(floor: f64, alpha: f64) -> Result<u64, StatsError> {
    StatsError::check_alpha(alpha)?;
    if !(floor > -1.0 && floor < 0.0) {
        return Err(StatsError::OutOfRange { what: "a loss floor", range: "in (-1, 0)", got: floor });
    }
    Ok((alpha.ln() / (1.0 + floor).ln()).ceil() as u64)
}

/// The number of trials per row that buys the most precision: `√(within₁/between · cost of a row / cost of a trial)`,
/// rounded, at least one.
///
/// `within_one_trial` is the trial variance of a difference with one trial on each side (`s²_A + s²_B`), `between` the
/// variance between rows; with the usual ratio of about 1.3 between them it is 1.1-1.2 times the root of the cost ratio.
///
/// Source: Cochran 1977, *Sampling Techniques*, equation 10.22 (optimum subsampling).
///
/// # Errors
/// When a variance or cost is negative or not finite, or the trial cost is zero.
pub fn optimal_trials(within_one_trial: f64, between: f64, row_cost: f64, trial_cost: f64) -> Result<u32, StatsError> {
    for (what, got) in [("within variance", within_one_trial), ("between variance", between), ("row cost", row_cost)] {
        if !(got >= 0.0 && got.is_finite()) {
            return Err(StatsError::OutOfRange { what, range: "at least zero", got });
        }
    }
    if !(trial_cost > 0.0 && trial_cost.is_finite()) {
        return Err(StatsError::OutOfRange { what: "trial cost", range: "above zero", got: trial_cost });
    }
    if between == 0.0 {
        return Err(StatsError::Undefined { what: "the best number of trials", why: "rows do not differ" });
    }
    Ok((within_one_trial / between * row_cost / trial_cost).sqrt().round().max(1.0) as u32)
}
