//! Carries out what the scheduler says: records, claims, starts, aborts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::dispatch::Run;
use super::engine_loop::{Engine, beijing};
use super::halt;
use super::lane::{End, Learned};
use super::runner::{Function, Runner};
use super::scheduler::{Before, Effects};
use super::wanted::{Pending, Wanted};
use crate::run::{Fire, Outcome, Output, Progress, Reason, Status};
use crate::store::runs::{Claim, ClaimRequest, Ended, RunId, SkippedSpan};

/// Between two tries when the state refuses (a full disk, mostly).
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// So many claims share the first commit, and four times as many each later one, up to the second figure: runs start
/// while others are being claimed, and a great many need few commits.
const CLAIMS: (usize, usize) = (256, 1024);

/// A run that was started and has not ended.
pub(super) struct InFlight {
    pub(super) abort: CancellationToken,
    pub(super) function: Arc<Function>,
    pub(super) trigger: usize,
    pub(super) fire_time: i64,
    pub(super) reason: Reason,
    pub(super) started_at: DateTime<Utc>,
    pub(super) progress: Progress,
}

impl Engine {
    /// Does all that is to be done, and what follows from it.
    pub(super) async fn carry_out(&mut self, mut effects: Effects) {
        while !effects.is_empty() {
            let Effects { skipped, dropped, abort, start_waiting, start, claim } = effects;
            effects = Effects::default();
            self.record_skipped(skipped).await;
            self.record_dropped(dropped).await;
            for run in abort {
                if let Some(running) = self.in_flight.get(&run) {
                    running.abort.cancel();
                }
            }
            self.start_waiting(start_waiting).await;
            for pending in start {
                self.start(pending);
            }
            self.claim(&claim, &mut effects).await;
        }
    }

    /// While the state refuses, tries again: fire times that are not recorded would be lost from the account.
    async fn record_skipped(&self, skipped: Vec<(String, SkippedSpan)>) {
        if skipped.is_empty() {
            return;
        }
        for (trigger, span) in &skipped {
            if let Some(function) = self.scheduler.function_of(trigger) {
                self.desk.skipped(function, trigger, span);
            }
        }
        let spans = log_skipped(skipped);
        let now = self.clock.now().timestamp_millis();
        while let Err(error) = self.store.skip(spans.clone(), now).await {
            tracing::error!(%error, "could not record skipped fire times, trying again");
            if self.pause_for(TRY_AGAIN).await {
                return;
            }
        }
    }

