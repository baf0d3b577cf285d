//! The vault: the sampled rows, sealed.
//!
//! Every row is encrypted on its own with XChaCha20-Poly1305, bound to the experiment, its split and
//! its id, so that no row can be passed off as another or moved between splits by hand. What may be
//! said of the rows lies beside them in clear under one MAC, so that a row cannot be added, removed
//! or relabelled unseen either.

use crate::store::Store;
use crate::{LedgerError, Result};
use itera_core::event::Event;
use itera_core::ids::{RowId, Split};
use itera_core::sample::SampledRow;
use itera_core::scores::RowMeta;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

#[derive(Serialize, Deserialize)]
struct Content {
    key: String,
    fields: serde_json::Map<String, serde_json::Value>,
}

impl Store {
    /// Seals the rows of the experiment, all or none, in place of any sealed before.
    ///
    /// Rows may be sealed again only until the ledger says that they were sourced and until the
    /// first call on them is recorded: a crash in between repeats the whole step.
    ///
    /// # Errors
    /// [`LedgerError::AlreadySealed`], [`LedgerError::DuplicateRow`], or that the store cannot be
    /// written to.
    pub fn seal_rows(&self, rows: &[SampledRow]) -> Result<()> {
        let mut seen = HashSet::new();
        if let Some(twice) = rows.iter().find(|row| !seen.insert(&row.meta.row)) {
            return Err(LedgerError::DuplicateRow { row: twice.meta.row.clone() });
        }
        self.write(|tx| {
            let sourced = self.load_entries(tx)?.iter().any(|entry| matches!(entry.event, Event::RowsSourced { .. }));
            let scored: bool =
                tx.query_row("SELECT EXISTS(SELECT 1 FROM calls)", [], |row| row.get(0)).map_err(self.failed())?;
            if sourced || scored {
                return Err(LedgerError::AlreadySealed);
            }
            tx.execute("DELETE FROM rows", []).map_err(self.failed())?;
            for row in rows {
                let content = Content { key: row.key.clone(), fields: row.fields.clone() };
                self.put_row(tx, &row.meta, &content)?;
            }
            self.write_rows_mac(tx)
        })
    }

    /// Opens one sealed row. The caller decides whether its content may be shown.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchRow`], [`LedgerError::RowChanged`] where it is not what was sealed, or
    /// that the store cannot be read.
    pub fn open_row(&self, id: &RowId) -> Result<SampledRow> {
        self.read(|tx| {
            let (meta, content) = self.get_row(tx, id)?;
            Ok(SampledRow { meta, key: content.key, fields: content.fields })
        })
    }

    /// What may be said of the rows, by row id.
    ///
    /// # Errors
    /// [`LedgerError::VaultChanged`] where it is not what was sealed, or that the store cannot be
    /// read.
    pub fn metas(&self) -> Result<Vec<RowMeta>> {
        self.read(|tx| self.checked_metas(tx))
    }

    /// Moves dev rows to train, all or none: their content may be read from now on. Rows that belong
    /// to train already are passed over, so that a step that was interrupted can be repeated.
    ///
    /// # Errors
    /// [`LedgerError::TestRow`], as test rows stay sealed; [`LedgerError::NoSuchRow`];
    /// [`LedgerError::RowChanged`]; or that the store cannot be written to.
    pub fn demote(&self, rows: &[RowId]) -> Result<()> {
        self.write(|tx| {
            self.checked_metas(tx)?;
            for id in rows {
                let (mut meta, content) = self.get_row(tx, id)?;
                match meta.split {
                    Split::Train => continue,
                    Split::Test => return Err(LedgerError::TestRow { row: id.clone() }),
                    Split::Dev => {}
                }
                meta.split = Split::Train;
                self.put_row(tx, &meta, &content)?;
            }
            self.write_rows_mac(tx)
        })
    }

