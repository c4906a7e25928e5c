//! Reading beside a running daemon, without changing a byte.

use std::path::Path;

use rusqlite::Connection;

use super::{StoreError, schema};

/// A read-only connection to the state file.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

impl Reader {
    /// Opens the state for reading; `None` when there is none yet.
    ///
    /// Neither the file nor anything beside it is changed: without a write-ahead log the file is
    /// opened as immutable, with one the shared-memory index is opened read-only.
    pub fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        if !path.try_exists().map_err(|source| StoreError::io(path, source))? {
            return Ok(None);
        }
        let connection = crate::db::sqlite::open_read_only(path)?;
        schema::require_current(&connection, path)?;
        Ok(Some(Self { connection }))
    }

    pub(in crate::store) fn connection(&self) -> &Connection {
        &self.connection
    }
}
