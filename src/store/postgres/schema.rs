//! The tables of the state, and how they came to be: one script a version, in order.

use std::cmp::Ordering;

use super::session::Session;
use super::{Server, StoreError, quoted};

const MIGRATIONS: [&str; 6] = [
    include_str!("schema/001_state.sql"),
    include_str!("schema/002_pause_reason.sql"),
    include_str!("schema/003_attempts.sql"),
    include_str!("schema/004_memo.sql"),
    include_str!("schema/005_output_bytes.sql"),
    include_str!("schema/006_quota.sql"),
];

fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Makes the schema if it is not there. One that is there needs no right to make any.
pub(super) async fn make(session: &Session, server: &Server) -> Result<(), StoreError> {
    if !exists(session, server).await? {
        session.batch(&format!("CREATE SCHEMA IF NOT EXISTS {}", quoted(&server.schema))).await?;
    }
    Ok(())
}

async fn exists(session: &Session, server: &Server) -> Result<bool, StoreError> {
    let find = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
    Ok(session.query_one(find, &[&server.schema]).await?.get(0))
}

/// 0: there are no tables yet.
async fn version(session: &Session) -> Result<i64, StoreError> {
    let made =
        session.query_one("SELECT to_regclass(quote_ident(current_schema) || '.owner') IS NOT NULL", &[]);
    if !made.await?.get::<_, bool>(0) {
        return Ok(0);
    }
    Ok(session.query_one("SELECT version FROM owner", &[]).await?.get(0))
}

/// Brings the tables up to this program's version, each step in a transaction of its own. For who holds the lock.
pub(super) async fn migrate(session: &Session, server: &Server) -> Result<(), StoreError> {
    let found = version(session).await?;
    if found > known() {
        return Err(StoreError::TooNew { state: server.name(), found, known: known() });
    }
    for (version, script) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        let step = format!("BEGIN; {script}; UPDATE owner SET version = {version}; COMMIT");
        session.batch(&step).await?;
    }
    Ok(())
}

/// False: there is no state yet. An error when there is one that this program cannot read as it is.
pub(super) async fn is_current(session: &Session, server: &Server) -> Result<bool, StoreError> {
    if !exists(session, server).await? {
        return Ok(false);
    }
    let (found, needed) = (version(session).await?, known());
    match found.cmp(&needed) {
        _ if found == 0 => Ok(false),
        Ordering::Equal => Ok(true),
        Ordering::Less => Err(StoreError::TooOld { state: server.name(), found, needed }),
        Ordering::Greater => Err(StoreError::TooNew { state: server.name(), found, known: needed }),
    }
}
