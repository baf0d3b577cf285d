//! The estimators against values from the literature (`golden/published.json`) and from scipy, statsmodels and
//! krippendorff (`golden/computed.json`, written by `golden/generate.py`).

use itera_stats::agreement::{Scale, cohen_kappa, krippendorff_alpha};
use itera_stats::cluster::{cr1, jackknife_se};
use itera_stats::distribution::{bivariate_normal_cdf, normal_cdf, student_quantile, student_upper_tail};
use itera_stats::multiplicity::holm;
use itera_stats::paired::{mcnemar_exact, sign_flip, t_test};
use itera_stats::power::{rows_for_silent_floor, rows_needed};
use itera_stats::ppi::ppi_plus_plus;
use itera_stats::proportion::{PairedCounts, clopper_pearson, newcombe10, wald_paired, wilson};
use itera_stats::{EsTango, ScoreTable};
use serde_json::Value;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap_or_else(|| panic!("{value} is not a list")).iter().map(number).collect()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a count"))
}

/// Every `(expected, computed)` pair of one case.
fn compute(method: &str, inputs: &Value, expected: &Value) -> Vec<(String, f64, f64)> {
    let mut pairs = Vec::new();
    let mut hold = |key: &str, got: f64| {
        if !expected[key].is_null() {
            pairs.push((key.to_owned(), number(&expected[key]), got));
        }
    };
    let mut intervals: Vec<(&str, (f64, f64))> = Vec::new();
    let counts = || {
        let cells: Vec<u64> = inputs["cells"].as_array().unwrap().iter().map(count).collect();
        PairedCounts { both: cells[0], candidate_only: cells[1], baseline_only: cells[2], neither: cells[3] }
    };
    match method.split(':').next().unwrap() {
        "tango" => {
            let table = ScoreTable::from_counts(count(&inputs["n"]), count(&inputs["b"]), count(&inputs["c"])).unwrap();
            if !inputs["delta"].is_null() {
                let statistic = table.statistic(number(&inputs["delta"]));
                hold("statistic", statistic);
                hold("p", normal_cdf(-statistic));
            }
            let level = inputs["level"].as_f64().unwrap_or(0.95);
            intervals.push(("ci", table.interval(level).unwrap()));
            intervals.push(("ci95", table.interval(0.95).unwrap()));
        }
        "es_tango" => {
            let d = numbers(&inputs["d"]);
            let index = |key: &str| -> Option<Vec<u32>> {
                inputs[key].as_array().map(|list| list.iter().map(|v| count(v) as u32).collect())
            };
            let strata = index("strata").unwrap_or_else(|| vec![0; d.len()]);
            let shares = if inputs["shares"].is_null() { vec![1.0] } else { numbers(&inputs["shares"]) };
            let es = EsTango::from_rows(&d, &strata, &shares, index("clusters").as_deref()).unwrap();
            hold("estimate", es.estimate);
            hold("lower", es.lower_bound(0.05).unwrap());
            hold("upper", es.upper_bound(0.05).unwrap());
            hold("n_star", es.n_star());
            hold("nu", es.nu);
            intervals.push(("ci", es.interval(0.95).unwrap()));
            intervals.push(("ci95", es.interval(0.95).unwrap()));
            if let Some(p_above) = expected.get("p_above") {
                pairs.push(("p_above".to_owned(), number(&p_above["p"]), es.p_above(number(&p_above["margin"]))));
            }
        }
        "silent" => {
            let es = EsTango::from_differences(&vec![0.0; count(&inputs["n"]) as usize]).unwrap();
            hold("lower", es.lower_bound(0.05).unwrap());
            assert!((es.p_above(es.lower_bound(0.05).unwrap()) - 0.05).abs() < 1e-12);
        }
        "newcombe10" => intervals.push(("ci95", newcombe10(counts(), 0.95).unwrap())),
        "wald" => intervals.push(("ci95", wald_paired(counts(), number(&inputs["pseudo"]), 0.95).unwrap())),
        "wilson" => intervals.push(("ci95", wilson(count(&inputs["x"]), count(&inputs["n"]), 0.95).unwrap())),
        "clopper_pearson" => {
            intervals.push(("ci95", clopper_pearson(count(&inputs["x"]), count(&inputs["n"]), 0.95).unwrap()));
        }
        "mcnemar_exact" => {
            let p = mcnemar_exact(count(&inputs["b"]), count(&inputs["c"]));
            hold("greater", p.greater);
            hold("two_sided", p.two_sided);
        }
        "sign_flip" => {
            let p = sign_flip(&numbers(&inputs["d"]), 0, 0).unwrap();
            hold("greater", p.greater);
            hold("two_sided", p.two_sided);
        }
        "t_test" => {
            let t = t_test(&numbers(&inputs["d"])).unwrap();
            hold("mean", t.mean);
            hold("sd", t.sd);
            hold("t", t.t);
            hold("p", t.p_greater);
            intervals.push(("ci95", t.ci95));
        }
        "cluster" => {
            let clusters: Vec<u32> = numbers(&inputs["clusters"]).iter().map(|c| *c as u32).collect();
            let d = numbers(&inputs["d"]);
            hold("cr1", cr1(&d, &clusters).unwrap());
            hold("jackknife", jackknife_se(&d, &clusters).unwrap());
            hold("t_crit", student_quantile(0.95, 9.0));
        }
        "holm" => {
            let adjusted = holm(&numbers(&inputs["p"])).unwrap();
            for (i, (want, got)) in numbers(&expected["adjusted"]).into_iter().zip(adjusted).enumerate() {
                pairs.push((format!("adjusted {i}"), want, got));
            }
        }
        "rows_needed" => {
            let get = |key: &str| number(&inputs[key]);
            let n = rows_needed(get("delta"), get("margin"), get("variance"), get("alpha"), get("power")).unwrap();
            hold("n", n as f64);
        }
        "cohen_kappa" => {
            let table: Vec<Vec<u64>> = inputs["table"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row.as_array().unwrap().iter().map(count).collect())
                .collect();
            let kappa = cohen_kappa(&table).unwrap();
            hold("kappa", kappa.coefficient);
            hold("se", kappa.se);
            intervals.push(("ci95", kappa.interval(0.95).unwrap()));
        }
        "krippendorff_alpha" => {
            let units: Vec<Vec<f64>> = inputs["units"].as_array().unwrap().iter().map(numbers).collect();
            let scale = match inputs["scale"].as_str().unwrap() {
                "nominal" => Scale::Nominal,
                "ordinal" => Scale::Ordinal,
                _ => Scale::Interval,
            };
            hold("alpha", krippendorff_alpha(&units, scale).unwrap().coefficient);
        }
        "ppi" => {
            let found = ppi_plus_plus(&numbers(&inputs["h"]), &numbers(&inputs["j"]), &numbers(&inputs["u"])).unwrap();
            hold("lam", found.lambda);
            hold("estimate", found.estimate);
            hold("se", found.se);
        }
        "student_quantile" => hold("t", student_quantile(number(&inputs["p"]), number(&inputs["nu"]))),
        "student_upper_tail" => hold("p", student_upper_tail(number(&inputs["t"]), number(&inputs["nu"]))),
        "bivariate_normal_cdf" => {
            let get = |key: &str| number(&inputs[key]);
            hold("p", bivariate_normal_cdf(get("h"), get("k"), get("rho")));
        }
        "exact_power" => hold("power", exact_power(inputs)),
        other => panic!("no estimator is bound to `{other}`"),
    }
    for (key, (low, high)) in intervals {
        if let Some(want) = expected.get(key) {
            let want = numbers(want);
            pairs.push((format!("{key} low"), want[0], low));
            pairs.push((format!("{key} high"), want[1], high));
        }
    }
    assert!(!pairs.is_empty(), "nothing of {method} was compared");
    pairs
}

