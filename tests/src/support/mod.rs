//! A throw-away project, the real server on the other end of stdio, and calls to it.

mod binary;
pub mod fixture;

pub use binary::{binary, repository};

use rmcp::model::{CallToolRequestParams, ContentBlock};
use rmcp::service::{RunningService, ServiceError};
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A project folder, with the keys and the arms' log beside it.
pub struct World {
    base: TempDir,
}

impl World {
    /// An empty project.
    pub fn empty() -> Self {
        let base = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(base.path().join("project")).expect("a project folder");
        Self { base }
    }

    /// A project with the fixture's rows and arms.
    pub fn new() -> Self {
        let world = Self::empty();
        fixture::write(&world.project());
        world
    }

    /// The project's folder.
    pub fn project(&self) -> PathBuf {
        self.base.path().join("project")
    }

    /// Folder of the keys, outside the project.
    pub fn keys(&self) -> PathBuf {
        self.base.path().join("keys")
    }

    /// Any other folder beside the project.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    /// The file to which the arms append the request of every execution.
    pub fn log(&self) -> PathBuf {
        self.beside("executions.log")
    }

    /// Makes the arms wait in every call until [`World::release`].
    pub fn hold(&self) {
        std::fs::write(self.beside("hold"), "").expect("hold");
    }

    /// Lets the arms go on.
    pub fn release(&self) {
        let _ = std::fs::remove_file(self.beside("hold"));
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, text: &str) {
        fixture::write_file(&self.project().join(path), text);
    }

    /// Text of a file of the project.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.project().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// The server's command line in this project.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command
            .current_dir(self.project())
            .env("AUTO_ITERA_KEY_DIR", self.keys())
            .env("ARM_LOG", self.log())
            .env("ARM_HOLD", self.beside("hold"))
            .kill_on_drop(true);
        command
    }

    /// A server with a client that is connected to it.
    pub async fn server(&self) -> Server {
        let mut child = self
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the server starts");
        let pipes = (child.stdout.take().expect("stdout"), child.stdin.take().expect("stdin"));
        let client = ().serve(pipes).await.expect("the client connects");
        Server { child, client }
    }

    /// Opens an experiment's store without a server.
    pub fn store(&self, experiment: &str) -> itera_ledger::Store {
        itera_ledger::Project::with_keys(&self.project(), &self.keys())
            .and_then(|p| p.store(&itera_core::ids::ExperimentId::from(experiment)))
            .expect("the store opens")
    }

    /// Runs a verb of the command line to its end: exit code, stdout and stderr together.
    pub async fn run(&self, args: &[&str]) -> (i32, String) {
        let out = self.command().args(args).stdin(Stdio::null()).output().await.expect("the command runs");
        let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        (out.status.code().unwrap_or(-1), text)
    }
}

/// A running server and the client that speaks to it.
pub struct Server {
    child: Child,
    /// The client.
    pub client: RunningService<RoleClient, ()>,
}

impl Server {
    /// Calls a tool and answers its envelope, having checked what holds of every answer: the first
    /// text block is the JSON of the structured content, `isError` is the contrary of `ok`, a
    /// refusal is complete, and all of it is short enough for a client.
    pub async fn call(&self, tool: &str, args: Value) -> Value {
        self.try_call(tool, args).await.unwrap_or_else(|e| panic!("`{tool}` is a protocol error: {e}"))
    }

    /// The same, where a protocol error may come.
    pub async fn try_call(&self, tool: &str, args: Value) -> Result<Value, ServiceError> {
        let Value::Object(args) = args else { panic!("arguments are an object") };
        let result = self.client.call_tool(CallToolRequestParams::new(tool.to_owned()).with_arguments(args)).await?;
        let envelope = result.structured_content.unwrap_or_else(|| panic!("`{tool}` has no structured content"));
        let text = result.content.iter().find_map(|c| match c {
            ContentBlock::Text(text) => Some(text.text.as_str()),
            _ => None,
        });
        let text = text.unwrap_or_else(|| panic!("`{tool}` has no text"));
        assert_eq!(
            serde_json::from_str::<Value>(text).expect("the text is JSON"),
            envelope,
            "`{tool}`: text and structure"
        );
        assert_eq!(
            result.is_error.unwrap_or(false),
            envelope["ok"] != true,
            "`{tool}`: isError is not the contrary of ok"
        );
        assert!(text.chars().count() < 20_000, "`{tool}` answers {} characters", text.chars().count());
        if envelope["ok"] != true {
            check_refusal(tool, &envelope);
        }
        Ok(envelope)
    }

