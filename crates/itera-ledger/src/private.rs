//! Folders and files that only their owner may read.

use crate::{LedgerError, Result};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Creates a folder and its missing parents; the folders that are created have mode 0700.
pub(crate) fn folder(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path).map_err(LedgerError::io("create the folder", path))
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Opens a file for reading and writing, creating it with mode 0600 where absent.
pub(crate) fn open(path: &Path) -> Result<File> {
    options().create(true).truncate(false).open(path).map_err(LedgerError::io("open", path))
}

/// Writes a file with mode 0600 so that a crash leaves the old content or the new, never a mixture.
/// The folder is synced as well where `durable` is set. Callers hold a lock on what they replace.
pub(crate) fn replace(path: &Path, bytes: &[u8], durable: bool) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let written = options()
        .create(true)
        .truncate(true)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        })
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // The temporary file is of no use to anyone; that it stays behind would not be news.
        let _ = fs::remove_file(&temporary);
        return Err(LedgerError::io("write", path)(error));
    }
    if durable { sync_folder(path.parent().unwrap_or(path)) } else { Ok(()) }
}

/// Writes a file with mode 0600 unless it exists.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    match options().create_new(true).open(path).and_then(|mut file| file.write_all(bytes)) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(LedgerError::io("write", path)(error)),
        _ => Ok(()),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    // Only Unix can open a folder as a file; elsewhere the rename itself is what there is.
    if cfg!(unix) {
        File::open(path).and_then(|folder| folder.sync_all()).map_err(LedgerError::io("sync", path))?;
    }
    Ok(())
}

/// The permission bits of a file that let other accounts in, with the whole mode; nothing on
/// systems without them.
pub(crate) fn exposed(path: &Path) -> Result<Option<u32>> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path).map_err(LedgerError::io("read", path))?.permissions().mode() & 0o777;
        Ok((mode & 0o077 != 0).then_some(mode))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(None)
    }
}
