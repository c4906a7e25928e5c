//! What other engines are known to get wrong; each trap once.

use chrono::DateTime;
use gulou::cron::Cron;
use gulou::schedule::Schedule;

fn next(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(expression, zone).unwrap();
    let after = DateTime::parse_from_rfc3339(after).unwrap().timestamp();
    std::iter::successors(schedule.next(after), |at| schedule.next(*at))
        .take(count)
        .map(|unix| {
            DateTime::from_timestamp(unix, 0).unwrap().with_timezone(&schedule.timezone()).to_rfc3339()
        })
        .collect()
}

/// gorhill/cronexpr answers the instant it was given.
#[test]
fn a_gap_does_not_return_the_same_instant_again() {
    assert_eq!(
        next("0 30 2 * * * *", "America/New_York", "2025-03-09T03:00:00-04:00", 1),
        ["2025-03-10T02:30:00-04:00"]
    );
    assert_eq!(
        next("0 0,30 2 * * * *", "America/New_York", "2025-03-09T00:00:00-05:00", 2),
        ["2025-03-09T03:00:00-04:00", "2025-03-10T02:00:00-04:00"],
        "two times in one gap are one fire"
    );
}

/// The iterator of `cron` 0.17 goes back to the first pass.
#[test]
fn the_repeated_hour_never_walks_back() {
    let schedule = Schedule::parse("0 */10 * * * * *", "America/New_York").unwrap();
    let start = DateTime::parse_from_rfc3339("2025-11-02T00:55:00-04:00").unwrap().timestamp();
    for second in start..start + 4 * 3600 {
        let expected = second / 600 * 600 + 600;
        assert_eq!(schedule.next(second), Some(expected));
        let expected = (second - 1).div_euclid(600) * 600;
        assert_eq!(schedule.previous(second), Some(expected));
    }
}

/// `cron_clock` drops the second pass.
#[test]
fn an_interval_fires_in_both_passes_of_a_repeated_hour() {
    assert_eq!(
        next("0 */30 * * * * *", "Europe/Berlin", "2025-10-26T02:00:00+02:00", 4),
        [
            "2025-10-26T02:30:00+02:00",
            "2025-10-26T02:00:00+01:00",
            "2025-10-26T02:30:00+01:00",
            "2025-10-26T03:00:00+01:00"
        ]
    );
}

/// In `cronexpr` the last weekday never comes in December.
#[test]
fn the_last_weekday_of_december_comes() {
    assert_eq!(
        next("0 0 0 * 12 5L *", "Asia/Shanghai", "2025-01-01T00:00:00+08:00", 2),
        ["2025-12-26T00:00:00+08:00", "2026-12-25T00:00:00+08:00"]
    );
}

/// Several engines panic, or read it as an empty set.
#[test]
fn a_reversed_range_is_refused() {
    for text in ["0 50-40 * * * * *", "0 0 0 * * FRI-MON *", "0 0 0 * DEC-JAN * *", "0 0 0 * * * 2030-2020"] {
        assert!(Cron::parse(text).unwrap_err().problem().ends_with("runs backwards"), "{text}");
    }
}

/// saffron fires in February for a day that February does not have.
#[test]
fn the_weekday_nearest_to_the_30th_skips_february() {
    assert_eq!(
        next("0 0 0 30W * * *", "Asia/Shanghai", "2025-01-31T00:00:00+08:00", 2),
        ["2025-03-31T00:00:00+08:00", "2025-04-30T00:00:00+08:00"],
        "30 March 2025 is a Sunday"
    );
    assert_eq!(next("0 0 0 30W 2 * *", "Asia/Shanghai", "2025-01-31T00:00:00+08:00", 1), [""; 0]);
}

/// croner needs 4.5 ms for each of these answers; at that rate this test would take minutes.
#[test]
fn a_date_that_never_comes_costs_next_to_nothing() {
    for text in
        ["0 0 0 30 2 * *", "0 0 0 31 2,4,6,9,11 ? *", "0 0 0 29 2 * 2001-2003,2097-2099", "0 0 0 31W 4 * *"]
    {
        let schedule = Schedule::parse(text, "Asia/Shanghai").unwrap();
        for day in 0..20_000 {
            assert_eq!(schedule.next(day * 86_400), None, "{text}");
        }
        assert_eq!(schedule.previous(i64::MAX), None, "{text}");
    }
}

/// The whole of 30 December 2011 was skipped in Samoa.
#[test]
fn a_skipped_day_is_one_gap() {
    assert_eq!(
        next("0 0 9,17 * * * *", "Pacific/Apia", "2011-12-29T12:00:00-10:00", 3),
        ["2011-12-29T17:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T09:00:00+14:00"]
    );
    assert_eq!(
        next("0 0 */12 30,31 12 * 2011", "Pacific/Apia", "2011-12-29T12:00:00-10:00", 3),
        ["2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"]
    );
}

#[test]
fn the_table_of_years_ends_for_everyone_at_the_local_end_of_2099() {
    for (zone, last) in
        [("Pacific/Kiritimati", "2099-12-31T23:59:59+14:00"), ("Etc/GMT+12", "2099-12-31T23:59:59-12:00")]
    {
        let schedule = Schedule::parse("* * * * * * *", zone).unwrap();
        let last = DateTime::parse_from_rfc3339(last).unwrap().timestamp();
        assert_eq!(schedule.next(last - 1), Some(last));
        assert_eq!(schedule.next(last), None);
        assert_eq!(schedule.previous(i64::MAX), Some(last));
    }
}

#[test]
fn the_first_day_of_all_is_found_from_later() {
    let schedule = Schedule::parse("0 0 0 1 1 ? 1970", "UTC").unwrap();
    assert_eq!(schedule.previous(i64::MAX), Some(0));
    assert_eq!(schedule.next(-1), Some(0));
    assert_eq!(schedule.next(0), None);
}
