//! `auto-itera doctor`: what is wrong with an installation, and what to do about it.

use crate::hook::Heartbeat;
use crate::init::Client;
use crate::tools::TOOLS;
use itera_core::state::{Stage, State};
use itera_ledger::Project;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Longest that the server may take to list its tools.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Finding {
    /// In order.
    Ok,
    /// Worth knowing; nothing is broken.
    Note,
    /// Broken.
    Wrong,
}

#[derive(Debug, Clone, Serialize)]
struct Check {
    what: &'static str,
    finding: Finding,
    found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remedy: String,
}

fn check(what: &'static str, finding: Finding, found: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { what, finding, found: found.into(), remedy: remedy.into() }
}

/// Checks the installation; false where something is broken.
///
/// # Errors
/// When the report cannot be written.
pub fn run(dir: &Path, as_json: bool) -> anyhow::Result<bool> {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mut checks = vec![binary(), on_path(), writable(&dir), keys(&dir)];
    checks.extend(experiments(&dir));
    checks.extend(["python3", "node"].map(interpreter));
    checks.extend(clients(&dir));
    checks.push(server(&dir));
    let broken = checks.iter().filter(|c| c.finding == Finding::Wrong).count();
    let mut out = std::io::stdout();
    if as_json {
        writeln!(out, "{}", serde_json::to_string_pretty(&json!({ "ok": broken == 0, "checks": checks }))?)?;
        return Ok(broken == 0);
    }
    for c in &checks {
        let mark = match c.finding {
            Finding::Ok => "ok   ",
            Finding::Note => "note ",
            Finding::Wrong => "WRONG",
        };
        writeln!(out, "{mark} {}: {}", c.what, c.found)?;
        if !c.remedy.is_empty() {
            writeln!(out, "      {}", c.remedy)?;
        }
    }
    match broken {
        0 => writeln!(out, "everything that is needed is in order")?,
        n => writeln!(out, "{n} thing(s) are wrong")?,
    }
    Ok(broken == 0)
}

fn binary() -> Check {
    let path = std::env::current_exe().map_or_else(|_| "an unknown place".to_owned(), |p| p.display().to_string());
    check("binary", Finding::Ok, format!("{} at {path}", env!("CARGO_PKG_VERSION")), "")
}

fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|p| p.join(name)).find(|p| p.is_file())
}

fn on_path() -> Check {
    let Some(found) = which("auto-itera") else {
        return check(
            "path",
            Finding::Note,
            "`auto-itera` is not on PATH",
            "Editors that were registered with the full path do not need it; `cargo install` and `npm install -g` put it there.",
        );
    };
    let version = Command::new(&found).arg("--version").stdin(Stdio::null()).output().ok();
    let version = version.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default();
    if version == format!("auto-itera {}", env!("CARGO_PKG_VERSION")) {
        check("path", Finding::Ok, format!("{version} at {}", found.display()), "")
    } else {
        let said = if version.is_empty() { "something that does not start".to_owned() } else { version };
        check(
            "path",
            Finding::Note,
            format!("{said} at {}, while this is {}", found.display(), env!("CARGO_PKG_VERSION")),
            "The plugin's launcher takes only its own version; update the one on PATH.",
        )
    }
}

fn writable(dir: &Path) -> Check {
    let probe = dir.join(format!(".auto-itera-doctor-{}", std::process::id()));
    let result = std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
    match result {
        Ok(()) => check("project", Finding::Ok, format!("{} can be written to", dir.display()), ""),
        Err(error) => check(
            "project",
            Finding::Wrong,
            format!("{} cannot be written to: {error}", dir.display()),
            "Give write access: the store is .auto-itera/ and conclusions are written to docs/experiments/.",
        ),
    }
}

fn keys(dir: &Path) -> Check {
    match Project::open(dir) {
        Ok(project) => {
            let folder = project.key_dir();
            let existing = folder.ancestors().find(|p| p.exists()).unwrap_or(folder);
            let read_only = std::fs::metadata(existing).is_ok_and(|m| m.permissions().readonly());
            if read_only {
                check(
                    "keys",
                    Finding::Wrong,
                    format!("{} cannot be written to", existing.display()),
                    "Set AUTO_ITERA_KEY_DIR to a folder outside the project that can.",
                )
            } else {
                check("keys", Finding::Ok, format!("in {}, outside the project", folder.display()), "")
            }
        }
        Err(error) => check("keys", Finding::Wrong, error.to_string(), error.remedy()),
    }
}

