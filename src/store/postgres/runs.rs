//! SQL of runs between their claim and their recorded end, and their output.

use std::collections::HashMap;

use super::history::{record, runs_where};
use super::session::{Param, Session};
use super::{StoreError, storable};
use crate::store::runs::{Ended, RunId, RunRecord};
use crate::store::triggers::TriggerId;

const START: &str =
    "UPDATE run SET state = 'running', started_at = $2 WHERE id = ANY($1) AND state = 'waiting'";
const FINISH: &str = "
    WITH ended AS (
      UPDATE run SET state = over.state, finished_at = over.at, message = over.message, result = over.result,
                     idle = over.idle
      FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::boolean[])
        AS over (id, state, at, message, result, idle)
      WHERE run.id = over.id RETURNING run.id, run.trigger, run.fire_time, run.reason, run.idle)
    SELECT id, trigger FROM ended WHERE idle AND reason = 'timed' ORDER BY fire_time, id";
const FOLD: &str = "
    WITH pair AS (
      SELECT late.id AS gone, late.trigger, late.fire_time, late.finished_at, early.id AS kept
      FROM unnest($1::bigint[]) AS wanted (id) JOIN run AS late ON late.id = wanted.id
      JOIN LATERAL (SELECT id, idle FROM run
                    WHERE run.trigger = late.trigger AND run.fire_time <= late.fire_time AND run.id <> late.id
                    ORDER BY fire_time DESC, id DESC LIMIT 1) AS early ON early.idle),
    folded AS (
      UPDATE run SET repeats = repeats + 1, finished_at = pair.finished_at FROM pair WHERE run.id = pair.kept),
    marked AS (
      UPDATE trigger SET mark = pair.fire_time FROM pair
      WHERE trigger.id = pair.trigger AND trigger.mark < pair.fire_time),
    silenced AS (DELETE FROM output USING pair WHERE output.run = pair.gone),
    gone AS (DELETE FROM run USING pair WHERE run.id = pair.gone RETURNING run.id)
    UPDATE owner SET runs = runs - (SELECT count(*) FROM gone)";
const LEFT_OPEN: &str = runs_where!("run.state IN ('waiting', 'running') AND run.epoch < $1 ORDER BY run.id");
const ATTEMPTS: &str = "
    SELECT coalesce(max(attempt), 0) FROM run
    JOIN trigger ON trigger.id = run.trigger JOIN function ON function.id = trigger.function
    WHERE function.name = $1 AND trigger.name = $2 AND fire_time = $3";

pub(in crate::store) async fn start(session: &Session, runs: &[RunId], now: i64) -> Result<(), StoreError> {
    session.execute(START, &[&runs, &now]).await?;
    Ok(())
}

pub(in crate::store) async fn adopt(session: &Session, run: RunId, epoch: i64) -> Result<(), StoreError> {
    session.execute("UPDATE run SET epoch = $2 WHERE id = $1", &[&run, &epoch]).await?;
    Ok(())
}

/// Ends runs. One that found nothing to do, right after another that found nothing either, is folded into the earlier
/// one: a table polled every second must not fill the history.
pub(in crate::store) async fn finish_all(session: &Session, ends: &[Ended]) -> Result<(), StoreError> {
    let ids: Vec<_> = ends.iter().map(|end| end.run).collect();
    let states: Vec<_> = ends.iter().map(|end| end.outcome.status.as_str()).collect();
    let times: Vec<_> = ends.iter().map(|end| end.at).collect();
    let messages: Vec<_> = ends.iter().map(|end| end.outcome.message.as_deref().map(storable)).collect();
    let results: Vec<_> =
        ends.iter().map(|end| end.outcome.result.as_ref().map(ToString::to_string)).collect();
    let idle: Vec<_> = ends.iter().map(|end| end.outcome.idle).collect();
    let params: [Param<'_>; 6] = [&ids, &states, &times, &messages, &results, &idle];
    let mut of_trigger: HashMap<TriggerId, Vec<RunId>> = HashMap::new();
    for row in session.query(FINISH, &params).await? {
        of_trigger.entry(row.get(1)).or_default().push(row.get(0));
    }
    // One of each trigger at a time, from the oldest on: the next may be folded into where it went.
    for round in 0.. {
        let runs: Vec<_> = of_trigger.values().filter_map(|runs| runs.get(round).copied()).collect();
        if runs.is_empty() {
            break;
        }
        session.execute(FOLD, &[&runs]).await?;
    }
    Ok(())
}

pub(in crate::store) async fn left_open(session: &Session, epoch: i64) -> Result<Vec<RunRecord>, StoreError> {
    Ok(session.query(LEFT_OPEN, &[&epoch]).await?.iter().map(record).collect())
}

pub(in crate::store) async fn attempts(
    session: &Session,
    function: &str,
    trigger: &str,
    fire_time: i64,
) -> Result<u32, StoreError> {
    let attempts: i64 = session.query_one(ATTEMPTS, &[&function, &trigger, &fire_time]).await?.get(0);
    Ok(u32::try_from(attempts).unwrap_or(u32::MAX))
}
