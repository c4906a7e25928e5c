//! SQL that reads back: runs, their output, and what was skipped.

use tokio_postgres::Row;
use uuid::Uuid;

use super::StoreError;
use super::session::Session;
use crate::store::runs::{HistoryFilter, RecordedLine, RunId, RunRecord, SkippedRecord};

/// A query for [`record`], with its condition.
macro_rules! runs_where {
    ($condition:literal) => {
        concat!(
            "SELECT run.id, request_id, function.name AS function, trigger.name AS trigger, fire_time, reason, \
                    attempt, missed, state, repeats, created_at, started_at, finished_at, retry_at, message, result \
             FROM run JOIN function ON function.id = run.function JOIN trigger ON trigger.id = run.trigger WHERE ",
            $condition
        )
    };
}
pub(super) use runs_where;

const HISTORY: &str = runs_where!(
    "($1::text IS NULL OR function.name = $1) AND ($2::text IS NULL OR trigger.name = $2)
     AND ($3::text IS NULL OR state = $3) AND run.id > $5 ORDER BY run.id DESC LIMIT $4"
);
const BY_REQUEST: &str = runs_where!("request_id = $1");
const BY_NUMBER: &str = runs_where!("run.id = $1");
const SKIPPED: &str = "
    SELECT function.name, trigger.name, first, last, count, reason FROM skipped
    JOIN trigger ON trigger.id = skipped.trigger JOIN function ON function.id = trigger.function
    WHERE $1::text IS NULL OR function.name = $1 ORDER BY skipped.id DESC LIMIT $2";
const OUTPUT: &str = "SELECT seq, at, stream, line FROM output WHERE run = $1 AND seq > $2 ORDER BY seq";

const LAST_END: &str = "
    SELECT state FROM run
    WHERE trigger = (SELECT trigger.id FROM trigger JOIN function ON function.id = trigger.function
                     WHERE function.name = $1 AND trigger.name = $2)
      AND id <> $3 AND finished_at IS NOT NULL AND reason <> 'manual'
    ORDER BY fire_time DESC, id DESC LIMIT 1";

pub(super) fn record(row: &Row) -> RunRecord {
    let number = |name| u32::try_from(row.get::<_, i64>(name)).unwrap_or(u32::MAX);
    let result: Option<String> = row.get("result");
    RunRecord {
        id: row.get("id"),
        request_id: row.get("request_id"),
        function: row.get("function"),
        trigger: row.get("trigger"),
        fire_time: row.get("fire_time"),
        reason: row.get("reason"),
        attempt: number("attempt"),
        missed: number("missed"),
        state: row.get("state"),
        repeats: row.get("repeats"),
        created_at: row.get("created_at"),
        started_at: row.get("started_at"),
        finished_at: row.get("finished_at"),
        retry_at: row.get("retry_at"),
        message: row.get("message"),
        result: result.map(|text| serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))),
    }
}

pub(in crate::store) async fn history(
    session: &Session,
    filter: &HistoryFilter,
) -> Result<Vec<RunRecord>, StoreError> {
    let HistoryFilter { function, trigger, state, after, limit } = filter;
    let limit = i64::from(*limit);
    Ok(session.query(HISTORY, &[function, trigger, state, &limit, after]).await?.iter().map(record).collect())
}

pub(in crate::store) async fn skipped(
    session: &Session,
    function: Option<&str>,
    limit: u32,
) -> Result<Vec<SkippedRecord>, StoreError> {
    let spans = session.query(SKIPPED, &[&function, &i64::from(limit)]).await?;
    let span = |row: &Row| SkippedRecord {
        function: row.get(0),
        trigger: row.get(1),
        first: row.get(2),
        last: row.get(3),
        count: row.get(4),
        reason: row.get(5),
    };
    Ok(spans.iter().map(span).collect())
}

/// By number or request id. The latter has no index: it is asked for rarely, and would cost every claim.
pub(in crate::store) async fn find(session: &Session, name: &str) -> Result<Option<RunRecord>, StoreError> {
    let run = match (Uuid::parse_str(name), name.parse::<RunId>()) {
        (Ok(id), _) => session.query_opt(BY_REQUEST, &[&id]).await?,
        (Err(_), Ok(number)) => session.query_opt(BY_NUMBER, &[&number]).await?,
        (Err(_), Err(_)) => None,
    };
    Ok(run.as_ref().map(record))
}

pub(in crate::store) async fn output(
    session: &Session,
    run: RunId,
    after: i64,
) -> Result<Vec<RecordedLine>, StoreError> {
    let lines = session.query(OUTPUT, &[&run, &after]).await?;
    let line =
        |row: &Row| RecordedLine { seq: row.get(0), at: row.get(1), stream: row.get(2), text: row.get(3) };
    Ok(lines.iter().map(line).collect())
}

/// See [`crate::store::Store::last_end`].
pub(in crate::store) async fn last_end(
    session: &Session,
    function: &str,
    trigger: &str,
    but: RunId,
) -> Result<Option<String>, StoreError> {
    Ok(session.query_opt(LAST_END, &[&function, &trigger, &but]).await?.map(|row| row.get(0)))
}
