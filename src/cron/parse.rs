//! The grammar. One pass over the bytes, straight into the masks; on failure only what went wrong and where, so that
//! the words ([`super::diagnose`]) cost nothing when nothing is wrong.

#![expect(
    clippy::cast_possible_truncation,
    reason = "values are checked against their field before they become bits"
)]

use super::diagnose;
use super::error::ParseError;
use super::expression::{
    ALL_MONTHS, ALL_YEARS, Cron, DAYS_GIVEN, EACH_WEEK, EVERY_DAY, INTERVAL, LAST_SHIFT, WEEKDAYS_GIVEN,
    ranged, stepped,
};
use super::field::Field;

/// What went wrong, in which field, and the bytes it is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) field: Field,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The ways in which an expression can be wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// The text ends before the seventh field.
    Missing,
    /// There is more text after the seventh field.
    Surplus,
    /// Nothing before, after or between commas.
    EmptyItem,
    /// `*` without a step in a list.
    StarInList,
    /// Not a value of the field at all.
    Value,
    /// A number outside of the field.
    OutOfRange,
    /// One end of a range is a name and the other a number.
    Mixed,
    /// The range starts after its end.
    Reversed,
    /// What follows `/` is not a number.
    Step,
    /// A step of 0, or above the field's largest value.
    StepOutOfRange,
    /// What follows `#` is not 1-5.
    Ordinal,
    /// A complete item with something behind it.
    Rest,
}

/// One element of a list.
enum Item {
    /// A lone `*` or `?`.
    Any,
    Value(u32),
    Range {
        low: u32,
        high: u32,
        step: u32,
    },
    LastDay,
    LastWeekdayOfMonth,
    Nearest(u32),
    LastOfWeekday(u32),
    Nth(u32, u32),
}

impl Cron {
    /// Reads a seven-field expression.
    ///
    /// ```
    /// use gulou::cron::Cron;
    /// assert!(Cron::parse("*/5 * 9-12 * * MON-FRI *").is_ok());
    /// let error = Cron::parse("0 0 24 * * * *").unwrap_err();
    /// assert_eq!(error.one_line(), "hour, column 5: 24 is out of range: expected 0-23; midnight is hour 0");
    /// ```
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        read(text).map_err(|fault| diagnose::explain(text, fault))
    }
}

