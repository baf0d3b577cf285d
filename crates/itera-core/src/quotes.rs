//! Finds text of rows inside an arm: the literal scan behind `no-hardcodes` and
//! `contamination-scan`.
//!
//! Text is folded first (lower case, letters and digits only, single spaces). A row is quoted if
//! the scanned text holds, on word boundaries, either
//! - a run of [`RUN_WORDS`] consecutive words of one of the row's columns, or
//! - a whole column value of at least [`VALUE_CHARS`] characters and [`VALUE_WORDS`] words,
//!
//! and no known (train) row holds the same piece. Single common words, numbers and short labels
//! can therefore stand in a prompt without an alarm.

use serde_json::{Map, Value};
use std::collections::HashSet;

/// Consecutive words that make a quotation.
pub const RUN_WORDS: usize = 6;
/// Fewest folded characters of a whole value that makes a quotation.
pub const VALUE_CHARS: usize = 12;
/// Fewest words of a whole value that makes a quotation.
pub const VALUE_WORDS: usize = 2;

/// A scanned text with the rows that may be quoted freely taken out.
pub struct Scan {
    runs: HashSet<u64>,
    folded: String,
}

impl Scan {
    /// Prepares a text for scanning.
    pub fn new(text: &str) -> Self {
        let words = fold(text);
        let runs = words.windows(RUN_WORDS).map(hash).collect();
        Self { runs, folded: format!(" {} ", words.join(" ")) }
    }

    /// Whether the text is too short to quote anything.
    pub fn is_empty(&self) -> bool {
        self.folded.trim().is_empty()
    }

    /// Number of suspects that the text quotes while no known row holds the same piece.
    pub fn quoted<'a>(
        &self,
        known: impl IntoIterator<Item = &'a Map<String, Value>>,
        suspects: impl IntoIterator<Item = &'a Map<String, Value>>,
    ) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let mut free: HashSet<u64> = HashSet::new();
        for row in known {
            free.extend(self.pieces(row));
        }
        suspects.into_iter().filter(|row| self.pieces(row).any(|p| !free.contains(&p))).count() as u64
    }

    /// Hashes of the pieces of a row that stand in the text.
    fn pieces<'a>(&'a self, row: &'a Map<String, Value>) -> impl Iterator<Item = u64> + 'a {
        row.values().filter_map(Value::as_str).flat_map(move |value| {
            let words = fold(value);
            let mut found: Vec<u64> = words.windows(RUN_WORDS).map(hash).filter(|h| self.runs.contains(h)).collect();
            let whole = words.join(" ");
            if words.len() >= VALUE_WORDS && whole.len() >= VALUE_CHARS && self.folded.contains(&format!(" {whole} ")) {
                found.push(hash(&words));
            }
            found
        })
    }
}

/// The lines that a unified diff adds.
pub fn added_lines(diff: &str) -> String {
    let added: Vec<&str> =
        diff.lines().filter(|l| l.starts_with('+') && !l.starts_with("+++")).map(|l| &l[1..]).collect();
    added.join("\n")
}

fn fold(text: &str) -> Vec<String> {
    text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

fn hash(words: &[String]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for word in words {
        hasher.update(word.as_bytes());
        hasher.update(b" ");
    }
    u64::from_le_bytes(hasher.finalize().as_bytes()[..8].try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Map<String, Value> {
        Map::from_iter([("text".to_owned(), Value::from(text))])
    }

    #[test]
    fn a_quoted_value_is_found_whatever_its_case_and_punctuation() {
        let scan = Scan::new("if vendor == \"ACME Widgets, Ltd.\": return 'cogs'");
        assert_eq!(scan.quoted([], [&row("Acme  widgets ltd"), &row("other vendor entirely")]), 1);
    }

    #[test]
    fn a_run_of_words_is_found_inside_a_longer_row() {
        let scan = Scan::new("When the customer says the parcel never came to my door, answer lost.");
        let quoted = row("I am angry, the parcel never came to my door yesterday");
        assert_eq!(scan.quoted([], [&quoted]), 1);
    }

    #[test]
    fn text_that_train_holds_too_is_free() {
        let scan = Scan::new("ACME Widgets Ltd is cogs");
        let acme = row("acme widgets ltd");
        assert_eq!(scan.quoted([&acme], [&acme]), 0);
    }

    #[test]
    fn common_words_and_short_labels_raise_no_alarm() {
        let scan = Scan::new("Classify the transaction as revenue, cogs or transfer. Answer in JSON.");
        assert_eq!(scan.quoted([], [&row("revenue"), &row("transfer to savings"), &row("the")]), 0);
    }

    #[test]
    fn added_lines_leave_out_headers_and_context() {
        assert_eq!(added_lines("--- a/x\n+++ b/x\n@@ -1 +1 @@\n same\n-old\n+new\n"), "new");
    }
}
