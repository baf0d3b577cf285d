//! The engine: what every tool and every command-line verb calls.
//!
//! It looks things up, asks the decider, makes the events durable, and only then answers. One file
//! per stage of the loop.

mod conclude;
mod design;
mod fence;
mod frame;
mod iterate;
mod passes;
mod pilot;
mod runtime;
mod source;
mod status;

use crate::envelope::Envelope;
use itera_core::chain::Entry;
use itera_core::command::{Command, decide};
use itera_core::event::ConsentChannel;
use itera_core::guards::{GuardId, Problem, Refusal, Rejection};
use itera_core::ids::{ArmId, ExperimentId, RowId, Split, Version};
use itera_core::scores::RowMeta;
use itera_core::state::{Stage, State, evolve};
use itera_ledger::{LedgerError, Project, Store};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// What comes with a call besides its input.
#[derive(Clone, Default)]
pub struct CallContext {
    /// Where progress goes: calls done and calls in all.
    pub progress: Option<Arc<dyn Fn(u64, u64) + Send + Sync>>,
    /// What the person answered when the client asked them to confirm.
    pub asked: Asked,
}

/// Whether and how the person was asked by the client itself.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The client cannot ask.
    #[default]
    NotOffered,
    /// The person answered through this channel.
    Confirmed(ConsentChannel),
    /// The client cancelled the question, by itself or for the person.
    Cancelled,
    /// The person declined.
    Declined,
}

/// The engine of one project.
pub struct Engine {
    root: PathBuf,
    jobs: Mutex<BTreeMap<ExperimentId, passes::Job>>,
    preparing: Mutex<BTreeMap<(ExperimentId, ArmId, Version), pilot::Preparing>>,
    /// One command at a time per process; another process meets the ledger's own conflict check.
    turn: Mutex<()>,
}

/// An experiment as loaded for one call.
pub(crate) struct Experiment {
    pub id: ExperimentId,
    pub store: Arc<Store>,
    pub entries: Vec<Entry>,
    pub state: State,
}

/// What a tool's body returns: the answer, or everything that stands against it.
pub(crate) type Answer = Result<Envelope, Box<Envelope>>;

impl Engine {
    /// The engine of the project at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            root: root.canonicalize().unwrap_or(root),
            jobs: Mutex::default(),
            preparing: Mutex::default(),
            turn: Mutex::default(),
        }
    }

    /// The project's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn project(&self) -> Result<Project, Box<Envelope>> {
        Project::open(&self.root).map_err(|e| failure(None, None, &e))
    }

    /// Loads an experiment: the one named, or the only open one.
    pub(crate) fn load(&self, id: Option<&ExperimentId>) -> Result<Experiment, Box<Envelope>> {
        let project = self.project()?;
        if let Some(id) = id {
            return open(&project, id);
        }
        let ids = project.experiments().map_err(|e| failure(None, None, &e))?;
        let mut found: Vec<Experiment> = Vec::new();
        for id in &ids {
            let experiment = open(&project, id)?;
            if !matches!(experiment.state.stage, Stage::Concluded | Stage::Abandoned) {
                found.push(experiment);
            }
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(rejected(
                None,
                None,
                Problem::new(
                    "experiment_id",
                    if ids.is_empty() { "there is no experiment in this project" } else { "no experiment is open" }
                        .to_owned(),
                    if ids.is_empty() {
                        "Start one with `frame`.".to_owned()
                    } else {
                        format!("Start one with `frame`, or name one of: {}.", join(&ids))
                    },
                ),
            )),
            n => Err(rejected(
                None,
                None,
                Problem::new(
                    "experiment_id",
                    format!("{n} experiments are open"),
                    format!("Name one of: {}.", join(&found.iter().map(|e| e.id.clone()).collect::<Vec<_>>())),
                ),
            )),
        }
    }

    /// Waits for running jobs to end their calls, so that no child outlives the server.
    pub async fn shut_down(&self) {
        self.preparing.lock().await.clear();
        let jobs = std::mem::take(&mut *self.jobs.lock().await);
        for (_, job) in jobs {
            job.stop().await;
        }
    }
}

fn join(ids: &[ExperimentId]) -> String {
    ids.iter().map(ExperimentId::as_str).collect::<Vec<_>>().join(", ")
}

