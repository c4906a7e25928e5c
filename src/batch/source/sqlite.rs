//! A source in a SQLite file.

use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};
use rusqlite::{Connection, Row as SqlRow, Statement, ToSql, TransactionBehavior};

use super::query::{self, Queries, Update};
use super::{Fault, Keyed, Marked, Moment, Page, Span, ToMark};
use crate::batch::key::Key;
use crate::run::{Row, Scalar};
use crate::settings::MarkValue;

/// See [`super::Source::page`].
pub(super) fn page(
    connection: &Connection,
    queries: &Queries,
    span: &Span,
    limit: usize,
    moment: &Moment,
) -> Result<Page, Fault> {
    let sql = queries.page(span.after.is_some(), span.until.is_some());
    let mut statement = connection.prepare_cached(&sql)?;
    // One more than asked for tells whether there are more, and whether the key repeats at the border.
    let mut own: Vec<(&str, SqlValue)> =
        vec![(query::LIMIT, SqlValue::Integer(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)))];
    own.extend(span.after.as_ref().map(|key| (query::AFTER, key.into())));
    own.extend(span.until.as_ref().map(|key| (query::UNTIL, key.into())));
    bind(&mut statement, moment, &own)?;
    let columns = column_names(&statement, 1);
    let mut read: Vec<Keyed> = Vec::with_capacity(limit.min(1024) + 1);
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let key = read_key(queries, row.get_ref(0)?)?;
        if read.last().is_some_and(|last| last.key == key) {
            let column = queries.key.as_deref().unwrap_or_default();
            return Err(Fault::Mismatch(format!("the key \"{column}\" is not unique: {key} occurs twice")));
        }
        read.push(Keyed { key, row: read_row(row, &columns, 1)? });
    }
    let more = read.len() > limit;
    read.truncate(limit);
    Ok(Page { rows: read, more })
}

/// See [`super::Source::again`].
pub(super) fn again(
    connection: &Connection,
    queries: &Queries,
    keys: &[Key],
    moment: &Moment,
) -> Result<Vec<Option<Row>>, Fault> {
    let mut statement = connection.prepare_cached(&queries.again)?;
    bind(&mut statement, moment, &[(query::KEY, SqlValue::Null)])?;
    let columns = column_names(&statement, 1);
    keys.iter()
        .map(|key| {
            statement.raw_bind_parameter(query::KEY, key)?;
            let mut rows = statement.raw_query();
            Ok(match rows.next()? {
                Some(row) => Some(read_row(row, &columns, 1)?),
                None => None,
            })
        })
        .collect()
}

/// See [`super::Source::count`].
pub(super) fn count(connection: &Connection, queries: &Queries, moment: &Moment) -> Result<u64, Fault> {
    let mut statement = connection.prepare_cached(&queries.count)?;
    bind(&mut statement, moment, &[])?;
    let mut rows = statement.raw_query();
    let count: i64 = match rows.next()? {
        Some(row) => row.get(0)?,
        None => 0,
    };
    Ok(count.unsigned_abs())
}

/// See [`super::Source::all`].
pub(super) fn all(
    connection: &Connection,
    queries: &Queries,
    limit: u32,
    moment: &Moment,
) -> Result<Vec<(Option<Key>, Row)>, Fault> {
    let mut statement = connection.prepare_cached(&queries.all)?;
    bind(&mut statement, moment, &[])?;
    let columns = column_names(&statement, 0);
    let key_at = match &queries.key {
        None => None,
        Some(name) => Some(columns.iter().position(|column| column == name).ok_or_else(|| {
            Fault::Mismatch(format!("the key \"{name}\" is not among the columns {}", columns.join(", ")))
        })?),
    };
    let mut read = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        if read.len() == limit as usize {
            return Err(Fault::Mismatch(format!(
                "there are more than {limit} rows; raise max_rows, or narrow the source"
            )));
        }
        let key = key_at.map(|at| read_key(queries, row.get_ref(at)?)).transpose()?;
        read.push((key, read_row(row, &columns, 0)?));
    }
    Ok(read)
}

/// See [`super::Source::mark`].
pub(super) fn mark(
    connection: &mut Connection,
    queries: &Queries,
    rows: &[ToMark],
    moment: &Moment,
) -> Result<Vec<Marked>, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let marked = mark_within(&transaction, queries, rows, moment)?;
    transaction.commit()?;
    Ok(marked)
}

