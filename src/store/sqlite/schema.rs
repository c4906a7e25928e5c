//! The tables of the state file, and how they came to be: one script a version, in order.

use std::cmp::Ordering;
use std::path::Path;

use rusqlite::Connection;

use super::StoreError;

const MIGRATIONS: [&str; 8] = [
    include_str!("schema/001_runs.sql"),
    include_str!("schema/002_ledger.sql"),
    include_str!("schema/003_names_as_numbers.sql"),
    include_str!("schema/004_pause_reason.sql"),
    include_str!("schema/005_attempts.sql"),
    include_str!("schema/006_memo.sql"),
    include_str!("schema/007_output_bytes.sql"),
    include_str!("schema/008_quota.sql"),
];

/// Durable commits, readers beside the writer, and a wait instead of an error when a reader is busy.
pub(super) fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What a savepoint may have to undo is kept in memory; a file for it would be written at each claim.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Brings the file up to this program's version, each step in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::TooNew { state: path.display().to_string(), found, known });
    }
    for (version, script) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(script)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Refuses a file that this program cannot read as it is.
pub(super) fn require_current(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let needed = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let state = || path.display().to_string();
    match found.cmp(&needed) {
        Ordering::Equal => Ok(()),
        Ordering::Less => Err(StoreError::TooOld { state: state(), found, needed }),
        Ordering::Greater => Err(StoreError::TooNew { state: state(), found, known: needed }),
    }
}

/// Counts this opening of the file.
pub(super) fn next_epoch(connection: &Connection) -> Result<i64, StoreError> {
    let epoch = connection.query_row(
        "INSERT INTO meta (name, value) VALUES ('epoch', 1)
         ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
        [],
        |row| row.get(0),
    )?;
    Ok(epoch)
}
