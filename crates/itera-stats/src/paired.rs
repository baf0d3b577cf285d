//! Classical paired tests: exact McNemar, sign flips, Student's t. References beside the score interval.

use crate::StatsError;
use crate::distribution::{binomial_upper_tail, student_quantile, student_upper_tail};

/// A one-sided and a two-sided p-value of the same hypothesis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PValues {
    /// Against the alternative that the candidate is better.
    pub greater: f64,
    /// Against any difference.
    pub two_sided: f64,
}

/// The exact McNemar test on `b` pairs won and `c` pairs lost: a binomial with one half.
///
/// Source: McNemar 1947; exact form as `statsmodels.stats.contingency_tables.mcnemar(exact=True)`.
#[must_use]
pub fn mcnemar_exact(b: u64, c: u64) -> PValues {
    let n = b + c;
    let greater = binomial_upper_tail(b, n, 0.5);
    let two_sided = (2.0 * binomial_upper_tail(b.max(c), n, 0.5)).min(1.0);
    PValues { greater, two_sided }
}

/// The sign-flip (paired permutation) test of a zero mean: exact by enumeration up to 20 non-zero differences, else
/// `flips` random flips from `seed` with the add-one estimate `(1 + hits) / (1 + flips)`, which keeps the test valid.
///
/// Source: Fisher 1935; Phipson and Smyth 2010 for the add-one estimate. Random flips come from SplitMix64 (Steele,
/// Lea and Flood 2014), so that a seed fixes the answer.
///
/// # Errors
/// Without differences, or when one is not finite.
pub fn sign_flip(differences: &[f64], flips: u32, seed: u64) -> Result<PValues, StatsError> {
    if differences.is_empty() {
        return Err(StatsError::TooFew { what: "a sign-flip test", unit: "rows", needed: 1, got: 0 });
    }
    if let Some(&got) = differences.iter().find(|d| !d.is_finite()) {
        return Err(StatsError::OutOfRange { what: "a paired difference", range: "finite", got });
    }
    let moved: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let observed: f64 = moved.iter().sum();
    // Sums that differ by rounding only count as ties.
    let slack = 1e-9 * moved.iter().map(|d| d.abs()).sum::<f64>().max(1e-300);
    let (mut greater, mut extreme, total);
    if moved.len() <= 20 {
        (greater, extreme) = (0u64, 0u64);
        total = 1u64 << moved.len();
        // Gray code: each step flips one sign, so each sum costs one addition.
        let mut signs = 0u64;
        let mut sum = observed;
        for step in 0..total {
            if step > 0 {
                let flip = step.trailing_zeros();
                signs ^= 1 << flip;
                let d = moved[flip as usize];
                sum += if signs >> flip & 1 == 1 { -2.0 * d } else { 2.0 * d };
            }
            greater += u64::from(sum >= observed - slack);
            extreme += u64::from(sum.abs() >= observed.abs() - slack);
        }
    } else {
        (greater, extreme) = (1, 1);
        total = u64::from(flips) + 1;
        let mut state = seed;
        for _ in 0..flips {
            let mut sum = 0.0;
            for chunk in moved.chunks(64) {
                let mut bits = split_mix(&mut state);
                for d in chunk {
                    sum += if bits & 1 == 1 { *d } else { -*d };
                    bits >>= 1;
                }
            }
            greater += u64::from(sum >= observed - slack);
            extreme += u64::from(sum.abs() >= observed.abs() - slack);
        }
    }
    Ok(PValues { greater: greater as f64 / total as f64, two_sided: extreme as f64 / total as f64 })
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A one-sample Student t test and interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TTest {
    /// The mean.
    pub mean: f64,
    /// The standard deviation, divisor `n - 1`.
    pub sd: f64,
    /// The statistic against a zero mean; infinite for a constant non-zero sample.
    pub t: f64,
    /// One-sided p-value against a mean at most zero.
    pub p_greater: f64,
    /// Two-sided 95% interval.
    pub ci95: (f64, f64),
}

/// Student's t on per-row mean differences. For scores it misses its lower bound when breakage is rare; it is the
/// reference for cost and latency, where differences are not bounded.
///
/// # Errors
/// Under two values.
pub fn t_test(values: &[f64]) -> Result<TTest, StatsError> {
    if values.len() < 2 {
        return Err(StatsError::TooFew { what: "a t test", unit: "rows", needed: 2, got: values.len() });
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let se = sd / n.sqrt();
    let t = if se > 0.0 {
        mean / se
    } else if mean == 0.0 {
        0.0
    } else {
        mean.signum() * f64::INFINITY
    };
    let half = student_quantile(0.975, n - 1.0) * se;
    Ok(TTest { mean, sd, t, p_greater: student_upper_tail(t, n - 1.0), ci95: (mean - half, mean + half) })
}
