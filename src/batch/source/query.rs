//! The statements of a source, built once.

use super::super::BatchError;
use super::PARAMETERS;
use crate::settings::{ActionSettings, BatchSettings, MarkSettings, MarkValue, Relation};

/// Names of the parameters that statements have beside the user's.
pub(super) const AFTER: &str = ":gulou_after";
pub(super) const UNTIL: &str = ":gulou_until";
pub(super) const LIMIT: &str = ":gulou_limit";
pub(super) const KEY: &str = ":gulou_key";

/// The statements of a source.
#[derive(Debug)]
pub(super) struct Queries {
    /// Name of the key column, unquoted.
    pub(super) key: Option<String>,
    /// `SELECT key, columns FROM … WHERE condition`, ready for more conditions.
    select: String,
    condition: String,
    key_column: String,
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
    /// One a column, for `:gulou_0` and so on.
    pub(super) values: Vec<MarkValue>,
}

impl Queries {
    pub(super) fn new(settings: &BatchSettings) -> Result<Self, BatchError> {
        let refuse = |problem: &str| {
            Err(BatchError::Settings { batch: settings.id.clone(), problem: problem.to_owned() })
        };
        let source = &settings.source;
        let digest = matches!(settings.action, ActionSettings::Digest { .. });
        if source.key.is_none() && (!digest || settings.mark.is_some()) {
            return refuse("name the key column in source.key");
        }
        let (from, name, condition) = match &source.relation {
            Relation::Table { name, filter } => (quote_path(name), quote_path(name), filter.clone()),
            Relation::Query(query) => {
                let query = query.trim().trim_end_matches(';');
                (format!("(\n{query}\n) AS \"gulou_rows\""), "\"gulou_rows\"".to_owned(), None)
            }
        };
        if settings.mark.is_some() {
            match &source.relation {
                Relation::Query(_) => return refuse("a query cannot be marked; use a table, or no mark"),
                Relation::Table { filter: None, .. } => {
                    return refuse("a mark needs a \"where\" that no longer holds once a row is marked");
                }
                Relation::Table { .. } => {}
            }
        }
        let columns = if source.columns.is_empty() {
            format!("{name}.*")
        } else {
            source.columns.iter().map(|column| quote(column)).collect::<Vec<_>>().join(", ")
        };
        let key_column =
            source.key.as_deref().map(|key| format!("{name}.{}", quote(key))).unwrap_or_default();
        // A comment at the end of the condition must not swallow the bracket.
        let filter =
            condition.as_ref().map_or_else(|| "1".to_owned(), |condition| format!("({condition}\n)"));
        let select = format!("SELECT {key_column}, {columns} FROM {from} WHERE {filter}");
        let all = match &source.relation {
            Relation::Query(query) => query.clone(),
            Relation::Table { .. } if source.key.is_some() => {
                format!("SELECT {columns} FROM {from} WHERE {filter} ORDER BY {key_column}")
            }
            Relation::Table { .. } => format!("SELECT {columns} FROM {from} WHERE {filter}"),
        };
        let update = |columns: &Vec<(String, MarkValue)>| Update::new(&from, &key_column, columns);
        Ok(Self {
            key: source.key.clone(),
            count: format!("SELECT count(*) FROM {from} WHERE {filter}"),
            again: format!("{select} AND {key_column} = {KEY}"),
            exists: format!("SELECT 1 FROM {from} WHERE {key_column} = {KEY}"),
            sent: settings.mark.as_ref().map(|mark| update(&mark.sent)),
            failed: settings.mark.as_ref().and_then(|mark: &MarkSettings| mark.failed.as_ref()).map(update),
            condition: condition.unwrap_or_default(),
            all,
            select,
            key_column,
        })
    }

    pub(super) fn condition(&self) -> &str {
        &self.condition
    }

    /// The keyset statement. Bounds are left out rather than made optional, so that an index serves.
    pub(super) fn page(&self, after: bool, until: bool) -> String {
        let Self { select, key_column, .. } = self;
        let after = if after { format!(" AND {key_column} > {AFTER}") } else { String::new() };
        let until = if until { format!(" AND {key_column} <= {UNTIL}") } else { String::new() };
        format!("{select}{after}{until} ORDER BY {key_column} LIMIT {LIMIT}")
    }
}

impl Update {
    fn new(table: &str, key_column: &str, columns: &[(String, MarkValue)]) -> Self {
        let set: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(position, (column, _))| format!("{} = {}", quote(column), value_parameter(position)))
            .collect();
        Self {
            sql: format!("UPDATE {table} SET {} WHERE {key_column} = {KEY}", set.join(", ")),
            values: columns.iter().map(|(_, value)| value.clone()).collect(),
        }
    }
}

/// The parameter of a mark's value.
pub(super) fn value_parameter(position: usize) -> String {
    format!(":gulou_{position}")
}

/// What to say of a parameter that nobody knows.
pub(super) fn unknown_parameter(name: &str) -> String {
    format!("the condition or query uses {name}, which is unknown; known are {}", PARAMETERS.join(", "))
}

/// `name` as an identifier, in the standard's quotes.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `schema.table` or `table`.
fn quote_path(name: &str) -> String {
    name.split('.').map(quote).collect::<Vec<_>>().join(".")
}
