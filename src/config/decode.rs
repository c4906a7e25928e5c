//! A walk over parsed JSON that collects errors instead of stopping at the first.
//!
//! Every method of [`Node`] that answers an `Option` has reported why when it answers `None`, so that callers may
//! go on with a stand-in: a configuration with one error is never used. Knows nothing of what keys mean.

use std::ops::RangeInclusive;

use jsonc_parser::ast::{ObjectProp, Value};
use jsonc_parser::common::Ranged;

use super::diagnostic::{Diagnostic, Severity};
use super::findings::Findings;
use super::json::Document;
use crate::spelling::nearest;

/// A value, where it stands, and where to report to.
#[derive(Clone)]
pub(super) struct Node<'a> {
    document: &'a Document,
    findings: &'a Findings,
    value: &'a Value<'a>,
    path: String,
}

/// An object whose keys have been checked.
pub(super) struct Fields<'a> {
    node: Node<'a>,
    fields: Vec<(&'a str, Node<'a>)>,
}

/// The keys that an object may have.
pub(super) struct Keys {
    /// The keys that are read.
    pub known: &'static [&'static str],
    /// Keys that are accepted and have no effect here.
    pub ignored: &'static [&'static str],
    /// Keys that the format has, and this version has not.
    pub later: &'static [&'static str],
}

impl Keys {
    /// Only these.
    pub const fn only(known: &'static [&'static str]) -> Self {
        Self { known, ignored: &[], later: &[] }
    }
}

impl<'a> Node<'a> {
    /// The root of a file.
    pub fn root(document: &'a Document, findings: &'a Findings, value: &'a Value<'a>) -> Self {
        Self { document, findings, value, path: String::new() }
    }

    /// Reports an error at this value.
    pub fn error(&self, message: impl Into<String>, help: impl Into<Option<String>>) {
        let range = self.value.range();
        self.report(Severity::Error, range.start, range.end, message.into(), help.into());
    }

    /// Reports a warning at this value.
    pub fn warning(&self, message: impl Into<String>, help: impl Into<Option<String>>) {
        let range = self.value.range();
        self.report(Severity::Warning, range.start, range.end, message.into(), help.into());
    }

    /// Reports a warning at the value of `key`, if this is an object that has it.
    pub fn warning_at(&self, key: &str, message: impl Into<String>) {
        if let Value::Object(object) = self.value
            && let Some(property) = object.get(key)
        {
            Self { value: &property.value, path: self.path_of(key), ..self.clone() }.warning(message, None);
        }
    }

    /// Reports an error inside this string: `offset` and `length` count characters of its text.
    pub fn error_inside(
        &self,
        offset: usize,
        length: usize,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let range = self.value.range();
        let raw = &self.document.text[range.start..range.end];
        let (start, end) = if raw.contains('\\') {
            (range.start, range.end)
        } else {
            let byte = |chars: usize| raw.char_indices().nth(1 + chars).map_or(raw.len() - 1, |(at, _)| at);
            (range.start + byte(offset), range.start + byte(offset + length.max(1)))
        };
        self.report(Severity::Error, start, end, message.into(), help);
    }

    /// Reports an error in a line of another file that this value names.
    pub fn error_elsewhere(&self, document: &Document, line: usize, message: String) {
        let start: usize =
            document.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        self.findings.push(Diagnostic {
            severity: Severity::Error,
            file: document.file.clone(),
            place: Some(document.place(start, document.text.len())),
            path: String::new(),
            message,
            help: None,
        });
    }

    fn report(&self, severity: Severity, start: usize, end: usize, message: String, help: Option<String>) {
        self.findings.push(Diagnostic {
            severity,
            file: self.document.file.clone(),
            place: Some(self.document.place(start, end)),
            path: self.path.clone(),
            message,
            help,
        });
    }

