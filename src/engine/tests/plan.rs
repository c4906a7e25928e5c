//! The plan: each fire time comes out once, whatever the clock does.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::settings::trigger;
use crate::engine::missed::Missed;
use crate::engine::plan::{At, Due, Mark, Plan, State};
use crate::schedule::Schedule;
use crate::settings::{Misfire, TriggerSettings};
use crate::store::runs::SkipReason;

/// 2026-01-01T00:00:00 in Beijing.
const START: i64 = 1_767_196_800;

/// The only trigger of the only function.
const AT: At = At { function: 0, trigger: 0 };

fn settings(expression: &str, misfire: Misfire, jitter: Duration) -> TriggerSettings {
    let mut settings = trigger("t", expression, misfire);
    Arc::make_mut(&mut settings.rules).jitter = jitter;
    settings
}

fn plan_of(settings: TriggerSettings) -> Plan {
    let mut plan = Plan::default();
    plan.set(0, "f", Arc::from([settings]), vec![Mark { accounted: START, state: State::Active }]);
    plan
}

fn plan(expression: &str, misfire: Misfire) -> Plan {
    plan_of(settings(expression, misfire, Duration::ZERO))
}

fn next_wake(plan: &Plan) -> Option<i64> {
    plan.next().map(|(due, _)| due)
}

fn fires(due: &[Due]) -> Vec<i64> {
    due.iter()
        .map(|due| match due {
            Due::Fire { fire_time, .. } => fire_time - START,
            other => panic!("not a plain fire: {other:?}"),
        })
        .collect()
}

#[test]
fn each_fire_time_comes_out_once_and_in_time() {
    let mut plan = plan("*/10 * * * * * *", Misfire::Skip);
    assert_eq!(next_wake(&plan), Some((START + 10) * 1000));
    assert_eq!(plan.due((START + 10) * 1000 - 1, SkipReason::Late), []);
    assert_eq!(fires(&plan.due((START + 10) * 1000, SkipReason::Late)), [10]);
    assert_eq!(plan.due((START + 10) * 1000, SkipReason::Late), []);
    assert_eq!(fires(&plan.due((START + 45) * 1000, SkipReason::Late)), [20, 30, 40]);
    assert_eq!(next_wake(&plan), Some((START + 50) * 1000));
}

#[test]
fn a_clock_that_goes_back_repeats_nothing() {
    let mut plan = plan("*/10 * * * * * *", Misfire::Skip);
    assert_eq!(fires(&plan.due((START + 20) * 1000, SkipReason::Late)), [10, 20]);
    assert_eq!(plan.due((START - 500) * 1000, SkipReason::Late), []);
    assert_eq!(plan.due((START + 29) * 1000, SkipReason::Late), []);
    assert_eq!(fires(&plan.due((START + 30) * 1000, SkipReason::Late)), [30]);
}

#[test]
fn misfire_skip_accounts_for_the_missed_and_runs_those_still_in_time() {
    let mut plan = plan("*/10 * * * * * *", Misfire::Skip);
    let due = plan.due((START + 100) * 1000, SkipReason::Down);
    let skipped = Due::Skipped {
        at: AT,
        missed: Missed { first: START + 10, last: START + 30, count: 3 },
        reason: SkipReason::Down,
    };
    assert_eq!(due[0], skipped);
    assert_eq!(fires(&due[1..]), [40, 50, 60, 70, 80, 90, 100]);
}

#[test]
fn misfire_once_runs_once_for_all() {
    let mut plan = plan("0 * * * * * *", Misfire::Once);
    let due = plan.due((START + 10 * 60 + 30) * 1000, SkipReason::Down);
    assert_eq!(due[0], Due::CatchUp { at: AT, fire_time: START + 9 * 60, since: START + 60, missed: 8 });
    assert_eq!(fires(&due[1..]), [600]);
}

#[test]
fn misfire_all_runs_each_within_the_window_and_its_limit() {
    let mut by_window = plan("0 * * * * * *", Misfire::All);
    let due = by_window.due((START + 90 * 60 + 30) * 1000, SkipReason::Down);
    let Due::Skipped { missed: Missed { first, last, count }, reason, .. } = due[0] else {
        panic!("{:?}", due[0])
    };
    assert_eq!((first, count, reason), (START + 60, 30, SkipReason::CatchUpLimit));
    assert_eq!(
        due[1],
        Due::CatchUp { at: AT, fire_time: START + 31 * 60, since: START + 31 * 60, missed: 0 }
    );
    assert_eq!(last, START + 30 * 60);
    assert_eq!(due.len(), 1 + 59 + 1);

    let mut by_limit = plan("* * * * * * *", Misfire::All);
    let due = by_limit.due((START + 3000) * 1000, SkipReason::Down);
    let late = due.iter().filter(|due| matches!(due, Due::CatchUp { .. })).count();
    let skipped = due.iter().map(|due| if let Due::Skipped { missed, .. } = due { missed.count } else { 0 });
    let live = due.iter().filter(|due| matches!(due, Due::Fire { .. })).count();
    assert_eq!((late, skipped.sum::<i64>(), live), (1000, 3000 - 1000 - 61, 61));
}

