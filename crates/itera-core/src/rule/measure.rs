//! From columns to the few scalars that the rule reads: one pass per arm and slice column.

use itera_stats::distribution::{student_quantile, student_upper_tail};
use itera_stats::es_tango::Stratum;
use itera_stats::{EsTango, MIN_CLUSTERS, MIN_ROWS, Sample};

use super::table::{BASELINE, SliceColumn, Table};

/// A set of rows over which an effect is estimated.
#[derive(Debug, Clone)]
pub(super) struct Region {
    /// The rows, grouped by cluster where there are clusters.
    pub rows: Vec<u32>,
    /// What each stratum weighs in the region, not normalised.
    pub weights: Vec<f64>,
    /// The region's share of production.
    pub share: f64,
}

/// A registered slice and its rows.
#[derive(Debug, Clone)]
pub(super) struct SliceRegion {
    /// Index of the slice column.
    pub column: usize,
    /// Index of the value.
    pub value: usize,
    /// Its rows.
    pub region: Region,
}

/// How a table's rows are divided. It does not depend on scores, so that a simulation computes it once.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub all: Region,
    pub slices: Vec<SliceRegion>,
    /// Production share of a row of each stratum.
    per_row: Vec<f64>,
}

impl Layout {
    pub(super) fn new(table: &Table) -> Self {
        let mut per_row = vec![0.0; table.shares.len()];
        for &s in &table.stratum {
            per_row[s as usize] += 1.0;
        }
        for (weight, share) in per_row.iter_mut().zip(&table.shares) {
            *weight = if *weight > 0.0 { share / *weight } else { 0.0 };
        }
        let mut order: Vec<u32> = (0..table.n as u32).collect();
        if let Some((clusters, _)) = &table.clusters {
            order.sort_by_key(|&row| clusters[row as usize]);
        }
        let mut slices = Vec::new();
        for (column, slice) in table.slices.iter().enumerate() {
            let mut members: Vec<Vec<u32>> = vec![Vec::new(); slice.values.len()];
            for &row in &order {
                let value = slice.member[row as usize];
                if value != SliceColumn::NONE {
                    members[value as usize].push(row);
                }
            }
            for (value, rows) in members.into_iter().enumerate() {
                slices.push(SliceRegion { column, value, region: Region::new(table, &per_row, rows) });
            }
        }
        Self { all: Region::new(table, &per_row, order), slices, per_row }
    }

    /// The rows all of whose slices are in `chosen` (indices into [`Layout::slices`]).
    pub(super) fn scope(&self, table: &Table, chosen: &[usize]) -> Region {
        let mut allowed: Vec<Vec<bool>> = table.slices.iter().map(|s| vec![false; s.values.len()]).collect();
        for &slice in chosen {
            let slice = &self.slices[slice];
            allowed[slice.column][slice.value] = true;
        }
        let inside = |row: u32| {
            table.slices.iter().zip(&allowed).all(|(column, allowed)| {
                let value = column.member[row as usize];
                value != SliceColumn::NONE && allowed[value as usize]
            })
        };
        let rows = self.all.rows.iter().copied().filter(|&row| inside(row)).collect();
        Region::new(table, &self.per_row, rows)
    }
}

impl Region {
    fn new(table: &Table, per_row: &[f64], rows: Vec<u32>) -> Self {
        let mut weights = vec![0.0; per_row.len()];
        for &row in &rows {
            weights[table.stratum[row as usize] as usize] += 1.0;
        }
        for (weight, each) in weights.iter_mut().zip(per_row) {
            *weight *= each;
        }
        let share = weights.iter().sum();
        Self { rows, weights, share }
    }
}

/// A measured mean difference.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub n: usize,
    pub estimate: f64,
    pub wins: f64,
    pub losses: f64,
    /// Absent under 12 rows.
    pub interval: Option<EsTango>,
}

impl Measured {
    /// p-value of "the effect is at most `margin`"; 1 where nothing can be inferred.
    pub(super) fn p_above(&self, margin: f64) -> f64 {
        self.interval.map_or(1.0, |es| es.p_above(margin))
    }

    /// p-value of "the effect is at least `margin`"; 1 where nothing can be inferred.
    pub(super) fn p_below(&self, margin: f64) -> f64 {
        self.interval.map_or(1.0, |es| es.p_below(margin))
    }
}

/// Room for the sums of one measurement.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    strata: Vec<Stratum>,
}

