//! `conclusion.md`: one page for people who did not run the experiment.
//!
//! It is a function of `data.json` alone, so every number on it is found there.

use crate::chart::Chart;
use crate::data_json::{Arm, ArmVerdict, AuditStatus, DataJson, Effect, FailureCategory, IterationOutcome, Outcome};
use crate::page::{Block, Table, escaped, prose, sentence};
use crate::words::{count, p_value, plain_number, pp, usd};

/// The page's title, in the small Markdown of [`crate::page`].
pub fn title(data: &DataJson) -> String {
    format!("{}: {}", headline(data), escaped(&data.experiment.name))
}

/// The whole page as Markdown.
pub fn conclusion_md(data: &DataJson) -> String {
    format!("# {}\n\n{}", title(data), crate::page::markdown(&blocks(data)))
}

/// The page below its title.
pub fn blocks(data: &DataJson) -> Vec<Block> {
    let mut page = vec![Block::Quote(data.experiment.question.clone())];
    decision(&mut page, data);
    verdict_table(&mut page, data);
    arms(&mut page, data);
    iterations(&mut page, data);
    failure_modes(&mut page, data);
    severity(&mut page, data);
    cost(&mut page, data);
    page.push(Block::Heading("What to test next".into()));
    page.push(Block::Paragraph(next_question(data)));
    limits(&mut page, data);
    audit(&mut page, data);
    let short = |hash: &Option<String>| hash.as_deref().and_then(|h| h.get(..12)).unwrap_or("-").to_owned();
    page.push(Block::Paragraph(format!(
        "Recheck everything on this page: `auto-itera verify <this folder>`. Frame `{}`, ledger head `{}`.",
        short(&data.frame_hash),
        short(&data.ledger_head)
    )));
    page
}

fn code(id: &str) -> String {
    format!("`{id}`")
}

fn baseline(data: &DataJson) -> String {
    data.baseline().map_or_else(String::new, |a| code(&a.id))
}

fn slices(ids: &[String]) -> String {
    ids.iter().map(|s| escaped(s)).collect::<Vec<_>>().join(", ")
}

fn winner(data: &DataJson) -> Option<&ArmVerdict> {
    let id = data.verdict.winner.as_deref()?;
    data.verdict.per_arm.iter().find(|a| a.arm == id)
}

fn headline(data: &DataJson) -> String {
    match (data.verdict.outcome, winner(data)) {
        (Some(Outcome::Ship), Some(arm)) => format!("Ship {}", code(&arm.arm)),
        (Some(Outcome::Scope), Some(arm)) => format!("Ship {} on {} only", code(&arm.arm), slices(&arm.slices)),
        (Some(Outcome::Underpowered), _) => "Underpowered".to_owned(),
        _ => format!("Keep {}", baseline(data)),
    }
}

/// What was decided, by which rule, why, how sure, and what it costs.
fn decision(page: &mut Vec<Block>, data: &DataJson) {
    let base = baseline(data);
    let outcome = data.verdict.outcome.map_or("-", Outcome::label);
    let ruling = match (data.verdict.outcome, winner(data)) {
        (Some(Outcome::Ship), Some(arm)) => format!("{} replaces {base} everywhere.", named(data, &arm.arm)),
        (Some(Outcome::Scope), Some(arm)) => {
            format!("{} replaces {base} on {}; elsewhere {base} stays.", named(data, &arm.arm), slices(&arm.slices))
        }
        (Some(Outcome::Underpowered), _) => {
            format!("These rows cannot tell whether an arm passes the rule; {base} stays until they can.")
        }
        _ => format!("No arm can pass the rule; {base} stays."),
    };
    page.push(Block::Paragraph(format!("**Verdict: {outcome}.** {ruling}")));
    page.push(Block::Paragraph(format!(
        "**Rule, registered before any row was read.** {} The metric is *{}*: {}",
        prose(&sentence(&data.experiment.threshold_rule)),
        escaped(&data.experiment.metric),
        data.experiment.scorer.as_deref().map_or_else(String::new, |s| prose(&format!("{}.", s.trim_end_matches('.'))))
    )));
    if let Some(arm) = winner(data) {
        page.push(Block::Paragraph(format!("**Why.** {}", arm_reason(data, arm, true))));
    }
    let others: Vec<String> = data
        .verdict
        .per_arm
        .iter()
        .filter(|a| Some(a.arm.as_str()) != data.verdict.winner.as_deref())
        .map(|a| format!("**{}: {}.** {}", code(&a.arm), a.outcome.label(), arm_reason(data, a, false)))
        .collect();
    if !others.is_empty() {
        page.push(Block::List(others));
    }
    page.push(Block::Paragraph(format!("**How sure.** {}", how_sure(data))));
    page.push(Block::Paragraph(format!("**What it costs.** {}", price(data))));
}

