//! Runs as the engine and the readers see them: claims, ends, history, output.

use std::collections::HashMap;

use serde_json::Value;

use super::{Reader, Store, StoreError, sqlite};
use crate::run::{Outcome, Reason, Stream};
use crate::settings::Overlap;

/// A run's number in the state.
pub type RunId = i64;

/// A request to run a fire.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// Unique; becomes the fire's.
    pub request_id: String,
    /// The function.
    pub function: String,
    /// The trigger within the function.
    pub trigger: String,
    /// When it was due, unix seconds. With a timed or caught-up reason, one run a trigger and fire time.
    pub fire_time: i64,
    /// Why.
    pub reason: Reason,
    /// 1 for the first.
    pub attempt: u32,
    /// Missed fire times that this run stands for.
    pub missed: u32,
    /// What to do when the function is running.
    pub overlap: Overlap,
    /// False: the daemon is at its limit, the run must wait in any case.
    pub room: bool,
    /// Unix milliseconds.
    pub now: i64,
}

/// What a claim came to. The decision on the overlap and the claim are one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is ours and runs now.
    Started(RunId),
    /// It is ours and waits for the function, or for the daemon, to have room.
    Waiting(RunId),
    /// It is ours, waits, and these runs are to be stopped for it. Those of them that were still waiting
    /// are ended already.
    Replaces {
        /// The new run.
        run: RunId,
        /// Open runs of the function.
        old: Vec<RunId>,
    },
    /// The overlap policy says no; recorded as skipped.
    Skipped,
    /// This fire time of the trigger has been claimed before.
    AlreadyClaimed,
}

/// Fire times that never became a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedSpan {
    /// The function.
    pub function: String,
    /// The trigger within the function.
    pub trigger: String,
    /// First and last fire time, unix seconds.
    pub first: i64,
    /// See `first`.
    pub last: i64,
    /// How many fire times.
    pub count: i64,
    /// Why.
    pub reason: SkipReason,
}

/// Why fire times were skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// The daemon was not running.
    Down,
    /// The daemon ran, but could not start it in time: the machine slept or was too busy.
    Late,
    /// The function was still running.
    Overlap,
    /// More were missed than the catch-up window or its limit allow.
    CatchUpLimit,
}

impl SkipReason {
    /// The word that the state and the CLI use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Late => "late",
            Self::Overlap => "overlap",
            Self::CatchUpLimit => "catch-up-limit",
        }
    }
}

/// A run as the state has it.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// Its number.
    pub id: RunId,
    /// Its request id.
    pub request_id: String,
    /// The function.
    pub function: String,
    /// The trigger within the function.
    pub trigger: String,
    /// When it was due, unix seconds.
    pub fire_time: i64,
    /// Why it ran.
    pub reason: String,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// Missed fire times it stood for.
    pub missed: u32,
    /// `waiting`, `running`, or how it ended.
    pub state: String,
    /// Later runs of the same trigger that found nothing to do either, and are folded into this one.
    pub repeats: i64,
    /// Unix milliseconds, as the two below.
    pub created_at: i64,
    /// When the target started.
    pub started_at: Option<i64>,
    /// When it ended.
    pub finished_at: Option<i64>,
    /// One line.
    pub message: Option<String>,
    /// A return value or an account.
    pub result: Option<Value>,
}

/// A line of output.
#[derive(Clone, Debug)]
pub struct OutputLine {
    /// Its number within the run, from 0.
    pub seq: i64,
    /// Unix milliseconds.
    pub at: i64,
    /// Where it came from.
    pub stream: Stream,
    /// Without its line end.
    pub text: String,
}

/// A line of output as the state has it.
#[derive(Clone, Debug)]
pub struct RecordedLine {
    /// Unix milliseconds.
    pub at: i64,
    /// `stdout`, `stderr` or `system`.
    pub stream: String,
    /// Without its line end.
    pub text: String,
}

/// Which runs `history` shows.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    /// Only this function.
    pub function: Option<String>,
    /// Only this trigger.
    pub trigger: Option<String>,
    /// Only runs in this state.
    pub state: Option<String>,
    /// At most this many, the newest.
    pub limit: u32,
}

