//! Runs statements in a database, repeats one until nothing is left to do, or copies the database.

mod backup;
mod pages;
mod plain;
mod preview;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use chrono_tz::Tz;
use tokio_util::sync::CancellationToken;

use super::cut::Cut;
use super::host::Host;
use super::log::RunLog;
use crate::db::{Database, Failure, Moment, Values};
use crate::run::{Fire, Outcome, RunContext, Status};
use crate::settings::{SqlSettings, SqlWork};

/// Statements to execute, or a copy to make.
#[derive(Debug)]
pub struct SqlTarget {
    settings: SqlSettings,
    database: Database,
    /// Of the `_local` parameters.
    timezone: Tz,
    host: Host,
}

impl SqlTarget {
    /// Opens nothing yet.
    pub fn new(settings: &SqlSettings, database: Database, timezone: Tz, host: &Host) -> Self {
        Self { settings: settings.clone(), database, timezone, host: host.clone() }
    }

    /// One attempt, from `START` to `Report`.
    pub async fn run(&self, fire: &Fire, context: &RunContext) -> Outcome {
        let limit = self.host.limits.output;
        let log = RunLog::start(&context.output, &fire.request_id, limit, &self.host.clock);
        let outcome = match &self.settings.work {
            SqlWork::Statements { statements, transaction } => {
                self.plain(statements, *transaction, fire, context, &log).await
            }
            SqlWork::Pages(pages) => self.pages(pages, fire, context, &log).await,
            SqlWork::Backup(backup) => self.backup(backup, fire, context, &log).await,
        };
        log.end(&outcome, &[], None);
        outcome
    }

    fn values(&self, fire: &Fire, page: Option<u32>) -> Values {
        let moment =
            Moment { fire_time: fire.fire_time, now: self.host.clock.now(), timezone: self.timezone };
        Values { moment, message: Arc::from(fire.argument.as_str()), page, more: HashMap::new() }
    }

    /// Does `work` within the timeout; the token that it is given fires when it is to end now.
    async fn within_limits<T, W>(
        &self,
        context: &RunContext,
        work: impl FnOnce(CancellationToken) -> W,
    ) -> Result<T, Ended>
    where
        W: Future<Output = Result<T, Failure>>,
    {
        let token = context.abort.child_token();
        let mut work = std::pin::pin!(work(token.clone()));
        let (result, cut) = tokio::select! {
            biased;
            result = &mut work => (result, Cut::Abort),
            cut = Cut::wait(self.settings.timeout, &context.abort) => {
                token.cancel();
                (work.await, cut)
            }
        };
        result.map_err(|failure| Ended { failure, cut })
    }
}

/// Why the work is not done; what cut it off counts only when the failure has no error.
struct Ended {
    failure: Failure,
    cut: Cut,
}

impl Ended {
    /// The outcome, with what is said of what was done all the same.
    fn outcome(&self, place: &str, done: &str) -> Outcome {
        let at = if place.is_empty() { String::new() } else { format!("{place}: ") };
        match (&self.failure.error, self.cut) {
            (Some(error), _) => Outcome::failed(format!("{at}{error}{done}")),
            (None, Cut::Abort) => Outcome::interrupted(format!("{at}was stopped before it ended{done}")),
            (None, Cut::Timeout(limit)) => {
                let message = format!(
                    "{at}did not end within its timeout of {} s and was cancelled{done}",
                    limit.as_secs_f64()
                );
                Outcome { status: Status::TimedOut, ..Outcome::failed(message) }
            }
        }
    }
}

/// `1 row`, `2 rows`.
fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
