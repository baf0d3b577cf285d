//! From recorded calls to the paired table that the rule judges, and to paired differences on dev.

use crate::frame::Frame;
use crate::ids::{ArmId, RowId, Version};
use crate::rule::{RowAttributes, Table, TableBuilder, TableError};
use crate::sample::SampleSummary;
use crate::scores::{RowMeta, ScoreRecord};
use std::collections::BTreeMap;

/// Smallest severity weight as a share of the cap: a row without stake still counts as a row.
const LEAST_SEVERITY: f64 = 1e-6;

/// The table of a pass for the arms that took part, baseline first.
///
/// Production weights: rows are post-stratified on the first slice column to its production shares
/// (as registered, else as counted in the source); without slices every row weighs the same.
///
/// # Errors
/// When records and rows do not make a table: see [`TableError`].
pub fn table(
    frame: &Frame,
    sample: &SampleSummary,
    arms: &[ArmId],
    rows: &BTreeMap<RowId, RowMeta>,
    records: &[ScoreRecord],
) -> Result<Table, TableError> {
    let candidates: Vec<&str> = arms.iter().map(ArmId::as_str).filter(|a| *a != frame.baseline.id.as_str()).collect();
    let columns: Vec<&str> = frame.source.slices.iter().map(String::as_str).collect();
    let mut builder = TableBuilder::new(frame.baseline.id.as_str(), &candidates, &columns)?;
    if let Some(first) = columns.first() {
        let mix: Vec<(String, f64)> = sample
            .distribution
            .iter()
            .filter(|c| c.is_slice && c.column == *first && c.production_share > 0.0)
            .map(|c| (c.value.clone(), c.production_share))
            .collect();
        builder = builder.production_mix(mix);
    }
    for record in records.iter().filter(|r| arms.contains(&r.arm)) {
        let Some(meta) = rows.get(&record.row) else {
            continue;
        };
        let slices: Vec<Option<&str>> = meta.slices.iter().map(|s| Some(s.as_str())).collect();
        let modes: Vec<&str> = record.failure_modes.iter().map(String::as_str).collect();
        builder.push(&crate::rule::Record {
            row: record.row.as_str(),
            arm: record.arm.as_str(),
            trial: record.trial,
            score: record.score,
            attributes: RowAttributes {
                stratum: columns.first().and(slices.first().copied().flatten()),
                cluster: meta.cluster.as_deref(),
                severity: frame.severity.as_ref().map(|s| meta.severity.max(s.cap * LEAST_SEVERITY)),
                slices: &slices,
            },
            failure_modes: &modes,
            cost_usd: record.cost_usd,
            latency_ms: Some(record.latency_ms),
        })?;
    }
    builder.build()
}

/// The part of dev that nobody sees until the gate reads it: a seeded 30% of the rows, where dev
/// was drawn with at least 200. Rows that were revealed have left dev and so the fold.
#[derive(Debug, Clone, Copy)]
pub struct HiddenFold(Option<u64>);

impl HiddenFold {
    /// The fold of an experiment.
    pub fn of(frame: &Frame, sample: &SampleSummary) -> Self {
        Self((sample.splits.dev >= itera_stats::gate::HIDDEN_FOLD_FROM as u64).then(|| frame.seed()))
    }

    /// No fold at all.
    pub fn none() -> Self {
        Self(None)
    }

    /// Whether a dev row belongs to it.
    pub fn holds(&self, row: &RowId) -> bool {
        self.0.is_some_and(|seed| {
            let hash = blake3::hash(format!("hidden fold/{seed}/{row}").as_bytes());
            let b = hash.as_bytes();
            let share = f64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])) / f64::from(u32::MAX);
            share < itera_stats::gate::HIDDEN_SHARE
        })
    }
}

/// Mean score over trials per row of one arm version.
pub fn row_means<'a>(
    records: impl IntoIterator<Item = &'a ScoreRecord>,
    arm: &ArmId,
    version: Version,
) -> BTreeMap<RowId, f64> {
    let mut sums: BTreeMap<RowId, (f64, u32)> = BTreeMap::new();
    for r in records {
        if &r.arm == arm && r.version == version {
            let sum = sums.entry(r.row.clone()).or_default();
            sum.0 += r.score;
            sum.1 += 1;
        }
    }
    sums.into_iter().map(|(row, (sum, n))| (row, sum / f64::from(n))).collect()
}

/// Paired differences (after minus before) of the rows that both hold.
pub fn differences(before: &BTreeMap<RowId, f64>, after: &BTreeMap<RowId, f64>) -> BTreeMap<RowId, f64> {
    after.iter().filter_map(|(row, a)| Some((row.clone(), a - before.get(row)?))).collect()
}
