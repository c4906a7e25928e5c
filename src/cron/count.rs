//! How many fire times lie in a stretch of time, without walking from one to the next.
//!
//! Matching days are counted month by month, times of day by multiplication; a zone is taken span by span, because the
//! rule for gaps and repeated hours is about their borders. A century and a third of seconds takes microseconds in a
//! zone without clock changes, and some tens of them where clocks change twice a year.

#![expect(clippy::cast_possible_truncation, reason = "the masks have the bits of their fields and no others")]

use super::calendar::{self, DAY, Date, LAST_SECOND, YEARS};
use super::expression::{Cron, EVERY_DAY};
use super::fire::FAR;
use super::zone::{Span, Zone};

impl Cron {
    /// How many fire times are later than `after` and not later than `until`; both in unix seconds.
    ///
    /// ```
    /// use gulou::cron::{Cron, Zone};
    /// let shanghai = Zone::of(chrono_tz::Asia::Shanghai);
    /// let daily = Cron::parse("0 30 17 * * * *")?;
    /// // The year 2026 in Beijing.
    /// assert_eq!(daily.count_between(1_767_196_799, 1_798_732_799, &shanghai), 365);
    /// # Ok::<(), gulou::cron::ParseError>(())
    /// ```
    pub fn count_between(&self, after: i64, until: i64, zone: &Zone) -> u64 {
        let (from, until) = (after.saturating_add(1).max(-FAR), until.min(FAR));
        if from > until {
            return 0;
        }
        let matches = Matches::of(self);
        let spans = zone.spans()[zone.index_at(from)..].iter().take_while(|span| span.start <= until);
        let of_span = |span: &Span| {
            let (first, last) = (from.max(span.start), until.min(span.end - 1));
            if self.is_fixed_time() {
                matches.fixed(first, last, span)
            } else {
                matches.shown(first, last, span)
            }
        };
        spans.map(of_span).sum()
    }

    /// How many times of day there are.
    const fn times(&self) -> u64 {
        (self.hours.count_ones() * self.minutes.count_ones() * self.seconds.count_ones()) as u64
    }

    /// How many times of day are earlier than `time`, which is in seconds since midnight.
    const fn times_before(&self, time: u32) -> u64 {
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        let seconds = self.seconds.count_ones();
        let minutes = self.minutes.count_ones();
        let mut found = (self.hours & ((1 << hour) - 1)).count_ones() * minutes * seconds;
        if self.hours >> hour & 1 != 0 {
            found += (self.minutes & ((1 << minute) - 1)).count_ones() * seconds;
            if self.minutes >> minute & 1 != 0 {
                found += (self.seconds & ((1 << second) - 1)).count_ones();
            }
        }
        found as u64
    }
}

/// An expression, and what its years add up to.
struct Matches<'a> {
    cron: &'a Cron,
    /// How many matching days there are before the first of January of each year, 2100 included.
    before: [u16; YEARS as usize + 1],
}

impl<'a> Matches<'a> {
    fn of(cron: &'a Cron) -> Self {
        let mut before = [0; YEARS as usize + 1];
        // Years that look alike have as many: fourteen are counted at most.
        let mut known = [None; 14];
        let mut days = 0;
        for year in 0..YEARS {
            if cron.has_year(year) {
                let kind = calendar::kind_of_year(year) as usize;
                days += *known[kind].get_or_insert_with(|| days_before_month(cron, year, 13) as u16);
            }
            before[year as usize + 1] = days;
        }
        Self { cron, before }
    }

    /// How many matches a clock that is never changed shows before `local`.
    fn before(&self, local: i64) -> u64 {
        let Ok(local) = u32::try_from(local.min(i64::from(LAST_SECOND) + 1)) else { return 0 };
        let (number, time) = (local / DAY, local % DAY);
        if self.cron.has(EVERY_DAY) {
            return u64::from(number) * self.cron.times() + self.cron.times_before(time);
        }
        // 2100-01-01 may be asked for: that year does not match, what was before it counts.
        let Date { year, month, day } = calendar::date(number);
        let mut days = u32::from(self.before[year as usize]);
        let mut of_day = 0;
        if self.cron.has_year(year) {
            days += days_before_month(self.cron, year, month);
            if self.cron.has_month(month) {
                let matching = self.cron.days_of_month(year, month);
                days += (matching & ((1 << day) - 1)).count_ones();
                if matching >> day & 1 != 0 {
                    of_day = self.cron.times_before(time);
                }
            }
        }
        u64::from(days) * self.cron.times() + of_day
    }

