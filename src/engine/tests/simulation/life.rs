//! A life: what happens to a machine, at random, and the model that looks on.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::super::facts::Fact;
use super::super::world::{Killed, World};
use super::fleet;
use super::model::Model;
use super::rng::Rng;
use crate::engine::handle::Selection;
use crate::engine::runner::Function;
use crate::run::Status;
use crate::store::runs::{RunId, SkipReason};

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// How large a life is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) triggers: usize,
    pub(super) days: i64,
    /// Time between two events, on the average; milliseconds.
    pub(super) between: i64,
}

/// What a life came to.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) fired: u64,
    pub(super) skipped: u64,
    pub(super) events: u64,
    pub(super) starts: u64,
    /// Runs of retry lanes.
    pub(super) lanes: u64,
    /// If they were asked for.
    pub(super) facts: Vec<Fact>,
}

pub(super) struct Life {
    rng: Rng,
    world: World,
    model: Model,
    /// Wall clock minus true time, milliseconds; the latter never goes back.
    offset: i64,
    ends: BinaryHeap<Reverse<(i64, RunId)>>,
    due_ends: HashMap<RunId, i64>,
    bounds: (i64, i64),
    size: Size,
    keep_facts: bool,
    story: Story,
    ended: usize,
}

/// Lives from a seed; fails with what the model says.
pub(super) fn live(seed: u64, size: Size, keep_facts: bool) -> Result<Story, String> {
    let mut rng = Rng::new(seed);
    // 2026-01-01T00:00:00Z, or near it.
    let begin = 1_767_225_600 + rng.between(0, 86_400);
    let bounds = (begin, begin + size.days * 86_400);
    let mut world = World::new(begin * SECOND, 1000);
    world.folders = fleet::fleet(&mut rng, size.triggers, bounds);
    let story = Story { fired: 0, skipped: 0, events: 0, starts: 0, lanes: 0, facts: Vec::new() };
    let (ends, due_ends, model) = Default::default();
    let mut life =
        Life { rng, world, model, offset: 0, ends, due_ends, bounds, size, keep_facts, story, ended: 0 };
    life.start()?;
    life.run()?;
    life.story.fired = life.model.fired;
    life.story.skipped = life.model.skipped;
    life.story.lanes = life.model.lanes.runs;
    Ok(life.story)
}

impl Life {
    fn run(&mut self) -> Result<(), String> {
        let end = self.bounds.1 * SECOND;
        let mut event = self.now() + self.rng.scaled(1, 2 * self.size.between);
        loop {
            let wake = self.world.next_wake().map_or(i64::MAX, |wake| wake.saturating_sub(self.offset));
            let run_ends = self.ends.peek().map_or(i64::MAX, |Reverse((at, _))| *at);
            let next = wake.min(run_ends).min(event).max(self.now());
            if next >= end {
                return self.settle();
            }
            self.go_to(next);
            let happens = event <= next;
            let done = if happens {
                self.story.events += 1;
                event = self.now() + self.rng.scaled(1, 2 * self.size.between);
                self.event()
            } else if run_ends <= next {
                self.end_runs()
            } else {
                self.world.look(SkipReason::Late)
            };
            self.after(done)?;
            if happens || self.rng.one_in(200) {
                self.settle()?;
            }
        }
    }

    /// The true time.
    fn now(&self) -> i64 {
        self.world.wall - self.offset
    }

    fn go_to(&mut self, now: i64) {
        self.world.wall = now + self.offset;
    }

    /// The process goes on, or has died of what was done.
    fn after(&mut self, done: Result<(), Killed>) -> Result<(), String> {
        // Refused claims take time as well.
        let begun = std::mem::take(&mut self.world.begun);
        let now = self.now();
        for run in begun {
            let ends = match self.rng.between(0, 99) {
                // Until it is told to end, or nearly.
                0 => now + self.rng.scaled(DAY, 300 * DAY),
                1..=5 => now + self.rng.scaled(HOUR, 3 * DAY),
                6..=30 => now + self.rng.scaled(SECOND, HOUR),
                _ => now + self.rng.between(1, 3 * SECOND),
            };
            self.ends_at(run, ends);
        }
        for run in std::mem::take(&mut self.world.aborted) {
            let ends = now + self.rng.scaled(1, 20 * SECOND);
            self.ends_at(run, ends);
        }
        if done.is_ok() && self.world.process.as_ref().is_some_and(|process| process.reports.is_empty()) {
            self.world.facts.push(Fact::Rest);
        }
        self.look_on()?;
        match done {
            Ok(()) => Ok(()),
            Err(Killed) => self.down(),
        }
    }

