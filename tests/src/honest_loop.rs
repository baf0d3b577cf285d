//! A whole honest experiment, from frame to verdict, and the verification of its folder.

use crate::support::fixture::{self, arm};
use crate::support::{Server, World, copy_folder, files_under};
use serde_json::{Value, json};
use std::path::Path;

/// Plays an honest experiment with one iteration; the verdict's answer.
pub async fn play(world: &World, server: &Server) -> Value {
    to_locked(world, server).await;
    server.ok("open_test", json!({})).await;
    server.wait().await;
    server.ok("verdict", json!({})).await
}

/// The same up to locked arms.
pub async fn to_locked(world: &World, server: &Server) {
    let described = server.ok("describe_source", json!({ "path": "tickets.csv" })).await;
    assert_eq!(described["data"]["rows"], fixture::ROWS as u64);
    assert!(!described.to_string().contains("charged twice"), "a description shows no cell");
    server.lock(fixture::frame()).await;
    let sourced = server.ok("source_rows", json!({})).await;
    assert_eq!(sourced["data"]["sampled"], fixture::SAMPLED);
    let pilot = server.ok("pilot", json!({})).await;
    assert_eq!(pilot["data"]["passed"], true, "{pilot:#}");
    server.ok("score_start", json!({})).await;
    let scored = server.wait().await;
    assert_eq!(scored["stage"], "scored");
    let found = server.ok("diagnose", json!({})).await;
    assert_eq!(found["data"]["arms"][0]["arm"], "next");
    assert!(found["data"]["arms"][0]["effect"]["pp"].as_f64().is_some_and(|pp| pp > 10.0), "{found:#}");
    world.write("arms/next.sh", &arm("next", &fixture::NEXT.replace("*refund*", "*refund*|*'money back'*")));
    let proposed = server
        .ok(
            "propose",
            json!({
                "arm": "next",
                "hypothesis": "Customers who want money back ask for a refund in other words, so naming those words moves them.",
                "change": "the words money back are read as a refund",
            }),
        )
        .await;
    assert_eq!(proposed["data"]["version"], 2);
    server.ok("pilot", json!({})).await;
    server.ok("score_start", json!({})).await;
    let scored = server.wait().await;
    assert_eq!(scored["data"]["iteration"]["outcome"], "supported", "{scored:#}");
    let gate = server.ok("gate", gate(2, "mechanism")).await;
    assert_eq!(gate["data"]["gate"]["decision"], "lock");
    let locked = server.ok("lock_arms", json!({})).await;
    assert_eq!(locked["data"]["locked"], json!({ "base": 1, "next": 2, "same": 1 }));
}

/// A gate over one change of `next`.
pub fn gate(version: u32, class: &str) -> Value {
    json!({
        "changes": [{ "arm": "next", "version": version, "class": class, "reason": "The words are what any customer would use; no row was needed to know them." }],
        "signal_left": false,
        "reason": "What is left has no word in common.",
    })
}

#[tokio::test]
async fn an_honest_loop_reaches_a_verdict_that_anyone_can_verify() {
    let world = World::new();
    let server = world.server().await;
    let verdict = play(&world, &server).await;
    assert_eq!(verdict["data"]["outcome"]["kind"], "ship", "{verdict:#}");
    assert_eq!(verdict["data"]["winner"], "next", "{verdict:#}");
    let of = |arm: &str| verdict["data"]["arms"].as_array().unwrap().iter().find(|a| a["arm"] == arm).cloned().unwrap();
    assert_eq!(of("next")["outcome"]["kind"], "ship");
    assert_ne!(of("same")["outcome"]["kind"], "ship");

    let chart = server.ok("show_chart", json!({ "chart": "forest-plot" })).await;
    assert!(chart["data"]["effect_sizes"].is_array() || chart["data"]["effect_sizes"].is_object());
    let folder = verdict["data"]["folder"].as_str().expect("a folder");
    server.close().await;

    let dir = world.project().join(folder);
    let names: Vec<String> = files_under(&dir).iter().map(|f| f.display().to_string()).collect();
    for name in ["frame.md", "data.json", "conclusion.md", "scores.csv", "ledger.jsonl"] {
        assert!(names.iter().any(|n| n == name), "{name} is missing in {names:?}");
    }
    for chart in ["arm-bar", "forest-plot", "cost-vs-accuracy"] {
        for kind in ["png", "svg"] {
            assert!(names.contains(&format!("charts/{chart}.{kind}")), "{chart}.{kind} is missing in {names:?}");
        }
    }
    let (code, text) = world.run(&["verify", folder]).await;
    assert_eq!(code, 0, "{text}");

    // In a clean clone elsewhere, without project, store or keys.
    let elsewhere = World::empty();
    let clone = elsewhere.project().join("clone");
    copy_folder(&dir, &clone);
    let (code, text) = elsewhere.run(&["verify", "clone"]).await;
    assert_eq!(code, 0, "{text}");

    every_changed_byte_is_found(&elsewhere, &clone).await;
}

