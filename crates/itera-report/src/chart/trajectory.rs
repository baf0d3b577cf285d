//! `trajectory`: mean dev scores from pass to pass, and what the gates said.

use super::axis::{Axis, decimals, padded, within_shares};
use super::canvas::{Area, Type};
use super::card::{Card, MARGIN, WIDTH};
use super::labels::{Wish, place, spread};
use super::palette::{self, AXIS, Color, GRID, INK, LOSS, MUTED};
use super::text;
use super::words;
use crate::data_json::{Arm, DataJson, GateDecision, TrajectoryPoint};

const HEIGHT: f64 = 290.0;
const LEFT: f64 = MARGIN + 46.0;
const LABELS: f64 = 150.0;
const RIGHT: f64 = WIDTH - MARGIN - LABELS;

struct Step {
    sprint: u32,
    iteration: u32,
    x: f64,
}

pub fn draw(data: &DataJson) -> Card {
    let mut card = Card::new("Mean dev score from iteration to iteration", &subtitle(data));
    let steps = steps(&data.trajectory);
    let top = card.bottom + 38.0;
    let bottom = top + HEIGHT;
    let values = data.trajectory.iter().flat_map(|p| [Some(p.mean), p.ci_low, p.ci_high].into_iter().flatten());
    let (low, high) = within_shares(padded(values, 0.07, 0.06));
    let up = Axis::linear(low, high, bottom, top);

    axes(&mut card, &up, &steps, top, bottom);
    gates(&mut card, data, &steps, top, bottom);
    let ends = arms(&mut card, data, &steps, &up, Area { x: LEFT, y: top, w: RIGHT - LEFT, h: HEIGHT });
    let moved = spread(&ends.iter().map(|e| e.at.1).collect::<Vec<_>>(), 52.0, top - 16.0, bottom + 16.0);
    for (end, y) in ends.iter().zip(moved) {
        draw_end(&mut card, end, y);
    }
    card.bottom = bottom + 42.0;
    legend(&mut card, data);
    card
}

fn subtitle(data: &DataJson) -> String {
    let rows = data.splits.map(|s| s.dev).or_else(|| data.trajectory.iter().filter_map(|p| p.n).max());
    let mut text = words::subtitle(data, false);
    if let Some(n) = rows {
        text = format!("{text} · {} dev rows", words::count(n));
    }
    if let Some(k) = data.experiment.trials_per_arm {
        text = format!("{text} · {k} {} per row", if k == 1 { "trial" } else { "trials" });
    }
    text
}

/// One place on the axis for each (sprint, iteration), in order.
fn steps(points: &[TrajectoryPoint]) -> Vec<Step> {
    let mut keys: Vec<(u32, u32)> = points.iter().map(|p| (p.sprint, p.iteration)).collect();
    keys.sort_unstable();
    keys.dedup();
    let n = keys.len() as f64;
    let place = |i: usize| LEFT + (RIGHT - LEFT) * (i as f64 + 0.5) / n;
    keys.into_iter().enumerate().map(|(i, (sprint, iteration))| Step { sprint, iteration, x: place(i) }).collect()
}

fn place_of(steps: &[Step], point: &TrajectoryPoint) -> f64 {
    steps.iter().find(|s| (s.sprint, s.iteration) == (point.sprint, point.iteration)).map_or(LEFT, |s| s.x)
}

fn axes(card: &mut Card, up: &Axis, steps: &[Step], top: f64, bottom: f64) {
    let ticks = up.ticks(7);
    let digits = decimals(&ticks.iter().map(|t| t * 100.0).collect::<Vec<_>>());
    let kind = Type::new(11.0, MUTED);
    for tick in &ticks {
        let y = up.at(*tick);
        card.line((LEFT, y), (RIGHT, y), GRID, 1.0);
        card.text(words::percent(*tick, digits), LEFT - 8.0, kind.centred(y), kind.end());
    }
    card.line((LEFT, top), (LEFT, bottom), AXIS, 1.0);
    card.line((LEFT, bottom), (RIGHT, bottom), AXIS, 1.0);
    for step in steps {
        let label =
            if step.iteration == 0 { "start".to_owned() } else { format!("{}.{}", step.sprint, step.iteration) };
        card.text(label, step.x, bottom + 17.0, kind.middle());
    }
    card.text("sprint.iteration", (LEFT + RIGHT) / 2.0, bottom + 37.0, Type::new(11.5, MUTED).bold().middle());
}

/// A line where each sprint ended, with what the gate decided.
fn gates(card: &mut Card, data: &DataJson, steps: &[Step], top: f64, bottom: f64) {
    let mut taken: Vec<Area> = Vec::new();
    for gate in &data.gates {
        let Some(last) = steps.iter().rposition(|s| s.sprint <= gate.sprint) else { continue };
        let x = steps.get(last + 1).map_or(RIGHT, |next| (steps[last].x + next.x) / 2.0);
        let (word, color) = match gate.decision {
            GateDecision::Continue => ("next sprint", MUTED),
            GateDecision::Lock => ("lock", palette::SHIP),
            GateDecision::Kill => ("kill", palette::KILL),
        };
        card.dashed((x, top - 10.0), (x, bottom), color.tint(0.8), 1.1);
        let label = format!("gate {}: {word}", gate.sprint);
        let kind = Type::new(11.0, color).bold().middle().halo();
        let w = kind.width(&label) + 8.0;
        let mut area = Area { x: x - w / 2.0, y: top - 28.0, w, h: 14.0 };
        if taken.iter().any(|t| t.overlap(&area) > 0.0) {
            area.y -= 15.0;
        }
        card.text(&label, x, area.y + 12.0, kind);
        taken.push(area);
        card.say(label);
    }
}

