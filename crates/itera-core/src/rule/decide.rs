//! The rule proper, on scalars. `judge` and the simulations read the same lines.

use itera_stats::multiplicity::holm;

use super::measure::Measured;
use super::spec::{EffectEvidence, FloorEvidence, RuleSpec, SHIP_SHARE};
use super::verdict::Clause;

/// What stops an arm whose effect is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    SevereModeShift,
    SeverityTieBreak,
}

/// Evidence on the required gain.
#[derive(Debug, Clone, Copy)]
pub(super) struct GainEvidence {
    pub p: f64,
    pub p_ruled_out: f64,
}

/// Evidence over one region.
#[derive(Debug, Clone)]
pub(super) struct RegionEvidence {
    pub effect: Measured,
    pub gain: Option<GainEvidence>,
    pub stop: Option<Stop>,
}

/// Evidence on one arm.
#[derive(Debug, Clone)]
pub(super) struct ArmEvidence {
    pub whole: RegionEvidence,
    pub slices: Vec<Measured>,
}

/// What the rule says of one arm, without words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    Ship,
    Scope(Vec<usize>),
    Kill { harm: bool },
    Underpowered,
}

/// One arm's decision with its p-values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ArmDecision {
    pub decision: Decision,
    pub clause: Clause,
    pub p_arm: f64,
    pub p_holm: f64,
}

/// p-value of the aggregate test, with the condition on the estimate that `proven_gain` adds.
pub(super) fn p_effect(spec: &RuleSpec, effect: &Measured) -> f64 {
    if spec.evidence.effect == EffectEvidence::ProvenGain && effect.estimate < spec.margin() {
        return 1.0;
    }
    effect.p_above(spec.tested_effect())
}

/// p-value of a slice's floor; 0 or 1 where the floor is read from the estimate.
pub(super) fn p_floor(spec: &RuleSpec, slice: &Measured) -> f64 {
    match spec.evidence.floor {
        FloorEvidence::Proven => slice.p_above(spec.loss_floor),
        FloorEvidence::Estimate => f64::from(u8::from(slice.estimate < spec.loss_floor)),
    }
}

/// The rule over a family of arms. `columns[s]` is the slice column of slice `s`; `scope(arm, slices)` gathers the
/// evidence over the rows all of whose slices are among `slices`.
pub(super) fn decide(
    spec: &RuleSpec,
    columns: &[usize],
    arms: &[ArmEvidence],
    mut scope: impl FnMut(usize, &[usize]) -> RegionEvidence,
) -> Vec<ArmDecision> {
    let p_arms: Vec<f64> = arms
        .iter()
        .map(|arm| {
            let aggregate = p_effect(spec, &arm.whole.effect) / SHIP_SHARE;
            let floors = arm.slices.iter().map(|slice| p_floor(spec, slice));
            let gain = arm.whole.gain.map_or(0.0, |gain| gain.p);
            floors.fold(aggregate.max(gain), f64::max).min(1.0)
        })
        .collect();
    // p-values are in [0, 1] by construction.
    let adjusted = holm(&p_arms).unwrap_or_else(|_| vec![1.0; p_arms.len()]);
    arms.iter()
        .enumerate()
        .map(|(i, arm)| {
            let (p_arm, p_holm) = (p_arms[i], adjusted[i]);
            let proven = p_holm <= spec.alpha;
            let (decision, clause) = if proven && arm.whole.stop.is_none() {
                (Decision::Ship, Clause::Eligible)
            } else if let Some((slices, clause)) =
                scope_narrowly(spec, columns, arm, arms.len(), &mut |slices| scope(i, slices))
            {
                (Decision::Scope(slices), clause)
            } else if proven {
                match arm.whole.stop {
                    Some(Stop::SeverityTieBreak) => (Decision::Kill { harm: false }, Clause::SeverityTieBreak),
                    _ => (Decision::Kill { harm: true }, Clause::SevereModeShift),
                }
            } else {
                unproven(spec, arm, p_arm)
            };
            ArmDecision { decision, clause, p_arm, p_holm }
        })
        .collect()
}

