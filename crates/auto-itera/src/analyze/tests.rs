//! The command on small files: what it says and how it refuses.

use std::fmt::Write as _;

use serde_json::Value;

use super::run;

const FRAME: &str = r#"{
    "baseline": {"id": "old", "ref": "v1"}, "arms": ["new"], "slices": ["lang"],
    "ship_rule": {"objective": "superiority", "min_effect_pp": 5, "loss_floor_pp": 2}
}"#;

/// Sixty rows, three trials: `new` wins every third row and loses none.
fn good_scores() -> String {
    let mut text = String::from("row_id,arm,trial,score,lang\n");
    for row in 0..60 {
        for trial in 0..3 {
            let lang = if row % 2 == 0 { "en" } else { "de" };
            let old = u8::from(row % 3 == 0);
            let new = u8::from(row % 3 != 1);
            writeln!(text, "r{row},old,{trial},{old},{lang}\nr{row},new,{trial},{new},{lang}").unwrap();
        }
    }
    text
}

fn analyze(scores: &str, frame: &str, json: bool) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let (scores_at, frame_at) = (dir.path().join("scores.csv"), dir.path().join("frame.json"));
    std::fs::write(&scores_at, scores).unwrap();
    std::fs::write(&frame_at, frame).unwrap();
    let mut out = Vec::new();
    run(&scores_at, &frame_at, json, &mut out).map_err(|error| format!("{error:#}"))?;
    Ok(String::from_utf8(out).unwrap())
}

fn verdict(scores: &str, frame: &str) -> Value {
    serde_json::from_str(&analyze(scores, frame, true).unwrap()).unwrap()
}

#[track_caller]
fn refuses(scores: &str, frame: &str, expected: &[&str]) {
    let error = analyze(scores, frame, true).unwrap_err();
    for words in expected {
        assert!(error.contains(words), "`{words}` is not in: {error}");
    }
}

#[test]
fn a_clear_winner_ships() {
    let found = verdict(&good_scores(), FRAME);
    assert_eq!(found["verdict"], "ship");
    assert_eq!(found["family"]["winner"], "new");
    let arm = &found["arms"]["new"];
    assert_eq!(arm["verdict"], "ship");
    assert!((arm["effect_pp"].as_f64().unwrap() - 100.0 / 3.0).abs() < 1e-9);
    for key in ["ci_low_pp", "ci_high_pp", "lower_bound_pp", "upper_bound_pp", "p_value", "n_star"] {
        assert!(arm[key].is_number() && arm["slices"]["en"][key].is_number(), "{key}");
    }
    assert_eq!(arm["n_rows"], 60);
    assert_eq!(found["disclosures"][0]["kind"], "unsealed");
    let text = analyze(&good_scores(), FRAME, false).unwrap();
    assert!(text.contains("Ship `new`.") && text.contains("lang=en"), "{text}");
}

#[test]
fn the_order_of_lines_is_irrelevant() {
    let text = good_scores();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1..].reverse();
    lines[1..].rotate_left(37);
    assert_eq!(verdict(&text, FRAME), verdict(&lines.join("\n"), FRAME));
}

#[test]
fn many_experiments_give_many_results() {
    let good = good_scores();
    let mut text = String::from("experiment,row_id,arm,trial,score,lang\n");
    for line in good.lines().skip(1) {
        for name in ["one", "two"] {
            writeln!(text, "{name},{line}").unwrap();
        }
    }
    let found = verdict(&text, FRAME);
    assert_eq!(found["experiments"].as_array().unwrap().len(), 2);
    assert_eq!(found["experiments"][1]["experiment"], "two");
    assert_eq!(found["experiments"][0]["arms"], verdict(&good, FRAME)["arms"]);
}

