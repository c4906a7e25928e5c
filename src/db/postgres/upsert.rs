//! Rows into a PostgreSQL table, all in one statement. They travel as JSON: the server itself knows best how a text becomes
//! a value of a column's type.

use serde_json::{Map, Value};
use tokio::sync::MappedMutexGuard;
use tokio_postgres::{Error, Row};

use super::super::execute::ENDS;
use super::{Database, Session, is_in_the_way};
use crate::db::DbError;
use crate::db::upsert::{Upsert, Upserted};
use crate::sql::Dialect;

/// How often others may be in the way, or the connection lost, before it is given up.
const TRIES: usize = 3;

impl Database {
    pub(in crate::db) async fn upsert(&self, upsert: Upsert) -> Result<Upserted, DbError> {
        let sql = statement(&upsert);
        let rows = json(&upsert);
        let mut left = TRIES;
        loop {
            left -= 1;
            let mut work = Work { database: self, session: self.session().await?, has_ended: false };
            let result = write(&mut work.session, &sql, &rows).await;
            work.has_ended = true;
            match result {
                Ok(written) => {
                    let inserted = written.iter().filter(|row| row.get(0)).count() as u64;
                    let (written, all) = (written.len() as u64, upsert.rows.len() as u64);
                    return Ok(Upserted {
                        inserted,
                        updated: written - inserted,
                        unchanged: all.saturating_sub(written),
                    });
                }
                Err(error) if left > 0 && (work.session.is_closed() || is_in_the_way(&error)) => {}
                Err(error) => return Err(self.fault(&error, &sql)),
            }
        }
    }
}

/// What is under way in a session. Dropped before its end, it is not waited for, and takes no effect: the server is told
/// to end it, and the commit is never sent.
struct Work<'d> {
    database: &'d Database,
    session: MappedMutexGuard<'d, Session>,
    has_ended: bool,
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        self.session.abandon();
        // Without a runtime, the connection has gone with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (database, token) = (self.database.clone(), self.session.client().cancel_token());
        runtime.spawn(async move { tokio::time::timeout(ENDS, database.cancel(&token)).await });
    }
}

async fn write(session: &mut Session, sql: &str, rows: &str) -> Result<Vec<Row>, Error> {
    let transaction = session.begin().await?;
    let written = transaction.query(sql, &[&rows]).await?;
    transaction.commit().await?;
    Ok(written)
}

fn statement(upsert: &Upsert) -> String {
    let dialect = Dialect::Postgres;
    let table = dialect.quote_path(&upsert.table);
    let columns = Upsert::list(dialect, &upsert.columns);
    let others: Vec<String> = upsert.others().map(|name| dialect.quote(name)).collect();
    let on_conflict = if others.is_empty() {
        "DO NOTHING".to_owned()
    } else {
        let sets: Vec<String> = others.iter().map(|column| format!("{column} = EXCLUDED.{column}")).collect();
        // As texts: some types, json among them, cannot be compared.
        let differs: Vec<String> = others
            .iter()
            .map(|column| format!("old.{column}::text IS DISTINCT FROM EXCLUDED.{column}::text"))
            .collect();
        format!("DO UPDATE SET {} WHERE {}", sets.join(", "), differs.join(" OR "))
    };
    // A row that was inserted has no transaction that ended it.
    format!(
        "INSERT INTO {table} AS old ({columns}) \
         SELECT {columns} FROM json_populate_recordset(NULL::{table}, $1::text::json) \
         ON CONFLICT ({}) {on_conflict} RETURNING (xmax = 0)",
        Upsert::list(dialect, &upsert.key)
    )
}

/// A list of objects by column.
fn json(upsert: &Upsert) -> String {
    let object = |row: &Vec<Value>| {
        let values = upsert.columns.iter().cloned().zip(row.iter().map(storable));
        Value::Object(values.collect::<Map<_, _>>())
    };
    Value::Array(upsert.rows.iter().map(object).collect()).to_string()
}

/// PostgreSQL's text knows no NUL.
fn storable(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace('\0', "\u{fffd}").into(),
        Value::Array(values) => values.iter().map(storable).collect(),
        Value::Object(values) => Value::Object(
            values.iter().map(|(name, value)| (name.replace('\0', "\u{fffd}"), storable(value))).collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
