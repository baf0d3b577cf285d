//! `auto-itera demo`: the whole loop through the tools, on an embedded source with known truth.
//!
//! Nothing here knows the verdict: the demo plays the agent, calls the tools in order, and prints
//! what the engine answers.

pub mod arm;
mod world;

use crate::engine::{Asked, CallContext, Engine};
use crate::tools::tool;
use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use itera_core::event::ConsentChannel;
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Folder of the demo's own files, inside the project.
const FOLDER: &str = "auto-itera-demo";

/// Runs the demo in a project folder.
///
/// # Errors
/// When a file cannot be written or a tool refuses what the demo expects to be allowed.
pub async fn run(dir: Option<PathBuf>, json: bool) -> anyhow::Result<bool> {
    let root = dir.unwrap_or_else(|| PathBuf::from("."));
    std::fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    // A second run gets fresh rows, as the next question should.
    let period = itera_ledger::Project::open(&root).and_then(|p| p.experiments()).map_or(0, |e| e.len() as u64);
    write_inputs(&root, period).with_context(|| format!("cannot write the demo's files under {}", root.display()))?;
    let mut agent = Agent { engine: Arc::new(Engine::new(&root)), id: None, json };
    let concluded = agent.play().await;
    agent.engine.shut_down().await;
    concluded
}

