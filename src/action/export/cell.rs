//! What a value of a database is in a spreadsheet.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta};
use chrono_tz::Tz;

use super::Kind;
use crate::run::Scalar;

/// Excel knows no more digits of a number: what has more stays a text.
const DIGITS: usize = 15;

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'v> {
    /// NULL.
    Empty,
    Bool(bool),
    /// A number, as it is spelled in files.
    Number(Cow<'v, str>),
    /// A day.
    Date(NaiveDate),
    /// A day and a time, as clocks show it.
    Time(NaiveDateTime),
    Text(Cow<'v, str>),
}

/// The cell of `value`; `zone` is that of the clocks which show instants.
pub(super) fn cell(kind: Kind, value: &Scalar, zone: Tz) -> Cell<'_> {
    match (kind, value) {
        (_, Scalar::Null) => Cell::Empty,
        (_, Scalar::Bool(value)) => Cell::Bool(*value),
        (Kind::Named, Scalar::Int(seconds)) => {
            let instant = DateTime::from_timestamp(*seconds, 0);
            instant.map_or_else(|| integer(*seconds), |at| Cell::Time(at.with_timezone(&zone).naive_local()))
        }
        (Kind::Named, Scalar::Float(seconds)) => unix(*seconds, zone).unwrap_or_else(|| float(*seconds)),
        (_, Scalar::Int(value)) => integer(*value),
        (_, Scalar::Float(value)) => float(*value),
        (Kind::Decimal, Scalar::Text(text)) if is_number(text) => Cell::Number(text.into()),
        (Kind::Local | Kind::Instant | Kind::Named, Scalar::Text(text)) => {
            time(text, kind, zone).unwrap_or(Cell::Text(text.into()))
        }
        (_, Scalar::Text(text)) => Cell::Text(text.into()),
        (_, Scalar::Bytes(bytes)) => Cell::Text(hexadecimal(bytes).into()),
    }
}

fn integer(value: i64) -> Cell<'static> {
    let text = value.to_string();
    if text.trim_start_matches('-').len() <= DIGITS {
        Cell::Number(text.into())
    } else {
        Cell::Text(text.into())
    }
}

fn float(value: f64) -> Cell<'static> {
    if !value.is_finite() {
        return Cell::Text(value.to_string().into());
    }
    let size = value.abs();
    // Without an exponent, some numbers have three hundred digits.
    let text =
        if size != 0.0 && !(1e-5..1e16).contains(&size) { format!("{value:e}") } else { value.to_string() };
    Cell::Number(text.into())
}

/// Whether a decimal number keeps all its digits in Excel.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.starts_with(|c: char| c.is_ascii_digit());
    let counted = digits.trim_start_matches(['0', '.']).bytes().filter(u8::is_ascii_digit).count();
    plain && counted <= DIGITS
}

fn unix(seconds: f64, zone: Tz) -> Option<Cell<'static>> {
    if !seconds.is_finite() || seconds.abs() > 1e12 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "within the bounds above")]
    let at = DateTime::from_timestamp_millis((seconds * 1000.0).round() as i64)?;
    Some(Cell::Time(at.with_timezone(&zone).naive_local()))
}

/// `2026-06-01`, `2026-06-01 09:00:00.5`, `2026-06-01T01:00:00Z`, `2026-06-01 01:00:00+00`.
fn time(text: &str, kind: Kind, zone: Tz) -> Option<Cell<'static>> {
    let text = text.trim();
    if text.len() == 10 {
        return NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(Cell::Date);
    }
    let (day, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix([' ', 'T', 't'])?;
    let (clock, offset) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => (&rest[..at], Some(offset(&rest[at..])?)),
        None => (rest, None),
    };
    let form = if clock.len() == 5 { "%H:%M" } else { "%H:%M:%S%.f" };
    let clock = chrono::NaiveTime::parse_from_str(clock.trim_end(), form).ok()?;
    let local = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?.and_time(clock);
    let offset = match (offset, kind) {
        (Some(offset), _) => offset,
        (None, Kind::Instant) => TimeDelta::zero(),
        (None, _) => return Some(Cell::Time(local)),
    };
    let instant = local.checked_sub_signed(offset)?.and_utc();
    Some(Cell::Time(instant.with_timezone(&zone).naive_local()))
}

