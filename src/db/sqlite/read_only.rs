//! Looking at a SQLite file without changing a byte.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// Opens `path` so that neither the file nor anything beside it is changed.
///
/// Without a write-ahead log nobody is writing and the file is opened as immutable; with one, its
/// shared-memory index is opened read-only and rebuilt in memory when its owner has died
/// (<https://www.sqlite.org/wal.html#readonly>).
pub fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        Path::new(&name).exists()
    };
    let mode = if beside("-wal") { "mode=ro&readonly_shm=1" } else { "mode=ro&immutable=1" };
    let uri = format!("file:{}?{mode}", percent_encode(path));
    let connection = Connection::open_with_flags(
        uri,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
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
