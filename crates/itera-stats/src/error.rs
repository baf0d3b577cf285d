//! The one error type of the crate.

/// Why an estimate is undefined.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StatsError {
    /// Too few observations for the estimator.
    #[error("{what} needs at least {needed} {unit}, got {got}")]
    TooFew {
        /// The estimator, in words.
        what: &'static str,
        /// What is counted: rows, clusters, pairs.
        unit: &'static str,
        /// How many it needs.
        needed: usize,
        /// How many there are.
        got: usize,
    },
    /// A value is outside its range, or not a number.
    #[error("{what} must be {range}, got {got}")]
    OutOfRange {
        /// The quantity, in words.
        what: &'static str,
        /// Its range, in words.
        range: &'static str,
        /// The value.
        got: f64,
    },
    /// Two inputs that must have the same length do not.
    #[error("{what} must have the same length: {left} and {right}")]
    LengthMismatch {
        /// The two inputs, in words.
        what: &'static str,
        /// Length of the first.
        left: usize,
        /// Length of the second.
        right: usize,
    },
    /// The estimate does not exist for these data, for instance agreement without any variation.
    #[error("{what} is undefined: {why}")]
    Undefined {
        /// The estimator, in words.
        what: &'static str,
        /// The reason.
        why: &'static str,
    },
}

impl StatsError {
    pub(crate) fn check_alpha(alpha: f64) -> Result<(), Self> {
        if alpha > 0.0 && alpha < 1.0 {
            Ok(())
        } else {
            Err(Self::OutOfRange { what: "alpha", range: "in (0, 1)", got: alpha })
        }
    }

    pub(crate) fn check_level(level: f64) -> Result<(), Self> {
        if level > 0.0 && level < 1.0 {
            Ok(())
        } else {
            Err(Self::OutOfRange { what: "confidence level", range: "in (0, 1)", got: level })
        }
    }

    pub(crate) fn check_lengths(what: &'static str, left: usize, right: usize) -> Result<(), Self> {
        if left == right { Ok(()) } else { Err(Self::LengthMismatch { what, left, right }) }
    }
}
