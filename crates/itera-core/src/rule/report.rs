//! From evidence and decisions to a verdict: intervals, noise, rows that would settle it, disclosures.

use itera_stats::distribution::normal_quantile;
use itera_stats::power::{minimum_detectable_effect, rows_for_silent_floor};
use itera_stats::{MIN_CLUSTERS, MIN_ROWS};

use super::RuleError;
use super::decide::{ArmDecision, ArmEvidence, Decision, p_floor};
use super::judge::{Decider, Decisions, resource};
use super::measure::{Measured, Region, Resource, Scratch, effect, measure, measure_severity};
use super::sentence;
use super::spec::{EffectEvidence, FloorEvidence, GainMetric, Objective, RuleSpec, SHIP_SHARE};
use super::table::{SliceColumn, Table};
use super::verdict::{
    ArmVerdict, Clause, Disclosure, DisclosureKind, EffectEstimate, FamilyOutcome, FamilyVerdict, Inference, ModeShift,
    Outcome, ResourceEstimate, SliceRef, SliceVerdict, Suggestion, Verdict,
};

/// Beyond this many rows "more rows" is no advice.
const PRACTICAL_ROWS: f64 = 1e7;

pub(super) fn report(
    decider: &Decider<'_>,
    table: &Table,
    evidence: &[ArmEvidence],
    decisions: &Decisions,
) -> Result<Verdict, RuleError> {
    let reporter = Reporter::new(decider, table);
    let arms = evidence
        .iter()
        .zip(&decisions.arms)
        .enumerate()
        .map(|(arm, (evidence, decision))| reporter.arm(arm + 1, evidence, decision))
        .collect::<Result<Vec<_>, _>>()?;
    let family = family(&arms, decisions);
    let trials = table
        .arms
        .iter()
        .fold((u32::MAX, 0), |(least, most), arm| (least.min(arm.trials.min), most.max(arm.trials.max)));
    let disclosures = reporter.disclosures(&arms, trials);
    Ok(Verdict {
        baseline: table.baseline().name.clone(),
        n_rows: table.n,
        n_strata: table.shares.len(),
        n_clusters: table.cluster_count(),
        trials,
        arms,
        family,
        disclosures,
    })
}

struct Reporter<'a> {
    decider: &'a Decider<'a>,
    spec: &'a RuleSpec,
    table: &'a Table,
    /// The baseline's mean over all rows and over each slice.
    baseline_mean: f64,
    baseline_means: Vec<f64>,
}

impl<'a> Reporter<'a> {
    fn new(decider: &'a Decider<'a>, table: &'a Table) -> Self {
        let base = &table.baseline().mean;
        let mean = |region: &Region| region_mean(table, region, |row| base[row]);
        Self {
            decider,
            spec: decider.spec,
            table,
            baseline_mean: mean(&decider.layout.all),
            baseline_means: decider.layout.slices.iter().map(|slice| mean(&slice.region)).collect(),
        }
    }

