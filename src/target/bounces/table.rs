//! The rows that learn of bounces: how they are found, and what is written into them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::report::Failure;
use super::words::Class;
use crate::db::{Database, DbError, Moment, Script, Values};
use crate::run::Scalar;
use crate::settings::{BouncesSettings, MarkValue};
use crate::sql::Dialect;

/// How long the database may take for a group of mails; somebody may hold a lock on the table for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// A row that a bounce is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The value of its key, as a text.
    pub key: String,
    /// Soft bounces so far; 0 where none are counted.
    pub count: i64,
}

/// What is written into a row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Change {
    /// The value of its key, as a text.
    pub key: String,
    /// It is reached no more; why.
    pub hard: Option<String>,
    /// It is counted up.
    pub soft: Option<Soft>,
}

/// A count that goes up: from what it was, so that it does so once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Soft {
    /// What it was.
    pub old: i64,
    /// What it is to be.
    pub new: i64,
    /// Why.
    pub reason: String,
}

/// The table.
#[derive(Clone, Debug)]
pub struct Table {
    settings: Arc<BouncesSettings>,
    database: Database,
}

impl Table {
    pub fn new(settings: &Arc<BouncesSettings>, database: Database) -> Self {
        Self { settings: Arc::clone(settings), database }
    }

    /// For good or for now, as the settings see it.
    pub fn class(&self, failure: &Failure) -> Class {
        let begins = |start: &String| {
            failure
                .status
                .as_ref()
                .and_then(|status| status.strip_prefix(start.as_str()))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        match &self.settings.soft {
            Some(soft) if soft.also.iter().any(begins) => Class::Soft,
            _ => failure.class,
        }
    }

    /// The rows of the first address that has any; in lower case, if it has none as it is written.
    pub async fn find(&self, failure: &Failure, moment: Moment) -> Result<Vec<Row>, DbError> {
        for address in &failure.addresses {
            let lower = address.to_lowercase();
            for spelling in
                [Some(address), Some(&lower).filter(|lower| *lower != address)].into_iter().flatten()
            {
                let rows = self.rows(&self.settings.recipient, spelling, moment).await?;
                if !rows.is_empty() {
                    return Ok(rows);
                }
            }
        }
        Ok(Vec::new())
    }

    /// The row with a key, if it is still there.
    pub async fn again(&self, key: &str, moment: Moment) -> Result<Option<Row>, DbError> {
        Ok(self.rows(&self.settings.key, key, moment).await?.pop())
    }

    async fn rows(&self, column: &str, value: &str, moment: Moment) -> Result<Vec<Row>, DbError> {
        let dialect = self.dialect();
        let text = match dialect {
            Dialect::MySql => "CHAR",
            Dialect::Sqlite | Dialect::Postgres => "TEXT",
        };
        let count = self.count().map_or_else(|| "0".to_owned(), |count| format!("COALESCE({count}, 0)"));
        let sql = format!(
            "SELECT CAST({} AS {text}), CAST({count} AS {text}) FROM {} WHERE {} = :gulou_value",
            dialect.quote(&self.settings.key),
            self.table(),
            dialect.quote(column),
        );
        let more = HashMap::from([(":gulou_value".to_owned(), Scalar::Text(value.to_owned()))]);
        let values = Values { moment, message: "".into(), page: None, more };
        let found = match tokio::time::timeout(PATIENCE, self.database.texts(&sql, &values)).await {
            Ok(found) => found?,
            Err(_) => return Err(slow()),
        };
        found.into_iter().filter_map(|row| row_of(&row, &self.settings).transpose()).collect()
    }

    /// Writes the changes, all of them or none. Answers which counts were no longer what they had been; those rows are
    /// left as they are.
    pub async fn write(
        &self,
        changes: &[Change],
        moment: Moment,
        abort: &CancellationToken,
    ) -> Result<Vec<usize>, String> {
        let mut draft = Draft { statements: Vec::new(), more: HashMap::new(), table: self };
        let mut counted = Vec::new();
        for (at, change) in changes.iter().enumerate() {
            if let Some(soft) = &change.soft {
                counted.push((draft.statements.len(), at));
                draft.soft(at, change, soft);
            }
            if let Some(reason) = &change.hard {
                draft.hard(at, change, reason);
            }
        }
        if draft.statements.is_empty() {
            return Ok(Vec::new());
        }
        let script = Arc::new(Script { statements: draft.statements, transaction: true });
        let values = Values { moment, message: "".into(), page: None, more: draft.more };
        let cut = abort.child_token();
        let mut work = std::pin::pin!(self.database.execute(&script, &values, &cut));
        let done = tokio::select! {
            biased;
            done = &mut work => done,
            () = tokio::time::sleep(PATIENCE) => {
                cut.cancel();
                work.await
            }
        };
        match done {
            Ok(rows) => {
                let missed = counted.into_iter().filter(|(statement, _)| rows.get(*statement) == Some(&0));
                Ok(missed.map(|(_, at)| at).collect())
            }
            Err(failure) => {
                let reason = failure.error.map_or_else(|| slow().to_string(), |error| error.to_string());
                Err(format!("could not mark rows of `{}`: {reason}", self.settings.table))
            }
        }
    }

    fn dialect(&self) -> Dialect {
        self.database.dialect()
    }

    fn table(&self) -> String {
        self.dialect().quote_path(&self.settings.table)
    }

    /// The column that counts, quoted.
    fn count(&self) -> Option<String> {
        self.settings.soft.as_ref().map(|soft| self.dialect().quote(&soft.count))
    }
}

/// Statements, and what their parameters stand for.
struct Draft<'t> {
    statements: Vec<String>,
    more: HashMap<String, Scalar>,
    table: &'t Table,
}

