//! What a `sql` target does.

use std::path::PathBuf;
use std::time::Duration;

/// Statements of the user's own, or a copy of a database.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlSettings {
    /// A name in [`super::Settings::databases`].
    pub database: String,
    /// What is done there.
    pub work: SqlWork,
    /// How long a transaction may take, or a copy; 20 s unless configured, 1 h for a copy.
    pub timeout: Duration,
}

/// What is done in a database.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlWork {
    /// Statements in their order.
    Statements {
        /// At least one.
        statements: Vec<SqlStatement>,
        /// All of them take effect, or none.
        transaction: bool,
    },
    /// One statement again and again, each time in a transaction of its own, until it changes no row.
    Pages(SqlPages),
    /// A copy of the file.
    Backup(BackupSettings),
}

/// A statement that is repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlPages {
    /// Changes at most `:page` rows.
    pub statement: SqlStatement,
    /// `:page`; 1000 unless configured.
    pub page: u32,
    /// More pages than this fail the run; 10,000 unless configured.
    pub max_pages: u32,
    /// Between two pages; nothing unless configured.
    pub pause: Duration,
    /// The run stops after this long, behind a page.
    pub time_limit: Option<Duration>,
}

/// A statement, and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlStatement {
    /// Without a `;` at its end.
    pub text: String,
    /// For people, where it is one of several: `statement 2`, `clean.sql:12`.
    pub origin: String,
    /// Its place below `target.sql`: `["statements", "1"]`.
    pub path: Vec<String>,
}

/// Where copies of a database go.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupSettings {
    /// The folder; made when it does not exist.
    pub to: PathBuf,
    /// So many copies stay, the newest; none: all.
    pub keep: Option<u32>,
}
