//! JSON with comments and trailing commas, read for its values and edited as text.

use anyhow::{Context, bail};
use serde_json::Value;

/// The values of a text with comments and trailing commas.
///
/// # Errors
/// It is not JSON, comments apart.
pub fn parse(text: &str) -> anyhow::Result<Value> {
    serde_json::from_str(&strict(text)).context("the file is not JSON")
}

/// The text with `section.name` set to a value, all else untouched.
///
/// # Errors
/// It is not an object, or the section is not; or the edit would have changed something else.
pub fn with_entry(text: &str, section: &str, name: &str, entry: &Value) -> anyhow::Result<String> {
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    let before = parse(text)?;
    let Value::Object(mut wanted) = before else { bail!("the file does not hold an object") };
    let here = wanted.entry(section).or_insert_with(|| Value::Object(serde_json::Map::new()));
    let Value::Object(servers) = here else { bail!("`{section}` is not an object") };
    if servers.get(name) == Some(entry) {
        return Ok(text.to_owned());
    }
    servers.insert(name.to_owned(), entry.clone());

    let root = text.find('{').map(|at| members(text, at)).context("the file does not hold an object")?;
    let after = match root.iter().find(|m| m.key == section) {
        None => {
            let value = format!("{{\n    \"{name}\": {}\n  }}", indented(entry, "    "));
            inserted(text, text.find('{').unwrap_or(0), root.is_empty(), "  ", &format!("\"{section}\": {value}"))
        }
        Some(found) => {
            let inner = members(text, found.value.0);
            match inner.iter().find(|m| m.key == name) {
                Some(old) => format!("{}{}{}", &text[..old.value.0], indented(entry, "    "), &text[old.value.1..]),
                None => {
                    let member = format!("\"{name}\": {}", indented(entry, "    "));
                    inserted(text, found.value.0, inner.is_empty(), "    ", &member)
                }
            }
        }
    };
    if parse(&after)? != Value::Object(wanted) {
        bail!("the file is laid out in a way that cannot be edited safely");
    }
    Ok(after)
}

fn indented(value: &Value, indent: &str) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default().replace('\n', &format!("\n{indent}"))
}

/// The text with a first member put into the object that opens at a place.
fn inserted(text: &str, open: usize, empty: bool, indent: &str, member: &str) -> String {
    let (head, tail) = text.split_at(open + 1);
    let outer = &indent[2..];
    if empty && tail.trim_start().starts_with('}') {
        return format!("{head}\n{indent}{member}\n{outer}{}", tail.trim_start());
    }
    let comma = if empty { "" } else { "," };
    let gap = if tail.trim_start_matches([' ', '\t']).starts_with(['\n', '\r']) {
        String::new()
    } else {
        format!("\n{indent}")
    };
    let tail = if gap.is_empty() { tail } else { tail.trim_start_matches([' ', '\t']) };
    format!("{head}\n{indent}{member}{comma}{gap}{tail}")
}

struct Member {
    key: String,
    /// Where its value begins and ends.
    value: (usize, usize),
}

/// The members of the object that opens at a place.
fn members(text: &str, open: usize) -> Vec<Member> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = open + 1;
    loop {
        at = skip(text, at);
        match bytes.get(at) {
            Some(b',') => at += 1,
            Some(b'"') => {
                let end = string_end(bytes, at);
                let key = serde_json::from_str(&text[at..end]).unwrap_or_default();
                let colon = skip(text, end);
                let from = skip(text, colon + 1);
                let to = value_end(text, from);
                found.push(Member { key, value: (from, to) });
                at = to;
            }
            _ => return found,
        }
    }
}

/// The next place that is neither white space nor comment.
fn skip(text: &str, mut at: usize) -> usize {
    let bytes = text.as_bytes();
    loop {
        match bytes.get(at) {
            Some(b' ' | b'\t' | b'\n' | b'\r') => at += 1,
            Some(b'/') if bytes.get(at + 1) == Some(&b'/') => {
                at = text[at..].find('\n').map_or(bytes.len(), |n| at + n);
            }
            Some(b'/') if bytes.get(at + 1) == Some(&b'*') => {
                at = text[at + 2..].find("*/").map_or(bytes.len(), |n| at + n + 4);
            }
            _ => return at,
        }
    }
}

fn string_end(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn value_end(text: &str, from: usize) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0_u32;
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = string_end(bytes, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'/' => {
                let next = skip(text, at);
                if next > at {
                    at = next;
                    continue;
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b',' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

/// The text without comments and trailing commas, for a strict reader.
fn strict(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let next = skip(text, at);
        if next > at {
            out.push(' ');
            at = next;
            continue;
        }
        let end = match bytes[at] {
            b'"' => string_end(bytes, at),
            b',' if matches!(bytes.get(skip(text, at + 1)), Some(b'}' | b']')) => {
                at += 1;
                continue;
            }
            _ => at + text[at..].chars().next().map_or(1, char::len_utf8),
        };
        let end = end.min(text.len());
        out.push_str(&text[at..end]);
        at = end;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn comments_and_commas_are_read_past() {
        let value = parse("{ // a\n \"u\": \"http://x\", /* b, */ \"l\": [1, 2,], \"é\": \"}\\\"\", }").unwrap();
        assert_eq!(value, json!({ "u": "http://x", "l": [1, 2], "é": "}\"" }));
    }

    #[test]
    fn entries_land_in_every_layout() {
        let entry = json!({ "command": "c", "args": ["serve"] });
        for text in [
            "",
            "{}",
            "{ }",
            "{\n}\n",
            "{\"a\":1}",
            "{\n  \"s\": {}\n}",
            "{\"s\":{\"o\":{}}}",
            "{\n  \"a\": 1, // x\n  \"s\": { // y\n    \"o\": {}\n  }\n}\n",
            "{ // only a comment\n}",
            "{\"s\": { /* none */ }}",
            "\n// head\n{ \"t\": true, }",
        ] {
            let after = with_entry(text, "s", "n", &entry).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(parse(&after).unwrap()["s"]["n"], entry, "{text}");
            assert_eq!(with_entry(&after, "s", "n", &entry).unwrap(), after, "{text}");
        }
    }

    #[test]
    fn broken_text_never_panics() {
        for text in ["{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":{", "\"\\", "/*", "{/*", "{\"a\":\"\\", "é{"] {
            assert!(with_entry(text, "s", "n", &json!({})).is_err(), "{text}");
        }
    }
}
