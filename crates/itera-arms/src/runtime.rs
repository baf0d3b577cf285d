//! One arm version, ready to answer.

use crate::environment::Launch;
use crate::error::ArmError;
use crate::prepare;
use crate::snapshot::Stamp;
use itera_core::frame::{ArmKind, ArmSpec};
use itera_core::ids::Digest;
use itera_core::snapshot::Snapshot;
use std::path::{Path, PathBuf};

/// One arm version with its verified files and prepared state.
#[derive(Debug, Clone)]
pub struct ArmRuntime {
    pub(crate) kind: ArmKind,
    pub(crate) launch: Launch,
    stamp: Stamp,
}

impl ArmRuntime {
    /// Verifies the files of `snapshot` in `dir` (see [`crate::snapshot::materialise`]) and, where
    /// the arm was prepared, the state in its folder, and resolves the program.
    ///
    /// `state` is the folder handed to [`prepare::prepare`] and the digest it answered.
    ///
    /// # Errors
    /// [`ArmError::Changed`] where a file or the state is not what was registered;
    /// [`ArmError::Io`].
    pub fn open(
        spec: &ArmSpec,
        snapshot: &Snapshot,
        dir: &Path,
        state: Option<(&Path, &Digest)>,
    ) -> Result<Self, ArmError> {
        let absolute = |path: &Path| -> Result<PathBuf, ArmError> {
            path.canonicalize().map_err(ArmError::io("the arm's folder could not be found"))
        };
        let dir = absolute(dir)?;
        let mut stamp = Stamp::of(snapshot, &dir)?;
        let state = match state {
            Some((folder, digest)) => {
                let folder = absolute(folder)?;
                prepare::stamp_state(&folder, digest, &mut stamp)?;
                Some(folder)
            }
            None => None,
        };
        Ok(Self { kind: spec.kind, launch: Launch::new(spec, &spec.command, &dir, state.as_deref()), stamp })
    }

    /// Whether every verified file is untouched by size, inode and times since [`Self::open`]. Cheap:
    /// no file is opened.
    ///
    /// # Errors
    /// [`ArmError::Changed`] naming the first file that is not.
    pub fn unchanged(&self) -> Result<(), ArmError> {
        self.stamp.unchanged()
    }
}
