//! The folder as a reader meets it: numbers, wording, hostile text, a browser, signatures.

use crate::attestation::{self, ENVELOPE, STATEMENT};
use crate::data_json::{self, DataJson};
use crate::folder::{build, verify_signed};
use crate::page::escape_html;
use crate::testkit::{Told, record};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Text that breaks out of whatever does not escape it.
const HOSTILE: Told<'_> = Told {
    question: "Is </script><script>document.title='owned'</script> | `x` *better*?\nOr <img src=x onerror=\"document.title='owned'\">",
    slice: "</script><b onclick=a>|`smb`",
    change: "-->]]></style><script>document.title='owned'</script>",
};

/// The folder of the plain record, built once.
static FILES: LazyLock<BTreeMap<String, Vec<u8>>> =
    LazyLock::new(|| build(&record(&Told::default())).expect("a folder"));
/// The same with hostile text.
static HOSTILE_FILES: LazyLock<BTreeMap<String, Vec<u8>>> =
    LazyLock::new(|| build(&record(&HOSTILE)).expect("a folder"));

fn text(files: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    String::from_utf8(files[name].clone()).expect("text")
}

fn data(files: &BTreeMap<String, Vec<u8>>) -> DataJson {
    data_json::parse(&files["data.json"]).expect("data.json is valid")
}

/// Numbers as they stand in a text, commas between thousands and true minus signs read.
fn numbers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut number = String::new();
    let mut before = ' ';
    let chars: Vec<char> = text.chars().chain([' ']).collect();
    for (i, &c) in chars.iter().enumerate() {
        let next = chars.get(i + 1).copied().unwrap_or(' ');
        let inside = !number.is_empty() && matches!(c, '.' | ',') && next.is_ascii_digit();
        if c.is_ascii_digit() && (!number.is_empty() || !before.is_alphanumeric()) || inside {
            number.push(c);
        } else if !number.is_empty() {
            found.push(number.replace(',', ""));
            number.clear();
        }
        before = c;
    }
    found
}

/// Every number and every number within a text of a JSON value.
fn leaves(value: &serde_json::Value, values: &mut Vec<f64>, said: &mut Vec<String>) {
    match value {
        serde_json::Value::Number(n) => values.extend(n.as_f64()),
        serde_json::Value::String(s) => said.extend(numbers(s)),
        serde_json::Value::Array(items) => items.iter().for_each(|v| leaves(v, values, said)),
        serde_json::Value::Object(map) => map.values().for_each(|v| leaves(v, values, said)),
        _ => {}
    }
}

/// Markdown without code, links and marks of lists.
fn without_code(markdown: &str) -> String {
    let mut out = String::new();
    for (i, part) in markdown.split('`').enumerate() {
        if i % 2 == 0 {
            out.push_str(part);
        }
    }
    out
}

#[test]
fn every_number_of_the_conclusion_is_in_data_json() {
    let files = &*FILES;
    let value: serde_json::Value = serde_json::from_slice(&files["data.json"]).expect("JSON");
    let (mut values, mut said) = (Vec::new(), Vec::new());
    leaves(&value, &mut values, &mut said);
    let data = data(files);
    // Counted on the page: lines of the audit by status. Words: "per 1,000 rows", "per 100 answers".
    let statuses = data.audit.iter().fold(BTreeMap::new(), |mut n: BTreeMap<String, u32>, line| {
        *n.entry(format!("{:?}", line.status)).or_default() += 1;
        n
    });
    let mut words: Vec<String> = statuses.values().map(u32::to_string).collect();
    words.extend(["1000", "100", "0.0001", "0"].map(String::from));
    let page = text(files, "conclusion.md");
    let found = numbers(&without_code(&page));
    assert!(found.len() > 150, "only {} numbers were found", found.len());
    for number in found {
        let digits = number.split_once('.').map_or(0, |(_, d)| d.len());
        let rounded =
            values.iter().any(|v| [1.0, 100.0].iter().any(|f| format!("{:.digits$}", (v * f).abs()) == number));
        assert!(rounded || said.contains(&number) || words.contains(&number), "{number} is not in data.json");
    }
}

