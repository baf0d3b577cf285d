//! `frame`: write or replace the draft.

use super::{Move, permit};
use crate::event::Event;
use crate::frame::{ArmRole, ArmSpec, Frame, Origin, QuestionKind, ScorerKind};
use crate::guards::{GuardId, Rejection};
use crate::ids::ExperimentId;
use crate::rule::Objective;
use crate::state::State;
use std::collections::{BTreeMap, BTreeSet};

/// Write or replace the draft.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Id of the experiment (kept when a draft is replaced).
    pub id: ExperimentId,
    /// The draft.
    pub frame: Frame,
    /// What the shell found at the arms' references, by arm id.
    pub references: BTreeMap<String, ReferenceFound>,
}

/// What stands at an arm's reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceFound {
    /// Not of the form `path:line`: a version or an endpoint.
    NotAFile,
    /// The file exists and has that many lines.
    Lines(u64),
    /// No such file in the project.
    Missing,
}

pub(super) fn decide(state: &State, command: Draft) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::Draft)?;
    let mut rejection = Rejection::default();
    check(&command.frame, &command.references, &mut rejection);
    rejection.or(vec![Event::FrameDrafted { id: command.id, frame: Box::new(command.frame) }])
}

/// Every rule that a frame can break by itself.
pub(super) fn check(frame: &Frame, references: &BTreeMap<String, ReferenceFound>, out: &mut Rejection) {
    check_words(frame, out);
    check_arms(frame, references, out);
    check_metric(frame, out);
    check_taxonomy(frame, out);
    check_rule(frame, out);
    check_source(frame, out);
}

fn acknowledged(frame: &Frame, guard: GuardId) -> bool {
    frame.acknowledged.get(guard.name()).is_some_and(|r| r.trim().chars().count() >= 20)
}

fn is_slug(text: &str, longest: usize, underscore: bool) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || (underscore && b == b'_'))
        && !text.starts_with('-')
}

fn check_words(frame: &Frame, out: &mut Rejection) {
    if !is_slug(&frame.topic, 48, false) {
        out.problem(
            "topic",
            "the topic is not a slug",
            "Use 1 to 48 of a-z, 0-9 and `-`, for example `tx-classifier`.",
        );
    }
    for (at, text) in [("question", &frame.question), ("hypothesis", &frame.hypothesis)] {
        if text.trim().chars().count() < 10 {
            out.problem(
                at,
                format!("the {at} is missing or shorter than 10 characters"),
                "Write it out in the person's words.",
            );
        }
    }
    for key in frame.acknowledged.keys() {
        let known = ["negative-control", "severity-declared", "powered-design", "reflect-distribution"];
        if !known.contains(&key.as_str()) {
            out.problem(
                format!("acknowledged.{key}"),
                "this guard cannot be waived by acknowledgement",
                format!("Only these can: {}.", known.join(", ")),
            );
        }
    }
}

fn check_arms(frame: &Frame, references: &BTreeMap<String, ReferenceFound>, out: &mut Rejection) {
    let n = frame.arms.len();
    if !(1..=3).contains(&n) {
        out.refuse(
            GuardId::NamedCandidates,
            "`frame`",
            format!("the frame names {n} candidate arms beside the baseline; 1 to 3 are needed"),
        );
    }
    let mut ids = BTreeSet::new();
    for arm in frame.all_arms() {
        let at = format!("arm `{}`", arm.id);
        if !is_slug(arm.id.as_str(), 32, true) {
            out.problem(&at, "the id is not a slug", "Use 1 to 32 of a-z, 0-9, `-` and `_`.");
        }
        if !ids.insert(arm.id.clone()) {
            out.refuse(GuardId::NamedCandidates, "`frame`", format!("two arms have the id `{}`", arm.id));
        }
        if arm.command.is_empty() || arm.command[0].trim().is_empty() {
            out.problem(
                &at,
                "no command is given",
                "Give the program and its arguments as a list, for example [\"python3\", \"arm.py\"].",
            );
        }
        if arm.command.iter().chain(&arm.prepare).any(|a| a.contains('\0')) {
            out.problem(&at, "an argument holds a NUL character", "Remove it.");
        }
        if frame
            .arms
            .iter()
            .filter(|a| a.command == arm.command && a.files == arm.files && a.prepare == arm.prepare)
            .count()
            > 1
        {
            out.problem(
                &at,
                "another arm has the same command and files",
                "Arms that do not differ answer no question: remove one.",
            );
        }
        check_reference(arm, arm.id == frame.baseline.id, references, out);
    }
    for arm in &frame.arms {
        if arm.change.trim().chars().count() < 10 {
            out.refuse(
                GuardId::OneChangePerArm,
                format!("arm `{}`", arm.id),
                format!(
                    "its change is stated in {} characters; say in a sentence what the one change is",
                    arm.change.trim().chars().count()
                ),
            );
        }
    }
    if frame.baseline.role == ArmRole::NegativeControl {
        out.problem("baseline.role", "the baseline cannot be the negative control", "Leave the role out.");
    }
    let controls = frame.arms.iter().filter(|a| a.role == ArmRole::NegativeControl).count();
    if n > 0 && controls == n {
        out.refuse(
            GuardId::NamedCandidates,
            "`frame`",
            format!("all {n} arms are negative controls, so nothing could ship"),
        );
    }
    if frame.kind == QuestionKind::Model && controls == 0 && !acknowledged(frame, GuardId::NegativeControl) {
        out.refuse(
            GuardId::NegativeControl,
            "`frame` of kind `model`",
            "none of the arms is a negative control and no reason of 20 characters or more is given",
        );
    }
}

