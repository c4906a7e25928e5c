//! Fire times agree with looking at one second after the other, and, on the dialect that is shared, with the `cron` crate
//! and `croner`.
#![no_main]

use std::cell::RefCell;
use std::collections::HashMap;
use std::str::FromStr;

use chrono::{DateTime, Days, TimeZone};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};
use gulou_fuzz::cron::{Cron, Zone};
use gulou_fuzz::expression::expression;
use gulou_fuzz::oracle::{Expression, changes, local};
use libfuzzer_sys::arbitrary::{Result, Unstructured};

/// What is looked at before and after an instant.
const AROUND: i64 = 4000;
/// So many days are looked at for the next one that matches.
const DAYS: usize = 400;

/// Of each kind of clock change; all zones are asked by tests/it/cron_clock_changes.rs.
const ZONES: [Tz; 12] = [
    Tz::Asia__Shanghai,
    Tz::America__New_York,
    Tz::Europe__London,
    Tz::America__Sao_Paulo,
    Tz::Australia__Lord_Howe,
    Tz::Africa__Casablanca,
    Tz::Africa__Monrovia,
    Tz::Africa__Cairo,
    Tz::Pacific__Apia,
    Tz::Pacific__Kwajalein,
    Tz::Antarctica__Troll,
    Tz::UTC,
];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Unstructured::new(bytes);
    // Too few bytes are not an expression.
    let _ = if bytes.ratio(1, 4).unwrap_or_default() { peers(&mut bytes) } else { brute_force(&mut bytes) };
});

fn brute_force(bytes: &mut Unstructured<'_>) -> Result<()> {
    let tz = *bytes.choose(&ZONES)?;
    let middle = moment(bytes, tz)?;
    let expression = expression(bytes)?;
    let text = expression.text();
    let cron = Cron::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(cron.is_fixed_time(), expression.is_fixed_time(), "{text}");
    around(&expression, &cron, tz, middle);
    date(&expression, &cron, middle);
    Ok(())
}

/// An instant, often one close to a clock change.
fn moment(bytes: &mut Unstructured<'_>, tz: Tz) -> Result<i64> {
    thread_local! {
        static CHANGES: RefCell<HashMap<Tz, Vec<i64>>> = RefCell::default();
    }
    if bytes.ratio(1, 3)? {
        return bytes.int_in_range(0..=4_102_444_799);
    }
    CHANGES.with_borrow_mut(|known| {
        let changes = known.entry(tz).or_insert_with(|| changes(tz).iter().map(|it| it.unix).collect());
        let change = if changes.is_empty() { 0 } else { *bytes.choose(changes)? };
        Ok(change + bytes.int_in_range(-AROUND..=AROUND)?)
    })
}

fn around(expression: &Expression, cron: &Cron, tz: Tz, middle: i64) {
    let zone = Zone::of(tz);
    let (start, end) = (middle - AROUND, middle + AROUND);
    let fires = expression.fires_between(tz, start, end);
    let what = || format!("{} in {tz} around {middle}", expression.text());
    assert_eq!(cron.count_between(start - 1, end, &zone), fires.len() as u64, "{}", what());
    let near = fires.iter().copied().take(100).chain([start, middle, end]);
    for at in near.flat_map(|unix| [unix - 1, unix, unix + 1]) {
        let next = cron.next_after(at, &zone);
        assert!(next.is_none_or(|next| next > at), "{} after {at}: {next:?}", what());
        let expected = fires.get(fires.partition_point(|fire| *fire <= at)).copied();
        let inside = next.filter(|next| (start..=end).contains(next));
        assert_eq!(inside, expected, "{} after {at}", what());
        let previous = cron.previous_before(at, &zone);
        assert!(previous.is_none_or(|previous| previous < at), "{} before {at}: {previous:?}", what());
        let expected = fires[..fires.partition_point(|fire| *fire < at)].last().copied();
        let inside = previous.filter(|previous| (start..=end).contains(previous));
        assert_eq!(inside, expected, "{} before {at}", what());
    }
}

