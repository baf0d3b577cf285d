//! The rule on small tables built by hand: every outcome, every clause, every refusal of the builder.

use itera_core::rule::{
    Clause, DisclosureKind, EffectEvidence, FailureModeWeight, FamilyOutcome, FloorEvidence, GainMetric, Observation,
    Outcome, Record, RequiredGain, RowAttributes, RuleError, RuleSpec, SpecError, Table, TableBuilder, TableError,
    TieBreak, Verdict, judge,
};
use proptest::prelude::*;

/// A block of rows of one slice: of every hundred rows `wins` are won and `losses` lost by each arm.
#[derive(Clone)]
struct Block {
    slice: &'static str,
    rows: usize,
    /// Per arm: rows won and rows lost.
    arms: Vec<(usize, usize)>,
}

fn block(slice: &'static str, rows: usize, arms: &[(usize, usize)]) -> Block {
    Block { slice, rows, arms: arms.to_vec() }
}

/// What a test adds to the plain table.
#[derive(Default)]
struct Extra {
    severity: Option<fn(usize) -> f64>,
    /// Mode of a failed answer, by row and arm.
    mode: Option<fn(usize, usize) -> &'static str>,
    cost: Option<fn(usize, usize) -> f64>,
    mix: Vec<(&'static str, f64)>,
    clusters: Option<usize>,
}

/// Builds the table: within a block the first rows are won, the next lost, the others alternate between right and wrong.
fn table(blocks: &[Block], extra: &Extra) -> Table {
    let arms = blocks[0].arms.len();
    let names: Vec<String> = (1..=arms).map(|a| format!("arm-{a}")).collect();
    let mut builder = TableBuilder::new("base", &names, &["slice"]).unwrap();
    if !extra.mix.is_empty() {
        builder = builder.production_mix(extra.mix.iter().copied());
    }
    let mut id = 0;
    for block in blocks {
        for row in 0..block.rows {
            let slices = [Some(block.slice)];
            let cluster = extra.clusters.map(|count| format!("c{}", id % count));
            let attributes = RowAttributes {
                slices: &slices,
                stratum: (!extra.mix.is_empty()).then_some(block.slice),
                severity: extra.severity.map(|s| s(id)),
                cluster: cluster.as_deref(),
            };
            let row_id = builder.row(&format!("r{id:05}"), attributes).unwrap();
            // Base right on lost rows, wrong on won rows.
            for arm in 0..=arms {
                let score = |arm: usize| -> f64 {
                    let concordant = f64::from(u8::from(row % 2 == 0));
                    let decided = block
                        .arms
                        .iter()
                        .find_map(|(won, lost)| (row < *won).then_some(0.0).or((row < won + lost).then_some(1.0)));
                    match arm {
                        0 => decided.unwrap_or(concordant),
                        _ => {
                            let (won, lost) = block.arms[arm - 1];
                            if row < won {
                                1.0
                            } else if row < won + lost {
                                0.0
                            } else {
                                decided.unwrap_or(concordant)
                            }
                        }
                    }
                };
                let score = score(arm);
                let modes: Vec<u32> = match extra.mode {
                    Some(mode) if score == 0.0 => vec![builder.mode(mode(id, arm))],
                    _ => Vec::new(),
                };
                for trial in 0..3 {
                    let seen = Observation {
                        trial,
                        score,
                        failure_modes: &modes,
                        cost_usd: extra.cost.map(|cost| cost(id, arm)),
                        latency_ms: None,
                    };
                    builder.observe(row_id, arm, seen).unwrap();
                }
            }
            id += 1;
        }
    }
    builder.build().unwrap()
}

fn superiority() -> RuleSpec {
    RuleSpec::superiority(0.05, -0.02).unwrap()
}

fn verdict(rule: &RuleSpec, blocks: &[Block], extra: &Extra) -> Verdict {
    judge(rule, &table(blocks, extra)).unwrap()
}

fn plain(rule: &RuleSpec, blocks: &[Block]) -> Verdict {
    verdict(rule, blocks, &Extra::default())
}

fn discloses(verdict: &Verdict, kind: DisclosureKind) -> bool {
    verdict.disclosures.iter().any(|d| d.kind == kind)
}

#[test]
fn ships_what_is_proven() {
    let found = plain(&superiority(), &[block("a", 150, &[(30, 0)]), block("b", 150, &[(30, 0)])]);
    let arm = &found.arms[0];
    assert_eq!((&arm.outcome, arm.clause), (&Outcome::Ship, Clause::Eligible));
    assert_eq!(found.family.outcome, FamilyOutcome::Ship { arm: "arm-1".to_owned() });
    assert!(arm.sentence.contains("+20.0pp") && found.family.sentence.starts_with("Ship `arm-1`"));
    assert!((arm.aggregate.effect - 0.2).abs() < 1e-12);
    assert_eq!((arm.aggregate.rows_won, arm.aggregate.rows_lost), (60, 0));
}

#[test]
fn scopes_where_a_floor_is_not_proven() {
    let found = plain(&superiority(), &[block("a", 200, &[(50, 0)]), block("b", 100, &[(4, 12)])]);
    let arm = &found.arms[0];
    assert_eq!(arm.clause, Clause::ScopeProvenFloors);
    match &arm.outcome {
        Outcome::Scope { slices } => assert_eq!(slices.iter().map(|s| s.value.as_str()).collect::<Vec<_>>(), ["a"]),
        other => panic!("{other:?}"),
    }
    assert!(matches!(found.family.outcome, FamilyOutcome::Scope { .. }));
}

#[test]
fn scopes_where_only_a_slice_is_proven() {
    let found = plain(&superiority(), &[block("a", 60, &[(18, 0)]), block("b", 600, &[(60, 50)])]);
    assert_eq!(found.arms[0].clause, Clause::ScopeProvenSlices, "{}", found.family.sentence);
}

#[test]
fn kills_below_the_margin_and_names_harm() {
    let level = plain(&superiority(), &[block("a", 400, &[(20, 20)])]);
    assert_eq!(level.arms[0].clause, Clause::BelowMargin);
    assert_eq!(level.family.outcome, FamilyOutcome::Kill { harm: false });
    let harm = plain(&superiority(), &[block("a", 400, &[(5, 60)])]);
    assert_eq!(harm.family.outcome, FamilyOutcome::Kill { harm: true });
    assert!(harm.family.sentence.contains("does harm"));
}

#[test]
fn identical_answers_are_no_gain_of_five_points() {
    let few = plain(&superiority(), &[block("a", 40, &[(0, 0)])]);
    assert_eq!(few.arms[0].clause, Clause::EffectUnproven);
    // 1 - 0.05^(1/60) = 4.9%: sixty identical rows rule out a gain of five points.
    let many = plain(&superiority(), &[block("a", 60, &[(0, 0)])]);
    assert_eq!(many.arms[0].clause, Clause::BelowMargin);
}

#[test]
fn underpowered_names_rows_that_settle() {
    let blocks = [block("a", 60, &[(9, 3)])];
    let found = plain(&superiority(), &blocks);
    let Outcome::Underpowered { rows_needed: Some(rows) } = found.arms[0].outcome else {
        panic!("{:?}", found.arms[0].outcome)
    };
    assert!(rows > 60, "{rows}");
    // The same proportions on that many rows do settle it.
    let factor = rows as usize / 60 + 1;
    let settled = plain(&superiority(), &[block("a", 60 * factor, &[(9 * factor, 3 * factor)])]);
    assert_eq!(settled.arms[0].outcome, Outcome::Ship, "{}", settled.family.sentence);
}

#[test]
fn a_slice_under_twelve_rows_cannot_be_proven() {
    let blocks = [block("a", 300, &[(60, 0)]), block("b", 8, &[(3, 0)])];
    let found = plain(&superiority(), &blocks);
    let arm = &found.arms[0];
    assert!(arm.slices[1].estimate.inference.is_none() && !arm.slices[1].floor_holds);
    assert_eq!(arm.clause, Clause::ScopeProvenFloors);
    assert!(discloses(&found, DisclosureKind::SmallSlice));
    let mut lenient = superiority();
    lenient.evidence.floor = FloorEvidence::Estimate;
    let found = plain(&lenient, &blocks);
    assert_eq!(found.arms[0].outcome, Outcome::Ship);
    assert!(discloses(&found, DisclosureKind::WeakEvidence));
}

#[test]
fn proven_gain_ships_below_a_proven_margin() {
    let blocks = [block("a", 200, &[(20, 6)])];
    let strict = plain(&superiority(), &blocks);
    assert_eq!(strict.arms[0].clause, Clause::EffectUnproven);
    let mut lenient = superiority();
    lenient.evidence.effect = EffectEvidence::ProvenGain;
    assert_eq!(plain(&lenient, &blocks).arms[0].outcome, Outcome::Ship);
    // The estimate must still reach the minimum effect.
    let small = plain(&lenient, &[block("a", 2000, &[(60, 2)])]);
    assert_ne!(small.arms[0].outcome, Outcome::Ship);
}

#[test]
fn non_inferiority_needs_its_gain() {
    let mut rule = RuleSpec::non_inferiority(0.05, -0.05).unwrap();
    rule.required_gain = Some(RequiredGain { metric: GainMetric::Cost, min_reduction: 0.3 });
    let blocks = [block("a", 400, &[(10, 10)])];
    let with = |cost: fn(usize, usize) -> f64| verdict(&rule, &blocks, &Extra { cost: Some(cost), ..Extra::default() });
    let cheaper = with(|row, arm| if arm == 0 { 10.0 + (row % 7) as f64 } else { 4.0 + (row % 5) as f64 });
    assert_eq!(cheaper.arms[0].outcome, Outcome::Ship, "{}", cheaper.family.sentence);
    let (low, high) = cheaper.arms[0].cost.as_ref().unwrap().reduction_ci.unwrap();
    assert!(low > 0.5 && high < 0.6, "{low} {high}");
    let dearer = with(|row, arm| 10.0 + (row % 7) as f64 - arm as f64);
    assert_eq!(dearer.arms[0].clause, Clause::RequiredGainRuledOut);
    let unclear = with(|row, arm| if arm == 0 { 10.0 } else { 7.0 + if row % 2 == 0 { 6.2 } else { -6.0 } });
    assert_eq!(unclear.arms[0].clause, Clause::GainUnproven, "{}", unclear.family.sentence);
    let error = judge(&rule, &table(&blocks, &Extra::default())).unwrap_err();
    assert!(matches!(error, RuleError::MissingResource { metric: "cost", missing: 400, .. }), "{error}");
}

#[test]
fn errors_that_move_into_the_most_severe_mode_stop_an_arm() {
    let mut rule = superiority();
    rule.failure_modes = vec![
        FailureModeWeight { id: "harmless".to_owned(), severity_weight: 1.0 },
        FailureModeWeight { id: "dangerous".to_owned(), severity_weight: 10.0 },
    ];
    let blocks = [block("a", 300, &[(60, 0)])];
    let mode: fn(usize, usize) -> &'static str =
        |row, arm| if arm == 1 && row % 3 == 0 { "dangerous" } else { "harmless" };
    let found = verdict(&rule, &blocks, &Extra { mode: Some(mode), ..Extra::default() });
    assert_eq!(
        (&found.arms[0].outcome, found.arms[0].clause),
        (&Outcome::Kill { harm: true }, Clause::SevereModeShift)
    );
    let shift = &found.arms[0].failure_modes[1];
    assert!(shift.most_severe && shift.mode == "dangerous" && shift.arm_count > 0 && shift.baseline_count == 0);
    let same: fn(usize, usize) -> &'static str = |row, _| if row % 3 == 0 { "dangerous" } else { "harmless" };
    let found = verdict(&rule, &blocks, &Extra { mode: Some(same), ..Extra::default() });
    assert_eq!(found.arms[0].outcome, Outcome::Ship);
}

#[test]
fn severity_breaks_the_tie_that_was_registered() {
    // Wins on the first rows, losses on the next, which weigh fifty times as much.
    let severity: fn(usize) -> f64 = |row| if (60..70).contains(&row) { 50.0 } else { 1.0 };
    let extra = || Extra { severity: Some(severity), ..Extra::default() };
    let blocks = [block("a", 300, &[(60, 10)])];
    let found = verdict(&superiority(), &blocks, &extra());
    assert_eq!(found.arms[0].clause, Clause::SeverityTieBreak, "{}", found.family.sentence);
    assert!(found.arms[0].severity_weighted.as_ref().unwrap().effect < 0.0);
    let mut rule = superiority();
    rule.tie_break = TieBreak::Unweighted;
    let found = verdict(&rule, &blocks, &extra());
    assert_eq!(found.arms[0].outcome, Outcome::Ship);
    assert!(discloses(&found, DisclosureKind::SeverityDisagrees));
}

#[test]
fn of_two_eligible_arms_the_lower_loss_wins_else_the_cheaper() {
    let cost: fn(usize, usize) -> f64 = |_, arm| [1.0, 3.0, 2.0][arm];
    let extra = || Extra { cost: Some(cost), ..Extra::default() };
    let apart = verdict(&superiority(), &[block("a", 300, &[(120, 0), (60, 0)])], &extra());
    assert_eq!(apart.family.winner.as_deref(), Some("arm-1"));
    assert_eq!(apart.arms[1].clause, Clause::EligibleHigherLoss);
    let level = verdict(&superiority(), &[block("a", 300, &[(61, 0), (60, 0)])], &extra());
    assert_eq!(level.family.winner.as_deref(), Some("arm-2"));
    assert_eq!(level.arms[0].clause, Clause::EligibleCostlier);
    let unpriced = plain(&superiority(), &[block("a", 300, &[(61, 0), (60, 0)])]);
    assert_eq!(unpriced.family.winner.as_deref(), Some("arm-1"));
}

#[test]
fn holm_is_applied_over_the_arms() {
    // Proven alone, not beside two arms without effect.
    let rows = |arms: &[(usize, usize)]| plain(&superiority(), &[block("a", 200, arms)]);
    let alone = (1..60).find(|won| rows(&[(*won, 2)]).arms[0].outcome == Outcome::Ship).unwrap();
    let beside = rows(&[(alone, 2), (0, 0), (0, 0)]);
    assert_eq!(beside.arms[0].clause, Clause::FamilyUnproven, "{}", beside.arms[0].sentence);
    assert!((beside.arms[0].p_holm - 3.0 * beside.arms[0].p_arm).abs() < 1e-12);
}

#[test]
fn the_aggregate_is_weighted_back_to_production() {
    let extra = Extra { mix: vec![("a", 80.0), ("b", 20.0)], ..Extra::default() };
    let found = verdict(&superiority(), &[block("a", 100, &[(10, 0)]), block("b", 100, &[(40, 0)])], &extra);
    let arm = &found.arms[0];
    assert!((arm.aggregate.effect - (0.8 * 0.1 + 0.2 * 0.4)).abs() < 1e-12);
    assert!((arm.slices[0].share - 0.8).abs() < 1e-12);
    assert_eq!(found.n_strata, 2);
    assert!(discloses(&found, DisclosureKind::PostStratified));
}

#[test]
fn few_clusters_are_disclosed() {
    let blocks = [block("a", 200, &[(40, 0)])];
    let few = verdict(&superiority(), &blocks, &Extra { clusters: Some(5), ..Extra::default() });
    assert!(discloses(&few, DisclosureKind::FewClusters));
    assert_eq!(few.arms[0].aggregate.inference.as_ref().unwrap().n_clusters, None);
    let many = verdict(&superiority(), &blocks, &Extra { clusters: Some(40), ..Extra::default() });
    assert!(!discloses(&many, DisclosureKind::FewClusters));
    assert_eq!(many.arms[0].aggregate.inference.as_ref().unwrap().nu, 39.0);
}

#[test]
fn with_two_slice_columns_a_scope_avoids_the_failing_slices_of_both() {
    let mut builder = TableBuilder::new("base", &["new"], &["lang", "device"]).unwrap();
    for row in 0..800 {
        let lang = if row % 2 == 0 { "en" } else { "de" };
        let device = if row % 4 < 2 { "phone" } else { "desk" };
        // Wins for en everywhere, heavy losses for de on the phone.
        let (base, new) = match (lang, device) {
            ("en", _) if row % 10 < 6 => (0.0, 1.0),
            ("de", "phone") if row % 10 < 3 => (1.0, 0.0),
            _ => (1.0, 1.0),
        };
        let slices = [Some(lang), Some(device)];
        let id = builder.row(&format!("r{row}"), RowAttributes { slices: &slices, ..Default::default() }).unwrap();
        for (arm, score) in [(0, base), (1, new)] {
            builder.observe(id, arm, Observation { score, ..Default::default() }).unwrap();
        }
    }
    let found = judge(&superiority(), &builder.build().unwrap()).unwrap();
    let Outcome::Scope { slices } = &found.arms[0].outcome else { panic!("{}", found.family.sentence) };
    assert!(slices.iter().any(|s| s.value == "en") && !slices.iter().any(|s| s.value == "de"));
}

#[test]
fn verdicts_survive_json() {
    let found = plain(&superiority(), &[block("a", 60, &[(9, 3), (2, 1)]), block("b", 60, &[(9, 3), (2, 1)])]);
    let text = serde_json::to_string(&found).unwrap();
    let back: Verdict = serde_json::from_str(&text).unwrap();
    assert_eq!(back.family, found.family);
    for (a, b) in back.arms.iter().zip(&found.arms) {
        assert_eq!((a.clause, &a.outcome, &a.sentence), (b.clause, &b.outcome, &b.sentence));
        assert!((a.p_holm - b.p_holm).abs() < 1e-12);
    }
    assert_eq!(serde_json::to_value(Clause::SevereModeShift).unwrap(), Clause::SevereModeShift.id());
    let rule = superiority();
    assert_eq!(serde_json::from_str::<RuleSpec>(&serde_json::to_string(&rule).unwrap()).unwrap(), rule);
}

#[test]
fn a_rule_out_of_range_is_refused() {
    assert!(matches!(RuleSpec::superiority(-0.01, -0.02), Err(SpecError::OutOfRange { field: "min_effect", .. })));
    assert!(matches!(RuleSpec::superiority(0.05, 0.02), Err(SpecError::OutOfRange { field: "loss_floor", .. })));
    assert!(RuleSpec::superiority(f64::NAN, -0.02).is_err());
    assert!(RuleSpec::non_inferiority(0.0, -0.02).is_err());
    assert_eq!(RuleSpec::non_inferiority(-0.03, -0.02).unwrap().margin(), -0.03);
    let mut rule = RuleSpec::non_inferiority(0.03, -0.02).unwrap();
    rule.evidence.effect = EffectEvidence::ProvenGain;
    assert_eq!(rule.validate(), Err(SpecError::ProvenGainForNonInferiority));
    let mut rule = superiority();
    rule.required_gain = Some(RequiredGain { metric: GainMetric::Latency, min_reduction: 0.1 });
    assert_eq!(rule.validate(), Err(SpecError::GainForSuperiority));
}

fn record<'a>(row: &'a str, arm: &'a str, trial: u32, score: f64) -> Record<'a> {
    Record { row, arm, trial, score, ..Record::default() }
}

#[test]
fn the_builder_refuses_what_it_cannot_pair() {
    let none: [&str; 0] = [];
    let fresh = || TableBuilder::new("base", &["new"], &none).unwrap();
    assert!(matches!(TableBuilder::new("base", &none, &none), Err(TableError::Arms { .. })));
    assert!(matches!(TableBuilder::new("base", &["base"], &none), Err(TableError::Arms { .. })));
    for score in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
        let error = fresh().push(&record("r", "base", 0, score)).unwrap_err();
        assert!(matches!(error, TableError::BadScore { .. }), "{error}");
    }
    assert!(matches!(fresh().push(&record("r", "other", 0, 1.0)), Err(TableError::UnknownArm { .. })));
    let full = |rows: usize| {
        let mut builder = fresh();
        for row in 0..rows {
            for arm in ["base", "new"] {
                builder.push(&record(&format!("r{row:02}"), arm, 0, 1.0)).unwrap();
            }
        }
        builder
    };
    assert!(matches!(full(11).build(), Err(TableError::TooFewRows { got: 11, .. })));
    assert!(full(12).build().is_ok());
    let mut builder = full(12);
    builder.push(&record("r03", "new", 0, 0.0)).unwrap();
    assert!(matches!(builder.build(), Err(TableError::DuplicateTrial { trial: 0, .. })));
    let mut builder = full(12);
    builder.push(&record("r99", "new", 0, 0.0)).unwrap();
    let error = builder.build().unwrap_err();
    assert!(
        matches!(&error, TableError::MissingPairs { count: 1, row, arm } if row == "r99" && arm == "base"),
        "{error}"
    );
    let mut builder = full(12);
    let cluster = RowAttributes { cluster: Some("c"), ..RowAttributes::default() };
    let error = builder.push(&Record { attributes: cluster, ..record("r03", "new", 1, 0.0) }).unwrap_err();
    assert!(matches!(error, TableError::ConflictingAttribute { .. }), "{error}");
    let mut builder = full(12);
    for arm in ["base", "new"] {
        builder.push(&Record { attributes: cluster, ..record("r99", arm, 1, 0.0) }).unwrap();
    }
    assert!(matches!(builder.build(), Err(TableError::MissingAttribute { attribute: "cluster", .. })));
    let bad = RowAttributes { severity: Some(0.0), ..RowAttributes::default() };
    let error = fresh().push(&Record { attributes: bad, ..record("r", "new", 1, 0.0) }).unwrap_err();
    assert!(matches!(error, TableError::BadSeverity { .. }), "{error}");
    let error = fresh().push(&Record { cost_usd: Some(-1.0), ..record("r", "new", 1, 0.0) }).unwrap_err();
    assert!(matches!(error, TableError::BadResource { metric: "cost", .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Recording in another order changes nothing, to the last bit.
    #[test]
    fn recording_order_is_irrelevant(
        scores in prop::collection::vec((0u8..5, 0u8..5, 0u8..3), 12..60),
        seed in 0u64..1_000_000,
    ) {
        let mut records = Vec::new();
        for (row, (base, new, slice)) in scores.iter().enumerate() {
            for trial in 0..2u32 {
                let jitter = f64::from(trial) * 0.1;
                records.push((row, *slice, "base", trial, (f64::from(*base) / 4.0 - jitter).max(0.0)));
                records.push((row, *slice, "new", trial, (f64::from(*new) / 4.0 - jitter).max(0.0)));
            }
        }
        let judged = |records: &[(usize, u8, &str, u32, f64)]| {
            let mut builder = TableBuilder::new("base", &["new"], &["slice"]).unwrap();
            for (row, slice, arm, trial, score) in records {
                let slice = format!("s{slice}");
                let slices = [Some(slice.as_str())];
                let attributes =
                    RowAttributes { stratum: Some(&slice), slices: &slices, ..RowAttributes::default() };
                let id = format!("row {row}");
                builder.push(&Record { attributes, ..record(&id, arm, *trial, *score) }).unwrap();
            }
            judge(&superiority(), &builder.build().unwrap()).unwrap()
        };
        let first = judged(&records);
        let n = records.len() as u64;
        for i in 0..records.len() {
            let j = (seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(i as u64 * 1_442_695_041) % n) as usize;
            records.swap(i, j);
        }
        prop_assert_eq!(first, judged(&records));
    }
}
