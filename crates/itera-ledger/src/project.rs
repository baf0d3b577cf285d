//! A project: the folder whose `.auto-itera/` holds the experiments.

use crate::store::Store;
use crate::{LedgerError, Result, keys, private};
use itera_core::ids::ExperimentId;
use std::fs;
use std::path::{Path, PathBuf};

/// A project and where its key is kept.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
    key_dir: PathBuf,
}

impl Project {
    /// Opens the project at `root`, with the folder for keys that the environment names:
    /// `AUTO_ITERA_KEY_DIR`, else `$XDG_DATA_HOME/auto-itera/keys`, else
    /// `~/.local/share/auto-itera/keys`.
    ///
    /// Nothing is written to a folder that has no `.auto-itera/` yet.
    ///
    /// # Errors
    /// The folder does not exist, or no folder for keys outside of it is known.
    pub fn open(root: &Path) -> Result<Self> {
        Self::with_keys(root, &keys::folder_by_environment()?)
    }

    /// Opens the project at `root` with its keys in `key_dir`.
    ///
    /// # Errors
    /// The folder does not exist, or `key_dir` lies inside it.
    pub fn with_keys(root: &Path, key_dir: &Path) -> Result<Self> {
        let root = root.canonicalize().map_err(LedgerError::io("open the project", root))?;
        keys::refuse_inside(key_dir, &root)?;
        let project = Self { root, key_dir: key_dir.to_owned() };
        if project.state_dir().is_dir() {
            project.prepare()?;
        }
        Ok(project)
    }

    /// The project's folder, symbolic links resolved.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `.auto-itera/`; it may not exist yet.
    pub fn state_dir(&self) -> PathBuf {
        self.root.join(".auto-itera")
    }

    /// The folder for keys, outside the project.
    pub fn key_dir(&self) -> &Path {
        &self.key_dir
    }

    /// The folder of one experiment; it may not exist yet.
    pub fn experiment_dir(&self, id: &ExperimentId) -> PathBuf {
        self.state_dir().join("experiments").join(id.as_str())
    }

    /// Creates `.auto-itera/` (mode 0700), with a `.gitignore` that keeps all of it out of git.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn prepare(&self) -> Result<()> {
        private::folder(&self.state_dir())?;
        private::write_new(&self.state_dir().join(".gitignore"), b"*\n")
    }

    /// The experiments of the project, by id, oldest first (ids begin with their date).
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn experiments(&self) -> Result<Vec<ExperimentId>> {
        let folder = self.state_dir().join("experiments");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(LedgerError::io("list", folder)(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(LedgerError::io("list", &folder))?;
            if let Some(name) = entry.file_name().to_str().filter(|name| well_formed(name))
                && entry.path().join("store.db").is_file()
            {
                ids.push(ExperimentId(name.to_owned()));
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Creates the store of a new experiment, and the project's key with the first of them. A store
    /// without a single event, left behind by a crash, is taken up again.
    ///
    /// # Errors
    /// The experiment exists, its id cannot name a folder, the project's key is missing, or the
    /// disk refuses.
    pub fn create(&self, id: &ExperimentId) -> Result<Store> {
        require_well_formed(id)?;
        self.prepare()?;
        let (project_id, key) = self.key_or_new()?;
        let folder = self.experiment_dir(id);
        private::folder(&folder)?;
        let store = Store::open(&folder, &self.key_dir, &project_id, &key, id, true)?;
        match store.head()?.seq {
            0 => Ok(store),
            events => Err(LedgerError::Exists { id: id.clone(), events }),
        }
    }

    /// Opens the store of an experiment and holds it against its anchor.
    ///
    /// # Errors
    /// There is none, its key is missing, or it was rolled back.
    pub fn store(&self, id: &ExperimentId) -> Result<Store> {
        require_well_formed(id)?;
        let folder = self.experiment_dir(id);
        if !folder.join("store.db").is_file() {
            return Err(LedgerError::NoSuchExperiment { id: id.clone(), path: self.state_dir().join("experiments") });
        }
        let project_id = self.project_id()?.ok_or_else(|| LedgerError::ProjectIdUnreadable { path: self.id_file() })?;
        let key = keys::load(&self.key_dir, &project_id)?;
        Store::open(&folder, &self.key_dir, &project_id, &key, id, false)
    }

    fn id_file(&self) -> PathBuf {
        self.state_dir().join("project-id")
    }

    fn project_id(&self) -> Result<Option<String>> {
        let path = self.id_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LedgerError::io("read", path)(error)),
        };
        let id = text.trim();
        // The id becomes part of a path outside the project, so it must be exactly what was written.
        if id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Some(id.to_owned()))
        } else {
            Err(LedgerError::ProjectIdUnreadable { path })
        }
    }

    /// The project's id and key, made on first use under a lock. A key that is missing while there
    /// are experiments is an error: another key could not open them.
    fn key_or_new(&self) -> Result<(String, [u8; 32])> {
        let path = self.state_dir().join("project.lock");
        let lock = private::open(&path)?;
        lock.lock().map_err(LedgerError::io("lock", path))?;
        let known = self.project_id()?;
        if let Some(id) = &known {
            match keys::load(&self.key_dir, id) {
                Err(LedgerError::KeyMissing { .. }) if self.experiments()?.is_empty() => {}
                other => return other.map(|key| (id.clone(), key)),
            }
        }
        if known.is_none() && !self.experiments()?.is_empty() {
            return Err(LedgerError::ProjectIdUnreadable { path: self.id_file() });
        }
        let id: String = keys::random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        // First the key, then the name that leads to it: a crash in between leaves a key that
        // nothing uses, never a name that leads nowhere.
        keys::create(&self.key_dir, &id)?;
        private::replace(&self.id_file(), format!("{id}\n").as_bytes(), true)?;
        let key = keys::load(&self.key_dir, &id)?;
        Ok((id, key))
    }
}

