//! The verdict in words, with its numbers.

use super::spec::{EffectEvidence, Objective, RuleSpec};
use super::verdict::{ArmVerdict, Clause, FamilyOutcome, Outcome, SliceRef};

/// A signed effect in percentage points.
pub(super) fn pp(effect: f64) -> String {
    let rounded = (1000.0 * effect).round() / 10.0;
    // No "-0.0pp".
    format!("{:+.1}pp", if rounded == 0.0 { 0.0 } else { rounded })
}

/// A p-value with four digits, or how small it is.
fn p_value(p: f64) -> String {
    if p < 0.0001 { "p < 0.0001".to_owned() } else { format!("p = {p:.4}") }
}

/// Slices whose estimate lies below the floor, with their intervals.
fn losing(spec: &RuleSpec, arm: &ArmVerdict) -> String {
    let below: Vec<String> = arm
        .slices
        .iter()
        .filter(|s| s.estimate.effect < spec.loss_floor)
        .map(|s| match &s.estimate.inference {
            Some(found) => {
                format!("{} ({}, {} to {})", s.slice, pp(s.estimate.effect), pp(found.ci_low), pp(found.ci_high))
            }
            None => format!("{} ({})", s.slice, pp(s.estimate.effect)),
        })
        .collect();
    if below.is_empty() { String::new() } else { format!("; it loses more than the floor in {}", below.join(", ")) }
}

