//! Every figure of an experiment, computed from its record.
//!
//! Figures are rounded to nine significant digits, far below anything that is read from them, so
//! that two machines whose arithmetic differs in the last bit write the same file.

use crate::data_json as out;
use crate::record::{Record, RecordError};
use crate::words::{polished, pp};
use itera_core::event::{ChangeClass, Event, GateDecision, Outcome as IterationResult, PassKind, PassPlan};
use itera_core::frame::{ArmRole, Frame};
use itera_core::ids::Digest;
use itera_core::ids::{ArmId, RowId, Version};
use itera_core::pairing::{HiddenFold, row_means, table};
use itera_core::rule::{
    EffectEstimate, EffectEvidence, FamilyOutcome, FloorEvidence, Objective, OverfitAlarm, SliceRef, Verdict, judge,
    overfit_alarm,
};
use itera_core::scores::ScoreRecord;
use itera_core::state::State;
use std::collections::BTreeMap;

/// Rounds to nine significant digits.
pub(crate) fn sig(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    format!("{value:.8e}").parse().unwrap_or(value)
}

fn some(value: f64) -> Option<f64> {
    value.is_finite().then(|| sig(value))
}

/// The verdict, judged again from the test scores.
///
/// # Errors
/// When there is no complete test pass or its scores cannot be judged.
pub fn rejudge(record: &Record) -> Result<Verdict, RecordError> {
    let state = record.state();
    let frame = record.frame(&state)?;
    let sample = record.sample(&state)?;
    let test =
        record.plans().into_iter().find(|p| p.kind == PassKind::Test).ok_or(RecordError::Missing("test pass"))?;
    let arms: Vec<ArmId> = test.arms.iter().map(|(a, _)| a.clone()).collect();
    let table = table(frame, sample, &arms, &record.rows, &record.pass(test.pass))?;
    Ok(judge(&frame.rule(), &table)?)
}

