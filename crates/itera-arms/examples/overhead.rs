//! What a call costs beyond its process: `/bin/true` through the runner against a bare loop.
//!
//! `cargo run --release -p itera-arms --example overhead -- [CALLS] [PARALLEL]` (2,000 and 1 by
//! default). CPU is that of this process and its children, from `/proc/self/stat`; Linux only.

use itera_arms::runner::{Budget, CallOutcome, CallSink, Progress, RowSource, RunContext, run};
use itera_arms::{ArmRuntime, BoxError};
use itera_core::frame::{ArmSpec, Limits};
use itera_core::ids::RowId;
use itera_core::scores::work_plan;
use itera_core::snapshot::Snapshot;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

struct OneRow;

impl RowSource for OneRow {
    fn input(&self, _: &RowId) -> Result<Map<String, Value>, BoxError> {
        Ok(Map::from_iter([("text".to_owned(), json!("a row of ordinary length"))]))
    }
}

struct Forget;

impl CallSink for Forget {
    fn record(&self, _: &CallOutcome) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Seconds of processor time of this process and its ended children.
fn cpu() -> Result<f64, BoxError> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').ok_or("unexpected form of /proc/self/stat")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 =
        fields.get(11..15).ok_or("too few fields")?.iter().map(|f| f.parse::<u64>()).sum::<Result<_, _>>()?;
    Ok(ticks as f64 / 100.0)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args().skip(1);
    let calls: u32 = arguments.next().map_or(Ok(2_000), |a| a.parse())?;
    let parallel: u32 = arguments.next().map_or(Ok(1), |a| a.parse())?;

    let (begun, before) = (Instant::now(), cpu()?);
    for _ in 0..calls {
        Command::new("/bin/true").stdin(Stdio::null()).output()?;
    }
    let (bare_wall, bare_cpu) = (begun.elapsed().as_secs_f64(), cpu()? - before);

    let spec: ArmSpec = serde_json::from_value(json!({"id": "true", "reference": "r", "command": ["/bin/true"]}))?;
    let snapshot = Snapshot::new(&spec, vec![]);
    let runtime = ArmRuntime::open(&spec, &snapshot, &std::env::temp_dir(), None)?;
    let arms = BTreeMap::from([((spec.id.clone(), 1), runtime)]);
    let rows: Vec<RowId> = (0..calls).map(|n| RowId(format!("r_{n:016x}"))).collect();
    let plan = work_plan(&[(spec.id.clone(), 1)], &rows, 1, 1);
    let ctx = RunContext {
        experiment_seed: 1,
        arms,
        limits: Limits { parallel, ..Limits::default() },
        rows: Arc::new(OneRow),
        budget: Budget { calls: u64::from(calls), cost_usd: None },
        done: BTreeSet::new(),
        cancel: CancellationToken::new(),
        progress: watch::Sender::new(Progress::default()),
    };
    let (begun, before) = (Instant::now(), cpu()?);
    run(plan, ctx, Arc::new(Forget)).await?;
    let (wall, runner_cpu) = (begun.elapsed().as_secs_f64(), cpu()? - before);

    let per_call = |seconds: f64| seconds * 1e6 / f64::from(calls);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{calls} calls of /bin/true, {parallel} at once")?;
    writeln!(out, "bare loop  {:7.0} us wall  {:7.0} us CPU per call", per_call(bare_wall), per_call(bare_cpu))?;
    writeln!(out, "runner     {:7.0} us wall  {:7.0} us CPU per call", per_call(wall), per_call(runner_cpu))?;
    writeln!(out, "CPU ratio  {:.2}", runner_cpu / bare_cpu)?;
    Ok(())
}
