//! What a start makes of what the last process left behind.

use super::engine_loop::{Engine, beijing};
use super::plan::At;
use super::runner::{Function, Runner};
use super::scheduler::{Effects, Scheduler};
use super::wanted::{Occurrence, Pending, Wanted};
use crate::batch::InterruptedFire;
use crate::run::{Outcome, Reason};
use crate::settings::{Misfire, OnInterrupted};
use crate::store::StoreError;
use crate::store::runs::{Ended, RunRecord};
use crate::store::triggers::Others;

impl Engine {
    /// Takes in the functions, and settles batches and runs that the last process left open.
    pub async fn recover(&mut self, functions: Vec<Function>) -> Result<(), StoreError> {
        let cut_off = recover_batches(&functions).await;
        self.take_in(functions).await?;
        self.settle_open_runs(cut_off).await
    }

    /// The whole configuration: each trigger from its mark on, a new one from now on.
    async fn take_in(&mut self, functions: Vec<Function>) -> Result<(), StoreError> {
        let now = self.clock.now().timestamp_millis();
        let enrolments = functions.iter().map(Function::enrolment).collect();
        let enrolled = self.store.enroll(enrolments, Others::Leave, now.div_euclid(1000)).await?;
        for (function, enrolled) in functions.into_iter().zip(&enrolled) {
            for (trigger, place) in function.triggers.iter().zip(&enrolled.triggers) {
                if let Some(mark) = place.ahead {
                    tracing::error!(
                        function = function.name,
                        trigger = %trigger.name,
                        mark = beijing(mark),
                        "the state says that this trigger fired in the future; the clock must have jumped. Going on from now"
                    );
                }
            }
            // Nothing was there before that would have to move.
            self.put(function, enrolled, now, &mut Effects::default()).await;
        }
        Ok(())
    }

    async fn settle_open_runs(&mut self, cut_off: Vec<InterruptedFire>) -> Result<(), StoreError> {
        let mut effects = Effects::default();
        for fire in cut_off {
            effects.claim.extend(self.resumed(&fire).await?);
        }
        let now = self.clock.now().timestamp();
        for run in self.store.left_open().await? {
            match self.scheduler.left_open(&run, now) {
                LeftOpen::Adopt(pending) => {
                    self.store.adopt(run.id).await?;
                    self.scheduler.wait(pending);
                }
                LeftOpen::GoOn(pending) => {
                    self.store.adopt(run.id).await?;
                    self.scheduler.take_over(pending, &mut effects);
                }
                LeftOpen::End { message, rerun } => {
                    self.end_open(&run, message).await?;
                    if rerun.is_none() && run.state != "waiting" {
                        self.tell_of_cut_off(&run, message);
                    }
                    effects.claim.extend(rerun);
                }
            }
        }
        // What was cut off goes before what was waiting for it.
        self.carry_out(effects).await;
        let mut effects = Effects::default();
        self.scheduler.start_waiting(&mut effects);
        self.carry_out(effects).await;
        Ok(())
    }

    /// The rest of a batch's fire; none when its trigger is gone.
    async fn resumed(&self, fire: &InterruptedFire) -> Result<Option<Wanted>, StoreError> {
        let (function, trigger) = fire.trigger.split_once('/').unwrap_or((&fire.trigger, ""));
        let Ok(at) = self.scheduler.locate(function, Some(trigger)) else {
            tracing::warn!(trigger = fire.trigger, "a batch was cut off, and its trigger is gone since");
            return Ok(None);
        };
        let fire_time = fire.fire_time.timestamp();
        let attempts = self.store.attempts(function.to_owned(), trigger.to_owned(), fire_time).await?;
        let (reason, attempt) = (Reason::Resume, attempts + 1);
        Ok(Some(Wanted { at, fire_time, since: fire_time, reason, attempt, missed: 0, of_backlog: false }))
    }

