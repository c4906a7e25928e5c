//! One run from its claim to its recorded end. Timed, caught-up, manual and resumed runs all pass here.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::halt;
use super::output::Recorder;
use super::plan::millis;
use super::retry::{Waited, wait_after, wait_until};
use super::runner::{Function, Runner};
use super::wanted::Occurrence;
use crate::clock::Clock;
use crate::run::{Fire, Outcome, Output, Progress, Reason, RunContext, Status};
use crate::settings::{EventSettings, Overlap, RetryPolicy};
use crate::store::attempts::PutOff;
use crate::store::runs::{Claim, ClaimRequest, Ended, RunId};
use crate::store::triggers::Others;
use crate::store::{Store, StoreError};

/// Between two tries to record an end that the state refused (a full disk, mostly).
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// A claimed run with all that it needs.
pub(super) struct Run {
    pub(super) id: RunId,
    pub(super) fire: Fire,
    pub(super) runner: Runner,
    pub(super) retry: Option<Arc<RetryPolicy>>,
    /// When its attempt is due, if it waits for that; unix milliseconds.
    pub(super) retry_at: Option<i64>,
    pub(super) drain: CancellationToken,
    pub(super) abort: CancellationToken,
    /// Where the output goes beside the state.
    pub(super) mirror: Output,
    pub(super) progress: Progress,
}

impl Run {
    /// Runs to the end, in as many attempts as the policy allows, and records it; answers the fire of the last attempt, and
    /// the outcome as recorded. Before
    /// that it is `halted` that pauses the function, if the outcome asks for it. When the daemon drains while the run waits
    /// for its next attempt, its end is left open: the next process goes on.
    pub(super) async fn execute<F: Future<Output = ()>>(
        mut self,
        store: Store,
        clock: Clock,
        halted: impl FnOnce(String) -> F,
    ) -> (Fire, Outcome) {
        let outcome = loop {
            if let Some(due) = self.retry_at.take() {
                match wait_until(due, &clock, &self.drain, &self.abort).await {
                    Waited::Due => self.begin_attempt(&store).await,
                    Waited::Drained => {
                        let outcome = Outcome::interrupted("stopped; its next attempt comes after the start");
                        return (self.fire, outcome);
                    }
                    Waited::Aborted => {
                        break Outcome::interrupted("stopped while it waited for its next attempt");
                    }
                }
            }
            let outcome = self.attempt(&store, &clock).await;
            let random = uuid::Uuid::new_v4().as_u64_pair().0;
            let policy = self.retry.as_deref().filter(|_| !self.abort.is_cancelled());
            match policy.and_then(|policy| wait_after(policy, self.fire.attempt, &outcome, random)) {
                Some(wait) => self.put_off(&store, &clock, &outcome, wait).await,
                None => break outcome,
            }
        };
        if outcome.pause {
            halted(outcome.message.clone().unwrap_or_default()).await;
        }
        record_end(&store, &clock, self.id, &outcome, &self.abort).await;
        (self.fire, outcome)
    }

    async fn attempt(&self, store: &Store, clock: &Clock) -> Outcome {
        let Self { id, fire, runner, drain, abort, mirror, progress, .. } = self;
        let started = clock.monotonic();
        let lag = (fire.reason == Reason::Timed).then(|| clock.now() - fire.fire_time);
        let recorder = Recorder::new(store.clone(), *id, fire.attempt, clock.clone(), mirror.clone());
        let context = RunContext {
            output: recorder.output(),
            progress: progress.clone(),
            drain: drain.clone(),
            abort: abort.clone(),
        };
        let outcome = unwinding(runner.run(fire, &context)).await;
        recorder.close().await;
        log_end(fire, *id, lag, clock.monotonic().saturating_sub(started), &outcome);
        outcome
    }

    /// The next attempt is to come after `wait`. Should the state refuse, the run goes on waiting all the same: only a
    /// crash would forget it.
    async fn put_off(&mut self, store: &Store, clock: &Clock, outcome: &Outcome, wait: Duration) {
        self.fire.attempt += 1;
        self.fire.reason = Reason::Retry;
        let retry_at = clock.now().timestamp_millis().saturating_add(millis(wait));
        self.retry_at = Some(retry_at);
        let (trigger, run, attempt) = (self.fire.full_name(), self.id, self.fire.attempt);
        tracing::info!(trigger, run, attempt, wait_ms = millis(wait), "the next attempt follows");
        let message = outcome.message.clone();
        if let Err(error) = store.put_off(PutOff { run, attempt, retry_at, message }).await {
            tracing::error!(run, %error, "could not record that a run is tried again");
        }
    }

    async fn begin_attempt(&self, store: &Store) {
        if let Err(error) = store.begin_attempt(self.id).await {
            tracing::error!(run = self.id, %error, "could not record that an attempt begins");
        }
    }
}

