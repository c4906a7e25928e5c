//! What the tables of a MySQL or MariaDB database are like. Changes nothing.

use std::collections::BTreeMap;

use mysql_async::{Row, Value};

use super::super::{Access, Column, DbError, Table};
use super::facts::{number, path, text};
use super::fault::is_missing;
use super::{Database, Fault, Session, careless};
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
        database.session().await?.keep();
        Ok(Self { database })
    }

    /// What the server does that marks should not rely on.
    pub async fn warnings(&self) -> Result<Vec<String>, DbError> {
        let mut session = self.database.session().await?;
        let found = session.careless_commits().await;
        self.end(session, found).map(|found| found.into_iter().collect())
    }

    /// The names of all tables and views.
    pub async fn tables(&self) -> Result<Vec<String>, DbError> {
        let sql =
            "SELECT table_name FROM information_schema.tables WHERE table_schema = database() ORDER BY 1";
        let rows = self.ask(sql, Vec::new()).await?;
        Ok(rows.iter().filter_map(|row| text(row, 0)).collect())
    }

    /// The table or view called `name`, if there is one.
    pub async fn table(&self, name: &str) -> Result<Option<Table>, DbError> {
        let mut session = self.database.session().await?;
        let found = table(&mut session, name).await;
        self.end(session, found)
    }

    /// Whether what a statement asks is so.
    pub(in crate::db) async fn is_so(&self, sql: &str) -> Result<bool, DbError> {
        Ok(self.ask(sql, Vec::new()).await?.first().is_some_and(|row| number(row, 0) == 1))
    }

    /// The columns that a statement answers, or why it cannot be asked.
    pub(in crate::db) async fn columns(&self, sql: &str) -> Result<Vec<String>, String> {
        let (sql, _) = Dialect::MySql.positional(sql);
        let mut session = self.database.session().await.map_err(|error| error.to_string())?;
        match session.prepare(&sql).await {
            Ok(statement) => {
                session.keep();
                Ok(statement.columns().iter().map(|column| column.name_str().into_owned()).collect())
            }
            Err(fault) => Err(fault.words()),
        }
    }

    /// Why a statement is refused, where that shows before it is run.
    pub(in crate::db) async fn statement_problem(&self, sql: &str) -> Option<String> {
        let (sql, _) = Dialect::MySql.positional(sql);
        let mut session = match self.database.session().await {
            Ok(session) => session,
            Err(error) => return Some(error.to_string()),
        };
        match session.prepare(&sql).await {
            Ok(_) => {
                session.keep();
                None
            }
            // Some kinds of statements cannot be prepared, and may be right.
            Err(fault) if fault.is_not_preparable() => None,
            Err(fault) => Some(fault.words()),
        }
    }

    async fn ask(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, DbError> {
        let mut session = self.database.session().await?;
        let rows = session.ask(sql, values).await;
        self.end(session, rows)
    }

    fn end<T>(&self, session: Session<'_>, result: Result<T, Fault>) -> Result<T, DbError> {
        match result {
            Ok(answer) => {
                session.keep();
                Ok(answer)
            }
            Err(fault) => Err(self.database.tell(fault)),
        }
    }
}

async fn table(session: &mut Session<'_>, name: &str) -> Result<Option<Table>, Fault> {
    // How the server compares names of tables depends on its file system, so that it is asked for the table itself.
    match session.prepare(&format!("SELECT 1 FROM {}", quote_path(name))).await {
        Err(Fault::MySql(error)) if is_missing(&error) => return Ok(None),
        other => other.map(drop)?,
    }
    let of_table = "WHERE table_schema = ifnull(?, database()) AND table_name = ?";
    let sql = format!("SELECT 1 FROM information_schema.views {of_table}");
    let is_view = !session.ask(&sql, path(name)).await?.is_empty();
    let sql = format!(
        "SELECT column_name, is_nullable = 'NO' FROM information_schema.columns {of_table} ORDER BY ordinal_position"
    );
    let columns = session.ask(&sql, path(name)).await?;
    let column = |row: &Row| Some(Column { name: text(row, 0)?, not_null: number(row, 1) == 1 });
    let columns = columns.iter().filter_map(column).collect();
    // An index over an expression has no name there, and one over the beginning of a text gives no order.
    let sql = format!(
        "SELECT index_name, column_name, non_unique = 0, sub_part IS NOT NULL FROM information_schema.statistics \
         {of_table} ORDER BY index_name, seq_in_index"
    );
    let mut found: BTreeMap<String, Index> = BTreeMap::new();
    for row in session.ask(&sql, path(name)).await? {
        let index = found.entry(text(&row, 0).unwrap_or_default()).or_default();
        index.is_unique = number(&row, 2) == 1;
        index.is_partial |= number(&row, 3) == 1;
        match text(&row, 1) {
            Some(column) => index.columns.push(column),
            None => index.has_expression = true,
        }
    }
    let indexes = found.values().filter(|index| !index.is_partial && !index.has_expression);
    let indexes = indexes.map(|index| index.columns.clone()).collect();
    let unique = found.into_values().filter(|index| index.is_unique && !index.has_expression);
    let unmarkable = session.careless_engine(name).await?.map(|engine| careless(name, &engine));
    Ok(Some(Table {
        columns,
        unique: unique.map(|index| index.columns).collect(),
        indexes,
        is_view,
        unmarkable,
    }))
}

#[derive(Default)]
struct Index {
    columns: Vec<String>,
    is_unique: bool,
    is_partial: bool,
    has_expression: bool,
}

fn quote_path(name: &str) -> String {
    Dialect::MySql.quote_path(name)
}
