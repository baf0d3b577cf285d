//! The guard registry: one static list from which refusals, the self-audit, the documentation page
//! and the skill's reference are all produced.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Stage of the loop a guard belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GuardStage {
    /// Question, candidates, metric and rule.
    Frame,
    /// Rows, splits and sealing.
    Source,
    /// Pilot and passes.
    Score,
    /// Changes, sprints and gates.
    Iterate,
    /// The sealed test and what follows from it.
    Verdict,
}

impl GuardStage {
    /// Heading for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Frame => "Frame",
            Self::Source => "Source",
            Self::Score => "Score",
            Self::Iterate => "Iterate",
            Self::Verdict => "Verdict",
        }
    }
}

/// How a guard is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforcement {
    /// The call fails and nothing changes.
    Refuse,
    /// The move is allowed and its cost is paid at once.
    Demote,
    /// The engine does it; no argument lets a caller differ.
    Compute,
    /// It cannot be prevented from here; it is detected or asked, and printed.
    Disclose,
    /// Refused without a statement; what was stated is printed.
    RefuseAndDisclose,
}

impl Enforcement {
    /// The word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Demote => "demote",
            Self::Compute => "compute",
            Self::Disclose => "disclose",
            Self::RefuseAndDisclose => "refuse, disclose",
        }
    }
}

/// One rule of the discipline.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    /// Which one.
    pub id: GuardId,
    /// Stage it belongs to.
    pub stage: GuardStage,
    /// How it is enforced.
    pub how: Enforcement,
    /// Whether this version enforces it; the audit never ticks one that is not.
    pub enforced: bool,
    /// The rule in one sentence.
    pub rule: &'static str,
    /// Why it exists.
    pub why: &'static str,
    /// What to do instead of the forbidden move.
    pub remedy: &'static str,
}

