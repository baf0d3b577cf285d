//! Drawing samples from files, as the binary does.

use itera_core::frame::{Severity, SourceSpec, SplitPlan};
use itera_core::ids::{RowId, Split};
use itera_core::sample::{CellCount, Sample, SplitCounts};
use itera_data::{DataError, draw};
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::fs;

struct Case {
    content: String,
    spec: SourceSpec,
    truth: Vec<&'static str>,
    severity: Option<Severity>,
    split: SplitPlan,
    seed: u64,
}

/// Rows of a file `rows.csv` with the columns `id`, `text` and `label`.
fn case(content: impl Into<String>) -> Case {
    Case {
        content: content.into(),
        spec: spec(json!({})),
        truth: vec!["label"],
        severity: None,
        split: SplitPlan::default(),
        seed: 7,
    }
}

fn spec(more: serde_json::Value) -> SourceSpec {
    let mut all = json!({
        "path": "rows.csv",
        "provenance": {"origin": "production", "statement": "logged"},
        "key": "id",
    });
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

fn row_id(key: &str) -> RowId {
    RowId(format!("r_{}", &blake3::hash(key.as_bytes()).to_hex()[..16]))
}

impl Case {
    fn with(mut self, more: serde_json::Value) -> Self {
        self.spec = spec(more);
        self
    }

    fn draw(&self) -> Result<Sample, DataError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(&self.spec.path), &self.content).unwrap();
        draw(folder.path(), &self.spec, &self.truth, self.severity.as_ref(), &self.split, self.seed, &row_id)
    }

    fn error(&self) -> DataError {
        let error = self.draw().unwrap_err();
        assert!(!error.remedy().is_empty());
        error
    }
}

/// `rows` rows with a tier (a third is `smb`), a customer, a region and an amount.
fn table(rows: usize) -> String {
    let mut text = "id,text,label,tier,customer,region,amount\n".to_owned();
    for n in 0..rows {
        let tier = if n % 3 == 0 { "smb" } else { "enterprise" };
        writeln!(text, "k{n},text of {n},{},{tier},c{},r{},{}", n % 2, n % 97, n % 5, n + 1).unwrap();
    }
    text
}

fn keys(sample: &Sample) -> BTreeSet<&str> {
    sample.rows.iter().map(|row| row.key.as_str()).collect()
}

fn splits(sample: &Sample) -> BTreeMap<&str, Split> {
    sample.rows.iter().map(|row| (row.key.as_str(), row.meta.split)).collect()
}

fn cell<'a>(sample: &'a Sample, column: &str, value: &str) -> &'a CellCount {
    sample.summary.distribution.iter().find(|c| c.column == column && c.value == value).unwrap()
}

#[test]
fn all_rows_are_drawn_and_split_by_slices() {
    let sample = case(table(300)).with(json!({"slices": ["tier"], "strata": ["region", "tier"]})).draw().unwrap();
    let summary = &sample.summary;
    assert_eq!((summary.source_rows, summary.sampled), (300, 300));
    assert_eq!(summary.splits, SplitCounts { train: 90, dev: 150, test: 60 });
    assert_eq!(cell(&sample, "tier", "smb").splits, SplitCounts { train: 30, dev: 50, test: 20 });
    assert_eq!(cell(&sample, "tier", "smb").production_share, 100.0 / 300.0);
    assert!(cell(&sample, "tier", "smb").is_slice && !cell(&sample, "region", "r0").is_slice);
    assert_eq!(summary.distribution.len(), 2 + 5);
    let row = sample.rows.iter().find(|row| row.key == "k3").unwrap();
    assert_eq!((row.meta.slices.as_slice(), row.meta.stratum.as_str()), (["smb".to_owned()].as_slice(), "smb | r3"));
    assert_eq!((&row.meta.row, &row.meta.cluster, row.meta.severity), (&row_id("k3"), &None, 1.0));
    assert_eq!(row.fields["amount"], "4");
    assert_eq!((summary.linked_groups, summary.duplicate_rows, summary.entities), (0, 0, None));
    assert_eq!(summary.source_digest, itera_core::ids::Digest::of(table(300).as_bytes()));
}

#[test]
fn without_a_key_the_position_is_the_key() {
    let mut case = case("text,label\na,1\nb,2\nc,1\nd,2\n");
    case.spec.key = None;
    assert_eq!(keys(&case.draw().unwrap()), BTreeSet::from(["1", "2", "3", "4"]));
}

