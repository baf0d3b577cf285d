//! Agreement between raters: Cohen's kappa for two, Krippendorff's alpha for any number with gaps.

use crate::StatsError;
use crate::distribution::{normal_quantile, student_quantile};

/// An agreement coefficient with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Agreement {
    /// The coefficient: 1 is perfect, 0 what chance gives, below zero is worse than chance.
    pub coefficient: f64,
    /// Its standard error.
    pub se: f64,
    /// Observed disagreement-free share (kappa) or one minus observed disagreement (alpha), in `[0, 1]`.
    pub observed: f64,
    /// Units rated at least twice.
    pub units: usize,
    /// Degrees of freedom of the interval; infinite for a normal one.
    nu: f64,
}

impl Agreement {
    /// The two-sided interval at `level`, clipped at 1.
    ///
    /// # Errors
    /// When the level is not in (0, 1).
    pub fn interval(&self, level: f64) -> Result<(f64, f64), StatsError> {
        StatsError::check_level(level)?;
        let p = 0.5 + 0.5 * level;
        let critical = if self.nu.is_finite() { student_quantile(p, self.nu) } else { normal_quantile(p) };
        Ok((self.coefficient - critical * self.se, (self.coefficient + critical * self.se).min(1.0)))
    }
}

/// Cohen's kappa of a square table: `table[i][j]` units put in category `i` by the first rater and `j` by the second.
///
/// The standard error is the asymptotic one under no hypothesis, as `statsmodels.stats.inter_rater.cohens_kappa`.
/// Source: Cohen 1960; Fleiss, Cohen and Everitt 1969 for the variance.
///
/// # Errors
/// For a table that is empty or not square, and when both raters use a single category.
pub fn cohen_kappa(table: &[Vec<u64>]) -> Result<Agreement, StatsError> {
    let k = table.len();
    for row in table {
        StatsError::check_lengths("rows and columns of the table", k, row.len())?;
    }
    let total: u64 = table.iter().flatten().sum();
    if total == 0 {
        return Err(StatsError::TooFew { what: "kappa", unit: "units", needed: 1, got: 0 });
    }
    let n = total as f64;
    let share = |i: usize, j: usize| table[i][j] as f64 / n;
    let first: Vec<f64> = (0..k).map(|i| (0..k).map(|j| share(i, j)).sum()).collect();
    let second: Vec<f64> = (0..k).map(|j| (0..k).map(|i| share(i, j)).sum()).collect();
    let observed: f64 = (0..k).map(|i| share(i, i)).sum();
    let chance: f64 = (0..k).map(|i| first[i] * second[i]).sum();
    if chance >= 1.0 {
        return Err(StatsError::Undefined { what: "kappa", why: "both raters used a single category" });
    }
    let kappa = (observed - chance) / (1.0 - chance);
    let mut diagonal = 0.0;
    let mut rest = 0.0;
    for (i, (row, column)) in first.iter().zip(&second).enumerate() {
        diagonal += share(i, i) * (1.0 - (row + column) * (1.0 - kappa)).powi(2);
        // The formula crosses the margins: the column margin of `i` with the row margin of `j`.
        rest += (0..k)
            .zip(&first)
            .filter(|(j, _)| *j != i)
            .map(|(j, other)| share(i, j) * (column + other).powi(2))
            .sum::<f64>();
    }
    let constant = (kappa - chance * (1.0 - kappa)).powi(2);
    let variance = (diagonal + (1.0 - kappa).powi(2) * rest - constant) / ((1.0 - chance).powi(2) * n);
    Ok(Agreement {
        coefficient: kappa,
        se: variance.max(0.0).sqrt(),
        observed,
        units: total as usize,
        nu: f64::INFINITY,
    })
}

/// How far apart two ratings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Categories: different or not.
    Nominal,
    /// Ranks, with Krippendorff's rank-frequency metric.
    Ordinal,
    /// Numbers, squared difference.
    Interval,
}