fn check_reference(arm: &ArmSpec, baseline: bool, references: &BTreeMap<String, ReferenceFound>, out: &mut Rejection) {
    let placeholder = ["", "-", "n/a", "na", "none", "todo", "tbd", "unknown", "current", "baseline"];
    let text = arm.reference.trim();
    let found = references.get(arm.id.as_str()).copied().unwrap_or(ReferenceFound::NotAFile);
    let why = match (arm.reference_file(), found) {
        _ if placeholder.contains(&text.to_lowercase().as_str()) => {
            "its reference says nothing of what is deployed".to_owned()
        }
        (Some((path, _)), ReferenceFound::Missing) => {
            format!("its reference names `{path}`, which is not a file of the project")
        }
        (Some((path, line)), ReferenceFound::Lines(lines)) if line == 0 || line > lines => {
            format!("its reference names line {line} of `{path}`, which has {lines} lines")
        }
        _ => return,
    };
    if baseline {
        out.refuse(GuardId::RealBaseline, "baseline", why);
    } else {
        out.problem(format!("arm `{}`", arm.id), why, "Set `reference` to `path:line`, a version or an endpoint.");
    }
}

fn check_metric(frame: &Frame, out: &mut Rejection) {
    if frame.secondary.len() > 2 {
        out.refuse(
            GuardId::OnePrimaryMetric,
            "`frame`",
            format!("{} secondary metrics are registered; at most 2 are allowed", frame.secondary.len()),
        );
    }
    let metric = &frame.metric;
    if metric.name.trim().is_empty() || metric.stake.trim().chars().count() < 10 {
        out.refuse(GuardId::OnePrimaryMetric, "`frame`", "the primary metric lacks a name or the stake it stands for");
    }
    let scorer = &metric.scorer;
    match scorer.kind {
        ScorerKind::Json if scorer.fields.is_empty() => {
            out.refuse(
                GuardId::OnePrimaryMetric,
                "`frame`",
                "the `json` scorer names no fields, so no row can be scored",
            );
        }
        ScorerKind::Json => {}
        ScorerKind::Regex if scorer.pattern.is_none() => {
            out.refuse(
                GuardId::OnePrimaryMetric,
                "`frame`",
                "the `regex` scorer has no pattern, so no row can be scored",
            );
        }
        ScorerKind::Regex => {}
        _ if scorer.label.is_none() => {
            out.refuse(
                GuardId::OnePrimaryMetric,
                "`frame`",
                "the scorer names no label column, so no row can be scored",
            );
        }
        _ => {}
    }
    if let Some(v) = metric.baseline_value
        && !(0.0..=1.0).contains(&v)
    {
        out.problem("metric.baseline_value", format!("{v} is not within 0..1"), "Give it as a fraction.");
    }
    if frame.trials < 3 {
        out.refuse(
            GuardId::ThreeTrials,
            "`frame`",
            format!("{} trial(s) are registered; at least 3 are needed", frame.trials),
        );
    }
    if frame.trials > 50 {
        out.problem(
            "trials",
            format!("{} trials are registered", frame.trials),
            "More than 5 trials buy little: add rows instead; at most 50 are allowed.",
        );
    }
}

