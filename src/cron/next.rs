//! The next and the previous match on a clock on the wall that nobody ever changes.
//!
//! Times are *local seconds*: seconds since 1970-01-01T00:00:00 as that clock shows them, up to 2099-12-31T23:59:59.

#![expect(clippy::cast_possible_truncation, reason = "the masks have the bits of their fields and no others")]

use super::calendar::{self, DAY, Date, LAST_DAY, LAST_SECOND};
use super::expression::{Cron, EVERY_DAY};

impl Cron {
    /// The first match at or after `from`.
    pub(super) fn first_at_or_after(&self, from: i64) -> Option<i64> {
        let from = u32::try_from(from.max(0)).ok().filter(|from| *from <= LAST_SECOND)?;
        let (day, time) = match self.time_at_or_after(from % DAY) {
            Some(time) => (from / DAY, time),
            None => (from / DAY + 1, self.first_time()),
        };
        if self.has(EVERY_DAY) {
            return (day <= LAST_DAY).then(|| i64::from(day * DAY + time));
        }
        let found = self.day_at_or_after(day)?;
        let time = if found == day { time } else { self.first_time() };
        Some(i64::from(found * DAY + time))
    }

    /// The last match at or before `until`.
    pub(super) fn last_at_or_before(&self, until: i64) -> Option<i64> {
        let until = u32::try_from(until.min(i64::from(LAST_SECOND))).ok()?;
        let (day, time) = match self.time_at_or_before(until % DAY) {
            Some(time) => (until / DAY, time),
            None => ((until / DAY).checked_sub(1)?, self.last_time()),
        };
        let found = if self.has(EVERY_DAY) { day } else { self.day_at_or_before(day)? };
        let time = if found == day { time } else { self.last_time() };
        Some(i64::from(found * DAY + time))
    }

    fn first_time(&self) -> u32 {
        (self.hours.trailing_zeros() * 60 + self.minutes.trailing_zeros()) * 60
            + self.seconds.trailing_zeros()
    }

    fn last_time(&self) -> u32 {
        (self.hours.ilog2() * 60 + self.minutes.ilog2()) * 60 + self.seconds.ilog2()
    }

    /// The first time of day at or after `time`; both in seconds since midnight.
    fn time_at_or_after(&self, time: u32) -> Option<u32> {
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        if self.hours >> hour & 1 != 0 {
            if self.minutes >> minute & 1 != 0 {
                let seconds = self.seconds >> second;
                if seconds != 0 {
                    return Some(time + seconds.trailing_zeros());
                }
            }
            let minutes = self.minutes >> minute >> 1;
            if minutes != 0 {
                let minute = minute + 1 + minutes.trailing_zeros();
                return Some((hour * 60 + minute) * 60 + self.seconds.trailing_zeros());
            }
        }
        let hours = self.hours >> hour >> 1;
        if hours == 0 {
            return None;
        }
        let hour = hour + 1 + hours.trailing_zeros();
        Some((hour * 60 + self.minutes.trailing_zeros()) * 60 + self.seconds.trailing_zeros())
    }

    /// The last time of day at or before `time`; both in seconds since midnight.
    fn time_at_or_before(&self, time: u32) -> Option<u32> {
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        if self.hours >> hour & 1 != 0 {
            if self.minutes >> minute & 1 != 0
                && let Some(second) = (self.seconds & ((2 << second) - 1)).checked_ilog2()
            {
                return Some((hour * 60 + minute) * 60 + second);
            }
            if let Some(minute) = (self.minutes & ((1 << minute) - 1)).checked_ilog2() {
                return Some((hour * 60 + minute) * 60 + self.seconds.ilog2());
            }
        }
        let hour = (self.hours & ((1 << hour) - 1)).checked_ilog2()?;
        Some((hour * 60 + self.minutes.ilog2()) * 60 + self.seconds.ilog2())
    }

