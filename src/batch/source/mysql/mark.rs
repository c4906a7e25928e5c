//! Marks, in one transaction: many rows at once where all goes as it should, and one by one where it does not.

use std::collections::{HashMap, HashSet};

use mysql_async::Value;

use super::super::query::Update;
use super::values::{self, Kind, literal, parameter};
use super::{Facts, Rows, sets};
use crate::batch::key::Key;
use crate::batch::source::{Marked, Moment, ToMark};
use crate::db::mysql::{Fault, Session};
use crate::settings::MarkValue;
use crate::sql::Dialect;

/// What the marks of one call share.
struct Marking<'m> {
    rows: &'m Rows,
    facts: &'m Facts,
    kinds: Vec<Kind>,
    moment: &'m Moment,
}

impl Rows {
    pub(super) async fn write_marks(
        &self,
        session: &mut Session<'_>,
        rows: &[ToMark],
        moment: &Moment,
    ) -> Result<Vec<Marked>, Fault> {
        let facts = self.facts(session).await?;
        let (look, _) = sets::look(&self.queries, 1);
        let kinds = self.kinds(&session.prepare(&look).await?.columns())?;
        let marking = Marking { rows: self, facts, kinds, moment };
        session.order("START TRANSACTION").await?;
        let (failed, sent): (Vec<usize>, Vec<usize>) =
            (0..rows.len()).partition(|index| rows[*index].failure.is_some());
        let mut answers = vec![Marked::Vanished; rows.len()];
        for (places, update) in [(sent, &self.queries.sent), (failed, &self.queries.failed)] {
            for places in places.chunks(sets::LARGEST) {
                let Some(update) = update else {
                    return Err(Fault::Mismatch("the batch has no mark for this".to_owned()));
                };
                let group: Vec<&ToMark> = places.iter().map(|place| &rows[*place]).collect();
                for (place, marked) in places.iter().zip(marking.group(session, update, &group).await?) {
                    answers[*place] = marked;
                }
            }
        }
        session.order("COMMIT").await?;
        Ok(answers)
    }
}

impl Marking<'_> {
    async fn group(
        &self,
        session: &mut Session<'_>,
        update: &Update,
        rows: &[&ToMark],
    ) -> Result<Vec<Marked>, Fault> {
        let is_error = |value: &MarkValue| matches!(value, MarkValue::Parameter(name) if name == ":error");
        let alike = rows.iter().all(|row| row.failure.is_none()) || !update.values.iter().any(is_error);
        if alike
            && rows.len() > 1
            && let Some(marked) = self.together(session, update, rows).await?
        {
            return Ok(marked);
        }
        let mut answers = Vec::with_capacity(rows.len());
        for row in rows {
            answers.push(self.alone(session, update, row).await?);
        }
        Ok(answers)
    }

    /// Marks rows that are given the same values. None unless each key has found its own row and no other; then they
    /// are to be marked one by one, which changes nothing in those that are marked already.
    async fn together(
        &self,
        session: &mut Session<'_>,
        update: &Update,
        rows: &[&ToMark],
    ) -> Result<Option<Vec<Marked>>, Fault> {
        let keys: HashSet<&Key> = rows.iter().map(|row| &row.key).collect();
        let (sql, names) = sets::update(&self.rows.queries, update, rows.len());
        let values = self.bind(&names, update, rows)?;
        let statement = session.prepare(&sql).await?;
        if session.change(&statement, values).await? != keys.len() as u64 {
            return Ok(None);
        }
        let mut found = HashMap::with_capacity(rows.len());
        for (key, matches) in self.look(session, rows).await? {
            if !keys.contains(&key) || found.insert(key, matches).is_some() {
                return Ok(None);
            }
        }
        let answer = |row: &&ToMark| found.get(&row.key).map(|matches| answer(*matches));
        Ok(rows.iter().map(answer).collect())
    }

    async fn alone(&self, session: &mut Session<'_>, update: &Update, row: &ToMark) -> Result<Marked, Fault> {
        let rows = [row];
        let (sql, names) = Dialect::MySql.positional(&update.sql);
        let values = self.bind(&names, update, &rows)?;
        let statement = session.prepare(&sql).await?;
        let found = session.change(&statement, values).await?;
        if found > 1 {
            return Err(Fault::Mismatch(format!(
                "the key is not unique: the mark of {} changed {found} rows; nothing is marked",
                row.key
            )));
        }
        if found == 0 {
            return Ok(Marked::Vanished);
        }
        Ok(answer(self.look(session, &rows).await?.iter().any(|(_, matches)| *matches)))
    }

    /// Those of the rows there are, and whether they still match.
    async fn look(&self, session: &mut Session<'_>, rows: &[&ToMark]) -> Result<Vec<(Key, bool)>, Fault> {
        let (sql, names) = sets::look(&self.rows.queries, rows.len());
        let statement = session.prepare(&sql).await?;
        let own = sets::bind(&keys(rows), &self.kinds);
        let found = session.rows(&statement, values::bind(&names, self.moment, own)?).await?;
        let width = self.kinds.len();
        let read = |row| Ok((self.rows.key(row, &self.kinds)?, row.as_ref(width) == Some(&Value::Int(1))));
        found.iter().map(read).collect()
    }

    /// The values of an update's parameters: those of the first row for all.
    fn bind(&self, names: &[String], update: &Update, rows: &[&ToMark]) -> Result<Vec<Value>, Fault> {
        let failure = rows.first().and_then(|row| row.failure.as_deref());
        let values = update
            .values
            .iter()
            .zip(&update.columns)
            .map(|(value, column)| self.value(value, column, failure))
            .collect::<Result<Vec<_>, _>>()?;
        let mut key = sets::bind(&keys(rows), &self.kinds);
        let mut next = values.into_iter();
        values::bind(names, self.moment, |name| key(name).or_else(|| next.next()))
    }

    fn value(&self, value: &MarkValue, column: &str, failure: Option<&str>) -> Result<Value, Fault> {
        match value {
            MarkValue::Literal(value) => Ok(literal(value)),
            MarkValue::Parameter(name) if name == ":error" => {
                let room = self.facts.rooms.get(&column.to_lowercase());
                // A mark must not fail for ever because a message is long.
                let fitting = failure.map(|text| room.map_or_else(|| text.to_owned(), |room| room.fit(text)));
                Ok(fitting.map_or(Value::NULL, Value::from))
            }
            MarkValue::Parameter(name) => parameter(self.moment, name)
                .ok_or_else(|| Fault::Mismatch(format!("a mark cannot use {name}"))),
        }
    }
}

fn keys<'r>(rows: &[&'r ToMark]) -> Vec<&'r Key> {
    rows.iter().map(|row| &row.key).collect()
}

fn answer(matches: bool) -> Marked {
    if matches { Marked::Stuck } else { Marked::Done }
}
