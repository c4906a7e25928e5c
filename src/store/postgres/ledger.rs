//! SQL of a run's steps through the ledger: everything of a kind in one statement.

use std::collections::HashSet;

use super::session::{Param, Session};
use super::{StoreError, storable};
use crate::store::ledger::{Due, EntryKey, Record, ScopeId, Step, Sweep, Verdict};

/// Answers the reservations that were recorded when not all were; as do the next two.
const RECORD: &str = "
    WITH recorded AS (
      UPDATE ledger_entry AS entry
      SET state = came.state, at = came.at, due = came.due, detail = came.detail,
          attempts = coalesce(came.attempts, entry.attempts)
      FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
                  $9::text[])
        AS came (scope, key, reservation, state, at, due, attempts, detail)
      WHERE entry.scope = came.scope AND entry.key = came.key AND entry.reservation = came.reservation
        AND entry.epoch = $1 AND entry.state = 'reserved'
      RETURNING entry.reservation)
    SELECT CASE WHEN (SELECT count(*) FROM recorded) < cardinality($3) THEN ARRAY(SELECT reservation FROM recorded) END";
const GONE: &str = "
    WITH gone AS (
      DELETE FROM ledger_entry AS entry
      USING unnest($2::bigint[], $3::text[], $4::text[]) AS came (scope, key, reservation)
      WHERE entry.scope = came.scope AND entry.key = came.key AND entry.reservation = came.reservation
        AND entry.epoch = $1 AND entry.state = 'reserved'
      RETURNING entry.reservation)
    SELECT CASE WHEN (SELECT count(*) FROM gone) < cardinality($3) THEN ARRAY(SELECT reservation FROM gone) END";
const OTHER_OWNER: &str =
    "SELECT epoch FROM ledger_entry WHERE scope = $1 AND key = $2 AND reservation = $3 AND epoch <> $4";
const RESERVE: &str = "
    WITH reserved AS (
      INSERT INTO ledger_entry (scope, key, reservation, state, epoch, run, attempts, at)
      SELECT $1, key, reservation, 'reserved', $2, $3, 0, $4
      FROM unnest($5::text[], $6::text[]) AS new (key, reservation)
      ON CONFLICT (scope, key) DO NOTHING RETURNING reservation),
    counted AS (SELECT count(*) AS count FROM reserved),
    moved AS (
      UPDATE ledger_scope
      SET taken = greatest(0, taken + (SELECT count FROM counted) - $7),
          cursor = CASE WHEN $8 THEN $9 ELSE cursor END, origin = CASE WHEN $8 THEN $10 ELSE origin END,
          wrapped = CASE WHEN $8 THEN $11 ELSE wrapped END, remaining = CASE WHEN $8 THEN $12 ELSE remaining END,
          state = coalesce($13, state)
      WHERE id = $1)
    SELECT CASE WHEN count < cardinality($5) THEN ARRAY(SELECT reservation FROM reserved) END FROM counted";
const FORGET: &str = "
    DELETE FROM ledger_entry AS entry USING unnest($1::bigint[], $2::text[]) AS gone (scope, key)
    WHERE entry.scope = gone.scope AND entry.key = gone.key";
const TAKE_DUE: &str = "
    WITH due AS (
      SELECT entry.scope, entry.key, scope.fire_time, entry.reservation, entry.attempts, entry.state, entry.run, entry.due
      FROM ledger_scope AS scope JOIN ledger_entry AS entry ON entry.scope = scope.id
      WHERE scope.batch = $1 AND entry.due <= $2 ORDER BY entry.due, entry.key LIMIT $3),
    taken AS (
      UPDATE ledger_entry AS entry
      SET state = 'reserved', epoch = $4, at = $2, due = NULL,
          run = CASE WHEN entry.scope = $5 THEN $6::bigint ELSE 0 END
      FROM due WHERE entry.scope = due.scope AND entry.key = due.key),
    counted AS (UPDATE ledger_scope SET taken = taken + (SELECT count(*) FROM due) WHERE id = $5 AND $7)
    SELECT scope, key, fire_time, reservation, attempts, state = 'resend', scope = $5 AND run = $6
    FROM due ORDER BY due, key";

/// See [`crate::store::Store::batch_step`].
pub(in crate::store) async fn step(
    session: &Session,
    epoch: i64,
    step: &Step,
) -> Result<Vec<usize>, StoreError> {
    // They are sent together, and are to be done in this order.
    session.ready(&[RECORD, GONE, RESERVE, FORGET]).await?;
    // The last is last: what goes now still keeps its key from being reserved in this step.
    let (recorded, refused, forgotten) = tokio::join!(
        biased;
        record(session, epoch, step),
        reserve(session, epoch, step),
        forget(session, &step.forget),
    );
    recorded?;
    let refused = refused?;
    forgotten?;
    Ok(refused)
}

async fn record(session: &Session, epoch: i64, step: &Step) -> Result<(), StoreError> {
    let (gone, kept): (Vec<&Record>, Vec<&Record>) =
        step.record.iter().partition(|record| record.verdict == Verdict::Gone);
    let (updated, deleted) = tokio::join!(
        biased;
        update(session, epoch, &kept, step.now),
        delete(session, epoch, &gone),
    );
    for (records, done) in [(kept, updated?), (gone, deleted?)] {
        if let Some(failed) = done.and_then(|done| first_without(&records, done)) {
            return Err(not_ours(session, epoch, failed).await?);
        }
    }
    Ok(())
}

