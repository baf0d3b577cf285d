//! Reading the frame of `analyze`: lenient in form, strict about misspelt fields.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use itera_core::rule::{
    EffectEvidence, Evidence, FailureModeWeight, FloorEvidence, GainMetric, Objective, RequiredGain, RuleSpec, TieBreak,
};
use serde_json::{Map, Value};

/// What `analyze` needs of a frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub baseline: String,
    pub arms: Vec<String>,
    /// Slice columns.
    pub slices: Vec<String>,
    pub rule: RuleSpec,
    pub production: Option<ProductionMix>,
}

/// The production mix, of a named column or of whichever column holds its values.
#[derive(Debug)]
pub(super) struct ProductionMix {
    pub column: Option<String>,
    pub shares: Vec<(String, f64)>,
}

const FRAME_FIELDS: [&str; 8] =
    ["baseline", "arms", "slices", "ship_rule", "production_mix", "failure_modes", "taxonomy", "severity"];
const RULE_FIELDS: [&str; 12] = [
    "objective",
    "min_effect_pp",
    "margin_pp",
    "loss_floor_pp",
    "evidence",
    "alpha",
    "power",
    "required_gain",
    "tie_break",
    "effect",
    "floor",
    "metric",
];

pub(super) fn read(path: &Path) -> anyhow::Result<Frame> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the frame {}", path.display()))?;
    parse(&text).with_context(|| format!("in the frame {}", path.display()))
}

pub(super) fn parse(text: &str) -> anyhow::Result<Frame> {
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).context("it is not valid JSON")?;
    let mut frame = value.as_object().ok_or_else(|| anyhow!("it must be a JSON object"))?;
    if !frame.contains_key("baseline")
        && let Some(inner) = frame.get("frame").and_then(Value::as_object)
    {
        frame = inner;
    }
    misspelt(frame, &FRAME_FIELDS, "")?;
    let baseline = id(frame.get("baseline").ok_or_else(|| missing("baseline", "the baseline's arm id"))?, "baseline")?;
    let mut arms = Vec::new();
    for arm in list(frame, "arms")?.ok_or_else(|| missing("arms", "the candidate arms' ids"))? {
        let arm = id(arm, "arms")?;
        // Some frames list the baseline among the arms.
        if arm != baseline {
            arms.push(arm);
        }
    }
    if arms.is_empty() {
        bail!("field `arms` names no candidate beside the baseline `{baseline}`");
    }
    let mut slices = Vec::new();
    for slice in list(frame, "slices")?.unwrap_or_default() {
        slices.push(match slice.get("column") {
            Some(column) => id(column, "slices")?,
            None => id(slice, "slices")?,
        });
    }
    let rule = match frame.get("ship_rule") {
        Some(Value::Object(rule)) => rule,
        Some(_) => bail!("field `ship_rule` must be an object"),
        None => return Err(missing("ship_rule", "an object with objective, min_effect_pp and loss_floor_pp")),
    };
    let rule = ship_rule(rule, frame, !slices.is_empty())?;
    let production = match frame.get("production_mix") {
        None | Some(Value::Null) => None,
        Some(mix) => Some(production_mix(mix)?),
    };
    Ok(Frame { baseline, arms, slices, rule, production })
}

fn missing(field: &str, what: &str) -> anyhow::Error {
    anyhow!("field `{field}` is missing; it holds {what}")
}

/// An id given as a string or as an object with `id` (or `name`).
fn id(value: &Value, field: &str) -> anyhow::Result<String> {
    let text = value.as_str().or_else(|| value.get("id")?.as_str()).or_else(|| value.get("name")?.as_str());
    text.map(str::to_owned)
        .ok_or_else(|| anyhow!("field `{field}` holds {value}; give a string or an object with `id`"))
}

fn list<'a>(object: &'a Map<String, Value>, field: &str) -> anyhow::Result<Option<Vec<&'a Value>>> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(values)) => Ok(Some(values.iter().collect())),
        Some(one @ Value::String(_)) => Ok(Some(vec![one])),
        Some(other) => bail!("field `{field}` must be a list, it is {other}"),
    }
}

fn number(object: &Map<String, Value>, field: &str) -> anyhow::Result<Option<f64>> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            value.as_f64().map(Some).ok_or_else(|| anyhow!("field `{field}` must be a number, it is {value}"))
        }
    }
}

/// One of a few words; hyphens, spaces and case do not matter.
fn word<T: Copy>(object: &Map<String, Value>, field: &str, choices: &[(&str, T)], default: T) -> anyhow::Result<T> {
    let value = match object.get(field) {
        None | Some(Value::Null) => return Ok(default),
        Some(value) => value,
    };
    let text = value.as_str().unwrap_or_default().to_lowercase().replace(['-', ' '], "_");
    choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        anyhow!("field `{field}` is {value}; it must be one of {}", names.join(", "))
    })
}

