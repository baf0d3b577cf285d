//! Where the chains ended when the store was last written, kept where a roll-back cannot reach.
//!
//! A chain shows any change but the removal of its tail. So the ends of the event chain and of every
//! pass's results are written down twice after each step: in `head` beside the store, for people,
//! and under a MAC next to the key, outside the project. A store that ends before its anchor was
//! rolled back. A store that ends after it was interrupted between its commit and the anchor; as
//! every record carries its own MAC, nothing forged can hide in that gap, and the anchor moves up.

use crate::keys::Keys;
use crate::{LedgerError, Result, private};
use itera_core::ids::{Digest, ExperimentId};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The end of the event chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the last entry; 0 for an empty ledger.
    pub seq: u64,
    /// Its hash; 64 zeros for an empty ledger.
    pub hash: Digest,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.seq == 0 { f.write_str("no entry") } else { write!(f, "entry {} ({})", self.seq, self.hash.short()) }
    }
}

/// The end of one pass's results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PassTail {
    /// Calls recorded.
    pub(crate) count: u64,
    /// MAC of the last, which covers all before it.
    pub(crate) mac: String,
}

/// The ends of all chains of one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tails {
    head: Head,
    passes: BTreeMap<u32, PassTail>,
}

#[derive(Serialize, Deserialize)]
struct Anchored {
    tails: Tails,
    mac: String,
}

/// The two places in which a store's tails are kept.
pub(crate) struct Anchor {
    beside: PathBuf,
    outside: PathBuf,
}

impl Anchor {
    pub(crate) fn new(folder: &Path, key_dir: &Path, project_id: &str, experiment: &ExperimentId) -> Self {
        Self { beside: folder.join("head"), outside: key_dir.join(project_id).join(format!("{experiment}.anchor")) }
    }

    /// Holds the store against its anchor.
    pub(crate) fn check(&self, db: &Connection, path: &Path, keys: &Keys) -> Result<()> {
        let stored = Tails::read(db, path)?;
        let Some(anchored) = self.load(keys)? else {
            return if stored.head.seq == 0 && stored.passes.is_empty() {
                Ok(())
            } else {
                Err(LedgerError::AnchorMissing { path: self.outside.clone() })
            };
        };
        check_head(db, path, &stored.head, &anchored.head)?;
        if let Some(beside) = self.load_beside() {
            check_head(db, path, &stored.head, &beside)?;
        }
        for (&pass, tail) in &anchored.passes {
            let found = stored.passes.get(&pass).map_or(0, |t| t.count);
            let missing = LedgerError::ResultsMissing { pass, recorded: tail.count, found };
            if found < tail.count {
                return Err(missing);
            }
            let sql = "SELECT mac FROM calls WHERE pass = ?1 AND n = ?2";
            let mac: Option<String> = db
                .query_row(sql, (pass, tail.count as i64), |row| row.get(0))
                .optional()
                .map_err(|e| LedgerError::database(path, e))?;
            if mac.as_ref() != Some(&tail.mac) {
                return Err(missing);
            }
        }
        Ok(())
    }

    /// Writes down where the store ends now. To be called while no other process can write to it.
    pub(crate) fn advance(&self, db: &Connection, path: &Path, keys: &Keys) -> Result<()> {
        let tails = Tails::read(db, path)?;
        if self.load(keys)?.as_ref() != Some(&tails) {
            let mac = mac(keys, &tails);
            private::folder(self.outside.parent().unwrap_or(&self.outside))?;
            // The folder is not synced: after a power cut the name may lead to the anchor before,
            // which is a valid one. A folder entry that was never durable at all is repaired by the
            // sync at creation.
            private::replace(&self.outside, &encode(&Anchored { tails: tails.clone(), mac }), tails.head.seq <= 1)?;
        }
        if self.load_beside().as_ref() != Some(&tails.head) {
            private::replace(&self.beside, &encode(&tails.head), true)?;
        }
        Ok(())
    }

    fn load(&self, keys: &Keys) -> Result<Option<Tails>> {
        let bytes = match fs::read(&self.outside) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LedgerError::io("read the anchor", &self.outside)(error)),
        };
        serde_json::from_slice::<Anchored>(&bytes)
            .ok()
            .filter(|anchored| anchored.mac == mac(keys, &anchored.tails))
            .map(|anchored| Some(anchored.tails))
            .ok_or_else(|| LedgerError::AnchorChanged { path: self.outside.clone() })
    }

    // The copy beside the store is for people; one that is absent or damaged is simply rewritten.
    fn load_beside(&self) -> Option<Head> {
        serde_json::from_slice(&fs::read(&self.beside).ok()?).ok()
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("plain records encode as JSON");
    bytes.push(b'\n');
    bytes
}

fn mac(keys: &Keys, tails: &Tails) -> String {
    keys.mac(&[b"anchor", &encode(tails)]).to_hex().to_string()
}

fn check_head(db: &Connection, path: &Path, stored: &Head, anchored: &Head) -> Result<()> {
    if anchored.seq == 0 {
        return Ok(());
    }
    if stored.seq < anchored.seq {
        return Err(LedgerError::RolledBack { stored: stored.clone(), anchored: anchored.clone() });
    }
    let hash: Option<String> = db
        .query_row("SELECT hash FROM events WHERE seq = ?1", [anchored.seq as i64], |row| row.get(0))
        .optional()
        .map_err(|e| LedgerError::database(path, e))?;
    match hash {
        Some(hash) if hash == anchored.hash.0 => Ok(()),
        Some(hash) => Err(LedgerError::RolledBack {
            stored: Head { seq: anchored.seq, hash: Digest(hash) },
            anchored: anchored.clone(),
        }),
        // The entry is gone from the middle; the chain says so better than the anchor can.
        None => Err(LedgerError::Chain(itera_core::chain::ChainError::Sequence {
            expected: anchored.seq,
            found: stored.seq,
        })),
    }
}

/// The end of the event chain in the store.
pub(crate) fn stored_head(db: &Connection, path: &Path) -> Result<Head> {
    let last = db
        .query_row("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok(Head { seq: row.get::<_, i64>(0)?.unsigned_abs(), hash: Digest(row.get(1)?) })
        })
        .optional()
        .map_err(|e| LedgerError::database(path, e))?;
    Ok(last.unwrap_or(Head { seq: 0, hash: itera_core::chain::genesis() }))
}

impl Tails {
    fn read(db: &Connection, path: &Path) -> Result<Self> {
        let passes = (|| {
            let mut query = db.prepare_cached("SELECT pass, count, mac FROM passes")?;
            let rows = query.query_map([], |row| {
                let tail = PassTail { count: row.get::<_, i64>(1)?.unsigned_abs(), mac: row.get(2)? };
                Ok((row.get::<_, u32>(0)?, tail))
            })?;
            rows.collect::<rusqlite::Result<BTreeMap<_, _>>>()
        })();
        Ok(Self { head: stored_head(db, path)?, passes: passes.map_err(|e| LedgerError::database(path, e))? })
    }
}
