//! Sentences and tables that more than one document uses.

use itera_core::frame::{ArmRole, Frame, ScorerKind};
use itera_core::rule::{EffectEvidence, FloorEvidence, GainMetric, Objective};
use itera_core::sample::SampleSummary;

/// Percentage points with a sign (a true minus); never a negative zero.
pub fn pp(fraction: f64) -> String {
    let text = format!("{:+.1}", fraction * 100.0);
    if text == "-0.0" { "+0.0".to_owned() } else { text.replace('-', "\u{2212}") }
}

/// Dollars, to three significant digits.
pub fn usd(value: f64) -> String {
    let size = value.abs();
    let digits = match size {
        0.0 => 0,
        s if s >= 100.0 => 0,
        s if s >= 1.0 => 2,
        s => (2 - s.log10().floor() as i32).clamp(2, 9) as usize,
    };
    format!("{}${size:.digits$}", if value < 0.0 { "\u{2212}" } else { "" })
}

/// A count with commas between thousands.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A p-value as it is printed: four digits, and a bound where they are all zero.
pub fn p_value(p: f64) -> String {
    if p < 0.0001 { "p < 0.0001".to_owned() } else { format!("p = {p:.4}") }
}

/// A sentence of the rule as it is printed: `20.1pp` as `20.1 pp`, a p-value of 0.0000 as a bound.
pub fn polished(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let text = text.replace("p = 0.0000", "p < 0.0001");
    let mut rest = text.as_str();
    while let Some(at) = rest.find("pp") {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let unit = before.ends_with(|c: char| c.is_ascii_digit())
            && !after[2..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        out.push_str(if unit { " pp" } else { "pp" });
        rest = &after[2..];
    }
    out.push_str(rest);
    signed(&out)
}

/// A true minus before numbers that stand alone (not in names such as `gpt-4`).
fn signed(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let minus = c == '-' && matches!(before, ' ' | '(' | '[') && chars.peek().is_some_and(char::is_ascii_digit);
        out.push(if minus { '\u{2212}' } else { c });
        before = c;
    }
    out
}

/// A number without trailing zeros.
pub fn plain_number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The registered rule in a sentence.
pub fn rule(frame: &Frame) -> String {
    let r = &frame.ship_rule;
    let m = plain_number(r.min_effect_pp.abs());
    let aggregate = match (r.objective, r.evidence.effect) {
        (Objective::Superiority, EffectEvidence::ProvenMargin) => {
            format!("the lower bound of its effect is at least +{m} pp")
        }
        (Objective::Superiority, EffectEvidence::ProvenGain) => {
            format!("the lower bound of its effect is above 0 and its estimate is at least +{m} pp")
        }
        (Objective::NonInferiority, _) => format!("the lower bound of its effect is above \u{2212}{m} pp"),
    };
    let gain = match &r.required_gain {
        None => String::new(),
        Some(g) => format!(
            ", a reduction of {} by at least {:.0}% is proven",
            match g.metric {
                GainMetric::Cost => "cost",
                GainMetric::Latency => "latency",
            },
            g.min_reduction * 100.0
        ),
    };
    let floor = match r.evidence.floor {
        FloorEvidence::Proven => "is shown to lose no more than",
        FloorEvidence::Estimate => "is not estimated to lose more than",
    };
    format!(
        "ship if {aggregate}{gain}, and every slice {floor} {} pp; one-sided, {} % over all arms and slices",
        plain_number(r.loss_floor_pp.abs()),
        plain_number(r.alpha * 100.0)
    )
}

/// How a row is scored, in a few words.
pub fn scorer(frame: &Frame) -> String {
    let s = &frame.metric.scorer;
    let label = s.label.as_deref().unwrap_or("?");
    match s.kind {
        ScorerKind::Exact => format!("equals `{label}`"),
        ScorerKind::Normalized => format!("equals `{label}` after folding case, space and punctuation"),
        ScorerKind::Numeric => format!("number within {} of `{label}`", plain_number(s.tolerance.unwrap_or(0.0))),
        ScorerKind::Regex => format!("matches `{}`", s.pattern.as_deref().unwrap_or("?")),
        ScorerKind::Contains => format!("contains `{label}`"),
        ScorerKind::Set => format!("set overlap with `{label}`"),
        ScorerKind::Json => {
            let fields: Vec<String> = s.fields.iter().map(|f| format!("`{}` = `{}`", f.path, f.column)).collect();
            format!("JSON {}{}", fields.join(" and "), if s.partial { " (share of right fields)" } else { "" })
        }
    }
}

