//! Rows of a MySQL or MariaDB server as texts.

use super::super::{DbError, Values};
use super::execute::bind;
use super::session::Session;
use super::{Database, Fault};
use crate::sql::Dialect;

impl Database {
    pub(in crate::db) async fn texts(
        &self,
        sql: &str,
        values: &Values,
    ) -> Result<Vec<Vec<Option<String>>>, DbError> {
        let mut tries = self.tries();
        loop {
            let mut session = tries.session().await?;
            let result = read(&mut session, sql, values).await;
            if let Some(settled) = tries.settle(session, result).await {
                return settled;
            }
        }
    }
}

async fn read(
    session: &mut Session<'_>,
    sql: &str,
    values: &Values,
) -> Result<Vec<Vec<Option<String>>>, Fault> {
    let (sql, names) = Dialect::MySql.positional(sql);
    let statement = session.prepare(&sql).await?;
    let rows = session.rows(&statement, bind(&names, values)?).await?;
    let text = |row: &mysql_async::Row, column| row.get::<Option<String>, usize>(column).flatten();
    Ok(rows.iter().map(|row| (0..row.len()).map(|column| text(row, column)).collect()).collect())
}
