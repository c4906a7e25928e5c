//! Values on their way to MySQL and back, and the types that a key may have.

use std::sync::Arc;

use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::{Column, Row as SqlRow, Value};

use super::super::{Moment, query};
use crate::action::export::Kind as Meaning;
use crate::batch::key::Part;
use crate::db::mysql::Fault;
use crate::run::{Row, Scalar};

/// The character set of what is no text.
const BINARY: u16 = 63;

/// How a key column is read and bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    /// Text, and what the server compares with text as what it is: times, UUIDs.
    Text,
    Bytes,
    /// A date with its time, or a time, with so many digits behind the second.
    Time(ColumnType, u8),
}

impl Kind {
    /// That of the key column `name`; refuses types that are sorted by one rule and compared by another.
    pub(super) fn of_key(name: &str, column: &Column) -> Result<Self, Fault> {
        use ColumnType as T;
        let refuse = |what: &str| {
            let help = "use an integer, text, binary or date column";
            Err(Fault::Mismatch(format!("the key \"{name}\" {what}; {help}")))
        };
        match column.column_type() {
            T::MYSQL_TYPE_TINY
            | T::MYSQL_TYPE_SHORT
            | T::MYSQL_TYPE_INT24
            | T::MYSQL_TYPE_LONG
            | T::MYSQL_TYPE_LONGLONG
            | T::MYSQL_TYPE_YEAR => Ok(Self::Integer),
            kind if is_time(kind) => Ok(Self::Time(kind, column.decimals())),
            T::MYSQL_TYPE_ENUM => refuse("is an ENUM"),
            T::MYSQL_TYPE_SET => refuse("is a SET"),
            kind if is_text(kind) => match column.flags() {
                flags if flags.contains(ColumnFlags::ENUM_FLAG) => refuse("is an ENUM"),
                flags if flags.contains(ColumnFlags::SET_FLAG) => refuse("is a SET"),
                _ if column.character_set() == BINARY => Ok(Self::Bytes),
                _ => Ok(Self::Text),
            },
            T::MYSQL_TYPE_FLOAT | T::MYSQL_TYPE_DOUBLE => refuse("is a floating-point number"),
            T::MYSQL_TYPE_DECIMAL | T::MYSQL_TYPE_NEWDECIMAL => refuse("is a DECIMAL"),
            T::MYSQL_TYPE_BIT => refuse("is a BIT field"),
            T::MYSQL_TYPE_JSON => refuse("is JSON"),
            _ => refuse("is of a type that has no order"),
        }
    }

    pub(super) fn bind(self, part: &Part) -> Value {
        match (self, part) {
            // Compared with a text as numbers, a text column would have no index, and `7`, `07` and `7.0` were one key.
            (Self::Text, Part::Int(value)) => value.to_string().into(),
            (_, Part::Int(value)) => (*value).into(),
            // An unsigned one beyond those that have a sign.
            (Self::Integer, Part::Text(text)) => {
                text.parse::<u64>().map_or_else(|_| text.as_str().into(), Value::from)
            }
            (_, Part::Text(text)) => text.as_str().into(),
            (_, Part::Bytes(bytes)) => bytes.as_slice().into(),
        }
    }

    pub(super) fn read(self, name: &str, value: Option<&Value>) -> Result<Part, Fault> {
        let refuse = |what: &str| Err(Fault::Mismatch(format!("the key \"{name}\" {what}")));
        match (self, value) {
            (_, None | Some(Value::NULL)) => refuse("is NULL in a row; a key must be not null and unique"),
            (_, Some(Value::Int(value))) => Ok(Part::Int(*value)),
            (_, Some(Value::UInt(value))) => {
                Ok(i64::try_from(*value).map_or_else(|_| Part::Text(value.to_string()), Part::Int))
            }
            (Self::Bytes, Some(Value::Bytes(bytes))) => Ok(Part::Bytes(bytes.clone())),
            (_, Some(Value::Bytes(bytes))) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Part::Text(text.to_owned())),
                Err(_) => refuse("holds text that is not UTF-8"),
            },
            (Self::Time(kind, digits), Some(value)) => {
                spelled(kind, digits, value).map(Part::Text).map_or_else(|| refuse("is no time"), Ok)
            }
            _ => refuse("is of a type that has no order"),
        }
    }
}

/// The values of a statement's parameters: our own from `own`, the others from `moment`.
pub(super) fn bind(
    names: &[String],
    moment: &Moment,
    mut own: impl FnMut(&str) -> Option<Value>,
) -> Result<Vec<Value>, Fault> {
    let value = |name: &String| {
        parameter(moment, name)
            .or_else(|| own(name))
            .ok_or_else(|| Fault::Mismatch(query::unknown_parameter(name)))
    };
    names.iter().map(value).collect()
}

/// A time as a text, which compares with all types of times, or as an integer.
pub(super) fn parameter(moment: &Moment, name: &str) -> Option<Value> {
    match moment.parameter(name)? {
        Scalar::Int(value) => Some(value.into()),
        Scalar::Text(text) => Some(text.into()),
        _ => None,
    }
}