#[test]
fn jitter_is_bounded_and_the_same_every_time() {
    let wakes = || {
        let mut plan = plan_of(settings("*/10 * * * * * *", Misfire::Skip, Duration::from_secs(5)));
        let mut wakes = Vec::new();
        for _ in 0..50 {
            let wake = next_wake(&plan).unwrap();
            assert_eq!(plan.due(wake, SkipReason::Late).len(), 1);
            wakes.push(wake);
        }
        wakes
    };
    let first = wakes();
    assert_eq!(first, wakes());
    let offsets: Vec<i64> = first.iter().zip(1..).map(|(wake, k)| wake - (START + 10 * k) * 1000).collect();
    assert!(offsets.iter().all(|offset| (0..5000).contains(offset)), "{offsets:?}");
    assert!(offsets.iter().any(|offset| *offset != offsets[0]), "{offsets:?}");
}

#[test]
fn a_trigger_that_never_fires_again_costs_no_wake_up() {
    let plan = plan("0 0 0 1 1 * 2020", Misfire::Skip);
    assert_eq!(next_wake(&plan), None);
}

/// What fell due during a pause is one span, and what comes after it fires.
#[test]
fn a_pause_is_skipped_and_never_caught_up() {
    for misfire in [Misfire::Skip, Misfire::Once, Misfire::All] {
        let mut plan = plan("*/10 * * * * * *", misfire);
        assert_eq!(fires(&plan.due((START + 20) * 1000, SkipReason::Late)), [10, 20]);
        plan.pause(&HashSet::from([AT]), (START + 25) * 1000);
        assert_eq!((next_wake(&plan), plan.next_of(AT)), (None, None));
        assert_eq!(plan.due((START + 1000) * 1000, SkipReason::Late), []);
        let overdue = plan.overdue(AT, (START + 1000) * 1000).unwrap();
        let expected = Missed { first: START + 30, last: START + 1000, count: 98 };
        assert_eq!(overdue, expected);
        plan.resume(&[AT], (START + 1000) * 1000);
        assert_eq!(plan.overdue(AT, i64::MAX), None, "it is not paused any more");
        assert_eq!(fires(&plan.due((START + 1020) * 1000, SkipReason::Late)), [1010, 1020]);
    }
}

/// A year of seconds, missed: counted, not walked.
#[test]
fn a_long_time_down_costs_no_time() {
    const YEAR: i64 = 365 * 86_400;
    let mut plan = plan("* * * * * * *", Misfire::Skip);
    let due = plan.due((START + YEAR) * 1000, SkipReason::Down);
    let expected = Due::Skipped {
        at: AT,
        missed: Missed { first: START + 1, last: START + YEAR - 61, count: YEAR - 61 },
        reason: SkipReason::Down,
    };
    assert_eq!((&due[0], due.len()), (&expected, 1 + 61));
}

/// Fire times that are put off are missed by when they were due, whether they are counted or walked.
#[test]
fn with_jitter_nothing_is_missed_twice_or_never() {
    for down in 0..400 {
        let mut plan = plan_of(settings("*/7 * * * * * *", Misfire::Skip, Duration::from_secs(50)));
        let due = plan.due((START + down) * 1000, SkipReason::Down);
        let missed: i64 =
            due.iter().map(|due| if let Due::Skipped { missed, .. } = due { missed.count } else { 0 }).sum();
        let live = due.iter().filter(|due| matches!(due, Due::Fire { .. })).count();
        let accounted = plan.mark(AT).accounted;
        let expected = Schedule::parse("*/7 * * * * * *", "Asia/Shanghai").unwrap().count(START, accounted);
        assert_eq!(u64::try_from(missed).unwrap() + live as u64, expected, "down for {down} s");
        assert!(next_wake(&plan).unwrap() > (START + down) * 1000);
    }
}

#[test]
fn a_function_in_a_new_version_leaves_nothing_of_the_old_one_behind() {
    let mut plan = plan("*/10 * * * * * *", Misfire::Skip);
    let daily = settings("0 0 9 * * * *", Misfire::Skip, Duration::ZERO);
    plan.set(0, "f", Arc::from([daily]), vec![Mark { accounted: START, state: State::Active }]);
    assert_eq!(next_wake(&plan), Some((START + 9 * 3600) * 1000));
    plan.set(0, "f", Arc::default(), Vec::new());
    assert_eq!(plan.due(i64::MAX, SkipReason::Late), []);
}
