//! Making a database from a script, whole or not at all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;

use super::super::DbError;
use crate::settings::SqliteSettings;

/// Makes the file if it does not exist.
///
/// The script runs in a file beside it, which is synced and then linked to its name: a crash
/// leaves either no database or all of it, and a file that somebody else made meanwhile stays.
pub(super) fn ensure(settings: &SqliteSettings) -> Result<(), DbError> {
    let path = &settings.path;
    if path.try_exists().map_err(|source| io(path, source))? {
        return Ok(());
    }
    let Some(script) = &settings.create_with else {
        return Err(DbError::Missing { path: path.clone() });
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(|source| io(folder, source))?;
    let draft = Draft::beside(path);
    let sql = read_script(script)?;
    build(&draft.path, &sql).map_err(|source| DbError::Create { script: script.clone(), source })?;
    File::open(&draft.path).and_then(|file| file.sync_all()).map_err(|source| io(&draft.path, source))?;
    match fs::hard_link(&draft.path, path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(io(path, source)),
    }
    File::open(folder).and_then(|dir| dir.sync_all()).map_err(|source| io(folder, source))
}

/// The database that the settings' script would make, in memory, for a look without a trace.
pub(super) fn in_memory(settings: &SqliteSettings) -> Result<Connection, DbError> {
    let Some(script) = &settings.create_with else {
        return Err(DbError::Missing { path: settings.path.clone() });
    };
    let sql = read_script(script)?;
    let fault = |source| DbError::Create { script: script.clone(), source };
    let connection = Connection::open_in_memory().map_err(fault)?;
    connection.execute_batch(&sql).map_err(fault)?;
    super::configure(&connection).map_err(fault)?;
    Ok(connection)
}

fn build(path: &Path, sql: &str) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    // Nobody reads the draft, and it is synced when it is whole.
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.execute_batch(sql)?;
    connection.close().map_err(|(_, error)| error)
}

fn read_script(script: &Path) -> Result<String, DbError> {
    fs::read_to_string(script).map_err(|source| io(script, source))
}

fn io(path: &Path, source: std::io::Error) -> DbError {
    DbError::Io { path: path.to_owned(), source }
}

/// A file that goes away again, whatever happens.
struct Draft {
    path: PathBuf,
}

impl Draft {
    fn beside(path: &Path) -> Self {
        static DRAFTS: AtomicU32 = AtomicU32::new(0);
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".making-{}-{}", std::process::id(), DRAFTS.fetch_add(1, Ordering::Relaxed)));
        let draft = Self { path: PathBuf::from(name) };
        // What a crashed process of the same id left would be half a database.
        draft.remove();
        draft
    }

    fn remove(&self) {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            let mut name = self.path.as_os_str().to_owned();
            name.push(suffix);
            // Usually there is nothing to remove.
            let _ = fs::remove_file(name);
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.remove();
    }
}
