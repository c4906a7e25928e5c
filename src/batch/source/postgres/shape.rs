//! What a source looks like in the database, and the statements that follow from it.
//!
//! Every read is a `SELECT` from the user's table or query as a subquery, which the planner takes apart again. So a
//! name of the user's cannot mean one of ours, and the user's parameters are the first of every statement.

use std::sync::Arc;

use tokio_postgres::types::Type;
use tokio_postgres::{Column, Row as PgRow};

use super::super::query::{bound, named, unknown_parameter};
use super::super::{Key, PARAMETERS};
use super::Fault;
use super::value::{self, Kind, Raw};
use crate::action::export::Kind as Meaning;
use crate::db::postgres::{Session, form_of};
use crate::run::Row;
use crate::settings::{BatchSettings, Relation};
use crate::sql::Dialect;

const DIALECT: Dialect = Dialect::Postgres;

/// What the settings say.
#[derive(Debug)]
pub(super) struct Outline {
    /// The table with its condition, or the query.
    relation: String,
    /// The times that it names, for its parameters 1 and so on.
    pub(super) times: Vec<String>,
    /// The table, as a statement names it; none: a query.
    pub(super) table: Option<String>,
    pub(super) key: Vec<String>,
    columns: Vec<String>,
}

impl Outline {
    pub(super) fn new(settings: &BatchSettings) -> Self {
        let source = &settings.source;
        let (relation, table) = match &source.relation {
            Relation::Table { name, filter } => {
                let table = DIALECT.quote_path(name);
                // A comment at the end of the condition must not swallow the bracket.
                let filter = filter.as_ref().map(|filter| format!(" WHERE ({filter}\n)")).unwrap_or_default();
                (format!("SELECT * FROM {table}{filter}"), Some(table))
            }
            Relation::Query(query) => (query.trim().trim_end_matches(';').to_owned(), None),
        };
        let (relation, times) = DIALECT.positional(&relation);
        Self { relation, times, table, key: source.key.clone(), columns: source.columns.clone() }
    }

    /// The relation as a table of a statement.
    fn from(&self) -> String {
        format!("(\n{}\n) AS \"gulou_rows\"", self.relation)
    }

    /// Looks at the tables.
    pub(super) async fn look(&self, session: &mut Session) -> Result<Shape, Fault> {
        if let Some(name) = self.times.iter().find(|name| !PARAMETERS.contains(&name.as_str())) {
            return Err(Fault::Mismatch(unknown_parameter(name)));
        }
        let mut list: Vec<String> = self.key.iter().chain(&self.columns).map(|name| of_row(name)).collect();
        if self.columns.is_empty() {
            list.push("\"gulou_rows\".*".to_owned());
        }
        let sql = format!("SELECT {} FROM {}", list.join(", "), self.from());
        let described = session.describe(&sql, &self.times).await;
        let described = described.map_err(|error| Fault::Server(error, sql))?;
        let types = described.params().get(..self.times.len()).unwrap_or_default().to_vec();
        let (key, columns) = described.columns().split_at(self.key.len());
        let shape = self.shape(key, columns, types)?;
        Ok(Shape { may_be_null: self.may_be_null(session, key).await?, ..shape })
    }

    fn shape(&self, key: &[Column], columns: &[Column], times: Vec<Type>) -> Result<Shape, Fault> {
        for (position, column) in columns.iter().enumerate() {
            if columns[..position].iter().any(|other| other.name() == column.name()) {
                return Err(Fault::Mismatch(format!(
                    "two columns are called \"{}\"; give one of them another name (AS)",
                    column.name()
                )));
            }
        }
        for (name, kind) in self.times.iter().zip(&times) {
            if form_of(name, kind).is_none() {
                let kind = kind.name();
                return Err(Fault::Mismatch(format!(
                    "{name} stands where the database expects a value of type {kind}; unix seconds are :now_unix and \
                     :fire_time_unix, and {name}::timestamptz says that a time is meant"
                )));
            }
        }
        let key_kinds: Vec<Kind> = key.iter().map(|column| Kind::of(column.type_())).collect();
        for (name, kind) in self.key.iter().zip(&key_kinds) {
            let what = match kind {
                Kind::Float4 | Kind::Float8 => "is a floating-point number",
                Kind::Bool => "is a boolean",
                _ => continue,
            };
            return Err(Fault::Mismatch(format!("the key \"{name}\" {what}; use an integer or text column")));
        }
        let kinds: Vec<Kind> = columns.iter().map(|column| Kind::of(column.type_())).collect();
        let mut list: Vec<String> =
            self.key.iter().zip(&key_kinds).map(|(name, kind)| kind.select(&of_row(name))).collect();
        list.extend(columns.iter().zip(&kinds).map(|(column, kind)| kind.select(&of_row(column.name()))));
        Ok(Shape {
            columns: columns.iter().map(|column| column.name().to_owned()).collect(),
            meanings: columns.iter().map(|column| meaning(column.type_())).collect(),
            kinds,
            key: self.key.clone(),
            key_types: key.iter().map(|column| array_of(column.type_())).collect(),
            key_kinds,
            key_columns: self.key.iter().map(|name| of_row(name)).collect(),
            list: list.join(", "),
            from: self.from(),
            table: self.table.clone(),
            times,
            may_be_null: true,
        })
    }

