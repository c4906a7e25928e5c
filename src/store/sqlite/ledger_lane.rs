//! SQL of runs that deliver what waits in the retry lane and nothing else.

use rusqlite::{Connection, OptionalExtension};

use super::StoreError;
use super::ledger::owned;
use crate::store::ledger::{Scope, Sweep};

/// Counts a run in the newest scope, and leaves the scope's fire and sweep as they are; none: the batch never ran.
pub(in crate::store) fn begin(
    connection: &Connection,
    epoch: i64,
    batch: &str,
) -> Result<Option<Scope>, StoreError> {
    owned(connection, epoch)?;
    let scope = connection
        .prepare_cached(
            "UPDATE ledger_scope SET run = run + 1
             WHERE id = (SELECT max(id) FROM ledger_scope WHERE batch = ?1) RETURNING id, run",
        )?
        .query_row([batch], |row| {
            let (id, run) = (row.get(0)?, row.get(1)?);
            Ok(Scope { id, run, taken: 0, sweep: Sweep::default(), done: false })
        })
        .optional()?;
    Ok(scope)
}