#[test]
fn every_format_gives_the_same_sample() {
    let csv = case("id,text,label\na,x,1\nb,y,2\nc,z,1\nd,w,2\ne,v,1\n");
    let objects = ["a,x,1", "b,y,2", "c,z,1", "d,w,2", "e,v,1"].map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        json!({"id": cells[0], "text": cells[1], "label": cells[2]}).to_string()
    });
    let expected = csv.draw().unwrap().rows;
    for (path, content) in [
        ("rows.tsv", csv.content.replace(',', "\t")),
        ("rows.ndjson", objects.join("\n")),
        ("rows.json", format!("[{}]", objects.join(",\n"))),
    ] {
        assert_eq!(case(content).with(json!({"path": path})).draw().unwrap().rows, expected, "{path}");
    }
}

#[test]
fn max_rows_are_allotted_to_strata_in_proportion() {
    let sample = case(table(900)).with(json!({"slices": ["tier"], "max_rows": 90})).draw().unwrap();
    assert_eq!((sample.summary.sampled, sample.summary.dropped_max_rows), (90, 810));
    assert_eq!((cell(&sample, "tier", "smb").sampled, cell(&sample, "tier", "enterprise").sampled), (30, 60));
}

#[test]
fn a_smaller_sample_is_part_of_a_larger_one() {
    let drawn = |rows: u64| case(table(500)).with(json!({"max_rows": rows})).draw().unwrap();
    let (small, large) = (drawn(50), drawn(100));
    assert!(keys(&small).is_subset(&keys(&large)));
    let mut other = case(table(500)).with(json!({"max_rows": 50}));
    other.seed = 8;
    assert_ne!(keys(&small), keys(&other.draw().unwrap()));
}

#[test]
fn entities_are_capped_before_the_sample_is_drawn() {
    let mut content = "id,text,label,who\n".to_owned();
    for n in 0..400 {
        writeln!(content, "k{n},text {n},1,{}", if n < 200 { "big".to_owned() } else { format!("e{}", n % 100) })
            .unwrap();
    }
    let sample = case(content).with(json!({"entity": "who"})).draw().unwrap();
    let summary = &sample.summary;
    assert_eq!((summary.sampled, summary.dropped_entity_cap), (203, 197));
    assert_eq!(summary.entities, Some(101));
    assert_eq!(summary.dominant_entity_share, Some(3.0 / 203.0));
}

#[test]
fn rows_without_a_registered_cell_are_left_out_and_counted() {
    let content = "id,text,label,tier\na,x,1,smb\nb,y,,smb\nc,z,2, \nd,w,,\ne,v,1,smb\nf,u,1,smb\n,t,1,smb\n";
    let sample = case(content).with(json!({"slices": ["tier"]})).draw().unwrap();
    let expected = BTreeMap::from([("id".to_owned(), 1), ("label".to_owned(), 2), ("tier".to_owned(), 1)]);
    assert_eq!(sample.summary.dropped_empty, expected);
    assert_eq!((sample.summary.source_rows, sample.summary.sampled), (7, 3));
    assert_eq!(cell(&sample, "tier", "smb").production_share, 1.0);
}

#[test]
fn equal_inputs_stay_together_and_conflicts_are_counted() {
    let mut content = table(60);
    for n in 0..20 {
        writeln!(content, "d{n},  TEXT  of {},{},smb,c1,r1,5", n % 10, if n < 10 { n % 2 } else { 9 }).unwrap();
    }
    let sample = case(content).with(json!({"inputs": ["text"]})).draw().unwrap();
    let summary = &sample.summary;
    assert_eq!((summary.linked_groups, summary.duplicate_rows, summary.conflicting_labels), (10, 30, 10));
    let splits = splits(&sample);
    for n in 0..10 {
        assert_eq!(splits[format!("k{n}").as_str()], splits[format!("d{n}").as_str()]);
        assert_eq!(splits[format!("k{n}").as_str()], splits[format!("d{}", n + 10).as_str()]);
    }
    assert!(sample.rows.iter().all(|row| row.meta.cluster.is_none()));
}

#[test]
fn without_registered_inputs_key_label_and_hidden_columns_do_not_tell_rows_apart() {
    let content = "id,text,label,note\n1,a,x,n1\n2,A,y,n2\n3,b,x,n3\n4,c,x,n4\n5,d,x,n5\n";
    let mut case = case(content).with(json!({"hidden": ["note"]}));
    case.truth = vec!["label", "note"];
    let sample = case.draw().unwrap();
    assert_eq!((sample.summary.duplicate_rows, sample.summary.conflicting_labels), (2, 1));
    // An empty hidden cell leaves no row out.
    let blank = case.content.replace("n1", "");
    assert_eq!(Case { content: blank, ..case }.draw().unwrap().summary.sampled, 5);
}