/// Reads a seven-field expression; says only where it is wrong.
pub(super) fn read(text: &str) -> Result<Cron, Fault> {
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    let mut weeks = 0;
    let seconds = cursor.numbers(Field::Second, &mut weeks)?;
    let minutes = cursor.numbers(Field::Minute, &mut weeks)?;
    let hours = cursor.numbers(Field::Hour, &mut weeks)? as u32;
    let (days, nearest) = cursor.days(&mut weeks)?;
    let months = cursor.numbers(Field::Month, &mut weeks)? as u16;
    cursor.weekdays(&mut weeks)?;
    let years = cursor.years()?;
    cursor.skip_blanks();
    if cursor.at < cursor.bytes.len() {
        return Err(cursor.fault(Kind::Surplus, Field::Year, cursor.at, cursor.bytes.len()));
    }
    if weeks & (DAYS_GIVEN | WEEKDAYS_GIVEN) == 0 && months == ALL_MONTHS && years == ALL_YEARS {
        weeks |= EVERY_DAY;
    }
    Ok(Cron { seconds, minutes, weeks, years, hours, days, nearest, months })
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// A field without letters of its own, as bits.
    #[inline]
    fn numbers(&mut self, field: Field, flags: &mut u64) -> Result<u64, Fault> {
        let interval = if field == Field::Month { 0 } else { INTERVAL };
        let mut found = 0;
        self.list(field, |item| match item {
            Item::Value(value) => found |= 1 << value,
            Item::Range { low, high, step } => {
                found |= bits(low, high, step);
                *flags |= interval | shape(field, step);
            }
            _ => {
                found = bits(field.min(), field.max(), 1);
                *flags |= interval;
            }
        })?;
        Ok(found)
    }

    /// Day of month: the days and the `W` days.
    fn days(&mut self, flags: &mut u64) -> Result<(u32, u32), Fault> {
        let (mut days, mut nearest) = (0, 0);
        self.list(Field::DayOfMonth, |item| {
            *flags |= DAYS_GIVEN;
            match item {
                Item::Value(day) => days |= 1 << day,
                Item::Range { low, high, step } => {
                    days |= bits(low, high, step) as u32;
                    *flags |= shape(Field::DayOfMonth, step);
                }
                Item::LastDay => days |= 1,
                Item::LastWeekdayOfMonth => nearest |= 1,
                Item::Nearest(day) => nearest |= 1 << day,
                _ => *flags &= !DAYS_GIVEN,
            }
        })?;
        Ok((days, nearest))
    }

    /// Day of week, into the layout of [`Cron::weeks`].
    fn weekdays(&mut self, weeks: &mut u64) -> Result<(), Fault> {
        self.list(Field::DayOfWeek, |item| {
            *weeks |= match item {
                Item::Value(day) => EACH_WEEK << day | WEEKDAYS_GIVEN,
                Item::Range { low, high, step } => {
                    (EACH_WEEK * bits(low, high, step)) | WEEKDAYS_GIVEN | shape(Field::DayOfWeek, step)
                }
                Item::LastOfWeekday(day) => 1 << (LAST_SHIFT + day) | WEEKDAYS_GIVEN,
                Item::Nth(day, nth) => 1 << (7 * (nth - 1) + day) | WEEKDAYS_GIVEN,
                _ => 0,
            };
        })
    }

    fn years(&mut self) -> Result<[u64; 3], Fault> {
        let mut years = [0; 3];
        self.list(Field::Year, |item| {
            let (low, high, step) = match item {
                Item::Value(year) => (year, year, 1),
                Item::Range { low, high, step } => (low, high, step),
                _ => {
                    years = ALL_YEARS;
                    return;
                }
            };
            for year in (low - 1970..=high - 1970).step_by(step as usize) {
                years[year as usize / 64] |= 1 << (year % 64);
            }
        })?;
        Ok(years)
    }

    /// The next field: its items, one after the other.
    #[inline]
    fn list(&mut self, field: Field, mut take: impl FnMut(Item)) -> Result<(), Fault> {
        self.skip_blanks();
        if self.at == self.bytes.len() {
            return Err(self.fault(Kind::Missing, field, self.at, self.at));
        }
        let first = self.at;
        loop {
            take(self.item(field, first)?);
            if self.peek() != b',' {
                return Ok(());
            }
            self.at += 1;
        }
    }

    /// One element of a list; stands at `,` or the end of the field afterwards.
    #[inline]
    fn item(&mut self, field: Field, first: usize) -> Result<Item, Fault> {
        let start = self.at;
        let (low, high) = match self.peek() {
            b'*' => {
                self.at += 1;
                if self.peek() != b'/' {
                    return self.lone(field, first, start);
                }
                (field.min(), Some(field.max()))
            }
            b'?' if matches!(field, Field::DayOfMonth | Field::DayOfWeek) => {
                self.at += 1;
                return self.lone(field, first, start);
            }
            b'L' | b'l' if field == Field::DayOfMonth => {
                self.at += 1;
                if matches!(self.peek(), b'W' | b'w') {
                    self.at += 1;
                    return self.closed(Item::LastWeekdayOfMonth, field, start);
                }
                return self.closed(Item::LastDay, field, start);
            }
            _ => {
                let (low, named) = self.value(field, start)?;
                match self.peek() {
                    b'-' => {
                        self.at += 1;
                        let (high, high_named) = self.value(field, start)?;
                        if named != high_named {
                            return Err(self.fault(Kind::Mixed, field, start, self.at));
                        }
                        if high < low {
                            return Err(self.fault(Kind::Reversed, field, start, self.at));
                        }
                        (low, Some(high))
                    }
                    b'W' | b'w' if field == Field::DayOfMonth => {
                        self.at += 1;
                        return self.closed(Item::Nearest(low), field, start);
                    }
                    b'L' | b'l' if field == Field::DayOfWeek && !named => {
                        self.at += 1;
                        return self.closed(Item::LastOfWeekday(low), field, start);
                    }
                    b'#' if field == Field::DayOfWeek => {
                        let nth = match self.bytes.get(self.at + 1) {
                            Some(digit @ b'1'..=b'5') => u32::from(digit - b'0'),
                            _ => return Err(self.fault(Kind::Ordinal, field, start, self.at)),
                        };
                        self.at += 2;
                        return self.closed(Item::Nth(low, nth), field, start);
                    }
                    _ => (low, None),
                }
            }
        };
        if self.peek() == b'/' {
            self.at += 1;
            let step = self.step(field)?;
            return self.closed(Item::Range { low, high: high.unwrap_or(field.max()), step }, field, start);
        }
        let item = high.map_or(Item::Value(low), |high| Item::Range { low, high, step: 1 });
        self.closed(item, field, start)
    }

    /// `*` or `?` that must be the whole field.
    fn lone(&self, field: Field, first: usize, start: usize) -> Result<Item, Fault> {
        if start == first && self.at_blank() {
            return Ok(Item::Any);
        }
        let kind = match self.bytes[start] {
            b'*' if start != first || self.peek() == b',' => Kind::StarInList,
            _ => Kind::Value,
        };
        Err(self.fault(kind, field, start, self.at))
    }

    /// An item that must end here.
    #[inline]
    fn closed(&self, item: Item, field: Field, start: usize) -> Result<Item, Fault> {
        if self.peek() == b',' || self.at_blank() {
            Ok(item)
        } else {
            Err(self.fault(Kind::Rest, field, start, self.at))
        }
    }

    /// A number or a name, and whether it was a name. `start` is where the item starts.
    #[inline]
    fn value(&mut self, field: Field, start: usize) -> Result<(u32, bool), Fault> {
        let from = self.at;
        let value = self.digits();
        if self.at == from {
            return self.name(field, start);
        }
        if value < field.min() || value > field.max() {
            return Err(self.fault(Kind::OutOfRange, field, from, self.at));
        }
        Ok((value, false))
    }

    fn name(&mut self, field: Field, start: usize) -> Result<(u32, bool), Fault> {
        if let Some(word) = self.bytes.get(self.at..self.at + 3)
            && !self.bytes.get(self.at + 3).is_some_and(u8::is_ascii_alphanumeric)
            && let Some(index) = field.names().iter().position(|name| name.eq_ignore_ascii_case(word))
        {
            self.at += 3;
            return Ok((index as u32 + field.min(), true));
        }
        let blank = self.at_blank() || self.peek() == b',';
        let kind = if blank && self.at == start { Kind::EmptyItem } else { Kind::Value };
        Err(self.fault(kind, field, start, self.at))
    }

    fn step(&mut self, field: Field) -> Result<u32, Fault> {
        let from = self.at;
        let step = self.digits();
        if self.at == from {
            return Err(self.fault(Kind::Step, field, from, from));
        }
        if step == 0 || step > field.max() {
            return Err(self.fault(Kind::StepOutOfRange, field, from, self.at));
        }
        Ok(step)
    }

    /// As many digits as there are; a number too large for any field stays too large.
    #[inline]
    fn digits(&mut self) -> u32 {
        let mut value = 0_u32;
        while let digit @ b'0'..=b'9' = self.peek() {
            value = (value * 10 + u32::from(digit - b'0')).min(100_000);
            self.at += 1;
        }
        value
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\t') {
            self.at += 1;
        }
    }

    fn at_blank(&self) -> bool {
        self.at == self.bytes.len() || matches!(self.bytes[self.at], b' ' | b'\t')
    }

    /// The byte here; 0, which is nothing in the grammar, at the end.
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[cold]
    fn fault(&self, kind: Kind, field: Field, start: usize, end: usize) -> Fault {
        Fault { kind, field, start, end: end.min(self.bytes.len()) }
    }
}

