//! Statements of the user's own on a SQLite file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio_util::sync::CancellationToken;

use super::super::DbError;
use super::super::execute::{Failure, Script, Values, unknown};
use super::{BUSY, Database};
use crate::run::Scalar;

/// Between two looks at a file that another process holds.
const LOOK: Duration = Duration::from_millis(5);
/// So many steps of SQLite's machine are done between two looks at whether to go on: about a millisecond.
const STEPS: i32 = 10_000;

impl Database {
    pub(in crate::db) async fn execute(
        &self,
        script: &Arc<Script>,
        values: &Values,
        cut: &CancellationToken,
    ) -> Result<Vec<u64>, Failure> {
        let (script, values) = (Arc::clone(script), values.clone());
        let path = self.path().to_owned();
        let result = self.cuttable(cut, move |connection, cut| {
            let fault = |source| DbError::Sqlite { path: path.clone(), source };
            Ok(run(connection, &script, &values, cut, &fault))
        });
        match result.await {
            Ok(Some(result)) => result,
            Ok(None) => Err(Failure::cut()),
            Err(error) => Err(Failure::early(error)),
        }
    }

    /// Runs `work`, which ends early when `cut` fires. None: it was cut off before it began.
    pub(crate) async fn cuttable<T, F>(&self, cut: &CancellationToken, work: F) -> Result<Option<T>, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection, &CancellationToken) -> Result<T, DbError> + Send + 'static,
    {
        let has_begun = Arc::new(AtomicBool::new(false));
        let (token, begins, path) = (cut.clone(), Arc::clone(&has_begun), self.path().to_owned());
        let mut call = std::pin::pin!(self.call(move |connection| {
            begins.store(true, Ordering::SeqCst);
            if token.is_cancelled() {
                return Ok(None);
            }
            let fault = |source| DbError::Sqlite { path: path.clone(), source };
            watch(connection, &token).map_err(fault)?;
            let result = work(connection, &token);
            unwatch(connection).map_err(fault)?;
            result.map(Some)
        }));
        tokio::select! {
            biased;
            result = &mut call => return result,
            () = cut.cancelled() => {}
        }
        // Work that waits for its turn will see that it is cut off; nobody waits for its turn.
        if has_begun.load(Ordering::SeqCst) { call.await } else { Ok(None) }
    }
}

/// Has SQLite end statements, and its waiting for other processes, when `cut` fires.
pub(super) fn watch(connection: &mut Connection, cut: &CancellationToken) -> rusqlite::Result<()> {
    let token = cut.clone();
    connection.progress_handler(STEPS, Some(move || token.is_cancelled()))?;
    let token = cut.clone();
    let looks = i32::try_from(BUSY.as_millis() / LOOK.as_millis()).unwrap_or(i32::MAX);
    connection.busy_handler(Some(move |looked: i32| {
        std::thread::sleep(LOOK);
        looked < looks && !token.is_cancelled()
    }))
}

fn unwatch(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.progress_handler(0, None::<fn() -> bool>)?;
    connection.busy_timeout(BUSY)
}

/// What ended a statement: the reason, or that it was cut off.
pub(super) fn settle(error: DbError, cut: &CancellationToken) -> Option<Box<DbError>> {
    let is_cut = cut.is_cancelled()
        && matches!(&error, DbError::Sqlite { source, .. }
            if matches!(source.sqlite_error_code(), Some(ErrorCode::OperationInterrupted | ErrorCode::DatabaseBusy)));
    (!is_cut).then(|| Box::new(error))
}

pub(super) type Fault<'f> = &'f dyn Fn(rusqlite::Error) -> DbError;

fn run(
    connection: &mut Connection,
    script: &Script,
    values: &Values,
    cut: &CancellationToken,
    fault: Fault<'_>,
) -> Result<Vec<u64>, Failure> {
    let early = |error| Failure { error: settle(fault(error), cut), ..Failure::cut() };
    if !script.transaction {
        let mut done = Vec::new();
        return match each(connection, script, values, fault, &mut done) {
            Ok(()) => Ok(done),
            Err(error) => Err(Failure { statement: Some(done.len()), done, error: settle(error, cut) }),
        };
    }
    // Taking the lock at once: a reader that wants to write later may be told to start all over.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(early)?;
    let mut done = Vec::new();
    if let Err(error) = each(&transaction, script, values, fault, &mut done) {
        return Err(Failure { statement: Some(done.len()), done: Vec::new(), error: settle(error, cut) });
    }
    transaction.commit().map_err(early)?;
    Ok(done)
}

fn each(
    connection: &Connection,
    script: &Script,
    values: &Values,
    fault: Fault<'_>,
    done: &mut Vec<u64>,
) -> Result<(), DbError> {
    for sql in &script.statements {
        done.push(change(connection, sql, values, fault)?);
    }
    Ok(())
}

pub(super) fn bind(
    statement: &mut rusqlite::Statement<'_>,
    values: &Values,
    fault: Fault<'_>,
) -> Result<(), DbError> {
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index).unwrap_or("?").to_owned();
        match values.get(&name) {
            Some(Scalar::Int(value)) => statement.raw_bind_parameter(index, value),
            Some(Scalar::Text(text)) => statement.raw_bind_parameter(index, text),
            Some(Scalar::Bool(flag)) => statement.raw_bind_parameter(index, i64::from(flag)),
            Some(Scalar::Float(value)) => statement.raw_bind_parameter(index, value),
            Some(Scalar::Null) => statement.raw_bind_parameter(index, rusqlite::types::Null),
            Some(Scalar::Bytes(_)) | None => return Err(unknown(&name)),
        }
        .map_err(fault)?;
    }
    Ok(())
}

/// Executes one statement; answers the rows that it changed, or else answered.
fn change(connection: &Connection, sql: &str, values: &Values, fault: Fault<'_>) -> Result<u64, DbError> {
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    bind(&mut statement, values, fault)?;
    let before = connection.total_changes();
    let mut answered = 0;
    let mut rows = statement.raw_query();
    while rows.next().map_err(fault)?.is_some() {
        answered += 1;
    }
    drop(rows);
    // The count of changes is that of the last statement that had one.
    Ok(if connection.total_changes() == before { answered } else { connection.changes() })
}