impl Draft<'_> {
    fn soft(&mut self, at: usize, change: &Change, soft: &Soft) {
        let (Some(count), Some(settings)) = (self.table.count(), &self.table.settings.soft) else { return };
        let (old, new) = (format!(":gulou_old_{at}"), format!(":gulou_new_{at}"));
        let mut sets = vec![format!("{count} = {new}")];
        sets.extend(self.sets("soft", at, &settings.mark, &soft.reason));
        let condition = format!(" AND COALESCE({count}, 0) = {old}");
        self.update(at, &change.key, &sets, &condition);
        self.more.extend([(old, Scalar::Int(soft.old)), (new, Scalar::Int(soft.new))]);
        let Some(limit) = settings.limit.map(i64::from).filter(|limit| soft.new >= *limit) else { return };
        let reason = format!("{} ({} soft bounces)", soft.reason, soft.new);
        let sets = self.sets("limit", at, &self.table.settings.hard, &reason);
        // Who has put the count back meanwhile has given it another chance.
        let name = format!(":gulou_limit_{at}");
        self.update(at, &change.key, &sets, &format!(" AND COALESCE({count}, 0) >= {name}"));
        self.more.insert(name, Scalar::Int(limit));
    }

    fn hard(&mut self, at: usize, change: &Change, reason: &str) {
        let sets = self.sets("hard", at, &self.table.settings.hard, reason);
        self.update(at, &change.key, &sets, "");
    }

    fn update(&mut self, at: usize, key: &str, sets: &[String], condition: &str) {
        let (table, dialect) = (self.table.table(), self.table.dialect());
        let name = format!(":gulou_key_{at}");
        let mut sql = format!("UPDATE {table} SET {} WHERE ", sets.join(", "));
        // Writing to a String cannot fail.
        let _ = write!(sql, "{} = {name}{condition}", dialect.quote(&self.table.settings.key));
        self.statements.push(sql);
        self.more.insert(name, Scalar::Text(key.to_owned()));
    }

    /// `"column" = :parameter`, for each column of a mark.
    fn sets(&mut self, of: &str, at: usize, mark: &[(String, MarkValue)], reason: &str) -> Vec<String> {
        let dialect = self.table.dialect();
        let mut sets = Vec::with_capacity(mark.len());
        for (position, (column, value)) in mark.iter().enumerate() {
            let (name, scalar) = match value {
                MarkValue::Literal(value) => (format!(":gulou_set_{of}_{position}"), Some(scalar(value))),
                MarkValue::Parameter(name) if name == ":error" => {
                    (format!(":gulou_error_{of}_{at}"), Some(Scalar::Text(reason.to_owned())))
                }
                MarkValue::Parameter(time) => (time.clone(), None),
            };
            sets.push(format!("{} = {name}", dialect.quote(column)));
            self.more.extend(scalar.map(|scalar| (name, scalar)));
        }
        sets
    }
}

/// None: a row without a key cannot be written to.
fn row_of(row: &[Option<String>], settings: &BouncesSettings) -> Result<Option<Row>, DbError> {
    let [key, count] = row else { return Ok(None) };
    let Some(key) = key.clone() else { return Ok(None) };
    let count = count.as_deref().unwrap_or("0");
    let whole = count.parse().map_err(|_| {
        let column = settings.soft.as_ref().map_or("", |soft| soft.count.as_str());
        DbError::Mismatch(format!(
            "the column `{column}` of the row {key} holds {count:?}, which is no whole number"
        ))
    })?;
    Ok(Some(Row { key, count: whole }))
}

fn scalar(value: &Value) -> Scalar {
    match value {
        Value::Null => Scalar::Null,
        Value::Bool(flag) => Scalar::Bool(*flag),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| Scalar::Float(number.as_f64().unwrap_or(f64::NAN)), Scalar::Int)
        }
        Value::String(text) => Scalar::Text(text.clone()),
        other => Scalar::Text(other.to_string()),
    }
}

fn slow() -> DbError {
    DbError::Mismatch(format!("the database took longer than {} s", PATIENCE.as_secs()))
}
