//! One run from its claim to its recorded end. Timed, caught-up, manual and resumed runs all pass here.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::output::Recorder;
use super::runner::{Function, Occurrence, Runner};
use crate::clock::Clock;
use crate::run::{Fire, Outcome, Output, Reason, RunContext, Status};
use crate::settings::{EventSettings, Overlap};
use crate::store::runs::{Claim, ClaimRequest, RunId};
use crate::store::{Store, StoreError};

/// Between two tries to record an end that the state refused (a full disk, mostly).
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// A claimed run with all that it needs.
pub(super) struct Run {
    pub(super) id: RunId,
    pub(super) fire: Fire,
    pub(super) runner: Runner,
    pub(super) drain: CancellationToken,
    pub(super) abort: CancellationToken,
    /// Where the output goes beside the state.
    pub(super) mirror: Output,
}

impl Run {
    /// Runs to the end and records it; answers the outcome as recorded.
    pub(super) async fn execute(self, store: Store, clock: Clock) -> Outcome {
        let Self { id, fire, runner, drain, abort, mirror } = self;
        let started = clock.monotonic();
        let lag = (fire.reason == Reason::Timed).then(|| clock.now() - fire.fire_time);
        let (recorder, output) = Recorder::start(store.clone(), id, clock.clone(), mirror);
        let context = RunContext { output, drain, abort: abort.clone() };
        let name = fire.full_name();
        let reason = fire.reason;
        // A task of its own, so that a panic in a runner costs this run only.
        let work = tokio::spawn(async move { runner.run(&fire, &context).await });
        let outcome = match work.await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::failed(format!("the runner stopped: {error}")),
        };
        recorder.close().await;
        log_end(&name, id, reason, lag, clock.monotonic().saturating_sub(started), &outcome);
        record_end(&store, &clock, id, &outcome, &abort).await;
        outcome
    }
}

fn log_end(
    name: &str,
    run: RunId,
    reason: Reason,
    lag: Option<chrono::TimeDelta>,
    took: Duration,
    outcome: &Outcome,
) {
    let message = outcome.message.as_deref().unwrap_or_default();
    let status = outcome.status.as_str();
    let lag_ms = lag.map(|lag| lag.num_milliseconds());
    let took_ms = took.as_millis();
    match outcome.status {
        Status::Succeeded if outcome.idle => {
            tracing::debug!(trigger = name, run, %reason, lag_ms, took_ms, message, "run {status}");
        }
        Status::Succeeded => {
            tracing::info!(trigger = name, run, %reason, lag_ms, took_ms, message, "run {status}");
        }
        Status::Interrupted => {
            tracing::warn!(trigger = name, run, %reason, lag_ms, took_ms, message, "run {status}");
        }
        Status::Failed | Status::TimedOut => {
            tracing::error!(trigger = name, run, %reason, lag_ms, took_ms, message, "run {status}");
        }
    }
}

/// Tries until the state takes it: without the end on record the function would look busy for ever.
async fn record_end(store: &Store, clock: &Clock, run: RunId, outcome: &Outcome, abort: &CancellationToken) {
    loop {
        match store.finish(run, outcome.clone(), clock.now().timestamp_millis()).await {
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
    /// Gets every line of output as it comes.
    pub output: Output,
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
        let request = ClaimRequest {
            request_id: uuid::Uuid::new_v4().to_string(),
            function: function.name.clone(),
            trigger: function.triggers[trigger].name.to_string(),
            fire_time: now.timestamp(),
            reason: Reason::Manual,
            attempt: 1,
            missed: 0,
            // Nothing else runs: a run that an earlier process left open must not make this one wait.
            overlap: Overlap::Allow,
            room: true,
            now: now.timestamp_millis(),
        };
        let fire = function.fire(trigger, Occurrence::from(&request), self.event);
        let claims = self.store.claim(vec![request]).await?;
        let Some(Claim::Started(id)) = claims.first() else { return Err(StoreError::Closed) };
        let Self { drain, abort, output: mirror, .. } = self;
        let run = Run { id: *id, fire, runner: function.runner.clone(), drain, abort, mirror };
        Ok((*id, run.execute(self.store.clone(), self.clock.clone()).await))
    }
}
