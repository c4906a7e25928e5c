//! An error about a piece of text that a person typed: where, what, and what to write instead.

use std::fmt;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Why a text is not a schedule.
///
/// `Display` takes several lines, with a caret under the place; [`ParseError::one_line`] takes one.
#[derive(Clone, Eq, PartialEq)]
pub struct ParseError(Box<Details>);

#[derive(Clone, Eq, PartialEq)]
struct Details {
    text: String,
    part: &'static str,
    start: usize,
    end: usize,
    problem: String,
    help: Option<String>,
}

/// Longer texts are shown in part.
const SHOWN: usize = 120;

impl ParseError {
    /// `part` names what the bytes `start..end` of `text` belong to; they are on character borders.
    pub(crate) fn new(text: &str, part: &'static str, start: usize, end: usize, problem: String) -> Self {
        Self(Box::new(Details { text: text.to_owned(), part, start, end, problem, help: None }))
    }

    /// Adds what to write instead. It may quote what was written: what cannot be printed is replaced.
    pub(crate) fn with_help(mut self, help: impl AsRef<str>) -> Self {
        self.0.help = Some(help.as_ref().chars().map(printable).collect());
        self
    }

    /// The field or other part of the text that is wrong, such as `day of week`, or `expression` for all of it.
    pub fn part(&self) -> &'static str {
        self.0.part
    }

    /// Where the wrong part starts: characters, the first is 1.
    pub fn column(&self) -> usize {
        self.0.text[..self.0.start].chars().count() + 1
    }

    /// How many characters the wrong part has; 0 when something is missing at its place.
    pub fn length(&self) -> usize {
        self.0.text[self.0.start..self.0.end].chars().count()
    }

    /// What is wrong, without the place.
    pub fn problem(&self) -> &str {
        &self.0.problem
    }

    /// What to write instead, when there is a likely fix.
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// The whole message in one line, without the caret.
    pub fn one_line(&self) -> String {
        let Details { part, problem, help, .. } = &*self.0;
        let help = help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        format!("{part}, column {}: {problem}{help}", self.column())
    }

    /// The part of the text that is shown, and how wide it is before and under the caret.
    fn excerpt(&self) -> (String, usize, usize) {
        let Details { text, start, end, .. } = &*self.0;
        let column = self.column() - 1;
        let skipped = if text.chars().count() <= SHOWN { 0 } else { column.saturating_sub(SHOWN / 2) };
        let mut shown: String = text.chars().skip(skipped).take(SHOWN).map(printable).collect();
        let before: String = shown.chars().take(column - skipped).collect();
        let marked: String =
            shown.chars().skip(column - skipped).take(text[*start..*end].chars().count()).collect();
        let mut indent = before.width();
        if skipped > 0 {
            shown.insert(0, '…');
            indent += 1;
        }
        (shown, indent, marked.width().max(1))
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { part, problem, help, .. } = &*self.0;
        let (shown, indent, marked) = self.excerpt();
        write!(f, "{part}: {problem}\n  {shown}\n  {:indent$}{}", "", "^".repeat(marked))?;
        help.as_ref().map_or(Ok(()), |help| write!(f, "\n  help: {help}"))
    }
}

impl fmt::Debug for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ParseError").field(&self.one_line()).finish()
    }
}

impl std::error::Error for ParseError {}

/// A piece of the text as it stands in a message: in backticks, bounded, on one line.
pub(crate) fn quoted(piece: &str) -> String {
    const LONG: usize = 40;
    let more = if piece.chars().count() > LONG { "…" } else { "" };
    let piece: String = piece.chars().take(LONG).map(printable).collect();
    format!("`{piece}{more}`")
}

/// What is shown for a character: tabs as one blank so that the caret stays under its place.
fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        _ if character.width().is_none() || character.width() == Some(0) => '\u{fffd}',
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_wide_characters() {
        let error = ParseError::new("0 ，，x *", "minute", 8, 9, "no".to_owned()).with_help("yes");
        assert_eq!(error.to_string(), "minute: no\n  0 ，，x *\n        ^\n  help: yes");
        assert_eq!(error.one_line(), "minute, column 5: no; yes");
    }

    #[test]
    fn tabs_and_control_characters_take_one_column() {
        let error = ParseError::new("0\t\u{1b}[31m\tx", "minute", 8, 9, "no".to_owned());
        assert_eq!(error.to_string(), "minute: no\n  0 \u{fffd}[31m x\n          ^");
    }

    #[test]
    fn a_long_text_is_cut_around_the_place() {
        let text = format!("{}!{}", "0".repeat(5000), "1".repeat(5000));
        let message = ParseError::new(&text, "second", 5000, 5001, "no".to_owned()).to_string();
        let lines: Vec<_> = message.lines().collect();
        assert_eq!(lines[1].chars().count(), 2 + 1 + SHOWN);
        assert_eq!(lines[1].chars().position(|c| c == '!'), lines[2].chars().position(|c| c == '^'));
    }
}
