//! The ledger: reading the chain back whole, and adding to its end.

use crate::store::Store;
use crate::{LedgerError, Result};
use itera_core::chain;
use itera_core::event::Event;
use itera_core::ids::Digest;
use rusqlite::{Connection, Row, params};

impl Store {
    /// Every entry of the ledger, in order, after all of it was checked: the chain of hashes, the
    /// MAC of every entry, that every stored body is exactly the canonical JSON of its event, and
    /// that the ledger was not rolled back.
    ///
    /// # Errors
    /// The first thing that does not hold, or that the store cannot be read.
    pub fn entries(&self) -> Result<Vec<chain::Entry>> {
        self.read(|tx| {
            let entries = self.load_entries(tx)?;
            chain::check(&entries)?;
            Ok(entries)
        })
    }

    /// Adds events to the end of the ledger, all or none, durable when this returns.
    ///
    /// `expected_head` is the hash of the last entry on which the caller decided, nothing where the
    /// ledger was empty; `at` is the time of the step.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`] where the ledger has moved on since, [`LedgerError::RolledBack`]
    /// where it has moved back, [`LedgerError::NotExact`] where an event holds a figure that JSON
    /// cannot carry, or that the store cannot be written to. The ledger is unchanged then, unless
    /// only the anchor could not be written; the entries are there in that case, as reading shows.
    pub fn append(
        &self,
        expected_head: Option<&Digest>,
        events: Vec<Event>,
        at: jiff::Timestamp,
    ) -> Result<Vec<chain::Entry>> {
        self.write(|tx| {
            let last = self.last_entry(tx)?;
            let found = last.as_ref().map(|entry| &entry.hash);
            if found != expected_head {
                return Err(LedgerError::Conflict { expected: expected_head.cloned(), found: found.cloned() });
            }
            let entries = chain::extend(last.as_ref(), events, at);
            let mut insert = tx
                .prepare_cached(
                    "INSERT INTO events(seq, v, at, prev, hash, body, mac) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )
                .map_err(self.failed())?;
            for entry in &entries {
                let body = exact(entry)?;
                insert
                    .execute(params![
                        entry.seq as i64,
                        entry.v,
                        entry.at.to_string(),
                        entry.prev.as_str(),
                        entry.hash.as_str(),
                        body,
                        self.event_mac(entry.seq, entry.hash.as_str()),
                    ])
                    .map_err(self.failed())?;
            }
            drop(insert);
            Ok(entries)
        })
    }

    pub(crate) fn load_entries(&self, db: &Connection) -> Result<Vec<chain::Entry>> {
        let mut query = db
            .prepare_cached("SELECT seq, v, at, prev, hash, body, mac FROM events ORDER BY seq")
            .map_err(self.failed())?;
        let stored = query.query_map([], Stored::read).map_err(self.failed())?;
        stored.map(|entry| self.restore(entry.map_err(self.failed())?)).collect()
    }

    fn last_entry(&self, db: &Connection) -> Result<Option<chain::Entry>> {
        let mut query = db
            .prepare_cached("SELECT seq, v, at, prev, hash, body, mac FROM events ORDER BY seq DESC LIMIT 1")
            .map_err(self.failed())?;
        let mut stored = query.query_map([], Stored::read).map_err(self.failed())?;
        stored.next().map(|entry| self.restore(entry.map_err(self.failed())?)).transpose()
    }

    fn restore(&self, stored: Stored) -> Result<chain::Entry> {
        let seq = stored.seq.unsigned_abs();
        let changed = || LedgerError::Chain(chain::ChainError::Changed { seq });
        let version = u32::try_from(stored.v).map_err(|_| changed())?;
        if version != chain::ENTRY_VERSION {
            return Err(chain::ChainError::Version { seq, version }.into());
        }
        let event: Event =
            serde_json::from_str(&stored.body).map_err(|source| LedgerError::EventUnreadable { seq, source })?;
        let at: jiff::Timestamp = stored.at.parse().map_err(|_| changed())?;
        let entry = chain::Entry { v: version, seq, at, prev: Digest(stored.prev), hash: Digest(stored.hash), event };
        // What was parsed must be all that is stored: a body with more in it, or written another
        // way, was not written here.
        if at.to_string() != stored.at || exact(&entry).ok().as_ref() != Some(&stored.body) {
            return Err(changed());
        }
        // A hash needs no key, so a whole new tail could be computed by hand; a MAC cannot.
        if stored.mac != self.event_mac(seq, entry.hash.as_str()) {
            return Err(LedgerError::EventForged { seq });
        }
        Ok(entry)
    }

    fn event_mac(&self, seq: u64, hash: &str) -> String {
        self.keys().mac(&[b"event", &seq.to_le_bytes(), hash.as_bytes()]).to_hex().to_string()
    }
}

struct Stored {
    seq: i64,
    v: i64,
    at: String,
    prev: String,
    hash: String,
    body: String,
    mac: String,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            v: row.get(1)?,
            at: row.get(2)?,
            prev: row.get(3)?,
            hash: row.get(4)?,
            body: row.get(5)?,
            mac: row.get(6)?,
        })
    }
}

