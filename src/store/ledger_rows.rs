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

/// Rows that an operator hands back for delivery.
#[derive(Clone, Debug)]
pub struct Requeue {
    /// The batch's id.
    pub batch: String,
    /// Rows in this state; the retrying ones are due at once.
    pub state: RowState,
    /// Only these keys, as JSON arrays; none: all.
    pub keys: Option<Vec<String>>,
    /// They may have been delivered before.
    pub doubtful: bool,
    /// Unix milliseconds.
    pub now: i64,
}

impl Store {
    /// Puts rows into the retry lane, due now, with all their tries before them. Answers how many.
    ///
    /// Only while no run of the batch is under way: what looks reserved is taken for held.
    pub async fn requeue(&self, requeue: Requeue) -> Result<u64, StoreError> {
        let epoch = self.epoch();
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::ledger_rows::requeue(connection, epoch, &requeue)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::ledger_rows::requeue(session, &requeue).await
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
            Source::Sqlite(reader) => sqlite::ledger_rows::batches(reader.connection()),
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
        match &self.0 {
            Source::Sqlite(reader) => sqlite::ledger_rows::rows(reader.connection(), batch, state, limit),
            Source::Postgres(reader) => reader.read(async |session: &Session| {
                postgres::ledger_rows::rows(session, batch, state, limit).await
            }),
        }
    }
}
