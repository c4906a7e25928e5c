//! A source in a SQLite file.

mod stream;

use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};
use rusqlite::{Connection, Row as SqlRow, Statement, ToSql, TransactionBehavior};

use super::query::{self, Queries, Update};
use super::{Key, Keyed, Marked, Moment, Page, Span, ToMark, too_many};
use crate::batch::key::Part;
use crate::db::DbError;
use crate::db::sqlite::Database;
use crate::run::{Row, Scalar};
use crate::settings::{BatchSettings, MarkValue};
use crate::sql::Dialect;

/// The rows of a batch in a SQLite file. The methods are those of [`super::Source`].
#[derive(Clone, Debug)]
pub(super) struct Rows {
    database: Database,
    queries: Arc<Queries>,
}

impl Rows {
    pub(super) fn new(settings: &BatchSettings, database: Database) -> Self {
        Self { database, queries: Arc::new(Queries::new(settings, Dialect::Sqlite)) }
    }

    pub(super) async fn page(&self, span: Span, limit: usize, moment: Moment) -> Result<Page, DbError> {
        self.call(move |connection, queries| page(connection, queries, &span, limit, &moment)).await
    }

    pub(super) async fn again(&self, keys: Vec<Key>, moment: Moment) -> Result<Vec<Option<Row>>, DbError> {
        self.call(move |connection, queries| again(connection, queries, &keys, &moment)).await
    }

    pub(super) async fn mark(&self, rows: Vec<ToMark>, moment: Moment) -> Result<Vec<Marked>, DbError> {
        self.call(move |connection, queries| mark(connection, queries, &rows, &moment)).await
    }

    pub(super) async fn count(&self, moment: Moment) -> Result<u64, DbError> {
        self.call(move |connection, queries| count(connection, queries, &moment)).await
    }

    pub(super) async fn all(&self, limit: u32, moment: Moment) -> Result<Vec<(Option<Key>, Row)>, DbError> {
        self.call(move |connection, queries| all(connection, queries, limit, &moment)).await
    }

    async fn call<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection, &Queries) -> Result<T, Fault> + Send + 'static,
    {
        let queries = Arc::clone(&self.queries);
        let path = self.database.path().to_owned();
        let fault = move |fault| match fault {
            Fault::Sqlite(source) => DbError::Sqlite { path, source },
            Fault::Mismatch(what) => DbError::Mismatch(what),
        };
        self.database.call(move |connection| work(connection, &queries).map_err(fault)).await
    }
}

/// What went wrong, before it is known in which file.
#[derive(Debug)]
enum Fault {
    /// The database refused.
    Sqlite(rusqlite::Error),
    /// What was asked does not fit the tables.
    Mismatch(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn page(
    connection: &Connection,
    queries: &Queries,
    span: &Span,
    limit: usize,
    moment: &Moment,
) -> Result<Page, Fault> {
    let sql = queries.page(span.after.is_some(), span.until.is_some());
    let mut statement = connection.prepare_cached(&sql)?;
    // One more than asked for tells whether there are more, and whether the key repeats at the border.
    let limit_value = SqlValue::Integer(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1));
    let mut own: Vec<(String, ToSqlOutput<'_>)> =
        vec![(query::LIMIT.to_owned(), ToSqlOutput::Owned(limit_value))];
    for (key, parameter) in
        [(&span.after, query::after_parameter as fn(usize) -> String), (&span.until, query::until_parameter)]
    {
        let parts = key.iter().flat_map(Key::parts).enumerate();
        own.extend(parts.map(|(index, part)| (parameter(index), bound(part))));
    }
    bind(&mut statement, moment, &own)?;
    let width = queries.key.len();
    let mut columns = None;
    let mut read: Vec<Keyed> = Vec::with_capacity(limit.min(1024) + 1);
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let key = read_key(queries, |part| row.get_ref(part))?;
        if read.last().is_some_and(|last| last.key == key) {
            return Err(Fault::Mismatch(query::not_unique(&queries.key, &key)));
        }
        read.push(Keyed { key, row: read_row(row, &mut columns, width)? });
    }
    let more = read.len() > limit;
    read.truncate(limit);
    Ok(Page { rows: read, more })
}

fn again(
    connection: &Connection,
    queries: &Queries,
    keys: &[Key],
    moment: &Moment,
) -> Result<Vec<Option<Row>>, Fault> {
    // All keys are looked up in the same tables, even if somebody changes them meanwhile.
    let _snapshot = connection.unchecked_transaction()?;
    let mut statement = connection.prepare_cached(&queries.again)?;
    let width = queries.key.len();
    let places = key_places(&statement, width)?;
    bind(&mut statement, moment, &nothing_yet(width))?;
    let mut columns = None;
    keys.iter()
        .map(|key| {
            bind_key(&mut statement, &places, key)?;
            let mut rows = statement.raw_query();
            Ok(match rows.next()? {
                Some(row) => Some(read_row(row, &mut columns, width)?),
                None => None,
            })
        })
        .collect()
}

fn count(connection: &Connection, queries: &Queries, moment: &Moment) -> Result<u64, Fault> {
    let mut statement = connection.prepare_cached(&queries.count)?;
    bind(&mut statement, moment, &[])?;
    let mut rows = statement.raw_query();
    let count: i64 = match rows.next()? {
        Some(row) => row.get(0)?,
        None => 0,
    };
    Ok(count.unsigned_abs())
}

fn all(
    connection: &Connection,
    queries: &Queries,
    limit: u32,
    moment: &Moment,
) -> Result<Vec<(Option<Key>, Row)>, Fault> {
    let mut statement = connection.prepare_cached(&queries.all)?;
    bind(&mut statement, moment, &[])?;
    let mut columns = None;
    let mut places = Vec::new();
    let mut read = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        if read.len() == limit as usize {
            return Err(Fault::Mismatch(too_many(limit)));
        }
        let values = read_row(row, &mut columns, 0)?;
        if read.is_empty() {
            places = key_columns(queries, &values.columns)?;
        }
        let key = match places.as_slice() {
            [] => None,
            places => Some(read_key(queries, |part| row.get_ref(places[part]))?),
        };
        read.push((key, values));
    }
    Ok(read)
}

