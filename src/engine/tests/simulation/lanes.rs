//! Retry lanes: rows that are due go out when nothing of their function runs, and not before their time.

use std::collections::{HashMap, HashSet};

use super::super::facts::LaneFact;
use crate::run::Reason;
use crate::store::runs::{Claim, ClaimRequest};
use crate::store::triggers::FunctionId;

/// No run that failed keeps rows from the next try for longer; milliseconds.
const LONGEST_WAIT: i64 = 8 * 3_600_000;
const BREATH: i64 = 1000;

#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// When the first row is due, unix milliseconds.
    due: HashMap<FunctionId, i64>,
    /// From here on nothing is in the way of rows that are due.
    free_from: HashMap<FunctionId, i64>,
    asked: HashSet<FunctionId>,
    pub(super) runs: u64,
}

/// A run that is wanted for the sake of a lane.
pub(super) fn is_of_lane(request: &ClaimRequest) -> bool {
    request.reason == Reason::Retry && request.attempt == 1
}

impl Lanes {
    pub(super) fn observe(&mut self, fact: &LaneFact) {
        match *fact {
            LaneFact::Tried { now, function, succeeded } => {
                let wait = if succeeded { BREATH } else { LONGEST_WAIT };
                self.free_from.insert(function, now + wait);
            }
            LaneFact::Is { function, due: Some(due) } => drop(self.due.insert(function, due)),
            LaneFact::Is { function, due: None } => drop(self.due.remove(&function)),
            LaneFact::Asked { function } => drop(self.asked.insert(function)),
        }
    }

    /// A new process knows of no failures.
    pub(super) fn down(&mut self) {
        self.free_from.clear();
        self.asked.clear();
    }

    pub(super) fn claimed(&mut self, request: &ClaimRequest, answer: &Claim) -> Result<(), String> {
        if matches!(answer, Claim::Skipped) {
            return Err(format!("{request:?}: wanted though its function is busy"));
        }
        self.runs += 1;
        let asked = self.asked.remove(&request.function);
        match self.due.get(&request.function) {
            Some(due) if *due <= request.now => Ok(()),
            _ if asked => Ok(()),
            due => Err(format!("{request:?}: no row is due, {due:?}")),
        }
    }

    /// Functions whose rows should have gone out by `now` (unix milliseconds) if nothing of them runs.
    pub(super) fn overdue(&self, now: i64) -> impl Iterator<Item = FunctionId> {
        let free = move |function: &FunctionId| self.free_from.get(function).is_none_or(|from| *from <= now);
        let due = self.due.iter().filter(move |(function, due)| **due <= now && free(function));
        due.map(|(function, _)| *function)
    }
}
