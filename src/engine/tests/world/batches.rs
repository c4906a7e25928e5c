//! What batches ask of the engine: wake-ups for their retry lanes, and to be paused.

use super::super::facts::{Fact, LaneFact};
use super::{Killed, World};
use crate::engine::scheduler::Effects;
use crate::store::runs::RunId;
use crate::store::triggers::FunctionId;

impl World {
    /// The first row of a function's lane is due then; none: no row waits.
    pub(in crate::engine::tests) fn lane(&mut self, function: FunctionId, due: Option<i64>) {
        match due {
            Some(due) => drop(self.lanes.insert(function, due)),
            None => drop(self.lanes.remove(&function)),
        }
        self.facts.push(Fact::Lane(LaneFact::Is { function, due }));
    }

    pub(in crate::engine::tests) fn lane_learned(&mut self, function: FunctionId) {
        let due = self.lanes.get(&function).copied();
        if let Some(index) = self.index_of(function) {
            self.scheduler().lane_is(index, due);
        }
    }

    fn index_of(&mut self, function: FunctionId) -> Option<u32> {
        (0..).zip(&self.scheduler().slots).find(|(_, slot)| slot.id == function).map(|(index, _)| index)
    }

    /// Somebody asks for the rows of a function's lane now: `Handle::requeue`.
    pub(in crate::engine::tests) fn ask_for_lane(&mut self, function: FunctionId) -> Result<(), Killed> {
        self.step()?;
        let now = self.wall;
        self.lane(function, Some(now));
        if let Some(index) = self.index_of(function) {
            self.scheduler().lane_asked(index, now);
            self.facts.push(Fact::Lane(LaneFact::Asked { function }));
        }
        Ok(())
    }

    /// `Engine::halt`: a run that is about to end has its function paused.
    pub(in crate::engine::tests) fn halt(&mut self, run: RunId) -> Result<(), Killed> {
        let Some(running) = self.scheduler().running.get(&run) else { return Ok(()) };
        let function = running.function as usize;
        let name = self.scheduler().slots[function].function.name.clone();
        let triggers = self.scheduler().active(&name);
        let (now, ids) = (self.wall, self.ids(&triggers));
        self.step()?;
        self.facts.push(Fact::Pause { now, triggers: ids.clone() });
        let lost = self.scheduler().lost_by_pause(&triggers).into_iter();
        self.store.pause(&ids, &lost.map(|(_, span)| span).collect::<Vec<_>>(), now);
        self.stepped();
        let mut effects = Effects::default();
        self.scheduler().halt(&name, &triggers, now, &mut effects);
        self.carry_out(effects)
    }
}
