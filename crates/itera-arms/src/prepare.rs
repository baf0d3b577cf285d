//! The one chance of an arm to fit on train rows, and the digest of what it left.

use crate::command::{Bounds, Stop, execute};
use crate::environment::Launch;
use crate::error::ArmError;
use crate::process::judge_exit;
use crate::snapshot::{Stamp, digest_of_file};
use itera_core::frame::ArmSpec;
use itera_core::ids::Digest;
use itera_core::scores::CallStatus;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Most bytes that a `prepare` command may write to its stdout, which is thrown away.
const STDOUT_BYTES: usize = 64 << 20;

/// What a `prepare` command left.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Seconds it took.
    pub seconds: f64,
    /// Digest of everything in the state folder, as [`state_digest`].
    pub state_digest: Digest,
}

/// Runs an arm's `prepare` command in `dir`, with `ITERA_TRAIN` naming the NDJSON file of train rows
/// and `ITERA_STATE` naming `state_dir`, which is emptied first. Its files are made read-only
/// afterwards. An arm without a `prepare` command leaves an empty state at once.
///
/// # Errors
/// [`ArmError::PrepareFailed`] where it could not be started, failed, took longer than `timeout` or
/// was cancelled (its process group is dead by then and the state folder empty);
/// [`ArmError::Undeclarable`] where it left something other than files and folders;
/// [`ArmError::Io`].
pub async fn prepare(
    spec: &ArmSpec,
    dir: &Path,
    train: &Path,
    state_dir: &Path,
    timeout: Duration,
    cancel: &CancellationToken,
) -> Result<Prepared, ArmError> {
    empty(state_dir)?;
    let absolute = |path: &Path| path.canonicalize().map_err(ArmError::io("a folder of the arm could not be found"));
    if spec.prepare.is_empty() {
        return Ok(Prepared { seconds: 0.0, state_digest: state_digest(state_dir)? });
    }
    let (dir, train, state) = (absolute(dir)?, absolute(train)?, absolute(state_dir)?);
    let launch = Launch::new(spec, &spec.prepare, &dir, Some(&state));
    let bounds = Bounds { timeout, output_bytes: STDOUT_BYTES };
    let (execution, _) = execute(&launch, &[("ITERA_TRAIN", train.as_os_str())], b"", bounds, cancel).await;
    let failed = |why: String, stderr| ArmError::PrepareFailed { why, stderr };
    let outcome = match execution {
        Err(e) => Err(failed(format!("the program could not be started: {}", e.kind()), None)),
        Ok(execution) => match execution.stop {
            Stop::Exited(status) => match judge_exit(status) {
                (CallStatus::Ok, _) => Ok(execution.latency),
                (_, why) => Err(failed(why.unwrap_or_default(), execution.stderr)),
            },
            Stop::Lost(kind) => Err(failed(format!("the process was lost: {kind}"), execution.stderr)),
            Stop::Timeout => Err(failed(format!("it took longer than {} s", timeout.as_secs_f64()), execution.stderr)),
            Stop::TooLarge => Err(failed(format!("it wrote more than {STDOUT_BYTES} bytes to stdout"), None)),
            Stop::Cancelled => Err(failed("it was cancelled".to_owned(), None)),
        },
    };
    let finished = outcome.and_then(|latency| {
        let mut files = Vec::new();
        list(&state, "", &mut files)?;
        for file in &files {
            let mode = if file.executable { 0o500 } else { 0o400 };
            fs::set_permissions(state.join(&file.path), Permissions::from_mode(mode))
                .map_err(ArmError::io(format!("`{}` of the prepared state could not be made read-only", file.path)))?;
        }
        Ok(Prepared { seconds: latency.as_secs_f64(), state_digest: digest(&files) })
    });
    if finished.is_err() {
        empty(state_dir)?;
    }
    finished
}

/// The digest over all files below a prepared state's folder: sorted paths, executable bits and
/// contents. Empty folders do not count.
///
/// # Errors
/// [`ArmError::Undeclarable`] where something is neither a file nor a folder or has a name that is
/// not UTF-8; [`ArmError::Io`].
pub fn state_digest(state_dir: &Path) -> Result<Digest, ArmError> {
    let mut files = Vec::new();
    list(state_dir, "", &mut files)?;
    Ok(digest(&files))
}

/// Verifies a prepared state and adds its files to a stamp.
pub(crate) fn stamp_state(state_dir: &Path, registered: &Digest, stamp: &mut Stamp) -> Result<(), ArmError> {
    let mut files = Vec::new();
    list(state_dir, "", &mut files)?;
    if digest(&files) != *registered {
        return Err(ArmError::changed("prepared state", "its files are not what the prepare command left"));
    }
    for file in files {
        stamp.verify(state_dir.join(&file.path), &file.path, &file.digest)?;
    }
    Ok(())
}

struct StateFile {
    path: String,
    executable: bool,
    digest: Digest,
}

fn digest(files: &[StateFile]) -> Digest {
    let mut lines: Vec<_> = files.iter().map(|f| (&f.path, f.executable, &f.digest)).collect();
    lines.sort();
    Digest::of_json(&lines)
}

