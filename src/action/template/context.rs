//! What templates can see: a row, or all rows, and the time.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use minijinja::value::{Enumerator, Object, Value};
use serde_json::{Map, Value as Json};

use super::moment::Moment;
use super::values::{Values, ValuesRoot};
use crate::run::{Row, Scalar};

/// The row has no such column.
pub(super) const MISSING: &str = "missing";
/// The row has the column without a value.
pub(super) const NULL: &str = "NULL";

/// The variables of one rendering; cheap to use for several templates.
#[derive(Debug)]
pub(crate) struct Context {
    root: Value,
    misses: Misses,
}

/// A name that a template asked for in vain.
#[derive(Clone, Debug)]
pub(super) struct Miss {
    pub(super) name: String,
    pub(super) of: Of,
    pub(super) state: &'static str,
}

/// What a name that was missed would have been in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// A row of a database.
    Row,
    /// The values of something that is no row.
    Values,
}

/// The last miss of a rendering. The engine's error for an undefined value does not name it.
#[derive(Clone, Debug, Default)]
pub(super) struct Misses(Arc<Mutex<Option<Miss>>>);

impl Misses {
    pub(super) fn record(&self, name: impl Into<String>, of: Of, state: &'static str) {
        let miss = Miss { name: name.into(), of, state };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(miss);
    }
}

impl Context {
    /// What every template has. A column of the same name hides it.
    pub(crate) const BUILT_IN: &[&str] = &["fire_time", "now"];

    /// For one row: its columns are variables.
    pub(crate) fn row(row: &Row, fire_time: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let misses = Misses::default();
        let row = RowValues::new(row, misses.clone());
        Self { root: Value::from_object(RowRoot { row, fire_time, now }), misses }
    }

    /// For all rows: the variable `rows`.
    pub(crate) fn rows(rows: &[Row], fire_time: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let misses = Misses::default();
        let rows = rows.iter().map(|row| Value::from_object(RowValues::new(row, misses.clone()))).collect();
        let root = RowsRoot { rows, fire_time, now, misses: misses.clone() };
        Self { root: Value::from_object(root), misses }
    }

    /// For what is no row: its values are variables, as deep as they go. What is null counts as missing.
    pub(crate) fn values(values: &Map<String, Json>, fire_time: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let misses = Misses::default();
        let values = Values::new(values, String::new(), &misses);
        Self { root: Value::from_object(ValuesRoot { values, fire_time, now }), misses }
    }

    pub(super) fn value(&self) -> Value {
        self.root.clone()
    }

    pub(super) fn missed(&self) -> Option<Miss> {
        self.misses.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A row, with its values in the engine's types.
#[derive(Debug)]
struct RowValues {
    columns: Arc<[String]>,
    values: Vec<Value>,
    misses: Misses,
}

impl RowValues {
    fn new(row: &Row, misses: Misses) -> Self {
        Self { columns: row.columns.clone(), values: row.values.iter().map(value).collect(), misses }
    }

    fn find(&self, name: &str) -> Option<&Value> {
        let index = self.columns.iter().position(|column| column == name)?;
        self.values.get(index)
    }

    fn get(&self, name: &str) -> Option<Value> {
        match self.find(name) {
            Some(value) if !value.is_undefined() => Some(value.clone()),
            Some(_) => {
                self.misses.record(name, Of::Row, NULL);
                None
            }
            None => {
                self.misses.record(name, Of::Row, MISSING);
                None
            }
        }
    }
}

impl Object for RowValues {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.get(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.columns.iter().map(|column| Value::from(column.as_str())).collect())
    }
}

#[derive(Debug)]
struct RowRoot {
    row: RowValues,
    fire_time: DateTime<Utc>,
    now: DateTime<Utc>,
}

impl Object for RowRoot {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "fire_time" if self.row.find(key).is_none() => Some(Moment::value(self.fire_time)),
            "now" if self.row.find(key).is_none() => Some(Moment::value(self.now)),
            column => self.row.get(column),
        }
    }
}

#[derive(Debug)]
struct RowsRoot {
    rows: Value,
    fire_time: DateTime<Utc>,
    now: DateTime<Utc>,
    misses: Misses,
}

impl Object for RowsRoot {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "rows" => Some(self.rows.clone()),
            "fire_time" => Some(Moment::value(self.fire_time)),
            "now" => Some(Moment::value(self.now)),
            other => {
                self.misses.record(other, Of::Row, MISSING);
                None
            }
        }
    }
}

/// Without loss: NULL becomes undefined, so that strictness covers it.
fn value(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::UNDEFINED,
        Scalar::Bool(value) => Value::from(*value),
        Scalar::Int(value) => Value::from(*value),
        Scalar::Float(value) => Value::from(*value),
        Scalar::Text(value) => Value::from(value.as_str()),
        Scalar::Bytes(value) => Value::from(value.as_slice()),
    }
}
