//! Who belongs to the scheduler, and who is paused: functions come, change and go while runs go on.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::Arc;

use super::handle::{CommandError, Selection};
use super::plan::{At, Mark, State};
use super::runner::Function;
use super::scheduler::{Effects, Scheduler, Slot, full_name};
use super::wanted::Pending;
use crate::settings::TriggerSettings;
use crate::spelling::did_you_mean;
use crate::store::runs::{SkipReason, SkippedSpan};
use crate::store::triggers::{Enrolled, FunctionId, Place, TriggerId};

/// What the state is to be told about the triggers of a function that was put.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Triggers that were there before with another schedule: they start anew.
    pub(super) anew: Vec<TriggerId>,
    /// Triggers that are gone.
    pub(super) left: Vec<TriggerId>,
}

impl Scheduler {
    /// Takes in a function, new or in a new version; `enrolled` is what the state says of it. Triggers whose schedules are
    /// the same stay where they are, others start at `now` (unix milliseconds). What runs goes on.
    ///
    /// All that was due by `now` must have been taken out with [`Scheduler::due`] before.
    pub(super) fn put(
        &mut self,
        function: Arc<Function>,
        enrolled: &Enrolled,
        now: i64,
        effects: &mut Effects,
    ) -> Moved {
        let index = match self.names.get(&function.name) {
            Some(index) => *index,
            None => self.add_slot(&function, enrolled.function),
        };
        let places = enrolled.triggers.iter().zip(function.triggers.iter());
        let mut marks: Vec<Mark> = places
            .map(|(place, settings)| Mark {
                accounted: place.accounted,
                state: state(place, settings.enabled),
            })
            .collect();
        let nth: HashMap<TriggerId, u32> = enrolled.triggers.iter().map(|place| place.id).zip(0..).collect();
        let mut moved = Moved::default();
        for (at, id) in self.triggers_of(index) {
            let before = &self.slots[index as usize].function.triggers[at.trigger as usize];
            let after = nth.get(&id).map(|nth| (*nth as usize, &function.triggers[*nth as usize]));
            match after {
                Some((nth, after)) if stays(before, after) => {
                    marks[nth].accounted = self.plan.mark(at).accounted;
                    continue;
                }
                Some((nth, after)) => {
                    marks[nth].accounted = now.div_euclid(1000);
                    moved.anew.extend(after.enabled.then_some(id));
                }
                None => moved.left.push(id),
            }
            effects.skipped.extend(self.overdue(at, now));
        }
        self.plan.set(index, &function.name, Arc::clone(&function.triggers), marks);
        let slot = &mut self.slots[index as usize];
        let ids = enrolled.triggers.iter().map(|place| place.id).collect();
        let old_ids = mem::replace(&mut slot.ids, ids);
        let old = mem::replace(&mut slot.function, function);
        slot.gone = false;
        self.follow(index, &old, &old_ids, &nth, effects);
        moved
    }

    /// A function's folder is gone: its triggers leave, what runs goes on.
    pub(super) fn remove(&mut self, name: &str, now: i64, effects: &mut Effects) -> Moved {
        let Some(index) = self.names.get(name).copied() else { return Moved::default() };
        let slot = &self.slots[index as usize];
        let empty = Enrolled { function: slot.id, triggers: Vec::new() };
        let function = Function { triggers: Arc::default(), ..Function::clone(&slot.function) };
        let moved = self.put(Arc::new(function), &empty, now, effects);
        self.slots[index as usize].gone = true;
        self.lanes.forget(index);
        moved
    }

    fn add_slot(&mut self, function: &Arc<Function>, id: FunctionId) -> u32 {
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.names.insert(function.name.clone(), index);
        let (function, ids, waiting) = (Arc::clone(function), Vec::new(), VecDeque::new());
        let triggers: Arc<[TriggerSettings]> = Arc::default();
        self.plan.set(index, &function.name, triggers, Vec::new());
        self.slots.push(Slot { function, id, ids, running: 0, waiting, gone: false });
        index
    }

    /// Lets what waits and what runs of a function find its triggers where they are now.
    fn follow(
        &mut self,
        index: u32,
        old: &Function,
        old_ids: &[TriggerId],
        nth: &HashMap<TriggerId, u32>,
        effects: &mut Effects,
    ) {
        let moved = |at: At| {
            let trigger = *nth.get(&old_ids[at.trigger as usize])?;
            Some(At { trigger, ..at })
        };
        for (at, mut backlog) in self.backlogs.take(index) {
            let place = moved(at);
            let after = place.map(|at| &self.slots[index as usize].function.triggers[at.trigger as usize]);
            if !after.is_some_and(|after| stays(&old.triggers[at.trigger as usize], after)) {
                let trigger = old_ids[at.trigger as usize];
                let spans = backlog.give_up(SkipReason::Removed).into_iter();
                let spans = spans.map(|(missed, reason)| (full_name(old, at), missed.span(trigger, reason)));
                effects.skipped.extend(spans);
            }
            if let Some(at) = place {
                self.backlogs.put_back(at, backlog);
            }
        }
        for running in self.running.values_mut().filter(|running| running.function == index) {
            running.backlog_of = running.backlog_of.and_then(moved);
        }
        for pending in mem::take(&mut self.slots[index as usize].waiting) {
            match moved(pending.at) {
                Some(at) => self.slots[index as usize].waiting.push_back(Pending { at, ..pending }),
                None => effects.dropped.push((pending.run, "its trigger was removed")),
            }
        }
    }

