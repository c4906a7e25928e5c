//! Keys of rows, and how the ledger writes them.

use std::fmt::{self, Write as _};
use std::slice;

use serde_json::{Value, json};

/// The values of the key columns. Nearly every key has one, which needs no list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// Of one column.
    One(Part),
    /// Of two or more, in the order of the settings.
    Many(Box<[Part]>),
}

/// The value of a key column. Whether one comes before another is the database's to say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// Any integer type.
    Int(i64),
    /// Any text type; and of types that are neither, as UUIDs, decimals and times, the database's own spelling.
    Text(String),
    /// A blob.
    Bytes(Vec<u8>),
}

/// What stands for a whole page in the ledger: a key of no columns.
pub(super) const WHOLE_PAGE: &str = "[]";

impl Key {
    /// A key of these parts; none without any.
    pub(super) fn new(parts: Vec<Part>) -> Option<Self> {
        match <[Part; 1]>::try_from(parts) {
            Ok([part]) => Some(Self::One(part)),
            Err(parts) => (!parts.is_empty()).then(|| Self::Many(parts.into())),
        }
    }

    /// At least one.
    pub(super) fn parts(&self) -> &[Part] {
        match self {
            Self::One(part) => slice::from_ref(part),
            Self::Many(parts) => parts,
        }
    }

    /// For the ledger: a JSON array with one element a key column, so that 7 and "7" differ. A blob is an object
    /// with its bytes in hexadecimal digits.
    pub(super) fn encode(&self) -> String {
        match self {
            Self::One(Part::Int(value)) => format!("[{value}]"),
            _ => self.parts().iter().map(Part::to_json).collect::<Value>().to_string(),
        }
    }

    /// Reads what [`Key::encode`] wrote; none for anything else.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let values: Vec<Value> = serde_json::from_str(text).ok()?;
        Self::new(values.into_iter().map(Part::from_json).collect::<Option<_>>()?)
    }
}

impl From<Part> for Key {
    fn from(part: Part) -> Self {
        Self::One(part)
    }
}

impl Part {
    fn to_json(&self) -> Value {
        match self {
            Self::Int(value) => (*value).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Bytes(bytes) => json!({ "hex": hexadecimal(bytes) }),
        }
    }

    fn from_json(value: Value) -> Option<Self> {
        match value {
            Value::Number(number) => number.as_i64().map(Self::Int),
            Value::String(text) => Some(Self::Text(text)),
            Value::Object(object) if object.len() == 1 => {
                bytes(object.get("hex")?.as_str()?).map(Self::Bytes)
            }
            _ => None,
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let digits = hexadecimal.as_bytes();
    let byte = |pair: &[u8]| {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        Some(digit(pair[0])? << 4 | digit(pair[1])?)
    };
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(byte).collect()).flatten()
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Many(parts) = self else { return self.parts()[0].fmt(f) };
        for (index, part) in parts.iter().enumerate() {
            write!(f, "{}{part}", if index == 0 { "(" } else { ", " })?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Bytes(bytes) => write!(f, "0x{}", hexadecimal(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    /// Ledgers on disk have these.
    #[test]
    fn keys_are_written_as_they_always_were() {
        assert_eq!(Key::One(Part::Int(-7)).encode(), "[-7]");
        assert_eq!(Key::One(text("7")).encode(), "[\"7\"]");
        assert_eq!(Key::One(text("c's \"n\" 鼓\n")).encode(), r#"["c's \"n\" 鼓\n"]"#);
        let key = Key::new(vec![Part::Int(1), text("a"), Part::Bytes(vec![0, 255])]).unwrap();
        assert_eq!(key.encode(), r#"[1,"a",{"hex":"00ff"}]"#);
        assert_eq!(key.to_string(), "(1, \"a\", 0x00ff)");
    }

    #[test]
    fn other_shapes_are_no_keys() {
        for text in [
            "",
            "7",
            "[]",
            "[1.5]",
            "[null]",
            "[1,null]",
            "[[1]]",
            "[9223372036854775808]",
            "[{\"hex\":\"0\"}]",
            "[{\"hex\":\"0g\"}]",
            "[{\"hex\":\"00\",\"x\":1}]",
            "[{}]",
        ] {
            assert_eq!(Key::decode(text), None, "{text}");
        }
    }

    fn part() -> impl Strategy<Value = Part> {
        prop_oneof![
            any::<i64>().prop_map(Part::Int),
            any::<String>().prop_map(Part::Text),
            any::<Vec<u8>>().prop_map(Part::Bytes)
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(parts in vec(part(), 1..4)) {
            let key = Key::new(parts.clone()).unwrap();
            prop_assert_eq!(key.parts(), parts);
            prop_assert_eq!(Key::decode(&key.encode()), Some(key));
        }

        #[test]
        fn two_keys_are_written_in_two_ways(one in vec(part(), 1..3), other in vec(part(), 1..3)) {
            let [one, other] = [one, other].map(|parts| Key::new(parts).unwrap());
            prop_assert_eq!(one == other, one.encode() == other.encode());
        }
    }
}
