//! The command line.
//!
//! Exit codes: 0 success; 1 the answer is no (a verification failed, a move was refused); 2 the
//! command line or an input file cannot be used.

use crate::engine::Engine;
use crate::server::Server;
use clap::{Parser, Subcommand};
use itera_core::guards::{GUARDS, GuardStage};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Parser)]
#[command(name = "auto-itera", version, about = "Should we use X or Y? A verdict that survives production.")]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve MCP over stdio (the default).
    Serve {
        /// The project's folder; the current one where absent.
        #[arg(long)]
        project: Option<PathBuf>,
    },
    /// Run the whole loop on an embedded source with known truth, to a verdict.
    Demo {
        /// Folder to run in; it gets the demo's files and docs/experiments. `auto-itera-demo` where absent.
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Print the answers of the tools as JSON lines instead of progress bars.
        #[arg(long)]
        json: bool,
    },
    /// Simulate the rule before anything runs: chances of every verdict, and rows for the power.
    Plan(crate::plan_cmd::PlanArgs),
    /// Judge scores that exist already by a rule; disclosed as unsealed.
    Analyze {
        /// CSV with the columns row_id, arm, trial, score and optional slices, cluster, stratum, severity, failure_modes, cost_usd, latency_ms, experiment.
        scores: PathBuf,
        /// JSON with baseline, arms, slices and ship_rule.
        #[arg(long)]
        frame: PathBuf,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Show a drafted frame and confirm it, as the person who owns the decision.
    Confirm {
        /// The experiment; the only open one where absent.
        id: Option<String>,
        /// The project's folder; the current one where absent.
        #[arg(long)]
        project: Option<PathBuf>,
    },
    /// Recompute everything in the folder of a conclusion; exit code 1 on any difference.
    Verify {
        /// The folder, for example docs/experiments/2026-11-23-tx-classifier.
        dir: PathBuf,
        /// Print the checks as JSON.
        #[arg(long)]
        json: bool,
        /// Demand a signature by this key (a PEM file, as `attest --new-key` writes).
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
    },
    /// Draw a chart from a data.json as PNG or SVG.
    Chart(crate::chart_cmd::ChartArgs),
    /// Sign the attestation of a conclusion, or make a key for it.
    Attest(crate::attest_cmd::AttestArgs),
    /// Register the server with an editor: a diff first, then a backup and the write.
    Init {
        /// The editor.
        #[arg(long)]
        client: crate::init::Client,
        /// The project's folder.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Write without asking.
        #[arg(long)]
        yes: bool,
    },
    /// Explain what is wrong with an installation; exit code 1 where something is.
    Doctor {
        /// The project's folder.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Print the checks as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Answer a hook of an editor: its JSON on stdin, the answer on stdout.
    Hook {
        /// Which hook.
        event: crate::hook::HookEvent,
    },
    /// Print the guards as a Markdown page.
    Guards,
    /// Print the tools as a Markdown table.
    Tools,
    /// Print the JSON Schema of data.json.
    Schema,
    /// Print the schemas of the tools, as they are committed.
    #[command(hide = true)]
    ToolSchemas,
    /// Act as an arm of the demo: reads a row on stdin, answers on stdout.
    #[command(hide = true)]
    DemoArm {
        /// Which arm.
        rules: PathBuf,
    },
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.verb.unwrap_or(Verb::Serve { project: None }) {
        Verb::Serve { project } => serve(project),
        Verb::Demo { dir, json } => finish(runtime(crate::demo::run(dir, json))),
        Verb::Plan(args) => answered(|out| crate::plan_cmd::run(&args, out)),
        Verb::Analyze { scores, frame, json } => answered(|out| crate::analyze::run(&scores, &frame, json, out)),
        Verb::Confirm { id, project } => finish(runtime(crate::consent::in_terminal(id, project))),
        Verb::Verify { dir, json, public_key } => verify(&dir, json, public_key.as_deref()),
        Verb::Chart(args) => finish(crate::chart_cmd::run(&args)),
        Verb::Attest(args) => finish(crate::attest_cmd::run(&args)),
        Verb::Init { client, dir, yes } => finish(crate::init::run(client, &dir, yes)),
        Verb::Doctor { dir, json } => finish(crate::doctor::run(&dir, json)),
        Verb::Hook { event } => finish(crate::hook::run(event)),
        Verb::Guards => print(&guards_page()),
        Verb::Tools => print(&tools_table()),
        Verb::ToolSchemas => {
            print(&format!("{}\n", serde_json::to_string(&crate::tools::generated_schemas()).unwrap_or_default()))
        }
        Verb::Schema => print(&format!(
            "{}\n",
            serde_json::to_string_pretty(&itera_report::data_json::schema()).unwrap_or_default()
        )),
        Verb::DemoArm { rules } => finish(crate::demo::arm::answer(&rules).map(|()| true)),
    }
}

fn runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(work)
}

