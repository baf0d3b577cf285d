//! The state of an experiment: always folded from its events, never stored.

use crate::event::{Event, GateDecision, GateRecord, IterationOutcome, PassKind, PassPlan, PilotArm, Proposal};
use crate::frame::{ArmSpec, Frame};
use crate::ids::{ArmId, Digest, ExperimentId, RowId, Split, Version};
use crate::rule::Verdict;
use crate::sample::SampleSummary;
use crate::snapshot::Snapshot;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where an experiment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nothing yet, or a draft of the frame.
    #[default]
    Draft,
    /// The frame is locked; no row was read.
    Framed,
    /// Rows are drawn, split and sealed.
    Sourced,
    /// Every arm answered one train row in full.
    Piloted,
    /// A dev pass is running.
    Scoring,
    /// The last dev pass is complete.
    Scored,
    /// A change is registered and not yet scored.
    Iterating,
    /// The sprint's gate is passed.
    Gated,
    /// The versions for the test are locked.
    Locked,
    /// The sealed test is open.
    Testing,
    /// The test pass is complete; the verdict is due.
    Tested,
    /// The verdict is reached.
    Concluded,
    /// Given up.
    Abandoned,
}

impl Stage {
    /// The snake-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Framed => "framed",
            Self::Sourced => "sourced",
            Self::Piloted => "piloted",
            Self::Scoring => "scoring",
            Self::Scored => "scored",
            Self::Iterating => "iterating",
            Self::Gated => "gated",
            Self::Locked => "locked",
            Self::Testing => "testing",
            Self::Tested => "tested",
            Self::Concluded => "concluded",
            Self::Abandoned => "abandoned",
        }
    }

    /// The tools that move the experiment on from here, likeliest first.
    pub fn next_tools(self) -> &'static [&'static str] {
        match self {
            Self::Draft => &["frame", "lock_frame", "describe_source", "plan", "abandon"],
            Self::Framed => &["source_rows", "abandon"],
            Self::Sourced => &["pilot", "read_rows", "abandon"],
            Self::Piloted => &["score_start", "pilot", "read_rows", "abandon"],
            Self::Scoring => &["score_wait", "score_cancel"],
            Self::Scored => &["diagnose", "propose", "read_rows", "gate", "lock_arms", "abandon"],
            Self::Iterating => &["pilot", "score_start", "read_rows", "abandon"],
            Self::Gated => &["propose", "lock_arms", "diagnose", "read_rows", "abandon"],
            Self::Locked => &["open_test", "abandon"],
            Self::Testing => &["score_wait"],
            Self::Tested => &["verdict"],
            Self::Concluded => &["show_chart", "status", "frame"],
            Self::Abandoned => &["frame"],
        }
    }
}

/// One version of an arm.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmVersion {
    /// The arm as it was then.
    pub spec: ArmSpec,
    /// Its files then.
    pub snapshot: Snapshot,
    /// What was proposed; nothing for version 1.
    pub proposal: Option<Proposal>,
    /// Digest of what its prepare command wrote.
    pub state_digest: Option<Digest>,
    /// Whether it passed the pilot.
    pub piloted: bool,
    /// Whether a gate kept (true) or rejected (false) it; nothing before its gate.
    pub kept: Option<bool>,
}

/// One arm through all its versions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ArmState {
    /// Versions, version 1 first.
    pub versions: Vec<ArmVersion>,
    /// Whether a gate killed it.
    pub killed: bool,
}

impl ArmState {
    /// A version by number.
    pub fn version(&self, version: Version) -> Option<&ArmVersion> {
        self.versions.get(version.checked_sub(1)? as usize)
    }

    /// Number of the newest version.
    pub fn newest(&self) -> Version {
        self.versions.len() as Version
    }

    /// Number of the latest version that no gate rejected and that does not build on a rejected one.
    ///
    /// Before a gate this is the newest; after it, the latest gate-passed one.
    pub fn effective(&self) -> Version {
        (1..=self.newest()).rev().find(|v| self.sound(*v)).unwrap_or(1)
    }

    fn sound(&self, version: Version) -> bool {
        let Some(v) = self.version(version) else {
            return false;
        };
        v.kept != Some(false) && v.proposal.as_ref().is_none_or(|p| p.builds_on == 1 || self.sound(p.builds_on))
    }
}

/// A pass and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PassState {
    /// Its plan.
    pub plan: PassPlan,
    /// Digest of its records, once complete.
    pub records_digest: Option<Digest>,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// Dollars it spent, once complete.
    pub cost_usd: f64,
    /// The iteration it scored, once complete.
    pub iteration: Option<IterationOutcome>,
}

impl PassState {
    /// Whether calls are still to be made.
    pub fn open(&self) -> bool {
        self.records_digest.is_none() && !self.cancelled
    }
}

