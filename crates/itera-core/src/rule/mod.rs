//! The registered verdict rule.
