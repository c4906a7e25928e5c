//! What a start makes of what the last process left behind.

use chrono::DateTime;

use super::engine_loop::{Engine, Pending, Wanted};
use super::runner::Runner;
use crate::run::{Fire, Outcome, Reason};
use crate::settings::{Misfire, OnInterrupted};
use crate::store::StoreError;
use crate::store::runs::RunRecord;

impl Engine {
    /// Settles batches and runs that the last process left open, and plans all triggers.
    pub async fn recover(&mut self) -> Result<(), StoreError> {
        self.recover_batches().await;
        self.settle_open_runs().await?;
        self.plan_triggers().await
    }

    async fn recover_batches(&self) {
        for function in &self.functions {
            if let Runner::Batch(batch) = &function.runner
                && let Err(error) = batch.recover().await
            {
                // Every run of the batch tries again first; until one succeeds, nothing is delivered.
                tracing::error!(function = function.name, %error, "could not settle the batch's reservations");
            }
        }
    }

    async fn settle_open_runs(&mut self) -> Result<(), StoreError> {
        // First, since the runs that are ended below look like drained ones afterwards.
        let mut again = self.drained_batches().await?;
        for run in self.store.left_open().await? {
            let Some((function, trigger)) = self.locate(&run) else {
                self.end_open(&run, "the daemon stopped, and the trigger is gone since").await?;
                continue;
            };
            if run.state == "waiting" && self.still_in_time(function, trigger, &run) {
                self.store.adopt(run.id).await?;
                let fire = self.fire_of(function, trigger, &run);
                self.wait(function, Pending { run: run.id, fire, backlog_of: None });
            } else if run.state == "waiting" {
                self.end_open(&run, "the daemon stopped before it could start").await?;
            } else {
                self.end_open(&run, "the daemon stopped or died during the run").await?;
                again.extend(self.again(function, trigger, &run));
            }
        }
        self.claim_and_start(again).await;
        self.start_waiting().await;
        Ok(())
    }

    /// Batches whose newest run a drain cut off at a checkpoint.
    async fn drained_batches(&self) -> Result<Vec<Wanted>, StoreError> {
        let mut again = Vec::new();
        for function in &self.functions {
            if matches!(function.runner, Runner::Batch(_))
                && let Some(run) = self.store.newest_run(function.name.clone()).await?
                && run.state == crate::run::Status::Interrupted.as_str()
                && let Some((function, trigger)) = self.locate(&run)
            {
                again.extend(self.again(function, trigger, &run));
            }
        }
        Ok(again)
    }

    /// A run in the place of one that was cut off, if the function's rule asks for it.
    fn again(&self, function: usize, trigger: usize, run: &RunRecord) -> Option<Wanted> {
        let rule = &self.functions[function];
        let reason = match (&rule.runner, rule.on_interrupted) {
            (Runner::Batch(_), _) => Reason::Resume,
            (Runner::Target(_), OnInterrupted::Rerun) => Reason::Retry,
            (Runner::Target(_), OnInterrupted::Fail) => return None,
        };
        let attempt = run.attempt + 1;
        let (fire_time, missed) = (run.fire_time, run.missed);
        Some(Wanted { function, trigger, fire_time, reason, attempt, missed, backlog_of: None })
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

    fn locate(&self, run: &RunRecord) -> Option<(usize, usize)> {
        let function = self.functions.iter().position(|function| function.name == run.function)?;
        let triggers = &self.functions[function].triggers;
        Some((function, triggers.iter().position(|trigger| trigger.name == run.trigger)?))
    }

    fn still_in_time(&self, function: usize, trigger: usize, run: &RunRecord) -> bool {
        let settings = &self.functions[function].triggers[trigger];
        let late = self.clock.now().timestamp() - run.fire_time;
        settings.misfire != Misfire::Skip || late <= settings.start_within.as_secs().cast_signed()
    }

    fn fire_of(&self, function: usize, trigger: usize, run: &RunRecord) -> Fire {
        let settings = &self.functions[function].triggers[trigger];
        Fire {
            request_id: run.request_id.clone(),
            function: run.function.clone(),
            trigger: run.trigger.clone(),
            fire_time: DateTime::from_timestamp(run.fire_time, 0).unwrap_or_default(),
            reason: Reason::from_word(&run.reason).unwrap_or(Reason::Timed),
            attempt: run.attempt,
            missed: run.missed,
            argument: settings.argument.clone(),
            event_type: self.event.event_type.clone(),
            app_id: self.event.app_id.clone(),
        }
    }
}
