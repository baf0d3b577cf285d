//! Text of columns and cells: how names are shown, how cells are compared and read as numbers.

/// Longest column name that is shown, in characters.
const SHOWN: usize = 80;

/// A column name as it may be shown: in backticks, escaped, at most 80 characters.
pub(crate) fn shown(name: &str) -> String {
    let mut text: String = name.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if name.chars().nth(SHOWN).is_some() {
        text.push('…');
    }
    format!("`{text}`")
}

/// Text by which two inputs count as equal: Unicode lower case, runs of white space as one space,
/// none at the ends.
pub(crate) fn normalized(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !normal.is_empty() {
            normal.push(' ');
        }
        normal.extend(word.chars().flat_map(char::to_lowercase));
    }
    normal
}

/// A finite number in plain notation.
pub(crate) fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    // `f64::from_str` also takes `inf` and `nan`, which no column of figures means.
    if !text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The name most similar to `wanted`, if any differs by no more than a third of its characters.
pub(crate) fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a String>) -> Option<String> {
    let plain = |text: &str| -> Vec<char> {
        text.chars().take(SHOWN).filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let target = plain(wanted);
    names
        .into_iter()
        .map(|name| (distance(&target, &plain(name)), name))
        .min_by(|a, b| a.cmp(b))
        .filter(|(distance, _)| *distance <= target.len().div_ceil(3))
        .map(|(_, name)| name.clone())
}

/// Levenshtein's distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_inputs_are_equal_whatever_their_case_and_spacing() {
        assert_eq!(normalized("  ÄPFEL\tund\u{a0}\n Birnen "), "äpfel und birnen");
        assert_eq!(normalized(""), "");
    }

    #[test]
    fn numbers_are_plain_and_finite() {
        assert_eq!(number(" -1.5e3 "), Some(-1500.0));
        for text in ["", "nan", "inf", "1,000", "$5", "0x10", "1e999"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_is_shown_short_and_escaped() {
        assert_eq!(shown("a\nb"), "`a\\nb`");
        assert!(shown(&"x".repeat(500)).chars().count() < 90);
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        let names = ["label".to_owned(), "text".to_owned(), "tenant_id".to_owned()];
        assert_eq!(nearest("lable", &names).as_deref(), Some("label"));
        assert_eq!(nearest("Tenant-ID", &names).as_deref(), Some("tenant_id"));
        assert_eq!(nearest("severity", &names), None);
    }
}