/// `Z`, `+08`, `+08:00`, `-0330`.
fn offset(text: &str) -> Option<TimeDelta> {
    if text.eq_ignore_ascii_case("z") {
        return Some(TimeDelta::zero());
    }
    let (sign, digits) = text.split_at_checked(1)?;
    let digits = digits.replace(':', "");
    if !matches!(digits.len(), 2 | 4 | 6) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize| digits.get(at..at + 2).map_or(Some(0), |part| part.parse::<i64>().ok());
    let seconds = part(0)? * 3600 + part(2)? * 60 + part(4)?;
    TimeDelta::try_seconds(if sign == "-" { -seconds } else { seconds })
}

/// `0x00ff`: nobody takes it for a number.
fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("0x");
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    text
}

#[cfg(test)]
mod tests {
    use chrono_tz::Asia::Shanghai;

    use super::*;

    fn shown(kind: Kind, value: &Scalar) -> String {
        match cell(kind, value, Shanghai) {
            Cell::Empty => "empty".to_owned(),
            Cell::Bool(value) => format!("bool {value}"),
            Cell::Number(text) => format!("number {text}"),
            Cell::Date(date) => format!("date {date}"),
            Cell::Time(time) => format!("time {time}"),
            Cell::Text(text) => format!("text {text}"),
        }
    }

    fn text(text: &str) -> Scalar {
        Scalar::Text(text.to_owned())
    }

    #[test]
    fn numbers_keep_their_digits_or_stay_texts() {
        for (value, expected) in [
            (Scalar::Int(0), "number 0"),
            (Scalar::Int(-999_999_999_999_999), "number -999999999999999"),
            (Scalar::Int(1_000_000_000_000_000), "text 1000000000000000"),
            (Scalar::Int(i64::MIN), "text -9223372036854775808"),
            (Scalar::Float(0.1), "number 0.1"),
            (Scalar::Float(0.0), "number 0"),
            (Scalar::Float(1e300), "number 1e300"),
            (Scalar::Float(-2.5e-7), "number -2.5e-7"),
            (Scalar::Float(f64::NAN), "text NaN"),
            (Scalar::Float(f64::NEG_INFINITY), "text -inf"),
            (Scalar::Bytes(vec![0, 255]), "text 0x00ff"),
            (Scalar::Null, "empty"),
            (Scalar::Bool(true), "bool true"),
            (text("12"), "text 12"),
        ] {
            assert_eq!(shown(Kind::Plain, &value), expected);
        }
        for (value, expected) in [
            ("10.50", "number 10.50"),
            ("-0.05", "number -0.05"),
            ("0.000000000123456789012345", "number 0.000000000123456789012345"),
            ("12345678901234567890.10", "text 12345678901234567890.10"),
            ("1234567890123.456", "text 1234567890123.456"),
            ("NaN", "text NaN"),
            ("Infinity", "text Infinity"),
        ] {
            assert_eq!(shown(Kind::Decimal, &text(value)), expected);
        }
    }

    #[test]
    fn times_are_what_clocks_show() {
        for (kind, value, expected) in [
            (Kind::Local, "2026-06-01", "date 2026-06-01"),
            (Kind::Local, "2026-06-01 09:00:00", "time 2026-06-01 09:00:00"),
            (Kind::Instant, "2026-06-01 01:00:00+00", "time 2026-06-01 09:00:00"),
            (Kind::Instant, "2026-06-01 01:00:00.25", "time 2026-06-01 09:00:00.250"),
            (Kind::Named, "2026-05-31T20:00:00-05:00", "time 2026-06-01 09:00:00"),
            (Kind::Named, "2026-06-01T01:00:00Z", "time 2026-06-01 09:00:00"),
            (Kind::Named, "2026-06-01T09:00", "time 2026-06-01 09:00:00"),
            (Kind::Named, "soon", "text soon"),
            (Kind::Local, "infinity", "text infinity"),
            (Kind::Local, "2026-13-01", "text 2026-13-01"),
            (Kind::Local, "2026-06-01 09:00:00+x", "text 2026-06-01 09:00:00+x"),
            (Kind::Local, "0044-03-15 BC", "text 0044-03-15 BC"),
            (Kind::Local, "零零零零年", "text 零零零零年"),
            (Kind::Plain, "2026-06-01", "text 2026-06-01"),
        ] {
            assert_eq!(shown(kind, &text(value)), expected, "{value}");
        }
        assert_eq!(shown(Kind::Named, &Scalar::Int(1_780_275_600)), "time 2026-06-01 09:00:00");
        assert_eq!(shown(Kind::Named, &Scalar::Float(1_780_275_600.5)), "time 2026-06-01 09:00:00.500");
        assert_eq!(shown(Kind::Named, &Scalar::Int(i64::MAX)), "text 9223372036854775807");
    }
}
