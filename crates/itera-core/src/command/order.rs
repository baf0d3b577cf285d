//! The order of the loop: which move is allowed at which stage, and which guard refuses it
//! elsewhere.

use crate::guards::{GuardId, Problem, Refusal, Rejection};
use crate::state::{Stage, State, nothing_left};

/// A move on an experiment, before anything is looked up for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Write or replace the draft.
    Draft,
    /// Lock the frame.
    Lock,
    /// Draw, split and seal rows.
    Source,
    /// Run one train row through the arms.
    Pilot,
    /// Start a dev pass.
    Score,
    /// Cancel a dev pass.
    Cancel,
    /// Show differences.
    Diagnose,
    /// Reveal rows.
    ReadRows,
    /// Register a change.
    Propose,
    /// Judge a sprint.
    Gate,
    /// Lock the versions for the test.
    LockArms,
    /// Open the sealed test.
    OpenTest,
    /// Apply the rule.
    Verdict,
    /// Give up.
    Abandon,
}

impl Move {
    /// The tool that makes this move.
    pub fn tool(self) -> &'static str {
        match self {
            Self::Draft => "frame",
            Self::Lock => "lock_frame",
            Self::Source => "source_rows",
            Self::Pilot => "pilot",
            Self::Score => "score_start",
            Self::Cancel => "score_cancel",
            Self::Diagnose => "diagnose",
            Self::ReadRows => "read_rows",
            Self::Propose => "propose",
            Self::Gate => "gate",
            Self::LockArms => "lock_arms",
            Self::OpenTest => "open_test",
            Self::Verdict => "verdict",
            Self::Abandon => "abandon",
        }
    }
}

/// Iterations in a sprint.
pub const SPRINT_CAP: usize = 3;
/// Sprints in an experiment.
pub const SPRINT_LIMIT: usize = 3;