/// A literal of the configuration.
pub(super) fn literal(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::NULL,
        serde_json::Value::Bool(flag) => i64::from(*flag).into(),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => value.into(),
            (None, Some(value)) => value.into(),
            (None, None) => number.as_f64().unwrap_or(f64::NAN).into(),
        },
        serde_json::Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}

/// What the values of a column are in a spreadsheet.
pub(super) fn meaning(column: &Column) -> Meaning {
    use ColumnType as T;
    match column.column_type() {
        T::MYSQL_TYPE_DECIMAL | T::MYSQL_TYPE_NEWDECIMAL => Meaning::Decimal,
        T::MYSQL_TYPE_DATE | T::MYSQL_TYPE_NEWDATE | T::MYSQL_TYPE_DATETIME | T::MYSQL_TYPE_DATETIME2 => {
            Meaning::Local
        }
        // The session's zone is UTC.
        T::MYSQL_TYPE_TIMESTAMP | T::MYSQL_TYPE_TIMESTAMP2 => Meaning::Instant,
        _ => Meaning::Plain,
    }
}

/// The columns of a row behind the first `skip`.
pub(super) fn row(row: &SqlRow, names: &Arc<[String]>, skip: usize) -> Row {
    let columns = row.columns_ref().iter().enumerate().skip(skip);
    let value = |(index, column): (usize, &Column)| {
        row.as_ref(index).map_or(Scalar::Null, |value| scalar(column, value))
    };
    Row { columns: Arc::clone(names), values: columns.map(value).collect() }
}

fn scalar(column: &Column, value: &Value) -> Scalar {
    let kind = column.column_type();
    match value {
        Value::NULL => Scalar::Null,
        Value::Int(value) => Scalar::Int(*value),
        Value::UInt(value) => unsigned(*value),
        // The nearest number of twice the length would have digits that nobody wrote.
        Value::Float(value) => Scalar::Float(value.to_string().parse().unwrap_or_else(|_| f64::from(*value))),
        Value::Double(value) => Scalar::Float(*value),
        Value::Bytes(bytes) if kind == ColumnType::MYSQL_TYPE_BIT && bytes.len() <= 8 => {
            unsigned(bytes.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
        }
        Value::Bytes(bytes) => {
            let flags = column.flags();
            let has_words = flags.intersects(ColumnFlags::ENUM_FLAG | ColumnFlags::SET_FLAG);
            let is_binary = column.character_set() == BINARY && !has_words;
            if is_binary && (is_text(kind) || kind == ColumnType::MYSQL_TYPE_GEOMETRY) {
                Scalar::Bytes(bytes.clone())
            } else {
                Scalar::Text(String::from_utf8_lossy(bytes).into_owned())
            }
        }
        time => spelled(kind, column.decimals(), time).map_or(Scalar::Null, Scalar::Text),
    }
}

fn unsigned(value: u64) -> Scalar {
    i64::try_from(value).map_or_else(|_| Scalar::Text(value.to_string()), Scalar::Int)
}

/// A time as the server would write it: `2026-06-01`, `2026-06-01 01:00:00.500`, `-25:00:00`.
fn spelled(kind: ColumnType, digits: u8, value: &Value) -> Option<String> {
    let fraction = |micros: u32| match digits {
        // Some expressions do not say how many: all that are not zero.
        0 | 7.. if micros == 0 => String::new(),
        0 | 7.. => format!(".{micros:06}").trim_end_matches('0').to_owned(),
        digits => format!(".{micros:06}")[..=usize::from(digits)].to_owned(),
    };
    match *value {
        Value::Date(year, month, day, ..)
            if matches!(kind, ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE) =>
        {
            Some(format!("{year:04}-{month:02}-{day:02}"))
        }
        Value::Date(year, month, day, hour, minute, second, micros) => Some(format!(
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{}",
            fraction(micros)
        )),
        Value::Time(is_negative, days, hours, minute, second, micros) => {
            let sign = if is_negative { "-" } else { "" };
            let hours = days * 24 + u32::from(hours);
            Some(format!("{sign}{hours:02}:{minute:02}:{second:02}{}", fraction(micros)))
        }
        _ => None,
    }
}

fn is_time(kind: ColumnType) -> bool {
    use ColumnType as T;
    matches!(
        kind,
        T::MYSQL_TYPE_DATE
            | T::MYSQL_TYPE_NEWDATE
            | T::MYSQL_TYPE_DATETIME
            | T::MYSQL_TYPE_DATETIME2
            | T::MYSQL_TYPE_TIMESTAMP
            | T::MYSQL_TYPE_TIMESTAMP2
            | T::MYSQL_TYPE_TIME
            | T::MYSQL_TYPE_TIME2
    )
}

fn is_text(kind: ColumnType) -> bool {
    use ColumnType as T;
    matches!(
        kind,
        T::MYSQL_TYPE_VARCHAR
            | T::MYSQL_TYPE_VAR_STRING
            | T::MYSQL_TYPE_STRING
            | T::MYSQL_TYPE_TINY_BLOB
            | T::MYSQL_TYPE_MEDIUM_BLOB
            | T::MYSQL_TYPE_LONG_BLOB
            | T::MYSQL_TYPE_BLOB
    )
}
