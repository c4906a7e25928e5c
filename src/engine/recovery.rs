//! What a start makes of what the last process left behind.

use super::engine_loop::{Engine, Pending};
use super::runner::{Occurrence, Runner};
use super::wanted::Wanted;
use crate::batch::InterruptedFire;
use crate::run::{Outcome, Reason};
use crate::settings::{Misfire, OnInterrupted};
use crate::store::StoreError;
use crate::store::runs::RunRecord;

impl Engine {
    /// Settles batches and runs that the last process left open, and plans all triggers.
    pub async fn recover(&mut self) -> Result<(), StoreError> {
        let cut_off = self.recover_batches().await;
        self.settle_open_runs(cut_off).await?;
        self.plan_triggers().await
    }

    /// Settles what batches left in their ledgers; answers the fires that they have not finished.
    async fn recover_batches(&self) -> Vec<InterruptedFire> {
        let mut cut_off = Vec::new();
        for function in &self.functions {
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

    async fn settle_open_runs(&mut self, cut_off: Vec<InterruptedFire>) -> Result<(), StoreError> {
        let mut again = Vec::new();
        for fire in cut_off {
            again.extend(self.resumed(&fire).await?);
        }
        for run in self.store.left_open().await? {
            let Some((function, trigger)) = self.locate(&run.function, &run.trigger) else {
                self.end_open(&run, "the daemon stopped, and the trigger is gone since").await?;
                continue;
            };
            if run.state == "waiting" && self.still_in_time(function, trigger, &run) {
                self.store.adopt(run.id).await?;
                let fire = self.functions[function].fire(trigger, Occurrence::from(&run), &self.event);
                self.wait(function, Pending { run: run.id, fire, backlog_of: None });
            } else if run.state == "waiting" {
                self.end_open(&run, "the daemon stopped before it could start").await?;
            } else {
                self.end_open(&run, "the daemon stopped or died during the run").await?;
                again.extend(self.rerun(function, trigger, &run));
            }
        }
        // What was cut off goes before what was waiting for it.
        self.claim_and_start(again).await;
        self.start_waiting().await;
        Ok(())
    }

    /// The rest of a batch's fire; none when its trigger is gone.
    async fn resumed(&self, fire: &InterruptedFire) -> Result<Option<Wanted>, StoreError> {
        let names = fire.trigger.split_once('/');
        let Some((function, trigger)) = names.and_then(|(function, trigger)| self.locate(function, trigger))
        else {
            tracing::warn!(trigger = fire.trigger, "a batch was cut off, and its trigger is gone since");
            return Ok(None);
        };
        let fire_time = fire.fire_time.timestamp();
        let attempts = self.store.attempts(fire.trigger.clone(), fire_time).await?;
        let (reason, attempt) = (Reason::Resume, attempts + 1);
        Ok(Some(Wanted { function, trigger, fire_time, reason, attempt, missed: 0, backlog_of: None }))
    }

    /// A run in the place of one that was cut off, if the function's rule asks for it. Batches resume by
    /// their ledger.
    fn rerun(&self, function: usize, trigger: usize, run: &RunRecord) -> Option<Wanted> {
        let rule = &self.functions[function];
        let reruns = matches!(rule.runner, Runner::Target(_)) && rule.on_interrupted == OnInterrupted::Rerun;
        let (fire_time, missed, attempt) = (run.fire_time, run.missed, run.attempt + 1);
        let reason = Reason::Retry;
        reruns.then_some(Wanted { function, trigger, fire_time, reason, attempt, missed, backlog_of: None })
    }

    async fn end_open(&self, run: &RunRecord, message: &str) -> Result<(), StoreError> {
        tracing::warn!(
            function = run.function,
            trigger = run.trigger,
            run = run.id,
            message,
            "run interrupted"
        );
        let now = self.clock.now().timestamp_millis();
        self.store.finish(run.id, Outcome::interrupted(message), now).await
    }

    fn locate(&self, function: &str, trigger: &str) -> Option<(usize, usize)> {
        let index = self.functions.iter().position(|candidate| candidate.name == function)?;
        let triggers = &self.functions[index].triggers;
        Some((index, triggers.iter().position(|candidate| *candidate.name == *trigger)?))
    }

    fn still_in_time(&self, function: usize, trigger: usize, run: &RunRecord) -> bool {
        let settings = &self.functions[function].triggers[trigger];
        let late = self.clock.now().timestamp() - run.fire_time;
        settings.rules.misfire != Misfire::Skip || late <= settings.rules.start_within.as_secs().cast_signed()
    }
}
