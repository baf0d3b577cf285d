//! Figures as text, and what several charts say alike.

use super::palette::{self, Color};
use crate::data_json::{Arm, DataJson, Interval, Objective, Outcome};

/// `87.4%` of a fraction.
pub fn percent(value: f64, decimals: usize) -> String {
    format!("{}%", signed_zero(value * 100.0, decimals))
}

/// `+7.6` of a fraction, in percentage points.
pub fn pp(value: f64) -> String {
    pp_with(value, 1)
}

/// `+8` of a fraction, in percentage points with that many decimals.
pub fn pp_with(value: f64, decimals: usize) -> String {
    let text = signed_zero(value * 100.0, decimals);
    if text.starts_with('−') || text.chars().all(|c| matches!(c, '0' | '.')) { text } else { format!("+{text}") }
}

/// A number with a true minus sign, and no minus before zero.
fn signed_zero(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

/// Dollars with three figures that matter: `$0`, `$0.0042`, `$1.20`, `$1,234`.
pub fn usd(value: f64) -> String {
    if value == 0.0 {
        return "$0".to_owned();
    }
    let decimals = match value {
        v if v >= 100.0 => 0,
        v if v >= 1.0 => 2,
        v => (2.0 - v.log10().floor()).clamp(2.0, 8.0) as usize,
    };
    let text = format!("{value:.decimals$}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let part = if decimals > 2 { part.trim_end_matches('0') } else { part };
    let part = if part.len() < 2 && !part.is_empty() { format!("{part:0<2}") } else { part.to_owned() };
    if part.is_empty() { format!("${}", thousands(whole)) } else { format!("${}.{part}", thousands(whole)) }
}

/// `12,345`.
pub fn count(value: u64) -> String {
    thousands(&value.to_string())
}

fn thousands(digits: &str) -> String {
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// The mean test score of an arm, with its interval where there is one.
pub fn score(data: &DataJson, arm: &Arm) -> Option<Interval> {
    arm.test_score.or_else(|| {
        let mean = *data.test_set_aggregate.get(&arm.id)?;
        Some(Interval { mean, ci_low: None, ci_high: None })
    })
}

/// The name of an arm, or its id where it has none.
pub fn name(arm: &Arm) -> &str {
    if arm.name.trim().is_empty() { &arm.id } else { &arm.name }
}

/// What stands below an arm's name: `baseline`, or its outcome, with the colour of it.
pub fn standing(data: &DataJson, arm: &Arm) -> Option<(&'static str, Color)> {
    if data.baseline().is_some_and(|b| b.id == arm.id) {
        return Some(("baseline", palette::MUTED));
    }
    data.outcome_of(&arm.id).map(|outcome| (outcome.label(), outcome_color(outcome)))
}

/// Colour of an outcome where it is written as text.
fn outcome_color(outcome: Outcome) -> Color {
    match outcome {
        Outcome::Ship => palette::SHIP,
        Outcome::Scope => Color(0x1b, 0x6c, 0xa8),
        Outcome::Kill => palette::KILL,
        Outcome::Underpowered => palette::MUTED,
    }
}

/// What the threshold is called.
pub fn threshold_name(data: &DataJson) -> &'static str {
    match data.ship_rule.map(|rule| rule.objective) {
        Some(Objective::NonInferiority) => "margin",
        _ => "threshold",
    }
}

/// `experiment · 240 test rows · 3 trials per row`, whatever of it is known.
pub fn subtitle(data: &DataJson, rows: bool) -> String {
    let experiment = &data.experiment;
    let mut parts = vec![experiment.name.clone()];
    if rows {
        if let Some(n) = experiment.test_set_n {
            parts.push(format!("{} test rows", count(n)));
        }
        if let Some(k) = experiment.trials_per_arm {
            parts.push(if k == 1 { "1 trial per row".to_owned() } else { format!("{k} trials per row") });
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(pp(0.0764), "+7.6");
        assert_eq!(pp(-0.0199), "−2.0");
        assert_eq!(pp(-0.0001), "0.0");
        assert_eq!(percent(0.8745, 1), "87.5%");
        assert_eq!(percent(1.0, 1), "100.0%");
        let cases = [
            (0.0, "$0"),
            (0.00421, "$0.00421"),
            (0.5, "$0.50"),
            (1.2, "$1.20"),
            (12.345, "$12.35"),
            (1234.4, "$1,234"),
        ];
        for (value, text) in cases {
            assert_eq!(usd(value), text);
        }
        assert_eq!(count(1_234_567), "1,234,567");
    }
}