macro_rules! guards {
    ($($variant:ident $name:literal $stage:ident $how:ident $enforced:literal
        rule: $rule:literal why: $why:literal remedy: $remedy:literal;)*) => {
        /// The stable id of a guard.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum GuardId {
            $(#[doc = $rule] #[serde(rename = $name)] $variant,)*
        }

        impl GuardId {
            /// The public name, for example `pilot-first`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        /// Every guard, in the order of the loop.
        pub static GUARDS: &[Guard] = &[
            $(Guard {
                id: GuardId::$variant,
                stage: GuardStage::$stage,
                how: Enforcement::$how,
                enforced: $enforced,
                rule: $rule,
                why: $why,
                remedy: $remedy,
            },)*
        ];
    };
}

guards! {
    FrameFirst "frame-first" Frame Refuse true
        rule: "No row is read before a frame is locked."
        why: "A question written after looking at rows is a question the rows chose."
        remedy: "Write the frame with `frame`, let the person confirm it, then call `lock_frame`.";
    FrameFrozen "frame-frozen" Frame Refuse true
        rule: "After the lock, question, arms, metric, taxonomy, severity and ship rule do not change."
        why: "A threshold that moves once scores are known decides nothing."
        remedy: "Go on under the registered frame, or call `abandon` with the reason and frame anew on fresh rows.";
    NamedCandidates "named-candidates" Frame Refuse true
        rule: "One baseline and one to three arms, named by the person."
        why: "An engine that invents its own candidates grades its own idea, and every further arm raises the chance of a lucky winner."
        remedy: "Ask the person for the concrete candidates; keep the strongest three.";
    RealBaseline "real-baseline" Frame Refuse true
        rule: "The baseline references what is deployed: a file and line, a version or an endpoint; a referenced file must exist."
        why: "Beating a strawman says nothing of production."
        remedy: "Set `baseline.reference` to `path:line` of the deployed file, or to its version or endpoint.";
    OneChangePerArm "one-change-per-arm" Frame RefuseAndDisclose true
        rule: "Each arm states the one thing it changes against the baseline; its diff is kept and shown."
        why: "With two changes at once a gain has two explanations and a loss hides one."
        remedy: "State the one change in `arms[].change`; split bundled changes into separate arms.";
    NegativeControl "negative-control" Frame RefuseAndDisclose true
        rule: "A question of model or logic carries a control arm that is expected not to move, or a reason why not."
        why: "If the control moves too, the lever is context and not capability."
        remedy: "Add an arm with `role: negative_control`, or put a reason under `acknowledged[\"negative-control\"]`.";
    OnePrimaryMetric "one-primary-metric" Frame Refuse true
        rule: "One primary metric, at most two secondary ones, all computable per row."
        why: "With many metrics one of them always improves."
        remedy: "Keep the metric closest to the stake as primary and at most two others as secondary.";
    DeterministicFirst "deterministic-first" Frame Refuse true
        rule: "A judge is accepted only with a reason why no deterministic scorer serves."
        why: "Exact scoring removes judge bias, rubric drift and cross-checks at a stroke."
        remedy: "Use a deterministic scorer: exact, normalized, numeric, regex, contains, set or json.";
    RubricLocked "rubric-locked" Frame Refuse false
        rule: "The judge's rubric, model and family are part of the frame's hash."
        why: "A rubric written after outputs are seen is fitted to them."
        remedy: "Register the rubric, the model and its family with the frame.";
    TaxonomyLocked "taxonomy-locked" Frame Refuse true
        rule: "Three to five failure modes with weights are registered with the metric."
        why: "Two arms with equal scores can fail in ways of very different cost."
        remedy: "Register three to five failure modes, each with a weight above 0; keep a mode found later for the next experiment.";
    SeverityDeclared "severity-declared" Frame Refuse true
        rule: "Where the stake of rows varies by more than five times, a severity weight is registered."
        why: "An average over rows of unequal stake hides the rows that matter."
        remedy: "Abandon, and register `severity` (column and cap), or a reason under `acknowledged[\"severity-declared\"]`.";
    PoweredDesign "powered-design" Frame Refuse true
        rule: "The frame shows its operating characteristics; a design that cannot reach the registered power is refused unless acknowledged."
        why: "A test that cannot see the effect costs as much as one that can and answers nothing."
        remedy: "Use more rows, a larger test share or fewer slices (see `plan`), or put a reason under `acknowledged[\"powered-design\"]`; it is printed with the verdict.";

    Provenance "provenance" Source Refuse true
        rule: "Rows come from production, or from a generator with a known source of truth."
        why: "Labels made up for the occasion measure the one who made them up."
        remedy: "Name the production log, or the generator and how it knows the truth, in `source.provenance`.";
    LabelNoiseAudit "label-noise-audit" Source Refuse false
        rule: "Before a score is believed, rows that the baseline fails are checked for label noise."
        why: "Wrong labels punish the arm that is right."
        remedy: "Record the judgement on the listed rows with `label_audit`.";
    ReflectDistribution "reflect-distribution" Source Refuse true
        rule: "Entity caps follow production, no entity holds more than a third of the sample, and the sample is compared with the production mix."
        why: "A cleaned sample answers for customers that do not exist."
        remedy: "Add rows of other entities, or raise the sample; gaps are repaired by post-stratification to the production mix.";
    StratifiedSplit "stratified-split" Source Refuse true
        rule: "Every slice and registered failure stratum is present in every split, in the test with at least 12 rows per slice."
        why: "A test without the rows that the question is about has no power to answer it."
        remedy: "Source more rows of the missing slice, merge slices that are too small, or raise the test share, in a new frame.";
    NoLeakage "no-leakage" Source Compute true
        rule: "Duplicates, and rows of one cluster, never straddle splits."
        why: "A test row whose twin was tuned on is not a test."
        remedy: "Nothing to do: linked rows are kept together.";
    SealedTest "sealed-test" Source Compute true
        rule: "Test rows are encrypted at rest and never returned by any tool, resource, log or error."
        why: "A peeked row is a tuned-on row."
        remedy: "Read train rows with `read_rows`; the test is opened once, by `open_test`.";
    SourceFenced "source-fenced" Source Disclose true
        rule: "Once sealed, the agent's own file and shell tools are denied the source and the vault; elsewhere the missing fence is disclosed."
        why: "A sealed test that is one `grep` away is not sealed."
        remedy: "Install the editor hook; without it the conclusion says that the fence was absent.";
    PeekDemotes "peek-demotes" Source Demote true
        rule: "A dev row whose content is revealed moves to train at once; a test row cannot be revealed."
        why: "What has been read can be tuned on."
        remedy: "Read train rows instead; they cost nothing.";
    SmallSampleFolds "small-sample-folds" Source Compute false
        rule: "Under 50 rows, dev is cross-validated in stratified folds; the test stays sealed."
        why: "A handful of dev rows is noise."
        remedy: "Source at least 50 rows.";

    PilotFirst "pilot-first" Score Refuse true
        rule: "One train row goes through every arm with every field populated before any dev row is scored."
        why: "A placeholder, an empty output or a missing cost found after a thousand calls cost a thousand calls."
        remedy: "Call `pilot`, read every field it shows, repair the arm and pilot again.";
    SameInputs "same-inputs" Score Refuse true
        rule: "Every arm gets the same rows, scorer and versions; an arm whose files changed since its snapshot is refused."
        why: "An arm that changes while it is measured is two arms."
        remedy: "Restore the file, or register the change with `propose` and a hypothesis.";
    ThreeTrials "three-trials" Score Refuse true
        rule: "At least three trials for baseline and arms; deterministic arms are detected, not assumed."
        why: "One trial cannot tell a better arm from a lucky one."
        remedy: "Set `trials` to 3 or more.";
    NoiseFloor "noise-floor" Score Compute true
        rule: "An effect below twice its own noise is reported as noise."
        why: "Most small differences are the dice."
        remedy: "Nothing to do: noise and the smallest detectable effect stand beside every effect.";
    MeanNotBest "mean-not-best" Score Compute true
        rule: "Figures are means over all trials; no tool selects a trial."
        why: "The best of three is biased upward by the noise."
        remedy: "Nothing to do: no argument selects a trial.";
    NoEarlyStop "no-early-stop" Score Compute true
        rule: "No score of a pass is shown before the pass is complete."
        why: "Whoever may stop when it looks good will stop when it looks good."
        remedy: "Wait with `score_wait`; it answers progress, and scores once all calls are in.";
    SteadyCost "steady-cost" Score Compute true
        rule: "Cost is the steady-state mean over all calls; the first call of an arm is shown apart."
        why: "A cold cache makes one row cost several times its steady price."
        remedy: "Nothing to do: first-call cost is reported apart.";
    BlindJudge "blind-judge" Score Compute false
        rule: "The judge sees rows in random order under opaque ids, never an arm's name."
        why: "A judge that knows the arm grades the arm."
        remedy: "Nothing to do once judges are registered.";
    CrossJudge "cross-judge" Score Refuse false
        rule: "A judge of a second family re-scores a sample; too little agreement sends the experiment back to a new frame."
        why: "A judge shares the blind spots of its family."
        remedy: "Run `cross_judge`, or use a deterministic scorer.";

    HypothesisFirst "hypothesis-first" Iterate Refuse true
        rule: "No new version is scored without a written hypothesis."
        why: "A change without a prediction cannot be wrong, and so teaches nothing."
        remedy: "Call `propose` with a hypothesis (what should improve, on which rows, by which mechanism) before `score_start`.";
    OneChangePerIteration "one-change-per-iteration" Iterate RefuseAndDisclose true
        rule: "One stated change per iteration; its diff is kept and shown; nothing else of the arm changes."
        why: "Three related changes at once are one unexplained result."
        remedy: "State the one change, and score the others in iterations of their own.";
    OutcomeComputed "outcome-computed" Iterate Compute true
        rule: "Supported, neutral or falsified is computed from dev, not declared."
        why: "Authors see support for their own hypotheses."
        remedy: "Nothing to do: the outcome comes with the pass.";
    SprintCap "sprint-cap" Iterate Refuse true
        rule: "A fourth iteration in one sprint is refused."
        why: "Each keep-if-better step fits dev a little more; three are enough to see whether there is signal."
        remedy: "Call `gate` with the classification of every change of this sprint.";
    GateBetweenSprints "gate-between-sprints" Iterate Refuse true
        rule: "No sprint starts, and no arm is locked, before the last sprint's gate."
        why: "Changes that feel general are where overfitting hides."
        remedy: "Call `gate` with the classification of every change of this sprint.";
    NoHardcodes "no-hardcodes" Iterate Refuse true
        rule: "A change that quotes dev rows, or is not plainly a mechanism, is not kept."
        why: "A rule that wins particular rows wins nothing in production."
        remedy: "Promote the rule to a principle you would have written without the rows, move it into a deterministic component, or let it go.";
    SprintLimit "sprint-limit" Iterate Refuse true
        rule: "A fourth sprint is refused."
        why: "After nine keep-if-better steps the gate itself is suspect."
        remedy: "Lock the arms with `lock_arms`, or abandon.";
    LockLatest "lock-latest" Iterate Compute true
        rule: "The engine locks the latest gate-passed version of each arm; no tool takes a version."
        why: "Choosing the version that scored highest picks the luckiest one."
        remedy: "Call `lock_arms`; it takes no version.";

    ContaminationScan "contamination-scan" Verdict Refuse true
        rule: "Before the test is opened, locked arms are scanned for content of test rows."
        why: "An arm that quotes its exam passes it."
        remedy: "Remove the quoted text from the arm; the rows it came from cannot be in the test, so abandon and reseal on fresh rows.";
    OneTestPass "one-test-pass" Verdict Refuse true
        rule: "The test opens once; an interrupted pass resumes the same work and never restarts."
        why: "A test that may be retaken until it passes always passes."
        remedy: "Go on with `score_wait` until the pass is complete, then call `verdict`.";
    RegisteredRule "registered-rule" Verdict Compute true
        rule: "The verdict is computed from the frame; no tool takes a verdict."
        why: "The one who wants an answer should not be the one who reads it off."
        remedy: "Call `verdict`; it takes nothing but the experiment.";
    SliceFloor "slice-floor" Verdict Compute true
        rule: "An arm that is not shown to hold a slice above the loss floor does not ship there."
        why: "An aggregate winner that loses a customer group is not a winner."
        remedy: "Nothing to do: the verdict names the slices.";
    FailureModeShift "failure-mode-shift" Verdict Compute true
        rule: "An arm that moves errors into the most severe mode does not ship on a tie."
        why: "Fewer errors of a worse kind can cost more."
        remedy: "Nothing to do: the verdict names the mode.";
    SeverityTieBreak "severity-tie-break" Verdict Compute true
        rule: "Where weighted and unweighted readings disagree, the registered tie-break decides and the difference is printed."
        why: "Weights chosen afterwards choose the winner."
        remedy: "Nothing to do: both aggregates are printed.";
    NoPowerNoClaim "no-power-no-claim" Verdict Compute true
        rule: "Without the power to see the effect the verdict is underpowered, not kill."
        why: "Absence of evidence on few rows is not evidence of absence."
        remedy: "Source the number of fresh rows that the verdict names.";
    OverfitAlarm "overfit-alarm" Verdict Compute true
        rule: "A drop from dev to test above twice the noise is printed with the verdict."
        why: "It measures how much of the dev gain was tuning."
        remedy: "Nothing to do: the alarm is printed.";
    Multiplicity "multiplicity" Verdict Compute true
        rule: "With several arms and slices, the family-wise error is controlled."
        why: "Three arms at 5% each are one false winner in seven."
        remedy: "Nothing to do: Holm's procedure is part of the rule.";
    NoIterationAfterVerdict "no-iteration-after-verdict" Verdict Refuse true
        rule: "After the verdict the experiment is closed; the next question needs fresh rows."
        why: "A tweak after the test turns the test into dev."
        remedy: "Ask the next question in a new frame on rows this experiment has not seen.";
    LedgerIntact "ledger-intact" Verdict Refuse true
        rule: "Every tool re-checks the chain it builds on; a broken chain refuses everything but `verify`."
        why: "A record that can be edited proves nothing."
        remedy: "Restore the project's store from a copy, or start a new experiment on fresh rows.";
}

impl GuardId {
    /// The registry's entry.
    ///
    /// # Panics
    /// Never: ids and entries come from one list.
    pub fn guard(self) -> &'static Guard {
        GUARDS.iter().find(|g| g.id == self).expect("every id has its entry")
    }
}

