//! The embedded store: one SQLite file, one writer thread, commits shared by all who wait.
//!
//! Every write runs in a savepoint of its own inside the transaction that the writer has open; the
//! transaction is committed when no more work is waiting, and the answers are sent when the disk has it. So a
//! reply means durable, a failing write undoes only itself, and ten thousand fires at one instant cost a handful
//! of syncs, during which the writer goes on.

pub(in crate::store) mod attempts;
mod checkpoint;
pub(in crate::store) mod claims;
mod ends;
pub(in crate::store) mod history;
pub(in crate::store) mod ledger;
pub(in crate::store) mod ledger_lane;
pub(in crate::store) mod ledger_rows;
mod lock;
pub(in crate::store) mod memo;
pub(in crate::store) mod output;
pub(in crate::store) mod prune;
pub(in crate::store) mod quota;
mod reader;
pub(in crate::store) mod runs;
mod schema;
mod sync;
pub(in crate::store) mod triggers;
mod writer;

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use self::ends::Ends;
use self::lock::StateLock;
pub use self::reader::Reader;
use self::writer::{Turn, Writer};
use super::StoreError;

/// The daemon's handle on the state. Clones share one writer; the last one to go closes the file.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    writer: Writer,
    ends: Ends,
    epoch: i64,
    // Declared last: the file is closed before another process may have the lock.
    _lock: StateLock,
}

impl Store {
    /// Takes the lock, makes or migrates the file, and starts a new epoch.
    ///
    /// Fails when another process holds the lock, when the file cannot be opened, or when it was
    /// written by a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(|source| StoreError::io(path, source))?;
        }
        let lock = StateLock::acquire(path)?;
        let mut connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        schema::configure(&connection)?;
        schema::migrate(&mut connection, path)?;
        let epoch = schema::next_epoch(&connection)?;
        triggers::settle_marks(&connection)?;
        let writer = Writer::start(connection, path)?;
        Ok(Self { inner: Arc::new(Inner { writer, ends: Ends::default(), epoch, _lock: lock }) })
    }

    /// The number of this opening: greater than every earlier one. Reservations carry it.
    pub fn epoch(&self) -> i64 {
        self.inner.epoch
    }

    /// Runs `work` in the writer and answers once its effect is durable.
    ///
    /// An error of `work` undoes what `work` did, and nothing else.
    pub(in crate::store) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.submit(1, Turn::InOrder, work).await
    }

    /// The same for work on `rows` rows, which is handed over at once, not when the answer is awaited.
    pub(in crate::store) fn write_group<T, F>(
        &self,
        rows: usize,
        work: F,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.submit(rows, Turn::InOrder, work)
    }

    fn submit<T, F>(
        &self,
        rows: usize,
        turn: Turn,
        work: F,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let submitted = self.inner.writer.submit(rows, turn, work, sender);
        async move {
            submitted?;
            receiver.await.map_err(|_| StoreError::Closed)?
        }
    }
}
