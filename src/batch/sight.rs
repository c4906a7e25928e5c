//! What can be seen of a batch without changing a byte: its rows, and what the ledger holds of them.

use std::collections::HashSet;

use super::BatchError;
use super::key::Key;
use super::preview::Occasion;
use super::source::{Moment, Source, Span};
use crate::db::{Access, Database};
use crate::run::Row;
use crate::settings::{BatchSettings, DatabaseSettings};
use crate::store::Reader;
use crate::store::ledger::Holdings;

/// Keys that are looked up at a time.
const GROUP: usize = 1000;

/// See the module.
pub(super) struct Sight {
    pub(super) source: Source,
    pub(super) holdings: Holdings,
    pub(super) moment: Moment,
}

impl Sight {
    /// A database file that does not exist is made in memory, if its settings say how. Blocks while it reads the ledger.
    pub(super) fn open(
        settings: &BatchSettings,
        database: &DatabaseSettings,
        state: Option<&Reader>,
        occasion: Occasion<'_>,
    ) -> Result<Self, BatchError> {
        let source = Source::new(settings, Database::new(database, Access::ReadOnly)?)?;
        let moment =
            Moment { fire_time: occasion.fire.fire_time, now: occasion.now, timezone: occasion.timezone };
        let holdings = match state {
            Some(state) => {
                state.holdings(&settings.id, settings.mark.is_some(), occasion.now.timestamp_millis())?
            }
            None => Holdings::default(),
        };
        Ok(Self { source, holdings, moment })
    }

    /// The first of these keys that has a row which matches.
    pub(super) async fn one(&self, keys: Vec<Key>) -> Result<Option<(Key, Row)>, BatchError> {
        let rows = self.source.again(keys.clone(), self.moment).await?;
        Ok(keys.into_iter().zip(rows).find_map(|(key, row)| Some((key, row?))))
    }

    /// The row that would be delivered first.
    pub(super) async fn first(&self) -> Result<Option<(Key, Row)>, BatchError> {
        let due = self.holdings.due.iter().take(GROUP).filter_map(|key| Key::decode(key)).collect();
        if let Some(found) = self.one(due).await? {
            return Ok(Some(found));
        }
        let held: HashSet<&str> = self.holdings.keys.iter().map(String::as_str).collect();
        let cursor = self.holdings.sweep.cursor.as_deref().and_then(Key::decode);
        let spans = match cursor {
            Some(cursor) => vec![
                Span { after: Some(cursor.clone()), until: None },
                Span { after: None, until: Some(cursor) },
            ],
            None => vec![Span::default()],
        };
        for mut span in spans {
            loop {
                let page = self.source.page(span.clone(), GROUP, self.moment).await?;
                span.after = page.rows.last().map(|row| row.key.clone()).or(span.after);
                let free = page.rows.into_iter().find(|row| !held.contains(row.key.encode().as_str()));
                if let Some(free) = free {
                    return Ok(Some((free.key, free.row)));
                }
                if !page.more {
                    break;
                }
            }
        }
        Ok(None)
    }

    /// All rows of a digest that the ledger does not hold.
    pub(super) async fn all(&self, max_rows: u32) -> Result<Vec<Row>, BatchError> {
        let rows = self.source.all(max_rows, self.moment).await?.into_iter();
        let free = rows
            .filter(|(key, _)| key.as_ref().is_none_or(|key| !self.holdings.keys.contains(&key.encode())));
        Ok(free.map(|(_, row)| row).collect())
    }
}
