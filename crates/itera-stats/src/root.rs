//! A bracketing root finder for monotone scalar functions.

/// Finds `x` in `[low, high]` with `f(x) = 0` for a function that falls from a positive (or zero) to a
/// negative (or zero) value. Without a sign change the nearer end is returned, which is what a clipped
/// confidence bound means.
///
/// Chandrupatla's hybrid of bisection and inverse quadratic interpolation (Chandrupatla 1997, Advances
/// in Engineering Software 28:145), to an absolute tolerance of 1e-12.
pub(crate) fn falling_root(f: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    let (mut x1, mut x2) = (low, high);
    let (mut f1, mut f2) = (f(x1), f(x2));
    if f1 <= 0.0 {
        return low;
    }
    if f2 >= 0.0 {
        return high;
    }
    let (mut x3, mut f3);
    let mut t = 0.5;
    for _ in 0..120 {
        let x = x1 + t * (x2 - x1);
        let fx = f(x);
        if (fx > 0.0) == (f1 > 0.0) {
            (x3, f3) = (x1, f1);
        } else {
            (x3, f3, x2, f2) = (x2, f2, x1, f1);
        }
        (x1, f1) = (x, fx);
        let (best, value) = if f2.abs() < f1.abs() { (x2, f2) } else { (x1, f1) };
        let tolerance = 2e-16 * best.abs() + 5e-13;
        let limit = tolerance / (x2 - x1).abs();
        if limit > 0.5 || value == 0.0 {
            return best;
        }
        let xi = (x1 - x2) / (x3 - x2);
        let phi = (f1 - f2) / (f3 - f2);
        t = if phi * phi < xi && (1.0 - phi) * (1.0 - phi) < 1.0 - xi {
            f1 / (f2 - f1) * f3 / (f2 - f3) + (x3 - x1) / (x2 - x1) * f1 / (f3 - f1) * f2 / (f3 - f2)
        } else {
            0.5
        };
        if !t.is_finite() {
            t = 0.5;
        }
        t = t.clamp(limit.min(0.5), 1.0 - limit.min(0.5));
    }
    0.5 * (x1 + x2)
}

#[cfg(test)]
mod tests {
    use super::falling_root;

    #[test]
    fn finds_roots_and_clips() {
        assert!((falling_root(|x| 2.0 - x * x, 0.0, 2.0) - 2f64.sqrt()).abs() < 1e-12);
        assert!((falling_root(|x| (0.3 - x).powi(3), -1.0, 1.0) - 0.3).abs() < 1e-4);
        assert_eq!(falling_root(|x| -1.0 - x, 0.0, 1.0), 0.0);
        assert_eq!(falling_root(|x| 3.0 - x, 0.0, 1.0), 1.0);
    }
}