    /// The JSON path of this value.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What kind of value this is, with its article.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::StringLit(_) => "a string",
            Value::NumberLit(_) => "a number",
            Value::BooleanLit(_) => "a boolean",
            Value::Object(_) => "an object",
            Value::Array(_) => "a list",
            Value::NullKeyword(_) => "null",
        }
    }

    /// Reports that this is not what was `expected`.
    pub fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let help = match self.value {
            Value::NullKeyword(_) => Some("leave the key out to get the default".to_owned()),
            Value::NumberLit(_) | Value::BooleanLit(_) if expected.starts_with("a string") => {
                let range = self.value.range();
                Some(format!("write `\"{}\"`", &self.document.text[range.start..range.end]))
            }
            Value::StringLit(text)
                if text.value.parse::<i64>().is_ok() || text.value == "true" || text.value == "false" =>
            {
                Some(format!("write `{}` without the quotes", text.value))
            }
            _ => None,
        };
        self.error(format!("{} was found where {expected} is expected", self.kind()), help);
        None
    }

    /// Whether this is a string.
    pub fn is_string(&self) -> bool {
        matches!(self.value, Value::StringLit(_))
    }

    /// Whether this is an object.
    pub fn is_object(&self) -> bool {
        matches!(self.value, Value::Object(_))
    }

    /// A string.
    pub fn string(&self) -> Option<&'a str> {
        match self.value {
            Value::StringLit(text) => Some(&text.value),
            _ => self.wrong_type("a string"),
        }
    }

    /// A string that is not empty.
    pub fn text(&self) -> Option<&'a str> {
        let text = self.string()?;
        if text.trim().is_empty() {
            self.error("this must not be empty", None);
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::BooleanLit(boolean) => Some(boolean.value),
            _ => self.wrong_type("`true` or `false`"),
        }
    }

    /// A whole number within `range`.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let Value::NumberLit(number) = self.value else { return self.wrong_type("a whole number") };
        match number.value.parse::<u64>() {
            Ok(integer) if range.contains(&integer) => Some(integer),
            _ => {
                let bounds = if *range.end() == u64::MAX {
                    format!("of at least {}", range.start())
                } else {
                    format!("from {} to {}", range.start(), range.end())
                };
                self.error(format!("`{}` is not a whole number {bounds}", number.value), None);
                None
            }
        }
    }

    /// One of `words`.
    pub fn word(&self, words: &[&'static str]) -> Option<&'static str> {
        let Value::StringLit(text) = self.value else { return self.wrong_type(&one_of(words)) };
        let found = words.iter().find(|word| **word == text.value);
        if found.is_none() {
            let message = format!("`{}` was found where {} is expected", text.value, one_of(words));
            self.error(message, nearest(&text.value, words.iter().copied()));
        }
        found.copied()
    }

    /// A JSON scalar as `serde_json` has it.
    pub fn scalar(&self) -> Option<serde_json::Value> {
        let range = self.value.range();
        match self.value {
            Value::Object(_) | Value::Array(_) => self.wrong_type("a string, number, boolean or null"),
            _ => match serde_json::from_str(&self.document.text[range.start..range.end]) {
                Ok(value) => Some(value),
                Err(_) => self.wrong_type("a string, number, boolean or null"),
            },
        }
    }

    /// Any value, as `serde_json` has it.
    pub fn json(&self) -> Option<serde_json::Value> {
        let range = self.value.range();
        serde_json::from_str(&self.document.text[range.start..range.end]).ok()
    }

    /// The elements of a list.
    pub fn list(&self) -> Option<Vec<Self>> {
        let Value::Array(array) = self.value else { return self.wrong_type("a list (`[…]`)") };
        let element =
            |(index, value)| Self { value, path: format!("{}[{index}]", self.path), ..self.clone() };
        Some(array.elements.iter().enumerate().map(element).collect())
    }

    /// The entries of an object whose keys are names of the user's own; a repeated key is reported.
    pub fn entries(&self) -> Option<Vec<(&'a str, Self)>> {
        let Value::Object(object) = self.value else { return self.wrong_type("an object (`{…}`)") };
        let mut entries: Vec<(&str, Self)> = Vec::with_capacity(object.properties.len());
        for property in &object.properties {
            let key = property.name.as_str();
            let node = Self { value: &property.value, path: self.path_of(key), ..self.clone() };
            if let Some((_, first)) = entries.iter().find(|(known, _)| *known == key) {
                let line = self.document.place(first.value.range().start, 0).line;
                node.key_error(
                    property,
                    format!("`{key}` is given twice; the first is on line {line}"),
                    "delete one of them",
                );
            } else {
                entries.push((key, node));
            }
        }
        Some(entries)
    }

    /// The fields of an object that has no keys but `keys`.
    pub fn object(&self, keys: &Keys) -> Option<Fields<'a>> {
        let Value::Object(object) = self.value else { return self.wrong_type("an object (`{…}`)") };
        let entries = self.entries()?;
        let mut fields = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            if keys.known.contains(&key) {
                fields.push((key, node));
            } else if !keys.ignored.contains(&key) {
                let property = object.properties.iter().find(|property| property.name.as_str() == key);
                if let Some(property) = property {
                    node.refuse_key(property, key, keys);
                }
            }
        }
        Some(Fields { node: self.clone(), fields })
    }

    fn refuse_key(&self, property: &ObjectProp<'_>, key: &str, keys: &Keys) {
        if keys.later.contains(&key) {
            let help = "this version of Gulou does not have it yet; delete the key";
            self.key_error(property, format!("`{key}` is not supported by this version"), help);
            return;
        }
        let help = nearest(key, keys.known.iter().copied())
            .unwrap_or_else(|| format!("known here: {}", keys.known.join(", ")));
        self.key_error(property, format!("unknown key `{key}`"), &help);
    }

    fn key_error(&self, property: &ObjectProp<'_>, message: String, help: &str) {
        let range = property.name.range();
        self.report(Severity::Error, range.start, range.end, message, Some(help.to_owned()));
    }

    fn path_of(&self, key: &str) -> String {
        let plain =
            !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-' || c == '$');
        match (self.path.is_empty(), plain) {
            (true, true) => key.to_owned(),
            (false, true) => format!("{}.{key}", self.path),
            (_, false) => format!("{}[{}]", self.path, serde_json::Value::from(key)),
        }
    }
}

