//! `cost-vs-accuracy`: what a better score costs.

use super::axis::{Axis, decimals, padded, within_shares};
use super::canvas::{Anchor, Area, Type};
use super::card::{Card, MARGIN, WIDTH};
use super::labels::{Wish, place};
use super::palette::{self, AXIS, GRID, INK, MUTED};
use super::text::{self, Weight};
use super::words;
use crate::data_json::{Arm, DataJson, Interval};

const HEIGHT: f64 = 330.0;
const LEFT: f64 = MARGIN + 46.0;
const RIGHT: f64 = WIDTH - MARGIN;
/// Beyond this ratio of costs a linear axis would press the cheap arms together.
const LOG_FROM: f64 = 10.0;
/// Where the lowest cost is more than this share of the highest, an axis from zero would press all arms together.
const NEAR: f64 = 0.6;

struct Point<'a> {
    index: usize,
    arm: &'a Arm,
    score: Interval,
    cost: Option<f64>,
}

/// How the costs are laid out from left to right.
enum Across {
    /// A scale, linear or logarithmic.
    Scale(Axis),
    /// A logarithmic scale with a place for zero to its left.
    ZeroAndLog { zero: f64, axis: Axis },
    /// No scale: costs do not differ, or are not known.
    Places,
}

impl Across {
    fn at(&self, cost: f64) -> f64 {
        match self {
            Self::Scale(axis) => axis.clamped(cost),
            Self::ZeroAndLog { zero, .. } if cost <= 0.0 => *zero,
            Self::ZeroAndLog { axis, .. } => axis.clamped(cost),
            Self::Places => LEFT,
        }
    }
}

pub fn draw(data: &DataJson) -> Card {
    let mut card = Card::new("Cost and score of each arm", &words::subtitle(data, true));
    let points: Vec<Point<'_>> = data
        .arms
        .iter()
        .enumerate()
        .filter_map(|(index, arm)| {
            Some(Point { index, arm, score: words::score(data, arm)?, cost: arm.cost_per_1k_usd })
        })
        .collect();
    let priced: Vec<&Point<'_>> = points.iter().filter(|p| p.cost.is_some()).collect();
    let across = across(&priced);
    let shown: Vec<&Point<'_>> =
        if matches!(across, Across::Places) { points.iter().collect() } else { priced.clone() };

    let top = card.bottom + 30.0;
    let bottom = top + HEIGHT;
    let values = shown.iter().flat_map(|p| [Some(p.score.mean), p.score.ci_low, p.score.ci_high].into_iter().flatten());
    let (low, high) = within_shares(padded(values, 0.10, 0.06));
    let up = Axis::linear(low, high, bottom, top);
    score_axis(&mut card, &up, top, bottom);

    let places: Vec<(f64, f64)> = shown
        .iter()
        .enumerate()
        .map(|(i, p)| {
            let x = match (&across, p.cost) {
                (Across::Places, _) | (_, None) => LEFT + (RIGHT - LEFT) * (i as f64 + 0.5) / shown.len() as f64,
                (across, Some(cost)) => across.at(cost),
            };
            (x, up.at(p.score.mean))
        })
        .collect();

    let log = cost_axis(&mut card, &across, top, bottom);
    let mut obstacles = Vec::new();
    if !matches!(across, Across::Places) {
        obstacles.extend(frontier(&mut card, &shown, &places, bottom));
    }
    for (point, at) in shown.iter().zip(&places) {
        obstacles.extend(intervals(&mut card, point, *at, &across, &up));
    }
    for (point, at) in shown.iter().zip(&places) {
        card.dot(*at, 7.0, palette::arm(point.index));
    }
    // A label may not leave the plot, and keeps off the title of the score axis.
    let bounds = Area { x: LEFT + 4.0, y: top, w: RIGHT - LEFT - 4.0, h: HEIGHT - 4.0 };
    label(&mut card, &shown, &places, &obstacles, bounds, !matches!(across, Across::Places));

    card.bottom = if matches!(across, Across::Places) { bottom + 4.0 } else { bottom + 42.0 };
    notes(&mut card, &points, &priced, &across, log);
    card
}

