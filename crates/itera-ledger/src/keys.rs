//! The project's key, where it lives, and what is derived from it.
//!
//! One key of 32 random bytes per project, in a file outside the project. Every experiment derives
//! its own keys from it, one for each use, so that nothing sealed for one can pass for another.

use crate::{LedgerError, Result, private};
use blake3::Hash;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use itera_core::ids::{ExperimentId, RowId};
use std::fs;
use std::path::{Path, PathBuf};

const NONCE: usize = 24;

/// The folder for keys by the environment: `AUTO_ITERA_KEY_DIR`, else `auto-itera/keys` in
/// `XDG_DATA_HOME`, else in `.local/share` of the home folder.
pub(crate) fn folder_by_environment() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(folder) = set("AUTO_ITERA_KEY_DIR") {
        return std::path::absolute(&folder).map_err(LedgerError::io("resolve", folder));
    }
    // A relative XDG_DATA_HOME is to be ignored (XDG Base Directory Specification).
    set("XDG_DATA_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().filter(|path| path.is_absolute()).map(|home| home.join(".local/share")))
        .map(|data| data.join("auto-itera").join("keys"))
        .ok_or(LedgerError::NoKeyDir)
}

/// Refuses a folder for keys that lies inside the project, symbolic links resolved.
pub(crate) fn refuse_inside(key_dir: &Path, project: &Path) -> Result<()> {
    let mut existing = key_dir;
    let resolved = loop {
        match existing.canonicalize() {
            Ok(path) => break path,
            Err(error) => existing = existing.parent().ok_or(error).map_err(LedgerError::io("resolve", key_dir))?,
        }
    };
    if resolved.starts_with(project) {
        return Err(LedgerError::KeyDirInside { key_dir: key_dir.to_owned(), project: project.to_owned() });
    }
    Ok(())
}

/// The file that holds the key of a project.
pub(crate) fn file(key_dir: &Path, project_id: &str) -> PathBuf {
    key_dir.join(format!("{project_id}.key"))
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| LedgerError::NoRandomness)?;
    Ok(bytes)
}

/// Writes a new key.
pub(crate) fn create(key_dir: &Path, project_id: &str) -> Result<()> {
    private::folder(key_dir)?;
    private::replace(&file(key_dir, project_id), &random::<32>()?, true)
}

/// Reads a key.
pub(crate) fn load(key_dir: &Path, project_id: &str) -> Result<[u8; 32]> {
    let path = file(key_dir, project_id);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(LedgerError::KeyMissing { path });
        }
        Err(error) => return Err(LedgerError::io("read the key", path)(error)),
    };
    if let Some(mode) = private::exposed(&path)? {
        return Err(LedgerError::KeyExposed { path, mode });
    }
    bytes.try_into().map_err(|_| LedgerError::KeyUnreadable { path })
}

/// The keys of one experiment.
pub(crate) struct Keys {
    seal: XChaCha20Poly1305,
    mac: [u8; 32],
    rows: [u8; 32],
}

impl Keys {
    /// Derives them from the project's key.
    pub(crate) fn derive(project: &[u8; 32], experiment: &ExperimentId) -> Self {
        let material = [project.as_slice(), experiment.as_str().as_bytes()].concat();
        Self {
            seal: XChaCha20Poly1305::new(
                &blake3::derive_key("auto-itera ledger 2026 v1 sealed text", &material).into(),
            ),
            mac: blake3::derive_key("auto-itera ledger 2026 v1 record mac", &material),
            rows: blake3::derive_key("auto-itera ledger 2026 v1 row id", &material),
        }
    }

    /// The opaque id of a source key: `r_` and 16 hexadecimal digits.
    pub(crate) fn row_id(&self, key: &str) -> RowId {
        let hash = blake3::keyed_hash(&self.rows, key.as_bytes()).to_hex();
        RowId(format!("r_{}", &hash[..16]))
    }

    /// The MAC of some parts; parts are framed by their lengths, so that none can flow into another.
    /// Comparing two [`Hash`]es takes constant time.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.mac);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        hasher.finalize()
    }

    /// Encrypts text bound to `context`: a random nonce, then the ciphertext with its tag.
    pub(crate) fn seal(&self, text: &[u8], context: &[u8]) -> Result<Vec<u8>> {
        let nonce = random::<NONCE>()?;
        let sealed = self
            .seal
            .encrypt(&XNonce::from(nonce), Payload { msg: text, aad: context })
            .map_err(|_| LedgerError::NotExact { what: "a text of more than 256 GiB".into() })?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts what was sealed in the same context; nothing if it was changed.
    pub(crate) fn open(&self, sealed: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE>()?;
        self.seal.decrypt(&XNonce::from(*nonce), Payload { msg: text, aad: context }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(experiment: &str) -> Keys {
        Keys::derive(&[7; 32], &experiment.into())
    }

    #[test]
    fn what_is_sealed_opens_in_its_own_context_only() {
        let sealed = keys("a").seal(b"text", b"row 1").unwrap();
        assert_eq!(keys("a").open(&sealed, b"row 1").unwrap(), b"text");
        assert_eq!(keys("a").open(&sealed, b"row 2"), None);
        assert_eq!(keys("b").open(&sealed, b"row 1"), None);
        assert_eq!(keys("a").open(&sealed[..10], b"row 1"), None);
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(keys("a").open(&changed, b"row 1"), None);
        assert_ne!(sealed, keys("a").seal(b"text", b"row 1").unwrap(), "a nonce is never used twice");
    }

    #[test]
    fn a_row_id_is_opaque_and_differs_between_experiments() {
        let id = keys("a").row_id("42");
        assert_eq!(id, keys("a").row_id("42"));
        assert_ne!(id, keys("b").row_id("42"));
        assert!(id.as_str().len() == 18 && id.as_str().starts_with("r_"));
    }

    #[test]
    fn parts_of_a_mac_do_not_flow_into_one_another() {
        assert_ne!(keys("a").mac(&[b"ab", b"c"]), keys("a").mac(&[b"a", b"bc"]));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), "p").unwrap();
        assert!(load(folder.path(), "p").is_ok());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(file(folder.path(), "p"), fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(load(folder.path(), "p"), Err(LedgerError::KeyExposed { mode: 0o644, .. })));
        }
        assert!(matches!(load(folder.path(), "q"), Err(LedgerError::KeyMissing { .. })));
    }
}
