//! The files of an arm: read from the project, kept by digest, written where they run, and held
//! against their digests ever after.

use crate::error::ArmError;
use itera_core::frame::ArmSpec;
use itera_core::ids::Digest;
use itera_core::snapshot::{FileDigest, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Most bytes that the files of one arm may have together.
pub const MAX_BYTES: u64 = 64 << 20;
/// Most files that one arm may have.
pub const MAX_FILES: usize = 2_000;
/// Folders that are never part of an arm.
const FORBIDDEN: [&str; 2] = [".auto-itera", ".git"];
/// Deepest nesting of folders that is followed.
const MAX_DEPTH: usize = 64;

/// A snapshot with the bytes it names.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The digests.
    pub snapshot: Snapshot,
    /// Every distinct content, by digest.
    pub blobs: Vec<(Digest, Vec<u8>)>,
    /// What the person should know before locking: files that the command names and the arm does
    /// not declare.
    pub warnings: Vec<String>,
}

/// Reads the files that an arm declares.
///
/// Folders are expanded recursively; folders named `__pycache__` inside them are passed over, since
/// they change whenever a script runs. A symbolic link that stays inside the project is read as the
/// file or folder it points to.
///
/// # Errors
/// [`ArmError::Undeclarable`] for an absolute path, one with `..`, one that is missing, leads out of
/// the project, lies under `.auto-itera/` or `.git/`, is not a regular file, or is not UTF-8;
/// [`ArmError::TooLarge`] above [`MAX_BYTES`] or [`MAX_FILES`]; [`ArmError::Io`].
pub fn take(project: &Path, spec: &ArmSpec) -> Result<Taken, ArmError> {
    let root = canonical_root(project)?;
    let mut found = BTreeMap::new();
    for declared in &spec.files {
        Expansion { root: &root, found: &mut found }.declared(declared)?;
    }
    let mut files = Vec::with_capacity(found.len());
    let mut blobs = BTreeMap::new();
    let mut room = MAX_BYTES;
    for (path, real) in &found {
        let (bytes, executable) =
            read_at_most(real, room).map_err(ArmError::io(format!("`{path}` could not be read")))?;
        let Some(left) = room.checked_sub(bytes.len() as u64) else {
            return Err(ArmError::TooLarge { limit: format!("{MAX_BYTES} bytes in all") });
        };
        room = left;
        let digest = Digest::of(&bytes);
        files.push(FileDigest { path: path.clone(), bytes: bytes.len() as u64, digest: digest.clone(), executable });
        blobs.entry(digest).or_insert(bytes);
    }
    let warnings = undeclared(&root, spec, &files);
    Ok(Taken { snapshot: Snapshot::new(spec, files), blobs: blobs.into_iter().collect(), warnings })
}

/// Files of the project that differ from a snapshot, sorted: changed, removed, added to a declared
/// folder, or no longer readable. Empty where the working tree still is what was registered.
pub fn drift(project: &Path, spec: &ArmSpec, snapshot: &Snapshot) -> Vec<String> {
    let Ok(root) = canonical_root(project) else {
        return snapshot.files.iter().map(|f| f.path.clone()).collect();
    };
    let mut differing = BTreeSet::new();
    let mut found = BTreeMap::new();
    for declared in &spec.files {
        if (Expansion { root: &root, found: &mut found }).declared(declared).is_err() {
            differing.insert(normal_form(declared).unwrap_or_else(|| declared.clone()));
        }
    }
    for file in &snapshot.files {
        let same = found.get(&file.path).is_some_and(|real| {
            read_at_most(real, file.bytes)
                .is_ok_and(|(bytes, executable)| Digest::of(&bytes) == file.digest && executable == file.executable)
        });
        if !same {
            differing.insert(file.path.clone());
        }
    }
    differing.extend(found.into_keys().filter(|path| snapshot.file(path).is_none()));
    differing.into_iter().collect()
}

/// Writes a snapshot's files into `dir`, read-only, and nothing else: what stood at `dir` before is
/// replaced. The files appear together (written beside `dir`, then renamed), each after its digest
/// was verified.
///
/// # Errors
/// [`ArmError::Changed`] where a blob is not what its digest says, [`ArmError::Undeclarable`] where
/// the snapshot holds a path that leads out of `dir`, [`ArmError::Io`].
pub fn materialise(
    snapshot: &Snapshot,
    blob: &dyn Fn(&Digest) -> io::Result<Vec<u8>>,
    dir: &Path,
) -> Result<(), ArmError> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let parent = dir.parent().ok_or_else(|| ArmError::undeclarable("/", "an arm cannot run in the root folder"))?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let mark = format!("{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    let fresh = parent.join(format!(".{name}.new-{mark}"));
    let written = write_files(snapshot, blob, &fresh).and_then(|()| {
        let failed = || format!("`{}` could not be put in place", dir.display());
        if fs::symlink_metadata(dir).is_ok() {
            let stale = parent.join(format!(".{name}.old-{mark}"));
            fs::rename(dir, &stale).map_err(ArmError::io(failed()))?;
            fs::rename(&fresh, dir).map_err(ArmError::io(failed()))?;
            fs::remove_dir_all(&stale).map_err(ArmError::io("the replaced files could not be removed"))
        } else {
            fs::rename(&fresh, dir).map_err(ArmError::io(failed()))
        }
    });
    if written.is_err() {
        // The error that matters is the first one; a leftover folder is only untidy.
        let _ = fs::remove_dir_all(&fresh);
    }
    written
}

