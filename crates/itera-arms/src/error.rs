//! What can go wrong around an arm, apart from its answers.

use itera_core::ids::{ArmId, RowId, Version};
use std::io;

/// An error from outside this crate: a row source's or a sink's.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why an arm cannot be snapshotted, prepared or run.
///
/// A call that fails is no error: it is recorded with its status. No message carries row content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArmError {
    /// A declared file cannot be part of a snapshot.
    #[error("`{path}` cannot be part of the arm: {why}")]
    Undeclarable {
        /// The path as declared or found, relative to the project.
        path: String,
        /// Why not.
        why: String,
    },
    /// The declared files are more than a snapshot may hold.
    #[error("the arm's files exceed {limit}: declare only what it needs")]
    TooLarge {
        /// The limit that was exceeded.
        limit: String,
    },
    /// A materialised file or prepared state is not what was registered.
    #[error("`{path}` of the arm changed: {how}")]
    Changed {
        /// The file, relative to the arm's directory or to its prepared state.
        path: String,
        /// What differs.
        how: String,
    },
    /// The `prepare` command did not succeed.
    #[error("the prepare command failed: {why}")]
    PrepareFailed {
        /// How it ended.
        why: String,
        /// The end of its stderr, control characters escaped, at most 4,096 bytes of it. The
        /// command reads train rows, which may be shown; never put it where test rows must not be.
        stderr: Option<String>,
    },
    /// A file could not be read or written.
    #[error("{what}")]
    Io {
        /// What was attempted.
        what: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The plan names an arm version that was not given to the runner.
    #[error("version {version} of arm `{arm}` is planned but was not given to the runner")]
    UnknownArm {
        /// The arm.
        arm: ArmId,
        /// Its version.
        version: Version,
    },
    /// The plan lists one call twice.
    #[error("trial {trial} of row {row} by `{arm}` is planned twice")]
    PlannedTwice {
        /// The arm.
        arm: ArmId,
        /// The row.
        row: RowId,
        /// The trial.
        trial: u32,
    },
    /// A limit of the run makes no sense.
    #[error("the limit `{name}` is out of range: {why}")]
    BadLimit {
        /// Name of the limit.
        name: &'static str,
        /// What it should be.
        why: &'static str,
    },
    /// The row source failed; the call was not made.
    #[error("row {row} could not be read")]
    Rows {
        /// The row.
        row: RowId,
        /// The source's reason.
        #[source]
        source: BoxError,
    },
    /// The sink could not make an outcome durable; the run stopped and the call must be repeated.
    #[error("the outcome of a call could not be recorded")]
    Sink(#[source] BoxError),
    /// A task of the runner panicked: a defect of the engine.
    #[error("a call's task ended abnormally")]
    Task,
}

impl ArmError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(crate) fn undeclarable(path: &str, why: impl Into<String>) -> Self {
        Self::Undeclarable { path: path.to_owned(), why: why.into() }
    }

    pub(crate) fn changed(path: &str, how: impl Into<String>) -> Self {
        Self::Changed { path: path.to_owned(), how: how.into() }
    }
}

/// Which bound of a budget ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budgeted {
    /// The calls.
    Calls,
    /// The dollars.
    Dollars,
}