/// Measures the production-weighted mean of `difference(row)` over a region. The differences are in `[-1, 1]`.
pub(super) fn measure(
    table: &Table,
    region: &Region,
    scratch: &mut Scratch,
    difference: impl Fn(usize) -> f64,
) -> Measured {
    scratch.strata.clear();
    scratch.strata.extend(region.weights.iter().map(|&w| Stratum::new(w)));
    for &row in &region.rows {
        let row = row as usize;
        scratch.strata[table.stratum[row] as usize].push(difference(row));
    }
    let n = region.rows.len();
    let total: f64 = region.weights.iter().sum();
    let mut measured = Measured { n, estimate: 0.0, wins: 0.0, losses: 0.0, interval: None };
    for s in scratch.strata.iter().filter(|s| s.n > 0) {
        let weight = s.share / total / s.n as f64;
        measured.wins += 0.5 * weight * (s.sum_abs + s.sum);
        measured.losses += 0.5 * weight * (s.sum_abs - s.sum);
        measured.estimate += weight * s.sum;
    }
    if n >= MIN_ROWS {
        let clusters = table.clusters.as_ref().map(|(cluster, _)| {
            itera_stats::cluster::jackknife(
                &scratch.strata,
                region.rows.iter().map(|&row| {
                    let row = row as usize;
                    (cluster[row], table.stratum[row], difference(row))
                }),
            )
        });
        measured.interval =
            EsTango::new(Sample { strata: &scratch.strata, clusters, least_clusters: least_clusters(table) }).ok();
    }
    measured
}

/// Fewest clusters with which a region speaks of clusters that were not seen. Where the whole table does, every part of
/// it must: a slice of a few clusters that was taken for fixed would let 6% of slices at the floor pass.
fn least_clusters(table: &Table) -> usize {
    match table.cluster_count() {
        Some(count) if count >= MIN_CLUSTERS => 2,
        _ => MIN_CLUSTERS,
    }
}

/// The paired difference of an arm and the baseline.
pub(super) fn effect<'a>(table: &'a Table, arm: usize) -> impl Fn(usize) -> f64 + 'a {
    let (base, arm) = (&table.arms[BASELINE].mean, &table.arms[arm].mean);
    move |row| arm[row] - base[row]
}

/// Measures the mean of `difference` weighted by production **and** by each row's severity. A ratio of two means, so
/// its variance is linearised (Cochran 1977, section 6.4).
pub(super) fn measure_severity(
    table: &Table,
    region: &Region,
    scratch: &mut Scratch,
    severity: &[f64],
    difference: impl Fn(usize) -> f64,
) -> Measured {
    let mut sizes = vec![0usize; region.weights.len()];
    for &row in &region.rows {
        sizes[table.stratum[row as usize] as usize] += 1;
    }
    let weight = |row: usize| {
        let s = table.stratum[row] as usize;
        region.weights[s] / sizes[s] as f64 * severity[row]
    };
    let (mut total, mut wins, mut losses, mut squares) = (0.0, 0.0, 0.0, 0.0);
    for &row in &region.rows {
        let (w, d) = (weight(row as usize), difference(row as usize));
        total += w;
        squares += w * w;
        wins += w * d.max(0.0);
        losses += w * (-d).max(0.0);
    }
    let n = region.rows.len();
    let (wins, losses) = (wins / total, losses / total);
    let estimate = wins - losses;
    let mut measured = Measured { n, estimate, wins, losses, interval: None };
    if n >= MIN_ROWS {
        let mean_severity = total / region.weights.iter().sum::<f64>();
        // The residuals have mean zero, so that the machinery of a plain mean yields the variance of the ratio.
        let residual = |row: usize| severity[row] / mean_severity * (difference(row) - estimate);
        let spread = measure(table, region, scratch, residual);
        measured.interval = spread
            .interval
            .and_then(|es| EsTango::from_moments(n, wins, losses, es.variance, es.nu, total * total / squares).ok());
    }
    measured
}

/// Means of a resource over a region with the covariance of the two means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resource {
    pub n: usize,
    pub baseline: f64,
    pub arm: f64,
    var_baseline: f64,
    var_arm: f64,
    covariance: f64,
    nu: f64,
}

