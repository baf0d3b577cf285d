//! The self-audit: what the ledger proves of every guard.

use crate::chain::Entry;
use crate::event::{Event, PassKind};
use crate::frame::ArmRole;
use crate::guards::{GUARDS, Guard, GuardId};
use crate::state::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the audit says of a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditStatus {
    /// The ledger proves that the rule was held.
    Passed,
    /// The rule was waived or bent in the open.
    Disclosed,
    /// The rule has no object in this experiment.
    NotApplicable,
    /// The stage that it guards has not been reached.
    Pending,
    /// This version does not enforce the rule; nothing is claimed.
    NotEnforced,
}

/// One line of the audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditLine {
    /// Guard.
    pub guard: GuardId,
    /// Finding.
    pub status: AuditStatus,
    /// What proves it, or why it does not apply.
    pub evidence: String,
    /// The entry of the ledger that proves it.
    pub entry: Option<u64>,
}

/// The audit of an experiment, one line per guard in registry order.
pub fn audit(entries: &[Entry]) -> Vec<AuditLine> {
    let state = State::replay(entries.iter().map(|e| &e.event));
    GUARDS.iter().map(|guard| line(guard, entries, &state)).collect()
}

fn line(guard: &Guard, entries: &[Entry], state: &State) -> AuditLine {
    let (status, evidence, entry) = if guard.enforced {
        finding(guard.id, entries, state)
    } else {
        (AuditStatus::NotEnforced, "not enforced by this version; nothing is claimed".to_owned(), None)
    };
    AuditLine { guard: guard.id, status, evidence, entry }
}

type Finding = (AuditStatus, String, Option<u64>);

