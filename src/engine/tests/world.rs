//! A daemon without tasks, files and time: the scheduler over the store in memory, and a wall clock that is a number.
//!
//! What the engine does around the scheduler (`carry_out`, `orders`, `recovery`) is mirrored here, in the same order and
//! without `await`. A process can die at each step that the state would have to take.

mod batches;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::facts::{Enlisted, Fact, Held, LaneFact};
use super::memory::{Entry, MemoryStore};
use crate::engine::handle::Selection;
use crate::engine::lane::{End, Learned};
use crate::engine::plan::{At, State};
use crate::engine::recovery::LeftOpen;
use crate::engine::runner::Function;
use crate::engine::scheduler::{Before, Effects, Scheduler};
use crate::engine::wanted::Wanted;
use crate::run::{Reason, Status};
use crate::store::runs::{Claim, RunId, SkipReason, SkippedSpan};
use crate::store::triggers::{Enrolled, Enrolment, FunctionId, Others, TriggerId};

/// Claims that share a commit, as in `carry_out`.
const CLAIMS: usize = 512;

/// The process died; nothing more of what it was about to do happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Killed;

/// One machine: a state, perhaps a process on it, and what it does.
#[derive(Debug)]
pub(super) struct World {
    /// Unix milliseconds.
    pub(super) wall: i64,
    pub(super) store: MemoryStore,
    /// What the ledgers hold: when the first row of a function's retry lane is due, unix milliseconds.
    pub(super) lanes: BTreeMap<FunctionId, i64>,
    /// What the function folders say.
    pub(super) folders: BTreeMap<String, Arc<Function>>,
    pub(super) max_runs: usize,
    pub(super) process: Option<Process>,
    /// The process dies instead of the step that comes after so many.
    pub(super) fuse: Option<u32>,
    /// So many commits of claims are refused, each for a second.
    pub(super) refusals: u32,
    pub(super) facts: Vec<Fact>,
    /// Runs that have started or were told to end since somebody looked.
    pub(super) begun: Vec<RunId>,
    pub(super) aborted: Vec<RunId>,
    requests: u128,
    looks: u64,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) scheduler: Scheduler,
    /// What runs.
    pub(super) in_flight: BTreeSet<RunId>,
    /// Ends that are on record, and of which the loop has not heard.
    pub(super) reports: Vec<End>,
}

impl World {
    pub(super) fn new(wall: i64, max_runs: usize) -> Self {
        Self {
            wall,
            store: MemoryStore::default(),
            lanes: BTreeMap::new(),
            folders: BTreeMap::new(),
            max_runs,
            process: None,
            fuse: None,
            refusals: 0,
            facts: Vec::new(),
            begun: Vec::new(),
            aborted: Vec::new(),
            requests: 0,
            looks: 0,
        }
    }

    pub(super) fn scheduler(&mut self) -> &mut Scheduler {
        &mut self.process.as_mut().expect("a process runs").scheduler
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a process runs")
    }

    /// When the process wants to be woken, unix milliseconds.
    pub(super) fn next_wake(&self) -> Option<i64> {
        self.process.as_ref().and_then(|process| process.scheduler.next_wake())
    }

