//! The ledger of batches: what is reserved, what came of it, and how far the sweep has got.
//!
//! A key is text here, a JSON array with one element a key column; what it means is the batch's
//! business. Every write is refused once another owner has opened the state since.

use super::postgres::{self, Session};
use super::{Backend, Reader, Source, Store, StoreError, sqlite};
use crate::run::Reason;

/// A scope's number in the state.
pub type ScopeId = i64;

/// A run wants to begin.
#[derive(Clone, Debug)]
pub struct BeginRun {
    /// The batch's id.
    pub batch: String,
    /// True: the scope is until marked; false: the fire.
    pub until_marked: bool,
    /// A new fire goes on where the last one stopped, even if the scope is the fire.
    pub walk_on: bool,
    /// The trigger's full name.
    pub trigger: String,
    /// Unix seconds.
    pub fire_time: i64,
    /// Why the run happens: a retry or a resumption goes on in the scope of its fire.
    pub reason: Reason,
}

/// A scope, as a run finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its number.
    pub id: ScopeId,
    /// This run's number within the scope.
    pub run: i64,
    /// Rows that earlier runs of the same fire took.
    pub taken: u64,
    /// Where the sweep is.
    pub sweep: Sweep,
    /// The fire's work was done before this run began.
    pub done: bool,
}

/// How far a sweep has got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Key up to which rows are taken; none: at the start of the table.
    pub cursor: Option<String>,
    /// Where the fire's pass began, and will end.
    pub origin: Option<String>,
    /// The pass has gone on at the start of the table.
    pub wrapped: bool,
    /// Rows to come in this sweep, if they were counted.
    pub remaining: Option<u64>,
}

/// How a fire stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FireState {
    /// A run is under way, or was cut off.
    Running,
    /// A run was asked to stop; another may go on.
    Stopped,
    /// A run failed; a retry may go on.
    Failed,
    /// Nothing is left to do for this fire.
    Done,
}

impl FireState {
    /// The word that the state uses.
    pub(in crate::store) const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Done => "done",
        }
    }
}

/// What one commit of a run changes. Everything in it is done, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The run's scope.
    pub scope: ScopeId,
    /// The run's number.
    pub run: i64,
    /// Rows to reserve in the run's scope: key and reservation id.
    pub reserve: Vec<(String, String)>,
    /// What came of reservations.
    pub record: Vec<Record>,
    /// Entries that go: marked, vanished, or never started.
    pub forget: Vec<EntryKey>,
    /// Rows of `forget` that were never started and do not count as taken.
    pub untaken: u64,
    /// Where the sweep is once `reserve` is done.
    pub sweep: Option<Sweep>,
    /// How the fire stands now.
    pub fire: Option<FireState>,
    /// Unix milliseconds.
    pub now: i64,
}

impl Step {
    /// True when there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.reserve.is_empty()
            && self.record.is_empty()
            && self.forget.is_empty()
            && self.sweep.is_none()
            && self.fire.is_none()
    }
}

/// Which entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryKey {
    /// Its scope.
    pub scope: ScopeId,
    /// Its key.
    pub key: String,
}

/// What came of a reservation.
#[derive(Clone, Debug)]
pub struct Record {
    /// The entry.
    pub entry: EntryKey,
    /// The reservation's id.
    pub reservation: String,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of a reservation, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Delivered; the source is to be marked.
    Sent {
        /// What the other side answered.
        detail: String,
    },
    /// Failed for good; the source is to be marked.
    Failed {
        /// One line.
        reason: String,
    },
    /// Failed for good; the entry stays.
    Kept {
        /// One line.
        reason: String,
    },
    /// Waits for another try.
    Waiting {
        /// Unix milliseconds.
        at: i64,
        /// Tries so far that came to nothing.
        attempts: u32,
        /// It may have been delivered all the same.
        doubtful: bool,
        /// One line.
        reason: String,
    },
    /// Nobody knows whether it was delivered; waits for an operator.
    Held {
        /// One line.
        reason: String,
    },
    /// Nothing is left to do: delivered with nothing to mark, or not there any more.
    Gone,
}

/// A row of the retry lane, reserved for this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The entry.
    pub entry: EntryKey,
    /// The fire time of its scope, unix seconds.
    pub fire_time: i64,
    /// Its reservation id, the same for every try.
    pub reservation: String,
    /// Tries so far that came to nothing.
    pub attempts: u32,
    /// It may have been delivered already.
    pub doubtful: bool,
    /// This run put it into the lane itself.
    pub own: bool,
}

/// An entry that is recorded, and whose mark is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmarked {
    /// The entry.
    pub entry: EntryKey,
    /// The fire time of its scope, unix seconds.
    pub fire_time: i64,
    /// None: sent. Otherwise why it failed.
    pub failure: Option<String>,
}

/// A fire that has work left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFire {
    /// The trigger's full name.
    pub trigger: String,
    /// Unix seconds.
    pub fire_time: i64,
}

/// What the ledger holds of a batch, for a preview.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Where the sweep stands, if there is one.
    pub sweep: Sweep,
    /// Keys that are passed over.
    pub keys: Vec<String>,
    /// Keys that are in the retry lane and due.
    pub due: Vec<String>,
}