/// Text for a cell of a Markdown table.
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// The frame as a Markdown table.
pub fn frame_table(frame: &Frame) -> String {
    let mut lines = vec!["| | |".to_owned(), "|---|---|".to_owned()];
    let mut row = |name: &str, text: String| lines.push(format!("| {name} | {} |", cell(&text)));
    row("Question", frame.question.clone());
    row("Hypothesis", frame.hypothesis.clone());
    row("Baseline", format!("`{}`: {} ({})", frame.baseline.id, frame.baseline.label(), frame.baseline.reference));
    for arm in &frame.arms {
        let control = if arm.role == ArmRole::NegativeControl { "; negative control" } else { "" };
        row("Arm", format!("`{}`: {} ({}{control})", arm.id, arm.change, arm.reference));
    }
    row("Source", format!("`{}`: {}", frame.source.path, frame.source.provenance.statement));
    row("Slices", if frame.source.slices.is_empty() { "none".into() } else { frame.source.slices.join(", ") });
    row("Metric", format!("{}: {} ({})", frame.metric.name, scorer(frame), frame.metric.stake));
    let modes: Vec<String> = frame
        .failure_modes
        .iter()
        .map(|m| format!("`{}` x{} ({})", m.id, plain_number(m.weight), m.description))
        .collect();
    row("Failure modes", modes.join("; "));
    if let Some(s) = &frame.severity {
        row("Severity", format!("absolute `{}`, capped at {}", s.column, plain_number(s.cap)));
    }
    row("Ship rule", rule(frame));
    row("Trials", format!("{} per row and arm", frame.trials));
    row(
        "Split",
        format!(
            "train {:.0}%, dev {:.0}%, test {:.0}%",
            frame.split.train * 100.0,
            frame.split.dev * 100.0,
            frame.split.test * 100.0
        ),
    );
    row(
        "Limits",
        format!(
            "{} calls, {} at once, {} s each{}",
            frame.limits.max_calls,
            frame.limits.parallel,
            plain_number(frame.limits.timeout_s),
            frame.limits.max_cost_usd.map_or(String::new(), |c| format!(", ${c:.2}"))
        ),
    );
    for stop in &frame.stop_conditions {
        row("Stop if", stop.clone());
    }
    for (guard, reason) in &frame.acknowledged {
        row("Acknowledged", format!("{guard}: {reason}"));
    }
    lines.join("\n") + "\n"
}

/// The sample against production, as a Markdown table.
pub fn distribution_table(sample: &SampleSummary) -> String {
    if sample.distribution.is_empty() {
        return "no slices or strata are registered\n".to_owned();
    }
    let mut text = String::from(
        "| column | value | production | sample | gap | train | dev | test |\n|---|---|---:|---:|---:|---:|---:|---:|\n",
    );
    for c in &sample.distribution {
        let share = c.sampled as f64 / sample.sampled.max(1) as f64;
        text.push_str(&format!(
            "| {} | {} | {:.1}% | {:.1}% | {} pp | {} | {} | {} |\n",
            cell(&c.column),
            cell(&c.value),
            c.production_share * 100.0,
            share * 100.0,
            pp(share - c.production_share),
            c.splits.train,
            c.splits.dev,
            c.splits.test
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_for_people() {
        assert_eq!((pp(-0.0004), pp(-0.058), pp(0.2)), ("+0.0".into(), "\u{2212}5.8".into(), "+20.0".into()));
        assert_eq!((p_value(3e-9), p_value(0.0312)), ("p < 0.0001".into(), "p = 0.0312".into()));
        assert_eq!(
            (usd(0.0), usd(0.187_083), usd(-12.5), usd(1234.4)),
            ("$0".into(), "$0.187".into(), "\u{2212}$12.50".into(), "$1234".into())
        );
        assert_eq!((count(7), count(1234), count(1_234_567)), ("7".into(), "1,234".into(), "1,234,567".into()));
    }

    #[test]
    fn sentences_of_the_rule_are_polished() {
        assert_eq!(
            polished("is +20.1pp (-1.0pp to +2.0pp) for gpt-4 (adjusted p = 0.0000)"),
            "is +20.1 pp (\u{2212}1.0 pp to +2.0 pp) for gpt-4 (adjusted p < 0.0001)"
        );
    }
}
