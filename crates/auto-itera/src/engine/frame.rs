//! `describe_source`, `plan`, `frame`, `lock_frame` and `abandon`.

use super::{Answer, Asked, CallContext, Engine, Experiment, rejected, settle};
use crate::envelope::Envelope;
use crate::requests as ask;
use itera_core::command::confirm::Confirm;
use itera_core::command::draft::{Draft, ReferenceFound};
use itera_core::command::lock::Lock;
use itera_core::command::{Command, Move, abandon::Abandon, decide};
use itera_core::event::{Consent, ConsentChannel};
use itera_core::frame::{ArmSpec, Frame};
use itera_core::guards::{Problem, Rejection};
use itera_core::ids::{ArmId, Digest, ExperimentId};
use itera_core::rule::Objective;
use itera_core::snapshot::{Snapshot, SnapshotDiff};
use itera_core::state::State;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

impl Engine {
    /// `describe_source`.
    pub async fn describe_source(&self, input: ask::DescribeSource, _: CallContext) -> Envelope {
        let described =
            itera_data::locate(&self.root, &input.path).and_then(|path| itera_data::describe(&path, input.format));
        match described {
            Ok(description) => {
                let mut envelope = Envelope::plain(serde_json::to_value(description).unwrap_or_default());
                envelope.next = vec!["frame".into(), "plan".into()];
                envelope
            }
            Err(error) => *rejected(None, None, Problem::new("source", error.to_string(), error.remedy())),
        }
    }

    /// `frame`.
    pub async fn frame(&self, input: ask::DraftFrame, _: CallContext) -> Envelope {
        let _turn = self.turn.lock().await;
        settle(self.draft(input))
    }

    fn draft(&self, input: ask::DraftFrame) -> Answer {
        let references = self.references(&input.frame);
        let frame = input.frame;
        let mut experiment = match &input.experiment_id {
            Some(id) => {
                let experiment = self.load(Some(id))?;
                experiment.permit(Move::Draft)?;
                experiment
            }
            None => {
                // Refuse before anything is created.
                let draft =
                    Draft { id: ExperimentId::from("new"), frame: frame.clone(), references: references.clone() };
                decide(&State::default(), Command::Draft(draft)).map_err(|r| rejected(None, None, r))?;
                self.create(&frame.topic)?
            }
        };
        let id = experiment.id.clone();
        experiment.commit(Command::Draft(Draft { id, frame: frame.clone(), references }))?;
        let mut notices = scorer_problems(&frame);
        notices.extend(undeclared(&self.root, &frame));
        let hash = frame.hash();
        let design = self.design(&frame);
        if let Some(d) = design.as_ref().filter(|d| d.recorded.power < frame.ship_rule.power) {
            notices.push(format!(
                "About {} test rows would ship an arm of {:+.1} pp in {:.0}% of experiments, below the registered {:.0}%: lock_frame will refuse unless the design changes or `acknowledged[\"powered-design\"]` gives a reason.",
                d.recorded.test_rows, d.recorded.planned_effect_pp, d.recorded.power * 100.0, frame.ship_rule.power * 100.0
            ));
        }
        Ok(experiment
            .answer(json!({
                "frame_hash": hash,
                "table": itera_report::words::frame_table(&frame),
                "will_run": commands(&frame),
                "rule": rule_sentence(&frame),
                "operating_characteristics": design.map(|d| d.table),
                "to_confirm": "Show the person this table and every command under will_run, ask once for a yes, then call lock_frame with frame_hash and their answer.",
            }))
            .notices(notices))
    }

    fn create(&self, topic: &str) -> Result<Experiment, Box<Envelope>> {
        let project = self.project()?;
        let taken = project.experiments().map_err(|e| super::failure(None, None, &e))?;
        let day = jiff::Timestamp::now().to_string()[..10].to_owned();
        let base = format!("{day}-{topic}");
        let id = (1..)
            .map(|n| ExperimentId(if n == 1 { base.clone() } else { format!("{base}-{n}") }))
            .find(|id| !taken.contains(id))
            .unwrap_or_else(|| ExperimentId(base.clone()));
        let store = project.create(&id).map_err(|e| super::failure(None, None, &e))?;
        Ok(Experiment { id, store: std::sync::Arc::new(store), entries: Vec::new(), state: State::default() })
    }

    fn references(&self, frame: &Frame) -> BTreeMap<String, ReferenceFound> {
        frame
            .all_arms()
            .map(|arm| {
                let found = match arm.reference_file() {
                    None => ReferenceFound::NotAFile,
                    Some((path, _)) => match inside(&self.root, path).and_then(|p| std::fs::read(p).ok()) {
                        Some(bytes) => ReferenceFound::Lines(line_count(&bytes)),
                        None => ReferenceFound::Missing,
                    },
                };
                (arm.id.0.clone(), found)
            })
            .collect()
    }

