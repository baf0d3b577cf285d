//! What a child sees of the machine: a scrubbed environment and a resolved program.

use itera_core::frame::ArmSpec;
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Variables that every arm gets.
const ALWAYS: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// How one arm's processes are started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) dir: PathBuf,
    pub(crate) environment: Vec<(OsString, OsString)>,
}

impl Launch {
    /// The launch of `argv` in `dir`, with the variables of [`ALWAYS`], those the arm declares, and
    /// `ITERA_STATE`.
    pub(crate) fn new(spec: &ArmSpec, argv: &[String], dir: &Path, state: Option<&Path>) -> Self {
        let mut environment: Vec<(OsString, OsString)> = ALWAYS
            .into_iter()
            .chain(spec.env.iter().map(String::as_str))
            .filter(|name| !name.is_empty() && !name.contains(['=', '\0']) && !name.starts_with("ITERA_"))
            .filter_map(|name| env::var_os(name).map(|value| (name.into(), value)))
            .collect();
        if let Some(state) = state {
            environment.push(("ITERA_STATE".into(), state.into()));
        }
        let program = argv.first().map_or("", String::as_str);
        Self {
            program: resolve(program, dir),
            arguments: argv.iter().skip(1).cloned().collect(),
            dir: dir.to_owned(),
            environment,
        }
    }

    /// The command, with further variables for this one start.
    pub(crate) fn command(&self, extra: &[(&str, &OsStr)]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(&self.dir)
            .env_clear()
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .envs(extra.iter().copied());
        command
    }
}

/// The program as a full path: of the arm's own folder where it stands there, else of `PATH`.
///
/// Looked up once instead of at every call, which also lets the standard library start children
/// without forking the engine. A program that is found nowhere is kept by name, so that each call
/// records that it could not be started.
fn resolve(program: &str, dir: &Path) -> PathBuf {
    let own = dir.join(program);
    if program.contains('/') || (!program.is_empty() && is_program(&own)) {
        return own;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|candidate| is_program(candidate))
        .unwrap_or_else(|| program.into())
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_looked_up_in_the_path_and_an_own_file_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        assert!(resolve("sh", dir.path()).is_absolute());
        assert_eq!(resolve("./sh", dir.path()), dir.path().join("./sh"));
        assert_eq!(resolve("/bin/sh", dir.path()), Path::new("/bin/sh"));
        assert_eq!(resolve("no-such-program", dir.path()), Path::new("no-such-program"));
        std::fs::write(dir.path().join("sh"), "#!/bin/cat\n").unwrap();
        assert_ne!(resolve("sh", dir.path()), dir.path().join("sh"), "not executable");
        std::fs::set_permissions(dir.path().join("sh"), PermissionsExt::from_mode(0o500)).unwrap();
        assert_eq!(resolve("sh", dir.path()), dir.path().join("sh"));
    }
}
