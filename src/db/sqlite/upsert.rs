//! Rows into a table of a SQLite file, one after the other.

use rusqlite::types::Value as Stored;
use rusqlite::{Connection, params_from_iter};
use serde_json::Value;

use super::Database;
use crate::db::DbError;
use crate::db::upsert::{Upsert, Upserted, text_of};
use crate::sql::Dialect;

impl Database {
    pub(in crate::db) async fn upsert(&self, upsert: Upsert) -> Result<Upserted, DbError> {
        let path = self.path().to_owned();
        self.call(move |connection| {
            write(connection, &upsert).map_err(|source| DbError::Sqlite { path, source })
        })
        .await
    }
}

fn write(connection: &mut Connection, upsert: &Upsert) -> rusqlite::Result<Upserted> {
    let (find, put) = statements(upsert);
    let places = upsert.key_places();
    let mut done = Upserted::default();
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    {
        let mut find = transaction.prepare(&find)?;
        let mut put = transaction.prepare(&put)?;
        for row in &upsert.rows {
            let values: Vec<Stored> = row.iter().map(stored).collect();
            let key = places.iter().filter_map(|place| values.get(*place));
            let was_there = find.exists(params_from_iter(key))?;
            match (put.execute(params_from_iter(&values))?, was_there) {
                (0, _) => done.unchanged += 1,
                (_, true) => done.updated += 1,
                (_, false) => done.inserted += 1,
            }
        }
    }
    transaction.commit()?;
    Ok(done)
}

/// One that finds a row by its key, and one that puts it there.
fn statements(upsert: &Upsert) -> (String, String) {
    let dialect = Dialect::Sqlite;
    let table = dialect.quote_path(&upsert.table);
    let name = dialect.quote(upsert.table.rsplit('.').next().unwrap_or_default());
    let by_key: Vec<String> = upsert.key.iter().map(|name| format!("{} IS ?", dialect.quote(name))).collect();
    let others: Vec<String> = upsert.others().map(|name| dialect.quote(name)).collect();
    let on_conflict = if others.is_empty() {
        "DO NOTHING".to_owned()
    } else {
        let sets: Vec<String> = others.iter().map(|column| format!("{column} = excluded.{column}")).collect();
        let differs: Vec<String> =
            others.iter().map(|column| format!("{name}.{column} IS NOT excluded.{column}")).collect();
        format!("DO UPDATE SET {} WHERE {}", sets.join(", "), differs.join(" OR "))
    };
    let find = format!("SELECT 1 FROM {table} WHERE {}", by_key.join(" AND "));
    let put = format!(
        "INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT ({}) {on_conflict}",
        Upsert::list(dialect, &upsert.columns),
        vec!["?"; upsert.columns.len()].join(", "),
        Upsert::list(dialect, &upsert.key),
    );
    (find, put)
}

fn stored(value: &Value) -> Stored {
    match value {
        Value::Null => Stored::Null,
        Value::Bool(value) => Stored::Integer(i64::from(*value)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Stored::Integer(whole),
            (None, Some(real)) => Stored::Real(real),
            (None, None) => Stored::Text(number.to_string()),
        },
        Value::String(_) | Value::Array(_) | Value::Object(_) => Stored::Text(text_of(value)),
    }
}
