//! Strict JSON (RFC 8259) with the place of every value.
//!
//! `jsonc-parser` gives a tree with ranges and tells what a text has that JSON has not; `serde_json` referees
//! what that parser lets through (odd white space, control characters). Knows nothing of keys.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jsonc_parser::ast::Value;
use jsonc_parser::common::Range;
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, ParseOptions, ParseStringErrorKind, parse_to_ast};

use super::diagnostic::Place;
use super::hide;

/// A file's name and text.
pub(super) struct Document {
    pub file: PathBuf,
    pub text: String,
}

/// Why a text is not JSON, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub start: usize,
    pub end: usize,
    pub message: String,
    pub help: Option<String>,
}

impl SyntaxError {
    fn new(range: Range, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { start: range.start, end: range.end, message: message.into(), help: Some(help.into()) }
    }
}

impl Document {
    /// Reads `file`; bytes that are not UTF-8 become an error of kind `InvalidData` that tells the line.
    pub fn read(file: &Path) -> io::Result<Self> {
        let bytes = fs::read(file)?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { file: file.to_owned(), text }),
            Err(error) => {
                let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = 1 + String::from_utf8_lossy(valid).matches('\n').count();
                let message = format!("not UTF-8 at line {line}; save the file as UTF-8 (it may be GBK)");
                Err(io::Error::new(io::ErrorKind::InvalidData, message))
            }
        }
    }

    /// The place of the bytes `start..end`; what is outside the text or inside a character is moved to its border.
    pub fn place(&self, start: usize, end: usize) -> Place {
        let text = &self.text;
        let start = floor(text, start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line = text[line_start..line_end].trim_end_matches('\r');
        // Of the two characters that end a line in some files, the first is no place of its own.
        let start = start.min(line_start + line.len());
        let end = floor(text, end.clamp(start, line_start + line.len()));
        Place {
            line: 1 + text[..start].matches('\n').count(),
            column: 1 + text[line_start..start].chars().count(),
            length: text[start..end].chars().count().max(1),
            text: hide::line(text, line_start..line_start + line.len()),
        }
    }
}

/// The border of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Parses `text`. Comments and commas too many are reported and then passed over, so that the rest of the file
/// is looked at as well; any other error ends the parse and there is no value.
pub(super) fn parse(text: &str) -> (Option<Value<'_>>, Vec<SyntaxError>) {
    let mut options = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let mut errors = Vec::new();
    if text.starts_with('\u{feff}') {
        let range = Range::new(0, '\u{feff}'.len_utf8());
        let help = "save the file as \"UTF-8\", not \"UTF-8 with BOM\"";
        return (None, vec![SyntaxError::new(range, "an invisible byte order mark starts the file", help)]);
    }
    loop {
        match parse_to_ast(text, &CollectOptions::default(), &options) {
            Ok(result) => {
                if result.value.is_none() {
                    errors.push(SyntaxError::new(
                        Range::new(0, 0),
                        "the file is empty",
                        "write at least `{}`",
                    ));
                } else if errors.is_empty() {
                    errors.extend(referee(text));
                }
                return (result.value, errors);
            }
            Err(error) => {
                errors.push(explain(text, &error));
                match error.kind() {
                    ParseErrorKind::CommentsNotAllowed => options.allow_comments = true,
                    ParseErrorKind::TrailingCommasNotAllowed => options.allow_trailing_commas = true,
                    _ => return (None, errors),
                }
            }
        }
    }
}

/// What the other parser lets through.
fn referee(text: &str) -> Option<SyntaxError> {
    let error = serde_json::from_str::<serde::de::IgnoredAny>(text).err()?;
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    let is_control = message.starts_with("control character");
    // serde_json counts columns in bytes, and counts the offending byte, except in front of a control character.
    let line_start: usize = text.split_inclusive('\n').take(error.line() - 1).map(str::len).sum();
    let start = floor(text, line_start + error.column().saturating_sub(usize::from(!is_control)));
    let found = text[start..].chars().next();
    let end = start + found.map_or(0, char::len_utf8);
    let range = Range::new(start, end);
    if is_control {
        let help = "write `\\n` for a line end, `\\t` for a tab";
        return Some(SyntaxError::new(range, "a line end or control character inside a string", help));
    }
    if found.is_some_and(|found| found.is_whitespace() && !found.is_ascii()) {
        return Some(SyntaxError::new(
            range,
            "a space that JSON does not know",
            "replace it by a normal space",
        ));
    }
    Some(SyntaxError { start, end, message, help: None })
}

