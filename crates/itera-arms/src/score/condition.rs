//! The conditions of failure modes.

use super::json;
use super::number::Number;
use super::pattern;
use super::text::text_of;
use itera_core::frame::{Condition, ConditionOp};
use itera_core::scores::CallStatus;
use regex::Regex;
use serde_json::{Map, Value};

/// What conditions are read against.
pub(crate) struct Facts<'a> {
    pub(crate) row: &'a Map<String, Value>,
    /// The output; nothing where the call failed.
    pub(crate) output: Option<&'a str>,
    /// The output as JSON, where it is.
    pub(crate) parsed: Option<&'a Value>,
    pub(crate) status: CallStatus,
}

/// An operand of a condition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    Output,
    OutputPath(String),
    Column(String),
    Status,
    Literal(String),
}

impl Operand {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "output" => return Some(Self::Output),
            "status" => return Some(Self::Status),
            _ => {}
        }
        if let Some(path) = text.strip_prefix("output.") {
            return path.split('.').all(|step| !step.is_empty()).then(|| Self::OutputPath(path.to_owned()));
        }
        let column = text.strip_prefix("row.")?;
        (!column.is_empty()).then(|| Self::Column(column.to_owned()))
    }

    pub(crate) fn column(&self) -> Option<&str> {
        match self {
            Self::Column(column) => Some(column),
            _ => None,
        }
    }

    pub(crate) fn reads_output(&self) -> bool {
        matches!(self, Self::Output | Self::OutputPath(_))
    }

    /// The operand's trimmed text; a missing or null value is empty text.
    fn text(&self, facts: &Facts<'_>) -> String {
        let text = match self {
            Self::Output => facts.output.unwrap_or_default().to_owned(),
            Self::OutputPath(path) => text_of(facts.parsed.and_then(|value| json::at(value, path))),
            Self::Column(column) => text_of(facts.row.get(column)),
            Self::Status => facts.status.as_str().to_owned(),
            Self::Literal(text) => text.clone(),
        };
        text.trim().to_owned()
    }
}

/// A condition whose operands are parsed and whose pattern is compiled.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    left: Operand,
    op: ConditionOp,
    right: Operand,
    pattern: Option<Regex>,
}

impl Test {
    /// Compiles a condition.
    ///
    /// # Errors
    /// Every problem of it, in words.
    pub(crate) fn new(condition: &Condition) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut operand = |name: &str, text: &str| {
            let parsed = Operand::parse(text);
            if parsed.is_none() {
                problems.push(format!(
                    "{name} operand `{text}` is none of `output`, `output.<path>`, `row.<column>`, `status`"
                ));
            }
            parsed
        };
        let left = operand("left", &condition.left);
        let right = condition.right.as_deref().map(|text| operand("right", text));
        let op = condition.op;
        let unary = matches!(op, ConditionOp::Empty | ConditionOp::NotEmpty);
        let mut compiled = None;
        let right = match (unary, right, &condition.value) {
            (true, None, None) => Some(Operand::Literal(String::new())),
            (true, _, _) => {
                problems.push("a test for emptiness takes neither `right` nor `value`".to_owned());
                None
            }
            (false, None, None) => {
                problems.push("one of `right` and `value` is needed".to_owned());
                None
            }
            (false, Some(_), Some(_)) => {
                problems.push("`right` and `value` are both given; one is needed".to_owned());
                None
            }
            (false, Some(right), None) => {
                if op == ConditionOp::Matches {
                    problems.push("the pattern of `matches` is a literal `value`".to_owned());
                }
                right
            }
            (false, None, Some(value)) => {
                match op {
                    ConditionOp::Matches => match pattern::compile(value) {
                        Ok(regex) => compiled = Some(regex),
                        Err(why) => problems.push(why),
                    },
                    ConditionOp::Contains | ConditionOp::NotContains if value.trim().is_empty() => {
                        problems.push("an empty `value` is in every text".to_owned());
                    }
                    ConditionOp::Lt | ConditionOp::Gt if Number::parse(value).is_none() => {
                        problems.push(format!("`value` is compared as a number, and `{value}` is not one"));
                    }
                    ConditionOp::Eq | ConditionOp::Ne
                        if left == Some(Operand::Status) && CallStatus::parse(value.trim()).is_none() =>
                    {
                        problems.push(format!("`{value}` is no status of a call"));
                    }
                    _ => {}
                }
                Some(Operand::Literal(value.clone()))
            }
        };
        match (left, right) {
            (Some(left), Some(right)) if problems.is_empty() => Ok(Self { left, op, right, pattern: compiled }),
            _ => Err(problems),
        }
    }

    pub(crate) fn operands(&self) -> [&Operand; 2] {
        [&self.left, &self.right]
    }

    /// Whether the condition holds.
    ///
    /// A failed call has no output: a condition that reads the output does not hold for it, other
    /// than `empty`. For a call that answered, a missing value is empty text. `lt` and `gt` hold
    /// between numbers only, and nothing contains, or fails to contain, an empty text.
    pub(crate) fn holds(&self, facts: &Facts<'_>) -> bool {
        let reads_output = self.operands().iter().any(|o| o.reads_output());
        if reads_output && facts.output.is_none() && self.op != ConditionOp::Empty {
            return false;
        }
        let (left, right) = (self.left.text(facts), self.right.text(facts));
        let equal = || match (Number::parse(&left), Number::parse(&right)) {
            (Some(a), Some(b)) => a.equals(&b),
            _ => left == right,
        };
        let ordered = |holds: fn(&f64, &f64) -> bool| match (Number::parse(&left), Number::parse(&right)) {
            (Some(a), Some(b)) => !a.equals(&b) && holds(&a.value(), &b.value()),
            _ => false,
        };
        let contained = || left.to_lowercase().contains(&right.to_lowercase());
        match self.op {
            ConditionOp::Eq => equal(),
            ConditionOp::Ne => !equal(),
            ConditionOp::Lt => ordered(f64::lt),
            ConditionOp::Gt => ordered(f64::gt),
            ConditionOp::Contains => !right.is_empty() && contained(),
            ConditionOp::NotContains => !right.is_empty() && !contained(),
            ConditionOp::Matches => self.pattern.as_ref().is_some_and(|p| p.is_match(&left)),
            ConditionOp::Empty => left.is_empty(),
            ConditionOp::NotEmpty => !left.is_empty(),
        }
    }
}
