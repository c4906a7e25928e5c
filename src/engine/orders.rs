//! What the engine does when it is asked or told something from outside: see [`super::handle`].

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::oneshot;

use super::carry_out::log_skipped;
use super::engine_loop::Engine;
use super::handle::{Changes, CommandError, Fired, ManualFire, Order, Selection};
use super::plan::{At, State};
use super::runner::Function;
use super::scheduler::{Before, Effects};
use super::wanted::Wanted;
use crate::run::{Outcome, Output, Reason};
use crate::settings::Overlap;
use crate::store::runs::{Claim, SkipReason};
use crate::store::triggers::{Others, TriggerId};

/// Who asked for a manual run.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) mirror: Output,
    pub(super) event: Option<Arc<Value>>,
    pub(super) ended: oneshot::Sender<Outcome>,
}

impl Engine {
    /// Whoever asked may have gone: then the answer is dropped, and what was done is done.
    pub(super) async fn obey(&mut self, order: Order) {
        match order {
            Order::Status(reply) => drop(reply.send(self.status())),
            Order::Triggers(reply) => drop(reply.send(self.triggers())),
            Order::Pause(which, reply) => drop(reply.send(self.pause(&which).await)),
            Order::Resume(which, reply) => drop(reply.send(self.resume(&which).await)),
            Order::Fire(fire, reply) => drop(reply.send(self.fire(fire).await)),
            Order::Batches(reply) => drop(reply.send(self.batches())),
            Order::Keeper(batch, reply) => drop(reply.send(self.keeper(&batch))),
            Order::WakeLane(batch) => self.wake_lane(&batch),
            Order::Apply(changes, reply) => drop(reply.send(self.apply(changes).await)),
        }
    }

    async fn pause(&mut self, which: &Selection) -> Result<Vec<String>, CommandError> {
        let triggers = self.in_state(which, |state| state == State::Active)?;
        // What is due already fires.
        self.fire_due(SkipReason::Late).await;
        let now = self.clock.now().timestamp_millis();
        let lost = log_skipped(self.scheduler.lost_by_pause(&triggers));
        self.store.pause(self.ids(&triggers), None, lost, now).await?;
        self.scheduler.pause(&triggers, now);
        let names = self.names(&triggers);
        tracing::info!(triggers = ?names, "paused");
        Ok(names)
    }

    async fn resume(&mut self, which: &Selection) -> Result<Vec<String>, CommandError> {
        let triggers = self.in_state(which, |state| matches!(state, State::Paused { .. }))?;
        let now = self.clock.now().timestamp_millis();
        let overdue = triggers.iter().filter_map(|at| self.scheduler.overdue(*at, now)).collect();
        self.store.resume(self.ids(&triggers), log_skipped(overdue), now).await?;
        self.scheduler.plan.resume(&triggers, now);
        for id in self.ids(&triggers) {
            self.paused_because.remove(&id);
        }
        let names = self.names(&triggers);
        tracing::info!(triggers = ?names, "resumed");
        Ok(names)
    }

    async fn fire(&mut self, fire: ManualFire) -> Result<Fired, CommandError> {
        let ManualFire { function, trigger, event, mirror } = fire;
        let at = self.scheduler.locate(&function, trigger.as_deref())?;
        if event.is_some() && self.scheduler.slots[at.function as usize].function.runner.is_batch() {
            return Err(CommandError::TakesNoEvent { function });
        }
        let now = self.clock.now();
        let wanted = Wanted {
            at,
            fire_time: now.timestamp(),
            since: now.timestamp(),
            reason: Reason::Manual,
            attempt: 1,
            missed: 0,
            of_backlog: false,
        };
        let mut requests = self.scheduler.requests(
            &[wanted],
            &mut Before::default(),
            now.timestamp_millis(),
            uuid::Uuid::new_v4,
        );
        if event.is_some() {
            // The state does not keep the event: such a run must not wait for a process that may be another.
            if requests.iter().any(|request| !request.room) {
                return Err(CommandError::Full { function });
            }
            for request in &mut requests {
                request.overlap =
                    if request.overlap == Overlap::Allow { Overlap::Allow } else { Overlap::Skip };
            }
        }
        let claim = self.store.claim(requests.clone()).await?.pop();
        let (Some(request), Some(claim)) = (requests.first(), claim) else {
            return Err(CommandError::Stopped);
        };
        let (run, waits) = match &claim {
            Claim::Started(run) => (*run, false),
            Claim::Waiting(run) | Claim::Replaces { run, .. } => (*run, true),
            Claim::Skipped | Claim::AlreadyClaimed => return Err(CommandError::Busy { function }),
        };
        let (sender, ended) = oneshot::channel();
        self.callers.insert(run, Caller { mirror, ended: sender, event });
        let mut effects = Effects::default();
        self.claimed(&wanted, request, claim, &mut effects);
        self.carry_out(effects).await;
        Ok(Fired { run, waits, ended })
    }

    async fn apply(&mut self, changes: Changes) -> Result<(), CommandError> {
        // Up to now the old schedules hold.
        self.fire_due(SkipReason::Late).await;
        let now = self.clock.now().timestamp_millis();
        let Changes { put, removed, problems } = changes;
        let enrolments = put.iter().map(Function::enrolment).collect();
        let enrolled = self.store.enroll(enrolments, Others::Stay, now.div_euclid(1000)).await?;
        let mut effects = Effects::default();
        let (mut anew, mut left): (Vec<TriggerId>, Vec<TriggerId>) = Default::default();
        for (function, enrolled) in put.into_iter().zip(&enrolled) {
            let moved = self.put(function, enrolled, now, &mut effects).await;
            anew.extend(moved.anew);
            left.extend(moved.left);
        }
        for name in &removed {
            left.extend(self.scheduler.remove(name, now, &mut effects).left);
        }
        // A rule that has changed may let them.
        self.scheduler.start_waiting(&mut effects);
        self.problems = problems;
        self.reloaded_at = Some(self.clock.now());
        self.carry_out(effects).await;
        // After what was skipped of them is on record.
        self.store.start_anew(anew, now.div_euclid(1000)).await?;
        self.store.dismiss(left).await?;
        Ok(())
    }

    /// The selected triggers that are in this state.
    fn in_state(&self, which: &Selection, wanted: fn(State) -> bool) -> Result<Vec<At>, CommandError> {
        let mut triggers = self.scheduler.select(which)?;
        triggers.retain(|at| wanted(self.scheduler.plan.mark(*at).state));
        triggers.sort_unstable();
        triggers.dedup();
        Ok(triggers)
    }

    fn ids(&self, triggers: &[At]) -> Vec<TriggerId> {
        triggers.iter().map(|at| self.scheduler.id(*at)).collect()
    }

    fn names(&self, triggers: &[At]) -> Vec<String> {
        triggers.iter().map(|at| self.scheduler.full_name(*at)).collect()
    }
}
