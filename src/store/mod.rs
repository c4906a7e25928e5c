//! The state store: claims, runs, history, the ledger of batches.
//!
//! [`Store`] is the daemon's handle; it holds the lock on the state. [`Reader`] is what
//! `history`, `logs` and `dry-run` use beside a running daemon: it changes nothing.
//! The SQL stays below, in `sqlite/` and `postgres/`; callers see typed calls only.

pub mod attempts;
pub mod ledger;
pub mod ledger_rows;
pub mod memo;
mod output;
mod postgres;
pub mod quota;
pub mod runs;
mod scope;
mod sqlite;
pub mod triggers;

use std::fmt;
use std::path::{Path, PathBuf};

pub use postgres::Server;

use crate::settings::{ServerSettings, StateSettings};

/// The daemon's handle on the state. Clones share one writer; the last one to go closes the state.
#[derive(Clone, Debug)]
pub struct Store(Backend);

#[derive(Clone, Debug)]
enum Backend {
    Sqlite(sqlite::Store),
    Postgres(postgres::Store),
}

impl Store {
    /// Takes the lock of a state file, makes or migrates it, and starts a new epoch.
    ///
    /// Fails when another process holds the lock, when the file cannot be opened, or when it was
    /// written by a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self(Backend::Sqlite(sqlite::Store::open(path)?)))
    }

    /// The same for a state on a PostgreSQL server. Blocks until that is done.
    ///
    /// Fails as [`Store::open`] does, and when the server cannot be reached.
    pub fn open_postgres(server: &Server) -> Result<Self, StoreError> {
        Ok(Self(Backend::Postgres(postgres::Store::open(server)?)))
    }

    /// Takes the state that the settings name.
    pub fn take(settings: &StateSettings) -> Result<Self, StoreError> {
        match settings {
            StateSettings::Sqlite(path) => Self::open(path),
            StateSettings::Postgres { server, schema } => Self::open_postgres(&Server::of(server, schema)),
        }
    }

    /// The number of this opening: greater than every earlier one. Reservations carry it.
    pub fn epoch(&self) -> i64 {
        match &self.0 {
            Backend::Sqlite(store) => store.epoch(),
            Backend::Postgres(store) => store.epoch(),
        }
    }
}

/// Reads a state without changing it. Calls block.
#[derive(Debug)]
pub struct Reader(Source);

#[derive(Debug)]
enum Source {
    Sqlite(sqlite::Reader),
    Postgres(postgres::Reader),
}

impl Reader {
    /// Opens a state file for reading; `None` when there is none yet.
    pub fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        Ok(sqlite::Reader::open(path)?.map(|reader| Self(Source::Sqlite(reader))))
    }

    /// Reads the state that the settings name; `None` when there is none yet.
    pub fn of(settings: &StateSettings) -> Result<Option<Self>, StoreError> {
        match settings {
            StateSettings::Sqlite(path) => Self::open(path),
            StateSettings::Postgres { server, schema } => Self::open_postgres(&Server::of(server, schema)),
        }
    }

    /// Connects to a state on a PostgreSQL server; `None` when there is none yet.
    pub fn open_postgres(server: &Server) -> Result<Option<Self>, StoreError> {
        Ok(postgres::Reader::open(server)?.map(|reader| Self(Source::Postgres(reader))))
    }
}

/// The path of the file, or a URL without the password.
impl fmt::Display for StateSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres { server, schema } => {
                let ServerSettings { host, port, user, database, .. } = server;
                write!(f, "postgres://{user}@{host}:{port}/{database}?schema={schema}")
            }
        }
    }
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the state.
    #[error("the state {state} is in use by another gulou process{owner}; stop it first")]
    Locked {
        /// The state file, or the database.
        state: String,
        /// ` (pid N)`, what the session of the server calls itself, or nothing when it could not be read.
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
    /// The server refused, or the connection broke.
    #[error("the state's server failed: {said}", said = postgres::said(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// There is no connection to the server.
    #[error("could not reach the state {state}: {reason}")]
    Unreachable {
        /// The database.
        state: String,
        /// What the system or the server said.
        reason: String,
    },
    /// The connection was lost and did not come back in time. Whether the work is done is not known; asking again is safe.
    #[error("the state's server is away: {0}")]
    Away(String),
    /// The state was written by a newer version of this program.
    #[error(
        "the state {state} has schema version {found}, this program knows up to {known}; use a newer gulou"
    )]
    TooNew {
        /// The state file, or the database.
        state: String,
        /// Version of its tables.
        found: i64,
        /// Newest version known here.
        known: i64,
    },
    /// The state was written by an older version, and whoever asks may not change it.
    #[error(
        "the state {state} has schema version {found}, this program needs {needed}; `gulou serve` brings it up to date"
    )]
    TooOld {
        /// The state file, or the database.
        state: String,
        /// Version of its tables.
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
