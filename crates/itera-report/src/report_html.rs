//! `report.html`: the conclusion, every test row and the ledger in one file for a browser.
//!
//! The file needs no network and no script: what scripts add is sorting and filtering of all rows,
//! of which the largest differences also stand in plain HTML. Rows appear with their opaque ids,
//! slices, scores and failure modes; the record holds no row text, so neither does the page.

use crate::chart;
use crate::conclusion;
use crate::data_json::DataJson;
use crate::page::{Block, Table, escape_html, escaped, html, inline_html};
use crate::record::{Record, RecordError};
use crate::timeline::timeline;
use crate::words::{count, pp};
use itera_core::event::PassKind;
use itera_core::ids::RowId;
use serde::Serialize;
use std::collections::BTreeMap;

/// Rows with the largest differences that are there without scripts.
const SHOWN: usize = 40;

const STYLE: &str = include_str!("../assets/report.css");
const SCRIPT: &str = include_str!("../assets/report.js");

/// One test row under every arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    /// Opaque id.
    id: String,
    /// Value of every slice column.
    s: Vec<String>,
    /// Mean score of every arm, rounded to four digits.
    m: Vec<Option<f64>>,
    /// Failure modes of every arm: position in `modes`, and in how many trials.
    f: Vec<Vec<(usize, u32)>>,
}

/// What the trials of one row under one arm add up to.
#[derive(Debug, Clone, Default)]
struct Sum {
    score: f64,
    trials: u32,
    modes: BTreeMap<usize, u32>,
}

/// Every test row, as the page's script reads it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Rows {
    arms: Vec<String>,
    columns: Vec<String>,
    modes: Vec<String>,
    trials: u32,
    rows: Vec<Row>,
}

/// The whole page.
///
/// # Errors
/// When the record has no test pass, or a chart cannot be drawn.
pub fn report_html(record: &Record, data: &DataJson) -> Result<String, RecordError> {
    let rows = rows(record, data)?;
    let mut drawings = BTreeMap::new();
    for chart in chart::Chart::ALL.into_iter().filter(|c| *c != chart::Chart::Loop && c.has_data(data)) {
        drawings.insert(chart, chart::svg(chart, data)?);
    }
    let title = conclusion::title(data);
    let plain: String = inline_html(&title).replace("<code>", "").replace("</code>", "");
    let blocks = conclusion::blocks(data);
    let outcome = data.verdict.outcome.map_or("none", |o| o.label().split(' ').next().unwrap_or("none"));
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{plain}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<header class=\"{outcome}\">\n<p class=\"kind\">Experiment {}</p>\n<h1>{}</h1>\n</header>\n\
         <nav><a href=\"#conclusion\">Conclusion</a> <a href=\"#rows\">Rows</a> <a href=\"#ledger\">Ledger</a></nav>\n\
         <main id=\"conclusion\">\n{}</main>\n{}{}\
         <footer><p>Self-contained: no network, no row text (the record holds none). Row ids are opaque; \
         every score is in <code>scores.csv</code>, every figure in <code>data.json</code>.</p></footer>\n\
         <script type=\"application/json\" id=\"row-data\">{}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escape_html(data.experiment.id.as_deref().unwrap_or(&data.experiment.name)),
        inline_html(&title),
        html(&blocks, &|chart| drawings.get(&chart).cloned()),
        rows_section(&rows),
        ledger_section(record),
        script_safe(&serde_json::to_string(&rows).unwrap_or_default()),
    ))
}

