//! Rows that are to be in a table: those that are new are inserted, those that differ are updated, the others are left
//! as they are. Each dialect has its own file.

use serde_json::Value;

use super::{Database, DbError};
use crate::sql::Dialect;

/// Rows for a table.
#[derive(Clone, Debug)]
pub struct Upsert {
    /// `table` or `schema.table`.
    pub table: String,
    /// The columns that tell rows apart: those of a unique index.
    pub key: Vec<String>,
    /// All columns that are written, the key among them.
    pub columns: Vec<String>,
    /// A value a column. Objects and lists become JSON texts, where the column has no type of its own for them.
    pub rows: Vec<Vec<Value>>,
}

/// What became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upserted {
    /// Rows that were not there.
    pub inserted: u64,
    /// Rows that said something else.
    pub updated: u64,
    /// Rows that said the same.
    pub unchanged: u64,
}

impl Database {
    /// Puts the rows into their table, all of them or none; done twice, it changes nothing the second time. Of rows with
    /// the same key the last one counts.
    pub async fn upsert(&self, upsert: Upsert) -> Result<Upserted, DbError> {
        let upsert = upsert.without_repetitions();
        if upsert.rows.is_empty() {
            return Ok(Upserted::default());
        }
        match self {
            Self::Sqlite(database) => database.upsert(upsert).await,
            Self::MySql(database) => database.upsert(upsert).await,
            Self::Postgres(database) => database.upsert(upsert).await,
        }
    }
}

impl Upsert {
    /// Where the key's columns are among the columns.
    pub(super) fn key_places(&self) -> Vec<usize> {
        let place = |name: &String| self.columns.iter().position(|column| column == name);
        self.key.iter().filter_map(place).collect()
    }

    /// The columns that an update writes.
    pub(super) fn others(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().filter(|column| !self.key.contains(column))
    }

    /// `"a", "b"`.
    pub(super) fn list(dialect: Dialect, names: &[String]) -> String {
        names.iter().map(|name| dialect.quote(name)).collect::<Vec<_>>().join(", ")
    }

    fn without_repetitions(mut self) -> Self {
        let places = self.key_places();
        let key = |row: &Vec<Value>| places.iter().map(|place| row.get(*place).cloned()).collect::<Vec<_>>();
        let mut seen = std::collections::HashSet::new();
        let mut rows: Vec<Vec<Value>> = Vec::with_capacity(self.rows.len());
        for row in self.rows.into_iter().rev() {
            if seen.insert(key(&row)) {
                rows.push(row);
            }
        }
        rows.reverse();
        self.rows = rows;
        self
    }
}

/// A value that is none of the simple ones, as a text.
pub(super) fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