/// The next day that matches, on a clock that is never changed.
fn date(expression: &Expression, cron: &Cron, unix: i64) {
    let midnight = unix.max(0) / 86_400 * 86_400;
    let today = local(midnight, Tz::UTC).date();
    let last = today + Days::new(DAYS as u64);
    let expected = today.iter_days().skip(1).take(DAYS).find(|date| expression.matches_date(*date));
    let found =
        cron.next_after(midnight + 86_399, &Zone::of(Tz::UTC)).map(|unix| local(unix, Tz::UTC).date());
    assert_eq!(found.filter(|date| *date <= last), expected, "{} after {today}", expression.text());
}

/// - `cron` wants both day fields to match and counts weekdays from 1: one day field is given, weekdays are names.
/// - `croner` reads `SUN-SUN` as the whole week: ranges start on Monday.
/// - In Shanghai clocks did not change after 1991: what the peers do then is their own.
fn peers(bytes: &mut Unstructured<'_>) -> Result<()> {
    let (second, minute, hour) = (numbers(bytes, 0, 59)?, numbers(bytes, 0, 59)?, numbers(bytes, 0, 23)?);
    let month = if bytes.arbitrary()? { "*".to_owned() } else { numbers(bytes, 1, 12)? };
    let by_weekday = bytes.arbitrary()?;
    let (day, weekday) = if by_weekday {
        ("*".to_owned(), weekdays(bytes)?)
    } else {
        (numbers(bytes, 1, 31)?, "*".to_owned())
    };
    let tz = Tz::Asia__Shanghai;
    let after = tz.timestamp_opt(bytes.int_in_range(694_224_000..=3_755_203_199)?, 0).unwrap();
    let text = format!("{second} {minute} {hour} {day} {month} {weekday} *");
    let found = found(&text, after);
    let theirs = cron::Schedule::from_str(&text).unwrap();
    let theirs: Vec<_> = theirs.after(&after).take(found.len().max(1)).map(|it| it.timestamp()).collect();
    assert_eq!(found, theirs, "cron: {text} after {after}");
    // Both given: the either-day rule, which croner has too.
    let both = if by_weekday { format!("{second} {minute} {hour} 13 {month} {weekday} *") } else { text };
    let found = self::found(&both, after);
    if found.is_empty() {
        // croner looks for milliseconds before it gives up.
        return Ok(());
    }
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Required).build();
    let theirs = parser.parse(&both).unwrap();
    let theirs: Vec<_> = theirs.iter_after(after).take(found.len()).map(|it| it.timestamp()).collect();
    assert_eq!(found, theirs, "croner: {both} after {after}");
    Ok(())
}

fn found(text: &str, after: DateTime<Tz>) -> Vec<i64> {
    let (cron, zone) = (Cron::parse(text).unwrap(), Zone::of(after.timezone()));
    let next = |at: i64| cron.next_after(at, &zone);
    std::iter::successors(next(after.timestamp()), |at| next(*at)).take(3).collect()
}

fn numbers(bytes: &mut Unstructured<'_>, min: u32, max: u32) -> Result<String> {
    if bytes.ratio(1, 3)? {
        return Ok("*".to_owned());
    }
    let item = |bytes: &mut Unstructured<'_>| {
        let (one, two) = (bytes.int_in_range(min..=max)?, bytes.int_in_range(min..=max)?);
        let (low, high, step) = (one.min(two), one.max(two), bytes.int_in_range(1..=(max - min).min(30))?);
        Ok(match bytes.int_in_range(0..=3)? {
            0 => one.to_string(),
            1 => format!("{low}-{high}"),
            2 => format!("{low}-{high}/{step}"),
            _ => format!("*/{step}"),
        })
    };
    let items = (0..bytes.int_in_range(1..=3)?).map(|_| item(bytes)).collect::<Result<Vec<_>>>()?;
    Ok(items.join(","))
}

fn weekdays(bytes: &mut Unstructured<'_>) -> Result<String> {
    const NAMES: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let (one, two) = (bytes.int_in_range(1..=6)?, bytes.int_in_range(1..=6)?);
    Ok(match bytes.int_in_range(0..=2)? {
        0 => format!("{}-{}", NAMES[one.min(two)], NAMES[one.max(two)]),
        1 => NAMES[one - 1].to_owned(),
        _ => format!("{},{}", NAMES[one - 1], NAMES[two]),
    })
}