/// The canonical JSON of an event, if it reads back as the same event.
fn exact(entry: &chain::Entry) -> Result<String> {
    let inexact = || LedgerError::NotExact { what: format!("entry {} of the ledger", entry.seq) };
    let body = serde_json::to_string(&entry.event).map_err(|_| inexact())?;
    match serde_json::from_str::<Event>(&body) {
        Ok(event) if event == entry.event => Ok(body),
        _ => Err(inexact()),
    }
}

#[cfg(test)]
mod tests {
    use crate::testkit::{Bench, abandoned, drafted, pilot};
    use crate::{LedgerError, Store};
    use itera_core::chain::ChainError;
    use itera_core::event::Event;
    use std::fs;

    fn grown(bench: &Bench) -> Store {
        let store = bench.create();
        let mut head = None;
        for event in [drafted(), pilot(0.1 + 0.2), abandoned("third")] {
            let entries = store.append(head.as_ref(), vec![event], bench.at()).unwrap();
            head = entries.last().map(|e| e.hash.clone());
        }
        store
    }

    #[test]
    fn what_was_appended_is_read_back_after_reopening() {
        let bench = Bench::new();
        let store = bench.create();
        let written = store.append(None, vec![drafted(), pilot(1.0)], bench.at()).unwrap();
        drop(store);
        let store = bench.open();
        assert_eq!(store.entries().unwrap(), written);
        let more = store.append(Some(&written[1].hash), vec![abandoned("x")], bench.at()).unwrap();
        assert_eq!((more[0].seq, &more[0].prev), (3, &written[1].hash));
    }

    #[test]
    fn figures_come_back_to_the_last_bit() {
        let bench = Bench::new();
        let store = bench.create();
        let mut head = None;
        let awkward =
            [0.1 + 0.2, 1.0 / 3.0, 5e-324, f64::MAX, 2.225_073_858_507_201e-308, 123456789.12345679, -0.0, 9.5e-5];
        for figure in awkward {
            head = store.append(head.as_ref(), vec![pilot(figure)], bench.at()).unwrap().last().map(|e| e.hash.clone());
        }
        for (entry, figure) in store.entries().unwrap().iter().zip(awkward) {
            let Event::PilotRun { arms, .. } = &entry.event else { panic!() };
            assert_eq!(arms[&"a".into()].score.to_bits(), figure.to_bits(), "{figure:e}");
        }
    }

    #[test]
    fn a_figure_that_is_not_finite_is_refused_and_nothing_is_written() {
        let bench = Bench::new();
        let store = bench.create();
        let refused = store.append(None, vec![drafted(), pilot(f64::NAN)], bench.at());
        assert!(matches!(refused, Err(LedgerError::NotExact { .. })));
        assert_eq!(store.entries().unwrap(), []);
    }

    #[test]
    fn a_step_decided_on_an_older_state_is_refused() {
        let bench = Bench::new();
        let store = grown(&bench);
        let refused = store.append(None, vec![drafted()], bench.at());
        assert!(matches!(refused, Err(LedgerError::Conflict { expected: None, found: Some(_) })));
        assert_eq!(store.entries().unwrap().len(), 3);
    }