    /// Whether the table lets a column of the key be NULL; of a query nothing is known.
    async fn may_be_null(&self, session: &mut Session, key: &[Column]) -> Result<bool, Fault> {
        if self.table.is_none() || key.is_empty() {
            return Ok(!key.is_empty());
        }
        let columns = key
            .iter()
            .filter_map(|column| Some((i64::from(column.table_oid()?), i64::from(column.column_id()?))));
        let (tables, numbers): (Vec<i64>, Vec<i64>) = columns.unzip();
        let list = |numbers: &[i64]| {
            value::Text::owned(value::array(numbers.iter().map(|number| number.to_string().into())))
        };
        let sql = "SELECT count(*) FROM unnest($1::int8[], $2::int8[]) AS k (tab, num) \
                   JOIN pg_attribute a ON a.attrelid = k.tab::oid AND a.attnum = k.num AND a.attnotnull";
        let found = session.client().query_one(sql, &[&list(&tables), &list(&numbers)]).await;
        let found: i64 = found.map_err(|error| Fault::Server(error, sql.to_owned()))?.get(0);
        Ok(usize::try_from(found).ok() != Some(key.len()))
    }
}

/// What the database says, and the statements.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) columns: Arc<[String]>,
    /// What an export makes of them.
    pub(super) meanings: Vec<Meaning>,
    kinds: Vec<Kind>,
    /// Names of the key columns, unquoted.
    pub(super) key: Vec<String>,
    key_kinds: Vec<Kind>,
    /// The types of lists of their values.
    key_types: Vec<String>,
    /// The key columns as a statement names them.
    key_columns: Vec<String>,
    /// What is selected: the key's columns, and then those of a row.
    list: String,
    from: String,
    table: Option<String>,
    /// The types of the relation's parameters.
    pub(super) times: Vec<Type>,
    /// A column of the key may be NULL.
    pub(super) may_be_null: bool,
}

impl Shape {
    /// A number of a parameter behind those of the relation.
    fn parameter(&self, position: usize) -> String {
        format!("${}", self.times.len() + position + 1)
    }

    /// The keyset statement; its parameters: the key after which, the key up to which, and the limit. Bounds are
    /// left out rather than made optional, so that an index serves.
    pub(super) fn page(&self, after: bool, until: bool) -> String {
        let width = self.key.len();
        let beyond = |wanted: bool, signs: [&str; 2], first: usize| {
            let bound = || bound(DIALECT, &self.key_columns, &signs, |part| self.parameter(first + part));
            wanted.then(bound)
        };
        let bounds =
            [beyond(after, [">", ">"], 0), beyond(until, ["<", "<="], if after { width } else { 0 })];
        let bounds: Vec<String> = bounds.into_iter().flatten().collect();
        let limit = self.parameter(width * bounds.len());
        let condition =
            if bounds.is_empty() { String::new() } else { format!(" WHERE {}", bounds.join(" AND ")) };
        let Self { list, from, key_columns, .. } = self;
        format!("SELECT {list} FROM {from}{condition} ORDER BY {} LIMIT {limit}", key_columns.join(", "))
    }

    /// Whether a row has no key.
    pub(super) fn nulls(&self) -> String {
        let nulls: Vec<String> = self.key_columns.iter().map(|column| format!("{column} IS NULL")).collect();
        format!("SELECT EXISTS (SELECT 1 FROM {} WHERE {})", self.from, nulls.join(" OR "))
    }

    pub(super) fn count(&self) -> String {
        format!("SELECT count(*) FROM {}", self.from)
    }

    /// All rows; its parameter: the limit.
    pub(super) fn all(&self) -> String {
        let Self { list, from, .. } = self;
        // A query has an order of its own.
        let order = if self.table.is_some() && !self.key.is_empty() {
            format!(" ORDER BY {}", self.key_columns.join(", "))
        } else {
            String::new()
        };
        format!("SELECT {list} FROM {from}{order} LIMIT {}", self.parameter(0))
    }

