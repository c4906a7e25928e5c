//! SQLite files: one thread a connection, because SQLite blocks.

mod backup;
mod create;
mod execute;
mod inspect;
mod read_only;
#[cfg(test)]
mod tests;
mod texts;
mod upsert;

use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use self::create::in_memory;
pub use self::inspect::Inspector;
pub use self::read_only::open_read_only;
use super::{Access, DbError};
use crate::settings::SqliteSettings;

/// How long a statement waits for another process that holds the file.
const BUSY: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce(&mut Slot) + Send>;

/// A connection to a SQLite file, with a thread of its own. Clones share both.
///
/// The file is opened when the connection is first used, and made first if it does not exist and
/// the settings say how. An open that failed is tried again at the next use.
#[derive(Clone, Debug)]
pub struct Database {
    settings: Arc<SqliteSettings>,
    access: Access,
    // The thread ends when the last clone drops its sender.
    queue: Arc<Mutex<Option<mpsc::Sender<Work>>>>,
}

/// What the thread owns.
#[derive(Default)]
struct Slot {
    connection: Option<Connection>,
}

impl Database {
    /// Starts nothing and opens nothing yet.
    pub fn new(settings: SqliteSettings, access: Access) -> Self {
        Self { settings: Arc::new(settings), access, queue: Arc::default() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.settings.path
    }

    /// Runs `work` on the connection's thread, after all that was asked before.
    ///
    /// A caller that stops waiting does not stop the work.
    pub(crate) async fn call<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let (settings, access) = (Arc::clone(&self.settings), self.access);
        self.submit(Box::new(move |slot| {
            let result = slot.connection(&settings, access).and_then(work);
            // Who asked may have given up waiting.
            let _ = reply.send(result);
        }))?;
        answer.await.map_err(|_| DbError::Closed)?
    }

    fn submit(&self, work: Work) -> Result<(), DbError> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match &mut *queue {
            Some(sender) => sender,
            none => none.insert(self.start_thread()?),
        };
        sender.send(work).map_err(|_| DbError::Closed)
    }

    fn start_thread(&self) -> Result<mpsc::Sender<Work>, DbError> {
        let (sender, receiver) = mpsc::channel::<Work>();
        let work_off = move || {
            let mut slot = Slot::default();
            while let Ok(work) = receiver.recv() {
                work(&mut slot);
            }
        };
        let started = std::thread::Builder::new().name("database".to_owned()).spawn(work_off);
        started.map_err(|source| DbError::Io { path: self.path().to_owned(), source })?;
        Ok(sender)
    }
}

impl Slot {
    fn connection(&mut self, settings: &SqliteSettings, access: Access) -> Result<&mut Connection, DbError> {
        match (&mut self.connection, access) {
            (Some(connection), _) => Ok(connection),
            (empty, Access::Full) => Ok(empty.insert(open(settings)?)),
            (empty, Access::ReadOnly) => Ok(empty.insert(look(settings)?)),
        }
    }
}

/// Opens the file for reading and writing, and makes it first if the settings say how.
///
/// The journal mode stays what the file's owner chose; under a write-ahead log every commit is
/// synced, because a mark that a power cut undoes would be a second delivery.
fn open(settings: &SqliteSettings) -> Result<Connection, DbError> {
    create::ensure(settings)?;
    let fault = |source| DbError::Sqlite { path: settings.path.clone(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&settings.path, flags).map_err(fault)?;
    configure(&connection).map_err(fault)?;
    let journal: String =
        connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(fault)?;
    if journal.eq_ignore_ascii_case("wal") {
        connection.pragma_update(None, "synchronous", "FULL").map_err(fault)?;
    }
    Ok(connection)
}

/// The file as it is, or the one that the settings would make, in memory.
fn look(settings: &SqliteSettings) -> Result<Connection, DbError> {
    let path = &settings.path;
    if !path.try_exists().map_err(|source| DbError::Io { path: path.clone(), source })? {
        return in_memory(settings);
    }
    let fault = |source| DbError::Sqlite { path: path.clone(), source };
    let connection = open_read_only(path).map_err(fault)?;
    configure(&connection).map_err(fault)?;
    Ok(connection)
}

/// What every connection needs, and what changes no file.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(32);
    // Without this SQLite reads a misspelt "column" as a text.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    Ok(())
}
