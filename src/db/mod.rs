//! Connections to the user's databases: one dialect a folder. Knows nothing of batches.

mod backup;
mod execute;
mod inspect;
mod moment;
pub mod mysql;
pub mod postgres;
pub mod sqlite;
mod texts;
mod upsert;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use self::backup::{Backup, Copied};
pub use self::execute::{Failure, MESSAGE, PAGE, Script, Values};
pub use self::inspect::{Column, Inspector, Table};
pub use self::moment::Moment;
pub(crate) use self::moment::PARAMETERS;
pub use self::upsert::{Upsert, Upserted};
use crate::settings::{DatabaseSettings, ServerSettings};
use crate::sql::Dialect;

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
    /// A server could not be reached, or did not let us in.
    #[error("could not connect to database {place}: {problem}")]
    Connect {
        /// The database and its server.
        place: String,
        /// The server's reason, or the system's.
        problem: String,
    },
    /// A server refused, or the connection to it was lost.
    #[error("database {place}: {problem}")]
    Server {
        /// The database and its server.
        place: String,
        /// The server's reason, or the system's.
        problem: String,
    },
    /// A server was lost in the one moment in which nobody can tell.
    #[error(
        "database {place}: the connection was lost at the commit: whether the statements took effect is not known"
    )]
    Unsettled {
        /// The database and its server.
        place: String,
    },
    /// What was asked does not fit the tables.
    #[error("{0}")]
    Mismatch(String),
    /// The configuration names no such database.
    #[error("there is no database `{0}`")]
    Unknown(String),
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
    pub fn connect(&self, name: &str) -> Result<Database, DbError> {
        let settings = self.settings.get(name).ok_or_else(|| DbError::Unknown(name.to_owned()))?;
        Database::new(settings, Access::Full)
    }
}

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read and write; a file that does not exist is made, if its settings say how.
    Full,
    /// Only look: not a byte is changed. Of a file that does not exist, a copy is made in memory.
    ReadOnly,
}

/// A connection to a database. Clones share it. It is opened at its first use, and again at the next one when it was
/// lost or could not be opened.
#[derive(Clone, Debug)]
pub enum Database {
    /// To a file.
    Sqlite(sqlite::Database),
    /// To a MySQL or MariaDB server.
    MySql(mysql::Database),
    /// To a server.
    Postgres(postgres::Database),
}

impl Database {
    /// Opens nothing yet.
    pub fn new(settings: &DatabaseSettings, access: Access) -> Result<Self, DbError> {
        match settings {
            DatabaseSettings::Sqlite(file) => Ok(Self::Sqlite(sqlite::Database::new(file.clone(), access))),
            DatabaseSettings::Postgres(server) => {
                Ok(Self::Postgres(postgres::Database::new(server.clone(), access)))
            }
            DatabaseSettings::MySql(server) => Ok(Self::MySql(mysql::Database::new(server.clone(), access))),
        }
    }

    /// How it spells SQL.
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::MySql(_) => Dialect::MySql,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }
}

/// A database on a server, as messages name it.
fn place(settings: &ServerSettings) -> String {
    let ServerSettings { database, host, port, .. } = settings;
    if host.contains(':') {
        format!("{database} at [{host}]:{port}")
    } else {
        format!("{database} at {host}:{port}")
    }
}

/// What a URL of the test servers says.
#[cfg(test)]
pub(crate) fn server_settings(url: &str) -> crate::settings::ServerSettings {
    let [user, password, host, port, database] = crate::test_servers::parts(url);
    crate::settings::ServerSettings {
        host: host.to_owned(),
        port: port.parse().unwrap(),
        user: user.to_owned(),
        password: Some(crate::settings::Secret::new(password.to_owned())),
        database: database.to_owned(),
        tls: crate::settings::TlsMode::Off,
    }
}
