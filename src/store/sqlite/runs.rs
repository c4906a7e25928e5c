//! SQL of runs between their claim and their recorded end, and their output.

use rusqlite::{Connection, params};

use super::StoreError;
use super::history::{RUNS, record};
use super::prune::count_runs;
use super::triggers::raise_mark;
use crate::run::Outcome;
use crate::store::runs::{Ended, RunId, RunRecord};

pub(in crate::store) fn start(connection: &Connection, runs: &[RunId], now: i64) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "UPDATE run SET state = 'running', started_at = ?2 WHERE id = ?1 AND state = 'waiting'",
    )?;
    for run in runs {
        statement.execute(params![run, now])?;
    }
    Ok(())
}

pub(in crate::store) fn adopt(connection: &Connection, run: RunId, epoch: i64) -> Result<(), StoreError> {
    connection.prepare("UPDATE run SET epoch = ?2 WHERE id = ?1")?.execute([run, epoch])?;
    Ok(())
}

pub(in crate::store) fn finish_all(connection: &Connection, ends: &[Ended]) -> Result<(), StoreError> {
    ends.iter().try_for_each(|end| finish(connection, end.run, &end.outcome, end.at))
}

/// Ends a run. One that found nothing to do, right after another that found nothing either, is folded
/// into the earlier one: a table polled every second must not fill the history.
pub(super) fn finish(
    connection: &Connection,
    run: RunId,
    outcome: &Outcome,
    now: i64,
) -> Result<(), StoreError> {
    let result = outcome.result.as_ref().map(ToString::to_string);
    connection
        .prepare_cached(
            "UPDATE run SET state = ?2, finished_at = ?3, message = ?4, result = ?5, idle = ?6 WHERE id = ?1",
        )?
        .execute(params![run, outcome.status.as_str(), now, outcome.message, result, outcome.idle])?;
    if outcome.idle {
        fold_into_previous(connection, run, now)?;
    }
    Ok(())
}

fn fold_into_previous(connection: &Connection, run: RunId, now: i64) -> Result<(), StoreError> {
    let (trigger, fire_time, reason): (i64, i64, String) = connection
        .prepare_cached("SELECT trigger, fire_time, reason FROM run WHERE id = ?1")?
        .query_row([run], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if reason != "timed" {
        return Ok(());
    }
    let folded = connection
        .prepare_cached(
            "UPDATE run SET repeats = repeats + 1, finished_at = ?3
             WHERE idle AND id = (SELECT id FROM run WHERE trigger = ?1 AND fire_time <= ?2 AND id <> ?4
                                  ORDER BY fire_time DESC, id DESC LIMIT 1)",
        )?
        .execute(params![trigger, fire_time, now, run])?;
    if folded > 0 {
        raise_mark(connection, trigger, fire_time)?;
        connection.prepare_cached("DELETE FROM output WHERE run = ?1")?.execute([run])?;
        connection.prepare_cached("DELETE FROM run WHERE id = ?1")?.execute([run])?;
        count_runs(connection, -1)?;
    }
    Ok(())
}

pub(in crate::store) fn left_open(connection: &Connection, epoch: i64) -> Result<Vec<RunRecord>, StoreError> {
    let mut statement = connection.prepare(&format!(
        "{RUNS} WHERE run.state IN ('waiting', 'running') AND run.epoch < ?1 ORDER BY run.id"
    ))?;
    let runs = statement.query_map([epoch], record)?;
    Ok(runs.collect::<Result<_, _>>()?)
}

pub(in crate::store) fn attempts(
    connection: &Connection,
    function: &str,
    trigger: &str,
    fire_time: i64,
) -> Result<u32, StoreError> {
    let attempts = connection
        .prepare(
            "SELECT ifnull(max(attempt), 0) FROM run
             JOIN trigger ON trigger.id = run.trigger JOIN function ON function.id = trigger.function
             WHERE function.name = ?1 AND trigger.name = ?2 AND fire_time = ?3",
        )?
        .query_row(params![function, trigger, fire_time], |row| row.get(0))?;
    Ok(attempts)
}