fn serve(project: Option<PathBuf>) -> ExitCode {
    // stdout carries the protocol only; logs go to stderr.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(
            std::env::var("AUTO_ITERA_LOG")
                .ok()
                .and_then(|l| l.parse().ok())
                .unwrap_or(tracing::level_filters::LevelFilter::WARN),
        )
        .init();
    let root = project.or_else(|| std::env::current_dir().ok()).unwrap_or_else(|| PathBuf::from("."));
    let server = Server::new(Arc::new(Engine::new(root)));
    finish(runtime(async { server.serve_stdio().await.map(|()| true) }))
}

fn finish(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "auto-itera: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn answered(work: impl FnOnce(&mut dyn Write) -> anyhow::Result<ExitCode>) -> ExitCode {
    let mut out = std::io::BufWriter::new(std::io::stdout());
    match work(&mut out).and_then(|code| out.flush().map(|()| code).map_err(Into::into)) {
        Ok(code) => code,
        Err(error) => finish(Err(error)),
    }
}

fn print(text: &str) -> ExitCode {
    finish(std::io::stdout().write_all(text.as_bytes()).map(|()| true).map_err(Into::into))
}

fn verify(dir: &std::path::Path, json: bool, public_key: Option<&std::path::Path>) -> ExitCode {
    let signer = match public_key.map(crate::attest_cmd::signer).transpose() {
        Ok(signer) => signer,
        Err(error) => return finish(Err(error)),
    };
    let found = match itera_report::folder::verify_signed(dir, signer.as_deref()) {
        Ok(found) => found,
        Err(error) => {
            return finish(Err(anyhow::anyhow!(
                "{} cannot be verified: {error}. Name a folder that holds ledger.jsonl and scores.csv.",
                dir.display()
            )));
        }
    };
    let text = if json {
        format!("{}\n", serde_json::to_string_pretty(&found).unwrap_or_default())
    } else {
        let mut text = String::new();
        for check in &found.checks {
            text.push_str(&format!("{} {}: {}\n", if check.ok { "ok  " } else { "FAIL" }, check.what, check.found));
        }
        let failed = found.checks.iter().filter(|c| !c.ok).count();
        text.push_str(&match failed {
            0 => format!("verified: all {} checks hold\n", found.checks.len()),
            n => format!("NOT verified: {n} of {} checks failed\n", found.checks.len()),
        });
        text
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => finish(Ok(found.ok())),
        Err(error) => finish(Err(error.into())),
    }
}

/// The guards page, from the registry.
pub fn guards_page() -> String {
    let mut text = String::from(
        "# Guards\n\nGenerated by `auto-itera guards` from the registry in `crates/itera-core/src/guards.rs`; do not edit.\n\n\
         A guard is one rule of the discipline. *refuse*: the call fails and nothing changes. *demote*: the move is allowed and its cost is paid at once. \
         *compute*: the engine does it, and no argument lets a caller differ. *disclose*: it is detected or asked, and printed in the conclusion.\n",
    );
    for stage in [GuardStage::Frame, GuardStage::Source, GuardStage::Score, GuardStage::Iterate, GuardStage::Verdict] {
        text.push_str(&format!("\n## {}\n", stage.title()));
        for guard in GUARDS.iter().filter(|g| g.stage == stage) {
            text.push_str(&format!(
                "\n### `{}`\n\n{}\n\n- Why: {}\n- Instead: {}\n- How: {}{}\n",
                guard.id,
                guard.rule,
                guard.why,
                guard.remedy,
                guard.how.word(),
                if guard.enforced { "" } else { " (not enforced by this version; the audit says so)" }
            ));
        }
    }
    text
}

/// The tools as a Markdown table, from the registry.
pub fn tools_table() -> String {
    let mut text = String::from("| tool | stage | does |\n|---|---|---|\n");
    for tool in crate::tools::TOOLS {
        text.push_str(&format!("| `{}` | {} | {} |\n", tool.name, tool.stage, tool.description));
    }
    text
}
