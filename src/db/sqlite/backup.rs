//! A copy of a SQLite file that is whole or not there, and the end of old ones.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
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
    draft.create().map_err(|error| file(&draft.0, error))?;
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
    /// Empty, and closed to others before anything is in it. SQLite writes a copy into an empty file as into none.
    fn create(&self) -> io::Result<()> {
        File::options().write(true).create_new(true).mode(0o600).open(&self.0).map(drop)
    }

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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_draft_is_closed_to_others_while_sqlite_writes_it() {
        let dir = tempfile::tempdir().unwrap();
        let draft = Draft(dir.path().join("draft"));
        let mode = || fs::metadata(&draft.0).unwrap().permissions().mode() & 0o777;
        draft.create().unwrap();
        assert_eq!(mode(), 0o600);
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (i); INSERT INTO t VALUES (1)").unwrap();
        connection.execute("VACUUM INTO ?1", [draft.0.to_str().unwrap()]).unwrap();
        assert_eq!(mode(), 0o600, "it is the same file");
        assert!(draft.create().is_err(), "what is there is nobody's draft");
    }
}
