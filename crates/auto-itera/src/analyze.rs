//! `auto-itera analyze`: the estimators and the verdict rule on scores that exist already.
//!
//! Input is a CSV with one line per row, arm and trial, and a frame in JSON. Nothing is sealed here: whoever made the
//! file has seen the scores, and the output says so.

mod frame;
mod output;
mod scores;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use itera_core::rule::judge;

/// Reads scores and frame, judges every experiment in the file and writes the result, as JSON or as text.
///
/// # Errors
/// Any problem of either file, with its place and what to do; or when `out` cannot be written.
pub fn run(scores: &Path, frame: &Path, json: bool, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let frame = frame::read(frame)?;
    let file = scores::read(scores, &frame)?;
    let mut results = Vec::with_capacity(file.experiments.len());
    for (name, table) in file.experiments {
        let verdict = judge(&frame.rule, &table).with_context(|| match &name {
            Some(name) => format!("{}: experiment `{name}`", scores.display()),
            None => scores.display().to_string(),
        })?;
        results.push((name, verdict));
    }
    if json {
        output::json(&results, file.has_experiments, &file.notes, out)?;
    } else {
        output::text(&results, &file.notes, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
