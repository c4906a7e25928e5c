//! The state store: claims, runs, history, the ledger of batches.
//!
//! [`Store`] is the daemon's handle; it holds the lock on the state file. [`Reader`] is what
//! `history`, `logs` and `dry-run` use beside a running daemon: it changes nothing.
//! The SQL stays below, in `sqlite/`; callers see typed calls only.

pub mod ledger;
pub mod ledger_rows;
pub mod runs;
mod sqlite;
pub mod triggers;

use std::path::{Path, PathBuf};

pub use sqlite::{Reader, Store};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the state.
    #[error("the state {path} is in use by another gulou process{owner}; stop it first", path = path.display())]
    Locked {
        /// The state file.
        path: PathBuf,
        /// ` (pid N)`, or nothing when it could not be read.
        owner: String,
    },
    /// The file or its folder could not be made, read or locked.
    #[error("could not open the state {path}: {source}", path = path.display())]
    Io {
        /// The state file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The database refused.
    #[error("the state database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// The file was written by a newer version of this program.
    #[error("the state {path} has schema version {found}, this program knows up to {known}; use a newer gulou", path = path.display())]
    TooNew {
        /// The state file.
        path: PathBuf,
        /// Version in the file.
        found: i64,
        /// Newest version known here.
        known: i64,
    },
    /// The file was written by an older version, and whoever asks may not change it.
    #[error("the state {path} has schema version {found}, this program needs {needed}; `gulou serve` brings it up to date", path = path.display())]
    TooOld {
        /// The state file.
        path: PathBuf,
        /// Version in the file.
        found: i64,
        /// Version that this program reads.
        needed: i64,
    },
    /// The writer thread is gone: the store was closed.
    #[error("the state store is closed")]
    Closed,
    /// A commit failed; all that was in it is undone.
    #[error("could not commit to the state: {0}")]
    Commit(String),
    /// The caller's epoch is older than the one on record: another owner has taken over.
    #[error("epoch {ours} is over: epoch {current} owns the state now")]
    StaleEpoch {
        /// The caller's.
        ours: i64,
        /// The one on record.
        current: i64,
    },
    /// What was to be recorded is not reserved, or is recorded already.
    #[error("reservation {reservation} is not open")]
    NotReserved {
        /// Its id.
        reservation: String,
    },
}

impl StoreError {
    fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}
