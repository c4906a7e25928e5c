//! A copy of a SQLite file that is whole or not there, and the end of old ones.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use tokio_util::sync::CancellationToken;

use super::super::backup::{Backup, Copied, is_copy};
use super::super::{DbError, Failure};
use super::Database;
use super::execute::settle;

impl Database {
    pub(in crate::db) async fn backup(
        &self,
        backup: &Backup,
        cut: &CancellationToken,
    ) -> Result<Copied, Failure> {
        let (backup, path) = (backup.clone(), self.path().to_owned());
        let result = self.cuttable(cut, move |connection, cut| {
            Ok(make(connection, &path, &backup, cut).map_err(|error| settle(error, cut)))
        });
        match result.await {
            Ok(Some(Ok(copied))) => Ok(copied),
            Ok(Some(Err(error))) => Err(Failure { error, ..Failure::cut() }),
            Ok(None) => Err(Failure::cut()),
            Err(error) => Err(Failure::early(error)),
        }
    }
}

/// Under a name that nobody takes for a copy, until it is whole, synced and looked at.
fn make(
    connection: &Connection,
    source: &Path,
    backup: &Backup,
    cut: &CancellationToken,
) -> Result<Copied, DbError> {
    let folder = &backup.folder;
    fs::create_dir_all(folder).map_err(|error| file(folder, error))?;
    let draft = Draft(folder.join(format!(".{}.part", backup.name())));
    // What a crash left.
    draft.remove();
    let fault = |path: &Path| {
        let path = path.to_owned();
        move |source| DbError::Sqlite { path, source }
    };
    let name = draft.0.to_str().ok_or_else(|| {
        file(&draft.0, io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8"))
    })?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(fault(source))?;
    // What the database tells to nobody else, its copy does not.
    let rights = fs::metadata(source).map_err(|error| file(source, error))?.permissions();
    fs::set_permissions(&draft.0, rights).map_err(|error| file(&draft.0, error))?;
    check(&draft.0, cut).map_err(fault(&draft.0))??;
    let bytes = sync(&draft.0).map_err(|error| file(&draft.0, error))?;
    let path = folder.join(backup.name());
    fs::rename(&draft.0, &path).map_err(|error| file(&path, error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| file(folder, error))?;
    Ok(Copied { path, bytes, deleted: rotate(backup)? })
}

/// Reads the whole copy.
fn check(copy: &Path, cut: &CancellationToken) -> rusqlite::Result<Result<(), DbError>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(copy, flags)?;
    super::execute::watch(&mut connection, cut)?;
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    let problem = || DbError::Mismatch(format!("the copy is damaged, and was thrown away: {said}"));
    Ok(if said == "ok" { Ok(()) } else { Err(problem()) })
}

fn sync(path: &Path) -> io::Result<u64> {
    let copy = File::open(path)?;
    copy.sync_all()?;
    Ok(copy.metadata()?.len())
}

/// Deletes the oldest copies; answers their names.
fn rotate(backup: &Backup) -> Result<Vec<String>, DbError> {
    let folder = &backup.folder;
    let Some(keep) = backup.keep else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| file(folder, error))? {
        let entry = entry.map_err(|error| file(folder, error))?;
        if let Some(name) = entry.file_name().to_str().filter(|name| is_copy(name, &backup.database)) {
            names.push(name.to_owned());
        }
    }
    // A name has its time, large to small.
    names.sort();
    names.truncate(names.len().saturating_sub(keep as usize));
    for name in &names {
        let path = folder.join(name);
        fs::remove_file(&path).map_err(|error| file(&path, error))?;
    }
    Ok(names)
}

fn file(path: &Path, source: io::Error) -> DbError {
    DbError::Io { path: path.to_owned(), source }
}

/// A file that goes away again, unless it was given another name.
struct Draft(PathBuf);

impl Draft {
    fn remove(&self) {
        for suffix in ["", "-journal"] {
            let mut name = self.0.as_os_str().to_owned();
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
