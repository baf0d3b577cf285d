//! Who runs a pass: one process at a time, known by its number.

use crate::store::Store;
use crate::{LedgerError, Result, private};
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};

/// The right to run a pass of one experiment, held until dropped or until the process ends.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct RunLock {
    // Closing the file releases the lock, also when the process is killed.
    _file: File,
}

impl Store {
    /// Takes the right to run a pass, for this process.
    ///
    /// # Errors
    /// [`LedgerError::Held`] with the number of the process that has it (this one, if it holds the
    /// lock already), or that the lock file cannot be written to.
    pub fn run_lock(&self) -> Result<RunLock> {
        let path = self.folder().join("run.lock");
        let mut file = private::open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Where locks bar reading, or the holder has not written yet, its number stays unknown.
                let _ = file.read_to_string(&mut text);
                return Err(LedgerError::Held { experiment: self.experiment().clone(), pid: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(error)) => return Err(LedgerError::io("lock", path)(error)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(LedgerError::io("write", path))?;
        Ok(RunLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use crate::LedgerError;
    use crate::testkit::Bench;

    #[test]
    fn the_second_is_told_who_holds_the_lock() {
        let bench = Bench::new();
        let store = bench.create();
        let lock = store.run_lock().unwrap();
        let error = bench.open().run_lock().unwrap_err();
        assert!(matches!(error, LedgerError::Held { pid: Some(pid), .. } if pid == std::process::id()));
        assert!(error.to_string().contains(&format!("process {}", std::process::id())));
        drop(lock);
        let _again = bench.open().run_lock().unwrap();
    }
}
