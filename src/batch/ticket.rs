//! A row on its way: reserved, and what came of it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::account::Heading;
use super::key::Key;
use crate::action::Outcome;
use crate::run::Row;
use crate::settings::{MarkSettings, OnUncertain};
use crate::store::ledger::{EntryKey, Record, Verdict};

/// Waits before the next try of a row that was not delivered; after the last of them it has failed.
const WAITS: [TimeDelta; 5] = [
    TimeDelta::minutes(1),
    TimeDelta::minutes(5),
    TimeDelta::minutes(30),
    TimeDelta::hours(2),
    TimeDelta::hours(8),
];

/// A reserved row.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) entry: EntryKey,
    pub(super) key: Key,
    pub(super) reservation: String,
    /// Tries so far that came to nothing.
    pub(super) attempts: u32,
    /// It may have been delivered by an earlier try.
    pub(super) doubtful: bool,
    /// Due time of the fire that the row belongs to.
    pub(super) fire_time: DateTime<Utc>,
    pub(super) lane: Lane,
    pub(super) row: Row,
    /// When the row was read, monotonic.
    pub(super) read_at: Duration,
}

/// How a row came to be reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// From the sweep, which stands here once the row is started.
    Sweep(Position),
    /// From the retry lane.
    Retry {
        /// This run had put it there.
        own: bool,
    },
}

/// A place in a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The last key that is taken; none: at the start of the table.
    pub(super) cursor: Option<Key>,
    /// The pass has gone on at the start of the table.
    pub(super) wrapped: bool,
}

/// What the settings say about outcomes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Sent rows are marked in the source.
    pub(super) marks_sent: bool,
    /// Failed rows are marked in the source.
    pub(super) marks_failed: bool,
    pub(super) on_uncertain: OnUncertain,
}

impl Rules {
    pub(super) fn new(mark: Option<&MarkSettings>, on_uncertain: OnUncertain) -> Self {
        Self {
            marks_sent: mark.is_some(),
            marks_failed: mark.is_some_and(|mark| mark.failed.is_some()),
            on_uncertain,
        }
    }

    /// What the ledger keeps of an outcome, and where the row stands in the account.
    pub(super) fn settle(self, ticket: &Ticket, outcome: Outcome, now: DateTime<Utc>) -> (Verdict, Heading) {
        match outcome {
            Outcome::Sent { detail } if self.marks_sent => (Verdict::Sent { detail }, Heading::Sent),
            Outcome::Sent { .. } => (Verdict::Gone, Heading::Sent),
            Outcome::Failed { reason } => (self.failed(reason), Heading::Failed),
            Outcome::Retry { reason } => self.again(ticket, ticket.doubtful, reason, now),
            Outcome::Uncertain { reason } => match self.on_uncertain {
                OnUncertain::Hold => (Verdict::Held { reason }, Heading::Held),
                OnUncertain::Resend => self.again(ticket, true, reason, now),
            },
            // The row is not to blame: no try is counted.
            Outcome::Halt { reason } => (put_back(ticket, reason, now), lane_heading(ticket.doubtful)),
            Outcome::Exhausted { reason, wait } => {
                (put_back(ticket, reason, now + wait), lane_heading(ticket.doubtful))
            }
            Outcome::Unreachable { reason } => {
                (put_back(ticket, reason, now + WAITS[0]), lane_heading(ticket.doubtful))
            }
        }
    }

    fn failed(self, reason: String) -> Verdict {
        if self.marks_failed { Verdict::Failed { reason } } else { Verdict::Kept { reason } }
    }

    fn again(
        self,
        ticket: &Ticket,
        doubtful: bool,
        reason: String,
        now: DateTime<Utc>,
    ) -> (Verdict, Heading) {
        match WAITS.get(ticket.attempts as usize) {
            Some(wait) => {
                let at = (now + *wait).timestamp_millis();
                let verdict = Verdict::Waiting { at, attempts: ticket.attempts + 1, doubtful, reason };
                (verdict, lane_heading(doubtful))
            }
            None if doubtful => (Verdict::Held { reason }, Heading::Held),
            None => {
                let tries = WAITS.len() + 1;
                (self.failed(format!("given up after {tries} tries: {reason}")), Heading::Failed)
            }
        }
    }
}

/// Back into the retry lane, due at `at`, as if it had not been taken.
pub(super) fn put_back(ticket: &Ticket, reason: String, at: DateTime<Utc>) -> Verdict {
    Verdict::Waiting {
        at: at.timestamp_millis(),
        attempts: ticket.attempts,
        doubtful: ticket.doubtful,
        reason,
    }
}

/// Why a row comes back whose turn did not come before the run stopped.
pub(super) const NO_TURN: &str = "the run was stopped before its turn came";

/// Where a row of the retry lane stands in the account.
pub(super) const fn lane_heading(doubtful: bool) -> Heading {
    if doubtful { Heading::Uncertain } else { Heading::Retrying }
}

impl Ticket {
    /// The record of this ticket's verdict.
    pub(super) fn record(&self, verdict: Verdict) -> Record {
        Record { entry: self.entry.clone(), reservation: self.reservation.clone(), verdict }
    }
}
