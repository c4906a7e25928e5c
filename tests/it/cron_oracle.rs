//! A second, slow reading of the grammar and of the clock-change rule, from DESIGN's words and from chrono's calendar;
//! shares no code with the engine. Expressions are put together here, so that their meaning is known without reading them.
//!
//! The fuzz targets use this file too: it may use chrono and nothing of the tests.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, Offset, TimeZone, Timelike, Weekday};
use chrono_tz::Tz;

/// One field: its text, and what it means.
#[derive(Clone, Debug)]
pub struct Field {
    pub text: String,
    /// Plain values.
    pub values: BTreeSet<u32>,
    pub specials: Vec<Special>,
    /// `*` or `?`.
    pub any: bool,
    /// Values or lists of values.
    pub fixed: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Special {
    LastDay,
    LastWeekday,
    Nearest(u32),
    LastOf(u32),
    Nth(u32, u32),
}

/// An element of a list: its text, its values, and whether it is a plain value.
pub type Item = (String, BTreeSet<u32>, bool);

/// An expression whose meaning is known.
#[derive(Clone, Debug)]
pub struct Expression {
    /// second, minute, hour, day of month, month, day of week, year
    pub fields: [Field; 7],
}

impl Expression {
    pub fn text(&self) -> String {
        let texts: Vec<_> = self.fields.iter().map(|field| field.text.as_str()).collect();
        texts.join(" ")
    }

    pub fn is_fixed_time(&self) -> bool {
        self.fields[..3].iter().all(|field| field.fixed)
    }

    pub fn matches_date(&self, date: NaiveDate) -> bool {
        let [.., month, weekday, year] = &self.fields;
        let day = &self.fields[3];
        let of_month = day.values.contains(&date.day()) || day.specials.iter().any(|it| it.matches(date));
        let of_week = weekday.values.contains(&date.weekday().num_days_from_sunday())
            || weekday.specials.iter().any(|it| it.matches(date));
        let days = match (day.any, weekday.any) {
            (true, true) => true,
            (false, true) => of_month,
            (true, false) => of_week,
            (false, false) => of_month || of_week,
        };
        days && month.values.contains(&date.month())
            && u32::try_from(date.year()).is_ok_and(|value| year.values.contains(&value))
    }

    pub fn matches(&self, local: NaiveDateTime) -> bool {
        let [second, minute, hour, ..] = &self.fields;
        second.values.contains(&local.second())
            && minute.values.contains(&local.minute())
            && hour.values.contains(&local.hour())
            && self.matches_date(local.date())
    }

    /// All seconds of `start..=end` at which it fires, one looked at after the other.
    pub fn fires_between(&self, tz: Tz, start: i64, end: i64) -> Vec<i64> {
        let [second, minute, hour, ..] = &self.fields;
        let mut times = vec![false; 86_400];
        for hour in &hour.values {
            for minute in &minute.values {
                for second in &second.values {
                    times[((hour * 60 + minute) * 60 + second) as usize] = true;
                }
            }
        }
        let mut known = None;
        let mut matches = |local: i64| {
            let day = local.div_euclid(86_400);
            times[usize::try_from(local.rem_euclid(86_400)).unwrap()]
                && match known {
                    Some((known, matches)) if known == day => matches,
                    _ => {
                        let date = NaiveDate::default() + Duration::days(day);
                        let matches = self.matches_date(date);
                        known = Some((day, matches));
                        matches
                    }
                }
        };
        let fixed = self.is_fixed_time();
        let mut shown = start - 1 + offset(start - 1, tz);
        let mut found = Vec::new();
        let mut ahead = None;
        for unix in start..=end {
            // Changes are more than a day apart: ten minutes with the same offset at both ends have no other.
            if (unix - start) % 600 == 0 {
                ahead = Some(offset(unix, tz)).filter(|here| *here == offset(unix + 600, tz));
            }
            let local = unix + ahead.unwrap_or_else(|| offset(unix, tz));
            let mut fires = matches(local);
            if fixed {
                fires = fires && {
                    let local = DateTime::from_timestamp(local, 0).unwrap().naive_utc();
                    tz.from_local_datetime(&local).earliest().is_some_and(|it| it.timestamp() == unix)
                };
                fires = fires || (shown + 1..local).any(&mut matches);
            }
            if fires {
                found.push(unix);
            }
            shown = local;
        }
        found
    }
}

impl Special {
    pub fn text(self) -> String {
        match self {
            Self::LastDay => "L".to_owned(),
            Self::LastWeekday => "lw".to_owned(),
            Self::Nearest(day) => format!("{day}W"),
            Self::LastOf(day) => format!("{day}L"),
            Self::Nth(day, nth) => format!("{day}#{nth}"),
        }
    }

