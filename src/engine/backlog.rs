//! Fires that run one after the other: those of a trigger that are caught up, and live ones behind them.
//!
//! What is skipped of such a trigger meanwhile keeps its place among them. The state remembers only up to where a trigger
//! is accounted for: were a later span on record first, the fires before it would count as dealt with.

use std::collections::{HashMap, VecDeque};

use super::missed::Missed;
use super::plan::At;
use super::wanted::Wanted;
use crate::run::Reason;
use crate::store::runs::SkipReason;

/// The backlogs of all triggers that have one.
#[derive(Debug, Default)]
pub(super) struct Backlogs(HashMap<At, Backlog>);

/// Of one trigger; it lives until its last fire has ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Backlog {
    late: VecDeque<Late>,
    /// One fire is wanted or claimed, and has not ended.
    under_way: bool,
}

/// What waits for the fires before it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Late {
    /// Runs.
    Fire {
        /// Unix seconds.
        fire_time: i64,
        /// Why it runs.
        reason: Reason,
        /// See [`Wanted`].
        since: i64,
        /// Missed fire times that it stands for beside itself.
        missed: u32,
    },
    /// Never runs.
    Skipped(Missed, SkipReason),
}

impl Backlogs {
    pub(super) fn has(&self, at: At) -> bool {
        self.0.contains_key(&at)
    }

    /// How many fires wait in all of them.
    pub(super) fn len(&self) -> usize {
        let fires = |late: &&Late| matches!(late, Late::Fire { .. });
        self.0.values().map(|backlog| backlog.late.iter().filter(fires).count()).sum()
    }

    pub(super) fn push(&mut self, at: At, late: Late) {
        self.0.entry(at).or_default().late.push_back(late);
    }

    /// Those of which no fire is under way: their next is to be asked for.
    pub(super) fn idle(&self) -> Vec<At> {
        let mut idle: Vec<At> =
            self.0.iter().filter(|(_, backlog)| !backlog.under_way).map(|(at, _)| *at).collect();
        idle.sort_unstable();
        idle
    }

    /// The next fire of a backlog whose last one is done with, after what is skipped before it; the backlog goes when
    /// there is none.
    pub(super) fn next(&mut self, at: At, skipped: &mut Vec<(Missed, SkipReason)>) -> Option<Wanted> {
        let backlog = self.0.get_mut(&at)?;
        while let Some(late) = backlog.late.pop_front() {
            match late {
                Late::Skipped(missed, reason) => skipped.push((missed, reason)),
                Late::Fire { fire_time, since, reason, missed } => {
                    backlog.under_way = true;
                    return Some(Wanted {
                        at,
                        fire_time,
                        since,
                        reason,
                        attempt: 1,
                        missed,
                        of_backlog: true,
                    });
                }
            }
        }
        self.0.remove(&at);
        None
    }

    /// What [`Backlog::give_up`] would say of a trigger's.
    pub(super) fn would_skip(&self, at: At, reason: SkipReason) -> Vec<(Missed, SkipReason)> {
        self.0.get(&at).map(|backlog| backlog.clone().give_up(reason)).unwrap_or_default()
    }

    /// See [`Backlog::give_up`].
    pub(super) fn give_up(&mut self, at: At) {
        if let Some(backlog) = self.0.get_mut(&at) {
            backlog.late.clear();
        }
    }

    /// Takes out the backlogs of a function, to be put back where its triggers are now.
    pub(super) fn take(&mut self, function: u32) -> Vec<(At, Backlog)> {
        let of_function: Vec<At> = self.0.keys().copied().filter(|at| at.function == function).collect();
        of_function.into_iter().filter_map(|at| Some((at, self.0.remove(&at)?))).collect()
    }

    /// See [`Backlogs::take`].
    pub(super) fn put_back(&mut self, at: At, backlog: Backlog) {
        self.0.insert(at, backlog);
    }
}

impl Backlog {
    /// Nothing that waits in it runs any more: it is skipped for `reason`.
    pub(super) fn give_up(&mut self, reason: SkipReason) -> Vec<(Missed, SkipReason)> {
        let mut skipped: Vec<(Missed, SkipReason)> = Vec::new();
        for late in self.late.drain(..) {
            match (late, skipped.last_mut()) {
                (Late::Skipped(missed, reason), _) => skipped.push((missed, reason)),
                // Nothing lies between two that wait.
                (Late::Fire { fire_time, missed, .. }, Some((before, why))) if *why == reason => {
                    before.last = fire_time;
                    before.count += 1 + i64::from(missed);
                }
                (Late::Fire { fire_time, since, missed, .. }, _) => {
                    let count = 1 + i64::from(missed);
                    skipped.push((Missed { first: since, last: fire_time, count }, reason));
                }
            }
        }
        skipped
    }
}
