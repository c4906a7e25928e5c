//! A session of the server, for as long as one piece of work needs it.

use mysql_async::prelude::{Protocol, Queryable as _};
use mysql_async::{BinaryProtocol, Conn, Params, QueryResult, Row, Statement, Value};
use tokio::sync::MutexGuard;

use super::super::DbError;
use super::super::execute::{STEP_BACK, TRIES};
use super::{Database, Fault};

/// A session. Dropped, it is closed: what was under way is undone. [`Session::keep`] leaves it for the next.
#[derive(Debug)]
pub(crate) struct Session<'d> {
    slot: MutexGuard<'d, Option<Conn>>,
    connection: Conn,
    fresh: bool,
}

impl<'d> Session<'d> {
    pub(super) fn new(slot: MutexGuard<'d, Option<Conn>>, connection: Conn, fresh: bool) -> Self {
        Self { slot, connection, fresh }
    }

    /// Nothing is under way any more.
    pub(crate) fn keep(mut self) {
        *self.slot = Some(self.connection);
    }

    /// It was opened for this work.
    pub(super) const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// The server's number of it.
    pub(crate) fn id(&self) -> u32 {
        self.connection.id()
    }

    /// Runs a statement of any kind that has no parameters; answers how many rows it answered, or else changed.
    pub(super) async fn plain(&mut self, sql: &str) -> Result<u64, Fault> {
        let answered = count(self.connection.query_iter(sql).await?).await?;
        Ok(if answered == 0 { self.connection.affected_rows() } else { answered })
    }

    /// The same of a prepared statement.
    pub(super) async fn count(&mut self, statement: &Statement, values: Vec<Value>) -> Result<u64, Fault> {
        fits(statement, &values)?;
        let answered = count(self.connection.exec_iter(statement, Params::from(values)).await?).await?;
        Ok(if answered == 0 { self.connection.affected_rows() } else { answered })
    }

    /// Runs a statement of our own that has no parameters and answers nothing.
    pub(crate) async fn order(&mut self, sql: &str) -> Result<(), Fault> {
        Ok(self.connection.query_drop(sql).await?)
    }

    /// Prepared once, and then known. Marks for parameters are `?`.
    pub(crate) async fn prepare(&mut self, sql: &str) -> Result<Statement, Fault> {
        Ok(self.connection.prep(sql).await?)
    }

    /// The rows.
    pub(crate) async fn rows(
        &mut self,
        statement: &Statement,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, Fault> {
        fits(statement, &values)?;
        Ok(self.connection.exec(statement, Params::from(values)).await?)
    }

    /// The rows, one after the other as they are taken.
    pub(crate) async fn stream(
        &mut self,
        statement: &Statement,
        values: Vec<Value>,
    ) -> Result<QueryResult<'_, 'static, BinaryProtocol>, Fault> {
        fits(statement, &values)?;
        Ok(self.connection.exec_iter(statement, Params::from(values)).await?)
    }

    /// How many rows were found, whether they changed or not.
    pub(crate) async fn change(&mut self, statement: &Statement, values: Vec<Value>) -> Result<u64, Fault> {
        fits(statement, &values)?;
        self.connection.exec_drop(statement, Params::from(values)).await?;
        Ok(self.connection.affected_rows())
    }
}

/// Keeps none of the rows: a user's `SELECT` may answer millions.
async fn count<P: Protocol>(mut result: QueryResult<'_, '_, P>) -> mysql_async::Result<u64> {
    let mut rows = 0;
    result.for_each(|_| rows += 1).await?;
    result.drop_result().await?;
    Ok(rows)
}

fn fits(statement: &Statement, values: &[Value]) -> Result<(), Fault> {
    let fits = usize::from(statement.num_params()) == values.len();
    fits.then_some(()).ok_or_else(Fault::ambiguous)
}

/// Tries of one piece of work, which changes nothing when it is done twice.
#[derive(Debug)]
pub(crate) struct Tries<'d> {
    database: &'d Database,
    left: u32,
}

impl<'d> Tries<'d> {
    pub(super) fn new(database: &'d Database) -> Self {
        Self { database, left: TRIES }
    }

    /// For the next try.
    pub(crate) async fn session(&self) -> Result<Session<'d>, DbError> {
        self.database.session().await
    }

    /// Ends a try. None: it is worth another.
    pub(crate) async fn settle<T>(
        &mut self,
        mut session: Session<'d>,
        result: Result<T, Fault>,
    ) -> Option<Result<T, DbError>> {
        let fault = match result {
            Ok(answer) => {
                session.keep();
                return Some(Ok(answer));
            }
            Err(fault) => fault,
        };
        // A connection that was idle may have been lost long ago.
        let was_idle = fault.is_lost() && !session.fresh;
        self.left -= 1;
        let again = self.left > 0 && (was_idle || fault.is_in_the_way());
        // A deadlock has undone all, a timeout only the statement.
        if !fault.is_lost() && session.order("ROLLBACK").await.is_ok() {
            session.keep();
        } else {
            drop(session);
        }
        if !again {
            return Some(Err(self.database.tell(fault)));
        }
        if !was_idle {
            tokio::time::sleep(STEP_BACK * (TRIES - self.left)).await;
        }
        None
    }
}
