//! SQL of scopes: where a run of a batch begins.

use tokio_postgres::Row;

use super::StoreError;
use super::ledger::signed;
use super::session::{Param, Session};
use crate::store::ledger::{BeginRun, FireState, Scope, Sweep};
use crate::store::scope::{Beginning, Found};

/// A query for [`found`], with its condition.
macro_rules! scopes_where {
    ($condition:literal) => {
        concat!(
            "SELECT id, trigger, fire_time, state, run, taken, cursor, origin, wrapped, remaining \
             FROM ledger_scope WHERE batch = $1 AND ",
            $condition
        )
    };
}

const UNTIL_MARKED: &str = scopes_where!("kind = 'mark'");
const OF_FIRE: &str =
    scopes_where!("kind = 'fire' AND trigger = $2 AND fire_time = $3 ORDER BY id DESC LIMIT 1");
const NEWEST_OF_FIRES: &str = scopes_where!("kind = 'fire' ORDER BY id DESC LIMIT 1");
const GO_ON: &str = "UPDATE ledger_scope SET state = 'running', run = run + 1 WHERE id = $1";
const BEGIN_LANE: &str = "
    UPDATE ledger_scope SET run = run + 1
    WHERE id = (SELECT max(id) FROM ledger_scope WHERE batch = $1) RETURNING id, run";
const NEXT_FIRE: &str = "
    UPDATE ledger_scope SET trigger = $2, fire_time = $3, state = 'running', run = run + 1,
           taken = 0, origin = cursor, wrapped = false WHERE id = $1";
const OPEN: &str = "
    INSERT INTO ledger_scope (batch, kind, trigger, fire_time, state, run, taken, cursor, origin, wrapped, remaining)
    VALUES ($1, $2, $3, $4, 'running', 1, 0, $5, $6, false, $7) RETURNING id";
const DROP_OLD: &str = "
    WITH over AS (
      SELECT id FROM ledger_scope AS scope WHERE batch = $1 AND kind = 'fire' AND state IN ('done', 'failed')
        AND NOT EXISTS (SELECT FROM ledger_entry WHERE scope = scope.id AND state <> 'kept')),
    gone AS (DELETE FROM ledger_entry USING over WHERE scope = over.id)
    DELETE FROM ledger_scope USING over WHERE ledger_scope.id = over.id";

fn found(row: &Row) -> Found {
    Found {
        id: row.get("id"),
        trigger: row.get("trigger"),
        fire_time: row.get("fire_time"),
        done: row.get::<_, &str>("state") == FireState::Done.as_str(),
        run: row.get("run"),
        taken: row.get::<_, i64>("taken").unsigned_abs(),
        sweep: Sweep {
            cursor: row.get("cursor"),
            origin: row.get("origin"),
            wrapped: row.get("wrapped"),
            remaining: row.get::<_, Option<i64>>("remaining").map(i64::unsigned_abs),
        },
    }
}

/// See [`crate::store::Store::begin_lane_run`].
pub(in crate::store) async fn begin_lane(
    session: &Session,
    batch: &str,
) -> Result<Option<Scope>, StoreError> {
    let scope = session.query_opt(BEGIN_LANE, &[&batch]).await?;
    let scope = scope.map(|row| Scope {
        id: row.get(0),
        run: row.get(1),
        taken: 0,
        sweep: Sweep::default(),
        done: false,
    });
    Ok(scope)
}

/// See [`crate::store::Store::begin_batch_run`].
pub(in crate::store) async fn begin(session: &Session, begin: &BeginRun) -> Result<Scope, StoreError> {
    let found = if begin.until_marked {
        find(session, UNTIL_MARKED, &[&begin.batch]).await?
    } else {
        find(session, OF_FIRE, &[&begin.batch, &begin.trigger, &begin.fire_time]).await?
    };
    match Beginning::of(begin, found) {
        Beginning::Over(scope) => Ok(scope),
        Beginning::GoOn(scope) => go_on(session, scope).await,
        Beginning::NextFire(scope) => next_fire(session, scope, begin).await,
        Beginning::New => open(session, begin).await,
    }
}

async fn find(
    session: &Session,
    sql: &'static str,
    params: &[Param<'_>],
) -> Result<Option<Found>, StoreError> {
    Ok(session.query_opt(sql, params).await?.as_ref().map(found))
}

async fn go_on(session: &Session, scope: Scope) -> Result<Scope, StoreError> {
    session.execute(GO_ON, &[&scope.id]).await?;
    Ok(scope)
}

async fn next_fire(session: &Session, scope: Scope, begin: &BeginRun) -> Result<Scope, StoreError> {
    session.execute(NEXT_FIRE, &[&scope.id, &begin.trigger, &begin.fire_time]).await?;
    Ok(scope)
}

async fn open(session: &Session, begin: &BeginRun) -> Result<Scope, StoreError> {
    let mut sweep = Sweep::default();
    if !begin.until_marked {
        if begin.walk_on
            && let Some(before) = find(session, NEWEST_OF_FIRES, &[&begin.batch]).await?
        {
            sweep = before.sweep.onward();
        }
        // Fires that are over, and whose rows wait for nothing, leave the ledger when another fire begins.
        session.execute(DROP_OLD, &[&begin.batch]).await?;
    }
    let kind = if begin.until_marked { "mark" } else { "fire" };
    let remaining = sweep.remaining.map(signed);
    let params: [Param<'_>; 7] =
        [&begin.batch, &kind, &begin.trigger, &begin.fire_time, &sweep.cursor, &sweep.origin, &remaining];
    let id = session.query_one(OPEN, &params).await?.get(0);
    Ok(Scope { id, run: 1, taken: 0, sweep, done: false })
}