fn open(project: &Project, id: &ExperimentId) -> Result<Experiment, Box<Envelope>> {
    let store = project.store(id).map_err(|e| failure(Some(id), None, &e))?;
    let entries = store.entries().map_err(|e| failure(Some(id), None, &e))?;
    let state = State::replay(entries.iter().map(|e| &e.event));
    Ok(Experiment { id: id.clone(), store: Arc::new(store), entries, state })
}

/// A rejection as the answer of a call.
pub(crate) fn rejected(id: Option<&ExperimentId>, stage: Option<Stage>, what: impl Into<Rejection>) -> Box<Envelope> {
    Box::new(Envelope::rejected(id, stage, what.into()))
}

/// Whether an error means that the record is not what was written.
fn tampered(error: &LedgerError) -> bool {
    use LedgerError as E;
    matches!(
        error,
        E::Chain(_)
            | E::EventUnreadable { .. }
            | E::EventForged { .. }
            | E::RolledBack { .. }
            | E::AnchorChanged { .. }
            | E::BlobChanged { .. }
            | E::ResultChanged { .. }
            | E::ResultsMissing { .. }
            | E::RowChanged { .. }
            | E::VaultChanged
            | E::NotAStore { .. }
            | E::WrongExperiment { .. }
    )
}

/// A failure of the store: tampering is `ledger-intact`, everything else a problem.
pub(crate) fn failure(id: Option<&ExperimentId>, stage: Option<Stage>, error: &LedgerError) -> Box<Envelope> {
    if tampered(error) {
        let refusal = Refusal::new(GuardId::LedgerIntact, "using this experiment", error.to_string());
        let mut envelope = Envelope::rejected(id, stage, refusal.into());
        envelope.next = vec!["status".into(), "frame".into()];
        return Box::new(envelope);
    }
    rejected(id, stage, Problem::new("store", error.to_string(), error.remedy()))
}

impl Experiment {
    /// Asks the decider and makes the events durable.
    pub fn commit(&mut self, command: Command) -> Result<(), Box<Envelope>> {
        let events = decide(&self.state, command).map_err(|r| self.reject(r))?;
        self.append(events)
    }

    /// Makes events durable and folds them in.
    pub fn append(&mut self, events: Vec<itera_core::event::Event>) -> Result<(), Box<Envelope>> {
        if events.is_empty() {
            return Ok(());
        }
        let head = self.entries.last().map(|e| e.hash.clone());
        let new = self.store.append(head.as_ref(), events, Timestamp::now()).map_err(|e| self.fail(&e))?;
        for entry in new {
            self.state = evolve(std::mem::take(&mut self.state), &entry.event);
            self.entries.push(entry);
        }
        Ok(())
    }

    pub fn reject(&self, what: impl Into<Rejection>) -> Box<Envelope> {
        rejected(Some(&self.id), Some(self.state.stage), what)
    }

    pub fn problem(&self, at: &str, what: impl std::fmt::Display, remedy: &str) -> Box<Envelope> {
        self.reject(Problem::new(at, what.to_string(), remedy))
    }

    pub fn fail(&self, error: &LedgerError) -> Box<Envelope> {
        failure(Some(&self.id), Some(self.state.stage), error)
    }

    pub fn permit(&self, wanted: itera_core::command::Move) -> Result<(), Box<Envelope>> {
        itera_core::command::permit(&self.state, wanted).map_err(|r| self.reject(r))
    }

    pub fn answer(&self, data: serde_json::Value) -> Envelope {
        Envelope::at(&self.id, self.state.stage, data)
    }

    /// Metadata of all rows by id, with the split each was drawn into.
    pub fn metas(&self) -> Result<BTreeMap<RowId, RowMeta>, Box<Envelope>> {
        let metas = self.store.metas().map_err(|e| self.fail(&e))?;
        Ok(metas
            .into_iter()
            .map(|mut m| {
                // The split a row was drawn into; `State::split_now` says where it belongs since.
                if self.state.demoted.contains(&m.row) {
                    m.split = Split::Dev;
                }
                (m.row.clone(), m)
            })
            .collect())
    }

    /// Ids of the rows of a split now, sorted.
    pub fn rows_of(&self, split: Split) -> Result<Vec<RowId>, Box<Envelope>> {
        Ok(self
            .metas()?
            .into_values()
            .filter(|m| self.state.split_now(&m.row, m.split) == split)
            .map(|m| m.row)
            .collect())
    }
}

/// Unwraps an answer into the envelope that is sent.
pub(crate) fn settle(answer: Answer) -> Envelope {
    match answer {
        Ok(envelope) => envelope,
        Err(envelope) => *envelope,
    }
}
