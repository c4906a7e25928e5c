//! When triggers fire, as a pure function of their schedules, their marks and the time.
//!
//! The plan never reads a clock. [`Plan::due`] takes the time and answers what has become due since
//! the last call; every fire time comes out exactly once: as a fire, as a catch-up or in a skipped span.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use super::missed::Missed;
use crate::settings::TriggerSettings;
use crate::store::runs::SkipReason;

/// At most this many fire times of one trigger come out of one call, so that a trigger that may start very late
/// does not fill the memory; the rest is due at once.
const AT_ONCE: usize = 1000;

/// A trigger: its function and its place within it, both as given to [`Plan::set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) function: u32,
    pub(super) trigger: u32,
}

/// What has become due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Runs now.
    Fire {
        /// The trigger.
        at: At,
        /// Unix seconds.
        fire_time: i64,
    },
    /// Was missed and runs late, after the trigger's earlier ones.
    CatchUp {
        /// The trigger.
        at: At,
        /// See `Fire`.
        fire_time: i64,
        /// The first of the missed fire times that this one stands for; itself when there is no other.
        since: i64,
        /// How many it stands for beside itself.
        missed: u32,
    },
    /// Was missed and never runs.
    Skipped {
        /// The trigger.
        at: At,
        /// The fire times.
        missed: Missed,
        /// Why.
        reason: SkipReason,
    },
}

/// Where a trigger starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Every fire time up to here has come out of the plan; unix seconds.
    pub(super) accounted: i64,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Active,
    /// Its fire times come out as skipped when it goes on.
    Paused {
        /// Unix milliseconds.
        since: i64,
    },
    /// It has no fire times.
    Disabled,
}

/// All triggers, ordered by what fires next.
#[derive(Debug, Default)]
pub(super) struct Plan {
    functions: Vec<Planned>,
    /// (due in unix milliseconds, trigger): one entry an active trigger that still has a fire time.
    queue: BinaryHeap<Reverse<(i64, At)>>,
    /// The latest time that was ever given to [`Plan::due`], unix milliseconds.
    reached: i64,
}

#[derive(Debug)]
struct Planned {
    triggers: Arc<[TriggerSettings]>,
    marks: Box<[Mark]>,
    /// Of the jitter: the hash of the function's name.
    seed: u64,
}

impl Plan {
    /// Puts a function's triggers, one mark for each, in the place of those it had. `function` is at most the number
    /// of functions so far.
    pub(super) fn set(
        &mut self,
        function: u32,
        name: &str,
        triggers: Arc<[TriggerSettings]>,
        marks: Vec<Mark>,
    ) {
        let seed = fnv1a(b"/", fnv1a(name.as_bytes(), FNV_OFFSET));
        let planned = Planned { triggers, marks: marks.into(), seed };
        let index = function as usize;
        if index < self.functions.len() {
            // A new function has nothing in the queue: a start would walk all of it for each.
            if !self.functions[index].marks.is_empty() {
                self.queue.retain(|Reverse((_, at))| at.function != function);
            }
            self.functions[index] = planned;
        } else {
            self.functions.push(planned);
        }
        for trigger in 0..u32::try_from(self.functions[index].marks.len()).unwrap_or(u32::MAX) {
            self.enqueue(At { function, trigger });
        }
    }

    /// The trigger that fires next, and when: its fire time put off by its jitter, in unix milliseconds.
    pub(super) fn next(&self) -> Option<(i64, At)> {
        self.queue.peek().map(|Reverse(next)| *next)
    }

    /// All that has become due by `now` (unix milliseconds). `cause` is why anything was missed.
    pub(super) fn due(&mut self, now: i64, cause: SkipReason) -> Vec<Due> {
        self.reached = self.reached.max(now);
        let mut due = Vec::new();
        while let Some(Reverse((time, at))) = self.queue.peek().copied()
            && time <= now
        {
            self.queue.pop();
            let (mark, timing) = self.parts(at);
            timing.collect(at, mark, now, cause, &mut due);
            self.enqueue(at);
        }
        due
    }

    /// The fire times of these triggers do not come out any more until they go on. `now` is in unix milliseconds.
    pub(super) fn pause(&mut self, triggers: &HashSet<At>, now: i64) {
        self.queue.retain(|Reverse((_, at))| !triggers.contains(at));
        for at in triggers {
            self.parts(*at).0.state = State::Paused { since: now };
        }
    }

