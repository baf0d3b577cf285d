//! `loop`: the way of an experiment from frame to conclusion.

use super::canvas::{Area, Type};
use super::card::{Card, MARGIN, WIDTH};
use super::palette::{self, AXIS, CARD, Color, INK, MUTED};
use super::text::{self, Weight};

const BOX: (f64, f64) = (168.0, 74.0);

/// One stage: its name, what happens, who acts.
struct Stage {
    name: &'static str,
    what: &'static str,
    color: Color,
}

const PERSON: Color = Color(0x8a, 0x4f, 0x7d);
const ENGINE: Color = Color(0x00, 0x72, 0xb2);
const AGENT: Color = Color(0x00, 0x7f, 0x5c);

const FRAME: Stage =
    Stage { name: "Frame", what: "question, arms, metric, rule: confirmed, locked, hashed", color: PERSON };
const SOURCE: Stage =
    Stage { name: "Source", what: "production rows, split into train, dev and sealed test", color: ENGINE };
const PILOT: Stage =
    Stage { name: "Pilot", what: "one train row through every arm, every field checked", color: ENGINE };
const SCORE: Stage =
    Stage { name: "Score", what: "every arm on dev, interleaved, three or more trials", color: ENGINE };
const DIAGNOSE: Stage =
    Stage { name: "Diagnose", what: "paired differences by slice, cluster and failure mode", color: ENGINE };
const ITERATE: Stage = Stage { name: "Iterate", what: "one hypothesis, one change, scored again", color: AGENT };
const GATE: Stage = Stage { name: "Gate", what: "a mechanism, or a rule that wins particular rows?", color: ENGINE };
const VERDICT: Stage =
    Stage { name: "Verdict", what: "sealed test opened once, the registered rule applied", color: ENGINE };
const CONCLUDE: Stage = Stage { name: "Conclude", what: "one page, figures, ledger: anyone can verify", color: ENGINE };

pub fn draw() -> Card {
    let mut card = Card::new("The loop", "What is decided before a row is read, what may be tried, and what decides");
    let legend = legend(&mut card);
    let gap = (WIDTH - 2.0 * MARGIN - 24.0 - 3.0 * BOX.0) / 2.0;
    let column = |i: usize| MARGIN + 12.0 + (BOX.0 + gap) * i as f64;
    let first = legend + 20.0;
    let second = first + BOX.1 + 66.0;
    let third = second + BOX.1 + 78.0;

    let sprint = Area { x: MARGIN, y: second - 34.0, w: WIDTH - 2.0 * MARGIN, h: BOX.1 + 74.0 };
    card.rect(sprint, Color(0xf4, 0xf7, 0xfa));
    card.frame(sprint, palette::EDGE, 1.0);
    let kind = Type::new(11.5, MUTED).bold();
    card.text("Sprint: up to three iterations", MARGIN + 12.0 + BOX.0 / 2.0 + 14.0, second - 14.0, kind);

    for (i, stage) in [FRAME, SOURCE, PILOT].iter().enumerate() {
        draw_stage(&mut card, stage, column(i), first);
    }
    for (i, stage) in [SCORE, DIAGNOSE, ITERATE].iter().enumerate() {
        draw_stage(&mut card, stage, column(i), second);
    }
    for (i, stage) in [CONCLUDE, VERDICT, GATE].iter().enumerate() {
        draw_stage(&mut card, stage, column(i), third);
    }

    let mid = |y: f64| y + BOX.1 / 2.0;
    let centre = |i: usize| column(i) + BOX.0 / 2.0;
    for i in 0..2 {
        for y in [first, second] {
            card.arrow(vec![(column(i) + BOX.0 + 4.0, mid(y)), (column(i + 1) - 4.0, mid(y))], INK, 1.4);
        }
        card.arrow(vec![(column(i + 1) - 4.0, mid(third)), (column(i) + BOX.0 + 4.0, mid(third))], INK, 1.4);
    }
    // From the pilot down and across to the first scoring.
    let turn = first + BOX.1 + 16.0;
    card.arrow(
        vec![(centre(2), first + BOX.1 + 4.0), (centre(2), turn), (centre(0), turn), (centre(0), second - 4.0)],
        INK,
        1.4,
    );
    // Back to scoring within the sprint.
    let back = second + BOX.1 + 20.0;
    card.arrow(
        vec![
            (centre(2) - 62.0, second + BOX.1 + 4.0),
            (centre(2) - 62.0, back),
            (centre(0), back),
            (centre(0), second + BOX.1 + 4.0),
        ],
        AGENT,
        1.4,
    );
    card.text("score again", centre(1), back - 6.0, Type::new(11.0, AGENT).middle());
    // Out of the sprint, and back into it.
    card.arrow(vec![(centre(2) + 40.0, second + BOX.1 + 4.0), (centre(2) + 40.0, third - 4.0)], INK, 1.4);
    card.arrow(vec![(centre(2) - 22.0, third - 4.0), (centre(2) - 22.0, second + BOX.1 + 4.0)], AGENT, 1.4);
    let note = Type::new(11.0, MUTED).halo();
    card.text("signal left: next sprint", centre(2) - 32.0, sprint.y + sprint.h + 19.0, note.color(AGENT).end());
    card.text("signal spent:", (column(1) + BOX.0 + column(2)) / 2.0, mid(third) - 22.0, note.middle());
    card.text("lock", (column(1) + BOX.0 + column(2)) / 2.0, mid(third) - 8.0, note.middle());
    // What the gate kills.
    let below = third + BOX.1;
    card.arrow(vec![(centre(2), below + 4.0), (centre(2), below + 26.0)], palette::KILL, 1.4);
    card.text(
        "mostly hardcodes: kill the arm",
        centre(2),
        below + 42.0,
        Type::new(11.5, palette::KILL).bold().middle(),
    );
    let outcomes = ["ship", "scope narrowly", "kill", "underpowered"].join("  ·  ");
    card.arrow(vec![(centre(1), below + 4.0), (centre(1), below + 26.0)], INK, 1.4);
    card.text(outcomes, centre(1), below + 42.0, Type::new(11.5, INK).bold().middle());
    card.bottom = below + 44.0;
    card.say(
        "Frame, source, pilot; then sprints of score, diagnose and iterate; a gate after each sprint leads to the next \
         sprint, to the verdict or to a kill; the verdict leads to the conclusion",
    );
    card
}

fn legend(card: &mut Card) -> f64 {
    let y = card.bottom + 12.0;
    let mut x = MARGIN;
    let kind = Type::new(12.0, INK);
    for (label, color) in
        [("the person decides", PERSON), ("the agent proposes", AGENT), ("the engine runs and judges", ENGINE)]
    {
        card.rect(Area { x, y: y - 5.5, w: 11.0, h: 11.0 }, color);
        card.text(label, x + 18.0, kind.centred(y), kind);
        x += 18.0 + kind.width(label) * 1.04 + 22.0;
    }
    y + 6.0
}

fn draw_stage(card: &mut Card, stage: &Stage, x: f64, y: f64) {
    let area = Area { x, y, w: BOX.0, h: BOX.1 };
    card.rect(area, CARD);
    card.frame(area, AXIS, 1.0);
    card.rect(Area { w: 4.0, ..area }, stage.color);
    card.text(stage.name, x + 16.0, y + 22.0, Type::new(14.0, INK).bold());
    let kind = Type::new(11.0, MUTED);
    for (i, line) in text::wrap(stage.what, kind.size, Weight::Regular, BOX.0 - 26.0, 3).into_iter().enumerate() {
        card.text(line, x + 16.0, y + 38.0 + 14.0 * i as f64, kind);
    }
}
