//! The desk that all alerts of a daemon pass.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::gate::{Gate, Passage};
use super::{Alerts, Kind};
use crate::action::Outcome as Delivered;
use crate::action::follow::{Follow, Occasion};
use crate::clock::Clock;
use crate::engine::engine_loop::beijing;
use crate::engine::runner::Function;
use crate::run::{Fire, Outcome, Reason, Status};
use crate::store::Store;
use crate::store::runs::{RunId, SkipReason, SkippedSpan};

/// Before another try to deliver an alert; after the last it is given up.
const AGAIN: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(120)];
/// Ends of runs that are failures.
const FAILURES: [&str; 2] = [Status::Failed.as_str(), Status::TimedOut.as_str()];
/// Alerts that are sent at a time: one receiver may get those of a thousand functions.
const AT_A_TIME: usize = 4;
/// How long the end of the daemon waits for alerts that are under way.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module. Clones share it.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Clock,
    /// By function; what is not in here has not ended since the start.
    records: Mutex<HashMap<String, Record>>,
    under_way: TaskTracker,
    turns: Semaphore,
    /// No alert waits any more.
    closed: CancellationToken,
}

/// How a function does.
#[derive(Debug, Default)]
struct Record {
    health: Option<Health>,
    gates: HashMap<Kind, Gate>,
    /// The latest of each kind that was kept back.
    latest: HashMap<Kind, Alert>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    /// So many runs have failed in a row.
    Failing(u32),
}

/// What is to be told.
#[derive(Clone, Debug)]
struct Alert {
    kind: Kind,
    function: String,
    values: Map<String, Value>,
    fire_time: DateTime<Utc>,
}

impl Desk {
    pub(in crate::engine) fn new(store: Store, clock: Clock) -> Self {
        let (under_way, turns, closed) =
            (TaskTracker::new(), Semaphore::new(AT_A_TIME), CancellationToken::new());
        Self(Arc::new(Inner { store, clock, records: Mutex::default(), under_way, turns, closed }))
    }

    /// A run has ended, after all its attempts.
    pub(in crate::engine) async fn ended(
        &self,
        function: &Function,
        fire: &Fire,
        run: RunId,
        outcome: &Outcome,
    ) {
        let Some(alerts) = &function.alerts else { return };
        let message = outcome.message.clone().unwrap_or_default();
        match outcome.status {
            // Whoever fires by hand is there to see it fail.
            Status::Failed | Status::TimedOut if fire.reason != Reason::Manual => {
                let status = outcome.status.as_str();
                self.failed(alerts, function, fire, run, status, &message);
            }
            Status::Succeeded => self.succeeded(alerts, fire, run, &message).await,
            Status::Failed | Status::TimedOut | Status::Interrupted => {}
        }
    }

    /// A run was found cut off at the start, and is not run again.
    pub(in crate::engine) fn cut_off(&self, function: &Function, fire: &Fire, run: RunId, message: &str) {
        if let Some(alerts) = &function.alerts {
            self.failed(alerts, function, fire, run, Status::Interrupted.as_str(), message);
        }
    }

    /// Fire times of a trigger never became runs.
    pub(in crate::engine) fn skipped(&self, function: &Function, trigger: &str, span: &SkippedSpan) {
        let Some(alerts) = &function.alerts else { return };
        if matches!(span.reason, SkipReason::Paused | SkipReason::Removed | SkipReason::Overlap) {
            return;
        }
        let SkippedSpan { first, last, count, reason, .. } = *span;
        let (first, last, reason) = (beijing(first), beijing(last), reason.as_str());
        let text = format!("{trigger}: {count} fire times were missed ({reason}), from {first} to {last}");
        let mut values = values(&function.name, trigger, &text, "");
        values.insert("count".to_owned(), count.into());
        values.insert("first".to_owned(), first.into());
        values.insert("last".to_owned(), last.into());
        values.insert("reason".to_owned(), reason.into());
        let fire_time = DateTime::from_timestamp(span.last, 0).unwrap_or_default();
        self.raise(alerts, Alert { kind: Kind::Missed, function: function.name.clone(), values, fire_time });
    }

    /// Waits a little for alerts that are under way; what is kept back is not told any more.
    pub(in crate::engine) async fn close(&self) {
        self.0.under_way.close();
        if tokio::time::timeout(PATIENCE, self.0.under_way.wait()).await.is_err() {
            tracing::warn!(alerts = self.0.under_way.len(), "stopped before all alerts were delivered");
        }
        self.0.closed.cancel();
    }

    fn failed(
        &self,
        alerts: &Arc<Alerts>,
        function: &Function,
        fire: &Fire,
        run: RunId,
        status: &str,
        message: &str,
    ) {
        {
            let mut records = self.records();
            let record = records.entry(function.name.clone()).or_default();
            let before = if let Some(Health::Failing(runs)) = record.health { runs } else { 0 };
            record.health = Some(Health::Failing(before.saturating_add(1)));
            record.keep_back_no_more(Kind::Recovery);
        }
        let trigger = fire.full_name();
        let text =
            format!("{trigger} {status}: {message} (run {run}, due {})", beijing(fire.fire_time.timestamp()));
        let mut values = values(&function.name, &trigger, &text, message);
        values.insert("status".to_owned(), status.into());
        values.insert("run".to_owned(), run.into());
        values.insert("attempt".to_owned(), fire.attempt.into());
        let (kind, fire_time) = (Kind::Failure, fire.fire_time);
        self.raise(alerts, Alert { kind, function: function.name.clone(), values, fire_time });
    }

