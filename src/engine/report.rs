//! How the engine describes itself: see [`super::handle::Status`].

use chrono::{DateTime, Utc};

use super::engine_loop::Engine;
use super::handle::{Halted, NextFire, RunStatus, SHOWN_RUNS, Status, TriggerStatus};
use super::plan::{At, State};

impl Engine {
    pub(super) fn status(&self) -> Status {
        let monotonic = self.clock.monotonic();
        let states = || self.scheduler.triggers().map(|at| self.scheduler.plan.mark(at).state);
        let paused = |state: &State| matches!(state, State::Paused { .. });
        let mut runs: Vec<_> = self.in_flight.iter().collect();
        runs.sort_unstable_by_key(|(run, _)| **run);
        let running = runs
            .into_iter()
            .take(SHOWN_RUNS)
            .map(|(run, in_flight)| RunStatus {
                run: *run,
                function: in_flight.function.name.clone(),
                trigger: in_flight.function.triggers[in_flight.trigger].name.to_string(),
                fire_time: instant(in_flight.fire_time),
                reason: in_flight.reason.as_str(),
                started_at: in_flight.started_at,
                progress: in_flight.progress.at(monotonic),
            })
            .collect();
        Status {
            now: self.clock.now(),
            started_at: self.started_at,
            functions: self.scheduler.slots.iter().filter(|slot| !slot.gone).count(),
            triggers: states().filter(|state| *state != State::Disabled).count(),
            paused: states().filter(paused).count(),
            running,
            running_count: self.in_flight.len(),
            waiting: self.scheduler.slots.iter().map(|slot| slot.waiting.len()).sum(),
            full: self.full,
            backlog: self.scheduler.backlogs.len(),
            next: self.scheduler.plan.next().map(|(due, at)| self.next_fire(due, at)),
            claimed_in: self.claimed_in,
            clock_behind: self.clock_behind(),
            problems: self.problems.clone(),
            halted: self.halted(),
            reloaded_at: self.reloaded_at,
        }
    }

    /// Functions that a run has paused.
    fn halted(&self) -> Vec<Halted> {
        let mut halted: Vec<Halted> = Vec::new();
        for at in self.scheduler.triggers() {
            let State::Paused { since } = self.scheduler.plan.mark(at).state else { continue };
            let Some(reason) = self.paused_because.get(&self.scheduler.id(at)) else { continue };
            let function = &self.scheduler.slots[at.function as usize].function.name;
            if halted.last().is_none_or(|last| last.function != *function) {
                let since = DateTime::from_timestamp_millis(since).unwrap_or_default();
                halted.push(Halted { function: function.clone(), since, reason: reason.clone() });
            }
        }
        halted
    }

    fn next_fire(&self, due: i64, at: At) -> NextFire {
        let function = &self.scheduler.slots[at.function as usize].function;
        NextFire {
            function: function.name.clone(),
            trigger: function.triggers[at.trigger as usize].name.to_string(),
            due: DateTime::from_timestamp_millis(due).unwrap_or_default(),
        }
    }

    /// By function name, and in the order of its file.
    pub(super) fn triggers(&self) -> Vec<TriggerStatus> {
        let mut triggers: Vec<TriggerStatus> =
            self.scheduler.triggers().map(|at| self.trigger_status(at)).collect();
        triggers.sort_by(|a, b| a.function.cmp(&b.function));
        triggers
    }

    fn trigger_status(&self, at: At) -> TriggerStatus {
        let slot = &self.scheduler.slots[at.function as usize];
        let settings = &slot.function.triggers[at.trigger as usize];
        TriggerStatus {
            function: slot.function.name.clone(),
            trigger: settings.name.to_string(),
            expression: settings.expression.to_string(),
            timezone: settings.schedule.timezone().name(),
            target: slot.function.runner.kind(),
            enabled: settings.enabled,
            paused_since: match self.scheduler.plan.mark(at).state {
                State::Paused { since } => DateTime::from_timestamp_millis(since),
                State::Active | State::Disabled => None,
            },
            paused_because: self.paused_because.get(&self.scheduler.id(at)).cloned(),
            next: self.scheduler.plan.next_of(at).map(instant),
            running: slot.running,
            waiting: slot.waiting.len(),
        }
    }
}

fn instant(unix: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(unix, 0).unwrap_or_default()
}
