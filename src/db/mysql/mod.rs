//! MySQL and MariaDB: a connection is one session of the server, which one caller at a time has to itself.

mod connect;
mod execute;
mod facts;
mod fault;
mod inspect;
mod session;
#[cfg(test)]
pub(crate) mod tests;
mod texts;
mod upsert;

use std::sync::Arc;

use mysql_async::Conn;
use tokio::sync::Mutex;

pub(crate) use self::facts::{Room, careless};
pub(crate) use self::fault::Fault;
pub use self::inspect::Inspector;
pub(crate) use self::session::{Session, Tries};
use super::{Access, DbError, place};
use crate::settings::ServerSettings;

/// A connection to a database on a MySQL or MariaDB server. Clones share it.
///
/// It is opened when it is first used, and again at the next use after it was lost or could not be opened.
#[derive(Clone, Debug)]
pub struct Database {
    settings: Arc<ServerSettings>,
    access: Access,
    place: Arc<str>,
    slot: Arc<Mutex<Option<Conn>>>,
}

impl Database {
    /// Connects to nothing yet.
    pub fn new(settings: ServerSettings, access: Access) -> Self {
        let place = place(&settings).into();
        Self { settings: Arc::new(settings), access, place, slot: Arc::default() }
    }

    /// Another connection to the same database.
    pub(crate) fn another(&self) -> Self {
        Self { slot: Arc::default(), ..self.clone() }
    }

    /// A session, when all who asked before are done with theirs.
    pub(crate) async fn session(&self) -> Result<Session<'_>, DbError> {
        let mut slot = self.slot.lock().await;
        if let Some(connection) = slot.take() {
            return Ok(Session::new(slot, connection, false));
        }
        match connect::connect(&self.settings, self.access).await {
            Ok(connection) => Ok(Session::new(slot, connection, true)),
            Err(problem) => Err(DbError::Connect { place: self.place.to_string(), problem }),
        }
    }

    /// For work that may be done again when its connection turns out to be lost, or others were in the way.
    pub(crate) fn tries(&self) -> Tries<'_> {
        Tries::new(self)
    }

    /// What to tell of a fault.
    pub(crate) fn tell(&self, fault: Fault) -> DbError {
        match fault {
            Fault::Mismatch(what) => DbError::Mismatch(what),
            Fault::MySql(error) => {
                DbError::Server { place: self.place.to_string(), problem: fault::said(&error) }
            }
        }
    }
}
