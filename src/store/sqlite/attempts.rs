//! SQL of runs that wait for their next attempt.

use rusqlite::{Connection, params};

use super::StoreError;
use crate::store::attempts::PutOff;
use crate::store::runs::RunId;

pub(in crate::store) fn put_off(connection: &Connection, wait: &PutOff) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE run SET attempt = ?2, retry_at = ?3, message = ?4 WHERE id = ?1")?
        .execute(params![wait.run, wait.attempt, wait.retry_at, wait.message])?;
    Ok(())
}

pub(in crate::store) fn begin(connection: &Connection, run: RunId) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE run SET retry_at = NULL, message = NULL WHERE id = ?1")?
        .execute([run])?;
    Ok(())
}
