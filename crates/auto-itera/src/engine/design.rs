//! `plan`, and the operating characteristics of a drafted frame.

use super::{CallContext, Engine, rejected};
use crate::envelope::Envelope;
use crate::plan_tool::{self, PlanRequest};
use itera_core::event::PlannedDesign;
use itera_core::frame::Frame;
use itera_core::guards::Problem;
use serde_json::Value;
use std::collections::BTreeMap;

/// What the planned test could see.
pub(super) struct Planned {
    /// What the ledger keeps of it.
    pub recorded: PlannedDesign,
    /// The table for the person.
    pub table: Value,
}

impl Engine {
    /// `plan`.
    pub async fn plan(&self, input: PlanRequest, _: CallContext) -> Envelope {
        let found = tokio::task::spawn_blocking(move || plan_tool::plan(&input)).await;
        match found {
            Ok(Ok(data)) => {
                let mut envelope = Envelope::plain(data);
                envelope.next = vec!["frame".into()];
                envelope
            }
            Ok(Err(error)) => *rejected(
                None,
                None,
                Problem::new("plan", error.to_string(), "Give rows, shares and rates within their ranges."),
            ),
            Err(_) => *rejected(
                None,
                None,
                Problem::new("plan", "the simulation failed inside", "Report it with the arguments."),
            ),
        }
    }

    /// Operating characteristics of a frame on its source; nothing where the rows cannot be counted.
    pub(super) fn design(&self, frame: &Frame) -> Option<Planned> {
        let path = itera_data::locate(&self.root, &frame.source.path).ok()?;
        let description = itera_data::describe(&path, frame.source.format).ok()?;
        let rows = frame.source.max_rows.map_or(description.rows, |m| m.min(description.rows));
        let test_rows = ((rows as f64 * frame.split.test).round() as u64).max(12);
        let slices: BTreeMap<String, f64> = match frame.source.slices.first() {
            None => BTreeMap::new(),
            Some(first) => match frame.source.production_mix.get(first) {
                Some(mix) => mix.clone(),
                // Without a registered mix the values are counted, not read: equal shares stand in.
                None => {
                    let n = description
                        .columns
                        .iter()
                        .find(|c| &c.name == first)
                        .map_or(1, |c| c.distinct.count)
                        .clamp(1, 20);
                    (1..=n).map(|i| (format!("{first} {i}"), 1.0 / n as f64)).collect()
                }
            },
        };
        let found = plan_tool::of_frame(frame, test_rows, &slices).ok()?;
        let recorded = PlannedDesign {
            test_rows,
            power: found.power,
            planned_effect_pp: found.planned_effect * 100.0,
            points: plan_tool::points(&found),
        };
        let table = serde_json::json!({ "design": recorded, "required_power": found.required_power, "assumptions": found.assumptions });
        Some(Planned { recorded, table })
    }
}
