//! Statements of the user's own on a MySQL or MariaDB server.

use std::sync::Arc;

use mysql_async::Value;
use tokio_util::sync::CancellationToken;

use super::super::DbError;
use super::super::execute::{self, Failure, STEP_BACK, Script, Step, TRIES, Values, unknown};
use super::{Database, Fault, Session};
use crate::run::Scalar;
use crate::sql::Dialect;

type Broken = execute::Broken<Fault>;

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
            let kill = self.kill(session.id());
            let work = run(&mut session, script, values);
            let Some(result) = execute::cuttable(work, cut, kill).await else {
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
                matches!(broken.step, Step::Begin) && broken.reason.is_lost() && !session.is_fresh();
            let again = left > 0
                && !cut.is_cancelled()
                && (was_idle || (script.transaction && broken.reason.is_in_the_way()));
            // A deadlock has undone all, a timeout only the statement. What cannot be undone by word goes with the
            // session.
            if broken.reason.is_lost() || session.order("ROLLBACK").await.is_err() {
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

    /// Asks the server to end what another session does. It may have ended by itself.
    pub(crate) async fn kill(&self, id: u32) {
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
        let Broken { step, done, reason } = broken;
        let error = if matches!(step, Step::Commit) && reason.is_lost() {
            Some(DbError::Unsettled { place: self.place.to_string() })
        } else if cut.is_cancelled() && !matches!(reason, Fault::Mismatch(_)) {
            None
        } else {
            Some(self.tell(reason))
        };
        step.failure(done, script, error)
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
        begun.map_err(|reason| Broken { step: Step::Begin, done: Vec::new(), reason })?;
    }
    for (index, sql) in script.statements.iter().enumerate() {
        match change(session, sql, values).await {
            Ok(rows) => done.push(rows),
            Err(reason) => return Err(Broken { step: Step::Statement(index), done, reason }),
        }
    }
    if script.transaction {
        let committed = session.order("COMMIT").await;
        committed.map_err(|reason| Broken { step: Step::Commit, done: Vec::new(), reason })?;
    }
    Ok(done)
}

pub(super) fn bind(names: &[String], values: &Values) -> Result<Vec<Value>, Fault> {
    let bound = |name: &String| match values.get(name) {
        Some(Scalar::Int(value)) => Ok(Value::from(value)),
        Some(Scalar::Text(text)) => Ok(Value::from(text)),
        Some(Scalar::Bool(flag)) => Ok(Value::from(flag)),
        Some(Scalar::Float(value)) => Ok(Value::from(value)),
        Some(Scalar::Null) => Ok(Value::NULL),
        Some(Scalar::Bytes(_)) | None => Err(Fault::Mismatch(unknown(name).to_string())),
    };
    names.iter().map(bound).collect()
}

/// Executes one statement; answers the rows that it changed, or else answered.
async fn change(session: &mut Session<'_>, sql: &str, values: &Values) -> Result<u64, Fault> {
    let (sql, names) = Dialect::MySql.positional(sql);
    // Not every statement can be prepared.
    if names.is_empty() {
        return session.plain(&sql).await;
    }
    let bound = bind(&names, values)?;
    let statement = session.prepare(&sql).await?;
    session.count(&statement, bound).await
}
