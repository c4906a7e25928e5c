//! Looking at a SQLite file without changing a byte of it or beside it.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::BUSY;

/// Opens `path` so that neither the file nor anything beside it is changed.
///
/// - With a rollback journal, the locks of writers are honoured.
/// - With a write-ahead log, its shared-memory index is opened read-only, and rebuilt in memory when its owner
///   has died (<https://www.sqlite.org/wal.html#readonly>). A file of that kind without a log has no writer, and is
///   opened as immutable.
/// - Where a crash left what only a writer could clean up, a private copy is cleaned up and opened instead.
pub fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let connection = match open(path) {
        Err(rusqlite::Error::SqliteFailure(error, _))
            if matches!(error.code, ErrorCode::ReadOnly | ErrorCode::CannotOpen) && path.is_file() =>
        {
            open_copy(path)?
        }
        other => other?,
    };
    Ok(connection)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let mode = match (is_write_ahead(path), beside(path, "-wal").exists()) {
        (false, _) => "mode=ro",
        (true, true) => "mode=ro&readonly_shm=1",
        (true, false) => "mode=ro&immutable=1",
    };
    let connection = Connection::open_with_flags(
        format!("file:{}?{mode}", percent_encode(path)),
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    probe(&connection)?;
    Ok(connection)
}

/// Whether the file says that it is written through a log (<https://www.sqlite.org/fileformat.html>, offset 18).
fn is_write_ahead(path: &Path) -> bool {
    let mut header = [0; 20];
    File::open(path).and_then(|mut file| file.read_exact(&mut header)).is_ok() && header[18] == 2
}

/// Reads, because SQLite opens what belongs to a file only then.
fn probe(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

/// A copy that lives as long as the connection: its files have no names any more when this returns.
fn open_copy(path: &Path) -> rusqlite::Result<Connection> {
    let folder = Folder::new().map_err(|error| cannot_open(&error))?;
    let copy = folder.0.join("copy.db");
    for suffix in ["", "-journal", "-wal"] {
        match fs::copy(beside(path, suffix), beside(&copy, suffix)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => {}
            other => drop(other.map_err(|error| cannot_open(&error))?),
        }
    }
    let connection = Connection::open(&copy)?;
    probe(&connection)?;
    // Puts the log into the file and closes it, so that the one file is all there is.
    connection.pragma_update(None, "journal_mode", "MEMORY")?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn cannot_open(error: &io::Error) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_CANTOPEN),
        Some(format!("could not copy the database to look at it: {error}")),
    )
}

/// A folder that nobody else may look into, and that goes again.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gulou-look-{}-{number}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed from the temporary folder is the system's to remove.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn percent_encode(path: &Path) -> String {
    let mut encoded = String::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Names, bytes and times of all files of a folder.
    fn contents(folder: &Path) -> BTreeMap<PathBuf, (std::time::SystemTime, Vec<u8>)> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| {
                (path.clone(), (path.metadata().unwrap().modified().unwrap(), fs::read(&path).unwrap()))
            })
            .collect()
    }

    /// What a process that was killed leaves: copies of its files while they are open.
    fn crashed(journal_mode: &str, leftovers: &[&str], script: &str) -> tempfile::TempDir {
        let [live, dead] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let path = live.path().join("a b%.db");
        let writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", journal_mode).unwrap();
        // So small a cache that a transaction spills into the file before it commits.
        writer.pragma_update(None, "cache_size", 1).unwrap();
        writer.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2);").unwrap();
        writer.execute_batch(script).unwrap();
        for suffix in leftovers {
            fs::copy(beside(&path, suffix), beside(&dead.path().join("a b%.db"), suffix)).unwrap();
        }
        dead
    }

    fn rows(folder: &Path) -> i64 {
        let before = contents(folder);
        let connection = open_read_only(&folder.join("a b%.db")).unwrap();
        let rows = connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert!(connection.execute("INSERT INTO t VALUES (9)", []).is_err(), "it must not be written to");
        drop(connection);
        assert!(before == contents(folder), "something was changed");
        rows
    }

    /// 502 rows, far more than the cache holds, and half of them deleted by a transaction that goes on.
    const HALF: &str = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 500) \
                        INSERT INTO t SELECT randomblob(2000) FROM n; \
                        BEGIN; DELETE FROM t WHERE rowid % 2 = 0";

    #[test]
    fn a_file_in_peace_is_read() {
        assert_eq!(rows(crashed("DELETE", &[""], "").path()), 2);
    }

    #[test]
    fn a_log_is_read_with_and_without_its_index() {
        assert_eq!(rows(crashed("WAL", &["", "-wal", "-shm"], "INSERT INTO t VALUES (3)").path()), 3);
        assert_eq!(rows(crashed("WAL", &["", "-wal"], "INSERT INTO t VALUES (3)").path()), 3);
    }

    #[test]
    fn a_file_whose_log_was_closed_is_read() {
        assert_eq!(rows(crashed("WAL", &[""], "PRAGMA wal_checkpoint(TRUNCATE)").path()), 2);
    }

    #[test]
    fn half_a_transaction_is_not_seen() {
        let folder = crashed("DELETE", &["", "-journal"], HALF);
        let path = folder.path().join("a b%.db");
        let without_journal = folder.path().join("half.db");
        fs::copy(&path, &without_journal).unwrap();
        let half = Connection::open(&without_journal).unwrap();
        let seen = half.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
        assert_ne!(seen.ok(), Some(502), "the transaction had not reached the file: nothing was tested");
        drop(half);
        assert_eq!(rows(folder.path()), 502);
        assert_eq!(rows(crashed("TRUNCATE", &["", "-journal"], "").path()), 2);
    }

    #[test]
    fn a_missing_file_is_an_error() {
        assert!(open_read_only(Path::new("/nonexistent/x.db")).is_err());
    }
}
