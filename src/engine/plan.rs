//! When triggers fire, as a pure function of their schedules, their marks and the time.
//!
//! The plan never reads a clock. [`Plan::due`] takes the time and answers what has become due since
//! the last call; every fire time comes out exactly once: as a fire, as a catch-up or in a skipped span.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::schedule::Schedule;
use crate::settings::{Misfire, TriggerSettings};
use crate::store::runs::SkipReason;

/// At most this many missed fire times are caught up one by one (misfire `all`).
const CATCH_UP_LIMIT: usize = 1000;

/// What has become due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Runs now.
    Fire {
        /// Index of the trigger, in the order given to [`Plan::new`].
        trigger: usize,
        /// Unix seconds.
        fire_time: i64,
    },
    /// Was missed and runs late, after the trigger's earlier ones.
    CatchUp {
        /// See `Fire`.
        trigger: usize,
        /// See `Fire`.
        fire_time: i64,
        /// Missed fire times that this one stands for beside itself.
        missed: u32,
    },
    /// Was missed and never runs.
    Skipped {
        /// See `Fire`.
        trigger: usize,
        /// First and last fire time, unix seconds.
        first: i64,
        /// See `first`.
        last: i64,
        /// How many.
        count: i64,
        /// Why.
        reason: SkipReason,
    },
}

/// All enabled triggers, ordered by what fires next.
#[derive(Debug, Default)]
pub(super) struct Plan {
    triggers: Vec<Planned>,
    /// (due in unix milliseconds, trigger); one entry a trigger that still has a fire time.
    queue: BinaryHeap<Reverse<(i64, usize)>>,
}

#[derive(Debug)]
struct Planned {
    schedule: Schedule,
    misfire: Misfire,
    start_within: i64,
    catch_up: i64,
    jitter: u64,
    seed: u64,
    /// Every fire time up to here has come out of the plan.
    accounted: i64,
}

impl Plan {
    /// Adds a trigger whose fire times up to `accounted` (unix seconds) are history; answers its index.
    pub(super) fn add(&mut self, full_name: &str, settings: &TriggerSettings, accounted: i64) -> usize {
        let trigger = self.triggers.len();
        self.triggers.push(Planned {
            schedule: settings.schedule.clone(),
            misfire: settings.rules.misfire,
            start_within: millis(settings.rules.start_within),
            catch_up: millis(settings.rules.catch_up),
            jitter: settings.rules.jitter.as_millis().try_into().unwrap_or(u64::MAX),
            seed: fnv1a(full_name.as_bytes(), FNV_OFFSET),
            accounted,
        });
        self.enqueue(trigger);
        trigger
    }

    /// When the next fire is due, unix milliseconds.
    pub(super) fn next_wake(&self) -> Option<i64> {
        self.queue.peek().map(|Reverse((due, _))| *due)
    }

    /// All that has become due by `now` (unix milliseconds). `cause` is why anything was missed.
    pub(super) fn due(&mut self, now: i64, cause: SkipReason) -> Vec<Due> {
        let mut due = Vec::new();
        while let Some(Reverse((at, trigger))) = self.queue.peek().copied()
            && at <= now
        {
            self.queue.pop();
            self.triggers[trigger].collect(trigger, now, cause, &mut due);
            self.enqueue(trigger);
        }
        due
    }

    fn enqueue(&mut self, trigger: usize) {
        let planned = &self.triggers[trigger];
        if let Some(fire_time) = planned.schedule.next(planned.accounted) {
            self.queue.push(Reverse((planned.due_at(fire_time), trigger)));
        }
    }
}

impl Planned {
    /// When a fire is due: its fire time put off by its jitter. Unix milliseconds.
    fn due_at(&self, fire_time: i64) -> i64 {
        let off = if self.jitter == 0 { 0 } else { fnv1a(&fire_time.to_le_bytes(), self.seed) % self.jitter };
        fire_time.saturating_mul(1000).saturating_add(i64::try_from(off).unwrap_or(0))
    }

    fn collect(&mut self, trigger: usize, now: i64, cause: SkipReason, due: &mut Vec<Due>) {
        let mut missed = Missed::default();
        let mut live = Vec::new();
        while let Some(fire_time) = self.schedule.next(self.accounted)
            && self.due_at(fire_time) <= now
        {
            self.accounted = fire_time;
            if now - self.due_at(fire_time) > self.start_within {
                missed.add(fire_time, now - self.catch_up);
            } else {
                live.push(Due::Fire { trigger, fire_time });
            }
        }
        missed.settle(trigger, self.misfire, cause, due);
        due.append(&mut live);
    }
}

/// Fire times of one trigger that were missed, oldest first; bounded, however long it was down.
#[derive(Default)]
struct Missed {
    span: Option<(i64, i64)>,
    count: i64,
    /// The newest within the catch-up window.
    recent: VecDeque<i64>,
}

impl Missed {
    fn add(&mut self, fire_time: i64, window_start: i64) {
        self.span = Some((self.span.map_or(fire_time, |(first, _)| first), fire_time));
        self.count += 1;
        if fire_time.saturating_mul(1000) >= window_start {
            self.recent.push_back(fire_time);
            if self.recent.len() > CATCH_UP_LIMIT {
                self.recent.pop_front();
            }
        }
    }