fn finding(id: GuardId, entries: &[Entry], state: &State) -> Finding {
    use GuardId as G;
    let find = |wanted: fn(&Event) -> bool| entries.iter().find(|e| wanted(&e.event)).map(|e| e.seq);
    let locked = find(|e| matches!(e, Event::FrameLocked { .. }));
    let sourced = find(|e| matches!(e, Event::RowsSourced { .. }));
    let dev = find(|e| matches!(e, Event::PassStarted { pass } if pass.kind == PassKind::Dev));
    let gate = find(|e| matches!(e, Event::GateJudged { .. }));
    let arms_locked = find(|e| matches!(e, Event::ArmsLocked { .. }));
    let test = find(|e| matches!(e, Event::PassStarted { pass } if pass.kind == PassKind::Test));
    let verdict = find(|e| matches!(e, Event::VerdictReached { .. }));
    let proposals: Vec<(u64, &crate::event::Proposal)> = entries
        .iter()
        .filter_map(|e| match &e.event {
            Event::ChangeProposed { proposal } => Some((e.seq, proposal)),
            _ => None,
        })
        .collect();
    let frame = state.frame.as_ref();
    let waiver = |guard: G| frame.and_then(|f| f.acknowledged.get(guard.name()));
    let at = |entry: Option<u64>, text: String| match entry {
        Some(_) => (AuditStatus::Passed, text, entry),
        None => (AuditStatus::Pending, "not reached".to_owned(), None),
    };
    let none = |text: &str| (AuditStatus::NotApplicable, text.to_owned(), None);
    let disclosed = |entry: Option<u64>, text: String| (AuditStatus::Disclosed, text, entry);

    match id {
        G::FrameFirst => {
            at(sourced, format!("rows were drawn in entry {}, after the lock in entry {}", show(sourced), show(locked)))
        }
        G::FrameFrozen => match entries.iter().find_map(|e| match &e.event {
            Event::FrameLocked { consent, frame_hash, .. } => Some((e.seq, consent, frame_hash)),
            _ => None,
        }) {
            None => at(None, String::new()),
            Some((seq, consent, hash)) => {
                let text = format!("locked under {}; confirmed {}", hash.short(), consent.channel.words());
                if consent.channel.relayed() {
                    disclosed(Some(seq), format!("{text}: the engine has the agent's word for it"))
                } else {
                    at(Some(seq), text)
                }
            }
        },
        G::NamedCandidates => {
            at(locked, frame.map_or(String::new(), |f| format!("one baseline and {} arm(s)", f.arms.len())))
        }
        G::RealBaseline => at(locked, frame.map_or(String::new(), |f| format!("baseline is {}", f.baseline.reference))),
        G::OneChangePerArm => at(locked, "every arm states its change; the diffs are in the ledger".into()),
        G::NegativeControl => match frame {
            Some(f) if f.arms.iter().any(|a| a.role == ArmRole::NegativeControl) => {
                at(locked, "a negative control is among the arms".into())
            }
            Some(_) if waiver(id).is_some() => {
                disclosed(locked, format!("waived: {}", waiver(id).map_or("", String::as_str)))
            }
            _ => none("not a question of model or logic"),
        },
        G::OnePrimaryMetric => at(
            locked,
            frame.map_or(String::new(), |f| format!("primary `{}`, {} secondary", f.metric.name, f.secondary.len())),
        ),
        G::DeterministicFirst => at(locked, "the scorer is deterministic; no judge took part".into()),
        G::TaxonomyLocked => {
            at(locked, frame.map_or(String::new(), |f| format!("{} failure modes with weights", f.failure_modes.len())))
        }
        G::SeverityDeclared => match frame {
            Some(f) if f.severity.is_some() => at(sourced, "a severity column and its cap are registered".into()),
            Some(_) if waiver(id).is_some() => {
                disclosed(sourced, format!("waived: {}", waiver(id).map_or("", String::as_str)))
            }
            _ => at(sourced, "no numeric column varies more than five times".into()),
        },
        G::PoweredDesign => match waiver(id) {
            Some(reason) => disclosed(locked, format!("the design may not reach its power; acknowledged: {reason}")),
            None => match entries.iter().find_map(|e| match &e.event {
                Event::FrameLocked { design, .. } => Some(design.as_ref()),
                _ => None,
            }) {
                Some(Some(d)) => at(
                    locked,
                    format!(
                        "with about {} test rows an arm of {:+.1} pp ships in {:.0}% of experiments",
                        d.test_rows,
                        d.planned_effect_pp,
                        d.power * 100.0
                    ),
                ),
                Some(None) => disclosed(
                    locked,
                    "the power of the design could not be simulated, as the rows could not be counted".into(),
                ),
                None => at(None, String::new()),
            },
        },
        G::Provenance => at(
            locked,
            frame.map_or(String::new(), |f| {
                format!("{:?}: {}", f.source.provenance.origin, f.source.provenance.statement)
            }),
        ),
        G::ReflectDistribution => match state.sample.as_ref().and_then(|s| s.dominant_entity_share) {
            Some(share) if waiver(id).is_some() => disclosed(
                sourced,
                format!(
                    "dominant entity {:.0}%; acknowledged: {}",
                    share * 100.0,
                    waiver(id).map_or("", String::as_str)
                ),
            ),
            Some(share) => at(sourced, format!("the most frequent entity holds {:.0}% of the sample", share * 100.0)),
            None if sourced.is_some() => disclosed(
                sourced,
                "no entity column is registered, so no cap was applied; slices are weighted to production".into(),
            ),
            None => at(None, String::new()),
        },
        G::StratifiedSplit => at(sourced, "every slice and stratum is in every split".into()),
        G::NoLeakage => at(
            sourced,
            state
                .sample
                .as_ref()
                .map_or(String::new(), |s| format!("{} linked group(s) kept together", s.linked_groups)),
        ),
        G::SealedTest => {
            at(sourced, state.sample.as_ref().map_or(String::new(), |s| format!("{} test rows sealed", s.splits.test)))
        }
        G::SourceFenced => fenced(entries, sourced, test),
        G::PeekDemotes => match state.demoted.len() {
            0 => at(sourced, "no dev row was revealed".into()),
            n => disclosed(sourced, format!("{n} dev row(s) were revealed and moved to train")),
        },
        G::PilotFirst => {
            let pilot =
                entries.iter().find(|e| matches!(&e.event, Event::PilotRun { passed: true, .. })).map(|e| e.seq);
            let repaired = entries.iter().filter(|e| matches!(&e.event, Event::ArmRepaired { .. })).count();
            if pilot.is_some() && repaired > 0 {
                disclosed(pilot, format!("passed after {repaired} repair(s), before any dev row was scored"))
            } else {
                at(pilot, "every arm answered one train row in full".into())
            }
        }
        G::SameInputs => at(dev, "every arm ran from its snapshot, checked before each pass".into()),
        G::ThreeTrials => at(dev, frame.map_or(String::new(), |f| format!("{} trials per row and arm", f.trials))),
        G::NoiseFloor | G::MeanNotBest | G::NoEarlyStop | G::SteadyCost => at(
            dev,
            match id {
                G::NoiseFloor => "noise and smallest detectable effect stand beside every effect",
                G::MeanNotBest => "figures are means over all trials",
                G::NoEarlyStop => "no score was shown before its pass was complete",
                _ => "first-call cost is reported apart",
            }
            .into(),
        ),
        G::HypothesisFirst | G::OneChangePerIteration | G::OutcomeComputed => match proposals.first() {
            None if dev.is_some() => none("nothing was changed"),
            None => at(None, String::new()),
            Some((seq, _)) => at(
                Some(*seq),
                match id {
                    G::HypothesisFirst => {
                        format!("{} change(s), each with its hypothesis before its score", proposals.len())
                    }
                    G::OneChangePerIteration => format!(
                        "largest diff: {} lines in {} file(s)",
                        proposals.iter().map(|(_, p)| p.diff.added + p.diff.removed).max().unwrap_or(0),
                        proposals.iter().map(|(_, p)| p.diff.files.len()).max().unwrap_or(0)
                    ),
                    _ => "outcomes were computed from dev".to_owned(),
                },
            ),
        },
        G::SprintCap | G::SprintLimit | G::GateBetweenSprints | G::NoHardcodes => match (proposals.is_empty(), gate) {
            (true, _) if dev.is_some() => none("nothing was changed"),
            (_, Some(_)) => at(
                gate,
                match id {
                    G::SprintCap => "at most three iterations in every sprint".to_owned(),
                    G::SprintLimit => format!("{} sprint(s)", state.gates.len()),
                    G::GateBetweenSprints => format!("{} gate(s) judged every change", state.gates.len()),
                    _ => {
                        let dropped = state.gates.iter().flat_map(|g| &g.findings).filter(|f| !f.kept).count();
                        let folded = state.gates.iter().flat_map(|g| &g.findings).filter(|f| f.fold.is_some()).count();
                        format!(
                            "{dropped} change(s) were not kept; none that was kept quotes a dev row; {folded} were held against the hidden fold of dev"
                        )
                    }
                },
            ),
            _ => at(None, String::new()),
        },
        G::LockLatest => at(arms_locked, "the engine took the latest gate-passed version of each arm".into()),
        G::ContaminationScan => at(arms_locked, "no locked arm holds text of a sealed row that train lacks".into()),
        G::OneTestPass => at(test, format!("one test pass, {} calls", state.test_pass().map_or(0, |p| p.plan.calls))),
        G::RegisteredRule
        | G::SliceFloor
        | G::FailureModeShift
        | G::SeverityTieBreak
        | G::NoPowerNoClaim
        | G::OverfitAlarm
        | G::Multiplicity => at(
            verdict,
            match id {
                G::RegisteredRule => "the verdict is recomputed by `verify` from the scores",
                G::SliceFloor => "every slice was held against the registered floor",
                G::FailureModeShift => "rates of every registered mode were compared",
                G::SeverityTieBreak => "weighted and unweighted effects are printed",
                G::NoPowerNoClaim => "kill was said only where the upper bound is below the margin or harm is shown",
                G::OverfitAlarm => "dev and test effects were compared",
                _ => "Holm's procedure over arms and slices",
            }
            .into(),
        ),
        G::NoIterationAfterVerdict => {
            let seen = entries.iter().find_map(|e| match &e.event {
                Event::RowsSourced { seen_before, .. } if !seen_before.is_empty() => Some((e.seq, seen_before)),
                _ => None,
            });
            match seen {
                Some((seq, seen)) => disclosed(Some(seq), {
                    let parts: Vec<String> = seen
                        .iter()
                        .map(|s| {
                            format!(
                                "{} ({} in its opened test, {} in its train or dev)",
                                s.experiment, s.in_opened_test, s.in_train_or_dev
                            )
                        })
                        .collect();
                    let reason = waiver(id).map_or(String::new(), |r| format!("; acknowledged: {r}"));
                    format!("test rows that earlier experiments saw: {}{reason}", parts.join(", "))
                }),
                None => at(verdict, "the verdict closed the experiment; no test row was seen by an earlier one".into()),
            }
        }
        G::LedgerIntact => at(entries.last().map(|e| e.seq), format!("chain of {} entries intact", entries.len())),
        G::RubricLocked | G::LabelNoiseAudit | G::SmallSampleFolds | G::BlindJudge | G::CrossJudge => {
            (AuditStatus::NotEnforced, "not enforced by this version; nothing is claimed".to_owned(), None)
        }
    }
}