#[test]
fn the_production_mix_is_found_by_its_values() {
    let plain = FRAME.trim_end().trim_end_matches('}');
    let by_value = format!("{plain}, \"production_mix\": {{\"en\": 90, \"de\": 10}}}}");
    let by_column = format!("{plain}, \"production_mix\": {{\"lang\": {{\"en\": 0.9, \"de\": 0.1}}}}}}");
    assert_eq!(verdict(&good_scores(), &by_value), verdict(&good_scores(), &by_column));
    assert!(
        (verdict(&good_scores(), &by_value)["arms"]["new"]["slices"]["en"]["share"].as_f64().unwrap() - 0.9).abs()
            < 1e-12
    );
    let missing = format!("{plain}, \"production_mix\": {{\"en\": 80, \"de\": 10, \"fr\": 10}}}}");
    refuses(&good_scores(), &missing, &["scores.csv", "10.0%", "`fr`"]);
}

#[test]
fn non_inferiority_reads_a_margin() {
    let frame = FRAME.replace("superiority", "non-inferiority").replace("\"min_effect_pp\": 5", "\"margin_pp\": -3");
    let found = verdict(&good_scores(), &frame);
    assert_eq!(found["arms"]["new"]["against_pp"], -3.0);
}

#[test]
fn problems_of_the_scores_name_their_place() {
    let good = good_scores();
    let edit = |line: usize, text: &str| {
        let mut lines: Vec<&str> = good.lines().collect();
        lines[line] = text;
        lines.join("\n")
    };
    refuses(&edit(0, "row,arm,trial,score,lang"), FRAME, &["scores.csv", "`row_id` is missing", "row, arm"]);
    refuses(&edit(0, "row_id,arm,trial,score,language"), FRAME, &["slice column(s) lang"]);
    refuses(&edit(1, "r0,old,0,1.5,en"), FRAME, &["line 2", "1.5", "[0, 1]"]);
    refuses(&edit(1, "r0,old,0,NaN,en"), FRAME, &["line 2", "NaN"]);
    refuses(&edit(1, "r0,old,0,,en"), FRAME, &["line 2", "`score`", "empty"]);
    refuses(&edit(1, "r0,old,first,1,en"), FRAME, &["line 2", "`trial`", "whole number"]);
    refuses(&edit(1, "r0,older,0,1,en"), FRAME, &["line 2", "`older`", "`old`, `new`"]);
    refuses(&edit(1, "r0,old,1,1,en"), FRAME, &["`r0`", "trial 1", "twice"]);
    refuses(&edit(2, "r0,new,0,1,de"), FRAME, &["line 3", "`lang`", "`en` and `de`"]);
    refuses(&edit(1, "r99,old,0,1,en"), FRAME, &["no score", "`r99`", "`new`"]);
    refuses("row_id,arm,trial,score,lang\n", FRAME, &["no scores"]);
    let few: Vec<&str> = good.lines().take(1 + 6 * 11).collect();
    refuses(&few.join("\n"), FRAME, &["at least 12", "got 11"]);
}

#[test]
fn unequal_trials_are_disclosed() {
    let good = good_scores();
    let mut lines: Vec<&str> = good.lines().collect();
    lines.pop();
    let found = verdict(&lines.join("\n"), FRAME);
    assert!(found["disclosures"].as_array().unwrap().iter().any(|d| d["kind"] == "unequal_trials"), "{found}");
}

#[test]
fn problems_of_the_frame_are_refused() {
    let good = good_scores();
    refuses(&good, &FRAME.replace("baseline", "basline"), &["frame.json", "did you mean `baseline`"]);
    refuses(&good, &FRAME.replace("loss_floor_pp", "loss_flor_pp"), &["did you mean `ship_rule.loss_floor_pp`"]);
    refuses(&good, &FRAME.replace("superiority", "best"), &["objective", "non_inferiority"]);
    refuses(&good, &FRAME.replace("\"min_effect_pp\": 5", "\"min_effect_pp\": 500"), &["min_effect", "[0, 1)"]);
    refuses(&good, "{", &["not valid JSON"]);
    refuses(&good, &FRAME.replace("\"new\"", "\"old\""), &["no candidate"]);
}
