use super::*;
use crate::snapshot::{materialise, take};
use itera_core::frame::ArmSpec;
use itera_core::scores::work_plan;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tempfile::TempDir;

/// Rows whose one column is their id's text.
struct Rows;

impl RowSource for Rows {
    fn input(&self, row: &RowId) -> Result<Map<String, Value>, BoxError> {
        Ok(Map::from_iter([("text".to_owned(), json!(format!("content of {row}")))]))
    }
}

/// One row of a given text.
struct Text(String);

impl RowSource for Text {
    fn input(&self, _row: &RowId) -> Result<Map<String, Value>, BoxError> {
        Ok(Map::from_iter([("text".to_owned(), json!(self.0))]))
    }
}

#[derive(Default)]
struct Kept {
    outcomes: Mutex<Vec<CallOutcome>>,
    fail_at: Option<usize>,
}

impl CallSink for Kept {
    fn record(&self, outcome: &CallOutcome) -> Result<(), BoxError> {
        let mut outcomes = self.outcomes.lock().unwrap();
        if self.fail_at == Some(outcomes.len()) {
            return Err("disk full".into());
        }
        outcomes.push(outcome.clone());
        Ok(())
    }
}

impl Kept {
    fn all(&self) -> Vec<CallOutcome> {
        self.outcomes.lock().unwrap().clone()
    }
}

/// A bench on which arms are built, run and looked at.
struct Bench {
    home: TempDir,
    arms: BTreeMap<(ArmId, Version), ArmRuntime>,
    limits: Limits,
    budget: Budget,
    rows: Arc<dyn RowSource>,
    done: BTreeSet<WorkItem>,
    cancel: CancellationToken,
    fail_at: Option<usize>,
}

impl Bench {
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            arms: BTreeMap::new(),
            limits: Limits { timeout_s: 20.0, ..Limits::default() },
            budget: Budget { calls: 10_000, cost_usd: None },
            rows: Arc::new(Rows),
            done: BTreeSet::new(),
            cancel: CancellationToken::new(),
            fail_at: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn add(&mut self, id: &str, spec: Value, files: &[(&str, &str)]) -> PathBuf {
        let project = self.path(&format!("project-{id}"));
        fs::create_dir_all(&project).unwrap();
        for (name, text) in files {
            fs::write(project.join(name), text).unwrap();
            fs::set_permissions(project.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut spec = spec;
        spec["id"] = json!(id);
        spec["reference"] = json!("r");
        spec["files"] = files.iter().map(|(name, _)| json!(name)).collect();
        let spec: ArmSpec = serde_json::from_value(spec).unwrap();
        let taken = take(&project, &spec).unwrap();
        let dir = self.path(&format!("arm-{id}"));
        let blob = |d: &Digest| Ok(taken.blobs.iter().find(|(found, _)| found == d).unwrap().1.clone());
        materialise(&taken.snapshot, &blob, &dir).unwrap();
        let runtime = ArmRuntime::open(&spec, &taken.snapshot, &dir, None).unwrap();
        self.arms.insert((id.into(), 1), runtime);
        dir
    }

    /// An arm that runs a shell script.
    fn shell(&mut self, id: &str, script: &str) {
        self.add(id, json!({"command": ["/bin/sh", "-c", script]}), &[]);
    }

    fn worker(&mut self, id: &str, script: &str) {
        self.add(id, json!({"kind": "worker", "command": ["python3", "-u", "worker.py"]}), &[("worker.py", script)]);
    }

    fn plan(&self, rows: usize, trials: u32) -> Vec<WorkItem> {
        let arms: Vec<_> = self.arms.keys().cloned().collect();
        let rows: Vec<RowId> = (0..rows).map(|n| RowId(format!("r_{n:016x}"))).collect();
        work_plan(&arms, &rows, trials, 7)
    }

    async fn run(&self, plan: Vec<WorkItem>) -> (Result<RunEnd, ArmError>, Vec<CallOutcome>) {
        let sink = Arc::new(Kept { fail_at: self.fail_at, ..Kept::default() });
        let ctx = RunContext {
            experiment_seed: 42,
            arms: self.arms.clone(),
            limits: self.limits.clone(),
            rows: Arc::clone(&self.rows),
            budget: self.budget,
            done: self.done.clone(),
            cancel: self.cancel.clone(),
            progress: watch::Sender::default(),
        };
        let ended = run(plan, ctx, Arc::<Kept>::clone(&sink)).await;
        (ended, sink.all())
    }

    /// The outcome of one call of one arm.
    async fn one(&self) -> CallOutcome {
        let (ended, mut outcomes) = self.run(self.plan(1, 1)).await;
        assert_eq!(ended.unwrap(), RunEnd::Completed);
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0)
    }

    async fn one_shell(script: &str) -> CallOutcome {
        let mut bench = Self::new();
        bench.shell("a", script);
        bench.one().await
    }
}

/// Whether any live process was started with this text among its arguments or variables.
fn alive(marker: &str) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    processes.flatten().any(|entry| {
        let read = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
        let holds = |bytes: Vec<u8>| bytes.windows(marker.len()).any(|w| w == marker.as_bytes());
        let numeric = entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit());
        numeric && holds(read("cmdline"))
    })
}