impl Store {
    /// Opens the scope of a run and counts the run.
    pub async fn begin_batch_run(&self, begin: BeginRun) -> Result<Scope, StoreError> {
        let epoch = self.epoch();
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::ledger::begin(connection, epoch, &begin)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| postgres::scopes::begin(session, &begin).await)
                    .await
            }
        }
    }

    /// Opens a run that delivers what waits in the retry lane and nothing else: no fire and no sweep is touched. None: the
    /// batch never ran.
    pub async fn begin_lane_run(&self, batch: String) -> Result<Option<Scope>, StoreError> {
        let epoch = self.epoch();
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::ledger_lane::begin(connection, epoch, &batch)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::scopes::begin_lane(session, &batch).await
                    })
                    .await
            }
        }
    }

    /// Does one step of a run. Answers the positions in `step.reserve` that were refused because the
    /// ledger holds the key already.
    ///
    /// [`StoreError::StaleEpoch`] when the state or a reservation has another owner by now,
    /// [`StoreError::NotReserved`] when a recorded reservation is not there.
    pub async fn batch_step(&self, step: Step) -> Result<Vec<usize>, StoreError> {
        let epoch = self.epoch();
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::ledger::step(connection, epoch, &step)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(
                        step.reserve.len() + step.record.len() + step.forget.len(),
                        async move |session: &Session| postgres::ledger::step(session, epoch, &step).await,
                    )
                    .await
            }
        }
    }

    /// Reserves rows of the retry lane that are due at `now` (unix milliseconds), the longest due
    /// first, at most `limit`, for run `run` of `scope`. With `counts` they are rows that its fire has taken.
    pub async fn take_due(
        &self,
        batch: String,
        (scope, run, counts): (ScopeId, i64, bool),
        now: i64,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError> {
        let epoch = self.epoch();
        match &self.0 {
            Backend::Sqlite(store) => {
                store
                    .write(move |connection| {
                        sqlite::ledger::take_due(connection, epoch, &batch, (scope, run, counts), now, limit)
                    })
                    .await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::ledger::take_due(session, epoch, &batch, (scope, run, counts), now, limit)
                            .await
                    })
                    .await
            }
        }
    }

    /// When the first row of the retry lane is due, unix milliseconds.
    pub async fn next_due(&self, batch: String) -> Result<Option<i64>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::ledger::next_due(connection, &batch)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::ledger_rows::next_due(session, &batch).await
                    })
                    .await
            }
        }
    }

    /// Rows that are recorded and not marked, in key order after `after`, at most `limit`.
    pub async fn unmarked(
        &self,
        batch: String,
        after: Option<EntryKey>,
        limit: usize,
    ) -> Result<Vec<Unmarked>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                store
                    .write(move |connection| {
                        sqlite::ledger::unmarked(connection, &batch, after.as_ref(), limit)
                    })
                    .await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::ledger_rows::unmarked(session, &batch, after.as_ref(), limit).await
                    })
                    .await
            }
        }
    }

    /// Settles every reservation that has no record: to the retry lane, due at `now` (unix
    /// milliseconds), when `resend`, else held. Answers how many.
    ///
    /// Only for a batch of which no run is under way.
    pub async fn settle_unrecorded(&self, batch: String, resend: bool, now: i64) -> Result<u64, StoreError> {
        let epoch = self.epoch();
        match &self.0 {
            Backend::Sqlite(store) => {
                store
                    .write(move |connection| sqlite::ledger::settle(connection, epoch, &batch, resend, now))
                    .await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::ledger_rows::settle(session, &batch, resend, now).await
                    })
                    .await
            }
        }
    }

    /// Removes entries: they are marked now.
    pub async fn forget(&self, entries: Vec<EntryKey>) -> Result<(), StoreError> {
        let epoch = self.epoch();
        match &self.0 {
            Backend::Sqlite(store) => {
                let forget = move |connection: &_| {
                    sqlite::ledger::owned(connection, epoch)?;
                    sqlite::ledger::forget(connection, &entries)
                };
                store.write(forget).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::ledger::forget(session, &entries).await
                    })
                    .await
            }
        }
    }

    /// Fires of a batch whose run was cut off or stopped, oldest first.
    pub async fn open_fires(&self, batch: String) -> Result<Vec<OpenFire>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::ledger::open_fires(connection, &batch)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::ledger_rows::open_fires(session, &batch).await
                    })
                    .await
            }
        }
    }
}

impl Reader {
    /// What the ledger holds of a batch at `now` (unix milliseconds). Empty when it never ran.
    pub fn holdings(&self, batch: &str, until_marked: bool, now: i64) -> Result<Holdings, StoreError> {
        match &self.0 {
            Source::Sqlite(reader) => {
                reader.read(|connection| sqlite::ledger::holdings(connection, batch, until_marked, now))
            }
            Source::Postgres(reader) => reader.read(async |session: &Session| {
                postgres::ledger_rows::holdings(session, batch, until_marked, now).await
            }),
        }
    }
}
