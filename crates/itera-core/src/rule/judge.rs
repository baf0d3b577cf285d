//! The door of the module: gathers the evidence, asks the rule, reports.

use super::decide::{ArmDecision, ArmEvidence, Decision, GainEvidence, RegionEvidence, Stop, decide};
use super::measure::{Layout, Measured, Region, Resource, Scratch, effect, measure, measure_severity};
use super::spec::{GainMetric, Objective, RuleSpec, TieBreak};
use super::table::{ArmColumn, BASELINE, Table};
use super::verdict::{Clause, Verdict};
use super::{RuleError, report};

/// Applies a registered rule to a table.
///
/// Linear in rows for each arm and slice column. The verdict depends on nothing but the two arguments.
///
/// # Errors
/// When the rule is not well formed, or requires a gain in a resource that was not recorded everywhere.
pub fn judge(spec: &RuleSpec, table: &Table) -> Result<Verdict, RuleError> {
    spec.validate()?;
    let decider = Decider::new(spec, table)?;
    let (evidence, decisions) = decider.decide(table);
    report::report(&decider, table, &evidence, &decisions)
}

/// A rule bound to the layout of a table: rows, strata, slices and clusters, but not scores. A simulation binds once
/// and decides many times.
pub(crate) struct Decider<'a> {
    pub(super) spec: &'a RuleSpec,
    pub(super) layout: Layout,
    columns: Vec<usize>,
    /// Indices into the table's modes of the most severe registered ones; empty when no mode stands out.
    pub(super) severe: Vec<usize>,
    uses_severity: bool,
}

/// The decisions of one experiment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decisions {
    /// One per arm.
    pub arms: Vec<ArmDecision>,
    /// The arm to ship, an index into `arms`, when one is.
    pub ship: Option<usize>,
    /// The arm to scope, when none is shipped and one may be.
    pub scope: Option<usize>,
}

impl<'a> Decider<'a> {
    pub(crate) fn new(spec: &'a RuleSpec, table: &Table) -> Result<Self, RuleError> {
        let layout = Layout::new(table);
        let columns = layout.slices.iter().map(|s| s.column).collect();
        let severe = most_severe(spec, table);
        let uses_severity = table.severity.as_ref().is_some_and(|s| s.iter().any(|weight| *weight != s[0]));
        if let Some(gain) = spec.required_gain {
            for arm in table.candidates() {
                let missing = (0..table.n)
                    .filter(|&row| {
                        let lacks = |arm: &ArmColumn| resource(arm, gain.metric).is_none_or(|r| r[row].is_nan());
                        lacks(arm) || lacks(table.baseline())
                    })
                    .count();
                if missing > 0 {
                    return Err(RuleError::MissingResource {
                        arm: arm.name.clone(),
                        metric: gain.metric.name(),
                        missing,
                        rows: table.n,
                    });
                }
            }
        }
        Ok(Self { spec, layout, columns, severe, uses_severity })
    }

    /// Gathers the evidence and applies the rule. `table` must have the layout that the decider was bound to.
    pub(super) fn decide(&self, table: &Table) -> (Vec<ArmEvidence>, Decisions) {
        let mut scratch = Scratch::default();
        let evidence: Vec<ArmEvidence> = (1..table.arms.len())
            .map(|arm| {
                let difference = effect(table, arm);
                ArmEvidence {
                    whole: self.region_evidence(table, arm, &self.layout.all, &mut scratch),
                    slices: self
                        .layout
                        .slices
                        .iter()
                        .map(|slice| measure(table, &slice.region, &mut scratch, &difference))
                        .collect(),
                }
            })
            .collect();
        let mut arms = decide(self.spec, &self.columns, &evidence, |arm, slices| {
            let region = self.layout.scope(table, slices);
            self.region_evidence(table, arm + 1, &region, &mut scratch)
        });
        let ship = self.choose(table, &evidence, &mut arms);
        let scope = if ship.is_some() { None } else { self.choose_scope(&arms) };
        (evidence, Decisions { arms, ship, scope })
    }

    /// As [`Decider::decide`], the decisions only.
    pub(crate) fn decisions(&self, table: &Table) -> Decisions {
        self.decide(table).1
    }

    /// For every arm, the p-values of the true effects: of the aggregate from below and from above, and from below of
    /// every slice of at least 20 rows. A bound misses exactly where the p-value of the truth is under `alpha`.
    pub(crate) fn p_at(&self, table: &Table, truth: &crate::worlds::Truth) -> Vec<(f64, f64, Vec<f64>)> {
        let mut scratch = Scratch::default();
        (1..table.arms.len())
            .map(|arm| {
                let whole = measure(table, &self.layout.all, &mut scratch, effect(table, arm));
                let slices = self
                    .layout
                    .slices
                    .iter()
                    .zip(&truth.slices)
                    .filter(|(slice, _)| slice.region.rows.len() >= 20)
                    .map(|(slice, effects)| {
                        measure(table, &slice.region, &mut scratch, effect(table, arm)).p_above(effects[arm - 1])
                    })
                    .collect();
                let target = truth.aggregate[arm - 1];
                (whole.p_above(target), whole.p_below(target), slices)
            })
            .collect()
    }

