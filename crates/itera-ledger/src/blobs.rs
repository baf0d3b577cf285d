//! Files of arms, kept under the digest of their content.

use crate::store::Store;
use crate::{LedgerError, Result};
use itera_core::ids::Digest;
use rusqlite::{Connection, OptionalExtension, params};

impl Store {
    /// Keeps some bytes and returns their digest; bytes that are kept already cost nothing.
    ///
    /// # Errors
    /// The store cannot be written to.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        self.write(|tx| {
            if self.stored_blob(tx, &digest)?.is_none_or(|stored| stored != bytes) {
                tx.execute(
                    "INSERT OR REPLACE INTO blobs(digest, bytes) VALUES (?1, ?2)",
                    params![digest.as_str(), bytes],
                )
                .map_err(self.failed())?;
            }
            Ok(())
        })?;
        Ok(digest)
    }

    /// The bytes of that digest.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchBlob`], [`LedgerError::BlobChanged`], or that the store cannot be read.
    pub fn blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let bytes = self
            .stored_blob(&self.connection(), digest)?
            .ok_or_else(|| LedgerError::NoSuchBlob { digest: digest.clone() })?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(LedgerError::BlobChanged { digest: digest.clone() }) }
    }

    fn stored_blob(&self, db: &Connection, digest: &Digest) -> Result<Option<Vec<u8>>> {
        db.query_row("SELECT bytes FROM blobs WHERE digest = ?1", [digest.as_str()], |row| row.get(0))
            .optional()
            .map_err(self.failed())
    }
}

#[cfg(test)]
mod tests {
    use crate::LedgerError;
    use crate::testkit::Bench;
    use itera_core::ids::Digest;

    #[test]
    fn bytes_are_kept_once_and_checked_when_read() {
        let bench = Bench::new();
        let store = bench.create();
        let digest = store.put_blob(b"prompt v1").unwrap();
        assert_eq!(store.put_blob(b"prompt v1").unwrap(), digest);
        assert_eq!(store.blob(&digest).unwrap(), b"prompt v1");
        assert_eq!(store.blob(&store.put_blob(b"").unwrap()).unwrap(), b"");
        assert!(matches!(store.blob(&Digest::of(b"other")), Err(LedgerError::NoSuchBlob { .. })));
        bench.sql("UPDATE blobs SET bytes = x'00'");
        assert!(matches!(store.blob(&digest), Err(LedgerError::BlobChanged { .. })));
        store.put_blob(b"prompt v1").unwrap();
        assert_eq!(store.blob(&digest).unwrap(), b"prompt v1");
    }
}
