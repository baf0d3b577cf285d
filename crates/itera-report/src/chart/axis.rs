//! From values to pixels, and the ticks between.

use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;

/// Units in one pixel while a value is mapped; the mapping knows whole numbers only.
const FINE: f64 = 1000.0;

/// A linear or logarithmic axis.
#[derive(Clone)]
pub struct Axis {
    coord: RangedCoordf64,
    low: f64,
    high: f64,
    pixels: (f64, f64),
    log: bool,
}

impl Axis {
    /// A linear axis from `low` at pixel `from` to `high` at pixel `to`.
    pub fn linear(low: f64, high: f64, from: f64, to: f64) -> Self {
        // Equal ends would map everything to one point.
        let high = if high > low { high } else { low + 1.0 };
        Self { coord: (low..high).into(), low, high, pixels: (from, to), log: false }
    }

    /// A logarithmic axis; `low` and `high` are positive.
    pub fn log(low: f64, high: f64, from: f64, to: f64) -> Self {
        Self { log: true, ..Self::linear(low.log10(), high.log10(), from, to) }
    }

    /// The pixel of a value.
    pub fn at(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        let limits = ((self.pixels.0 * FINE) as i32, (self.pixels.1 * FINE) as i32);
        f64::from(self.coord.map(&value, limits)) / FINE
    }

    /// The pixel of a value, moved to the nearer end where it is outside.
    pub fn clamped(&self, value: f64) -> f64 {
        let value = if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let value = value.clamp(self.low, self.high);
        self.at(if self.log { 10f64.powf(value) } else { value })
    }

    /// The value at its beginning (its logarithm where it is logarithmic).
    pub fn low(&self) -> f64 {
        self.low
    }

    /// Whether the axis is logarithmic.
    pub fn is_log(&self) -> bool {
        self.log
    }

    /// Round values inside the axis, at most `most` where it is linear.
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        if self.log {
            return self.log_ticks(most);
        }
        let slack = (self.high - self.low) * 1e-9;
        self.coord
            .key_points(most)
            .into_iter()
            .filter(|v| *v >= self.low - slack && *v <= self.high + slack)
            // Rounding leaves -0.0, which would be labelled so.
            .map(|v| if v.abs() < slack { 0.0 } else { v })
            .collect()
    }

    fn log_ticks(&self, most: usize) -> Vec<f64> {
        let decades = self.low.floor() as i32..=self.high.ceil() as i32;
        let ticks = |steps: &[f64]| -> Vec<f64> {
            decades
                .clone()
                .flat_map(|d| steps.iter().map(move |s| s * 10f64.powi(d)))
                .filter(|v| (self.low - 1e-9..=self.high + 1e-9).contains(&v.log10()))
                .collect()
        };
        [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]]
            .into_iter()
            .map(ticks)
            .find(|t| t.len() <= most)
            .unwrap_or_else(|| ticks(&[1.0]))
    }
}

/// Decimals that tell neighbouring ticks apart.
pub fn decimals(ticks: &[f64]) -> usize {
    let step = ticks.windows(2).map(|w| (w[1] - w[0]).abs()).fold(f64::INFINITY, f64::min);
    if step.is_finite() && step > 0.0 { (-(step * 1.0001).log10().floor()).clamp(0.0, 6.0) as usize } else { 1 }
}

/// A range of shares that goes past 0 and 1 only as far as a mark at that end needs.
pub fn within_shares((low, high): (f64, f64)) -> (f64, f64) {
    let room = 0.025 * (high.min(1.0) - low.max(0.0));
    (low.max(-room), high.min(1.0 + room))
}

/// A range around values with a margin on both sides, and at least `least` wide.
pub fn padded(values: impl IntoIterator<Item = f64>, margin: f64, least: f64) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        low = low.min(value);
        high = high.max(value);
    }
    if low > high {
        return (0.0, least);
    }
    let missing = (least - (high - low)).max(0.0) / 2.0;
    let (low, high) = (low - missing, high + missing);
    let pad = (high - low) * margin;
    (low - pad, high + pad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_ends_and_middle() {
        let axis = Axis::linear(0.0, 1.0, 100.0, 300.0);
        assert!((axis.at(0.0) - 100.0).abs() < 0.01 && (axis.at(0.5) - 200.0).abs() < 0.01);
        let axis = Axis::log(0.1, 10.0, 0.0, 200.0);
        assert!((axis.at(1.0) - 100.0).abs() < 0.01);
        assert!((axis.clamped(1e9) - 200.0).abs() < 0.01);
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let ticks = Axis::linear(-3.2, 12.9, 0.0, 1.0).ticks(8);
        assert!(ticks.contains(&0.0) && ticks.iter().all(|t| (-3.2..=12.9).contains(t)), "{ticks:?}");
        assert_eq!(decimals(&[0.0, 0.5, 1.0]), 1);
        assert_eq!(decimals(&[0.0, 5.0]), 0);
        assert!(Axis::log(0.02, 30.0, 0.0, 1.0).ticks(8).contains(&1.0));
    }
}
