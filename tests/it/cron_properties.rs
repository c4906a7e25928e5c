//! What holds for every expression: the engine agrees, second by second, with a slow reading of the same rules.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, NaiveDate, Timelike};
use chrono_tz::Tz;
use gulou::cron::{Cron, Zone};
use gulou::schedule::Schedule;
use proptest::prelude::*;

use crate::cron_generator::{expression, fixed_times};
use crate::cron_oracle::{Change, Expression, changes, local};

pub const ZONES: [Tz; 12] = [
    Tz::Asia__Shanghai,
    Tz::America__New_York,
    Tz::Europe__London,
    Tz::Europe__Berlin,
    Tz::America__Sao_Paulo,
    Tz::Australia__Lord_Howe,
    Tz::Africa__Casablanca,
    Tz::Africa__Monrovia,
    Tz::Pacific__Apia,
    Tz::Pacific__Kwajalein,
    Tz::Antarctica__Troll,
    Tz::America__Caracas,
];

static CHANGES: LazyLock<BTreeMap<&str, Vec<Change>>> =
    LazyLock::new(|| ZONES.iter().map(|tz| (tz.name(), changes(*tz))).collect());

/// A zone, and a moment within an hour or so of one of its clock changes.
pub fn near_a_change() -> impl Strategy<Value = (Tz, i64)> {
    (prop::sample::select(&ZONES[..]), any::<prop::sample::Index>(), -4000_i64..4000).prop_map(
        |(tz, index, distance)| {
            let changes = &CHANGES[tz.name()];
            (tz, changes[index.index(changes.len())].unix + distance)
        },
    )
}

/// Makes the date fields fit a moment, so that something fires around it.
pub fn on_that_day(mut expression: Expression, tz: Tz, unix: i64) -> Expression {
    let date = local(unix, tz).date();
    if !expression.matches_date(date) {
        for (index, wild) in [(3, 1..=31), (4, 1..=12), (5, 0..=6), (6, 1970..=2099)] {
            let field = &mut expression.fields[index];
            "*".clone_into(&mut field.text);
            field.values = wild.collect();
            field.specials.clear();
            field.any = true;
        }
    }
    expression
}

/// Every second of four hours around `middle` is asked forwards and backwards.
fn agrees(expression: &Expression, tz: Tz, middle: i64) -> Result<(), TestCaseError> {
    const HOURS: i64 = 2 * 3600;
    let text = expression.text();
    let cron = Cron::parse(&text).unwrap();
    prop_assert_eq!(cron.is_fixed_time(), expression.is_fixed_time(), "{}", text);
    let zone = Zone::of(tz);
    let (start, end) = (middle - HOURS, middle + HOURS);
    let fires = expression.fires_between(tz, start, end);
    for unix in start - 1..=end + 1 {
        let later = fires.get(fires.partition_point(|fire| *fire <= unix)).copied();
        let next = cron.next_after(unix, &zone);
        prop_assert!(next.is_none_or(|next| next > unix), "{} in {} after {}: {:?}", text, tz, unix, next);
        prop_assert_eq!(next.filter(|next| *next <= end), later, "{} in {} after {}", text, tz, unix);
        let earlier = fires[..fires.partition_point(|fire| *fire < unix)].last().copied();
        let previous = cron.previous_before(unix, &zone);
        prop_assert!(
            previous.is_none_or(|it| it < unix),
            "{} in {} before {}: {:?}",
            text,
            tz,
            unix,
            previous
        );
        prop_assert_eq!(previous.filter(|it| *it >= start), earlier, "{} in {} before {}", text, tz, unix);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_oracle_around_clock_changes(expression in expression(), (tz, middle) in near_a_change()) {
        agrees(&on_that_day(expression, tz, middle), tz, middle)?;
    }

    #[test]
    fn fixed_times_agree_with_the_oracle_around_clock_changes(
        (expression, tz, middle) in near_a_change().prop_flat_map(|(tz, middle)| {
            (fixed_times(local(middle, tz).hour()), Just(tz), Just(middle))
        }),
    ) {
        agrees(&expression, tz, middle)?;
    }

    #[test]
    fn agrees_with_the_oracle_over_all_years(expression in expression(), start in 0_i64..4_102_444_800) {
        let text = expression.text();
        let cron = Cron::parse(&text).unwrap();
        let utc = Zone::of(Tz::UTC);
        let last = NaiveDate::from_ymd_opt(2099, 12, 31).unwrap();
        let time = DateTime::from_timestamp(start, 0).unwrap();
        let expected = (time.date_naive() + chrono::Days::new(1)).iter_days()
            .take_while(|date| *date <= last)
            .find(|date| expression.matches_date(*date));
        // From the end of the day on, so that only the date decides.
        let end_of_day = start - i64::from(time.num_seconds_from_midnight()) + 86_399;
        let found = cron.next_after(end_of_day, &utc).and_then(|unix| DateTime::from_timestamp(unix, 0));
        prop_assert_eq!(found.map(|time| time.date_naive()), expected, "{} after {}", text, time);
        if let Some(time) = found {
            prop_assert!(expression.matches(time.naive_utc()), "{} fires at {}", text, time);
            let back = cron.previous_before(time.timestamp(), &utc);
            prop_assert!(back.is_none_or(|back| back <= end_of_day), "{} back from {}", text, time);
        }
    }

    #[test]
    fn going_forth_and_back_meets_the_same_times(expression in expression(), (tz, start) in near_a_change()) {
        let text = expression.text();
        let schedule = Schedule::parse(&text, tz.name()).unwrap();
        let mut at = start;
        for step in 0..20 {
            let Some(next) = schedule.next(at) else { break };
            prop_assert!(next > at, "{}", text);
            let back = schedule.previous(next);
            if step > 0 {
                prop_assert_eq!(back, Some(at), "{} in {} back from {}", text, tz, next);
            } else {
                prop_assert!(back.is_none_or(|back| back <= at), "{} in {} back from {}", text, tz, next);
            }
            prop_assert_eq!(schedule.next(next - 1), Some(next), "{} in {}", text, tz);
            at = next;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(
        text in prop_oneof![
            "\\PC{0,30}",
            "[0-9*/,\\-?LWlw#@ \t\nMONJAFRI，＊　０]{0,40}",
            "([0-9*/,\\-?LW#]{1,4}[ \t]){5,8}",
            "@(every|at|daily) [0-9smhd:TZ+\\- ,from]{0,30}",
        ],
        unix in any::<i64>(),
    ) {
        match Schedule::parse(&text, "America/New_York") {
            Ok(schedule) => {
                for at in [unix, unix.rem_euclid(4_102_444_800), i64::MIN, i64::MAX, 0] {
                    prop_assert!(schedule.next(at).is_none_or(|next| next > at));
                    prop_assert!(schedule.previous(at).is_none_or(|previous| previous < at));
                }
            }
            Err(error) => {
                prop_assert!(!error.one_line().contains(['\n', '\r', '\t', '\u{1b}']), "{}", error.one_line());
                prop_assert!(error.to_string().contains('^'), "{}", error);
            }
        }
    }
}
