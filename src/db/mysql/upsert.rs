//! Rows into a MySQL or MariaDB table, one after the other in one transaction.

use chrono::{DateTime, Utc};
use mysql_async::Value as Stored;
use serde_json::Value;

use super::session::Session;
use super::{Database, Fault};
use crate::db::DbError;
use crate::db::upsert::{Upsert, Upserted, text_of};
use crate::sql::Dialect;

impl Database {
    pub(in crate::db) async fn upsert(&self, upsert: Upsert) -> Result<Upserted, DbError> {
        let mut tries = self.tries();
        loop {
            let mut session = tries.session().await?;
            let result = write(&mut session, &upsert).await;
            if let Some(settled) = tries.settle(session, result).await {
                return settled;
            }
        }
    }
}

async fn write(session: &mut Session<'_>, upsert: &Upsert) -> Result<Upserted, Fault> {
    let types = types(session, upsert).await?;
    let (find, put) = statements(upsert);
    let (find, put) = (session.prepare(&find).await?, session.prepare(&put).await?);
    let places = upsert.key_places();
    let mut done = Upserted::default();
    session.order("START TRANSACTION").await?;
    for row in &upsert.rows {
        let values: Vec<Stored> = row.iter().zip(&types).map(|(value, kind)| stored(value, *kind)).collect();
        let key = places.iter().filter_map(|place| values.get(*place).cloned()).collect();
        let was_there = !session.rows(&find, key).await?.is_empty();
        // The server answers 1 for a row that is new or the same, and 2 for one that was changed.
        match (session.change(&put, values).await?, was_there) {
            (2.., _) => done.updated += 1,
            (_, true) => done.unchanged += 1,
            (_, false) => done.inserted += 1,
        }
    }
    session.order("COMMIT").await?;
    Ok(done)
}

/// One that finds a row by its key, and one that puts it there.
fn statements(upsert: &Upsert) -> (String, String) {
    let dialect = Dialect::MySql;
    let table = dialect.quote_path(&upsert.table);
    let by_key: Vec<String> =
        upsert.key.iter().map(|name| format!("{} <=> ?", dialect.quote(name))).collect();
    let mut sets: Vec<String> = upsert
        .others()
        .map(|name| dialect.quote(name))
        .map(|column| format!("{column} = VALUES({column})"))
        .collect();
    if sets.is_empty() {
        sets.extend(upsert.key.first().map(|name| dialect.quote(name)).map(|key| format!("{key} = {key}")));
    }
    let find = format!("SELECT 1 FROM {table} WHERE {} LIMIT 1", by_key.join(" AND "));
    let put = format!(
        "INSERT INTO {table} ({}) VALUES ({}) ON DUPLICATE KEY UPDATE {}",
        Upsert::list(dialect, &upsert.columns),
        vec!["?"; upsert.columns.len()].join(", "),
        sets.join(", ")
    );
    (find, put)
}

/// What matters of a column's type.
#[derive(Clone, Copy)]
enum Kind {
    /// A point in time: the server reads no `T` and no `Z`.
    Moment,
    /// A day.
    Day,
    /// Anything else.
    Plain,
}

async fn types(session: &mut Session<'_>, upsert: &Upsert) -> Result<Vec<Kind>, Fault> {
    let ask = "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS \
               WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ?";
    let statement = session.prepare(ask).await?;
    let (schema, table) = match upsert.table.rsplit_once('.') {
        Some((schema, table)) => (Stored::from(schema), table),
        None => (Stored::NULL, upsert.table.as_str()),
    };
    let rows = session.rows(&statement, vec![schema, table.into()]).await?;
    let known: Vec<(String, String)> =
        rows.iter().filter_map(|row| Some((row.get(0)?, row.get(1)?))).collect();
    let kind = |column: &String| {
        let of = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(column));
        match of.map(|(_, kind)| kind.to_ascii_lowercase()).as_deref() {
            Some("datetime" | "timestamp") => Kind::Moment,
            Some("date") => Kind::Day,
            _ => Kind::Plain,
        }
    };
    Ok(upsert.columns.iter().map(kind).collect())
}

fn stored(value: &Value, kind: Kind) -> Stored {
    match value {
        Value::Null => Stored::NULL,
        Value::Bool(value) => Stored::from(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), ..) => Stored::from(whole),
            (None, Some(whole), _) => Stored::from(whole),
            (None, None, Some(real)) => Stored::from(real),
            (None, None, None) => Stored::from(number.to_string()),
        },
        Value::String(text) => Stored::from(time(text, kind).unwrap_or_else(|| text.clone())),
        Value::Array(_) | Value::Object(_) => Stored::from(text_of(value)),
    }
}

/// A time with its zone, as feeds have it, in UTC as the session has it.
fn time(text: &str, kind: Kind) -> Option<String> {
    let format = match kind {
        Kind::Moment => "%Y-%m-%d %H:%M:%S%.f",
        Kind::Day => "%Y-%m-%d",
        Kind::Plain => return None,
    };
    let at = DateTime::parse_from_rfc3339(text).ok()?;
    Some(at.with_timezone(&Utc).format(format).to_string())
}