impl Store {
    /// Claims fires, all in one commit; one answer a request, in order.
    pub async fn claim(&self, requests: Vec<ClaimRequest>) -> Result<Vec<Claim>, StoreError> {
        let epoch = self.epoch();
        self.write(move |connection| {
            requests.iter().map(|request| sqlite::runs::claim(connection, epoch, request)).collect()
        })
        .await
    }

    /// A waiting run starts now.
    pub async fn start(&self, run: RunId, now: i64) -> Result<(), StoreError> {
        self.write(move |connection| sqlite::runs::start(connection, run, now)).await
    }

    /// Takes over a run that an earlier process left waiting.
    pub async fn adopt(&self, run: RunId) -> Result<(), StoreError> {
        let epoch = self.epoch();
        self.write(move |connection| sqlite::runs::adopt(connection, run, epoch)).await
    }

    /// A run has ended.
    pub async fn finish(&self, run: RunId, outcome: Outcome, now: i64) -> Result<(), StoreError> {
        self.write(move |connection| sqlite::runs::finish(connection, run, &outcome, now)).await
    }

    /// Records fire times that never became runs, and moves the triggers' high-water marks.
    pub async fn skip(&self, spans: Vec<SkippedSpan>, now: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            spans.iter().try_for_each(|span| sqlite::runs::skip(connection, span, now))
        })
        .await
    }

    /// Up to where each trigger's fire times are accounted for: (function, trigger) → unix seconds.
    pub async fn high_water(&self) -> Result<HashMap<(String, String), i64>, StoreError> {
        self.write(sqlite::runs::high_water).await
    }

    /// Puts a trigger's high-water mark back: it lay in the future, the clock had jumped.
    pub async fn lower_high_water(
        &self,
        function: String,
        trigger: String,
        fire_time: i64,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            sqlite::runs::lower_high_water(connection, &function, &trigger, fire_time)
        })
        .await
    }

    /// Runs that an earlier process left open, oldest first.
    pub async fn left_open(&self) -> Result<Vec<RunRecord>, StoreError> {
        let epoch = self.epoch();
        self.write(move |connection| sqlite::runs::left_open(connection, epoch)).await
    }

    /// How many attempts a fire has had, by its trigger's full name and its fire time.
    pub async fn attempts(&self, full_name: String, fire_time: i64) -> Result<u32, StoreError> {
        self.write(move |connection| sqlite::runs::attempts(connection, &full_name, fire_time)).await
    }

    /// Lines of a run's output.
    pub async fn append_output(&self, run: RunId, lines: Vec<OutputLine>) -> Result<(), StoreError> {
        self.write(move |connection| sqlite::runs::append_output(connection, run, &lines)).await
    }

    /// Deletes finished runs that ended before `before` (unix milliseconds) or are not among the newest
    /// `keep_runs`; at most `limit`. Answers how many went.
    pub async fn prune(&self, before: i64, keep_runs: i64, limit: u32) -> Result<usize, StoreError> {
        self.write(move |connection| sqlite::runs::prune(connection, before, keep_runs, limit)).await
    }
}

impl Reader {
    /// Runs, the newest first.
    pub fn history(&self, filter: &HistoryFilter) -> Result<Vec<RunRecord>, StoreError> {
        sqlite::runs::history(self.connection(), filter)
    }

    /// Skipped spans, the newest first, at most `limit`.
    pub fn skipped(&self, function: Option<&str>, limit: u32) -> Result<Vec<SkippedRecord>, StoreError> {
        sqlite::runs::skipped(self.connection(), function, limit)
    }

    /// A run by its number or its request id.
    pub fn run(&self, name: &str) -> Result<Option<RunRecord>, StoreError> {
        sqlite::runs::find(self.connection(), name)
    }

    /// The output of a run, in order.
    pub fn output(&self, run: RunId) -> Result<Vec<RecordedLine>, StoreError> {
        sqlite::runs::output(self.connection(), run)
    }
}

/// A skipped span as the state has it.
#[derive(Clone, Debug)]
pub struct SkippedRecord {
    /// The function.
    pub function: String,
    /// The trigger within the function.
    pub trigger: String,
    /// First and last fire time, unix seconds.
    pub first: i64,
    /// See `first`.
    pub last: i64,
    /// How many fire times.
    pub count: i64,
    /// Why: see [`SkipReason`].
    pub reason: String,
}
