//! Every clock change of every zone from 1970 to 2099, against an oracle that looks at one second after the other.
//!
//! Zones with the same changes are asked once. `GULOU_TORTURE_EXPRESSIONS` adds so many random expressions to each change,
//! asked at every second; `GULOU_TORTURE_SEED` picks them. `scripts/torture.sh --cron` sets both.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::{Days, NaiveDate};
use chrono_tz::{TZ_VARIANTS, Tz};
use gulou::cron::{Cron, Zone};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::cron_generator::expression;
use crate::cron_oracle::{Change, Expression, Special, changes, daily, listed, stepped, wild};
use crate::cron_properties::on_that_day;

/// What is looked at before and after a change, beside the hours that are repeated.
const AROUND: i64 = 75 * 60;

/// Expressions, each in a bit of the masks.
struct Cases {
    crons: Vec<(String, Cron)>,
    expressions: Vec<Expression>,
    seconds: [u32; 60],
    minutes: [u32; 60],
    hours: [u32; 24],
    fixed: u32,
}

impl Cases {
    fn of(expressions: Vec<Expression>) -> Self {
        assert!(expressions.len() <= 32, "a bit for each");
        let mut cases = Self {
            crons: Vec::new(),
            expressions: Vec::new(),
            seconds: [0; 60],
            minutes: [0; 60],
            hours: [0; 24],
            fixed: 0,
        };
        for (index, expression) in expressions.iter().enumerate() {
            let text = expression.text();
            cases.crons.push((text.clone(), Cron::parse(&text).unwrap()));
            let bit = 1 << index;
            for (values, masks) in expression.fields.iter().map(|field| &field.values).zip([
                &mut cases.seconds[..],
                &mut cases.minutes[..],
                &mut cases.hours[..],
            ]) {
                for value in values {
                    masks[*value as usize] |= bit;
                }
            }
            if expression.is_fixed_time() {
                cases.fixed |= bit;
            }
        }
        Self { expressions, ..cases }
    }

    /// The fire times of each expression in `start..=end`, which has one clock change in it.
    fn fires(&self, change: Change, start: i64, end: i64) -> Vec<Vec<i64>> {
        let offset = |unix: i64| if unix < change.unix { change.before } else { change.after };
        let first_day = (start + change.before.min(change.after)).div_euclid(86_400);
        let last_day = (end + change.before.max(change.after)).div_euclid(86_400);
        let dates: Vec<u32> = (first_day..=last_day).map(|day| self.on(day)).collect();
        let matching = |local: i64| {
            let time = usize::try_from(local.rem_euclid(86_400)).unwrap();
            let day = usize::try_from(local.div_euclid(86_400) - first_day).unwrap();
            self.seconds[time % 60] & self.minutes[time / 60 % 60] & self.hours[time / 3600] & dates[day]
        };
        let mut found = vec![Vec::new(); self.crons.len()];
        // The latest time that the clock has shown: a fixed time is due when the clock first gets to it or past it.
        let mut shown = start - 1 + change.before;
        for unix in start..=end {
            let local = unix + offset(unix);
            let mut due = matching(local) & !self.fixed;
            while shown < local {
                shown += 1;
                due |= matching(shown) & self.fixed;
            }
            while due != 0 {
                found[due.trailing_zeros() as usize].push(unix);
                due &= due - 1;
            }
        }
        found
    }

    /// The expressions that fire on a day.
    fn on(&self, day: i64) -> u32 {
        // Before 1970 nothing fires.
        let Ok(day) = u64::try_from(day) else { return 0 };
        let date = NaiveDate::default() + Days::new(day);
        let matching = self.expressions.iter().enumerate().filter(|(_, it)| it.matches_date(date));
        matching.fold(0, |all, (index, _)| all | 1 << index)
    }

