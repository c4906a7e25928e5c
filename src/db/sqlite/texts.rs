//! Rows of a SQLite file as texts.

use super::super::{DbError, Values};
use super::Database;
use super::execute::bind;

impl Database {
    pub(in crate::db) async fn texts(
        &self,
        sql: &str,
        values: &Values,
    ) -> Result<Vec<Vec<Option<String>>>, DbError> {
        let (sql, values, path) = (sql.to_owned(), values.clone(), self.path().to_owned());
        self.call(move |connection| {
            let fault = |source| DbError::Sqlite { path: path.clone(), source };
            let mut statement = connection.prepare_cached(&sql).map_err(fault)?;
            bind(&mut statement, &values, &fault)?;
            let width = statement.column_count();
            let mut read = Vec::new();
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next().map_err(fault)? {
                let texts = (0..width).map(|column| row.get(column)).collect::<rusqlite::Result<_>>();
                read.push(texts.map_err(fault)?);
            }
            Ok(read)
        })
        .await
    }
}
