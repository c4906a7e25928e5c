//! The masks that an expression is read into.

use super::calendar;
use super::field::Field;

/// A seven-field cron expression. 64 bytes, no heap.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cron {
    /// Bits 0-59.
    pub(super) seconds: u64,
    /// Bits 0-59.
    pub(super) minutes: u64,
    /// Five groups of seven bits: bit `7 * (k - 1) + w` is the k-th weekday `w` of a month. A plain weekday has all five.
    /// Then seven bits for the last weekday `w` of a month ([`LAST_SHIFT`]), then the flags.
    pub(super) weeks: u64,
    /// Bit 0 is 1970, bit 129 is 2099.
    pub(super) years: [u64; 3],
    /// Bits 0-23.
    pub(super) hours: u32,
    /// Bits 1-31; bit 0 is `L`, the last day.
    pub(super) days: u32,
    /// The weekday nearest to the day of bits 1-31; bit 0 is `LW`, the last weekday.
    pub(super) nearest: u32,
    /// Bits 1-12.
    pub(super) months: u16,
}

/// Where the seven bits of `nL` start in [`Cron::weeks`].
pub(super) const LAST_SHIFT: u32 = 35;
/// One bit in each of the five groups of seven.
pub(super) const EACH_WEEK: u64 = 0x1020_4081;
/// The day of month is neither `*` nor `?`.
pub(super) const DAYS_GIVEN: u64 = 1 << 42;
/// The day of week is neither `*` nor `?`.
pub(super) const WEEKDAYS_GIVEN: u64 = 1 << 43;
/// A wildcard, range or step stands in second, minute or hour.
pub(super) const INTERVAL: u64 = 1 << 44;
/// Every date between 1970 and 2099 matches.
pub(super) const EVERY_DAY: u64 = 1 << 45;

/// Two bits for each field, second first: a step above 1 was written there; a range without a step was.
const SHAPES: u32 = 46;

pub(super) const fn stepped(field: Field) -> u64 {
    1 << (SHAPES + 2 * field as u32)
}

pub(super) const fn ranged(field: Field) -> u64 {
    2 << (SHAPES + 2 * field as u32)
}

pub(super) const ALL_MONTHS: u16 = 0b1_1111_1111_1110;
pub(super) const ALL_YEARS: [u64; 3] = [u64::MAX, u64::MAX, (1 << (calendar::YEARS - 128)) - 1];

const WEEKEND_SUNDAY: u32 = 0;
const WEEKEND_SATURDAY: u32 = 6;

impl Cron {
    /// Whether all of second, minute and hour are values or lists of values. Such an expression names times of day;
    /// one with a wildcard, range or step there is an interval. The two differ where a clock is changed.
    pub const fn is_fixed_time(&self) -> bool {
        self.weeks & INTERVAL == 0
    }

    /// The last year that is written, when it is before 2099.
    pub fn last_year(&self) -> Option<u32> {
        let word = self.years.iter().rposition(|years| *years != 0)?;
        let year = u32::try_from(word).ok()? * 64 + self.years[word].ilog2();
        (year < calendar::YEARS - 1).then_some(1970 + year)
    }

    pub(super) const fn has(&self, flag: u64) -> bool {
        self.weeks & flag != 0
    }

    pub(super) const fn has_year(&self, year: u32) -> bool {
        self.years[(year / 64) as usize] >> (year % 64) & 1 != 0
    }

    pub(super) const fn has_month(&self, month: u32) -> bool {
        self.months >> month & 1 != 0
    }

    /// The days of a month that match the two day fields, in bits 1-31. Does not look at month and year.
    pub(super) fn days_of_month(&self, year: u32, month: u32) -> u32 {
        let length = calendar::month_length(year, month);
        let all = u32::MAX >> (31 - length) & !1;
        if !self.has(DAYS_GIVEN | WEEKDAYS_GIVEN) {
            return all;
        }
        let first = calendar::weekday(calendar::first_of_month(year, month));
        let mut found = 0;
        if self.has(DAYS_GIVEN) {
            found |= self.days & all | (self.days & 1) << length;
            if self.nearest != 0 {
                found |= self.nearest_weekdays(first, length);
            }
        }
        if self.has(WEEKDAYS_GIVEN) {
            found |= self.weekdays(first, length) & all;
        }
        found
    }

    /// The days that the day-of-week field names, in a month that starts on weekday `first`.
    #[expect(clippy::cast_possible_truncation, reason = "days above 31 are meant to fall off")]
    fn weekdays(&self, first: u32, length: u32) -> u32 {
        // Day d is weekday (first + d - 1) % 7, so each group of seven is rotated right by `first`.
        let low = (0x7f >> first) * EACH_WEEK;
        let high = (EACH_WEEK * 0x7f) & !low;
        let mut days = (self.weeks >> first & low | self.weeks << (7 - first) & high) << 1;
        let last = self.weeks >> LAST_SHIFT & 0x7f;
        if last != 0 {
            let rotated = (last >> first | last << (7 - first)) & 0x7f;
            days |= (rotated * EACH_WEEK) << 1 & 0x7f << (length - 6);
        }
        days as u32
    }

    /// The days that `nW` and `LW` name, in a month that starts on weekday `first`.
    fn nearest_weekdays(&self, first: u32, length: u32) -> u32 {
        let mut found = 0;
        if self.nearest & 1 != 0 {
            found |= 1
                << match (first + length - 1) % 7 {
                    WEEKEND_SATURDAY => length - 1,
                    WEEKEND_SUNDAY => length - 2,
                    _ => length,
                };
        }
        let mut wanted = self.nearest & !1 & u32::MAX >> (31 - length);
        while wanted != 0 {
            let day = wanted.trailing_zeros();
            wanted &= wanted - 1;
            found |= 1
                << match (first + day - 1) % 7 {
                    WEEKEND_SATURDAY if day == 1 => 3,
                    WEEKEND_SATURDAY => day - 1,
                    WEEKEND_SUNDAY if day == length => day - 2,
                    WEEKEND_SUNDAY => day + 1,
                    _ => day,
                };
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_cache_line() {
        assert_eq!(size_of::<Cron>(), 64);
    }
}
