//! Numbers as the scorers read them.
//!
//! A number is written in plain decimal or scientific form: an optional sign, digits with at most
//! one `.`, an optional exponent (`12`, `-0.5`, `.5`, `1e-3`). White space around it is ignored.
//! Anything else is not a number: thousands separators, currencies, percent signs, `NaN`, `inf`,
//! and values too large for a double.

/// A number with its exact decimal value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Number {
    value: f64,
    exact: Decimal,
}

/// Sign, digits without zeros at either end, and the power of ten of the last digit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Number {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (text, 0),
        };
        let (negative, unsigned) = match mantissa.strip_prefix(['+', '-']) {
            Some(rest) => (mantissa.starts_with('-'), rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let value: f64 = text.parse().ok().filter(|v: &f64| v.is_finite())?;
        let digits = format!("{whole}{fraction}");
        let shortened = digits.trim_end_matches('0');
        let dropped = (digits.len() - shortened.len()) as i64;
        let exact = match shortened.trim_start_matches('0') {
            "" => Decimal { negative: false, digits: String::new(), exponent: 0 },
            significant => Decimal {
                negative,
                digits: significant.to_owned(),
                exponent: exponent - fraction.len() as i64 + dropped,
            },
        };
        Some(Self { value, exact })
    }

    /// Whether both are the same number exactly: `12.50` is `12.5`, and two long identifiers that
    /// share a double are still two.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        self.exact == other.exact
    }

    /// Whether this lies within `absolute` or within `relative` times the size of `truth`, whichever
    /// allows more. With both 0 that is [`Self::equals`].
    pub(crate) fn within(&self, truth: &Self, absolute: f64, relative: f64) -> bool {
        if self.equals(truth) {
            return true;
        }
        let allowed = absolute.max(relative * truth.value.abs());
        // A decimal tolerance is meant in decimals: 1.1 lies within 0.1 of 1.0 although the doubles
        // differ by a little more.
        let rounding = 4.0 * f64::EPSILON * self.value.abs().max(truth.value.abs());
        allowed > 0.0 && (self.value - truth.value).abs() <= allowed + rounding
    }

    pub(crate) fn value(&self) -> f64 {
        self.value
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn plain_and_scientific_forms_are_numbers_and_nothing_else_is() {
        for text in ["0", "-0", "+7", " 12.50\n", ".5", "5.", "1e3", "1E-3", "-2.5e+2", "007"] {
            assert!(Number::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            " ",
            ".",
            "-",
            "e3",
            "1e",
            "1e1e1",
            "1,234.50",
            "1 000",
            "$5",
            "5 EUR",
            "5%",
            "NaN",
            "nan",
            "inf",
            "-Infinity",
            "1e999",
            "0x10",
            "1_000",
            "--1",
            "1.2.3",
            "−5",
            "٣",
            "12 apples",
            "1e1234567",
        ] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }

    #[test]
    fn equality_is_decimal() {
        for (a, b) in
            [("12.50", "12.5"), ("1e3", "1000"), ("0.001", "1E-3"), ("-0", "0"), ("0e5", "0.00"), ("+1", "01")]
        {
            assert!(number(a).equals(&number(b)), "{a} {b}");
        }
        for (a, b) in
            [("9007199254740993", "9007199254740992"), ("1", "-1"), ("0.1", "0.10000000000000001"), ("10", "1")]
        {
            assert!(!number(a).equals(&number(b)), "{a} {b}");
        }
    }

    #[test]
    fn tolerances_are_inclusive_and_the_wider_one_counts() {
        assert!(number("1.1").within(&number("1.0"), 0.1, 0.0));
        assert!(number("0.3").within(&number("0.2"), 0.1, 0.0));
        assert!(!number("1.1000001").within(&number("1.0"), 0.1, 0.0));
        assert!(number("105").within(&number("100"), 0.0, 0.05));
        assert!(!number("105.1").within(&number("100"), 0.0, 0.05));
        assert!(number("105.1").within(&number("100"), 6.0, 0.05));
        assert!(!number("-100").within(&number("100"), 1.0, 0.5));
        assert!(!number("0.0001").within(&number("0"), 0.0, 0.5));
    }

    proptest! {
        #[test]
        fn any_double_is_read_as_itself(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let text = value.to_string();
            prop_assert_eq!(number(&text).value(), value);
            let scientific = format!("{value:e}");
            prop_assert!(number(&text).equals(&number(&scientific)));
        }

        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,12}") {
            let _ = Number::parse(&text);
        }
    }
}