/// The arm's id with its change.
fn named(data: &DataJson, id: &str) -> String {
    match data.arm(id).and_then(|a| a.change.as_deref()) {
        Some(change) => format!("{} ({})", code(id), escaped(change.trim_end_matches('.'))),
        None => code(id),
    }
}

/// The rule's sentence on an arm, the bound that it read, and the slices that lose.
fn arm_reason(data: &DataJson, arm: &ArmVerdict, is_winner: bool) -> String {
    let own = format!("`{}` measures ", arm.arm);
    let said = match arm.sentence.strip_prefix(&own) {
        Some(rest) if !is_winner => format!("It measures {rest}"),
        _ => arm.sentence.clone(),
    };
    let mut text = prose(&sentence(&said));
    let effects = data.effect_sizes.get(&arm.arm);
    if let (true, Some(bound), Some(margin)) =
        (is_winner, effects.and_then(|e| e.aggregate.lower_bound), data.threshold())
    {
        text.push_str(&format!(
            " The one-sided lower bound is {} pp; the registered {} is {} pp.",
            pp(bound),
            if margin < 0.0 { "margin" } else { "minimum effect" },
            pp(margin)
        ));
    }
    if arm.outcome != Outcome::Ship
        && let Some(effects) = effects
    {
        text.push_str(&losing_slices(data, arm, &effects.per_slice));
    }
    text.push_str(&format!(" (clause {})", code(&arm.clause)));
    text
}

fn losing_slices(data: &DataJson, arm: &ArmVerdict, per_slice: &std::collections::BTreeMap<String, Effect>) -> String {
    let floor = data.loss_floor().unwrap_or(0.0);
    let (mut lose, mut open) = (Vec::new(), Vec::new());
    for id in &arm.floor_open {
        // What the rule's own sentence says is not said again.
        let Some(e) = per_slice.get(id).filter(|_| !arm.sentence.contains(id.as_str())) else { continue };
        let figures = format!("{} at {} pp, n={}", escaped(id), interval(e), count(e.n.unwrap_or(0)));
        if e.ci_high.is_some_and(|high| high < 0.0) {
            let below = if e.upper_bound.is_some_and(|u| u < floor) { ", shown to be below the floor" } else { "" };
            lose.push(format!("{figures}{below}"));
        } else {
            open.push(figures);
        }
    }
    let mut text = String::new();
    if !lose.is_empty() {
        text.push_str(&format!(" It loses in {} (floor {} pp).", lose.join("; "), pp(floor)));
    }
    if !open.is_empty() {
        text.push_str(&format!(" The floor of {} pp is not shown in {}.", pp(floor), open.join("; ")));
    }
    if arm.floor_open.is_empty() && !per_slice.is_empty() {
        text.push_str(" No slice is below its floor.");
    }
    text
}