#[test]
fn clusters_stay_together_under_opaque_names() {
    let sample = case(table(300)).with(json!({"cluster": "customer", "slices": ["tier"]})).draw().unwrap();
    let mut of_cluster: HashMap<&str, BTreeSet<Split>> = HashMap::new();
    for row in &sample.rows {
        let cluster = row.meta.cluster.as_deref().unwrap();
        assert!(cluster.starts_with("c_") && cluster.len() == 18);
        of_cluster.entry(cluster).or_default().insert(row.meta.split);
    }
    assert_eq!(of_cluster.len(), 97);
    assert!(of_cluster.values().all(|splits| splits.len() == 1));
    assert_eq!(sample.summary.linked_groups, 97);
    assert_eq!(sample.summary.duplicate_rows, 0);
}

#[test]
fn stakes_are_absolute_capped_and_summed_up() {
    let mut case = case("id,text,label,amount\na,x,1,-5\nb,y,1,2.5\nc,z,1,1000\nd,w,1,10\n");
    case.severity = Some(Severity { column: "amount".into(), cap: 100.0 });
    let sample = case.draw().unwrap();
    let stakes: BTreeMap<_, _> = sample.rows.iter().map(|row| (row.key.as_str(), row.meta.severity)).collect();
    assert_eq!(stakes, BTreeMap::from([("a", 5.0), ("b", 2.5), ("c", 100.0), ("d", 10.0)]));
    let spread = sample.summary.severity.unwrap();
    assert_eq!((spread.min, spread.median, spread.max, spread.capped), (2.5, 7.5, 100.0, 1));
}

#[test]
fn the_spread_of_measures_is_given_and_that_of_names_is_not() {
    let mut content = "id,text,label,amount,row_no,seq,code\n".to_owned();
    for n in 0..100 {
        let amount = if n == 0 { 0 } else { 1 << (n % 14) };
        writeln!(content, "{},text {n},{},{amount},{},{n},{}", n * 1000, n % 7, n * n, n * n * 31).unwrap();
    }
    let sample = case(content).with(json!({"strata": ["code"]})).draw().unwrap();
    assert_eq!(sample.summary.numeric_spread.keys().collect::<Vec<_>>(), ["amount"]);
    assert!(sample.summary.numeric_spread["amount"] > 1000.0);
}

#[test]
fn a_registered_mix_stands_for_production() {
    let mix = json!({"tier": {"smb": 0.8, "enterprise": 0.15, "public": 0.05}});
    let sample = case(table(90)).with(json!({"slices": ["tier"], "production_mix": mix})).draw().unwrap();
    assert_eq!(cell(&sample, "tier", "smb").production_share, 0.8);
    assert_eq!(cell(&sample, "tier", "public").sampled, 0);
}

#[test]
fn what_is_wrong_is_named_by_line_and_column() {
    use DataError as E;
    let tiny = "id,text,label\na,x,1\nb,y,2\nc,z,1\n";
    assert!(matches!(case("").error(), E::Empty { .. }));
    assert!(matches!(case("id,text,label\n").error(), E::Empty { .. }));
    let missing = case(tiny.replace("label", "lable")).error();
    assert_eq!(missing.to_string(), "the source has no column `label`; did you mean `lable`?");
    let missing = case("{\"id\":1,\"label\":2}\n").with(json!({"path": "rows.jsonl", "inputs": ["text"]})).error();
    assert!(matches!(missing, E::MissingColumn { nearest: None, .. }), "{missing}");
    assert!(matches!(case(format!("{tiny}d,x\n")).error(), E::FieldCount { line: 5, expected: 3, found: 2 }));
    let repeated = case(format!("{tiny}a,v,1\nd,u,1\nb,t,1\n")).error();
    assert!(matches!(repeated, E::DuplicateKey { duplicates: 2, line: 5, .. }), "{repeated}");
    let empty = case("id,text,label\na,x,\nb,y,\n").error();
    assert!(matches!(empty, E::AllEmpty { rows: 2, .. }), "{empty}");
    let empty = case("id,text,label\na,x,\n,y,1\n").error();
    assert_eq!(empty.to_string(), "no row is left of 2: 1 with `id` empty, 1 with `label` empty");
    assert!(matches!(case("id,text,label\na,x,1\nb,y,2\n").error(), E::TooFewRows { rows: 2, .. }));
    let mut stakes = case(tiny.replace("c,z", "c,$5"));
    stakes.severity = Some(Severity { column: "text".into(), cap: 1.0 });
    let error = stakes.error();
    assert!(matches!(error, E::SeverityNotNumeric { line: 2, .. }));
    assert!(!error.to_string().contains('x'.to_string().repeat(2).as_str()));
    assert!(matches!(case(tiny).with(json!({"path": "rows.xls"})).error(), E::UnknownFormat { .. }));
    let many: String = (0..1100).fold("id,text,label\n".into(), |text, n| format!("{text}k{n},v{n},1\n"));
    let many = case(many).with(json!({"strata": ["text"]})).error();
    assert!(matches!(many, E::TooManyValues { limit: 1000, .. }));

    let folder = tempfile::tempdir().unwrap();
    let draw_at = |path: &str| {
        draw(folder.path(), &spec(json!({ "path": path })), &["label"], None, &SplitPlan::default(), 1, &row_id)
    };
    assert!(matches!(draw_at("absent.csv"), Err(E::NotFound { .. })));
    assert!(matches!(draw_at("../absent.csv"), Err(E::Outside { .. })));
}

