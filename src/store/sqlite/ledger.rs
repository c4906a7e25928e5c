//! SQL of the ledger.

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::StoreError;
use crate::store::ledger::{
    BeginRun, Due, EntryKey, FireState, Holdings, OpenFire, Record, Scope, ScopeId, Step, Sweep, Unmarked,
    Verdict,
};
use crate::store::scope::{Beginning, Found};

/// Refuses when the state has been opened by another owner since.
pub(in crate::store) fn owned(connection: &Connection, ours: i64) -> Result<(), StoreError> {
    let current: i64 = connection
        .prepare_cached("SELECT value FROM meta WHERE name = 'epoch'")?
        .query_row([], |row| row.get(0))?;
    if current == ours { Ok(()) } else { Err(StoreError::StaleEpoch { ours, current }) }
}

pub(in crate::store) fn begin(
    connection: &Connection,
    epoch: i64,
    begin: &BeginRun,
) -> Result<Scope, StoreError> {
    owned(connection, epoch)?;
    let found = if begin.until_marked {
        scope_until_marked(connection, begin)?
    } else {
        scope_of_fire(connection, begin)?
    };
    match Beginning::of(begin, found) {
        Beginning::Over(scope) => Ok(scope),
        Beginning::GoOn(scope) => go_on(connection, scope),
        Beginning::NextFire(scope) => next_fire(connection, scope, begin),
        Beginning::New => open_scope(connection, begin),
    }
}

const SCOPE: &str = "SELECT id, trigger, fire_time, state, run, taken, cursor, origin, wrapped, remaining \
                     FROM ledger_scope WHERE batch = :batch AND kind = :kind";

fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    Ok(Found {
        id: row.get("id")?,
        trigger: row.get("trigger")?,
        fire_time: row.get("fire_time")?,
        done: row.get::<_, String>("state")? == FireState::Done.as_str(),
        run: row.get("run")?,
        taken: row.get::<_, i64>("taken")?.unsigned_abs(),
        sweep: Sweep {
            cursor: row.get("cursor")?,
            origin: row.get("origin")?,
            wrapped: row.get("wrapped")?,
            remaining: row.get::<_, Option<i64>>("remaining")?.map(i64::unsigned_abs),
        },
    })
}

fn scope_until_marked(connection: &Connection, begin: &BeginRun) -> Result<Option<Found>, StoreError> {
    let found = connection
        .prepare_cached(SCOPE)?
        .query_row(named_params! { ":batch": begin.batch, ":kind": "mark" }, found)
        .optional()?;
    Ok(found)
}

fn scope_of_fire(connection: &Connection, begin: &BeginRun) -> Result<Option<Found>, StoreError> {
    let found = connection
        .prepare_cached(&format!(
            "{SCOPE} AND trigger = :trigger AND fire_time = :fire_time ORDER BY id DESC LIMIT 1"
        ))?
        .query_row(
            named_params! {
                ":batch": begin.batch,
                ":kind": "fire",
                ":trigger": begin.trigger,
                ":fire_time": begin.fire_time,
            },
            found,
        )
        .optional()?;
    Ok(found)
}

fn go_on(connection: &Connection, scope: Scope) -> Result<Scope, StoreError> {
    connection
        .prepare_cached("UPDATE ledger_scope SET state = 'running', run = run + 1 WHERE id = ?1")?
        .execute([scope.id])?;
    Ok(scope)
}

fn next_fire(connection: &Connection, scope: Scope, begin: &BeginRun) -> Result<Scope, StoreError> {
    connection
        .prepare_cached(
            "UPDATE ledger_scope SET trigger = ?2, fire_time = ?3, state = 'running', run = run + 1,
                    taken = 0, origin = cursor, wrapped = 0 WHERE id = ?1",
        )?
        .execute(params![scope.id, begin.trigger, begin.fire_time])?;
    Ok(scope)
}

