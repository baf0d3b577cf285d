//! `arm-bar`: the mean of each arm, how sure it is, and every trial.
//!
//! Marks, not bars: the axis may then begin where the arms are, and the difference that matters is seen.

use super::axis::{Axis, decimals, padded, within_shares};
use super::canvas::{Area, Type};
use super::card::{Card, MARGIN, WIDTH};
use super::palette::{self, AXIS, GRID, INK, MUTED, THRESHOLD};
use super::text::{self, Weight};
use super::words;
use crate::data_json::{Arm, DataJson, Interval};

const ROW: f64 = 66.0;
const NAMES: f64 = 178.0;
const VALUES: f64 = 134.0;

struct Row<'a> {
    index: usize,
    arm: &'a Arm,
    score: Interval,
    trials: &'a [f64],
}

pub fn draw(data: &DataJson) -> Card {
    let on_test = !data.test_set_trials.is_empty();
    let trials = if on_test { &data.test_set_trials } else { &data.variance_trials };
    let rows: Vec<Row<'_>> = data
        .arms
        .iter()
        .enumerate()
        .filter_map(|(index, arm)| {
            let score = words::score(data, arm)?;
            Some(Row { index, arm, score, trials: trials.get(&arm.id).map_or(&[], Vec::as_slice) })
        })
        .collect();
    let mut card = Card::new("Mean score of each arm on the sealed test", &words::subtitle(data, true));
    let baseline = data.baseline().and_then(|arm| words::score(data, arm)).map(|s| s.mean);
    let threshold = baseline.zip(data.threshold()).map(|(base, effect)| (base + effect, effect));

    let marks = rows.iter().flat_map(|r| {
        [Some(r.score.mean), r.score.ci_low, r.score.ci_high].into_iter().flatten().chain(r.trials.iter().copied())
    });
    // One arm alone has nothing to be held against.
    let threshold = threshold.filter(|(at, _)| rows.len() > 1 && (0.0..=1.0).contains(at));
    let (low, high) = within_shares(padded(marks.chain(threshold.map(|t| t.0)), 0.06, 0.06));
    let (left, right) = (MARGIN + NAMES, WIDTH - MARGIN - VALUES);
    let axis = Axis::linear(low, high, left, right);
    let top = card.bottom + 30.0;
    let bottom = top + ROW * rows.len() as f64;

    grid(&mut card, &axis, top, bottom);
    if let Some(base) = baseline.filter(|_| rows.len() > 1) {
        card.line((axis.at(base), top), (axis.at(base), bottom), palette::BASELINE.tint(0.55), 1.0);
    }
    if let Some((at, effect)) = threshold {
        let x = axis.at(at);
        card.dashed((x, top - 6.0), (x, bottom), THRESHOLD, 1.2);
        let label = format!("{}: baseline {} pp", words::threshold_name(data), words::pp(effect));
        let kind = Type::new(11.0, THRESHOLD).bold().middle().halo();
        let half = kind.width(&label) / 2.0;
        card.text(&label, x.clamp(MARGIN + half, WIDTH - MARGIN - half), top - 13.0, kind);
        card.say(label);
    }
    for (i, row) in rows.iter().enumerate() {
        draw_row(&mut card, data, &axis, row, baseline, top + ROW * (i as f64 + 0.5));
    }
    card.bottom = bottom + 22.0;
    legend(&mut card, &rows, on_test);
    card
}

fn grid(card: &mut Card, axis: &Axis, top: f64, bottom: f64) {
    let ticks = axis.ticks(8);
    let decimals = decimals(&ticks.iter().map(|t| t * 100.0).collect::<Vec<_>>());
    for tick in &ticks {
        let x = axis.at(*tick);
        card.line((x, top), (x, bottom), GRID, 1.0);
        card.text(words::percent(*tick, decimals), x, bottom + 18.0, Type::new(11.0, MUTED).middle());
    }
    card.line((MARGIN, bottom), (WIDTH - MARGIN, bottom), AXIS, 1.0);
}

