//! Kill-and-resume: the server ends as in a power cut, a new one goes on where it was.

use crate::honest_loop::{gate, play, to_locked};
use crate::support::fixture::{self, arm};
use crate::support::{Server, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Calls that run at once in the fixture's frame.
const PARALLEL: usize = 4;

/// Numbers that differ from run to run and are printed, so that a failure can be played again.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = std::env::var("ITERA_TEST_SEED").ok().and_then(|s| s.parse().ok());
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
        let seed = seed.unwrap_or(clock) | 1;
        eprintln!("ITERA_TEST_SEED={seed}");
        Self(seed)
    }

    /// Milliseconds up to a bound.
    fn up_to(&mut self, most: u64) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_millis(self.0 % most)
    }
}

/// What the arms were sent so far, a line an execution.
fn executions(world: &World) -> Vec<String> {
    std::fs::read_to_string(world.log()).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// The same, once the arms that were started last have written their line too.
async fn settled(world: &World) -> Vec<String> {
    let mut seen = executions(world);
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = executions(world);
        if now.len() == seen.len() {
            return now;
        }
        seen = now;
    }
}

/// Calls that were executed more than once, by arm and the call's id. An execution that was killed
/// before it had its request is nobody's.
fn repeated(executions: &[String]) -> usize {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (arm, request) in executions.iter().filter_map(|line| line.split_once(' ')) {
        if let Ok(request) = serde_json::from_str::<Value>(request) {
            *counts.entry(format!("{arm} {}", request["id"])).or_default() += 1;
        }
    }
    counts.values().filter(|n| **n > 1).count()
}

/// Starts a pass and kills the server again and again until the pass is complete; how often it was.
///
/// At a kill the calls in flight have been executed and are not recorded: those run again. A
/// recorded call must not, so that in the end there are as many executions as planned calls and
/// calls lost in flight.
async fn through_kills(
    world: &World,
    id: &str,
    mut server: Server,
    start: &str,
    dice: &mut Dice,
    kills: usize,
) -> (Server, usize) {
    let mark = executions(world).len();
    let started = server.ok(start, json!({ "experiment_id": id })).await;
    let pass = started["data"]["pass"].as_u64().expect("a pass") as u32;
    let planned = started["data"]["calls"].as_u64().expect("calls") as usize;
    let recorded = || world.store(id).count(pass).expect("a count") as usize;
    let (mut lost, mut killed) = (0, 0);
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(30) + dice.up_to(400)).await;
        server.kill().await;
        killed += 1;
        let executed = settled(world).await.len() - mark;
        let in_flight = executed.checked_sub(recorded() + lost).expect("what is recorded was executed");
        assert!(in_flight <= PARALLEL, "{in_flight} calls were in flight at the kill; {PARALLEL} may be");
        lost += in_flight;
        server = world.server().await;
        let status = server.ok("status", json!({ "experiment_id": id })).await;
        if status["data"]["running"].is_null() {
            break;
        }
        assert_eq!(status["stage"], if start == "open_test" { "testing" } else { "scoring" });
    }
    let answer = server.wait().await;
    assert_eq!(answer["data"]["calls"], planned);
    assert_eq!(recorded(), planned, "each planned call is recorded once");
    let all = settled(world).await.split_off(mark);
    assert_eq!(all.len(), planned + lost, "a recorded call ran again, or one did not run");
    assert!(repeated(&all) <= lost, "{} calls ran twice and only {lost} were in flight at a kill", repeated(&all));
    (server, killed)
}

/// Lines of scores.csv without the latency, and what the verdict says.
fn figures(world: &World, verdict: &Value) -> (Vec<Vec<String>>, Value) {
    let folder = verdict["data"]["folder"].as_str().expect("a folder");
    let csv = world.read(&format!("{folder}/scores.csv"));
    let header: Vec<&str> = csv.lines().next().expect("a header").split(',').collect();
    // Rows have ids of their own in every project: they are told apart by nothing else that stays.
    let dropped: Vec<usize> = ["row", "row_id", "latency_ms", "first_call", "output_digest", "cluster"]
        .iter()
        .filter_map(|name| header.iter().position(|h| h == name))
        .collect();
    let mut lines: Vec<Vec<String>> = csv
        .lines()
        .map(|l| l.split(',').enumerate().filter(|(i, _)| !dropped.contains(i)).map(|(_, f)| f.to_owned()).collect())
        .collect();
    lines.sort();
    (lines, verdict["data"]["arms"].clone())
}