impl Resource {
    /// Measures rows for which both figures exist; `None` when there is no such row.
    pub(super) fn measure(table: &Table, region: &Region, baseline: &[f64], arm: &[f64]) -> Option<Self> {
        let strata = region.weights.len();
        let mut sums = vec![(0usize, 0.0, 0.0); strata];
        let known = |row: usize| !baseline[row].is_nan() && !arm[row].is_nan();
        for &row in &region.rows {
            let row = row as usize;
            if known(row) {
                let cell = &mut sums[table.stratum[row] as usize];
                cell.0 += 1;
                cell.1 += baseline[row];
                cell.2 += arm[row];
            }
        }
        let total: f64 = sums.iter().zip(&region.weights).filter(|(s, _)| s.0 > 0).map(|(_, w)| w).sum();
        let n: usize = sums.iter().map(|s| s.0).sum();
        if n == 0 {
            return None;
        }
        let (mut mean_b, mut mean_a, mut used) = (0.0, 0.0, 0usize);
        for (cell, weight) in sums.iter().zip(&region.weights).filter(|(s, _)| s.0 > 0) {
            let size = cell.0 as f64;
            mean_b += weight / total * cell.1 / size;
            mean_a += weight / total * cell.2 / size;
            used += 1;
        }
        let mut result = Self {
            n,
            baseline: mean_b,
            arm: mean_a,
            var_baseline: 0.0,
            var_arm: 0.0,
            covariance: 0.0,
            nu: (n as f64 - used as f64).max(1.0),
        };
        // Influence of a row on the two means; a stratum of one row is centred on the whole.
        let influence = |row: usize| {
            let s = table.stratum[row] as usize;
            let (size, b, a) = sums[s];
            let w = region.weights[s] / total / size as f64;
            if size > 1 {
                let factor = (size as f64 / (size as f64 - 1.0)).sqrt();
                (w * factor * (baseline[row] - b / size as f64), w * factor * (arm[row] - a / size as f64))
            } else {
                (w * (baseline[row] - mean_b), w * (arm[row] - mean_a))
            }
        };
        let clusters = table.clusters.as_ref().map(|(c, _)| c);
        let (mut groups, mut at) = (0usize, 0usize);
        let (mut bb, mut aa, mut ba) = (0.0, 0.0, 0.0);
        let (mut plain_bb, mut plain_aa, mut plain_ba) = (0.0, 0.0, 0.0);
        while at < region.rows.len() {
            let first = region.rows[at] as usize;
            let (mut sum_b, mut sum_a) = (0.0, 0.0);
            loop {
                let row = region.rows[at] as usize;
                if known(row) {
                    let (b, a) = influence(row);
                    sum_b += b;
                    sum_a += a;
                    plain_bb += b * b;
                    plain_aa += a * a;
                    plain_ba += b * a;
                }
                at += 1;
                let more = at < region.rows.len() && clusters.is_some_and(|c| c[region.rows[at] as usize] == c[first]);
                if !more {
                    break;
                }
            }
            groups += 1;
            bb += sum_b * sum_b;
            aa += sum_a * sum_a;
            ba += sum_b * sum_a;
        }
        if clusters.is_some() && groups >= least_clusters(table) {
            let factor = groups as f64 / (groups as f64 - 1.0);
            (result.var_baseline, result.var_arm, result.covariance) = (factor * bb, factor * aa, factor * ba);
            result.nu = groups as f64 - 1.0;
        } else {
            (result.var_baseline, result.var_arm, result.covariance) = (plain_bb, plain_aa, plain_ba);
        }
        Some(result)
    }

    /// Arm minus baseline.
    pub(super) fn difference(&self) -> f64 {
        self.arm - self.baseline
    }

    /// Two-sided 95% interval of the difference; `None` under 12 rows.
    pub(super) fn difference_ci(&self) -> Option<(f64, f64)> {
        (self.n >= MIN_ROWS).then(|| {
            let variance = (self.var_baseline + self.var_arm - 2.0 * self.covariance).max(0.0);
            let half = student_quantile(0.975, self.nu) * variance.sqrt();
            (self.difference() - half, self.difference() + half)
        })
    }

    /// The reduction as a fraction of the baseline's mean.
    pub(super) fn reduction(&self) -> Option<f64> {
        (self.baseline > 0.0).then(|| 1.0 - self.arm / self.baseline)
    }

    /// The t statistic against "the reduction is at most `reduction`".
    pub(super) fn statistic(&self, reduction: f64) -> f64 {
        let keep = 1.0 - reduction;
        let gain = keep * self.baseline - self.arm;
        let variance = keep * keep * self.var_baseline - 2.0 * keep * self.covariance + self.var_arm;
        if variance > 1e-18 * (self.baseline * self.baseline).max(f64::MIN_POSITIVE) {
            gain / variance.sqrt()
        } else if gain > 0.0 {
            f64::INFINITY
        } else {
            f64::NEG_INFINITY
        }
    }

    /// p-value of "the reduction is at most `reduction`"; 1 under 12 rows.
    pub(super) fn p_above(&self, reduction: f64) -> f64 {
        if self.n < MIN_ROWS { 1.0 } else { student_upper_tail(self.statistic(reduction), self.nu) }
    }

    /// p-value of "the reduction is at least `reduction`"; 1 under 12 rows.
    pub(super) fn p_below(&self, reduction: f64) -> f64 {
        if self.n < MIN_ROWS { 1.0 } else { student_upper_tail(-self.statistic(reduction), self.nu) }
    }

    /// Fieller's two-sided 95% interval of the reduction (Fieller 1954, JRSS B 16:175): all ratios that a t test does
    /// not reject. `None` under 12 rows and where the baseline's mean is too uncertain for the interval to be bounded.
    pub(super) fn reduction_ci(&self) -> Option<(f64, f64)> {
        if self.n < MIN_ROWS || self.baseline <= 0.0 {
            return None;
        }
        let t2 = student_quantile(0.975, self.nu).powi(2);
        let a = self.baseline * self.baseline - t2 * self.var_baseline;
        let b = self.baseline * self.arm - t2 * self.covariance;
        let c = self.arm * self.arm - t2 * self.var_arm;
        if a <= 0.0 {
            return None;
        }
        let root = (b * b - a * c).max(0.0).sqrt();
        Some((1.0 - (b + root) / a, 1.0 - (b - root) / a))
    }
}
