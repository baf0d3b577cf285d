//! `auto-itera attest`: a key, and a signature under the attestation of a conclusion.

use anyhow::{Context, bail};
use clap::Args;
use itera_report::attestation::{self, ENVELOPE, STATEMENT};
use itera_report::folder;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Either a new key, or a folder to sign with one.
#[derive(Args)]
pub struct AttestArgs {
    /// The folder of a conclusion.
    #[arg(required_unless_present = "new_key", conflicts_with = "new_key")]
    dir: Option<PathBuf>,
    /// The private key to sign with (ed25519, PKCS#8 PEM).
    #[arg(long, required_unless_present = "new_key", conflicts_with = "new_key")]
    key: Option<PathBuf>,
    /// Make a key: FILE gets the private half (mode 0600), FILE.pub the public one.
    #[arg(long, value_name = "FILE")]
    new_key: Option<PathBuf>,
}

/// Makes a key, or signs.
///
/// # Errors
/// When a file cannot be read or written, is in the way, or the folder does not verify.
pub fn run(args: &AttestArgs) -> anyhow::Result<bool> {
    match (&args.new_key, &args.dir, &args.key) {
        (Some(file), _, _) => new_key(file),
        (None, Some(dir), Some(key)) => sign(dir, key),
        _ => bail!("name a folder and --key FILE, or --new-key FILE"),
    }
}

fn new_key(file: &Path) -> anyhow::Result<bool> {
    use rand::rand_core::TryRng;
    let mut secret = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut secret).context("the system gives no random bytes")?;
    let private = attestation::new_key(&secret)?;
    let public = attestation::public_key(&private)?;
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    let public_file = PathBuf::from(name);
    if public_file.exists() {
        bail!("{} is there already; choose another name", public_file.display());
    }
    write_private(file, &private)?;
    std::fs::write(&public_file, &public).with_context(|| format!("cannot write {}", public_file.display()))?;
    writeln!(
        std::io::stdout(),
        "{}: keep it secret\n{}: give it to those who verify\nkey id {}",
        file.display(),
        public_file.display(),
        attestation::key_id(&public)?
    )?;
    Ok(true)
}

/// Writes a new file that only its owner may read; one that is there stays as it is.
fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(file).with_context(|| format!("cannot make {}", file.display()))?;
    out.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", file.display()))
}

fn sign(dir: &Path, key: &Path) -> anyhow::Result<bool> {
    let private = std::fs::read_to_string(key).with_context(|| format!("cannot read {}", key.display()))?;
    let envelope = dir.join(ENVELOPE);
    // Only a folder that holds may be signed; an old signature is replaced and so does not count.
    let found = folder::verify(dir).with_context(|| format!("{} cannot be verified", dir.display()))?;
    if let Some(failed) = found.checks.iter().find(|c| !c.ok && c.what != ENVELOPE) {
        bail!("{} does not verify, so it is not signed: {}: {}", dir.display(), failed.what, failed.found);
    }
    let statement = std::fs::read(dir.join(STATEMENT)).with_context(|| format!("cannot read {STATEMENT}"))?;
    let signed = attestation::sign(&statement, &private).with_context(|| format!("{} is no key", key.display()))?;
    std::fs::write(&envelope, signed).with_context(|| format!("cannot write {}", envelope.display()))?;
    let id = attestation::key_id(&attestation::public_key(&private)?)?;
    writeln!(std::io::stdout(), "{}: signed by {id}", envelope.display())?;
    Ok(true)
}

/// The id of the key in a public key file.
///
/// # Errors
/// When the file cannot be read or holds no public key.
pub fn signer(public_key: &Path) -> anyhow::Result<String> {
    let pem = std::fs::read_to_string(public_key).with_context(|| format!("cannot read {}", public_key.display()))?;
    attestation::key_id(&pem).with_context(|| format!("{} cannot be used", public_key.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_private_and_never_replaced() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("key");
        new_key(&file).expect("a key");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let before = std::fs::read(&file).expect("the key");
        assert!(new_key(&file).is_err());
        assert_eq!(std::fs::read(&file).expect("the key"), before);
        assert_eq!(signer(&dir.path().join("key.pub")).expect("an id").len(), 64);
        assert!(format!("{:#}", signer(&file).expect_err("private")).contains("not an ed25519 public key"));
    }

    #[test]
    fn a_folder_that_cannot_be_verified_is_not_signed() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("key");
        new_key(&file).expect("a key");
        assert!(sign(dir.path(), &file).is_err());
        assert!(!dir.path().join(ENVELOPE).exists());
    }
}
