//! Tango's score statistic and interval for a paired difference of proportions.
//!
//! Tango T (1998). Equivalence test and confidence interval for the difference in proportions for the
//! paired-sample design. *Statistics in Medicine* 17:891-908.

use crate::StatsError;
use crate::distribution::normal_quantile;
use crate::root::falling_root;

/// A paired two-by-two table as Tango's statistic sees it: the number of pairs and the two discordant
/// masses. Real-valued, because the effective-sample-size form scales a weighted, graded or clustered
/// sample to such a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreTable {
    /// Number of pairs, `> 0`.
    pub n: f64,
    /// Mass of pairs that the candidate wins, `>= 0`.
    pub b: f64,
    /// Mass of pairs that the candidate loses, `>= 0`, with `b + c <= n` up to rounding.
    pub c: f64,
}

impl ScoreTable {
    /// A table of counts: `b` pairs won and `c` pairs lost out of `n`.
    ///
    /// # Errors
    /// When `n` is zero or `b + c > n`.
    pub fn from_counts(n: u64, b: u64, c: u64) -> Result<Self, StatsError> {
        if n == 0 {
            return Err(StatsError::TooFew { what: "the score interval", unit: "pairs", needed: 1, got: 0 });
        }
        if b + c > n {
            return Err(StatsError::OutOfRange {
                what: "the number of discordant pairs",
                range: "at most the number of pairs",
                got: (b + c) as f64,
            });
        }
        Ok(Self { n: n as f64, b: b as f64, c: c as f64 })
    }

    /// The estimate `(b - c) / n`, a fraction in `[-1, 1]`.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        (self.b - self.c) / self.n
    }

    /// The same table with baseline and candidate exchanged.
    #[must_use]
    pub fn swapped(&self) -> Self {
        Self { n: self.n, b: self.c, c: self.b }
    }

    /// Tango's score statistic `T(D)` against the hypothesis that the difference is `delta`.
    ///
    /// `T = (b - c - nD) / sqrt(n [2q + D(1 - D)])` with `q` the restricted maximum-likelihood estimate
    /// of the losing cell (Tango 1998, equations 8-10). Falls in `delta`; infinite where the restricted
    /// variance is zero and the numerator is not.
    #[must_use]
    pub fn statistic(&self, delta: f64) -> f64 {
        let Self { n, b, c } = *self;
        let numerator = b - c - n * delta;
        let two_a = 4.0 * n;
        let linear = -(b + c) + (2.0 * n - b + c) * delta;
        let constant = -c * delta * (1.0 - delta);
        let root = (linear * linear - 2.0 * two_a * constant).max(0.0).sqrt();
        // The quadratic's larger root, written so that no digits cancel.
        let q = if linear > 0.0 {
            let sum = root + linear;
            if sum > 0.0 { -2.0 * constant / sum } else { 0.0 }
        } else {
            (root - linear) / two_a
        };
        let variance = n * (2.0 * q + delta * (1.0 - delta));
        if variance > 0.0 {
            numerator / variance.sqrt()
        } else if numerator > 0.0 {
            f64::INFINITY
        } else if numerator < 0.0 {
            f64::NEG_INFINITY
        } else {
            0.0
        }
    }

    /// The lower limit: the difference at which the statistic equals `critical` (a positive quantile).
    /// Clipped to `[-1, estimate]`.
    #[must_use]
    pub fn lower(&self, critical: f64) -> f64 {
        let top = self.estimate().clamp(-1.0, 1.0);
        falling_root(|delta| self.statistic(delta) - critical, -1.0, top)
    }

    /// The upper limit, by exchanging `b` and `c`.
    #[must_use]
    pub fn upper(&self, critical: f64) -> f64 {
        -self.swapped().lower(critical)
    }

    /// The two-sided interval with normal critical values, as in the paper. `level` in (0, 1).
    ///
    /// # Errors
    /// When `level` is not in (0, 1).
    pub fn interval(&self, level: f64) -> Result<(f64, f64), StatsError> {
        StatsError::check_level(level)?;
        let critical = normal_quantile(0.5 + 0.5 * level);
        Ok((self.lower(critical), self.upper(critical)))
    }
}
