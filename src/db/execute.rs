//! Statements of the user's own, executed as they stand: in one transaction, or each on its own.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Database, DbError, Moment};
use crate::run::Scalar;

/// The parameter that stands for the fire's argument.
pub const MESSAGE: &str = ":message";
/// The parameter that bounds a statement which is repeated.
pub const PAGE: &str = ":page";

/// How often others may be in the way before it is given up.
pub(super) const TRIES: u32 = 5;
/// How long to step back from others, more with each try.
pub(super) const STEP_BACK: Duration = Duration::from_millis(50);
/// How long a server may take to end what it was told to end.
pub(super) const ENDS: Duration = Duration::from_secs(5);

/// Statements that belong together.
#[derive(Clone, Debug)]
pub struct Script {
    /// One statement each, without a `;` at its end.
    pub statements: Vec<String>,
    /// All of them take effect, or none.
    pub transaction: bool,
}

/// What the parameters of statements stand for.
#[derive(Clone, Debug)]
pub struct Values {
    /// The times.
    pub moment: Moment,
    /// [`MESSAGE`].
    pub message: Arc<str>,
    /// [`PAGE`], where there is one.
    pub page: Option<u32>,
    /// Further parameters, by their names; none of them is a blob.
    pub more: HashMap<String, Scalar>,
}

/// Why not all statements took effect.
#[derive(Debug)]
pub struct Failure {
    /// The index of the statement that could not be executed; none: it failed before the first, or behind the last.
    pub statement: Option<usize>,
    /// The rows of those that took effect all the same. Empty after a transaction.
    pub done: Vec<u64>,
    /// Why; none: it was cut off.
    pub error: Option<Box<DbError>>,
}

impl Failure {
    /// Before the first statement.
    pub(super) fn early(error: DbError) -> Self {
        Self { error: Some(Box::new(error)), ..Self::cut() }
    }

    /// Cut off before anything was done.
    pub(super) const fn cut() -> Self {
        Self { statement: None, done: Vec::new(), error: None }
    }
}

/// Where statements on a server broke off, and its reason.
pub(super) struct Broken<R> {
    pub(super) step: Step,
    /// The rows of the statements before it.
    pub(super) done: Vec<u64>,
    pub(super) reason: R,
}

/// What a server is asked, one after the other.
pub(super) enum Step {
    Begin,
    Statement(usize),
    Commit,
}

impl Step {
    /// What to tell when it failed behind what is `done`; no `error`: it was cut off.
    pub(super) fn failure(&self, done: Vec<u64>, script: &Script, error: Option<DbError>) -> Failure {
        Failure {
            statement: if let Self::Statement(index) = self { Some(*index) } else { None },
            done: if script.transaction { Vec::new() } else { done },
            error: error.map(Box::new),
        }
    }
}

/// Does `work`; when `cut` fires, has `cancel` ask the server to end it. None: the server does not say that it has ended.
pub(super) async fn cuttable<T>(
    work: impl Future<Output = T>,
    cut: &CancellationToken,
    cancel: impl Future<Output = ()>,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        biased;
        result = &mut work => return Some(result),
        () = cut.cancelled() => {}
    }
    let ending = async {
        cancel.await;
        work.await
    };
    tokio::time::timeout(ENDS, ending).await.ok()
}

impl Values {
    /// The value of a parameter, as [`Moment::parameter`] has it.
    pub fn get(&self, name: &str) -> Option<Scalar> {
        match name {
            MESSAGE => Some(Scalar::Text(self.message.to_string())),
            PAGE => self.page.map(|page| Scalar::Int(page.into())),
            name => self.more.get(name).cloned().or_else(|| self.moment.parameter(name)),
        }
    }
}

impl Database {
    /// Executes statements in their order; answers how many rows each has changed, or answered.
    ///
    /// A transaction is over when this returns, however it ended, and so is its statement on the server. When `cut`
    /// fires, what is under way is cancelled.
    pub async fn execute(
        &self,
        script: &Arc<Script>,
        values: &Values,
        cut: &CancellationToken,
    ) -> Result<Vec<u64>, Failure> {
        match self {
            Self::Sqlite(database) => database.execute(script, values, cut).await,
            Self::MySql(database) => database.execute(script, values, cut).await,
            Self::Postgres(database) => database.execute(script, values, cut).await,
        }
    }
}

/// What to say of a parameter that nobody binds.
pub(super) fn unknown(name: &str) -> DbError {
    DbError::Mismatch(format!("`{name}` is not a parameter here"))
}
