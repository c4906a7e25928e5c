//! The batch as the engine sees it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::{BatchError, Deliver, Recovery};
use crate::clock::Clock;
use crate::db::sqlite::Database;
use crate::run::{Fire, Outcome, Preview, RunContext};
use crate::settings::{BatchSettings, DatabaseSettings};
use crate::store::{Reader, Store};

/// A batch, ready to run. One run of it at a time: a second one waits for the first.
#[derive(Debug)]
pub struct Batch<A> {
    settings: BatchSettings,
    database: Database,
    action: Arc<A>,
    store: Store,
    clock: Clock,
    timezone: Tz,
}

impl<A: Deliver> Batch<A> {
    /// Checks the settings; touches neither the database nor the state.
    ///
    /// `timezone` is that of the `_local` parameters.
    pub fn new(
        settings: &BatchSettings,
        database: Database,
        action: A,
        store: Store,
        clock: Clock,
        timezone: Tz,
    ) -> Result<Self, BatchError> {
        Ok(Self { settings: settings.clone(), database, action: Arc::new(action), store, clock, timezone })
    }

    /// Runs the batch for `fire` and accounts for every row it took.
    ///
    /// The result is the account: `selected`, `sent`, `failed`, `held`, `retrying`, `uncertain`,
    /// `vanished`, `remaining`, and beside it `pages`, `duration_ms` and `rate`.
    pub async fn run(&self, fire: &Fire, context: &RunContext) -> Outcome {
        let _ = (
            fire,
            context,
            &self.settings,
            &self.database,
            &self.action,
            &self.store,
            &self.clock,
            self.timezone,
        );
        Outcome::failed("not here yet")
    }

    /// Settles what a crash left: recorded rows are marked, rows without a record are held or
    /// delivered again as `on_uncertain` says. Called when the daemon starts; a run does it too.
    pub async fn recover(&self) -> Result<Recovery, BatchError> {
        Ok(Recovery::default())
    }

    /// When the first of the rows that wait for another try is due; none: no row waits.
    pub async fn next_retry_at(&self) -> Result<Option<DateTime<Utc>>, BatchError> {
        Ok(None)
    }
}

/// What a fire would do, found without changing a byte.
///
/// `state` is none when there is no state yet; `interval` is the time between fires, if it is
/// regular. Blocks: for one-shot use.
#[expect(clippy::too_many_arguments, reason = "all that a batch is made of")]
pub fn preview<A: Deliver>(
    settings: &BatchSettings,
    database: &DatabaseSettings,
    action: &A,
    state: Option<&Reader>,
    fire: &Fire,
    now: DateTime<Utc>,
    timezone: Tz,
    interval: Option<Duration>,
) -> Preview {
    let _ = (settings, database, action, state, fire, now, timezone, interval);
    Preview { lines: Vec::new(), data: serde_json::Value::Null, problem: None }
}