#[tokio::test]
async fn killed_at_random_it_goes_on_and_repeats_nothing_that_was_recorded() {
    let mut dice = Dice::new();
    let quiet = World::new();
    let server = quiet.server().await;
    let undisturbed = play(&quiet, &server).await;
    server.close().await;

    let world = World::new();
    let mut server = world.server().await;
    let id = server.lock(fixture::frame()).await;
    let here = json!({ "experiment_id": id });
    // Between stages: nothing is under way, so nothing may be lost.
    for (tool, stage) in [("source_rows", "sourced"), ("pilot", "piloted")] {
        server.kill().await;
        server = world.server().await;
        assert_eq!(server.ok(tool, here.clone()).await["stage"], stage);
    }
    server.kill().await;
    server = world.server().await;
    let (again, kills) = through_kills(&world, &id, server, "score_start", &mut dice, 4).await;
    server = again;
    assert!(kills > 0);
    server.ok("diagnose", here.clone()).await;
    world.write("arms/next.sh", &arm("next", &fixture::NEXT.replace("*refund*", "*refund*|*'money back'*")));
    server
        .ok("propose", json!({
            "arm": "next",
            "hypothesis": "Customers who want money back ask for a refund in other words, so naming those words moves them.",
            "change": "the words money back are read as a refund",
        }))
        .await;
    server.kill().await;
    server = world.server().await;
    assert_eq!(server.ok("pilot", here.clone()).await["stage"], "iterating");
    server = through_kills(&world, &id, server, "score_start", &mut dice, 2).await.0;
    server.ok("gate", gate(2, "mechanism")).await;
    server.kill().await;
    server = world.server().await;
    server.ok("lock_arms", here.clone()).await;
    server.kill().await;
    server = world.server().await;
    server = through_kills(&world, &id, server, "open_test", &mut dice, 4).await.0;
    server.kill().await;
    server = world.server().await;
    assert_eq!(server.ok("status", here.clone()).await["stage"], "tested");
    let verdict = server.ok("verdict", here.clone()).await;
    server.close().await;

    let (scores, arms) = figures(&world, &verdict);
    let (scores_quiet, arms_quiet) = figures(&quiet, &undisturbed);
    assert_eq!(scores.len(), scores_quiet.len());
    assert_eq!(scores, scores_quiet, "scores differ from an undisturbed run's");
    assert_eq!(arms, arms_quiet, "figures differ from an undisturbed run's");
    let (code, text) = world.run(&["verify", verdict["data"]["folder"].as_str().expect("a folder")]).await;
    assert_eq!(code, 0, "{text}");
}

#[tokio::test]
async fn killed_while_it_concludes_it_still_concludes() {
    let world = World::new();
    let server = world.server().await;
    to_locked(&world, &server).await;
    server.ok("open_test", json!({})).await;
    server.wait().await;
    server.close().await;
    let id = std::fs::read_dir(world.project().join(".auto-itera/experiments")).unwrap().next().unwrap().unwrap();
    let id = id.file_name().into_string().unwrap();
    for wait in [0, 20, 80, 250] {
        let server = world.server().await;
        {
            // The answer is not waited for: the kill comes while the folder is written.
            let call = server.try_call("verdict", json!({ "experiment_id": id }));
            let _ = tokio::time::timeout(Duration::from_millis(wait), call).await;
        }
        server.kill().await;
    }
    let server = world.server().await;
    let mut status = server.ok("status", json!({ "experiment_id": id })).await;
    if status["stage"] == "tested" {
        server.ok("verdict", json!({ "experiment_id": id })).await;
        status = server.ok("status", json!({ "experiment_id": id })).await;
    }
    assert_eq!(status["stage"], "concluded", "{status:#}");
    let folder = status["data"]["folder"].as_str().expect("a folder").to_owned();
    let (code, text) = world.run(&["verify", &folder]).await;
    assert_eq!(code, 0, "{text}");
}

#[tokio::test]
async fn a_second_server_is_told_who_holds_the_pass() {
    let world = World::new();
    let first = world.server().await;
    let id = first.lock(fixture::frame()).await;
    first.ok("source_rows", json!({})).await;
    first.ok("pilot", json!({})).await;
    world.hold();
    first.ok("score_start", json!({})).await;
    let second = world.server().await;
    let answer = second.call("score_wait", json!({ "experiment_id": id, "timeout_s": 1 })).await;
    assert_eq!(answer["ok"], false, "{answer:#}");
    let said = answer["problems"].to_string();
    assert!(said.contains("process"), "it names the process that holds the pass: {said}");
    let status = second.ok("status", json!({ "experiment_id": id })).await;
    assert_eq!(status["stage"], "scoring");
    assert!(status["notices"].to_string().contains("not running here"), "{status:#}");
    let cancelled = second.call("score_cancel", json!({ "experiment_id": id, "reason": "from elsewhere" })).await;
    assert_eq!(cancelled["ok"], false, "only the holder can stop it: {cancelled:#}");
    world.release();
    let done = first.wait().await;
    assert_eq!(done["stage"], "scored");
    // Once the first has let go, the second reads the same experiment and goes on with it.
    assert_eq!(second.ok("status", json!({ "experiment_id": id })).await["stage"], "scored");
    second.ok("diagnose", json!({ "experiment_id": id })).await;
    first.close().await;
    second.ok("lock_arms", json!({ "experiment_id": id })).await;
    second.close().await;
}