/// Where an arm's line ends.
struct End<'a> {
    arm: &'a Arm,
    at: (f64, f64),
    color: Color,
    /// The version that went to the test, or the last one, with its latest mean.
    figure: String,
}

fn draw_end(card: &mut Card, end: &End<'_>, y: f64) {
    let kind = Type::new(12.5, end.color).bold();
    // Level up to the edge: a slope would look like scores that nobody measured.
    card.line((end.at.0 + 9.0, end.at.1), (RIGHT + 2.0, end.at.1), end.color.tint(0.45), 0.8);
    card.line((RIGHT + 2.0, end.at.1), (RIGHT + 16.0, y), end.color.tint(0.45), 0.8);
    let lines = text::wrap(words::name(end.arm), kind.size, kind.weight, LABELS - 22.0, 2);
    let mut line_y = y + 4.5 - lines.len() as f64 * 7.5;
    for line in lines {
        card.text(line, RIGHT + 20.0, line_y, kind);
        line_y += 15.0;
    }
    card.text(&end.figure, RIGHT + 20.0, line_y, Type::new(11.0, MUTED));
}

/// Draws the arms; where each one's line ends.
fn arms<'a>(card: &mut Card, data: &'a DataJson, steps: &[Step], up: &Axis, plot: Area) -> Vec<End<'a>> {
    let mut ends = Vec::new();
    let mut wishes = Vec::new();
    let mut tags = Vec::new();
    let mut obstacles = Vec::new();
    let arms = data.arms.len() as f64;
    for (index, arm) in data.arms.iter().enumerate() {
        let color = palette::arm(index);
        let points: Vec<&TrajectoryPoint> = data.trajectory.iter().filter(|p| p.arm == arm.id).collect();
        // Arms stand a little apart where they share a pass.
        let shift = (index as f64 - (arms - 1.0) / 2.0) * 7.0;
        let at = |p: &TrajectoryPoint| (place_of(steps, p) + shift, up.at(p.mean));
        for pair in points.windows(2) {
            let (from, to) = (at(pair[0]), at(pair[1]));
            if from.0 < to.0 {
                card.line(from, to, color.tint(if index == 0 { 0.5 } else { 0.85 }), 1.8);
                obstacles.extend(along(from, to));
            }
        }
        for point in &points {
            let (x, y) = at(point);
            if let Some((low, high)) = point.ci_low.zip(point.ci_high) {
                card.line((x, up.at(low)), (x, up.at(high)), color.tint(0.5), 1.4);
                obstacles.push(Area { x: x - 3.0, y: up.at(high), w: 6.0, h: up.at(low) - up.at(high) });
            }
            let dropped = dropped(data, point);
            if dropped {
                card.ring((x, y), 6.0, color, 1.8);
                for d in [-1.0, 1.0] {
                    card.line((x - 3.0, y - 3.0 * d), (x + 3.0, y + 3.0 * d), LOSS, 1.8);
                }
            } else {
                card.dot((x, y), 5.5, color);
            }
            obstacles.push(Area { x: x - 7.0, y: y - 7.0, w: 14.0, h: 14.0 });
            // At the start every arm is the version of the frame.
            if index > 0 && (point.version > 1 || point.iteration > 0) {
                let tag = format!("v{}", point.version);
                let kind = Type::new(11.0, INK).halo();
                wishes.push(Wish { point: (x, y), w: kind.width(&tag), h: 12.0, gap: 9.0 });
                tags.push((tag, kind));
            }
            let fate = if dropped { ", dropped by the gate" } else { "" };
            card.say(format!("{} v{}: {}{fate}", words::name(arm), point.version, words::percent(point.mean, 1)));
        }
        if let Some(last) = points.last() {
            let tested = points.iter().rev().find(|p| Some(p.version) == arm.version);
            let figure = match tested.filter(|_| index > 0) {
                Some(p) => format!("v{} to the test, {}", p.version, words::percent(p.mean, 1)),
                None => words::percent(last.mean, 1),
            };
            ends.push(End { arm, at: at(last), color: if index == 0 { MUTED } else { color }, figure });
        }
    }
    for (area, (tag, kind)) in place(&wishes, &obstacles, plot).into_iter().zip(tags) {
        card.text(tag, area.x, area.y + 10.0, kind);
    }
    ends
}

/// Small areas along a line, which tags should keep off.
fn along(from: (f64, f64), to: (f64, f64)) -> impl Iterator<Item = Area> {
    let n = ((to.0 - from.0).hypot(to.1 - from.1) / 4.0).ceil().max(1.0) as u32;
    (0..=n).map(move |i| {
        let t = f64::from(i) / f64::from(n);
        Area { x: from.0 + (to.0 - from.0) * t - 3.0, y: from.1 + (to.1 - from.1) * t - 3.0, w: 6.0, h: 6.0 }
    })
}

fn dropped(data: &DataJson, point: &TrajectoryPoint) -> bool {
    let same = data.iterations.iter().filter(|it| it.arm == point.arm && it.version == point.version);
    same.filter_map(|it| it.gate.as_ref()).any(|gate| !gate.kept)
}

fn legend(card: &mut Card, data: &DataJson) {
    if data.trajectory.iter().any(|p| dropped(data, p)) {
        card.note("Crossed out: a change that the gate did not keep. The version that goes to the test is the latest kept one, not the highest.");
    } else {
        card.note(
            "The version that goes to the test is the latest that passed the gate, not the one that scored highest.",
        );
    }
    if data.trajectory.iter().any(|p| p.ci_low.is_some()) {
        card.note("Lines through the points are two-sided 95% intervals of the mean; differences between versions are paired and surer than they suggest.");
    }
}
