//! The table that is shown before the lock.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Design, PlanError, Simulation, Tally, simulate, simulated};
use crate::rule::{Objective, RuleSpec};
use crate::worlds::{Replicate, World, WorldError};

/// What is assumed to be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TruthKind {
    /// The first arm has the effect in every slice; other arms have none.
    Even,
    /// Every arm has the effect in every slice.
    EveryArm,
    /// The first arm has the effect overall, but the smallest slice loses four times the floor.
    RegressedSlice,
}

/// The rule's verdicts under one truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperatingPoint {
    /// In words, for instance `+5.0pp (the minimum effect)`.
    pub label: String,
    /// What is assumed.
    pub kind: TruthKind,
    /// The true aggregate effect of the first arm, a fraction.
    pub effect: f64,
    /// The regressed slice and its true effect.
    pub regressed: Option<(String, f64)>,
    /// Chance that an arm ships.
    pub ship: f64,
    /// Chance that an arm is scoped.
    pub scope: f64,
    /// Chance that every arm is killed.
    pub kill: f64,
    /// Chance of underpowered.
    pub underpowered: f64,
    /// Chance of a false ship or a false scope; zero where the truth allows none.
    pub false_verdict: f64,
    /// Counts behind the chances.
    pub tally: Tally,
}

/// Operating characteristics of a registered rule on a design.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperatingCharacteristics {
    /// One point per truth.
    pub points: Vec<OperatingPoint>,
    /// Experiments per truth and the seed.
    pub simulation: Simulation,
    /// Chance to ship at the effect the design is planned for: twice the minimum effect, or no difference at all for
    /// non-inferiority.
    pub power: f64,
    /// That effect, a fraction.
    pub planned_effect: f64,
    /// The registered power.
    pub required_power: f64,
    /// Whether it is reached.
    pub reaches_power: bool,
    /// What the simulation takes for granted.
    pub assumptions: Vec<String>,
}

/// The effect that a design is planned for: twice the minimum effect for superiority (an arm that truly sits at the
/// minimum effect can never be proven above it), no difference for non-inferiority. With a minimum effect of zero, 5pp.
#[must_use]
pub(super) fn planned_effect(spec: &RuleSpec) -> f64 {
    match spec.objective {
        Objective::Superiority if spec.margin() > 0.0 => 2.0 * spec.margin(),
        Objective::Superiority => 0.05,
        Objective::NonInferiority => 0.0,
    }
}

