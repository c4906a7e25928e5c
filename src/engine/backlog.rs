//! Fires that run one after the other: those of a trigger that are caught up, and live ones behind them.

use std::collections::{HashMap, VecDeque};

use super::plan::At;
use super::wanted::Wanted;
use crate::run::Reason;

/// The backlogs of all triggers that have one.
#[derive(Debug, Default)]
pub(super) struct Backlogs(HashMap<At, Backlog>);

/// Of one trigger; it lives until its last fire has ended.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    pub(super) fires: VecDeque<Late>,
    /// One fire is wanted or claimed, and has not ended.
    under_way: bool,
}

/// A fire that waits for those before it.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) fire_time: i64,
    pub(super) reason: Reason,
    pub(super) missed: u32,
}

impl Backlogs {
    pub(super) fn has(&self, at: At) -> bool {
        self.0.contains_key(&at)
    }

    /// How many fires wait in all of them.
    pub(super) fn len(&self) -> usize {
        self.0.values().map(|backlog| backlog.fires.len()).sum()
    }

    pub(super) fn push(&mut self, at: At, late: Late) {
        self.0.entry(at).or_default().fires.push_back(late);
    }

    /// The first fires of those of which none is under way.
    pub(super) fn begin(&mut self) -> Vec<Wanted> {
        let mut idle: Vec<At> =
            self.0.iter().filter(|(_, backlog)| !backlog.under_way).map(|(at, _)| *at).collect();
        idle.sort_unstable();
        idle.into_iter().filter_map(|at| self.next(at)).collect()
    }

    /// The next fire of a backlog whose last one is done with; the backlog goes when there is none.
    pub(super) fn next(&mut self, at: At) -> Option<Wanted> {
        let backlog = self.0.get_mut(&at)?;
        let Some(Late { fire_time, reason, missed }) = backlog.fires.pop_front() else {
            self.0.remove(&at);
            return None;
        };
        backlog.under_way = true;
        Some(Wanted { at, fire_time, reason, attempt: 1, missed, of_backlog: true })
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
