//! A function comes in: at the start, and when its folder has changed.

use std::sync::Arc;

use super::engine_loop::Engine;
use super::roster::Moved;
use super::runner::Function;
use super::scheduler::Effects;
use crate::store::triggers::{Enrolled, Enrolment};

impl Function {
    /// What the state is asked about it.
    pub(super) fn enrolment(&self) -> Enrolment {
        Enrolment { function: self.name.clone(), triggers: Arc::clone(&self.triggers) }
    }
}

impl Engine {
    /// Takes in a function, new or in a new version, with why its triggers were paused and when rows of its retry lane are
    /// due; `enrolled` is what the state says of it, `now` unix milliseconds.
    pub(super) async fn put(
        &mut self,
        function: Function,
        enrolled: &Enrolled,
        now: i64,
        effects: &mut Effects,
    ) -> Moved {
        let reasons =
            enrolled.triggers.iter().filter_map(|place| Some((place.id, place.paused_because.clone()?)));
        self.paused_because.extend(reasons);
        let (name, lane) = (function.name.clone(), function.runner.next_retry().await);
        let moved = self.scheduler.put(Arc::new(function), enrolled, now, effects);
        if let Some(index) = self.scheduler.names.get(&name) {
            self.scheduler.lane_is(*index, lane);
        }
        moved
    }
}
