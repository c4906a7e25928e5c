//! SQL of runs: the claim, the end, history and output.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::StoreError;
use crate::run::{Outcome, Reason};
use crate::settings::Overlap;
use crate::store::runs::{
    Claim, ClaimRequest, HistoryFilter, OutputLine, RecordedLine, RunId, RunRecord, SkipReason,
    SkippedRecord, SkippedSpan,
};

/// Settles the overlap and inserts the run: one step, since it all happens inside one transaction.
pub(in crate::store) fn claim(
    connection: &Connection,
    epoch: i64,
    request: &ClaimRequest,
) -> Result<Claim, StoreError> {
    if is_scheduled(request.reason) {
        if claimed_before(connection, request)? {
            return Ok(Claim::AlreadyClaimed);
        }
        raise_high_water(connection, &request.function, &request.trigger, request.fire_time)?;
    }
    let open = open_runs(connection, &request.function)?;
    let waiting = || open.iter().filter(|(_, state)| state == "waiting");
    let busy = !open.is_empty();
    let started = |wait: bool| -> Result<(RunId, bool), StoreError> {
        let wait = wait || !request.room;
        Ok((insert(connection, epoch, request, wait)?, wait))
    };
    let claim = match request.overlap {
        Overlap::Allow => answer(started(false)?),
        Overlap::Skip if busy => skip_for_overlap(connection, request)?,
        Overlap::Queue(limit) if busy && waiting().count() >= limit as usize => {
            skip_for_overlap(connection, request)?
        }
        Overlap::Skip | Overlap::Queue(_) => answer(started(busy)?),
        Overlap::Replace => {
            for (run, _) in waiting() {
                let replaced = Outcome::interrupted("replaced by a newer fire before it started");
                finish(connection, *run, &replaced, request.now)?;
            }
            let (run, wait) = started(busy)?;
            if busy {
                Claim::Replaces { run, old: open.into_iter().map(|(run, _)| run).collect() }
            } else {
                answer((run, wait))
            }
        }
    };
    Ok(claim)
}

fn answer((run, waits): (RunId, bool)) -> Claim {
    if waits { Claim::Waiting(run) } else { Claim::Started(run) }
}

const fn is_scheduled(reason: Reason) -> bool {
    matches!(reason, Reason::Timed | Reason::CatchUp)
}

fn claimed_before(connection: &Connection, request: &ClaimRequest) -> Result<bool, StoreError> {
    // Folded and pruned runs leave no row behind; the high-water mark still knows them.
    let found = connection
        .prepare_cached(
            "SELECT 1 FROM run WHERE function = ?1 AND trigger = ?2 AND fire_time = ?3
                AND reason IN ('timed', 'catch-up')
             UNION ALL
             SELECT 1 FROM high_water WHERE function = ?1 AND trigger = ?2 AND fire_time >= ?3",
        )?
        .exists(params![request.function, request.trigger, request.fire_time])?;
    Ok(found)
}

fn raise_high_water(
    connection: &Connection,
    function: &str,
    trigger: &str,
    fire_time: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO high_water (function, trigger, fire_time) VALUES (?1, ?2, ?3)
             ON CONFLICT (function, trigger) DO UPDATE SET fire_time = max(fire_time, excluded.fire_time)",
        )?
        .execute(params![function, trigger, fire_time])?;
    Ok(())
}

fn open_runs(connection: &Connection, function: &str) -> Result<Vec<(RunId, String)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, state FROM run WHERE function = ?1 AND state IN ('waiting', 'running') ORDER BY id",
    )?;
    let runs = statement.query_map([function], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(runs.collect::<Result<_, _>>()?)
}

