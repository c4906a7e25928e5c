//! Reading beside a running daemon, without changing a byte.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ffi};

use super::{StoreError, schema};

/// A read-only connection to the state file.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    connection: RefCell<Connection>,
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
        Ok(Some(Self { path: path.to_owned(), connection: RefCell::new(connection) }))
    }

    /// Reads. A writer that has just come may be taking stock of the log of one that died: then the file is opened again.
    pub(in crate::store) fn read<T>(
        &self,
        mut work: impl FnMut(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        const TRIES: u32 = 5;
        for _ in 1..TRIES {
            let read = work(&self.connection.borrow());
            match read {
                Err(StoreError::Database(error)) if is_log_in_flux(&error) => {}
                read => return read,
            }
            *self.connection.borrow_mut() = crate::db::sqlite::open_read_only(&self.path)?;
        }
        work(&self.connection.borrow())
    }
}

/// Nothing was read yet: what reads cannot use the log as it is now (<https://www.sqlite.org/rescode.html#readonly_recovery>).
fn is_log_in_flux(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(ffi::SQLITE_READONLY_RECOVERY | ffi::SQLITE_READONLY_CANTINIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_in_flux_is_looked_at_again_and_other_errors_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let store = crate::store::Store::open(&path).unwrap();
        let reader = Reader::open(&path).unwrap().unwrap();
        let ask = |code: i32, times: u32| {
            let mut asked = 0;
            let answer = reader.read(|connection| {
                asked += 1;
                if asked <= times {
                    return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into());
                }
                Ok(connection.query_row("SELECT count(*) FROM run", [], |row| row.get::<_, i64>(0))?)
            });
            (answer.ok(), asked)
        };
        assert_eq!(ask(ffi::SQLITE_READONLY_RECOVERY, 2), (Some(0), 3));
        assert_eq!(ask(ffi::SQLITE_READONLY_RECOVERY, 9), (None, 5), "not for ever");
        assert_eq!(ask(ffi::SQLITE_CORRUPT, 1), (None, 1));
        drop(store);
    }
}
