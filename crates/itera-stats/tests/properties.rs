//! Laws that the interval obeys for any sample.

use itera_stats::{EsTango, ScoreTable, StatsError};
use proptest::prelude::*;

/// Differences of three-trial rows: multiples of a third.
fn thirds() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(
        (-3i32..=3, 0u8..3).prop_map(|(d, keep)| if keep == 0 { f64::from(d) / 3.0 } else { 0.0 }),
        12..150,
    )
}

fn graded() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-1.0..1.0f64, 12..80)
}

fn sample() -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![thirds(), graded()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Exchanging baseline and candidate mirrors everything.
    #[test]
    fn antisymmetric(d in sample(), m in -0.5..0.5f64) {
        let mirrored: Vec<f64> = d.iter().map(|x| -x).collect();
        let (a, b) = (EsTango::from_differences(&d).unwrap(), EsTango::from_differences(&mirrored).unwrap());
        prop_assert!((a.lower_bound(0.05).unwrap() + b.upper_bound(0.05).unwrap()).abs() < 1e-9);
        prop_assert!((a.p_above(m) - b.p_below(-m)).abs() < 1e-9);
    }

    /// A higher bar is never easier, a smaller alpha never gives a higher bound, and the bounds enclose the estimate.
    #[test]
    fn monotone(d in sample(), m in -0.9..0.9f64, step in 0.0..0.3f64) {
        let es = EsTango::from_differences(&d).unwrap();
        prop_assert!(es.p_above(m) <= es.p_above((m + step).min(1.0)) + 1e-9);
        prop_assert!(es.lower_bound(0.01).unwrap() <= es.lower_bound(0.05).unwrap() + 1e-9);
        prop_assert!(es.lower_bound(0.05).unwrap() <= es.estimate + 1e-9);
        prop_assert!(es.upper_bound(0.05).unwrap() >= es.estimate - 1e-9);
        let (low, high) = es.interval(0.9).unwrap();
        prop_assert!((low - es.lower_bound(0.05).unwrap()).abs() < 1e-9);
        prop_assert!((high - es.upper_bound(0.05).unwrap()).abs() < 1e-9);
    }

    /// The bound and the p-value are two faces of one test.
    #[test]
    fn bound_inverts_test(d in sample()) {
        let es = EsTango::from_differences(&d).unwrap();
        let low = es.lower_bound(0.05).unwrap();
        if low > -1.0 + 1e-6 {
            prop_assert!((es.p_above(low) - 0.05).abs() < 1e-5, "{} at {low}", es.p_above(low));
        }
    }

    /// The order of rows is irrelevant.
    #[test]
    fn permutation_invariant(d in sample(), seed in 0u64..1000) {
        let mut shuffled = d.clone();
        let n = shuffled.len();
        for i in 0..n {
            let j = (seed as usize * 7919 + i * 104_729) % n;
            shuffled.swap(i, j);
        }
        let (a, b) = (EsTango::from_differences(&d).unwrap(), EsTango::from_differences(&shuffled).unwrap());
        prop_assert!((a.lower_bound(0.05).unwrap() - b.lower_bound(0.05).unwrap()).abs() < 1e-9);
    }

    /// Every row twice, as clusters of two, tells no more than every row once.
    #[test]
    fn duplicated_rows_in_clusters_add_nothing(d in thirds()) {
        let n = d.len() as u32;
        let doubled: Vec<f64> = d.iter().chain(&d).copied().collect();
        let clusters: Vec<u32> = (0..n).chain(0..n).collect();
        let once = EsTango::from_differences(&d).unwrap();
        let twice = EsTango::from_clustered(&doubled, &clusters).unwrap();
        prop_assert!((once.estimate - twice.estimate).abs() < 1e-12);
        prop_assert!((once.nu - twice.nu).abs() < 1e-12);
        // The jackknife of the doubled sample is the sample variance over n, to rounding.
        prop_assert!((once.variance - twice.variance).abs() < 1e-12);
        // Taken as independent they pretend to twice the information.
        let pretended = EsTango::from_differences(&doubled).unwrap();
        prop_assert!(pretended.variance <= 0.51 * once.variance + 1e-15);
    }

    /// One trial, binary, unweighted: plain Tango with Student's quantile.
    #[test]
    fn plain_tango_where_phi_is_one(b in 0u64..40, c in 0u64..40, rest in 12u64..200) {
        prop_assume!(b + c > 0);
        let n = b + c + rest;
        let mut d = vec![1.0; b as usize];
        d.extend(vec![-1.0; c as usize]);
        d.extend(vec![0.0; rest as usize]);
        let es = EsTango::from_differences(&d).unwrap();
        prop_assert_eq!(es.phi, 1.0);
        let critical = itera_stats::distribution::student_quantile(0.95, n as f64 - 1.0);
        let plain = ScoreTable::from_counts(n, b, c).unwrap();
        prop_assert!((es.lower_bound(0.05).unwrap() - plain.lower(critical)).abs() < 1e-9);
        prop_assert!((es.upper_bound(0.05).unwrap() - plain.upper(critical)).abs() < 1e-9);
    }

    /// Strata in their sample shares give the plain mean; shares need not be normalised.
    #[test]
    fn shares_are_normalised(d in sample(), scale in 0.1..50.0f64) {
        let strata: Vec<u32> = (0..d.len() as u32).map(|i| i % 3).collect();
        let shares = [0.5, 0.3, 0.2];
        let scaled = shares.map(|s| s * scale);
        let (a, b) = (
            EsTango::from_rows(&d, &strata, &shares, None).unwrap(),
            EsTango::from_rows(&d, &strata, &scaled, None).unwrap(),
        );
        prop_assert!((a.estimate - b.estimate).abs() < 1e-12);
        prop_assert!((a.variance - b.variance).abs() < 1e-12);
    }

    /// Nothing is ever NaN, and bounds stay in range.
    #[test]
    fn finite(d in sample(), m in -1.0..1.0f64) {
        let es = EsTango::from_differences(&d).unwrap();
        for x in [es.p_above(m), es.p_below(m)] {
            prop_assert!((0.0..=1.0).contains(&x), "p {x}");
        }
        for x in [es.lower_bound(0.05).unwrap(), es.upper_bound(0.05).unwrap()] {
            prop_assert!((-1.0..=1.0).contains(&x), "bound {x}");
        }
    }
}

