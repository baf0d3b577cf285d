//! What the smaller estimators do at their edges.

use itera_stats::StatsError;
use itera_stats::agreement::{Scale, cohen_kappa, krippendorff_alpha};
use itera_stats::cluster::{cr1, jackknife_se};
use itera_stats::gate::{GateSignal, hidden_fold, twins};
use itera_stats::multiplicity::holm;
use itera_stats::paired::{mcnemar_exact, sign_flip};
use itera_stats::power::{VarianceSplit, minimum_detectable_effect, optimal_trials, rows_needed};
use itera_stats::ppi::{ppi_plus_plus, ppi_with};
use itera_stats::proportion::{clopper_pearson, wilson};

/// A stream of uniform numbers, so that the tests need no generator crate.
fn uniforms(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[test]
fn ppi_without_information_is_the_labels_alone() {
    let labels = [1.0, 0.0, 1.0, -1.0, 0.0, 1.0];
    // A judge that always says the same has no variance, hence no weight.
    let found = ppi_plus_plus(&labels, &[0.0; 6], &[0.0; 50]).unwrap();
    assert_eq!(found.lambda, 0.0);
    assert!((found.estimate - 1.0 / 3.0).abs() < 1e-12);
    assert_eq!(found, ppi_with(&labels, &[0.0; 6], &[0.0; 50], 0.0).unwrap());
    assert!(matches!(ppi_plus_plus(&labels, &[0.0; 5], &[0.0; 50]), Err(StatsError::LengthMismatch { .. })));
    assert!(ppi_plus_plus(&labels[..1], &[0.0], &[0.0; 50]).is_err());
    assert!(ppi_with(&labels, &[0.0; 6], &[0.0; 50], 1.5).is_err());
}

#[test]
fn ppi_covers_the_truth_of_a_biased_judge() {
    let mut uniform = uniforms(3);
    let (mut covered, mut narrower, rounds) = (0, 0, 2000);
    for _ in 0..rounds {
        let mut pair = || {
            let truth = f64::from(u8::from(uniform() < 0.3));
            // The judge flips a tenth of the answers and adds a bias of its own.
            let judged = if uniform() < 0.1 { 1.0 - truth } else { truth };
            (truth, judged + 0.1)
        };
        let labelled: Vec<(f64, f64)> = (0..60).map(|_| pair()).collect();
        let unlabelled: Vec<f64> = (0..400).map(|_| pair().1).collect();
        let (h, j): (Vec<f64>, Vec<f64>) = labelled.into_iter().unzip();
        let found = ppi_plus_plus(&h, &j, &unlabelled).unwrap();
        let (low, high) = found.interval(0.95).unwrap();
        covered += u32::from(low <= 0.3 && 0.3 <= high);
        narrower += u32::from(found.se < ppi_with(&h, &j, &unlabelled, 0.0).unwrap().se);
    }
    assert!((1850..=1950).contains(&covered), "{covered} of {rounds}");
    assert!(narrower > 1900, "{narrower}");
}

#[test]
fn kappa_and_alpha_say_where_they_are_undefined() {
    assert!(matches!(cohen_kappa(&[vec![10, 0], vec![0, 0]]), Err(StatsError::Undefined { .. })));
    assert!(cohen_kappa(&[vec![1, 2]]).is_err());
    assert!(cohen_kappa(&[]).is_err());
    assert_eq!(cohen_kappa(&[vec![10, 0], vec![0, 10]]).unwrap().coefficient, 1.0);
    let same = vec![vec![1.0, 1.0]; 5];
    assert!(matches!(krippendorff_alpha(&same, Scale::Nominal), Err(StatsError::Undefined { .. })));
    assert!(matches!(krippendorff_alpha(&[vec![1.0]], Scale::Nominal), Err(StatsError::TooFew { .. })));
}

#[test]
fn alpha_is_close_to_kappa_for_two_raters_and_its_interval_covers() {
    // Two raters of the same habits: alpha and kappa estimate the same agreement.
    let mut uniform = uniforms(11);
    let mut covered = 0;
    // Truth: shared category with 0.4, error of 10% each way: kappa = 1 - 0.18 / (2 p (1 - p)), p = 0.4 * 0.9 + 0.6 * 0.1.
    let p: f64 = 0.4 * 0.9 + 0.6 * 0.1;
    let truth = 1.0 - 0.18 / (2.0 * p * (1.0 - p));
    for _ in 0..500 {
        let mut table = vec![vec![0; 2]; 2];
        let mut units = Vec::new();
        for _ in 0..150 {
            let category = usize::from(uniform() < 0.4);
            let mut rate = || if uniform() < 0.1 { 1 - category } else { category };
            let (a, b) = (rate(), rate());
            table[a][b] += 1;
            units.push(vec![a as f64, b as f64]);
        }
        let (kappa, alpha) = (cohen_kappa(&table).unwrap(), krippendorff_alpha(&units, Scale::Nominal).unwrap());
        assert!((kappa.coefficient - alpha.coefficient).abs() < 0.02);
        assert!((kappa.se / alpha.se - 1.0).abs() < 0.15);
        let (low, high) = alpha.interval(0.95).unwrap();
        covered += u32::from(low <= truth && truth <= high);
    }
    assert!(covered > 455, "{covered} of 500");
}

#[test]
fn random_sign_flips_agree_with_the_exact_ones() {
    let d: Vec<f64> = (0..20).map(|i| f64::from(i % 5) / 4.0 - 0.35).collect();
    let exact = sign_flip(&d, 0, 0).unwrap();
    // One more difference forces the random form; a tiny one hardly changes the answer.
    let mut more = d.clone();
    more.push(1e-6);
    let random = sign_flip(&more, 200_000, 5).unwrap();
    assert!((exact.greater - random.greater).abs() < 0.005, "{} {}", exact.greater, random.greater);
    assert_eq!(random, sign_flip(&more, 200_000, 5).unwrap());
    assert_eq!(sign_flip(&[0.0; 5], 0, 0).unwrap().greater, 1.0);
    assert!(sign_flip(&[], 10, 0).is_err() && sign_flip(&[f64::NAN], 10, 0).is_err());
    // On wins and losses of one size it is the exact McNemar test.
    let signs: Vec<f64> = [vec![1.0; 10], vec![-1.0; 3]].concat();
    assert!((sign_flip(&signs, 0, 0).unwrap().greater - mcnemar_exact(10, 3).greater).abs() < 1e-12);
}

#[test]
fn the_gate_reads_a_shortfall_and_not_a_surplus() {
    let gains = |n: usize, rate: usize| -> Vec<f64> { (0..n).map(|i| f64::from(u8::from(i % 10 < rate))).collect() };
    assert_eq!(hidden_fold(&gains(140, 4), &gains(60, 0)).unwrap().signal, GateSignal::Flagged);
    assert_eq!(hidden_fold(&gains(140, 1), &gains(60, 4)).unwrap().signal, GateSignal::Clear);
    assert_eq!(hidden_fold(&gains(140, 4), &gains(60, 3)).unwrap().signal, GateSignal::Clear);
    assert_eq!(twins(&gains(140, 3), &gains(140, 0)).unwrap().signal, GateSignal::Flagged);
    assert_eq!(twins(&gains(140, 3), &gains(140, 3)).unwrap().signal, GateSignal::Clear);
    assert!(hidden_fold(&[1.0], &[0.0, 1.0]).is_err() && twins(&[1.0, 0.0], &[1.0]).is_err());
}

#[test]
fn variance_is_split_between_rows_and_trials() {
    // Rows differ by ±0.2 around 0.1, trials add 0.01 to every row's variance.
    let d: Vec<f64> = (0..200).map(|i| 0.1 + if i % 2 == 0 { 0.2 } else { -0.2 }).collect();
    let split = VarianceSplit::estimate(&d, &vec![0.01; 200]).unwrap();
    assert!((split.between - (0.04 * 200.0 / 199.0 - 0.01)).abs() < 1e-12 && !split.favours_trials());
    assert!(VarianceSplit::estimate(&d, &vec![0.03; 200]).unwrap().favours_trials());
    assert_eq!(VarianceSplit::estimate(&d, &vec![0.5; 200]).unwrap().between, 0.0);
    // Rows cost nine times a trial and noise is a third above the rows' variance: 3.5 trials.
    assert_eq!(optimal_trials(4.0, 3.0, 9.0, 1.0).unwrap(), 3);
    assert!(optimal_trials(1.0, 0.0, 1.0, 1.0).is_err());
}

#[test]
fn sizes_and_effects_are_two_sides_of_one_formula() {
    let n = rows_needed(0.1, 0.05, 0.12, 0.05, 0.8).unwrap();
    let mde = minimum_detectable_effect((0.12 / n as f64).sqrt(), 0.05, 0.8).unwrap();
    assert!((mde - 0.05).abs() < 2e-4, "{mde}");
    assert!(rows_needed(0.05, 0.05, 0.1, 0.05, 0.8).is_err());
    assert!(rows_needed(0.1, 0.0, f64::NAN, 0.05, 0.8).is_err());
    assert!(minimum_detectable_effect(-1.0, 0.05, 0.8).is_err());
}

#[test]
fn inputs_out_of_range_are_errors() {
    assert!(wilson(3, 2, 0.95).is_err() && wilson(0, 0, 0.95).is_err() && wilson(1, 2, 1.0).is_err());
    assert!(clopper_pearson(3, 2, 0.95).is_err());
    assert!(holm(&[0.1, 1.2]).is_err() && holm(&[f64::NAN]).is_err());
    assert_eq!(holm(&[]).unwrap(), Vec::<f64>::new());
    assert!(cr1(&[1.0, 2.0], &[0, 0]).is_err() && jackknife_se(&[1.0, 2.0], &[0]).is_err());
}

#[test]
fn cluster_errors_agree_for_equal_clusters_only() {
    let d = [0.5, 0.0, 1.0, 0.5, 0.0, 0.0, 1.0, 0.5];
    let equal = [0, 0, 1, 1, 2, 2, 3, 3];
    assert!((cr1(&d, &equal).unwrap() - jackknife_se(&d, &equal).unwrap()).abs() < 1e-12);
    let unequal = [0, 1, 1, 1, 2, 2, 3, 3];
    let (a, b) = (cr1(&d, &unequal).unwrap(), jackknife_se(&d, &unequal).unwrap());
    assert!((a / b - 1.0).abs() < 0.3 && (a - b).abs() > 1e-6);
    // The labels' order does not matter.
    let shuffled = [3, 3, 2, 2, 1, 1, 0, 0];
    assert!((cr1(&d, &equal).unwrap() - cr1(&d, &shuffled).unwrap()).abs() < 1e-12);
}
