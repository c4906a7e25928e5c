//! Where rows come from and where they are marked. Knows nothing of the ledger.

mod moment;
mod query;
mod sqlite;

use std::sync::Arc;

use rusqlite::Connection;

pub(super) use self::moment::{Moment, PARAMETERS};
use self::query::Queries;
use super::BatchError;
use super::key::Key;
#[cfg(test)]
use super::tests::Fuse;
use crate::db::DbError;
use crate::db::sqlite::Database;
use crate::run::Row;
use crate::settings::BatchSettings;

/// A row and its key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Keyed {
    /// Its key.
    pub(super) key: Key,
    /// What templates see.
    pub(super) row: Row,
}

/// Rows in key order.
#[derive(Debug)]
pub(super) struct Page {
    /// At most as many as asked for.
    pub(super) rows: Vec<Keyed>,
    /// More rows follow in the span.
    pub(super) more: bool,
}

/// Which keys: after one, up to another; none: from the start, to the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Span {
    /// Exclusive.
    pub(super) after: Option<Key>,
    /// Inclusive.
    pub(super) until: Option<Key>,
}

/// A row that is to be marked.
#[derive(Clone, Debug)]
pub(super) struct ToMark {
    /// Its key.
    pub(super) key: Key,
    /// None: sent. Otherwise why it failed.
    pub(super) failure: Option<String>,
}

/// What a mark came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marked {
    /// The row is marked and no longer matches the condition.
    Done,
    /// There is no such row any more.
    Vanished,
    /// The row matches the condition as before.
    Stuck,
}

/// The rows of a batch.
#[derive(Clone, Debug)]
pub(super) struct Source {
    database: Database,
    queries: Arc<Queries>,
    #[cfg(test)]
    pub(super) fuse: Fuse,
}

impl Source {
    /// Builds the statements; touches no database.
    pub(super) fn new(settings: &BatchSettings, database: Database) -> Result<Self, BatchError> {
        Ok(Self {
            database,
            queries: Arc::new(Queries::new(settings)?),
            #[cfg(test)]
            fuse: Fuse::default(),
        })
    }

    /// What to say when the row `key` matches the condition although it is marked.
    pub(super) fn stuck(&self, key: &Key) -> String {
        format!(
            "stuck: row {key} is delivered and marked, and still matches \"where\": {}; make the mark change what the \
             condition asks for",
            self.queries.condition()
        )
    }

    /// At most `limit` rows of `span`.
    pub(super) async fn page(&self, span: Span, limit: usize, moment: Moment) -> Result<Page, DbError> {
        self.call(move |connection, queries| sqlite::page(connection, queries, &span, limit, &moment)).await
    }

    /// The rows with these keys as they are now; none where a row is gone or no longer matches.
    pub(super) async fn again(&self, keys: Vec<Key>, moment: Moment) -> Result<Vec<Option<Row>>, DbError> {
        self.call(move |connection, queries| sqlite::again(connection, queries, &keys, &moment)).await
    }

    /// Marks rows in one transaction, durable when this returns. One answer a row.
    pub(super) async fn mark(&self, rows: Vec<ToMark>, moment: Moment) -> Result<Vec<Marked>, DbError> {
        #[cfg(test)]
        self.fuse.burn().await;
        self.call(move |connection, queries| sqlite::mark(connection, queries, &rows, &moment)).await
    }

    /// How many rows match.
    pub(super) async fn count(&self, moment: Moment) -> Result<u64, DbError> {
        self.call(move |connection, queries| sqlite::count(connection, queries, &moment)).await
    }

    /// All rows, in the query's own order; an error when there are more than `limit`.
    pub(super) async fn all(&self, limit: u32, moment: Moment) -> Result<Vec<(Option<Key>, Row)>, DbError> {
        self.call(move |connection, queries| sqlite::all(connection, queries, limit, &moment)).await
    }

    async fn call<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection, &Queries) -> Result<T, Fault> + Send + 'static,
    {
        let queries = Arc::clone(&self.queries);
        let path = self.database.path().to_owned();
        self.database
            .call(move |connection| work(connection, &queries).map_err(|fault| fault.at(&path)))
            .await
    }
}

/// What went wrong below, before it is known in which file.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database refused.
    Sqlite(rusqlite::Error),
    /// What was asked does not fit the tables.
    Mismatch(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Fault {
    fn at(self, path: &std::path::Path) -> DbError {
        match self {
            Self::Sqlite(source) => DbError::Sqlite { path: path.to_owned(), source },
            Self::Mismatch(what) => DbError::Mismatch(what),
        }
    }
}

/// The same rows through a connection that a preview has opened. Blocks.
#[derive(Debug)]
pub(super) struct Look {
    connection: Connection,
    queries: Queries,
    path: std::path::PathBuf,
}

impl Look {
    /// Builds the statements for `connection`, which is to the database `path`.
    pub(super) fn new(
        settings: &BatchSettings,
        connection: Connection,
        path: &std::path::Path,
    ) -> Result<Self, BatchError> {
        Ok(Self { connection, queries: Queries::new(settings)?, path: path.to_owned() })
    }

    /// See [`Source::page`].
    pub(super) fn page(&self, span: &Span, limit: usize, moment: &Moment) -> Result<Page, DbError> {
        sqlite::page(&self.connection, &self.queries, span, limit, moment)
            .map_err(|fault| fault.at(&self.path))
    }

    /// See [`Source::again`].
    pub(super) fn again(&self, keys: &[Key], moment: &Moment) -> Result<Vec<Option<Row>>, DbError> {
        sqlite::again(&self.connection, &self.queries, keys, moment).map_err(|fault| fault.at(&self.path))
    }

    /// See [`Source::count`].
    pub(super) fn count(&self, moment: &Moment) -> Result<u64, DbError> {
        sqlite::count(&self.connection, &self.queries, moment).map_err(|fault| fault.at(&self.path))
    }

    /// See [`Source::all`].
    pub(super) fn all(&self, limit: u32, moment: &Moment) -> Result<Vec<(Option<Key>, Row)>, DbError> {
        sqlite::all(&self.connection, &self.queries, limit, moment).map_err(|fault| fault.at(&self.path))
    }
}
