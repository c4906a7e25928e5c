//! Statements of the user's own on a PostgreSQL server.

use std::sync::Arc;

use tokio_postgres::tls::NoTls;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{CancelToken, Error};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::sync::CancellationToken;

use super::super::DbError;
use super::super::execute::{self, Failure, MESSAGE, PAGE, STEP_BACK, Script, Step, TRIES, Values, unknown};
use super::{Database, Session, Text, is_in_the_way, time};
use crate::run::Scalar;
use crate::sql::Dialect;
use crate::tls;

type Broken = execute::Broken<Reason>;

enum Reason {
    /// The server's, with what it was asked.
    Server(Error, String),
    Mismatch(String),
}

impl Database {
    pub(in crate::db) async fn execute(
        &self,
        script: &Arc<Script>,
        values: &Values,
        cut: &CancellationToken,
    ) -> Result<Vec<u64>, Failure> {
        let mut left = TRIES;
        loop {
            let mut session = tokio::select! {
                biased;
                () = cut.cancelled() => return Err(Failure::cut()),
                session = self.session() => session.map_err(Failure::early)?,
            };
            let token = session.client().cancel_token();
            let work = run(&mut session, script, values);
            let Some(result) = execute::cuttable(work, cut, self.cancel(&token)).await else {
                session.abandon();
                return Err(Failure::cut());
            };
            let broken = match result {
                Ok(done) => return Ok(done),
                Err(broken) => broken,
            };
            if !matches!(broken.step, Step::Statement(_)) {
                session.abandon();
            } else if script.transaction && !session.is_closed() {
                // What cannot be undone by word goes with the session.
                if session.client().batch_execute("ROLLBACK").await.is_err() {
                    session.abandon();
                }
            }
            left -= 1;
            let again = left > 0 && !cut.is_cancelled() && broken.is_worth_another(script.transaction);
            if !again {
                return Err(self.failure(broken, script, cut));
            }
            drop(session);
            tokio::time::sleep(STEP_BACK * (TRIES - left)).await;
        }
    }

    /// Asks the server to end what a session does. It may have ended by itself.
    pub(crate) async fn cancel(&self, token: &CancelToken) {
        let cancelled = match tls::client(&self.settings.tls) {
            Err(_) => return,
            Ok(None) => token.cancel_query(NoTls).await,
            Ok(Some(tls)) => token.cancel_query(MakeRustlsConnect::new(tls)).await,
        };
        if let Err(error) = cancelled {
            tracing::debug!(%error, "the server could not be asked to cancel a statement");
        }
    }

    fn failure(&self, broken: Broken, script: &Script, cut: &CancellationToken) -> Failure {
        let Broken { step, done, reason } = broken;
        let error = match reason {
            Reason::Mismatch(what) => Some(DbError::Mismatch(what)),
            Reason::Server(error, _) if matches!(step, Step::Commit) && is_lost(&error) => {
                Some(DbError::Unsettled { place: self.place.to_string() })
            }
            Reason::Server(..) if cut.is_cancelled() => None,
            Reason::Server(error, sql) => Some(self.fault(&error, &sql)),
        };
        step.failure(done, script, error)
    }
}

impl Broken {
    /// Nothing of it took effect, and it may go better.
    fn is_worth_another(&self, is_transaction: bool) -> bool {
        let Reason::Server(error, _) = &self.reason else { return false };
        // A connection that was idle may have been lost long ago.
        let was_lost = matches!(self.step, Step::Begin) && is_lost(error);
        was_lost || (is_transaction && is_in_the_way(error))
    }
}

/// The way to the server is gone, or the server says that it goes (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn is_lost(error: &Error) -> bool {
    error.code().is_none_or(|code| code.code().starts_with("57P") || code.code().starts_with("08"))
}

async fn run(session: &mut Session, script: &Script, values: &Values) -> Result<Vec<u64>, Broken> {
    let broken = |step, done: &[u64], error, sql: &str| {
        let reason = Reason::Server(error, sql.to_owned());
        Broken { step, done: done.to_vec(), reason }
    };
    let mut done = Vec::with_capacity(script.statements.len());
    // A statement on its own is not done twice, and so a session that was lost while it was idle must show before it:
    // even nothing asks the server.
    let first = if script.transaction { "BEGIN" } else { "" };
    let begun = session.client().batch_execute(first).await;
    begun.map_err(|error| broken(Step::Begin, &[], error, ""))?;
    for (index, sql) in script.statements.iter().enumerate() {
        let (sql, names) = Dialect::Postgres.positional(sql);
        let at = |error| broken(Step::Statement(index), &done, error, &sql);
        let statement = if script.transaction {
            session.describe_within(&sql, &names).await.map_err(at)?
        } else {
            session.describe(&sql, &names).await.map_err(at)?
        };
        let bound = names.iter().zip(statement.params()).map(|(name, kind)| value(values, name, kind));
        let bound: Vec<Text<'_>> = bound.collect::<Result<_, _>>().map_err(|what| Broken {
            step: Step::Statement(index),
            done: done.clone(),
            reason: Reason::Mismatch(what),
        })?;
        let bound: Vec<&(dyn ToSql + Sync)> = bound.iter().map(|text| text as _).collect();
        let rows = session.client().execute(&statement, &bound).await.map_err(at)?;
        done.push(rows);
    }
    if script.transaction {
        let committed = session.client().batch_execute("COMMIT").await;
        committed.map_err(|error| broken(Step::Commit, &[], error, ""))?;
    }
    Ok(done)
}

/// A parameter where the server expects `kind`; the reason, when it cannot be one.
pub(super) fn value<'v>(values: &'v Values, name: &str, kind: &Type) -> Result<Text<'v>, String> {
    match (name, values.page) {
        (MESSAGE, _) => Ok(Text(Some(values.message.as_ref().into()))),
        (PAGE, Some(page)) => Ok(Text::owned(page.to_string())),
        _ => match values.more.get(name) {
            Some(value) => text(value).ok_or_else(|| unknown(name).to_string()),
            None => time(&values.moment, name, kind).map(Text::owned),
        },
    }
}

/// The spelling that the server reads as whatever type it expects.
fn text(value: &Scalar) -> Option<Text<'_>> {
    Some(match value {
        Scalar::Null => Text(None),
        Scalar::Bool(flag) => Text::owned(flag.to_string()),
        Scalar::Int(value) => Text::owned(value.to_string()),
        Scalar::Float(value) => Text::owned(value.to_string()),
        // PostgreSQL's text knows no NUL.
        Scalar::Text(text) if text.contains('\0') => Text::owned(text.replace('\0', "\u{fffd}")),
        Scalar::Text(text) => Text(Some(text.as_str().into())),
        Scalar::Bytes(_) => return None,
    })
}