    fn arm(&self, arm: usize, evidence: &ArmEvidence, decision: &ArmDecision) -> Result<ArmVerdict, RuleError> {
        let (table, spec, layout) = (self.table, self.spec, &self.decider.layout);
        let mut scratch = Scratch::default();
        let column = &table.arms[arm];
        let aggregate =
            self.estimate(arm, &layout.all, &evidence.whole.effect, self.baseline_mean, spec.tested_effect())?;
        let mut slices = Vec::with_capacity(layout.slices.len());
        for ((slice, measured), baseline_mean) in layout.slices.iter().zip(&evidence.slices).zip(&self.baseline_means) {
            slices.push(SliceVerdict {
                slice: self.slice_ref(slice.column, slice.value),
                share: slice.region.share,
                estimate: self.estimate(arm, &slice.region, measured, *baseline_mean, spec.loss_floor)?,
                floor_holds: p_floor(spec, measured) <= spec.alpha,
            });
        }
        let severity_weighted = self
            .decider
            .severity_effect(table, arm, &layout.all, &mut scratch)
            .map(|weighted| {
                let severity = table.severity.as_deref().unwrap_or_default();
                let base = &table.baseline().mean;
                let mean = measure_severity(table, &layout.all, &mut scratch, severity, |row| base[row]).estimate;
                self.estimate(arm, &layout.all, &weighted, mean, spec.tested_effect())
            })
            .transpose()?;
        let (total, within) = self.variance(arm, &layout.all, &mut scratch);
        let outcome = match &decision.decision {
            Decision::Ship => Outcome::Ship,
            Decision::Scope(chosen) => Outcome::Scope { slices: self.slice_refs(chosen) },
            Decision::Kill { harm } => Outcome::Kill { harm: *harm },
            Decision::Underpowered => {
                Outcome::Underpowered { rows_needed: self.rows_needed(arm, evidence, decision.clause) }
            }
        };
        let mut verdict = ArmVerdict {
            arm: column.name.clone(),
            aggregate,
            slices,
            severity_weighted,
            failure_modes: self.mode_shifts(arm, &mut scratch),
            cost: self.resource(arm, GainMetric::Cost),
            latency: self.resource(arm, GainMetric::Latency),
            between_variance: (total - within).max(0.0),
            within_variance: within,
            suggestion: if within > 0.5 * total { Suggestion::Trials } else { Suggestion::Rows },
            p_arm: decision.p_arm,
            p_holm: decision.p_holm,
            outcome,
            clause: decision.clause,
            sentence: String::new(),
        };
        verdict.sentence = sentence::arm(spec, &verdict);
        Ok(verdict)
    }

    fn slice_ref(&self, column: usize, value: usize) -> SliceRef {
        let slice = &self.table.slices[column];
        SliceRef { column: slice.name.clone(), value: slice.values[value].clone() }
    }

    fn slice_refs(&self, chosen: &[usize]) -> Vec<SliceRef> {
        chosen
            .iter()
            .map(|&s| {
                let slice = &self.decider.layout.slices[s];
                self.slice_ref(slice.column, slice.value)
            })
            .collect()
    }

    fn estimate(
        &self,
        arm: usize,
        region: &Region,
        measured: &Measured,
        baseline_mean: f64,
        against: f64,
    ) -> Result<EffectEstimate, RuleError> {
        let difference = effect(self.table, arm);
        let (mut rows_won, mut rows_lost) = (0, 0);
        for &row in &region.rows {
            let d = difference(row as usize);
            rows_won += usize::from(d > 0.0);
            rows_lost += usize::from(d < 0.0);
        }
        let inference = match measured.interval {
            None => None,
            Some(es) => {
                let (ci_low, ci_high) = es.interval(0.95)?;
                let se = es.se();
                Some(Inference {
                    ci_low,
                    ci_high,
                    lower_bound: es.lower_bound(self.spec.alpha)?,
                    upper_bound: es.upper_bound(self.spec.alpha)?,
                    p_value: es.p_above(against),
                    against,
                    n_star: es.n_star(),
                    nu: es.nu,
                    n_clusters: es.clusters,
                    se,
                    mde: minimum_detectable_effect(se, self.spec.alpha, self.spec.power)?,
                    below_noise: measured.estimate.abs() < 2.0 * se || measured.estimate == 0.0,
                })
            }
        };
        Ok(EffectEstimate {
            n_rows: measured.n,
            baseline_mean,
            arm_mean: baseline_mean + measured.estimate,
            effect: measured.estimate,
            wins: measured.wins,
            losses: measured.losses,
            rows_won,
            rows_lost,
            inference,
        })
    }

    /// `n V` of the effect, the variance of one row's mean difference, and the part of it that trials contribute.
    fn variance(&self, arm: usize, region: &Region, scratch: &mut Scratch) -> (f64, f64) {
        let (table, n) = (self.table, region.rows.len() as f64);
        let measured = measure(table, region, scratch, effect(table, arm));
        let total = measured.interval.map_or(0.0, |es| es.variance * n);
        let (base, candidate) = (&table.baseline().within, &table.arms[arm].within);
        // Weighted like the effect, so that it can be compared with n V.
        let mut sizes = vec![0.0_f64; region.weights.len()];
        for &row in &region.rows {
            sizes[table.stratum[row as usize] as usize] += 1.0;
        }
        let all: f64 = region.weights.iter().sum();
        let within: f64 = region
            .rows
            .iter()
            .map(|&row| {
                let row = row as usize;
                let s = table.stratum[row] as usize;
                (region.weights[s] / all / sizes[s]).powi(2) * (base[row] + candidate[row])
            })
            .sum();
        (total, within * n)
    }