/// Whether the editor's fence saw every move it was looked for at, from sourcing to the test.
fn fenced(entries: &[Entry], sourced: Option<u64>, test: Option<u64>) -> Finding {
    let Some(sourced) = sourced else { return (AuditStatus::Pending, "not reached".to_owned(), None) };
    let looked: Vec<(u64, &str, Option<u64>)> = entries
        .iter()
        .filter_map(|e| match &e.event {
            Event::FenceObserved { during, seen } => Some((e.seq, during.as_str(), *seen)),
            _ => None,
        })
        .collect();
    let missed: Vec<&str> = looked.iter().filter(|(_, _, seen)| seen.is_none()).map(|(_, during, _)| *during).collect();
    let last = looked.last().map(|(seq, _, _)| *seq);
    let at_source = looked.iter().any(|(_, during, _)| *during == "source_rows");
    let at_test = looked.iter().any(|(_, during, _)| *during == "open_test");
    if looked.iter().all(|(_, _, seen)| seen.is_none()) {
        let text = "the fence was absent: nothing kept the agent's own tools from the source and the store";
        return (AuditStatus::Disclosed, text.to_owned(), last.or(Some(sourced)));
    }
    if !missed.is_empty() || !at_source || (test.is_some() && !at_test) {
        let text =
            format!("the fence was present for part of the experiment only; it did not see {}", missed.join(", "));
        return (AuditStatus::Disclosed, text, last);
    }
    if test.is_none() {
        return (AuditStatus::Pending, "the fence has been present since the rows were drawn".to_owned(), last);
    }
    let calls = looked.last().and_then(|(_, _, seen)| *seen).unwrap_or(0);
    let text = format!(
        "the editor's fence was present from sourcing to the test and saw {calls} call(s); it reads the text of calls and confines no process"
    );
    (AuditStatus::Passed, text, last)
}

