//! Values on their way to PostgreSQL and back. The common types of columns come back in their binary form, and all
//! others as text.

use std::borrow::Cow;
use std::error::Error;

use serde_json::Value;
use tokio_postgres::types::{FromSql, Type};
use uuid::Uuid;

use crate::batch::key::Part;
pub(super) use crate::db::postgres::{Text, time};
use crate::run::Scalar;

/// How the values of a column come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Text,
    Bytes,
    Uuid,
    /// As text that the server makes of it, for it knows all types: decimals exactly, times in ISO 8601.
    Spelled,
}

impl Kind {
    pub(super) fn of(kind: &Type) -> Self {
        match *kind {
            Type::BOOL => Self::Bool,
            Type::INT2 => Self::Int2,
            Type::INT4 => Self::Int4,
            Type::INT8 => Self::Int8,
            Type::OID => Self::Oid,
            Type::FLOAT4 => Self::Float4,
            Type::FLOAT8 => Self::Float8,
            Type::TEXT | Type::VARCHAR | Type::NAME => Self::Text,
            Type::BYTEA => Self::Bytes,
            Type::UUID => Self::Uuid,
            _ => Self::Spelled,
        }
    }

    /// `column` in a list of what is selected.
    pub(super) fn select(self, column: &str) -> String {
        if self == Self::Spelled { format!("{column}::text") } else { column.to_owned() }
    }

    /// Whether a key column may have this value.
    pub(super) fn may_be(self, part: &Part) -> bool {
        match (self, part) {
            (Self::Int2 | Self::Int4 | Self::Int8 | Self::Oid, Part::Int(_))
            | (Self::Text | Self::Spelled, Part::Text(_))
            | (Self::Bytes, Part::Bytes(_)) => true,
            (Self::Uuid, Part::Text(text)) => Uuid::try_parse(text).is_ok(),
            _ => false,
        }
    }
}

/// A value as it came, without any reading of it.
pub(super) struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The value of a column.
pub(super) fn scalar(kind: Kind, raw: Option<Raw<'_>>) -> Result<Scalar, String> {
    let Some(raw) = raw.map(|Raw(raw)| raw) else { return Ok(Scalar::Null) };
    Ok(match kind {
        Kind::Bool => Scalar::Bool(raw.first().is_some_and(|byte| *byte != 0)),
        Kind::Int2 => Scalar::Int(i16::from_be_bytes(fixed(raw)?).into()),
        Kind::Int4 => Scalar::Int(i32::from_be_bytes(fixed(raw)?).into()),
        Kind::Int8 => Scalar::Int(i64::from_be_bytes(fixed(raw)?)),
        Kind::Oid => Scalar::Int(u32::from_be_bytes(fixed(raw)?).into()),
        Kind::Float4 => {
            let value = f32::from_be_bytes(fixed(raw)?);
            // The nearest number of twice the length would have digits that nobody wrote.
            Scalar::Float(value.to_string().parse().unwrap_or_else(|_| f64::from(value)))
        }
        Kind::Float8 => Scalar::Float(f64::from_be_bytes(fixed(raw)?)),
        Kind::Text | Kind::Spelled => Scalar::Text(text(raw)?),
        Kind::Bytes => Scalar::Bytes(raw.to_vec()),
        Kind::Uuid => Scalar::Text(Uuid::from_bytes(fixed(raw)?).to_string()),
    })
}

/// The value of a key column.
pub(super) fn part(kind: Kind, raw: Option<Raw<'_>>) -> Result<Part, String> {
    match scalar(kind, raw)? {
        Scalar::Int(value) => Ok(Part::Int(value)),
        Scalar::Text(text) => Ok(Part::Text(text)),
        Scalar::Bytes(bytes) => Ok(Part::Bytes(bytes)),
        Scalar::Null => Err("is NULL in a row; a key must be not null and unique".to_owned()),
        Scalar::Float(_) => Err("is a floating-point number; use an integer or text column".to_owned()),
        Scalar::Bool(_) => Err("is a boolean; use an integer or text column".to_owned()),
    }
}

fn fixed<const N: usize>(raw: &[u8]) -> Result<[u8; N], String> {
    raw.try_into().map_err(|_| format!("has {} bytes where {N} are expected", raw.len()))
}

fn text(raw: &[u8]) -> Result<String, String> {
    std::str::from_utf8(raw).map(str::to_owned).map_err(|_| "holds text that is not UTF-8".to_owned())
}

/// A key's part as a parameter.
pub(super) fn written(part: &Part) -> Cow<'_, str> {
    match part {
        Part::Int(value) => value.to_string().into(),
        Part::Text(text) => text.into(),
        Part::Bytes(_) => part.to_string().replacen("0x", "\\x", 1).into(),
    }
}

/// A list of values as a parameter of an array type.
pub(super) fn array<'v>(values: impl Iterator<Item = Cow<'v, str>>) -> String {
    let mut list = String::from("{");
    for value in values {
        list.push_str(if list.len() > 1 { ",\"" } else { "\"" });
        for c in value.chars() {
            if matches!(c, '"' | '\\') {
                list.push('\\');
            }
            list.push(c);
        }
        list.push('"');
    }
    list.push('}');
    list
}

/// A literal of the configuration for a column of this type.
pub(super) fn literal<'v>(value: &'v Value, kind: &Type) -> Text<'v> {
    let is_number =
        [Type::INT2, Type::INT4, Type::INT8, Type::NUMERIC, Type::FLOAT4, Type::FLOAT8, Type::OID]
            .contains(kind);
    Text(match value {
        Value::Null => None,
        // Flags are often kept as numbers.
        Value::Bool(flag) if is_number => Some(if *flag { "1" } else { "0" }.into()),
        Value::String(text) => Some(text.into()),
        other => Some(other.to_string().into()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_quoted() {
        let list = |values: &[&'static str]| array(values.iter().map(|value| Cow::from(*value)));
        assert_eq!(list(&[]), "{}");
        assert_eq!(list(&["1", "", "NULL", r#"a"b\c,{}"#]), r#"{"1","","NULL","a\"b\\c,{}"}"#);
        assert_eq!(written(&Part::Bytes(vec![0, 255])), "\\x00ff");
    }

    #[test]
    fn literals_are_written_for_their_type() {
        let text = |value, kind| literal(&value, &kind).0.map(Cow::into_owned);
        assert_eq!(text(json!(true), Type::BOOL).unwrap(), "true");
        assert_eq!(text(json!(true), Type::INT2).unwrap(), "1");
        assert_eq!(text(json!(false), Type::NUMERIC).unwrap(), "0");
        assert_eq!(text(json!(1), Type::BOOL).unwrap(), "1");
        assert_eq!(text(json!("a\"b"), Type::VARCHAR).unwrap(), "a\"b");
        assert_eq!(text(json!(1.5), Type::TEXT).unwrap(), "1.5");
        assert_eq!(text(json!(null), Type::TEXT), None);
    }
}