    /// What would never run of triggers if they were paused: their backlogs.
    pub(super) fn lost_by_pause(&self, triggers: &[At]) -> Vec<(String, SkippedSpan)> {
        let skipped = |at: &At| {
            let spans = self.backlogs.would_skip(*at, SkipReason::Paused).into_iter();
            let at = *at;
            spans.map(move |(missed, reason)| (self.full_name(at), missed.span(self.id(at), reason)))
        };
        triggers.iter().flat_map(skipped).collect()
    }

    /// Triggers are paused from `now` (unix milliseconds) on. What runs of them goes on, and what is claimed.
    pub(super) fn pause(&mut self, triggers: &[At], now: i64) {
        for at in triggers {
            self.backlogs.give_up(*at);
        }
        self.plan.pause(&triggers.iter().copied().collect(), now);
    }

    /// What fell due of a paused trigger by `now` (unix milliseconds).
    pub(super) fn overdue(&self, at: At, now: i64) -> Option<(String, SkippedSpan)> {
        let span = self.plan.overdue(at, now)?.span(self.id(at), SkipReason::Paused);
        Some((self.full_name(at), span))
    }

    /// Which triggers a selection means.
    pub(super) fn select(&self, selection: &Selection) -> Result<Vec<At>, CommandError> {
        match selection {
            Selection::All => Ok(self.triggers().collect()),
            Selection::Named(names) => {
                let mut selected = Vec::new();
                for name in names {
                    if let Some((function, trigger)) = name.split_once('/') {
                        selected.push(self.locate(function, Some(trigger))?);
                    } else {
                        selected.extend(self.triggers_of(self.function(name)?).map(|(at, _)| at));
                    }
                }
                Ok(selected)
            }
        }
    }

    /// A trigger by its name, or the first of its function.
    pub(super) fn locate(&self, function: &str, trigger: Option<&str>) -> Result<At, CommandError> {
        let index = self.function(function)?;
        let triggers = &self.slots[index as usize].function.triggers;
        let place = match trigger {
            Some(name) => triggers.iter().position(|trigger| *trigger.name == *name),
            None => (!triggers.is_empty()).then_some(0),
        };
        let nth = place.and_then(|nth| u32::try_from(nth).ok());
        nth.map(|trigger| At { function: index, trigger }).ok_or_else(|| match trigger {
            None => CommandError::NoTrigger { function: function.to_owned() },
            Some(name) => CommandError::Unknown {
                what: "trigger",
                name: format!("{function}/{name}"),
                nearest: did_you_mean(name, triggers.iter().map(|trigger| &*trigger.name)),
            },
        })
    }

    /// The function of a trigger's full name.
    pub(super) fn function_of(&self, full_name: &str) -> Option<&Function> {
        let name = full_name.split_once('/').map_or(full_name, |(function, _)| function);
        self.names.get(name).map(|index| &*self.slots[*index as usize].function)
    }

    fn function(&self, name: &str) -> Result<u32, CommandError> {
        let there = |index: &&u32| !self.slots[**index as usize].gone;
        self.names.get(name).filter(there).copied().ok_or_else(|| {
            let names = self.slots.iter().filter(|slot| !slot.gone).map(|slot| slot.function.name.as_str());
            CommandError::Unknown {
                what: "function",
                name: name.to_owned(),
                nearest: did_you_mean(name, names),
            }
        })
    }

    /// All triggers, function by function.
    pub(super) fn triggers(&self) -> impl Iterator<Item = At> {
        (0..).zip(&self.slots).flat_map(|(function, slot)| {
            (0..).zip(&slot.ids).map(move |(trigger, _)| At { function, trigger })
        })
    }

    fn triggers_of(&self, index: u32) -> impl Iterator<Item = (At, TriggerId)> + use<> {
        let ids = self.slots[index as usize].ids.clone();
        (0..).zip(ids).map(move |(trigger, id)| (At { function: index, trigger }, id))
    }
}

/// Whether a trigger goes on where it is.
fn stays(before: &TriggerSettings, after: &TriggerSettings) -> bool {
    before.enabled && after.enabled && before.schedule == after.schedule
}

const fn state(place: &Place, enabled: bool) -> State {
    match (enabled, place.paused_since) {
        (false, _) => State::Disabled,
        (true, Some(since)) => State::Paused { since },
        (true, None) => State::Active,
    }
}