fn insert(
    connection: &Connection,
    epoch: i64,
    request: &ClaimRequest,
    waits: bool,
) -> Result<RunId, StoreError> {
    let started_at = (!waits).then_some(request.now);
    connection
        .prepare_cached(
            "INSERT INTO run (request_id, function, trigger, fire_time, reason, attempt, missed, state,
                              epoch, created_at, started_at)
             VALUES (:request_id, :function, :trigger, :fire_time, :reason, :attempt, :missed, :state,
                     :epoch, :created_at, :started_at)",
        )?
        .execute(named_params! {
            ":request_id": request.request_id,
            ":function": request.function,
            ":trigger": request.trigger,
            ":fire_time": request.fire_time,
            ":reason": request.reason.as_str(),
            ":attempt": request.attempt,
            ":missed": request.missed,
            ":state": if waits { "waiting" } else { "running" },
            ":epoch": epoch,
            ":created_at": request.now,
            ":started_at": started_at,
        })?;
    Ok(connection.last_insert_rowid())
}

fn skip_for_overlap(connection: &Connection, request: &ClaimRequest) -> Result<Claim, StoreError> {
    let span = SkippedSpan {
        function: request.function.clone(),
        trigger: request.trigger.clone(),
        first: request.fire_time,
        last: request.fire_time,
        count: 1,
        reason: SkipReason::Overlap,
    };
    skip(connection, &span, request.now)?;
    Ok(Claim::Skipped)
}

/// Records a span, or lengthens the trigger's newest one when it has the same reason and nothing ran
/// in between: a second that is skipped every second must not fill the disk.
pub(in crate::store) fn skip(
    connection: &Connection,
    span: &SkippedSpan,
    now: i64,
) -> Result<(), StoreError> {
    raise_high_water(connection, &span.function, &span.trigger, span.last)?;
    let lengthened = connection
        .prepare_cached(
            "UPDATE skipped SET last = max(last, :last), count = count + :count, recorded_at = :now
             WHERE id = (SELECT max(id) FROM skipped WHERE function = :function AND trigger = :trigger)
               AND reason = :reason
               AND NOT EXISTS (SELECT 1 FROM run WHERE function = :function AND trigger = :trigger
                               AND fire_time > skipped.last AND reason IN ('timed', 'catch-up'))",
        )?
        .execute(named_params! {
            ":last": span.last,
            ":count": span.count,
            ":now": now,
            ":function": span.function,
            ":trigger": span.trigger,
            ":reason": span.reason.as_str(),
        })?;
    if lengthened == 0 {
        connection
            .prepare_cached(
                "INSERT INTO skipped (function, trigger, first, last, count, reason, recorded_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                span.function,
                span.trigger,
                span.first,
                span.last,
                span.count,
                span.reason.as_str(),
                now
            ])?;
    }
    Ok(())
}

pub(in crate::store) fn start(connection: &Connection, run: RunId, now: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE run SET state = 'running', started_at = ?2 WHERE id = ?1 AND state = 'waiting'",
        )?
        .execute(params![run, now])?;
    Ok(())
}

pub(in crate::store) fn adopt(connection: &Connection, run: RunId, epoch: i64) -> Result<(), StoreError> {
    connection.prepare("UPDATE run SET epoch = ?2 WHERE id = ?1")?.execute([run, epoch])?;
    Ok(())
}

/// Ends a run. One that found nothing to do, right after another that found nothing either, is folded
/// into the earlier one: a table polled every second must not fill the history.
pub(in crate::store) fn finish(
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
    let folded = connection
        .prepare_cached(
            "UPDATE run SET repeats = repeats + 1, finished_at = ?2
             WHERE idle AND id = (SELECT max(earlier.id) FROM run AS earlier JOIN run AS this
                                  ON this.id = ?1 AND this.reason = 'timed' AND earlier.id < this.id
                                  AND earlier.function = this.function AND earlier.trigger = this.trigger)",
        )?
        .execute(params![run, now])?;
    if folded > 0 {
        connection.prepare_cached("DELETE FROM output WHERE run = ?1")?.execute([run])?;
        connection.prepare_cached("DELETE FROM run WHERE id = ?1")?.execute([run])?;
    }
    Ok(())
}

pub(in crate::store) fn high_water(
    connection: &Connection,
) -> Result<HashMap<(String, String), i64>, StoreError> {
    let mut statement = connection.prepare("SELECT function, trigger, fire_time FROM high_water")?;
    let marks = statement.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    Ok(marks.collect::<Result<_, _>>()?)
}

