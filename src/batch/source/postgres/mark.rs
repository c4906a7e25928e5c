//! Marking rows of a PostgreSQL table.

use std::borrow::Cow;
use std::sync::Arc;

use tokio_postgres::types::Type;
use tokio_postgres::{Column, Statement};

use super::shape::{Outline, Shape, type_name};
use super::value::{self, Text, array};
use super::{Fault, Turn, borrowed, lists, parameters, place_of, prepare};
use crate::batch::source::{Key, Marked, Moment, ToMark};
use crate::settings::{BatchSettings, MarkValue};
use crate::sql::Dialect;

/// What marks write.
#[derive(Debug)]
pub(super) struct Marks {
    sent: Option<Vec<(String, MarkValue)>>,
    failed: Option<Vec<(String, MarkValue)>>,
}

impl Marks {
    pub(super) fn new(settings: &BatchSettings) -> Self {
        let mark = settings.mark.as_ref();
        Self { sent: mark.map(|mark| mark.sent.clone()), failed: mark.and_then(|mark| mark.failed.clone()) }
    }
}

/// An `UPDATE` of all rows whose keys are in a list.
struct Update<'m> {
    sql: String,
    statement: Statement,
    columns: &'m [(String, MarkValue)],
    /// So many characters of an error have room; none: all.
    room: Option<usize>,
    with_error: bool,
}

/// Everything that a mark's transaction does, prepared before it begins.
struct Plan<'m> {
    sent: Option<Update<'m>>,
    failed: Option<Update<'m>>,
    existing: (String, Statement),
    matching: (String, Statement),
}

impl Turn<'_> {
    pub(super) async fn mark(
        &mut self,
        outline: &Outline,
        marks: &Marks,
        rows: &[ToMark],
        moment: &Moment,
    ) -> Result<Vec<Marked>, Fault> {
        let shape = Arc::clone(&self.shape);
        if let Some(row) = rows.iter().find(|row| !shape.fits(&row.key)) {
            return Err(shape.misfit(&row.key));
        }
        let plan = self.plan(outline, &shape, marks, rows).await?;
        let server = |sql: &str| {
            let sql = sql.to_owned();
            move |error| Fault::Server(error, sql)
        };
        let transaction = self.session.begin().await.map_err(server("BEGIN"))?;
        let mut changes = vec![0_u32; rows.len()];
        for (update, is_failed) in [(&plan.sent, false), (&plan.failed, true)] {
            let group = rows.iter().enumerate().filter(|(_, row)| row.failure.is_some() == is_failed);
            let (places, group): (Vec<usize>, Vec<&ToMark>) = group.unzip();
            let Some(update) = update.as_ref().filter(|_| !group.is_empty()) else { continue };
            let parameters = update.parameters(&shape, &group, moment)?;
            let found = transaction.query(&update.statement, &borrowed(&parameters)).await;
            for row in found.map_err(server(&update.sql))? {
                if let Some(place) = place_of(&row).and_then(|place| places.get(place)) {
                    changes[*place] += 1;
                }
            }
        }
        if let Some(place) = changes.iter().position(|changes| *changes > 1) {
            return Err(Fault::Mismatch(format!(
                "the key is not unique: the mark of {} changed {} rows; nothing is marked",
                rows[place].key, changes[place]
            )));
        }
        let mut marked: Vec<Marked> = changes
            .iter()
            .map(|changes| if *changes == 0 { Marked::Vanished } else { Marked::Done })
            .collect();
        // A rule or trigger may have done the change without being counted.
        let unchanged = changes.iter().enumerate().filter(|(_, changes)| **changes == 0);
        let (places, keys): (Vec<usize>, Vec<&Key>) =
            unchanged.map(|(place, _)| (place, &rows[place].key)).unzip();
        if !keys.is_empty() {
            let (sql, statement) = &plan.existing;
            let found = transaction.query(statement, &borrowed(&lists(&shape, &keys))).await;
            for row in found.map_err(server(sql))? {
                if let Some(place) = place_of(&row).and_then(|place| places.get(place)) {
                    marked[*place] = Marked::Done;
                }
            }
        }
        let keys: Vec<&Key> = rows.iter().map(|row| &row.key).collect();
        let (sql, statement) = &plan.matching;
        let parameters = parameters(outline, &shape, moment, lists(&shape, &keys))?;
        let found = transaction.query(statement, &borrowed(&parameters)).await;
        for row in found.map_err(server(sql))? {
            if let Some(marked) = place_of(&row).and_then(|place| marked.get_mut(place)) {
                *marked = Marked::Stuck;
            }
        }
        transaction.commit().await.map_err(server("COMMIT"))?;
        Ok(marked)
    }

    async fn plan<'m>(
        &mut self,
        outline: &Outline,
        shape: &Shape,
        marks: &'m Marks,
        rows: &[ToMark],
    ) -> Result<Plan<'m>, Fault> {
        let impossible = || Fault::Mismatch("the batch has no mark for this".to_owned());
        let table = outline.table.as_deref().ok_or_else(impossible)?;
        let mut updates = [None, None];
        for (update, columns, is_failed) in [(0, &marks.sent, false), (1, &marks.failed, true)] {
            if rows.iter().any(|row| row.failure.is_some() == is_failed) {
                let columns = columns.as_deref().ok_or_else(impossible)?;
                updates[update] = Some(self.update(shape, table, columns).await?);
            }
        }
        let [sent, failed] = updates;
        let existing = shape.existing(table);
        let statement = self.session.prepare(&existing, &[]).await;
        let statement = statement.map_err(|error| Fault::Server(error, existing.clone()))?;
        let matching = shape.matching();
        let last = prepare(&mut self.session, shape, &matching).await?;
        Ok(Plan { sent, failed, existing: (existing, statement), matching: (matching, last) })
    }

    async fn update<'m>(
        &mut self,
        shape: &Shape,
        table: &str,
        columns: &'m [(String, MarkValue)],
    ) -> Result<Update<'m>, Fault> {
        let with_error = columns.iter().any(|(_, value)| is_error(value));
        // The keys and the error come first, because the values have as many parameters as there are columns.
        let before = shape.key.len() + usize::from(with_error);
        let described = if with_error { Some(self.error_columns(table, columns).await?) } else { None };
        let mut set = Vec::with_capacity(columns.len());
        let mut number = before;
        for (position, (column, value)) in columns.iter().enumerate() {
            let name = Dialect::Postgres.quote(column);
            if is_error(value) {
                let kind = described.as_ref().and_then(|described| described.columns().get(position));
                let kind = kind.map_or_else(|| type_name(&Type::TEXT), |column| type_name(column.type_()));
                set.push(format!("{name} = \"gulou_keys\".\"error\"::{kind}"));
            } else {
                number += 1;
                set.push(format!("{name} = ${number}"));
            }
        }
        let keys = shape.keys(0, if with_error { "text[]" } else { "" });
        let sql = format!(
            "UPDATE {table} AS \"gulou_rows\" SET {} FROM {keys} WHERE {} RETURNING \"gulou_keys\".\"n\"",
            set.join(", "),
            shape.same_key()
        );
        let statement = self.session.prepare(&sql, &[]).await;
        let statement = statement.map_err(|error| Fault::Server(error, sql.clone()))?;
        let errors = described.as_ref().map_or(&[][..], Statement::columns);
        let errors = errors.iter().zip(columns).filter(|(_, (_, value))| is_error(value));
        let room = errors.filter_map(|(column, _)| room(column)).min();
        Ok(Update { sql, statement, columns, room, with_error })
    }

    /// The columns of a mark that writes errors.
    async fn error_columns(
        &mut self,
        table: &str,
        columns: &[(String, MarkValue)],
    ) -> Result<Statement, Fault> {
        let names: Vec<String> = columns.iter().map(|(column, _)| Dialect::Postgres.quote(column)).collect();
        let sql = format!("SELECT {} FROM {table}", names.join(", "));
        let described = self.session.prepare(&sql, &[]).await;
        described.map_err(|error| Fault::Server(error, sql))
    }
}