    fn mode_shifts(&self, arm: usize, scratch: &mut Scratch) -> Vec<ModeShift> {
        let table = self.table;
        let (Some(base), Some(candidate)) = (&table.baseline().modes, &table.arms[arm].modes) else {
            return Vec::new();
        };
        let region = &self.decider.layout.all;
        let registered = &self.spec.failure_modes;
        let mut order: Vec<usize> = (0..table.modes.len()).collect();
        order.sort_by_key(|&mode| {
            let rank = registered.iter().position(|m| m.id == table.modes[mode]).unwrap_or(registered.len());
            (rank, table.modes[mode].as_str())
        });
        order
            .into_iter()
            .map(|mode| {
                let (before, after) = (&base.share[mode], &candidate.share[mode]);
                let shift = measure(table, region, scratch, |row| f64::from(after[row]) - f64::from(before[row]));
                let baseline_rate = region_mean(table, region, |row| f64::from(before[row]));
                ModeShift {
                    mode: table.modes[mode].clone(),
                    severity_weight: registered.iter().find(|m| m.id == table.modes[mode]).map(|m| m.severity_weight),
                    baseline_count: base.count[mode],
                    arm_count: candidate.count[mode],
                    baseline_rate,
                    arm_rate: baseline_rate + shift.estimate,
                    shift: shift.estimate,
                    p_increase: shift.interval.map(|es| es.p_above(0.0)),
                    most_severe: self.decider.severe.contains(&mode),
                }
            })
            .collect()
    }

    fn resource(&self, arm: usize, metric: GainMetric) -> Option<ResourceEstimate> {
        let baseline = resource(self.table.baseline(), metric)?;
        let candidate = resource(&self.table.arms[arm], metric)?;
        let found = Resource::measure(self.table, &self.decider.layout.all, baseline, candidate)?;
        let required =
            self.spec.required_gain.filter(|gain| gain.metric == metric).map_or(0.0, |gain| gain.min_reduction);
        Some(ResourceEstimate {
            n_rows: found.n,
            baseline_mean: found.baseline,
            arm_mean: found.arm,
            difference: found.difference(),
            difference_ci: found.difference_ci(),
            reduction: found.reduction(),
            reduction_ci: found.reduction_ci(),
            p_value: (found.n >= MIN_ROWS).then(|| found.p_above(required)),
        })
    }

    /// Rows that would settle an open arm if the truth is what was observed: for every open question
    /// `n ((z_a + z_b) SE / |estimate - boundary|)²`, the largest of them.
    fn rows_needed(&self, arm: usize, evidence: &ArmEvidence, clause: Clause) -> Option<u64> {
        let spec = self.spec;
        let n = self.table.n as f64;
        let family = if clause == Clause::FamilyUnproven { self.table.candidates().len() as f64 } else { 1.0 };
        let alpha = spec.alpha / family;
        let z = |alpha: f64| normal_quantile(1.0 - alpha) + normal_quantile(spec.power);
        let settle = |measured: &Measured, boundary: f64, alpha: f64| -> f64 {
            let Some(es) = measured.interval else {
                return f64::INFINITY;
            };
            let se = es.se().max(1.0 / measured.n as f64);
            let distance = (measured.estimate - boundary).abs();
            measured.n as f64 * (z(alpha) * se / distance).powi(2)
        };
        let whole = &evidence.whole.effect;
        let heads_for_ship = whole.estimate >= spec.margin() && whole.estimate > spec.tested_effect();
        let mut needed = if heads_for_ship {
            settle(whole, spec.tested_effect(), alpha * SHIP_SHARE)
        } else {
            settle(whole, spec.margin(), spec.alpha)
        };
        if heads_for_ship {
            for slice in evidence.slices.iter().filter(|slice| p_floor(spec, slice) > alpha) {
                let share = slice.n as f64 / n;
                let silent = rows_for_silent_floor(spec.loss_floor, alpha).map_or(f64::INFINITY, |rows| rows as f64);
                let rows = match slice.interval {
                    Some(es) if !es.is_concordant() => settle(slice, spec.loss_floor, alpha),
                    _ => silent,
                };
                needed = needed.max(rows / share);
            }
            if let Some(gain) = spec.required_gain
                && evidence.whole.gain.is_some_and(|gain| gain.p > alpha)
            {
                let found = resource(self.table.baseline(), gain.metric)
                    .zip(resource(&self.table.arms[arm], gain.metric))
                    .and_then(|(b, a)| Resource::measure(self.table, &self.decider.layout.all, b, a));
                let t = found.map_or(0.0, |found| found.statistic(gain.min_reduction));
                needed = needed.max(n * (z(alpha) / t).powi(2));
            }
        }
        (needed < PRACTICAL_ROWS).then(|| (needed.ceil() as u64).max(self.table.n as u64 + 1))
    }