fn list(slices: &[SliceRef]) -> String {
    slices.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What the arm measured: effect and bounds.
fn measured(arm: &ArmVerdict) -> String {
    match &arm.aggregate.inference {
        Some(found) => format!(
            "{} ({} to {}, n={})",
            pp(arm.aggregate.effect),
            pp(found.ci_low),
            pp(found.ci_high),
            arm.aggregate.n_rows
        ),
        None => format!("{} (n={})", pp(arm.aggregate.effect), arm.aggregate.n_rows),
    }
}

fn target(spec: &RuleSpec) -> String {
    match (spec.objective, spec.evidence.effect) {
        (Objective::Superiority, EffectEvidence::ProvenMargin) => {
            format!("the minimum effect of {}", pp(spec.margin()))
        }
        (Objective::Superiority, EffectEvidence::ProvenGain) => "a gain above zero".to_owned(),
        (Objective::NonInferiority, _) => format!("the margin of {}", pp(spec.margin())),
    }
}

fn unproven_floors(arm: &ArmVerdict) -> String {
    let open: Vec<String> = arm
        .slices
        .iter()
        .filter(|slice| !slice.floor_holds)
        .map(|slice| match &slice.estimate.inference {
            Some(found) => format!(
                "{} ({}, lower bound {}, n={})",
                slice.slice,
                pp(slice.estimate.effect),
                pp(found.lower_bound),
                slice.estimate.n_rows
            ),
            None => format!("{} ({} rows, no interval)", slice.slice, slice.estimate.n_rows),
        })
        .collect();
    open.join(", ")
}

/// The reason of an arm's outcome.
pub(super) fn arm(spec: &RuleSpec, arm: &ArmVerdict) -> String {
    let name = &arm.arm;
    let effect = measured(arm);
    let target = target(spec);
    let floor = pp(spec.loss_floor);
    let percent = 100.0 * spec.alpha;
    let upper = arm.aggregate.inference.as_ref().map_or(1.0, |found| found.upper_bound);
    let shipped = || {
        let floors =
            if arm.slices.is_empty() { String::new() } else { format!(" and every slice holds the floor of {floor}") };
        format!("`{name}` measures {effect}: it is shown to exceed {target}{floors} (adjusted {})", p_value(arm.p_holm))
    };
    match (&arm.outcome, arm.clause) {
        (Outcome::Ship, Clause::EligibleHigherLoss) => {
            format!("{}, but another arm that passes has the lower severity-weighted loss.", shipped())
        }
        (Outcome::Ship, Clause::EligibleCostlier) => {
            format!(
                "{}, but another arm that passes is preferred: no worse in severity-weighted loss and cheaper, or steadier in its most severe mode.",
                shipped()
            )
        }
        (Outcome::Ship, _) => format!("{}.", shipped()),
        (Outcome::Scope { slices }, Clause::ScopeProvenFloors) => format!(
            "`{name}` measures {effect} and is shown to exceed {target}; the floor of {floor} is proven in {} only, not in {}.",
            list(slices),
            floors_outside(arm, slices)
        ),
        (Outcome::Scope { slices }, _) => format!(
            "`{name}` measures {effect}, which does not show that it exceeds {target} everywhere; in {} it does.",
            list(slices)
        ),
        (Outcome::Kill { .. }, Clause::SevereModeShift) => {
            let modes: Vec<String> = arm
                .failure_modes
                .iter()
                .filter(|mode| mode.most_severe)
                .map(|mode| {
                    format!("`{}` from {:.1}% to {:.1}%", mode.mode, 100.0 * mode.baseline_rate, 100.0 * mode.arm_rate)
                })
                .collect();
            format!(
                "`{name}` measures {effect}, but it moves errors into the most severe failure mode: {}.",
                modes.join(", ")
            )
        }
        (Outcome::Kill { .. }, Clause::SeverityTieBreak) => {
            let weighted = arm.severity_weighted.as_ref().map_or(0.0, |weighted| weighted.effect);
            format!(
                "`{name}` measures {effect}, but {} weighted by severity; the registered tie-break is the weighted ranking.",
                pp(weighted)
            )
        }
        (Outcome::Kill { .. }, Clause::RequiredGainRuledOut) => {
            format!("`{name}` measures {effect}; the required gain is ruled out{}.", gain_words(spec, arm))
        }
        (Outcome::Kill { harm: true }, _) => {
            format!(
                "`{name}` measures {effect}: it does harm; its upper bound is {}, below zero{}.",
                pp(upper),
                losing(spec, arm)
            )
        }
        (Outcome::Kill { .. }, _) => format!(
            "`{name}` measures {effect}: its upper bound {} is below {}{}.",
            pp(upper),
            match spec.objective {
                Objective::Superiority => format!("the minimum effect of {}", pp(spec.margin())),
                Objective::NonInferiority => format!("the margin of {}", pp(spec.margin())),
            },
            losing(spec, arm)
        ),
        (Outcome::Underpowered { rows_needed }, clause) => {
            let why = match clause {
                Clause::FloorUnproven => {
                    format!("it exceeds {target}, but the floor of {floor} is not proven in {}", unproven_floors(arm))
                }
                Clause::GainUnproven => {
                    format!("the required gain is not proven{}", gain_words(spec, arm))
                }
                Clause::FamilyUnproven => format!(
                    "alone it would pass ({}), over all arms it does not (adjusted {}, {percent}% needed)",
                    p_value(arm.p_arm),
                    p_value(arm.p_holm)
                ),
                _ => format!("the data neither show that it exceeds {target} nor rule it out"),
            };
            let settle = match rows_needed {
                Some(rows) => format!("about {rows} test rows would settle it if the truth is what was observed"),
                None => "the observed effect is too close to the boundary for more rows to settle it".to_owned(),
            };
            format!("`{name}` measures {effect}: {why}; {settle}.")
        }
    }
}

fn floors_outside(arm: &ArmVerdict, inside: &[SliceRef]) -> String {
    let out: Vec<SliceRef> =
        arm.slices.iter().map(|s| s.slice.clone()).filter(|slice| !inside.contains(slice)).collect();
    if out.is_empty() { "every row".to_owned() } else { list(&out) }
}

fn gain_words(spec: &RuleSpec, arm: &ArmVerdict) -> String {
    let Some(gain) = spec.required_gain else {
        return String::new();
    };
    let found = match gain.metric {
        super::GainMetric::Cost => &arm.cost,
        super::GainMetric::Latency => &arm.latency,
    };
    let reduction = found.as_ref().and_then(|f| f.reduction).unwrap_or(0.0);
    format!(" ({} falls by {:.1}%, {:.1}% required)", gain.metric.name(), 100.0 * reduction, 100.0 * gain.min_reduction)
}

/// The reason of the family's outcome.
pub(super) fn family(arms: &[ArmVerdict], outcome: &FamilyOutcome) -> String {
    let reason = |id: &str| arms.iter().find(|a| a.arm == id).map_or("", |a| a.sentence.as_str());
    match outcome {
        FamilyOutcome::Ship { arm } => format!("Ship `{arm}`. {}", reason(arm)),
        FamilyOutcome::Scope { arm, slices } => {
            format!("Ship `{arm}` on {} only. {}", list(slices), reason(arm))
        }
        FamilyOutcome::Kill { harm: true } => {
            format!("Kill: every arm does harm. {}", reasons(arms))
        }
        FamilyOutcome::Kill { harm: false } => {
            format!("Kill: no arm can reach the rule. {}", reasons(arms))
        }
        FamilyOutcome::Underpowered { .. } => {
            format!("Underpowered: the data cannot tell. {}", reasons(arms))
        }
    }
}

fn reasons(arms: &[ArmVerdict]) -> String {
    arms.iter().map(|a| a.sentence.as_str()).collect::<Vec<_>>().join(" ")
}
