//! What the tables of a PostgreSQL database are like. Changes nothing.

use std::collections::BTreeMap;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::super::{Access, Column, DbError, Table};
use super::Database;
use super::times::misplaced_time;
use crate::settings::ServerSettings;
use crate::sql::Dialect;

/// A look at a database, over a session that may only read.
#[derive(Debug)]
pub struct Inspector {
    database: Database,
}

impl Inspector {
    /// Connects.
    pub async fn open(settings: &ServerSettings) -> Result<Self, DbError> {
        let database = Database::new(settings.clone(), Access::ReadOnly);
        drop(database.session().await?);
        Ok(Self { database })
    }

    /// The names of all tables and views, without the schema where it can be left out.
    pub async fn tables(&self) -> Result<Vec<String>, DbError> {
        let sql = "SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname::text \
                          ELSE n.nspname || '.' || c.relname END \
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\\_%' \
                     AND n.nspname <> 'information_schema' ORDER BY 1";
        Ok(self.ask(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
    }

    /// The table or view called `name`, if there is one.
    pub async fn table(&self, name: &str) -> Result<Option<Table>, DbError> {
        let quoted = quote_path(name);
        let kind = "SELECT c.oid::int8, c.relkind IN ('v', 'm') FROM pg_class c \
                    WHERE c.oid = to_regclass($1::text) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";
        let kind = self.ask(kind, &[&quoted]).await?;
        let Some((oid, is_view)) = kind.first().map(|row| (row.get::<_, i64>(0), row.get(1))) else {
            return Ok(None);
        };
        let columns = "SELECT attname::text, attnotnull FROM pg_attribute \
                       WHERE attrelid = $1::int8::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
        let columns = self.ask(columns, &[&oid]).await?;
        let columns = columns.iter().map(|row| Column { name: row.get(0), not_null: row.get(1) }).collect();
        // An expression has the column 0, and no name.
        let indexes = "SELECT i.indexrelid::int8, a.attname::text, i.indisunique AND i.indpred IS NULL FROM pg_index i \
                       JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree' \
                       CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place) \
                       LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0 \
                       WHERE i.indrelid = $1::int8::oid AND i.indisvalid \
                         AND k.place <= i.indnkeyatts ORDER BY 1, k.place";
        let mut found: BTreeMap<i64, (bool, Vec<Option<String>>)> = BTreeMap::new();
        for row in self.ask(indexes, &[&oid]).await? {
            found.entry(row.get(0)).or_insert_with(|| (row.get(2), Vec::new())).1.push(row.get(1));
        }
        let sorted =
            |(_, names): &(bool, Vec<Option<String>>)| names.iter().map_while(Clone::clone).collect();
        let indexes = found.values().map(sorted).collect();
        let unique = found.into_values().filter(|(is_unique, _)| *is_unique);
        let unique = unique.filter_map(|(_, names)| names.into_iter().collect()).collect();
        Ok(Some(Table { columns, unique, indexes, is_view, unmarkable: None }))
    }

    /// Whether what a statement asks is so.
    pub(in crate::db) async fn is_so(&self, sql: &str) -> Result<bool, DbError> {
        Ok(self.ask(sql, &[]).await?.first().is_some_and(|row| row.get(0)))
    }

    /// The columns that a statement answers, or why it cannot be asked.
    pub(in crate::db) async fn columns(&self, sql: &str) -> Result<Vec<String>, String> {
        let (sql, names) = Dialect::Postgres.positional(sql);
        let mut session = self.database.session().await.map_err(|error| error.to_string())?;
        let statement = session.describe(&sql, &names).await.map_err(|error| super::said(&error, &sql))?;
        if let Some(problem) = misplaced_time(&statement, &names) {
            return Err(problem);
        }
        Ok(statement.columns().iter().map(|column| column.name().to_owned()).collect())
    }

    async fn ask(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, DbError> {
        let session = self.database.session().await?;
        let rows = session.client().query(sql, parameters).await;
        rows.map_err(|error| self.database.fault(&error, sql))
    }
}

fn quote_path(name: &str) -> String {
    Dialect::Postgres.quote_path(name)
}