fn write_files(snapshot: &Snapshot, blob: &dyn Fn(&Digest) -> io::Result<Vec<u8>>, dir: &Path) -> Result<(), ArmError> {
    let folder = |path: &Path| {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(ArmError::io("the arm's folder could not be made"))
    };
    folder(dir)?;
    for file in &snapshot.files {
        let target = dir.join(inside(&file.path)?);
        folder(target.parent().unwrap_or(dir))?;
        let bytes = blob(&file.digest)
            .map_err(ArmError::io(format!("the kept content of `{}` could not be read", file.path)))?;
        if Digest::of(&bytes) != file.digest {
            return Err(ArmError::changed(&file.path, "its kept content does not have the registered digest"));
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(if file.executable { 0o500 } else { 0o400 })
            .open(&target)
            .and_then(|mut f| f.write_all(&bytes))
            .map_err(ArmError::io(format!("`{}` could not be written", file.path)))?;
    }
    Ok(())
}

/// Checks that every file of the snapshot stands in `dir` with its digest. Files beside them are
/// not looked at: `dir` is made anew by [`materialise`].
///
/// # Errors
/// [`ArmError::Changed`] naming the first file that differs.
pub fn check(snapshot: &Snapshot, dir: &Path) -> Result<(), ArmError> {
    Stamp::of(snapshot, dir).map(|_| ())
}

/// What the file system says of verified files: cheap to compare before every call.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    files: Vec<(PathBuf, String, Mark)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    size: u64,
    mode: u32,
    modified: (i64, i64),
    // Set by the kernel on every change of content or attributes; a restored mtime does not hide one.
    changed: (i64, i64),
}

impl Mark {
    fn of(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            mode: meta.mode(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

impl Stamp {
    /// Verifies the files of a snapshot in `dir` and keeps their marks.
    pub(crate) fn of(snapshot: &Snapshot, dir: &Path) -> Result<Self, ArmError> {
        let mut stamp = Self { files: Vec::with_capacity(snapshot.files.len()) };
        for file in &snapshot.files {
            let path = dir.join(inside(&file.path)?);
            stamp.verify(path, &file.path, &file.digest)?;
            let executable = stamp.files.last().is_some_and(|(_, _, mark)| mark.mode & 0o100 != 0);
            if executable != file.executable {
                return Err(ArmError::changed(&file.path, "its executable bit differs"));
            }
        }
        Ok(stamp)
    }

    /// Verifies one more file and keeps its mark.
    pub(crate) fn verify(&mut self, path: PathBuf, name: &str, digest: &Digest) -> Result<(), ArmError> {
        // The mark is taken before the digest: a change in between is seen by the next comparison.
        let mark = regular(&path, name)?;
        let found = digest_of_file(&path).map_err(|e| ArmError::changed(name, e.kind().to_string()))?;
        if found != *digest {
            return Err(ArmError::changed(name, "its content does not have the registered digest"));
        }
        self.files.push((path, name.to_owned(), mark));
        Ok(())
    }

    /// Compares every file's mark: no file is opened.
    pub(crate) fn unchanged(&self) -> Result<(), ArmError> {
        for (path, name, mark) in &self.files {
            if regular(path, name)? != *mark {
                return Err(ArmError::changed(name, "it was written to or replaced since it was verified"));
            }
        }
        Ok(())
    }
}

fn regular(path: &Path, name: &str) -> Result<Mark, ArmError> {
    let meta = fs::symlink_metadata(path).map_err(|e| ArmError::changed(name, e.kind().to_string()))?;
    if meta.is_file() { Ok(Mark::of(&meta)) } else { Err(ArmError::changed(name, "it is no longer a regular file")) }
}

pub(crate) fn digest_of_file(path: &Path) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(Digest(hasher.finalize().to_hex().to_string()))
}

fn canonical_root(project: &Path) -> Result<PathBuf, ArmError> {
    project.canonicalize().map_err(ArmError::io("the project's folder could not be found"))
}

/// Reads at most `most + 1` bytes, so that a caller can tell a longer file.
fn read_at_most(path: &Path, most: u64) -> io::Result<(Vec<u8>, bool)> {
    let file = File::open(path)?;
    let executable = file.metadata()?.permissions().mode() & 0o111 != 0;
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes, executable))
}

