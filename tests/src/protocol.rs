//! The protocol as it goes over the pipe: lines in, lines out, both eras.

use crate::support::fixture::{self, frame};
use crate::support::{World, repository};
use rmcp::model::ErrorCode;
use rmcp::service::ServiceError;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

/// The server as a raw process.
struct Wire {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    /// Notifications that came between answers.
    notes: Vec<Value>,
    next: u64,
    /// Sent with every request in the stateless era.
    meta: Option<Value>,
}

impl Wire {
    fn open(world: &World) -> Self {
        let mut command = world.command();
        // The loudest log there is: none of it may reach stdout.
        command.env("AUTO_ITERA_LOG", "trace");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let stdin = child.stdin.take().expect("stdin");
        let stdout = BufReader::new(child.stdout.take().expect("stdout")).lines();
        Self { child, stdin, stdout, notes: Vec::new(), next: 0, meta: None }
    }

    async fn send(&mut self, message: &Value) {
        self.stdin.write_all(format!("{message}\n").as_bytes()).await.expect("a write");
    }

    /// The next line of stdout, which must be a JSON-RPC message.
    async fn line(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(60), self.stdout.next_line()).await;
        let line = line.expect("an answer within a minute").expect("a line").expect("not the end");
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("stdout carries `{line}`: {e}"));
        assert_eq!(message["jsonrpc"], "2.0", "stdout carries {line}");
        message
    }

    /// Sends a request and answers its response: `result` or `error`.
    async fn ask(&mut self, method: &str, mut params: Value) -> Value {
        self.next += 1;
        if let Some(meta) = &self.meta {
            for (key, value) in meta.as_object().expect("an object") {
                params["_meta"][key] = value.clone();
            }
        }
        let id = self.next;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
        loop {
            let message = self.line().await;
            if message["id"] == id {
                return message;
            }
            assert!(message["method"].is_string(), "neither an answer to {id} nor a notification: {message}");
            self.notes.push(message);
        }
    }

    async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({ "name": tool, "arguments": arguments })).await;
        answer["result"].clone()
    }

    async fn initialize(&mut self, version: &str) -> Value {
        let params =
            json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "wire", "version": "1" } });
        let answer = self.ask("initialize", params).await;
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        answer["result"].clone()
    }

    /// The stateless era: nothing is agreed once, every request says who asks.
    fn stateless(&mut self) {
        self.meta = Some(json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "wire", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {},
        }));
    }

    /// Closes stdin; whatever still comes must be protocol too.
    async fn close(self) {
        let Self { mut child, stdin, mut stdout, .. } = self;
        drop(stdin);
        while let Some(line) = stdout.next_line().await.expect("a line") {
            let message: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("stdout carries `{line}`: {e}"));
            assert_eq!(message["jsonrpc"], "2.0");
        }
        assert!(child.wait().await.expect("an end").success());
    }
}

#[tokio::test]
async fn stdout_carries_the_protocol_and_nothing_else_through_a_pass() {
    let world = World::new();
    let mut wire = Wire::open(&world);
    wire.initialize("2025-11-25").await;
    let drafted = wire.call("frame", json!({ "frame": frame() })).await;
    let drafted = &drafted["structuredContent"];
    let lock = json!({ "frame_hash": drafted["data"]["frame_hash"], "confirmation": "yes" });
    for (tool, args) in
        [("lock_frame", lock), ("source_rows", json!({})), ("pilot", json!({})), ("score_start", json!({}))]
    {
        assert_eq!(wire.call(tool, args).await["structuredContent"]["ok"], true, "{tool}");
    }
    // A token brings progress; it only ever grows, up to the whole.
    world.hold();
    let waiting = json!({ "name": "score_wait", "arguments": { "timeout_s": 2 }, "_meta": { "progressToken": "p-1" } });
    let answer = wire.ask("tools/call", waiting).await;
    assert_eq!(answer["result"]["structuredContent"]["data"]["complete"], false);
    world.release();
    loop {
        let waiting =
            json!({ "name": "score_wait", "arguments": { "timeout_s": 20 }, "_meta": { "progressToken": "p-1" } });
        if wire.ask("tools/call", waiting).await["result"]["structuredContent"]["data"]["complete"] == true {
            break;
        }
    }
    let notes: Vec<&Value> = wire.notes.iter().filter(|n| n["method"] == "notifications/progress").collect();
    assert!(!notes.is_empty(), "no progress came");
    for note in &notes {
        assert_eq!(note["params"]["progressToken"], "p-1");
        assert!(note["params"]["progress"].as_f64() <= note["params"]["total"].as_f64(), "{note}");
    }
    // Nobody asked for it: none comes.
    let before = wire.notes.len();
    wire.call("score_wait", json!({ "timeout_s": 1 })).await;
    assert_eq!(wire.notes.len(), before);
    wire.close().await;
}

#[tokio::test]
async fn every_version_with_a_handshake_is_served() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let world = World::new();
        let mut wire = Wire::open(&world);
        let agreed = wire.initialize(version).await;
        assert_eq!(agreed["protocolVersion"], version, "{agreed}");
        assert!(agreed["instructions"].as_str().is_some_and(|t| (200..2_000).contains(&t.len())), "{version}");
        let tools = wire.ask("tools/list", json!({})).await;
        assert!(tools["result"]["tools"].as_array().is_some_and(|t| t.len() >= 19), "{version}: {tools}");
        let status = wire.call("status", json!({})).await;
        assert_eq!(status["structuredContent"]["ok"], true, "{version}: {status}");
        wire.close().await;
    }
}