impl<'a> Fields<'a> {
    /// What an object would be that has nothing but `key`, for a value that may be written without one.
    pub fn just(key: &'a str, node: &Node<'a>) -> Self {
        Self { node: node.clone(), fields: vec![(key, node.clone())] }
    }

    /// The object itself.
    pub fn node(&self) -> &Node<'a> {
        &self.node
    }

    /// The value of `key`, if it is there.
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.fields.iter().find(|(name, _)| *name == key).map(|(_, node)| node)
    }

    /// The value of `key` as `read` reads it, if it is there and right.
    pub fn read<T>(&self, key: &str, read: impl FnOnce(&Node<'a>) -> Option<T>) -> Option<T> {
        self.get(key).and_then(read)
    }

    /// The same for a key that must be there.
    pub fn need<T>(&self, key: &str, read: impl FnOnce(&Node<'a>) -> Option<T>) -> Option<T> {
        let node = self.get(key);
        if node.is_none() {
            let range = self.node.value.range();
            self.node.report(
                Severity::Error,
                range.start,
                range.start + 1,
                format!("`{key}` is missing here"),
                None,
            );
        }
        node.and_then(read)
    }
}

/// `` `a`, `b` or `c` ``.
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Reads `text` with `read`, and answers `line:column path message | help` for each finding.
    fn found(text: &str, read: impl Fn(&Node<'_>)) -> Vec<String> {
        let document = Document { file: PathBuf::from("c.json"), text: text.to_owned() };
        let findings = Findings::default();
        let value = findings.parse(&document).unwrap();
        read(&Node::root(&document, &findings, &value));
        let (errors, warnings) = findings.into_sorted();
        let show = |found: Diagnostic| {
            let place = found.place.unwrap();
            let help = found.help.map_or_else(String::new, |help| format!(" | {help}"));
            format!("{}:{} {} {}{help}", place.line, place.column, found.path, found.message)
        };
        errors.into_iter().chain(warnings).map(show).collect()
    }

    #[test]
    fn all_errors_are_collected() {
        const KEYS: Keys = Keys { known: &["name", "window", "on"], ignored: &["old"], later: &["retry"] };
        let text = "{\"nmae\": 1, \"window\": 0, \"on\": \"yes\",\n \"retry\": {}, \"old\": 1, \"window\": 2, \"zzzzzz\": 1}";
        let errors = found(text, |node| {
            let fields = node.object(&KEYS).unwrap();
            assert!(fields.need("name", Node::string).is_none());
            assert!(fields.read("window", |node| node.integer(1..=u64::MAX)).is_none());
            assert!(fields.read("on", Node::boolean).is_none());
        });
        assert_eq!(
            errors,
            [
                "1:1  `name` is missing here",
                "1:2 nmae unknown key `nmae` | did you mean `name`?",
                "1:23 window `0` is not a whole number of at least 1",
                "1:32 on a string was found where `true` or `false` is expected",
                "2:2 retry `retry` is not supported by this version | this version of Gulou does not have it yet; delete the key",
                "2:25 window `window` is given twice; the first is on line 1 | delete one of them",
                "2:38 zzzzzz unknown key `zzzzzz` | known here: name, window, on",
            ]
        );
    }

    #[test]
    fn wrong_types_say_what_was_found_and_how_to_write_it() {
        let errors = found("[20, \"20\", null, {}, \"treu\", 1.5]", |node| {
            let items = node.list().unwrap();
            assert!(items[0].string().is_none());
            assert!(items[1].integer(0..=99).is_none());
            assert!(items[2].list().is_none());
            assert!(items[3].scalar().is_none());
            assert!(items[4].word(&["true", "false", "all"]).is_none());
            assert!(items[5].integer(0..=99).is_none());
        });
        assert_eq!(
            errors,
            [
                "1:2 [0] a number was found where a string is expected | write `\"20\"`",
                "1:6 [1] a string was found where a whole number is expected | write `20` without the quotes",
                "1:12 [2] null was found where a list (`[…]`) is expected | leave the key out to get the default",
                "1:18 [3] an object was found where a string, number, boolean or null is expected",
                "1:22 [4] `treu` was found where `true`, `false` or `all` is expected | did you mean `true`?",
                "1:30 [5] `1.5` is not a whole number from 0 to 99",
            ]
        );
    }

    #[test]
    fn a_place_inside_a_string_counts_its_characters() {
        let errors = found("{\"表\": \"*/90 * *\"}", |node| {
            let (_, value) = &node.entries().unwrap()[0];
            value.error_inside(2, 2, "too big", None);
        });
        assert_eq!(errors, ["1:10 表 too big"]);
    }
}
