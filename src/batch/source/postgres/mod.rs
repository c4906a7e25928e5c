//! A source in a PostgreSQL database. Rows are looked up and marked by the page: one statement for all keys.

mod mark;
mod shape;
mod stream;
mod value;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::MappedMutexGuard;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row as PgRow, Statement};

use self::mark::Marks;
use self::shape::{Outline, Shape};
use self::value::{Text, array, written};
use super::query::not_unique;
use super::{Key, Keyed, Marked, Moment, Page, Span, ToMark, too_many};
use crate::db::DbError;
use crate::db::postgres::{Database, Session, is_about_tables, is_in_the_way};
use crate::run::Row;
use crate::settings::BatchSettings;

/// How often a mark that met another transaction is tried.
const TRIES: u32 = 3;

/// The rows of a batch in a PostgreSQL database. The methods are those of [`super::Source`].
#[derive(Clone, Debug)]
pub(super) struct Rows {
    reading: Place,
    // A mark does not wait for a page that takes long to find.
    marking: Place,
    outline: Arc<Outline>,
    marks: Arc<Marks>,
}

/// A connection, and what was seen over it.
#[derive(Clone, Debug)]
struct Place {
    database: Database,
    shape: Arc<Mutex<Option<Arc<Shape>>>>,
}

/// What went wrong.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server refused the statement, or is gone.
    Server(tokio_postgres::Error, String),
    /// What was asked does not fit the tables.
    Mismatch(String),
}

impl Fault {
    fn reading(error: tokio_postgres::Error) -> Self {
        Self::Server(error, String::new())
    }
}

/// The session, and what is known of the source.
struct Turn<'p> {
    session: MappedMutexGuard<'p, Session>,
    shape: Arc<Shape>,
    /// It was known before.
    was_known: bool,
}

impl Rows {
    pub(super) fn new(settings: &BatchSettings, database: Database) -> Self {
        let marking = Place { database: database.another(), shape: Arc::default() };
        Self {
            reading: Place { database, shape: Arc::default() },
            marking,
            outline: Arc::new(Outline::new(settings)),
            marks: Arc::new(Marks::new(settings)),
        }
    }

    pub(super) async fn page(&self, span: Span, limit: usize, moment: Moment) -> Result<Page, DbError> {
        let mut tries = 0;
        loop {
            let mut turn = self.reading.turn(&self.outline).await?;
            match turn.page(&self.outline, &span, limit, &moment).await {
                Ok(page) => return Ok(page),
                Err(fault) => self.reading.judge(turn, &fault, &mut tries)?,
            }
        }
    }

    pub(super) async fn again(&self, keys: Vec<Key>, moment: Moment) -> Result<Vec<Option<Row>>, DbError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut tries = 0;
        loop {
            let mut turn = self.reading.turn(&self.outline).await?;
            match turn.again(&self.outline, &keys, &moment).await {
                Ok(rows) => return Ok(rows),
                Err(fault) => self.reading.judge(turn, &fault, &mut tries)?,
            }
        }
    }

    pub(super) async fn mark(&self, rows: Vec<ToMark>, moment: Moment) -> Result<Vec<Marked>, DbError> {
        let mut tries = 0;
        loop {
            let mut turn = self.marking.turn(&self.outline).await?;
            match turn.mark(&self.outline, &self.marks, &rows, &moment).await {
                Ok(marked) => return Ok(marked),
                Err(fault) => self.marking.judge(turn, &fault, &mut tries)?,
            }
        }
    }

    pub(super) async fn count(&self, moment: Moment) -> Result<u64, DbError> {
        let mut tries = 0;
        loop {
            let mut turn = self.reading.turn(&self.outline).await?;
            match turn.count(&self.outline, &moment).await {
                Ok(count) => return Ok(count),
                Err(fault) => self.reading.judge(turn, &fault, &mut tries)?,
            }
        }
    }

    pub(super) async fn all(&self, limit: u32, moment: Moment) -> Result<Vec<(Option<Key>, Row)>, DbError> {
        let mut tries = 0;
        loop {
            let mut turn = self.reading.turn(&self.outline).await?;
            match turn.all(&self.outline, limit, &moment).await {
                Ok(rows) => return Ok(rows),
                Err(fault) => self.reading.judge(turn, &fault, &mut tries)?,
            }
        }
    }
}

