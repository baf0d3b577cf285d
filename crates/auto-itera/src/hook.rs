//! `auto-itera hook`: answers to the hooks of an editor.
//!
//! `pre-tool-use` fences the sealed rows, `session-start` tells of an open experiment, `stop`
//! reminds of an unfinished pass. Each reads the hook's JSON on stdin and writes at most one JSON
//! object. The fence fails closed: where the record cannot be read, what it might name is denied.

mod fence;
mod glob;
mod shell;

pub use fence::own_tool;

use fence::{Denial, Fence, Sealed};
use itera_core::event::PassKind;
use itera_core::ids::ExperimentId;
use itera_core::state::{Stage, State};
use itera_ledger::{LedgerError, Project, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// File of an experiment's folder in which the hook notes that it saw a call.
const HEARTBEAT: &str = "fence.json";
/// File of `.auto-itera/` that names what was fenced last, for a launcher without its binary.
const LIST: &str = "fenced";

/// The hooks that are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum HookEvent {
    /// Before any tool of the editor runs.
    PreToolUse,
    /// When a session starts or resumes.
    SessionStart,
    /// When the agent is about to stop.
    Stop,
}

/// What the hook has seen of one experiment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Calls that passed the hook since the frame was locked.
    pub seen: u64,
    /// For each tool of the engine, the number of its latest call.
    pub tools: BTreeMap<String, u64>,
}

impl Heartbeat {
    /// Reads it from an experiment's folder; nothing where the hook never ran.
    pub fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(HEARTBEAT)).ok()?).ok()
    }

    fn beat(folder: &Path, tool: &str) {
        let mut beat = Self::read(folder).unwrap_or_default();
        beat.seen += 1;
        if let Some(own) = own_tool(tool) {
            beat.tools.insert(own.to_owned(), beat.seen);
        }
        // A heartbeat that cannot be written is a fence that is disclosed as absent.
        let _ = write_whole(&folder.join(HEARTBEAT), &serde_json::to_vec(&beat).unwrap_or_default());
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let fresh = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&fresh, bytes)?;
    fs::rename(&fresh, path)
}

/// Answers one hook.
///
/// # Errors
/// When the answer cannot be written.
pub fn run(event: HookEvent) -> anyhow::Result<bool> {
    let mut text = String::new();
    let read = std::io::stdin().take(64 << 20).read_to_string(&mut text);
    let input: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let answer = match event {
        HookEvent::PreToolUse if read.is_err() || !input.is_object() => {
            Some(deny(&Denial("source-fenced: the hook could not read the call, so it is denied. Try again; `auto-itera doctor` tells what is wrong.".into())))
        }
        HookEvent::PreToolUse => pre_tool_use(&input).map(|d| deny(&d)),
        HookEvent::SessionStart => session_start(&input).map(|context| {
            json!({ "hookSpecificOutput": { "hookEventName": "SessionStart", "additionalContext": context } })
        }),
        HookEvent::Stop => stop(&input).map(|reason| json!({ "decision": "block", "reason": reason })),
    };
    if let Some(answer) = answer {
        writeln!(std::io::stdout(), "{answer}")?;
    }
    Ok(true)
}

fn deny(denial: &Denial) -> Value {
    json!({ "hookSpecificOutput": {
        "hookEventName": "PreToolUse",
        "permissionDecision": "deny",
        "permissionDecisionReason": denial.0,
    } })
}

/// The projects a call may concern: the one the editor names, and every folder above the call's
/// own that holds a store.
fn projects(input: &Value) -> (PathBuf, BTreeSet<PathBuf>) {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let cwd = input.get("cwd").and_then(Value::as_str).map_or_else(|| here.clone(), PathBuf::from);
    let cwd = cwd.canonicalize().unwrap_or(cwd);
    let named = std::env::var_os("CLAUDE_PROJECT_DIR").map(PathBuf::from).filter(|p| p.is_absolute());
    let mut roots = BTreeSet::new();
    for start in named.iter().chain([&cwd, &here]) {
        let start = start.canonicalize().unwrap_or_else(|_| start.clone());
        roots.extend(start.ancestors().filter(|p| p.join(".auto-itera").is_dir()).map(Path::to_owned));
    }
    (cwd, roots)
}