/// An experiment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// Its id, once drafted.
    pub id: Option<ExperimentId>,
    /// Where it stands.
    pub stage: Stage,
    /// The frame: a draft, then the locked one.
    pub frame: Option<Frame>,
    /// Hash of the draft that the person confirmed in a terminal.
    pub confirmed: Option<Digest>,
    /// Hash of the locked frame.
    pub frame_hash: Option<Digest>,
    /// Every arm, baseline included.
    pub arms: BTreeMap<ArmId, ArmState>,
    /// What sourcing found.
    pub sample: Option<SampleSummary>,
    /// The last pilot.
    pub pilot: Option<BTreeMap<ArmId, PilotArm>>,
    /// Passes, first to last.
    pub passes: Vec<PassState>,
    /// Dev rows that were revealed.
    pub demoted: BTreeSet<RowId>,
    /// Gates, first to last.
    pub gates: Vec<GateRecord>,
    /// Proposals since the last gate.
    pub sprint: Vec<Proposal>,
    /// Versions that go to the test.
    pub locked: Option<BTreeMap<ArmId, Version>>,
    /// The verdict.
    pub verdict: Option<Verdict>,
    /// Folder of the conclusion.
    pub folder: Option<String>,
    /// Why it was abandoned.
    pub abandoned: Option<String>,
}

impl State {
    /// Folds events into a state.
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        events.into_iter().fold(Self::default(), evolve)
    }

    /// Number of the sprint that is running or would start next, from 1.
    pub fn sprint_number(&self) -> u32 {
        self.gates.len() as u32 + 1
    }

    /// The pass with calls still to make.
    pub fn open_pass(&self) -> Option<&PassState> {
        self.passes.last().filter(|p| p.open())
    }

    /// The last complete dev pass.
    pub fn last_dev_pass(&self) -> Option<&PassState> {
        self.passes.iter().rev().find(|p| p.plan.kind == PassKind::Dev && p.records_digest.is_some())
    }

    /// The test pass.
    pub fn test_pass(&self) -> Option<&PassState> {
        self.passes.iter().find(|p| p.plan.kind == PassKind::Test)
    }

    /// Arms still in the race, baseline first, with the version that counts now.
    pub fn live_arms(&self) -> Vec<(ArmId, Version)> {
        let Some(frame) = &self.frame else {
            return Vec::new();
        };
        frame
            .all_arms()
            .filter_map(|spec| {
                let arm = self.arms.get(&spec.id)?;
                (!arm.killed).then(|| (spec.id.clone(), arm.effective()))
            })
            .collect()
    }

    /// The proposal that is registered and not yet scored.
    pub fn pending_proposal(&self) -> Option<&Proposal> {
        self.sprint.last().filter(|p| {
            !self.passes.iter().any(|pass| {
                pass.records_digest.is_some()
                    && pass.iteration.as_ref().is_some_and(|i| i.arm == p.arm && i.version == p.version)
            })
        })
    }

    /// The complete dev pass in which a version was scored.
    pub fn dev_pass_of(&self, arm: &ArmId, version: Version) -> Option<&PassState> {
        self.passes.iter().rev().find(|p| {
            p.plan.kind == PassKind::Dev
                && p.records_digest.is_some()
                && p.plan.arms.iter().any(|(a, v)| a == arm && *v == version)
        })
    }

    /// Calls planned by all passes that were not cancelled.
    pub fn planned_calls(&self) -> u64 {
        self.passes.iter().filter(|p| !p.cancelled).map(|p| p.plan.calls).sum()
    }

    /// Split a row belongs to now, given the split it was drawn into.
    pub fn split_now(&self, row: &RowId, drawn: Split) -> Split {
        if drawn == Split::Dev && self.demoted.contains(row) { Split::Train } else { drawn }
    }
}