#[tokio::test]
async fn the_stateless_era_is_served() {
    let world = World::new();
    let mut wire = Wire::open(&world);
    wire.stateless();
    let found = wire.ask("server/discover", json!({})).await;
    let versions = found["result"]["supportedVersions"].to_string();
    assert!(versions.contains("2026-07-28") && versions.contains("2025-11-25"), "{found}");
    assert!(found["result"]["capabilities"]["tools"].is_object(), "{found}");
    let tools = wire.ask("tools/list", json!({})).await;
    assert!(tools["result"]["tools"].as_array().is_some_and(|t| t.len() >= 19), "{tools}");
    let described = wire.call("describe_source", json!({ "path": "tickets.csv" })).await;
    assert_eq!(described["structuredContent"]["data"]["rows"], fixture::ROWS, "{described}");
    let refused = wire.call("verdict", json!({})).await;
    assert_eq!(refused["isError"], true, "{refused}");
    // What one request said is not remembered for the next.
    wire.meta = None;
    let bare = wire.ask("tools/list", json!({})).await;
    assert!(bare["error"].is_object(), "{bare}");
    wire.close().await;
}

#[tokio::test]
async fn an_unknown_tool_is_a_protocol_error_and_bad_arguments_are_not() {
    let world = World::new();
    let server = world.server().await;
    match server.try_call("choose_winner", json!({})).await {
        Err(ServiceError::McpError(error)) => {
            assert_eq!(error.code, ErrorCode::INVALID_PARAMS);
            assert!(error.message.contains("choose_winner"));
        }
        other => panic!("an unknown tool is answered by {other:?}"),
    }
    let cases = [
        ("describe_source", json!({}), "path"),
        ("describe_source", json!({ "path": 7 }), "path"),
        ("describe_source", json!({ "path": "tickets.csv", "format": "xlsx" }), "format"),
        ("score_wait", json!({ "timeout_s": "long" }), "timeout_s"),
        ("score_wait", json!({ "timeout_s": 900 }), "timeout_s"),
        ("status", json!({ "experiment": "x" }), "experiment"),
        (
            "gate",
            json!({ "changes": [{ "arm": "a", "version": "two" }], "signal_left": true, "reason": "x" }),
            "changes[0].version",
        ),
        ("frame", json!({ "frame": { "topic": "x" } }), "frame"),
    ];
    for (tool, args, path) in cases {
        let answer = server.call(tool, args).await;
        assert_eq!(answer["ok"], false, "{tool}: {answer:#}");
        assert!(answer["problems"].to_string().contains(path), "{tool}: the answer does not name `{path}`: {answer:#}");
    }
    // An argument that names a place outside the project leads nowhere.
    for path in ["../keys", "/etc/passwd", ".auto-itera/ledger.db"] {
        assert_eq!(server.call("describe_source", json!({ "path": path })).await["ok"], false, "{path}");
    }
}

/// Compares a page with what is committed, or writes it where `UPDATE_PAGES` is set.
fn current(path: &str, now: &str) {
    let file = repository().join(path);
    if std::env::var_os("UPDATE_PAGES").is_some() {
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
        std::fs::write(&file, now).expect("a write");
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    if kept != now {
        let line = kept.lines().zip(now.lines()).position(|(a, b)| a != b).map_or(0, |n| n + 1);
        panic!(
            "{path} is stale, first at line {line}: look at the change, then `UPDATE_PAGES=1 cargo test -p itera-tests protocol`"
        );
    }
}

#[tokio::test]
async fn the_tools_and_their_inputs_are_those_that_are_committed() {
    let world = World::new();
    let server = world.server().await;
    let tools = server.client.list_all_tools().await.expect("a list");
    let mut seen = BTreeMap::new();
    for tool in &tools {
        assert!(tool.output_schema.is_some(), "{}: no output schema", tool.name);
        let shown = json!({ "description": tool.description, "annotations": tool.annotations, "input": tool.input_schema.as_ref() });
        assert!(seen.insert(tool.name.to_string(), shown).is_none(), "{} is listed twice", tool.name);
    }
    let size = serde_json::to_string(&tools).expect("JSON").len();
    assert!(size < 100_000, "tools/list takes {size} bytes");
    current("tests/snapshots/tools.json", &format!("{}\n", serde_json::to_string_pretty(&seen).expect("JSON")));
}

#[tokio::test]
async fn generated_pages_are_current() {
    let world = World::new();
    for (page, verb) in [("docs/guards.md", "guards")] {
        let (code, text) = world.run(&[verb]).await;
        assert_eq!(code, 0, "{text}");
        current(page, &text);
    }
    let (code, table) = world.run(&["tools"]).await;
    assert_eq!(code, 0, "{table}");
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap_or_default();
    if readme.contains("| tool | stage | does |") {
        assert!(
            readme.contains(&table),
            "the table of tools in README.md is stale: paste the output of `auto-itera tools`"
        );
    }
}
