//! The house holds its shape: dependency arrows, folder names, no machine's paths in the tree.

use crate::support::{repository, skipped};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Who may depend on whom, among the crates of the workspace.
const ARROWS: &[(&str, &[&str])] = &[
    ("itera-stats", &[]),
    ("itera-core", &["itera-stats"]),
    ("itera-ledger", &["itera-core"]),
    ("itera-data", &["itera-core"]),
    ("itera-arms", &["itera-core"]),
    ("itera-report", &["itera-core", "itera-stats"]),
    ("auto-itera", &["itera-stats", "itera-core", "itera-ledger", "itera-data", "itera-arms", "itera-report"]),
];

/// Crates that the pure crates may not reach: clocks, disks, networks, processes.
const IMPURE: &[&str] = &["tokio", "rusqlite", "reqwest", "hyper", "rmcp", "chrono", "time"];

fn metadata() -> Value {
    let out = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(repository())
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("JSON")
}

/// Names that a package depends on outside of tests.
fn dependencies(package: &Value) -> BTreeSet<String> {
    package["dependencies"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|d| d["kind"] != "dev")
        .map(|d| d["name"].as_str().expect("a name").to_owned())
        .collect()
}

#[test]
fn the_arrows_between_crates_are_those_of_the_plan() {
    let metadata = metadata();
    let packages: BTreeMap<&str, &Value> = metadata["packages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| (p["name"].as_str().expect("a name"), p))
        .collect();
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = packages.keys().copied().filter(|n| *n != "itera-tests").collect();
    assert_eq!(found, ours, "a crate came or went: draw its arrows here and in ARCHITECTURE.md");
    for (name, allowed) in ARROWS {
        let package = packages[name];
        let of_ours: BTreeSet<String> =
            dependencies(package).into_iter().filter(|d| ours.contains(d.as_str())).collect();
        let allowed: BTreeSet<String> = allowed.iter().map(|a| (*a).to_owned()).collect();
        assert!(of_ours.is_subset(&allowed), "{name} depends on {of_ours:?}; the plan allows {allowed:?}");
        let folder = package["manifest_path"].as_str().expect("a path");
        assert!(folder.ends_with(&format!("/crates/{name}/Cargo.toml")), "{name} lies in {folder}");
    }
    for pure in ["itera-stats", "itera-core", "itera-report"] {
        let reached: Vec<String> =
            dependencies(packages[pure]).into_iter().filter(|d| IMPURE.contains(&d.as_str())).collect();
        assert!(reached.is_empty(), "{pure} is pure and depends on {reached:?}");
    }
}

/// Text files of the tree that git would commit.
fn tracked() -> Option<Vec<(String, String)>> {
    let out = Command::new("git").current_dir(repository()).args(["ls-files", "-z"]).output().ok()?;
    if !out.status.success() {
        skipped("architecture", "this tree is not a git clone");
        return None;
    }
    let names = String::from_utf8_lossy(&out.stdout).into_owned();
    let text = |name: &str| Some((name.to_owned(), std::fs::read_to_string(repository().join(name)).ok()?));
    Some(names.split('\0').filter(|n| !n.is_empty()).filter_map(text).collect())
}

#[test]
fn no_tracked_file_names_a_path_of_one_machine() {
    let Some(files) = tracked() else { return };
    // Spelled in halves, so that this file does not find itself.
    let homes = [
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("/wo", "rk/"),
        concat!("C:", "\\Users"),
    ];
    let mut found = Vec::new();
    for (name, text) in &files {
        for (number, line) in text.lines().enumerate() {
            for home in homes {
                // A word may end in one of these (`framework/`), a path begins with it.
                let begins = line.match_indices(home).any(|(at, _)| {
                    !line[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || "._-~}$*".contains(c))
                });
                if begins {
                    found.push(format!("{name}:{}: {}", number + 1, line.trim()));
                }
            }
        }
    }
    assert!(found.is_empty(), "paths of a machine:\n{}", found.join("\n"));
}

#[test]
fn nothing_is_left_for_later() {
    let Some(files) = tracked() else { return };
    let marks = [
        concat!("// TO", "DO"),
        concat!("# TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("un", "implemented!("),
        concat!("#[ign", "ore"),
    ];
    let mut found = Vec::new();
    for (name, text) in
        files.iter().filter(|(name, _)| name.ends_with(".rs") || name.ends_with(".sh") || name.ends_with(".py"))
    {
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|m| line.contains(m)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "left for later:\n{}", found.join("\n"));
}