    /// `lock_frame`.
    pub async fn lock_frame(&self, input: ask::LockFrame, ctx: CallContext) -> Envelope {
        let _turn = self.turn.lock().await;
        settle(self.lock(input, ctx))
    }

    fn lock(&self, input: ask::LockFrame, ctx: CallContext) -> Answer {
        let mut experiment = self.load(input.experiment_id.as_ref())?;
        experiment.permit(Move::Lock)?;
        let statement = input.confirmation.unwrap_or_default();
        let confirmed_in_terminal = experiment.state.confirmed.as_ref().is_some_and(|h| h.0 == input.frame_hash);
        let channel = match ctx.asked {
            Asked::Confirmed(channel) => channel,
            Asked::NotOffered | Asked::Cancelled if confirmed_in_terminal => ConsentChannel::Terminal,
            Asked::NotOffered => ConsentChannel::Relayed,
            Asked::Cancelled => ConsentChannel::RelayedAfterCancel,
            Asked::Declined => {
                return Err(experiment.problem(
                    "confirmation",
                    "the person declined the frame",
                    "Ask what should be different, and replace the draft with `frame`.",
                ));
            }
        };
        let consent = Consent { channel, statement };
        let Some(frame) = experiment.state.frame.clone() else {
            return Err(experiment.problem("frame", "there is no draft", "Write one with `frame`."));
        };
        let mut snapshots = BTreeMap::new();
        let mut contents = BTreeMap::new();
        let mut unusable = Rejection::default();
        for arm in frame.all_arms() {
            match itera_arms::snapshot::take(&self.root, &arm.with_reference_file()) {
                Ok(taken) => {
                    let files: BTreeMap<String, Vec<u8>> = taken
                        .snapshot
                        .files
                        .iter()
                        .filter_map(|f| {
                            let (_, bytes) = taken.blobs.iter().find(|(d, _)| *d == f.digest)?;
                            Some((f.path.clone(), bytes.clone()))
                        })
                        .collect();
                    contents.insert(arm.id.clone(), files);
                    snapshots.insert(arm.id.clone(), (taken.snapshot, taken.blobs));
                }
                Err(error) => unusable.problem(
                    format!("arm `{}`", arm.id),
                    super::runtime::causes(&error),
                    "Name existing files and folders of the project in `files`.",
                ),
            }
        }
        unusable.or(()).map_err(|r| experiment.reject(r))?;
        let base = contents.get(&frame.baseline.id).cloned().unwrap_or_default();
        let diffs: BTreeMap<ArmId, SnapshotDiff> = frame
            .arms
            .iter()
            .map(|arm| (arm.id.clone(), diff_between(&base, contents.get(&arm.id).unwrap_or(&base))))
            .collect();
        let design = self.design(&frame);
        let command = Lock {
            consent,
            confirmed_hash: Digest(input.frame_hash),
            references: self.references(&frame),
            snapshots: snapshots
                .iter()
                .map(|(id, (s, _))| (id.clone(), s.clone()))
                .collect::<BTreeMap<ArmId, Snapshot>>(),
            diffs: diffs.clone(),
            source_digest: itera_data::locate(&self.root, &frame.source.path)
                .ok()
                .and_then(|path| std::fs::File::open(path).ok())
                .and_then(|mut file| Digest::of_reader(&mut file).ok()),
            design: design.as_ref().map(|d| d.recorded.clone()),
        };
        let events = decide(&experiment.state, Command::Lock(command)).map_err(|r| experiment.reject(r))?;
        for (_, blobs) in snapshots.values() {
            for (_, bytes) in blobs {
                experiment.store.put_blob(bytes).map_err(|e| experiment.fail(&e))?;
            }
        }
        experiment.append(events)?;
        let changes: BTreeMap<&ArmId, Value> = diffs
            .iter()
            .map(|(id, d)| (id, json!({"lines_added": d.added, "lines_removed": d.removed, "files": d.files, "diff": cut(&d.text, 2_000)})))
            .collect();
        let mut answer = experiment.answer(json!({ "frame_hash": frame.hash(), "diffs_to_baseline": changes }));
        if let Some(design) = design {
            answer.data["operating_characteristics"] = design.table;
        }
        if matches!(experiment.entries.last().map(|e| &e.event),
            Some(itera_core::event::Event::FrameLocked { consent, .. }) if consent.channel.relayed())
        {
            answer = answer.notice("The confirmation was relayed by the agent; the conclusion will say so.");
        }
        Ok(answer)
    }