fn list(root: &Path, below: &str, files: &mut Vec<StateFile>) -> Result<(), ArmError> {
    let unreadable = || "the prepared state could not be read";
    for entry in fs::read_dir(root.join(below)).map_err(ArmError::io(unreadable()))? {
        let entry = entry.map_err(ArmError::io(unreadable()))?;
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| ArmError::undeclarable(below, "it holds a name that is not UTF-8"))?;
        let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        let meta = entry.metadata().map_err(ArmError::io(unreadable()))?;
        if meta.is_dir() {
            list(root, &path, files)?;
        } else if meta.is_file() {
            let digest = digest_of_file(&root.join(&path)).map_err(ArmError::io(unreadable()))?;
            files.push(StateFile { path, executable: meta.permissions().mode() & 0o100 != 0, digest });
        } else {
            return Err(ArmError::undeclarable(&path, "a prepared state holds files and folders only"));
        }
    }
    Ok(())
}

fn empty(dir: &Path) -> Result<(), ArmError> {
    let failed = || "the folder of the prepared state could not be emptied";
    if fs::symlink_metadata(dir).is_ok() {
        fs::remove_dir_all(dir).map_err(ArmError::io(failed()))?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(ArmError::io(failed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::PathBuf;

    fn arm(script: &str) -> ArmSpec {
        let prepare = if script.is_empty() { vec![] } else { vec!["/bin/sh", "-c", script] };
        serde_json::from_value(json!({"id": "a", "reference": "r", "command": ["true"], "prepare": prepare})).unwrap()
    }

    async fn run(script: &str, timeout_s: f64) -> (tempfile::TempDir, PathBuf, Result<Prepared, ArmError>) {
        let home = tempfile::tempdir().unwrap();
        let (dir, train, state) = (home.path().join("d"), home.path().join("train.ndjson"), home.path().join("s"));
        fs::create_dir(&dir).unwrap();
        fs::write(&train, "{\"y\":1}\n{\"y\":2}\n").unwrap();
        let timeout = Duration::from_secs_f64(timeout_s);
        let prepared = prepare(&arm(script), &dir, &train, &state, timeout, &CancellationToken::new()).await;
        (home, state, prepared)
    }

    #[tokio::test]
    async fn the_state_is_what_the_command_wrote_and_its_digest_holds_it() {
        let script = r#"mkdir "$ITERA_STATE/m"; wc -l < "$ITERA_TRAIN" > "$ITERA_STATE/m/rows""#;
        let (_home, state, prepared) = run(script, 20.0).await;
        let prepared = prepared.unwrap();
        assert!(prepared.seconds > 0.0);
        assert_eq!(fs::read_to_string(state.join("m/rows")).unwrap().trim(), "2");
        assert_eq!(state_digest(&state).unwrap(), prepared.state_digest);
        let (_home, _, again) = run(script, 20.0).await;
        assert_eq!(again.unwrap().state_digest, prepared.state_digest, "same work, same digest");
        fs::write(state.join("extra"), "x").unwrap();
        assert_ne!(state_digest(&state).unwrap(), prepared.state_digest);
    }

    #[tokio::test]
    async fn an_arm_that_prepares_nothing_has_an_empty_state() {
        let (_home, state, prepared) = run("", 20.0).await;
        assert_eq!(prepared.unwrap().state_digest, state_digest(&state).unwrap());
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_failure_leaves_no_state() {
        for (script, timeout_s, needle) in [
            ("touch $ITERA_STATE/half; echo why >&2; exit 4", 20.0, "exit code 4"),
            ("touch $ITERA_STATE/half; sleep 60", 0.2, "longer than 0.2 s"),
            ("ln -s /etc/passwd $ITERA_STATE/half", 20.0, "files and folders only"),
        ] {
            let (_home, state, prepared) = run(script, timeout_s).await;
            let error = prepared.unwrap_err();
            assert!(error.to_string().contains(needle), "{error}");
            assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
            if let ArmError::PrepareFailed { stderr: Some(stderr), .. } = error {
                assert_eq!(stderr, "why");
            }
        }
    }

    #[tokio::test]
    async fn a_changed_state_is_not_opened() {
        let (home, state, prepared) = run("echo 1 > $ITERA_STATE/model", 20.0).await;
        let digest = prepared.unwrap().state_digest;
        let spec = arm("x");
        let snapshot = itera_core::snapshot::Snapshot::new(&spec, vec![]);
        let open = || crate::ArmRuntime::open(&spec, &snapshot, &home.path().join("d"), Some((&state, &digest)));
        let runtime = open().unwrap();
        runtime.unchanged().unwrap();
        fs::set_permissions(state.join("model"), Permissions::from_mode(0o600)).unwrap();
        fs::write(state.join("model"), "2\n").unwrap();
        assert!(matches!(runtime.unchanged(), Err(ArmError::Changed { .. })));
        assert!(matches!(open(), Err(ArmError::Changed { .. })));
    }
}
