//! What a person reads when an expression is refused: what is wrong, and the likely fix.
//!
//! A fix that is offered as a whole expression has been read by the grammar first.

mod line;
mod value;

use super::error::ParseError;
use super::field::Field;
use super::parse::{self, Fault, Kind};

/// What may stand in a field.
const fn expected(field: Field) -> &'static str {
    match field {
        Field::Second | Field::Minute => "0-59",
        Field::Hour => "0-23",
        Field::DayOfMonth => "1-31, `?`, `L`, `LW` or `15W`",
        Field::Month => "1-12 or JAN-DEC",
        Field::DayOfWeek => "0-6 (0 is Sunday) or SUN-SAT, `?`, `5L` or `5#2`",
        Field::Year => "1970-2099",
    }
}

/// Puts words to a fault.
#[cold]
pub(super) fn explain(text: &str, fault: Fault) -> ParseError {
    if let Some(error) = line::explain(text) {
        return error;
    }
    let item = Item::around(text, fault.start);
    let at = At { text, fault, item };
    match fault.kind {
        // The whole line was looked at above; this is for a line break or the like after the seventh field.
        Kind::Missing | Kind::Surplus => at.error("the seven fields end here".to_owned()),
        Kind::EmptyItem => at.empty_item(),
        Kind::StarInList => at.star_in_list(),
        Kind::OutOfRange => at.out_of_range(),
        Kind::Reversed => at.reversed(),
        Kind::Mixed => at.mixed(),
        Kind::Step => at.step(),
        Kind::StepOutOfRange => at.step_out_of_range(),
        Kind::Ordinal => at.ordinal(),
        Kind::Value | Kind::Rest => at.unreadable(),
    }
}

/// The element of a list that holds a place, and the field that holds the element; both in bytes of the text.
#[derive(Clone, Copy)]
struct Item {
    start: usize,
    end: usize,
    field_start: usize,
    field_end: usize,
}

impl Item {
    fn around(text: &str, at: usize) -> Self {
        let after = |piece: fn(char) -> bool| text[..at].rfind(piece).map_or(0, |found| found + 1);
        let until = |piece: fn(char) -> bool| text[at..].find(piece).map_or(text.len(), |found| at + found);
        Self {
            start: after(ends_item),
            end: until(ends_item),
            field_start: after(ends_field),
            field_end: until(ends_field),
        }
    }
}

fn ends_field(c: char) -> bool {
    c == ' ' || c == '\t'
}

fn ends_item(c: char) -> bool {
    c == ',' || ends_field(c)
}

/// A fault and its surroundings.
struct At<'a> {
    text: &'a str,
    fault: Fault,
    item: Item,
}

impl At<'_> {
    fn item(&self) -> &str {
        &self.text[self.item.start..self.item.end]
    }

    fn faulty(&self) -> &str {
        &self.text[self.fault.start..self.fault.end]
    }

    /// An error about the bytes of the fault.
    fn error(&self, problem: String) -> ParseError {
        ParseError::new(self.text, self.fault.field.name(), self.fault.start, self.fault.end, problem)
    }

    /// An error about the whole element.
    fn item_error(&self, problem: String) -> ParseError {
        ParseError::new(self.text, self.fault.field.name(), self.item.start, self.item.end, problem)
    }

    /// The text with another element in place of this one.
    fn with_item(&self, item: &str) -> String {
        replaced(self.text, self.item.start, self.item.end, item)
    }

    /// The text with another field in place of this one.
    fn with_field(&self, field: &str) -> String {
        replaced(self.text, self.item.field_start, self.item.field_end, field)
    }
}

fn replaced(text: &str, start: usize, end: usize, with: &str) -> String {
    format!("{}{with}{}", &text[..start], &text[end..])
}

/// "write `…`", when that is a valid expression; with single blanks, whatever stood between the fields.
fn write_instead(candidate: &str) -> Option<String> {
    let fields: Vec<_> = candidate.split(ends_field).filter(|field| !field.is_empty()).collect();
    parse::read(candidate).is_ok().then(|| format!("write `{}`", fields.join(" ")))
}

/// Adds the first help that there is.
fn helped(error: ParseError, help: Option<String>) -> ParseError {
    match help {
        Some(help) => error.with_help(help),
        None => error,
    }
}
