//! Counting agrees with walking: near clock changes, over long stretches, for all three forms.

use gulou::schedule::Schedule;
use proptest::prelude::*;

use crate::cron_generator::{expression, fixed_times};
use crate::cron_oracle::local;
use crate::cron_properties::{ZONES, near_a_change, on_that_day};

/// So many fires are walked at most.
const WALKED: usize = 5000;

/// Counts from `after` to `until`, or to where walking gets tired, and both halves of it.
fn agrees(schedule: &Schedule, after: i64, until: i64, what: &str) -> Result<(), TestCaseError> {
    let fires: Vec<_> = std::iter::successors(schedule.next(after), |at| schedule.next(*at))
        .take_while(|at| *at <= until)
        .take(WALKED)
        .collect();
    let until = if fires.len() == WALKED { fires[WALKED - 1] } else { until };
    let count = schedule.count(after, until);
    prop_assert_eq!(count, fires.len() as u64, "{} in ({}, {}]", what, after, until);
    let middle = fires.get(fires.len() / 2).copied().unwrap_or(after.midpoint(until));
    for middle in [middle - 1, middle, middle + 1] {
        if (after..=until).contains(&middle) {
            let halves = schedule.count(after, middle) + schedule.count(middle, until);
            prop_assert_eq!(halves, count, "{} in ({}, {}] cut at {}", what, after, until, middle);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn near_clock_changes(
        expression in expression(),
        (tz, after) in near_a_change(),
        length in prop_oneof![-10_i64..4000, 0_i64..200_000],
    ) {
        let text = on_that_day(expression, tz, after).text();
        let schedule = Schedule::parse(&text, tz.name()).unwrap();
        agrees(&schedule, after, after + length, &format!("{text} in {tz}"))?;
    }

    #[test]
    fn fixed_times_near_clock_changes(
        (expression, tz, after) in near_a_change().prop_flat_map(|(tz, after)| {
            (fixed_times(chrono::Timelike::hour(&local(after, tz))), Just(tz), Just(after))
        }),
        length in prop_oneof![0_i64..10_000, 0_i64..400_000_000],
    ) {
        let schedule = Schedule::parse(&expression.text(), tz.name()).unwrap();
        agrees(&schedule, after, after + length, &format!("{} in {tz}", expression.text()))?;
    }

    #[test]
    fn over_long_stretches(
        expression in expression(),
        tz in prop::sample::select(&ZONES[..]),
        after in -100_000_i64..4_102_500_000,
        length in prop_oneof![0_i64..100_000_000, Just(i64::MAX / 2)],
        start in prop::option::of(0_i64..4_102_444_800),
        end in prop::option::of(0_i64..4_102_444_800),
    ) {
        let text = expression.text();
        let schedule = Schedule::parse(&text, tz.name()).unwrap();
        agrees(&schedule, after, after + length, &format!("{text} in {tz}"))?;
        let bounded = schedule.within(start, end);
        agrees(&bounded, after, after + length, &format!("{text} in {tz} within {start:?} {end:?}"))?;
    }

    #[test]
    fn intervals_and_instants(
        period in 1_i64..10_000_000,
        times in prop::collection::vec(0_i64..1_000_000, 1..9),
        after in -100_000_i64..4_102_500_000,
        length in 0_i64..1_000_000_000,
    ) {
        let text = format!("@every {period}s");
        agrees(&Schedule::parse(&text, "UTC").unwrap(), after, after + length, &text)?;
        let instants = times.iter().map(|unix| chrono::DateTime::from_timestamp(*unix, 0).unwrap().to_rfc3339());
        let text = format!("@at {}", instants.collect::<Vec<_>>().join(","));
        let after = after % 1_000_000;
        agrees(&Schedule::parse(&text, "UTC").unwrap(), after, after + length, &text)?;
    }
}

/// At a nanosecond a fire, walking this would take longer than the test may run.
#[test]
fn years_of_seconds_are_counted_not_walked() {
    for tz in ZONES {
        let schedule = Schedule::parse("* * * * * * *", tz.name()).unwrap();
        for day in 1..100 {
            let (after, until) = (day * 86_400, 4_000_000_000 + day);
            assert_eq!(schedule.count(after, until), (until - after).unsigned_abs(), "{tz} {day}");
        }
    }
}