/// Power of the statistic on a binary one-trial table by enumerating the trinomial.
fn exact_power(inputs: &Value) -> f64 {
    let get = |key: &str| number(&inputs[key]);
    let (n, psi, delta, margin) = (count(&inputs["n"]), get("psi"), get("delta"), get("margin"));
    let critical = student_quantile(1.0 - get("alpha"), n as f64 - 1.0);
    let ln_gamma = |x: u64| (1..x).map(|k| (k as f64).ln()).sum::<f64>();
    let factorials: Vec<f64> = {
        let mut total = 0.0;
        (0..=n)
            .map(|k| {
                total += if k == 0 { 0.0 } else { (k as f64).ln() };
                total
            })
            .collect()
    };
    assert!((ln_gamma(6) - factorials[5]).abs() < 1e-12);
    let (win, lose) = ((psi + delta) / 2.0, (psi - delta) / 2.0);
    let mut power = 0.0;
    for b in 0..=n {
        for c in 0..=(n - b) {
            let ln = factorials[n as usize]
                - factorials[b as usize]
                - factorials[c as usize]
                - factorials[(n - b - c) as usize]
                + b as f64 * win.ln()
                + c as f64 * lose.ln()
                + (n - b - c) as f64 * (1.0 - psi).ln();
            if ln > -35.0 && ScoreTable::from_counts(n, b, c).unwrap().statistic(margin) > critical {
                power += ln.exp();
            }
        }
    }
    power
}

fn check(file: &str, text: &str) {
    let golden: Value = serde_json::from_str(text).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() > 20, "{file} is not the file it was");
    let mut wrong = Vec::new();
    for case in cases {
        let method = case["method"].as_str().unwrap();
        let tolerance = number(&case["tolerance"]);
        for (key, want, got) in compute(method, &case["inputs"], &case["expected"]) {
            if got.is_nan() || (want - got).abs() > tolerance {
                wrong.push(format!("{file}: {method} {key}: expected {want}, got {got}; {}", case["inputs"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn published_values() {
    check("published.json", include_str!("golden/published.json"));
}

#[test]
fn computed_values() {
    check("computed.json", include_str!("golden/computed.json"));
}

#[test]
fn a_silent_two_point_floor_takes_149_rows() {
    assert_eq!(rows_for_silent_floor(-0.02, 0.05).unwrap(), 149);
    let proven = |n: usize| EsTango::from_differences(&vec![0.0; n]).unwrap().p_above(-0.02) <= 0.05;
    assert!(proven(149) && !proven(148));
}

#[test]
fn dunnett_by_bivariate_normal() {
    // Two comparisons with correlation one half: P(max <= 1.916) = 95% (Dunnett 1955, one-sided table).
    assert!((bivariate_normal_cdf(1.916, 1.916, 0.5) - 0.95).abs() < 3e-4);
}