    fn ends_at(&mut self, run: RunId, at: i64) {
        self.due_ends.insert(run, at);
        self.ends.push(Reverse((at, run)));
    }

    fn look_on(&mut self) -> Result<(), String> {
        for fact in self.world.facts.drain(..) {
            let verdict = self.model.observe(&fact);
            if self.keep_facts {
                self.story.facts.push(fact);
            }
            verdict?;
        }
        Ok(())
    }

    fn end_runs(&mut self) -> Result<(), Killed> {
        while let Some(Reverse((at, run))) = self.ends.peek().copied()
            && at <= self.now()
        {
            self.ends.pop();
            if self.due_ends.get(&run) != Some(&at) {
                continue;
            }
            self.due_ends.remove(&run);
            let status = self.rng.pick(&[Status::Succeeded, Status::Succeeded, Status::Failed]);
            let idle = status == Status::Succeeded && self.rng.one_in(3);
            self.fill_lane(run, status);
            if status == Status::Failed && self.rng.one_in(20) {
                self.world.halt(run)?;
            }
            self.world.end(run, status, idle);
            self.ended += 1;
        }
        if self.ended >= 500 {
            self.ended = 0;
            let keep = self.rng.scaled(1, 5000);
            let before = self.world.wall - self.rng.scaled(HOUR, 400 * DAY);
            self.world.store.prune(before, keep, 1000);
        }
        // The loop may hear of it a little later.
        if self.rng.one_in(8) { Ok(()) } else { self.world.hear() }
    }

    /// What a run makes of its function's retry lane: it takes what is due, and may leave rows for later.
    fn fill_lane(&mut self, run: RunId, status: Status) {
        let Some(function) = self.world.store.run(run).map(|run| run.function) else { return };
        let wall = self.world.wall;
        let due = self.world.lanes.get(&function).copied();
        let taken = status == Status::Succeeded && due.is_some_and(|due| due <= wall);
        if self.rng.one_in(12) {
            let later = wall + self.rng.scaled(1, 8 * HOUR);
            let due = due.filter(|_| !taken).map_or(later, |due| due.min(later));
            self.world.lane(function, Some(due));
        } else if taken {
            self.world.lane(function, None);
        }
    }

    /// Lets the process come to rest, and asks the model whether all is accounted for.
    fn settle(&mut self) -> Result<(), String> {
        if self.world.process.is_none() {
            return Ok(());
        }
        let mut done = self.world.hear();
        // Claims that are refused take time, in which more becomes due.
        while done.is_ok() && self.world.next_wake().is_some_and(|wake| wake <= self.world.wall) {
            done = self.world.look(SkipReason::Late);
        }
        self.after(done)?;
        if self.world.process.is_some() {
            let now = self.world.wall;
            self.world.facts.push(Fact::Quiet { now });
            self.look_on()?;
        }
        Ok(())
    }

    /// The process is gone. Down for a while; the clock may be set meanwhile, folders changed.
    fn down(&mut self) -> Result<(), String> {
        self.world.die();
        self.ends.clear();
        self.due_ends.clear();
        self.look_on()?;
        let most = if self.rng.one_in(5) { 30 * DAY } else { HOUR };
        let downtime = self.rng.scaled(1, most);
        self.go_to(self.now() + downtime);
        if self.rng.one_in(6) {
            self.set_clock();
        }
        while self.rng.one_in(3) {
            let (name, function) = self.change();
            match function {
                Some(function) => drop(self.world.folders.insert(name, function)),
                None => drop(self.world.folders.remove(&name)),
            }
        }
        self.world.max_runs = usize::try_from(self.rng.pick(&[1, 3, 20, 1000, 1000, 1000])).unwrap();
        self.start()
    }

    fn start(&mut self) -> Result<(), String> {
        self.story.starts += 1;
        if self.rng.one_in(5) {
            self.world.fuse = Some(u32::try_from(self.rng.scaled(0, 40)).unwrap());
        }
        let done = self.world.start();
        if done.is_ok() {
            self.world.fuse = None;
        }
        self.after(done)?;
        self.settle()
    }

    fn set_clock(&mut self) {
        let reach = if self.rng.one_in(10) { 60 * DAY } else { 3 * HOUR };
        let by = self.rng.scaled(1, reach);
        // Backward jumps are made good by later ones, more or less: a life has an end.
        let by = if self.rng.one_in(2) { by } else { -by };
        self.offset += by;
        self.world.wall += by;
    }

