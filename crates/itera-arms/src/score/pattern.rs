//! Regular expressions of bounded size.

use regex::{Regex, RegexBuilder};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Most bytes that a compiled pattern may take.
const COMPILED_BYTES: usize = 4 << 20;
/// Compiled patterns that are kept, one per label.
const KEPT: usize = 512;
/// What stands for the label in a scorer's pattern. It is no regular expression by itself.
pub(crate) const LABEL: &str = "{label}";

/// Compiles a pattern.
///
/// # Errors
/// Why not, in words.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(COMPILED_BYTES).dfa_size_limit(COMPILED_BYTES).build().map_err(|e| match e {
        regex::Error::CompiledTooBig(_) => {
            format!("the pattern takes more than {COMPILED_BYTES} bytes compiled")
        }
        other => format!("the pattern does not compile: {other}"),
    })
}

/// A scorer's pattern, in which `{label}` stands for the row's escaped label.
#[derive(Debug)]
pub(crate) enum Template {
    Fixed(Regex),
    PerLabel { pattern: String, compiled: Mutex<HashMap<String, Regex>> },
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// As [`compile`], with any label.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.contains(LABEL) {
            compile(&pattern.replace(LABEL, "label"))?;
            Ok(Self::PerLabel { pattern: pattern.to_owned(), compiled: Mutex::default() })
        } else {
            compile(pattern).map(Self::Fixed)
        }
    }

    /// Whether the output matches. A label so long that the pattern grows too large matches nothing.
    pub(crate) fn is_match(&self, output: &str, label: &str) -> bool {
        match self {
            Self::Fixed(regex) => regex.is_match(output),
            Self::PerLabel { pattern, compiled } => {
                let mut compiled = compiled.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(regex) = compiled.get(label) {
                    return regex.is_match(output);
                }
                let Ok(regex) = compile(&pattern.replace(LABEL, &regex::escape(label))) else {
                    return false;
                };
                let matched = regex.is_match(output);
                if compiled.len() >= KEPT {
                    compiled.clear();
                }
                compiled.insert(label.to_owned(), regex);
                matched
            }
        }
    }
}
