//! What can go wrong with a store: what, where, and what to do about it.

use crate::anchor::Head;
use itera_core::chain::ChainError;
use itera_core::ids::{ArmId, Digest, ExperimentId, RowId, Split, Version};
use std::path::PathBuf;

/// An error of the ledger, the results or the vault. The message says what and where;
/// [`LedgerError::remedy`] says what to do. Neither ever quotes a row.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The disk has no room left.
    #[error("no room is left on the disk of {path}; nothing of this step was kept")]
    DiskFull {
        /// The store.
        path: PathBuf,
    },
    /// The store cannot be written to.
    #[error("{path} cannot be written to")]
    ReadOnly {
        /// The store.
        path: PathBuf,
    },
    /// Another process held the store for too long.
    #[error("{path} is held by another process")]
    Busy {
        /// The store.
        path: PathBuf,
    },
    /// The file is no store, or damaged.
    #[error("{path} is not a readable store")]
    NotAStore {
        /// The store.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// Any other failure of the database.
    #[error("the store {path} failed")]
    Database {
        /// The store.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// The store was written by another version of the program.
    #[error("{path} has layout {found}; this program reads {known}")]
    Layout {
        /// The store.
        path: PathBuf,
        /// Its layout.
        found: i64,
        /// The layout this program reads.
        known: i64,
    },
    /// The text cannot be the name of an experiment's folder.
    #[error("{id:?} is not the id of an experiment")]
    BadId {
        /// The text.
        id: String,
    },
    /// There is no such experiment.
    #[error("there is no experiment {id} in {path}")]
    NoSuchExperiment {
        /// The experiment.
        id: ExperimentId,
        /// The folder that was searched.
        path: PathBuf,
    },
    /// The experiment was begun already.
    #[error("the experiment {id} exists already, with {events} events")]
    Exists {
        /// The experiment.
        id: ExperimentId,
        /// Its events.
        events: u64,
    },
    /// The store belongs to another experiment.
    #[error("{path} belongs to the experiment {found}, not to {expected}")]
    WrongExperiment {
        /// The store.
        path: PathBuf,
        /// The experiment that was asked for.
        expected: ExperimentId,
        /// The experiment the store names.
        found: String,
    },

    /// No folder for keys is known.
    #[error("no folder for the key is known: neither AUTO_ITERA_KEY_DIR, XDG_DATA_HOME nor a home folder is set")]
    NoKeyDir,
    /// The folder for keys lies inside the project, in reach of whoever reads the project.
    #[error("the key folder {key_dir} lies inside the project {project}")]
    KeyDirInside {
        /// The folder for keys.
        key_dir: PathBuf,
        /// The project.
        project: PathBuf,
    },
    /// The key of the project is not there.
    #[error("the key of this project is missing: {path}")]
    KeyMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The key file does not hold a key.
    #[error("{path} does not hold a key of 32 bytes")]
    KeyUnreadable {
        /// The file.
        path: PathBuf,
    },
    /// Other accounts of the machine may read the key.
    #[error("the key {path} may be read by other accounts (mode {mode:03o})")]
    KeyExposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file that names the project's key is damaged.
    #[error("{path} does not name a project")]
    ProjectIdUnreadable {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,

    /// The ledger moved on since the caller read it.
    #[error("the ledger moved on: the step was decided on entry {}, the last is {}", name(.expected), name(.found))]
    Conflict {
        /// Hash of the last entry the caller saw; nothing for an empty ledger.
        expected: Option<Digest>,
        /// Hash of the last entry there is.
        found: Option<Digest>,
    },
    /// The chain of events does not hold.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// An event cannot be read.
    #[error("entry {seq} of the ledger cannot be read")]
    EventUnreadable {
        /// The entry.
        seq: u64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// An event was not written by this program with this project's key.
    #[error("entry {seq} of the ledger was not written by auto-itera with this project's key")]
    EventForged {
        /// The entry.
        seq: u64,
    },
    /// A value would not be read back as it was written (for example a figure that is not finite).
    #[error("{what} cannot be written exactly and was not recorded")]
    NotExact {
        /// Which value.
        what: String,
    },
    /// Events are missing at the end: an older state was put back.
    #[error("the ledger was rolled back: it ends at {stored}, but had reached {anchored}")]
    RolledBack {
        /// Where the ledger ends, or what stands at the anchored place.
        stored: Head,
        /// Where it had been.
        anchored: Head,
    },
    /// The anchor of a store with content is missing.
    #[error("the anchor {path} is missing, so that a roll-back of the store could not be seen")]
    AnchorMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The anchor was not written by this program with this project's key.
    #[error("the anchor {path} was changed by hand")]
    AnchorChanged {
        /// The file.
        path: PathBuf,
    },

    /// The call was recorded before; the first record stands.
    #[error("pass {pass}: trial {trial} of {arm} v{version} on row {row} is recorded already")]
    AlreadyRecorded {
        /// The pass.
        pass: u32,
        /// The arm.
        arm: ArmId,
        /// Its version.
        version: Version,
        /// The row.
        row: RowId,
        /// The trial.
        trial: u32,
    },
    /// A recorded call was changed after it was written.
    #[error(
        "pass {pass}: the result of {arm} v{version} on row {row}, trial {trial}, was changed after it was recorded"
    )]
    ResultChanged {
        /// The pass.
        pass: u32,
        /// The arm.
        arm: String,
        /// Its version.
        version: i64,
        /// The row.
        row: String,
        /// The trial.
        trial: i64,
    },
    /// Recorded calls are missing.
    #[error("pass {pass}: {recorded} calls were recorded, {found} are left")]
    ResultsMissing {
        /// The pass.
        pass: u32,
        /// Calls that were recorded.
        recorded: u64,
        /// Calls that are there.
        found: u64,
    },
    /// No such call is recorded.
    #[error("pass {pass}: no call of {arm} v{version} on row {row}, trial {trial}, is recorded")]
    NoSuchCall {
        /// The pass.
        pass: u32,
        /// The arm.
        arm: ArmId,
        /// Its version.
        version: Version,
        /// The row.
        row: RowId,
        /// The trial.
        trial: u32,
    },
    /// The output belongs to a row that is not in train.
    #[error("the output on row {row} is sealed: the row belongs to {split}")]
    OutputSealed {
        /// The row.
        row: RowId,
        /// Its split.
        split: Split,
    },

    /// The rows of the experiment were recorded as sourced; they are sealed once.
    #[error("the rows of this experiment are sealed already")]
    AlreadySealed,
    /// Two rows have one id.
    #[error("two rows have the id {row}")]
    DuplicateRow {
        /// The id.
        row: RowId,
    },
    /// There is no such row.
    #[error("there is no row {row} in the vault")]
    NoSuchRow {
        /// The row.
        row: RowId,
    },
    /// A test row was to be moved to train.
    #[error("row {row} belongs to test and cannot be moved")]
    TestRow {
        /// The row.
        row: RowId,
    },
    /// A sealed row cannot be opened: it was changed, or sealed with another key.
    #[error("row {row} cannot be opened: it was changed, or sealed with another key")]
    RowChanged {
        /// The row.
        row: RowId,
    },
    /// Rows or their metadata were changed, added or removed.
    #[error("the vault was changed: its rows are not those that were sealed")]
    VaultChanged,

    /// There is no such blob.
    #[error("no file with the digest {} is stored", digest.short())]
    NoSuchBlob {
        /// Its digest.
        digest: Digest,
    },
    /// A blob does not have its digest.
    #[error("the stored file {} was changed", digest.short())]
    BlobChanged {
        /// Its digest.
        digest: Digest,
    },

    /// Another process runs a pass.
    #[error("a pass of {experiment} is being run by {}", holder(.pid))]
    Held {
        /// The experiment.
        experiment: ExperimentId,
        /// The process, where it could be read.
        pid: Option<u32>,
    },
}

fn name(head: &Option<Digest>) -> &str {
    head.as_ref().map_or("none", Digest::short)
}

fn holder(pid: &Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl LedgerError {
    /// What to do about it, for the person.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Io { .. } => "check that the path exists and that this account may use it, then try again",
            Self::DiskFull { .. } => "make room on the disk and repeat the step; what was recorded before is safe",
            Self::ReadOnly { .. } => {
                "make the folder writable for this account (it must hold the store, its -wal and its -shm file)"
            }
            Self::Busy { .. } => "wait for the other auto-itera process to end its step, then repeat this one",
            Self::NotAStore { .. } | Self::Database { .. } => {
                "run `sqlite3 store.db 'pragma integrity_check'`; restore the whole folder from a backup or abandon the experiment"
            }
            Self::Layout { .. } => "use the version of auto-itera that wrote the store",
            Self::BadId { .. } => "use 1 to 64 characters of a-z, 0-9, - and _, beginning with a letter or digit",
            Self::NoSuchExperiment { .. } => "list the experiments of the project, or begin one by proposing a frame",
            Self::Exists { .. } => "choose another topic, or go on with the experiment that is there",
            Self::WrongExperiment { .. } => "put the store back into the folder of its own experiment",
            Self::NoKeyDir => "set AUTO_ITERA_KEY_DIR to a folder outside the project",
            Self::KeyDirInside { .. } => "set AUTO_ITERA_KEY_DIR to a folder outside the project",
            Self::KeyMissing { .. } => {
                "restore the key folder from the machine on which the experiment was begun (or point \
                 AUTO_ITERA_KEY_DIR at it); without the key the sealed rows are lost and the experiment must be \
                 begun again: remove `.auto-itera/` to do so"
            }
            Self::KeyUnreadable { .. } => "restore the key file from a backup",
            Self::KeyExposed { .. } => "run `chmod 600` on the key file and `chmod 700` on its folder",
            Self::ProjectIdUnreadable { .. } => "restore `.auto-itera/project-id` from a backup",
            Self::NoRandomness => "check /dev/urandom, then try again",
            Self::Conflict { .. } => "read the state again and repeat the step",
            Self::Chain(_) | Self::EventUnreadable { .. } | Self::EventForged { .. } => {
                "the ledger is no longer evidence: restore the store from a backup, or abandon the experiment and begin a new one on fresh rows"
            }
            Self::NotExact { .. } => "this is a fault of the caller: a figure must be finite to be recorded",
            Self::RolledBack { .. } | Self::ResultsMissing { .. } => {
                "put the newer store back; if `.auto-itera/` was copied, go on in the copy that was used last; \
                 otherwise abandon the experiment and begin a new one on fresh rows"
            }
            Self::AnchorMissing { .. } | Self::AnchorChanged { .. } => {
                "restore the key folder as a whole from a backup; otherwise abandon the experiment"
            }
            Self::AlreadyRecorded { .. } => "skip the call: its first result stands",
            Self::ResultChanged { .. } => {
                "the results are no longer evidence: restore the store from a backup, or abandon the experiment"
            }
            Self::NoSuchCall { .. } => "ask for a call that the pass has recorded",
            Self::OutputSealed { .. } => {
                "ask for the output on a train row; a dev row is revealed only at the price of moving to train"
            }
            Self::AlreadySealed => "go on with the rows that were drawn; other rows need a new experiment",
            Self::DuplicateRow { .. } => "give every row of the source its own key",
            Self::NoSuchRow { .. } => "use a row id of this experiment",
            Self::TestRow { .. } => "test rows stay sealed; ask for dev rows",
            Self::RowChanged { .. } | Self::VaultChanged => {
                "restore the store and the key folder from one backup, or abandon the experiment"
            }
            Self::NoSuchBlob { .. } | Self::BlobChanged { .. } => {
                "restore the store from a backup, or register the arm's files again in a new experiment"
            }
            Self::Held { .. } => "wait for that process to finish, or cancel the pass there; do not start a second one",
        }
    }

    /// Turns a failure of SQLite on the store at `path` into its kind.
    pub(crate) fn database(path: &std::path::Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase, PermissionDenied,
            ReadOnly,
        };
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(DiskFull) => Self::DiskFull { path },
            Some(ReadOnly | PermissionDenied | CannotOpen) => Self::ReadOnly { path },
            Some(DatabaseBusy | DatabaseLocked) => Self::Busy { path },
            Some(DatabaseCorrupt | NotADatabase) => Self::NotAStore { path, source },
            _ => Self::Database { path, source },
        }
    }

    /// Turns a failure on a file into an error that names it.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            std::io::ErrorKind::StorageFull => Self::DiskFull { path },
            std::io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            _ => Self::Io { action, path, source },
        }
    }
}
