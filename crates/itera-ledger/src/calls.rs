//! The result store: one record per call, written once.
//!
//! The calls of a pass form a chain of their own: each carries a MAC over itself and the one before
//! it, so that a record that is edited, removed, moved or added by hand is found when the pass is
//! read, and the end of the chain is anchored, so that removing the last ones is found too.

use crate::store::Store;
use crate::{LedgerError, Result};
use itera_core::ids::{ArmId, Split};
use itera_core::scores::{ScoreRecord, WorkItem};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};

/// One recorded call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRow {
    /// The score and figures, without any row content.
    pub score: ScoreRecord,
    /// How many times the call was attempted, from 1; the record is of the last attempt.
    pub attempt: u32,
    /// What the arm answered.
    pub output: Option<String>,
    /// What the arm or the engine said of a failure.
    pub error: Option<String>,
}

/// The text of a call, sealed as one.
#[derive(Serialize, Deserialize)]
struct Text {
    output: Option<String>,
    error: Option<String>,
}

struct Stored {
    n: i64,
    arm: String,
    version: i64,
    row: String,
    trial: i64,
    attempt: i64,
    record: String,
    mac: String,
    sealed: Option<Vec<u8>>,
}

impl Store {
    /// Records one call, durable when this returns.
    ///
    /// Output and error are encrypted. With `sealed` (calls on test rows) they are not kept at all;
    /// the record's digest of the output is what stays.
    ///
    /// # Errors
    /// [`LedgerError::AlreadyRecorded`] where that row, arm version and trial of the pass has a
    /// record: the first stands. [`LedgerError::NotExact`] for figures that are not finite. Or the
    /// store cannot be written to.
    pub fn record_call(&self, call: &CallRow, sealed: bool) -> Result<()> {
        let score = &call.score;
        let record = exact(score)?;
        self.write(|tx| {
            let tail: Option<(i64, String)> = tx
                .query_row("SELECT count, mac FROM passes WHERE pass = ?1", [score.pass], |r| {
                    Ok((r.get(0)?, r.get(1)?))
                })
                .optional()
                .map_err(self.failed())?;
            let (count, previous) = tail.unwrap_or_default();
            let n = count + 1;
            let mac = self.call_mac(score.pass, n, &previous, call.attempt.into(), &record);
            let text = match (&call.output, &call.error) {
                (None, None) => None,
                _ if sealed => None,
                (output, error) => {
                    let text = Text { output: output.clone(), error: error.clone() };
                    let text = serde_json::to_vec(&text).expect("text encodes as JSON");
                    Some(self.keys().seal(&text, &self.call_context(score.pass, n))?)
                }
            };
            let inserted = tx
                .prepare_cached(
                    "INSERT INTO calls(pass, n, arm, version, row, trial, attempt, record, mac, sealed)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                     ON CONFLICT(pass, arm, version, row, trial) DO NOTHING",
                )
                .and_then(|mut insert| {
                    insert.execute(params![
                        score.pass,
                        n,
                        score.arm.as_str(),
                        score.version,
                        score.row.as_str(),
                        score.trial,
                        call.attempt,
                        record,
                        mac,
                        text,
                    ])
                })
                .map_err(self.failed())?;
            if inserted == 0 {
                return Err(LedgerError::AlreadyRecorded {
                    pass: score.pass,
                    arm: score.arm.clone(),
                    version: score.version,
                    row: score.row.clone(),
                    trial: score.trial,
                });
            }
            tx.execute(
                "INSERT INTO passes(pass, count, mac) VALUES (?1, ?2, ?3)
                 ON CONFLICT(pass) DO UPDATE SET count = excluded.count, mac = excluded.mac",
                params![score.pass, n, mac],
            )
            .map_err(self.failed())?;
            Ok(())
        })
    }

    /// How many calls of a pass are recorded.
    ///
    /// # Errors
    /// The store cannot be read, or was rolled back.
    pub fn count(&self, pass: u32) -> Result<u64> {
        self.read(|tx| {
            let count: Option<i64> = tx
                .query_row("SELECT count FROM passes WHERE pass = ?1", [pass], |row| row.get(0))
                .optional()
                .map_err(self.failed())?;
            Ok(count.map_or(0, i64::unsigned_abs))
        })
    }

    /// The scores of a pass in the order in which they were recorded, each checked.
    ///
    /// # Errors
    /// [`LedgerError::ResultChanged`] or [`LedgerError::ResultsMissing`] where they are not what was
    /// recorded, or that the store cannot be read.
    pub fn scores(&self, pass: u32) -> Result<Vec<ScoreRecord>> {
        self.read(|tx| Ok(self.checked(tx, pass)?.into_iter().map(|(_, score)| score).collect()))
    }

