//! Rows that the ledger keeps, as an operator sees and settles them.

use super::postgres::{self, Session};
use super::{Backend, Reader, Source, Store, StoreError, sqlite};

/// What the ledger holds of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchSummary {
    /// The batch's id.
    pub batch: String,
    /// Rows that may or may not have been delivered, and wait for an operator.
    pub held: u64,
    /// Rows that failed for good.
    pub failed: u64,
    /// Rows that wait for another try.
    pub retrying: u64,
    /// Rows that are being delivered, recorded or marked; or were, when the daemon died.
    pub under_way: u64,
    /// When the first of the retrying rows is due, unix milliseconds.
    pub next_retry: Option<i64>,
    /// Rows to come in the newest sweep, if they were counted.
    pub remaining: Option<u64>,
    /// How the newest fire stands: `running`, `stopped`, `failed`, `done`.
    pub fire_state: Option<String>,
    /// When the newest fire was due, unix seconds.
    pub fire_time: Option<i64>,
    /// Its trigger's full name.
    pub trigger: Option<String>,
}

/// A row that the ledger keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// The key: a JSON array, one element a key column; `[]` is a whole page.
    pub key: String,
    /// `held`, `failed`, `retrying` or `under way`.
    pub state: &'static str,
    /// Its reservation id.
    pub reservation: String,
    /// Tries so far that came to nothing.
    pub attempts: u32,
    /// Unix milliseconds: when a retrying row is due; since when the others are as they are.
    pub at: i64,
    /// What the other side said, or what went wrong.
    pub detail: Option<String>,
    /// Due time of the fire, unix seconds.
    pub fire_time: i64,
}

/// What an operator calls the state of an entry, for [`LedgerRow::state`].
pub(in crate::store) fn shown(state: &str) -> &'static str {
    match state {
        "held" => "held",
        "kept" => "failed",
        "waiting" | "resend" => "retrying",
        _ => "under way",
    }
}

/// Which rows of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// They wait for an operator.
    Held,
    /// They failed for good.
    Failed,
    /// They wait for another try.
    Retrying,
}

/// Rows of a batch that an operator means.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The batch's id.
    pub batch: String,
    /// Rows in this state.
    pub state: RowState,
    /// Only these keys, as JSON arrays; none: all.
    pub keys: Option<Vec<String>>,
    /// Unix milliseconds.
    pub now: i64,
}

/// Rows that an operator hands back for delivery.
#[derive(Clone, Debug)]
pub struct Requeue {
    /// Which; those that wait for another try already are due at once.
    pub rows: Selection,
    /// They may have been delivered before.
    pub doubtful: bool,
}

impl Store {
    /// Puts rows into the retry lane, due now, with all their tries before them. Answers how many.
    ///
    /// Rows that an earlier owner of the state left reserved are taken for held; what this one has reserved is in the
    /// hands of a run, and left alone.
    pub async fn requeue(&self, requeue: Requeue) -> Result<u64, StoreError> {
        let epoch = self.epoch();
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::ledger_rows::requeue(connection, epoch, &requeue)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::ledger_rows::requeue(session, epoch, &requeue).await
                    })
                    .await
            }
        }
    }

    /// Rows are never to be delivered. With `mark` they are to be marked as failed, as any row that is recorded so; else
    /// they stay as failed. Answers how many. Which rows are left alone: see [`Store::requeue`].
    pub async fn discard(&self, rows: Selection, mark: bool) -> Result<u64, StoreError> {
        let epoch = self.epoch();
        match &self.0 {
            Backend::Sqlite(store) => {
                let discard =
                    move |connection: &_| sqlite::ledger_rows::discard(connection, epoch, &rows, mark);
                store.write(discard).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::ledger_rows::discard(session, epoch, &rows, mark).await
                    })
                    .await
            }
        }
    }
}

impl Reader {
    /// What the ledger holds of each batch that ever ran, by id.
    pub fn batches(&self) -> Result<Vec<BatchSummary>, StoreError> {
        match &self.0 {
            Source::Sqlite(reader) => reader.read(sqlite::ledger_rows::batches),
            Source::Postgres(reader) => {
                reader.read(async |session: &Session| postgres::ledger_rows::batches(session).await)
            }
        }
    }

    /// Rows of a batch in one state, or in any; the longest in it first, at most `limit`.
    pub fn batch_rows(
        &self,
        batch: &str,
        state: Option<RowState>,
        limit: u32,
    ) -> Result<Vec<LedgerRow>, StoreError> {
        let mut rows = Vec::new();
        self.each_batch_row(batch, state, limit, |row| {
            rows.push(row);
            true
        })?;
        Ok(rows)
    }

    /// The same, one after the other, until `each` says false.
    pub fn each_batch_row(
        &self,
        batch: &str,
        state: Option<RowState>,
        limit: u32,
        mut each: impl FnMut(LedgerRow) -> bool,
    ) -> Result<(), StoreError> {
        match &self.0 {
            Source::Sqlite(reader) => reader
                .read(|connection| sqlite::ledger_rows::rows(connection, batch, state, limit, &mut each)),
            Source::Postgres(reader) => {
                let rows = reader.read(async |session: &Session| {
                    postgres::ledger_rows::rows(session, batch, state, limit).await
                })?;
                let _ = rows.into_iter().all(&mut each);
                Ok(())
            }
        }
    }
}