fn check_taxonomy(frame: &Frame, out: &mut Rejection) {
    let modes = &frame.failure_modes;
    if !(3..=5).contains(&modes.len()) {
        out.refuse(
            GuardId::TaxonomyLocked,
            "`frame`",
            format!("{} failure modes are registered; 3 to 5 are needed", modes.len()),
        );
    }
    let mut ids = BTreeSet::new();
    for mode in modes {
        if !is_slug(&mode.id, 32, true) || !ids.insert(&mode.id) {
            out.problem(
                format!("failure mode `{}`", mode.id),
                "the id is not a slug or is used twice",
                "Use 1 to 32 of a-z, 0-9, `-` and `_`, each once.",
            );
        }
        if !(mode.weight > 0.0 && mode.weight.is_finite()) {
            out.refuse(
                GuardId::TaxonomyLocked,
                format!("failure mode `{}`", mode.id),
                format!("its weight is {}; it must be above 0", mode.weight),
            );
        }
    }
}

fn check_rule(frame: &Frame, out: &mut Rejection) {
    if let Err(error) = frame.rule().validate() {
        out.problem(
            "ship_rule",
            error.to_string(),
            "Give `min_effect_pp` and `loss_floor_pp` in percentage points, for example 5 and 2.",
        );
    }
    if frame.ship_rule.objective == Objective::NonInferiority && frame.ship_rule.required_gain.is_none() {
        out.problem(
            "ship_rule.required_gain",
            "a non-inferiority question must say what is gained",
            "Register the gain in cost or latency that must be proven, for example {\"metric\": \"cost\", \"min_reduction\": 0.3}.",
        );
    }
    let limits = &frame.limits;
    if !(1..=64).contains(&limits.parallel) {
        out.problem(
            "limits.parallel",
            format!("{} is not within 1..64", limits.parallel),
            "Set it to the number of calls your provider takes at once.",
        );
    }
    if !(limits.timeout_s > 0.0 && limits.timeout_s <= 3600.0) {
        out.problem(
            "limits.timeout_s",
            format!("{} is not within 0..3600", limits.timeout_s),
            "Give seconds per call.",
        );
    }
    if limits.max_output_bytes == 0 || limits.max_output_bytes > 64 << 20 {
        out.problem("limits.max_output_bytes", "not within 1 byte and 64 MiB", "Leave it out for 1 MiB.");
    }
    if limits.max_cost_usd.is_some_and(|c| !(c > 0.0 && c.is_finite())) {
        out.problem("limits.max_cost_usd", "not above 0", "Leave it out for no cap.");
    }
    if let Some(s) = &frame.severity
        && !(s.cap > 0.0 && s.cap.is_finite())
    {
        out.problem("severity.cap", "not above 0", "Give the largest stake that counts, in the column's units.");
    }
}