/// Whether a move is allowed now. The shell asks before it looks anything up, and every `decide`
/// asks again.
///
/// # Errors
/// The guard that forbids the move at this stage, with what would be allowed.
pub fn permit(state: &State, wanted: Move) -> Result<(), Rejection> {
    use GuardId as G;
    use Move as M;
    use Stage as S;
    let stage = state.stage;
    let attempted = format!("`{}` at stage `{}`", wanted.tool(), stage.name());
    let refuse = |guard: GuardId, why: String| Err(Refusal::new(guard, attempted.clone(), why).into());
    let order = |what: &str, remedy: &str| {
        Err(Problem::new(format!("stage `{}`", stage.name()), what.to_owned(), remedy.to_owned()).into())
    };

    match (wanted, stage) {
        (_, S::Abandoned) => {
            return order(
                "this experiment was abandoned; nothing can be added to it",
                "Start a new experiment with `frame`, on rows that this one has not seen.",
            );
        }
        // Train rows may still be read after the verdict; everything else is closed.
        (M::ReadRows, S::Concluded) => return Ok(()),
        (_, S::Concluded) => {
            return refuse(
                G::NoIterationAfterVerdict,
                format!(
                    "the verdict of this experiment is `{}` and its sealed test is spent",
                    state.verdict.as_ref().map_or("reached", |v| v.family.outcome.name())
                ),
            );
        }
        _ => {}
    }

    match wanted {
        M::Draft => match stage {
            S::Draft => Ok(()),
            _ => refuse(G::FrameFrozen, locked_under(state)),
        },
        M::Lock => match stage {
            S::Draft if state.frame.is_some() => Ok(()),
            S::Draft => order("there is no draft to lock", "Write one with `frame`."),
            _ => refuse(G::FrameFrozen, locked_under(state)),
        },
        M::Source => match stage {
            S::Draft => refuse(G::FrameFirst, "the frame is still a draft, so no row may be read".into()),
            S::Framed => Ok(()),
            _ => {
                let counts = state.sample.as_ref().map(|s| s.splits).unwrap_or_default();
                Err(Refusal::new(
                    G::SealedTest,
                    attempted,
                    format!(
                        "{} train, {} dev and {} test rows are drawn and sealed already; drawing again would choose among test sets",
                        counts.train, counts.dev, counts.test
                    ),
                )
                .remedy("Go on with the rows that were drawn, or abandon and frame anew.")
                .into())
            }
        },
        M::Pilot => match stage {
            S::Draft => refuse(G::FrameFirst, "the frame is still a draft, so no row may be read".into()),
            S::Framed => order("there are no rows yet", "Draw them with `source_rows`."),
            S::Sourced | S::Piloted | S::Iterating | S::Scored | S::Gated => Ok(()),
            _ => order("the arms are being scored or locked", "Go on with what `next` names."),
        },
        M::Score => match stage {
            S::Draft => refuse(G::FrameFirst, "the frame is still a draft, so no row may be scored".into()),
            S::Framed => refuse(G::PilotFirst, "no row is drawn and 0 arms have answered a pilot row".into()),
            S::Sourced => {
                let passed = state
                    .pilot
                    .as_ref()
                    .map_or(0, |p| p.values().filter(|a| a.problems.is_empty()).count());
                refuse(
                    G::PilotFirst,
                    format!("{passed} of {} arms have answered a pilot row in full", state.arms.len()),
                )
            }
            S::Piloted => Ok(()),
            S::Iterating => match state.pending_proposal() {
                Some(p) if !is_piloted(state, p) => refuse(
                    G::PilotFirst,
                    format!("version {} of `{}` has not answered a pilot row", p.version, p.arm),
                ),
                _ => Ok(()),
            },
            S::Scored | S::Gated => refuse(
                G::HypothesisFirst,
                format!(
                    "every version is scored already ({} complete passes); scoring again without a registered change would pick the luckier pass",
                    state.passes.iter().filter(|p| p.records_digest.is_some()).count()
                ),
            ),
            S::Scoring => order("a dev pass is running", "Wait for it with `score_wait`, or cancel it with `score_cancel`."),
            S::Locked => refuse(G::LockLatest, "the versions for the test are locked".into()),
            S::Testing | S::Tested => refuse(G::OneTestPass, test_progress(state)),
            S::Concluded | S::Abandoned => Ok(()),
        },
        M::Cancel => match stage {
            S::Scoring => Ok(()),
            S::Testing => refuse(
                G::OneTestPass,
                format!("{}; cancelling it would be a second chance", test_progress(state)),
            ),
            _ => order("no pass is running", "Go on with what `next` names."),
        },
        M::Diagnose => match stage {
            S::Scored | S::Iterating | S::Gated | S::Locked => Ok(()),
            S::Scoring | S::Testing => refuse(G::NoEarlyStop, "the running pass is not complete".into()),
            S::Draft => refuse(G::FrameFirst, "the frame is still a draft, so there is nothing to diagnose".into()),
            S::Tested => order("the test pass is not for diagnosis", "Call `verdict`."),
            _ => order("no dev pass is complete", "Pilot the arms and score them first."),
        },
        M::ReadRows => match stage {
            S::Draft | S::Framed => {
                refuse(G::FrameFirst, format!("the experiment is at stage `{}`: no row is drawn yet", stage.name()))
            }
            _ => Ok(()),
        },
        M::Propose => match stage {
            S::Scored | S::Gated | S::Iterating => {
                if nothing_left(state) {
                    return order("the gate killed every candidate", "Abandon with the reason; the finding is that these candidates won by hardcodes.");
                }
                if state.gates.len() >= SPRINT_LIMIT {
                    return refuse(G::SprintLimit, format!("{} sprints have passed their gate", state.gates.len()));
                }
                // An unscored proposal may be replaced; it keeps its place in the sprint.
                if state.pending_proposal().is_none() && state.sprint.len() >= SPRINT_CAP {
                    return refuse(
                        G::SprintCap,
                        format!("sprint {} has had {} of {SPRINT_CAP} iterations", state.sprint_number(), state.sprint.len()),
                    );
                }
                Ok(())
            }
            S::Scoring => order("a dev pass is running", "Wait for it with `score_wait`."),
            S::Locked => refuse(G::LockLatest, "the versions for the test are locked".into()),
            S::Testing | S::Tested => refuse(G::NoIterationAfterVerdict, format!("{}; nothing may change now", test_progress(state))),
            S::Draft => refuse(G::FrameFirst, "the frame is still a draft".into()),
            _ => order("no dev pass is complete, so there is nothing to improve on", "Pilot the arms and score them first."),
        },
        M::Gate => match stage {
            S::Scored if !state.sprint.is_empty() => Ok(()),
            S::Iterating => order("a change is registered and not yet scored", "Score it, or replace it with `propose`."),
            S::Scored | S::Gated => order("no change was scored since the last gate", "Propose a change, or lock the arms."),
            S::Scoring => order("a dev pass is running", "Wait for it with `score_wait`."),
            _ => order("there is no sprint to judge", "Go on with what `next` names."),
        },
        M::LockArms => match stage {
            S::Gated if nothing_left(state) => {
                order("the gate killed every candidate", "Abandon with the reason; the finding is that these candidates won by hardcodes.")
            }
            S::Gated => Ok(()),
            S::Scored if state.sprint.is_empty() => Ok(()),
            S::Scored | S::Iterating => refuse(
                G::GateBetweenSprints,
                format!("{} change(s) of sprint {} have not passed a gate", state.sprint.len(), state.sprint_number()),
            ),
            S::Scoring => refuse(G::NoEarlyStop, "the running pass is not complete".into()),
            S::Locked | S::Testing | S::Tested => refuse(G::LockLatest, "the versions for the test are locked already".into()),
            S::Draft => refuse(G::FrameFirst, "the frame is still a draft".into()),
            _ => refuse(G::PilotFirst, "no dev pass is complete, so no version has been measured".into()),
        },
        M::OpenTest => match stage {
            S::Locked => Ok(()),
            S::Testing | S::Tested => refuse(G::OneTestPass, test_progress(state)),
            S::Draft => refuse(G::FrameFirst, "the frame is still a draft".into()),
            _ => refuse(G::LockLatest, format!("the experiment is at stage `{}` and no version is locked for the test", stage.name()))
                .map_err(|mut r: Rejection| {
                    for g in &mut r.guards {
                        g.remedy = "Score the arms on dev, pass the gate if anything changed, and call `lock_arms`; it takes no version.".into();
                    }
                    r
                }),
        },
        M::Verdict => match stage {
            S::Tested => Ok(()),
            S::Testing => refuse(G::NoEarlyStop, test_progress(state)),
            S::Draft => refuse(G::FrameFirst, "the frame is still a draft".into()),
            _ => refuse(G::RegisteredRule, format!("the experiment is at stage `{}`: the sealed test has not been scored", stage.name()))
                .map_err(|mut r: Rejection| {
                    for g in &mut r.guards {
                        g.remedy = format!("Go on with what `next` names: {}.", stage.next_tools().join(", "));
                    }
                    r
                }),
        },
        M::Abandon => match stage {
            S::Draft if state.frame.is_none() => order("there is nothing to abandon", "Write a frame with `frame`."),
            _ => Ok(()),
        },
    }
}

fn is_piloted(state: &State, proposal: &crate::event::Proposal) -> bool {
    state.arms.get(&proposal.arm).and_then(|a| a.version(proposal.version)).is_some_and(|v| v.piloted)
}

fn locked_under(state: &State) -> String {
    format!("the frame is locked under {}", state.frame_hash.as_ref().map_or("its hash", |h| h.short()))
}

fn test_progress(state: &State) -> String {
    match state.test_pass() {
        Some(p) if p.open() => {
            format!("the sealed test is open (pass {}, {} calls) and not complete", p.plan.pass, p.plan.calls)
        }
        Some(p) => format!("the sealed test was scored in pass {} ({} calls)", p.plan.pass, p.plan.calls),
        None => "the sealed test is not open".to_owned(),
    }
}
