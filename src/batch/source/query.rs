//! The statements of a source whose rows are looked up and marked one by one, built once.

use std::slice;

use super::super::BatchError;
use super::PARAMETERS;
use crate::settings::{ActionSettings, BatchSettings, MarkSettings, MarkValue, Relation};
use crate::sql::Dialect;

/// The parameter that statements have beside the user's, the time's, and those below.
pub(super) const LIMIT: &str = ":gulou_limit";

/// Refuses settings that contradict each other.
pub(super) fn check(settings: &BatchSettings) -> Result<(), BatchError> {
    let refuse =
        |problem: &str| Err(BatchError::Settings { batch: settings.id.clone(), problem: problem.to_owned() });
    let source = &settings.source;
    let digest = matches!(settings.action, ActionSettings::Digest { .. } | ActionSettings::Export(_));
    if source.key.is_empty() && (!digest || settings.mark.is_some()) {
        return refuse("name the key column in source.key");
    }
    match &source.relation {
        _ if settings.mark.is_none() => Ok(()),
        Relation::Query(_) => refuse("a query cannot be marked; use a table, or no mark"),
        Relation::Table { filter: None, .. } => {
            refuse("a mark needs a \"where\" that no longer holds once a row is marked")
        }
        Relation::Table { .. } => Ok(()),
    }
}

/// The statements of a source.
#[derive(Debug)]
pub(super) struct Queries {
    dialect: Dialect,
    /// Names of the key columns, unquoted.
    pub(super) key: Vec<String>,
    /// The same as a statement names them.
    pub(super) key_columns: Vec<String>,
    /// Where the rows are, and which of them match.
    pub(super) from: String,
    pub(super) filter: String,
    /// `SELECT key, columns FROM … WHERE condition`, ready for more conditions.
    pub(super) select: String,
    /// All rows, without the key in front.
    pub(super) all: String,
    pub(super) count: String,
    /// One row by its key, if it matches.
    pub(super) again: String,
    /// A row by its key, whether it matches or not.
    pub(super) exists: String,
    pub(super) sent: Option<Update>,
    pub(super) failed: Option<Update>,
}

/// An `UPDATE` of one row.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) sql: String,
    /// The same up to its `WHERE`.
    pub(super) head: String,
    /// The columns, unquoted.
    pub(super) columns: Vec<String>,
    /// One a column, for [`value_parameter`] 0 and so on.
    pub(super) values: Vec<MarkValue>,
}

impl Queries {
    /// For settings that [`check`] lets pass.
    pub(super) fn new(settings: &BatchSettings, dialect: Dialect) -> Self {
        let source = &settings.source;
        let (from, name, condition) = match &source.relation {
            Relation::Table { name, filter } => {
                (dialect.quote_path(name), dialect.quote_path(name), filter.as_deref())
            }
            Relation::Query(query) => {
                let query = query.trim().trim_end_matches(';');
                let name = dialect.quote("gulou_rows");
                (format!("(\n{query}\n) AS {name}"), name, None)
            }
        };
        let columns = if source.columns.is_empty() {
            format!("{name}.*")
        } else {
            source.columns.iter().map(|column| dialect.quote(column)).collect::<Vec<_>>().join(", ")
        };
        let key_columns: Vec<String> =
            source.key.iter().map(|key| format!("{name}.{}", dialect.quote(key))).collect();
        // A comment at the end of the condition must not swallow the bracket.
        let filter =
            condition.map_or_else(|| dialect.always().to_owned(), |condition| format!("({condition}\n)"));
        let in_front = [key_columns.as_slice(), slice::from_ref(&columns)].concat().join(", ");
        let select = format!("SELECT {in_front} FROM {from} WHERE {filter}");
        let all = match &source.relation {
            Relation::Query(query) => query.clone(),
            Relation::Table { .. } if source.key.is_empty() => {
                format!("SELECT {columns} FROM {from} WHERE {filter}")
            }
            Relation::Table { .. } => {
                let order = key_columns.join(", ");
                format!("SELECT {columns} FROM {from} WHERE {filter} ORDER BY {order}")
            }
        };
        let this = equal(&key_columns);
        let update = |columns: &Vec<(String, MarkValue)>| Update::new(dialect, &from, &this, columns);
        Self {
            dialect,
            key: source.key.clone(),
            count: format!("SELECT count(*) FROM {from} WHERE {filter}"),
            again: format!("{select} AND {this}"),
            exists: format!("SELECT 1 FROM {from} WHERE {this}"),
            sent: settings.mark.as_ref().map(|mark| update(&mark.sent)),
            failed: settings.mark.as_ref().and_then(|mark: &MarkSettings| mark.failed.as_ref()).map(update),
            all,
            select,
            key_columns,
            from,
            filter,
        }
    }

