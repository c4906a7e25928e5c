//! The loop: one owner of what runs and what waits.
//!
//! It sleeps until the earliest fire or due retry, the end of a run, an order, or the drain; nothing is polled. What is to be done
//! the scheduler says; how it is done is in `carry_out` and `orders`.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Asia::Shanghai;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::alerts::Desk;
use super::carry_out::InFlight;
use super::halt::Halt;
use super::handle::{FolderProblem, Handle, Order};
use super::lane::End;
use super::orders::Caller;
use super::plan::millis;
use super::scheduler::{Effects, Scheduler};
use super::wake::{Alarm, Wake};
use crate::clock::Clock;
use crate::settings::{EventSettings, HistorySettings};
use crate::store::Store;
use crate::store::runs::{RunId, SkipReason};
use crate::store::triggers::TriggerId;

/// History is pruned after so many ended runs, or a hundredth of what is kept if that is more; at most twice as many
/// go at a time.
const PRUNE_EVERY: u32 = 256;
/// Ends of runs that are dealt with together.
const ENDS: usize = 1024;

/// Bounds of the daemon.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Runs in flight; more wait.
    pub max_runs: usize,
    /// Runs of one function that may wait for room; more fire times are skipped.
    pub max_waiting: usize,
    /// How long a drain waits before it aborts what still runs.
    pub drain_timeout: Duration,
    /// How long history is kept.
    pub history: HistorySettings,
}

/// The scheduler of one daemon.
pub struct Engine {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) event: Arc<EventSettings>,
    pub(super) scheduler: Scheduler,
    pub(super) in_flight: HashMap<RunId, InFlight>,
    /// Who waits for the end of a manual run.
    pub(super) callers: HashMap<RunId, Caller>,
    pub(super) report: mpsc::UnboundedSender<End>,
    pub(super) halts: mpsc::UnboundedSender<Halt>,
    /// Why triggers are paused, where a run has asked for it.
    pub(super) paused_because: HashMap<TriggerId, String>,
    /// Numbers looks at retry lanes.
    pub(super) looks: Arc<AtomicU64>,
    pub(super) desk: Desk,
    pub(super) drain: CancellationToken,
    /// Ends the drain at once. Each run has a token of its own: see `in_flight`.
    pub(super) abort: CancellationToken,
    pub(super) started_at: DateTime<Utc>,
    pub(super) problems: Vec<FolderProblem>,
    pub(super) reloaded_at: Option<DateTime<Utc>>,
    pub(super) claimed_in: Option<Duration>,
    /// Runs wait for room, and it was said.
    pub(super) full: bool,
    /// Functions of which it was said that their fires are skipped while they run.
    pub(super) said_busy: HashSet<String>,
    limits: Limits,
    ended: mpsc::UnboundedReceiver<End>,
    halted: mpsc::UnboundedReceiver<Halt>,
    orders: mpsc::Receiver<Order>,
    ended_since_prune: u32,
}

impl Engine {
    /// An engine that has planned nothing yet, and the handle to talk to it once it runs: see [`Engine::recover`] and
    /// [`Engine::run`].
    ///
    /// `drain` ends it gracefully, `abort` at once.
    pub fn new(
        store: Store,
        clock: Clock,
        event: EventSettings,
        limits: Limits,
        drain: CancellationToken,
        abort: CancellationToken,
    ) -> (Self, Handle) {
        let (report, ended) = mpsc::unbounded_channel();
        let (halts, halted) = mpsc::unbounded_channel();
        let (handle, orders) = Handle::new();
        let started_at = clock.now();
        let desk = Desk::new(store.clone(), clock.clone());
        let engine = Self {
            desk,
            store,
            clock,
            event: Arc::new(event),
            scheduler: Scheduler::new(limits.max_runs, limits.max_waiting),
            in_flight: HashMap::new(),
            callers: HashMap::new(),
            report,
            halts,
            paused_because: HashMap::new(),
            looks: Arc::default(),
            drain,
            abort,
            started_at,
            problems: Vec::new(),
            reloaded_at: None,
            claimed_in: None,
            full: false,
            said_busy: HashSet::new(),
            limits,
            ended,
            halted,
            orders,
            ended_since_prune: u32::MAX,
        };
        (engine, handle)
    }

