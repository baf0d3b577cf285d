//! Finds the built binary, and builds it where it is absent or older than its sources.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The repository's folder.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_path_buf()
}

/// The binary under test: `AUTO_ITERA_BIN` where that is set, else the one that cargo leaves beside
/// this test's own executable.
pub fn binary() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        if let Some(given) = std::env::var_os("AUTO_ITERA_BIN") {
            return PathBuf::from(given).canonicalize().expect("AUTO_ITERA_BIN names a file");
        }
        // target/<profile>/deps/e2e-<hash>
        let own = std::env::current_exe().expect("an executable");
        let folder = own.parent().and_then(Path::parent).expect("a profile's folder");
        let built = folder.join("auto-itera");
        if fresh(&built) { built } else { build(folder) }
    })
}

/// Whether the binary is younger than every source that cargo says it was made of.
fn fresh(built: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    let (Some(age), Ok(listed)) = (modified(built), std::fs::read_to_string(built.with_extension("d"))) else {
        return false;
    };
    let Some((_, sources)) = listed.split_once(": ") else { return false };
    let manifests = [repository().join("Cargo.lock"), repository().join("Cargo.toml")];
    let younger = |path: &Path| modified(path).is_none_or(|m: SystemTime| m > age);
    // Paths with a space are escaped by a backslash in that file.
    let joined = sources.replace("\\ ", "\0");
    let sources = joined.split_whitespace().map(|s| PathBuf::from(s.replace('\0', " ")));
    !sources.chain(manifests).any(|path| younger(&path))
}

fn build(folder: &Path) -> PathBuf {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(repository()).args(["build", "--quiet", "-p", "auto-itera", "--message-format=json"]);
    match folder.file_name().and_then(|n| n.to_str()) {
        Some("debug") | None => {}
        Some(profile) => {
            command.args(["--profile", profile]);
        }
    }
    let out = command.output().expect("cargo runs");
    assert!(out.status.success(), "auto-itera does not build:\n{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|m| m["target"]["name"] == "auto-itera")
        .find_map(|m| m["executable"].as_str().map(PathBuf::from))
        .expect("cargo names the executable")
}