/// JSON that cannot end the element that holds it.
fn script_safe(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn rows(record: &Record, data: &DataJson) -> Result<Rows, RecordError> {
    let state = record.state();
    let frame = record.frame(&state)?;
    let test =
        record.plans().into_iter().find(|p| p.kind == PassKind::Test).ok_or(RecordError::Missing("test pass"))?;
    let arms: Vec<String> = data.arms.iter().filter(|a| a.test_score.is_some()).map(|a| a.id.clone()).collect();
    let modes: Vec<String> = frame.failure_modes.iter().map(|m| m.id.clone()).collect();
    let mut sums: BTreeMap<&RowId, Vec<Sum>> = BTreeMap::new();
    for score in record.scores.iter().filter(|r| r.pass == test.pass) {
        let Some(arm) = arms.iter().position(|a| *a == score.arm.0) else { continue };
        let cell = &mut sums.entry(&score.row).or_insert_with(|| vec![Sum::default(); arms.len()])[arm];
        cell.score += score.score;
        cell.trials += 1;
        for mode in score.failure_modes.iter().filter_map(|m| modes.iter().position(|known| known == m)) {
            *cell.modes.entry(mode).or_default() += 1;
        }
    }
    let mut rows: Vec<Row> = sums
        .into_iter()
        .map(|(id, cells)| Row {
            id: id.0.clone(),
            s: record.rows.get(id).map(|m| m.slices.clone()).unwrap_or_default(),
            m: cells
                .iter()
                .map(|c| (c.trials > 0).then(|| (c.score / f64::from(c.trials) * 1e4).round() / 1e4))
                .collect(),
            f: cells.into_iter().map(|c| c.modes.into_iter().collect()).collect(),
        })
        .collect();
    rows.sort_by(|a, b| largest(b).total_cmp(&largest(a)).then_with(|| a.id.cmp(&b.id)));
    Ok(Rows { arms, columns: frame.source.slices.clone(), modes, trials: test.trials, rows })
}

/// The difference to the baseline of the arm that differs most, without sign.
fn largest(row: &Row) -> f64 {
    let base = row.m.first().copied().flatten().unwrap_or(0.0);
    row.m.iter().skip(1).flatten().map(|m| (m - base).abs()).fold(0.0, f64::max)
}

fn rows_section(rows: &Rows) -> String {
    let mut names = vec!["row".to_owned()];
    names.extend(rows.columns.iter().map(|c| escaped(c)));
    names.extend(rows.arms.iter().map(|a| format!("#`{a}`")));
    names.extend(rows.arms.iter().skip(1).map(|a| format!("#`{a}` difference, pp")));
    names.push("failure modes".into());
    let mut table = Table::new(names.iter().map(String::as_str));
    for row in rows.rows.iter().filter(|r| largest(r) > 0.0).take(SHOWN) {
        let base = row.m.first().copied().flatten();
        let mut cells = vec![format!("`{}`", row.id)];
        cells.extend(row.s.iter().map(|s| escaped(s)));
        cells.extend(row.m.iter().map(|m| m.map_or_else(|| "-".into(), |m| format!("{m:.2}"))));
        cells.extend(row.m.iter().skip(1).map(|m| match (m, base) {
            (Some(m), Some(b)) => pp(m - b),
            _ => "-".into(),
        }));
        cells.push(modes_of(rows, row));
        table.row(cells);
    }
    let differ = rows.rows.iter().filter(|r| largest(r) > 0.0).count();
    let shown = table.rows.len();
    format!(
        "<section id=\"rows\">\n<h2>Test rows</h2>\n\
         <p>{} of {} test rows score differently under some candidate. Scores are means over {} trial(s); \
         a mode that appeared in some trials only is given with their number.</p>\n\
         <div id=\"controls\" hidden></div>\n<p id=\"shown\">The {shown} largest differences; scripts show and filter all.</p>\n\
         <div id=\"row-table\">{}</div>\n</section>\n",
        count(differ as u64),
        count(rows.rows.len() as u64),
        rows.trials,
        html(&[Block::Table(table)], &|_| None)
    )
}

fn modes_of(rows: &Rows, row: &Row) -> String {
    let mut said = Vec::new();
    for (arm, found) in rows.arms.iter().zip(&row.f) {
        let modes: Vec<String> = found
            .iter()
            .map(|(mode, n)| match rows.modes.get(*mode) {
                Some(name) if *n < rows.trials => format!("{} ({n})", escaped(name)),
                Some(name) => escaped(name),
                None => String::new(),
            })
            .collect();
        if !modes.is_empty() {
            said.push(format!("`{arm}`: {}", modes.join(", ")));
        }
    }
    said.join("; ")
}

fn ledger_section(record: &Record) -> String {
    let mut out = String::from(
        "<section id=\"ledger\">\n<h2>What happened, from the ledger</h2>\n<p>Every entry is bound to all before it by its hash.</p>\n<ol class=\"ledger\">\n",
    );
    for moment in timeline(&record.entries) {
        out.push_str(&format!(
            "<li value=\"{}\" id=\"entry-{}\"><time>{}</time> <span>{}</span></li>\n",
            moment.entry,
            moment.entry,
            moment.at,
            inline_html(&moment.what)
        ));
    }
    out.push_str("</ol>\n</section>\n");
    out
}