fn well_formed(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=64).contains(&id.len()) && id.bytes().all(allowed) && id.as_bytes()[0].is_ascii_alphanumeric()
}

fn require_well_formed(id: &ExperimentId) -> Result<()> {
    if well_formed(id.as_str()) { Ok(()) } else { Err(LedgerError::BadId { id: id.0.chars().take(80).collect() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Bench, drafted};

    #[test]
    fn opening_a_folder_without_experiments_writes_nothing() {
        let bench = Bench::new();
        assert_eq!(bench.project().experiments().unwrap(), []);
        assert!(!bench.project().state_dir().exists());
    }

    #[test]
    fn experiments_are_listed_and_found_again() {
        let bench = Bench::new();
        let project = bench.project();
        project.create(&"2026-02-02-b".into()).unwrap();
        project.create(&"2026-01-01-a".into()).unwrap();
        assert_eq!(project.experiments().unwrap(), ["2026-01-01-a".into(), "2026-02-02-b".into()]);
        assert!(bench.project().store(&"2026-01-01-a".into()).is_ok());
        assert_eq!(fs::read_to_string(project.state_dir().join(".gitignore")).unwrap(), "*\n");
    }

    #[test]
    fn an_experiment_with_events_is_not_created_again() {
        let bench = Bench::new();
        let store = bench.create();
        bench.create();
        store.append(None, vec![drafted()], bench.at()).unwrap();
        assert!(matches!(bench.project().create(&bench.id()), Err(LedgerError::Exists { events: 1, .. })));
    }

    #[test]
    fn an_id_that_leaves_the_folder_is_refused() {
        let project = Bench::new().project();
        for id in ["../x", "", "a/b", ".hidden", "A", "-x", "a.b"] {
            assert!(matches!(project.create(&id.into()), Err(LedgerError::BadId { .. })), "{id}");
        }
        assert!(matches!(project.store(&"none".into()), Err(LedgerError::NoSuchExperiment { .. })));
    }

    #[test]
    fn a_key_folder_inside_the_project_is_refused_even_through_a_link() {
        let bench = Bench::new();
        let root = bench.project().root().to_owned();
        let refused = |dir: &Path| matches!(Project::with_keys(&root, dir), Err(LedgerError::KeyDirInside { .. }));
        assert!(refused(&root.join("keys/deep")));
        #[cfg(unix)]
        {
            let link = bench.key_dir().join("link");
            fs::create_dir_all(bench.key_dir()).unwrap();
            std::os::unix::fs::symlink(&root, &link).unwrap();
            assert!(refused(&link.join("keys")));
        }
    }

    #[test]
    fn a_missing_key_is_an_error_with_a_remedy_and_no_new_key_is_made() {
        let bench = Bench::new();
        let store = bench.create();
        store.append(None, vec![drafted()], bench.at()).unwrap();
        drop(store);
        fs::remove_dir_all(bench.key_dir()).unwrap();
        let error = bench.project().store(&bench.id()).unwrap_err();
        assert!(matches!(error, LedgerError::KeyMissing { .. }) && error.remedy().contains("restore the key folder"));
        let error = bench.project().create(&"another".into()).unwrap_err();
        assert!(matches!(error, LedgerError::KeyMissing { .. }));
    }

    #[test]
    fn the_first_two_users_of_a_project_agree_on_its_key() {
        let bench = Bench::new();
        std::thread::scope(|scope| {
            for n in 0..4 {
                let project = bench.project();
                scope.spawn(move || project.create(&format!("e{n}").as_str().into()).unwrap());
            }
        });
        for n in 0..4 {
            bench.project().store(&format!("e{n}").as_str().into()).unwrap();
        }
        let keys = fs::read_dir(bench.key_dir()).unwrap();
        assert_eq!(keys.filter(|k| k.as_ref().unwrap().path().extension().is_some_and(|e| e == "key")).count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn everything_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let bench = Bench::new();
        let store = bench.create();
        store.append(None, vec![drafted()], bench.at()).unwrap();
        let _lock = store.run_lock().unwrap();
        let mut seen = 0;
        let mut folders = vec![bench.project().state_dir(), bench.key_dir()];
        while let Some(folder) = folders.pop() {
            assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700, "{folder:?}");
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
                    seen += 1;
                }
            }
        }
        assert!(seen >= 8, "store, wal, shm, head, run.lock, project-id, key, anchor: {seen}");
    }
}