fn write_inputs(root: &Path, period: u64) -> anyhow::Result<()> {
    let folder = root.join(FOLDER);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("transactions.csv"), world::transactions_csv(period))?;
    std::fs::write(folder.join("rules-v1.json"), rules("v1: description only", false, false, false))?;
    std::fs::write(folder.join("rules-v2.json"), rules("v2: description, then counterparty", true, false, false))?;
    std::fs::write(
        folder.join("rules-v3.json"),
        rules("v3: leading account number, then description", false, true, false),
    )?;
    let exe = std::env::current_exe()?;
    let launcher = folder.join("classify.sh");
    std::fs::write(
        &launcher,
        format!("#!/bin/sh\nexec '{}' demo-arm \"$1\"\n", exe.display().to_string().replace('\'', "'\\''")),
    )?;
    std::fs::set_permissions(&launcher, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn rules(name: &str, counterparty: bool, number: bool, own: bool) -> String {
    format!(
        "{{\n  \"name\": \"{name}\",\n  \"read_counterparty\": {counterparty},\n  \"trust_leading_number\": {number},\n  \"own_account_is_transfer\": {own},\n  \"usd_per_1k_tokens\": 0.0006\n}}\n"
    )
}

/// The frame as an agent would send it.
pub fn frame() -> Value {
    let arm = |id: &str, name: &str, reference: &str, change: &str| {
        json!({
            "id": id,
            "name": name,
            "reference": reference,
            "change": change,
            "command": [format!("./{FOLDER}/classify.sh"), format!("{FOLDER}/rules-{id}.json")],
            "files": [format!("{FOLDER}/classify.sh"), format!("{FOLDER}/rules-{id}.json")],
        })
    };
    let mut baseline = arm("v1", "v1 description", &format!("{FOLDER}/rules-v1.json:3"), "");
    baseline["change"] = "".into();
    json!({
        "topic": "transactions-demo",
        "kind": "prompt",
        "question": "Should the transaction classifier read the counterparty (v2) or trust leading account numbers (v3), or stay as it is?",
        "hypothesis": "Where the description is silent the counterparty tells the code, for enterprise and small-business tenants alike.",
        "baseline": baseline,
        "arms": [
            arm("v2", "v2 counterparty", &format!("{FOLDER}/rules-v2.json:3"), "reads the counterparty where the description tells nothing"),
            arm("v3", "v3 account number", &format!("{FOLDER}/rules-v3.json:4"), "takes a number in front of the description for a ledger account"),
        ],
        "source": {
            "path": format!("{FOLDER}/transactions.csv"),
            "provenance": { "origin": "generated", "statement": "Written by the demo's generator, which knows the true code and sign of every row by construction." },
            "key": "id",
            "inputs": ["tenant", "description", "counterparty", "amount_text"],
            "slices": ["segment"],
            "entity": "tenant",
            "entity_cap": 3,
        },
        "metric": {
            "name": "code and sign both right",
            "stake": "a wrong code or sign is a wrong ledger entry that an accountant has to find",
            "scorer": { "kind": "json", "fields": [{ "path": "code", "column": "code" }, { "path": "sign", "column": "sign" }] },
            "baseline_value": 0.7,
        },
        "secondary": [{ "name": "cost per row", "measure": "cost" }, { "name": "latency", "measure": "latency" }],
        "failure_modes": [
            { "id": "wrong_code", "description": "another account", "weight": 1.0, "when": [{ "left": "output.code", "op": "ne", "right": "row.code" }] },
            { "id": "wrong_sign", "description": "money in booked as money out, or the reverse", "weight": 3.0, "when": [{ "left": "output.sign", "op": "ne", "right": "row.sign" }] },
            { "id": "transfer_as_revenue", "description": "a transfer between own accounts booked as revenue", "weight": 8.0,
              "when": [{ "left": "row.code", "op": "eq", "value": "transfer" }, { "left": "output.code", "op": "eq", "value": "revenue" }] },
        ],
        "severity": { "column": "amount", "cap": 10000.0 },
        "ship_rule": { "min_effect_pp": 5.0, "loss_floor_pp": 2.0 },
        "trials": 3,
        "split": { "train": 0.2, "dev": 0.35, "test": 0.45 },
        "limits": { "parallel": 4, "timeout_s": 20.0 },
        "stop_conditions": ["an arm fails on more than one call in twenty"],
    })
}

struct Agent {
    engine: Arc<Engine>,
    id: Option<String>,
    json: bool,
}

impl Agent {
    async fn play(&mut self) -> anyhow::Result<bool> {
        self.title("Frame: question, arms, metric, failure modes and rule, before any row is read")?;
        let drafted = self.call("frame", json!({ "frame": frame() })).await?;
        self.id = drafted["experiment_id"].as_str().map(str::to_owned);
        self.say(drafted["data"]["table"].as_str().unwrap_or_default())?;
        self.call("lock_frame", json!({ "frame_hash": drafted["data"]["frame_hash"] })).await?;

        self.title("Source: sample, split, seal")?;
        let sourced = self.call("source_rows", json!({})).await?;
        self.say(sourced["data"]["distribution"].as_str().unwrap_or_default())?;

        self.title("Pilot: one train row through every arm")?;
        let pilot = self.call("pilot", json!({})).await?;
        self.say(&pilot["data"]["arms"].to_string())?;

        self.title("What happens when someone cannot wait: the test is asked for early")?;
        let refused = self.try_call("open_test", json!({}), None).await?;
        for guard in refused["refusal"]["guards"].as_array().into_iter().flatten() {
            self.say(&format!(
                "refused by {}: {}\n",
                guard["id"].as_str().unwrap_or("?"),
                guard["why"].as_str().unwrap_or("")
            ))?;
        }

        self.title("Score: every arm on dev, three trials")?;
        self.call("score_start", json!({})).await?;
        self.wait().await?;
        self.title("Diagnose: paired differences")?;
        let found = self.call("diagnose", json!({ "rows": 3 })).await?;
        self.say(&effects(&found))?;

        self.title("Iterate: one hypothesis, one change, on v2")?;
        std::fs::write(
            self.engine.root().join(FOLDER).join("rules-v2.json"),
            rules("v2: description, then counterparty", true, false, true),
        )?;
        let proposed = self
            .call(
                "propose",
                json!({
                    "arm": "v2",
                    "hypothesis": "Money moved between a tenant's own accounts names the tenant as counterparty; recognising that should remove most transfers booked as revenue, in both segments.",
                    "change": "a counterparty that names the tenant itself is coded as a transfer",
                }),
            )
            .await?;
        self.say(proposed["data"]["diff"]["text"].as_str().unwrap_or_default())?;
        self.call("pilot", json!({})).await?;
        self.call("score_start", json!({})).await?;
        let scored = self.wait().await?;
        self.say(&format!("outcome, computed: {}\n", scored["data"]["iteration"]))?;

        self.title("Gate: mechanism or hardcode")?;
        let gate = self
            .call(
                "gate",
                json!({
                    "changes": [{ "arm": "v2", "version": 2, "class": "mechanism", "reason": "An own account is an own account whatever the row says; the rule names no tenant and no vendor." }],
                    "signal_left": false,
                    "reason": "What is left are rows where neither description nor counterparty tells.",
                }),
            )
            .await?;
        self.say(&format!("decision: {}\n", gate["data"]["gate"]["decision"]))?;

        self.title("Verdict: lock, open the sealed test once, apply the registered rule")?;
        self.call("lock_arms", json!({})).await?;
        self.call("open_test", json!({})).await?;
        self.wait().await?;
        let verdict = self.call("verdict", json!({})).await?;
        let data = &verdict["data"];
        self.say(&format!("\nVERDICT: {}\n", data["sentence"].as_str().unwrap_or("?")))?;
        for arm in data["arms"].as_array().into_iter().flatten() {
            self.say(&format!(
                "  {}: {}\n",
                arm["arm"].as_str().unwrap_or("?"),
                arm["sentence"].as_str().unwrap_or("?")
            ))?;
        }
        let folder = data["folder"].as_str().unwrap_or_default().to_owned();
        self.say(&format!("\nConclusion: {folder}/conclusion.md\nRecheck it:  auto-itera verify {folder}\n"))?;
        let checked = itera_report::folder::verify(&self.engine.root().join(&folder))?;
        self.say(&format!(
            "verify: {} of {} checks hold\n",
            checked.checks.iter().filter(|c| c.ok).count(),
            checked.checks.len()
        ))?;
        Ok(checked.ok())
    }

    /// Calls a tool that must be allowed.
    async fn call(&self, name: &str, args: Value) -> anyhow::Result<Value> {
        let answer = self.try_call(name, args, None).await?;
        if answer["ok"] != true {
            bail!("`{name}` was refused: {answer}");
        }
        Ok(answer)
    }

    async fn try_call(&self, name: &str, mut args: Value, bar: Option<&ProgressBar>) -> anyhow::Result<Value> {
        let Some(spec) = tool(name) else { bail!("no tool `{name}`") };
        if let (Some(id), true) = (&self.id, args.get("experiment_id").is_none()) {
            args["experiment_id"] = id.as_str().into();
        }
        let bar = bar.cloned();
        let context = CallContext {
            progress: bar.map(|bar| {
                let report: Arc<dyn Fn(u64, u64) + Send + Sync> = Arc::new(move |done, total| {
                    bar.set_length(total);
                    bar.set_position(done);
                });
                report
            }),
            asked: Asked::Confirmed(ConsentChannel::Demo),
        };
        let envelope = (spec.run)(self.engine.clone(), args, context).await;
        let answer = serde_json::to_value(&envelope)?;
        if self.json {
            writeln!(std::io::stdout(), "{}", json!({ "tool": name, "answer": answer }))?;
        } else if name != "score_wait" {
            writeln!(std::io::stdout(), "-> {name}")?;
        }
        Ok(answer)
    }

    async fn wait(&self) -> anyhow::Result<Value> {
        let bar = ProgressBar::new(0);
        if self.json {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.set_style(ProgressStyle::with_template("   {bar:40} {pos}/{len} calls, {per_sec}")?);
        loop {
            let answer = self.try_call("score_wait", json!({ "timeout_s": 20 }), Some(&bar)).await?;
            if answer["ok"] != true {
                bail!("the pass stopped: {answer}");
            }
            if answer["data"]["complete"] == true {
                bar.finish();
                return Ok(answer);
            }
        }
    }

    fn title(&self, text: &str) -> anyhow::Result<()> {
        self.say(&format!("\n== {text}\n"))
    }

    fn say(&self, text: &str) -> anyhow::Result<()> {
        if !self.json {
            writeln!(std::io::stdout(), "{}", text.trim_end_matches('\n'))?;
        }
        Ok(())
    }
}

fn effects(answer: &Value) -> String {
    let mut text = String::new();
    for arm in answer["data"]["arms"].as_array().into_iter().flatten() {
        text.push_str(&format!(
            "{}: {} pp, 95% {}\n",
            arm["arm"].as_str().unwrap_or("?"),
            arm["effect"]["pp"],
            arm["effect"]["ci95_pp"]
        ));
        for slice in arm["slices"].as_array().into_iter().flatten() {
            text.push_str(&format!(
                "   {}: {} pp, 95% {}\n",
                slice["slice"].as_str().unwrap_or("?"),
                slice["effect"]["pp"],
                slice["effect"]["ci95_pp"]
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use itera_core::frame::Frame;

    #[test]
    fn the_frame_reads_as_a_frame() {
        let frame: Frame = serde_json::from_value(frame()).unwrap();
        assert_eq!(frame.arms.len(), 2);
    }

    #[test]
    fn the_embedded_truth_is_what_the_demo_says() {
        // v2 helps both segments; v3 ties overall and loses where numbers are not accounts.
        let csv = world::transactions_csv(0);
        let mut totals = std::collections::BTreeMap::<(&str, String), (f64, f64)>::new();
        let arms = [("v1", false, false, false), ("v2", true, false, false), ("v3", false, true, false)];
        for line in csv.lines().skip(1) {
            let f: Vec<&str> = line.split(',').collect();
            for (arm, party, number, own) in arms {
                let rules: arm::Rules = serde_json::from_str(&super::rules(arm, party, number, own)).unwrap();
                for seed in 0..20 {
                    let got = arm::classify(&rules, f[1], f[3], f[4], f[5], seed * 5);
                    for slice in [f[2], "all"] {
                        let t = totals.entry((arm, slice.to_owned())).or_default();
                        t.0 += f64::from(u8::from(got == (f[7], f[8])));
                        t.1 += 1.0;
                    }
                }
            }
        }
        let rate = |arm: &'static str, slice: &str| {
            let (right, all) = totals[&(arm, slice.to_owned())];
            right / all * 100.0
        };
        let effect = |arm, slice: &str| rate(arm, slice) - rate("v1", slice);
        assert!(effect("v2", "enterprise") > 12.0 && effect("v2", "smb") > 12.0);
        assert!(effect("v3", "all").abs() < 2.0, "{}", effect("v3", "all"));
        assert!(effect("v3", "smb") < -5.0, "{}", effect("v3", "smb"));
    }
}
