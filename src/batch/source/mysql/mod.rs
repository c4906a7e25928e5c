//! A source on a MySQL or MariaDB server.

mod mark;
mod sets;
mod stream;
mod values;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mysql_async::{Row as SqlRow, Value};
use tokio::sync::OnceCell;

use self::values::Kind;
use super::query::{self, Queries};
use super::{Key, Keyed, Marked, Moment, Page, Span, ToMark, too_many};
use crate::db::DbError;
use crate::db::mysql::{Database, Fault, Room, Session, careless};
use crate::run::Row;
use crate::settings::{BatchSettings, Relation};
use crate::sql::Dialect;

/// The rows of a batch on a server. The methods are those of [`super::Source`].
#[derive(Clone, Debug)]
pub(super) struct Rows {
    reading: Database,
    /// Of its own, so that marks do not wait for pages.
    marking: Database,
    queries: Arc<Queries>,
    /// The table, when its rows are marked.
    marked: Option<Arc<str>>,
    facts: Arc<OnceCell<Facts>>,
}

/// What marks must know of their table.
#[derive(Debug, Default)]
struct Facts {
    /// The room in its text columns, by their names in lower case.
    rooms: BTreeMap<String, Room>,
}

/// Works with a session until it succeeds, or is not worth another try.
macro_rules! work {
    ($database:expr, |$session:ident| $work:expr) => {{
        let mut tries = $database.tries();
        loop {
            let mut session = tries.session().await?;
            let $session = &mut session;
            let result = $work.await;
            if let Some(settled) = tries.settle(session, result).await {
                break settled;
            }
        }
    }};
}

impl Rows {
    pub(super) fn new(settings: &BatchSettings, database: Database) -> Self {
        let marked = match &settings.source.relation {
            Relation::Table { name, .. } if settings.mark.is_some() => Some(name.as_str().into()),
            _ => None,
        };
        Self {
            marking: database.another(),
            reading: database,
            queries: Arc::new(Queries::new(settings, Dialect::MySql)),
            marked,
            facts: Arc::default(),
        }
    }

    pub(super) async fn page(&self, span: Span, limit: usize, moment: Moment) -> Result<Page, DbError> {
        work!(self.reading, |session| self.read_page(session, &span, limit, &moment))
    }

