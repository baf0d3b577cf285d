//! Arms on disk: the kept copy that runs, its prepared state, and the rows it may see.

use super::Experiment;
use super::source::train_line;
use crate::envelope::Envelope;
use itera_arms::BoxError;
use itera_arms::runner::RowSource;
use itera_arms::{ArmError, ArmRuntime};
use itera_core::event::PassKind;
use itera_core::frame::Frame;
use itera_core::guards::{GuardId, Problem, Refusal};
use itera_core::ids::{ArmId, Digest, RowId, Split, Version};
use itera_core::state::ArmVersion;
use itera_ledger::Store;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Experiment {
    /// Folder of an arm version.
    pub(super) fn arm_dir(&self, arm: &ArmId, version: Version) -> PathBuf {
        self.store.folder().join("arms").join(format!("{arm}-v{version}"))
    }

    pub(super) fn version(&self, arm: &ArmId, version: Version) -> Result<&ArmVersion, Box<Envelope>> {
        self.state
            .arms
            .get(arm)
            .and_then(|a| a.version(version))
            .ok_or_else(|| self.problem("arm", format!("`{arm}` has no version {version}"), "Call `status`."))
    }

    /// Puts an arm version's files in place where they are not, and checks them.
    pub(super) fn settle_files(&self, arm: &ArmId, version: Version) -> Result<PathBuf, Box<Envelope>> {
        let v = self.version(arm, version)?;
        let dir = self.arm_dir(arm, version).join("files");
        if !dir.exists() {
            if let Some(parent) = dir.parent() {
                std::fs::create_dir_all(parent)
                    .map_err(|e| self.problem("arms", e, "Make room on the disk or give write access."))?;
            }
            let blob = |d: &Digest| self.store.blob(d).map_err(std::io::Error::other);
            itera_arms::snapshot::materialise(&v.snapshot, &blob, &dir).map_err(|e| self.arm_error(arm, &e))?;
        }
        Ok(dir)
    }

    /// An arm version ready to answer: files and prepared state checked against the ledger.
    pub(super) fn runtime(&self, arm: &ArmId, version: Version) -> Result<ArmRuntime, Box<Envelope>> {
        let dir = self.settle_files(arm, version)?;
        let v = self.version(arm, version)?;
        let state = self.arm_dir(arm, version).join("state");
        let state = v.state_digest.as_ref().map(|d| (state.as_path(), d));
        ArmRuntime::open(&v.spec, &v.snapshot, &dir, state).map_err(|e| self.arm_error(arm, &e))
    }

    /// What an arm version runs, in one digest.
    pub(super) fn fingerprint(&self, arm: &ArmId, version: Version) -> Result<Digest, Box<Envelope>> {
        let v = self.version(arm, version)?;
        Ok(Digest::of_json(&(&v.snapshot.digest, &v.state_digest)))
    }

    pub(super) fn arm_error(&self, arm: &ArmId, error: &ArmError) -> Box<Envelope> {
        match error {
            ArmError::Changed { .. } => self.reject(
                Refusal::new(GuardId::SameInputs, format!("running `{arm}`"), error.to_string())
                    .remedy("Restore the experiment's folder from a copy: the kept files of an arm are not to be edited. Edit the project's own files and register the change with `propose`."),
            ),
            ArmError::PrepareFailed { stderr, .. } => self.reject(Problem::new(
                format!("arm `{arm}`"),
                match stderr {
                    Some(text) => format!("{error}: {}", super::source::plain(text)),
                    None => error.to_string(),
                },
                "Repair the prepare command or its files; before the first pass call `pilot` with `repair`, later `propose`.",
            )),
            other => self.reject(Problem::new(format!("arm `{arm}`"), causes(other), "See the message.")),
        }
    }

    /// Project files that differ from every registered version of an arm.
    pub(super) fn drift(&self, root: &Path, arm: &ArmId) -> Vec<String> {
        let Some(versions) = self.state.arms.get(arm).map(|a| &a.versions) else { return Vec::new() };
        let mut newest = Vec::new();
        for v in versions.iter().rev() {
            let differing = itera_arms::snapshot::drift(root, &v.spec.with_reference_file(), &v.snapshot);
            if differing.is_empty() {
                return Vec::new();
            }
            if newest.is_empty() {
                newest = differing;
            }
        }
        newest
    }

    /// Writes the train rows to a private file for a prepare command; how many there are.
    pub(super) fn train_file(&self, path: &Path) -> Result<u64, Box<Envelope>> {
        let io = |e: std::io::Error| self.problem("train rows", e, "Make room on the disk or give write access.");
        let rows = self.rows_of(Split::Train)?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = std::io::BufWriter::new(options.open(path).map_err(io)?);
        for id in &rows {
            let row = self.store.open_row(id).map_err(|e| self.fail(&e))?;
            writeln!(file, "{}", train_line(&row)).map_err(io)?;
        }
        file.flush().map_err(io)?;
        Ok(rows.len() as u64)
    }

    /// The newest answers of the live arms to some train rows, for error analysis.
    pub(super) fn outputs_of(&self, rows: &[RowId]) -> Result<BTreeMap<RowId, Vec<Value>>, Box<Envelope>> {
        let mut answers: BTreeMap<RowId, Vec<Value>> = BTreeMap::new();
        let mut newest: BTreeMap<ArmId, (u32, Version)> = BTreeMap::new();
        for pass in self.state.passes.iter().filter(|p| p.plan.kind == PassKind::Dev && p.records_digest.is_some()) {
            for (arm, version) in &pass.plan.arms {
                newest.insert(arm.clone(), (pass.plan.pass, *version));
            }
        }
        for (arm, (pass, version)) in newest {
            let Some(plan) = self.state.passes.iter().find(|p| p.plan.pass == pass).map(|p| &p.plan) else { continue };
            let wanted: Vec<&RowId> =
                rows.iter().filter(|r| plan.rows.contains(r) || plan.train_rows.contains(r)).collect();
            if wanted.is_empty() {
                continue;
            }
            // One read of the pass: its chain is checked once, not once per row.
            for call in self.store.calls(pass).map_err(|e| self.fail(&e))? {
                let score = &call.score;
                if score.arm != arm || score.version != version || score.trial != 1 || !wanted.contains(&&score.row) {
                    continue;
                }
                answers.entry(score.row.clone()).or_default().push(json!({
                    "arm": arm,
                    "version": version,
                    "output": call.output.as_deref().map(super::source::plain),
                    "score": score.score,
                    "status": score.status,
                    "failure_modes": score.failure_modes,
                }));
            }
        }
        Ok(answers)
    }
}

/// An error with all its causes.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// Rows from the vault with the columns that an arm may see.
pub(super) struct VaultRows {
    store: Arc<Store>,
    inputs: Vec<String>,
    hidden: Vec<String>,
}

impl VaultRows {
    pub(super) fn new(store: Arc<Store>, frame: &Frame) -> Self {
        let mut hidden: Vec<String> = frame.truth_columns().into_iter().map(str::to_owned).collect();
        hidden.extend(frame.source.key.clone());
        Self { store, inputs: frame.source.inputs.clone(), hidden }
    }

    /// The columns of a row that an arm may see.
    pub(super) fn visible(&self, fields: &Map<String, Value>) -> Map<String, Value> {
        fields
            .iter()
            .filter(|(k, _)| if self.inputs.is_empty() { !self.hidden.contains(k) } else { self.inputs.contains(k) })
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    }
}

impl RowSource for VaultRows {
    fn input(&self, row: &RowId) -> Result<Map<String, Value>, BoxError> {
        Ok(self.visible(&self.store.open_row(row)?.fields))
    }
}
