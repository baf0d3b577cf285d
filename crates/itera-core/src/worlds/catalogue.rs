//! The worlds in which the promise is checked, in CI and at length.

use itera_stats::cluster::speaks_for_new_clusters;

use super::{WorldClusters, WorldSlice, WorldSpec};
use crate::rule::{RuleSpec, SpecError};

/// Where the truth sits. All shapes are *boundary* truths: the effect is exactly at the margin or a slice exactly at the
/// floor, where errors are most frequent. Shipping there is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TruthShape {
    /// Every slice is exactly at the margin.
    AtMargin,
    /// The aggregate is exactly at the margin: the largest slice above it by the margin (or 5pp), the others below.
    MarginUneven,
    /// Far above the margin, but the smallest slice is exactly at the floor.
    OneSliceAtFloor,
    /// Far above the margin, but all slices except the largest are exactly at the floor.
    SlicesAtFloor,
}

impl TruthShape {
    /// All shapes.
    pub const ALL: [Self; 4] = [Self::AtMargin, Self::MarginUneven, Self::OneSliceAtFloor, Self::SlicesAtFloor];

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AtMargin => "every slice at the margin",
            Self::MarginUneven => "aggregate at the margin, slices uneven",
            Self::OneSliceAtFloor => "good, smallest slice at the floor",
            Self::SlicesAtFloor => "good in the largest slice, others at the floor",
        }
    }
}

/// A family of worlds with its rule: everything but the number of rows and the truth.
#[derive(Debug, Clone)]
pub struct CalibrationCase {
    /// A short name.
    pub name: &'static str,
    /// What it tries.
    pub tries: &'static str,
    /// Margin (negative for non-inferiority) and floor.
    margin: f64,
    floor: f64,
    accuracy: f64,
    discordance: f64,
    shares: &'static [f64],
    /// Test shares where they differ from production.
    test_shares: Option<&'static [f64]>,
    sliced: bool,
    trials: u32,
    grades: u32,
    arms: usize,
    /// Rows per cluster, spread and nesting.
    clusters: Option<(usize, f64, bool)>,
    breakage: f64,
}

const HALVES: &[f64] = &[0.5, 0.3, 0.2];

const BASE: CalibrationCase = CalibrationCase {
    name: "discordance 20%",
    tries: "binary, accuracy 70%, three trials, slices 50/30/20",
    margin: 0.05,
    floor: -0.02,
    accuracy: 0.7,
    discordance: 0.2,
    shares: HALVES,
    test_shares: None,
    sliced: true,
    trials: 3,
    grades: 1,
    arms: 1,
    clusters: None,
    breakage: 0.0,
};

/// The catalogue.
#[must_use]
pub fn calibration_cases() -> Vec<CalibrationCase> {
    vec![
        CalibrationCase { name: "discordance 10%", discordance: 0.1, ..BASE },
        BASE,
        CalibrationCase { name: "discordance 30%", discordance: 0.3, ..BASE },
        CalibrationCase { name: "one trial", tries: "the plain paired table", trials: 1, ..BASE },
        CalibrationCase {
            name: "accuracy 95%",
            tries: "hardly anything is discordant (6%); margin 2pp, floor -2pp",
            accuracy: 0.95,
            discordance: 0.06,
            margin: 0.02,
            ..BASE
        },
        CalibrationCase { name: "graded", tries: "scores in quarters", grades: 4, ..BASE },
        CalibrationCase { name: "two slices", tries: "70/30", shares: &[0.7, 0.3], ..BASE },
        CalibrationCase { name: "four slices", tries: "40/30/20/10", shares: &[0.4, 0.3, 0.2, 0.1], ..BASE },
        CalibrationCase { name: "no slices", tries: "nothing to scope to", sliced: false, shares: &[1.0], ..BASE },
        CalibrationCase {
            name: "off the mix",
            tries: "equal slices in the test, 60/30/10 in production",
            shares: &[0.6, 0.3, 0.1],
            test_shares: Some(&[1.0, 1.0, 1.0]),
            ..BASE
        },
        CalibrationCase {
            name: "starved slice",
            tries: "10% of the test for 40% of production",
            shares: &[0.6, 0.4],
            test_shares: Some(&[0.9, 0.1]),
            ..BASE
        },
        CalibrationCase {
            name: "starved slice, low accuracy",
            tries: "the same at an accuracy of 30%, where lower bounds are the tighter ones",
            accuracy: 0.3,
            shares: &[0.6, 0.4],
            test_shares: Some(&[0.9, 0.1]),
            ..BASE
        },
        CalibrationCase {
            name: "clusters",
            tries: "clusters of five rows across slices, effects differ by 10pp between them",
            clusters: Some((5, 0.3, false)),
            ..BASE
        },
        CalibrationCase {
            name: "nested clusters",
            tries: "clusters of five rows within slices",
            clusters: Some((5, 0.3, true)),
            ..BASE
        },
        CalibrationCase {
            name: "heavy clusters",
            tries: "clusters of ten rows within slices, effects differ by 15pp between them",
            clusters: Some((10, 0.45, true)),
            ..BASE
        },
        CalibrationCase {
            name: "breakage",
            tries: "3% of rows break for good, the others gain",
            breakage: 0.03,
            discordance: 0.1,
            ..BASE
        },
        CalibrationCase {
            name: "graded breakage",
            tries: "2% of rows break for good, scores in quarters",
            breakage: 0.02,
            discordance: 0.1,
            grades: 4,
            ..BASE
        },
        CalibrationCase { name: "three arms", tries: "all of them at the boundary", arms: 3, ..BASE },
        CalibrationCase {
            name: "non-inferiority",
            tries: "margin 3pp, floor -5pp",
            margin: -0.03,
            floor: -0.05,
            ..BASE
        },
    ]
}

