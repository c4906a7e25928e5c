//! What tables are like: questions that `check` asks before anything runs. Changes nothing.

use rusqlite::{Connection, OptionalExtension as _};

use super::super::DbError;
use super::{in_memory, open_read_only};
use crate::settings::DatabaseSettings;

/// A look at a database: the file, read-only, or a copy in memory of what its script would make.
#[derive(Debug)]
pub struct Inspector {
    connection: Connection,
    settings: DatabaseSettings,
}

/// A table or view.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// A view: what its columns promise cannot be told.
    pub is_view: bool,
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// As the table spells it.
    pub name: String,
    /// It cannot hold NULL.
    pub not_null: bool,
    /// No two rows share a value: it is the primary key, or has a unique index of its own.
    pub unique: bool,
}

impl Inspector {
    /// `None` when there is no file, and nothing that says how to make it.
    pub fn open(settings: &DatabaseSettings) -> Result<Option<Self>, DbError> {
        let path = &settings.path;
        let exists = path.try_exists().map_err(|source| DbError::Io { path: path.clone(), source })?;
        if !exists && settings.create_with.is_none() {
            return Ok(None);
        }
        let connection = if exists {
            open_read_only(path)
                .and_then(|connection| super::configure(&connection).map(|()| connection))
                .map_err(|source| DbError::Sqlite { path: path.clone(), source })?
        } else {
            in_memory(settings)?
        };
        Ok(Some(Self { connection, settings: settings.clone() }))
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
        let unique = self.strings(
            "SELECT (SELECT name FROM pragma_index_info(list.name)) FROM pragma_index_list(?1) AS list \
             WHERE list.\"unique\" AND NOT list.partial AND (SELECT count(*) FROM pragma_index_info(list.name)) = 1 \
             AND (SELECT name FROM pragma_index_info(list.name)) IS NOT NULL",
            [name],
        )?;
        let columns = self.ask(|it| {
            let mut statement = it.prepare(
                "SELECT name, \"notnull\", pk, upper(type) = 'INTEGER', sum(pk > 0) OVER () = 1 \
                 FROM pragma_table_xinfo(?1)",
            )?;
            let column = |row: &rusqlite::Row<'_>| {
                let name: String = row.get(0)?;
                let alone_in_key = row.get::<_, i64>(2)? > 0 && row.get::<_, bool>(4)?;
                // Such a column is the row id itself, which is never NULL.
                let row_id = alone_in_key && row.get::<_, bool>(3)?;
                Ok(Column {
                    not_null: row.get::<_, bool>(1)? || row_id,
                    unique: alone_in_key || unique.contains(&name),
                    name,
                })
            };
            statement.query_map([name], column)?.collect()
        })?;
        Ok(Some(Table { columns, is_view: kind == "view" }))
    }

    /// Whether a row of `table` has NULL in `column`; both must exist.
    pub fn has_null(&self, table: &str, column: &str) -> Result<bool, DbError> {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {} WHERE {} IS NULL)", quote(table), quote(column));
        self.ask(|it| it.query_row(&sql, [], |row| row.get(0)))
    }

    /// Why rows of `table` cannot be asked for `condition`; `None` when they can.
    pub fn condition_problem(&self, table: &str, condition: &str) -> Option<String> {
        let sql = format!("SELECT 1 FROM {} WHERE (\n{condition}\n)", quote(table));
        self.connection.prepare(&sql).err().map(|error| reason(&error))
    }

    /// The columns that `query` answers, or why it cannot be asked.
    pub fn query_columns(&self, query: &str) -> Result<Vec<String>, String> {
        let statement = self.connection.prepare(&format!("SELECT * FROM (\n{query}\n)"));
        let statement = statement.map_err(|error| reason(&error))?;
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

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn inspector(script: &str) -> Inspector {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(script).unwrap();
        let settings = DatabaseSettings { path: PathBuf::from("x.db"), create_with: None };
        Inspector { connection, settings }
    }

    /// `name: unique, not null` of each column.
    fn columns(script: &str) -> Vec<String> {
        let table = inspector(script).table("T").unwrap().unwrap();
        let words = |column: Column| {
            let unique = if column.unique { " unique" } else { "" };
            format!("{}{unique}{}", column.name, if column.not_null { " filled" } else { "" })
        };
        table.columns.into_iter().map(words).collect()
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
        assert_eq!(columns("CREATE TABLE t (a, b); CREATE UNIQUE INDEX i ON t (a, b)"), ["a", "b"]);
        assert_eq!(columns("CREATE TABLE t (a); CREATE UNIQUE INDEX i ON t (lower(a))"), ["a"]);
    }

    #[test]
    fn tables_and_statements_are_looked_at() {
        let it = inspector(
            "CREATE TABLE t (a, b); CREATE VIEW v AS SELECT a FROM t; INSERT INTO t VALUES (1, NULL)",
        );
        assert_eq!(it.tables().unwrap(), ["t", "v"]);
        assert!(it.table("nix").unwrap().is_none());
        assert!(it.table("v").unwrap().unwrap().is_view);
        assert!(it.has_null("t", "b").unwrap() && !it.has_null("t", "a").unwrap());
        assert_eq!(it.condition_problem("t", "a = 1 AND b < :now -- x"), None);
        assert_eq!(it.condition_problem("t", "c = 1").as_deref(), Some("no such column: c"));
        assert_eq!(it.query_columns("SELECT a, count(*) AS n FROM t GROUP BY a").unwrap(), ["a", "n"]);
        assert_eq!(it.query_columns("SELECT a FROM x").unwrap_err(), "no such table: x");
    }
}
