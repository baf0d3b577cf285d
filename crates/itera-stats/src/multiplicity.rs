//! Family-wise error over several hypotheses.

use crate::StatsError;

/// Holm's adjusted p-values, in the order given: hypothesis `i` is rejected at family-wise level `alpha` exactly when
/// its adjusted p-value is at most `alpha`. An empty family gives an empty answer.
///
/// Source: Holm 1979, Scand J Stat 6:65. Valid under any dependence.
///
/// # Errors
/// When a p-value is not in `[0, 1]`.
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, StatsError> {
    if let Some(&got) = p_values.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        return Err(StatsError::OutOfRange { what: "a p-value", range: "in [0, 1]", got });
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&i, &j| p_values[i].total_cmp(&p_values[j]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut running = 0.0_f64;
    for (rank, &i) in order.iter().enumerate() {
        running = running.max(((p_values.len() - rank) as f64 * p_values[i]).min(1.0));
        adjusted[i] = running;
    }
    Ok(adjusted)
}