fn open_scope(connection: &Connection, begin: &BeginRun) -> Result<Scope, StoreError> {
    let mut sweep = Sweep::default();
    if !begin.until_marked {
        if begin.walk_on {
            let before = connection
                .prepare_cached(&format!("{SCOPE} ORDER BY id DESC LIMIT 1"))?
                .query_row(named_params! { ":batch": begin.batch, ":kind": "fire" }, found)
                .optional()?;
            sweep = before.map(|before| before.sweep.onward()).unwrap_or_default();
        }
        drop_old_scopes(connection, &begin.batch)?;
    }
    let kind = if begin.until_marked { "mark" } else { "fire" };
    connection
        .prepare_cached(
            "INSERT INTO ledger_scope
                (batch, kind, trigger, fire_time, state, run, taken, cursor, origin, wrapped, remaining)
             VALUES (?1, ?2, ?3, ?4, 'running', 1, 0, ?5, ?6, 0, ?7)",
        )?
        .execute(params![
            begin.batch,
            kind,
            begin.trigger,
            begin.fire_time,
            sweep.cursor,
            sweep.origin,
            sweep.remaining.map(signed),
        ])?;
    Ok(Scope { id: connection.last_insert_rowid(), run: 1, taken: 0, sweep, done: false })
}

/// Fires that are over, and whose rows wait for nothing, leave the ledger when another fire begins.
fn drop_old_scopes(connection: &Connection, batch: &str) -> Result<(), StoreError> {
    let over = "SELECT id FROM ledger_scope AS scope WHERE batch = ?1 AND kind = 'fire' AND state IN ('done', 'failed')
                AND NOT EXISTS (SELECT 1 FROM ledger_entry WHERE scope = scope.id AND state <> 'kept')";
    let over: Vec<ScopeId> =
        connection.prepare_cached(over)?.query_map([batch], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for scope in over {
        connection.prepare_cached("DELETE FROM ledger_entry WHERE scope = ?1")?.execute([scope])?;
        connection.prepare_cached("DELETE FROM ledger_scope WHERE id = ?1")?.execute([scope])?;
    }
    Ok(())
}

pub(in crate::store) fn step(
    connection: &Connection,
    epoch: i64,
    step: &Step,
) -> Result<Vec<usize>, StoreError> {
    owned(connection, epoch)?;
    for record in &step.record {
        self::record(connection, epoch, record, step.now)?;
    }
    let mut refused = Vec::new();
    let mut insert = connection.prepare_cached(
        "INSERT INTO ledger_entry (scope, key, reservation, state, epoch, run, attempts, at)
         VALUES (?1, ?2, ?3, 'reserved', ?4, ?5, 0, ?6) ON CONFLICT (scope, key) DO NOTHING",
    )?;
    for (position, (key, reservation)) in step.reserve.iter().enumerate() {
        if insert.execute(params![step.scope, key, reservation, epoch, step.run, step.now])? == 0 {
            refused.push(position);
        }
    }
    // Last: what goes now still keeps its key from being reserved in this step.
    forget(connection, &step.forget)?;
    let taken = signed_len(step.reserve.len() - refused.len()) - signed(step.untaken);
    if taken != 0 {
        connection
            .prepare_cached("UPDATE ledger_scope SET taken = max(0, taken + ?2) WHERE id = ?1")?
            .execute(params![step.scope, taken])?;
    }
    if let Some(sweep) = &step.sweep {
        connection
            .prepare_cached(
                "UPDATE ledger_scope SET cursor = ?2, origin = ?3, wrapped = ?4, remaining = ?5 WHERE id = ?1",
            )?
            .execute(params![
                step.scope,
                sweep.cursor,
                sweep.origin,
                sweep.wrapped,
                sweep.remaining.map(signed)
            ])?;
    }
    if let Some(fire) = step.fire {
        connection
            .prepare_cached("UPDATE ledger_scope SET state = ?2 WHERE id = ?1")?
            .execute(params![step.scope, fire.as_str()])?;
    }
    Ok(refused)
}

fn record(connection: &Connection, epoch: i64, record: &Record, now: i64) -> Result<(), StoreError> {
    let Record { entry: EntryKey { scope, key }, reservation, verdict } = record;
    let write = |state: &str, at: i64, attempts: Option<u32>, detail: &str| {
        connection
            .prepare_cached(
                "UPDATE ledger_entry SET state = ?5, at = ?6, attempts = coalesce(?7, attempts), detail = ?8
                 WHERE scope = ?1 AND key = ?2 AND reservation = ?3 AND epoch = ?4 AND state = 'reserved'",
            )?
            .execute(params![scope, key, reservation, epoch, state, at, attempts, detail])
    };
    let changed = match verdict {
        Verdict::Sent { detail } => write("sent", now, None, detail)?,
        Verdict::Failed { reason } => write("failed", now, None, reason)?,
        Verdict::Kept { reason } => write("kept", now, None, reason)?,
        Verdict::Held { reason } => write("held", now, None, reason)?,
        Verdict::Waiting { at, attempts, doubtful, reason } => {
            write(if *doubtful { "resend" } else { "waiting" }, *at, Some(*attempts), reason)?
        }
        Verdict::Gone => connection
            .prepare_cached(
                "DELETE FROM ledger_entry
                 WHERE scope = ?1 AND key = ?2 AND reservation = ?3 AND epoch = ?4 AND state = 'reserved'",
            )?
            .execute(params![scope, key, reservation, epoch])?,
    };
    if changed == 1 { Ok(()) } else { Err(not_ours(connection, epoch, record)?) }
}

/// Why a reservation could not be recorded.
fn not_ours(connection: &Connection, ours: i64, record: &Record) -> Result<StoreError, StoreError> {
    let owner: Option<i64> = connection
        .prepare_cached(
            "SELECT epoch FROM ledger_entry WHERE scope = ?1 AND key = ?2 AND reservation = ?3 AND epoch <> ?4",
        )?
        .query_row(params![record.entry.scope, record.entry.key, record.reservation, ours], |row| row.get(0))
        .optional()?;
    Ok(match owner {
        Some(current) => StoreError::StaleEpoch { ours, current },
        None => StoreError::NotReserved { reservation: record.reservation.clone() },
    })
}

pub(in crate::store) fn forget(connection: &Connection, entries: &[EntryKey]) -> Result<(), StoreError> {
    let mut delete = connection.prepare_cached("DELETE FROM ledger_entry WHERE scope = ?1 AND key = ?2")?;
    for EntryKey { scope, key } in entries {
        delete.execute(params![scope, key])?;
    }
    Ok(())
}

const LANE: &str = "FROM ledger_scope AS scope JOIN ledger_entry AS entry ON entry.scope = scope.id \
                    WHERE scope.batch = ?1 AND entry.state IN ('waiting', 'resend')";

pub(in crate::store) fn take_due(
    connection: &Connection,
    epoch: i64,
    batch: &str,
    (ours, run, counts): (ScopeId, i64, bool),
    now: i64,
    limit: usize,
) -> Result<Vec<Due>, StoreError> {
    owned(connection, epoch)?;
    let due: Vec<Due> = connection
        .prepare_cached(&format!(
            "SELECT scope.id, key, scope.fire_time, reservation, attempts, entry.state, entry.run {LANE}
             AND at <= ?2 ORDER BY at, key LIMIT ?3"
        ))?
        .query_map(params![batch, now, signed_len(limit)], |row| {
            let scope = row.get(0)?;
            Ok(Due {
                entry: EntryKey { scope, key: row.get(1)? },
                fire_time: row.get(2)?,
                reservation: row.get(3)?,
                attempts: row.get(4)?,
                doubtful: row.get::<_, String>(5)? == "resend",
                own: scope == ours && row.get::<_, i64>(6)? == run,
            })
        })?
        .collect::<Result<_, _>>()?;
    let mut reserve = connection.prepare_cached(
        "UPDATE ledger_entry SET state = 'reserved', epoch = ?3, run = ?4, at = ?5 WHERE scope = ?1 AND key = ?2",
    )?;
    for Due { entry: EntryKey { scope, key }, .. } in &due {
        // A run of another scope must not be taken for one of the entry's own.
        let run = if *scope == ours { run } else { 0 };
        reserve.execute(params![scope, key, epoch, run, now])?;
    }
    if counts && !due.is_empty() {
        connection
            .prepare_cached("UPDATE ledger_scope SET taken = taken + ?2 WHERE id = ?1")?
            .execute(params![ours, signed_len(due.len())])?;
    }
    Ok(due)
}

pub(in crate::store) fn next_due(connection: &Connection, batch: &str) -> Result<Option<i64>, StoreError> {
    let at =
        connection.prepare_cached(&format!("SELECT min(at) {LANE}"))?.query_row([batch], |row| row.get(0))?;
    Ok(at)
}

pub(in crate::store) fn unmarked(
    connection: &Connection,
    batch: &str,
    after: Option<&EntryKey>,
    limit: usize,
) -> Result<Vec<Unmarked>, StoreError> {
    let rows = connection
        .prepare_cached(
            "SELECT entry.scope, key, fire_time, entry.state, detail
             FROM ledger_scope AS scope JOIN ledger_entry AS entry ON entry.scope = scope.id
             WHERE batch = ?1 AND entry.state IN ('sent', 'failed')
               AND (?2 IS NULL OR (entry.scope, key) > (?2, ?3))
             ORDER BY entry.scope, key LIMIT ?4",
        )?
        .query_map(
            params![batch, after.map(|entry| entry.scope), after.map(|entry| &entry.key), signed_len(limit)],
            |row| {
                let failed = row.get::<_, String>(3)? == "failed";
                let detail: Option<String> = row.get(4)?;
                Ok(Unmarked {
                    entry: EntryKey { scope: row.get(0)?, key: row.get(1)? },
                    fire_time: row.get(2)?,
                    failure: failed.then(|| detail.unwrap_or_default()),
                })
            },
        )?
        .collect::<Result<_, _>>()?;
    Ok(rows)
}

pub(in crate::store) fn settle(
    connection: &Connection,
    epoch: i64,
    batch: &str,
    resend: bool,
    now: i64,
) -> Result<u64, StoreError> {
    owned(connection, epoch)?;
    let settled = connection
        .prepare_cached(
            "UPDATE ledger_entry SET state = ?2, at = ?3,
                    detail = 'the run was cut off before the outcome was recorded'
             WHERE state = 'reserved' AND scope IN (SELECT id FROM ledger_scope WHERE batch = ?1)",
        )?
        .execute(params![batch, if resend { "resend" } else { "held" }, now])?;
    Ok(settled as u64)
}

pub(in crate::store) fn open_fires(
    connection: &Connection,
    batch: &str,
) -> Result<Vec<OpenFire>, StoreError> {
    let fires = connection
        .prepare_cached(
            "SELECT trigger, fire_time FROM ledger_scope
             WHERE batch = ?1 AND state IN ('running', 'stopped') ORDER BY fire_time, id",
        )?
        .query_map([batch], |row| Ok(OpenFire { trigger: row.get(0)?, fire_time: row.get(1)? }))?
        .collect::<Result<_, _>>()?;
    Ok(fires)
}

pub(in crate::store) fn holdings(
    connection: &Connection,
    batch: &str,
    until_marked: bool,
    now: i64,
) -> Result<Holdings, StoreError> {
    let kind = if until_marked { "mark" } else { "fire" };
    let scope = connection
        .prepare(&format!("{SCOPE} ORDER BY id DESC LIMIT 1"))?
        .query_row(named_params! { ":batch": batch, ":kind": kind }, found)
        .optional()?;
    let mut holdings = Holdings::default();
    let Some(scope) = scope else { return Ok(holdings) };
    holdings.sweep = Sweep { origin: scope.sweep.cursor.clone(), wrapped: false, ..scope.sweep };
    let mut entries = connection.prepare(
        "SELECT key, state IN ('waiting', 'resend') AND at <= ?2 FROM ledger_entry WHERE scope = ?1",
    )?;
    let mut rows = entries.query(params![scope.id, now])?;
    while let Some(row) = rows.next()? {
        let list = if row.get(1)? { &mut holdings.due } else { &mut holdings.keys };
        list.push(row.get(0)?);
    }
    Ok(holdings)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn signed_len(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
