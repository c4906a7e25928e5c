//! What tables are like: questions that `check` asks before anything runs. Changes nothing.

use super::{DbError, mysql, postgres, sqlite};
use crate::settings::DatabaseSettings;
use crate::sql::Dialect;

/// A look at a database, read-only.
#[derive(Debug)]
pub enum Inspector {
    /// At a file, or at a copy in memory of what its script would make.
    Sqlite(sqlite::Inspector),
    /// At a MySQL or MariaDB server.
    MySql(mysql::Inspector),
    /// At a server.
    Postgres(postgres::Inspector),
}

/// A table or view.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// Columns that no two rows share: those of the primary key, and of each unique index.
    pub unique: Vec<Vec<String>>,
    /// The columns of each index that can give its rows in their order. Whether an index over some rows serves is the
    /// condition's to say: it is among them.
    pub indexes: Vec<Vec<String>>,
    /// A view: what its columns promise cannot be told.
    pub is_view: bool,
    /// Why its rows cannot be marked, whatever the mark.
    pub unmarkable: Option<String>,
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// As the table spells it.
    pub name: String,
    /// It cannot hold NULL.
    pub not_null: bool,
}

impl Table {
    /// Whether no two rows can have the same `columns`.
    pub fn is_unique(&self, columns: &[String]) -> bool {
        let among = |name: &String| columns.iter().any(|column| column.eq_ignore_ascii_case(name));
        self.unique.iter().any(|names| names.iter().all(among))
    }

    /// Whether an index gives the rows in the order of `columns`.
    pub fn is_sorted_by(&self, columns: &[String]) -> bool {
        let begins = |index: &Vec<String>| {
            index.len() >= columns.len()
                && index.iter().zip(columns).all(|(name, column)| name.eq_ignore_ascii_case(column))
        };
        self.indexes.iter().any(begins)
    }
}

impl Inspector {
    /// `None` when there is no file, and nothing that says how to make it.
    pub async fn open(settings: &DatabaseSettings) -> Result<Option<Self>, DbError> {
        match settings {
            DatabaseSettings::Sqlite(file) => Ok(sqlite::Inspector::open(file)?.map(Self::Sqlite)),
            DatabaseSettings::Postgres(server) => {
                Ok(Some(Self::Postgres(postgres::Inspector::open(server).await?)))
            }
            DatabaseSettings::MySql(server) => Ok(Some(Self::MySql(mysql::Inspector::open(server).await?))),
        }
    }

    /// What the database does that marks should not rely on.
    pub async fn warnings(&self) -> Result<Vec<String>, DbError> {
        match self {
            Self::Sqlite(_) | Self::Postgres(_) => Ok(Vec::new()),
            Self::MySql(it) => it.warnings().await,
        }
    }

    /// Whether names that differ in their case are two names.
    pub fn is_exact(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// The names of all tables and views.
    pub async fn tables(&self) -> Result<Vec<String>, DbError> {
        match self {
            Self::Sqlite(it) => it.tables(),
            Self::MySql(it) => it.tables().await,
            Self::Postgres(it) => it.tables().await,
        }
    }

    /// The table or view called `name`, if there is one.
    pub async fn table(&self, name: &str) -> Result<Option<Table>, DbError> {
        match self {
            Self::Sqlite(it) => it.table(name),
            Self::MySql(it) => it.table(name).await,
            Self::Postgres(it) => it.table(name).await,
        }
    }

    /// Whether a row of `table` has NULL in `column`; both must exist.
    pub async fn has_null(&self, table: &str, column: &str) -> Result<bool, DbError> {
        let (table, column) = (self.dialect().quote_path(table), self.dialect().quote(column));
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {column} IS NULL)");
        match self {
            Self::Sqlite(it) => it.is_so(&sql),
            Self::MySql(it) => it.is_so(&sql).await,
            Self::Postgres(it) => it.is_so(&sql).await,
        }
    }

    /// Why rows of `table` cannot be asked for `condition`; `None` when they can.
    pub async fn condition_problem(&self, table: &str, condition: &str) -> Option<String> {
        let table = self.dialect().quote_path(table);
        self.columns(&format!("SELECT 1 FROM {table} WHERE (\n{condition}\n)")).await.err()
    }

    /// The columns that `query` answers, or why it cannot be asked.
    pub async fn query_columns(&self, query: &str) -> Result<Vec<String>, String> {
        self.columns(&format!("SELECT * FROM (\n{query}\n) AS gulou_rows")).await
    }

    /// Why the database refuses a statement of the user's own, which is not run; `None` when it does not, or does not
    /// say so beforehand.
    pub async fn statement_problem(&self, sql: &str) -> Option<String> {
        match self {
            Self::MySql(it) => it.statement_problem(sql).await,
            Self::Sqlite(_) | Self::Postgres(_) => self.columns(sql).await.err(),
        }
    }

    /// Whether a statement changes what tables there are, and what they are like.
    pub fn defines(&self, sql: &str) -> bool {
        let words = self.dialect().first_words(sql, 1);
        matches!(words.first().map(String::as_str), Some("create" | "alter" | "drop" | "rename" | "attach"))
    }

    /// The columns that a statement answers, which is not run; or why it cannot be asked.
    async fn columns(&self, sql: &str) -> Result<Vec<String>, String> {
        match self {
            Self::Sqlite(it) => it.columns(sql),
            Self::MySql(it) => it.columns(sql).await,
            Self::Postgres(it) => it.columns(sql).await,
        }
    }

    fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::MySql(_) => Dialect::MySql,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }
}
