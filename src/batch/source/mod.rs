//! Where rows come from and where they are marked: one dialect a file. Knows nothing of the ledger.

mod mysql;
mod postgres;
mod query;
mod sqlite;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::BatchError;
use super::key::Key;
#[cfg(test)]
use super::tests::Fuse;
use crate::action::export::Column;
use crate::db::{Database, DbError};
pub(super) use crate::db::{Moment, PARAMETERS};
use crate::run::{Row, Scalar};
use crate::settings::{BatchSettings, Relation};

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

/// What a stream brings: its columns once, and then rows.
#[derive(Debug)]
pub(super) enum Piece {
    Columns(Vec<Column>),
    /// One value a column.
    Rows(Vec<Vec<Scalar>>),
}

/// Rows of a piece.
const PIECE: usize = 500;

/// The rows of a batch.
#[derive(Clone, Debug)]
pub(super) struct Source {
    rows: Rows,
    condition: Arc<str>,
    /// How many columns a key has.
    width: usize,
    #[cfg(test)]
    pub(super) fuse: Fuse,
}

/// The rows, by the kind of database that has them.
#[derive(Clone, Debug)]
enum Rows {
    Sqlite(sqlite::Rows),
    MySql(mysql::Rows),
    Postgres(Box<postgres::Rows>),
}

impl Source {
    /// Builds the statements; touches no database.
    pub(super) fn new(settings: &BatchSettings, database: Database) -> Result<Self, BatchError> {
        query::check(settings)?;
        let rows = match database {
            Database::Sqlite(database) => Rows::Sqlite(sqlite::Rows::new(settings, database)),
            Database::MySql(database) => Rows::MySql(mysql::Rows::new(settings, database)),
            Database::Postgres(database) => Rows::Postgres(Box::new(postgres::Rows::new(settings, database))),
        };
        let condition = match &settings.source.relation {
            Relation::Table { filter, .. } => filter.as_deref().unwrap_or_default(),
            Relation::Query(_) => "",
        };
        Ok(Self {
            rows,
            condition: condition.into(),
            width: settings.source.key.len(),
            #[cfg(test)]
            fuse: Fuse::default(),
        })
    }

    /// What to say when the row `key` matches the condition although it is marked.
    pub(super) fn stuck(&self, key: &Key) -> String {
        format!(
            "stuck: row {key} is delivered and marked, and still matches \"where\": {}; make the mark change what the \
             condition asks for",
            self.condition
        )
    }

    /// At most `limit` rows of `span`.
    pub(super) async fn page(&self, span: Span, limit: usize, moment: Moment) -> Result<Page, DbError> {
        self.fitting(span.after.iter().chain(&span.until))?;
        match &self.rows {
            Rows::Sqlite(rows) => rows.page(span, limit, moment).await,
            Rows::MySql(rows) => rows.page(span, limit, moment).await,
            Rows::Postgres(rows) => rows.page(span, limit, moment).await,
        }
    }

    /// The rows with these keys as they are now; none where a row is gone or no longer matches.
    pub(super) async fn again(&self, keys: Vec<Key>, moment: Moment) -> Result<Vec<Option<Row>>, DbError> {
        let mut answers = vec![None; keys.len()];
        // A key of other columns is in no row.
        let (places, keys): (Vec<usize>, Vec<Key>) =
            keys.into_iter().enumerate().filter(|(_, key)| self.fits(key)).unzip();
        let found = match &self.rows {
            Rows::Sqlite(rows) => rows.again(keys, moment).await,
            Rows::MySql(rows) => rows.again(keys, moment).await,
            Rows::Postgres(rows) => rows.again(keys, moment).await,
        };
        for (place, row) in places.into_iter().zip(found?) {
            answers[place] = row;
        }
        Ok(answers)
    }

    /// Marks rows in one transaction, durable when this returns. One answer a row.
    pub(super) async fn mark(&self, rows: Vec<ToMark>, moment: Moment) -> Result<Vec<Marked>, DbError> {
        #[cfg(test)]
        self.fuse.burn().await;
        // Not vanished: it is delivered, and its row has another key now.
        self.fitting(rows.iter().map(|row| &row.key))?;
        match &self.rows {
            Rows::Sqlite(source) => source.mark(rows, moment).await,
            Rows::MySql(source) => source.mark(rows, moment).await,
            Rows::Postgres(source) => source.mark(rows, moment).await,
        }
    }

    /// How many rows match.
    pub(super) async fn count(&self, moment: Moment) -> Result<u64, DbError> {
        match &self.rows {
            Rows::Sqlite(rows) => rows.count(moment).await,
            Rows::MySql(rows) => rows.count(moment).await,
            Rows::Postgres(rows) => rows.count(moment).await,
        }
    }

    /// All rows, in the query's own order; an error when there are more than `limit`.
    pub(super) async fn all(&self, limit: u32, moment: Moment) -> Result<Vec<(Option<Key>, Row)>, DbError> {
        match &self.rows {
            Rows::Sqlite(rows) => rows.all(limit, moment).await,
            Rows::MySql(rows) => rows.all(limit, moment).await,
            Rows::Postgres(rows) => rows.all(limit, moment).await,
        }
    }

    /// All rows as they are at one moment, in the query's own order or the table's by its key. Waits when nobody takes
    /// them. False: `cut` fired, or whoever took them has gone.
    pub(super) async fn stream(
        &self,
        moment: Moment,
        into: &mpsc::Sender<Piece>,
        cut: &CancellationToken,
    ) -> Result<bool, DbError> {
        match &self.rows {
            Rows::Sqlite(rows) => rows.stream(moment, into.clone(), cut).await,
            Rows::MySql(rows) => rows.stream(&moment, into, cut).await,
            Rows::Postgres(rows) => rows.stream(&moment, into, cut).await,
        }
    }

    /// The columns that a stream would have.
    pub(super) async fn columns(&self, moment: Moment) -> Result<Vec<Column>, DbError> {
        let (sender, mut receiver) = mpsc::channel(1);
        let cut = CancellationToken::new();
        let first = async {
            let first = receiver.recv().await;
            // Whoever sends more sees that nobody takes it.
            receiver.close();
            while receiver.recv().await.is_some() {}
            first
        };
        let stream = async {
            let whole = self.stream(moment, &sender, &cut).await;
            drop(sender);
            whole
        };
        let (whole, first) = tokio::join!(stream, first);
        whole?;
        Ok(if let Some(Piece::Columns(columns)) = first { columns } else { Vec::new() })
    }

    fn fits(&self, key: &Key) -> bool {
        key.parts().len() == self.width
    }

    fn fitting<'k>(&self, mut keys: impl Iterator<Item = &'k Key>) -> Result<(), DbError> {
        match keys.find(|key| !self.fits(key)) {
            None => Ok(()),
            Some(key) => Err(DbError::Mismatch(format!(
                "the ledger has the key {key} of this batch, which is not of the {} columns in source.key; put the \
                 key back as it was, or give the batch another id",
                self.width
            ))),
        }
    }
}

/// What to say when there are more rows than a digest may have.
fn too_many(limit: u32) -> String {
    format!("there are more than {limit} rows; raise max_rows, or narrow the source")
}