struct Open {
    id: ExperimentId,
    store: Store,
    state: State,
}

fn experiments(project: &Project) -> Result<Vec<Open>, LedgerError> {
    project
        .experiments()?
        .into_iter()
        .map(|id| {
            let store = project.store(&id)?;
            let state = State::replay(store.entries()?.iter().map(|e| &e.event));
            Ok(Open { id, store, state })
        })
        .collect()
}

/// Whether an experiment's source must not be read: from the lock of its frame to its end.
fn fenced(stage: Stage) -> bool {
    !matches!(stage, Stage::Draft | Stage::Concluded | Stage::Abandoned)
}

fn pre_tool_use(input: &Value) -> Option<Denial> {
    let tool = input.get("tool_name").and_then(Value::as_str).unwrap_or("");
    let none = Value::Null;
    let arguments = input.get("tool_input").unwrap_or(&none);
    let (cwd, roots) = projects(input);
    roots.iter().find_map(|root| match fence_of(root, &cwd, tool) {
        Ok(fence) => fence.judge(tool, arguments),
        Err(_) if fence::is_own(tool) => None,
        Err(error) => {
            let known = listed(root, &cwd).judge(tool, arguments);
            known.or_else(|| Fence::unreadable(root, &cwd, arguments, &error.to_string()))
        }
    })
}

fn fence_of(root: &Path, cwd: &Path, tool: &str) -> Result<Fence, LedgerError> {
    let project = Project::open(root)?;
    let mut files = Vec::new();
    for open in experiments(&project)? {
        if !fenced(open.state.stage) {
            continue;
        }
        Heartbeat::beat(open.store.folder(), tool);
        if let Some(frame) = &open.state.frame {
            files.extend(sources(root, &frame.source.path).iter().map(|p| Sealed::new(root, p, open.id.as_str())));
        }
    }
    let any = project.experiments()?.is_empty();
    let folders = if any {
        Vec::new()
    } else {
        vec![project.state_dir(), fence::resolve(root, &project.key_dir().display().to_string())]
    };
    keep_list(&project, &files);
    Ok(Fence { cwd: cwd.to_owned(), files, folders })
}

/// The files that a frame's source names: itself, or what its pattern matches in its folder.
fn sources(root: &Path, path: &str) -> Vec<String> {
    if !glob::is_pattern(path) || root.join(path).exists() {
        return vec![path.to_owned()];
    }
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let full = entry.path();
            let below = full.strip_prefix(root).unwrap_or(&full).display().to_string();
            match entry.file_type() {
                Ok(t) if t.is_dir() && !below.starts_with('.') && found.len() < 10_000 => folders.push(full),
                Ok(_) if glob::matches(path, &below) => found.push(below),
                _ => {}
            }
        }
    }
    found
}

/// Keeps what is fenced by name, for when the record cannot be read.
fn keep_list(project: &Project, files: &[Sealed]) {
    let text: String = files.iter().map(|f| format!("{}\n", f.shown)).collect();
    let path = project.state_dir().join(LIST);
    if fs::read_to_string(&path).unwrap_or_default() != text {
        let _ = write_whole(&path, text.as_bytes());
    }
}

/// The fence as it was last known.
fn listed(root: &Path, cwd: &Path) -> Fence {
    let text = fs::read_to_string(root.join(".auto-itera").join(LIST)).unwrap_or_default();
    Fence {
        cwd: cwd.to_owned(),
        files: text.lines().filter(|l| !l.is_empty()).map(|l| Sealed::new(root, l, "(unreadable)")).collect(),
        folders: vec![root.join(".auto-itera")],
    }
}

fn opened(input: &Value) -> Vec<Result<Open, String>> {
    let (_, roots) = projects(input);
    let mut found = Vec::new();
    for root in roots {
        match Project::open(&root).and_then(|p| experiments(&p)) {
            Ok(all) => found.extend(all.into_iter().map(Ok)),
            Err(error) => found.push(Err(format!("{error}. {}", error.remedy()))),
        }
    }
    found
}

