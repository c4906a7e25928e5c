//! Statements about several rows at once, by their keys.

use std::collections::HashMap;

use mysql_async::Value;

use super::super::query::{Queries, Update, key_parameter};
use super::values::Kind;
use crate::batch::key::Key;
use crate::sql::Dialect;

/// How many rows a statement is about at most.
pub(super) const LARGEST: usize = 256;

/// A statement for each number of rows would be prepared again and again; the last key fills up what is left.
const SIZES: [usize; 4] = [1, 8, 64, LARGEST];

/// A statement in the server's spelling, and the names of its parameters.
type Statement = (String, Vec<String>);

/// The rows with one of `count` keys that match.
pub(super) fn again(queries: &Queries, count: usize) -> Statement {
    spelled(&format!("{} AND {}", queries.select, among(queries, count)))
}

/// The keys of those there are, and whether they match.
pub(super) fn look(queries: &Queries, count: usize) -> Statement {
    let (key, from, filter) = (queries.key_columns.join(", "), &queries.from, &queries.filter);
    spelled(&format!("SELECT {key}, ({filter}) IS TRUE FROM {from} WHERE {}", among(queries, count)))
}

/// A mark of rows that are given the same values.
pub(super) fn update(queries: &Queries, update: &Update, count: usize) -> Statement {
    spelled(&format!("{} WHERE {}", update.head, among(queries, count)))
}

/// The values of the key's parameters, in the order in which the statement names them.
pub(super) fn bind(keys: &[&Key], kinds: &[Kind]) -> impl FnMut(&str) -> Option<Value> + use<> {
    let mut parts: HashMap<String, (usize, Vec<Value>)> = HashMap::new();
    for (index, kind) in kinds.iter().enumerate() {
        let values = keys.iter().map(|key| kind.bind(&key.parts()[index])).collect();
        parts.insert(key_parameter(index), (0, values));
    }
    move |name| {
        let (next, values) = parts.get_mut(name)?;
        let value = values.get(*next).or(values.last()).cloned();
        *next += 1;
        value
    }
}

/// The row has one of the keys. Spelled so that an index serves, which it does not for lists of rows.
fn among(queries: &Queries, count: usize) -> String {
    let size = SIZES.into_iter().find(|size| count <= *size).unwrap_or(LARGEST);
    if let [column] = queries.key_columns.as_slice() {
        return format!("{column} IN ({})", vec![key_parameter(0); size].join(", "));
    }
    let columns = queries.key_columns.iter().enumerate();
    let one: Vec<String> =
        columns.map(|(index, column)| format!("{column} = {}", key_parameter(index))).collect();
    format!("({})", vec![format!("({})", one.join(" AND ")); size].join(" OR "))
}

fn spelled(sql: &str) -> Statement {
    Dialect::MySql.positional(sql)
}