    /// The calls of a pass that need not be made again, each checked.
    ///
    /// # Errors
    /// As [`Store::scores`].
    pub fn recorded_items(&self, pass: u32) -> Result<BTreeSet<WorkItem>> {
        let scores = self.scores(pass)?;
        Ok(scores
            .into_iter()
            .map(|s| WorkItem { arm: s.arm, version: s.version, row: s.row, trial: s.trial })
            .collect())
    }

    /// The calls of a pass in the order in which they were recorded, each checked. Output and error
    /// are given for rows that belong to train now; of all others they are left out.
    ///
    /// # Errors
    /// As [`Store::scores`].
    pub fn calls(&self, pass: u32) -> Result<Vec<CallRow>> {
        self.read(|tx| {
            let train: HashSet<String> = self
                .checked_metas(tx)?
                .into_iter()
                .filter(|meta| meta.split == Split::Train)
                .map(|meta| meta.row.0)
                .collect();
            self.checked(tx, pass)?
                .into_iter()
                .map(|(stored, score)| {
                    let text = match &stored.sealed {
                        Some(sealed) if train.contains(&stored.row) => self.open_text(pass, &stored, sealed)?,
                        _ => Text { output: None, error: None },
                    };
                    Ok(CallRow {
                        score,
                        attempt: u32::try_from(stored.attempt).unwrap_or(u32::MAX),
                        output: text.output,
                        error: text.error,
                    })
                })
                .collect()
        })
    }

    /// What the arm answered in one call, where the row belongs to train; nothing where it gave no
    /// answer or the outputs were purged.
    ///
    /// # Errors
    /// [`LedgerError::OutputSealed`] for a row of dev or test, [`LedgerError::NoSuchCall`], or as
    /// [`Store::scores`].
    pub fn output(&self, pass: u32, item: &WorkItem) -> Result<Option<String>> {
        self.read(|tx| {
            let meta = self.checked_metas(tx)?.into_iter().find(|meta| meta.row == item.row);
            match meta {
                Some(meta) if meta.split == Split::Train => {}
                Some(meta) => {
                    return Err(LedgerError::OutputSealed { row: meta.row, split: meta.split });
                }
                None => {
                    return Err(LedgerError::NoSuchRow { row: item.row.clone() });
                }
            }
            let found = self.checked(tx, pass)?.into_iter().map(|(stored, _)| stored).find(|s| {
                s.arm == item.arm.0
                    && s.version == i64::from(item.version)
                    && s.row == item.row.0
                    && s.trial == i64::from(item.trial)
            });
            let Some(stored) = found else {
                let WorkItem { arm, version, row, trial } = item.clone();
                return Err(LedgerError::NoSuchCall { pass, arm, version, row, trial });
            };
            match &stored.sealed {
                Some(sealed) => Ok(self.open_text(pass, &stored, sealed)?.output),
                None => Ok(None),
            }
        })
    }

    fn open_text(&self, pass: u32, stored: &Stored, sealed: &[u8]) -> Result<Text> {
        self.keys()
            .open(sealed, &self.call_context(pass, stored.n))
            .and_then(|text| serde_json::from_slice(&text).ok())
            .ok_or_else(|| changed(pass, stored))
    }

    fn call_context(&self, pass: u32, n: i64) -> Vec<u8> {
        format!("call\n{}\n{pass}\n{n}", self.experiment()).into_bytes()
    }

    fn call_mac(&self, pass: u32, n: i64, previous: &str, attempt: i64, record: &str) -> String {
        let parts: [&[u8]; 6] = [
            b"call",
            &pass.to_le_bytes(),
            &n.to_le_bytes(),
            previous.as_bytes(),
            &attempt.to_le_bytes(),
            record.as_bytes(),
        ];
        self.keys().mac(&parts).to_hex().to_string()
    }

