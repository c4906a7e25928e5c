//! An expression in one plain sentence, in English or Chinese.
//!
//! Written from the masks: what is said is what fires, however it was spelt.

mod chinese;
mod english;

use super::calendar;
use super::expression::{ALL_YEARS, Cron, DAYS_GIVEN, LAST_SHIFT, WEEKDAYS_GIVEN};

/// A language that Gulou explains schedules in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Language {
    /// English.
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Cron {
    /// When it fires, in one sentence without a full stop.
    ///
    /// ```
    /// use gulou::cron::{Cron, Language};
    /// let cron = Cron::parse("0 30 17 * * FRI *")?;
    /// assert_eq!(cron.explain(Language::English), "at 17:30, every Friday");
    /// assert_eq!(cron.explain(Language::Chinese), "每周五 17:30");
    /// # Ok::<(), gulou::cron::ParseError>(())
    /// ```
    pub fn explain(&self, language: Language) -> String {
        match language {
            Language::English => english::sentence(self),
            Language::Chinese => chinese::sentence(self),
        }
    }

    fn second_set(&self) -> Set {
        Set { bits: u128::from(self.seconds), min: 0, max: 59 }
    }

    fn minute_set(&self) -> Set {
        Set { bits: u128::from(self.minutes), min: 0, max: 59 }
    }

    fn hour_set(&self) -> Set {
        Set { bits: u128::from(self.hours), min: 0, max: 23 }
    }

    fn month_set(&self) -> Set {
        Set { bits: u128::from(self.months), min: 1, max: 12 }
    }

    /// The plain days of the month.
    fn day_set(&self) -> Set {
        Set { bits: u128::from(self.days & !1), min: 1, max: 31 }
    }

    /// The weekdays that count in every week.
    fn weekday_set(&self) -> Set {
        let always = (1..5).fold(self.weeks & 0x7f, |all, week| all & self.weeks >> (7 * week));
        Set { bits: u128::from(always), min: 0, max: 6 }
    }

    /// The last weekdays of a month, 0-6.
    fn last_weekdays(&self) -> Vec<u32> {
        (0..7).filter(|day| self.weeks >> (LAST_SHIFT + day) & 1 != 0).collect()
    }

    /// The k-th weekdays of a month: (weekday, k).
    fn nth_weekdays(&self) -> Vec<(u32, u32)> {
        let always = self.weekday_set();
        (0..35)
            .filter(|bit| self.weeks >> bit & 1 != 0)
            .map(|bit| (bit % 7, bit / 7 + 1))
            .filter(|(day, _)| !always.has(*day))
            .collect()
    }

    /// The days whose nearest weekday counts.
    fn nearest_days(&self) -> Vec<u32> {
        (1..=31).filter(|day| self.nearest >> day & 1 != 0).collect()
    }

    fn has_last_day(&self) -> bool {
        self.days & 1 != 0
    }

    fn has_last_weekday(&self) -> bool {
        self.nearest & 1 != 0
    }

    fn days_given(&self) -> bool {
        self.has(DAYS_GIVEN)
    }

    fn weekdays_given(&self) -> bool {
        self.has(WEEKDAYS_GIVEN)
    }

    /// The years as ranges; empty when all of them count.
    fn year_runs(&self) -> Vec<(u32, u32)> {
        if self.years == ALL_YEARS {
            return Vec::new();
        }
        runs((0..calendar::YEARS).filter(|year| self.has_year(*year)).map(|year| year + 1970))
    }

    /// The times of day when they are few enough to be listed: hour, minute, second.
    fn few_times(&self) -> Option<Vec<(u32, u32, u32)>> {
        const FEW: u32 = 6;
        let (hours, minutes, seconds) = (self.hour_set(), self.minute_set(), self.second_set());
        if hours.count() * minutes.count() * seconds.count() > FEW {
            return None;
        }
        let of_hour = |hour| minutes.values().map(move |minute| (hour, minute));
        let of_minute = |(hour, minute)| seconds.values().map(move |second| (hour, minute, second));
        Some(hours.values().flat_map(of_hour).flat_map(of_minute).collect())
    }
}

/// The values of one field.
#[derive(Clone, Copy)]
struct Set {
    bits: u128,
    min: u32,
    max: u32,
}

impl Set {
    fn has(self, value: u32) -> bool {
        self.bits >> value & 1 != 0
    }

    fn values(self) -> impl Iterator<Item = u32> {
        (self.min..=self.max).filter(move |value| self.has(*value))
    }

    fn count(self) -> u32 {
        self.bits.count_ones()
    }

    fn is_all(self) -> bool {
        self.count() == self.max - self.min + 1
    }

    /// The only value.
    fn single(self) -> Option<u32> {
        (self.count() == 1).then(|| self.bits.trailing_zeros())
    }

    /// The distance of values that are evenly spread from the first to the last of the field; at least three of them.
    fn step(self) -> Option<u32> {
        let mut values = self.values();
        let (first, second) = (values.next()?, values.next()?);
        let step = second - first;
        let even = (self.min..=self.max).step_by(step as usize).eq(self.values());
        (even && first == self.min && step > 1 && self.count() > 2).then_some(step)
    }

    fn runs(self) -> Vec<(u32, u32)> {
        runs(self.values())
    }
}

/// Neighbours joined: first and last of each run.
fn runs(values: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == value => *last = value,
            _ => runs.push((value, value)),
        }
    }
    runs
}

/// `09:00`, or `09:00:05` when the second counts.
fn clock((hour, minute, second): (u32, u32, u32)) -> String {
    if second == 0 { format!("{hour:02}:{minute:02}") } else { format!("{hour:02}:{minute:02}:{second:02}") }
}
