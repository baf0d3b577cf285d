//! All charts over all fixtures.

use super::raster::tree;
use super::{Chart, ChartError, png, render_all, svg, text, words};
use crate::data_json::{DataJson, Problem, parse};
use resvg::usvg::{Group, Node, Rect};

const FIXTURES: [(&str, &str); 7] = [
    ("classifier", include_str!("../../tests/fixtures/classifier.json")),
    ("original", include_str!("../../tests/fixtures/original.json")),
    ("twelve_slices", include_str!("../../tests/fixtures/twelve_slices.json")),
    ("one_arm", include_str!("../../tests/fixtures/one_arm.json")),
    ("zero_costs", include_str!("../../tests/fixtures/zero_costs.json")),
    ("crowded", include_str!("../../tests/fixtures/crowded.json")),
    ("mixed_costs", include_str!("../../tests/fixtures/mixed_costs.json")),
];

fn fixture(name: &str) -> DataJson {
    let (_, json) = FIXTURES.iter().find(|(n, _)| *n == name).expect("a fixture");
    parse(json.as_bytes()).expect("a valid fixture")
}

fn drawings() -> impl Iterator<Item = (String, String)> {
    FIXTURES.iter().flat_map(|(name, json)| {
        let data = parse(json.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
        Chart::ALL
            .into_iter()
            .filter(|c| c.has_data(&data))
            .map(|chart| {
                let drawn = svg(chart, &data).unwrap_or_else(|e| panic!("{name}/{chart}: {e}"));
                (format!("{name}/{chart}"), drawn)
            })
            .collect::<Vec<_>>()
    })
}

/// Text and box of every text of a drawing, in pixels.
fn texts(group: &Group, out: &mut Vec<(String, Rect)>) {
    for node in group.children() {
        match node {
            Node::Group(inner) => texts(inner, out),
            Node::Text(t) => {
                let said: String = t.chunks().iter().map(|c| c.text()).collect();
                out.push((said, t.abs_bounding_box()));
            }
            _ => {}
        }
    }
}

/// Fails where a text leaves the figure or covers another; how many texts there are.
fn assert_legible(name: &str, drawn: &str) -> usize {
    let tree = tree(drawn).expect("an SVG");
    let mut found = Vec::new();
    texts(tree.root(), &mut found);
    for (i, (said, area)) in found.iter().enumerate() {
        let size = tree.size();
        let inside = area.left() >= 8.0
            && area.top() >= 0.0
            && area.right() <= size.width() - 8.0
            && area.bottom() <= size.height();
        assert!(inside, "{name}: `{said}` is clipped: {area:?} in {size:?}");
        // Boxes include the room above and below the letters, so neighbours may touch by a fifth.
        let trim = |r: &Rect| (r.left(), r.top() + r.height() * 0.2, r.right(), r.bottom() - r.height() * 0.2);
        let a = trim(area);
        for (other, area) in &found[i + 1..] {
            let b = trim(area);
            let apart = a.2 <= b.0 || b.2 <= a.0 || a.3 <= b.1 || b.3 <= a.1;
            assert!(apart, "{name}: `{said}` covers `{other}`");
        }
    }
    found.len()
}

#[test]
fn no_text_is_clipped_and_none_covers_another() {
    let seen: usize = drawings().map(|(name, drawn)| assert_legible(&name, &drawn)).sum();
    assert!(seen > 500, "only {seen} texts were found");
}

#[test]
fn text_is_as_wide_as_it_was_measured() {
    let drawn = svg(Chart::ForestPlot, &fixture("classifier")).expect("drawn");
    let tree = tree(&drawn).expect("an SVG");
    let mut compared = 0;
    for node in tree.root().children() {
        let Node::Text(t) = node else { continue };
        compared += 1;
        let span = &t.chunks()[0].spans()[0];
        let weight = if span.font().weight() > 500 { text::Weight::SemiBold } else { text::Weight::Regular };
        let measured = text::width(t.chunks()[0].text(), f64::from(span.font_size().get()), weight);
        let found = f64::from(t.bounding_box().width());
        assert!(
            (measured - found).abs() <= 0.02 * measured + 0.5,
            "`{}`: {measured} against {found}",
            t.chunks()[0].text()
        );
    }
    assert!(compared > 20, "only {compared} texts were compared");
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    let data = fixture("classifier");
    let again = parse(data.to_json().as_bytes()).expect("what was written is read");
    assert_eq!(data, again);
    for chart in Chart::ALL {
        assert_eq!(svg(chart, &data), svg(chart, &again), "{chart}");
    }
    let drawn = svg(Chart::ArmBar, &data).expect("drawn");
    assert_eq!(png(&drawn), png(&drawn));
}

#[test]
fn a_png_is_twice_the_size() {
    let drawn = svg(Chart::ArmBar, &fixture("original")).expect("drawn");
    let tree = tree(&drawn).expect("an SVG");
    let bytes = png(&drawn).expect("a PNG");
    assert_eq!(&bytes[1..4], b"PNG");
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    assert_eq!((word(16) as f32, word(20) as f32), (tree.size().width() * 2.0, tree.size().height() * 2.0));
}

#[test]
fn the_original_form_draws_what_it_holds() {
    let data = fixture("original");
    assert_eq!(data.schema_version, None);
    let names: Vec<String> = render_all(&data).expect("drawn").into_iter().map(|f| f.0).collect();
    let expected: Vec<String> = ["arm-bar", "forest-plot", "cost-vs-accuracy", "failure-modes"]
        .iter()
        .flat_map(|n| [format!("{n}.svg"), format!("{n}.png")])
        .collect();
    assert_eq!(names, expected);
    assert_eq!(
        svg(Chart::Power, &data),
        Err(ChartError::NothingToDraw { chart: Chart::Power, needs: "operating_characteristics" })
    );
}

#[test]
fn an_arm_alone_has_no_effects_to_draw() {
    let data = fixture("one_arm");
    let error = svg(Chart::ForestPlot, &data).expect_err("no effects");
    assert_eq!(error.to_string(), "forest-plot needs effect_sizes of a candidate, which the data lacks");
    assert!(svg(Chart::ArmBar, &data).is_ok() && svg(Chart::CostVsAccuracy, &data).is_ok());
}

#[test]
fn what_is_not_a_number_is_refused_with_its_place() {
    let mut data = fixture("classifier");
    data.effect_sizes.get_mut("prompt-v2").expect("a candidate").aggregate.delta = f64::NAN;
    let Err(ChartError::Data(crate::data_json::DataError::Invalid { problems })) = svg(Chart::ForestPlot, &data) else {
        panic!("NaN was drawn");
    };
    let expected = Problem {
        path: "effect_sizes.prompt-v2.aggregate.delta".to_owned(),
        message: "NaN is not a finite number".to_owned(),
    };
    assert!(problems.contains(&expected), "{problems:?}");
    assert!(svg(Chart::Loop, &DataJson::default()).is_ok(), "the loop needs no data");
}

#[test]
fn markup_in_names_stays_text() {
    let drawn = svg(Chart::ForestPlot, &fixture("twelve_slices")).expect("drawn");
    assert!(drawn.contains("&lt;tenants&gt; &amp;") && !drawn.contains("<tenants>"));
}

#[test]
fn names_are_stable() {
    for chart in Chart::ALL {
        assert_eq!(chart.name().parse::<Chart>(), Ok(chart));
    }
    let error = "pie".parse::<Chart>().expect_err("no pies");
    assert!(error.to_string().starts_with("no chart is called `pie`; there are arm-bar, "));
}

#[test]
fn equal_and_missing_costs_are_said() {
    for (change, words) in [
        (Some(0.0), "costs $0 per 1,000 rows"),
        (Some(2.5), "costs $2.50 per 1,000 rows"),
        (None, "No cost was recorded"),
    ] {
        let mut data = fixture("classifier");
        for arm in &mut data.arms {
            arm.cost_per_1k_usd = change;
            arm.cost = None;
        }
        let drawn = svg(Chart::CostVsAccuracy, &data).expect("drawn");
        assert!(drawn.contains(words), "{words}");
    }
}

#[test]
fn values_at_the_ends_and_extreme_ranges_draw() {
    for value in [0.0, 1.0] {
        let mut data = fixture("classifier");
        for (arm, mean) in &mut data.test_set_aggregate {
            *mean = value;
            data.test_set_trials.insert(arm.clone(), vec![value; 3]);
        }
        for arm in &mut data.arms {
            arm.test_score = None;
            arm.cost_per_1k_usd = arm.cost_per_1k_usd.map(|c| c.powi(20));
            arm.cost = None;
        }
        for effects in data.effect_sizes.values_mut() {
            effects.aggregate.delta = 0.0;
            (effects.aggregate.ci_low, effects.aggregate.ci_high) = (Some(-1.0), Some(1.0));
            effects.aggregate.n = Some(12_345_678);
            for effect in effects.per_slice.values_mut() {
                (effect.delta, effect.ci_low, effect.ci_high) = (-1.0, Some(-1.0), Some(-1.0));
            }
        }
        for chart in [Chart::ArmBar, Chart::ForestPlot, Chart::CostVsAccuracy] {
            let drawn = svg(chart, &data).unwrap_or_else(|e| panic!("{chart}: {e}"));
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{chart}");
            assert_legible(chart.name(), &drawn);
        }
    }
    assert_eq!(words::pp(-1.0), "−100.0");
}