    /// What a person is shown before the lock: the draft's table and every command, with its hash.
    pub fn to_confirm(&self, id: Option<&ExperimentId>) -> Result<ToConfirm, Box<Envelope>> {
        let experiment = self.load(id)?;
        experiment.permit(Move::Lock)?;
        let Some(frame) = &experiment.state.frame else {
            return Err(experiment.problem("frame", "there is no draft", "Write one with `frame`."));
        };
        let mut text =
            format!("{}\n\nThese commands will run on this machine:\n", itera_report::words::frame_table(frame));
        for arm in frame.all_arms() {
            text.push_str(&format!("- {}: {}\n", arm.id, arm.command.join(" ")));
            if !arm.prepare.is_empty() {
                text.push_str(&format!("  once, on the train rows: {}\n", arm.prepare.join(" ")));
            }
        }
        Ok(ToConfirm { id: experiment.id.clone(), frame_hash: frame.hash(), text })
    }

    /// Records that the person confirmed the draft in a terminal.
    pub async fn confirm(&self, id: &ExperimentId, frame_hash: Digest) -> Envelope {
        let _turn = self.turn.lock().await;
        settle(self.load(Some(id)).and_then(|mut experiment| {
            experiment.commit(Command::Confirm(Confirm { frame_hash }))?;
            Ok(experiment.answer(json!({ "confirmed": true })))
        }))
    }

    /// `abandon`.
    pub async fn abandon(&self, input: ask::WithReason, _: CallContext) -> Envelope {
        let _turn = self.turn.lock().await;
        settle(self.give_up(input).await)
    }

    async fn give_up(&self, input: ask::WithReason) -> Answer {
        let mut experiment = self.load(input.experiment_id.as_ref())?;
        experiment.commit(Command::Abandon(Abandon { reason: input.reason }))?;
        self.stop_job(&experiment.id).await;
        Ok(experiment.answer(json!({ "abandoned": true })))
    }
}

/// A draft as a person is shown it.
pub struct ToConfirm {
    /// The experiment.
    pub id: ExperimentId,
    /// Hash of the draft.
    pub frame_hash: Digest,
    /// Table and commands.
    pub text: String,
}

/// A path of the project, resolved; nothing where it leads outside.
pub(super) fn inside(root: &Path, path: &str) -> Option<std::path::PathBuf> {
    let full = root.join(path).canonicalize().ok()?;
    full.starts_with(root).then_some(full)
}

fn line_count(bytes: &[u8]) -> u64 {
    let breaks = bytes.iter().filter(|b| **b == b'\n').count() as u64;
    breaks + u64::from(bytes.last().is_some_and(|b| *b != b'\n'))
}

/// Diff of two arms' files: equal paths with each other, then what is left in order of their names.
fn diff_between(base: &BTreeMap<String, Vec<u8>>, arm: &BTreeMap<String, Vec<u8>>) -> SnapshotDiff {
    let mut triples = Vec::new();
    let mut left: Vec<&String> = base.keys().filter(|p| !arm.contains_key(*p)).collect();
    for (path, bytes) in arm {
        let before = match base.get(path) {
            Some(before) => Some(before.clone()),
            None => {
                let twin = left.iter().position(|p| extension(p) == extension(path));
                twin.map(|i| left.remove(i)).and_then(|p| base.get(p)).cloned()
            }
        };
        triples.push((path.clone(), before, Some(bytes.clone())));
    }
    triples.extend(left.into_iter().map(|p| (p.clone(), base.get(p).cloned(), None)));
    SnapshotDiff::between(&triples)
}

fn extension(path: &str) -> Option<&str> {
    Path::new(path).extension().and_then(|e| e.to_str())
}

fn commands(frame: &Frame) -> Vec<Value> {
    frame
        .all_arms()
        .map(|arm: &ArmSpec| {
            json!({
                "arm": arm.id,
                "command": arm.command,
                "prepare": arm.prepare,
                "files": arm.files,
                "environment_passed": arm.env,
            })
        })
        .collect()
}

fn rule_sentence(frame: &Frame) -> String {
    let r = &frame.ship_rule;
    let margin = match r.objective {
        Objective::Superiority => format!("its effect is shown to be at least +{} pp", r.min_effect_pp.abs()),
        Objective::NonInferiority => {
            format!("it is shown to lose at most {} pp and the registered gain is proven", r.min_effect_pp.abs())
        }
    };
    format!(
        "An arm ships if {margin} and no slice is shown to lose more than {} pp, with at most {:.0}% false ships over all arms and slices.",
        r.loss_floor_pp.abs(),
        r.alpha * 100.0
    )
}

fn scorer_problems(frame: &Frame) -> Vec<String> {
    itera_arms::score::validate(&frame.metric, &frame.failure_modes)
}

fn undeclared(root: &Path, frame: &Frame) -> Vec<String> {
    frame
        .all_arms()
        .filter_map(|arm| itera_arms::snapshot::take(root, &arm.with_reference_file()).ok().map(|t| (arm, t.warnings)))
        .flat_map(|(arm, warnings)| warnings.into_iter().map(move |w| format!("arm `{}`: {w}", arm.id)))
        .collect()
}

pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{} [cut]", &text[..at]),
    }
}
