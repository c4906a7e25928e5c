//! SQL of what runs print.

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use crate::store::runs::{OutputLine, RunId};

pub(in crate::store) fn append(
    connection: &Connection,
    run: RunId,
    lines: &[OutputLine],
) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare_cached("INSERT INTO output (run, seq, at, stream, line) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for line in lines {
        statement.execute(params![run, line.seq, line.at, line.stream.as_str(), line.text])?;
    }
    Ok(())
}

/// See [`crate::store::Store::prune_output`].
pub(in crate::store) fn prune(connection: &Connection, bytes: i64, limit: u32) -> Result<usize, StoreError> {
    let mut gone = 0;
    while gone < limit as usize {
        let taken: i64 = connection
            .prepare_cached("SELECT value FROM meta WHERE name = 'output_bytes'")?
            .query_row([], |row| row.get(0))?;
        if taken <= bytes {
            break;
        }
        let oldest: Option<RunId> = connection
            .prepare_cached(
                "SELECT run FROM output JOIN run ON run.id = output.run
                 WHERE run.finished_at IS NOT NULL ORDER BY run LIMIT 1",
            )?
            .query_row([], |row| row.get(0))
            .optional()?;
        let Some(run) = oldest else { break };
        connection.prepare_cached("DELETE FROM output WHERE run = ?1")?.execute([run])?;
        gone += 1;
    }
    Ok(gone)
}
