//! Scorers: an output and its row in, a score in 0..1 and failure modes out.
//!
//! What counts as text, as a number, as a list and as equal is defined in one place each: `text`,
//! `number`, `json`, `condition`.

mod condition;
mod json;
mod number;
mod pattern;
mod text;

use condition::{Facts, Operand, Test};
use itera_core::frame::{FailureMode, JsonField, Metric, Scorer, ScorerKind, SetMeasure};
use itera_core::scores::CallStatus;
use number::Number;
use pattern::Template;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use text::{contains_normalised, items, same_normalised, text_of};

/// Separator of list items where the scorer names none.
const SEPARATOR: &str = ";";

/// A metric and its failure modes, checked and compiled: scoring a call then neither fails nor does IO.
#[derive(Debug)]
pub struct CompiledScorer {
    rule: Rule,
    label: Option<String>,
    modes: Vec<Mode>,
}

/// What one call is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// In 0..1; 0 where the call failed.
    pub score: f64,
    /// Registered failure modes, sorted; empty where the score is 1.
    pub failure_modes: Vec<String>,
}

#[derive(Debug)]
enum Rule {
    Exact,
    Normalized,
    Numeric { absolute: f64, relative: f64 },
    Regex(Template),
    Contains,
    Set { measure: SetMeasure, separator: String },
    Json { fields: Vec<JsonField>, partial: bool },
}

#[derive(Debug)]
struct Mode {
    id: String,
    when: Vec<Test>,
}

/// Everything that is wrong with a metric and its failure modes, in words; empty where
/// [`CompiledScorer::new`] succeeds.
pub fn validate(metric: &Metric, modes: &[FailureMode]) -> Vec<String> {
    CompiledScorer::new(metric, modes).err().unwrap_or_default()
}

impl CompiledScorer {
    /// Compiles a metric and its failure modes.
    ///
    /// # Errors
    /// Every problem, in words: a field that the scorer's kind needs and lacks or does not know,
    /// numbers out of range, a pattern that does not compile or grows beyond 4 MiB, a malformed
    /// condition.
    pub fn new(metric: &Metric, modes: &[FailureMode]) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let rule = compile_rule(&metric.scorer, &mut problems);
        let modes = compile_modes(modes, &mut problems);
        match rule {
            Some(rule) if problems.is_empty() => Ok(Self { rule, label: metric.scorer.label.clone(), modes }),
            _ => Err(problems),
        }
    }

    /// Columns of the row that scoring reads: all of them must be in the source.
    pub fn columns(&self) -> BTreeSet<&str> {
        let mut columns: BTreeSet<&str> = self.label.iter().map(String::as_str).collect();
        if let Rule::Json { fields, .. } = &self.rule {
            columns.extend(fields.iter().map(|f| f.column.as_str()));
        }
        let tests = self.modes.iter().flat_map(|m| &m.when);
        columns.extend(tests.flat_map(|t| t.operands()).filter_map(Operand::column));
        columns
    }

    /// Scores one call.
    ///
    /// `row` holds the truth columns too. `output` is read only where `status` is ok. `reported` are
    /// the failure modes that the arm wrote: the registered ones among them are taken over.
    pub fn score(
        &self,
        row: &Map<String, Value>,
        status: CallStatus,
        output: Option<&str>,
        reported: &[String],
    ) -> Scored {
        let output = output.filter(|_| status == CallStatus::Ok);
        let parsed = output.and_then(|text| serde_json::from_str::<Value>(text.trim()).ok());
        let score = output.map_or(0.0, |text| self.rule.score(text, parsed.as_ref(), row, self.label.as_deref()));
        if score >= 1.0 {
            return Scored { score: 1.0, failure_modes: Vec::new() };
        }
        let facts = Facts { row, output, parsed: parsed.as_ref(), status };
        let modes: BTreeSet<&str> = self
            .modes
            .iter()
            .filter(|mode| {
                (!mode.when.is_empty() && mode.when.iter().all(|test| test.holds(&facts)))
                    || reported.contains(&mode.id)
            })
            .map(|mode| mode.id.as_str())
            .collect();
        Scored { score, failure_modes: modes.into_iter().map(str::to_owned).collect() }
    }
}

impl Rule {
    fn score(&self, output: &str, parsed: Option<&Value>, row: &Map<String, Value>, label: Option<&str>) -> f64 {
        let label = text_of(label.and_then(|column| row.get(column)));
        let all_or_nothing = |right: bool| if right { 1.0 } else { 0.0 };
        match self {
            Self::Exact => all_or_nothing(output.trim() == label.trim()),
            Self::Normalized => all_or_nothing(same_normalised(output, &label)),
            Self::Contains => all_or_nothing(contains_normalised(output, &label)),
            Self::Numeric { absolute, relative } => {
                all_or_nothing(match (Number::parse(output), Number::parse(&label)) {
                    (Some(answer), Some(truth)) => answer.within(&truth, *absolute, *relative),
                    _ => false,
                })
            }
            Self::Regex(template) => all_or_nothing(template.is_match(output.trim(), label.trim())),
            Self::Set { measure, separator } => {
                compare_sets(*measure, &items(output, separator), &items(&label, separator))
            }
            Self::Json { fields, partial } => {
                let Some(parsed @ Value::Object(_)) = parsed else {
                    return 0.0;
                };
                let right = fields
                    .iter()
                    .filter(|f| json::field_equals(json::at(parsed, &f.path), row.get(&f.column), f.tolerance))
                    .count();
                if *partial { right as f64 / fields.len() as f64 } else { all_or_nothing(right == fields.len()) }
            }
        }
    }
}

