//! The engine from outside: questions and orders, each answered by the loop between two wake-ups.
//!
//! Clones share one channel. Every call fails with [`CommandError::Stopped`] once the engine drains.

use std::time::Duration;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::batches::Keeper;
use super::runner::Function;
use crate::batch::BatchError;
use crate::run::{HowFar, Outcome, Output};
use crate::store::StoreError;
use crate::store::runs::RunId;

/// Orders that may wait for the loop before a caller has to.
const QUEUE: usize = 64;

/// Talks to a running engine.
#[derive(Clone, Debug)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
}

/// What the engine is asked to do; each carries where the answer goes.
#[derive(Debug)]
pub(super) enum Order {
    Status(oneshot::Sender<Status>),
    Triggers(oneshot::Sender<Vec<TriggerStatus>>),
    Pause(Selection, Reply<Vec<String>>),
    Resume(Selection, Reply<Vec<String>>),
    Fire(ManualFire, Reply<Fired>),
    Batches(oneshot::Sender<Vec<(String, String)>>),
    Keeper(String, oneshot::Sender<Keeper>),
    WakeLane(String),
    Apply(Changes, Reply<()>),
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, CommandError>>;

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The engine drains or is gone.
    #[error("the daemon is stopping")]
    Stopped,
    /// No function, or no trigger of it, has that name. `nearest` completes a sentence: empty, or `; did you mean …?`.
    #[error("there is no {what} `{name}`{nearest}")]
    Unknown {
        /// `function` or `trigger`.
        what: &'static str,
        /// As it was asked for.
        name: String,
        /// See above.
        nearest: String,
    },
    /// The function has no trigger that could be fired.
    #[error("the function `{function}` has no trigger")]
    NoTrigger {
        /// Its name.
        function: String,
    },
    /// The function's overlap rule forbids another run now; it is recorded as skipped.
    #[error("the function `{function}` is still running, so this was not started")]
    Busy {
        /// Its name.
        function: String,
    },
    /// There is no room, and the run cannot wait.
    #[error("as many runs are in flight as `max_runs` allows, so the function `{function}` was not started")]
    Full {
        /// Its name.
        function: String,
    },
    /// The function is a batch, whose rows are its events.
    #[error("the function `{function}` runs a batch, which takes no event")]
    TakesNoEvent {
        /// Its name.
        function: String,
    },
    /// The state refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A batch could not do it.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// Which triggers an order is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All enabled triggers.
    All,
    /// Functions (`name`) and single triggers (`function/trigger`).
    Named(Vec<String>),
}

/// A fire that somebody asks for.
#[derive(Debug)]
pub struct ManualFire {
    /// The function.
    pub function: String,
    /// One of its triggers; the first if none is named.
    pub trigger: Option<String>,
    /// In the place of a timer's event. A run with an event of its own does not wait: it starts now, or not at all.
    pub event: Option<Arc<Value>>,
    /// Gets every line of output as it comes, beside the state.
    pub mirror: Output,
}

/// A manual fire that was claimed.
#[derive(Debug)]
pub struct Fired {
    /// The run's number.
    pub run: RunId,
    /// True: it waits for the function, or the daemon, to have room.
    pub waits: bool,
    /// The outcome, once it has ended and is recorded; closed without one when it never runs.
    pub ended: oneshot::Receiver<Outcome>,
}

/// What a look at the function folders has changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// New functions, and new versions of known ones.
    pub put: Vec<Function>,
    /// Functions whose folders are gone.
    pub removed: Vec<String>,
    /// All folders that cannot be used as they are now. Replaces what was known before.
    pub problems: Vec<FolderProblem>,
}

/// A function folder that cannot be used as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderProblem {
    /// The folder's name.
    pub function: String,
    /// All that is wrong, as `check` shows it; may have several lines.
    pub message: String,
    /// When it was found.
    pub since: DateTime<Utc>,
    /// An older version of the function goes on running.
    pub old_version_runs: bool,
}

/// The engine at one instant.
#[derive(Clone, Debug)]
pub struct Status {
    /// That instant.
    pub now: DateTime<Utc>,
    /// When the engine was started.
    pub started_at: DateTime<Utc>,
    /// Functions.
    pub functions: usize,
    /// Enabled triggers.
    pub triggers: usize,
    /// Those of them that are paused.
    pub paused: usize,
    /// What runs, oldest first; at most [`SHOWN_RUNS`].
    pub running: Vec<RunStatus>,
    /// How many run.
    pub running_count: usize,
    /// Claimed runs that wait for their function, or for the daemon, to have room.
    pub waiting: usize,
    /// Some of them because as many run as `max_runs` allows.
    pub full: bool,
    /// Missed fires to be caught up, and live ones behind them.
    pub backlog: usize,
    /// What fires next.
    pub next: Option<NextFire>,
    /// From the hand-over of the newest claims to the state until they were durable; grows with the disk's
    /// load, and every fire waits for it.
    pub claimed_in: Option<Duration>,
    /// The wall clock went back: fire times up to this instant have been dealt with already, and until the
    /// clock gets there again nothing (or little) fires.
    pub clock_behind: Option<DateTime<Utc>>,
    /// See [`FolderProblem`].
    pub problems: Vec<FolderProblem>,
    /// See [`Halted`].
    pub halted: Vec<Halted>,
    /// When function folders were last taken over, after the start.
    pub reloaded_at: Option<DateTime<Utc>>,
}