impl fmt::Display for GuardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A forbidden move, refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// Guard that was violated.
    #[serde(rename = "id")]
    pub guard: GuardId,
    /// What was attempted.
    pub attempted: String,
    /// Why it is refused, with the numbers.
    pub why: String,
    /// What to do instead.
    pub remedy: String,
}

impl Refusal {
    /// A refusal with the registry's remedy.
    pub fn new(guard: GuardId, attempted: impl Into<String>, why: impl Into<String>) -> Self {
        Self { guard, attempted: attempted.into(), why: why.into(), remedy: guard.guard().remedy.to_owned() }
    }

    /// The same with a remedy that fits the case better.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

/// Input that breaks no rule of the discipline but cannot be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Where: a field, a file, a stage.
    pub at: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Problem {
    /// A problem.
    pub fn new(at: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { at: at.into(), what: what.into(), remedy: remedy.into() }
    }
}

/// Everything that stands against a command; nothing changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rejection {
    /// Guards that were violated, all of them.
    pub guards: Vec<Refusal>,
    /// Input that cannot be used.
    pub problems: Vec<Problem>,
}

impl Rejection {
    /// Whether nothing stands against the command.
    pub fn is_empty(&self) -> bool {
        self.guards.is_empty() && self.problems.is_empty()
    }

