//! Rows of a PostgreSQL server as texts.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::super::{DbError, Values};
use super::execute::value;
use super::{Database, Session, Text};
use crate::sql::Dialect;

/// How often the connection may be lost before it is given up.
const TRIES: usize = 3;

/// Why there are no rows.
enum Fault {
    Server(Error),
    Mismatch(String),
}

impl Database {
    pub(in crate::db) async fn texts(
        &self,
        sql: &str,
        values: &Values,
    ) -> Result<Vec<Vec<Option<String>>>, DbError> {
        let (sql, names) = Dialect::Postgres.positional(sql);
        let mut left = TRIES;
        loop {
            left -= 1;
            let mut session = self.session().await?;
            match read(&mut session, &sql, &names, values).await {
                Ok(rows) => return Ok(rows.iter().map(texts).collect()),
                Err(Fault::Server(_)) if left > 0 && session.is_closed() => {}
                Err(Fault::Server(error)) => return Err(self.fault(&error, &sql)),
                Err(Fault::Mismatch(what)) => return Err(DbError::Mismatch(what)),
            }
        }
    }
}

async fn read(
    session: &mut Session,
    sql: &str,
    names: &[String],
    values: &Values,
) -> Result<Vec<Row>, Fault> {
    let statement = session.describe(sql, names).await.map_err(Fault::Server)?;
    let bound = names.iter().zip(statement.params()).map(|(name, kind)| value(values, name, kind));
    let bound: Vec<Text<'_>> = bound.collect::<Result<_, _>>().map_err(Fault::Mismatch)?;
    let bound: Vec<&(dyn ToSql + Sync)> = bound.iter().map(|text| text as _).collect();
    session.client().query(&statement, &bound).await.map_err(Fault::Server)
}

fn texts(row: &Row) -> Vec<Option<String>> {
    (0..row.len()).map(|column| row.try_get(column).ok().flatten()).collect()
}
