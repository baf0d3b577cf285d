//! `failure-modes`: how often each arm makes each registered kind of error.

use super::axis::{Axis, decimals};
use super::canvas::{Area, Type};
use super::card::{Card, MARGIN, WIDTH};
use super::palette::{self, AXIS, GRID, INK, MUTED};
use super::text::{self, Weight};
use super::words;
use crate::data_json::DataJson;

const NAMES: f64 = 190.0;
const VALUES: f64 = 96.0;
const BAR: f64 = 17.0;
const GAP: f64 = 20.0;
/// Height that a name on two lines and its weight need.
const LEAST: f64 = 58.0;

pub fn draw(data: &DataJson) -> Card {
    let mut card = Card::new("Errors by registered failure mode", &words::subtitle(data, true));
    let Some(modes) = &data.failure_modes else { return card };
    let answers = modes.answers_per_arm.or(data.experiment.test_set_n).filter(|n| *n > 0);
    let arms: Vec<(usize, &crate::data_json::Arm)> =
        data.arms.iter().enumerate().filter(|(_, arm)| modes.test_set_counts.contains_key(&arm.id)).collect();
    let count = |arm: &str, mode: &str| modes.test_set_counts.get(arm).and_then(|c| c.get(mode)).copied().unwrap_or(0);
    // Without a denominator the counts themselves are drawn.
    let scaled = |n: u64| answers.map_or(n as f64, |all| n as f64 / all as f64 * 100.0);
    // The most severe mode first.
    let mut order: Vec<_> = modes.categories.iter().collect();
    order.sort_by(|a, b| b.severity_weight.unwrap_or(0.0).total_cmp(&a.severity_weight.unwrap_or(0.0)));

    let most = order.iter().flat_map(|m| arms.iter().map(|(_, a)| scaled(count(&a.id, &m.id)))).fold(0.0, f64::max);
    let (left, right) = (MARGIN + NAMES, WIDTH - MARGIN - VALUES);
    let axis = Axis::linear(0.0, if most > 0.0 { most * 1.02 } else { 1.0 }, left, right);
    let top = legend(&mut card, &arms);
    let group = (BAR * arms.len() as f64 + GAP).max(LEAST);
    let bottom = top + group * order.len() as f64;

    let ticks = axis.ticks(7);
    let digits = decimals(&ticks);
    for tick in &ticks {
        let x = axis.at(*tick);
        card.line((x, top), (x, bottom), GRID, 1.0);
        card.text(format!("{tick:.digits$}"), x, bottom + 17.0, Type::new(11.0, MUTED).middle());
    }
    for (i, mode) in order.iter().enumerate() {
        let edge = top + group * i as f64;
        let middle = edge + group / 2.0;
        let y = middle - BAR * arms.len() as f64 / 2.0;
        if i > 0 {
            card.line((MARGIN, edge), (WIDTH - MARGIN, edge), GRID, 1.0);
        }
        let name = if mode.name.trim().is_empty() { &mode.id } else { &mode.name };
        let lines = text::wrap(name, 12.5, Weight::SemiBold, NAMES - 20.0, if arms.len() > 2 { 3 } else { 2 });
        let weight = mode.severity_weight.map(|w| format!("weight {}", trimmed(w)));
        let mut line_y = middle + 4.5 - (lines.len() as f64 + weight.iter().len() as f64 - 1.0) * 7.5;
        for line in lines {
            card.text(line, MARGIN, line_y, Type::new(12.5, INK).bold());
            line_y += 15.0;
        }
        if let Some(weight) = weight {
            card.text(weight, MARGIN, line_y, Type::new(11.0, MUTED));
        }
        for (j, (index, arm)) in arms.iter().enumerate() {
            let n = count(&arm.id, &mode.id);
            let y = y + BAR * j as f64;
            let end = axis.at(scaled(n));
            card.rect(Area { x: left, y: y + 2.0, w: (end - left).max(0.0), h: BAR - 4.0 }, palette::arm(*index));
            let kind = Type::new(11.5, INK).bold().halo();
            let value = if answers.is_some() { format!("{:.1}", scaled(n)) } else { words::count(n) };
            card.text(&value, end + 6.0, kind.centred(y + BAR / 2.0), kind);
            if answers.is_some() {
                let x = end + 6.0 + kind.width(&value) * 1.04 + 5.0;
                card.text(
                    format!("({})", words::count(n)),
                    x,
                    kind.centred(y + BAR / 2.0),
                    Type::new(11.0, MUTED).halo(),
                );
            }
            card.say(format!("{}, {name}: {value}", words::name(arm)));
        }
    }
    card.line((left, top), (left, bottom), AXIS, 1.0);
    card.bottom = bottom + 22.0;
    match (answers, modes.answers_per_arm) {
        (Some(n), Some(_)) => card.note(format!(
            "Per 100 answers on the test split, with the count in brackets; {} answers per arm. One answer may carry several modes.",
            words::count(n)
        )),
        (Some(n), None) => card.note(format!("Per 100 test rows, with the count in brackets; {} rows.", words::count(n))),
        _ => card.note("Counts on the test split; the number of rows is not recorded."),
    }
    card
}

fn legend(card: &mut Card, arms: &[(usize, &crate::data_json::Arm)]) -> f64 {
    let kind = Type::new(12.0, INK);
    let (mut x, mut y) = (MARGIN, card.bottom + 14.0);
    for (index, arm) in arms {
        let name = text::fit(words::name(arm), kind.size, kind.weight, 260.0);
        let w = 18.0 + kind.width(&name) * 1.04 + 22.0;
        if x + w > WIDTH - MARGIN && x > MARGIN {
            x = MARGIN;
            y += 20.0;
        }
        card.rect(Area { x, y: y - 5.5, w: 11.0, h: 11.0 }, palette::arm(*index));
        card.text(name, x + 18.0, kind.centred(y), kind);
        x += w;
    }
    y + 18.0
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