    /// The stored calls of a pass with their scores, the whole chain checked.
    fn checked(&self, db: &Connection, pass: u32) -> Result<Vec<(Stored, ScoreRecord)>> {
        let recorded: Option<(i64, String)> = db
            .query_row("SELECT count, mac FROM passes WHERE pass = ?1", [pass], |r| Ok((r.get(0)?, r.get(1)?)))
            .optional()
            .map_err(self.failed())?;
        let (recorded, tail) = recorded.unwrap_or_default();
        let mut query = db
            .prepare_cached(
                "SELECT n, arm, version, row, trial, attempt, record, mac, sealed
                 FROM calls WHERE pass = ?1 ORDER BY n",
            )
            .map_err(self.failed())?;
        let stored: Vec<Stored> = query
            .query_map([pass], |row| {
                Ok(Stored {
                    n: row.get(0)?,
                    arm: row.get(1)?,
                    version: row.get(2)?,
                    row: row.get(3)?,
                    trial: row.get(4)?,
                    attempt: row.get(5)?,
                    record: row.get(6)?,
                    mac: row.get(7)?,
                    sealed: row.get(8)?,
                })
            })
            .and_then(Iterator::collect)
            .map_err(self.failed())?;
        let missing =
            || LedgerError::ResultsMissing { pass, recorded: recorded.unsigned_abs(), found: stored.len() as u64 };
        let mut previous = String::new();
        let mut scores = Vec::with_capacity(stored.len());
        for (n, call) in (1..).zip(&stored) {
            if call.n != n {
                return Err(missing());
            }
            if self.call_mac(pass, n, &previous, call.attempt, &call.record) != call.mac {
                return Err(changed(pass, call));
            }
            let score: ScoreRecord = serde_json::from_str(&call.record).map_err(|_| changed(pass, call))?;
            // The columns serve to find a call; they must not say anything else than its record.
            let named = (ArmId(call.arm.clone()), call.version, call.row.as_str(), call.trial);
            if named != (score.arm.clone(), score.version.into(), score.row.as_str(), score.trial.into())
                || score.pass != pass
            {
                return Err(changed(pass, call));
            }
            scores.push(score);
            previous.clone_from(&call.mac);
        }
        if stored.len() as u64 != recorded.unsigned_abs() || previous != tail {
            return Err(missing());
        }
        Ok(stored.into_iter().zip(scores).collect())
    }
}

fn changed(pass: u32, stored: &Stored) -> LedgerError {
    LedgerError::ResultChanged {
        pass,
        arm: stored.arm.clone(),
        version: stored.version,
        row: stored.row.clone(),
        trial: stored.trial,
    }
}

