//! SQL of the rows that the ledger keeps: for runs that begin, for operators, for previews.

use tokio_postgres::Row;

use super::StoreError;
use super::session::Session;
use crate::store::ledger::{EntryKey, Holdings, OpenFire, Sweep, Unmarked};
use crate::store::ledger_rows::{BatchSummary, LedgerRow, Requeue, RowState, Selection, shown};

const NEXT_DUE: &str = "
    SELECT min(due) FROM ledger_scope AS scope JOIN ledger_entry AS entry ON entry.scope = scope.id
    WHERE scope.batch = $1 AND due IS NOT NULL";
const UNMARKED: &str = "
    SELECT entry.scope, key, fire_time, CASE WHEN entry.state = 'failed' THEN coalesce(detail, '') END
    FROM ledger_scope AS scope JOIN ledger_entry AS entry ON entry.scope = scope.id
    WHERE batch = $1 AND entry.state IN ('sent', 'failed')
      AND ($2::bigint IS NULL OR (entry.scope, key) > ($2, $3::text COLLATE \"C\"))
    ORDER BY entry.scope, key LIMIT $4";
const SETTLE: &str = "
    UPDATE ledger_entry SET state = CASE WHEN $2 THEN 'resend' ELSE 'held' END, at = $3::bigint,
           due = CASE WHEN $2 THEN $3::bigint END, detail = 'the run was cut off before the outcome was recorded'
    WHERE state = 'reserved' AND scope IN (SELECT id FROM ledger_scope WHERE batch = $1)";
const OPEN_FIRES: &str = "SELECT trigger, fire_time FROM ledger_scope
    WHERE batch = $1 AND state IN ('running', 'stopped') ORDER BY fire_time, id";
const REQUEUE: &str = "
    UPDATE ledger_entry
    SET state = CASE WHEN 'waiting' = ANY($2::text[]) THEN state WHEN $3 THEN 'resend' ELSE 'waiting' END,
        at = $4, due = $4, attempts = 0
    WHERE scope IN (SELECT id FROM ledger_scope WHERE batch = $1) AND state = ANY($2)
      AND (state <> 'reserved' OR epoch < $6) AND ($5::text[] IS NULL OR key = ANY($5))";
const DISCARD: &str = "
    UPDATE ledger_entry
    SET state = CASE WHEN $3 THEN 'failed' ELSE 'kept' END, at = $4, due = NULL, detail = 'discarded by an operator'
    WHERE scope IN (SELECT id FROM ledger_scope WHERE batch = $1) AND state = ANY($2)
      AND (state <> 'reserved' OR epoch < $6) AND ($5::text[] IS NULL OR key = ANY($5))";
const BATCHES: &str = "
    SELECT scope.batch,
           count(*) FILTER (WHERE entry.state = 'held') AS held,
           count(*) FILTER (WHERE entry.state = 'kept') AS failed,
           count(*) FILTER (WHERE entry.state IN ('waiting', 'resend')) AS retrying,
           count(*) FILTER (WHERE entry.state IN ('reserved', 'sent', 'failed')) AS under_way,
           min(due) AS next_retry, newest.remaining, newest.state AS fire_state, newest.fire_time, newest.trigger
    FROM ledger_scope AS scope
    JOIN ledger_scope AS newest ON newest.id = (
      SELECT id FROM ledger_scope WHERE batch = scope.batch ORDER BY fire_time DESC, id DESC LIMIT 1)
    LEFT JOIN ledger_entry AS entry ON entry.scope = scope.id
    GROUP BY scope.batch, newest.id ORDER BY scope.batch";
const ROWS: &str = "
    SELECT key, entry.state, reservation, attempts, at, detail, fire_time
    FROM ledger_scope AS scope JOIN ledger_entry AS entry ON entry.scope = scope.id
    WHERE batch = $1 AND ($2::text[] IS NULL OR entry.state = ANY($2)) ORDER BY at, scope.id, key LIMIT $3";
const NEWEST_SWEEP: &str = "SELECT id, cursor, origin, wrapped, remaining FROM ledger_scope
    WHERE batch = $1 AND kind = $2 ORDER BY id DESC LIMIT 1";
const HELD_KEYS: &str = "SELECT key, coalesce(due <= $2, false) FROM ledger_entry WHERE scope = $1";

pub(in crate::store) async fn next_due(session: &Session, batch: &str) -> Result<Option<i64>, StoreError> {
    Ok(session.query_one(NEXT_DUE, &[&batch]).await?.get(0))
}

pub(in crate::store) async fn unmarked(
    session: &Session,
    batch: &str,
    after: Option<&EntryKey>,
    limit: usize,
) -> Result<Vec<Unmarked>, StoreError> {
    let (scope, key) = (after.map(|entry| entry.scope), after.map(|entry| &entry.key));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = session.query(UNMARKED, &[&batch, &scope, &key, &limit]).await?;
    let unmarked = |row: &Row| Unmarked {
        entry: EntryKey { scope: row.get(0), key: row.get(1) },
        fire_time: row.get(2),
        failure: row.get(3),
    };
    Ok(rows.iter().map(unmarked).collect())
}

pub(in crate::store) async fn settle(
    session: &Session,
    batch: &str,
    resend: bool,
    now: i64,
) -> Result<u64, StoreError> {
    session.execute(SETTLE, &[&batch, &resend, &now]).await
}

pub(in crate::store) async fn open_fires(
    session: &Session,
    batch: &str,
) -> Result<Vec<OpenFire>, StoreError> {
    let fires = session.query(OPEN_FIRES, &[&batch]).await?;
    Ok(fires.iter().map(|row| OpenFire { trigger: row.get(0), fire_time: row.get(1) }).collect())
}

pub(in crate::store) async fn requeue(
    session: &Session,
    epoch: i64,
    requeue: &Requeue,
) -> Result<u64, StoreError> {
    let Requeue { rows: Selection { batch, state, keys, now }, doubtful } = requeue;
    session.execute(REQUEUE, &[batch, &states(*state), doubtful, now, keys, &epoch]).await
}

pub(in crate::store) async fn discard(
    session: &Session,
    epoch: i64,
    rows: &Selection,
    mark: bool,
) -> Result<u64, StoreError> {
    let Selection { batch, state, keys, now } = rows;
    session.execute(DISCARD, &[batch, &states(*state), &mark, now, keys, &epoch]).await
}

/// Of the rows that an operator means.
const fn states(state: RowState) -> &'static [&'static str] {
    match state {
        RowState::Held => &["held", "reserved"],
        RowState::Failed => &["kept"],
        // What waits already keeps its doubt.
        RowState::Retrying => &["waiting", "resend"],
    }
}

pub(in crate::store) async fn batches(session: &Session) -> Result<Vec<BatchSummary>, StoreError> {
    let summary = |row: &Row| {
        let count = |name| row.get::<_, i64>(name).unsigned_abs();
        BatchSummary {
            batch: row.get("batch"),
            held: count("held"),
            failed: count("failed"),
            retrying: count("retrying"),
            under_way: count("under_way"),
            next_retry: row.get("next_retry"),
            remaining: row.get::<_, Option<i64>>("remaining").map(i64::unsigned_abs),
            fire_state: row.get("fire_state"),
            fire_time: row.get("fire_time"),
            trigger: row.get("trigger"),
        }
    };
    Ok(session.query(BATCHES, &[]).await?.iter().map(summary).collect())
}

pub(in crate::store) async fn rows(
    session: &Session,
    batch: &str,
    state: Option<RowState>,
    limit: u32,
) -> Result<Vec<LedgerRow>, StoreError> {
    let states = state.map(|state| match state {
        RowState::Held => vec!["held"],
        RowState::Failed => vec!["kept"],
        RowState::Retrying => vec!["waiting", "resend"],
    });
    let ledger_row = |row: &Row| LedgerRow {
        key: row.get("key"),
        state: shown(row.get("state")),
        reservation: row.get("reservation"),
        attempts: u32::try_from(row.get::<_, i64>("attempts")).unwrap_or(u32::MAX),
        at: row.get("at"),
        detail: row.get("detail"),
        fire_time: row.get("fire_time"),
    };
    Ok(session.query(ROWS, &[&batch, &states, &i64::from(limit)]).await?.iter().map(ledger_row).collect())
}

pub(in crate::store) async fn holdings(
    session: &Session,
    batch: &str,
    until_marked: bool,
    now: i64,
) -> Result<Holdings, StoreError> {
    let kind = if until_marked { "mark" } else { "fire" };
    let mut holdings = Holdings::default();
    let Some(scope) = session.query_opt(NEWEST_SWEEP, &[&batch, &kind]).await? else { return Ok(holdings) };
    let cursor: Option<String> = scope.get("cursor");
    let remaining = scope.get::<_, Option<i64>>("remaining").map(i64::unsigned_abs);
    holdings.sweep = Sweep { origin: cursor.clone(), cursor, wrapped: false, remaining };
    for row in session.query(HELD_KEYS, &[&scope.get::<_, i64>("id"), &now]).await? {
        let list = if row.get(1) { &mut holdings.due } else { &mut holdings.keys };
        list.push(row.get(0));
    }
    Ok(holdings)
}
