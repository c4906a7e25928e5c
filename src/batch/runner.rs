//! The batch as the engine sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use tokio::sync::{Mutex, MutexGuard, TryLockError};

use super::action::RowAction;
use super::deliver::Deliver;
use super::digest;
use super::errors::Errors;
use super::export;
use super::flow::{Ended, Flow};
use super::job::{Job, is_lane_run};
use super::ledger::Ledger;
use super::pace::Pacer;
use super::recover::{Recovery, settle};
use super::source::Source;
use super::ticket::Rules;
use super::{BatchError, account::Account};
use crate::clock::Clock;
use crate::db::Database;
use crate::run::{Fire, Outcome, RunContext, Stream};
use crate::settings::{ActionSettings, BatchSettings, Pages};
use crate::store::Store;

/// A batch, ready to run. One run of it at a time: a second one waits for the first.
#[derive(Debug)]
pub struct Batch<A = RowAction> {
    pub(super) job: Arc<Job<A>>,
    pub(super) line: Line,
    store: Store,
    pacer: Mutex<Pacer>,
}

/// Where runs of a batch wait for each other. All versions of a batch (of one id, that is) in one process must share one:
/// a run that begins would take the reservations of another that is under way for what a crash left.
///
/// The number counts runs that stopped because others would fare alike: who waited behind one does not begin.
#[derive(Clone, Debug, Default)]
pub struct Line(Arc<Mutex<Turn>>, Arc<AtomicU64>);

/// What passes from run to run.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Nothing is left in the ledger that must be settled before a run.
    pub(super) clean: bool,
    errors: Errors,
}

impl Line {
    /// None while a run is under way, or waits.
    pub(super) fn try_lock(&self) -> Result<MutexGuard<'_, Turn>, TryLockError> {
        self.0.try_lock()
    }
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
        let walk_on = matches!(settings.pages, Pages::Count(_));
        let digest = matches!(settings.action, ActionSettings::Digest { .. } | ActionSettings::Export(_));
        let job = Job {
            source: Source::new(settings, database)?,
            ledger: Ledger::new(store.clone(), &settings.id, settings.mark.is_some(), walk_on && !digest),
            rules: Rules::new(settings.mark.as_ref(), settings.on_uncertain),
            settings: settings.clone(),
            action: Arc::new(action),
            clock,
            timezone,
        };
        let pacer = Mutex::new(Pacer::new(settings.rate));
        Ok(Self { job: Arc::new(job), line: Line::default(), store, pacer })
    }

    /// What names it in the ledger.
    pub fn id(&self) -> &str {
        &self.job.settings.id
    }

    /// The same batch, whose runs wait for those of others in `line`.
    #[must_use]
    pub fn in_line(self, line: Line) -> Self {
        Self { line, ..self }
    }

    /// Runs the batch for `fire` and accounts for every row it took. With the reason [`Reason::Retry`](crate::run::Reason::Retry) it delivers what is due
    /// of the retry lane, and nothing else.
    ///
    /// The result is the account: `selected`, `sent`, `failed`, `held`, `retrying`, `uncertain`,
    /// `vanished`, `remaining` (null: not counted), and beside it `pages`, `duration_ms` and `rate` (rows a second).
    pub async fn run(&self, fire: &Fire, context: &RunContext) -> Outcome {
        let before = self.line.1.load(Ordering::SeqCst);
        let mut turn = tokio::select! {
            biased;
            turn = self.line.0.lock() => turn,
            () = context.abort.cancelled() => return Outcome::interrupted("stopped before it began"),
            () = context.drain.cancelled() => return Outcome::interrupted("stopped before it began"),
        };
        if self.line.1.load(Ordering::SeqCst) != before {
            return Outcome::interrupted("the run before it stopped, because others would fare alike");
        }
        let outcome = match self.run_in_turn(fire, context, &mut turn).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::failed(error.to_string()),
        };
        if outcome.pause {
            self.line.1.fetch_add(1, Ordering::SeqCst);
        }
        if let Some(message) = outcome.message.as_ref().filter(|_| !outcome.idle) {
            context.output.line(Stream::System, message);
        }
        outcome
    }

    async fn run_in_turn(
        &self,
        fire: &Fire,
        context: &RunContext,
        turn: &mut Turn,
    ) -> Result<Outcome, BatchError> {
        if !turn.clean {
            let recovery = settle(&self.job).await?;
            note(context, &recovery);
        }
        // A run that is dropped half-way leaves its reservations behind.
        turn.clean = false;
        let scope = if is_lane_run(fire) {
            self.job.ledger.begin_lane().await?
        } else {
            Some(self.job.ledger.begin(fire).await?)
        };
        let Some(scope) = scope else {
            turn.clean = true;
            let result = Account::default().to_json(std::time::Duration::ZERO);
            return Ok(Outcome { idle: true, ..Outcome::succeeded(Some(result)) });
        };
        if scope.done {
            turn.clean = true;
            let result = Account::default().to_json(std::time::Duration::ZERO);
            let message = "this fire's work was done before".to_owned();
            return Ok(Outcome { message: Some(message), ..Outcome::succeeded(Some(result)) });
        }
        let Ended { outcome, clean } = match &self.job.settings.action {
            ActionSettings::Mail(_)
            | ActionSettings::Http(_)
            | ActionSettings::WecomRobot(_)
            | ActionSettings::Wechat(_) => {
                let mut pacer = self.pacer.lock().await;
                Flow::new(&self.job, fire, context, (&mut pacer, &mut turn.errors), scope).run().await
            }
            ActionSettings::Digest { max_rows, .. } => {
                digest::run(&self.job, fire, context, scope, *max_rows).await
            }
            ActionSettings::Export(_) => match self.job.action.export() {
                Some(export) => export::run(&self.job, export, &self.store, fire, context, scope).await,
                None => Ended { outcome: Outcome::failed("the action writes no file"), clean: true },
            },
        };
        turn.clean = clean;
        Ok(outcome)
    }

    /// Settles what a crash left: recorded rows are marked, rows without a record are held or
    /// delivered again as `on_uncertain` says. Called when the daemon starts; the first run does it too.
    pub async fn recover(&self) -> Result<Recovery, BatchError> {
        let mut turn = self.line.0.lock().await;
        turn.clean = false;
        let recovery = settle(&self.job).await?;
        turn.clean = true;
        Ok(recovery)
    }

    /// When the first of the rows that wait for another try is due; none: no row waits. Any run
    /// takes rows that are due; one with the reason `retry` takes no others.
    pub async fn next_retry_at(&self) -> Result<Option<DateTime<Utc>>, BatchError> {
        Ok(self.job.ledger.next_due().await?)
    }
}

/// Tells the run's log what was settled before it.
fn note(context: &RunContext, recovery: &Recovery) {
    let Recovery { marked, held, resent, .. } = recovery;
    let notes = [
        (*marked, "rows of an earlier run were delivered and are marked now"),
        (*held, "rows of an earlier run may or may not have been delivered and are held"),
        (*resent, "rows of an earlier run may or may not have been delivered and will be delivered again"),
    ];
    for (rows, what) in notes.into_iter().filter(|(rows, _)| *rows > 0) {
        context.output.line(Stream::System, format!("{rows} {what}"));
    }
}

#[cfg(test)]
impl<A> Batch<A> {
    /// Lets the test cut the power.
    pub(super) fn set_fuse(&mut self, fuse: &super::tests::Fuse) {
        if let Some(job) = Arc::get_mut(&mut self.job) {
            job.ledger.fuse = fuse.clone();
            job.source.fuse = fuse.clone();
        }
    }
}