fn check_source(frame: &Frame, out: &mut Rejection) {
    let source = &frame.source;
    if source.provenance.origin == Origin::MadeUp {
        out.refuse(GuardId::Provenance, "`frame`", "the labels were made up for the occasion");
    }
    if source.provenance.statement.trim().chars().count() < 20 {
        out.refuse(
            GuardId::Provenance,
            "`frame`",
            format!(
                "the statement of provenance has {} characters; say in a sentence where rows and labels come from",
                source.provenance.statement.trim().chars().count()
            ),
        );
    }
    let split = &frame.split;
    let parts = [split.train, split.dev, split.test];
    if parts.iter().any(|p| !(*p > 0.0 && *p < 1.0)) || (parts.iter().sum::<f64>() - 1.0).abs() > 1e-6 {
        out.problem(
            "split",
            "the shares of train, dev and test must be above 0 and sum to 1",
            "Leave it out for 0.3, 0.5 and 0.2.",
        );
    }
    if source.entity.is_some() && source.entity_cap == 0 {
        out.problem("source.entity_cap", "a cap of 0 leaves no row", "Leave it out for 3.");
    }
    let truth = frame.truth_columns();
    for column in &source.inputs {
        if truth.contains(&column.as_str()) {
            out.problem(
                "source.inputs",
                format!("column `{column}` holds the truth and would be shown to the arms"),
                "Remove it from `inputs`.",
            );
        }
    }
    for column in source.slices.iter().chain(&source.strata) {
        if column.trim().is_empty() {
            out.problem("source.slices", "a column name is empty", "Name columns as in the file's header.");
        }
    }
    for (column, mix) in &source.production_mix {
        let sum: f64 = mix.values().sum();
        if !source.slices.contains(column) {
            out.problem(
                format!("source.production_mix.{column}"),
                "this column is not a registered slice",
                "Register it under `source.slices`, or remove it.",
            );
        }
        if mix.values().any(|v| v.is_nan() || *v < 0.0) || (sum - 1.0).abs() > 0.02 {
            out.problem(
                format!("source.production_mix.{column}"),
                format!("the shares sum to {sum:.3}"),
                "Give fractions that sum to 1.",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testkit::{Bench, frame, references};
    use crate::command::{Command, draft::Draft, draft::ReferenceFound};
    use crate::frame::{ArmRole, Frame, Origin, QuestionKind};
    use crate::guards::GuardId as G;
    use crate::ids::{ArmId, ExperimentId};

    fn draft_of(change: impl Fn(&mut Frame)) -> Command {
        let mut frame = frame();
        change(&mut frame);
        Command::Draft(Draft { id: ExperimentId::from("x"), frame, references: references() })
    }

    #[test]
    fn given_nothing_when_a_sound_frame_is_drafted_then_it_is_kept() {
        let bench = Bench::default().given(draft_of(|_| {}));
        assert_eq!(bench.state.frame, Some(frame()));
    }

    #[test]
    fn each_rule_of_the_frame_refuses_its_breach() {
        type Breach = (G, fn(&mut Frame));
        let breaches: [Breach; 19] = [
            (G::NamedCandidates, |f| f.arms.clear()),
            (G::NamedCandidates, |f| {
                f.arms = (0..4)
                    .map(|i| {
                        let mut a = f.arms[0].clone();
                        a.id = ArmId(format!("a{i}"));
                        a.command.push(i.to_string());
                        a
                    })
                    .collect();
            }),
            (G::NamedCandidates, |f| f.arms[0].id = ArmId::from("base")),
            (G::NamedCandidates, |f| f.arms[0].role = ArmRole::NegativeControl),
            (G::RealBaseline, |f| f.baseline.reference = "TODO".into()),
            (G::RealBaseline, |f| f.baseline.reference = " ".into()),
            (G::RealBaseline, |f| f.baseline.reference = "prompts/base.txt:4".into()),
            (G::RealBaseline, |f| f.baseline.reference = "prompts/base.txt:0".into()),
            (G::OneChangePerArm, |f| f.arms[0].change = String::new()),
            (G::NegativeControl, |f| f.kind = QuestionKind::Model),
            (G::OnePrimaryMetric, |f| f.metric.scorer.label = None),
            (G::OnePrimaryMetric, |f| f.metric.stake = String::new()),
            (G::TaxonomyLocked, |f| f.failure_modes.truncate(2)),
            (G::TaxonomyLocked, |f| f.failure_modes[0].weight = 0.0),
            (G::TaxonomyLocked, |f| f.failure_modes[0].weight = f64::NAN),
            (G::ThreeTrials, |f| f.trials = 2),
            (G::ThreeTrials, |f| f.trials = 0),
            (G::Provenance, |f| f.source.provenance.origin = Origin::MadeUp),
            (G::Provenance, |f| f.source.provenance.statement = "prod".into()),
        ];
        for (guard, breach) in breaches {
            let refused = Bench::default().refused(draft_of(breach));
            assert!(refused.contains(&guard), "{guard}: {refused:?}");
        }
    }

    #[test]
    fn all_breaches_are_named_at_once() {
        let refused = Bench::default().refused(draft_of(|f| {
            f.arms.clear();
            f.trials = 1;
            f.failure_modes.clear();
        }));
        assert_eq!(refused, [G::NamedCandidates, G::ThreeTrials, G::TaxonomyLocked]);
    }

    #[test]
    fn a_baseline_file_that_is_missing_is_refused() {
        let mut references = references();
        references.insert("base".into(), ReferenceFound::Missing);
        let command = Command::Draft(Draft { id: ExperimentId::from("x"), frame: frame(), references });
        assert_eq!(Bench::default().refused(command), [G::RealBaseline]);
    }

    #[test]
    fn truth_shown_to_an_arm_is_a_problem() {
        let rejection = Bench::default().when(draft_of(|f| f.source.inputs = vec!["code".into()])).unwrap_err();
        assert!(rejection.problems[0].what.contains("holds the truth"));
    }

    #[test]
    fn given_a_locked_frame_when_it_is_drafted_again_then_it_stays() {
        assert_eq!(Bench::framed().refused(draft_of(|f| f.ship_rule.min_effect_pp = 1.0)), [G::FrameFrozen]);
    }
}