    /// Paused triggers go on: what fell due by `now` (unix milliseconds) does not come out any more.
    pub(super) fn resume(&mut self, triggers: &[At], now: i64) {
        self.reached = self.reached.max(now);
        for at in triggers {
            let (mark, timing) = self.parts(*at);
            mark.state = State::Active;
            timing.missed(mark, now.saturating_add(1));
            self.enqueue(*at);
        }
    }

    /// What fell due of a paused trigger by `now` (unix milliseconds).
    pub(super) fn overdue(&self, at: At, now: i64) -> Option<Missed> {
        let mut mark = self.mark(at);
        let timing = self.timing(at);
        match mark.state {
            State::Paused { .. } => timing.missed(&mut mark, now.saturating_add(1)),
            State::Active | State::Disabled => None,
        }
    }

    /// Where a trigger stands.
    pub(super) fn mark(&self, at: At) -> Mark {
        self.functions[at.function as usize].marks[at.trigger as usize]
    }

    /// The next fire time of an active trigger, unix seconds.
    pub(super) fn next_of(&self, at: At) -> Option<i64> {
        let planned = &self.functions[at.function as usize];
        let mark = planned.marks[at.trigger as usize];
        let schedule = &planned.triggers[at.trigger as usize].schedule;
        (mark.state == State::Active).then(|| schedule.next(mark.accounted)).flatten()
    }

    /// The latest time that was ever given to [`Plan::due`], unix milliseconds: where a clock that went back has to
    /// get to again.
    pub(super) const fn reached(&self) -> i64 {
        self.reached
    }

    fn enqueue(&mut self, at: At) {
        let (mark, timing) = self.parts(at);
        if mark.state == State::Active
            && let Some(fire_time) = timing.settings.schedule.next(mark.accounted)
        {
            let due = timing.due_at(fire_time);
            self.queue.push(Reverse((due, at)));
        }
    }

    fn parts(&mut self, at: At) -> (&mut Mark, Timing<'_>) {
        let Planned { triggers, marks, seed } = &mut self.functions[at.function as usize];
        let settings = &triggers[at.trigger as usize];
        (&mut marks[at.trigger as usize], Timing { settings, seed: *seed })
    }

    fn timing(&self, at: At) -> Timing<'_> {
        let planned = &self.functions[at.function as usize];
        Timing { settings: &planned.triggers[at.trigger as usize], seed: planned.seed }
    }
}

/// A trigger's rules.
#[derive(Clone, Copy)]
pub(super) struct Timing<'a> {
    pub(super) settings: &'a TriggerSettings,
    seed: u64,
}

impl Timing<'_> {
    /// When a fire is due: its fire time put off by its jitter. Unix milliseconds.
    pub(super) fn due_at(&self, fire_time: i64) -> i64 {
        let off = match self.jitter() {
            0 => 0,
            jitter => {
                let seed = fnv1a(self.settings.name.as_bytes(), self.seed);
                fnv1a(&fire_time.to_le_bytes(), seed) % jitter
            }
        };
        fire_time.saturating_mul(1000).saturating_add(i64::try_from(off).unwrap_or(0))
    }

    /// No fire is put off by as much as this; milliseconds.
    pub(super) fn jitter(&self) -> u64 {
        self.settings.rules.jitter.as_millis().try_into().unwrap_or(u64::MAX)
    }

    /// Takes the fire times that are due by `now` out of the plan.
    fn collect(self, at: At, mark: &mut Mark, now: i64, cause: SkipReason, due: &mut Vec<Due>) {
        let in_time = now.saturating_sub(millis(self.settings.rules.start_within));
        if let Some(missed) = self.missed(mark, in_time) {
            missed.settle(at, self.settings, now, cause, due);
        }
        for _ in 0..AT_ONCE {
            match self.settings.schedule.next(mark.accounted) {
                Some(fire_time) if self.due_at(fire_time) <= now => {
                    mark.accounted = fire_time;
                    due.push(Due::Fire { at, fire_time });
                }
                _ => break,
            }
        }
    }

    /// Takes the fire times that were due before `limit` (unix milliseconds) out of the plan.
    fn missed(self, mark: &mut Mark, limit: i64) -> Option<Missed> {
        Missed::between(self, &mut mark.accounted, limit)
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a: the jitter must be the same on every machine and in every version.
fn fnv1a(bytes: &[u8], seed: u64) -> u64 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

pub(super) fn millis(duration: std::time::Duration) -> i64 {
    duration.as_millis().try_into().unwrap_or(i64::MAX)
}
