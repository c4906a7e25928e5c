//! SQL of the rows that the ledger keeps, for operators.

use rusqlite::{Connection, named_params, params};

use super::StoreError;
use super::ledger::owned;
use crate::store::ledger_rows::{BatchSummary, LedgerRow, Requeue, RowState, Selection, shown};

pub(in crate::store) fn batches(connection: &Connection) -> Result<Vec<BatchSummary>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT scope.batch,
                count(*) FILTER (WHERE entry.state = 'held') AS held,
                count(*) FILTER (WHERE entry.state = 'kept') AS failed,
                count(*) FILTER (WHERE entry.state IN ('waiting', 'resend')) AS retrying,
                count(*) FILTER (WHERE entry.state IN ('reserved', 'sent', 'failed')) AS under_way,
                min(at) FILTER (WHERE entry.state IN ('waiting', 'resend')) AS next_retry,
                newest.remaining, newest.state AS fire_state, newest.fire_time, newest.trigger
         FROM ledger_scope AS scope
         JOIN ledger_scope AS newest
           ON newest.id = (SELECT id FROM ledger_scope WHERE batch = scope.batch ORDER BY fire_time DESC, id DESC LIMIT 1)
         LEFT JOIN ledger_entry AS entry ON entry.scope = scope.id
         GROUP BY scope.batch ORDER BY scope.batch",
    )?;
    let batches = statement.query_map([], |row| {
        let count = |name| row.get::<_, i64>(name).map(i64::unsigned_abs);
        Ok(BatchSummary {
            batch: row.get("batch")?,
            held: count("held")?,
            failed: count("failed")?,
            retrying: count("retrying")?,
            under_way: count("under_way")?,
            next_retry: row.get("next_retry")?,
            remaining: row.get::<_, Option<i64>>("remaining")?.map(i64::unsigned_abs),
            fire_state: row.get("fire_state")?,
            fire_time: row.get("fire_time")?,
            trigger: row.get("trigger")?,
        })
    })?;
    Ok(batches.collect::<Result<_, _>>()?)
}

pub(in crate::store) fn rows(
    connection: &Connection,
    batch: &str,
    state: Option<RowState>,
    limit: u32,
    mut each: impl FnMut(LedgerRow) -> bool,
) -> Result<(), StoreError> {
    let states = match state {
        Some(RowState::Held) => "= 'held'",
        Some(RowState::Failed) => "= 'kept'",
        Some(RowState::Retrying) => "IN ('waiting', 'resend')",
        None => "IS NOT NULL",
    };
    let mut statement = connection.prepare(&format!(
        "SELECT key, entry.state, reservation, attempts, at, detail, fire_time
         FROM ledger_scope AS scope JOIN ledger_entry AS entry ON entry.scope = scope.id
         WHERE batch = ?1 AND entry.state {states} ORDER BY at, scope.id, key LIMIT ?2"
    ))?;
    let rows = statement.query_map(params![batch, limit], |row| {
        Ok(LedgerRow {
            key: row.get("key")?,
            state: shown(&row.get::<_, String>("state")?),
            reservation: row.get("reservation")?,
            attempts: row.get("attempts")?,
            at: row.get("at")?,
            detail: row.get("detail")?,
            fire_time: row.get("fire_time")?,
        })
    })?;
    for row in rows {
        if !each(row?) {
            break;
        }
    }
    Ok(())
}

pub(in crate::store) fn requeue(
    connection: &Connection,
    epoch: i64,
    requeue: &Requeue,
) -> Result<u64, StoreError> {
    // What waits already keeps its doubt.
    let state = match (requeue.rows.state, requeue.doubtful) {
        (RowState::Retrying, _) => "state",
        (_, true) => "'resend'",
        (_, false) => "'waiting'",
    };
    change(connection, epoch, &requeue.rows, &format!("state = {state}, at = :now, attempts = 0"))
}

pub(in crate::store) fn discard(
    connection: &Connection,
    epoch: i64,
    rows: &Selection,
    mark: bool,
) -> Result<u64, StoreError> {
    let state = if mark { "failed" } else { "kept" };
    change(
        connection,
        epoch,
        rows,
        &format!("state = '{state}', at = :now, detail = 'discarded by an operator'"),
    )
}

/// Changes the selected rows that no run of this owner has in its hands.
fn change(connection: &Connection, epoch: i64, rows: &Selection, set: &str) -> Result<u64, StoreError> {
    owned(connection, epoch)?;
    let states = match rows.state {
        RowState::Held => "(state = 'held' OR (state = 'reserved' AND epoch < :epoch))",
        RowState::Failed => "(state = 'kept' AND :epoch IS NOT NULL)",
        RowState::Retrying => "(state IN ('waiting', 'resend') AND :epoch IS NOT NULL)",
    };
    let mut statement = connection.prepare_cached(&format!(
        "UPDATE ledger_entry SET {set}
         WHERE scope IN (SELECT id FROM ledger_scope WHERE batch = :batch) AND {states}
           AND (:key IS NULL OR key = :key)"
    ))?;
    let mut change = |key: Option<&str>| {
        statement.execute(named_params! {
            ":now": rows.now, ":batch": rows.batch, ":epoch": epoch, ":key": key
        })
    };
    let changed = match &rows.keys {
        None => change(None)?,
        Some(keys) => {
            let mut changed = 0;
            for key in keys {
                changed += change(Some(key))?;
            }
            changed
        }
    };
    Ok(changed as u64)
}