    fn disclosures(&self, arms: &[ArmVerdict], trials: (u32, u32)) -> Vec<Disclosure> {
        let (table, spec) = (self.table, self.spec);
        let mut found = Vec::new();
        let mut add = |kind, text| found.push(Disclosure { kind, text });
        if trials.0 != trials.1 {
            add(
                DisclosureKind::UnequalTrials,
                format!(
                    "rows have between {} and {} trials; each row counts once, with the mean over the trials it has",
                    trials.0, trials.1
                ),
            );
        }
        if trials.0 < 3 {
            add(
                DisclosureKind::FewTrials,
                format!(
                    "some rows have {} trial(s); three or more separate trial noise from row differences",
                    trials.0
                ),
            );
        }
        if let Some(count) = table.cluster_count().filter(|count| *count < MIN_CLUSTERS) {
            add(
                DisclosureKind::FewClusters,
                format!(
                    "{count} clusters are too few to speak of clusters that were not seen; the verdict holds for these"
                ),
            );
        } else if table.cluster_count().is_some() {
            for slice in arms.iter().take(1).flat_map(|arm| &arm.slices) {
                let Some(found) = &slice.estimate.inference else { continue };
                match found.n_clusters {
                    Some(count) if count >= MIN_CLUSTERS => {}
                    Some(count) => add(
                        DisclosureKind::FewClusters,
                        format!("slice {} spans {count} clusters only; its interval is wide", slice.slice),
                    ),
                    None => add(
                        DisclosureKind::FewClusters,
                        format!("slice {} is a single cluster; its interval holds for that cluster", slice.slice),
                    ),
                }
            }
        }
        for slice in arms.iter().take(1).flat_map(|arm| &arm.slices) {
            if slice.estimate.n_rows < MIN_ROWS {
                let consequence = match spec.evidence.floor {
                    FloorEvidence::Proven => {
                        "it has no interval, its floor cannot be proven and no arm can ship everywhere"
                    }
                    FloorEvidence::Estimate => "it has no interval, its floor is read from the estimate alone",
                };
                add(
                    DisclosureKind::SmallSlice,
                    format!("slice {} has {} rows: {consequence}", slice.slice, slice.estimate.n_rows),
                );
            }
        }
        for column in &table.slices {
            let outside = column.member.iter().filter(|m| **m == SliceColumn::NONE).count();
            if outside > 0 {
                add(
                    DisclosureKind::Unsliced,
                    format!("{outside} rows have no value in slice column `{}`; no scope includes them", column.name),
                );
            }
        }
        if table.weighted {
            add(
                DisclosureKind::PostStratified,
                format!("aggregates are weighted to the production mix of {} strata", table.shares.len()),
            );
        }
        let percent = 100.0 * spec.alpha;
        add(
            DisclosureKind::Multiplicity,
            if table.slices.is_empty() {
                format!("Holm over {} arm(s) at {percent}% one-sided on the aggregate's p / {}", arms.len(), SHIP_SHARE)
            } else {
                format!(
                    "Holm over {} arm(s) at {percent}% one-sided on the largest of the aggregate's p / {} and the slices' p; \
                     scopes are tested at {percent}% / {}",
                    arms.len(),
                    SHIP_SHARE,
                    arms.len()
                )
            },
        );
        if spec.evidence.effect == EffectEvidence::ProvenGain {
            add(
                DisclosureKind::WeakEvidence,
                "effect evidence is `proven_gain`: a gain over zero is proven, the minimum effect is only estimated; \
                 arms whose truth is just below it ship up to 75-90% of the time"
                    .to_owned(),
            );
        }
        if spec.evidence.floor == FloorEvidence::Estimate {
            add(
                DisclosureKind::WeakEvidence,
                "floor evidence is `estimate`: about half of all slices that truly sit at the floor pass".to_owned(),
            );
        }
        let mut scratch = Scratch::default();
        for (i, arm) in arms.iter().enumerate() {
            let plainly_above = match spec.objective {
                Objective::Superiority => arm.aggregate.effect > 0.0,
                Objective::NonInferiority => arm.aggregate.effect >= spec.margin(),
            };
            if plainly_above
                && self.decider.severity_disagrees(table, i + 1, &self.decider.layout.all, &mut scratch)
                && let Some(weighted) = &arm.severity_weighted
            {
                add(
                    DisclosureKind::SeverityDisagrees,
                    format!(
                        "arm `{}`: the effect is {} per row and {} weighted by severity",
                        arm.arm,
                        sentence::pp(arm.aggregate.effect),
                        sentence::pp(weighted.effect)
                    ),
                );
            }
            for mode in arm.failure_modes.iter().filter(|m| m.most_severe && m.shift > 0.0) {
                if mode.p_increase.is_none_or(|p| p > spec.alpha) {
                    add(
                        DisclosureKind::SevereModeRises,
                        format!(
                            "arm `{}`: the most severe mode `{}` rises from {:.1}% to {:.1}% of answers, within noise",
                            arm.arm,
                            mode.mode,
                            100.0 * mode.baseline_rate,
                            100.0 * mode.arm_rate
                        ),
                    );
                }
            }
            for (name, estimate) in [("cost", &arm.cost), ("latency", &arm.latency)] {
                if let Some(estimate) = estimate.as_ref().filter(|e| e.n_rows < table.n) {
                    add(
                        DisclosureKind::PartialResource,
                        format!("arm `{}`: {name} is known for {} of {} rows", arm.arm, estimate.n_rows, table.n),
                    );
                }
            }
        }
        found
    }
}