/// What a range leaves behind of how it was written.
const fn shape(field: Field, step: u32) -> u64 {
    if step > 1 { stepped(field) } else { ranged(field) }
}

/// Bits `low`, `low + step`, … up to `high`, all below 64.
#[inline]
fn bits(low: u32, high: u32, step: u32) -> u64 {
    let mut pattern = 1_u64;
    let mut filled = step;
    while filled < 64 {
        pattern |= pattern << filled;
        filled *= 2;
    }
    pattern << low & u64::MAX >> (63 - high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_the_steps_of_a_range() {
        for step in 1..=59 {
            for low in 0..60 {
                for high in low..60 {
                    let expected =
                        (low..=high).step_by(step as usize).fold(0, |bits, value| bits | 1 << value);
                    assert_eq!(bits(low, high, step), expected, "{low}-{high}/{step}");
                }
            }
        }
    }

    #[test]
    fn faults_name_their_bytes() {
        for (text, kind, range) in [
            ("0 0 24 * * * *", Kind::OutOfRange, 4..6),
            ("0 0 0-24 * * * *", Kind::OutOfRange, 6..8),
            ("0 0 0 * * FRI-MON *", Kind::Reversed, 10..17),
            ("0 */90 * * * * *", Kind::StepOutOfRange, 4..6),
            ("0 1, 0 * * * *", Kind::EmptyItem, 4..4),
            ("0 0 0 * * 1-FRI *", Kind::Mixed, 10..15),
            ("0 0 0 * * * * *", Kind::Surplus, 14..15),
            ("0 0 0", Kind::Missing, 5..5),
        ] {
            let fault = read(text).unwrap_err();
            assert_eq!((fault.kind, fault.start..fault.end), (kind, range), "{text}");
        }
    }
}