/// The first record whose reservation is not among those that are `done`, each of which is done once.
fn first_without<'a>(records: &[&'a Record], done: Vec<String>) -> Option<&'a Record> {
    let mut done: HashSet<_> = done.into_iter().collect();
    records.iter().find(|record| !done.remove(&record.reservation)).copied()
}

/// None: all are recorded.
async fn update(
    session: &Session,
    epoch: i64,
    records: &[&Record],
    now: i64,
) -> Result<Option<Vec<String>>, StoreError> {
    if records.is_empty() {
        return Ok(None);
    }
    let (scopes, keys, reservations) = names(records);
    let count = records.len();
    let (mut states, mut times, mut due) =
        (Vec::with_capacity(count), Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut attempts, mut details) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for record in records {
        let (state, at, tries, detail) = match &record.verdict {
            Verdict::Sent { detail } => ("sent", None, None, detail.as_str()),
            Verdict::Failed { reason } => ("failed", None, None, reason.as_str()),
            Verdict::Kept { reason } => ("kept", None, None, reason.as_str()),
            Verdict::Held { reason } => ("held", None, None, reason.as_str()),
            Verdict::Waiting { at, attempts, doubtful, reason } => {
                let state = if *doubtful { "resend" } else { "waiting" };
                (state, Some(*at), Some(i64::from(*attempts)), reason.as_str())
            }
            // See `delete`.
            Verdict::Gone => continue,
        };
        states.push(state);
        times.push(at.unwrap_or(now));
        due.push(at);
        attempts.push(tries);
        details.push(storable(detail));
    }
    let params: [Param<'_>; 9] =
        [&epoch, &scopes, &keys, &reservations, &states, &times, &due, &attempts, &details];
    Ok(session.query_one(RECORD, &params).await?.get(0))
}

/// None: all are gone.
async fn delete(
    session: &Session,
    epoch: i64,
    records: &[&Record],
) -> Result<Option<Vec<String>>, StoreError> {
    if records.is_empty() {
        return Ok(None);
    }
    let (scopes, keys, reservations) = names(records);
    Ok(session.query_one(GONE, &[&epoch, &scopes, &keys, &reservations]).await?.get(0))
}

fn names<'a>(records: &[&'a Record]) -> (Vec<ScopeId>, Vec<&'a str>, Vec<&'a str>) {
    (
        records.iter().map(|record| record.entry.scope).collect(),
        records.iter().map(|record| record.entry.key.as_str()).collect(),
        records.iter().map(|record| record.reservation.as_str()).collect(),
    )
}

/// Why a reservation could not be recorded.
async fn not_ours(session: &Session, ours: i64, record: &Record) -> Result<StoreError, StoreError> {
    let Record { entry: EntryKey { scope, key }, reservation, .. } = record;
    let other = session.query_opt(OTHER_OWNER, &[scope, key, reservation, &ours]).await?;
    Ok(match other.map(|row| row.get(0)) {
        Some(current) => StoreError::StaleEpoch { ours, current },
        None => StoreError::NotReserved { reservation: reservation.clone() },
    })
}

async fn reserve(session: &Session, epoch: i64, step: &Step) -> Result<Vec<usize>, StoreError> {
    let Step { scope, run, reserve, untaken, sweep, fire, now, .. } = step;
    if reserve.is_empty() && *untaken == 0 && sweep.is_none() && fire.is_none() {
        return Ok(Vec::new());
    }
    let keys: Vec<_> = reserve.iter().map(|(key, _)| key.as_str()).collect();
    let reservations: Vec<_> = reserve.iter().map(|(_, reservation)| reservation.as_str()).collect();
    let (moves, to) = (sweep.is_some(), sweep.clone().unwrap_or_default());
    let Sweep { cursor, origin, wrapped, remaining } = to;
    let (untaken, remaining) = (signed(*untaken), remaining.map(signed));
    let fire = fire.map(crate::store::ledger::FireState::as_str);
    let params: [Param<'_>; 13] = [
        scope,
        &epoch,
        run,
        now,
        &keys,
        &reservations,
        &untaken,
        &moves,
        &cursor,
        &origin,
        &wrapped,
        &remaining,
        &fire,
    ];
    let reserved: Option<Vec<String>> = session.query_one(RESERVE, &params).await?.get(0);
    let Some(reserved) = reserved else { return Ok(Vec::new()) };
    let reserved: HashSet<_> = reserved.into_iter().collect();
    let refused = reserve.iter().enumerate().filter(|(_, (_, reservation))| !reserved.contains(reservation));
    Ok(refused.map(|(position, _)| position).collect())
}

pub(in crate::store) async fn forget(session: &Session, entries: &[EntryKey]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let scopes: Vec<_> = entries.iter().map(|entry| entry.scope).collect();
    let keys: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
    session.execute(FORGET, &[&scopes, &keys]).await?;
    Ok(())
}

/// See [`crate::store::Store::take_due`].
pub(in crate::store) async fn take_due(
    session: &Session,
    epoch: i64,
    batch: &str,
    (ours, run, counts): (ScopeId, i64, bool),
    now: i64,
    limit: usize,
) -> Result<Vec<Due>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = session.query(TAKE_DUE, &[&batch, &now, &limit, &epoch, &ours, &run, &counts]).await?;
    let due = rows.iter().map(|row| Due {
        entry: EntryKey { scope: row.get(0), key: row.get(1) },
        fire_time: row.get(2),
        reservation: row.get(3),
        attempts: u32::try_from(row.get::<_, i64>(4)).unwrap_or(u32::MAX),
        doubtful: row.get(5),
        own: row.get(6),
    });
    Ok(due.collect())
}

pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