/// The production-weighted mean of a value over a region.
fn region_mean(table: &Table, region: &Region, value: impl Fn(usize) -> f64) -> f64 {
    let mut sums = vec![(0.0_f64, 0.0_f64); region.weights.len()];
    for &row in &region.rows {
        let cell = &mut sums[table.stratum[row as usize] as usize];
        cell.0 += 1.0;
        cell.1 += value(row as usize);
    }
    let total: f64 = region.weights.iter().sum();
    sums.iter().zip(&region.weights).filter(|(s, _)| s.0 > 0.0).map(|(s, w)| w / total * s.1 / s.0).sum()
}

fn family(arms: &[ArmVerdict], decisions: &Decisions) -> FamilyVerdict {
    let outcome = if let Some(arm) = decisions.ship {
        FamilyOutcome::Ship { arm: arms[arm].arm.clone() }
    } else if let Some(arm) = decisions.scope {
        let slices = match &arms[arm].outcome {
            Outcome::Scope { slices } => slices.clone(),
            _ => Vec::new(),
        };
        FamilyOutcome::Scope { arm: arms[arm].arm.clone(), slices }
    } else if arms.iter().all(|arm| matches!(arm.outcome, Outcome::Kill { .. })) {
        FamilyOutcome::Kill { harm: arms.iter().all(|arm| arm.outcome == Outcome::Kill { harm: true }) }
    } else {
        let rows_needed = arms
            .iter()
            .filter_map(|arm| match arm.outcome {
                Outcome::Underpowered { rows_needed } => rows_needed,
                _ => None,
            })
            .min();
        FamilyOutcome::Underpowered { rows_needed }
    };
    let winner = match &outcome {
        FamilyOutcome::Ship { arm } | FamilyOutcome::Scope { arm, .. } => Some(arm.clone()),
        _ => None,
    };
    let sentence = sentence::family(arms, &outcome);
    FamilyVerdict { outcome, winner, sentence }
}
