//! Text as the scorers compare it.

use serde_json::Value;
use std::collections::BTreeSet;
use unicode_normalization::UnicodeNormalization;

/// A cell or JSON value as text: text as it is, a missing or null one as nothing written, numbers and
/// truth values as JSON writes them, lists and objects as compact JSON.
pub(crate) fn text_of(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Compatibility-composed (NFKC), lower-cased, every run of white space and punctuation (Unicode
/// category P) one space, none at the ends. A hyphen, a minus and a decimal point are punctuation:
/// compare numbers with `numeric`.
pub(crate) fn normalised(text: &str) -> String {
    let composed: String = text.nfkc().collect();
    // Lower-casing can leave what composes again.
    let lowered: String = composed.to_lowercase().nfkc().collect();
    let mut out = String::with_capacity(lowered.len());
    let mut gap = false;
    for c in lowered.chars() {
        if c.is_whitespace() || is_punctuation(c) {
            gap = true;
        } else {
            if gap && !out.is_empty() {
                out.push(' ');
            }
            gap = false;
            out.push(c);
        }
    }
    out
}

fn is_punctuation(c: char) -> bool {
    if c.is_ascii() {
        // Category P of ASCII: its punctuation without the symbols (category S).
        return c.is_ascii_punctuation() && !"$+<=>^`|~".contains(c);
    }
    static CATEGORY_P: std::sync::LazyLock<Option<regex::Regex>> =
        std::sync::LazyLock::new(|| regex::Regex::new(r"^\p{P}$").ok());
    !c.is_alphanumeric() && CATEGORY_P.as_ref().is_some_and(|p| p.is_match(c.encode_utf8(&mut [0; 4])))
}

/// Equal as `normalized` means it. Texts of nothing but white space and punctuation are compared as
/// they are, so that `?` is not `!`.
pub(crate) fn same_normalised(a: &str, b: &str) -> bool {
    let (x, y) = (normalised(a), normalised(b));
    if x.is_empty() && y.is_empty() { a.trim() == b.trim() } else { x == y }
}

/// Whether the output holds the label as `contains` means it. A label of nothing is held only by an
/// output of nothing.
pub(crate) fn contains_normalised(output: &str, label: &str) -> bool {
    let label_normalised = normalised(label);
    if label_normalised.is_empty() {
        return same_normalised(output, label);
    }
    normalised(output).contains(&label_normalised)
}

/// The distinct items of a list: of a JSON list its items as text, else the parts between
/// separators. Items are trimmed, empty ones dropped; letter case counts.
pub(crate) fn items(text: &str, separator: &str) -> BTreeSet<String> {
    let parts: Vec<String> = match serde_json::from_str::<Value>(text.trim()) {
        Ok(Value::Array(list)) => list.iter().map(|v| text_of(Some(v))).collect(),
        _ => text.split(separator).map(str::to_owned).collect(),
    };
    parts.into_iter().map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn normalisation_joins_what_looks_alike() {
        for (a, b) in [
            ("Card-Arrival!", "card arrival"),
            ("  top   up\n", "Top_up"),
            ("ﬁle", "FILE"),
            ("Ａ１", "a1"),
            ("e\u{301}", "É"),
            ("«oui»", "OUI"),
            ("İ", "i\u{307}"),
        ] {
            assert!(same_normalised(a, b), "{a} {b}: {:?} {:?}", normalised(a), normalised(b));
        }
        for (a, b) in [("C++", "C"), ("?", "!"), ("a b", "ab"), ("", "a"), ("ß", "ss")] {
            assert!(!same_normalised(a, b), "{a} {b}");
        }
        assert!(same_normalised("?", " ? "));
    }

    #[test]
    fn an_empty_label_is_in_nothing_but_an_empty_output() {
        assert!(contains_normalised("The answer is: Card Arrival.", "card_arrival"));
        assert!(!contains_normalised("anything", ""));
        assert!(!contains_normalised("anything", "?"));
        assert!(contains_normalised(" ", ""));
    }

    #[test]
    fn items_are_a_set_whichever_way_they_are_written() {
        let expected: BTreeSet<String> = ["a", "b"].map(str::to_owned).into();
        assert_eq!(items("b; a;;a ", ";"), expected);
        assert_eq!(items(r#" ["a", "b", " a", ""] "#, ";"), expected);
        assert_eq!(items("a|b", "|"), expected);
        assert!(items("", ";").is_empty() && items("[]", ";").is_empty());
        assert_eq!(items("[1, true]", ";"), ["1", "true"].map(str::to_owned).into());
    }

    #[test]
    fn cells_as_text() {
        assert_eq!(text_of(Some(&json!(12.5))), "12.5");
        assert_eq!(text_of(Some(&json!(null))), "");
        assert_eq!(text_of(None), "");
        assert_eq!(text_of(Some(&json!([1]))), "[1]");
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,24}") {
            let once = normalised(&text);
            prop_assert_eq!(normalised(&once), once.clone());
            prop_assert!(!once.starts_with(' ') && !once.ends_with(' ') && !once.contains("  "));
        }
    }
}
