//! Runs as the engine and the readers see them: claims, ends, history, output.

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;
use uuid::Uuid;

use super::postgres::skips::Skipped;
use super::postgres::{self, Session};
use super::triggers::{FunctionId, TriggerId};
use super::{Backend, Reader, Source, Store, StoreError, sqlite};
use crate::run::{Outcome, Reason, Stream};
use crate::settings::Overlap;

/// A run's number in the state.
pub type RunId = i64;

/// How a run ends that waited for its function, and never starts because a newer one takes its place.
pub(in crate::store) const REPLACED: &str = "replaced by a newer fire before it started";

/// A request to run a fire.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRequest {
    /// Unique; becomes the fire's.
    pub request_id: Uuid,
    /// The function.
    pub function: FunctionId,
    /// The trigger.
    pub trigger: TriggerId,
    /// When it was due, unix seconds. With a timed or caught-up reason, one run a trigger and fire time.
    pub fire_time: i64,
    /// The first of the missed fire times that it stands for, unix seconds; `fire_time` when there is no other.
    pub since: i64,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedSpan {
    /// The trigger.
    pub trigger: TriggerId,
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
    /// The trigger was paused.
    Paused,
    /// The function was still running.
    Overlap,
    /// More were missed than the catch-up window or its limit allow.
    CatchUpLimit,
    /// As many runs of the function as may wait for room did so already.
    Full,
    /// They waited to be caught up when their trigger was taken out of the configuration.
    Removed,
}

impl SkipReason {
    /// The word that the state and the CLI use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Late => "late",
            Self::Paused => "paused",
            Self::Overlap => "overlap",
            Self::CatchUpLimit => "catch-up-limit",
            Self::Full => "full",
            Self::Removed => "removed",
        }
    }
}

/// A run as the state has it.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// Its number.
    pub id: RunId,
    /// Its request id.
    pub request_id: Uuid,
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
    /// When its next attempt is due, if it waits for one.
    pub retry_at: Option<i64>,
    /// One line.
    pub message: Option<String>,
    /// A return value or an account.
    pub result: Option<Value>,
}

/// A line of output.
#[derive(Clone, Debug)]
pub struct OutputLine {
    /// Grows from line to line of a run.
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
    /// Grows from line to line of a run.
    pub seq: i64,
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
    /// Only runs with a higher number.
    pub after: RunId,
    /// At most this many, the newest.
    pub limit: u32,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its number.
    pub run: RunId,
    /// What it came to.
    pub outcome: Outcome,
    /// Unix milliseconds.
    pub at: i64,
}

impl Store {
    /// Claims fires; one answer a request, in order. The requests are handed over when this is called, and their
    /// commit is shared with little else: call it for some of the fires after the other, and await the answers in
    /// that order, to start the first while the last are being claimed.
    pub fn claim(
        &self,
        requests: Vec<ClaimRequest>,
    ) -> impl Future<Output = Result<Vec<Claim>, StoreError>> + Send + use<> {
        let epoch = self.epoch();
        // Runs wait for their claims: a few hundred do not wait for what else is to be written.
        let rows = 4 * requests.len();
        let claims: Pin<Box<dyn Future<Output = _> + Send>> = match &self.0 {
            Backend::Sqlite(store) => Box::pin(store.write_group(rows, move |connection| {
                sqlite::claims::claim_all(connection, epoch, &requests)
            })),
            Backend::Postgres(store) => Box::pin(store.write(rows, async move |session: &Session| {
                postgres::claims::claim_all(session, epoch, &requests).await
            })),
        };
        claims
    }