/// Two empty sets are equal; an empty one and another have nothing in common.
fn compare_sets(measure: SetMeasure, output: &BTreeSet<String>, label: &BTreeSet<String>) -> f64 {
    if output == label {
        return 1.0;
    }
    let common = output.intersection(label).count() as f64;
    let (a, b) = (output.len() as f64, label.len() as f64);
    match measure {
        SetMeasure::Exact => 0.0,
        SetMeasure::F1 => 2.0 * common / (a + b),
        SetMeasure::Jaccard => common / (a + b - common),
    }
}

fn compile_rule(scorer: &Scorer, problems: &mut Vec<String>) -> Option<Rule> {
    check_fields(scorer, problems);
    match scorer.kind {
        ScorerKind::Exact => Some(Rule::Exact),
        ScorerKind::Normalized => Some(Rule::Normalized),
        ScorerKind::Contains => Some(Rule::Contains),
        ScorerKind::Numeric => Some(Rule::Numeric {
            absolute: scorer.tolerance.unwrap_or(0.0),
            relative: scorer.relative_tolerance.unwrap_or(0.0),
        }),
        ScorerKind::Regex => match Template::new(scorer.pattern.as_deref()?) {
            Ok(template) => Some(Rule::Regex(template)),
            Err(why) => {
                problems.push(format!("scorer: {why}"));
                None
            }
        },
        ScorerKind::Set => Some(Rule::Set {
            measure: scorer.measure.unwrap_or_default(),
            separator: scorer.separator.clone().unwrap_or_else(|| SEPARATOR.to_owned()),
        }),
        ScorerKind::Json => Some(Rule::Json { fields: scorer.fields.clone(), partial: scorer.partial }),
    }
}

/// Which fields a kind needs and knows, and whether their values make sense.
fn check_fields(scorer: &Scorer, problems: &mut Vec<String>) {
    use ScorerKind::{Json, Numeric, Regex, Set};
    let kind = scorer.kind;
    let name = match kind {
        ScorerKind::Exact => "exact",
        ScorerKind::Normalized => "normalized",
        Numeric => "numeric",
        Regex => "regex",
        ScorerKind::Contains => "contains",
        Set => "set",
        Json => "json",
    };
    let mut say = |problem: String| problems.push(format!("scorer `{name}`: {problem}"));
    for (field, given, known) in [
        ("label", scorer.label.is_some(), kind != Json),
        ("pattern", scorer.pattern.is_some(), kind == Regex),
        ("tolerance", scorer.tolerance.is_some(), kind == Numeric),
        ("relative_tolerance", scorer.relative_tolerance.is_some(), kind == Numeric),
        ("measure", scorer.measure.is_some(), kind == Set),
        ("separator", scorer.separator.is_some(), kind == Set),
        ("fields", !scorer.fields.is_empty(), kind == Json),
        ("partial", scorer.partial, kind == Json),
    ] {
        if given && !known {
            say(format!("it does not know `{field}`"));
        }
    }
    let label_needed = match kind {
        Json => false,
        Regex => scorer.pattern.as_deref().is_some_and(|p| p.contains(pattern::LABEL)),
        _ => true,
    };
    if label_needed && scorer.label.is_none() {
        say("it needs `label`, the column with the expected answer".to_owned());
    }
    if scorer.label.as_deref().is_some_and(str::is_empty) {
        say("`label` is empty".to_owned());
    }
    if kind == Regex && scorer.pattern.is_none() {
        say("it needs `pattern`".to_owned());
    }
    if kind == Json && scorer.fields.is_empty() {
        say("it needs `fields`".to_owned());
    }
    if scorer.separator.as_deref().is_some_and(str::is_empty) {
        say("`separator` is empty".to_owned());
    }
    let sensible = |tolerance: Option<f64>| tolerance.is_none_or(|t| t.is_finite() && t >= 0.0);
    for (field, tolerance) in [("tolerance", scorer.tolerance), ("relative_tolerance", scorer.relative_tolerance)] {
        if !sensible(tolerance) {
            say(format!("`{field}` is not a number of at least 0"));
        }
    }
    let mut paths = BTreeSet::new();
    for field in &scorer.fields {
        if field.path.split('.').any(str::is_empty) {
            say(format!("the path `{}` has an empty step", field.path));
        }
        if field.column.is_empty() {
            say(format!("the field `{}` names no column", field.path));
        }
        if !paths.insert(&field.path) {
            say(format!("the field `{}` is listed twice", field.path));
        }
        if !sensible(field.tolerance) {
            say(format!("the tolerance of `{}` is not a number of at least 0", field.path));
        }
    }
}

fn compile_modes(modes: &[FailureMode], problems: &mut Vec<String>) -> Vec<Mode> {
    let mut compiled = Vec::with_capacity(modes.len());
    for mode in modes {
        let mut when = Vec::with_capacity(mode.when.len());
        for (i, condition) in mode.when.iter().enumerate() {
            match Test::new(condition) {
                Ok(test) => when.push(test),
                Err(found) => problems
                    .extend(found.into_iter().map(|p| format!("failure mode `{}`, condition {}: {p}", mode.id, i + 1))),
            }
        }
        compiled.push(Mode { id: mode.id.clone(), when });
    }
    compiled
}

#[cfg(test)]
mod tests;
