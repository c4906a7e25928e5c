//! A database of each kind for the `sql` target to work on, and what is asked of it.

use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Asia::Shanghai;
use gulou::db::{Access, Database};
use gulou::run::Outcome;
use gulou::settings::{DatabaseSettings, SqlPages, SqlSettings, SqlStatement, SqlWork, SqliteSettings};
use gulou::target::Target;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::servers;
use crate::support::{PATIENCE, server_settings};
use crate::target_harness::{LONG, host};

/// A database of each kind.
pub(crate) enum Ground {
    Sqlite(TempDir),
    Postgres(String),
    MariaDb(String),
}

impl Ground {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("main.db")).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        Self::Sqlite(folder)
    }

    pub(crate) fn postgres() -> Self {
        Self::Postgres(servers::postgres().database())
    }

    pub(crate) fn mariadb() -> Self {
        Self::MariaDb(servers::mariadb().database())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        let Self::Sqlite(folder) = self else { panic!("a server has no folder") };
        folder.path().join(name)
    }

    pub(crate) fn settings(&self) -> DatabaseSettings {
        match self {
            Self::Sqlite(_) => {
                DatabaseSettings::Sqlite(SqliteSettings { path: self.path("main.db"), create_with: None })
            }
            Self::Postgres(url) => DatabaseSettings::Postgres(server_settings(url)),
            Self::MariaDb(url) => DatabaseSettings::MySql(server_settings(url)),
        }
    }

    /// Runs SQL beside the target; answers its one value.
    #[track_caller]
    pub(crate) fn ask(&self, sql: &str) -> String {
        match self {
            Self::Sqlite(_) => {
                let connection = Connection::open(self.path("main.db")).unwrap();
                connection.busy_timeout(PATIENCE).unwrap();
                if !sql.starts_with("select") {
                    connection.execute_batch(sql).unwrap();
                    return String::new();
                }
                let value: rusqlite::types::Value = connection.query_row(sql, [], |row| row.get(0)).unwrap();
                match value {
                    rusqlite::types::Value::Integer(value) => value.to_string(),
                    rusqlite::types::Value::Text(text) => text,
                    other => panic!("{other:?}"),
                }
            }
            Self::Postgres(url) => servers::postgres().execute(url, sql).trim().to_owned(),
            Self::MariaDb(url) => servers::mariadb().execute(url, sql).trim().to_owned(),
        }
    }

    /// Ends the sessions in this database; other tests have theirs on the same server.
    pub(super) fn cut_connections(&self) {
        match self {
            Self::Sqlite(_) => {}
            Self::Postgres(url) => {
                let [.., database] = servers::parts(url);
                let server = servers::postgres();
                let cut = "select pg_terminate_backend(pid, 60000) from pg_stat_activity where datname =";
                server.execute(&server.admin(), &format!("{cut} '{database}'"));
            }
            Self::MariaDb(url) => {
                let [.., database] = servers::parts(url);
                let server = servers::mariadb();
                let all = format!("select id from information_schema.processlist where db = '{database}'");
                for id in server.execute(&server.admin(), &all).lines() {
                    server.execute(&server.admin(), &format!("kill {id}"));
                }
            }
        }
    }

    /// Whether the endless statement is under way.
    pub(super) fn is_at_work(&self) -> bool {
        match self {
            // Whoever writes holds the file.
            Self::Sqlite(_) => {
                let connection = Connection::open(self.path("main.db")).unwrap();
                connection.busy_timeout(Duration::ZERO).unwrap();
                connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err()
            }
            Self::Postgres(_) => {
                let sleeps = "select count(*) from pg_stat_activity
                              where datname = current_database() and wait_event = 'PgSleep'";
                self.ask(sleeps) == "1"
            }
            Self::MariaDb(_) => {
                let sleeps = "select count(*) from information_schema.processlist
                              where db = database() and info like 'INSERT%sleep%'";
                self.ask(sleeps) == "1"
            }
        }
    }

    pub(super) fn target(&self, work: SqlWork, timeout: Duration) -> Target {
        let database = Database::new(&self.settings(), Access::Full).unwrap();
        let settings = SqlSettings { database: "main".to_owned(), work, timeout };
        Target::sql(&settings, database, Shanghai, &host())
    }

    pub(super) fn plain(&self, statements: &[&str]) -> Target {
        self.target(script(statements, true), LONG)
    }

    /// A statement that takes an hour unless somebody ends it.
    pub(super) fn endless(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => {
                "INSERT INTO t SELECT n FROM (WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) \
                 SELECT n FROM c) WHERE n < 0"
            }
            Self::Postgres(_) => "INSERT INTO t SELECT 1 FROM (SELECT pg_sleep(3600)) AS s",
            Self::MariaDb(_) => "INSERT INTO t SELECT 1 FROM (SELECT sleep(3600)) AS s",
        }
    }
}

fn statement(text: &str, origin: &str) -> SqlStatement {
    SqlStatement { text: text.to_owned(), origin: origin.to_owned(), path: Vec::new() }
}

pub(super) fn script(statements: &[&str], transaction: bool) -> SqlWork {
    let origin = |index| format!("statement {}", index + 1);
    let statements = statements.iter().enumerate();
    let statements = statements.map(|(index, text)| statement(text, &origin(index))).collect();
    SqlWork::Statements { statements, transaction }
}

pub(super) fn pages(text: &str, page: u32) -> SqlPages {
    SqlPages {
        statement: statement(text, ""),
        page,
        max_pages: 10_000,
        pause: Duration::ZERO,
        time_limit: None,
    }
}

pub(super) fn message(outcome: &Outcome) -> &str {
    outcome.message.as_deref().unwrap_or_default()
}