    /// Fires triggers until the drain, then waits for what runs. Answers how many runs had to be aborted.
    ///
    /// Fails when the system gives it no timer.
    pub async fn run(mut self) -> io::Result<usize> {
        let alarm = Alarm::new()?;
        self.fire_due(SkipReason::Down).await;
        let mut ends = Vec::new();
        while !self.drain.is_cancelled() {
            self.prune();
            let next = self.scheduler.next_wake();
            tokio::select! {
                biased;
                () = self.drain.cancelled() => {}
                Some(halt) = self.halted.recv() => self.halt(halt).await,
                _ = self.ended.recv_many(&mut ends, ENDS) => self.runs_ended(&mut ends).await,
                wake = alarm.until(next) => {
                    if wake? == Wake::ClockSet {
                        self.clock_was_set();
                    }
                    self.fire_due(SkipReason::Late).await;
                }
                Some(order) = self.orders.recv() => self.obey(order).await,
            }
        }
        Ok(self.drain().await)
    }

    pub(super) async fn fire_due(&mut self, cause: SkipReason) {
        let mut effects = Effects::default();
        let now = self.clock.now().timestamp_millis();
        self.scheduler.due(now, cause, &mut effects);
        self.carry_out(effects).await;
    }

    /// Where the wall clock has to get to until triggers fire as usual again; none unless it went back.
    pub(super) fn clock_behind(&self) -> Option<DateTime<Utc>> {
        let reached = DateTime::from_timestamp_millis(self.scheduler.plan.reached())?;
        // A step within the second is what time servers do all day.
        (reached - self.clock.now() >= chrono::TimeDelta::seconds(1)).then_some(reached)
    }

    fn clock_was_set(&self) {
        let now = beijing(self.clock.now().timestamp());
        match self.clock_behind() {
            None => tracing::warn!(now, "the wall clock was set"),
            Some(until) => tracing::error!(
                now,
                until = beijing(until.timestamp()),
                "the wall clock was set back: fire times up to `until` have been dealt with, and none fires twice. Triggers \
                 wait for it; if that is wrong, restart: triggers then go on from now"
            ),
        }
    }

    async fn runs_ended(&mut self, ends: &mut Vec<End>) {
        let mut effects = Effects::default();
        let now = self.clock.now().timestamp_millis();
        for end in ends.drain(..) {
            if let Some(run) = self.in_flight.remove(&end.run) {
                self.said_busy.remove(&run.function.name);
            }
            self.scheduler.ended(end, now, &mut effects);
            self.ended_since_prune = self.ended_since_prune.saturating_add(1);
        }
        self.scheduler.start_waiting(&mut effects);
        self.full &= self.scheduler.is_held_back();
        self.carry_out(effects).await;
    }

    fn prune(&mut self) {
        let keep_runs = self.limits.history.keep_runs;
        let every = PRUNE_EVERY.max(keep_runs / 100);
        if self.ended_since_prune < every {
            return;
        }
        self.ended_since_prune = 0;
        let before = self.clock.now().timestamp_millis().saturating_sub(millis(self.limits.history.keep));
        let output = i64::try_from(self.limits.history.keep_output).unwrap_or(i64::MAX);
        let store = self.store.clone();
        tokio::spawn(async move {
            let pruned = async {
                store.prune(before, i64::from(keep_runs), 2 * every).await?;
                store.prune_output(output, 2 * every).await
            };
            match pruned.await {
                Ok(0) => {}
                Ok(runs) => tracing::info!(
                    runs,
                    "the output of old runs went: it took more than `history.keep_output_mb`"
                ),
                Err(error) => tracing::error!(%error, "could not prune the history"),
            }
        });
    }

    /// Waits for what runs: batches stop at their next checkpoint, functions run to their end; what is
    /// not done within the drain timeout, or when the abort comes, is stopped.
    async fn drain(mut self) -> usize {
        // Orders that wait, and those to come, are told that it is too late.
        self.orders.close();
        while self.orders.try_recv().is_ok() {}
        tracing::info!(running = self.in_flight.len(), "draining");
        let timeout = tokio::time::sleep(self.limits.drain_timeout);
        tokio::pin!(timeout);
        let mut aborted = 0;
        while !self.in_flight.is_empty() {
            tokio::select! {
                Some(end) = self.ended.recv() => { self.in_flight.remove(&end.run); }
                Some(halt) = self.halted.recv() => self.halt(halt).await,
                () = &mut timeout, if aborted == 0 => {
                    aborted = self.in_flight.len();
                    tracing::warn!(running = aborted, "the drain takes too long, stopping what still runs");
                    self.abort_all();
                }
                () = self.abort.cancelled(), if aborted == 0 => {
                    aborted = self.in_flight.len();
                    tracing::warn!(running = aborted, "told to stop at once");
                    self.abort_all();
                }
            }
        }
        self.desk.close().await;
        aborted
    }

    fn abort_all(&self) {
        self.in_flight.values().for_each(|run| run.abort.cancel());
    }
}

/// An instant as the log writes it.
pub(super) fn beijing(unix: i64) -> String {
    DateTime::from_timestamp(unix, 0).unwrap_or_default().with_timezone(&Shanghai).to_rfc3339()
}
