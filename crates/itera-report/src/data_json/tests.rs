//! Reading, checking and the schema.

use super::*;

const CLASSIFIER: &str = include_str!("../../tests/fixtures/classifier.json");
const ORIGINAL: &str = include_str!("../../tests/fixtures/original.json");

fn error(json: &str) -> String {
    parse(json.as_bytes()).expect_err("an error").to_string()
}

#[test]
fn the_smallest_file_is_a_name_and_a_baseline() {
    let data = parse(br#"{"experiment": {"name": "x"}, "arms": [{"id": "a", "name": "A"}]}"#).expect("valid");
    assert_eq!(data.baseline().map(|a| a.id.as_str()), Some("a"));
    assert!(data.candidates().is_empty() && data.threshold().is_none());
}

#[test]
fn errors_name_the_place() {
    assert!(error("{").starts_with("not JSON: "));
    assert!(error(r#"{"experiment": {"name": "x"}}"#).contains("missing field `arms`"));
    assert!(
        error(r#"{"experiment": {"name": "x"}, "arms": [{"id": "a", "name": 3}]}"#)
            .starts_with("arms[0].name: invalid type")
    );
    let newer = CLASSIFIER.replace("\"schema_version\": 1", "\"schema_version\": 99");
    assert_eq!(error(&newer), "schema_version: 99 is newer than 1, which this version reads");
}

#[test]
fn contradictions_are_all_listed() {
    let mut data = parse(CLASSIFIER.as_bytes()).expect("valid");
    data.arms.swap(0, 1);
    data.test_set_aggregate.insert("nobody".to_owned(), 1.5);
    data.variance_trials.insert("prompt-v1".to_owned(), vec![f64::INFINITY]);
    data.operating_characteristics[0].ship = 0.7;
    let Err(DataError::Invalid { problems }) = data.validate() else { panic!("valid?") };
    let said: Vec<String> = problems.iter().map(Problem::to_string).collect();
    for expected in [
        "arms[0].role: the first arm must be the baseline",
        "arms[1].role: the baseline must be the first arm",
        "test_set_aggregate.nobody: `nobody` is not among `arms`",
        "test_set_aggregate.nobody: 1.5 is out of range, expected from 0 to 1",
        "variance_trials.prompt-v1[0]: inf is not a finite number",
        "effect_sizes.prompt-v2: `prompt-v2` is the baseline (the first arm), which has no effect against itself",
    ] {
        assert!(said.iter().any(|s| s == expected), "{expected} is not in {said:#?}");
    }
    assert!(said.iter().any(|s| s.starts_with("operating_characteristics[0]: the chances sum to")));
}

#[test]
fn intervals_must_hold_their_estimate() {
    let mut data = parse(CLASSIFIER.as_bytes()).expect("valid");
    let effect = &mut data.effect_sizes.get_mut("prompt-v3").expect("a candidate").aggregate;
    effect.ci_high = None;
    assert_eq!(
        data.validate().expect_err("half an interval").to_string(),
        "effect_sizes.prompt-v3.aggregate: only one end of the interval is given"
    );
}

#[test]
fn written_text_is_read_back_and_written_the_same() {
    for json in [CLASSIFIER, ORIGINAL] {
        let data = parse(json.as_bytes()).expect("valid");
        let text = data.to_json();
        assert_eq!(parse(text.as_bytes()).expect("valid").to_json(), text);
    }
}

#[test]
fn the_original_form_implies_outcomes() {
    let data = parse(ORIGINAL.as_bytes()).expect("valid");
    assert_eq!(data.outcome_of("prompt-v2"), Some(Outcome::Ship));
    assert_eq!(data.outcome_of("prompt-v3"), Some(Outcome::Kill));
    assert_eq!(data.outcome_of("prompt-v1"), None);
    assert_eq!((data.threshold(), data.loss_floor()), (Some(0.05), None));
}

#[test]
fn the_schema_covers_the_original_keys_and_requires_little() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let original: serde_json::Value = serde_json::from_str(ORIGINAL).expect("JSON");
    for key in original.as_object().expect("an object").keys() {
        assert!(schema["properties"].get(key).is_some(), "{key} is not in the schema");
    }
    assert_eq!(schema["required"], serde_json::json!(["experiment", "arms"]));
}
