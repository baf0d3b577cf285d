//! Parts of a JSON output, and their comparison with cells of the row.

use super::number::Number;
use super::text::text_of;
use serde_json::Value;

/// The value at a dotted path: keys of objects, positions (from 0) in lists.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, step| match value {
        Value::Object(object) => object.get(step),
        Value::Array(list) => step.parse::<usize>().ok().and_then(|i| list.get(i)),
        _ => None,
    })
}

/// Whether a field of the output equals the cell that holds its truth.
///
/// - With a tolerance, both must be numbers (or text that is one) and lie within it.
/// - Missing, null and empty text are all the same: nothing.
/// - Where either is a JSON number and both are numbers, they are compared as numbers, exactly:
///   `12.5` equals the cell `12.50`.
/// - A truth value equals the text `true` or `false` in any case.
/// - A list or object equals one with equal parts, or a cell whose text is its JSON.
/// - All else is text, equal after trimming the ends.
pub(crate) fn field_equals(field: Option<&Value>, truth: Option<&Value>, tolerance: Option<f64>) -> bool {
    if let Some(tolerance) = tolerance {
        return match (number_of(field), number_of(truth)) {
            (Some(a), Some(b)) => a.within(&b, tolerance, 0.0),
            _ => false,
        };
    }
    match (field, truth) {
        (Some(a), Some(b)) => values_equal(a, b),
        (one, other) => text_of(one.or(other)).trim().is_empty(),
    }
}

fn values_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| values_equal(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(k, x)| y.get(k).is_some_and(|y| values_equal(x, y)))
        }
        (Value::Array(_) | Value::Object(_), Value::String(text))
        | (Value::String(text), Value::Array(_) | Value::Object(_)) => {
            let structure = if a.is_string() { b } else { a };
            serde_json::from_str::<Value>(text)
                .is_ok_and(|parsed| !parsed.is_string() && values_equal(structure, &parsed))
        }
        (Value::Bool(truth), Value::String(text)) | (Value::String(text), Value::Bool(truth)) => {
            text.trim().eq_ignore_ascii_case(if *truth { "true" } else { "false" })
        }
        (Value::Number(_), _) | (_, Value::Number(_)) => match (number_of(Some(a)), number_of(Some(b))) {
            (Some(a), Some(b)) => a.equals(&b),
            _ => false,
        },
        _ => text_of(Some(a)).trim() == text_of(Some(b)).trim(),
    }
}

/// The number that a JSON number or a text is.
fn number_of(value: Option<&Value>) -> Option<Number> {
    match value? {
        Value::Number(n) => Number::parse(&n.to_string()),
        Value::String(text) => Number::parse(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn equal(field: Value, truth: Value) -> bool {
        let one = field_equals(Some(&field), Some(&truth), None);
        assert_eq!(one, field_equals(Some(&truth), Some(&field), None), "symmetric: {field} {truth}");
        one
    }

    #[test]
    fn a_path_leads_through_objects_and_lists() {
        let value = json!({"a": {"b": [10, {"c": 1}]}, "n": null});
        assert_eq!(at(&value, "a.b.1.c"), Some(&json!(1)));
        assert_eq!(at(&value, "n"), Some(&Value::Null));
        for path in ["", "a.c", "a.b.2", "a.b.x", "a.b.0.c", "a."] {
            assert_eq!(at(&value, path), None, "{path}");
        }
    }

    #[test]
    fn numbers_are_numbers_where_one_side_says_so() {
        assert!(equal(json!(12.5), json!("12.50")));
        assert!(equal(json!(1), json!(1.0)));
        assert!(equal(json!("A1 "), json!("A1")));
        assert!(!equal(json!("12.5"), json!("12.50")), "two texts are texts");
        assert!(!equal(json!(12), json!("twelve")));
        assert!(!equal(json!("007"), json!("7")));
        assert!(!equal(json!(1), json!(true)));
    }

    #[test]
    fn a_tolerance_wants_numbers() {
        let within = |a: Value, b: Value| field_equals(Some(&a), Some(&b), Some(0.01));
        assert!(within(json!("12.51"), json!("12.50")));
        assert!(within(json!(12.5), json!("12.50")));
        assert!(!within(json!(12.52), json!("12.50")));
        assert!(!within(json!("x"), json!("x")));
        assert!(!within(json!(""), json!("")));
        assert!(!field_equals(None, Some(&json!(0)), Some(0.01)));
    }

    #[test]
    fn nothing_is_nothing() {
        for nothing in [json!(null), json!(""), json!("  ")] {
            assert!(field_equals(None, Some(&nothing), None));
            assert!(field_equals(Some(&nothing), None, None));
            assert!(equal(nothing, json!(null)));
        }
        assert!(field_equals(None, None, None));
        assert!(!field_equals(None, Some(&json!("x")), None));
        assert!(!equal(json!(0), json!("")));
        assert!(!equal(json!(false), json!(null)));
    }

    #[test]
    fn truth_values_lists_and_objects() {
        assert!(equal(json!(true), json!("True")));
        assert!(!equal(json!(true), json!("1")));
        assert!(equal(json!(["a", 1]), json!("[\"a\", 1.0]")));
        assert!(equal(json!({"a": 1, "b": []}), json!({"b": [], "a": 1.0})));
        assert!(!equal(json!(["a"]), json!("a")));
        assert!(!equal(json!([1, 2]), json!([2, 1])));
    }
}