#[test]
fn under_twelve_rows_is_an_error() {
    let error = EsTango::from_differences(&[0.0; 11]).unwrap_err();
    assert!(matches!(error, StatsError::TooFew { needed: 12, got: 11, .. }), "{error}");
    assert!(EsTango::from_differences(&[0.0; 12]).is_ok());
    assert!(matches!(EsTango::from_differences(&[f64::NAN; 12]).unwrap_err(), StatsError::OutOfRange { .. }));
}

#[test]
fn few_clusters_are_fixed() {
    let d: Vec<f64> = (0..40).map(|i| f64::from(i % 4 == 0) - f64::from(i % 7 == 0)).collect();
    let seven: Vec<u32> = (0..40).map(|i| i % 7).collect();
    let es = EsTango::from_clustered(&d, &seven).unwrap();
    assert_eq!((es.clusters, es.nu), (None, 39.0));
    let eight: Vec<u32> = (0..40).map(|i| i % 8).collect();
    let es = EsTango::from_clustered(&d, &eight).unwrap();
    assert_eq!((es.clusters, es.nu), (Some(8), 7.0));
}

#[test]
fn a_stratum_of_one_row_borrows_the_variance() {
    let mut d = vec![0.0; 20];
    d[0] = 1.0;
    d[19] = -1.0;
    let mut strata = vec![0; 20];
    strata[19] = 1;
    let es = EsTango::from_rows(&d, &strata, &[0.9, 0.1], None).unwrap();
    assert!(es.variance.is_finite() && es.variance > 0.0);
    assert_eq!(es.nu, 18.0);
}
