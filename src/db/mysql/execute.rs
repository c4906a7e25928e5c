//! Statements of the user's own on a MySQL or MariaDB server.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::Value;
use tokio_util::sync::CancellationToken;

use super::super::DbError;
use super::super::execute::{Failure, Script, Values, unknown};
use super::{Database, Fault, Session};
use crate::run::Scalar;
use crate::sql::Dialect;

/// How often others may be in the way before it is given up.
const TRIES: u32 = 5;
/// How long to step back from others, more with each try.
const STEP_BACK: Duration = Duration::from_millis(50);
/// How long a server may take to end what it was told to end.
const ENDS: Duration = Duration::from_secs(5);

/// Where statements broke off.
struct Broken {
    step: Step,
    done: Vec<u64>,
    fault: Fault,
}

enum Step {
    Begin,
    Statement(usize),
    Commit,
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
            let Some(result) = self.attempt(&mut session, script, values, cut).await else {
                return Err(Failure::cut());
            };
            let broken = match result {
                Ok(done) => {
                    session.keep();
                    return Ok(done);
                }
                Err(broken) => broken,
            };
            left -= 1;
            let was_idle =
                matches!(broken.step, Step::Begin) && broken.fault.is_lost() && !session.is_fresh();
            let again = left > 0
                && !cut.is_cancelled()
                && (was_idle || (script.transaction && broken.fault.is_in_the_way()));
            // A deadlock has undone all, a timeout only the statement. What cannot be undone by word goes with the
            // session.
            if broken.fault.is_lost() || session.order("ROLLBACK").await.is_err() {
                drop(session);
            } else {
                session.keep();
            }
            if !again {
                return Err(self.failure(broken, script, cut));
            }
            tokio::time::sleep(STEP_BACK * (TRIES - left)).await;
        }
    }

    /// None: it was cut off, and the server does not say that it has ended.
    async fn attempt(
        &self,
        session: &mut Session<'_>,
        script: &Script,
        values: &Values,
        cut: &CancellationToken,
    ) -> Option<Result<Vec<u64>, Broken>> {
        let id = session.id();
        let mut work = std::pin::pin!(run(session, script, values));
        tokio::select! {
            biased;
            result = &mut work => return Some(result),
            () = cut.cancelled() => {}
        }
        let ending = async {
            self.kill(id).await;
            work.await
        };
        tokio::time::timeout(ENDS, ending).await.ok()
    }

    /// Asks the server to end what another session does. It may have ended by itself.
    async fn kill(&self, id: u32) {
        let another = self.another();
        let killed = match another.session().await {
            Ok(mut session) => {
                session.order(&format!("KILL QUERY {id}")).await.map_err(|fault| self.tell(fault))
            }
            Err(error) => Err(error),
        };
        if let Err(error) = killed {
            tracing::debug!(%error, "the server could not be asked to cancel a statement");
        }
    }

    fn failure(&self, broken: Broken, script: &Script, cut: &CancellationToken) -> Failure {
        let Broken { step, done, fault } = broken;
        let statement = if let Step::Statement(index) = step { Some(index) } else { None };
        let done = if script.transaction { Vec::new() } else { done };
        let error = if matches!(step, Step::Commit) && fault.is_lost() {
            DbError::Unsettled { place: self.place.to_string() }
        } else if cut.is_cancelled() && !matches!(fault, Fault::Mismatch(_)) {
            return Failure { statement, done, error: None };
        } else {
            self.tell(fault)
        };
        Failure { statement, done, error: Some(Box::new(error)) }
    }
}

async fn run(session: &mut Session<'_>, script: &Script, values: &Values) -> Result<Vec<u64>, Broken> {
    let mut done = Vec::with_capacity(script.statements.len());
    let first = if script.transaction {
        Some("START TRANSACTION")
    } else {
        // Servers close sessions that are idle for long. A statement on its own is not done twice, and so a lost session
        // must show before it.
        (!session.is_fresh()).then_some("DO 0")
    };
    if let Some(first) = first {
        let begun = session.order(first).await;
        begun.map_err(|fault| Broken { step: Step::Begin, done: Vec::new(), fault })?;
    }
    for (index, sql) in script.statements.iter().enumerate() {
        match change(session, sql, values).await {
            Ok(rows) => done.push(rows),
            Err(fault) => return Err(Broken { step: Step::Statement(index), done, fault }),
        }
    }
    if script.transaction {
        let committed = session.order("COMMIT").await;
        committed.map_err(|fault| Broken { step: Step::Commit, done: Vec::new(), fault })?;
    }
    Ok(done)
}

/// Executes one statement; answers the rows that it changed, or else answered.
async fn change(session: &mut Session<'_>, sql: &str, values: &Values) -> Result<u64, Fault> {
    let (sql, names) = Dialect::MySql.positional(sql);
    // Not every statement can be prepared.
    if names.is_empty() {
        return session.plain(&sql).await;
    }
    let bound = |name: &String| match values.get(name) {
        Some(Scalar::Int(value)) => Ok(Value::from(value)),
        Some(Scalar::Text(text)) => Ok(Value::from(text)),
        _ => Err(Fault::Mismatch(unknown(name).to_string())),
    };
    let bound = names.iter().map(bound).collect::<Result<Vec<_>, _>>()?;
    let statement = session.prepare(&sql).await?;
    session.count(&statement, bound).await
}