/// Krippendorff's alpha. `units[u]` are the ratings that unit `u` received, in any order and number; units rated once
/// carry no information and are left out.
///
/// The standard error is a delete-one-unit jackknife, referred to Student's t with units minus one degrees of freedom.
/// Source: Krippendorff 2011, *Computing Krippendorff's Alpha-Reliability*; Efron and Stein 1981 for the jackknife.
///
/// # Errors
/// Under two units rated twice, for a rating that is not finite, and when all ratings are equal.
pub fn krippendorff_alpha(units: &[Vec<f64>], scale: Scale) -> Result<Agreement, StatsError> {
    if let Some(&got) = units.iter().flatten().find(|v| !v.is_finite()) {
        return Err(StatsError::OutOfRange { what: "a rating", range: "finite", got });
    }
    let rated: Vec<&Vec<f64>> = units.iter().filter(|u| u.len() >= 2).collect();
    if rated.len() < 2 {
        return Err(StatsError::TooFew { what: "alpha", unit: "units rated twice", needed: 2, got: rated.len() });
    }
    let mut values: Vec<f64> = rated.iter().flat_map(|u| u.iter().copied()).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let k = values.len();
    let index = |v: f64| values.partition_point(|x| *x < v);
    // Counts of each value per unit, then the unit's contribution to the coincidence matrix.
    let coincidence = |unit: &[f64]| -> Vec<f64> {
        let mut counts = vec![0.0; k];
        for &v in unit {
            counts[index(v)] += 1.0;
        }
        let scale = 1.0 / (unit.len() as f64 - 1.0);
        let mut pairs = vec![0.0; k * k];
        for i in (0..k).filter(|&i| counts[i] > 0.0) {
            for j in (0..k).filter(|&j| counts[j] > 0.0) {
                pairs[i * k + j] = counts[i] * (counts[j] - if i == j { 1.0 } else { 0.0 }) * scale;
            }
        }
        pairs
    };
    let per_unit: Vec<Vec<f64>> = rated.iter().map(|u| coincidence(u)).collect();
    let mut total = vec![0.0; k * k];
    for unit in &per_unit {
        for (t, v) in total.iter_mut().zip(unit) {
            *t += v;
        }
    }
    let (coefficient, observed) = alpha_of(&total, &values, scale)
        .ok_or(StatsError::Undefined { what: "alpha", why: "all ratings are equal" })?;
    let m = rated.len() as f64;
    let mut left_out = Vec::with_capacity(rated.len());
    for unit in &per_unit {
        let rest: Vec<f64> = total.iter().zip(unit).map(|(t, v)| (t - v).max(0.0)).collect();
        // Without the only unit that varies, agreement is perfect as far as it can be told.
        left_out.push(alpha_of(&rest, &values, scale).map_or(1.0, |(a, _)| a));
    }
    let mean = left_out.iter().sum::<f64>() / m;
    let spread = left_out.iter().map(|a| (a - mean).powi(2)).sum::<f64>();
    Ok(Agreement { coefficient, se: ((m - 1.0) / m * spread).sqrt(), observed, units: rated.len(), nu: m - 1.0 })
}

/// Alpha and one minus the observed disagreement (scaled to its largest distance) of a coincidence matrix.
fn alpha_of(coincidences: &[f64], values: &[f64], scale: Scale) -> Option<(f64, f64)> {
    let k = values.len();
    let marginal: Vec<f64> = (0..k).map(|i| coincidences[i * k..(i + 1) * k].iter().sum()).collect();
    let n: f64 = marginal.iter().sum();
    let distance = |i: usize, j: usize| -> f64 {
        let (low, high) = (i.min(j), i.max(j));
        match scale {
            Scale::Nominal => f64::from(u8::from(i != j)),
            Scale::Interval => (values[i] - values[j]).powi(2),
            Scale::Ordinal if i == j => 0.0,
            Scale::Ordinal => {
                let between: f64 = marginal[low..=high].iter().sum();
                (between - 0.5 * (marginal[low] + marginal[high])).powi(2)
            }
        }
    };
    let (mut observed, mut expected, mut furthest) = (0.0, 0.0, 0.0_f64);
    for i in 0..k {
        for j in 0..k {
            let d = distance(i, j);
            observed += coincidences[i * k + j] * d;
            expected += marginal[i] * marginal[j] * d;
            if marginal[i] > 0.0 && marginal[j] > 0.0 {
                furthest = furthest.max(d);
            }
        }
    }
    // Rounding of the jackknife's subtractions must not pass for variation.
    if expected <= 1e-9 * n * n * furthest.max(f64::MIN_POSITIVE) {
        return None;
    }
    Some((1.0 - (n - 1.0) * observed / expected, 1.0 - observed / (n * furthest)))
}