fn session_start(input: &Value) -> Option<String> {
    let mut lines = Vec::new();
    for open in opened(input) {
        match open {
            Err(why) => {
                lines.push(format!("auto-itera: the record of this project's experiments cannot be read: {why}"))
            }
            Ok(open) => {
                let stage = open.state.stage;
                let unwritten = stage == Stage::Concluded && open.state.folder.is_none();
                if matches!(stage, Stage::Concluded | Stage::Abandoned) && !unwritten {
                    continue;
                }
                let question = open.state.frame.as_ref().map_or("", |f| f.question.as_str());
                let next = if unwritten { "verdict" } else { stage.next_tools().first().copied().unwrap_or("status") };
                lines.push(format!(
                    "auto-itera: experiment {} is open at stage {} (\"{}\"). Call status first; the next move is {next}.",
                    open.id,
                    stage.name(),
                    question.chars().take(200).collect::<String>()
                ));
                if fenced(stage)
                    && let Some(frame) = &open.state.frame
                {
                    lines.push(format!(
                        "Its rows are sealed: do not read {} or .auto-itera by any means; read_rows shows train rows.",
                        frame.source.path
                    ));
                }
            }
        }
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn stop(input: &Value) -> Option<String> {
    // A reminder is given once; the agent may then stop.
    if input.get("stop_hook_active").and_then(Value::as_bool).unwrap_or(false) {
        return None;
    }
    let reminders: Vec<String> = opened(input)
        .into_iter()
        .flatten()
        .filter_map(|open| {
            if let Some(pass) = open.state.open_pass() {
                let done = open.store.count(pass.plan.pass).unwrap_or(0);
                let kind = match pass.plan.kind {
                    PassKind::Dev => "dev",
                    PassKind::Test => "test",
                };
                return Some(format!(
                    "The {kind} pass of experiment {} is unfinished ({done} of {} calls recorded). Call score_wait until it is complete, or tell the person that it will resume with score_wait later.",
                    open.id, pass.plan.calls
                ));
            }
            match open.state.stage {
                Stage::Tested => Some(format!("The sealed test of experiment {} is scored and its verdict is due: call verdict.", open.id)),
                Stage::Concluded if open.state.folder.is_none() => {
                    Some(format!("Experiment {} has its verdict, and its conclusion is not written yet: call verdict again.", open.id))
                }
                _ => None,
            }
        })
        .collect();
    (!reminders.is_empty()).then(|| reminders.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_counts_calls_and_remembers_the_engines_own() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Heartbeat::read(dir.path()), None);
        for tool in [
            "Read",
            "mcp__plugin_auto-itera_itera__source_rows",
            "Bash",
            "mcp__itera__open_test",
            "mcp__itera__nonsense",
        ] {
            Heartbeat::beat(dir.path(), tool);
        }
        let beat = Heartbeat::read(dir.path()).unwrap();
        assert_eq!(beat.seen, 5);
        assert_eq!(beat.tools, BTreeMap::from([("source_rows".to_owned(), 2), ("open_test".to_owned(), 4)]));
    }

    #[test]
    fn a_folder_without_experiments_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let input = json!({ "cwd": dir.path(), "tool_name": "Bash", "tool_input": { "command": "cat .auto-itera/x rows.csv" } });
        assert_eq!(pre_tool_use(&input), None);
        assert_eq!(session_start(&input), None);
        assert_eq!(stop(&input), None);
        assert!(!dir.path().join(".auto-itera").exists());
    }

    #[test]
    fn a_store_that_cannot_be_read_closes_the_fence() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(".auto-itera/experiments/2026-01-01-x");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("store.db"), "not a store").unwrap();
        fs::write(dir.path().join(".auto-itera").join(LIST), "data/odd.txt\n").unwrap();
        let call = |command: &str| {
            pre_tool_use(&json!({ "cwd": dir.path(), "tool_name": "Bash", "tool_input": { "command": command } }))
        };
        assert!(
            call("cat .auto-itera/x").is_some()
                && call("cat data/rows.csv").is_some()
                && call("cat data/odd.txt").is_some()
        );
        assert_eq!(call("cargo build"), None);
        let own = json!({ "cwd": dir.path(), "tool_name": "mcp__itera__status", "tool_input": {} });
        assert_eq!(pre_tool_use(&own), None);
    }
}