impl Update<'_> {
    fn parameters(&self, shape: &Shape, rows: &[&ToMark], moment: &Moment) -> Result<Vec<Text<'_>>, Fault> {
        let keys: Vec<&Key> = rows.iter().map(|row| &row.key).collect();
        let mut all: Vec<Text<'_>> = lists(shape, &keys);
        if self.with_error {
            let errors = rows.iter().map(|row| self.fitted(row.failure.as_deref().unwrap_or_default()));
            all.push(Text::owned(array(errors)));
        }
        for (_, value) in self.columns {
            let kind = self.statement.params().get(all.len()).unwrap_or(&Type::TEXT);
            all.push(match value {
                value if is_error(value) => continue,
                MarkValue::Parameter(name) => {
                    Text::owned(value::time(moment, name, kind).map_err(Fault::Mismatch)?)
                }
                MarkValue::Literal(value) => value::literal(value, kind),
            });
        }
        Ok(all)
    }

    /// As much of an error as its column holds: a mark must not fail because a server talks much.
    fn fitted<'e>(&self, error: &'e str) -> Cow<'e, str> {
        let error: Cow<'e, str> =
            if error.contains('\0') { error.replace('\0', "").into() } else { error.into() };
        match self.room {
            Some(room) if error.chars().count() > room => error.chars().take(room).collect::<String>().into(),
            _ => error,
        }
    }
}

fn is_error(value: &MarkValue) -> bool {
    matches!(value, MarkValue::Parameter(name) if name == ":error")
}

/// How many characters a column holds, if it is bounded.
fn room(column: &Column) -> Option<usize> {
    let bounded = [Type::VARCHAR, Type::BPCHAR].contains(column.type_());
    // The server counts its own header in (https://www.postgresql.org/docs/current/catalog-pg-attribute.html).
    usize::try_from(column.type_modifier()).ok().filter(|_| bounded)?.checked_sub(4)
}
