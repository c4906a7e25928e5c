//! Rows as texts, for queries of our own, which say how their values become texts.

use super::{Database, DbError, Values};

impl Database {
    /// The rows that `sql` answers; each of its columns must be a text, or NULL.
    pub async fn texts(&self, sql: &str, values: &Values) -> Result<Vec<Vec<Option<String>>>, DbError> {
        match self {
            Self::Sqlite(database) => database.texts(sql, values).await,
            Self::MySql(database) => database.texts(sql, values).await,
            Self::Postgres(database) => database.texts(sql, values).await,
        }
    }
}