/// Simulates the rule over a design for true effects 0, just below the margin, at it, at 1.5, 2 and 3 times it, and with
/// one regressed slice. Truths that the assumed accuracy does not allow are left out and named.
///
/// # Errors
/// When the rule or the design is not well formed, or the assumed scores cannot exist.
pub fn operating_characteristics(
    spec: &RuleSpec,
    design: &Design,
    simulation: Simulation,
) -> Result<OperatingCharacteristics, PlanError> {
    let rule = simulated(spec)?;
    design.validate()?;
    let mut assumptions = vec![format!(
        "a baseline accuracy of {:.0}%, a discordance of {:.0}%, {} trial(s) per row",
        100.0 * design.accuracy,
        100.0 * design.discordance,
        design.trials
    )];
    if design.arms > 1 {
        assumptions.push("the first arm has the stated effect, the other arms have none".to_owned());
    }
    if let Some(gain) = spec.required_gain {
        assumptions.push(format!("the required gain in {} is there and shows", gain.metric.name()));
    }
    if let Some(clusters) = design.clusters {
        assumptions.push(format!("{clusters} clusters, whose effects differ with a standard deviation of about 7pp"));
    }
    let mut points = Vec::new();
    for (label, kind, effect) in truths(spec, design) {
        let regressed = (kind == TruthKind::RegressedSlice).then(|| regressed_slice(spec, design)).flatten();
        let world = design.world(|slice, arm| match (kind, arm) {
            (TruthKind::EveryArm, _) => effect,
            (_, 0) => match &regressed {
                Some((at, _, loss, _)) if *at == slice => *loss,
                // The others make up for it, so that the aggregate is what the label says.
                Some((_, _, loss, share)) => (effect - share * loss) / (1.0 - share),
                None => effect,
            },
            _ => 0.0,
        });
        let world = match World::new(&world) {
            Ok(world) => world,
            Err(WorldError::Effect { .. }) => {
                assumptions.push(format!("{label} is left out: the assumed accuracy does not allow it"));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let plan = Replicate { count: simulation.replicates, seed: simulation.seed, threads: simulation.threads };
        let tally = simulate(&rule, &world, plan)?;
        points.push(OperatingPoint {
            label,
            kind,
            effect,
            regressed: regressed.map(|(_, name, loss, _)| (name, loss)),
            ship: tally.rate(tally.ship),
            scope: tally.rate(tally.scope),
            kill: tally.rate(tally.kill),
            underpowered: tally.rate(tally.underpowered),
            false_verdict: tally.rate(tally.false_any),
            tally,
        });
    }
    let planned_effect = planned_effect(spec);
    let power = points
        .iter()
        .find(|p| p.kind == TruthKind::Even && (p.effect - planned_effect).abs() < 1e-12)
        .map_or(0.0, |p| p.ship);
    Ok(OperatingCharacteristics {
        points,
        simulation,
        power,
        planned_effect,
        required_power: spec.power,
        reaches_power: power >= spec.power,
        assumptions,
    })
}

/// The smallest slice, its loss (four times the floor, at least 4pp) and its share of production.
fn regressed_slice(spec: &RuleSpec, design: &Design) -> Option<(usize, String, f64, f64)> {
    let at =
        (0..design.slices.len()).reduce(|a, b| if design.slices[b].share < design.slices[a].share { b } else { a })?;
    let total: f64 = design.slices.iter().map(|s| s.share).sum();
    let slice = &design.slices[at];
    Some((at, slice.name.clone(), (4.0 * spec.loss_floor).min(-0.04), slice.share / total))
}

fn truths(spec: &RuleSpec, design: &Design) -> Vec<(String, TruthKind, f64)> {
    let margin = spec.margin();
    let pp = |effect: f64| format!("{:+.1}pp", 100.0 * effect + 0.0);
    let mut effects: Vec<(f64, &str)> = match spec.objective {
        Objective::Superiority if margin > 0.0 => vec![
            (0.0, "no effect"),
            (margin - 0.001, "just below the minimum effect"),
            (margin, "the minimum effect"),
            (1.5 * margin, "1.5 times the minimum effect"),
            (2.0 * margin, "twice the minimum effect"),
            (3.0 * margin, "three times the minimum effect"),
        ],
        Objective::Superiority => vec![
            (-0.001, "just below zero"),
            (0.0, "no effect"),
            (0.02, "a small effect"),
            (0.05, "a fair effect"),
            (0.10, "a large effect"),
        ],
        Objective::NonInferiority => vec![
            (2.0 * margin, "twice the margin"),
            (1.5 * margin, "1.5 times the margin"),
            (margin - 0.001, "just below the margin"),
            (margin, "the margin"),
            (0.5 * margin, "half of the margin"),
            (0.0, "no difference"),
            (-margin, "better by the margin"),
        ],
    };
    effects.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut truths: Vec<(String, TruthKind, f64)> = effects
        .into_iter()
        .map(|(effect, words)| (format!("{} ({words})", pp(effect)), TruthKind::Even, effect))
        .collect();
    if design.arms > 1 {
        truths.push((format!("{} in every arm", pp(margin)), TruthKind::EveryArm, margin));
    }
    if design.slices.len() > 1
        && let Some((_, name, loss, _)) = regressed_slice(spec, design)
    {
        let effect = planned_effect(spec);
        truths.push((
            format!("{} overall, but {} in slice {name}", pp(effect), pp(loss)),
            TruthKind::RegressedSlice,
            effect,
        ));
    }
    truths
}
