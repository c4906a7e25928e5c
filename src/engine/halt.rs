//! Functions that are paused because a run said that going on would do harm: see [`crate::run::Outcome::pause`].
//!
//! The pause is durable before the end of the run is recorded, so that nothing that waits for the function starts in
//! between.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::carry_out::log_skipped;
use super::engine_loop::Engine;
use super::plan::{At, State};
use super::scheduler::{Effects, Scheduler};
use crate::store::runs::RunId;

/// A run that asks for its function to be paused.
#[derive(Debug)]
pub(super) struct Halt {
    run: RunId,
    /// One line.
    reason: String,
    done: oneshot::Sender<()>,
}

/// Asks, and waits until it is done; at once when the engine is gone.
pub(super) async fn ask(engine: &mpsc::UnboundedSender<Halt>, run: RunId, reason: String) {
    let (done, wait) = oneshot::channel();
    if engine.send(Halt { run, reason, done }).is_ok() {
        let _ = wait.await;
    }
}

/// Says what happened, and how to go on.
pub(super) fn log(function: &str, reason: &str) {
    tracing::error!(function, reason, "paused; when it is mended, go on with `gulou resume {function}`");
}

impl Engine {
    pub(super) async fn halt(&mut self, halt: Halt) {
        let Halt { run, reason, done } = halt;
        if let Some(running) = self.in_flight.get(&run) {
            let function = Arc::clone(&running.function);
            let triggers = self.scheduler.active(&function.name);
            let now = self.clock.now().timestamp_millis();
            let lost = log_skipped(self.scheduler.lost_by_pause(&triggers));
            let ids: Vec<_> = triggers.iter().map(|at| self.scheduler.id(*at)).collect();
            if let Err(error) = self.store.pause(ids.clone(), Some(reason.clone()), lost, now).await {
                tracing::error!(function = function.name, %error, "the pause does not survive a restart");
            }
            self.paused_because.extend(ids.into_iter().map(|id| (id, reason.clone())));
            let mut effects = Effects::default();
            self.scheduler.halt(&function.name, &triggers, now, &mut effects);
            self.carry_out(effects).await;
            log(&function.name, &reason);
        }
        // Who asked may be gone.
        let _ = done.send(());
    }
}

impl Scheduler {
    /// The active triggers of a function.
    pub(super) fn active(&self, function: &str) -> Vec<At> {
        let Some(function) = self.names.get(function).copied() else { return Vec::new() };
        let all = (0..).zip(&self.slots[function as usize].ids).map(|(trigger, _)| At { function, trigger });
        all.filter(|at| self.plan.mark(*at).state == State::Active).collect()
    }

    /// A function's active triggers are paused from `now` (unix milliseconds) on, and what waits of it never starts.
    pub(super) fn halt(&mut self, function: &str, triggers: &[At], now: i64, effects: &mut Effects) {
        self.pause(triggers, now);
        let Some(function) = self.names.get(function) else { return };
        let waiting = std::mem::take(&mut self.slots[*function as usize].waiting);
        for pending in waiting {
            effects.dropped.push((pending.run, "its function was paused"));
            self.go_on(pending.of_backlog.then_some(pending.at), effects);
        }
    }
}