impl CalibrationCase {
    /// The registered rule.
    ///
    /// # Errors
    /// Never for the catalogue's own cases.
    pub fn rule(&self) -> Result<RuleSpec, SpecError> {
        if self.margin < 0.0 {
            RuleSpec::non_inferiority(self.margin, self.floor)
        } else {
            RuleSpec::superiority(self.margin, self.floor)
        }
    }

    /// Candidate arms.
    #[must_use]
    pub fn arms(&self) -> usize {
        self.arms
    }

    /// The world of `rows` test rows whose truth has this shape; `None` where the shape means nothing (one slice), and
    /// where the rows make fewer than eight clusters: the rule then speaks of those clusters only, and says so, while
    /// this truth is about all clusters.
    #[must_use]
    pub fn world(&self, rows: usize, shape: TruthShape) -> Option<WorldSpec> {
        let effects = self.effects(shape)?;
        let world = self.with_effects(rows, &effects);
        world.clusters.is_none_or(|clusters| speaks_for_new_clusters(clusters.count)).then_some(world)
    }

    /// The world of `rows` test rows in which every slice has the true effect `effect`.
    #[must_use]
    pub fn even_world(&self, rows: usize, effect: f64) -> WorldSpec {
        self.with_effects(rows, &vec![effect; self.shares.len()])
    }

    fn effects(&self, shape: TruthShape) -> Option<Vec<f64>> {
        let (shares, count) = (self.shares, self.shares.len());
        if shape != TruthShape::AtMargin && (count < 2 || !self.sliced) {
            return None;
        }
        // The catalogue lists the largest slice first and the smallest last.
        let step = if self.margin > 0.0 { self.margin.min(0.05) } else { 0.03 };
        let far = self.margin + 3.0 * step;
        Some(match shape {
            TruthShape::AtMargin => vec![self.margin; count],
            TruthShape::MarginUneven => {
                let below = step * shares[0] / (1.0 - shares[0]);
                (0..count).map(|s| if s == 0 { self.margin + step } else { self.margin - below }).collect()
            }
            TruthShape::OneSliceAtFloor => (0..count).map(|s| if s + 1 == count { self.floor } else { far }).collect(),
            TruthShape::SlicesAtFloor => {
                let far = far + step;
                (0..count).map(|s| if s == 0 { far } else { self.floor }).collect()
            }
        })
    }

    fn with_effects(&self, rows: usize, effects: &[f64]) -> WorldSpec {
        let test = self.test_shares.unwrap_or(self.shares);
        let total: f64 = test.iter().sum();
        // Effects that the accuracy cannot hold are lowered: the boundary slices are the ones that matter.
        let most = 0.995 * (1.0 - self.breakage) - self.accuracy;
        WorldSpec {
            slices: effects
                .iter()
                .enumerate()
                .map(|(s, effect)| WorldSlice {
                    name: format!("s{}", s + 1),
                    share: self.shares[s],
                    rows: ((rows as f64 * test[s] / total).round() as usize).max(1),
                    accuracy: self.accuracy,
                    effects: vec![effect.min(most); self.arms],
                })
                .collect(),
            sliced: self.sliced,
            post_stratified: self.test_shares.is_some(),
            trials: self.trials,
            grades: self.grades,
            discordance: self.discordance,
            trial_share: 0.6,
            clusters: self.clusters.map(|(size, spread, nested)| WorldClusters {
                count: (rows / size).max(1),
                spread,
                nested,
            }),
            breakage: self.breakage,
        }
    }
}