    /// Calls a tool that must be allowed.
    pub async fn ok(&self, tool: &str, args: Value) -> Value {
        let answer = self.call(tool, args).await;
        assert_eq!(answer["ok"], true, "`{tool}` was not allowed: {answer:#}");
        answer
    }

    /// Waits for the running pass.
    pub async fn wait(&self) -> Value {
        for _ in 0..60 {
            let answer = self.ok("score_wait", json!({ "timeout_s": 20 })).await;
            if answer["data"]["complete"] == true {
                return answer;
            }
        }
        panic!("the pass takes longer than 20 minutes");
    }

    /// Drafts and locks a frame; the experiment's id.
    pub async fn lock(&self, frame: Value) -> String {
        let drafted = self.ok("frame", json!({ "frame": frame })).await;
        let id = drafted["experiment_id"].as_str().expect("an id").to_owned();
        self.ok("lock_frame", confirmed(&drafted)).await;
        id
    }

    /// Ends the server as a power cut would.
    pub async fn kill(mut self) {
        self.child.start_kill().expect("the kill is sent");
        self.child.wait().await.expect("it ends");
    }

    /// Closes stdin and waits until the server ends by itself.
    pub async fn close(mut self) {
        let _ = self.client.cancel().await;
        let ended = tokio::time::timeout(std::time::Duration::from_secs(20), self.child.wait()).await;
        assert!(ended.expect("the server ends when its client hangs up").expect("a status").success());
    }
}

/// Arguments of `lock_frame` for a draft that the person confirmed.
pub fn confirmed(drafted: &Value) -> Value {
    json!({
        "experiment_id": drafted["experiment_id"],
        "frame_hash": drafted["data"]["frame_hash"],
        "confirmation": "Yes, lock it and run these commands.",
    })
}

fn check_refusal(tool: &str, envelope: &Value) {
    let guards = envelope["refusal"]["guards"].as_array().cloned().unwrap_or_default();
    let problems = envelope["problems"].as_array().cloned().unwrap_or_default();
    assert!(guards.len() + problems.len() > 0, "`{tool}` says no without a reason: {envelope}");
    for guard in &guards {
        for part in ["id", "attempted", "why", "remedy"] {
            assert!(guard[part].as_str().is_some_and(|t| !t.is_empty()), "`{tool}`: a refusal without {part}: {guard}");
        }
    }
    for problem in &problems {
        for part in ["at", "what", "remedy"] {
            assert!(
                problem[part].as_str().is_some_and(|t| !t.is_empty()),
                "`{tool}`: a problem without {part}: {problem}"
            );
        }
    }
    let next = envelope["next"].as_array().expect("next is a list");
    assert!(!next.is_empty(), "`{tool}` was refused and names nothing that is allowed");
}

/// Ids of the guards that refused; empty where none did.
pub fn guards_of(answer: &Value) -> Vec<String> {
    let guards = answer["refusal"]["guards"].as_array().cloned().unwrap_or_default();
    guards.iter().filter_map(|g| g["id"].as_str().map(str::to_owned)).collect()
}

/// Everything under a folder, relative and sorted.
pub fn files_under(dir: &Path) -> Vec<PathBuf> {
    fn walk(dir: &Path, base: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, base, found);
            } else {
                found.push(path.strip_prefix(base).expect("below").to_path_buf());
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found.sort();
    found
}

/// Copies a folder whole.
pub fn copy_folder(from: &Path, to: &Path) {
    for file in files_under(from) {
        let target = to.join(&file);
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("a folder");
        std::fs::copy(from.join(&file), target).expect("a copy");
    }
}

/// Says why a test is skipped, past the harness's capture of what a passing test prints.
pub fn skipped(test: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
}
