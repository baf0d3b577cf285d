//! Rows without content, calls and their scores: the plain values handed from the runner to the
//! estimators and written to `scores.csv`.

use crate::ids::{ArmId, Digest, RowId, Split, Version};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the engine may say of a row without revealing it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RowMeta {
    /// Opaque id.
    pub row: RowId,
    /// Split the row belongs to.
    pub split: Split,
    /// Value of each registered slice column, in registered order.
    pub slices: Vec<String>,
    /// The cell of the joint stratification (slice columns and strata columns).
    pub stratum: String,
    /// Opaque cluster, where a cluster column or duplicates tie rows together.
    pub cluster: Option<String>,
    /// Stake of the row after the cap, in the column's units; 1 where no severity is registered.
    pub severity: f64,
}

/// One call of a pass: which arm answers which row for the how-manieth time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct WorkItem {
    /// Arm.
    pub arm: ArmId,
    /// Version of the arm.
    pub version: Version,
    /// Row.
    pub row: RowId,
    /// Trial, from 1.
    pub trial: u32,
}

impl WorkItem {
    /// Seed handed to the arm: differs for every row and trial, equal between arms, so that
    /// sampling noise is paired where an arm honours it and never shared between rows.
    pub fn seed(&self, experiment_seed: u64) -> u32 {
        let text = format!("{experiment_seed}/{}/{}", self.row, self.trial);
        let hash = blake3::hash(text.as_bytes());
        let b = hash.as_bytes();
        u32::from_le_bytes([b[0], b[1], b[2], b[3]]) & 0x7fff_ffff
    }
}

/// Every call of a pass, arms and trials interleaved in a seeded order: each (row, trial) is one
/// block, blocks are shuffled, and the arms are shuffled within each block.
pub fn work_plan(arms: &[(ArmId, Version)], rows: &[RowId], trials: u32, seed: u64) -> Vec<WorkItem> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut blocks: Vec<(usize, u32)> = (0..rows.len()).flat_map(|r| (1..=trials).map(move |t| (r, t))).collect();
    shuffle(&mut blocks, &mut rng);
    let mut order: Vec<usize> = (0..arms.len()).collect();
    let mut plan = Vec::with_capacity(blocks.len() * arms.len());
    for (row, trial) in blocks {
        shuffle(&mut order, &mut rng);
        for &a in &order {
            let (arm, version) = &arms[a];
            plan.push(WorkItem { arm: arm.clone(), version: *version, row: rows[row].clone(), trial });
        }
    }
    plan
}

fn shuffle<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, rng.random_range(0..=i));
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallStatus {
    /// The arm answered.
    Ok,
    /// The process ended with a code other than 0.
    ExitCode,
    /// The process was ended by a signal that the engine did not send.
    Signal,
    /// The time limit was reached.
    Timeout,
    /// The output limit was reached.
    OutputTooLarge,
    /// The output could not be read as the protocol asks (not UTF-8, wrong types).
    BadOutput,
    /// The program could not be started.
    NotStarted,
}

impl CallStatus {
    /// The snake-case name, as in `scores.csv`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ExitCode => "exit_code",
            Self::Signal => "signal",
            Self::Timeout => "timeout",
            Self::OutputTooLarge => "output_too_large",
            Self::BadOutput => "bad_output",
            Self::NotStarted => "not_started",
        }
    }

    /// The status of that snake-case name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ok, Self::ExitCode, Self::Signal, Self::Timeout, Self::OutputTooLarge, Self::BadOutput, Self::NotStarted]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// One scored call, without any row content. A failed call scores 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScoreRecord {
    /// Number of the pass, from 1.
    pub pass: u32,
    /// Arm.
    pub arm: ArmId,
    /// Version of the arm.
    pub version: Version,
    /// Row.
    pub row: RowId,
    /// Trial, from 1.
    pub trial: u32,
    /// Score in 0..1; 0 where the call failed.
    pub score: f64,
    /// How the call ended.
    pub status: CallStatus,
    /// Registered failure modes the row carries, sorted.
    pub failure_modes: Vec<String>,
    /// Dollars, as the arm reported.
    pub cost_usd: Option<f64>,
    /// Input tokens, as the arm reported.
    pub input_tokens: Option<u64>,
    /// Output tokens, as the arm reported.
    pub output_tokens: Option<u64>,
    /// Milliseconds from start to end of the call alone.
    pub latency_ms: f64,
    /// Whether this was the first call of its arm version in the pass (cold caches).
    pub first_call: bool,
    /// Digest of the output, so that deterministic arms can be detected and outputs matched.
    pub output_digest: Digest,
}

impl ScoreRecord {
    /// The order in which records are digested and written.
    pub fn sort_key(&self) -> (u32, &ArmId, Version, &RowId, u32) {
        (self.pass, &self.arm, self.version, &self.row, self.trial)
    }
}

/// Digest of a pass's records, whatever order they come in.
pub fn records_digest(records: &[ScoreRecord]) -> Digest {
    let mut sorted: Vec<&ScoreRecord> = records.iter().collect();
    sorted.sort_by_key(|r| r.sort_key());
    digest_lines(sorted)
}

/// Digest of rows' metadata, whatever order they come in.
pub fn rows_digest(rows: &[RowMeta]) -> Digest {
    let mut sorted: Vec<&RowMeta> = rows.iter().collect();
    sorted.sort_by(|a, b| a.row.cmp(&b.row));
    digest_lines(sorted)
}

fn digest_lines<T: Serialize>(items: Vec<&T>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for item in items {
        hasher.update(&serde_json::to_vec(item).expect("plain records encode as JSON"));
        hasher.update(b"\n");
    }
    Digest(hasher.finalize().to_hex().to_string())
}
