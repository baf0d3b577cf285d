//! `forest-plot`: what each candidate changes, in the aggregate and in every slice.

use super::axis::{Axis, decimals};
use super::canvas::Type;
use super::card::{Card, MARGIN, WIDTH};
use super::labels::spread;
use super::palette::{self, AXIS, CARD, Color, GRID, INK, LOSS, MUTED, THRESHOLD};
use super::text::{self, Weight};
use super::words;
use crate::data_json::{ArmEffects, DataJson, Effect};

const NAMES: f64 = 190.0;
const ROW: f64 = 26.0;
const GROUP: f64 = 36.0;
const AGGREGATE: &str = "All rows";

/// Where the columns of figures end, from the left: the plot, the difference, the interval.
struct Columns {
    plot: f64,
    delta: f64,
    interval: f64,
}

impl Columns {
    /// Columns as wide as their widest figure.
    fn new(marks: &[&Mark<'_>]) -> Self {
        let kind = Type::new(12.0, INK).bold();
        let widest = |texts: &mut dyn Iterator<Item = String>| texts.map(|t| kind.width(&t)).fold(0.0, f64::max);
        let rows = widest(&mut marks.iter().filter_map(|m| m.n).map(words::count)).max(28.0);
        let intervals = widest(&mut marks.iter().filter_map(|m| interval(&m.effect))).max(84.0);
        let deltas = widest(&mut marks.iter().map(|m| words::pp(m.effect.delta)));
        let interval = WIDTH - MARGIN - rows - 18.0;
        let delta = interval - intervals - 10.0;
        Self { plot: delta - deltas - 26.0, delta, interval }
    }
}

/// `[+4.1, +11.0]`.
fn interval(effect: &Effect) -> Option<String> {
    let (low, high) = effect.ci_low.zip(effect.ci_high)?;
    Some(format!("[{}, {}]", words::pp(low), words::pp(high)))
}

struct Lines {
    threshold: Option<f64>,
    floor: Option<f64>,
}

impl Lines {
    /// Whether a slice's estimate lies below the floor.
    fn broken_by(&self, mark: &Mark<'_>) -> bool {
        !mark.aggregate && self.floor.is_some_and(|floor| mark.effect.delta < floor)
    }
}

struct Mark<'a> {
    label: &'a str,
    effect: Effect,
    n: Option<u64>,
    aggregate: bool,
}

pub fn draw(data: &DataJson) -> Card {
    let mut card = Card::new("Difference to the baseline, in percentage points", &words::subtitle(data, true));
    let groups: Vec<_> = data
        .arms
        .iter()
        .enumerate()
        .skip(1)
        .filter_map(|(i, arm)| Some((i, arm, marks(data, data.effect_sizes.get(&arm.id)?))))
        .collect();
    let lines = Lines { threshold: data.threshold(), floor: data.loss_floor() };
    let all: Vec<&Mark<'_>> = groups.iter().flat_map(|g| &g.2).collect();
    let (low, high) = range(&all, &lines);
    let columns = Columns::new(&all);
    let axis = Axis::linear(low, high, MARGIN + NAMES, columns.plot);
    let most_rows = all.iter().filter(|m| !m.aggregate).filter_map(|m| m.n).max();

    let head = card.bottom + 32.0;
    let height: f64 = groups.iter().map(|g| GROUP + ROW * g.2.len() as f64).sum();
    let bottom = head + height + 6.0;
    grid(&mut card, &axis, head, bottom);
    reference_lines(&mut card, data, &axis, &lines, (head, bottom), columns.plot + 8.0);
    column_heads(&mut card, &columns, head);

    let mut y = head;
    let mut crossed = false;
    for (index, arm, marks) in &groups {
        group_head(&mut card, data, arm, columns.plot, y + GROUP / 2.0 + 3.0);
        y += GROUP;
        for mark in marks {
            let middle = y + ROW / 2.0;
            crossed |= draw_mark(&mut card, &axis, &lines, mark, palette::arm(*index), most_rows, middle);
            figures(&mut card, &columns, &lines, mark, middle);
            card.say(spoken(words::name(arm), mark));
            y += ROW;
        }
    }
    card.bottom = bottom + 22.0;
    let sizes = if most_rows.is_some() { " Discs grow with the rows of the slice." } else { "" };
    card.note(format!(
        "Paired difference per row, candidate minus baseline; lines are two-sided 95% intervals.{sizes}"
    ));
    if crossed {
        card.note("Red: the part of a slice's interval, and any estimate, that lies below the loss floor.");
    }
    if all.iter().any(|m| m.effect.ci_low.is_none()) {
        card.note("Marks without a line have no recorded interval.");
    }
    card
}

