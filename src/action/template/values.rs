//! Values that are no row: JSON, with a name for whatever a template asks of it in vain.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use minijinja::value::{Enumerator, Object, Value};
use serde_json::{Map, Value as Json};

use super::context::{MISSING, Misses, NULL, Of};
use super::moment::Moment;

/// An object of JSON in the engine's types, which knows its own path.
#[derive(Debug)]
pub(super) struct Values {
    path: String,
    entries: Vec<(String, Value)>,
    misses: Misses,
}

impl Values {
    /// `path` is what stands before the names in it: empty at the top, else `event`.
    pub(super) fn new(values: &Map<String, Json>, path: String, misses: &Misses) -> Self {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let entries =
            values.iter().map(|(name, value)| (name.clone(), convert(value, below(name), misses))).collect();
        Self { path, entries, misses: misses.clone() }
    }

    fn get(&self, name: &str) -> Option<Value> {
        let found = self.entries.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        if let Some(value) = found.filter(|value| !value.is_undefined()) {
            return Some(value.clone());
        }
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        self.misses.record(path, Of::Values, if found.is_some() { NULL } else { MISSING });
        None
    }
}

fn convert(value: &Json, path: String, misses: &Misses) -> Value {
    match value {
        // As in rows: strictness covers it, and `default` stands in for it.
        Json::Null => Value::UNDEFINED,
        Json::Object(values) => Value::from_object(Values::new(values, path, misses)),
        Json::Array(values) => values
            .iter()
            .enumerate()
            .map(|(at, value)| convert(value, format!("{path}[{at}]"), misses))
            .collect(),
        Json::Bool(value) => Value::from(*value),
        Json::String(text) => Value::from(text.as_str()),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::from(whole),
            (None, Some(whole)) => Value::from(whole),
            (None, None) => number.as_f64().map_or(Value::UNDEFINED, Value::from),
        },
    }
}

impl Object for Values {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.get(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.entries.iter().map(|(name, _)| Value::from(name.as_str())).collect())
    }
}

/// The top: the values, and the time.
#[derive(Debug)]
pub(super) struct ValuesRoot {
    pub(super) values: Values,
    pub(super) fire_time: DateTime<Utc>,
    pub(super) now: DateTime<Utc>,
}

impl Object for ValuesRoot {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "fire_time" => Some(Moment::value(self.fire_time)),
            "now" => Some(Moment::value(self.now)),
            name => self.values.get(name),
        }
    }
}