fn across(priced: &[&Point<'_>]) -> Across {
    let costs: Vec<f64> = priced.iter().filter_map(|p| p.cost).collect();
    let most = costs.iter().copied().fold(0.0, f64::max);
    let least = costs.iter().copied().filter(|c| *c > 0.0).fold(f64::INFINITY, f64::min);
    let zero = costs.contains(&0.0);
    let differ = costs.windows(2).any(|w| (w[0] - w[1]).abs() > 1e-12 * most.max(1e-12));
    if costs.len() < 2 || !differ {
        return Across::Places;
    }
    let ends = |p: &&Point<'_>| p.arm.cost.map_or([None, None], |c| [c.per_1k_ci_low_usd, c.per_1k_ci_high_usd]);
    let all: Vec<f64> = costs.iter().copied().chain(priced.iter().flat_map(ends).flatten()).collect();
    let highest = all.iter().copied().fold(most, f64::max);
    if most / least > LOG_FROM {
        let lowest = all.iter().copied().filter(|c| *c > 0.0).fold(least, f64::min).max(least / 100.0);
        let (from, to) = (lowest / 1.6, highest * 1.6);
        return if zero {
            Across::ZeroAndLog { zero: LEFT + 34.0, axis: Axis::log(from, to, LEFT + 92.0, RIGHT) }
        } else {
            Across::Scale(Axis::log(from, to, LEFT, RIGHT))
        };
    }
    let lowest = all.iter().copied().fold(least, f64::min);
    if !zero && lowest > NEAR * highest {
        let (low, high) = padded(all, 0.15, 0.0);
        return Across::Scale(Axis::linear(low, high, LEFT, RIGHT));
    }
    // Linear from zero: a cost twice as far to the right is twice the cost.
    Across::Scale(Axis::linear(-0.03 * highest, highest * 1.15, LEFT, RIGHT))
}

fn score_axis(card: &mut Card, up: &Axis, top: f64, bottom: f64) {
    let ticks = up.ticks(7);
    let decimals = decimals(&ticks.iter().map(|t| t * 100.0).collect::<Vec<_>>());
    for tick in &ticks {
        let y = up.at(*tick);
        card.line((LEFT, y), (RIGHT, y), GRID, 1.0);
        let kind = Type::new(11.0, MUTED).end();
        card.text(words::percent(*tick, decimals), LEFT - 8.0, kind.centred(y), kind);
    }
    card.line((LEFT, top), (LEFT, bottom), AXIS, 1.0);
    card.line((LEFT, bottom), (RIGHT, bottom), AXIS, 1.0);
    card.text("Mean test score", MARGIN, top - 12.0, Type::new(11.5, MUTED).bold());
}

/// Draws the axis of costs; whether it is logarithmic.
fn cost_axis(card: &mut Card, across: &Across, top: f64, bottom: f64) -> bool {
    let (axis, zero) = match across {
        Across::Scale(axis) => (axis, None),
        Across::ZeroAndLog { zero, axis } => (axis, Some(*zero)),
        Across::Places => return false,
    };
    let kind = Type::new(11.0, MUTED).middle();
    let ticks = axis.ticks(8);
    let cents = decimals(&ticks).max(2);
    for tick in &ticks {
        let x = axis.at(*tick);
        card.line((x, top), (x, bottom), GRID, 1.0);
        let label = if axis.is_log() || cents == 2 { words::usd(*tick) } else { format!("${tick:.cents$}") };
        card.text(label, x, bottom + 17.0, kind);
    }
    if let Some(zero) = zero {
        card.text("$0", zero, bottom + 17.0, kind);
        // The axis is broken between zero and the smallest cost.
        let x = zero + 30.0;
        card.rect(Area { x: x - 2.5, y: bottom - 3.0, w: 5.0, h: 6.0 }, palette::CARD);
        for dx in [-3.0, 3.0] {
            card.line((x + dx - 2.0, bottom + 5.0), (x + dx + 2.0, bottom - 5.0), AXIS, 1.0);
        }
    }
    let log = axis.is_log();
    let title = if log { "Cost of 1,000 rows, US dollars (logarithmic)" } else { "Cost of 1,000 rows, US dollars" };
    card.text(title, (LEFT + RIGHT) / 2.0, bottom + 38.0, Type::new(11.5, MUTED).bold().middle());
    log
}

/// The step line below which no arm is worth its cost: each arm on it is better than all cheaper ones.
///
/// Returns the areas that labels should keep off.
fn frontier(card: &mut Card, shown: &[&Point<'_>], places: &[(f64, f64)], bottom: f64) -> Vec<Area> {
    let mut order: Vec<usize> = (0..shown.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (shown[*a], shown[*b]);
        a.cost.unwrap_or(0.0).total_cmp(&b.cost.unwrap_or(0.0)).then(b.score.mean.total_cmp(&a.score.mean))
    });
    let mut best = f64::NEG_INFINITY;
    let mut line: Vec<(f64, f64)> = Vec::new();
    let mut on = Vec::new();
    for i in order {
        if shown[i].score.mean > best {
            best = shown[i].score.mean;
            let (x, y) = places[i];
            let from = line.last().map_or(bottom, |last| last.1);
            line.push((x, from));
            line.push((x, y));
            on.push(words::name(shown[i].arm));
        }
    }
    if let Some(last) = line.last().copied() {
        line.push((RIGHT, last.1));
    }
    for step in line.windows(2) {
        if step[0] != step[1] {
            card.dashed(step[0], step[1], palette::BASELINE.tint(0.7), 1.2);
        }
    }
    card.say(format!("On the Pareto frontier: {}", on.join(", ")));
    card.note("Dashed: the Pareto frontier. An arm on it scores higher than every cheaper arm.");
    line.windows(2).map(|step| around(step[0], step[1], 6.0)).collect()
}

/// The area within that distance of a line that runs along an axis.
fn around(from: (f64, f64), to: (f64, f64), distance: f64) -> Area {
    let (x, y) = (from.0.min(to.0) - distance, from.1.min(to.1) - distance);
    Area { x, y, w: (from.0 - to.0).abs() + 2.0 * distance, h: (from.1 - to.1).abs() + 2.0 * distance }
}

/// Draws the intervals of a point; the areas that labels should keep off.
fn intervals(card: &mut Card, point: &Point<'_>, at: (f64, f64), across: &Across, up: &Axis) -> Vec<Area> {
    let color = palette::arm(point.index);
    let (x, y) = at;
    let mut areas = vec![Area { x: x - 10.0, y: y - 10.0, w: 20.0, h: 20.0 }];
    if let Some((low, high)) = point.score.ci_low.zip(point.score.ci_high) {
        let (y0, y1) = (up.at(high), up.at(low));
        card.line((x, y0), (x, y1), color.tint(0.75), 1.8);
        for end in [y0, y1] {
            card.line((x - 4.5, end), (x + 4.5, end), color.tint(0.75), 1.4);
        }
        areas.push(around((x, y0), (x, y1), 7.0));
    }
    let ends = point.arm.cost.and_then(|c| c.per_1k_ci_low_usd.zip(c.per_1k_ci_high_usd));
    if let Some((low, high)) = ends.filter(|_| !matches!(across, Across::Places)) {
        let (x0, x1) = (across.at(low), across.at(high));
        card.line((x0, y), (x1, y), color.tint(0.75), 1.8);
        for end in [x0, x1] {
            card.line((end, y - 4.5), (end, y + 4.5), color.tint(0.75), 1.4);
        }
        areas.push(around((x0, y), (x1, y), 7.0));
    }
    areas
}

fn label(
    card: &mut Card,
    shown: &[&Point<'_>],
    places: &[(f64, f64)],
    obstacles: &[Area],
    bounds: Area,
    with_cost: bool,
) {
    let strong = Type::new(12.5, INK).bold().halo();
    let weak = Type::new(11.0, MUTED).halo();
    let texts: Vec<(Vec<String>, String)> = shown
        .iter()
        .map(|p| {
            let name = text::wrap(words::name(p.arm), strong.size, Weight::SemiBold, 150.0, 2);
            let mut figures = words::percent(p.score.mean, 1);
            if let Some(cost) = p.cost.filter(|_| with_cost) {
                figures = format!("{figures} · {}", words::usd(cost));
            }
            (name, figures)
        })
        .collect();
    let wishes: Vec<Wish> = texts
        .iter()
        .zip(places)
        .map(|((name, figures), point)| {
            let w = name.iter().map(|n| strong.width(n)).fold(weak.width(figures), f64::max) * 1.03;
            Wish { point: *point, w, h: 16.0 * name.len() as f64 + 15.0, gap: 13.0 }
        })
        .collect();
    let areas = place(&wishes, obstacles, bounds);
    for (i, area) in areas.iter().enumerate() {
        let (name, figures) = &texts[i];
        let (x, y) = places[i];
        let center = area.x + area.w / 2.0;
        let (at, anchor) = if area.x >= x {
            (area.x, Anchor::Start)
        } else if area.x + area.w <= x {
            (area.x + area.w, Anchor::End)
        } else {
            (center, Anchor::Middle)
        };
        leader(card, (x, y), area);
        let mut line_y = area.y + 12.0;
        for line in name {
            card.text(line, at, line_y, Type { anchor, ..strong });
            line_y += 16.0;
        }
        card.text(figures, at, line_y - 1.0, Type { anchor, ..weak });
        card.say(format!("{}: {figures}", words::name(shown[i].arm)));
    }
}

/// A thin line from a point to a label that had to move away from it.
fn leader(card: &mut Card, point: (f64, f64), area: &Area) {
    let near = (point.0.clamp(area.x, area.x + area.w), point.1.clamp(area.y, area.y + area.h));
    if (near.0 - point.0).hypot(near.1 - point.1) > 20.0 {
        card.line(point, near, AXIS, 0.8);
    }
}

fn notes(card: &mut Card, points: &[Point<'_>], priced: &[&Point<'_>], across: &Across, log: bool) {
    if matches!(across, Across::Places) {
        match priced.first().and_then(|p| p.cost) {
            None => card.note("No cost was recorded, so the arms are only placed side by side."),
            Some(_) if priced.len() < 2 && points.len() > 1 => {
                card.note("Only one arm has a recorded cost, so the arms are only placed side by side.");
            }
            Some(cost) if points.len() > 1 => card.note(format!(
                "Every arm with a recorded cost costs {} per 1,000 rows: cost does not tell them apart, so they are only placed side by side.",
                words::usd(cost)
            )),
            Some(cost) => card.note(format!("Costs {} per 1,000 rows.", words::usd(cost))),
        }
    } else if matches!(across, Across::Scale(axis) if !log && axis.low() > 0.0) {
        card.note("The axis of costs does not begin at zero: the arms cost nearly the same.");
    } else if log && priced.iter().any(|p| p.cost == Some(0.0)) {
        card.note("Zero has no place on a logarithmic axis and stands to the left of the break.");
    }
    let without: Vec<&str> = points.iter().filter(|p| p.cost.is_none()).map(|p| words::name(p.arm)).collect();
    if !without.is_empty() && !priced.is_empty() {
        card.note(format!("Without a recorded cost: {}.", without.join(", ")));
    }
    if points.iter().any(|p| p.score.ci_low.is_some()) {
        card.note("Lines are two-sided 95% intervals.");
    }
}