    /// Adds a refusal.
    pub fn refuse(&mut self, guard: GuardId, attempted: impl Into<String>, why: impl Into<String>) {
        self.guards.push(Refusal::new(guard, attempted, why));
    }

    /// Adds a problem.
    pub fn problem(&mut self, at: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem::new(at, what, remedy));
    }

    /// `Ok(value)` if nothing was added.
    ///
    /// # Errors
    /// The rejection itself otherwise.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self { guards: vec![refusal], problems: Vec::new() }
    }
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        Self { guards: Vec::new(), problems: vec![problem] }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut line = |f: &mut fmt::Formatter<'_>, text: String| {
            if !std::mem::take(&mut first) {
                f.write_str("; ")?;
            }
            f.write_str(&text)
        };
        for r in &self.guards {
            line(f, format!("[{}] {} ({}). {}", r.guard, r.why, r.attempted, r.remedy))?;
        }
        for p in &self.problems {
            line(f, format!("{}: {}. {}", p.at, p.what, p.remedy))?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_guard_has_a_distinct_kebab_name_and_whole_sentences() {
        let names: BTreeSet<_> = GUARDS.iter().map(|g| g.id.name()).collect();
        assert_eq!(names.len(), GUARDS.len());
        for guard in GUARDS {
            assert!(guard.id.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            for text in [guard.rule, guard.why, guard.remedy] {
                assert!(text.ends_with('.') && text.len() > 20, "{}: {text}", guard.id);
            }
            assert_eq!(serde_json::to_value(guard.id).unwrap(), guard.id.name());
        }
    }

    #[test]
    fn the_registry_stands_in_the_order_of_the_loop() {
        assert!(GUARDS.windows(2).all(|w| w[0].stage <= w[1].stage));
        assert_eq!(GUARDS.len(), 49);
    }
}