/// Kill or underpowered, for an arm that is neither shipped nor scoped.
fn unproven(spec: &RuleSpec, arm: &ArmEvidence, p_arm: f64) -> (Decision, Clause) {
    let effect = &arm.whole.effect;
    if effect.p_below(spec.margin()) <= spec.alpha {
        return if effect.p_below(0.0) <= spec.alpha {
            (Decision::Kill { harm: true }, Clause::Harm)
        } else {
            (Decision::Kill { harm: false }, Clause::BelowMargin)
        };
    }
    if arm.whole.gain.is_some_and(|gain| gain.p_ruled_out <= spec.alpha) {
        return (Decision::Kill { harm: false }, Clause::RequiredGainRuledOut);
    }
    let clause = if p_arm <= spec.alpha {
        Clause::FamilyUnproven
    } else if p_effect(spec, effect) / SHIP_SHARE > spec.alpha {
        Clause::EffectUnproven
    } else if arm.slices.iter().any(|slice| p_floor(spec, slice) > spec.alpha) {
        Clause::FloorUnproven
    } else {
        Clause::GainUnproven
    };
    (Decision::Underpowered, clause)
}

/// Step 5 of the rule: the slices on which an arm may ship at `alpha / k`, and the clause that lets it.
fn scope_narrowly(
    spec: &RuleSpec,
    columns: &[usize],
    arm: &ArmEvidence,
    arms: usize,
    evidence: &mut dyn FnMut(&[usize]) -> RegionEvidence,
) -> Option<(Vec<usize>, Clause)> {
    if columns.is_empty() {
        return None;
    }
    let alpha = spec.alpha / arms as f64;
    // A required gain must hold over all rows and over the scope: the two tests are nested, so no error is added.
    if arm.whole.gain.is_some_and(|gain| gain.p > alpha) {
        return None;
    }
    let floors: Vec<f64> = arm.slices.iter().map(|slice| p_floor(spec, slice)).collect();
    let (chosen, clause) = if p_effect(spec, &arm.whole.effect) <= SHIP_SHARE * alpha {
        (rejected(&floors, alpha), Clause::ScopeProvenFloors)
    } else {
        let rest = (1.0 - SHIP_SHARE) * alpha;
        // Both claims at once: above the margin and above the floor. The first implies the second unless the margin
        // lies below the floor or the floor is read from the estimate; the larger p-value covers every case.
        let effects: Vec<f64> =
            arm.slices.iter().zip(&floors).map(|(slice, floor)| p_effect(spec, slice).max(*floor)).collect();
        if columns.iter().all(|column| *column == columns[0]) {
            (rejected(&effects, rest), Clause::ScopeProvenSlices)
        } else {
            // Several columns overlap: a column's proven slices, and of the other columns those whose floor is proven.
            let each = rest / columns.len() as f64;
            (across_columns(columns, &effects, &floors, each), Clause::ScopeProvenSlices)
        }
    };
    if chosen.is_empty() {
        return None;
    }
    let scoped = evidence(&chosen);
    let holds = p_effect(spec, &scoped.effect) <= SHIP_SHARE * alpha
        && scoped.effect.estimate >= spec.margin()
        && scoped.gain.is_none_or(|gain| gain.p <= alpha)
        && scoped.stop.is_none();
    holds.then_some((chosen, clause))
}

/// The hypotheses that Holm rejects at `alpha`.
fn rejected(p_values: &[f64], alpha: f64) -> Vec<usize> {
    let adjusted = holm(p_values).unwrap_or_default();
    adjusted.iter().enumerate().filter(|(_, p)| **p <= alpha).map(|(s, _)| s).collect()
}

/// The first column with a slice whose effect is proven; its proven slices and, of every other column, the slices whose
/// floor is. Bonferroni over all slices: a slice's two hypotheses are nested, so each slice spends `each` once.
fn across_columns(columns: &[usize], effects: &[f64], floors: &[f64], each: f64) -> Vec<usize> {
    let proven = |s: &usize| effects[*s] <= each;
    let Some(first) = (0..columns.len()).find(proven) else {
        return Vec::new();
    };
    (0..columns.len()).filter(|s| if columns[*s] == columns[first] { proven(s) } else { floors[*s] <= each }).collect()
}