/// A function that a run has paused since the engine was started, because going on would do harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halted {
    /// Its name.
    pub function: String,
    /// When.
    pub since: DateTime<Utc>,
    /// One line.
    pub reason: String,
}

/// At most so many runs are listed in [`Status::running`].
pub const SHOWN_RUNS: usize = 100;

/// A run in flight.
#[derive(Clone, Debug)]
pub struct RunStatus {
    /// Its number.
    pub run: RunId,
    /// The function.
    pub function: String,
    /// The trigger within the function.
    pub trigger: String,
    /// When it was due.
    pub fire_time: DateTime<Utc>,
    /// Why: the word of [`crate::run::Reason`].
    pub reason: &'static str,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// How far it is, if it is a batch that goes row by row.
    pub progress: Option<HowFar>,
}

/// The next fire of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextFire {
    /// The function.
    pub function: String,
    /// The trigger within the function.
    pub trigger: String,
    /// When it is due, jitter included.
    pub due: DateTime<Utc>,
}

/// A trigger as the engine has it.
#[derive(Clone, Debug)]
pub struct TriggerStatus {
    /// The function.
    pub function: String,
    /// The trigger within the function.
    pub trigger: String,
    /// The text of its schedule.
    pub expression: String,
    /// IANA name.
    pub timezone: &'static str,
    /// `function`, `command`, `batch`.
    pub target: &'static str,
    /// A disabled trigger never fires.
    pub enabled: bool,
    /// Since when it is paused.
    pub paused_since: Option<DateTime<Utc>>,
    /// Why, if it was a run that asked for it since the engine was started.
    pub paused_because: Option<String>,
    /// The next fire time; none while it is disabled or paused, or when it never fires again.
    pub next: Option<DateTime<Utc>>,
    /// Runs of its function in flight.
    pub running: usize,
    /// Claimed runs of its function that wait.
    pub waiting: usize,
}

impl Handle {
    pub(super) fn new() -> (Self, mpsc::Receiver<Order>) {
        let (orders, queue) = mpsc::channel(QUEUE);
        (Self { orders }, queue)
    }

    /// How the engine is.
    pub async fn status(&self) -> Result<Status, CommandError> {
        self.ask(Order::Status).await
    }

    /// All triggers, by function and in the order of its file.
    pub async fn triggers(&self) -> Result<Vec<TriggerStatus>, CommandError> {
        self.ask(Order::Triggers).await
    }

    /// Pauses triggers, durably; answers the full names of those that were not paused yet. What waits to be caught
    /// up of them, and what falls due while they are paused, is skipped; what is claimed already still runs.
    pub async fn pause(&self, which: Selection) -> Result<Vec<String>, CommandError> {
        self.ask(|reply| Order::Pause(which, reply)).await?
    }

    /// Lets paused triggers fire again from now on; answers the full names of those that were paused.
    pub async fn resume(&self, which: Selection) -> Result<Vec<String>, CommandError> {
        self.ask(|reply| Order::Resume(which, reply)).await?
    }

    /// Fires a function now, by the path of a timed fire: its overlap rule holds. Works while paused.
    pub async fn fire(&self, fire: ManualFire) -> Result<Fired, CommandError> {
        self.ask(|reply| Order::Fire(fire, reply)).await?
    }

    /// Takes over new versions of functions. What runs goes on undisturbed; triggers that are the same keep
    /// their place, others start from now.
    pub async fn apply(&self, changes: Changes) -> Result<(), CommandError> {
        self.ask(|reply| Order::Apply(changes, reply)).await?
    }

    /// Without an answer.
    pub(super) async fn tell(&self, order: Order) -> Result<(), CommandError> {
        self.orders.send(order).await.map_err(|_| CommandError::Stopped)
    }

    pub(super) async fn ask<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<T>) -> Order,
    ) -> Result<T, CommandError> {
        let (sender, receiver) = oneshot::channel();
        self.orders.send(order(sender)).await.map_err(|_| CommandError::Stopped)?;
        receiver.await.map_err(|_| CommandError::Stopped)
    }
}
