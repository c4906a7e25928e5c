//! A database of some kind for a case, and what differs between the kinds.

use std::num::NonZeroU32;

use chrono::DateTime;
use chrono_tz::Tz;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use super::own_server::OwnServer;
use crate::batch::source::{Keyed, Moment, Source, Span};
use crate::batch::tests::world;
use crate::db::{Access, Database, server_settings};
use crate::run::{Row, Scalar};
use crate::settings::{
    ActionSettings, BatchSettings, DatabaseSettings, MarkSettings, MarkValue, OnUncertain, Pages, Relation,
    ServerSettings, SourceSettings, SqliteSettings,
};
use crate::test_servers;

/// An empty database.
pub(super) struct Ground {
    pub(super) settings: DatabaseSettings,
    /// What the kind calls things.
    pub(super) words: Words,
    place: Place,
}

enum Place {
    File(TempDir),
    Postgres(String),
    MariaDb(String),
}

/// What a kind of database calls things.
pub(super) struct Words {
    /// A type of text that a key may have, in which case and accents differ.
    pub(super) text_key: &'static str,
    pub(super) uuid: &'static str,
    pub(super) bytes: &'static str,
    /// Types of times, and whether they hold an instant, and not what a clock shows.
    pub(super) times: &'static [(&'static str, bool)],
    /// What a boolean column is read as.
    pub(super) yes: Scalar,
    /// A decimal number with all its digits.
    pub(super) decimal: (&'static str, Scalar),
}

impl Ground {
    pub(super) fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ground.db");
        Connection::open(&path).unwrap();
        Self {
            settings: DatabaseSettings::Sqlite(SqliteSettings { path, create_with: None }),
            words: Words {
                text_key: "TEXT",
                uuid: "TEXT",
                bytes: "BLOB",
                times: &[("TEXT", false)],
                yes: Scalar::Int(1),
                decimal: ("TEXT", Scalar::Text("12345678901234567890.10".to_owned())),
            },
            place: Place::File(dir),
        }
    }

    pub(super) fn postgres() -> Self {
        let url = test_servers::postgres().database();
        Self {
            settings: DatabaseSettings::Postgres(server_settings(&url)),
            words: Words {
                text_key: "TEXT",
                uuid: "UUID",
                bytes: "BYTEA",
                times: &[
                    ("TIMESTAMPTZ", true),
                    ("TIMESTAMP", false),
                    ("TIMESTAMP(0)", false),
                    ("TEXT", false),
                ],
                yes: Scalar::Bool(true),
                decimal: ("NUMERIC(30, 2)", Scalar::Text("12345678901234567890.10".to_owned())),
            },
            place: Place::Postgres(url),
        }
    }

    pub(super) fn mariadb() -> Self {
        let url = test_servers::mariadb().database();
        Self {
            settings: DatabaseSettings::MySql(server_settings(&url)),
            words: Words {
                // Its collation takes upper and lower case and some accents for the same, which a key may not be.
                text_key: "VARCHAR(50) COLLATE utf8mb4_bin",
                uuid: "UUID",
                bytes: "BLOB",
                times: &[
                    // The session's zone is UTC.
                    ("TIMESTAMP NULL", false),
                    ("DATETIME", false),
                    ("DATETIME(6)", false),
                    ("VARCHAR(30)", false),
                ],
                yes: Scalar::Int(1),
                decimal: ("DECIMAL(30, 2)", Scalar::Text("12345678901234567890.10".to_owned())),
            },
            place: Place::MariaDb(url),
        }
    }

    /// Runs a script as somebody else would.
    #[track_caller]
    pub(super) fn sql(&self, script: &str) {
        match &self.place {
            Place::File(dir) => {
                let connection = Connection::open(dir.path().join("ground.db")).unwrap();
                connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
                connection.execute_batch(script).unwrap();
            }
            Place::Postgres(url) => drop(test_servers::postgres().execute(url, script)),
            Place::MariaDb(url) => drop(test_servers::mariadb().execute(url, script)),
        }
    }

    /// What a statement answers: a line a row, its columns parted by `|`.
    #[track_caller]
    pub(super) fn answer(&self, sql: &str) -> String {
        match &self.place {
            Place::File(dir) => {
                let connection = Connection::open(dir.path().join("ground.db")).unwrap();
                let mut statement = connection.prepare(sql).unwrap();
                let width = statement.column_count();
                let mut rows = statement.query([]).unwrap();
                let mut lines = Vec::new();
                while let Some(row) = rows.next().unwrap() {
                    let text = |column| match row.get_ref(column).unwrap() {
                        rusqlite::types::ValueRef::Null => String::new(),
                        rusqlite::types::ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                        other => other.as_i64().unwrap().to_string(),
                    };
                    lines.push((0..width).map(text).collect::<Vec<_>>().join("|"));
                }
                lines.join("\n")
            }
            Place::Postgres(url) => test_servers::postgres().execute(url, sql).trim_end().to_owned(),
            Place::MariaDb(url) => {
                let lines = test_servers::mariadb().execute(url, sql);
                lines.trim_end_matches('\n').replace('\t', "|")
            }
        }
    }

    pub(super) fn source(&self, settings: &BatchSettings) -> Source {
        self.source_with(settings, Access::Full)
    }

    pub(super) fn source_with(&self, settings: &BatchSettings, access: Access) -> Source {
        Source::new(settings, Database::new(&self.settings, access).unwrap()).unwrap()
    }

    /// Where the server is.
    pub(super) fn server_settings(&self) -> &ServerSettings {
        match &self.settings {
            DatabaseSettings::Postgres(server) | DatabaseSettings::MySql(server) => server,
            DatabaseSettings::Sqlite(_) => panic!("a file has no server"),
        }
    }

    /// A server that the case may stop; none for a file.
    pub(super) fn server_of_its_own(&self) -> Option<OwnServer> {
        match self.place {
            Place::File(_) => None,
            Place::Postgres(_) => Some(OwnServer::postgres()),
            Place::MariaDb(_) => Some(OwnServer::mariadb()),
        }
    }
}

