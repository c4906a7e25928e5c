//! SQL of claims: a fire time becomes a run, or is skipped.

use rusqlite::{CachedStatement, Connection, named_params, params};

use super::StoreError;
use super::prune::count_runs;
use super::runs::finish;
use super::triggers::raise_mark;
use crate::run::Outcome;
use crate::settings::Overlap;
use crate::store::runs::{Claim, ClaimRequest, REPLACED, RunId, SkipReason, SkippedSpan};
use crate::store::triggers::FunctionId;

/// One answer a request, in order.
pub(in crate::store) fn claim_all(
    connection: &Connection,
    epoch: i64,
    requests: &[ClaimRequest],
) -> Result<Vec<Claim>, StoreError> {
    let before = last_run(connection)?;
    let mut runs = NewRuns::after(before, connection, epoch)?;
    let claims: Vec<Claim> =
        requests.iter().map(|request| claim(connection, &mut runs, request)).collect::<Result<_, _>>()?;
    if runs.last > before {
        connection
            .prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'last_run'")?
            .execute([runs.last])?;
        count_runs(connection, runs.last - before)?;
    }
    Ok(claims)
}

/// Where the runs of one commit come from. Holds its statements: this is the hot path of the scheduler.
struct NewRuns<'c> {
    epoch: i64,
    /// The last number that was given.
    last: RunId,
    insert: CachedStatement<'c>,
    covers: CachedStatement<'c>,
}

impl<'c> NewRuns<'c> {
    fn after(last: RunId, connection: &'c Connection, epoch: i64) -> Result<Self, StoreError> {
        // Numbered parameters and a plain row.
        let insert = connection.prepare_cached(
            "INSERT INTO run (id, request_id, function, trigger, fire_time, claim, reason, attempt, missed, state,
                              epoch, created_at, started_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (trigger, fire_time, claim) DO NOTHING",
        )?;
        let covers = connection.prepare_cached("SELECT 1 FROM trigger WHERE id = ?1 AND mark >= ?2")?;
        Ok(Self { epoch, last, insert, covers })
    }

    fn claim(&mut self, request: &ClaimRequest, wait: bool) -> Result<Claim, StoreError> {
        let wait = wait || !request.room;
        Ok(match self.insert(request, wait)? {
            None => Claim::AlreadyClaimed,
            Some(run) if wait => Claim::Waiting(run),
            Some(run) => Claim::Started(run),
        })
    }

    /// Whether the fire time is accounted for by the trigger's mark.
    fn is_past(&mut self, request: &ClaimRequest) -> Result<bool, StoreError> {
        Ok(self.covers.exists(params![request.trigger, request.fire_time])?)
    }

    /// None: the fire time has a run already, or had one that is folded or pruned.
    fn insert(&mut self, request: &ClaimRequest, waits: bool) -> Result<Option<RunId>, StoreError> {
        let scheduled = request.reason.is_scheduled();
        if scheduled && self.is_past(request)? {
            return Ok(None);
        }
        let run = self.last + 1;
        let inserted = self.insert.execute(params![
            run,
            request.request_id.as_bytes(),
            request.function,
            request.trigger,
            request.fire_time,
            scheduled.then_some(1),
            request.reason.as_str(),
            request.attempt,
            request.missed,
            if waits { "waiting" } else { "running" },
            self.epoch,
            request.now,
            (!waits).then_some(request.now),
        ])?;
        if inserted == 0 {
            return Ok(None);
        }
        self.last = run;
        Ok(Some(run))
    }
}

fn last_run(connection: &Connection) -> Result<RunId, StoreError> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = 'last_run'")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Settles the overlap and inserts the run: one step, since it all happens inside one transaction.
///
/// The row is the claim. A trigger's mark follows only when the row goes: see `prune` and `runs`.
fn claim(
    connection: &Connection,
    runs: &mut NewRuns<'_>,
    request: &ClaimRequest,
) -> Result<Claim, StoreError> {
    if request.overlap == Overlap::Allow {
        return runs.claim(request, false);
    }
    if request.reason.is_scheduled() && (has_run(connection, request)? || runs.is_past(request)?) {
        return Ok(Claim::AlreadyClaimed);
    }
    let open = open_runs(connection, request.function)?;
    let waiting = || open.iter().filter(|(_, state)| state == "waiting");
    let busy = !open.is_empty();
    match request.overlap {
        Overlap::Skip if busy => skip_for_overlap(connection, request),
        Overlap::Queue(limit) if busy && waiting().count() >= limit as usize => {
            skip_for_overlap(connection, request)
        }
        Overlap::Allow | Overlap::Skip | Overlap::Queue(_) => runs.claim(request, busy),
        Overlap::Replace => match runs.claim(request, busy)? {
            Claim::Waiting(run) if busy => {
                for (old, _) in waiting() {
                    let replaced = Outcome::interrupted(REPLACED);
                    finish(connection, *old, &replaced, request.now)?;
                }
                Ok(Claim::Replaces { run, old: open.into_iter().map(|(run, _)| run).collect() })
            }
            claim => Ok(claim),
        },
    }
}

/// Whether it has a run. What ran must not be recorded as skipped; an insert that is sure to happen finds out by itself.
fn has_run(connection: &Connection, request: &ClaimRequest) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM run WHERE trigger = ?1 AND fire_time = ?2 AND claim = 1")?
        .exists(params![request.trigger, request.fire_time])?)
}

fn open_runs(connection: &Connection, function: FunctionId) -> Result<Vec<(RunId, String)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, state FROM run WHERE function = ?1 AND state IN ('waiting', 'running') ORDER BY id",
    )?;
    let runs = statement.query_map([function], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(runs.collect::<Result<_, _>>()?)
}

fn skip_for_overlap(connection: &Connection, request: &ClaimRequest) -> Result<Claim, StoreError> {
    if request.reason.is_scheduled() {
        // With it goes what it stands for.
        let (first, last, count) = (request.since, request.fire_time, 1 + i64::from(request.missed));
        let span = SkippedSpan { trigger: request.trigger, first, last, count, reason: SkipReason::Overlap };
        skip(connection, &span, request.now)?;
    }
    Ok(Claim::Skipped)
}

/// Records a span, or lengthens the trigger's newest one when it has the same reason and nothing lies
/// in between: a second that is skipped every second must not fill the disk. Runs that are gone, and times that the
/// trigger passed over, are known by its mark.
pub(in crate::store) fn skip(
    connection: &Connection,
    span: &SkippedSpan,
    now: i64,
) -> Result<(), StoreError> {
    let lengthened = connection
        .prepare_cached(
            "UPDATE skipped SET last = :last, count = count + :count, recorded_at = :now
             WHERE id = (SELECT max(id) FROM skipped WHERE trigger = :trigger)
               AND reason = :reason AND last < :first
               AND EXISTS (SELECT 1 FROM trigger WHERE id = :trigger AND mark <= skipped.last)
               AND NOT EXISTS (SELECT 1 FROM run WHERE trigger = :trigger AND fire_time > skipped.last
                               AND claim = 1)",
        )?
        .execute(named_params! {
            ":first": span.first,
            ":last": span.last,
            ":count": span.count,
            ":now": now,
            ":trigger": span.trigger,
            ":reason": span.reason.as_str(),
        })?;
    if lengthened == 0 {
        connection
            .prepare_cached(
                "INSERT INTO skipped (trigger, first, last, count, reason, recorded_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![span.trigger, span.first, span.last, span.count, span.reason.as_str(), now])?;
    }
    raise_mark(connection, span.trigger, span.last)
}