fn marks<'a>(data: &'a DataJson, effects: &ArmEffects) -> Vec<Mark<'a>> {
    let n = effects.aggregate.n.or(data.experiment.test_set_n);
    let mut marks = vec![Mark { label: AGGREGATE, effect: effects.aggregate, n, aggregate: true }];
    for slice in &data.slices {
        if let Some(effect) = effects.per_slice.get(&slice.id) {
            let label = if slice.name.trim().is_empty() { &slice.id } else { &slice.name };
            marks.push(Mark { label, effect: *effect, n: effect.n.or(slice.test_n), aggregate: false });
        }
    }
    marks
}

/// The range that shows every estimate, the aggregate's intervals and the reference lines; a slice's
/// very long interval is cut, so that it does not press all others together.
fn range(marks: &[&Mark<'_>], lines: &Lines) -> (f64, f64) {
    let mut low = lines.threshold.unwrap_or(0.0).min(lines.floor.unwrap_or(0.0)).min(0.0);
    let mut high = lines.threshold.unwrap_or(0.0).max(0.0);
    for mark in marks {
        let Effect { delta, ci_low, ci_high, .. } = mark.effect;
        low = low.min(delta).min(ci_low.filter(|_| mark.aggregate).unwrap_or(delta));
        high = high.max(delta).max(ci_high.filter(|_| mark.aggregate).unwrap_or(delta));
    }
    let reach = (high - low).max(0.15);
    let longest_low = marks.iter().filter_map(|m| m.effect.ci_low).fold(low, f64::min);
    let longest_high = marks.iter().filter_map(|m| m.effect.ci_high).fold(high, f64::max);
    let (low, high) = (longest_low.max(low - reach), longest_high.min(high + reach));
    let pad = ((high - low) * 0.05).max(0.004);
    (low - pad, high + pad)
}

fn grid(card: &mut Card, axis: &Axis, top: f64, bottom: f64) {
    let ticks = axis.ticks(9);
    let decimals = decimals(&ticks.iter().map(|t| t * 100.0).collect::<Vec<_>>());
    for tick in &ticks {
        let x = axis.at(*tick);
        card.line((x, top), (x, bottom), GRID, 1.0);
        card.text(words::pp_with(*tick, decimals), x, bottom + 17.0, Type::new(11.0, MUTED).middle());
    }
    card.line((MARGIN, bottom), (WIDTH - MARGIN, bottom), AXIS, 1.0);
}

fn reference_lines(card: &mut Card, data: &DataJson, axis: &Axis, lines: &Lines, span: (f64, f64), right: f64) {
    let (top, bottom) = span;
    card.line((axis.at(0.0), top - 4.0), (axis.at(0.0), bottom), INK, 1.2);
    let floor = lines.floor.map(|at| (at, format!("floor {}", words::pp(at)), LOSS));
    let threshold =
        lines.threshold.map(|at| (at, format!("{} {}", words::threshold_name(data), words::pp(at)), THRESHOLD));
    let mut shown: Vec<(f64, String, Color)> = [floor, threshold].into_iter().flatten().collect();
    shown.sort_by(|a, b| a.0.total_cmp(&b.0));
    let kind = Type::new(11.0, INK).bold().middle().halo();
    let widest = shown.iter().map(|(_, label, _)| kind.width(label) + 14.0).fold(0.0, f64::max);
    let lines: Vec<f64> = shown.iter().map(|(at, ..)| axis.at(*at)).collect();
    // Labels stand over their lines, or beside each other where the lines are near.
    let centres = spread(&lines, widest, MARGIN + NAMES - 110.0, right);
    for (((_, label, color), x), centre) in shown.into_iter().zip(lines).zip(centres) {
        card.dashed((x, top - 4.0), (x, bottom), color, 1.2);
        card.text(&label, centre, top - 10.0, kind.color(color));
        card.say(label);
    }
}

fn column_heads(card: &mut Card, columns: &Columns, head: f64) {
    let kind = Type::new(11.0, MUTED);
    let y = head - 10.0;
    card.text("difference [95% interval]", columns.interval, y, kind.end());
    card.text("rows", WIDTH - MARGIN, y, kind.end());
    card.line((MARGIN, head), (WIDTH - MARGIN, head), GRID, 1.0);
}

fn group_head(card: &mut Card, data: &DataJson, arm: &crate::data_json::Arm, right: f64, y: f64) {
    let kind = Type::new(13.5, INK).bold().halo();
    let standing = words::standing(data, arm);
    let room = right - MARGIN;
    let beside = standing.map_or(0.0, |(word, _)| Type::new(12.0, INK).width(word) + 14.0);
    let name = text::fit(words::name(arm), kind.size, Weight::SemiBold, room - beside);
    let after = MARGIN + kind.width(&name) * 1.02 + 10.0;
    card.text(name, MARGIN, kind.centred(y), kind);
    if let Some((word, color)) = standing {
        card.text(word, after, kind.centred(y), Type::new(12.0, color).halo());
    }
}

/// Draws one row; whether the floor was crossed.
fn draw_mark(
    card: &mut Card,
    axis: &Axis,
    lines: &Lines,
    mark: &Mark<'_>,
    color: Color,
    most_rows: Option<u64>,
    y: f64,
) -> bool {
    let Effect { delta, ci_low, ci_high, .. } = mark.effect;
    let floor = lines.floor.filter(|_| !mark.aggregate);
    let below = lines.broken_by(mark);
    let mut crossed = below;
    let left = axis.clamped(f64::NEG_INFINITY);
    let right = axis.clamped(f64::INFINITY);
    let thick = if mark.aggregate { 2.6 } else { 2.0 };
    if let Some((low, high)) = ci_low.zip(ci_high) {
        let (x0, x1) = (axis.clamped(low), axis.clamped(high));
        card.line((x0, y), (x1, y), color, thick);
        if let Some(f) = floor.filter(|f| low < *f) {
            card.line((x0, y), (axis.clamped(f).min(x1), y), LOSS, thick);
            crossed = true;
        }
        let end = |out: bool| if out { LOSS } else { color };
        if axis.at(low) < left - 0.5 {
            card.arrow(vec![(left + 8.0, y), (left - 2.0, y)], end(floor.is_some_and(|f| low < f)), thick);
        }
        if axis.at(high) > right + 0.5 {
            card.arrow(vec![(right - 8.0, y), (right + 2.0, y)], end(floor.is_some_and(|f| high < f)), thick);
        }
    }
    let center = (axis.at(delta), y);
    let fill = if below { LOSS } else { color };
    // A rim sets the mark off from its interval, unless that would hide most of a short one.
    let shown = ci_low.zip(ci_high).map_or(0.0, |(low, high)| axis.clamped(high) - axis.clamped(low));
    let rim = shown > 40.0;
    if mark.aggregate {
        if rim {
            card.diamond(center, 9.5, CARD);
        }
        card.diamond(center, 7.5, fill);
    } else {
        let share = mark.n.zip(most_rows).map_or(0.4, |(n, most)| n as f64 / most.max(1) as f64);
        let radius = 3.2 + 3.3 * share.sqrt();
        if rim {
            card.disc(center, radius + 1.5, CARD);
        }
        card.disc(center, radius, fill);
    }

    let kind = Type::new(12.5, INK).halo();
    let kind = if mark.aggregate { kind.bold() } else { kind };
    let indent = MARGIN + 12.0;
    let room = NAMES - 26.0;
    if kind.width(&text::one_line(mark.label)) <= room {
        card.text(mark.label, indent, kind.centred(y), kind);
    } else {
        let small = Type { size: 10.5, ..kind };
        let lines = text::wrap(mark.label, small.size, small.weight, room, 2);
        let first = y - 6.0 * (lines.len() as f64 - 1.0);
        for (i, line) in lines.into_iter().enumerate() {
            card.text(line, indent, small.centred(first + 12.0 * i as f64), small);
        }
    }

    crossed
}

/// Writes the figures of one row into their columns.
fn figures(card: &mut Card, columns: &Columns, lines: &Lines, mark: &Mark<'_>, y: f64) {
    let below = lines.broken_by(mark);
    let delta = Type::new(12.0, if below { LOSS } else { INK }).end();
    let delta = if mark.aggregate || below { delta.bold() } else { delta };
    let muted = Type::new(12.0, MUTED).end();
    card.text(words::pp(mark.effect.delta), columns.delta, delta.centred(y), delta);
    if let Some(interval) = interval(&mark.effect) {
        card.text(interval, columns.interval, muted.centred(y), if below { muted.color(LOSS) } else { muted });
    }
    if let Some(n) = mark.n {
        card.text(words::count(n), WIDTH - MARGIN, muted.centred(y), muted);
    }
}

fn spoken(arm: &str, mark: &Mark<'_>) -> String {
    let interval = interval(&mark.effect).map(|text| format!(" {text}")).unwrap_or_default();
    format!("{arm}, {}: {} pp{interval}", mark.label, words::pp(mark.effect.delta))
}