    fn region_evidence(&self, table: &Table, arm: usize, region: &Region, scratch: &mut Scratch) -> RegionEvidence {
        let whole = measure(table, region, scratch, effect(table, arm));
        let gain = self.spec.required_gain.and_then(|gain| {
            let baseline = resource(table.baseline(), gain.metric)?;
            let candidate = resource(&table.arms[arm], gain.metric)?;
            let measured = Resource::measure(table, region, baseline, candidate)?;
            Some(GainEvidence {
                p: measured.p_above(gain.min_reduction),
                p_ruled_out: measured.p_below(gain.min_reduction),
            })
        });
        let shift = self.severe_shift(table, arm, region, scratch);
        let stop = if shift.is_some_and(|shift| shift.p_above(0.0) <= self.spec.alpha) {
            Some(Stop::SevereModeShift)
        } else if self.spec.tie_break == TieBreak::SeverityWeighted
            && self.severity_disagrees(table, arm, region, scratch)
        {
            Some(Stop::SeverityTieBreak)
        } else {
            None
        };
        RegionEvidence { effect: whole, gain, stop }
    }

    /// The change in the rate of the most severe failure modes; `None` when there are none.
    pub(super) fn severe_shift(
        &self,
        table: &Table,
        arm: usize,
        region: &Region,
        scratch: &mut Scratch,
    ) -> Option<Measured> {
        if self.severe.is_empty() {
            return None;
        }
        let base = table.baseline().modes.as_ref()?;
        let candidate = table.arms[arm].modes.as_ref()?;
        let rate = |columns: &super::ModeColumns, row: usize| {
            self.severe.iter().map(|&mode| f64::from(columns.share[mode][row])).sum::<f64>().min(1.0)
        };
        Some(measure(table, region, scratch, |row| rate(candidate, row) - rate(base, row)))
    }

    /// The effect weighted by severity; `None` when all rows weigh the same.
    pub(super) fn severity_effect(
        &self,
        table: &Table,
        arm: usize,
        region: &Region,
        scratch: &mut Scratch,
    ) -> Option<Measured> {
        let severity = table.severity.as_ref().filter(|_| self.uses_severity)?;
        Some(measure_severity(table, region, scratch, severity, effect(table, arm)))
    }

    /// Whether the severity-weighted ranking puts an arm below what the plain one lets it ship for: below the baseline
    /// for superiority, below the margin for non-inferiority.
    pub(super) fn severity_disagrees(&self, table: &Table, arm: usize, region: &Region, scratch: &mut Scratch) -> bool {
        self.severity_effect(table, arm, region, scratch).is_some_and(|weighted| match self.spec.objective {
            Objective::Superiority => weighted.estimate <= 0.0,
            Objective::NonInferiority => weighted.estimate < self.spec.margin(),
        })
    }

    /// Step 4: one of the eligible arms. The clauses of the others are changed to say why they were not taken.
    fn choose(&self, table: &Table, evidence: &[ArmEvidence], arms: &mut [ArmDecision]) -> Option<usize> {
        let mut eligible: Vec<usize> = (0..arms.len()).filter(|&a| arms[a].decision == Decision::Ship).collect();
        if eligible.len() < 2 {
            return eligible.pop();
        }
        let mut scratch = Scratch::default();
        let losses: Vec<f64> = eligible.iter().map(|&a| self.severity_loss(table, a + 1)).collect();
        let best = eligible[least(&losses)];
        // Arms that are not shown to lose more than the best one.
        let mut level: Vec<usize> = Vec::new();
        for &arm in &eligible {
            let differs = arm != best && {
                let gap = self.loss_gap(table, arm + 1, best + 1, &mut scratch);
                2.0 * gap.p_above(0.0) < 0.05
            };
            if differs {
                arms[arm].clause = Clause::EligibleHigherLoss;
            } else {
                level.push(arm);
            }
        }
        // On a tie, an arm whose errors drift into the most severe mode gives way to one whose do not.
        let drifts = |arm: usize, scratch: &mut Scratch| {
            self.severe_shift(table, arm + 1, &self.layout.all, scratch).is_some_and(|shift| shift.estimate > 0.0)
        };
        let steady: Vec<usize> = level.iter().copied().filter(|&arm| !drifts(arm, &mut scratch)).collect();
        let field = if steady.is_empty() { &level } else { &steady };
        let costs: Vec<Option<f64>> = field
            .iter()
            .map(|&arm| {
                let cost = table.arms[arm + 1].cost.as_deref()?;
                let all = Resource::measure(table, &self.layout.all, cost, cost)?;
                (all.n == table.n).then_some(all.arm)
            })
            .collect();
        let known: Option<Vec<f64>> = costs.into_iter().collect();
        let winner = match known {
            Some(costs) => field[least(&costs)],
            None if field.contains(&best) => best,
            None => {
                let losses: Vec<f64> = field.iter().map(|&a| self.severity_loss(table, a + 1)).collect();
                field[least(&losses)]
            }
        };
        for arm in eligible {
            if arm != winner && arms[arm].clause == Clause::Eligible {
                arms[arm].clause = Clause::EligibleCostlier;
            }
        }
        debug_assert!(evidence[winner].whole.stop.is_none());
        Some(winner)
    }

