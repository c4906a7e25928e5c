//! SQL that reads back: runs, their output, and what was skipped.

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};
use uuid::Uuid;

use super::StoreError;
use crate::store::runs::{HistoryFilter, RecordedLine, RunId, RunRecord, SkippedRecord};

/// The head of a query for [`record`].
pub(super) const RUNS: &str = "
    SELECT run.id, request_id, function.name AS function, trigger.name AS trigger, fire_time, reason, attempt, missed,
           state, repeats, created_at, started_at, finished_at, retry_at, message, result
    FROM run JOIN function ON function.id = run.function JOIN trigger ON trigger.id = run.trigger";

pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let result: Option<String> = row.get("result")?;
    Ok(RunRecord {
        id: row.get("id")?,
        request_id: Uuid::from_bytes(row.get("request_id")?),
        function: row.get("function")?,
        trigger: row.get("trigger")?,
        fire_time: row.get("fire_time")?,
        reason: row.get("reason")?,
        attempt: row.get("attempt")?,
        missed: row.get("missed")?,
        state: row.get("state")?,
        repeats: row.get("repeats")?,
        created_at: row.get("created_at")?,
        started_at: row.get("started_at")?,
        finished_at: row.get("finished_at")?,
        retry_at: row.get("retry_at")?,
        message: row.get("message")?,
        result: result.map(|text| serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))),
    })
}

pub(in crate::store) fn history(
    connection: &Connection,
    filter: &HistoryFilter,
) -> Result<Vec<RunRecord>, StoreError> {
    let mut statement = connection.prepare(&format!(
        "{RUNS} WHERE (:function IS NULL OR function.name = :function)
           AND (:trigger IS NULL OR trigger.name = :trigger)
           AND (:state IS NULL OR state = :state)
           AND run.id > :after
         ORDER BY run.id DESC LIMIT :limit"
    ))?;
    let runs = statement.query_map(
        named_params! {
            ":function": filter.function,
            ":trigger": filter.trigger,
            ":state": filter.state,
            ":after": filter.after,
            ":limit": filter.limit,
        },
        record,
    )?;
    Ok(runs.collect::<Result<_, _>>()?)
}

pub(in crate::store) fn skipped(
    connection: &Connection,
    function: Option<&str>,
    limit: u32,
) -> Result<Vec<SkippedRecord>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT function.name, trigger.name, first, last, count, reason FROM skipped
         JOIN trigger ON trigger.id = skipped.trigger JOIN function ON function.id = trigger.function
         WHERE ?1 IS NULL OR function.name = ?1 ORDER BY skipped.id DESC LIMIT ?2",
    )?;
    let spans = statement.query_map(params![function, limit], |row| {
        Ok(SkippedRecord {
            function: row.get(0)?,
            trigger: row.get(1)?,
            first: row.get(2)?,
            last: row.get(3)?,
            count: row.get(4)?,
            reason: row.get(5)?,
        })
    })?;
    Ok(spans.collect::<Result<_, _>>()?)
}

/// By number or request id. The latter has no index: it is asked for rarely, and would cost every claim.
pub(in crate::store) fn find(connection: &Connection, name: &str) -> Result<Option<RunRecord>, StoreError> {
    let request_id = Uuid::parse_str(name).ok().map(Uuid::into_bytes);
    let run = match request_id {
        Some(id) => connection
            .prepare(&format!("{RUNS} WHERE request_id = ?1"))?
            .query_row([id], record)
            .optional()?,
        None => connection
            .prepare(&format!("{RUNS} WHERE run.id = ?1"))?
            .query_row([name.parse::<RunId>().ok()], record)
            .optional()?,
    };
    Ok(run)
}

pub(in crate::store) fn output(
    connection: &Connection,
    run: RunId,
    after: i64,
) -> Result<Vec<RecordedLine>, StoreError> {
    let mut statement = connection
        .prepare("SELECT seq, at, stream, line FROM output WHERE run = ?1 AND seq > ?2 ORDER BY seq")?;
    let lines = statement.query_map([run, after], |row| {
        Ok(RecordedLine { seq: row.get(0)?, at: row.get(1)?, stream: row.get(2)?, text: row.get(3)? })
    })?;
    Ok(lines.collect::<Result<_, _>>()?)
}

/// See [`crate::store::Store::last_end`].
pub(in crate::store) fn last_end(
    connection: &Connection,
    function: &str,
    trigger: &str,
    but: RunId,
) -> Result<Option<String>, StoreError> {
    let state = connection
        .prepare(
            "SELECT state FROM run
             WHERE trigger = (SELECT trigger.id FROM trigger JOIN function ON function.id = trigger.function
                              WHERE function.name = ?1 AND trigger.name = ?2)
               AND id <> ?3 AND finished_at IS NOT NULL AND reason <> 'manual'
             ORDER BY fire_time DESC, id DESC LIMIT 1",
        )?
        .query_row(params![function, trigger, but], |row| row.get(0))
        .optional()?;
    Ok(state)
}