    pub(super) async fn again(&self, keys: Vec<Key>, moment: Moment) -> Result<Vec<Option<Row>>, DbError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        work!(self.reading, |session| self.read_again(session, &keys, &moment))
    }

    pub(super) async fn count(&self, moment: Moment) -> Result<u64, DbError> {
        work!(self.reading, |session| self.read_count(session, &moment))
    }

    pub(super) async fn all(&self, limit: u32, moment: Moment) -> Result<Vec<(Option<Key>, Row)>, DbError> {
        work!(self.reading, |session| self.read_all(session, limit, &moment))
    }

    pub(super) async fn mark(&self, rows: Vec<ToMark>, moment: Moment) -> Result<Vec<Marked>, DbError> {
        work!(self.marking, |session| self.write_marks(session, &rows, &moment))
    }

    /// What marks must know; an error, before anything is delivered, when they cannot be made.
    async fn facts(&self, session: &mut Session<'_>) -> Result<&Facts, Fault> {
        let look = async {
            let Some(table) = &self.marked else { return Ok(Facts::default()) };
            if let Some(engine) = session.careless_engine(table).await? {
                return Err(Fault::Mismatch(careless(table, &engine)));
            }
            if let Some(problem) = session.careless_commits().await? {
                tracing::warn!("{problem}");
            }
            Ok(Facts { rooms: session.rooms(table).await? })
        };
        self.facts.get_or_try_init(|| look).await
    }

    async fn read_page(
        &self,
        session: &mut Session<'_>,
        span: &Span,
        limit: usize,
        moment: &Moment,
    ) -> Result<Page, Fault> {
        self.facts(session).await?;
        let sql = self.queries.page(span.after.is_some(), span.until.is_some());
        let (sql, names) = Dialect::MySql.positional(&sql);
        let statement = session.prepare(&sql).await?;
        let columns = statement.columns();
        let kinds = self.kinds(&columns)?;
        // One more than asked for tells whether there are more, and whether the key repeats at the border.
        let mut own = vec![(query::LIMIT.to_owned(), Value::from(limit.saturating_add(1)))];
        for (key, parameter) in [
            (&span.after, query::after_parameter as fn(usize) -> String),
            (&span.until, query::until_parameter),
        ] {
            let parts = key.iter().flat_map(Key::parts).zip(&kinds).enumerate();
            own.extend(parts.map(|(index, (part, kind))| (parameter(index), kind.bind(part))));
        }
        let own = |name: &str| own.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
        let found = session.rows(&statement, values::bind(&names, moment, own)?).await?;
        let names = self.names(&found);
        let mut rows: Vec<Keyed> = Vec::with_capacity(found.len());
        for row in found {
            let key = self.key(&row, &kinds)?;
            if rows.last().is_some_and(|last| last.key == key) {
                return Err(Fault::Mismatch(query::not_unique(&self.queries.key, &key)));
            }
            rows.push(Keyed { key, row: values::row(&row, &names, self.width()) });
        }
        let more = rows.len() > limit;
        rows.truncate(limit);
        Ok(Page { rows, more })
    }

    async fn read_again(
        &self,
        session: &mut Session<'_>,
        keys: &[Key],
        moment: &Moment,
    ) -> Result<Vec<Option<Row>>, Fault> {
        let mut found = HashMap::with_capacity(keys.len());
        let each: Vec<&Key> = keys.iter().collect();
        for keys in each.chunks(sets::LARGEST) {
            let (sql, names) = sets::again(&self.queries, keys.len());
            let statement = session.prepare(&sql).await?;
            let columns = statement.columns();
            let kinds = self.kinds(&columns)?;
            let own = sets::bind(keys, &kinds);
            let rows = session.rows(&statement, values::bind(&names, moment, own)?).await?;
            let names = self.names(&rows);
            for row in rows {
                found.insert(self.key(&row, &kinds)?, values::row(&row, &names, self.width()));
            }
        }
        // What the server takes for the same key, as `a` for `A`, is another row to the ledger: its page brings it.
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    async fn read_count(&self, session: &mut Session<'_>, moment: &Moment) -> Result<u64, Fault> {
        let (sql, names) = Dialect::MySql.positional(&self.queries.count);
        let statement = session.prepare(&sql).await?;
        let rows = session.rows(&statement, values::bind(&names, moment, |_| None)?).await?;
        Ok(match rows.first().and_then(|row| row.as_ref(0)) {
            Some(Value::Int(count)) => count.unsigned_abs(),
            Some(Value::UInt(count)) => *count,
            _ => 0,
        })
    }

    async fn read_all(
        &self,
        session: &mut Session<'_>,
        limit: u32,
        moment: &Moment,
    ) -> Result<Vec<(Option<Key>, Row)>, Fault> {
        self.facts(session).await?;
        let (sql, names) = Dialect::MySql.positional(&self.queries.all);
        let statement = session.prepare(&sql).await?;
        let values = values::bind(&names, moment, |_| None)?;
        // One more than allowed tells that there are too many, without reading them all.
        session.order(&format!("SET SESSION sql_select_limit = {}", u64::from(limit) + 1)).await?;
        let found = session.rows(&statement, values).await;
        session.order("SET SESSION sql_select_limit = DEFAULT").await?;
        let found = found?;
        if found.len() > limit as usize {
            return Err(Fault::Mismatch(too_many(limit)));
        }
        let columns =
            found.first().map_or_else(|| statement.columns().to_vec(), |row| row.columns_ref().to_vec());
        let names_of_columns: Arc<[String]> = columns.iter().map(|column| column.name_str().into()).collect();
        let place = |name: &String| {
            names_of_columns.iter().position(|column| column == name).ok_or_else(|| {
                let all = names_of_columns.join(", ");
                Fault::Mismatch(format!("the key \"{name}\" is not among the columns {all}"))
            })
        };
        let places = self.queries.key.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let kinds = places
            .iter()
            .zip(&self.queries.key)
            .map(|(place, name)| Kind::of_key(name, &columns[*place]))
            .collect::<Result<Vec<_>, _>>()?;
        found
            .iter()
            .map(|row| {
                let parts = kinds.iter().zip(&places).zip(&self.queries.key);
                let parts = parts.map(|((kind, place), name)| kind.read(name, row.as_ref(*place)));
                Ok((Key::new(parts.collect::<Result<_, _>>()?), values::row(row, &names_of_columns, 0)))
            })
            .collect()
    }

    fn width(&self) -> usize {
        self.queries.key.len()
    }

    /// How the key columns, which stand in front, are read and bound.
    fn kinds(&self, columns: &[mysql_async::Column]) -> Result<Vec<Kind>, Fault> {
        self.queries.key.iter().zip(columns).map(|(name, column)| Kind::of_key(name, column)).collect()
    }

    fn key(&self, row: &SqlRow, kinds: &[Kind]) -> Result<Key, Fault> {
        let part = |index: usize| kinds[index].read(&self.queries.key[index], row.as_ref(index));
        match kinds.len() {
            1 => Ok(Key::One(part(0)?)),
            width => Ok(Key::Many((0..width).map(part).collect::<Result<_, _>>()?)),
        }
    }

    /// The columns behind the key, as they are now: the statement may be older than they.
    fn names(&self, rows: &[SqlRow]) -> Arc<[String]> {
        let columns = rows.first().map_or(&[][..], SqlRow::columns_ref);
        columns.iter().skip(self.width()).map(|column| column.name_str().into_owned()).collect()
    }
}