    /// The scoped arm that covers most of production; the first of equals.
    fn choose_scope(&self, arms: &[ArmDecision]) -> Option<usize> {
        let covered = |slices: &[usize]| -> f64 {
            let first = self.columns[slices[0]];
            slices.iter().filter(|&&s| self.columns[s] == first).map(|&s| self.layout.slices[s].region.share).sum()
        };
        let mut best: Option<(usize, f64)> = None;
        for (arm, decision) in arms.iter().enumerate() {
            if let Decision::Scope(slices) = &decision.decision {
                let share = covered(slices);
                if best.is_none_or(|(_, most)| share > most + 1e-12) {
                    best = Some((arm, share));
                }
            }
        }
        best.map(|(arm, _)| arm)
    }

    /// Loss of an arm on a row before severity: the weights of its failure modes where registered modes were recorded,
    /// else one minus the score. In `[0, 1]`.
    fn row_loss<'t>(&self, table: &'t Table, arm: usize) -> impl Fn(usize) -> f64 + use<'t> {
        let heaviest = self.spec.failure_modes.iter().map(|m| m.severity_weight).fold(0.0, f64::max);
        let weights: Vec<f64> = table
            .modes
            .iter()
            .map(|id| {
                self.spec.failure_modes.iter().find(|m| m.id == *id).map_or(0.0, |m| m.severity_weight / heaviest)
            })
            .collect();
        let modes = table.arms[arm].modes.as_ref().filter(|_| weights.iter().any(|w| *w > 0.0));
        let mean = &table.arms[arm].mean;
        move |row| match modes {
            Some(modes) => {
                modes.share.iter().zip(&weights).map(|(share, w)| w * f64::from(share[row])).sum::<f64>().min(1.0)
            }
            None => 1.0 - mean[row],
        }
    }

    fn severity_loss(&self, table: &Table, arm: usize) -> f64 {
        let mut scratch = Scratch::default();
        let loss = self.row_loss(table, arm);
        match &table.severity {
            Some(severity) => measure_severity(table, &self.layout.all, &mut scratch, severity, loss).estimate,
            None => measure(table, &self.layout.all, &mut scratch, loss).estimate,
        }
    }

    /// How much more `arm` loses than `other`.
    fn loss_gap(&self, table: &Table, arm: usize, other: usize, scratch: &mut Scratch) -> Measured {
        let (more, less) = (self.row_loss(table, arm), self.row_loss(table, other));
        let gap = |row: usize| more(row) - less(row);
        match &table.severity {
            Some(severity) => measure_severity(table, &self.layout.all, scratch, severity, gap),
            None => measure(table, &self.layout.all, scratch, gap),
        }
    }
}

/// The column of a resource.
pub(super) fn resource(arm: &ArmColumn, metric: GainMetric) -> Option<&[f64]> {
    match metric {
        GainMetric::Cost => arm.cost.as_deref(),
        GainMetric::Latency => arm.latency.as_deref(),
    }
}

/// Modes of the largest registered weight, unless all registered modes weigh the same.
fn most_severe(spec: &RuleSpec, table: &Table) -> Vec<usize> {
    let weights = spec.failure_modes.iter().map(|m| m.severity_weight);
    let (heaviest, lightest) = (weights.clone().fold(0.0, f64::max), weights.fold(f64::INFINITY, f64::min));
    if table.arms[BASELINE].modes.is_none() || heaviest <= lightest {
        return Vec::new();
    }
    (0..table.modes.len())
        .filter(|&i| spec.failure_modes.iter().any(|m| m.id == table.modes[i] && m.severity_weight == heaviest))
        .collect()
}

/// Index of the smallest value, the first of equals. `values` is not empty.
fn least(values: &[f64]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value < values[best] {
            best = i;
        }
    }
    best
}
