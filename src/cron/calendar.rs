//! Days, months and weekdays between 1970 and 2099, by arithmetic.
//!
//! Within these years every fourth year is a leap year (2000 was one too), which makes all of this short.
//! Years are counted from 1970 (`year = 0`), days from 1970-01-01 (`day = 0`), weekdays from Sunday.

/// How many years there are.
pub(super) const YEARS: u32 = 130;

/// 2099-12-31.
pub(super) const LAST_DAY: u32 = YEARS * 365 + (YEARS + 1) / 4 - 1;

/// Seconds in a day.
pub(super) const DAY: u32 = 86_400;

/// 2099-12-31T23:59:59 on the local clock, in seconds since 1970-01-01T00:00:00 on the same clock.
pub(super) const LAST_SECOND: u32 = LAST_DAY * DAY + DAY - 1;

const LENGTHS: [[u8; 12]; 2] =
    [[31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]];

const BEFORE: [[u16; 12]; 2] = [
    [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334],
    [0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335],
];

/// A day of the calendar.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Date {
    /// Since 1970, 0-129.
    pub(super) year: u32,
    /// 1-12.
    pub(super) month: u32,
    /// 1-31.
    pub(super) day: u32,
}

/// The date of a day number; right for 0 to [`LAST_DAY`].
pub(super) const fn date(day: u32) -> Date {
    // Counting from 1968-03-01 puts the leap day at the end of a four-year cycle and of a "year".
    let quarters = (day + 671) * 4 + 3;
    let day_of_cycle = quarters % 1461 / 4;
    let months = (day_of_cycle * 5 + 2) / 153;
    let late = months >= 10;
    Date {
        year: quarters / 1461 + late as u32 - 2,
        month: if late { months - 9 } else { months + 3 },
        day: day_of_cycle - (months * 153 + 2) / 5 + 1,
    }
}

pub(super) const fn is_leap(year: u32) -> bool {
    year % 4 == 2
}

/// The number of days in a month.
pub(super) const fn month_length(year: u32, month: u32) -> u32 {
    LENGTHS[is_leap(year) as usize][(month - 1) as usize] as u32
}

/// The day number of the first of January.
pub(super) const fn first_of_year(year: u32) -> u32 {
    year * 365 + (year + 1) / 4
}

/// The day number of the first of a month.
pub(super) const fn first_of_month(year: u32, month: u32) -> u32 {
    first_of_year(year) + BEFORE[is_leap(year) as usize][(month - 1) as usize] as u32
}

/// 0 (Sunday) to 6.
pub(super) const fn weekday(day: u32) -> u32 {
    (day + 4) % 7
}

/// Years that look alike, month by month and weekday by weekday, have the same kind: 0-13.
pub(super) const fn kind_of_year(year: u32) -> u32 {
    weekday(first_of_year(year)) + if is_leap(year) { 7 } else { 0 }
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, Days, NaiveDate};

    use super::*;

    #[test]
    fn every_day_agrees_with_chrono() {
        let start = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for day in 0..=LAST_DAY {
            let expected = start.checked_add_days(Days::new(u64::from(day))).unwrap();
            let year = u32::try_from(expected.year() - 1970).unwrap();
            assert_eq!(date(day), Date { year, month: expected.month(), day: expected.day() }, "{expected}");
            assert_eq!(weekday(day), expected.weekday().num_days_from_sunday(), "{expected}");
            assert_eq!(first_of_month(year, expected.month()) + expected.day() - 1, day, "{expected}");
            assert_eq!(month_length(year, expected.month()), u32::from(expected.num_days_in_month()));
        }
        assert_eq!(start.checked_add_days(Days::new(u64::from(LAST_DAY))).unwrap().to_string(), "2099-12-31");
    }
}
