//! Variance with clusters: rows of one entity share luck, so the cluster is what varies.

use crate::es_tango::{ClusterVariance, Stratum};
use crate::{MIN_CLUSTERS, StatsError};

/// The delete-one-cluster jackknife variance `(G-1)/G Σ_g (est_(-g) - est)²` of a stratified mean.
///
/// `strata` are the sums over the whole sample with their shares; `rows` yields
/// `(cluster, stratum, difference)` **grouped by cluster** (all rows of a cluster in a run). Leaving a cluster out
/// recomputes every stratum mean, so the mix stays the registered one; a stratum that loses all its rows drops out and
/// the other shares are renormalised.
///
/// Source: Efron and Stein 1981; for an unweighted mean of equal clusters it equals [`cr1`].
#[must_use]
pub fn jackknife(strata: &[Stratum], rows: impl IntoIterator<Item = (u32, u32, f64)>) -> ClusterVariance {
    let total_share: f64 = strata.iter().filter(|s| s.n > 0).map(|s| s.share).sum();
    let full: f64 = strata.iter().filter(|s| s.n > 0).map(|s| s.share * s.sum / s.n as f64).sum();
    let estimate = full / total_share;
    let mut left_out: Vec<(usize, f64)> = vec![(0, 0.0); strata.len()];
    let mut touched: Vec<u32> = Vec::new();
    let (mut count, mut sum_sq) = (0usize, 0.0);
    let mut current: Option<u32> = None;

    let mut close = |touched: &mut Vec<u32>, left_out: &mut Vec<(usize, f64)>| {
        let (mut weighted, mut share) = (full, total_share);
        for &s in touched.iter() {
            let stratum = &strata[s as usize];
            let (n, sum) = std::mem::take(&mut left_out[s as usize]);
            weighted -= stratum.share * stratum.sum / stratum.n as f64;
            if stratum.n > n {
                weighted += stratum.share * (stratum.sum - sum) / (stratum.n - n) as f64;
            } else {
                share -= stratum.share;
            }
        }
        touched.clear();
        count += 1;
        // With one stratum in one cluster nothing is left; a single cluster has no variance anyway.
        if share > 1e-12 * total_share {
            let shift = weighted / share - estimate;
            sum_sq += shift * shift;
        }
    };
    for (cluster, stratum, d) in rows {
        if current != Some(cluster) {
            if current.is_some() {
                close(&mut touched, &mut left_out);
            }
            current = Some(cluster);
        }
        let cell = &mut left_out[stratum as usize];
        if cell.0 == 0 {
            touched.push(stratum);
        }
        cell.0 += 1;
        cell.1 += d;
    }
    if current.is_some() {
        close(&mut touched, &mut left_out);
    }
    let g = count as f64;
    ClusterVariance { count, variance: if count > 1 { (g - 1.0) / g * sum_sq } else { 0.0 } }
}

/// The cluster-robust standard error of a mean with the CR1 small-sample factor,
/// `G/(G-1) · (n-1)/(n-1) Σ_g (Σ_{i∈g} (d_i - d̄))² / n²`, as `statsmodels` computes it for a regression on a constant.
///
/// Source: Liang and Zeger 1986; MacKinnon and White 1985 for the factor.
///
/// # Errors
/// Under two clusters, or when the lengths differ.
pub fn cr1(values: &[f64], clusters: &[u32]) -> Result<f64, StatsError> {
    StatsError::check_lengths("values and clusters", values.len(), clusters.len())?;
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&i| clusters[i]);
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let (mut total, mut groups) = (0.0, 0usize);
    for run in order.chunk_by(|&i, &j| clusters[i] == clusters[j]) {
        let score: f64 = run.iter().map(|&i| values[i] - mean).sum();
        total += score * score;
        groups += 1;
    }
    if groups < 2 {
        return Err(StatsError::TooFew { what: "a cluster-robust error", unit: "clusters", needed: 2, got: groups });
    }
    let g = groups as f64;
    Ok((g / (g - 1.0) * total).sqrt() / n)
}

/// The delete-one-cluster jackknife standard error of an unweighted mean.
///
/// # Errors
/// Under two clusters, or when the lengths differ.
pub fn jackknife_se(values: &[f64], clusters: &[u32]) -> Result<f64, StatsError> {
    StatsError::check_lengths("values and clusters", values.len(), clusters.len())?;
    let mut stratum = Stratum::new(1.0);
    for &v in values {
        stratum.push(v);
    }
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&i| clusters[i]);
    let found = jackknife(&[stratum], order.into_iter().map(|i| (clusters[i], 0, values[i])));
    if found.count < 2 {
        return Err(StatsError::TooFew { what: "a cluster jackknife", unit: "clusters", needed: 2, got: found.count });
    }
    Ok(found.variance.sqrt())
}

/// Whether a sample of this many clusters can speak about clusters that were not seen; with fewer they are treated as
/// fixed, and a report must say so.
#[must_use]
pub fn speaks_for_new_clusters(count: usize) -> bool {
    count >= MIN_CLUSTERS
}
