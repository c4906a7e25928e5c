//! Fire times of one trigger that were missed: counted, not walked, however long the daemon was down.

use super::plan::{At, Due, Timing, millis};
use crate::schedule::Schedule;
use crate::settings::{Misfire, TriggerSettings};
use crate::store::runs::{SkipReason, SkippedSpan};
use crate::store::triggers::TriggerId;

/// At most this many missed fire times are caught up one by one (misfire `all`).
const CATCH_UP_LIMIT: usize = 1000;

/// A stretch of fire times, all of them missed. Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) count: i64,
}

impl Missed {
    /// A single fire time.
    pub(super) const fn one(fire_time: i64) -> Self {
        Self { first: fire_time, last: fire_time, count: 1 }
    }

    /// The fire times after `accounted` that were due before `limit` (unix milliseconds); `accounted` moves behind them.
    pub(super) fn between(timing: Timing<'_>, accounted: &mut i64, limit: i64) -> Option<Self> {
        let schedule = &timing.settings.schedule;
        let first = schedule.next(*accounted).filter(|first| timing.due_at(*first) < limit)?;
        let mut missed = Self { first, last: first, count: 0 };
        // Whatever their jitter, fire times up to here were due before the limit.
        let latest = i64::try_from(timing.jitter()).unwrap_or(i64::MAX).max(1) - 1;
        let sure = limit.saturating_sub(latest).saturating_sub(1).div_euclid(1000);
        if sure >= first {
            missed.count = schedule.count(*accounted, sure).try_into().unwrap_or(i64::MAX);
            missed.last = schedule.previous(sure.saturating_add(1)).unwrap_or(first);
            *accounted = missed.last;
        }
        while let Some(fire_time) = schedule.next(*accounted)
            && timing.due_at(fire_time) < limit
        {
            missed.count += 1;
            missed.last = fire_time;
            *accounted = fire_time;
        }
        Some(missed)
    }

    const fn skipped(self, at: At, reason: SkipReason) -> Due {
        Due::Skipped { at, missed: self, reason }
    }

    /// As the state takes them.
    pub(super) const fn span(self, trigger: TriggerId, reason: SkipReason) -> SkippedSpan {
        let Self { first, last, count } = self;
        SkippedSpan { trigger, first, last, count, reason }
    }

    /// What the trigger's misfire rule makes of them.
    pub(super) fn settle(
        self,
        at: At,
        settings: &TriggerSettings,
        now: i64,
        cause: SkipReason,
        due: &mut Vec<Due>,
    ) {
        match settings.rules.misfire {
            Misfire::Skip => due.push(self.skipped(at, cause)),
            Misfire::Once => {
                let missed = u32::try_from(self.count - 1).unwrap_or(u32::MAX);
                due.push(Due::CatchUp { at, fire_time: self.last, since: self.first, missed });
            }
            Misfire::All => {
                let window_start = now.saturating_sub(millis(settings.rules.catch_up));
                let recent = self.newest(&settings.schedule, window_start);
                let too_old = self.count - i64::try_from(recent.len()).unwrap_or(i64::MAX);
                if too_old > 0 {
                    let before_recent = recent.first().and_then(|first| settings.schedule.previous(*first));
                    let last = before_recent.unwrap_or(self.last);
                    let too_old = Self { first: self.first, last, count: too_old };
                    due.push(too_old.skipped(at, SkipReason::CatchUpLimit));
                }
                let each = recent.into_iter();
                let catch_up = |fire_time| Due::CatchUp { at, fire_time, since: fire_time, missed: 0 };
                due.extend(each.map(catch_up));
            }
        }
    }

    /// The newest of them that are not older than the catch-up window, oldest first.
    fn newest(self, schedule: &Schedule, window_start: i64) -> Vec<i64> {
        let back = std::iter::successors(Some(self.last), |fire_time| schedule.previous(*fire_time));
        let recent = back.take_while(|fire_time| {
            *fire_time >= self.first && fire_time.saturating_mul(1000) >= window_start
        });
        let mut recent: Vec<i64> = recent.take(CATCH_UP_LIMIT).collect();
        recent.reverse();
        recent
    }
}