/// A panic in a runner costs its run, and nothing else.
async fn unwinding(work: impl Future<Output = Outcome>) -> Outcome {
    let mut work = pin!(work);
    poll_fn(|context| {
        // A future that has panicked is not polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        polled.unwrap_or_else(|_| Poll::Ready(Outcome::failed("the runner panicked; the log says where")))
    })
    .await
}

fn log_end(fire: &Fire, run: RunId, lag: Option<chrono::TimeDelta>, took: Duration, outcome: &Outcome) {
    let (trigger, reason) = (format_args!("{}/{}", fire.function, fire.trigger), fire.reason);
    let message = outcome.message.as_deref().unwrap_or_default();
    let status = outcome.status.as_str();
    let lag_ms = lag.map(|lag| lag.num_milliseconds());
    let took_ms = took.as_millis();
    match outcome.status {
        Status::Succeeded if outcome.idle => {
            tracing::debug!(%trigger, run, %reason, lag_ms, took_ms, message, "run {status}");
        }
        Status::Succeeded => {
            tracing::info!(%trigger, run, %reason, lag_ms, took_ms, message, "run {status}");
        }
        Status::Interrupted => {
            tracing::warn!(%trigger, run, %reason, lag_ms, took_ms, message, "run {status}");
        }
        Status::Failed | Status::TimedOut => {
            tracing::error!(%trigger, run, %reason, lag_ms, took_ms, message, "run {status}");
        }
    }
}

/// Tries until the state takes it: without the end on record the function would look busy for ever.
async fn record_end(store: &Store, clock: &Clock, run: RunId, outcome: &Outcome, abort: &CancellationToken) {
    loop {
        let end = Ended { run, outcome: outcome.clone(), at: clock.now().timestamp_millis() };
        match store.finish(end).await {
            Ok(()) => return,
            Err(error) => tracing::error!(run, %error, "could not record the end of a run, trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(RECORD_AGAIN) => {}
            () = abort.cancelled() => return,
        }
    }
}

/// A manual fire by a process that holds the state's lock and runs nothing else.
#[derive(Debug)]
pub struct Foreground<'a> {
    /// The state.
    pub store: &'a Store,
    /// The time.
    pub clock: &'a Clock,
    /// What the event carries.
    pub event: &'a EventSettings,
    /// In the place of a timer's event.
    pub own_event: Option<Arc<Value>>,
    /// Gets every line of output as it comes.
    pub output: Output,
    /// See [`RunContext`].
    pub progress: Progress,
    /// See [`RunContext`].
    pub drain: CancellationToken,
    /// See [`RunContext`].
    pub abort: CancellationToken,
}

impl Foreground<'_> {
    /// Claims and runs the function now, by the same path as a timed fire. Answers the run's number and
    /// its outcome.
    pub async fn run(self, function: &Function, trigger: usize) -> Result<(RunId, Outcome), StoreError> {
        let now = self.clock.now();
        let enrolled = self.store.enroll(vec![function.enrolment()], Others::Stay, now.timestamp()).await?;
        let Some(places) = enrolled.first() else { return Err(StoreError::Closed) };
        let request = ClaimRequest {
            request_id: uuid::Uuid::new_v4(),
            function: places.function,
            trigger: places.triggers[trigger].id,
            fire_time: now.timestamp(),
            since: now.timestamp(),
            reason: Reason::Manual,
            attempt: 1,
            missed: 0,
            // Nothing else runs: a run that an earlier process left open must not make this one wait.
            overlap: Overlap::Allow,
            room: true,
            now: now.timestamp_millis(),
        };
        let own_event = self.own_event.clone();
        let fire = Fire { own_event, ..Occurrence::from(&request).fire(function, trigger, self.event) };
        let claims = self.store.claim(vec![request]).await?;
        let Some(Claim::Started(id)) = claims.first() else { return Err(StoreError::Closed) };
        let Self { drain, abort, output: mirror, progress, .. } = self;
        let (runner, retry, retry_at) = (function.runner.clone(), None, None);
        let run = Run { id: *id, fire, runner, retry, retry_at, drain, abort, mirror, progress };
        let triggers = places.triggers.iter().zip(function.triggers.iter());
        let active = triggers.filter(|(place, settings)| settings.enabled && place.paused_since.is_none());
        let active: Vec<_> = active.map(|(place, _)| place.id).collect();
        let halted = |reason: String| async move {
            let now = self.clock.now().timestamp_millis();
            let paused = self.store.pause(active, Some(reason.clone()), Vec::new(), now).await;
            match paused {
                Ok(()) => halt::log(&function.name, &reason),
                Err(error) => tracing::error!(function = function.name, %error, "could not pause it"),
            }
        };
        let (_, outcome) = run.execute(self.store.clone(), self.clock.clone(), halted).await;
        Ok((*id, outcome))
    }
}