    async fn succeeded(&self, alerts: &Arc<Alerts>, fire: &Fire, run: RunId, message: &str) {
        let known = self.records().get(&fire.function).and_then(|record| record.health);
        let health = match known {
            Some(health) => health,
            None if alerts.on_recovery.is_none() => Health::Well,
            None => self.found(fire, run).await,
        };
        {
            let mut records = self.records();
            let record = records.entry(fire.function.clone()).or_default();
            record.health = Some(Health::Well);
            record.keep_back_no_more(Kind::Failure);
        }
        let Health::Failing(failures) = health else { return };
        let trigger = fire.full_name();
        let text = format!("{trigger} is well again after {failures} failed runs (run {run})");
        let mut values = values(&fire.function, &trigger, &text, message);
        values.insert("run".to_owned(), run.into());
        values.insert("failures".to_owned(), failures.into());
        let (kind, fire_time) = (Kind::Recovery, fire.fire_time);
        self.raise(alerts, Alert { kind, function: fire.function.clone(), values, fire_time });
    }

    /// How the trigger did before this process, as the history says.
    async fn found(&self, fire: &Fire, run: RunId) -> Health {
        match self.0.store.last_end(fire.function.clone(), fire.trigger.clone(), run).await {
            Ok(Some(state)) if FAILURES.contains(&&*state) => Health::Failing(1),
            Ok(_) => Health::Well,
            Err(error) => {
                tracing::error!(%error, "could not tell how the function did before");
                Health::Well
            }
        }
    }

    fn raise(&self, alerts: &Arc<Alerts>, alert: Alert) {
        let kind = alert.kind;
        let Some(action) = alerts.action(kind).cloned() else { return };
        let now = self.0.clock.monotonic();
        let passage = {
            let mut records = self.records();
            let record = records.entry(alert.function.clone()).or_default();
            let passage = record.gates.entry(kind).or_default().pass(now, alerts.every);
            if !matches!(passage, Passage::Open(_)) {
                record.latest.insert(kind, alert.clone());
            }
            passage
        };
        match passage {
            Passage::Open(more) => self.send(action, alert, more),
            Passage::Later(wait) => self.come_again(action, alert.function, kind, wait),
            Passage::Shut => {}
        }
    }

    /// After `wait`, what was kept back goes out, if it is still so.
    fn come_again(&self, action: Arc<Follow>, function: String, kind: Kind, wait: Duration) {
        let desk = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = desk.0.closed.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let now = desk.0.clock.monotonic();
            let latest = {
                let mut records = desk.records();
                let record = records.entry(function).or_default();
                let kept_back = record.gates.entry(kind).or_default().come_again(now);
                record.latest.remove(&kind).map(|alert| (alert, kept_back.saturating_sub(1)))
            };
            if let Some((alert, more)) = latest {
                desk.send(action, alert, more);
            }
        });
    }

    fn send(&self, action: Arc<Follow>, mut alert: Alert, more: u32) {
        alert.values.insert("kind".to_owned(), alert.kind.as_str().into());
        alert.values.insert("more".to_owned(), more.into());
        let desk = self.clone();
        self.0.under_way.spawn(async move {
            // Never closed; without a turn it goes out all the same.
            let _turn = desk.0.turns.acquire().await;
            deliver(&action, &alert, &desk.0.clock).await;
        });
    }

    fn records(&self) -> MutexGuard<'_, HashMap<String, Record>> {
        self.0.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// What was kept back of this kind is not so any more.
    fn keep_back_no_more(&mut self, kind: Kind) {
        self.latest.remove(&kind);
        if let Some(gate) = self.gates.get_mut(&kind) {
            gate.forget();
        }
    }
}

/// What templates of every alert see.
fn values(function: &str, trigger: &str, text: &str, message: &str) -> Map<String, Value> {
    let values = [("function", function), ("trigger", trigger), ("text", text), ("message", message)];
    values.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

async fn deliver(action: &Follow, alert: &Alert, clock: &Clock) {
    let (function, kind, by) = (alert.function.as_str(), alert.kind.as_str(), action.name());
    let id = Uuid::new_v4().to_string();
    let mut waits = AGAIN.iter();
    loop {
        let occasion = Occasion {
            values: &alert.values,
            fire_time: alert.fire_time,
            now: clock.now(),
            id: &id,
            file: None,
        };
        let delivery = action.send(&occasion).await;
        let passes = matches!(delivery.outcome, Delivered::Retry { .. } | Delivered::Unreachable { .. });
        match (&delivery.outcome, waits.next().filter(|_| passes)) {
            (Delivered::Sent { .. }, _) => {
                tracing::info!(function, kind, by, "alert sent");
                return;
            }
            (outcome, Some(wait)) => {
                tracing::warn!(function, kind, by, reason = outcome.text(), "alert not sent, trying again");
                tokio::time::sleep(delivery.retry_after.unwrap_or(*wait).min(Duration::from_secs(300))).await;
            }
            (outcome, None) => {
                tracing::error!(function, kind, by, reason = outcome.text(), "an alert could not be sent");
                return;
            }
        }
    }
}