    #[test]
    fn two_stores_that_append_at_once_keep_one_chain() {
        let bench = Bench::new();
        drop(bench.create());
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let store = bench.open();
                    let mut done = 0;
                    while done < 15 {
                        let head = store.entries().unwrap().last().map(|e| e.hash.clone());
                        match store.append(head.as_ref(), vec![abandoned("x")], bench.at()) {
                            Ok(_) => done += 1,
                            Err(LedgerError::Conflict { .. }) => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                });
            }
        });
        let entries = bench.open().entries().unwrap();
        assert_eq!(entries.len(), 45);
        let head = fs::read_to_string(bench.folder().join("head")).unwrap();
        assert!(head.contains(entries[44].hash.as_str()));
    }

    #[test]
    fn an_edited_body_is_found() {
        let bench = Bench::new();
        drop(grown(&bench));
        bench.sql("UPDATE events SET body = replace(body, 'third', 'other') WHERE seq = 3");
        let error = bench.open().entries().unwrap_err();
        assert!(matches!(error, LedgerError::Chain(ChainError::Changed { seq: 3 })), "{error}");
    }

    #[test]
    fn a_body_with_something_added_is_found() {
        let bench = Bench::new();
        drop(grown(&bench));
        bench.sql("UPDATE events SET body = replace(body, '\"reason\"', '\"note\":1,\"reason\"') WHERE seq = 3");
        let error = bench.open().entries().unwrap_err();
        assert!(matches!(error, LedgerError::Chain(ChainError::Changed { seq: 3 })), "{error}");
        bench.sql("UPDATE events SET body = '{' WHERE seq = 3");
        assert!(matches!(bench.open().entries(), Err(LedgerError::EventUnreadable { seq: 3, .. })));
    }

    #[test]
    fn an_edited_time_is_found() {
        let bench = Bench::new();
        drop(grown(&bench));
        bench.sql("UPDATE events SET at = '2020-01-01T00:00:00Z' WHERE seq = 2");
        let error = bench.open().entries().unwrap_err();
        assert!(matches!(error, LedgerError::Chain(ChainError::Changed { seq: 2 })), "{error}");
    }

    #[test]
    fn a_deleted_event_is_found() {
        let bench = Bench::new();
        drop(grown(&bench));
        bench.sql("DELETE FROM events WHERE seq = 2");
        let error = bench.open().entries().unwrap_err();
        assert!(matches!(error, LedgerError::Chain(ChainError::Sequence { expected: 2, found: 3 })), "{error}");
    }

    #[test]
    fn a_deleted_last_event_is_found_when_opening() {
        let bench = Bench::new();
        drop(grown(&bench));
        bench.sql("DELETE FROM events WHERE seq = 3");
        let error = bench.project().store(&bench.id()).unwrap_err();
        let LedgerError::RolledBack { stored, anchored } = &error else { panic!("{error}") };
        assert_eq!((stored.seq, anchored.seq), (2, 3));
        // Neither does it help to take the copy beside the store back as well, or to remove it.
        fs::remove_file(bench.folder().join("head")).unwrap();
        assert!(matches!(bench.project().store(&bench.id()), Err(LedgerError::RolledBack { .. })));
    }

    #[test]
    fn an_older_copy_put_back_is_found_while_the_store_is_open() {
        let bench = Bench::new();
        let store = bench.create();
        let head = store.append(None, vec![drafted()], bench.at()).unwrap()[0].hash.clone();
        store.append(Some(&head), vec![pilot(1.0)], bench.at()).unwrap();
        bench.sql("DELETE FROM events WHERE seq = 2");
        let refused = store.append(Some(&head), vec![abandoned("other history")], bench.at());
        assert!(matches!(refused, Err(LedgerError::RolledBack { .. })));
        assert!(matches!(store.entries(), Err(LedgerError::RolledBack { .. })));
    }

    #[test]
    fn an_event_added_by_hand_with_a_right_hash_is_found() {
        let bench = Bench::new();
        let store = grown(&bench);
        let last = store.entries().unwrap().pop().unwrap();
        drop(store);
        let forged = itera_core::chain::extend(Some(&last), vec![abandoned("forged")], bench.at()).remove(0);
        bench.sql(&format!(
            "INSERT INTO events SELECT 4, 1, '{}', '{}', '{}', '{}', mac FROM events WHERE seq = 3",
            forged.at,
            forged.prev,
            forged.hash,
            serde_json::to_string(&forged.event).unwrap(),
        ));
        let error = bench.open().entries().unwrap_err();
        assert!(matches!(error, LedgerError::EventForged { seq: 4 }), "{error}");
    }

    #[test]
    fn a_crash_between_commit_and_anchor_is_taken_up_on_opening() {
        let bench = Bench::new();
        let store = bench.create();
        let head = store.append(None, vec![drafted()], bench.at()).unwrap()[0].hash.clone();
        let before = bench.anchor_files();
        store.append(Some(&head), vec![pilot(1.0)], bench.at()).unwrap();
        drop(store);
        bench.restore(&before);
        assert_eq!(bench.open().entries().unwrap().len(), 2);
        // The anchor has moved up: losing that last event is a roll-back from now on.
        bench.sql("DELETE FROM events WHERE seq = 2");
        assert!(matches!(bench.project().store(&bench.id()), Err(LedgerError::RolledBack { .. })));
    }

    #[test]
    fn a_transaction_that_never_committed_leaves_no_trace() {
        let bench = Bench::new();
        let store = grown(&bench);
        let entries = store.entries().unwrap();
        let interrupted: crate::Result<()> = store.write(|tx| {
            tx.execute("DELETE FROM events", []).unwrap();
            Err(LedgerError::NoRandomness)
        });
        assert!(interrupted.is_err());
        drop(store);
        assert_eq!(bench.open().entries().unwrap(), entries);
    }

    #[test]
    fn a_missing_or_edited_anchor_is_found() {
        let bench = Bench::new();
        drop(grown(&bench));
        let path = bench.anchor_path();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"seq\":3", "\"seq\":2")).unwrap();
        assert!(matches!(bench.project().store(&bench.id()), Err(LedgerError::AnchorChanged { .. })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(bench.project().store(&bench.id()), Err(LedgerError::AnchorMissing { .. })));
    }
}
