//! Writing what `analyze` found.

use std::io::Write;

use itera_core::rule::{
    ArmVerdict, EffectEstimate, FamilyOutcome, Inference, ModeShift, Outcome, ResourceEstimate, SliceRef, Verdict,
};
use serde_json::{Map, Value, json};

const UNSEALED: &str =
    "these scores were not produced under a locked frame and a sealed test; the verdict is only as honest as the file";

/// One object, or `{"experiments": [..]}` for a file with an `experiment` column.
pub(super) fn json(
    results: &[(Option<String>, Verdict)],
    has_experiments: bool,
    notes: &[String],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let value = if has_experiments {
        json!({ "experiments": results.iter().map(|r| experiment(r, notes)).collect::<Vec<_>>() })
    } else {
        results.first().map_or(Value::Null, |result| experiment(result, notes))
    };
    serde_json::to_writer_pretty(&mut *out, &value)?;
    writeln!(out)?;
    Ok(())
}

fn experiment((name, verdict): &(Option<String>, Verdict), notes: &[String]) -> Value {
    let mut disclosures: Vec<Value> = vec![json!({ "kind": "unsealed", "text": UNSEALED })];
    disclosures.extend(notes.iter().map(|note| json!({ "kind": "reading", "text": note })));
    disclosures.extend(verdict.disclosures.iter().map(|d| json!({ "kind": d.kind, "text": d.text })));
    let arms: Map<String, Value> = verdict.arms.iter().map(|a| (a.arm.clone(), arm(a))).collect();
    let (scope, rows_needed, harm) = match &verdict.family.outcome {
        FamilyOutcome::Ship { .. } => (None, None, None),
        FamilyOutcome::Scope { slices, .. } => (Some(refs(slices)), None, None),
        FamilyOutcome::Kill { harm } => (None, None, Some(*harm)),
        FamilyOutcome::Underpowered { rows_needed } => (None, *rows_needed, None),
    };
    let mut object = json!({
        "baseline": verdict.baseline,
        "n_rows": verdict.n_rows,
        "n_strata": verdict.n_strata,
        "n_clusters": verdict.n_clusters,
        "trials": { "min": verdict.trials.0, "max": verdict.trials.1 },
        "arms": arms,
        "verdict": verdict.family.outcome.name(),
        "winner": verdict.family.winner,
        "family": {
            "verdict": verdict.family.outcome.name(),
            "winner": verdict.family.winner,
            "scope": scope,
            "rows_needed": rows_needed,
            "harm": harm,
            "reason": verdict.family.sentence,
        },
        "disclosures": disclosures,
        "sealed": false,
    });
    if let (Some(name), Some(object)) = (name, object.as_object_mut()) {
        object.insert("experiment".to_owned(), json!(name));
    }
    object
}

fn refs(slices: &[SliceRef]) -> Value {
    slices.iter().map(|s| json!({ "column": s.column, "value": s.value })).collect()
}

fn pp(fraction: f64) -> f64 {
    100.0 * fraction
}