fn experiments(dir: &Path) -> Vec<Check> {
    let ids = match Project::open(dir).and_then(|p| p.experiments()) {
        Ok(ids) => ids,
        Err(_) => return Vec::new(),
    };
    if ids.is_empty() {
        return vec![check("experiments", Finding::Ok, "none yet", "")];
    }
    let Ok(project) = Project::open(dir) else { return Vec::new() };
    let mut checks = Vec::new();
    let mut readable = 0;
    for id in &ids {
        match project.store(id).and_then(|s| s.entries().map(|e| (s.folder().to_owned(), e))) {
            Ok((folder, entries)) => {
                readable += 1;
                let state = State::replay(entries.iter().map(|e| &e.event));
                if matches!(state.stage, Stage::Draft | Stage::Concluded | Stage::Abandoned) {
                    continue;
                }
                checks.push(match Heartbeat::read(&folder) {
                    Some(beat) => check("fence", Finding::Ok, format!("the editor's hook saw {} call(s) during {id}", beat.seen), ""),
                    None => check(
                        "fence",
                        Finding::Note,
                        format!("no editor hook has been seen during {id}"),
                        "Install the Claude Code plugin for the fence; without it the conclusion says that the fence was absent.",
                    ),
                });
            }
            Err(error) => checks.push(check(
                "experiments",
                Finding::Wrong,
                format!("{id} cannot be read: {error}"),
                error.remedy(),
            )),
        }
    }
    checks.insert(0, check("experiments", Finding::Ok, format!("{readable} of {} readable", ids.len()), ""));
    checks
}

fn interpreter(name: &'static str) -> Check {
    match which(name) {
        Some(path) => check(name, Finding::Ok, path.display().to_string(), ""),
        None => check(name, Finding::Note, "not on PATH", "Only arms that are written for it need it."),
    }
}

fn clients(dir: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    for client in Client::ALL {
        let Some(command) = client.registered(dir) else { continue };
        let starts = if command.contains('/') { Path::new(&command).is_file() } else { which(&command).is_some() };
        let file = client.file(dir).map(|f| f.display().to_string()).unwrap_or_default();
        checks.push(if starts {
            check("editor", Finding::Ok, format!("{} starts `{command}` ({file})", client.name()), "")
        } else {
            check(
                "editor",
                Finding::Wrong,
                format!("{} would start `{command}`, which is not there ({file})", client.name()),
                "Run `auto-itera init --client` for it again.",
            )
        });
    }
    if checks.is_empty() {
        checks.push(check(
            "editor",
            Finding::Note,
            "no editor is registered for this project",
            "Run `auto-itera init --client <editor>`, or install the Claude Code plugin, which needs no registration.",
        ));
    }
    checks
}

/// Starts this binary as a server and lists its tools over the protocol.
fn server(dir: &Path) -> Check {
    match listed(dir) {
        Ok(tools) if tools == TOOLS.len() => {
            check("server", Finding::Ok, format!("starts and lists {tools} tools"), "")
        }
        Ok(tools) => check(
            "server",
            Finding::Wrong,
            format!("lists {tools} of {} tools", TOOLS.len()),
            "Install this version again.",
        ),
        Err(why) => check(
            "server",
            Finding::Wrong,
            why,
            "Run `auto-itera serve` with AUTO_ITERA_LOG=debug and read what it says.",
        ),
    }
}

fn listed(dir: &Path) -> Result<usize, String> {
    let exe = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut child = Command::new(exe)
        .args(["serve", "--project"])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("does not start: {e}"))?;
    let asks = [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "doctor", "version": "1" } } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }),
    ];
    let mut stdin = child.stdin.take().ok_or("has no input")?;
    let stdout = child.stdout.take().ok_or("has no output")?;
    let (said, hear) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                break;
            }
        }
    });
    let found = (|| {
        for ask in asks {
            writeln!(stdin, "{ask}").map_err(|e| format!("closes its input: {e}"))?;
        }
        loop {
            let line =
                hear.recv_timeout(PATIENCE).map_err(|_| format!("does not answer within {} s", PATIENCE.as_secs()))?;
            let value: Value =
                serde_json::from_str(&line).map_err(|_| "writes something that is not the protocol".to_owned())?;
            if value["id"] == 2 {
                return value["result"]["tools"]
                    .as_array()
                    .map(Vec::len)
                    .ok_or_else(|| format!("answers {}", value["error"]));
            }
        }
    })();
    drop(stdin);
    let _ = child.kill();
    let _ = child.wait();
    found
}