    /// The keyset statement. Bounds are left out rather than made optional, so that an index serves.
    pub(super) fn page(&self, after: bool, until: bool) -> String {
        let beyond = |wanted: bool, signs: &[&str; 2], parameter: fn(usize) -> String| {
            let bound = || format!(" AND {}", bound(self.dialect, &self.key_columns, signs, parameter));
            wanted.then(bound).unwrap_or_default()
        };
        let after = beyond(after, &[">", ">"], after_parameter);
        let until = beyond(until, &["<", "<="], until_parameter);
        let order = self.key_columns.join(", ");
        format!("{}{after}{until} ORDER BY {order} LIMIT {LIMIT}", self.select)
    }
}

/// The row with the key of [`key_parameter`].
fn equal(columns: &[String]) -> String {
    let parts = columns.iter().enumerate();
    parts
        .map(|(index, column)| format!("{column} = {}", key_parameter(index)))
        .collect::<Vec<_>>()
        .join(" AND ")
}

/// `columns` beyond the key of `parameter`, so that an index on them serves. `signs`: for every column but the
/// last, and for the last.
pub(super) fn bound(
    dialect: Dialect,
    columns: &[String],
    signs: &[&str; 2],
    parameter: impl Fn(usize) -> String,
) -> String {
    let [strict, last] = signs;
    let [first, rest @ ..] = columns else { return dialect.always().to_owned() };
    if rest.is_empty() {
        return format!("{first} {last} {}", parameter(0));
    }
    if dialect != Dialect::MySql {
        let parameters: Vec<String> = (0..columns.len()).map(&parameter).collect();
        return format!("({}) {last} ({})", columns.join(", "), parameters.join(", "));
    }
    // MySQL reads a whole table for a comparison of rows.
    let mut inner = format!("{} {last} {}", columns[columns.len() - 1], parameter(columns.len() - 1));
    for index in (0..columns.len() - 1).rev() {
        let (column, parameter) = (&columns[index], parameter(index));
        inner = format!("({column} {strict} {parameter} OR ({column} = {parameter} AND {inner}))");
    }
    format!("{first} {strict}= {} AND {inner}", parameter(0))
}

impl Update {
    fn new(dialect: Dialect, table: &str, this: &str, columns: &[(String, MarkValue)]) -> Self {
        let set: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(position, (column, _))| {
                format!("{} = {}", dialect.quote(column), value_parameter(position))
            })
            .collect();
        let head = format!("UPDATE {table} SET {}", set.join(", "));
        Self {
            sql: format!("{head} WHERE {this}"),
            head,
            columns: columns.iter().map(|(column, _)| column.clone()).collect(),
            values: columns.iter().map(|(_, value)| value.clone()).collect(),
        }
    }
}

/// The parameter of a part of the key that a page begins after.
pub(super) fn after_parameter(part: usize) -> String {
    format!(":gulou_after_{part}")
}

/// The parameter of a part of the key that a page goes up to.
pub(super) fn until_parameter(part: usize) -> String {
    format!(":gulou_until_{part}")
}

/// The parameter of a part of a row's key.
pub(super) fn key_parameter(part: usize) -> String {
    format!(":gulou_key_{part}")
}

/// The parameter of a mark's value.
pub(super) fn value_parameter(position: usize) -> String {
    format!(":gulou_{position}")
}

/// What to say of a parameter that nobody knows.
pub(super) fn unknown_parameter(name: &str) -> String {
    format!("the condition or query uses {name}, which is unknown; known are {}", PARAMETERS.join(", "))
}

/// What to say of a key that two rows share.
pub(super) fn not_unique(columns: &[String], key: &super::Key) -> String {
    format!("the key {} is not unique: {key} occurs twice", named(columns))
}

/// The key's columns for a message.
pub(super) fn named(columns: &[String]) -> String {
    columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(dialect: Dialect, columns: &[&str]) -> String {
        let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
        bound(dialect, &columns, &[">", ">"], after_parameter).replace(":gulou_after_", "$")
    }

    #[test]
    fn an_index_serves_each_dialect() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres, Dialect::MySql] {
            assert_eq!(after(dialect, &["a"]), "a > $0");
        }
        assert_eq!(after(Dialect::Sqlite, &["a", "b"]), "(a, b) > ($0, $1)");
        assert_eq!(after(Dialect::Postgres, &["a", "b"]), "(a, b) > ($0, $1)");
        assert_eq!(after(Dialect::MySql, &["a", "b"]), "a >= $0 AND (a > $0 OR (a = $0 AND b > $1))");
        assert_eq!(
            after(Dialect::MySql, &["a", "b", "c"]),
            "a >= $0 AND (a > $0 OR (a = $0 AND (b > $1 OR (b = $1 AND c > $2))))"
        );
        let columns = ["a", "b"].map(str::to_owned);
        assert_eq!(
            bound(Dialect::MySql, &columns, &["<", "<="], until_parameter).replace(":gulou_until_", "$"),
            "a <= $0 AND (a < $0 OR (a = $0 AND b <= $1))"
        );
    }
}
