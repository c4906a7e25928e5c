//! What the tables of a SQLite file are like. Changes nothing.

use rusqlite::{Connection, OptionalExtension as _};

use super::super::{Column, DbError, Table};
use super::look;
use crate::settings::SqliteSettings;

/// A look at a database: the file, read-only, or a copy in memory of what its script would make.
#[derive(Debug)]
pub struct Inspector {
    connection: Connection,
    settings: SqliteSettings,
}

impl Inspector {
    /// `None` when there is no file, and nothing that says how to make it.
    pub fn open(settings: &SqliteSettings) -> Result<Option<Self>, DbError> {
        match look(settings) {
            Ok(connection) => Ok(Some(Self { connection, settings: settings.clone() })),
            Err(DbError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names of all tables and views.
    pub fn tables(&self) -> Result<Vec<String>, DbError> {
        self.strings("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY name", [])
    }

    /// The table or view called `name`, if there is one.
    pub fn table(&self, name: &str) -> Result<Option<Table>, DbError> {
        let kind =
            "SELECT type FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE";
        let Some(kind) =
            self.ask(|it| it.query_row(kind, [name], |row| row.get::<_, String>(0)).optional())?
        else {
            return Ok(None);
        };
        let columns = self.ask(|it| {
            let mut statement = it.prepare(
                "SELECT name, \"notnull\", pk, upper(type) = 'INTEGER', sum(pk > 0) OVER () = 1 \
                 FROM pragma_table_xinfo(?1)",
            )?;
            let column = |row: &rusqlite::Row<'_>| {
                let in_key: i64 = row.get(2)?;
                // Such a column is the row id itself, which is never NULL.
                let row_id = in_key > 0 && row.get::<_, bool>(4)? && row.get::<_, bool>(3)?;
                let column = Column { name: row.get(0)?, not_null: row.get::<_, bool>(1)? || row_id };
                Ok((column, in_key > 0, row_id))
            };
            statement.query_map([name], column)?.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let in_key = columns.iter().filter(|(_, in_key, _)| *in_key);
        let mut unique = vec![in_key.map(|(column, ..)| column.name.clone()).collect()];
        // By its row id a table is sorted without an index.
        let row_id = columns.iter().filter(|(.., row_id)| *row_id);
        let mut sorted: Vec<Vec<String>> = row_id.map(|(column, ..)| vec![column.name.clone()]).collect();
        let indexes = self.ask(|it| {
            let list = "SELECT name, \"unique\" AND NOT partial FROM pragma_index_list(?1)";
            let mut list = it.prepare(list)?;
            let index = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?));
            list.query_map([name], index)?.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        for (index, is_unique) in indexes {
            // An expression has no name.
            let names = "SELECT coalesce(name, '') FROM pragma_index_info(?1)";
            let names = self.strings(names, [index.as_str()])?;
            sorted.push(names.iter().take_while(|name| !name.is_empty()).cloned().collect());
            if is_unique {
                unique.push(names);
            }
        }
        unique.retain(|names: &Vec<String>| !names.is_empty() && !names.iter().any(String::is_empty));
        let columns = columns.into_iter().map(|(column, ..)| column).collect();
        let is_view = kind == "view";
        Ok(Some(Table { columns, unique, indexes: sorted, is_view, unmarkable: None }))
    }

    /// Whether what a statement asks is so.
    pub(in crate::db) fn is_so(&self, sql: &str) -> Result<bool, DbError> {
        self.ask(|it| it.query_row(sql, [], |row| row.get(0)))
    }

    /// The columns that a statement answers, or why it cannot be asked.
    pub(in crate::db) fn columns(&self, sql: &str) -> Result<Vec<String>, String> {
        let statement = self.connection.prepare(sql).map_err(|error| reason(&error))?;
        Ok(statement.column_names().map(str::to_owned).collect())
    }

    fn strings<P: rusqlite::Params>(&self, sql: &str, parameters: P) -> Result<Vec<String>, DbError> {
        self.ask(|it| it.prepare(sql)?.query_map(parameters, |row| row.get(0))?.collect())
    }

    fn ask<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, DbError> {
        question(&self.connection)
            .map_err(|source| DbError::Sqlite { path: self.settings.path.clone(), source })
    }
}

/// The database's own words, without the statement that the user did not write.
fn reason(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn inspector(script: &str) -> Inspector {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(script).unwrap();
        let settings = SqliteSettings { path: PathBuf::from("x.db"), create_with: None };
        Inspector { connection, settings }
    }

    /// `name: unique, not null` of each column.
    fn columns(script: &str) -> Vec<String> {
        let table = inspector(script).table("T").unwrap().unwrap();
        let words = |column: &Column| {
            let unique = if table.is_unique(&[column.name.to_uppercase()]) { " unique" } else { "" };
            format!("{}{unique}{}", column.name, if column.not_null { " filled" } else { "" })
        };
        table.columns.iter().map(words).collect()
    }

    #[test]
    fn promises_of_columns_are_told() {
        assert_eq!(columns("CREATE TABLE t (id INTEGER PRIMARY KEY, a)"), ["id unique filled", "a"]);
        assert_eq!(columns("CREATE TABLE t (id TEXT PRIMARY KEY, a NOT NULL)"), ["id unique", "a filled"]);
        assert_eq!(columns("CREATE TABLE t (a, b, PRIMARY KEY (a, b))"), ["a", "b"]);
        assert_eq!(columns("CREATE TABLE t (id TEXT PRIMARY KEY) WITHOUT ROWID"), ["id unique filled"]);
        assert_eq!(
            columns("CREATE TABLE t (a UNIQUE, b); CREATE UNIQUE INDEX i ON t (b) WHERE b > 1"),
            ["a unique", "b"]
        );
        let it = inspector(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b); CREATE INDEX i ON t (a, id) WHERE b = 0",
        );
        let sorted = |columns: &[&str]| {
            let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
            it.table("t").unwrap().unwrap().is_sorted_by(&columns)
        };
        assert!(sorted(&["ID"]) && sorted(&["a", "id"]) && sorted(&["a"]));
        assert!(!sorted(&["b"]) && !sorted(&["id", "a"]) && !sorted(&["a", "id", "b"]));
        assert_eq!(columns("CREATE TABLE t (a, b); CREATE UNIQUE INDEX i ON t (a, b)"), ["a", "b"]);
        assert_eq!(columns("CREATE TABLE t (a); CREATE UNIQUE INDEX i ON t (lower(a))"), ["a"]);
    }

    #[test]
    fn columns_are_unique_together() {
        let it = inspector("CREATE TABLE t (a, b, c, d UNIQUE, PRIMARY KEY (a, b))");
        let table = it.table("t").unwrap().unwrap();
        let unique =
            |columns: &[&str]| table.is_unique(&columns.iter().map(|&c| c.into()).collect::<Vec<_>>());
        assert!(unique(&["b", "a"]) && unique(&["c", "B", "a"]) && unique(&["c", "d"]));
        assert!(!unique(&["a", "c"]) && !unique(&[]));
    }

    #[tokio::test]
    async fn tables_and_statements_are_looked_at() {
        let it = super::super::super::Inspector::Sqlite(inspector(
            "CREATE TABLE t (a, b); CREATE VIEW v AS SELECT a FROM t; INSERT INTO t VALUES (1, NULL)",
        ));
        assert_eq!(it.tables().await.unwrap(), ["t", "v"]);
        assert!(it.table("nix").await.unwrap().is_none());
        assert!(it.table("v").await.unwrap().unwrap().is_view);
        assert!(it.has_null("t", "b").await.unwrap() && !it.has_null("t", "a").await.unwrap());
        assert_eq!(it.condition_problem("t", "a = 1 AND b < :now -- x").await, None);
        assert_eq!(it.condition_problem("t", "c = 1").await.as_deref(), Some("no such column: c"));
        assert_eq!(it.query_columns("SELECT a, count(*) AS n FROM t GROUP BY a").await.unwrap(), ["a", "n"]);
        assert_eq!(it.query_columns("SELECT a FROM x").await.unwrap_err(), "no such table: x");
    }
}
