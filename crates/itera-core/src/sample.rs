//! What sourcing found: counts, splits and the comparison with production. No row content.

use crate::ids::Digest;
use crate::scores::RowMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What sourcing drew, as recorded in the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SampleSummary {
    /// Digest of the source file's bytes as read.
    pub source_digest: Digest,
    /// Rows in the source.
    pub source_rows: u64,
    /// Rows left out because a registered column was empty, by column.
    pub dropped_empty: BTreeMap<String, u64>,
    /// Rows left out by the cap per entity.
    pub dropped_entity_cap: u64,
    /// Rows left out because the sample was full.
    pub dropped_max_rows: u64,
    /// Rows drawn.
    pub sampled: u64,
    /// Rows per split.
    pub splits: SplitCounts,
    /// Groups of two or more rows kept together (duplicates or a shared cluster).
    pub linked_groups: u64,
    /// Rows in groups that exact duplicates tied together.
    pub duplicate_rows: u64,
    /// Groups of equal inputs with different labels.
    pub conflicting_labels: u64,
    /// Entities in the sample, where registered.
    pub entities: Option<u64>,
    /// Share of the sample that the most frequent entity holds (0..1), where registered.
    pub dominant_entity_share: Option<f64>,
    /// Distribution of every slice and stratum column.
    pub distribution: Vec<CellCount>,
    /// Stake of the rows, where severity is registered.
    pub severity: Option<SeveritySpread>,
    /// Spread of every numeric column: ratio of the 95th to the 5th percentile of its absolute
    /// value among sampled rows, for `severity-declared`.
    pub numeric_spread: BTreeMap<String, f64>,
}

/// Rows per split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SplitCounts {
    /// Rows of train.
    pub train: u64,
    /// Rows of dev.
    pub dev: u64,
    /// Rows of test.
    pub test: u64,
}

/// One value of one slice or stratum column: how often in production, sample and splits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CellCount {
    /// Column.
    pub column: String,
    /// Value.
    pub value: String,
    /// Whether the column is a slice of the verdict (else a stratum only).
    pub is_slice: bool,
    /// Share of production, 0..1: as registered, else as counted in the whole source.
    pub production_share: f64,
    /// Rows of the sample.
    pub sampled: u64,
    /// Rows per split.
    pub splits: SplitCounts,
}

/// How unequal the stakes are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeveritySpread {
    /// Smallest stake, column's units, after the cap.
    pub min: f64,
    /// Median stake.
    pub median: f64,
    /// Largest stake after the cap.
    pub max: f64,
    /// Rows whose stake was capped.
    pub capped: u64,
}

/// A row as it travels from the sampler to the vault: content and metadata.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledRow {
    /// What may be said of it.
    pub meta: RowMeta,
    /// Key in the source (column value or position).
    pub key: String,
    /// All columns.
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// The result of sourcing.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Counts and audit.
    pub summary: SampleSummary,
    /// The rows with their splits.
    pub rows: Vec<SampledRow>,
}