fn show(entry: Option<u64>) -> String {
    entry.map_or_else(|| "?".to_owned(), |e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::extend;
    use crate::command::testkit::{Bench, source};

    fn fence_line(observed: &[(&str, Option<u64>)]) -> AuditLine {
        let bench = Bench::framed();
        let mut events = bench.when(source()).unwrap_or_default();
        events.extend(
            observed.iter().map(|(during, seen)| Event::FenceObserved { during: (*during).into(), seen: *seen }),
        );
        let entries = extend(None, events, jiff::Timestamp::UNIX_EPOCH);
        audit(&entries).into_iter().find(|l| l.guard == GuardId::SourceFenced).expect("every guard has a line")
    }

    #[test]
    fn a_fence_is_claimed_only_where_it_saw_every_move() {
        assert_eq!(fence_line(&[]).status, AuditStatus::Disclosed);
        assert_eq!(fence_line(&[("source_rows", None)]).status, AuditStatus::Disclosed);
        assert_eq!(fence_line(&[("source_rows", Some(3))]).status, AuditStatus::Pending);
        let partly = fence_line(&[("source_rows", Some(3)), ("score_start", None)]);
        assert_eq!(partly.status, AuditStatus::Disclosed);
        assert!(partly.evidence.contains("score_start"));
    }
}
