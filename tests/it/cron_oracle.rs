//! A second, slow reading of the grammar and of the clock-change rule, from DESIGN's words and from chrono's calendar;
//! shares no code with the engine. Also the generator of expressions whose meaning it knows.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, Offset, TimeZone, Timelike, Weekday};
use chrono_tz::Tz;
use proptest::prelude::*;

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
type Item = (String, BTreeSet<u32>, bool);

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

    /// Whether it fires at this second: looks at the clock at this second and the one before, nothing else.
    pub fn fires(&self, unix: i64, tz: Tz) -> bool {
        let local = local(unix, tz);
        if !self.is_fixed_time() {
            return self.matches(local);
        }
        let first_time = tz.from_local_datetime(&local).earliest().is_some_and(|it| it.timestamp() == unix);
        if first_time && self.matches(local) {
            return true;
        }
        let mut skipped = self::local(unix - 1, tz) + Duration::seconds(1);
        while skipped < local {
            if self.matches(skipped) {
                return true;
            }
            skipped += Duration::seconds(1);
        }
        false
    }
}

impl Special {
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

/// The seconds at which the zone's offset changes, a change a year or so apart at least.
pub fn changes(tz: Tz) -> Vec<i64> {
    let offset = |unix: i64| {
        let utc = DateTime::from_timestamp(unix, 0).unwrap().naive_utc();
        tz.offset_from_utc_datetime(&utc).fix().local_minus_utc()
    };
    let mut found = Vec::new();
    let (mut known, end) = (0, 4_102_444_800);
    while known < end {
        let there = known + 86_400;
        if offset(known) != offset(there) {
            let seconds: Vec<i64> = (known..there).collect();
            let index = seconds.partition_point(|unix| offset(*unix) == offset(known));
            found.push(known + i64::try_from(index).unwrap());
        }
        known = there;
    }
    found
}

/// `low..=high`, by steps.
fn items(min: u32, max: u32) -> BoxedStrategy<Item> {
    let value = (min..=max, any::<bool>()).prop_map(|(value, padded)| {
        let text = if padded { format!("{value:02}") } else { value.to_string() };
        (text, BTreeSet::from([value]), true)
    });
    let range = (min..=max, min..=max, prop::option::of(1..=max.min(60))).prop_map(|(one, two, step)| {
        let (low, high) = (one.min(two), one.max(two));
        let mut text = format!("{low}-{high}");
        if let Some(step) = step {
            write!(text, "/{step}").unwrap();
        }
        (text, (low..=high).step_by(step.unwrap_or(1) as usize).collect(), false)
    });
    let from = (min..=max, 1..=max.min(60)).prop_map(move |(low, step)| {
        (format!("{low}/{step}"), (low..=max).step_by(step as usize).collect(), false)
    });
    let all = (1..=max.min(60))
        .prop_map(move |step| (format!("*/{step}"), (min..=max).step_by(step as usize).collect(), false));
    prop_oneof![4 => value, 2 => range, 1 => from, 1 => all].boxed()
}

fn join(items: &[Item], specials: &[(String, Special)]) -> Field {
    let texts: Vec<_> = items
        .iter()
        .map(|(text, ..)| text.as_str())
        .chain(specials.iter().map(|(text, _)| text.as_str()))
        .collect();
    Field {
        text: texts.join(","),
        values: items.iter().flat_map(|(_, values, _)| values.iter().copied()).collect(),
        specials: specials.iter().map(|(_, special)| *special).collect(),
        any: false,
        fixed: items.iter().all(|(.., fixed)| *fixed),
    }
}

fn wild(text: &str, min: u32, max: u32) -> Field {
    Field {
        text: text.to_owned(),
        values: (min..=max).collect(),
        specials: Vec::new(),
        any: true,
        fixed: false,
    }
}

fn field(min: u32, max: u32, wildcards: u32) -> BoxedStrategy<Field> {
    prop_oneof![
        wildcards => Just(wild("*", min, max)),
        3 => prop::collection::vec(items(min, max), 1..4).prop_map(|items| join(&items, &[])),
    ]
    .boxed()
}

fn day_of_month() -> BoxedStrategy<Field> {
    let special = prop_oneof![
        Just(("L".to_owned(), Special::LastDay)),
        Just(("lw".to_owned(), Special::LastWeekday)),
        (1_u32..=31).prop_map(|day| (format!("{day}W"), Special::Nearest(day))),
    ];
    prop_oneof![
        4 => Just(wild("*", 1, 31)),
        1 => Just(wild("?", 1, 31)),
        4 => (prop::collection::vec(items(1, 31), 0..3), prop::collection::vec(special, 0..3))
            .prop_filter("not empty", |(items, specials)| items.len() + specials.len() > 0)
            .prop_map(|(items, specials)| join(&items, &specials)),
    ]
    .boxed()
}

fn day_of_week() -> BoxedStrategy<Field> {
    const NAMES: [&str; 7] = ["SUN", "Mon", "tue", "WED", "THU", "FRI", "SAT"];
    let special = prop_oneof![
        (0_u32..=6).prop_map(|day| (format!("{day}L"), Special::LastOf(day))),
        (0_u32..=6, 1_u32..=5).prop_map(|(day, nth)| (format!("{day}#{nth}"), Special::Nth(day, nth))),
    ];
    let named = (0_u32..=6, 0_u32..=6).prop_map(|(one, two)| {
        let (low, high) = (one.min(two), one.max(two));
        (format!("{}-{}", NAMES[low as usize], NAMES[high as usize]), (low..=high).collect(), false)
    });
    let item = prop_oneof![3 => items(0, 6), 1 => named];
    prop_oneof![
        4 => Just(wild("*", 0, 6)),
        1 => Just(wild("?", 0, 6)),
        4 => (prop::collection::vec(item, 0..3), prop::collection::vec(special, 0..3))
            .prop_filter("not empty", |(items, specials)| items.len() + specials.len() > 0)
            .prop_map(|(items, specials)| join(&items, &specials)),
    ]
    .boxed()
}

/// Any expression. Wildcards in month and year are frequent, so that most of them fire.
pub fn expression() -> impl Strategy<Value = Expression> {
    let fields = (
        field(0, 59, 2),
        field(0, 59, 2),
        field(0, 23, 2),
        day_of_month(),
        field(1, 12, 6),
        day_of_week(),
        field(1970, 2099, 9),
    );
    fields.prop_map(|(second, minute, hour, day, month, weekday, year)| Expression {
        fields: [second, minute, hour, day, month, weekday, year],
    })
}

/// Times of day without wildcard, range or step, within an hour and a half of `hour`; every day.
pub fn fixed_times(hour: u32) -> impl Strategy<Value = Expression> {
    let list = |values: BoxedStrategy<u32>| {
        prop::collection::vec(values, 1..4).prop_map(|values| {
            let items = values.into_iter().map(|value| (value.to_string(), BTreeSet::from([value]), true));
            join(&items.collect::<Vec<_>>(), &[])
        })
    };
    let quarter = prop_oneof![Just(0_u32), Just(15), Just(30), Just(45), 0_u32..60].boxed();
    let near = (22_u32..=25).prop_map(move |more| (hour + more) % 24).boxed();
    (list(quarter.clone()), list(quarter), list(near)).prop_map(|(second, minute, hour)| Expression {
        fields: [
            second,
            minute,
            hour,
            wild("*", 1, 31),
            wild("*", 1, 12),
            wild("?", 0, 6),
            wild("*", 1970, 2099),
        ],
    })
}