/// The places of the key among the columns.
fn key_columns(queries: &Queries, columns: &[String]) -> Result<Vec<usize>, Fault> {
    let place = |name: &String| {
        columns.iter().position(|column| column == name).ok_or_else(|| {
            Fault::Mismatch(format!("the key \"{name}\" is not among the columns {}", columns.join(", ")))
        })
    };
    queries.key.iter().map(place).collect()
}

fn mark(
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
    let mut sent = queries
        .sent
        .as_ref()
        .map(|update| prepare(connection, update, queries.key.len(), moment))
        .transpose()?;
    let mut failed = queries
        .failed
        .as_ref()
        .map(|update| prepare(connection, update, queries.key.len(), moment))
        .transpose()?;
    let mut exists = connection.prepare_cached(&queries.exists)?;
    let mut matches = connection.prepare_cached(&queries.again)?;
    let width = queries.key.len();
    let [found_by, matched_by] = [&exists, &matches].map(|statement| key_places(statement, width));
    let (found_by, matched_by) = (found_by?, matched_by?);
    bind(&mut matches, moment, &nothing_yet(width))?;
    rows.iter()
        .map(|row| {
            let update = if row.failure.is_some() { &mut failed } else { &mut sent };
            let changed = match update {
                Some(Prepared { statement, errors, key }) => {
                    for index in errors.iter() {
                        statement.raw_bind_parameter(*index, row.failure.as_deref())?;
                    }
                    bind_key(statement, key, &row.key)?;
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
            if changed == 0 {
                bind_key(&mut exists, &found_by, &row.key)?;
                if exists.raw_query().next()?.is_none() {
                    return Ok(Marked::Vanished);
                }
            }
            bind_key(&mut matches, &matched_by, &row.key)?;
            let still = matches.raw_query().next()?.is_some();
            Ok(if still { Marked::Stuck } else { Marked::Done })
        })
        .collect()
}

/// A mark's statement with all bound but the key and the error.
struct Prepared<'c> {
    statement: rusqlite::CachedStatement<'c>,
    /// The places that take the error.
    errors: Vec<usize>,
    key: Vec<usize>,
}

fn prepare<'c>(
    connection: &'c Connection,
    update: &Update,
    width: usize,
    moment: &Moment,
) -> Result<Prepared<'c>, Fault> {
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
    let key = key_places(&statement, width)?;
    Ok(Prepared { statement, errors, key })
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

/// The places of the parts of a row's key.
fn key_places(statement: &Statement<'_>, width: usize) -> Result<Vec<usize>, Fault> {
    let place = |part| {
        let name = query::key_parameter(part);
        let missing = || Fault::Mismatch(format!("the statement does not use {name}"));
        statement.parameter_index(&name)?.ok_or_else(missing)
    };
    (0..width).map(place).collect()
}

fn bind_key(statement: &mut Statement<'_>, places: &[usize], key: &Key) -> rusqlite::Result<()> {
    places
        .iter()
        .zip(key.parts())
        .try_for_each(|(place, part)| statement.raw_bind_parameter(*place, bound(part)))
}

/// For the key's parameters until a key is known.
fn nothing_yet(width: usize) -> Vec<(String, ToSqlOutput<'static>)> {
    (0..width).map(|part| (query::key_parameter(part), ToSqlOutput::Owned(SqlValue::Null))).collect()
}

/// Binds every parameter of the statement: our own from `own`, the others from `moment`.
fn bind(
    statement: &mut Statement<'_>,
    moment: &Moment,
    own: &[(String, ToSqlOutput<'_>)],
) -> Result<(), Fault> {
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

/// Reads the columns behind the first `skip`. `columns` has their names when it returns: SQLite knows the columns of
/// today, if somebody changed the table, not before the first row.
fn read_row(row: &SqlRow<'_>, columns: &mut Option<Arc<[String]>>, skip: usize) -> rusqlite::Result<Row> {
    let columns = columns.get_or_insert_with(|| {
        let statement: &Statement<'_> = row.as_ref();
        statement.column_names().skip(skip).map(str::to_owned).collect()
    });
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

fn read_key<'r>(
    queries: &Queries,
    value: impl Fn(usize) -> rusqlite::Result<ValueRef<'r>>,
) -> Result<Key, Fault> {
    let part = |index: usize| read_part(&queries.key[index], value(index)?);
    match queries.key.len() {
        1 => Ok(Key::One(part(0)?)),
        width => Ok(Key::Many((0..width).map(part).collect::<Result<_, _>>()?)),
    }
}

fn read_part(column: &str, value: ValueRef<'_>) -> Result<Part, Fault> {
    let refuse = |what: &str| Err(Fault::Mismatch(format!("the key \"{column}\" {what}")));
    match value {
        ValueRef::Integer(value) => Ok(Part::Int(value)),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Part::Text(text.to_owned())),
            Err(_) => refuse("holds text that is not UTF-8"),
        },
        ValueRef::Blob(bytes) => Ok(Part::Bytes(bytes.to_vec())),
        ValueRef::Null => refuse("is NULL in a row; a key must be not null and unique"),
        ValueRef::Real(_) => refuse("is a floating-point number; use an integer or text column"),
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

fn bound(part: &Part) -> ToSqlOutput<'_> {
    match part {
        Part::Int(value) => (*value).into(),
        Part::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        Part::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
    }
}