/// The path with `/`, without `.` components; nothing where it is absolute, empty of names but not
/// the project itself, or has a `..`.
fn normal_form(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?.to_owned()),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(parts.join("/"))
}

fn inside(path: &str) -> Result<PathBuf, ArmError> {
    match normal_form(path) {
        Some(normal) if normal == path && !path.is_empty() => Ok(PathBuf::from(normal)),
        _ => Err(ArmError::undeclarable(path, "it is not a plain relative path")),
    }
}

fn forbidden(path: &str) -> Option<&'static str> {
    FORBIDDEN.into_iter().find(|name| path.split('/').any(|part| part.eq_ignore_ascii_case(name)))
}

struct Expansion<'a> {
    root: &'a Path,
    found: &'a mut BTreeMap<String, PathBuf>,
}

impl Expansion<'_> {
    fn declared(&mut self, declared: &str) -> Result<(), ArmError> {
        let normal = normal_form(declared)
            .filter(|_| !declared.is_empty())
            .ok_or_else(|| ArmError::undeclarable(declared, "paths are relative to the project, without `..`"))?;
        self.visit(&normal, 0)
    }

    fn visit(&mut self, path: &str, depth: usize) -> Result<(), ArmError> {
        let real = self.root.join(path).canonicalize().map_err(|e| {
            ArmError::undeclarable(
                path,
                if e.kind() == io::ErrorKind::NotFound { "it does not exist".to_owned() } else { e.to_string() },
            )
        })?;
        let Ok(within) = real.strip_prefix(self.root) else {
            return Err(ArmError::undeclarable(path, "it leads out of the project"));
        };
        if let Some(name) = forbidden(path).or_else(|| forbidden(&within.to_string_lossy())) {
            return Err(ArmError::undeclarable(path, format!("nothing under `{name}/` may be part of an arm")));
        }
        let meta = fs::metadata(&real).map_err(ArmError::io(format!("`{path}` could not be read")))?;
        if meta.is_file() {
            self.found.insert(path.to_owned(), real);
            if self.found.len() > MAX_FILES {
                return Err(ArmError::TooLarge { limit: format!("{MAX_FILES} files") });
            }
            return Ok(());
        }
        if !meta.is_dir() {
            return Err(ArmError::undeclarable(path, "it is neither a file nor a folder"));
        }
        if depth >= MAX_DEPTH {
            return Err(ArmError::undeclarable(
                path,
                "folders are nested too deeply, or a link leads round in a circle",
            ));
        }
        let unreadable = || format!("the folder `{path}` could not be read");
        for entry in fs::read_dir(&real).map_err(ArmError::io(unreadable()))? {
            let name = entry.map_err(ArmError::io(unreadable()))?.file_name();
            let Some(name) = name.to_str() else {
                return Err(ArmError::undeclarable(path, "it holds a file whose name is not UTF-8"));
            };
            if name == "__pycache__" {
                continue;
            }
            let child = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            self.visit(&child, depth + 1)?;
        }
        Ok(())
    }
}

/// Warnings for the parts of the command lines that name something of the project which the arm
/// does not declare: in its own folder the arm will not find it.
fn undeclared(root: &Path, spec: &ArmSpec, files: &[FileDigest]) -> Vec<String> {
    let mut warnings = BTreeSet::new();
    for argument in spec.command.iter().chain(&spec.prepare) {
        let value =
            argument.split_once('=').filter(|_| argument.starts_with('-')).map_or(argument.as_str(), |(_, v)| v);
        if Path::new(value).is_absolute() {
            if Path::new(value).starts_with(root) {
                warnings.insert(format!(
                    "the command names `{value}` by its full path, so it would run the working tree and not the snapshot: declare it in files and name it relative to the project"
                ));
            }
            continue;
        }
        let Some(normal) = normal_form(value).filter(|n| !n.is_empty()) else {
            continue;
        };
        let folder = format!("{normal}/");
        let declared = files.iter().any(|f| f.path == normal || f.path.starts_with(&folder));
        if !declared && root.join(&normal).exists() {
            warnings.insert(format!("`{normal}` exists in the project but is not declared: declare it in files"));
        }
    }
    for line in [&spec.command, &spec.prepare] {
        let Some(program) = line.first().filter(|p| p.contains('/') && !Path::new(p).is_absolute()) else {
            continue;
        };
        let declared = normal_form(program).and_then(|n| files.iter().find(|f| f.path == n));
        match declared {
            Some(file) if !file.executable => {
                warnings.insert(format!("`{}` is started as a program but is not executable", file.path));
            }
            None if !root.join(program).exists() => {
                warnings.insert(format!("the program `{program}` is neither declared nor in the project"));
            }
            _ => {}
        }
    }
    warnings.into_iter().collect()
}

#[cfg(test)]
mod tests;