fn interval(e: &Effect) -> String {
    match (e.ci_low, e.ci_high) {
        (Some(low), Some(high)) => {
            format!("{} [{}, {}]", pp(e.delta), pp(low), pp(high))
        }
        _ => format!("{} (no interval)", pp(e.delta)),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn whole_percent(share: f64) -> String {
    format!("{}%", plain_number(share * 100.0))
}

fn how_sure(data: &DataJson) -> String {
    let mut said = Vec::new();
    let level = whole_percent(data.interval_level.unwrap_or(0.95));
    let n = data.experiment.test_set_n.map_or_else(String::new, |n| {
        let trials = data.experiment.trials_per_arm.map_or_else(String::new, |t| format!(", {t} trials each"));
        format!(" on {} sealed rows{trials}, opened once", count(n))
    });
    said.push(format!("Effects are paired differences to {}{n}; intervals are two-sided, {level}.", baseline(data)));
    if let Some(arm) = winner(data)
        && let Some(p) = arm.p_adjusted
    {
        said.push(format!("Over all arms and slices together {}.", p_value(p)));
    }
    if let Some(d) = data.design {
        said.push(format!(
            "Planned before the lock, by simulation of this rule: with about {} test rows an arm whose true effect is {} pp ships in {:.0}% of experiments.",
            count(d.test_rows),
            pp(d.planned_effect_pp / 100.0),
            d.power * 100.0
        ));
    }
    said.join(" ")
}

fn price(data: &DataJson) -> String {
    let mut said = Vec::new();
    let arm = winner(data).and_then(|w| data.arm(&w.arm));
    let shown: Vec<&Arm> = match arm {
        Some(arm) => vec![arm],
        None => data.candidates().iter().filter(|a| a.test_score.is_some()).collect(),
    };
    let base = data.baseline();
    for arm in shown {
        let (Some(mine), Some(was)) = (arm.cost_per_1k_usd, base.and_then(|b| b.cost_per_1k_usd)) else { continue };
        let change = match arm.cost.and_then(|c| c.relative_difference) {
            Some(r) if r.abs() < 0.0005 => " (the same)".to_owned(),
            Some(r) => format!(" ({}%)", pp(r)),
            None => String::new(),
        };
        said.push(format!("{} {} per 1,000 rows against {}{change}", code(&arm.id), usd(mine), usd(was)));
    }
    let mut text = match said.is_empty() {
        true => "No cost per row was reported by both sides.".to_owned(),
        false => format!("{}.", said.join("; ")),
    };
    if let (Some(mine), Some(was)) = (arm.and_then(p50), base.and_then(p50)) {
        text.push_str(&format!(" Median latency {mine:.0} ms against {was:.0} ms."));
    }
    if let Some(spend) = data.spend {
        let dollars = if spend.cost_usd > 0.0 { format!(" for {}", usd(spend.cost_usd)) } else { String::new() };
        text.push_str(&format!(" The experiment itself made {} scored calls{dollars}.", count(spend.calls)));
    }
    text
}

fn p50(arm: &Arm) -> Option<f64> {
    arm.latency.and_then(|l| l.p50_ms)
}

fn verdict_table(page: &mut Vec<Block>, data: &DataJson) {
    page.push(Block::Heading("Verdict".into()));
    page.push(Block::Figure(
        Chart::ForestPlot,
        "Effect of every arm, over all rows and by slice, with intervals".into(),
    ));
    let level = whole_percent(data.interval_level.unwrap_or(0.95));
    let mut table = Table::new([
        "arm",
        "where",
        "#n",
        &format!("#effect, pp [{level}]"),
        "#one-sided bounds",
        "#detectable",
        "rule",
    ]);
    let floor = data.loss_floor().unwrap_or(0.0);
    for arm in &data.verdict.per_arm {
        let Some(effects) = data.effect_sizes.get(&arm.arm) else { continue };
        let word = match arm.outcome {
            Outcome::Scope => format!("**{}** to {}", arm.outcome.label(), slices(&arm.slices)),
            _ if arm.clause == "harm" => "**kill** (harm)".to_owned(),
            _ => format!("**{}**", arm.outcome.label()),
        };
        table.row(effect_row(&code(&arm.arm), "all rows", &effects.aggregate, word));
        for slice in &data.slices {
            let Some(e) = effects.per_slice.get(&slice.id) else { continue };
            let says = if !arm.floor_open.contains(&slice.id) {
                "floor holds"
            } else if e.upper_bound.is_some_and(|u| u < floor) {
                "**below the floor**"
            } else {
                "floor not shown"
            };
            table.row(effect_row("", &escaped(&slice.id), e, says.to_owned()));
        }
    }
    page.push(Block::Table(table));
    page.push(Block::Paragraph(
        "*Detectable*: the smallest effect that these rows would have shown at the registered power.".into(),
    ));
    if !data.operating_characteristics.is_empty() {
        page.push(Block::Details(
            "What this design could find".into(),
            vec![Block::Figure(
                Chart::Power,
                "Chance of each outcome by true effect, simulated before the lock".into(),
            )],
        ));
    }
}

fn effect_row(arm: &str, place: &str, e: &Effect, word: String) -> Vec<String> {
    let bounds = match (e.lower_bound, e.upper_bound) {
        (Some(l), Some(u)) => format!("{}, {}", pp(l), pp(u)),
        _ => "-".to_owned(),
    };
    let mde = e.mde.map_or_else(|| "-".to_owned(), |m| format!("{:.1}", m * 100.0));
    vec![arm.to_owned(), place.to_owned(), count(e.n.unwrap_or(0)), interval(e), bounds, mde, word]
}

fn arms(page: &mut Vec<Block>, data: &DataJson) {
    page.push(Block::Heading("Arms".into()));
    let mut table = Table::new(["arm", "what it is", "reference", "#version", "#dev, mean of trials", "#test"]);
    for (i, arm) in data.arms.iter().enumerate() {
        let what = match (i, arm.change.as_deref()) {
            (0, _) => "the baseline, as deployed".to_owned(),
            (_, change) => escaped(change.unwrap_or(&arm.name)),
        };
        let share = |s: Option<f64>| s.map_or_else(|| "-".to_owned(), percent);
        table.row([
            code(&arm.id),
            what,
            escaped(arm.reference.as_deref().unwrap_or("-")),
            arm.version.map_or_else(|| "-".to_owned(), |v| v.to_string()),
            share(arm.dev_mean),
            arm.test_score.map_or_else(|| "not tested".to_owned(), |s| percent(s.mean)),
        ]);
    }
    page.push(Block::Table(table));
    page.push(Block::Figure(Chart::ArmBar, "Mean test score of every arm, with interval and trials".into()));
}

fn iterations(page: &mut Vec<Block>, data: &DataJson) {
    page.push(Block::Heading("Iterations".into()));
    if data.iterations.is_empty() {
        page.push(Block::Paragraph("None: the arms went to the test as they were registered.".into()));
        return;
    }
    for i in &data.iterations {
        let found = match (i.outcome, i.effect, i.se) {
            (Some(o), Some(e), Some(se)) => format!(
                "**{}** on dev: {} pp, standard error {:.1} pp, {} rows.",
                match o {
                    IterationOutcome::Supported => "Supported",
                    IterationOutcome::Neutral => "Neutral",
                    IterationOutcome::Falsified => "Falsified",
                },
                pp(e),
                se * 100.0,
                count(i.rows.unwrap_or(0))
            ),
            _ => "Withdrawn before it was scored.".to_owned(),
        };
        let gate = match &i.gate {
            Some(g) if g.kept => format!("Kept at the gate as a mechanism: {}", escaped(&sentence(&g.reason))),
            Some(g) => format!("Not kept at the gate: {}", escaped(&sentence(&g.reason))),
            None => "No gate has judged it.".to_owned(),
        };
        page.push(Block::Paragraph(format!(
            "**Sprint {}, iteration {}: `{}` becomes version {}.** {} Change: {} {found} {gate}",
            i.sprint,
            i.iteration,
            i.arm,
            i.version,
            escaped(&sentence(&i.hypothesis)),
            escaped(&sentence(&i.change)),
        )));
    }
    for gate in &data.gates {
        use crate::data_json::GateDecision as G;
        let word = match gate.decision {
            G::Continue => "another sprint may follow",
            G::Lock => "lock",
            G::Kill => "no candidate is left",
        };
        page.push(Block::Paragraph(format!("**Gate {}: {word}.** {}", gate.sprint, escaped(&sentence(&gate.reason)))));
    }
    page.push(Block::Details(
        "Dev scores from iteration to iteration".into(),
        vec![Block::Figure(Chart::Trajectory, "Mean dev score of every version, with the gates".into())],
    ));
}

fn failure_modes(page: &mut Vec<Block>, data: &DataJson) {
    let Some(modes) = &data.failure_modes else { return };
    page.push(Block::Heading("Failure modes".into()));
    let answers = modes.answers_per_arm.map_or_else(String::new, |n| format!(" ({} per arm)", count(n)));
    page.push(Block::Paragraph(format!(
        "Per 100 answers on test{answers}, and the change against {}; a wrong answer may carry several.",
        baseline(data)
    )));
    let tested: Vec<&Arm> = data.arms.iter().filter(|a| modes.test_set_rates.contains_key(&a.id)).collect();
    let heads: Vec<String> = tested.iter().map(|a| format!("#{}", code(&a.id))).collect();
    let mut table = Table::new(["mode", "#weight"].into_iter().chain(heads.iter().map(String::as_str)));
    for mode in &modes.categories {
        let mut row = vec![
            format!("{} ({})", code(&mode.id), escaped(&mode.name)),
            mode.severity_weight.map_or_else(|| "-".into(), plain_number),
        ];
        for arm in &tested {
            let found = modes.test_set_rates.get(&arm.id).and_then(|m| m.get(&mode.id));
            row.push(match found.map(|f| (f.rate, f.change)) {
                Some((rate, Some(change))) => format!("{:.1} ({})", rate * 100.0, pp(change)),
                Some((rate, None)) => format!("{:.1}", rate * 100.0),
                None => "-".into(),
            });
        }
        table.row(row);
    }
    page.push(Block::Table(table));
    page.push(Block::Details(
        "Failure modes drawn".into(),
        vec![Block::Figure(Chart::FailureModes, "Errors per 100 answers by registered failure mode".into())],
    ));
}

fn severity(page: &mut Vec<Block>, data: &DataJson) {
    let Some(severity) = &data.severity else { return };
    page.push(Block::Heading("Weighted by stake".into()));
    let cap = severity.cap.map_or_else(String::new, |c| format!(", capped at {}", plain_number(c)));
    page.push(Block::Paragraph(format!("Each row counts by the size of its `{}`{cap}.", severity.field)));
    let mut table = Table::new(["arm", "#effect, pp", "#weighted by stake, pp [interval]", "same direction"]);
    for arm in &data.verdict.per_arm {
        let (Some(plain), Some(weighted)) = (data.effect_sizes.get(&arm.arm), severity.effect_sizes.get(&arm.arm))
        else {
            continue;
        };
        let same = plain.aggregate.delta * weighted.delta > 0.0 || plain.aggregate.delta == weighted.delta;
        let same = if same { "yes" } else { "**no**" };
        table.row([code(&arm.arm), pp(plain.aggregate.delta), interval(weighted), same.to_owned()]);
    }
    page.push(Block::Table(table));
}

fn cost(page: &mut Vec<Block>, data: &DataJson) {
    page.push(Block::Heading("Cost and latency".into()));
    if data.arms.iter().all(|a| a.cost.is_none()) {
        page.push(Block::Paragraph("No arm reported a cost.".into()));
    } else {
        page.push(Block::Paragraph("On test; first calls of a pass, which meet cold caches, stand apart.".into()));
    }
    let mut table = Table::new([
        "arm",
        "#per 1,000 rows",
        "#against the baseline",
        "#first call",
        "#tokens in, out",
        "#latency p50, p95, ms",
    ]);
    for arm in data.arms.iter().filter(|a| a.test_score.is_some()) {
        let dash = || "-".to_owned();
        let cost = arm.cost.unwrap_or_default();
        let tokens = arm.tokens.unwrap_or_default();
        let whole = |v: Option<f64>| v.map_or_else(dash, |v| format!("{v:.0}"));
        let latency = arm.latency.unwrap_or_default();
        table.row([
            code(&arm.id),
            arm.cost_per_1k_usd.map_or_else(dash, usd),
            match (cost.per_1k_difference_usd, cost.relative_difference) {
                (Some(d), Some(r)) => format!("{}{} ({}%)", if d > 0.0 { "+" } else { "" }, usd(d), pp(r)),
                _ => dash(),
            },
            cost.first_call_mean_usd.map_or_else(dash, usd),
            format!("{}, {}", whole(tokens.input_mean), whole(tokens.output_mean)),
            format!("{}, {}", whole(latency.p50_ms), whole(latency.p95_ms)),
        ]);
    }
    page.push(Block::Table(table));
    page.push(Block::Figure(Chart::CostVsAccuracy, "Cost against test score, with the Pareto frontier".into()));
}

/// One question that the figures raise; never a call for more iterations.
fn next_question(data: &DataJson) -> String {
    match (data.verdict.outcome, winner(data)) {
        (Some(Outcome::Ship), Some(arm)) => mixed_arm(data, arm).unwrap_or_else(|| remaining_errors(data, arm)),
        (Some(Outcome::Scope), Some(arm)) => match worst_open_slice(data, arm) {
            Some((slice, e)) => format!(
                "What is different about {}, where {} measures {} pp and its floor is not shown?",
                escaped(slice),
                code(&arm.arm),
                interval(e)
            ),
            None => format!("Does {} hold outside {}, on fresh rows?", code(&arm.arm), slices(&arm.slices)),
        },
        (Some(Outcome::Underpowered), _) => {
            let open = data.verdict.per_arm.iter().filter(|a| a.outcome == Outcome::Underpowered);
            match open.filter_map(|a| Some((a.rows_needed?, a))).min_by_key(|(n, _)| *n) {
                Some((n, arm)) => format!(
                    "Does {} pass the same rule on about {} fresh test rows, the number that would settle it if the truth is what was observed?",
                    code(&arm.arm),
                    count(n)
                ),
                None => "Which smaller claim, with a threshold that this volume of rows can resolve, is worth knowing?"
                    .to_owned(),
            }
        }
        _ => {
            let expected = data.experiment.hypothesis.as_deref().map_or_else(String::new, |h| {
                format!(" now that this one is ruled out: \"{}\"", escaped(h.trim().trim_end_matches('.')))
            });
            format!("Which other mechanism would move *{}*,{expected}?", escaped(&data.experiment.metric))
        }
    }
}

/// Another arm that is shown to win in one slice and loses in another: is its change worth having there?
fn mixed_arm(data: &DataJson, winner: &ArmVerdict) -> Option<String> {
    data.verdict.per_arm.iter().filter(|a| a.arm != winner.arm).find_map(|arm| {
        let effects = &data.effect_sizes.get(&arm.arm)?.per_slice;
        let (won, gain) = effects
            .iter()
            .filter(|(_, e)| e.lower_bound.is_some_and(|l| l > 0.0))
            .max_by(|a, b| a.1.delta.total_cmp(&b.1.delta))?;
        let (lost, loss) = worst_open_slice(data, arm)?;
        Some(format!(
            "{} gains in {} ({} pp) and loses in {} ({} pp): confined to {}, does its change add anything on top of {}?",
            code(&arm.arm),
            escaped(won),
            pp(gain.delta),
            escaped(lost),
            pp(loss.delta),
            escaped(won),
            code(&winner.arm)
        ))
    })
}

fn worst_open_slice<'a>(data: &'a DataJson, arm: &'a ArmVerdict) -> Option<(&'a str, &'a Effect)> {
    let effects = &data.effect_sizes.get(&arm.arm)?.per_slice;
    let open = arm.floor_open.iter().filter_map(|id| Some((id.as_str(), effects.get(id)?)));
    open.min_by(|a, b| a.1.delta.total_cmp(&b.1.delta))
}

fn remaining_errors(data: &DataJson, arm: &ArmVerdict) -> String {
    let load = |mode: &FailureCategory| {
        let rates = data.failure_modes.as_ref().and_then(|m| m.test_set_rates.get(&arm.arm));
        rates.and_then(|r| r.get(&mode.id)).map_or(0.0, |f| f.rate) * mode.severity_weight.unwrap_or(1.0)
    };
    let modes = data.failure_modes.iter().flat_map(|m| &m.categories).filter(|m| load(m) > 0.0);
    let errors = match modes.max_by(|a, b| load(a).total_cmp(&load(b))) {
        Some(mode) => format!("{} errors", code(&mode.id)),
        None => "errors".to_owned(),
    };
    format!(
        "With {} as the baseline, which single change addresses the cause of its remaining {errors}?",
        code(&arm.arm)
    )
}

fn limits(page: &mut Vec<Block>, data: &DataJson) {
    page.push(Block::Heading("Limits and disclosures".into()));
    let mut points: Vec<String> =
        data.disclosures.iter().map(|d| format!("{} ({})", prose(&sentence(&d.text)), code(&d.id))).collect();
    for (arm, found) in data.dev_to_test.iter().filter(|(_, f)| !f.raised) {
        points.push(format!(
            "{}: {} pp on dev, {} pp on test. The drop of {} pp is within twice its standard error of {:.1} pp, so no sign of overfitting.",
            code(arm),
            pp(found.dev_effect),
            pp(found.test_effect),
            pp(found.drop),
            found.noise * 100.0
        ));
    }
    if let (Some(sample), Some(splits)) = (&data.sample, data.splits) {
        points.push(format!(
            "{} of {} rows of the source were used: {} train, {} dev, {} sealed test. The verdict speaks of rows like these.",
            count(sample.sampled),
            count(sample.source_rows),
            count(splits.train),
            count(splits.dev),
            count(splits.test)
        ));
    }
    page.push(Block::List(points));
    let cells = data.sample.as_ref().map(|s| &s.distribution[..]).unwrap_or_default();
    if cells.is_empty() {
        return;
    }
    let mut table = Table::new(["column", "value", "#production", "#sample", "#gap, pp", "#train", "#dev", "#test"]);
    for c in cells {
        table.row([
            escaped(&c.column),
            escaped(&c.value),
            percent(c.production_share),
            percent(c.sample_share),
            pp(c.gap),
            count(c.splits.train),
            count(c.splits.dev),
            count(c.splits.test),
        ]);
    }
    page.push(Block::Details("Sample against production".into(), vec![Block::Table(table)]));
}

fn audit(page: &mut Vec<Block>, data: &DataJson) {
    if data.audit.is_empty() {
        return;
    }
    let all = |s: AuditStatus| data.audit.iter().filter(|l| l.status == s).count();
    let mut table = Table::new(["", "guard", "what proves it", "#ledger entry"]);
    for line in &data.audit {
        let mark = match line.status {
            AuditStatus::Passed => "passed",
            AuditStatus::Disclosed => "**disclosed**",
            AuditStatus::NotApplicable => "n/a",
            AuditStatus::Pending => "pending",
            AuditStatus::NotEnforced => "not enforced",
        };
        table.row([
            mark.to_owned(),
            code(&line.guard),
            prose(&line.evidence),
            line.entry.map_or_else(String::new, |e| e.to_string()),
        ]);
    }
    page.push(Block::Details(
        format!(
            "Discipline, from the ledger: {} passed, {} disclosed, {} not applicable, {} not enforced by this version",
            all(AuditStatus::Passed),
            all(AuditStatus::Disclosed),
            all(AuditStatus::NotApplicable),
            all(AuditStatus::NotEnforced) + all(AuditStatus::Pending),
        ),
        vec![Block::Table(table)],
    ));
}