#[test]
fn the_conclusion_says_what_why_how_sure_and_what_it_costs() {
    let files = &*FILES;
    let page = text(files, "conclusion.md");
    for expected in [
        "# Ship `v2`: small",
        "> Should we use v2 or v3, or stay?",
        "**Verdict: ship.** `v2` (reads the counterparty) replaces `v1` everywhere.",
        "**Rule, registered before any row was read.** Ship if the lower bound of its effect is at least +5 pp",
        "**Why.** `v2` measures +",
        "p < 0.0001",
        "- **`v3`: kill.** It measures ",
        "segment=smb",
        "**How sure.** Effects are paired differences to `v1` on 240 sealed rows, 3 trials each, opened once",
        "$0.300 per 1,000 rows against $0.200 (+50.0%)",
        "**Sprint 1, iteration 1: `v2` becomes version 2.** An own account is a transfer. Change: Own accounts are transfers.",
        "## Failure modes",
        "## Weighted by stake",
        "## What to test next",
        "confined to segment=enterprise, does its change add anything on top of `v2`?",
        "## Limits and disclosures",
        "`one-test-pass`",
        "auto-itera verify <this folder>",
    ] {
        assert!(page.contains(expected), "`{expected}` is not in\n{page}");
    }
    assert!(!page.contains("-0.0") && !page.contains("\u{2212}0.0") && !page.contains("p = 0.0000"), "{page}");
    let sentences: Vec<&str> = page.split(". ").filter(|s| s.len() > 60).collect();
    for (i, sentence) in sentences.iter().enumerate() {
        assert!(!sentences[i + 1..].contains(sentence), "said twice: {sentence}");
    }
}

#[test]
fn every_outcome_has_its_ruling_and_a_question_that_is_not_more_of_the_same() {
    use crate::conclusion::conclusion_md;
    use crate::data_json::Outcome;
    for (outcome, headline, ruling, question) in [
        (
            Outcome::Scope,
            "# Ship `v2` on segment=enterprise only: small",
            "replaces `v1` on segment=enterprise; elsewhere `v1` stays",
            "What is different about segment=smb, where `v2` measures",
        ),
        (
            Outcome::Kill,
            "# Keep `v1`: small",
            "No arm can pass the rule",
            "Which other mechanism would move *code right*",
        ),
        (Outcome::Underpowered, "# Underpowered: small", "These rows cannot tell", "on about 900 fresh test rows"),
    ] {
        let mut data = data(&FILES);
        data.verdict.outcome = Some(outcome);
        data.verdict.winner = (outcome == Outcome::Scope).then(|| "v2".to_owned());
        for arm in &mut data.verdict.per_arm {
            arm.outcome = outcome;
            arm.slices = vec!["segment=enterprise".to_owned()];
            arm.floor_open = vec!["segment=smb".to_owned()];
            arm.rows_needed = Some(900);
            arm.sentence = format!("`{}` measures something", arm.arm);
        }
        let page = conclusion_md(&data);
        for expected in [headline, ruling, question] {
            assert!(page.contains(expected), "`{expected}` is not in\n{page}");
        }
        assert!(page.contains("It loses in segment=smb at \u{2212}"), "{page}");
        assert!(!page.contains("more iterations"));
    }
}