    /// The first day at or after `day` that matches all of day, month and year.
    fn day_at_or_after(&self, day: u32) -> Option<u32> {
        if day > LAST_DAY {
            return None;
        }
        let Date { year, month, day } = calendar::date(day);
        if self.has_year(year) {
            if self.has_month(month) {
                let days = self.days_of_month(year, month) >> day;
                if days != 0 {
                    return Some(calendar::first_of_month(year, month) + day - 1 + days.trailing_zeros());
                }
            }
            let later = u32::from(self.months) & !((2 << month) - 1);
            if let Some(found) = self.first_in_months(year, later) {
                return Some(found);
            }
        }
        let mut tried = KindsTried::default();
        let mut year = year;
        loop {
            year = self.year_after(year)?;
            if tried.insert(year)
                && let Some(found) = self.first_in_months(year, u32::from(self.months))
            {
                return Some(found);
            }
        }
    }

    /// The last day at or before `day` that matches all of day, month and year.
    fn day_at_or_before(&self, day: u32) -> Option<u32> {
        let Date { year, month, day } = calendar::date(day);
        if self.has_year(year) {
            if self.has_month(month) {
                let days = self.days_of_month(year, month) & u32::MAX >> (31 - day);
                if let Some(day) = days.checked_ilog2() {
                    return Some(calendar::first_of_month(year, month) + day - 1);
                }
            }
            let earlier = u32::from(self.months) & ((1 << month) - 1);
            if let Some(found) = self.last_in_months(year, earlier) {
                return Some(found);
            }
        }
        let mut tried = KindsTried::default();
        let mut year = year;
        loop {
            year = self.year_before(year)?;
            if tried.insert(year)
                && let Some(found) = self.last_in_months(year, u32::from(self.months))
            {
                return Some(found);
            }
        }
    }

    fn first_in_months(&self, year: u32, mut months: u32) -> Option<u32> {
        while months != 0 {
            let month = months.trailing_zeros();
            months &= months - 1;
            let days = self.days_of_month(year, month);
            if days != 0 {
                return Some(calendar::first_of_month(year, month) + days.trailing_zeros() - 1);
            }
        }
        None
    }

    fn last_in_months(&self, year: u32, mut months: u32) -> Option<u32> {
        while let Some(month) = months.checked_ilog2() {
            months &= !(1 << month);
            if let Some(day) = self.days_of_month(year, month).checked_ilog2() {
                return Some(calendar::first_of_month(year, month) + day - 1);
            }
        }
        None
    }

    fn year_after(&self, year: u32) -> Option<u32> {
        let year = year + 1;
        let (mut word, bit) = (year as usize / 64, year % 64);
        let mut years = self.years.get(word)? >> bit << bit;
        while years == 0 {
            word += 1;
            years = *self.years.get(word)?;
        }
        Some(word as u32 * 64 + years.trailing_zeros())
    }

    fn year_before(&self, year: u32) -> Option<u32> {
        let mut word = year as usize / 64;
        let mut years = self.years[word] & ((1 << (year % 64)) - 1);
        while years == 0 {
            word = word.checked_sub(1)?;
            years = self.years[word];
        }
        Some(word as u32 * 64 + years.ilog2())
    }
}

/// The kinds of whole years that were searched in vain. There are fourteen kinds, so a date that never comes is found
/// out after fourteen years at most, not after a hundred and thirty.
#[derive(Default)]
struct KindsTried(u16);

impl KindsTried {
    /// Whether the kind of `year` was not there before.
    fn insert(&mut self, year: u32) -> bool {
        let bit = 1 << calendar::kind_of_year(year);
        let new = self.0 & bit == 0;
        self.0 |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_that_never_comes_is_found_out_in_both_directions() {
        for text in ["0 0 0 30 2 * *", "0 0 0 31 4,6,9,11 * *", "0 0 0 30W 2 * *", "0 0 0 29 2 * 2001-2003"] {
            let cron = Cron::parse(text).unwrap();
            assert_eq!(cron.first_at_or_after(0), None, "{text}");
            assert_eq!(cron.last_at_or_before(i64::MAX), None, "{text}");
        }
    }

    #[test]
    fn the_first_and_the_last_second_count() {
        let cron = Cron::parse("* * * * * * *").unwrap();
        let last = i64::from(LAST_SECOND);
        assert_eq!(cron.first_at_or_after(i64::MIN), Some(0));
        assert_eq!(cron.first_at_or_after(last), Some(last));
        assert_eq!(cron.first_at_or_after(last + 1), None);
        assert_eq!(cron.last_at_or_before(0), Some(0));
        assert_eq!(cron.last_at_or_before(-1), None);
        assert_eq!(cron.last_at_or_before(i64::MAX), Some(last));
    }
}
