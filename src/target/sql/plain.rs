//! Statements in their order, in one transaction or each on its own.

use std::sync::Arc;

use serde_json::json;

use super::super::log::RunLog;
use super::{Ended, SqlTarget, counted};
use crate::db::Script;
use crate::run::{Fire, Outcome, RunContext};
use crate::settings::SqlStatement;

impl SqlTarget {
    pub(super) async fn plain(
        &self,
        statements: &[SqlStatement],
        transaction: bool,
        fire: &Fire,
        context: &RunContext,
        log: &RunLog,
    ) -> Outcome {
        let texts = statements.iter().map(|statement| statement.text.clone()).collect();
        let script = Arc::new(Script { statements: texts, transaction });
        let values = self.values(fire, None);
        let work = |cut| {
            let (script, values) = (&script, &values);
            async move { self.database.execute(script, values, &cut).await }
        };
        match self.within_limits(context, work).await {
            Ok(rows) => {
                tell(log, statements, &rows);
                let all = rows.iter().sum::<u64>();
                let summary =
                    format!("{} in {}", counted(all, "row"), counted(rows.len() as u64, "statement"));
                Outcome {
                    message: Some(summary),
                    idle: all == 0,
                    ..Outcome::succeeded(Some(json!({ "rows": all, "statements": rows })))
                }
            }
            Err(ended) => {
                tell(log, statements, &ended.failure.done);
                failed(statements, transaction, &ended)
            }
        }
    }
}

/// A line for each statement that took effect.
fn tell(log: &RunLog, statements: &[SqlStatement], rows: &[u64]) {
    for (statement, rows) in statements.iter().zip(rows) {
        log.note(format!("{}: {}", counted(*rows, "row"), one_line(&statement.text)));
    }
}

fn failed(statements: &[SqlStatement], transaction: bool, ended: &Ended) -> Outcome {
    let done = &ended.failure.done;
    let place = ended.failure.statement.and_then(|index| statements.get(index));
    let place = place.map_or("", |statement| &statement.origin);
    let effect = match done.len() {
        // Of a lost commit nobody knows.
        _ if transaction && ended.failure.statement.is_some() && statements.len() > 1 => {
            "; all is as it was".to_owned()
        }
        0 => String::new(),
        count => format!("; the {} before it took effect", counted(count as u64, "statement")),
    };
    let outcome = ended.outcome(place, &effect);
    let result = (!done.is_empty()).then(|| json!({ "rows": done.iter().sum::<u64>(), "statements": done }));
    Outcome { result, ..outcome }
}

/// A statement as a line of a log, not too long.
pub(super) fn one_line(sql: &str) -> String {
    const SHOWN: usize = 120;
    let mut words = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = words.char_indices().nth(SHOWN) {
        words.truncate(at);
        words.push('…');
    }
    words
}