fn draw_row(card: &mut Card, data: &DataJson, axis: &Axis, row: &Row<'_>, baseline: Option<f64>, y: f64) {
    let color = palette::arm(row.index);
    let Interval { mean, ci_low, ci_high } = row.score;
    names(card, data, row.arm, y);

    let interval = ci_low.zip(ci_high);
    if let Some((low, high)) = interval {
        card.line((axis.at(low), y - 4.0), (axis.at(high), y - 4.0), color, 3.0);
        for end in [low, high] {
            card.line((axis.at(end), y - 9.0), (axis.at(end), y + 1.0), color, 1.6);
        }
    }
    card.dot((axis.at(mean), y - 4.0), 6.5, color);
    for trial in row.trials {
        card.ring((axis.at(*trial), y + 15.0), 3.6, color, 1.3);
    }

    let x = WIDTH - MARGIN;
    let value = words::percent(mean, 1);
    let change = baseline.filter(|_| row.index > 0).map(|base| format!("{} pp", words::pp(mean - base)));
    let lines: Vec<(String, Type)> = [
        Some((value.clone(), Type::new(15.0, INK).bold().end())),
        interval.map(|(low, high)| {
            let text = format!("[{:.1}, {:.1}]", low * 100.0, high * 100.0);
            (text, Type::new(11.0, MUTED).end())
        }),
        change.clone().map(|text| (format!("{text} vs baseline"), Type::new(11.0, MUTED).end())),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut line_y = y + 4.0 - (lines.len() as f64 - 1.0) * 8.0;
    for (text, kind) in lines {
        card.text(text, x, line_y, kind);
        line_y += 16.0;
    }
    card.say(format!("{}: {value}{}", words::name(row.arm), change.map(|c| format!(", {c}")).unwrap_or_default()));
}

/// Name of an arm on at most two lines, and its standing below, in the left column.
pub(super) fn names(card: &mut Card, data: &DataJson, arm: &Arm, y: f64) {
    let lines = text::wrap(words::name(arm), 13.0, Weight::SemiBold, NAMES - 18.0, 2);
    let standing = words::standing(data, arm);
    let count = lines.len() + usize::from(standing.is_some());
    let mut line_y = y + 4.5 - (count as f64 - 1.0) * 8.0;
    for line in lines {
        card.text(line, MARGIN, line_y, Type::new(13.0, INK).bold());
        line_y += 16.0;
    }
    if let Some((word, color)) = standing {
        card.text(word, MARGIN, line_y, Type::new(11.5, color));
    }
}

fn legend(card: &mut Card, rows: &[Row<'_>], on_test: bool) {
    let y = card.bottom + 20.0;
    let mut x = MARGIN;
    let kind = Type::new(11.0, MUTED);
    let color = palette::BASELINE;
    let mut key = |card: &mut Card, label: &str, mark: &dyn Fn(&mut Card, f64)| {
        mark(card, x);
        card.text(label, x + 26.0, kind.centred(y), kind);
        x += 26.0 + kind.width(label) * 1.04 + 24.0;
    };
    key(card, "mean of the test rows", &|card, x| card.dot((x + 10.0, y), 5.5, color));
    if rows.iter().any(|r| r.score.ci_low.is_some()) {
        key(card, "95% interval", &|card, x| card.rect(Area { x, y: y - 1.5, w: 20.0, h: 3.0 }, color));
    } else if rows.len() > 1 {
        card.note("No interval of the means is recorded; the intervals of the differences are in the forest plot.");
    }
    if rows.iter().any(|r| !r.trials.is_empty()) {
        let label = if on_test { "mean of one trial" } else { "mean of one trial on the dev rows (not the test)" };
        key(card, label, &|card, x| card.ring((x + 10.0, y), 3.6, color, 1.3));
    }
    card.bottom = y + 2.0;
}