/// Folds one event into the state. Total: an event that does not fit changes what it can and
/// nothing else.
pub fn evolve(mut state: State, event: &Event) -> State {
    match event {
        Event::FrameDrafted { id, frame } => {
            state.id = Some(id.clone());
            state.frame = Some((**frame).clone());
            state.confirmed = None;
            state.stage = Stage::Draft;
        }
        Event::FrameConfirmed { frame_hash } => state.confirmed = Some(frame_hash.clone()),
        Event::FrameLocked { frame_hash, snapshots, .. } => {
            state.frame_hash = Some(frame_hash.clone());
            if let Some(frame) = &state.frame {
                for spec in frame.all_arms() {
                    let Some(snapshot) = snapshots.get(&spec.id) else {
                        continue;
                    };
                    state.arms.insert(
                        spec.id.clone(),
                        ArmState {
                            versions: vec![ArmVersion {
                                spec: spec.clone(),
                                snapshot: snapshot.clone(),
                                proposal: None,
                                state_digest: None,
                                piloted: false,
                                kept: None,
                            }],
                            killed: false,
                        },
                    );
                }
            }
            state.stage = Stage::Framed;
        }
        Event::RowsSourced { summary, .. } => {
            state.sample = Some((**summary).clone());
            state.stage = Stage::Sourced;
        }
        Event::ArmPrepared { arm, version, state_digest, .. } => {
            if let Some(v) = version_mut(&mut state, arm, *version) {
                v.state_digest = Some(state_digest.clone());
            }
        }
        Event::ArmRepaired { arm, snapshot, .. } => {
            if let Some(v) = version_mut(&mut state, arm, 1) {
                v.snapshot = snapshot.clone();
                v.state_digest = None;
                v.piloted = false;
            }
        }
        Event::PilotRun { arms, passed, .. } => {
            state.pilot = Some(arms.clone());
            if *passed {
                for arm in arms.keys() {
                    let newest = state.arms.get(arm).map_or(0, ArmState::newest);
                    if let Some(v) = version_mut(&mut state, arm, newest) {
                        v.piloted = true;
                    }
                }
                if state.stage == Stage::Sourced {
                    state.stage = Stage::Piloted;
                }
            }
        }
        Event::PassStarted { pass } => {
            state.stage = match pass.kind {
                PassKind::Dev => Stage::Scoring,
                PassKind::Test => Stage::Testing,
            };
            state.passes.push(PassState {
                plan: pass.clone(),
                records_digest: None,
                cancelled: false,
                cost_usd: 0.0,
                iteration: None,
            });
        }
        Event::PassCompleted { pass, records_digest, cost_usd, iteration, .. } => {
            if let Some(p) = state.passes.iter_mut().find(|p| p.plan.pass == *pass) {
                p.records_digest = Some(records_digest.clone());
                p.cost_usd = *cost_usd;
                p.iteration = iteration.clone();
                state.stage = match p.plan.kind {
                    PassKind::Dev => Stage::Scored,
                    PassKind::Test => Stage::Tested,
                };
            }
        }
        Event::PassCancelled { pass, .. } => {
            if let Some(p) = state.passes.iter_mut().find(|p| p.plan.pass == *pass) {
                p.cancelled = true;
            }
            state.stage = if !state.sprint.is_empty() && state.pending_proposal().is_some() {
                Stage::Iterating
            } else if state.last_dev_pass().is_some() {
                Stage::Scored
            } else {
                Stage::Piloted
            };
        }
        Event::Diagnosed { .. } | Event::FenceObserved { .. } => {}
        Event::RowsDemoted { rows } => state.demoted.extend(rows.iter().cloned()),
        Event::ChangeProposed { proposal } => {
            if let Some(arm) = state.arms.get_mut(&proposal.arm) {
                arm.versions.push(ArmVersion {
                    spec: proposal.spec.clone(),
                    snapshot: proposal.snapshot.clone(),
                    proposal: Some(proposal.clone()),
                    state_digest: None,
                    piloted: false,
                    kept: None,
                });
            }
            // A proposal in the place of an unscored one withdraws it.
            if state.sprint.last().is_some_and(|p| p.iteration == proposal.iteration) {
                let withdrawn = state.sprint.pop();
                if let Some(p) = withdrawn
                    && let Some(v) = version_mut(&mut state, &p.arm, p.version)
                {
                    v.kept = Some(false);
                }
            }
            state.sprint.push(proposal.clone());
            state.stage = Stage::Iterating;
        }
        Event::GateJudged { gate } => {
            for finding in &gate.findings {
                if let Some(v) = version_mut(&mut state, &finding.arm, finding.version) {
                    v.kept = Some(finding.kept);
                }
            }
            for arm in &gate.killed {
                if let Some(arm) = state.arms.get_mut(arm) {
                    arm.killed = true;
                }
            }
            state.gates.push(gate.clone());
            state.sprint.clear();
            state.stage = Stage::Gated;
        }
        Event::ArmsLocked { versions, .. } => {
            state.locked = Some(versions.clone());
            state.stage = Stage::Locked;
        }
        Event::VerdictReached { verdict, .. } => {
            state.verdict = Some((**verdict).clone());
            state.stage = Stage::Concluded;
        }
        Event::Concluded { folder, .. } => state.folder = Some(folder.clone()),
        Event::Abandoned { reason } => {
            state.abandoned = Some(reason.clone());
            state.stage = Stage::Abandoned;
        }
    }
    state
}

fn version_mut<'a>(state: &'a mut State, arm: &ArmId, version: Version) -> Option<&'a mut ArmVersion> {
    state.arms.get_mut(arm)?.versions.get_mut(version.checked_sub(1)? as usize)
}

/// Whether the last gate said that no candidate is left.
pub fn nothing_left(state: &State) -> bool {
    state.gates.last().is_some_and(|g| g.decision == GateDecision::Kill)
}