fn mark_within(
    connection: &Connection,
    queries: &Queries,
    rows: &[ToMark],
    moment: &Moment,
) -> Result<Vec<Marked>, Fault> {
    let mut sent = queries.sent.as_ref().map(|update| prepare(connection, update, moment)).transpose()?;
    let mut failed = queries.failed.as_ref().map(|update| prepare(connection, update, moment)).transpose()?;
    let mut exists = connection.prepare_cached(&queries.exists)?;
    let mut matches = connection.prepare_cached(&queries.again)?;
    bind(&mut matches, moment, &[(query::KEY, SqlValue::Null)])?;
    rows.iter()
        .map(|row| {
            let update = if row.failure.is_some() { &mut failed } else { &mut sent };
            let changed = match update {
                Some((statement, errors)) => {
                    for index in errors.iter() {
                        statement.raw_bind_parameter(*index, row.failure.as_deref())?;
                    }
                    statement.raw_bind_parameter(query::KEY, &row.key)?;
                    statement.raw_execute()?
                }
                None => return Err(Fault::Mismatch("the batch has no mark for this".to_owned())),
            };
            if changed > 1 {
                return Err(Fault::Mismatch(format!(
                    "the key is not unique: the mark of {} changed {changed} rows; nothing is marked",
                    row.key
                )));
            }
            // A view's trigger may have done the change without being counted.
            if changed == 0 && !exists.exists([&row.key])? {
                return Ok(Marked::Vanished);
            }
            matches.raw_bind_parameter(query::KEY, &row.key)?;
            let still = matches.raw_query().next()?.is_some();
            Ok(if still { Marked::Stuck } else { Marked::Done })
        })
        .collect()
}

/// A mark's statement with all bound but the key, and the places that take the error.
fn prepare<'c>(
    connection: &'c Connection,
    update: &Update,
    moment: &Moment,
) -> Result<(rusqlite::CachedStatement<'c>, Vec<usize>), Fault> {
    let mut statement = connection.prepare_cached(&update.sql)?;
    let mut errors = Vec::new();
    for (position, value) in update.values.iter().enumerate() {
        let parameter = query::value_parameter(position);
        let Some(index) = statement.parameter_index(&parameter)? else { continue };
        match value {
            MarkValue::Parameter(name) if name == ":error" => errors.push(index),
            MarkValue::Parameter(name) => {
                let value = moment
                    .parameter(name)
                    .ok_or_else(|| Fault::Mismatch(format!("a mark cannot use {name}")))?;
                statement.raw_bind_parameter(index, Bound(&value))?;
            }
            MarkValue::Literal(value) => statement.raw_bind_parameter(index, literal(value))?,
        }
    }
    Ok((statement, errors))
}

fn literal(value: &serde_json::Value) -> SqlValue {
    match value {
        serde_json::Value::Null => SqlValue::Null,
        serde_json::Value::Bool(flag) => SqlValue::Integer(i64::from(*flag)),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map_or_else(|| SqlValue::Real(number.as_f64().unwrap_or(f64::NAN)), SqlValue::Integer),
        serde_json::Value::String(text) => SqlValue::Text(text.clone()),
        other => SqlValue::Text(other.to_string()),
    }
}

/// Binds every parameter of the statement: our own from `own`, the others from `moment`.
fn bind(statement: &mut Statement<'_>, moment: &Moment, own: &[(&str, SqlValue)]) -> Result<(), Fault> {
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index).unwrap_or("?").to_owned();
        if let Some((_, value)) = own.iter().find(|(own, _)| *own == name) {
            statement.raw_bind_parameter(index, value)?;
        } else if let Some(value) = moment.parameter(&name) {
            statement.raw_bind_parameter(index, Bound(&value))?;
        } else {
            return Err(Fault::Mismatch(query::unknown_parameter(&name)));
        }
    }
    Ok(())
}

fn column_names(statement: &Statement<'_>, skip: usize) -> Arc<[String]> {
    statement.column_names().skip(skip).map(str::to_owned).collect()
}

fn read_row(row: &SqlRow<'_>, columns: &Arc<[String]>, skip: usize) -> rusqlite::Result<Row> {
    let values = (skip..skip + columns.len())
        .map(|index| row.get_ref(index).map(scalar))
        .collect::<rusqlite::Result<Vec<Scalar>>>()?;
    Ok(Row { columns: Arc::clone(columns), values })
}

fn scalar(value: ValueRef<'_>) -> Scalar {
    match value {
        ValueRef::Null => Scalar::Null,
        ValueRef::Integer(value) => Scalar::Int(value),
        ValueRef::Real(value) => Scalar::Float(value),
        ValueRef::Text(bytes) => Scalar::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Scalar::Bytes(bytes.to_vec()),
    }
}

fn read_key(queries: &Queries, value: ValueRef<'_>) -> Result<Key, Fault> {
    let column = queries.key.as_deref().unwrap_or_default();
    let refuse = |what: &str| Err(Fault::Mismatch(format!("the key \"{column}\" {what}")));
    match value {
        ValueRef::Integer(value) => Ok(Key::Int(value)),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Key::Text(text.to_owned())),
            Err(_) => refuse("holds text that is not UTF-8"),
        },
        ValueRef::Null => refuse("is NULL in a row; a key must be not null and unique"),
        ValueRef::Real(_) => refuse("is a floating-point number; use an integer or text column"),
        ValueRef::Blob(_) => refuse("is a blob; use an integer or text column"),
    }
}

struct Bound<'a>(&'a Scalar);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Scalar::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Scalar::Bool(flag) => i64::from(*flag).into(),
            Scalar::Int(value) => (*value).into(),
            Scalar::Float(value) => (*value).into(),
            Scalar::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Scalar::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

impl ToSql for Key {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Int(value) => (*value).into(),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

impl From<&Key> for SqlValue {
    fn from(key: &Key) -> Self {
        match key {
            Key::Int(value) => Self::Integer(*value),
            Key::Text(text) => Self::Text(text.clone()),
        }
    }
}
