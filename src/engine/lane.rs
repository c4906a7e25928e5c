//! Wake-ups for rows that wait for another try: the retry lanes of batches.
//!
//! A function has one time at most, that of the first row in its lane: it is learned at the start, with a new version, and
//! after each run. When it has come and nothing of the function runs or waits, a run of its own is wanted, which delivers
//! those rows and nothing else; a run that is under way takes them itself. A function without an active trigger waits.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::plan::{At, State};
use super::scheduler::{Effects, Scheduler};
use super::wanted::Wanted;
use crate::run::Reason;
use crate::store::runs::RunId;

/// After so many runs in a row that did not succeed, rows wait at least this long, in milliseconds: what is in their way
/// does not go because it is tried again and again.
const PATIENCE: [i64; 5] = [60_000, 300_000, 1_800_000, 7_200_000, 28_800_000];
/// After a run that did; milliseconds. Rows that a run leaves behind must not make the next one begin in the same instant.
const BREATH: i64 = 1000;

/// A run that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) run: RunId,
    pub(super) succeeded: bool,
    /// Of a batch.
    pub(super) lane: Option<Learned>,
}

/// What was found in a batch's lane after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Learned {
    /// Drawn before the look: of two runs that end at the same time, the later look counts.
    pub(super) order: u64,
    /// When the first row is due, unix milliseconds; none: no row waits.
    pub(super) due: Option<i64>,
}

/// All functions with rows in their lanes, or with runs that failed.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    due: BTreeMap<u32, Due>,
    /// Runs in a row that did not succeed.
    failures: HashMap<u32, usize>,
    /// The latest look at each.
    looks: HashMap<u32, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    /// Unix milliseconds.
    at: i64,
    /// Somebody asked: what a run says that was under way then does not count.
    asked: bool,
}

impl Lanes {
    fn learn(&mut self, function: u32, at: Option<i64>) {
        if self.due.get(&function).is_some_and(|due| due.asked) {
            return;
        }
        match at {
            Some(at) => drop(self.due.insert(function, Due { at, asked: false })),
            None => drop(self.due.remove(&function)),
        }
    }

    /// A run has ended at `now` (unix milliseconds).
    pub(super) fn ended(&mut self, function: u32, end: End, now: i64) {
        let Some(Learned { order, due }) = end.lane else { return };
        let wait = if end.succeeded {
            self.failures.remove(&function);
            BREATH
        } else {
            let failures = self.failures.entry(function).or_default();
            let wait = PATIENCE[(*failures).min(PATIENCE.len() - 1)];
            *failures = failures.saturating_add(1);
            wait
        };
        let latest = self.looks.entry(function).or_default();
        if order >= *latest {
            *latest = order;
            self.learn(function, due.map(|at| at.max(now.saturating_add(wait))));
        }
    }

    /// Nothing of a function waits any more.
    pub(super) fn forget(&mut self, function: u32) {
        self.due.remove(&function);
        self.failures.remove(&function);
    }

    /// A run of a lane could not be had.
    pub(super) fn put_off(&mut self, function: u32, now: i64) {
        self.learn(function, Some(now.saturating_add(PATIENCE[0])));
    }
}

impl Scheduler {
    /// The first row in a function's lane is due at this time (unix milliseconds); none: no row waits.
    pub(super) fn lane_is(&mut self, function: u32, due: Option<i64>) {
        self.lanes.learn(function, due);
    }

    /// Rows of a function's lane are to go out now (unix milliseconds): somebody asks for it.
    pub(super) fn lane_asked(&mut self, function: u32, now: i64) {
        self.lanes.forget(function);
        self.lanes.due.insert(function, Due { at: now, asked: true });
    }

    /// When there is something to do next, unix milliseconds.
    pub(super) fn next_wake(&self) -> Option<i64> {
        let fire = self.plan.next().map(|(due, _)| due);
        let lanes = self.lanes.due.iter().filter(|(function, _)| self.lane_trigger(**function).is_some());
        lanes.map(|(_, due)| due.at).chain(fire).min()
    }

    /// Wants a run for each lane that is due by `now` (unix milliseconds), unless its function is to run anyway.
    pub(super) fn lanes_due(&mut self, now: i64, effects: &mut Effects) {
        if self.lanes.due.is_empty() {
            return;
        }
        let runs: HashSet<u32> = effects.claim.iter().map(|wanted| wanted.at.function).collect();
        let due = self.lanes.due.iter().filter(|(function, due)| due.at <= now && !runs.contains(function));
        let due: Vec<At> = due.filter_map(|(function, _)| self.lane_trigger(*function)).collect();
        for at in due {
            self.lanes.due.remove(&at.function);
            let fire_time = now.div_euclid(1000);
            let (reason, attempt, missed, of_backlog) = (Reason::Retry, 1, 0, false);
            effects.claim.push(Wanted {
                at,
                fire_time,
                since: fire_time,
                reason,
                attempt,
                missed,
                of_backlog,
            });
        }
    }

    /// The trigger that a run of the lane goes by: the first that is active; none while it may not run.
    fn lane_trigger(&self, function: u32) -> Option<At> {
        let slot = &self.slots[function as usize];
        if slot.running > 0 || !slot.waiting.is_empty() {
            return None;
        }
        let all = (0..).zip(&slot.ids).map(|(trigger, _)| At { function, trigger });
        all.into_iter().find(|at| self.plan.mark(*at).state == State::Active)
    }
}