/// The same keywords as one long-running process: a line in, a line out, matched by the id.
const WORKER: &str = r#"#!/bin/sh
while IFS= read -r line; do
  id=${line#*\"id\":\"}
  case "$line" in
    *invoice*|*charged*) queue=billing ;;
    *refund*) queue=refund ;;
    *) queue=other ;;
  esac
  printf '{"id":"%s","output":"%s","cost_usd":0.001}\n' "${id%%\"*}" "$queue"
done
"#;

#[tokio::test]
async fn a_worker_answers_as_a_command_does() {
    let world = World::new();
    world.write("arms/worker.sh", WORKER);
    let server = world.server().await;
    let frame = fixture::frame_with(|f| {
        let mut worker = fixture::arm_spec("worker", "the same keywords as next, in a process that stays");
        worker["kind"] = json!("worker");
        worker["reference"] = json!("arms/worker.sh:5");
        f["arms"][1] = worker;
    });
    server.lock(frame).await;
    server.ok("source_rows", json!({})).await;
    let pilot = server.ok("pilot", json!({})).await;
    assert_eq!(pilot["data"]["arms"]["worker"]["cost_usd"], 0.001, "{pilot:#}");
    server.ok("score_start", json!({})).await;
    let scored = server.wait().await;
    let of = |arm: &str| scored["data"]["arms"].as_array().unwrap().iter().find(|a| a["arm"] == arm).cloned().unwrap();
    assert_eq!(of("worker")["mean_of_each_trial"], of("next")["mean_of_each_trial"], "{scored:#}");
    assert_eq!(of("worker")["failed_calls"], 0);
    server.ok("lock_arms", json!({})).await;
    server.ok("open_test", json!({})).await;
    server.wait().await;
    let verdict = server.ok("verdict", json!({})).await;
    let (code, text) = world.run(&["verify", verdict["data"]["folder"].as_str().expect("a folder")]).await;
    assert_eq!(code, 0, "{text}");
    server.close().await;
}

/// Changes, appends and deletes single bytes of each file of the folder.
async fn every_changed_byte_is_found(world: &World, dir: &Path) {
    let mut missed = Vec::new();
    for name in [
        "scores.csv",
        "data.json",
        "ledger.jsonl",
        "conclusion.md",
        "frame.md",
        "charts/arm-bar.png",
        "charts/forest-plot.svg",
    ] {
        let path = dir.join(name);
        let whole = std::fs::read(&path).expect("a file");
        let last = whole.len() - 1;
        let mut damaged: Vec<(String, Vec<u8>)> = Vec::new();
        for at in [0, last / 3, last / 2, last * 4 / 5, last] {
            let mut bytes = whole.clone();
            bytes[at] = if bytes[at] == b'7' { b'3' } else { b'7' };
            damaged.push((format!("byte {at} changed"), bytes));
        }
        damaged.push(("a byte appended".into(), [whole.as_slice(), b"\n"].concat()));
        damaged.push(("the last byte deleted".into(), whole[..last].to_vec()));
        damaged.push(("a byte in the middle deleted".into(), [&whole[..last / 2], &whole[last / 2 + 1..]].concat()));
        for (what, bytes) in damaged {
            std::fs::write(&path, bytes).expect("a write");
            let (code, text) = world.run(&["verify", "clone"]).await;
            if code != 1 {
                missed.push(format!("{name}, {what}: exit {code}: {text}"));
            }
        }
        std::fs::write(&path, whole).expect("a write");
    }
    assert!(missed.is_empty(), "verify does not answer exit 1 to:\n{}", missed.join("\n"));
    for name in ["charts/arm-bar.svg", "frame.md"] {
        let path = dir.join(name);
        let whole = std::fs::read(&path).expect("a file");
        std::fs::remove_file(&path).expect("a removal");
        assert_eq!(world.run(&["verify", "clone"]).await.0, 1, "{name} is missing and verify is content");
        std::fs::write(&path, whole).expect("a write");
    }
    assert_eq!(world.run(&["verify", "clone"]).await.0, 0, "restored");
}