    fn matches(self, date: NaiveDate) -> bool {
        let last = last_of_month(date);
        let weekday = date.weekday().num_days_from_sunday();
        match self {
            Self::LastDay => date == last,
            Self::LastWeekday => {
                date == (0..3).map(|back| last - Duration::days(back)).find(is_weekday).unwrap()
            }
            Self::Nearest(day) => date.with_day(day).is_some_and(|wanted| date == nearest(wanted)),
            Self::LastOf(day) => weekday == day && (last - date).num_days() < 7,
            Self::Nth(day, nth) => weekday == day && (date.day() - 1) / 7 + 1 == nth,
        }
    }
}

/// The working day closest to `wanted` that is in the same month.
fn nearest(wanted: NaiveDate) -> NaiveDate {
    [0, -1, 1, -2, 2]
        .into_iter()
        .map(|days| wanted + Duration::days(days))
        .find(|date| date.month() == wanted.month() && is_weekday(date))
        .unwrap()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "used as a predicate of find")]
fn is_weekday(date: &NaiveDate) -> bool {
    !matches!(date.weekday(), Weekday::Sat | Weekday::Sun)
}

fn last_of_month(date: NaiveDate) -> NaiveDate {
    (28..=31).rev().find_map(|day| date.with_day(day)).unwrap()
}

pub fn local(unix: i64, tz: Tz) -> NaiveDateTime {
    DateTime::from_timestamp(unix, 0).unwrap().with_timezone(&tz).naive_local()
}

/// Seconds from UTC to what the clock shows.
fn offset(unix: i64, tz: Tz) -> i64 {
    let utc = DateTime::from_timestamp(unix, 0).unwrap().naive_utc();
    tz.offset_from_utc_datetime(&utc).fix().local_minus_utc().into()
}

/// A second at which a clock is set, and its offset from UTC before and from then on.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Change {
    pub unix: i64,
    pub before: i64,
    pub after: i64,
}

/// All changes of a zone between 1970 and 2099. They are more than a day apart.
pub fn changes(tz: Tz) -> Vec<Change> {
    let offset = |unix| offset(unix, tz);
    let mut found = Vec::new();
    let mut before = offset(0);
    for day in 1..=47_482 {
        let (mut low, mut high) = (86_400 * (day - 1), 86_400 * day);
        let after = offset(high);
        if after == before {
            continue;
        }
        while high - low > 1 {
            let middle = low.midpoint(high);
            if offset(middle) == before { low = middle } else { high = middle }
        }
        found.push(Change { unix: high, before, after });
        before = after;
    }
    found
}

/// A list of items and special days.
pub fn join(items: &[Item], specials: &[Special]) -> Field {
    let texts: Vec<_> = items
        .iter()
        .map(|(text, ..)| text.clone())
        .chain(specials.iter().map(|special| special.text()))
        .collect();
    Field {
        text: texts.join(","),
        values: items.iter().flat_map(|(_, values, _)| values.iter().copied()).collect(),
        specials: specials.to_vec(),
        any: false,
        fixed: items.iter().all(|(.., fixed)| *fixed),
    }
}

/// A list of values.
pub fn listed(values: impl IntoIterator<Item = u32>) -> Field {
    join(&values.into_iter().map(|it| value(it, false)).collect::<Vec<_>>(), &[])
}

/// `low-high/step`
pub fn stepped(low: u32, high: u32, step: u32) -> Field {
    join(&[range(low, high, Some(step))], &[])
}

/// `7`, or `07`
pub fn value(value: u32, padded: bool) -> Item {
    let text = if padded { format!("{value:02}") } else { value.to_string() };
    (text, BTreeSet::from([value]), true)
}

/// `low-high` or `low-high/step`
pub fn range(low: u32, high: u32, step: Option<u32>) -> Item {
    let values = (low..=high).step_by(step.unwrap_or(1) as usize).collect();
    let step = step.map(|step| format!("/{step}")).unwrap_or_default();
    (format!("{low}-{high}{step}"), values, false)
}

/// `low/step`, or `*/step` without `low`
pub fn from(low: Option<u32>, (min, max): (u32, u32), step: u32) -> Item {
    let start = low.map_or_else(|| "*".to_owned(), |low| low.to_string());
    let values = (low.unwrap_or(min)..=max).step_by(step as usize).collect();
    (format!("{start}/{step}"), values, false)
}

/// `Mon-FRI`
pub fn named_days(low: u32, high: u32) -> Item {
    const NAMES: [&str; 7] = ["SUN", "Mon", "tue", "WED", "THU", "FRI", "SAT"];
    (format!("{}-{}", NAMES[low as usize], NAMES[high as usize]), (low..=high).collect(), false)
}

/// Every day at these times.
pub fn daily(second: Field, minute: Field, hour: Field) -> Expression {
    let fields =
        [second, minute, hour, wild("*", 1, 31), wild("*", 1, 12), wild("?", 0, 6), wild("*", 1970, 2099)];
    Expression { fields }
}

pub fn wild(text: &str, min: u32, max: u32) -> Field {
    Field {
        text: text.to_owned(),
        values: (min..=max).collect(),
        specials: Vec::new(),
        any: true,
        fixed: false,
    }
}