async fn gone(marker: &str) -> bool {
    for _ in 0..200 {
        if !alive(marker) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn an_arm_reads_its_row_and_answers() {
    let mut bench = Bench::new();
    bench.shell("a", "cat");
    let outcome = bench.one().await;
    assert_eq!((outcome.status, outcome.attempt, outcome.first_call), (CallStatus::Ok, 1, true));
    let seen: Value = serde_json::from_str(&outcome.output.unwrap()).unwrap();
    let keys: Vec<&String> = seen.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 4);
    assert_eq!(seen["input"], json!({"text": "content of r_0000000000000000"}));
    assert_eq!(seen["seed"], json!(outcome.item.seed(42)));
    assert_eq!(seen["trial"], json!(1));
    let id = seen["id"].as_str().unwrap();
    assert!(id.len() == 18 && id.starts_with("c_") && !id.contains("0000000000"));
}

#[tokio::test]
async fn an_envelope_is_taken_apart() {
    let outcome = Bench::one_shell(
        r#"cat >/dev/null; echo '{"output":"x","cost_usd":0.5,"input_tokens":3,"output_tokens":4,"failure_modes":["m"]}'"#,
    )
    .await;
    assert_eq!(outcome.output.as_deref(), Some("x"));
    assert_eq!((outcome.cost_usd, outcome.input_tokens, outcome.output_tokens), (Some(0.5), Some(3), Some(4)));
    assert_eq!(outcome.failure_modes, ["m"]);
}

#[tokio::test]
async fn each_way_to_fail_has_its_status() {
    for (script, status, needle) in [
        ("echo half; echo >&2 oops; exit 3", CallStatus::ExitCode, "exit code 3"),
        ("kill -SEGV $$", CallStatus::Signal, "signal 11"),
        ("printf 'a\\377b'", CallStatus::BadOutput, "not UTF-8 from byte 1"),
        (r#"echo '{"output":"x","cost_usd":"much"}'"#, CallStatus::BadOutput, "cost_usd"),
    ] {
        let outcome = Bench::one_shell(script).await;
        assert_eq!(outcome.status, status, "{script}");
        assert_eq!(outcome.output, None, "{script}");
        assert!(outcome.error.as_deref().unwrap().contains(needle), "{script}: {:?}", outcome.error);
    }
    let mut bench = Bench::new();
    bench.add("a", json!({"command": ["no-such-program-here"]}), &[]);
    let outcome = bench.one().await;
    assert_eq!((outcome.status, outcome.latency_ms), (CallStatus::NotStarted, 0.0));
}

#[tokio::test]
async fn the_engines_reason_never_quotes_the_arm_and_stderr_is_kept_apart() {
    let outcome = Bench::one_shell(r#"cat >&2; printf '\033[2J' >&2; exit 1"#).await;
    assert!(!outcome.error.unwrap().contains("content of"));
    let stderr = outcome.stderr.unwrap();
    assert!(stderr.contains("content of r_") && stderr.contains("\\u{1b}[2J"));
    assert_eq!(Bench::one_shell("echo noise >&2; echo fine").await.stderr, None);
}

#[tokio::test]
async fn the_money_of_a_failed_call_is_counted() {
    let outcome = Bench::one_shell(r#"echo '{"output":"x","cost_usd":0.25}'; exit 1"#).await;
    assert_eq!((outcome.status, outcome.output, outcome.cost_usd), (CallStatus::ExitCode, None, Some(0.25)));
}

#[tokio::test]
async fn a_timeout_kills_grandchildren() {
    let mut bench = Bench::new();
    bench.limits.timeout_s = 0.3;
    bench.shell("a", "sleep 9871.11 & (sleep 9871.11 & wait) & wait");
    let begun = Instant::now();
    let outcome = bench.one().await;
    assert_eq!(outcome.status, CallStatus::Timeout);
    assert!(outcome.latency_ms >= 300.0 && begun.elapsed() < Duration::from_secs(5));
    assert!(gone("9871.11").await);
}

#[tokio::test]
async fn children_left_behind_die_with_their_leader_and_do_not_delay_the_answer() {
    let mut bench = Bench::new();
    bench.shell("a", "for i in 1 2 3 4 5 6 7 8; do sleep 9872.22 & done; echo done");
    let begun = Instant::now();
    let outcome = bench.one().await;
    assert_eq!((outcome.status, outcome.output.as_deref()), (CallStatus::Ok, Some("done")));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(gone("9872.22").await);
}

#[tokio::test]
async fn a_storm_of_forks_is_ended() {
    let mut bench = Bench::new();
    bench.limits.timeout_s = 0.5;
    bench.shell("a", "storm() { while :; do sleep 9876.66 & sleep 0.005; done; }; storm & storm & storm");
    assert_eq!(bench.one().await.status, CallStatus::Timeout);
    assert!(gone("9876.66").await);
}

#[tokio::test]
async fn an_escaped_child_that_holds_the_pipe_delays_by_the_drain_only() {
    let mut bench = Bench::new();
    let out = bench.path("out");
    let script = "setsid sh -c 'touch OUT; exec sleep 4.4321' & while [ ! -e OUT ]; do sleep 0.01; done; echo done";
    bench.shell("a", &script.replace("OUT", &out.display().to_string()));
    let begun = Instant::now();
    let outcome = bench.one().await;
    assert_eq!((outcome.status, outcome.output.as_deref()), (CallStatus::Ok, Some("done")));
    assert!(begun.elapsed() < Duration::from_secs(3));
    let around = begun.elapsed().as_secs_f64() * 1e3 - outcome.latency_ms;
    assert!(around > 400.0, "the drain is no part of the latency: {around}");
}

#[tokio::test]
async fn output_beyond_the_cap_ends_the_call() {
    let outcome = Bench::one_shell("head -c 10000000 /dev/zero | tr '\\0' 'x'; sleep 30").await;
    assert_eq!((outcome.status, outcome.output), (CallStatus::OutputTooLarge, None));
    assert_eq!(outcome.error.as_deref(), Some("more than 1048576 bytes of output"));
    let mut bench = Bench::new();
    bench.limits.max_output_bytes = 10;
    bench.shell("a", "printf 0123456789");
    assert_eq!(bench.one().await.output.as_deref(), Some("0123456789"));
    let mut bench = Bench::new();
    bench.limits.max_output_bytes = 10;
    bench.shell("a", "printf 01234567890");
    assert_eq!(bench.one().await.status, CallStatus::OutputTooLarge);
}

#[tokio::test]
async fn pipes_never_block_each_other() {
    let mut bench = Bench::new();
    bench.rows = Arc::new(Text("y".repeat(8 << 20)));
    bench.limits.max_output_bytes = 64 << 20;
    bench.shell("ignores", "echo unread");
    bench.shell("echoes", "cat");
    bench.shell("shouts", "head -c 5000000 /dev/zero >&2; wc -c");
    let (ended, outcomes) = bench.run(bench.plan(1, 1)).await;
    assert_eq!(ended.unwrap(), RunEnd::Completed);
    for outcome in outcomes {
        assert_eq!(outcome.status, CallStatus::Ok, "{}", outcome.item.arm);
        let output = outcome.output.unwrap();
        match outcome.item.arm.as_str() {
            "ignores" => assert_eq!(output, "unread"),
            "echoes" => assert!(output.len() > 8 << 20),
            _ => assert!(output.trim().parse::<usize>().unwrap() > 8 << 20),
        }
    }
}

#[tokio::test]
async fn a_child_sees_only_what_it_may() {
    // Set by cargo for every test process, and in no allow-list.
    assert!(std::env::var_os("CARGO_PKG_NAME").is_some() && std::env::var_os("CARGO_PKG_VERSION").is_some());
    let mut bench = Bench::new();
    let dir = bench.add(
        "a",
        json!({"command": ["/bin/sh", "-c", "env; pwd"], "env": ["CARGO_PKG_NAME", "ITERA_STATE"]}),
        &[],
    );
    let outcome = bench.one().await;
    let output = outcome.output.unwrap();
    let names: BTreeSet<&str> = output.lines().filter_map(|l| l.split_once('=')).map(|(name, _)| name).collect();
    let allowed = [
        "PATH",
        "HOME",
        "LANG",
        "TMPDIR",
        "CARGO_PKG_NAME",
        "ITERA_SEED",
        "ITERA_TRIAL",
        "PWD",
        "SHLVL",
        "_",
        "OLDPWD",
    ];
    assert!(names.is_subset(&BTreeSet::from(allowed)), "{names:?}");
    assert!(names.contains("CARGO_PKG_NAME") && names.contains("PATH"));
    assert!(output.contains(&format!("ITERA_SEED={}\n", outcome.item.seed(42))));
    assert!(output.ends_with(dir.canonicalize().unwrap().to_str().unwrap()));
}

#[tokio::test]
async fn no_more_run_at_once_than_the_limit_and_the_plan_keeps_its_order() {
    let mut bench = Bench::new();
    let log = bench.path("log");
    bench.limits.parallel = 3;
    let line = format!("echo + >> {0}; sleep 0.05; echo - >> {0}", log.display());
    bench.shell("a", &line);
    let (ended, outcomes) = bench.run(bench.plan(12, 1)).await;
    assert_eq!((ended.unwrap(), outcomes.len()), (RunEnd::Completed, 12));
    let (mut now, mut most) = (0, 0);
    for mark in fs::read_to_string(log).unwrap().lines() {
        now += if mark == "+" { 1 } else { -1 };
        most = most.max(now);
    }
    assert!((2..=3).contains(&most), "{most}");

    bench.limits.parallel = 1;
    bench.shell("b", "true");
    let plan = bench.plan(4, 2);
    let (_, outcomes) = bench.run(plan.clone()).await;
    assert_eq!(outcomes.iter().map(|o| o.item.clone()).collect::<Vec<_>>(), plan);
    let first: Vec<bool> = outcomes.iter().map(|o| o.first_call).collect();
    let of = |arm: &str| plan.iter().position(|i| i.arm.as_str() == arm).unwrap();
    assert!(first[of("a")] && first[of("b")] && first.iter().filter(|f| **f).count() == 2);
}

#[tokio::test]
async fn cancelling_leaves_no_child_and_a_resume_makes_only_what_is_missing() {
    let mut bench = Bench::new();
    bench.limits.parallel = 4;
    let counter = bench.path("counter");
    let script = format!(
        "read -r line; echo x >> {}; case \"$line\" in *'\"trial\":2'*) [ -e {} ] || sleep 9873.33;; esac; echo ok",
        counter.display(),
        bench.path("go").display()
    );
    bench.shell("a", &script);
    let plan = bench.plan(10, 2);
    let cancel = bench.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(700)).await;
        cancel.cancel();
    });
    let (ended, before) = bench.run(plan.clone()).await;
    assert_eq!(ended.unwrap(), RunEnd::Cancelled);
    assert!(before.len() < plan.len() && before.iter().all(|o| o.status == CallStatus::Ok));
    assert!(gone("9873.33").await);

    fs::write(bench.path("go"), "").unwrap();
    bench.cancel = CancellationToken::new();
    bench.done = before.iter().map(|o| o.item.clone()).collect();
    let (ended, after) = bench.run(plan.clone()).await;
    assert_eq!(ended.unwrap(), RunEnd::Completed);
    let made: BTreeSet<WorkItem> = before.iter().chain(&after).map(|o| o.item.clone()).collect();
    assert_eq!((before.len() + after.len(), made.len()), (plan.len(), plan.len()), "each call is recorded once");
    assert_eq!(before.iter().chain(&after).filter(|o| o.first_call).count(), 1);
}

#[tokio::test]
async fn dropping_a_run_kills_its_children() {
    let mut bench = Bench::new();
    bench.shell("a", "sleep 9874.44 & sleep 9874.44");
    let plan = bench.plan(4, 1);
    let dropped = tokio::time::timeout(Duration::from_millis(300), bench.run(plan)).await;
    assert!(dropped.is_err());
    assert!(gone("9874.44").await);
}

#[tokio::test]
async fn budgets_end_a_run_between_calls() {
    let mut bench = Bench::new();
    bench.limits.parallel = 1;
    bench.shell("a", r#"echo '{"output":"x","cost_usd":0.25}'"#);
    bench.budget.calls = 3;
    let (ended, outcomes) = bench.run(bench.plan(5, 1)).await;
    assert_eq!((ended.unwrap(), outcomes.len()), (RunEnd::BudgetExhausted(Budgeted::Calls), 3));
    bench.budget = Budget { calls: 100, cost_usd: Some(0.5) };
    let (ended, outcomes) = bench.run(bench.plan(5, 1)).await;
    assert_eq!((ended.unwrap(), outcomes.len()), (RunEnd::BudgetExhausted(Budgeted::Dollars), 2));
    bench.budget.calls = 5;
    bench.budget.cost_usd = None;
    let (ended, outcomes) = bench.run(bench.plan(5, 1)).await;
    assert_eq!((ended.unwrap(), outcomes.len()), (RunEnd::Completed, 5), "a budget that suffices is no end");
}

#[tokio::test]
async fn a_sink_that_fails_ends_the_run() {
    let mut bench = Bench::new();
    bench.fail_at = Some(2);
    bench.limits.parallel = 2;
    bench.shell("a", "echo x");
    let (ended, outcomes) = bench.run(bench.plan(20, 1)).await;
    assert!(matches!(ended, Err(ArmError::Sink(_))));
    assert_eq!(outcomes.len(), 2);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_ends_the_run() {
    struct Broken;
    impl RowSource for Broken {
        fn input(&self, _: &RowId) -> Result<Map<String, Value>, BoxError> {
            Err("vault is closed".into())
        }
    }
    let mut bench = Bench::new();
    bench.rows = Arc::new(Broken);
    bench.shell("a", "echo x");
    let (ended, outcomes) = bench.run(bench.plan(3, 1)).await;
    assert!(matches!(ended, Err(ArmError::Rows { .. })) && outcomes.is_empty());
}

#[tokio::test]
async fn a_file_touched_during_a_run_stops_it_before_the_next_call() {
    let mut bench = Bench::new();
    bench.limits.parallel = 1;
    let dir = bench.add("a", json!({"command": ["./arm.sh"]}), &[("arm.sh", "#!/bin/sh\necho same\n")]);
    // The second arm plays the meddler.
    bench.shell("b", &format!("touch {}", dir.join("arm.sh").display()));
    let plan: Vec<WorkItem> = ["a", "b", "a", "a"]
        .iter()
        .enumerate()
        .map(|(n, arm)| WorkItem { arm: (*arm).into(), version: 1, row: RowId(format!("r_{n}")), trial: 1 })
        .collect();
    let (ended, outcomes) = bench.run(plan).await;
    assert!(matches!(&ended, Err(ArmError::Changed { path, .. }) if path == "arm.sh"), "{ended:?}");
    assert_eq!(outcomes.len(), 2);
}

#[tokio::test]
async fn a_plan_that_makes_no_sense_is_refused_before_any_call() {
    let mut bench = Bench::new();
    bench.shell("a", "echo x");
    let plan = bench.plan(1, 1);
    let twice = vec![plan[0].clone(), plan[0].clone()];
    assert!(matches!(bench.run(twice).await.0, Err(ArmError::PlannedTwice { .. })));
    let unknown = vec![WorkItem { version: 2, ..plan[0].clone() }];
    assert!(matches!(bench.run(unknown).await.0, Err(ArmError::UnknownArm { version: 2, .. })));
    for (parallel, timeout_s) in [(0, 1.0), (65, 1.0), (1, 0.0), (1, f64::NAN), (1, -1.0)] {
        bench.limits = Limits { parallel, timeout_s, ..Limits::default() };
        assert!(matches!(bench.run(plan.clone()).await.0, Err(ArmError::BadLimit { .. })));
    }
    bench.limits = Limits::default();
    assert_eq!(bench.run(vec![]).await.0.unwrap(), RunEnd::Completed);
}

#[tokio::test]
async fn progress_is_told_after_the_record_is_kept() {
    struct Counting(AtomicUsize, Mutex<Vec<(u64, usize)>>, watch::Receiver<Progress>);
    impl CallSink for Counting {
        fn record(&self, _: &CallOutcome) -> Result<(), BoxError> {
            let told = self.2.borrow().finished;
            self.1.lock().unwrap().push((told, self.0.fetch_add(1, Ordering::SeqCst)));
            Ok(())
        }
    }
    let mut bench = Bench::new();
    bench.shell("a", "exit 1");
    let progress = watch::Sender::default();
    let sink = Arc::new(Counting(AtomicUsize::new(0), Mutex::default(), progress.subscribe()));
    let watched = progress.subscribe();
    let ctx = RunContext {
        experiment_seed: 1,
        arms: bench.arms.clone(),
        limits: bench.limits.clone(),
        rows: Arc::new(Rows),
        budget: bench.budget,
        done: bench.plan(6, 1).into_iter().take(2).collect(),
        cancel: CancellationToken::new(),
        progress,
    };
    run(bench.plan(6, 1), ctx, Arc::<Counting>::clone(&sink)).await.unwrap();
    let told = *watched.borrow();
    assert_eq!((told.planned, told.finished, told.failed, told.in_flight), (6, 6, 4, 0));
    assert!(sink.1.lock().unwrap().iter().all(|(told, kept)| *told == 2 + *kept as u64));
}

/// Whether the workers of these tests can run here.
fn python() -> bool {
    std::process::Command::new("python3").arg("-V").output().is_ok_and(|o| o.status.success())
}

const ECHO_WORKER: &str = r#"
import json, os, sys
for line in sys.stdin:
    call = json.loads(line)
    text = call["input"]["text"]
    if "fatal" in text: os._exit(7)
    if "hang" in text: import time; time.sleep(99)
    print(json.dumps({"id": call["id"], "output": f"{os.getpid()} {call['trial']} {text}"}))
"#;

fn pid_of(outcome: &CallOutcome) -> String {
    outcome.output.as_deref().unwrap().split(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_worker_answers_many_calls_and_trials_are_kept_apart() {
    if !python() {
        return;
    }
    let mut bench = Bench::new();
    bench.limits.parallel = 2;
    bench.worker("w", ECHO_WORKER);
    let (ended, outcomes) = bench.run(bench.plan(20, 3)).await;
    assert_eq!((ended.unwrap(), outcomes.len()), (RunEnd::Completed, 60));
    let mut trials_of: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for outcome in &outcomes {
        assert_eq!(outcome.status, CallStatus::Ok, "{:?}", outcome.error);
        assert!(outcome.output.as_deref().unwrap().ends_with(&format!("content of {}", outcome.item.row)));
        trials_of.entry(pid_of(outcome)).or_default().insert(outcome.item.trial);
    }
    assert!(trials_of.len() >= 3 && trials_of.values().all(|trials| trials.len() == 1), "{trials_of:?}");
    for pid in trials_of.keys() {
        assert!(!Path::new("/proc").join(pid).exists(), "a worker outlived the run");
    }
}

/// Rows whose text is chosen by their number.
struct Script(Vec<&'static str>);

impl RowSource for Script {
    fn input(&self, row: &RowId) -> Result<Map<String, Value>, BoxError> {
        let n = usize::from_str_radix(row.as_str().trim_start_matches("r_"), 16)?;
        Ok(Map::from_iter([("text".to_owned(), json!(self.0[n]))]))
    }
}

fn in_order(rows: usize) -> Vec<WorkItem> {
    (0..rows).map(|n| WorkItem { arm: "w".into(), version: 1, row: RowId(format!("r_{n:x}")), trial: 1 }).collect()
}

#[tokio::test]
async fn a_worker_that_dies_or_hangs_is_started_again() {
    if !python() {
        return;
    }
    let mut bench = Bench::new();
    bench.limits.parallel = 1;
    bench.limits.timeout_s = 4.0;
    bench.rows = Arc::new(Script(vec!["one", "fatal", "two", "hang", "three", "four"]));
    bench.worker("w", ECHO_WORKER);
    let (ended, outcomes) = bench.run(in_order(6)).await;
    assert_eq!(ended.unwrap(), RunEnd::Completed);
    let statuses: Vec<CallStatus> = outcomes.iter().map(|o| o.status).collect();
    use CallStatus::{ExitCode, Ok, Timeout};
    assert_eq!(statuses, [Ok, ExitCode, Ok, Timeout, Ok, Ok]);
    assert_ne!(pid_of(&outcomes[0]), pid_of(&outcomes[2]));
    assert_ne!(pid_of(&outcomes[2]), pid_of(&outcomes[4]));
    assert_eq!(pid_of(&outcomes[4]), pid_of(&outcomes[5]));
}

#[tokio::test]
async fn a_worker_that_breaks_the_protocol_fails_the_call_alone() {
    if !python() {
        return;
    }
    let mut bench = Bench::new();
    bench.limits.parallel = 1;
    bench.limits.max_output_bytes = 1_000;
    bench.rows =
        Arc::new(Script(vec!["noise", "fine", "other", "flood", "twice", "fine", "bare", "typed", "bytes", "fine"]));
    bench.worker(
        "w",
        r#"
import json, sys
for line in sys.stdin:
    call = json.loads(line)
    text = call["input"]["text"]
    me = {"id": call["id"], "output": text}
    if text == "noise": print("loading model...")
    if text == "other": print(json.dumps({"id": "c_other", "output": "stale"}))
    if text == "flood": me["output"] = "x" * 5000
    if text == "bare": me = {"id": call["id"], "code": "A1"}
    if text == "typed": me["input_tokens"] = "many"
    if text == "bytes": sys.stdout.buffer.write(b"\xff\xfe\n")
    print(json.dumps(me))
    if text == "twice": print(json.dumps(me))
"#,
    );
    let (ended, outcomes) = bench.run(in_order(10)).await;
    assert_eq!(ended.unwrap(), RunEnd::Completed);
    use CallStatus::{BadOutput, Ok, OutputTooLarge};
    let statuses: Vec<CallStatus> = outcomes.iter().map(|o| o.status).collect();
    assert_eq!(statuses, [BadOutput, Ok, Ok, OutputTooLarge, Ok, Ok, Ok, BadOutput, BadOutput, Ok]);
    assert_eq!(outcomes[2].output.as_deref(), Some("other"));
    assert_eq!(outcomes[6].output.as_deref(), Some(r#"{"code":"A1"}"#));
}

#[tokio::test]
async fn a_worker_that_ends_its_turn_in_peace_costs_no_call() {
    if !python() {
        return;
    }
    let mut bench = Bench::new();
    bench.limits.parallel = 1;
    bench.rows = Arc::new(Script(vec!["x"; 8]));
    bench.worker(
        "w",
        "import json, sys\nfor n in range(3):\n    call = json.loads(sys.stdin.readline())\n    print(json.dumps({'id': call['id'], 'output': 'ok'}))\n",
    );
    let (ended, outcomes) = bench.run(in_order(8)).await;
    assert_eq!(ended.unwrap(), RunEnd::Completed);
    assert!(outcomes.iter().all(|o| o.status == CallStatus::Ok), "{outcomes:?}");
}

#[tokio::test]
async fn cancelling_ends_workers_too() {
    let mut bench = Bench::new();
    bench.limits.parallel = 2;
    bench.add("w", json!({"kind": "worker", "command": ["/bin/sh", "-c", "sleep 9875.55 & cat > /dev/null"]}), &[]);
    let cancel = bench.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cancel.cancel();
    });
    let (ended, outcomes) = bench.run(bench.plan(5, 1)).await;
    assert_eq!((ended.unwrap(), outcomes.len()), (RunEnd::Cancelled, 0));
    assert!(gone("9875.55").await);
}