fn explain(text: &str, error: &ParseError) -> SyntaxError {
    use ParseErrorKind as Kind;
    let range = error.range();
    let opened = Range::new(range.start, range.start + 1);
    let say = |message: &str, help: &str| SyntaxError::new(range, message, help);
    match error.kind() {
        Kind::CommentsNotAllowed | Kind::UnterminatedCommentBlock => {
            say("JSON has no comments", "delete this comment (and others, if there are more)")
        }
        Kind::TrailingCommasNotAllowed => say("a comma with nothing behind it", "delete this comma"),
        Kind::ExpectedComma if is_leading_zero(text, range) => {
            say("a number with a leading zero", "write it without the zero")
        }
        Kind::ExpectedComma => say("a comma is missing", "write `,` between this value and the next"),
        Kind::SingleQuotedStringsNotAllowed => {
            say("single quotes", "JSON strings stand in double quotes: `\"`")
        }
        Kind::ExpectedStringObjectProperty => {
            let word = &text[range.start..range.end];
            say("a key without quotes", &format!("write `\"{word}\"`"))
        }
        Kind::UnaryPlusNumbersNotAllowed => say("a number with a plus sign", "leave the `+` out"),
        Kind::HexadecimalNumbersNotAllowed => say("a hexadecimal number", "write it in decimal"),
        Kind::BareDecimalPointNumbersNotAllowed => {
            say("a number that starts or ends with its point", "write a digit on both sides of the `.`")
        }
        Kind::NonFiniteNumbersNotAllowed => {
            say("JSON has no NaN and no Infinity", "write a number, or leave the key out")
        }
        Kind::UnexpectedWord | Kind::UnexpectedToken | Kind::UnexpectedTokenInObject => {
            unexpected(text, range)
        }
        Kind::MultipleRootJsonValues => {
            say("text behind the end of the JSON", "delete it, or check the braces above")
        }
        Kind::UnterminatedObject => {
            SyntaxError::new(opened, "this `{` is never closed", "add the missing `}`")
        }
        Kind::UnterminatedArray => {
            SyntaxError::new(opened, "this `[` is never closed", "add the missing `]`")
        }
        Kind::ExpectedColonAfterObjectKey => full_width(text, range)
            .unwrap_or_else(|| say("a `:` is missing behind the key", "write `\"key\": value`")),
        Kind::ExpectedObjectValue => say("the value is missing", "write a value behind the `:`"),
        Kind::String(ParseStringErrorKind::UnterminatedStringLiteral) => {
            SyntaxError::new(opened, "this string is never closed", "add the missing `\"`")
        }
        Kind::String(_) => say(
            "an escape that JSON does not know",
            "write `\\\\` for a backslash, `\\\"` for a quote, `\\u4e2d` for a code",
        ),
        kind => SyntaxError {
            start: range.start,
            end: range.end,
            message: lower_first(&kind.to_string()),
            help: None,
        },
    }
}

fn is_leading_zero(text: &str, range: Range) -> bool {
    text[..range.start].ends_with('0') && text[range.start..].starts_with(|c: char| c.is_ascii_digit())
}

fn unexpected(text: &str, range: Range) -> SyntaxError {
    let rest = &text[range.start..];
    let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    if length == 0 {
        return unexpected_character(text, range);
    }
    let range = Range::new(range.start, range.start + length);
    let word = &rest[..length];
    let fix = match word {
        "NaN" | "Infinity" => {
            "JSON has no NaN and no Infinity; write a number, or leave the key out".to_owned()
        }
        "True" | "TRUE" | "yes" | "on" => "write `true`".to_owned(),
        "False" | "FALSE" | "no" | "off" => "write `false`".to_owned(),
        "None" | "undefined" | "NULL" | "nil" => "leave the key out".to_owned(),
        _ if full_width(text, range).is_some() => "write it in half-width characters".to_owned(),
        _ => format!("put it in double quotes: `\"{word}\"`"),
    };
    SyntaxError::new(range, format!("`{word}` is not a JSON value"), fix)
}

fn unexpected_character(text: &str, range: Range) -> SyntaxError {
    full_width(text, range).unwrap_or_else(|| {
        let found = text[range.start..].chars().next().unwrap_or(' ');
        let range = Range::new(range.start, range.start + found.len_utf8());
        SyntaxError::new(
            range,
            format!("unexpected `{found}`"),
            "a key or a value in double quotes is expected here",
        )
    })
}