    /// Asks the state to take a step.
    fn step(&mut self) -> Result<(), Killed> {
        match &mut self.fuse {
            None => Ok(()),
            Some(0) => Err(Killed),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// Hands on what the state has just taken.
    fn stepped(&mut self) {
        let now = self.wall;
        self.facts.extend(self.store.journal.drain(..).map(|entry| match entry {
            Entry::Skipped(span, row) => Fact::Skipped { now, span, row },
            Entry::Started(run) => Fact::Started { run },
            Entry::Ended(run) => Fact::Ended { run },
        }));
    }

    /// The process is gone, and what ran with it; the state stays.
    pub(super) fn die(&mut self) {
        self.process = None;
        self.fuse = None;
        self.begun.clear();
        self.aborted.clear();
        self.facts.push(Fact::Down);
    }

    /// A process starts: `Engine::recover`, and the first look of `Engine::run`.
    pub(super) fn start(&mut self) -> Result<(), Killed> {
        self.store.open();
        let (in_flight, reports) = Default::default();
        self.process =
            Some(Process { scheduler: Scheduler::new(self.max_runs, usize::MAX), in_flight, reports });
        let functions: Vec<Arc<Function>> = self.folders.values().cloned().collect();
        self.step()?;
        let seconds = self.wall.div_euclid(1000);
        let enrolled = self.store.enroll(&enrolments(&functions), Others::Leave, seconds);
        let config = enlisted(&functions, &enrolled);
        let held = self.held(&config);
        self.facts.push(Fact::Start { now: self.wall, max_runs: self.max_runs, config, held });
        for (function, enrolled) in functions.into_iter().zip(&enrolled) {
            let now = self.wall;
            self.scheduler().put(function, enrolled, now, &mut Effects::default());
            self.lane_learned(enrolled.function);
        }
        self.settle_open_runs()?;
        self.look(SkipReason::Down)
    }

    fn settle_open_runs(&mut self) -> Result<(), Killed> {
        let mut effects = Effects::default();
        for run in self.store.left_open() {
            self.step()?;
            let now = self.wall.div_euclid(1000);
            match self.scheduler().left_open(&run, now) {
                LeftOpen::Adopt(pending) => {
                    self.store.adopt(run.id);
                    self.scheduler().wait(pending);
                }
                LeftOpen::GoOn(pending) => panic!("nothing is tried again here: {pending:?}"),
                LeftOpen::End { rerun, .. } => {
                    self.store.finish(run.id, Status::Interrupted, false, self.wall);
                    effects.claim.extend(rerun);
                }
            }
            self.stepped();
        }
        self.carry_out(effects)?;
        let mut effects = Effects::default();
        self.scheduler().start_waiting(&mut effects);
        self.carry_out(effects)
    }

    /// `Engine::fire_due`.
    pub(super) fn look(&mut self, cause: SkipReason) -> Result<(), Killed> {
        let mut effects = Effects::default();
        let now = self.wall;
        self.facts.push(Fact::Look { now, cause });
        self.scheduler().due(now, cause, &mut effects);
        self.carry_out(effects)
    }

    /// `Engine::carry_out`.
    fn carry_out(&mut self, mut effects: Effects) -> Result<(), Killed> {
        while !effects.is_empty() {
            let Effects { skipped, dropped, abort, start_waiting, start, claim } = effects;
            effects = Effects::default();
            if !skipped.is_empty() {
                self.step()?;
                for (_, span) in skipped {
                    self.store.skip(&span, self.wall);
                }
                self.stepped();
            }
            for (run, _) in dropped {
                self.step()?;
                self.store.finish(run, Status::Interrupted, false, self.wall);
                self.stepped();
            }
            for run in abort {
                if self.process().in_flight.contains(&run) {
                    self.facts.push(Fact::Aborted { run });
                    self.aborted.push(run);
                }
            }
            let waited: Vec<RunId> = start_waiting.iter().map(|pending| pending.run).collect();
            if !waited.is_empty() {
                self.step()?;
                self.store.start(&waited, self.wall);
                self.stepped();
            }
            self.begin(waited);
            self.begin(start.iter().map(|pending| pending.run).collect());
            self.claim(&claim, &mut effects)?;
        }
        Ok(())
    }

    fn begin(&mut self, runs: Vec<RunId>) {
        self.process().in_flight.extend(&runs);
        self.begun.extend(runs);
    }

    fn claim(&mut self, wanted: &[Wanted], effects: &mut Effects) -> Result<(), Killed> {
        let (now, mut requests) = (self.wall, self.requests);
        let made = self.scheduler().requests(wanted, &mut Before::default(), now, || {
            requests += 1;
            Uuid::from_u128(requests)
        });
        self.requests = requests;
        for (requests, wanted) in made.chunks(CLAIMS).zip(wanted.chunks(CLAIMS)) {
            while self.refusals > 0 {
                self.step()?;
                self.refusals -= 1;
                self.wall += 1000;
            }
            self.step()?;
            let answers: Vec<Claim> = requests
                .iter()
                .map(|request| {
                    let answer = self.store.claim(request);
                    self.stepped();
                    self.facts.push(Fact::Claimed { request: *request, answer: answer.clone() });
                    answer
                })
                .collect();
            for ((wanted, request), answer) in wanted.iter().zip(requests).zip(answers) {
                self.scheduler().claimed(wanted, request, answer, effects);
            }
            let started = std::mem::take(&mut effects.start);
            self.begin(started.iter().map(|pending| pending.run).collect());
        }
        self.scheduler().start_waiting(effects);
        Ok(())
    }

    /// A run has ended, and its end is on record; the loop hears of it with [`World::hear`].
    pub(super) fn end(&mut self, run: RunId, status: Status, idle: bool) {
        let function = self.store.run(run).map(|run| run.function);
        self.store.finish(run, status, idle, self.wall);
        self.stepped();
        let succeeded = status == Status::Succeeded;
        let lane = function.map(|function| {
            self.looks += 1;
            Learned { order: self.looks, due: self.lanes.get(&function).copied() }
        });
        self.process().reports.push(End { run, succeeded, lane });
    }

    /// `Engine::runs_ended`.
    pub(super) fn hear(&mut self) -> Result<(), Killed> {
        let mut effects = Effects::default();
        let now = self.wall;
        let process = self.process.as_mut().expect("a process runs");
        for end in process.reports.drain(..) {
            process.in_flight.remove(&end.run);
            if let Some(running) = process.scheduler.running.get(&end.run) {
                let function = process.scheduler.slots[running.function as usize].id;
                let succeeded = end.succeeded;
                self.facts.push(Fact::Lane(LaneFact::Tried { now, function, succeeded }));
            }
            process.scheduler.ended(end, now, &mut effects);
        }
        process.scheduler.start_waiting(&mut effects);
        self.carry_out(effects)
    }

    /// `Engine::pause`; answers which triggers were paused.
    pub(super) fn pause(&mut self, which: &Selection) -> Result<Vec<TriggerId>, Killed> {
        let triggers = self.in_state(which, |state| state == State::Active);
        self.look(SkipReason::Late)?;
        let (now, ids) = (self.wall, self.ids(&triggers));
        self.step()?;
        self.facts.push(Fact::Pause { now, triggers: ids.clone() });
        let lost = self.scheduler().lost_by_pause(&triggers).into_iter();
        self.store.pause(&ids, &lost.map(|(_, span)| span).collect::<Vec<_>>(), now);
        self.stepped();
        self.scheduler().pause(&triggers, now);
        Ok(ids)
    }

    /// `Engine::resume`.
    pub(super) fn resume(&mut self, which: &Selection) -> Result<Vec<TriggerId>, Killed> {
        let triggers = self.in_state(which, |state| matches!(state, State::Paused { .. }));
        let (now, ids) = (self.wall, self.ids(&triggers));
        let overdue = triggers.iter().filter_map(|at| self.scheduler().overdue(*at, now));
        let spans: Vec<SkippedSpan> = overdue.map(|(_, span)| span).collect();
        self.step()?;
        self.store.resume(&ids, &spans, now);
        self.stepped();
        self.facts.push(Fact::Resumed { now, triggers: ids.clone() });
        self.scheduler().plan.resume(&triggers, now);
        Ok(ids)
    }

    /// `Engine::fire`; none when there is no such trigger.
    pub(super) fn fire(&mut self, function: &str, trigger: &str) -> Result<Option<Claim>, Killed> {
        let Ok(at) = self.scheduler().locate(function, Some(trigger)) else { return Ok(None) };
        let (now, fire_time) = (self.wall, self.wall.div_euclid(1000));
        let (reason, attempt, missed, of_backlog) = (Reason::Manual, 1, 0, false);
        let wanted = Wanted { at, fire_time, since: fire_time, reason, attempt, missed, of_backlog };
        self.requests += 1;
        let id = Uuid::from_u128(self.requests);
        let request = self.scheduler().requests(&[wanted], &mut Before::default(), now, || id)[0];
        self.step()?;
        let answer = self.store.claim(&request);
        self.stepped();
        self.facts.push(Fact::Claimed { request, answer: answer.clone() });
        let mut effects = Effects::default();
        self.scheduler().claimed(&wanted, &request, answer.clone(), &mut effects);
        self.carry_out(effects)?;
        Ok(Some(answer))
    }

    /// `Engine::apply`, after the folders have been changed.
    pub(super) fn apply(&mut self, put: Vec<Arc<Function>>, removed: &[String]) -> Result<(), Killed> {
        self.look(SkipReason::Late)?;
        let (now, seconds) = (self.wall, self.wall.div_euclid(1000));
        self.step()?;
        let enrolled = self.store.enroll(&enrolments(&put), Others::Stay, seconds);
        let config = enlisted(&put, &enrolled);
        let (held, mut gone) = (self.held(&config), Vec::new());
        for name in removed {
            let scheduler = self.scheduler();
            gone.extend(scheduler.names.get(name).map(|index| scheduler.slots[*index as usize].id));
        }
        self.facts.push(Fact::Apply { now, put: config, removed: gone, held });
        let (mut effects, mut anew, mut left) = (Effects::default(), Vec::new(), Vec::new());
        for (function, enrolled) in put.into_iter().zip(&enrolled) {
            let moved = self.scheduler().put(function, enrolled, now, &mut effects);
            anew.extend(moved.anew);
            left.extend(moved.left);
            self.lane_learned(enrolled.function);
        }
        for name in removed {
            left.extend(self.scheduler().remove(name, now, &mut effects).left);
        }
        self.scheduler().start_waiting(&mut effects);
        self.carry_out(effects)?;
        self.step()?;
        self.store.start_anew(&anew, seconds);
        self.facts.push(Fact::Anew { now });
        self.step()?;
        self.store.dismiss(&left);
        self.facts.push(Fact::Left);
        Ok(())
    }

    fn in_state(&mut self, which: &Selection, wanted: fn(State) -> bool) -> Vec<At> {
        let scheduler = self.scheduler();
        let mut triggers = scheduler.select(which).unwrap_or_default();
        triggers.retain(|at| wanted(scheduler.plan.mark(*at).state));
        triggers.sort_unstable();
        triggers.dedup();
        triggers
    }

    fn ids(&mut self, triggers: &[At]) -> Vec<TriggerId> {
        let scheduler = self.scheduler();
        triggers.iter().map(|at| scheduler.id(*at)).collect()
    }

    fn held(&self, config: &[Enlisted]) -> Held {
        let now = self.wall.div_euclid(1000);
        let triggers = config.iter().flat_map(|enlisted| &enlisted.triggers);
        let held = triggers.map(|trigger| (*trigger, self.store.claimed_after(*trigger, now)));
        held.filter(|(_, fire_times)| !fire_times.is_empty()).collect()
    }
}

fn enrolments(functions: &[Arc<Function>]) -> Vec<Enrolment> {
    functions.iter().map(|function| function.enrolment()).collect()
}

fn enlisted(functions: &[Arc<Function>], enrolled: &[Enrolled]) -> Vec<Enlisted> {
    let both = functions.iter().zip(enrolled);
    both.map(|(function, enrolled)| Enlisted {
        id: enrolled.function,
        triggers: enrolled.triggers.iter().map(|place| place.id).collect(),
        function: Arc::clone(function),
    })
    .collect()
}