    /// The rows with keys of a list, each behind its place in the list; its parameters: the list, a column each.
    pub(super) fn again(&self) -> String {
        format!(
            "SELECT \"gulou_keys\".\"n\", {} FROM {} JOIN {} ON {}",
            self.list,
            self.keys(self.times.len(), ""),
            self.from,
            self.same_key()
        )
    }

    /// The places of keys whose rows match.
    pub(super) fn matching(&self) -> String {
        let keys = self.keys(self.times.len(), "");
        format!("SELECT \"gulou_keys\".\"n\" FROM {keys} JOIN {} ON {}", self.from, self.same_key())
    }

    /// The places of keys that rows of `table` have, whether they match or not.
    pub(super) fn existing(&self, table: &str) -> String {
        let keys = self.keys(0, "");
        format!(
            "SELECT \"gulou_keys\".\"n\" FROM {keys} JOIN {table} AS \"gulou_rows\" ON {}",
            self.same_key()
        )
    }

    /// A list of keys as a table with a column a part, one of errors if `more` says so, and their places from 1; the
    /// parameters begin behind `before` others.
    pub(super) fn keys(&self, before: usize, more: &str) -> String {
        let lists = self.key_types.iter().enumerate();
        let lists: Vec<String> =
            lists.map(|(part, kind)| format!("${}::{kind}", before + part + 1)).collect();
        let names: Vec<String> = (0..self.key.len()).map(|part| format!("\"key_{part}\"")).collect();
        let (more, error) = if more.is_empty() {
            (String::new(), "")
        } else {
            (format!(", ${}::{more}", before + self.key.len() + 1), ", \"error\"")
        };
        format!(
            "unnest({}{more}) WITH ORDINALITY AS \"gulou_keys\" ({}{error}, \"n\")",
            lists.join(", "),
            names.join(", ")
        )
    }

    /// A row and a key of the list belong together.
    pub(super) fn same_key(&self) -> String {
        let parts = self.key_columns.iter().enumerate();
        let parts: Vec<String> =
            parts.map(|(part, column)| format!("{column} = \"gulou_keys\".\"key_{part}\"")).collect();
        parts.join(" AND ")
    }

    /// Whether the key can be one of this source's.
    pub(super) fn fits(&self, key: &Key) -> bool {
        self.key_kinds.iter().zip(key.parts()).all(|(kind, part)| kind.may_be(part))
    }

    /// Reads the key that stands at the columns from `at` on.
    pub(super) fn read_key(&self, row: &PgRow, at: usize) -> Result<Key, Fault> {
        let part = |index: usize| {
            let raw: Option<Raw<'_>> = row.try_get(at + index).map_err(Fault::reading)?;
            value::part(self.key_kinds[index], raw)
                .map_err(|problem| Fault::Mismatch(format!("the key \"{}\" {problem}", self.key[index])))
        };
        match self.key.len() {
            1 => Ok(Key::One(part(0)?)),
            width => Ok(Key::Many((0..width).map(part).collect::<Result<_, _>>()?)),
        }
    }

    /// Reads the columns behind a key that stands at the columns from `at` on.
    pub(super) fn read_row(&self, row: &PgRow, at: usize) -> Result<Row, Fault> {
        let first = at + self.key.len();
        let value = |(index, kind): (usize, &Kind)| {
            let raw: Option<Raw<'_>> = row.try_get(first + index).map_err(Fault::reading)?;
            value::scalar(*kind, raw).map_err(|problem| {
                Fault::Mismatch(format!("the column \"{}\" {problem}", self.columns[index]))
            })
        };
        let values = self.kinds.iter().enumerate().map(value).collect::<Result<Vec<_>, _>>()?;
        Ok(Row { columns: Arc::clone(&self.columns), values })
    }

    /// What to say of a key that no row of this source can have.
    pub(super) fn misfit(&self, key: &Key) -> Fault {
        Fault::Mismatch(format!(
            "the ledger has the key {key} of this batch, which {} cannot hold; put the key back as it was, or give \
             the batch another id",
            named(&self.key)
        ))
    }
}

/// What the values of a type are in a spreadsheet.
fn meaning(kind: &Type) -> Meaning {
    match *kind {
        Type::NUMERIC => Meaning::Decimal,
        Type::DATE | Type::TIMESTAMP => Meaning::Local,
        Type::TIMESTAMPTZ => Meaning::Instant,
        _ => Meaning::Plain,
    }
}

/// A column of the relation.
fn of_row(name: &str) -> String {
    format!("\"gulou_rows\".{}", DIALECT.quote(name))
}

/// The type of a list of values.
fn array_of(kind: &Type) -> String {
    format!("{}[]", type_name(kind))
}

/// A type as a statement names it.
pub(super) fn type_name(kind: &Type) -> String {
    format!("{}.{}", DIALECT.quote(kind.schema()), DIALECT.quote(kind.name()))
}
