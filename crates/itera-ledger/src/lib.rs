//! The hash-chained event store, the result store and the vault of sealed rows.
//!
//! A [`Project`] is a folder with a `.auto-itera/` in it; every experiment of it has one [`Store`],
//! an SQLite file that holds
//!
//! - the **ledger**: events, each bound to all before it and durable before the call returns;
//! - the **results**: one record per call, durable as each call ends, never overwritten;
//! - the **vault**: sampled rows, sealed with a key that is kept outside the project;
//! - the **blobs**: files of arms, named by their digest.
//!
//! Invariant: no text of a row is ever stored in clear, and no error of this crate quotes one.
//!
//! What the store defends against is accident and temptation: a search over the project, a curious
//! read, an `UPDATE` by hand, an older copy put back. Records carry a MAC under the project's key
//! and the ends of all chains are anchored next to that key, so that a change, a removal or a
//! roll-back is found when the store is opened or read. Whoever reads the key can undo all of it.

mod anchor;
mod blobs;
mod calls;
mod error;
mod events;
mod keys;
mod lock;
mod private;
mod project;
mod store;
mod vault;

#[cfg(test)]
mod testkit;

pub use anchor::Head;
pub use calls::CallRow;
pub use error::LedgerError;
pub use lock::RunLock;
pub use project::Project;
pub use store::Store;

/// Result of this crate.
pub type Result<T, E = LedgerError> = std::result::Result<T, E>;