/// The keys that an aggregate and a slice share; null where fewer than 12 rows allow no inference.
fn estimate(found: &EffectEstimate) -> Map<String, Value> {
    let get = |pick: fn(&Inference) -> f64| found.inference.as_ref().map(pick);
    let pair = [
        ("effect_pp", json!(pp(found.effect))),
        ("ci_low_pp", json!(get(|i| pp(i.ci_low)))),
        ("ci_high_pp", json!(get(|i| pp(i.ci_high)))),
        ("lower_bound_pp", json!(get(|i| pp(i.lower_bound)))),
        ("upper_bound_pp", json!(get(|i| pp(i.upper_bound)))),
        ("p_value", json!(get(|i| i.p_value))),
        ("against_pp", json!(get(|i| pp(i.against)))),
        ("n_rows", json!(found.n_rows)),
        ("n_star", json!(get(|i| i.n_star))),
        ("nu", json!(get(|i| i.nu))),
        ("n_clusters", json!(found.inference.as_ref().and_then(|i| i.n_clusters))),
        ("se_pp", json!(get(|i| pp(i.se)))),
        ("mde_pp", json!(get(|i| pp(i.mde)))),
        ("below_noise", json!(found.inference.as_ref().map(|i| i.below_noise))),
        ("baseline_mean", json!(found.baseline_mean)),
        ("arm_mean", json!(found.arm_mean)),
        ("wins_pp", json!(pp(found.wins))),
        ("losses_pp", json!(pp(found.losses))),
        ("rows_won", json!(found.rows_won)),
        ("rows_lost", json!(found.rows_lost)),
    ];
    pair.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn arm(arm: &ArmVerdict) -> Value {
    let mut object = estimate(&arm.aggregate);
    let one_column = arm.slices.windows(2).all(|pair| pair[0].slice.column == pair[1].slice.column);
    let slices: Map<String, Value> = arm
        .slices
        .iter()
        .map(|slice| {
            let mut entry = estimate(&slice.estimate);
            entry.insert("column".to_owned(), json!(slice.slice.column));
            entry.insert("value".to_owned(), json!(slice.slice.value));
            entry.insert("share".to_owned(), json!(slice.share));
            entry.insert("floor_holds".to_owned(), json!(slice.floor_holds));
            // Values of several columns may share a name.
            let key = if one_column { slice.slice.value.clone() } else { slice.slice.to_string() };
            (key, Value::Object(entry))
        })
        .collect();
    let (scope, rows_needed, harm) = match &arm.outcome {
        Outcome::Ship => (None, None, None),
        Outcome::Scope { slices } => (Some(refs(slices)), None, None),
        Outcome::Kill { harm } => (None, None, Some(*harm)),
        Outcome::Underpowered { rows_needed } => (None, *rows_needed, None),
    };
    let more = [
        ("slices", Value::Object(slices)),
        ("verdict", json!(arm.outcome.name())),
        ("scope", json!(scope)),
        ("rows_needed", json!(rows_needed)),
        ("harm", json!(harm)),
        ("clause", json!(arm.clause)),
        ("reason", json!(arm.sentence)),
        ("p_arm", json!(arm.p_arm)),
        ("p_holm", json!(arm.p_holm)),
        ("between_variance", json!(arm.between_variance)),
        ("within_variance", json!(arm.within_variance)),
        ("suggestion", json!(arm.suggestion)),
        ("severity_weighted", arm.severity_weighted.as_ref().map_or(Value::Null, |e| Value::Object(estimate(e)))),
        ("failure_modes", arm.failure_modes.iter().map(mode).collect()),
        ("cost_usd", arm.cost.as_ref().map_or(Value::Null, resource)),
        ("latency_ms", arm.latency.as_ref().map_or(Value::Null, resource)),
    ];
    object.extend(more.into_iter().map(|(key, value)| (key.to_owned(), value)));
    Value::Object(object)
}

fn mode(shift: &ModeShift) -> Value {
    json!({
        "mode": shift.mode,
        "severity_weight": shift.severity_weight,
        "most_severe": shift.most_severe,
        "baseline_count": shift.baseline_count,
        "arm_count": shift.arm_count,
        "shift_pp": pp(shift.shift),
        "p_increase": shift.p_increase,
    })
}

fn resource(found: &ResourceEstimate) -> Value {
    let ends = |interval: Option<(f64, f64)>, scale: f64| {
        let ends = interval.map(|(low, high)| (scale * low, scale * high));
        (ends.map(|e| e.0), ends.map(|e| e.1))
    };
    let (low, high) = ends(found.difference_ci, 1.0);
    let (reduction_low, reduction_high) = ends(found.reduction_ci, 100.0);
    json!({
        "n_rows": found.n_rows,
        "baseline_mean": found.baseline_mean,
        "arm_mean": found.arm_mean,
        "difference": found.difference,
        "ci_low": low,
        "ci_high": high,
        "reduction_pct": found.reduction.map(|r| 100.0 * r),
        "reduction_low_pct": reduction_low,
        "reduction_high_pct": reduction_high,
        "p_value": found.p_value,
    })
}

/// A page per experiment.
pub(super) fn text(results: &[(Option<String>, Verdict)], notes: &[String], out: &mut dyn Write) -> anyhow::Result<()> {
    for (i, (name, verdict)) in results.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        if let Some(name) = name {
            writeln!(out, "experiment {name}")?;
        }
        writeln!(out, "{}\n", verdict.family.sentence)?;
        let width = verdict
            .arms
            .iter()
            .flat_map(|a| a.slices.iter().map(|s| s.slice.to_string().len() + 2).chain([a.arm.len()]))
            .max()
            .unwrap_or(0)
            .max("arm".len());
        writeln!(
            out,
            "{:<width$}  {:>7}  {:>17}  {:>7}  {:>7}  {:>6}  {:>7}  verdict",
            "arm", "effect", "95% interval", "lower", "upper", "rows", "p"
        )?;
        for arm in &verdict.arms {
            line(out, &arm.arm, width, &arm.aggregate, arm.outcome.name())?;
            for slice in &arm.slices {
                let word = if slice.floor_holds { "floor holds" } else { "floor not proven" };
                line(out, &format!("  {}", slice.slice), width, &slice.estimate, word)?;
            }
        }
        writeln!(out)?;
        writeln!(out, "note: {UNSEALED}")?;
        for note in notes {
            writeln!(out, "note: {note}")?;
        }
        for disclosure in &verdict.disclosures {
            writeln!(out, "note: {}", disclosure.text)?;
        }
    }
    Ok(())
}

fn line(out: &mut dyn Write, name: &str, width: usize, found: &EffectEstimate, word: &str) -> anyhow::Result<()> {
    let effect = format!("{:+.1}", pp(found.effect));
    match &found.inference {
        Some(i) => writeln!(
            out,
            "{name:<width$}  {effect:>7}  {:>17}  {:>+7.1}  {:>+7.1}  {:>6}  {:>7.4}  {word}",
            format!("{:+.1} to {:+.1}", pp(i.ci_low), pp(i.ci_high)),
            pp(i.lower_bound),
            pp(i.upper_bound),
            found.n_rows,
            i.p_value,
        )?,
        None => writeln!(
            out,
            "{name:<width$}  {effect:>7}  {:>17}  {:>7}  {:>7}  {:>6}  {:>7}  {word}",
            "under 12 rows", "", "", found.n_rows, ""
        )?,
    }
    Ok(())
}