    fn event(&mut self) -> Result<(), Killed> {
        match self.rng.between(0, 16) {
            0 => Err(Killed),
            // A step of the state too many, some time soon.
            1 => {
                self.world.fuse = Some(u32::try_from(self.rng.scaled(0, 100)).unwrap());
                Ok(())
            }
            2 => self.stop(),
            3 => {
                self.set_clock();
                self.world.look(SkipReason::Late)
            }
            // The machine sleeps, or is too busy.
            4 | 5 => {
                let most = if self.rng.one_in(4) { 3 * DAY } else { 2 * HOUR };
                let asleep = self.rng.scaled(SECOND, most);
                self.go_to(self.now() + asleep);
                self.world.look(SkipReason::Late)
            }
            6 | 7 => {
                let which = self.selection();
                self.world.pause(&which).map(drop)
            }
            8 | 9 => {
                let which = if self.rng.one_in(2) { Selection::All } else { self.selection() };
                self.world.resume(&which).map(drop)
            }
            10 | 11 => self.reload(),
            12 => {
                self.world.refusals = u32::try_from(self.rng.scaled(1, 200)).unwrap();
                Ok(())
            }
            13 => {
                let functions = &self.world.scheduler().slots;
                let ids: Vec<_> = functions.iter().map(|slot| slot.id).collect();
                let nth = self.rng.index(ids.len());
                ids.get(nth).map_or(Ok(()), |function| self.world.ask_for_lane(*function))
            }
            _ => {
                let function = self.any_function();
                let triggers = &function.triggers;
                if triggers.is_empty() {
                    return Ok(());
                }
                let nth = self.rng.index(triggers.len());
                self.world.fire(&function.name, &triggers[nth].name).map(drop)
            }
        }
    }

    /// SIGTERM: what runs has a minute; then it is told to end.
    fn stop(&mut self) -> Result<(), Killed> {
        let drains = self.rng.between(1, 60 * SECOND);
        self.go_to(self.now() + drains);
        let mut running: Vec<RunId> = self.due_ends.keys().copied().collect();
        running.sort_unstable();
        for run in running {
            let status =
                if self.due_ends[&run] <= self.now() { Status::Succeeded } else { Status::Interrupted };
            self.world.end(run, status, false);
        }
        Err(Killed)
    }

    fn reload(&mut self) -> Result<(), Killed> {
        let (mut put, mut removed) = (Vec::new(), Vec::new());
        for _ in 0..self.rng.between(1, 4) {
            let (name, function) = self.change();
            put.retain(|other: &Arc<Function>| other.name != name);
            removed.retain(|other| *other != name);
            if let Some(function) = function {
                self.world.folders.insert(name, Arc::clone(&function));
                put.push(function);
            } else {
                self.world.folders.remove(&name);
                removed.push(name);
            }
        }
        self.world.apply(put, &removed)
    }

    /// A folder that is changed, added, or brought back.
    fn change(&mut self) -> (String, Option<Arc<Function>>) {
        let old = self.any_function();
        if self.rng.one_in(4) || old.triggers.is_empty() {
            let missing = (0..).map(|nth| format!("f{nth:04}"));
            let name = missing.into_iter().find(|name| !self.world.folders.contains_key(name));
            let name = if old.triggers.is_empty() { old.name.clone() } else { name.unwrap_or_default() };
            let count = usize::try_from(self.rng.between(1, 3)).unwrap();
            let function = fleet::function(&mut self.rng, &name, count, self.bounds);
            return (name, Some(function));
        }
        (old.name.clone(), fleet::edited(&mut self.rng, &old, self.bounds))
    }

    fn any_function(&mut self) -> Arc<Function> {
        let none = || fleet::function(&mut Rng::new(0), "f0000", 0, (0, 1));
        let nth = self.rng.index(self.world.folders.len());
        self.world.folders.values().nth(nth).cloned().unwrap_or_else(none)
    }

    fn selection(&mut self) -> Selection {
        let mut names = Vec::new();
        for _ in 0..self.rng.between(1, 3) {
            let function = self.any_function();
            names.push(match function.triggers.first() {
                Some(first) if self.rng.one_in(2) => format!("{}/{}", function.name, first.name),
                _ => function.name.clone(),
            });
        }
        Selection::Named(names)
    }
}
