//! `power`: the chance of each outcome, were the true effect so.

use super::canvas::{Area, Type};
use super::card::{Card, MARGIN, WIDTH};
use super::palette::{self, AXIS, Color, GRID, INK, MUTED};
use super::text::{self, Weight};
use super::words;
use crate::data_json::{DataJson, OperatingPoint};

const HEIGHT: f64 = 280.0;
const LEFT: f64 = MARGIN + 42.0;
const RIGHT: f64 = WIDTH - MARGIN;

/// Outcomes from the ground up, with the colour of their share and of the figure on it.
const PARTS: [(&str, Color, Color); 4] = [
    ("ship", palette::SHIP, palette::CARD),
    ("scope narrowly", palette::SCOPE, INK),
    ("underpowered", palette::UNDERPOWERED, INK),
    ("kill", palette::KILL, palette::CARD),
];

pub fn draw(data: &DataJson) -> Card {
    let subtitle = match data.design {
        Some(design) => format!(
            "{} · about {} planned test rows · {} trials per row",
            data.experiment.name,
            words::count(design.test_rows),
            data.experiment.trials_per_arm.unwrap_or(1)
        ),
        None => words::subtitle(data, true),
    };
    let mut card = Card::new("What this design would find: chance of each outcome by true effect", &subtitle);
    let mut points: Vec<&OperatingPoint> = data.operating_characteristics.iter().collect();
    // Plain truths in order, then those with a further assumption as they were given.
    points.sort_by(|a, b| {
        a.scenario.is_some().cmp(&b.scenario.is_some()).then(if a.scenario.is_some() {
            std::cmp::Ordering::Equal
        } else {
            a.truth_pp.total_cmp(&b.truth_pp)
        })
    });
    let top = legend(&mut card);
    let bottom = top + HEIGHT;
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let y = bottom - HEIGHT * share;
        let kind = Type::new(11.0, MUTED).end();
        card.line((LEFT, y), (RIGHT, y), GRID, 1.0);
        card.text(words::percent(share, 0), LEFT - 8.0, kind.centred(y), kind);
    }
    let slot = (RIGHT - LEFT) / points.len() as f64;
    let width = (slot * 0.72).min(84.0);
    let mut lowest = bottom + 18.0;
    for (i, point) in points.iter().enumerate() {
        let x = LEFT + slot * (i as f64 + 0.5);
        let mut y = bottom;
        let sum = (point.ship + point.scope + point.underpowered + point.kill).max(1e-9);
        for ((name, color, ink), share) in PARTS.iter().zip([point.ship, point.scope, point.underpowered, point.kill]) {
            let h = HEIGHT * share / sum;
            card.rect(Area { x: x - width / 2.0, y: y - h, w: width, h }, *color);
            if h >= 15.0 {
                let kind = Type::new(if width < 34.0 { 9.5 } else { 11.5 }, *ink).bold().middle();
                card.text(words::percent(share / sum, 0), x, kind.centred(y - h / 2.0), kind);
            }
            y -= h;
            card.say(format!("{}: {name} {}", truth(point), words::percent(share / sum, 0)));
        }
        card.text(truth(point), x, bottom + 18.0, Type::new(12.0, INK).bold().middle());
        if let Some(scenario) = &point.scenario {
            let kind = Type::new(10.5, MUTED).middle();
            for (j, line) in
                text::wrap(assumption(scenario), kind.size, Weight::Regular, slot - 8.0, 4).into_iter().enumerate()
            {
                let y = bottom + 33.0 + 13.0 * j as f64;
                card.text(line, x, y, kind);
                lowest = lowest.max(y);
            }
        }
    }
    card.line((LEFT, bottom), (RIGHT, bottom), AXIS, 1.0);
    card.text(
        "True effect in the aggregate, percentage points",
        (LEFT + RIGHT) / 2.0,
        lowest + 22.0,
        Type::new(11.5, MUTED).bold().middle(),
    );
    card.bottom = lowest + 26.0;
    let rule = match (data.threshold(), data.loss_floor()) {
        (Some(m), Some(f)) => {
            format!(" Registered: {} {} pp, loss floor {} pp.", words::threshold_name(data), words::pp(m), words::pp(f))
        }
        (Some(m), None) => format!(" Registered: {} {} pp.", words::threshold_name(data), words::pp(m)),
        _ => String::new(),
    };
    card.note(format!("Simulated: the registered rule applied to the planned rows, slices and trials.{rule}"));
    card
}

/// The assumption without the effect, which stands above it: `+5.0pp (the minimum effect)`.
fn assumption(scenario: &str) -> &str {
    let effect = |number: &str| {
        number.starts_with(['+', '-', '\u{2212}']) && number.chars().skip(1).all(|c| c.is_ascii_digit() || c == '.')
    };
    let rest = match scenario.split_once("pp ") {
        Some((number, rest)) if effect(number.trim_end()) => rest.trim(),
        _ => scenario,
    };
    rest.strip_prefix('(').and_then(|r| r.strip_suffix(')')).unwrap_or(rest)
}

fn truth(point: &OperatingPoint) -> String {
    words::pp(point.truth_pp / 100.0).trim_end_matches(".0").to_owned()
}

fn legend(card: &mut Card) -> f64 {
    let kind = Type::new(12.0, INK);
    let y = card.bottom + 12.0;
    let mut x = MARGIN;
    for (name, color, _) in PARTS {
        card.rect(Area { x, y: y - 5.5, w: 11.0, h: 11.0 }, color);
        card.text(name, x + 18.0, kind.centred(y), kind);
        x += 18.0 + kind.width(name) * 1.04 + 22.0;
    }
    y + 24.0
}

#[cfg(test)]
mod tests {
    use super::assumption;

    #[test]
    fn the_effect_is_not_said_twice() {
        assert_eq!(assumption("+5.0pp (the minimum effect)"), "the minimum effect");
        assert_eq!(assumption("+0.0 pp (no effect)"), "no effect");
        assert_eq!(assumption("+10.0pp overall, but -8.0pp in slice a=b"), "overall, but -8.0pp in slice a=b");
        assert_eq!(assumption("one slice loses 8 pp"), "one slice loses 8 pp");
    }
}
