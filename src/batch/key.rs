//! Keys of rows, and how the ledger writes them.

use std::fmt;

use serde_json::Value;

/// The value of a key column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// Any integer type.
    Int(i64),
    /// Any text type.
    Text(String),
}

/// What stands for a whole page in the ledger: a key of no columns.
pub(super) const WHOLE_PAGE: &str = "[]";

impl Key {
    /// For the ledger: a JSON array with one element a key column, so that 7 and "7" differ and keys of
    /// several columns have their place.
    pub(super) fn encode(&self) -> String {
        match self {
            Self::Int(value) => format!("[{value}]"),
            Self::Text(value) => Value::from(vec![value.as_str()]).to_string(),
        }
    }

    /// Reads what [`Key::encode`] wrote; none for anything else.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let values: Vec<Value> = serde_json::from_str(text).ok()?;
        match <[Value; 1]>::try_from(values).ok()? {
            [Value::Number(number)] => number.as_i64().map(Self::Int),
            [Value::String(value)] => Some(Self::Text(value)),
            _ => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Text(value) => write!(f, "{value:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_and_its_text_are_two_keys() {
        assert_eq!(Key::Int(7).encode(), "[7]");
        assert_eq!(Key::Text("7".to_owned()).encode(), "[\"7\"]");
    }

    #[test]
    fn other_shapes_are_no_keys() {
        for text in ["", "7", "[]", "[1,2]", "[1.5]", "[null]", "[9223372036854775808]"] {
            assert_eq!(Key::decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(number: i64, text: String) {
            for key in [Key::Int(number), Key::Text(text)] {
                prop_assert_eq!(Key::decode(&key.encode()), Some(key));
            }
        }
    }
}