    async fn record_dropped(&mut self, runs: Vec<(RunId, &'static str)>) {
        for (run, why) in runs {
            self.callers.remove(&run);
            let outcome = Outcome::interrupted(format!("{why} before it could start"));
            tracing::warn!(run, "a waiting run never starts: {why}");
            let end = Ended { run, outcome, at: self.clock.now().timestamp_millis() };
            if let Err(error) = self.store.finish(end).await {
                tracing::error!(run, %error, "could not record the end of a waiting run");
            }
        }
    }

    async fn start_waiting(&mut self, pending: Vec<Pending>) {
        if pending.is_empty() {
            return;
        }
        let now = self.clock.now().timestamp_millis();
        let runs = pending.iter().map(|pending| pending.run).collect();
        if let Err(error) = self.store.start(runs, now).await {
            tracing::error!(runs = pending.len(), %error, "could not record the start of waiting runs");
        }
        for pending in pending {
            self.start(pending);
        }
    }

    fn start(&mut self, pending: Pending) {
        let Pending { run, at, occurrence, .. } = pending;
        let abort = CancellationToken::new();
        if self.abort.is_cancelled() {
            abort.cancel();
        }
        let function = Arc::clone(&self.scheduler.slots[at.function as usize].function);
        let trigger = at.trigger as usize;
        let caller = self.callers.remove(&run);
        let mirror = caller.as_ref().map_or_else(Output::discard, |caller| caller.mirror.clone());
        let progress = Progress::default();
        let in_flight = InFlight {
            abort: abort.clone(),
            function: Arc::clone(&function),
            trigger,
            fire_time: occurrence.fire_time,
            reason: occurrence.reason,
            started_at: self.clock.now(),
            progress: progress.clone(),
        };
        self.in_flight.insert(run, in_flight);
        let (event, drain) = (Arc::clone(&self.event), self.drain.clone());
        let (store, clock, report) = (self.store.clone(), self.clock.clone(), self.report.clone());
        let (looks, halts, desk) = (Arc::clone(&self.looks), self.halts.clone(), self.desk.clone());
        let own_event = caller.as_ref().and_then(|caller| caller.event.clone());
        tokio::spawn(async move {
            let fire = Fire { own_event, ..occurrence.fire(&function, trigger, &event) };
            let runner = function.runner.clone();
            // Whoever fires by hand is there to see it fail.
            let retry = function.retry.clone().filter(|_| occurrence.reason != Reason::Manual);
            let retry_at = occurrence.retry_at;
            let work = Run { id: run, fire, runner, retry, retry_at, drain, abort, mirror, progress };
            let halted = |reason| async move { halt::ask(&halts, run, reason).await };
            let (last, outcome) = work.execute(store, clock, halted).await;
            desk.ended(&function, &last, run, &outcome).await;
            let succeeded = outcome.status == Status::Succeeded;
            let lane = if let Runner::Batch(_) = &function.runner {
                let order = looks.fetch_add(1, Ordering::Relaxed);
                Some(Learned { order, due: function.runner.next_retry().await })
            } else {
                None
            };
            if let Some(caller) = caller {
                // Who asked may have gone.
                let _ = caller.ended.send(outcome);
            }
            // The engine may be gone after an aborted drain; the end is on record all the same.
            let _ = report.send(End { run, succeeded, lane });
        });
    }

    /// Claims all of `wanted` and starts what may start. While the state refuses, tries again: fire times
    /// that are not claimed would be lost from the account.
    async fn claim(&mut self, wanted: &[Wanted], effects: &mut Effects) {
        let handed_over = self.clock.monotonic();
        // All are handed over before the first answer is awaited.
        let (mut under_way, mut done, mut size) = (Vec::new(), 0, CLAIMS.0);
        let mut before = Before::default();
        while done < wanted.len() {
            let group = &wanted[done..wanted.len().min(done + size)];
            let now = self.clock.now().timestamp_millis();
            let requests = self.scheduler.requests(group, &mut before, now, uuid::Uuid::new_v4);
            if let Some(request) = requests.iter().position(|request| !request.room)
                && !self.full
            {
                self.full = true;
                let (trigger, running) = (self.scheduler.full_name(group[request].at), self.in_flight.len());
                tracing::warn!(
                    trigger,
                    running,
                    "fires wait for room: as many runs are in flight as `max_runs` of the daemon or of the function allows"
                );
            }
            let answer = self.store.claim(requests.clone());
            under_way.push((requests, group, answer));
            done += group.len();
            size = CLAIMS.1.min(4 * size);
        }
        'groups: for (requests, wanted, answer) in under_way {
            let mut answer = answer.await;
            while let Err(error) = answer {
                tracing::error!(%error, fires = requests.len(), "could not claim fires, trying again");
                if self.pause_for(TRY_AGAIN).await {
                    // Others may have been taken: those run.
                    continue 'groups;
                }
                answer = self.store.claim(requests.clone()).await;
            }
            self.claimed_in = Some(self.clock.monotonic().saturating_sub(handed_over));
            for ((wanted, request), claim) in wanted.iter().zip(&requests).zip(answer.into_iter().flatten()) {
                self.claimed(wanted, request, claim, effects);
            }
            for pending in std::mem::take(&mut effects.start) {
                self.start(pending);
            }
        }
        // A fire that was refused leaves the room that was kept for it to those that were told to wait.
        self.scheduler.start_waiting(effects);
    }

    pub(super) fn claimed(
        &mut self,
        wanted: &Wanted,
        request: &ClaimRequest,
        claim: Claim,
        effects: &mut Effects,
    ) {
        if claim == Claim::Skipped && !wanted.is_of_lane() {
            let (trigger, fire_time) = (self.scheduler.full_name(wanted.at), beijing(request.fire_time));
            let function = &self.scheduler.slots[wanted.at.function as usize].function.name;
            // Once a run is enough: `history --skipped` counts the others.
            if self.said_busy.insert(function.clone()) {
                tracing::warn!(
                    trigger,
                    fire_time,
                    "skipped, as are all fires until it ends: the function is still running"
                );
            } else {
                tracing::debug!(trigger, fire_time, "skipped: the function is still running");
            }
        }
        if let Claim::Replaces { old, .. } = &claim {
            // Those that waited never run; those that run have taken their callers with them.
            for run in old {
                self.callers.remove(run);
            }
        }
        self.scheduler.claimed(wanted, request, claim, effects);
    }

    /// Sleeps; true when the drain came first.
    async fn pause_for(&self, duration: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(duration) => false,
            () = self.drain.cancelled() => true,
        }
    }
}

/// Says what never becomes a run, and answers what the state is to be told.
pub(super) fn log_skipped(skipped: Vec<(String, SkippedSpan)>) -> Vec<SkippedSpan> {
    let mut spans = Vec::with_capacity(skipped.len());
    for (trigger, span) in skipped {
        let SkippedSpan { first, last, count, reason, .. } = span;
        let (first, last, reason) = (beijing(first), beijing(last), reason.as_str());
        tracing::warn!(trigger, first, last, count, reason, "fire times were skipped");
        spans.push(span);
    }
    spans
}