/// The estimates of arm versions on dev, judged like a test so that noise and intervals are the
/// same; dev rows that were revealed later are left out, and with `shown` the hidden fold too.
///
/// # Errors
/// When the scores cannot be judged.
pub fn dev_estimates(
    record: &Record,
    versions: &[(ArmId, Version)],
    shown: bool,
) -> Result<Option<Verdict>, RecordError> {
    let state = record.state();
    let frame = record.frame(&state)?;
    let sample = record.sample(&state)?;
    let fold = HiddenFold::of(frame, sample);
    let mut scores = Vec::new();
    for (arm, version) in versions {
        let Some(pass) = state.dev_pass_of(arm, *version) else { return Ok(None) };
        scores.extend(
            record
                .scores
                .iter()
                .filter(|r| {
                    r.pass == pass.plan.pass
                        && &r.arm == arm
                        && r.version == *version
                        && pass.plan.rows.contains(&r.row)
                        && !state.demoted.contains(&r.row)
                        && !(shown && fold.holds(&r.row))
                })
                .cloned(),
        );
    }
    // Rows that every version answered: a row revealed between two passes is in the first only.
    let mut seen: BTreeMap<&RowId, std::collections::BTreeSet<&ArmId>> = BTreeMap::new();
    for r in &scores {
        seen.entry(&r.row).or_default().insert(&r.arm);
    }
    let complete: std::collections::BTreeSet<RowId> =
        seen.into_iter().filter(|(_, arms)| arms.len() == versions.len()).map(|(r, _)| r.clone()).collect();
    let scores: Vec<ScoreRecord> = scores.into_iter().filter(|r| complete.contains(&r.row)).collect();
    if complete.len() < 12 || versions.len() < 2 {
        return Ok(None);
    }
    let arms: Vec<ArmId> = versions.iter().map(|(a, _)| a.clone()).collect();
    let table = match table(frame, sample, &arms, &record.rows, &scores) {
        Ok(table) => table,
        // A slice that dev no longer holds (its rows were all revealed) leaves nothing to weight.
        Err(itera_core::rule::TableError::EmptyStratum { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(judge(&frame.rule(), &table)?))
}

/// Everything that `data.json` holds.
///
/// # Errors
/// When the record has no verdict or its scores cannot be judged.
pub fn figures(record: &Record) -> Result<out::DataJson, RecordError> {
    let state = record.state();
    let frame = record.frame(&state)?;
    let sample = record.sample(&state)?;
    let verdict = rejudge(record)?;
    let test =
        record.plans().into_iter().find(|p| p.kind == PassKind::Test).ok_or(RecordError::Missing("test pass"))?;
    let scores = record.pass(test.pass);
    let multi = frame.source.slices.len() > 1;
    let head = record
        .entries
        .iter()
        .rfind(|e| !matches!(e.event, Event::Concluded { .. }))
        .ok_or(RecordError::Missing("entry"))?;
    let locked_on = record
        .entries
        .iter()
        .find(|e| matches!(e.event, Event::FrameLocked { .. }))
        .map(|e| e.at.to_string()[..10].to_owned());

    let mut data = out::DataJson {
        schema_version: Some(out::SCHEMA_VERSION),
        experiment: out::Experiment {
            id: state.id.as_ref().map(|i| i.0.clone()),
            topic: Some(frame.topic.clone()),
            name: frame.topic.clone(),
            question: frame.question.clone(),
            hypothesis: Some(frame.hypothesis.clone()),
            scorer: Some(crate::words::scorer(frame)),
            metric: frame.metric.name.clone(),
            threshold_pct: Some(match frame.ship_rule.objective {
                Objective::Superiority => frame.ship_rule.min_effect_pp.abs(),
                Objective::NonInferiority => -frame.ship_rule.min_effect_pp.abs(),
            }),
            threshold_rule: crate::words::rule(frame),
            test_set_n: Some(verdict.n_rows as u64),
            trials_per_arm: Some(frame.trials),
        },
        frame_hash: state.frame_hash.as_ref().map(|h| h.0.clone()),
        ledger_head: Some(head.hash.0.clone()),
        seed: Some(frame.seed().to_string()),
        splits: Some(out::Splits { train: sample.splits.train, dev: sample.splits.dev, test: sample.splits.test }),
        ship_rule: Some(ship_rule(frame)),
        sample: Some(sample_out(sample)),
        interval_level: Some(0.95),
        spend: Some(spend(record)),
        design: design(record),
        audit: audit_lines(record),
        digests: Some(out::Digests {
            scores_csv: Digest::of(&record.scores_csv()).0,
            ledger_jsonl: Digest::of(&record.ledger_jsonl()).0,
        }),
        ..out::DataJson::default()
    };
    for (arm, version) in &test.arms {
        let mut figures = arm_figures(frame, arm, *version, &verdict, &scores);
        figures.dev_mean = mean(&trial_means(record, &state, arm, *version)).map(sig);
        data.arms.push(figures);
        data.variance_trials.insert(arm.0.clone(), trial_means(record, &state, arm, *version));
        data.test_set_trials.insert(arm.0.clone(), means_by_trial(&scores, arm, |_| true));
        data.test_set_aggregate.insert(arm.0.clone(), sig(score_of(&verdict, arm, frame)));
    }
    gate_killed(&mut data, record, &state, frame);
    cost_differences(&mut data);
    for column in slice_ids(&verdict, multi) {
        let rows: Vec<&RowId> =
            test.rows.iter().filter(|r| record.rows.get(*r).is_some_and(|m| in_slice(frame, m, &column.0))).collect();
        let cell = sample.distribution.iter().find(|c| c.column == column.0.column && c.value == column.0.value);
        data.slices.push(out::Slice {
            id: column.0.to_string(),
            name: column.1.clone(),
            column: Some(column.0.column.clone()),
            test_n: Some(rows.len() as u64),
            production_share: cell.map(|c| sig(c.production_share)),
            test_share: Some(sig(rows.len() as f64 / test.rows.len().max(1) as f64)),
        });
    }
    slices_and_effects(&mut data, &verdict, frame);
    failure_modes(&mut data, &verdict, frame, &scores, locked_on.clone());
    severity(&mut data, &verdict, frame, locked_on);
    iterations(&mut data, record, &state);
    data.trajectory = trajectory(record, &state)?;
    data.operating_characteristics = operating(record);
    for (arm, alarm) in overfit(record, &verdict)? {
        data.dev_to_test.insert(
            arm,
            out::DevToTest {
                dev_effect: sig(alarm.dev_effect),
                test_effect: sig(alarm.test_effect),
                drop: sig(alarm.drop),
                noise: sig(alarm.noise),
                raised: alarm.raised,
            },
        );
    }
    data.disclosures = disclosures(record, &state, &verdict, &data)?;
    verdict_out(&mut data, &verdict);
    data.validate()?;
    Ok(data)
}

/// Arms that a gate killed: they have dev figures, an outcome, and no test.
fn gate_killed(data: &mut out::DataJson, record: &Record, state: &State, frame: &Frame) {
    for entry in &record.entries {
        let Event::GateJudged { gate } = &entry.event else { continue };
        for arm in &gate.killed {
            let (Some(spec), false) = (frame.arm(arm), data.arms.iter().any(|a| a.id == arm.0)) else { continue };
            let version = state.passes.iter().flat_map(|p| &p.plan.arms).filter(|a| &a.0 == arm).map(|a| a.1).max();
            let trials = version.map(|v| trial_means(record, state, arm, v)).unwrap_or_default();
            data.arms.push(out::Arm {
                id: arm.0.clone(),
                name: spec.label().to_owned(),
                reference: Some(spec.reference.clone()),
                change: Some(spec.change.clone()),
                version,
                role: Some(match spec.role {
                    ArmRole::Candidate => out::Role::Candidate,
                    ArmRole::NegativeControl => out::Role::NegativeControl,
                }),
                dev_mean: mean(&trials).map(sig),
                ..out::Arm::default()
            });
            data.variance_trials.insert(arm.0.clone(), trials);
            data.verdict.killed.push(arm.0.clone());
            data.verdict.per_arm.push(out::ArmVerdict {
                arm: arm.0.clone(),
                outcome: out::Outcome::Kill,
                slices: Vec::new(),
                clause: "gate".into(),
                sentence: format!(
                    "`{arm}` was killed at the gate of sprint {} and did not go to the test: {}",
                    gate.sprint, gate.reason
                ),
                rows_needed: None,
                p_value: None,
                p_adjusted: None,
                floor_open: Vec::new(),
            });
        }
    }
}

fn cost_differences(data: &mut out::DataJson) {
    let Some(base) = data.arms.first().and_then(|a| a.cost_per_1k_usd) else { return };
    for arm in data.arms.iter_mut().skip(1) {
        if let (Some(mine), Some(cost)) = (arm.cost_per_1k_usd, arm.cost.as_mut()) {
            cost.per_1k_difference_usd = Some(sig(mine - base));
            cost.relative_difference = (base > 0.0).then(|| sig((mine - base) / base));
        }
    }
}

fn sample_out(sample: &itera_core::sample::SampleSummary) -> out::Sample {
    out::Sample {
        source_rows: sample.source_rows,
        sampled: sample.sampled,
        distribution: sample
            .distribution
            .iter()
            .map(|c| {
                let share = c.sampled as f64 / sample.sampled.max(1) as f64;
                out::SampleCell {
                    column: c.column.clone(),
                    value: c.value.clone(),
                    production_share: sig(c.production_share),
                    sample_share: sig(share),
                    gap: sig(share - c.production_share),
                    splits: out::Splits { train: c.splits.train, dev: c.splits.dev, test: c.splits.test },
                }
            })
            .collect(),
    }
}

fn spend(record: &Record) -> out::Spend {
    let mut spend = out::Spend::default();
    for entry in &record.entries {
        if let Event::PassCompleted { records, failed_calls, cost_usd, .. } = &entry.event {
            spend.calls += records;
            spend.failed_calls += failed_calls;
            spend.cost_usd += cost_usd;
        }
    }
    spend.cost_usd = sig(spend.cost_usd);
    spend
}

fn audit_lines(record: &Record) -> Vec<out::AuditLine> {
    use itera_core::audit::AuditStatus as S;
    itera_core::audit::audit(&record.entries)
        .into_iter()
        .map(|line| out::AuditLine {
            guard: line.guard.name().to_owned(),
            status: match line.status {
                S::Passed => out::AuditStatus::Passed,
                S::Disclosed => out::AuditStatus::Disclosed,
                S::NotApplicable => out::AuditStatus::NotApplicable,
                S::Pending => out::AuditStatus::Pending,
                S::NotEnforced => out::AuditStatus::NotEnforced,
            },
            evidence: line.evidence,
            entry: line.entry,
        })
        .collect()
}

fn ship_rule(frame: &Frame) -> out::ShipRule {
    let r = &frame.ship_rule;
    out::ShipRule {
        objective: match r.objective {
            Objective::Superiority => out::Objective::Superiority,
            Objective::NonInferiority => out::Objective::NonInferiority,
        },
        min_effect_pp: r.min_effect_pp.abs(),
        loss_floor_pp: Some(-r.loss_floor_pp.abs()),
        alpha: r.alpha,
        evidence: Some(out::Evidence {
            effect: match r.evidence.effect {
                EffectEvidence::ProvenMargin => out::EffectEvidence::ProvenMargin,
                EffectEvidence::ProvenGain => out::EffectEvidence::ProvenGain,
            },
            floor: match r.evidence.floor {
                FloorEvidence::Proven => out::FloorEvidence::Proven,
                FloorEvidence::Estimate => out::FloorEvidence::Estimate,
            },
        }),
    }
}

fn score_of(verdict: &Verdict, arm: &ArmId, frame: &Frame) -> f64 {
    if arm == &frame.baseline.id {
        verdict.arms.first().map_or(0.0, |a| a.aggregate.baseline_mean)
    } else {
        verdict.arm(arm.as_str()).map_or(0.0, |a| a.aggregate.arm_mean)
    }
}

fn arm_figures(frame: &Frame, arm: &ArmId, version: Version, verdict: &Verdict, scores: &[ScoreRecord]) -> out::Arm {
    let spec = frame.arm(arm);
    let mine: Vec<&ScoreRecord> = scores.iter().filter(|r| &r.arm == arm).collect();
    let costs: Vec<f64> = mine.iter().filter(|r| !r.first_call).filter_map(|r| r.cost_usd).collect();
    let first: Vec<f64> = mine.iter().filter(|r| r.first_call).filter_map(|r| r.cost_usd).collect();
    let mut latency: Vec<f64> = mine.iter().map(|r| r.latency_ms).collect();
    latency.sort_by(f64::total_cmp);
    let quantile = |q: f64| {
        (!latency.is_empty())
            .then(|| sig(latency[((latency.len() as f64 * q).ceil() as usize).clamp(1, latency.len()) - 1]))
    };
    let steady = mean(&costs).or_else(|| mean(&first));
    let cost_spread = spread(&costs);
    let means = row_means(mine.iter().copied(), arm, version);
    let values: Vec<f64> = means.values().copied().collect();
    let score = score_of(verdict, arm, frame);
    // Interval of the arm's own mean: rows are the unit; two-sided 95%, normal.
    let half = spread(&values).map(|se| 1.959_964 * se);
    out::Arm {
        id: arm.0.clone(),
        name: spec.map_or(arm.as_str(), |s| s.label()).to_owned(),
        cost_per_1k_usd: steady.map(|c| sig(c * 1000.0)),
        version: Some(version),
        reference: spec.map(|s| s.reference.clone()),
        change: spec.map(|s| s.change.clone()).filter(|c| !c.is_empty()),
        role: spec.map(|s| match s.role {
            _ if arm == &frame.baseline.id => out::Role::Baseline,
            ArmRole::Candidate => out::Role::Candidate,
            ArmRole::NegativeControl => out::Role::NegativeControl,
        }),
        test_score: Some(out::Interval {
            mean: sig(score),
            ci_low: half.map(|h| sig((score - h).max(0.0))),
            ci_high: half.map(|h| sig((score + h).min(1.0))),
        }),
        cost: steady.map(|c| out::Cost {
            steady_mean_usd: some(c),
            first_call_mean_usd: mean(&first).and_then(some),
            per_1k_ci_low_usd: cost_spread.map(|se| sig(((c - 1.959_964 * se) * 1000.0).max(0.0))),
            per_1k_ci_high_usd: cost_spread.map(|se| sig((c + 1.959_964 * se) * 1000.0)),
            ..out::Cost::default()
        }),
        latency: Some(out::Latency {
            mean_ms: mean(&latency).and_then(some),
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
        }),
        tokens: {
            let tokens = |of: fn(&ScoreRecord) -> Option<u64>| {
                let values: Vec<f64> = mine.iter().filter_map(|r| of(r)).map(|v| v as f64).collect();
                mean(&values).and_then(some)
            };
            let (input_mean, output_mean) = (tokens(|r| r.input_tokens), tokens(|r| r.output_tokens));
            (input_mean.is_some() || output_mean.is_some()).then_some(out::Tokens { input_mean, output_mean })
        },
        ..out::Arm::default()
    }
}

pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Standard error of a mean.
fn spread(values: &[f64]) -> Option<f64> {
    let m = mean(values)?;
    let n = values.len() as f64;
    (n >= 2.0).then(|| (values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt())
}

fn means_by_trial(scores: &[ScoreRecord], arm: &ArmId, keep: impl Fn(&ScoreRecord) -> bool) -> Vec<f64> {
    let mut sums: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for r in scores.iter().filter(|r| &r.arm == arm && keep(r)) {
        let s = sums.entry(r.trial).or_default();
        s.0 += r.score;
        s.1 += 1.0;
    }
    sums.into_values().map(|(sum, n)| sig(sum / n)).collect()
}

fn trial_means(record: &Record, state: &State, arm: &ArmId, version: Version) -> Vec<f64> {
    let Some(pass) = state.dev_pass_of(arm, version) else { return Vec::new() };
    means_by_trial(&record.scores, arm, |r| {
        r.pass == pass.plan.pass && r.version == version && pass.plan.rows.contains(&r.row)
    })
}

fn slice_ids(verdict: &Verdict, multi: bool) -> Vec<(SliceRef, String)> {
    verdict.arms.first().map_or(Vec::new(), |a| {
        a.slices
            .iter()
            .map(|s| {
                let name = if multi { format!("{}: {}", s.slice.column, s.slice.value) } else { s.slice.value.clone() };
                (s.slice.clone(), name)
            })
            .collect()
    })
}

fn in_slice(frame: &Frame, meta: &itera_core::scores::RowMeta, slice: &SliceRef) -> bool {
    frame.source.slices.iter().zip(&meta.slices).any(|(c, v)| *c == slice.column && *v == slice.value)
}

fn effect(e: &EffectEstimate) -> out::Effect {
    let i = e.inference.as_ref();
    out::Effect {
        delta: sig(e.effect),
        ci_low: i.and_then(|i| some(i.ci_low)),
        ci_high: i.and_then(|i| some(i.ci_high)),
        lower_bound: i.and_then(|i| some(i.lower_bound)),
        upper_bound: i.and_then(|i| some(i.upper_bound)),
        p_value: i.and_then(|i| some(i.p_value)),
        n: Some(e.n_rows as u64),
        n_star: i.and_then(|i| some(i.n_star)),
        mde: i.and_then(|i| some(i.mde)),
        noise_se: i.and_then(|i| some(i.se)),
        discordance: Some(out::Discordance { wins: sig(e.wins), losses: sig(e.losses) }),
    }
}

fn slices_and_effects(data: &mut out::DataJson, verdict: &Verdict, frame: &Frame) {
    for arm in &verdict.arms {
        let mut effects = out::ArmEffects { aggregate: effect(&arm.aggregate), per_slice: BTreeMap::new() };
        for slice in &arm.slices {
            let id = slice.slice.to_string();
            effects.per_slice.insert(id.clone(), effect(&slice.estimate));
            data.test_set_per_slice
                .entry(arm.arm.clone())
                .or_default()
                .insert(id.clone(), sig(slice.estimate.arm_mean));
            data.test_set_per_slice
                .entry(frame.baseline.id.0.clone())
                .or_default()
                .insert(id, sig(slice.estimate.baseline_mean));
        }
        data.effect_sizes.insert(arm.arm.clone(), effects);
    }
}

fn failure_modes(
    data: &mut out::DataJson,
    verdict: &Verdict,
    frame: &Frame,
    scores: &[ScoreRecord],
    on: Option<String>,
) {
    let mut counts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for arm in verdict.arms.iter().map(|a| a.arm.as_str()).chain([frame.baseline.id.as_str()]) {
        let mine = counts.entry(arm.to_owned()).or_default();
        for mode in &frame.failure_modes {
            mine.insert(mode.id.clone(), 0);
        }
    }
    for r in scores {
        for mode in &r.failure_modes {
            if let Some(count) = counts.get_mut(r.arm.as_str()).and_then(|m| m.get_mut(mode)) {
                *count += 1;
            }
        }
    }
    let answers = verdict.n_rows as u64 * u64::from(frame.trials);
    let rate = |arm: &str, mode: &str| {
        let n = counts.get(arm).and_then(|c| c.get(mode)).copied().unwrap_or(0);
        sig(n as f64 / answers.max(1) as f64)
    };
    let base = frame.baseline.id.as_str();
    let rates = counts
        .iter()
        .map(|(arm, modes)| {
            let of = |mode: &String| out::ModeRate {
                rate: rate(arm, mode),
                change: (arm != base).then(|| sig(rate(arm, mode) - rate(base, mode))),
            };
            (arm.clone(), modes.keys().map(|mode| (mode.clone(), of(mode))).collect())
        })
        .collect();
    data.failure_modes = Some(out::FailureModes {
        registered_at_phase_2: on,
        categories: frame
            .failure_modes
            .iter()
            .map(|m| out::FailureCategory {
                id: m.id.clone(),
                name: m.description.clone(),
                severity_weight: Some(m.weight),
            })
            .collect(),
        test_set_counts: counts,
        test_set_rates: rates,
        answers_per_arm: Some(answers),
    });
}

fn severity(data: &mut out::DataJson, verdict: &Verdict, frame: &Frame, on: Option<String>) {
    let Some(registered) = &frame.severity else { return };
    let mut weighted = BTreeMap::new();
    let mut effects = BTreeMap::new();
    for arm in &verdict.arms {
        if let Some(e) = &arm.severity_weighted {
            weighted.insert(frame.baseline.id.0.clone(), sig(e.baseline_mean));
            weighted.insert(arm.arm.clone(), sig(e.arm_mean));
            effects.insert(arm.arm.clone(), effect(e));
        }
    }
    data.severity = Some(out::Severity {
        field: registered.column.clone(),
        registered_at_phase_2: on,
        cap: Some(registered.cap),
        test_set_weighted_accuracy: weighted,
        effect_sizes: effects,
    });
}

fn iterations(data: &mut out::DataJson, record: &Record, state: &State) {
    for entry in &record.entries {
        match &entry.event {
            Event::ChangeProposed { proposal: p } => {
                let scored = state
                    .passes
                    .iter()
                    .filter_map(|pass| pass.iteration.as_ref())
                    .find(|i| i.arm == p.arm && i.version == p.version);
                let finding =
                    state.gates.iter().flat_map(|g| &g.findings).find(|f| f.arm == p.arm && f.version == p.version);
                data.iterations.push(out::Iteration {
                    sprint: p.sprint,
                    iteration: p.iteration,
                    arm: p.arm.0.clone(),
                    version: p.version,
                    builds_on: Some(p.builds_on),
                    hypothesis: p.hypothesis.clone(),
                    change: p.change.clone(),
                    effect: scored.map(|i| sig(i.effect)),
                    se: scored.map(|i| sig(i.se)),
                    rows: scored.map(|i| i.rows),
                    outcome: scored.map(|i| match i.outcome {
                        IterationResult::Supported => out::IterationOutcome::Supported,
                        IterationResult::Neutral => out::IterationOutcome::Neutral,
                        IterationResult::Falsified => out::IterationOutcome::Falsified,
                    }),
                    gate: finding.map(|f| out::GateFinding {
                        class: match f.class {
                            ChangeClass::Mechanism => out::ChangeClass::Mechanism,
                            ChangeClass::Hardcode => out::ChangeClass::Hardcode,
                            ChangeClass::CannotTell => out::ChangeClass::CannotTell,
                        },
                        kept: f.kept,
                        reason: f.reason.clone(),
                        quoted_dev_rows: Some(f.quoted_dev_rows),
                    }),
                });
            }
            Event::GateJudged { gate } => data.gates.push(out::Gate {
                sprint: gate.sprint,
                decision: match gate.decision {
                    GateDecision::Continue => out::GateDecision::Continue,
                    GateDecision::Lock => out::GateDecision::Lock,
                    GateDecision::Kill => out::GateDecision::Kill,
                },
                signal_left: gate.signal_left,
                reason: gate.reason.clone(),
                killed: gate.killed.iter().map(|a| a.0.clone()).collect(),
            }),
            _ => {}
        }
    }
}

fn design(record: &Record) -> Option<out::Design> {
    record.entries.iter().find_map(|e| match &e.event {
        Event::FrameLocked { design, .. } => design.as_ref().map(|d| out::Design {
            test_rows: d.test_rows,
            planned_effect_pp: sig(d.planned_effect_pp),
            power: sig(d.power),
        }),
        _ => None,
    })
}

fn operating(record: &Record) -> Vec<out::OperatingPoint> {
    let design = record.entries.iter().find_map(|e| match &e.event {
        Event::FrameLocked { design, .. } => design.as_ref(),
        _ => None,
    });
    design.map_or(Vec::new(), |d| {
        d.points
            .iter()
            .map(|p| out::OperatingPoint {
                truth_pp: p.effect_pp,
                scenario: Some(polished(&p.truth)),
                ship: p.ship,
                scope: p.scope,
                kill: p.kill,
                underpowered: p.underpowered,
            })
            .collect()
    })
}

fn trajectory(record: &Record, state: &State) -> Result<Vec<out::TrajectoryPoint>, RecordError> {
    let mut points = Vec::new();
    for plan in record.plans().iter().filter(|p| p.kind == PassKind::Dev) {
        for (arm, version) in &plan.arms {
            let proposal = state.arms.get(arm).and_then(|a| a.version(*version)).and_then(|v| v.proposal.as_ref());
            let values = dev_values(record, plan, arm, *version);
            let Some(m) = mean(&values) else { continue };
            let half = spread(&values).map(|se| 1.959_964 * se);
            points.push(out::TrajectoryPoint {
                pass: plan.pass,
                sprint: proposal.map_or(0, |p| p.sprint),
                iteration: proposal.map_or(0, |p| p.iteration),
                arm: arm.0.clone(),
                version: *version,
                mean: sig(m),
                ci_low: half.map(|h| sig((m - h).max(0.0))),
                ci_high: half.map(|h| sig((m + h).min(1.0))),
                n: Some(values.len() as u64),
            });
        }
    }
    Ok(points)
}

fn dev_values(record: &Record, plan: &PassPlan, arm: &ArmId, version: Version) -> Vec<f64> {
    let scores: Vec<ScoreRecord> =
        record.scores.iter().filter(|r| r.pass == plan.pass && plan.rows.contains(&r.row)).cloned().collect();
    row_means(&scores, arm, version).into_values().collect()
}

/// The overfit alarm of every candidate that was scored on dev.
///
/// # Errors
/// When dev scores cannot be judged.
pub fn overfit(record: &Record, verdict: &Verdict) -> Result<Vec<(String, OverfitAlarm)>, RecordError> {
    let state = record.state();
    let Some(locked) = &state.locked else { return Ok(Vec::new()) };
    let versions: Vec<(ArmId, Version)> =
        record.frame(&state)?.all_arms().filter_map(|a| Some((a.id.clone(), *locked.get(&a.id)?))).collect();
    let Some(dev) = dev_estimates(record, &versions, false)? else { return Ok(Vec::new()) };
    Ok(verdict
        .arms
        .iter()
        .filter_map(|arm| {
            let on_dev = &dev.arm(&arm.arm)?.aggregate;
            let se = |e: &EffectEstimate| e.inference.as_ref().map(|i| i.se);
            Some((
                arm.arm.clone(),
                overfit_alarm((on_dev.effect, se(on_dev)?), (arm.aggregate.effect, se(&arm.aggregate)?)),
            ))
        })
        .collect())
}

fn disclosures(
    record: &Record,
    state: &State,
    verdict: &Verdict,
    data: &out::DataJson,
) -> Result<Vec<out::Disclosure>, RecordError> {
    let mut list: Vec<out::Disclosure> = verdict
        .disclosures
        .iter()
        .map(|d| out::Disclosure { id: serde_name(&d.kind), text: polished(&d.text) })
        .collect();
    for line in data.audit.iter().filter(|l| l.status == out::AuditStatus::Disclosed) {
        list.push(out::Disclosure { id: line.guard.clone(), text: line.evidence.clone() });
    }
    for (arm, alarm) in data.dev_to_test.iter().filter(|(_, alarm)| alarm.raised) {
        list.push(out::Disclosure {
            id: "overfit-alarm".into(),
            text: format!(
                "`{arm}`: the effect fell from {} pp on dev to {} pp on test, more than twice its noise ({:.1} pp)",
                pp(alarm.dev_effect),
                pp(alarm.test_effect),
                alarm.noise * 100.0
            ),
        });
    }
    let failed = data.spend.map_or(0, |s| s.failed_calls);
    if failed > 0 {
        list.push(out::Disclosure { id: "failed-calls".into(), text: format!("{failed} call(s) failed and scored 0") });
    }
    let deterministic = deterministic_arms(record, state);
    if !deterministic.is_empty() {
        list.push(out::Disclosure {
            id: "deterministic-arms".into(),
            text: format!("gave the same output in every trial of every test row: {}", deterministic.join(", ")),
        });
    }
    Ok(list)
}

/// Arms whose outputs never differed between trials of a test row.
fn deterministic_arms(record: &Record, state: &State) -> Vec<String> {
    let Some(test) = state.test_pass() else { return Vec::new() };
    let mut same: BTreeMap<&ArmId, bool> = BTreeMap::new();
    let mut first: BTreeMap<(&ArmId, &RowId), &Digest> = BTreeMap::new();
    for r in record.scores.iter().filter(|r| r.pass == test.plan.pass) {
        let before = first.entry((&r.arm, &r.row)).or_insert(&r.output_digest);
        let flag = same.entry(&r.arm).or_insert(true);
        *flag &= *before == &r.output_digest;
    }
    same.into_iter().filter(|(_, s)| *s).map(|(a, _)| a.0.clone()).collect()
}

fn serde_name<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Adds what the rule says to what the gates said.
fn verdict_out(data: &mut out::DataJson, verdict: &Verdict) {
    use itera_core::rule::Outcome as R;
    let at_the_gate = std::mem::take(&mut data.verdict);
    let mut per_arm: Vec<out::ArmVerdict> = verdict
        .arms
        .iter()
        .map(|a| {
            let (outcome, slices, rows_needed) = match &a.outcome {
                R::Ship => (out::Outcome::Ship, Vec::new(), None),
                R::Scope { slices } => (out::Outcome::Scope, slices.iter().map(SliceRef::to_string).collect(), None),
                R::Kill { .. } => (out::Outcome::Kill, Vec::new(), None),
                R::Underpowered { rows_needed } => (out::Outcome::Underpowered, Vec::new(), *rows_needed),
            };
            out::ArmVerdict {
                arm: a.arm.clone(),
                outcome,
                slices,
                clause: a.clause.id().to_owned(),
                sentence: polished(&a.sentence),
                rows_needed,
                p_value: some(a.p_arm.min(1.0)),
                p_adjusted: some(a.p_holm.min(1.0)),
                floor_open: a.slices.iter().filter(|s| !s.floor_holds).map(|s| s.slice.to_string()).collect(),
            }
        })
        .collect();
    per_arm.extend(at_the_gate.per_arm);
    data.verdict = out::Verdict {
        winner: verdict.family.winner.clone(),
        killed: per_arm.iter().filter(|a| a.outcome == out::Outcome::Kill).map(|a| a.arm.clone()).collect(),
        rationale: polished(&verdict.family.sentence),
        outcome: Some(match verdict.family.outcome {
            FamilyOutcome::Ship { .. } => out::Outcome::Ship,
            FamilyOutcome::Scope { .. } => out::Outcome::Scope,
            FamilyOutcome::Kill { .. } => out::Outcome::Kill,
            FamilyOutcome::Underpowered { .. } => out::Outcome::Underpowered,
        }),
        per_arm,
    };
}