    fn settle(self, trigger: usize, misfire: Misfire, cause: SkipReason, due: &mut Vec<Due>) {
        let Some((first, last)) = self.span else { return };
        match misfire {
            Misfire::Skip => {
                due.push(Due::Skipped { trigger, first, last, count: self.count, reason: cause });
            }
            Misfire::Once => {
                let missed = u32::try_from(self.count - 1).unwrap_or(u32::MAX);
                due.push(Due::CatchUp { trigger, fire_time: last, missed });
            }
            Misfire::All => {
                let too_old = self.count - i64::try_from(self.recent.len()).unwrap_or(i64::MAX);
                if too_old > 0 {
                    // The span ends before the first that is caught up; its exact end is not kept.
                    let end = self.recent.front().map_or(last, |next| next - 1);
                    let reason = SkipReason::CatchUpLimit;
                    due.push(Due::Skipped { trigger, first, last: end, count: too_old, reason });
                }
                let each = self.recent.into_iter();
                due.extend(each.map(|fire_time| Due::CatchUp { trigger, fire_time, missed: 0 }));
            }
        }
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a: the jitter must be the same on every machine and in every version.
fn fnv1a(bytes: &[u8], seed: u64) -> u64 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn millis(duration: std::time::Duration) -> i64 {
    duration.as_millis().try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::settings::FireRules;

    /// 2026-01-01T00:00:00 in Beijing.
    const START: i64 = 1_767_196_800;

    fn settings(expression: &str, misfire: Misfire) -> TriggerSettings {
        TriggerSettings {
            name: "t".into(),
            schedule: Schedule::parse(expression, "Asia/Shanghai").unwrap(),
            expression: expression.into(),
            argument: "".into(),
            enabled: true,
            rules: Arc::new(FireRules {
                misfire,
                start_within: Duration::from_secs(60),
                jitter: Duration::ZERO,
                catch_up: Duration::from_secs(3600),
            }),
        }
    }

    fn plan(expression: &str, misfire: Misfire) -> Plan {
        let mut plan = Plan::default();
        plan.add("f/t", &settings(expression, misfire), START);
        plan
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
        assert_eq!(plan.next_wake(), Some((START + 10) * 1000));
        assert_eq!(plan.due((START + 10) * 1000 - 1, SkipReason::Late), []);
        assert_eq!(fires(&plan.due((START + 10) * 1000, SkipReason::Late)), [10]);
        assert_eq!(plan.due((START + 10) * 1000, SkipReason::Late), []);
        assert_eq!(fires(&plan.due((START + 45) * 1000, SkipReason::Late)), [20, 30, 40]);
        assert_eq!(plan.next_wake(), Some((START + 50) * 1000));
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
            trigger: 0,
            first: START + 10,
            last: START + 30,
            count: 3,
            reason: SkipReason::Down,
        };
        assert_eq!(due[0], skipped);
        assert_eq!(fires(&due[1..]), [40, 50, 60, 70, 80, 90, 100]);
    }

    #[test]
    fn misfire_once_runs_once_for_all() {
        let mut plan = plan("0 * * * * * *", Misfire::Once);
        let due = plan.due((START + 10 * 60 + 30) * 1000, SkipReason::Down);
        assert_eq!(due[0], Due::CatchUp { trigger: 0, fire_time: START + 9 * 60, missed: 8 });
        assert_eq!(fires(&due[1..]), [600]);
    }

    #[test]
    fn misfire_all_runs_each_within_the_window_and_its_limit() {
        let mut by_window = plan("0 * * * * * *", Misfire::All);
        let due = by_window.due((START + 90 * 60 + 30) * 1000, SkipReason::Down);
        let Due::Skipped { first, last, count, reason, .. } = due[0] else { panic!("{:?}", due[0]) };
        assert_eq!((first, count, reason), (START + 60, 30, SkipReason::CatchUpLimit));
        assert_eq!(due[1], Due::CatchUp { trigger: 0, fire_time: START + 31 * 60, missed: 0 });
        assert!(last < START + 31 * 60);
        assert_eq!(due.len(), 1 + 59 + 1);

        let mut by_limit = plan("* * * * * * *", Misfire::All);
        let due = by_limit.due((START + 3000) * 1000, SkipReason::Down);
        let late = due.iter().filter(|due| matches!(due, Due::CatchUp { .. })).count();
        let skipped = due.iter().map(|due| if let Due::Skipped { count, .. } = due { *count } else { 0 });
        let live = due.iter().filter(|due| matches!(due, Due::Fire { .. })).count();
        assert_eq!((late, skipped.sum::<i64>(), live), (1000, 3000 - 1000 - 61, 61));
    }

    #[test]
    fn jitter_is_bounded_and_the_same_every_time() {
        let mut jittered = settings("*/10 * * * * * *", Misfire::Skip);
        Arc::make_mut(&mut jittered.rules).jitter = Duration::from_secs(5);
        let wakes = || {
            let mut plan = Plan::default();
            plan.add("f/t", &jittered, START);
            let mut wakes = Vec::new();
            for _ in 0..50 {
                let wake = plan.next_wake().unwrap();
                assert_eq!(plan.due(wake, SkipReason::Late).len(), 1);
                wakes.push(wake);
            }
            wakes
        };
        let first = wakes();
        assert_eq!(first, wakes());
        let offsets: Vec<i64> =
            first.iter().zip(1..).map(|(wake, k)| wake - (START + 10 * k) * 1000).collect();
        assert!(offsets.iter().all(|offset| (0..5000).contains(offset)), "{offsets:?}");
        assert!(offsets.iter().any(|offset| *offset != offsets[0]), "{offsets:?}");
    }

    #[test]
    fn a_trigger_that_never_fires_again_costs_no_wake_up() {
        let plan = plan("0 0 0 1 1 * 2020", Misfire::Skip);
        assert_eq!(plan.next_wake(), None);
    }
}
