//! Prediction-powered inference on paired differences: people's labels on a few rows correct a judge's scores on many.

use crate::StatsError;
use crate::distribution::normal_quantile;

/// A prediction-powered estimate of the mean paired difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PredictionPowered {
    /// The estimate `H̄ - λ (J̄_labelled - J̄_unlabelled)`, a fraction.
    pub estimate: f64,
    /// Its standard error.
    pub se: f64,
    /// The weight on the judge: 0 ignores it, 1 trusts it fully.
    pub lambda: f64,
}

impl PredictionPowered {
    /// The two-sided normal interval at `level`.
    ///
    /// # Errors
    /// When the level is not in (0, 1).
    pub fn interval(&self, level: f64) -> Result<(f64, f64), StatsError> {
        StatsError::check_level(level)?;
        let half = normal_quantile(0.5 + 0.5 * level) * self.se;
        Ok((self.estimate - half, self.estimate + half))
    }
}

/// PPI++ with the variance-minimising weight.
///
/// `labels` are people's paired differences on the labelled rows, `judged` the judge's on the same rows in the same
/// order, `unlabelled` the judge's on the other rows. `λ = cov(H, J) / ((1 + m/N) var J)` with `var J` over all judged
/// rows, clipped to `[0, 1]`; `SE² = var(H - λJ)/m + λ² var(J_unlabelled)/N`. Sample variances with divisor `n - 1`.
///
/// Source: Angelopoulos, Duchi and Zrnic 2023, *PPI++* (arXiv 2311.01453), equations 4 and 6 for a mean.
///
/// # Errors
/// Under two labelled or two unlabelled rows, or when labels and judgements differ in length.
pub fn ppi_plus_plus(labels: &[f64], judged: &[f64], unlabelled: &[f64]) -> Result<PredictionPowered, StatsError> {
    StatsError::check_lengths("labels and judgements", labels.len(), judged.len())?;
    check_size(labels, unlabelled)?;
    let (m, n) = (labels.len() as f64, unlabelled.len() as f64);
    let (h, j) = (mean(labels), mean(judged));
    let covariance = labels.iter().zip(judged).map(|(a, b)| (a - h) * (b - j)).sum::<f64>() / (m - 1.0);
    let pooled = variance(judged.iter().chain(unlabelled).copied());
    let lambda = if pooled > 0.0 { (covariance / ((1.0 + m / n) * pooled)).clamp(0.0, 1.0) } else { 0.0 };
    ppi_with(labels, judged, unlabelled, lambda)
}

/// The estimate at a fixed weight: `lambda` 1 is the original PPI, 0 the labels alone.
///
/// Source: Angelopoulos et al. 2023, Science 382:669.
///
/// # Errors
/// As [`ppi_plus_plus`], and when `lambda` is not in `[0, 1]`.
pub fn ppi_with(
    labels: &[f64],
    judged: &[f64],
    unlabelled: &[f64],
    lambda: f64,
) -> Result<PredictionPowered, StatsError> {
    StatsError::check_lengths("labels and judgements", labels.len(), judged.len())?;
    check_size(labels, unlabelled)?;
    if !(0.0..=1.0).contains(&lambda) {
        return Err(StatsError::OutOfRange { what: "lambda", range: "in [0, 1]", got: lambda });
    }
    let (m, n) = (labels.len() as f64, unlabelled.len() as f64);
    let estimate = mean(labels) - lambda * (mean(judged) - mean(unlabelled));
    let residual = variance(labels.iter().zip(judged).map(|(h, j)| h - lambda * j));
    let se = (residual / m + lambda * lambda * variance(unlabelled.iter().copied()) / n).sqrt();
    Ok(PredictionPowered { estimate, se, lambda })
}

fn check_size(labels: &[f64], unlabelled: &[f64]) -> Result<(), StatsError> {
    for (what, rows) in [("a labelled sample", labels), ("an unlabelled sample", unlabelled)] {
        if rows.len() < 2 {
            return Err(StatsError::TooFew { what, unit: "rows", needed: 2, got: rows.len() });
        }
        if let Some(&got) = rows.iter().find(|d| !d.is_finite()) {
            return Err(StatsError::OutOfRange { what, range: "finite", got });
        }
    }
    Ok(())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let (n, sum) = values.clone().fold((0usize, 0.0), |(n, sum), v| (n + 1, sum + v));
    let mean = sum / n as f64;
    values.map(|v| (v - mean).powi(2)).sum::<f64>() / (n as f64 - 1.0)
}