    fn agree(&self, change: Change, zones: &[Arc<Zone>], every_second: bool) {
        let repeated = (change.before - change.after).max(0);
        let (start, end) = (change.unix - AROUND - repeated, change.unix + AROUND + repeated);
        let all = self.fires(change, start, end);
        for ((text, cron), fires) in self.crons.iter().zip(&all) {
            let mut asked: Vec<i64> = if every_second {
                (start - 1..=end + 1).collect()
            } else {
                let near = fires.iter().copied().chain([start, change.unix - 1, change.unix, end]);
                near.flat_map(|unix| [unix - 1, unix, unix + 1]).collect()
            };
            asked.sort_unstable();
            asked.dedup();
            for zone in zones {
                let what = || format!("{text} in {zone:?} around {change:?}");
                assert_eq!(cron.count_between(start - 1, end, zone), fires.len() as u64, "{}", what());
                let (mut earlier, mut not_later) = (0, 0);
                for unix in &asked {
                    while fires.get(earlier).is_some_and(|fire| fire < unix) {
                        earlier += 1;
                    }
                    while fires.get(not_later).is_some_and(|fire| fire <= unix) {
                        not_later += 1;
                    }
                    let next = cron.next_after(*unix, zone);
                    match fires.get(not_later) {
                        Some(fire) => assert_eq!(next, Some(*fire), "{} after {unix}", what()),
                        None => assert!(next.is_none_or(|it| it > end), "{} after {unix}: {next:?}", what()),
                    }
                    let previous = cron.previous_before(*unix, zone);
                    match earlier.checked_sub(1) {
                        Some(index) => assert_eq!(previous, Some(fires[index]), "{} before {unix}", what()),
                        None => assert!(
                            previous.is_none_or(|it| it < start),
                            "{} before {unix}: {previous:?}",
                            what()
                        ),
                    }
                }
            }
        }
    }
}

/// Of both kinds, and of those that look like the other kind.
fn usual() -> Cases {
    let hours = || listed(0..24);
    let every = |max| wild("*", 0, max);
    let mut either_day = daily(listed([0]), listed([0, 1]), listed(0..5));
    either_day.fields[3] = listed([]);
    "L".clone_into(&mut either_day.fields[3].text);
    either_day.fields[3].specials.push(Special::LastDay);
    either_day.fields[5] = listed([0, 6]);
    let mut some_weeks = daily(listed([0]), listed([15, 45]), stepped(0, 23, 2));
    some_weeks.fields[3] = stepped(1, 31, 3);
    some_weeks.fields[4] = listed([3, 4, 9, 10, 11]);
    Cases::of(vec![
        daily(listed([0]), listed([0, 30]), hours()),
        daily(listed([59]), listed([14, 29, 44, 59]), hours()),
        daily(listed([0]), listed([0, 1, 20]), listed([0, 2, 3, 23])),
        either_day,
        daily(listed([0]), stepped(0, 59, 20), every(23)),
        daily(stepped(50, 59, 1), listed([59]), every(23)),
        daily(listed([0, 1]), listed([0, 30]), stepped(0, 23, 1)),
        some_weeks,
    ])
}

fn from_env(name: &str) -> u64 {
    let name = format!("GULOU_TORTURE_{name}");
    std::env::var(&name)
        .map_or(0, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// The same for the same seed and change.
fn random(count: u64, seed: u64, change: Change, tz: Tz) -> Cases {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&change.unix.to_le_bytes());
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let mut one = || {
        let tree = expression().new_tree(&mut runner).unwrap();
        on_that_day(tree.current(), tz, change.unix)
    };
    Cases::of((0..count).map(|_| one()).collect())
}

#[test]
fn every_clock_change_of_every_zone_agrees_with_the_oracle() {
    let mut known = HashSet::new();
    let mut zones: BTreeMap<Change, Vec<Arc<Zone>>> = BTreeMap::new();
    for tz in TZ_VARIANTS {
        let changes = changes(tz);
        if known.insert(changes.clone()) {
            let zone = Zone::of(tz);
            for change in changes {
                zones.entry(change).or_default().push(Arc::clone(&zone));
            }
        }
    }
    let zones: Vec<_> = zones.into_iter().collect();
    assert!(zones.len() > 9000, "{}", zones.len());
    let usual = usual();
    let (expressions, seed) = (from_env("EXPRESSIONS"), from_env("SEED"));
    let part = &|part: usize, parts: usize| {
        for (change, zones) in zones.iter().skip(part).step_by(parts) {
            usual.agree(*change, zones, false);
            if expressions > 0 {
                random(expressions, seed, *change, zones[0].tz()).agree(*change, zones, true);
            }
        }
    };
    let parts = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for index in 0..parts {
            scope.spawn(move || part(index, parts));
        }
    });
}
