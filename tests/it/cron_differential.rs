//! The `cron` crate and `croner` as second opinions, on the dialect that we share.
//!
//! - `cron` wants both day fields to match and counts weekdays from 1: at most one day field is given, weekdays are names.
//! - `croner` reads `SUN-SUN` as the whole week: ranges here start on Monday.
//! - `croner` follows the either-day rule; where its reading of clock changes differs from ours the oracle decides, so
//!   this asks in a zone without any.

use std::str::FromStr;

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use gulou::schedule::Schedule;
use proptest::prelude::*;

const ZONE: Tz = Tz::Asia__Shanghai;
const STEPS: usize = 5;

fn ours(text: &str, after: DateTime<Tz>) -> Vec<i64> {
    let schedule = Schedule::parse(text, ZONE.name()).unwrap();
    std::iter::successors(schedule.next(after.timestamp()), |at| schedule.next(*at)).take(STEPS).collect()
}

fn numbers(min: u32, max: u32) -> BoxedStrategy<String> {
    let value = (min..=max).prop_map(|value| value.to_string());
    let range = (min..=max, min..=max).prop_map(|(one, two)| format!("{}-{}", one.min(two), one.max(two)));
    let stepped = (min..=max, min..=max, 1..=(max - min).min(30))
        .prop_map(|(one, two, step)| format!("{}-{}/{step}", one.min(two), one.max(two)));
    let every = (1..=(max - min).min(30)).prop_map(|step| format!("*/{step}"));
    let item = prop_oneof![4 => value, 2 => range, 1 => stepped, 1 => every];
    prop_oneof![2 => Just("*".to_owned()), 3 => prop::collection::vec(item, 1..4).prop_map(|items| items.join(","))].boxed()
}

fn weekdays() -> impl Strategy<Value = String> {
    const NAMES: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let named = prop::sample::subsequence(&NAMES[..], 1..=7).prop_map(|names| names.join(","));
    let range = (1..7_usize, 1..7_usize)
        .prop_map(|(one, two)| format!("{}-{}", NAMES[one.min(two)], NAMES[one.max(two)]));
    prop_oneof![named, range]
}

/// Second, minute, hour, month.
fn rest() -> impl Strategy<Value = (String, String, String, String)> {
    (numbers(0, 59), numbers(0, 59), numbers(0, 23), numbers(1, 12))
}

/// An instant from 1992, when clocks in Shanghai stopped changing, to 2089, so that five more fires come.
fn instant() -> impl Strategy<Value = DateTime<Tz>> {
    (694_224_000_i64..3_755_203_200).prop_map(|unix| ZONE.timestamp_opt(unix, 0).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_cron(
        (second, minute, hour, month) in rest(),
        day in prop_oneof![numbers(1, 31).prop_map(|day| (day, "*".to_owned())), weekdays().prop_map(|day| ("*".to_owned(), day))],
        after in instant(),
    ) {
        let text = format!("{second} {minute} {hour} {} {month} {} *", day.0, day.1);
        let theirs = cron::Schedule::from_str(&text).unwrap();
        let theirs: Vec<_> = theirs.after(&after).take(STEPS).map(|time| time.timestamp()).collect();
        prop_assert_eq!(ours(&text, after), theirs, "{} after {}", text, after);
    }

    #[test]
    fn agrees_with_croner(
        (second, minute, hour, month) in rest(),
        day in prop_oneof![3 => numbers(1, 31), 1 => Just("L".to_owned()), 1 => (1..=31).prop_map(|day| format!("{day}W"))],
        weekday in prop_oneof![
            2 => Just("*".to_owned()),
            2 => weekdays(),
            1 => (0..=6, 1..=5).prop_map(|(day, nth)| format!("{day}#{nth}")),
            1 => (0..=6).prop_map(|day| format!("{day}L")),
        ],
        after in instant(),
    ) {
        let text = format!("{second} {minute} {hour} {day} {month} {weekday} *");
        let parser = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Required)
            .year(croner::parser::Year::Required)
            .build();
        let theirs = parser.parse(&text).unwrap();
        let theirs: Vec<_> = theirs.iter_after(after).take(STEPS).map(|time| time.timestamp()).collect();
        prop_assert_eq!(ours(&text, after), theirs, "{} after {}", text, after);
    }
}
