//! SQL that forgets: old runs go, and leave their triggers' marks behind.

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use crate::store::runs::RunId;

/// See [`crate::store::Store::prune`].
pub(in crate::store) fn prune(
    connection: &Connection,
    before: i64,
    keep_runs: i64,
    limit: u32,
) -> Result<usize, StoreError> {
    prune_skipped(connection, before, keep_runs, limit)?;
    prune_runs(connection, before, keep_runs, limit)
}

/// So many runs have come, or gone if negative.
pub(super) fn count_runs(connection: &Connection, more: i64) -> Result<(), StoreError> {
    if more != 0 {
        connection
            .prepare_cached("UPDATE meta SET value = value + ?1 WHERE name = 'runs'")?
            .execute([more])?;
    }
    Ok(())
}

fn prune_skipped(connection: &Connection, before: i64, keep: i64, limit: u32) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "DELETE FROM skipped WHERE id IN (
               SELECT id FROM skipped
               WHERE recorded_at < ?1 OR id <= (SELECT max(id) FROM skipped) - ?2 ORDER BY id LIMIT ?3)",
        )?
        .execute(params![before, keep, limit])?;
    Ok(())
}

/// Deletes ended runs from the oldest on. Numbers grow with time, so the walk ends at the first run that stays.
fn prune_runs(connection: &Connection, before: i64, keep_runs: i64, limit: u32) -> Result<usize, StoreError> {
    let kept: i64 = connection
        .prepare_cached("SELECT value FROM meta WHERE name = 'runs'")?
        .query_row([], |row| row.get(0))?;
    let excess = (kept - keep_runs).clamp(0, i64::from(limit));
    // Runs that are still open may stand among the old ones; they are passed over, and do not hold up the rest.
    let by_count: Option<RunId> = connection
        .prepare_cached("SELECT id FROM run WHERE finished_at IS NOT NULL ORDER BY id LIMIT 1 OFFSET ?1 - 1")?
        .query_row([excess], |row| row.get(0))
        .optional()?
        .filter(|_| excess > 0);
    let by_age = last_older(connection, before, limit)?;
    let Some(last) = by_count.max(by_age) else { return Ok(0) };
    connection
        .prepare_cached(
            "UPDATE trigger SET mark = gone.fire_time
             FROM (SELECT trigger, max(fire_time) AS fire_time FROM run NOT INDEXED
                   WHERE id <= ?1 AND finished_at IS NOT NULL AND claim = 1 GROUP BY trigger) AS gone
             WHERE trigger.id = gone.trigger AND trigger.mark < gone.fire_time",
        )?
        .execute([last])?;
    connection
        .prepare_cached(
            "DELETE FROM output WHERE run <= ?1
             AND run IN (SELECT id FROM run WHERE id <= ?1 AND finished_at IS NOT NULL)",
        )?
        .execute([last])?;
    let gone = connection
        .prepare_cached("DELETE FROM run WHERE id <= ?1 AND finished_at IS NOT NULL")?
        .execute([last])?;
    count_runs(connection, -i64::try_from(gone).unwrap_or(i64::MAX))?;
    Ok(gone)
}

/// The last of the oldest ended runs, at most `limit`, that all ended before `before`.
fn last_older(connection: &Connection, before: i64, limit: u32) -> Result<Option<RunId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, finished_at < ?1 FROM run WHERE finished_at IS NOT NULL ORDER BY id LIMIT ?2",
    )?;
    let mut runs = statement.query(params![before, limit])?;
    let mut last = None;
    while let Some(run) = runs.next()? {
        if !run.get::<_, bool>(1)? {
            break;
        }
        last = Some(run.get(0)?);
    }
    Ok(last)
}