#[test]
fn an_arm_that_a_gate_killed_is_reported_without_a_test() {
    use itera_core::event::Event;
    let mut record = record(&Told::default());
    for entry in &mut record.entries {
        match &mut entry.event {
            Event::GateJudged { gate } => gate.killed = vec!["v3".into()],
            Event::PassStarted { pass } if pass.pass == 3 => pass.arms.retain(|a| a.0.as_str() != "v3"),
            Event::ArmsLocked { versions, .. } => versions.retain(|a, _| a.as_str() != "v3"),
            _ => {}
        }
    }
    record.scores.retain(|s| s.pass != 3 || s.arm.as_str() != "v3");
    let files = build(&record).expect("a folder");
    let page = text(&files, "conclusion.md");
    assert!(page.contains("- **`v3`: kill.** `v3` was killed at the gate of sprint 1"), "{page}");
    assert!(page.contains("| not tested |"), "{page}");
    assert_eq!(data(&files).verdict.killed, ["v3"]);
}

#[test]
fn hostile_text_stays_text() {
    let files = &*HOSTILE_FILES;
    let html = text(files, "report.html");
    assert_eq!(html.matches("<script").count(), 2, "one of data, one of code");
    assert_eq!(html.matches("</script").count(), 2);
    assert_eq!(html.matches("</style>").count(), 1);
    assert!(!html.contains("<img") && !html.contains("<b onclick"));
    assert!(html.contains(&escape_html("*better*?")));
    let page = text(files, "conclusion.md");
    let unescaped = page.replace("\\<", "");
    assert!(!unescaped.contains("<script") && !unescaped.contains("<img") && !unescaped.contains("<b "), "{page}");
    for line in page.lines().filter(|l| l.starts_with('|')) {
        // An escaped mark is part of a cell.
        let bars = line.replace("\\|", "").matches('|').count();
        assert!([8, 7, 6, 9, 5].contains(&bars), "a cell broke its row: {line}");
    }
}

#[test]
fn the_report_is_whole_and_needs_nobody() {
    let record = record(&Told::default());
    let files = &*FILES;
    let html = text(files, "report.html");
    assert_eq!(build(&record).expect("again")["report.html"], files["report.html"]);
    // The only addresses are names: of the SVG namespace.
    let outside = html.replace("http://www.w3.org/2000/svg", "");
    assert!(!outside.contains("http://") && !outside.contains("https://") && !outside.contains("url("));
    for chart in ["forest-plot", "arm-bar", "cost-vs-accuracy", "power", "trajectory", "failure-modes"] {
        assert!(html.contains(&format!("<figure id=\"{chart}\"><svg ")), "{chart}");
    }
    for entry in 1..=record.entries.len() {
        assert!(html.contains(&format!("id=\"entry-{entry}\"")), "entry {entry}");
    }
    assert!(html.contains("Test opened</strong>: 2,160 calls over 240 rows"));
}