/// A batch over a table. `mark`: columns and values of a row that is sent.
pub(super) fn table(name: &str, key: &[&str], filter: &str, mark: &[(&str, Value)]) -> BatchSettings {
    let value = |value: &Value| match value.as_str().filter(|text| text.starts_with(':')) {
        Some(name) => MarkValue::Parameter(name.to_owned()),
        None => MarkValue::Literal(value.clone()),
    };
    let sent: Vec<_> = mark.iter().map(|(column, to)| ((*column).to_owned(), value(to))).collect();
    BatchSettings {
        id: "b".to_owned(),
        source: SourceSettings {
            database: "main".to_owned(),
            relation: Relation::Table { name: name.to_owned(), filter: Some(filter.to_owned()) },
            key: key.iter().map(|column| (*column).to_owned()).collect(),
            columns: Vec::new(),
            page: 10,
        },
        action: ActionSettings::Mail(world::mail()),
        mark: (!sent.is_empty()).then_some(MarkSettings { sent, failed: None }),
        pages: Pages::Count(NonZeroU32::MIN),
        concurrency: 1,
        window: 1,
        rate: None,
        quota: None,
        pause_on_errors: None,
        on_uncertain: OnUncertain::Hold,
        time_limit: None,
        patience: std::time::Duration::ZERO,
    }
}

/// 2026-06-01 09:00:01 in Shanghai, of a fire one second earlier.
pub(super) fn moment() -> Moment {
    Moment {
        fire_time: DateTime::from_timestamp(1_780_275_600, 0).unwrap(),
        now: DateTime::from_timestamp(1_780_275_601, 0).unwrap(),
        timezone: Tz::Asia__Shanghai,
    }
}

/// All rows, page by page.
pub(super) async fn walk(source: &Source, page: usize) -> Vec<Keyed> {
    let mut rows: Vec<Keyed> = Vec::new();
    let mut span = Span::default();
    loop {
        let read = source.page(span.clone(), page, moment()).await.unwrap();
        assert!(read.rows.len() == page || !read.more, "{} of {page} rows", read.rows.len());
        span.after = read.rows.last().map(|row| row.key.clone()).or(span.after);
        rows.extend(read.rows);
        if !read.more {
            return rows;
        }
    }
}

/// The values of a column as text.
pub(super) fn texts<'r>(rows: impl IntoIterator<Item = &'r Row>, column: &str) -> Vec<String> {
    let text = |row: &Row| match row.get(column).unwrap() {
        Scalar::Text(text) => text.clone(),
        Scalar::Int(value) => value.to_string(),
        other => format!("{other:?}"),
    };
    rows.into_iter().map(text).collect()
}
