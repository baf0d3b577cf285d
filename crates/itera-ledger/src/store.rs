//! The store of one experiment: one SQLite file, opened and written to in one place.

use crate::anchor::{self, Anchor, Head};
use crate::keys::Keys;
use crate::{LedgerError, Result, private};
use itera_core::ids::{ExperimentId, RowId};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const LAYOUT: i64 = 1;
const PATIENCE: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE events(
    seq INTEGER PRIMARY KEY, v INTEGER NOT NULL, at TEXT NOT NULL,
    prev TEXT NOT NULL, hash TEXT NOT NULL, body TEXT NOT NULL, mac TEXT NOT NULL) STRICT;
CREATE TABLE calls(
    pass INTEGER NOT NULL, n INTEGER NOT NULL,
    arm TEXT NOT NULL, version INTEGER NOT NULL, row TEXT NOT NULL, trial INTEGER NOT NULL,
    attempt INTEGER NOT NULL, record TEXT NOT NULL, mac TEXT NOT NULL, sealed BLOB,
    PRIMARY KEY(pass, n), UNIQUE(pass, arm, version, row, trial)) STRICT;
CREATE TABLE passes(pass INTEGER PRIMARY KEY, count INTEGER NOT NULL, mac TEXT NOT NULL) STRICT;
CREATE TABLE rows(row TEXT PRIMARY KEY, split TEXT NOT NULL, meta TEXT NOT NULL, sealed BLOB NOT NULL) STRICT;
CREATE TABLE blobs(digest TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
";

/// The store of one experiment. Its methods block on the disk; it may be shared between threads.
///
/// Every write is one transaction that first holds the store against its anchor, and is durable
/// before the method returns.
pub struct Store {
    experiment: ExperimentId,
    folder: PathBuf,
    path: PathBuf,
    keys: Keys,
    anchor: Anchor,
    db: Mutex<Connection>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither keys nor content belong into a log.
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store {
    pub(crate) fn open(
        folder: &Path,
        key_dir: &Path,
        project_id: &str,
        key: &[u8; 32],
        experiment: &ExperimentId,
        create: bool,
    ) -> Result<Self> {
        let path = folder.join("store.db");
        if create {
            // SQLite gives its journal the mode of the file it finds, so the file is made first.
            drop(private::open(&path)?);
            private::sync_folder(folder)?;
        }
        let db = connect(&path).map_err(|e| LedgerError::database(&path, e))?;
        let store = Self {
            experiment: experiment.clone(),
            folder: folder.to_owned(),
            keys: Keys::derive(key, experiment),
            anchor: Anchor::new(folder, key_dir, project_id, experiment),
            path,
            db: Mutex::new(db),
        };
        store.lay_out(create)?;
        // Writing nothing moves the anchor up to a store that was interrupted before it could.
        store.write(|_| Ok(()))?;
        Ok(store)
    }

    /// The experiment this store belongs to.
    pub fn experiment(&self) -> &ExperimentId {
        &self.experiment
    }

    /// The folder of the experiment, in `.auto-itera/`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The end of the event chain as stored.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn head(&self) -> Result<Head> {
        anchor::stored_head(&self.connection(), &self.path)
    }

    /// The opaque id of a source key in this experiment: `r_` and 16 hexadecimal digits.
    pub fn row_id(&self, key: &str) -> RowId {
        self.keys.row_id(key)
    }

    /// Removes the rows, the outputs and the files of arms for good, and gives their room back to
    /// the disk. Events and scores stay. For an experiment that was abandoned.
    ///
    /// # Errors
    /// The store cannot be written to.
    pub fn purge(&self) -> Result<()> {
        self.write(|tx| {
            tx.execute_batch("DELETE FROM rows; DELETE FROM blobs; UPDATE calls SET sealed = NULL")
                .map_err(self.failed())?;
            self.write_rows_mac(tx)
        })?;
        let db = self.connection();
        db.execute_batch("VACUUM").map_err(self.failed())?;
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(self.failed())
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere has rolled its transaction back; the connection itself is sound.
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn failed(&self) -> impl Fn(rusqlite::Error) -> LedgerError + use<> {
        let path = self.path.clone();
        move |error| LedgerError::database(&path, error)
    }

    /// Reads under one consistent view that is held against the anchor.
    pub(crate) fn read<T>(&self, act: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut db = self.connection();
        // Immediate also for reading: the anchor and the store are compared while nobody can move
        // one of them.
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(self.failed())?;
        self.anchor.check(&tx, &self.path, &self.keys)?;
        act(&tx)
    }

    /// Runs one step: checks the anchor, acts, commits durably, moves the anchor up.
    ///
    /// When the anchor cannot be written after the commit, the step is durable and the error says
    /// what failed; the next step moves the anchor.
    pub(crate) fn write<T>(&self, act: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut db = self.connection();
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(self.failed())?;
        self.anchor.check(&tx, &self.path, &self.keys)?;
        let value = act(&tx)?;
        tx.commit().map_err(self.failed())?;
        // A second transaction, empty, keeps others out while the anchor is brought to where the
        // store is now; without it a slower process could move the anchor backwards.
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(self.failed())?;
        self.anchor.advance(&tx, &self.path, &self.keys)?;
        drop(tx);
        Ok(value)
    }

    pub(crate) fn meta(&self, db: &Connection, name: &str) -> Result<Option<String>> {
        db.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
            .optional()
            .map_err(self.failed())
    }

    pub(crate) fn set_meta(&self, db: &Connection, name: &str, value: &str) -> Result<()> {
        db.execute("INSERT OR REPLACE INTO meta(name, value) VALUES (?1, ?2)", [name, value]).map_err(self.failed())?;
        Ok(())
    }

    fn lay_out(&self, create: bool) -> Result<()> {
        let mut db = self.connection();
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(self.failed())?;
        let found: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(self.failed())?;
        if found == 0 && create {
            tx.execute_batch(SCHEMA).map_err(self.failed())?;
            tx.pragma_update(None, "user_version", LAYOUT).map_err(self.failed())?;
            self.set_meta(&tx, "experiment", self.experiment.as_str())?;
            return tx.commit().map_err(self.failed());
        }
        if found != LAYOUT {
            return Err(LedgerError::Layout { path: self.path.clone(), found, known: LAYOUT });
        }
        let named = self.meta(&tx, "experiment")?.unwrap_or_default();
        if named != self.experiment.as_str() {
            return Err(LedgerError::WrongExperiment {
                path: self.path.clone(),
                expected: self.experiment.clone(),
                found: named,
            });
        }
        Ok(())
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(PATIENCE)?;
    db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "secure_delete", "ON")?;
    db.pragma_update(None, "trusted_schema", "OFF")?;
    Ok(db)
}

#[cfg(test)]
mod tests {
    use crate::LedgerError;
    use crate::testkit::{Bench, call, drafted, row};
    use itera_core::ids::Split;
    use std::fs;

    #[test]
    fn a_store_in_the_folder_of_another_experiment_is_refused() {
        let bench = Bench::new();
        drop(bench.create());
        let project = bench.project();
        fs::rename(project.experiment_dir(&bench.id()), project.experiment_dir(&"other".into())).unwrap();
        assert!(matches!(project.store(&"other".into()), Err(LedgerError::WrongExperiment { .. })));
    }

    #[test]
    fn a_file_that_is_no_store_is_refused() {
        let bench = Bench::new();
        drop(bench.create());
        let path = bench.db_path();
        fs::write(&path, "not a database at all, but long enough to be looked at by its header".repeat(20)).unwrap();
        assert!(matches!(bench.project().store(&bench.id()), Err(LedgerError::NotAStore { .. })));
        fs::write(&path, "").unwrap();
        assert!(matches!(bench.project().store(&bench.id()), Err(LedgerError::Layout { found: 0, .. })));
    }

    #[test]
    fn a_purge_leaves_events_and_scores_but_no_text() {
        let bench = Bench::new();
        let store = bench.create();
        store.append(None, vec![drafted()], bench.at()).unwrap();
        store.seal_rows(&[row("a", Split::Train)]).unwrap();
        let digest = store.put_blob(b"a file").unwrap();
        store.record_call(&call(1, "a", 1), false).unwrap();
        store.purge().unwrap();
        assert_eq!(store.entries().unwrap().len(), 1);
        assert_eq!(store.scores(1).unwrap().len(), 1);
        assert_eq!(store.calls(1).unwrap()[0].output, None);
        assert_eq!(store.metas().unwrap(), []);
        assert!(matches!(store.blob(&digest), Err(LedgerError::NoSuchBlob { .. })));
        assert!(matches!(store.open_row(&"a".into()), Err(LedgerError::NoSuchRow { .. })));
        drop(store);
        bench.project().store(&bench.id()).unwrap();
    }

    #[test]
    fn a_store_that_cannot_be_written_to_says_so() {
        let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(13), None);
        let path = std::path::Path::new("store.db");
        assert!(matches!(LedgerError::database(path, error), LedgerError::DiskFull { .. }));
        let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(8), None);
        let error = LedgerError::database(path, error);
        assert!(matches!(error, LedgerError::ReadOnly { .. }));
        assert!(error.remedy().contains("writable"));
    }
}