#[test]
fn the_published_schema_is_that_of_this_version_and_what_is_written_follows_it() {
    let published = include_str!("../../../docs/data.schema.json");
    let current = format!("{}\n", serde_json::to_string_pretty(&data_json::schema()).expect("JSON"));
    assert_eq!(published, current, "run `auto-itera schema > docs/data.schema.json`");
    let files = &*FILES;
    let written: serde_json::Value = serde_json::from_slice(&files["data.json"]).expect("JSON");
    let schema = data_json::schema();
    let unknown: Vec<&String> =
        written.as_object().expect("an object").keys().filter(|k| schema["properties"].get(k).is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert_eq!(data(files).to_json().into_bytes(), files["data.json"], "what was read is written the same");
}

fn write(files: &BTreeMap<String, Vec<u8>>, dir: &Path) {
    std::fs::create_dir_all(dir.join("charts")).expect("a folder");
    for (name, bytes) in files {
        std::fs::write(dir.join(name), bytes).expect("a file");
    }
}

#[test]
fn verify_checks_pages_attestation_and_signature() {
    let dir = tempfile::tempdir().expect("a folder");
    let files = &*FILES;
    write(files, dir.path());
    let failed = |signer: Option<&str>| -> Vec<String> {
        let found = verify_signed(dir.path(), signer).expect("readable");
        found.checks.into_iter().filter(|c| !c.ok).map(|c| c.what).collect()
    };
    let key = attestation::new_key(&[9; 32]).expect("a key");
    let id = attestation::key_id(&attestation::public_key(&key).expect("public")).expect("an id");
    assert_eq!(failed(Some(&id)), [ENVELOPE], "a signature was asked for, there is none, and all else holds");

    let envelope = attestation::sign(&files[STATEMENT], &key).expect("signed");
    std::fs::write(dir.path().join(ENVELOPE), &envelope).expect("written");
    let found = verify_signed(dir.path(), Some(&id)).expect("readable");
    assert!(found.ok(), "{found:?}");
    assert!(found.checks.iter().any(|c| c.what == ENVELOPE && c.found == format!("signed by {id}")));

    // A statement that an earlier version wrote is checked as that version wrote it.
    let others: BTreeMap<String, Vec<u8>> = files.clone().into_iter().filter(|(n, _)| n != STATEMENT).collect();
    let earlier = attestation::statement(&others, &data(files), "0.0.1");
    std::fs::write(dir.path().join(STATEMENT), &earlier).expect("written");
    assert_eq!(failed(None), [ENVELOPE], "only the signature speaks of another statement");
    std::fs::write(dir.path().join(STATEMENT), &files[STATEMENT]).expect("written");

    let mut tampered = envelope;
    let at = tampered.windows(7).position(|w| w == b"\"sig\": ").expect("a signature") + 12;
    tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
    std::fs::write(dir.path().join(ENVELOPE), &tampered).expect("written");
    for name in ["report.html", "conclusion.md"] {
        let mut bytes = files[name].clone();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        std::fs::write(dir.path().join(name), &bytes).expect("written");
    }
    assert_eq!(failed(None), ["conclusion.md", "report.html", ENVELOPE]);
}

/// The page as Chromium has it after loading; nothing where there is no Chromium.
fn dumped(page: &Path, more: &[&str]) -> Option<String> {
    let browser = ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| {
        std::env::split_paths(&std::env::var_os("PATH")?).map(|p| p.join(name)).find(|p| p.is_file())
    })?;
    let profile = tempfile::tempdir().expect("a folder");
    let out = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(more)
        .arg(format!("file://{}", page.display()))
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&out.stdout).into_owned())
}

#[test]
fn a_browser_shows_it_with_scripts_and_without() {
    let dir = tempfile::tempdir().expect("a folder");
    let files = &*HOSTILE_FILES;
    let page: PathBuf = dir.path().join("report.html");
    std::fs::write(&page, &files["report.html"]).expect("written");
    let Some(with) = dumped(&page, &[]) else {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "skipped: no Chromium on PATH");
        return;
    };
    assert!(with.contains("<title>Ship v2: small</title>"), "hostile text ran, or nothing loaded: {with}");
    assert!(with.contains("rows that differ</option>") && with.contains("aria-sort") || with.contains("<select>"));
    assert!(with.contains(" of 240 test rows</p>"), "the script counts the rows");
    assert!(
        with.contains(&format!("<option value=\"{}\"", HOSTILE.slice.replace('&', "&amp;").replace('"', "&quot;")))
            || with.contains("&lt;/script&gt;&lt;b onclick=a&gt;")
    );
    // A policy in the page's head that forbids scripts stands for a browser that has none.
    let html = text(files, "report.html").replace("script-src 'unsafe-inline'", "script-src 'none'");
    std::fs::write(&page, html).expect("written");
    let without = dumped(&page, &[]).expect("it was there a moment ago");
    assert!(without.contains("<title>Ship v2: small</title>"));
    assert!(without.contains("largest differences; scripts show and filter all") && !without.contains("<select>"));
    assert!(without.contains("<td><code>r_test"), "rows stand in plain HTML");
    assert!(without.contains("<figure id=\"forest-plot\"><svg ") && without.contains("id=\"entry-1\""));
}