    /// Waiting runs start now.
    pub async fn start(&self, runs: Vec<RunId>, now: i64) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::runs::start(connection, &runs, now)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| postgres::runs::start(session, &runs, now).await)
                    .await
            }
        }
    }

    /// Takes over a run that an earlier process left waiting.
    pub async fn adopt(&self, run: RunId) -> Result<(), StoreError> {
        let epoch = self.epoch();
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::runs::adopt(connection, run, epoch)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| postgres::runs::adopt(session, run, epoch).await)
                    .await
            }
        }
    }

    /// A run has ended. Ends that come at the same time are written together.
    pub async fn finish(&self, end: Ended) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => store.finish_with_others(end).await,
            Backend::Postgres(store) => store.finish(end).await,
        }
    }

    /// Records fire times that never became runs, and moves the triggers' marks.
    pub async fn skip(&self, spans: Vec<SkippedSpan>, now: i64) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                let skip = move |connection: &_| {
                    spans.iter().try_for_each(|span| sqlite::claims::skip(connection, span, now))
                };
                store.write(skip).await
            }
            Backend::Postgres(store) => {
                let skipped: Vec<_> = spans.into_iter().map(|span| Skipped { span, now }).collect();
                let skip = async move |session: &Session| postgres::skips::record(session, &skipped).await;
                store.write(1, skip).await
            }
        }
    }

    /// Runs that an earlier process left open, oldest first.
    pub async fn left_open(&self) -> Result<Vec<RunRecord>, StoreError> {
        let epoch = self.epoch();
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::runs::left_open(connection, epoch)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| postgres::runs::left_open(session, epoch).await)
                    .await
            }
        }
    }

    /// How many attempts a fire has had.
    pub async fn attempts(
        &self,
        function: String,
        trigger: String,
        fire_time: i64,
    ) -> Result<u32, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                store
                    .write(move |connection| {
                        sqlite::runs::attempts(connection, &function, &trigger, fire_time)
                    })
                    .await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::runs::attempts(session, &function, &trigger, fire_time).await
                    })
                    .await
            }
        }
    }

    /// How the last run of a trigger ended, the run `but` and what was fired by hand aside.
    pub async fn last_end(
        &self,
        function: String,
        trigger: String,
        but: RunId,
    ) -> Result<Option<String>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                store
                    .write(move |connection| sqlite::history::last_end(connection, &function, &trigger, but))
                    .await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::history::last_end(session, &function, &trigger, but).await
                    })
                    .await
            }
        }
    }

    /// Deletes finished runs that ended before `before` (unix milliseconds) or are not among the newest
    /// `keep_runs`, and spans of skipped fires likewise; at most `limit` of each. Answers how many runs went.
    pub async fn prune(&self, before: i64, keep_runs: i64, limit: u32) -> Result<usize, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                store
                    .write(move |connection| sqlite::prune::prune(connection, before, keep_runs, limit))
                    .await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::prune::prune(session, before, keep_runs, limit).await
                    })
                    .await
            }
        }
    }
}

impl Reader {
    /// Runs, the newest first.
    pub fn history(&self, filter: &HistoryFilter) -> Result<Vec<RunRecord>, StoreError> {
        match &self.0 {
            Source::Sqlite(reader) => reader.read(|connection| sqlite::history::history(connection, filter)),
            Source::Postgres(reader) => {
                reader.read(async |session: &Session| postgres::history::history(session, filter).await)
            }
        }
    }

    /// Skipped spans, the newest first, at most `limit`.
    pub fn skipped(&self, function: Option<&str>, limit: u32) -> Result<Vec<SkippedRecord>, StoreError> {
        match &self.0 {
            Source::Sqlite(reader) => {
                reader.read(|connection| sqlite::history::skipped(connection, function, limit))
            }
            Source::Postgres(reader) => reader
                .read(async |session: &Session| postgres::history::skipped(session, function, limit).await),
        }
    }

    /// A run by its number or its request id.
    pub fn run(&self, name: &str) -> Result<Option<RunRecord>, StoreError> {
        match &self.0 {
            Source::Sqlite(reader) => reader.read(|connection| sqlite::history::find(connection, name)),
            Source::Postgres(reader) => {
                reader.read(async |session: &Session| postgres::history::find(session, name).await)
            }
        }
    }

    /// The output of a run behind the line numbered `after`, in order; -1: all of it.
    pub fn output(&self, run: RunId, after: i64) -> Result<Vec<RecordedLine>, StoreError> {
        match &self.0 {
            Source::Sqlite(reader) => {
                reader.read(|connection| sqlite::history::output(connection, run, after))
            }
            Source::Postgres(reader) => {
                reader.read(async |session: &Session| postgres::history::output(session, run, after).await)
            }
        }
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
