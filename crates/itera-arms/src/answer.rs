//! What an arm wrote, read as the protocol asks.

use serde_json::{Map, Value};

/// One answer of an arm.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Answer {
    pub(crate) output: String,
    pub(crate) cost_usd: Option<f64>,
    pub(crate) input_tokens: Option<u64>,
    pub(crate) output_tokens: Option<u64>,
    pub(crate) failure_modes: Vec<String>,
}

/// Reads a command's stdout.
///
/// A JSON object with the key `output` is an envelope: the other keys it knows are checked and the
/// ones it does not know are passed over. Any other JSON object, and any other text, is the output
/// itself, without the line feed at its end.
///
/// # Errors
/// Why it cannot be read, without quoting it: not UTF-8, or an envelope with a wrong type.
pub(crate) fn read(stdout: &[u8]) -> Result<Answer, String> {
    let text = std::str::from_utf8(stdout).map_err(|e| format!("stdout is not UTF-8 from byte {}", e.valid_up_to()))?;
    if text.trim_start().starts_with('{')
        && let Ok(Value::Object(object)) = serde_json::from_str(text)
        && object.contains_key("output")
    {
        return envelope(&object);
    }
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    Ok(Answer { output: text.to_owned(), ..Answer::default() })
}

/// Reads a worker's line, whose `id` was matched and removed.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_line(object: Map<String, Value>) -> Result<Answer, String> {
    if object.contains_key("output") {
        envelope(&object)
    } else {
        Ok(Answer { output: Value::Object(object).to_string(), ..Answer::default() })
    }
}

fn envelope(object: &Map<String, Value>) -> Result<Answer, String> {
    let given = |key: &str| object.get(key).filter(|v| !v.is_null());
    let output = match object.get("output") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let cost_usd = given("cost_usd")
        .map(|v| v.as_f64().filter(|c| c.is_finite() && *c >= 0.0).ok_or("`cost_usd` is not a number of at least 0"))
        .transpose()?;
    let tokens = |key: &str| {
        given(key).map(|v| v.as_u64().ok_or(format!("`{key}` is not a whole number of at least 0"))).transpose()
    };
    let failure_modes = match given("failure_modes") {
        None => Vec::new(),
        Some(modes) => modes
            .as_array()
            .and_then(|list| list.iter().map(|m| m.as_str().map(str::to_owned)).collect())
            .ok_or("`failure_modes` is not a list of texts")?,
    };
    Ok(Answer {
        output,
        cost_usd,
        input_tokens: tokens("input_tokens")?,
        output_tokens: tokens("output_tokens")?,
        failure_modes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stdout: &str) -> String {
        read(stdout.as_bytes()).unwrap().output
    }

    #[test]
    fn text_is_the_output_without_its_last_line_feed() {
        assert_eq!(output("refund\n"), "refund");
        assert_eq!(output("refund\r\n"), "refund");
        assert_eq!(output(" a\nb \n\n"), " a\nb \n");
        assert_eq!(output(""), "");
        assert_eq!(output("{not json"), "{not json");
        assert_eq!(output("[1,2]\n"), "[1,2]");
    }

    #[test]
    fn an_object_without_output_is_the_output() {
        assert_eq!(output("{\"code\": \"A1\"}\n"), "{\"code\": \"A1\"}");
    }

    #[test]
    fn an_envelope_carries_cost_tokens_and_modes() {
        let answer = read(
            br#"{"output":"x","cost_usd":0.25,"input_tokens":7,"output_tokens":null,"failure_modes":["a"],"model":"m"}"#,
        )
        .unwrap();
        assert_eq!(
            answer,
            Answer {
                output: "x".into(),
                cost_usd: Some(0.25),
                input_tokens: Some(7),
                output_tokens: None,
                failure_modes: vec!["a".into()],
            }
        );
        assert_eq!(output(r#"{"output":{"a":1}}"#), r#"{"a":1}"#);
        assert_eq!(output(r#"{"output":12.5}"#), "12.5");
        assert_eq!(output(r#"{"output":null}"#), "");
    }

    #[test]
    fn wrong_types_are_named_and_nothing_is_quoted() {
        for (text, needle) in [
            (r#"{"output":"secret","cost_usd":-1}"#, "cost_usd"),
            (r#"{"output":"secret","cost_usd":"0.1"}"#, "cost_usd"),
            (r#"{"output":"secret","input_tokens":1.5}"#, "input_tokens"),
            (r#"{"output":"secret","output_tokens":-3}"#, "output_tokens"),
            (r#"{"output":"secret","failure_modes":"secret"}"#, "failure_modes"),
            (r#"{"output":"secret","failure_modes":[1]}"#, "failure_modes"),
        ] {
            let why = read(text.as_bytes()).unwrap_err();
            assert!(why.contains(needle) && !why.contains("secret"), "{why}");
        }
        assert_eq!(read(b"ab\xff").unwrap_err(), "stdout is not UTF-8 from byte 2");
    }
}