#[test]
fn a_key_that_repeats_is_found_under_a_cap_and_a_limit() {
    let mut content = table(50);
    content.push_str("k7,other,1,smb,c7,r1,3\n");
    for more in [json!({}), json!({"entity": "customer"}), json!({"entity": "customer", "entity_cap": 1})] {
        let error = case(content.as_str()).with(more).error();
        assert!(matches!(error, DataError::DuplicateKey { line: 52, .. }), "{error}");
    }
}

/// Rows as `(cluster, text, tier, region)`, each a small number so that values repeat.
fn rows() -> impl Strategy<Value = Vec<(u8, u16, u8, u8)>> {
    prop::collection::vec((0..40_u8, 0..2_000_u16, 0..3_u8, 0..3_u8), 60..200)
}

fn lines(rows: &[(u8, u16, u8, u8)]) -> Vec<String> {
    let line = |(n, (cluster, text, tier, region)): (usize, &(u8, u16, u8, u8))| {
        format!("k{n},words {text},{},t{tier},r{region},c{cluster}\n", n % 2)
    };
    rows.iter().enumerate().map(line).collect()
}

const HEADER: &str = "id,text,label,tier,region,customer\n";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_group_straddles_and_every_row_is_in_one_split(rows in rows(), clustered: bool) {
        let mut more = json!({"slices": ["tier"], "strata": ["region"], "inputs": ["text"]});
        if clustered {
            more["cluster"] = json!("customer");
        }
        let sample = case(format!("{HEADER}{}", lines(&rows).concat())).with(more).draw().unwrap();
        let splits = splits(&sample);
        prop_assert_eq!(splits.len(), rows.len());
        prop_assert_eq!(sample.rows.len(), rows.len());
        let SplitCounts { train, dev, test } = sample.summary.splits;
        prop_assert_eq!(train + dev + test, rows.len() as u64);
        prop_assert!(train > 0 && dev > 0 && test > 0);
        for (a, first) in rows.iter().enumerate() {
            for (b, second) in rows.iter().enumerate() {
                if first.1 == second.1 || (clustered && first.0 == second.0) {
                    prop_assert_eq!(splits[format!("k{a}").as_str()], splits[format!("k{b}").as_str()]);
                }
            }
        }
    }

    #[test]
    fn the_order_of_the_file_does_not_matter(
        rows in rows(),
        order in Just((0..200_usize).collect::<Vec<_>>()).prop_shuffle(),
        max_rows in prop::option::of(30_u64..150),
        capped: bool,
    ) {
        let mut more = json!({"slices": ["tier"], "inputs": ["text"], "cluster": "customer"});
        if capped {
            more["entity"] = json!("region");
            more["entity_cap"] = json!(25);
        }
        if let Some(most) = max_rows {
            more["max_rows"] = json!(most);
        }
        let lines = lines(&rows);
        let shuffled: String =
            order.iter().filter_map(|&n| lines.get(n)).map(String::as_str).collect();
        let first = case(format!("{HEADER}{}", lines.concat())).with(more.clone()).draw();
        let second = case(format!("{HEADER}{shuffled}")).with(more).draw();
        match (first, second) {
            (Ok(first), Ok(mut second)) => {
                second.summary.source_digest = first.summary.source_digest.clone();
                prop_assert_eq!(first, second);
            }
            (first, second) => prop_assert_eq!(first.unwrap_err().to_string(), second.unwrap_err().to_string()),
        }
    }

    #[test]
    fn slices_are_split_within_a_row_and_present_everywhere(rows in rows()) {
        let sample = case(format!("{HEADER}{}", lines(&rows).concat()))
            .with(json!({"slices": ["tier"], "inputs": ["id"]}))
            .draw()
            .unwrap();
        for cell in &sample.summary.distribution {
            let SplitCounts { train, dev, test } = cell.splits;
            for (found, share) in [(train, 0.3), (dev, 0.5), (test, 0.2)] {
                let slack = if cell.sampled < 10 { 2.0 } else { 1.0 };
                prop_assert!((found as f64 - share * cell.sampled as f64).abs() <= slack);
                prop_assert!(cell.sampled < 3 || found > 0);
            }
        }
    }
}