fn ship_rule(rule: &Map<String, Value>, frame: &Map<String, Value>, sliced: bool) -> anyhow::Result<RuleSpec> {
    misspelt(rule, &RULE_FIELDS, "ship_rule.")?;
    let objective = word(
        rule,
        "objective",
        &[("superiority", Objective::Superiority), ("non_inferiority", Objective::NonInferiority)],
        Objective::Superiority,
    )?;
    let min_effect = match objective {
        Objective::Superiority => number(rule, "min_effect_pp")?
            .ok_or_else(|| missing("ship_rule.min_effect_pp", "the minimum effect in percentage points"))?,
        Objective::NonInferiority => number(rule, "margin_pp")?
            .or(number(rule, "min_effect_pp")?)
            .ok_or_else(|| missing("ship_rule.margin_pp", "the non-inferiority margin in percentage points"))?
            .abs(),
    };
    let loss_floor = match number(rule, "loss_floor_pp")? {
        Some(floor) => -floor.abs(),
        None if sliced => {
            return Err(missing("ship_rule.loss_floor_pp", "how many percentage points a slice may lose at most"));
        }
        None => 0.0,
    };
    let empty = Map::new();
    let evidence = match rule.get("evidence") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(evidence)) => evidence,
        Some(other) => bail!("field `ship_rule.evidence` must be an object with `effect` and `floor`, it is {other}"),
    };
    misspelt(evidence, &["effect", "floor"], "ship_rule.evidence.")?;
    let evidence = Evidence {
        effect: word(
            evidence,
            "effect",
            &[("proven_margin", EffectEvidence::ProvenMargin), ("proven_gain", EffectEvidence::ProvenGain)],
            EffectEvidence::ProvenMargin,
        )?,
        floor: word(
            evidence,
            "floor",
            &[("proven", FloorEvidence::Proven), ("estimate", FloorEvidence::Estimate)],
            FloorEvidence::Proven,
        )?,
    };
    let required_gain = match rule.get("required_gain") {
        None | Some(Value::Null) => None,
        Some(Value::Object(gain)) => Some(RequiredGain {
            metric: word(
                gain,
                "metric",
                &[
                    ("cost", GainMetric::Cost),
                    ("cost_usd", GainMetric::Cost),
                    ("latency", GainMetric::Latency),
                    ("latency_ms", GainMetric::Latency),
                ],
                GainMetric::Cost,
            )?,
            min_reduction: match number(gain, "min_reduction_pct")? {
                Some(percent) => percent / 100.0,
                None => number(gain, "min_reduction")?.unwrap_or(0.0),
            },
        }),
        Some(other) => bail!("field `ship_rule.required_gain` must be an object, it is {other}"),
    };
    let mut failure_modes = Vec::new();
    let modes = match list(frame, "failure_modes")? {
        Some(modes) => modes,
        None => list(frame, "taxonomy")?.unwrap_or_default(),
    };
    for mode in modes {
        let weight = mode.get("severity_weight").or_else(|| mode.get("weight")).and_then(Value::as_f64);
        failure_modes
            .push(FailureModeWeight { id: id(mode, "failure_modes")?, severity_weight: weight.unwrap_or(1.0) });
    }
    let rule = RuleSpec {
        objective,
        min_effect: min_effect / 100.0,
        loss_floor: loss_floor / 100.0,
        evidence,
        alpha: number(rule, "alpha")?.unwrap_or(0.05),
        power: number(rule, "power")?.unwrap_or(0.8),
        required_gain,
        tie_break: word(
            rule,
            "tie_break",
            &[
                ("severity_weighted", TieBreak::SeverityWeighted),
                ("weighted", TieBreak::SeverityWeighted),
                ("unweighted", TieBreak::Unweighted),
            ],
            TieBreak::SeverityWeighted,
        )?,
        failure_modes,
    };
    rule.validate().context("field `ship_rule` is not a rule (fractions: 0.05 is 5pp)")?;
    Ok(rule)
}

/// `{value: share}` or `{column: {value: share}}`.
fn production_mix(mix: &Value) -> anyhow::Result<ProductionMix> {
    let object = mix.as_object().ok_or_else(|| anyhow!("field `production_mix` must be an object of shares"))?;
    let (column, shares) = match object.iter().next() {
        Some((column, Value::Object(shares))) => {
            if object.len() > 1 {
                bail!("field `production_mix` names several columns; the aggregate is weighted back by one");
            }
            (Some(column.clone()), shares)
        }
        _ => (None, object),
    };
    let shares = shares
        .iter()
        .map(|(value, share)| {
            let share = share.as_f64().ok_or_else(|| {
                anyhow!("field `production_mix`: the share of `{value}` must be a number, it is {share}")
            })?;
            Ok((value.clone(), share))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(ProductionMix { column, shares })
}

/// Refuses an unknown field that is nearly a known one: ignoring it would change the verdict without a word.
fn misspelt(object: &Map<String, Value>, known: &[&str], prefix: &str) -> anyhow::Result<()> {
    for field in object.keys() {
        if known.contains(&field.as_str()) {
            continue;
        }
        let folded = field.to_lowercase().replace(['-', ' '], "_");
        let near = known.iter().find(|name| !object.contains_key(**name) && distance(&folded, name) <= 2);
        if let Some(near) = near {
            bail!("field `{prefix}{field}` is not known; did you mean `{prefix}{near}`?");
        }
    }
    Ok(())
}

/// Edit distance; fields shorter than five letters must be exact but for one letter.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    let edits = row[b.len()];
    if b.len() < 5 && edits > 1 { usize::MAX } else { edits }
}