    fn put_row(&self, db: &Connection, meta: &RowMeta, content: &Content) -> Result<()> {
        let inexact = || LedgerError::NotExact { what: format!("row {}", meta.row) };
        let text = serde_json::to_vec(content).map_err(|_| inexact())?;
        let described = serde_json::to_string(meta).map_err(|_| inexact())?;
        if serde_json::from_str::<RowMeta>(&described).ok().as_ref() != Some(meta) {
            return Err(inexact());
        }
        let sealed = self.keys().seal(&text, &self.row_context(meta.split, &meta.row))?;
        db.prepare_cached("INSERT OR REPLACE INTO rows(row, split, meta, sealed) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut insert| insert.execute(params![meta.row.as_str(), meta.split.as_str(), described, sealed]))
            .map_err(self.failed())?;
        Ok(())
    }

    fn get_row(&self, db: &Connection, id: &RowId) -> Result<(RowMeta, Content)> {
        let stored: Option<(String, Vec<u8>)> = db
            .query_row("SELECT meta, sealed FROM rows WHERE row = ?1", [id.as_str()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
            .map_err(self.failed())?;
        let (meta, sealed) = stored.ok_or_else(|| LedgerError::NoSuchRow { row: id.clone() })?;
        let changed = || LedgerError::RowChanged { row: id.clone() };
        let meta: RowMeta = serde_json::from_str(&meta).map_err(|_| changed())?;
        if &meta.row != id {
            return Err(changed());
        }
        let text = self.keys().open(&sealed, &self.row_context(meta.split, id)).ok_or_else(changed)?;
        let content = serde_json::from_slice(&text).map_err(|_| changed())?;
        Ok((meta, content))
    }

    fn row_context(&self, split: Split, row: &RowId) -> Vec<u8> {
        format!("row\n{}\n{split}\n{row}", self.experiment()).into_bytes()
    }

    pub(crate) fn checked_metas(&self, db: &Connection) -> Result<Vec<RowMeta>> {
        let stored = self.stored_metas(db)?;
        let recorded = self.meta(db, "rows_mac")?;
        // A vault that was never filled has no MAC; anything in it was put there by hand.
        if recorded.is_none() && stored.is_empty() {
            return Ok(Vec::new());
        }
        if recorded != Some(self.rows_mac(&stored)) {
            return Err(LedgerError::VaultChanged);
        }
        stored
            .iter()
            .map(|(split, text)| {
                serde_json::from_str::<RowMeta>(text)
                    .ok()
                    .filter(|meta| meta.split.as_str() == split)
                    .ok_or(LedgerError::VaultChanged)
            })
            .collect()
    }

    pub(crate) fn write_rows_mac(&self, db: &Connection) -> Result<()> {
        let mac = self.rows_mac(&self.stored_metas(db)?);
        self.set_meta(db, "rows_mac", &mac)
    }

    fn rows_mac(&self, metas: &[(String, String)]) -> String {
        let mut parts: Vec<&[u8]> = vec![b"rows"];
        parts.extend(metas.iter().flat_map(|(split, meta)| [split.as_bytes(), meta.as_bytes()]));
        self.keys().mac(&parts).to_hex().to_string()
    }

    fn stored_metas(&self, db: &Connection) -> Result<Vec<(String, String)>> {
        db.prepare_cached("SELECT split, meta FROM rows ORDER BY row")
            .and_then(|mut query| {
                query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()
            })
            .map_err(self.failed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Bench, call, row, sourced};

    fn filled(bench: &Bench) -> Store {
        let store = bench.create();
        store.seal_rows(&[row("r_1", Split::Train), row("r_2", Split::Dev), row("r_3", Split::Test)]).unwrap();
        store
    }

    #[test]
    fn rows_come_back_as_they_were_sealed() {
        let bench = Bench::new();
        drop(filled(&bench));
        let store = bench.open();
        assert_eq!(store.open_row(&"r_3".into()).unwrap(), row("r_3", Split::Test));
        let metas = store.metas().unwrap();
        assert_eq!(metas.iter().map(|m| m.row.as_str()).collect::<Vec<_>>(), ["r_1", "r_2", "r_3"]);
        assert_eq!(metas[1], row("r_2", Split::Dev).meta);
        assert!(matches!(store.open_row(&"r_9".into()), Err(LedgerError::NoSuchRow { .. })));
    }

    #[test]
    fn no_row_lies_in_the_folder_in_clear() {
        let bench = Bench::new();
        let store = filled(&bench);
        for secret in [b"content of".as_slice(), b"key of"] {
            assert!(!bench.folder_contains(secret));
        }
        store.demote(&["r_2".into()]).unwrap();
        drop(store);
        assert!(!bench.folder_contains(b"content of"));
    }

    #[test]
    fn a_dev_row_moves_to_train_and_a_test_row_does_not() {
        let bench = Bench::new();
        let store = filled(&bench);
        let refused = store.demote(&["r_2".into(), "r_3".into()]);
        assert!(matches!(refused, Err(LedgerError::TestRow { .. })));
        assert_eq!(store.metas().unwrap()[1].split, Split::Dev, "all or none");
        store.demote(&["r_2".into(), "r_1".into()]).unwrap();
        store.demote(&["r_2".into()]).unwrap();
        assert_eq!(store.metas().unwrap()[1].split, Split::Train);
        assert_eq!(store.open_row(&"r_2".into()).unwrap().fields, row("r_2", Split::Dev).fields);
        assert!(matches!(store.demote(&["r_9".into()]), Err(LedgerError::NoSuchRow { .. })));
    }

    #[test]
    fn rows_are_sealed_again_only_until_they_are_sourced() {
        let bench = Bench::new();
        let store = filled(&bench);
        store.seal_rows(&[row("r_4", Split::Dev)]).unwrap();
        assert_eq!(store.metas().unwrap().len(), 1);
        store.append(None, vec![sourced()], bench.at()).unwrap();
        assert!(matches!(store.seal_rows(&[row("r_5", Split::Dev)]), Err(LedgerError::AlreadySealed)));

        let bench = Bench::new();
        let store = filled(&bench);
        store.record_call(&call(1, "r_2", 1), false).unwrap();
        assert!(matches!(store.seal_rows(&[row("r_5", Split::Dev)]), Err(LedgerError::AlreadySealed)));
    }

    #[test]
    fn two_rows_of_one_id_are_refused() {
        let bench = Bench::new();
        let refused = bench.create().seal_rows(&[row("r_1", Split::Dev), row("r_1", Split::Test)]);
        assert!(matches!(refused, Err(LedgerError::DuplicateRow { .. })));
    }

    #[test]
    fn a_change_by_hand_is_found() {
        for edit in [
            "DELETE FROM rows WHERE row = 'r_2'",
            "UPDATE rows SET split = 'train' WHERE row = 'r_3'",
            "UPDATE rows SET meta = replace(meta, '\"test\"', '\"dev\"') WHERE row = 'r_3'",
            "UPDATE rows SET meta = replace(meta, '\"severity\":1.0', '\"severity\":9.0')",
            "INSERT INTO rows SELECT 'r_9', split, meta, sealed FROM rows WHERE row = 'r_1'",
            "DELETE FROM meta WHERE name = 'rows_mac'",
        ] {
            let bench = Bench::new();
            drop(filled(&bench));
            bench.sql(edit);
            assert!(matches!(bench.open().metas(), Err(LedgerError::VaultChanged)), "{edit}");
        }
        let bench = Bench::new();
        drop(filled(&bench));
        bench.sql("UPDATE rows SET sealed = (SELECT sealed FROM rows WHERE row = 'r_2') WHERE row = 'r_3'");
        assert!(matches!(bench.open().open_row(&"r_3".into()), Err(LedgerError::RowChanged { .. })));
        bench.sql("UPDATE rows SET split = 'train', meta = replace(meta, '\"test\"', '\"train\"') WHERE row = 'r_3'");
        assert!(matches!(bench.open().open_row(&"r_3".into()), Err(LedgerError::RowChanged { .. })));
    }
}