/// The error for a full-width character in `range`, if there is one.
fn full_width(text: &str, range: Range) -> Option<SyntaxError> {
    let rest = &text[range.start..];
    let (offset, found) = rest
        .char_indices()
        .take_while(|(at, _)| range.start + at < range.end.max(range.start + 1))
        .find(|&(_, c)| {
            matches!(
                c,
                '\u{ff01}'..='\u{ff5e}' | '“' | '”' | '‘' | '’' | '、' | '。' | '【' | '】' | '\u{3000}'
            )
        })?;
    let half = match found {
        '“' | '”' | '‘' | '’' | '＂' | '＇' => '"',
        '、' => ',',
        '。' => '.',
        '【' => '[',
        '】' => ']',
        '\u{3000}' => ' ',
        // The full-width forms stand in the order of ASCII.
        other => char::from_u32(u32::from(other) - 0xfee0).unwrap_or(other),
    };
    let start = range.start + offset;
    let range = Range::new(start, start + found.len_utf8());
    Some(SyntaxError::new(range, format!("a full-width `{found}`"), format!("write `{half}` (half-width)")))
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document { file: PathBuf::from("config.json"), text: text.to_owned() }
    }

    /// `line:column message` of the first error.
    fn first(text: &str) -> String {
        let (_, errors) = parse(text);
        let Some(error) = errors.first() else { return "fine".to_owned() };
        let place = document(text).place(error.start, error.end);
        format!("{}:{} {}", place.line, place.column, error.message)
    }

    #[test]
    fn strict_json_passes() {
        for text in ["{}", "[1, -2.5e3, \"\\u4e2d\\n\", null, true]", " {\"a\": {\"鼓楼\": []}}\n", "\"😀\""]
        {
            assert_eq!(first(text), "fine", "{text}");
        }
    }

    #[test]
    fn what_json_has_not_is_refused_with_its_place() {
        let cases = [
            ("{\n  // no\n}", "2:3 JSON has no comments"),
            ("{\"a\": 1, /* no */ \"b\": 2}", "1:10 JSON has no comments"),
            ("{\"a\": 1,}", "1:8 a comma with nothing behind it"),
            ("[1,\n 2,\n]", "2:3 a comma with nothing behind it"),
            ("\u{feff}{}", "1:1 an invisible byte order mark starts the file"),
            ("{\"a\"： 1}", "1:5 a full-width `：`"),
            ("{\"鼓楼\": 1，\"b\": 2}", "1:9 a full-width `，`"),
            ("{“a”: 1}", "1:2 a full-width `“`"),
            ("{\"a\": NaN}", "1:7 `NaN` is not a JSON value"),
            ("{\"a\": -Infinity}", "1:7 JSON has no NaN and no Infinity"),
            ("{\"a\": True}", "1:7 `True` is not a JSON value"),
            ("{\"a\": １２}", "1:7 `１２` is not a JSON value"),
            ("{'a': 1}", "1:2 single quotes"),
            ("{a: 1}", "1:2 a key without quotes"),
            ("{\"a\": 01}", "1:8 a number with a leading zero"),
            ("{\"a\": +1}", "1:7 a number with a plus sign"),
            ("{\"a\": 0x1}", "1:7 a hexadecimal number"),
            ("{\"a\": .5}", "1:7 a number that starts or ends with its point"),
            ("{\"a\": 1 \"b\": 2}", "1:8 a comma is missing"),
            ("{\"a\": 1", "1:1 this `{` is never closed"),
            ("{\"a\": [1", "1:7 this `[` is never closed"),
            ("{\"a\": \"b}", "1:7 this string is never closed"),
            ("{\"a\" 1}", "1:6 a `:` is missing behind the key"),
            ("{\"a\": }", "1:7 unexpected close brace"),
            ("{} {}", "1:4 text behind the end of the JSON"),
            ("{\"a\": \"\\x41\"}", "1:8 an escape that JSON does not know"),
            ("{\"a\":\u{3000}1}", "1:6 a space that JSON does not know"),
            ("{\"a\": \"x\ny\"}", "1:9 a line end or control character inside a string"),
            ("{\"a\": \"x\ty\"}", "1:9 a line end or control character inside a string"),
            ("", "1:1 the file is empty"),
        ];
        for (text, expected) in cases {
            assert_eq!(first(text), expected, "{text}");
        }
    }

    #[test]
    fn a_line_ends_before_its_carriage_return() {
        let document = Document { file: PathBuf::new(), text: "{ \"a\":\r\n}".to_owned() };
        for at in [6, 7] {
            let Place { line, column, length, text } = document.place(at, at + 1);
            assert_eq!((line, column, length, &*text), (1, 7, 1, "{ \"a\":"));
        }
        assert_eq!(document.place(8, 9).line, 2);
    }

    #[test]
    fn comments_and_trailing_commas_do_not_hide_the_rest() {
        let (value, errors) = parse("{ // one\n \"a\": 1, }");
        assert_eq!(errors.len(), 2);
        assert!(value.is_some());
    }

    #[test]
    fn every_full_width_form_has_its_half_width_twin() {
        let error = full_width("｛", Range::new(0, 3)).unwrap();
        assert_eq!(error.help.as_deref(), Some("write `{` (half-width)"));
    }
}