/// The canonical JSON of a record, if it reads back as the same record.
fn exact(score: &ScoreRecord) -> Result<String> {
    let inexact = || LedgerError::NotExact {
        what: format!("pass {}: the result of {} on row {}", score.pass, score.arm, score.row),
    };
    let record = serde_json::to_string(score).map_err(|_| inexact())?;
    match serde_json::from_str::<ScoreRecord>(&record) {
        Ok(read) if read == *score => Ok(record),
        _ => Err(inexact()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Bench, call, row};

    fn filled(bench: &Bench) -> Store {
        let store = bench.create();
        store.seal_rows(&[row("r_train", Split::Train), row("r_dev", Split::Dev), row("r_test", Split::Test)]).unwrap();
        for (trial, id) in [(1, "r_train"), (1, "r_dev"), (2, "r_train"), (2, "r_dev")] {
            store.record_call(&call(1, id, trial), false).unwrap();
        }
        store.record_call(&call(2, "r_test", 1), true).unwrap();
        store
    }

    fn item(id: &str, trial: u32) -> WorkItem {
        WorkItem { arm: "arm".into(), version: 1, row: id.into(), trial }
    }

    #[test]
    fn calls_come_back_as_they_were_recorded() {
        let bench = Bench::new();
        drop(filled(&bench));
        let store = bench.open();
        assert_eq!((store.count(1).unwrap(), store.count(2).unwrap(), store.count(3).unwrap()), (4, 1, 0));
        let expected: BTreeSet<_> = [item("r_train", 1), item("r_dev", 1), item("r_train", 2), item("r_dev", 2)].into();
        assert_eq!(store.recorded_items(1).unwrap(), expected);
        assert_eq!(store.scores(1).unwrap()[2], call(1, "r_train", 2).score);
        assert_eq!(store.calls(1).unwrap()[0], call(1, "r_train", 1));
    }

    #[test]
    fn figures_come_back_to_the_last_bit() {
        let bench = Bench::new();
        let store = bench.create();
        for (trial, figure) in (1..).zip([0.1 + 0.2, 1.0 / 3.0, 5e-324, 0.30000000000000004, 1e21, 12345.678901234567])
        {
            let mut call = call(1, "r", trial);
            (call.score.score, call.score.latency_ms, call.score.cost_usd) = (figure, figure * 7.0, Some(figure / 3.0));
            store.record_call(&call, true).unwrap();
            let read = store.scores(1).unwrap().pop().unwrap();
            assert_eq!(read.score.to_bits(), call.score.score.to_bits());
            assert_eq!(read.latency_ms.to_bits(), call.score.latency_ms.to_bits());
            assert_eq!(read.cost_usd.unwrap().to_bits(), call.score.cost_usd.unwrap().to_bits());
        }
        let mut call = call(1, "r", 99);
        call.score.latency_ms = f64::INFINITY;
        assert!(matches!(store.record_call(&call, true), Err(LedgerError::NotExact { .. })));
    }

    #[test]
    fn a_second_record_of_a_call_is_refused_and_the_first_stands() {
        let bench = Bench::new();
        let store = filled(&bench);
        let mut again = call(1, "r_dev", 2);
        again.score.score = 1.0;
        assert!(matches!(store.record_call(&again, false), Err(LedgerError::AlreadyRecorded { trial: 2, .. })));
        assert_eq!(store.scores(1).unwrap()[3], call(1, "r_dev", 2).score);
        // The same call in another pass is another call.
        store.record_call(&call(3, "r_dev", 2), false).unwrap();
    }

    #[test]
    fn outputs_are_given_for_train_rows_only() {
        let bench = Bench::new();
        let store = filled(&bench);
        assert_eq!(store.output(1, &item("r_train", 1)).unwrap().as_deref(), Some("output of r_train 1"));
        let sealed = store.output(1, &item("r_dev", 1));
        assert!(matches!(sealed, Err(LedgerError::OutputSealed { split: Split::Dev, .. })));
        let sealed = store.output(2, &item("r_test", 1));
        assert!(matches!(sealed, Err(LedgerError::OutputSealed { split: Split::Test, .. })));
        assert_eq!(store.calls(1).unwrap()[1].output, None);
        store.demote(&["r_dev".into()]).unwrap();
        assert_eq!(store.output(1, &item("r_dev", 1)).unwrap().as_deref(), Some("output of r_dev 1"));
        assert!(matches!(store.output(1, &item("r_train", 9)), Err(LedgerError::NoSuchCall { trial: 9, .. })));
        assert!(matches!(store.output(1, &item("r_none", 1)), Err(LedgerError::NoSuchRow { .. })));
    }

    #[test]
    fn no_output_lies_in_the_folder_in_clear() {
        let bench = Bench::new();
        let store = filled(&bench);
        assert!(!bench.folder_contains(b"output of"));
        assert!(bench.folder_contains(b"r_test"), "the search itself works");
        drop(store);
        assert!(!bench.folder_contains(b"output of"));
    }

    #[test]
    fn an_edited_score_is_found() {
        for edit in [
            "UPDATE calls SET record = replace(record, '\"score\":0.25', '\"score\":1.0') WHERE n = 2 AND pass = 1",
            "UPDATE calls SET row = 'r_else' WHERE n = 2 AND pass = 1",
            "UPDATE calls SET attempt = 9 WHERE n = 2 AND pass = 1",
            "UPDATE calls SET mac = (SELECT mac FROM calls WHERE n = 1 AND pass = 1) WHERE n = 2 AND pass = 1",
        ] {
            let bench = Bench::new();
            drop(filled(&bench));
            bench.sql(edit);
            let error = bench.open().scores(1).unwrap_err();
            assert!(matches!(error, LedgerError::ResultChanged { pass: 1, trial: 1, .. }), "{edit}: {error}");
        }
    }

    #[test]
    fn a_deleted_call_is_found() {
        let bench = Bench::new();
        drop(filled(&bench));
        bench.sql("DELETE FROM calls WHERE pass = 1 AND n = 2");
        let error = bench.open().recorded_items(1).unwrap_err();
        assert!(matches!(error, LedgerError::ResultsMissing { pass: 1, recorded: 4, found: 3 }), "{error}");
    }

    #[test]
    fn a_test_pass_cannot_be_made_to_repeat_its_last_calls() {
        let bench = Bench::new();
        drop(filled(&bench));
        bench.sql("DELETE FROM calls WHERE pass = 2; DELETE FROM passes WHERE pass = 2");
        let error = bench.project().store(&bench.id()).unwrap_err();
        assert!(matches!(error, LedgerError::ResultsMissing { pass: 2, recorded: 1, found: 0 }), "{error}");

        let bench = Bench::new();
        drop(filled(&bench));
        bench.sql(
            "DELETE FROM calls WHERE pass = 1 AND n = 4;
             UPDATE passes SET count = 3, mac = (SELECT mac FROM calls WHERE pass = 1 AND n = 3) WHERE pass = 1",
        );
        let error = bench.project().store(&bench.id()).unwrap_err();
        assert!(matches!(error, LedgerError::ResultsMissing { pass: 1, recorded: 4, found: 3 }), "{error}");
    }

    #[test]
    fn threads_may_record_at_once() {
        let bench = Bench::new();
        let store = bench.create();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..10 {
                        store.record_call(&call(1, &format!("r_{thread}_{n}"), 1), false).unwrap();
                    }
                });
            }
        });
        assert_eq!(store.scores(1).unwrap().len(), 40);
    }
}
