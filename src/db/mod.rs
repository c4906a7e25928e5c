//! Connections to the user's databases: one dialect a file. Knows nothing of batches.

pub mod sqlite;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::settings::DatabaseSettings;

/// Why a database could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The file is not there, and nothing says how to make it.
    #[error("there is no database {path}; make it, or name a script in \"create_with\"", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file or folder could not be read or made.
    #[error("could not use {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The script that makes the database failed.
    #[error("could not make the database with {script}: {source}", script = script.display())]
    Create {
        /// The script.
        script: PathBuf,
        /// The database's reason.
        source: rusqlite::Error,
    },
    /// The database refused.
    #[error("database {path}: {source}", path = path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The database's reason.
        source: rusqlite::Error,
    },
    /// What was asked does not fit the tables.
    #[error("{0}")]
    Mismatch(String),
    /// The connection's thread is gone.
    #[error("the connection to the database is closed")]
    Closed,
}

/// The databases that the configuration names.
#[derive(Clone, Debug)]
pub struct Databases {
    settings: BTreeMap<String, DatabaseSettings>,
}

impl Databases {
    /// Takes the names; opens nothing yet.
    pub fn new(settings: &BTreeMap<String, DatabaseSettings>) -> Self {
        Self { settings: settings.clone() }
    }

    /// A connection of its own to the database called `name`, opened when it is first used.
    pub fn connect(&self, name: &str) -> Option<sqlite::Database> {
        self.settings.get(name).map(|settings| sqlite::Database::new(settings.clone()))
    }
}