pub(in crate::store) fn lower_high_water(
    connection: &Connection,
    function: &str,
    trigger: &str,
    fire_time: i64,
) -> Result<(), StoreError> {
    connection
        .prepare("UPDATE high_water SET fire_time = ?3 WHERE function = ?1 AND trigger = ?2")?
        .execute(params![function, trigger, fire_time])?;
    Ok(())
}

pub(in crate::store) fn left_open(connection: &Connection, epoch: i64) -> Result<Vec<RunRecord>, StoreError> {
    let mut statement = connection.prepare(&format!(
        "SELECT {COLUMNS} FROM run WHERE state IN ('waiting', 'running') AND epoch < ?1 ORDER BY id"
    ))?;
    let runs = statement.query_map([epoch], record)?;
    Ok(runs.collect::<Result<_, _>>()?)
}

pub(in crate::store) fn attempts(
    connection: &Connection,
    full_name: &str,
    fire_time: i64,
) -> Result<u32, StoreError> {
    let attempts = connection
        .prepare("SELECT ifnull(max(attempt), 0) FROM run WHERE function || '/' || trigger = ?1 AND fire_time = ?2")?
        .query_row(params![full_name, fire_time], |row| row.get(0))?;
    Ok(attempts)
}

pub(in crate::store) fn append_output(
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

pub(in crate::store) fn prune(
    connection: &Connection,
    before: i64,
    keep_runs: i64,
    limit: u32,
) -> Result<usize, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM run WHERE finished_at IS NOT NULL AND
           (finished_at < ?1 OR id <= (SELECT id FROM run ORDER BY id DESC LIMIT 1 OFFSET ?2))
         ORDER BY id LIMIT ?3",
    )?;
    let runs: Vec<RunId> = statement
        .query_map(params![before, keep_runs, limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for run in &runs {
        connection.prepare_cached("DELETE FROM output WHERE run = ?1")?.execute([run])?;
        connection.prepare_cached("DELETE FROM run WHERE id = ?1")?.execute([run])?;
    }
    Ok(runs.len())
}

const COLUMNS: &str = "id, request_id, function, trigger, fire_time, reason, attempt, missed, state, \
                       repeats, created_at, started_at, finished_at, message, result";

fn record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let result: Option<String> = row.get("result")?;
    Ok(RunRecord {
        id: row.get("id")?,
        request_id: row.get("request_id")?,
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
        message: row.get("message")?,
        result: result.map(|text| serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))),
    })
}

pub(in crate::store) fn history(
    connection: &Connection,
    filter: &HistoryFilter,
) -> Result<Vec<RunRecord>, StoreError> {
    let mut statement = connection.prepare(&format!(
        "SELECT {COLUMNS} FROM run
         WHERE (:function IS NULL OR function = :function) AND (:trigger IS NULL OR trigger = :trigger)
           AND (:state IS NULL OR state = :state)
         ORDER BY id DESC LIMIT :limit"
    ))?;
    let runs = statement.query_map(
        named_params! {
            ":function": filter.function,
            ":trigger": filter.trigger,
            ":state": filter.state,
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
        "SELECT function, trigger, first, last, count, reason FROM skipped
         WHERE ?1 IS NULL OR function = ?1 ORDER BY id DESC LIMIT ?2",
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

pub(in crate::store) fn find(connection: &Connection, name: &str) -> Result<Option<RunRecord>, StoreError> {
    let run = connection
        .prepare(&format!("SELECT {COLUMNS} FROM run WHERE id = ?1 OR request_id = ?2"))?
        .query_row(params![name.parse::<RunId>().ok(), name], record)
        .optional()?;
    Ok(run)
}

pub(in crate::store) fn output(connection: &Connection, run: RunId) -> Result<Vec<RecordedLine>, StoreError> {
    let mut statement =
        connection.prepare("SELECT at, stream, line FROM output WHERE run = ?1 ORDER BY seq")?;
    let lines = statement.query_map([run], |row| {
        Ok(RecordedLine { at: row.get(0)?, stream: row.get(1)?, text: row.get(2)? })
    })?;
    Ok(lines.collect::<Result<_, _>>()?)
}
