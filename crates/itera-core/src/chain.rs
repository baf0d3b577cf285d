//! The hash chain: every event is bound to all before it.
//!
//! `hash = BLAKE3(prev || "\n" || seq || "\n" || at || "\n" || body)`, where `body` is the event's
//! canonical JSON, `prev` the previous entry's hash (64 zeros before the first) and `at` the time in
//! RFC 3339. The chain shows any change, removal or insertion but the removal of its tail; the tail
//! is anchored by `ledger_head` in `data.json`.

use crate::event::Event;
use crate::ids::Digest;
use serde::{Deserialize, Serialize};

/// Format version of an entry; a reader refuses what it does not know.
pub const ENTRY_VERSION: u32 = 1;

/// One event in its place in the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Format version.
    pub v: u32,
    /// Position, from 1.
    pub seq: u64,
    /// When it was written, RFC 3339, UTC.
    pub at: jiff::Timestamp,
    /// Hash of the entry before.
    pub prev: Digest,
    /// Hash of this entry.
    pub hash: Digest,
    /// What happened.
    pub event: Event,
}

/// What is wrong with a chain, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The entry's number is not one more than the last.
    #[error("entry {expected} of the ledger is missing: found number {found} in its place")]
    Sequence {
        /// Number that should stand here.
        expected: u64,
        /// Number that does.
        found: u64,
    },
    /// The entry does not name the hash of the one before it.
    #[error("entry {seq} of the ledger does not follow from entry {}", seq - 1)]
    Broken {
        /// The entry.
        seq: u64,
    },
    /// The entry's content does not have the hash it states.
    #[error("entry {seq} of the ledger was changed after it was written")]
    Changed {
        /// The entry.
        seq: u64,
    },
    /// The entry has a format this program does not know.
    #[error("entry {seq} of the ledger has format {version}; this program reads {ENTRY_VERSION}")]
    Version {
        /// The entry.
        seq: u64,
        /// Its format.
        version: u32,
    },
}

/// The hash before the first entry.
pub fn genesis() -> Digest {
    Digest("0".repeat(64))
}

fn hash(prev: &Digest, seq: u64, at: jiff::Timestamp, event: &Event) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(prev.as_str().as_bytes());
    hasher.update(format!("\n{seq}\n{at}\n").as_bytes());
    hasher.update(&serde_json::to_vec(event).expect("events encode as JSON"));
    Digest(hasher.finalize().to_hex().to_string())
}

/// The entries that follow `last` (nothing before the first) for these events.
pub fn extend(last: Option<&Entry>, events: Vec<Event>, at: jiff::Timestamp) -> Vec<Entry> {
    let mut prev = last.map_or_else(genesis, |e| e.hash.clone());
    let mut seq = last.map_or(0, |e| e.seq);
    events
        .into_iter()
        .map(|event| {
            seq += 1;
            let hash = hash(&prev, seq, at, &event);
            let entry = Entry { v: ENTRY_VERSION, seq, at, prev: prev.clone(), hash: hash.clone(), event };
            prev = hash;
            entry
        })
        .collect()
}

/// Checks every link and hash.
///
/// # Errors
/// The first entry that is missing, out of place or changed.
pub fn check(entries: &[Entry]) -> Result<(), ChainError> {
    let mut prev = genesis();
    for (expected, entry) in (1..).zip(entries) {
        if entry.v != ENTRY_VERSION {
            return Err(ChainError::Version { seq: expected, version: entry.v });
        }
        if entry.seq != expected {
            return Err(ChainError::Sequence { expected, found: entry.seq });
        }
        if entry.prev != prev {
            return Err(ChainError::Broken { seq: entry.seq });
        }
        if hash(&prev, entry.seq, entry.at, &entry.event) != entry.hash {
            return Err(ChainError::Changed { seq: entry.seq });
        }
        prev = entry.hash.clone();
    }
    Ok(())
}
