use super::*;
use itera_core::frame::{Condition, ConditionOp};
use proptest::prelude::*;
use serde_json::json;

fn metric(scorer: Value) -> Metric {
    serde_json::from_value(json!({"name": "m", "stake": "s", "scorer": scorer})).unwrap()
}

fn row(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

/// Scores an answered call.
fn score(scorer: Value, truth: Value, output: &str) -> f64 {
    let scorer = CompiledScorer::new(&metric(scorer), &[]).unwrap();
    scorer.score(&row(truth), CallStatus::Ok, Some(output), &[]).score
}

/// One failure mode whose conditions are `(left, op, right, value)`.
fn mode(id: &str, when: &[(&str, &str, Option<&str>, Option<&str>)]) -> FailureMode {
    let when = when
        .iter()
        .map(|(left, op, right, value)| Condition {
            left: (*left).to_owned(),
            op: serde_json::from_value::<ConditionOp>(json!(op)).unwrap(),
            right: right.map(str::to_owned),
            value: value.map(str::to_owned),
        })
        .collect();
    FailureMode { id: id.to_owned(), description: "d".to_owned(), weight: 1.0, when }
}

#[test]
fn exact_trims_the_ends_and_nothing_else() {
    let exact = || json!({"kind": "exact", "label": "y"});
    assert_eq!(score(exact(), json!({"y": "refund"}), " refund\n"), 1.0);
    assert_eq!(score(exact(), json!({"y": "refund"}), "Refund"), 0.0);
    assert_eq!(score(exact(), json!({"y": 12.5}), "12.5"), 1.0);
    assert_eq!(score(exact(), json!({"y": 12.5}), "12.50"), 0.0);
    assert_eq!(score(exact(), json!({"y": "é"}), "e\u{301}"), 0.0);
    assert_eq!(score(exact(), json!({}), "x"), 0.0);
    assert_eq!(score(exact(), json!({"y": null}), ""), 1.0);
}

#[test]
fn normalized_and_contains() {
    assert_eq!(score(json!({"kind": "normalized", "label": "y"}), json!({"y": "top_up"}), "Top-Up."), 1.0);
    assert_eq!(score(json!({"kind": "normalized", "label": "y"}), json!({"y": "top_up"}), "top up limit"), 0.0);
    let contains = || json!({"kind": "contains", "label": "y"});
    assert_eq!(score(contains(), json!({"y": "top_up"}), "It is: TOP UP, I think"), 1.0);
    assert_eq!(score(contains(), json!({"y": "top_up"}), "topup"), 0.0);
    assert_eq!(score(contains(), json!({"y": ""}), "anything"), 0.0);
}

#[test]
fn numeric_never_matches_what_is_not_a_number() {
    let numeric = || json!({"kind": "numeric", "label": "y", "tolerance": 0.01});
    assert_eq!(score(numeric(), json!({"y": "12.50"}), "12.51\n"), 1.0);
    assert_eq!(score(numeric(), json!({"y": 12.5}), "1.251e1"), 1.0);
    assert_eq!(score(numeric(), json!({"y": "12.50"}), "12.52"), 0.0);
    for (truth, output) in [("NaN", "NaN"), ("", ""), ("1,234", "1,234"), ("$5", "5"), ("5", "5 USD"), ("inf", "inf")] {
        assert_eq!(score(numeric(), json!({"y": truth}), output), 0.0, "{truth} {output}");
    }
    assert_eq!(score(json!({"kind": "numeric", "label": "y"}), json!({"y": "0.10"}), "0.1"), 1.0);
    assert_eq!(
        score(json!({"kind": "numeric", "label": "y", "relative_tolerance": 0.1}), json!({"y": -100}), "-91"),
        1.0
    );
}

#[test]
fn regex_with_and_without_the_label() {
    let plain = || json!({"kind": "regex", "pattern": "^(yes|no)$"});
    assert_eq!(score(plain(), json!({}), "yes\n"), 1.0);
    assert_eq!(score(plain(), json!({}), "yes!"), 0.0);
    let labelled = || json!({"kind": "regex", "pattern": r"(?i)\banswer: {label}$", "label": "y"});
    assert_eq!(score(labelled(), json!({"y": "a.c"}), "So the Answer: A.C"), 1.0);
    assert_eq!(score(labelled(), json!({"y": "a.c"}), "answer: abc"), 0.0, "the label is escaped");
    let scorer = CompiledScorer::new(&metric(labelled()), &[]).unwrap();
    for n in 0..1_500 {
        let label = format!("l{n}");
        let scored = scorer.score(&row(json!({ "y": label })), CallStatus::Ok, Some(&format!("answer: l{n}")), &[]);
        assert_eq!(scored.score, 1.0);
    }
}

#[test]
fn sets_by_three_measures() {
    let set = |measure: &str| json!({"kind": "set", "label": "y", "measure": measure});
    let truth = || json!({"y": "a;b;c"});
    assert_eq!(score(set("f1"), truth(), "b; c; d"), 2.0 * 2.0 / 6.0);
    assert_eq!(score(set("jaccard"), truth(), "b;c;d"), 0.5);
    assert_eq!(score(set("exact"), truth(), "c;b;a;a"), 1.0);
    assert_eq!(score(set("exact"), truth(), "a;b"), 0.0);
    assert_eq!(score(set("f1"), json!({"y": ["a", "b"]}), r#"["b","a"]"#), 1.0, "JSON lists on both sides");
    for measure in ["f1", "jaccard", "exact"] {
        assert_eq!(score(set(measure), json!({"y": ""}), " "), 1.0, "both empty");
        assert_eq!(score(set(measure), json!({"y": ""}), "a"), 0.0);
        assert_eq!(score(set(measure), truth(), "[]"), 0.0);
    }
    assert_eq!(score(json!({"kind": "set", "label": "y", "separator": "|"}), json!({"y": "a|b"}), "b|a"), 1.0);
}

#[test]
fn json_whole_and_partial() {
    let fields = json!([
        {"path": "code", "column": "code"},
        {"path": "answer.amount", "column": "amount", "tolerance": 0.005}
    ]);
    let whole = || json!({"kind": "json", "fields": fields});
    let partial = || json!({"kind": "json", "fields": fields, "partial": true});
    let truth = || json!({"code": "A1", "amount": "12.50"});
    let right = r#" {"answer": {"amount": 12.5}, "code": "A1", "note": "x"} "#;
    let half = r#"{"answer": {"amount": "12.6"}, "code": "A1"}"#;
    assert_eq!(score(whole(), truth(), right), 1.0);
    assert_eq!(score(whole(), truth(), half), 0.0);
    assert_eq!(score(partial(), truth(), half), 0.5);
    for unusable in ["", "A1", "[1]", "```json\n{\"code\":\"A1\"}\n```", r#"{"code":"A1""#] {
        assert_eq!(score(partial(), truth(), unusable), 0.0, "{unusable}");
    }
}

#[test]
fn a_failed_call_scores_nothing_and_carries_the_modes_of_its_status() {
    let modes = [
        mode("late", &[("status", "eq", None, Some("timeout"))]),
        mode("wrong", &[("output", "ne", Some("row.y"), None)]),
        mode("silent", &[("output", "empty", None, None)]),
        mode("named", &[]),
    ];
    let scorer = CompiledScorer::new(&metric(json!({"kind": "exact", "label": "y"})), &modes).unwrap();
    let truth = row(json!({"y": "a"}));
    let failed = scorer.score(&truth, CallStatus::Timeout, Some("a"), &["named".to_owned()]);
    assert_eq!(failed, Scored { score: 0.0, failure_modes: vec!["late".into(), "named".into(), "silent".into()] });
    let wrong = scorer.score(&truth, CallStatus::Ok, Some("b"), &["unregistered".to_owned()]);
    assert_eq!(wrong, Scored { score: 0.0, failure_modes: vec!["wrong".into()] });
    let right = scorer.score(&truth, CallStatus::Ok, Some("a"), &["named".to_owned()]);
    assert_eq!(right, Scored { score: 1.0, failure_modes: vec![] });
}

#[test]
fn every_comparison() {
    let holds = |left: &str, op: &str, right: Option<&str>, value: Option<&str>| {
        let modes = [mode("m", &[(left, op, right, value)])];
        let scorer = CompiledScorer::new(&metric(json!({"kind": "regex", "pattern": "^never$"})), &modes).unwrap();
        let row = row(json!({"y": "10.0", "text": "Transfer to Savings", "none": null, "a.b": "dotted"}));
        let output = r#"{"n": 9.5, "code": "REV", "sub": {"list": ["x"]}}"#;
        !scorer.score(&row, CallStatus::Ok, Some(output), &[]).failure_modes.is_empty()
    };
    for (left, op, right, value, expected) in [
        ("row.y", "eq", None, Some("10"), true),
        ("row.y", "ne", None, Some("10"), false),
        ("row.text", "eq", None, Some(" Transfer to Savings "), true),
        ("row.text", "eq", None, Some("transfer to savings"), false),
        ("output.n", "lt", Some("row.y"), None, true),
        ("output.n", "gt", Some("row.y"), None, false),
        ("row.y", "gt", Some("output.n"), None, true),
        ("row.y", "lt", None, Some("10.0"), false),
        ("output.code", "lt", Some("row.y"), None, false),
        ("row.text", "contains", None, Some("TRANSFER"), true),
        ("row.text", "not_contains", None, Some("TRANSFER"), false),
        ("row.text", "contains", Some("row.none"), None, false),
        ("row.text", "not_contains", Some("row.none"), None, false),
        ("output.code", "matches", None, Some("^R.V$"), true),
        ("output.code", "matches", None, Some("^r"), false),
        ("output.missing", "empty", None, None, true),
        ("row.none", "empty", None, None, true),
        ("row.absent", "not_empty", None, None, false),
        ("output.sub.list.0", "eq", None, Some("x"), true),
        ("output.missing", "ne", None, Some("x"), true),
        ("row.a.b", "eq", None, Some("dotted"), true),
        ("status", "eq", None, Some("ok"), true),
    ] {
        assert_eq!(holds(left, op, right, value), expected, "{left} {op} {right:?} {value:?}");
    }
}

#[test]
fn all_conditions_of_a_mode_must_hold() {
    let modes = [mode("both", &[("row.y", "eq", None, Some("a")), ("output", "contains", None, Some("b"))])];
    let scorer = CompiledScorer::new(&metric(json!({"kind": "exact", "label": "y"})), &modes).unwrap();
    let modes_of = |y: &str, output: &str| {
        scorer.score(&row(json!({ "y": y })), CallStatus::Ok, Some(output), &[]).failure_modes.len()
    };
    assert_eq!((modes_of("a", "xbx"), modes_of("a", "x"), modes_of("c", "b")), (1, 0, 0));
}

#[test]
fn every_problem_of_a_metric_is_named() {
    let problems = |scorer: Value, modes: &[FailureMode]| validate(&metric(scorer), modes);
    assert_eq!(problems(json!({"kind": "exact", "label": "y"}), &[]), Vec::<String>::new());
    for (scorer, needle) in [
        (json!({"kind": "exact"}), "needs `label`"),
        (json!({"kind": "exact", "label": ""}), "`label` is empty"),
        (json!({"kind": "exact", "label": "y", "tolerance": 1.0}), "does not know `tolerance`"),
        (json!({"kind": "contains", "label": "y", "pattern": "x"}), "does not know `pattern`"),
        (json!({"kind": "numeric", "label": "y", "tolerance": -1.0}), "`tolerance` is not a number"),
        (json!({"kind": "regex"}), "needs `pattern`"),
        (json!({"kind": "regex", "pattern": "("}), "does not compile"),
        (json!({"kind": "regex", "pattern": "\\w{2000}"}), "bytes compiled"),
        (json!({"kind": "regex", "pattern": "{label}"}), "needs `label`"),
        (json!({"kind": "set", "label": "y", "separator": ""}), "`separator` is empty"),
        (json!({"kind": "json"}), "needs `fields`"),
        (json!({"kind": "json", "label": "y", "fields": [{"path": "a", "column": "a"}]}), "does not know `label`"),
        (json!({"kind": "json", "fields": [{"path": "a..b", "column": "a"}]}), "empty step"),
        (json!({"kind": "json", "fields": [{"path": "a", "column": ""}]}), "names no column"),
        (json!({"kind": "json", "fields": [{"path": "a", "column": "a"}, {"path": "a", "column": "b"}]}), "twice"),
        (json!({"kind": "json", "fields": [{"path": "a", "column": "a", "tolerance": -0.1}]}), "tolerance of `a`"),
    ] {
        let found = problems(scorer.clone(), &[]);
        assert!(found.iter().any(|p| p.contains(needle)), "{scorer}: {found:?}");
    }
    for (condition, needle) in [
        (("outptu", "empty", None, None), "left operand"),
        (("output.", "empty", None, None), "left operand"),
        (("row.", "empty", None, None), "left operand"),
        (("output", "eq", Some("label"), None), "right operand"),
        (("output", "eq", None, None), "is needed"),
        (("output", "eq", Some("row.y"), Some("x")), "both given"),
        (("output", "empty", None, Some("x")), "takes neither"),
        (("output", "matches", Some("row.y"), None), "literal"),
        (("output", "matches", None, Some("[")), "does not compile"),
        (("output", "gt", None, Some("1,000")), "not one"),
        (("output", "contains", None, Some(" ")), "in every text"),
        (("status", "eq", None, Some("timed_out")), "no status"),
    ] {
        let found = problems(json!({"kind": "exact", "label": "y"}), &[mode("m", &[condition])]);
        assert!(found.iter().any(|p| p.contains(needle) && p.contains("`m`, condition 1")), "{condition:?}: {found:?}");
    }
}

#[test]
fn the_columns_that_are_read_are_known() {
    let modes = [mode("m", &[("row.kind", "eq", None, Some("x")), ("output", "ne", Some("row.y"), None)])];
    let scorer = CompiledScorer::new(&metric(json!({"kind": "exact", "label": "y"})), &modes).unwrap();
    assert_eq!(scorer.columns(), BTreeSet::from(["kind", "y"]));
    let json = json!({"kind": "json", "fields": [{"path": "a", "column": "b"}]});
    assert_eq!(CompiledScorer::new(&metric(json), &[]).unwrap().columns(), BTreeSet::from(["b"]));
}

fn any_scorer() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({"kind": "exact", "label": "y"}),
        json!({"kind": "normalized", "label": "y"}),
        json!({"kind": "contains", "label": "y"}),
        json!({"kind": "numeric", "label": "y", "tolerance": 0.5}),
        json!({"kind": "regex", "pattern": "^{label}$", "label": "y"}),
        json!({"kind": "set", "label": "y"}),
        json!({"kind": "set", "label": "y", "measure": "jaccard"}),
        json!({"kind": "json", "fields": [{"path": "a", "column": "y"}], "partial": true}),
    ])
}

proptest! {
    #[test]
    fn a_score_is_a_fraction_whatever_the_texts(scorer in any_scorer(), y in "\\PC{0,12}", output in "\\PC{0,16}") {
        let scored = score(scorer, json!({ "y": y }), &output);
        prop_assert!((0.0..=1.0).contains(&scored));
    }

    #[test]
    fn the_truth_itself_scores_one(y in "[a-z0-9;. ]{0,10}[a-z0-9]") {
        for scorer in ["exact", "normalized", "contains", "set"] {
            prop_assert_eq!(score(json!({"kind": scorer, "label": "y"}), json!({ "y": y }), &y), 1.0);
        }
    }

    #[test]
    fn set_measures_are_symmetric(a in "[a-c]?(;[a-e]){0,5}", b in "[a-c]?(;[a-e]){0,5}") {
        for measure in ["f1", "jaccard", "exact"] {
            let scorer = || json!({"kind": "set", "label": "y", "measure": measure});
            prop_assert_eq!(score(scorer(), json!({ "y": a }), &b), score(scorer(), json!({ "y": b }), &a));
        }
    }
}