impl Place {
    async fn turn(&self, outline: &Outline) -> Result<Turn<'_>, DbError> {
        let mut session = self.database.session().await?;
        let known = self.known().clone();
        let was_known = known.is_some();
        let shape = match known {
            Some(shape) => shape,
            None => match outline.look(&mut session).await {
                Ok(shape) => Arc::clone(self.known().insert(Arc::new(shape))),
                Err(fault) => return Err(self.say(&fault)),
            },
        };
        Ok(Turn { session, shape, was_known })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<Arc<Shape>>> {
        self.shape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the fault is one that another try may mend; otherwise what to say.
    fn judge(&self, mut turn: Turn<'_>, fault: &Fault, tries: &mut u32) -> Result<(), DbError> {
        *tries += 1;
        let Fault::Server(error, _) = fault else { return Err(self.say(fault)) };
        // Somebody may have changed the table since it was looked at.
        turn.session.forget();
        *self.known() = None;
        let mendable = (turn.was_known && is_about_tables(error)) || (is_in_the_way(error) && *tries < TRIES);
        if mendable { Ok(()) } else { Err(self.say(fault)) }
    }

    fn say(&self, fault: &Fault) -> DbError {
        match fault {
            Fault::Server(error, sql) => self.database.fault(error, sql),
            Fault::Mismatch(what) => DbError::Mismatch(what.clone()),
        }
    }
}

impl Turn<'_> {
    async fn page(
        &mut self,
        outline: &Outline,
        span: &Span,
        limit: usize,
        moment: &Moment,
    ) -> Result<Page, Fault> {
        let shape = Arc::clone(&self.shape);
        if let Some(key) = span.after.iter().chain(&span.until).find(|key| !shape.fits(key)) {
            return Err(shape.misfit(key));
        }
        let begins = span.after.is_none() && span.until.is_none();
        if begins && shape.may_be_null {
            // They come last in the order of the key, and no page would ever get there.
            let found = self.ask(outline, &shape.nulls(), moment, Vec::new()).await?;
            if found.first().is_some_and(|row| row.get(0)) {
                let key = super::query::named(&shape.key);
                return Err(Fault::Mismatch(format!(
                    "the key {key} is NULL in a row; a key must be not null and unique"
                )));
            }
        }
        let sql = shape.page(span.after.is_some(), span.until.is_some());
        let bounds = span.after.iter().chain(&span.until).flat_map(Key::parts);
        let mut own: Vec<Text<'_>> = bounds.map(|part| Text(Some(written(part)))).collect();
        // One more than asked for tells whether there are more, and whether the key repeats at the border.
        own.push(Text::owned(limit.saturating_add(1).to_string()));
        let rows = self.ask(outline, &sql, moment, own).await?;
        let mut read: Vec<Keyed> = Vec::with_capacity(rows.len());
        for row in &rows {
            let key = shape.read_key(row, 0)?;
            if read.last().is_some_and(|last| last.key == key) {
                return Err(Fault::Mismatch(not_unique(&shape.key, &key)));
            }
            read.push(Keyed { key, row: shape.read_row(row, 0)? });
        }
        let more = read.len() > limit;
        read.truncate(limit);
        Ok(Page { rows: read, more })
    }

    async fn again(
        &mut self,
        outline: &Outline,
        keys: &[Key],
        moment: &Moment,
    ) -> Result<Vec<Option<Row>>, Fault> {
        let shape = Arc::clone(&self.shape);
        let mut answers = vec![None; keys.len()];
        // A key of another kind is in no row.
        let (places, keys): (Vec<usize>, Vec<&Key>) =
            keys.iter().enumerate().filter(|(_, key)| shape.fits(key)).unzip();
        for row in self.ask(outline, &shape.again(), moment, lists(&shape, &keys)).await? {
            if let Some(place) = place_of(&row).and_then(|place| places.get(place)) {
                answers[*place] = Some(shape.read_row(&row, 1)?);
            }
        }
        Ok(answers)
    }

    async fn count(&mut self, outline: &Outline, moment: &Moment) -> Result<u64, Fault> {
        let sql = self.shape.count();
        let rows = self.ask(outline, &sql, moment, Vec::new()).await?;
        Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0)).unsigned_abs())
    }

    async fn all(
        &mut self,
        outline: &Outline,
        limit: u32,
        moment: &Moment,
    ) -> Result<Vec<(Option<Key>, Row)>, Fault> {
        let shape = Arc::clone(&self.shape);
        let own = vec![Text::owned((u64::from(limit) + 1).to_string())];
        let rows = self.ask(outline, &shape.all(), moment, own).await?;
        if rows.len() > limit as usize {
            return Err(Fault::Mismatch(too_many(limit)));
        }
        let read = |row: &PgRow| {
            let key = if shape.key.is_empty() { None } else { Some(shape.read_key(row, 0)?) };
            Ok((key, shape.read_row(row, 0)?))
        };
        rows.iter().map(read).collect()
    }

    /// Asks about the relation: its times come first, and then the statement's `own` parameters.
    async fn ask(
        &mut self,
        outline: &Outline,
        sql: &str,
        moment: &Moment,
        own: Vec<Text<'_>>,
    ) -> Result<Vec<PgRow>, Fault> {
        let statement = prepare(&mut self.session, &self.shape, sql).await?;
        let parameters = parameters(outline, &self.shape, moment, own)?;
        let rows = self.session.client().query(&statement, &borrowed(&parameters)).await;
        rows.map_err(|error| Fault::Server(error, sql.to_owned()))
    }
}

async fn prepare(session: &mut Session, shape: &Shape, sql: &str) -> Result<Statement, Fault> {
    session.prepare(sql, &shape.times).await.map_err(|error| Fault::Server(error, sql.to_owned()))
}

/// The parameters of a statement about the relation.
fn parameters<'o>(
    outline: &Outline,
    shape: &Shape,
    moment: &Moment,
    own: Vec<Text<'o>>,
) -> Result<Vec<Text<'o>>, Fault> {
    let times = outline.times.iter().zip(&shape.times);
    let times = times.map(|(name, kind)| value::time(moment, name, kind).map(Text::owned));
    let mut all = times.collect::<Result<Vec<_>, _>>().map_err(Fault::Mismatch)?;
    all.extend(own);
    Ok(all)
}

fn borrowed<'p>(parameters: &'p [Text<'_>]) -> Vec<&'p (dyn ToSql + Sync)> {
    parameters.iter().map(|text| text as &(dyn ToSql + Sync)).collect()
}

/// The keys as a list for each of their columns.
fn lists(shape: &Shape, keys: &[&Key]) -> Vec<Text<'static>> {
    let column = |part: usize| array(keys.iter().map(|key| written(&key.parts()[part])));
    (0..shape.key.len()).map(|part| Text::owned(column(part))).collect()
}

/// The place, from 0, in the list of keys.
fn place_of(row: &PgRow) -> Option<usize> {
    usize::try_from(row.get::<_, i64>(0)).ok()?.checked_sub(1)
}