    /// How many matches there are in `from..until` on a clock that is never changed.
    fn within(&self, from: i64, until: i64) -> u64 {
        if from < until { self.before(until) - self.before(from) } else { 0 }
    }

    /// An interval's fires from instant `first` to `last`, both in `span`: whatever the clock shows.
    fn shown(&self, first: i64, last: i64, span: &Span) -> u64 {
        self.within(first + span.offset, last + span.offset + 1)
    }

    /// Fixed times from instant `first` to `last`, both in `span`: what the clock before did not show. All times that the
    /// gap before the span swallows are one fire at its start.
    fn fixed(&self, first: i64, last: i64, span: &Span) -> u64 {
        let end = last + span.offset + 1;
        let start = span.local_start();
        if first > span.start || span.before > start {
            return self.within(span.before.max(first + span.offset), end);
        }
        u64::from(self.within(span.before, start + 1) > 0) + self.within(start + 1, end)
    }
}

/// How many days of `year` match before the first of `month`; 13 for the whole year.
fn days_before_month(cron: &Cron, year: u32, month: u32) -> u32 {
    let months = (1..month).filter(|month| cron.has_month(*month));
    months.map(|month| cron.days_of_month(year, month).count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn count(text: &str, zone: &str, after: i64, until: i64) -> u64 {
        let zone: Arc<Zone> = Zone::of(zone.parse().unwrap());
        Cron::parse(text).unwrap().count_between(after, until, &zone)
    }

    const DAYS: u64 = 47_482;

    #[test]
    fn all_years_are_counted_at_once() {
        for (text, expected) in [
            ("* * * * * * *", DAYS * 86_400),
            ("* * * * * * 1970-2099", DAYS * 86_400),
            ("* * * 1-31 * * *", DAYS * 86_400),
            ("*/2 */2 */2 * * ? *", DAYS * 30 * 30 * 12),
            ("0 0 0 * * * *", DAYS),
            ("59 59 23 31 12 ? *", 130),
            ("0 0 0 29 2 * *", 32),
            ("0 0 0 L * * *", 130 * 12),
            ("0 0 0 13 * FRI 2026", 12 + 52 - 3),
            ("* * * * * * 2099", 365 * 86_400),
            ("0 0 0 30 2 * *", 0),
        ] {
            assert_eq!(count(text, "UTC", i64::MIN, i64::MAX), expected, "{text}");
        }
        // In Shanghai clocks were set forward six times, and six times back again.
        assert_eq!(count("* * * * * * *", "Asia/Shanghai", i64::MIN, i64::MAX), DAYS * 86_400);
    }

    #[test]
    fn the_start_is_left_out_and_the_end_belongs_to_it() {
        let last = i64::from(LAST_SECOND);
        for (after, until, expected) in [
            (0, 0, 0),
            (5, 4, 0),
            (i64::MAX, i64::MIN, 0),
            (-1, 0, 1),
            (0, 60, 1),
            (0, 59, 0),
            (i64::MIN, -1, 0),
            (i64::MIN, 0, 1),
            (last - 60, last, 1),
            (last, i64::MAX, 0),
            (i64::MAX - 1, i64::MAX, 0),
        ] {
            assert_eq!(count("0 * * * * * *", "UTC", after, until), expected, "{after} {until}");
        }
    }

    /// 9 March and 2 November 2025 in New York: a day of 23 hours and one of 25.
    #[test]
    fn clock_changes_count_as_they_fire() {
        let spring = |text| count(text, "America/New_York", 1_741_496_400 - 1, 1_741_579_200 - 1);
        assert_eq!(spring("0 0 * * * * *"), 23);
        assert_eq!(spring("0 0,15,30,45 2 * * * *"), 1, "all of them in the gap");
        assert_eq!(spring("0 0,30 2,3 * * * *"), 2, "the end of the gap is a time of its own");
        assert_eq!(spring("0 */15 2 * * * *"), 0);
        let autumn = |text| count(text, "America/New_York", 1_762_056_000 - 1, 1_762_146_000 - 1);
        assert_eq!(autumn("0 0 * * * * *"), 25);
        assert_eq!(autumn("0 30 1 * * * *"), 1, "the first time only");
        assert_eq!(autumn("0 */30 1 * * * *"), 4);
    }
}