    /// Batches go on by their ledger: nobody need be told.
    fn tell_of_cut_off(&self, run: &RunRecord, message: &str) {
        let Ok(at) = self.scheduler.locate(&run.function, Some(&run.trigger)) else { return };
        let function = &self.scheduler.slots[at.function as usize].function;
        if !function.runner.is_batch() {
            let fire = Occurrence::from(run).fire(function, at.trigger as usize, &self.event);
            self.desk.cut_off(function, &fire, run.id, message);
        }
    }

    async fn end_open(&self, run: &RunRecord, message: &str) -> Result<(), StoreError> {
        tracing::warn!(
            function = run.function,
            trigger = run.trigger,
            run = run.id,
            message,
            "run interrupted"
        );
        let at = self.clock.now().timestamp_millis();
        self.store.finish(Ended { run: run.id, outcome: Outcome::interrupted(message), at }).await
    }
}

/// What becomes of a run that the last process left open.
#[derive(Debug)]
pub(super) enum LeftOpen {
    /// It goes on waiting.
    Adopt(Pending),
    /// It goes on waiting for its next attempt.
    GoOn(Pending),
    /// It ends as interrupted, and another may run in its place.
    End { message: &'static str, rerun: Option<Wanted> },
}

impl Scheduler {
    /// What a start at `now` (unix seconds) makes of a run that is still open.
    pub(super) fn left_open(&self, run: &RunRecord, now: i64) -> LeftOpen {
        let Ok(at) = self.locate(&run.function, Some(&run.trigger)) else {
            let message = "the daemon stopped, and the trigger is gone since";
            return LeftOpen::End { message, rerun: None };
        };
        let function = &self.slots[at.function as usize].function;
        let rules = &function.triggers[at.trigger as usize].rules;
        let pending = Pending { run: run.id, at, occurrence: Occurrence::from(run), of_backlog: false };
        if let Some(retry_at) = run.retry_at {
            let late = now - retry_at.div_euclid(1000);
            if late <= rules.catch_up.as_secs().cast_signed() {
                let occurrence = Occurrence { reason: Reason::Retry, ..pending.occurrence };
                return LeftOpen::GoOn(Pending { occurrence, ..pending });
            }
            return LeftOpen::End {
                message: "the daemon was down when its next attempt was due",
                rerun: None,
            };
        }
        if run.state != "waiting" {
            let message = "the daemon stopped or died during the run";
            return LeftOpen::End { message, rerun: rerun(function, at, run) };
        }
        let late = now - run.fire_time;
        if rules.misfire != Misfire::Skip || late <= rules.start_within.as_secs().cast_signed() {
            LeftOpen::Adopt(pending)
        } else {
            LeftOpen::End { message: "the daemon stopped before it could start", rerun: None }
        }
    }
}

/// A run in the place of one that was cut off, if the function's rule asks for it. Batches resume by
/// their ledger.
fn rerun(function: &Function, at: At, run: &RunRecord) -> Option<Wanted> {
    let is_batch = matches!(function.runner, Runner::Batch(_));
    let (fire_time, missed, attempt) = (run.fire_time, run.missed, run.attempt + 1);
    (!is_batch && function.on_interrupted == OnInterrupted::Rerun).then_some(Wanted {
        at,
        fire_time,
        since: fire_time,
        reason: Reason::Retry,
        attempt,
        missed,
        of_backlog: false,
    })
}

/// Settles what batches left in their ledgers; answers the fires that they have not finished.
async fn recover_batches(functions: &[Function]) -> Vec<InterruptedFire> {
    let mut cut_off = Vec::new();
    for function in functions {
        let Runner::Batch(batch) = &function.runner else { continue };
        match batch.recover().await {
            Ok(recovery) => cut_off.extend(recovery.interrupted),
            Err(error) => {
                // Every run of the batch tries again first; until one succeeds, nothing is delivered.
                let function = function.name.as_str();
                tracing::error!(function, %error, "could not settle the batch's reservations");
            }
        }
    }
    cut_off
}
