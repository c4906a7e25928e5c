//! One bounded statement again and again, each time in a transaction of its own, until it changes no row: a clean-up
//! that holds no lock for long.

use std::sync::Arc;

use serde_json::json;

use super::super::log::RunLog;
use super::{Ended, SqlTarget, counted};
use crate::db::{PAGE, Script};
use crate::run::{Fire, Outcome, RunContext, Status, Stream};
use crate::settings::SqlPages;
use crate::sql::Dialect;

/// A line of the log for so many pages.
const TOLD: u32 = 100;
/// The first page behind which it is asked whether an `UPDATE` finds the same rows again.
const FIRST_DOUBT: u32 = 4;

impl SqlTarget {
    pub(super) async fn pages(
        &self,
        pages: &SqlPages,
        fire: &Fire,
        context: &RunContext,
        log: &RunLog,
    ) -> Outcome {
        let clock = &self.host.clock;
        let ends = pages.time_limit.map(|limit| clock.monotonic() + limit);
        let script = Script { statements: vec![pages.statement.text.clone()], transaction: true };
        let script = Arc::new(script);
        let mut sum = Sum::default();
        loop {
            let values = self.values(fire, Some(pages.page));
            let work = |cut| {
                let (script, values) = (&script, &values);
                async move { self.database.execute(script, values, &cut).await }
            };
            let rows: u64 = match self.within_limits(context, work).await {
                Ok(rows) => rows.iter().sum(),
                Err(ended) => return sum.of(&ended),
            };
            if rows == 0 {
                return sum.ended(Outcome::succeeded(None), "");
            }
            sum.add(rows);
            if sum.pages % TOLD == 0 {
                log.line(Stream::System, sum.words());
            }
            if let Some(outcome) = self.again_and_again(pages, &sum, fire, context).await {
                return sum.ended(outcome, "");
            }
            if ends.is_some_and(|ends| clock.monotonic() >= ends) {
                return sum
                    .ended(Outcome::succeeded(None), "; its time limit has come, the next fire goes on");
            }
            if pages.pause.is_zero() {
                // Whoever waits for the thread has its turn between two pages.
                tokio::task::yield_now().await;
            } else {
                tokio::select! {
                    biased;
                    () = context.drain.cancelled() => {}
                    () = context.abort.cancelled() => {}
                    () = tokio::time::sleep(pages.pause) => {}
                }
            }
            if context.drain.is_cancelled() || context.abort.is_cancelled() {
                return sum.ended(Outcome::interrupted("stopped"), "; the next fire goes on");
            }
        }
    }

    /// The outcome, when there is no end of it: more pages than are allowed, or an `UPDATE` that has changed more rows
    /// than its table has.
    async fn again_and_again(
        &self,
        pages: &SqlPages,
        sum: &Sum,
        fire: &Fire,
        context: &RunContext,
    ) -> Option<Outcome> {
        if sum.pages >= pages.max_pages {
            return Some(Outcome::failed(format!(
                "stopped behind page {}, as `max_pages` says: raise it, or see whether the statement finds the same rows \
                 again",
                sum.pages
            )));
        }
        // Seldom enough to cost little: the database walks over as many rows as were changed.
        if sum.pages < FIRST_DOUBT || !sum.pages.is_power_of_two() {
            return None;
        }
        let changed = u32::try_from(sum.rows).ok()?;
        let table = updated(self.database.dialect(), &pages.statement.text)?;
        // One row where the table has as many as were changed, none where it has fewer.
        let statements = vec![format!("SELECT 1 FROM {table} LIMIT 1 OFFSET {PAGE}")];
        let script = Arc::new(Script { statements, transaction: false });
        let values = self.values(fire, Some(changed.checked_sub(1)?));
        let work = |cut| {
            let (script, values) = (&script, &values);
            async move { self.database.execute(script, values, &cut).await }
        };
        // What cannot be found out keeps nobody from working; if something is wrong, the next page says so.
        let found = self.within_limits(context, work).await.ok()?.into_iter().sum::<u64>();
        (found == 0).then(|| {
            Outcome::failed(format!(
                "the same rows match again: {} were changed, and {table} has fewer; the UPDATE must change what its \
                 WHERE asks for",
                counted(sum.rows, "row")
            ))
        })
    }
}

/// The table of an `UPDATE`, as it is written; none where it is not plain to see.
fn updated(dialect: Dialect, sql: &str) -> Option<&str> {
    let mut tokens = dialect.tokens(sql);
    let (_, first) = tokens.next()?;
    if !first.eq_ignore_ascii_case("update") {
        return None;
    }
    let (start, name) = tokens.next()?;
    let mut end = start + name.len();
    let is_option =
        |word: &str| ["or", "only", "low_priority", "ignore"].contains(&word.to_lowercase().as_str());
    if is_option(name) {
        return None;
    }
    let rest: Vec<(usize, &str)> = tokens.take(2).collect();
    if let [(_, "."), (at, table)] = rest[..] {
        end = at + table.len();
    }
    Some(&sql[start..end])
}

/// What was done so far.
#[derive(Default)]
struct Sum {
    pages: u32,
    rows: u64,
}

impl Sum {
    const fn add(&mut self, rows: u64) {
        self.pages += 1;
        self.rows += rows;
    }

    fn words(&self) -> String {
        format!("{} in {}", counted(self.rows, "row"), counted(self.pages.into(), "page"))
    }

    /// What the run came to, with what it has done.
    fn ended(&self, outcome: Outcome, more: &str) -> Outcome {
        let Outcome { status, message, .. } = outcome;
        let message = match message {
            Some(message) => format!("{message} after {}{more}", self.words()),
            None => format!("{}{more}", self.words()),
        };
        Outcome {
            status,
            message: Some(message),
            result: Some(json!({ "rows": self.rows, "pages": self.pages })),
            idle: self.rows == 0 && status == Status::Succeeded,
            pause: false,
        }
    }

    fn of(&self, ended: &Ended) -> Outcome {
        self.ended(ended.outcome("", ""), "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_an_update_is_found() {
        let table = |sql| updated(Dialect::Sqlite, sql);
        assert_eq!(table("UPDATE users SET a = 1"), Some("users"));
        assert_eq!(table("-- x\nupdate \"my users\" AS u SET a = 1"), Some("\"my users\""));
        assert_eq!(table("UPDATE main . users SET a = 1"), Some("main . users"));
        assert_eq!(table("UPDATE OR IGNORE users SET a = 1"), None);
        assert_eq!(table("DELETE FROM users"), None);
        assert_eq!(table("WITH x AS (SELECT 1) UPDATE users SET a = 1"), None);
    }
}
