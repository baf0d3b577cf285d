//! `plan`: what a rule can see on given rows, by simulating the rule itself.

use itera_core::event::PlannedPoint;
use itera_core::frame::{Frame, ShipRule};
use itera_core::plan::{
    Design, OperatingCharacteristics, PlanError, Simulation, operating_characteristics, sample_size,
};
use itera_core::rule::{Objective, RuleSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Experiments simulated per truth by the tool.
const REPLICATES: u64 = 1_000;
/// Largest test that the sample-size search tries.
const LARGEST_TEST: usize = 20_000;

/// Input of `plan`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// Test rows, 12 to 1,000,000.
    pub test_rows: u64,
    /// The rule, as it would be registered.
    pub ship_rule: ShipRule,
    /// Production share of each slice; none where absent.
    #[serde(default)]
    pub slices: BTreeMap<String, f64>,
    /// Candidate arms, 1 to 3 (default 1).
    #[serde(default)]
    pub arms: Option<u32>,
    /// Trials per row (default 3).
    #[serde(default)]
    pub trials: Option<u32>,
    /// Chance that one trial of an arm without effect disagrees with one of the baseline (0..1); 0.1, 0.2 and 0.3 where absent.
    #[serde(default)]
    pub discordance: Option<f64>,
    /// The baseline's mean score (0..1, default 0.7).
    #[serde(default)]
    pub baseline_mean: Option<f64>,
    /// Clusters among the rows, where rows are clustered.
    #[serde(default)]
    pub clusters: Option<u64>,
    /// Also search the number of rows that reaches the power (takes some seconds).
    #[serde(default)]
    pub search_rows: bool,
}

/// The answer of `plan`.
///
/// # Errors
/// When the rule or the design is not well formed.
pub fn plan(request: &PlanRequest) -> Result<Value, PlanError> {
    let rule = rule_of(&request.ship_rule);
    let mut design = Design::new(request.test_rows as usize, 0.2)
        .with_slices(request.slices.iter().map(|(name, share)| (name.clone(), *share)));
    design.arms = request.arms.unwrap_or(1) as usize;
    design.trials = request.trials.unwrap_or(3);
    design.accuracy = request.baseline_mean.unwrap_or(0.7);
    design.clusters = request.clusters.map(|c| c as usize);
    let assumed = match request.discordance {
        Some(d) => vec![d],
        None => itera_core::plan::ASSUMED_DISCORDANCES.to_vec(),
    };
    let mut tables = Vec::new();
    for discordance in assumed {
        design.discordance = discordance;
        let found = operating_characteristics(&rule, &design, simulation())?;
        let mut table = json!({ "discordance": discordance, "power": round(found.power), "reaches_power": found.reaches_power, "planned_effect_pp": found.planned_effect * 100.0, "points": points(&found), "assumptions": found.assumptions });
        if request.search_rows {
            let size = sample_size(&rule, &design, None, LARGEST_TEST, simulation())?;
            table["rows_for_power"] =
                json!({ "rows": size.rows, "power": round(size.power), "searched_up_to": size.limit });
        }
        tables.push(table);
    }
    Ok(json!({ "required_power": rule.power, "by_discordance": tables }))
}

/// Operating characteristics of a frame whose test would have that many rows.
///
/// # Errors
/// When the rule or the design is not well formed.
pub fn of_frame(
    frame: &Frame,
    test_rows: u64,
    slices: &BTreeMap<String, f64>,
) -> Result<OperatingCharacteristics, PlanError> {
    let mut design = Design::new(test_rows as usize, 0.2).with_slices(slices.iter().map(|(n, s)| (n.clone(), *s)));
    design.arms = frame.arms.len().max(1);
    design.trials = frame.trials;
    design.accuracy = frame.metric.baseline_value.unwrap_or(0.7).clamp(0.05, 0.95);
    operating_characteristics(&frame.rule(), &design, simulation())
}

fn rule_of(rule: &ShipRule) -> RuleSpec {
    RuleSpec {
        objective: rule.objective,
        min_effect: rule.min_effect_pp.abs() / 100.0,
        loss_floor: -rule.loss_floor_pp.abs() / 100.0,
        evidence: rule.evidence,
        alpha: rule.alpha,
        power: rule.power,
        required_gain: rule.required_gain.filter(|_| rule.objective == Objective::NonInferiority),
        tie_break: rule.tie_break,
        failure_modes: Vec::new(),
    }
}

fn simulation() -> Simulation {
    Simulation { replicates: REPLICATES, ..Simulation::default() }
}

/// The points as rows of a table, chances in 0..1.
pub fn points(found: &OperatingCharacteristics) -> Vec<PlannedPoint> {
    found
        .points
        .iter()
        .map(|p| PlannedPoint {
            truth: p.label.clone(),
            effect_pp: round(p.effect * 100.0),
            ship: round(p.ship),
            scope: round(p.scope),
            kill: round(p.kill),
            underpowered: round(p.underpowered),
        })
        .collect()
}

fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
