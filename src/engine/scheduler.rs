//! Who runs and who waits: the rules of the engine as a state machine. No clock, no store, no task in here:
//! facts go in (the time, answers to claims, ends of runs), and what is to be done about them comes out as
//! [`Effects`]. The engine carries them out, and so does the simulation that tests it.
//! Who belongs to it at all, and who is paused, is in `roster`.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::backlog::{Backlogs, Late};
use super::lane::{End, Lanes};
use super::missed::Missed;
use super::plan::{At, Due, Plan};
use super::runner::Function;
use super::wanted::{Occurrence, Pending, Wanted};
use crate::run::Reason;
use crate::settings::Overlap;
use crate::store::runs::{Claim, ClaimRequest, RunId, SkipReason, SkippedSpan};
use crate::store::triggers::{FunctionId, TriggerId};

/// All functions, what runs of them, and what waits.
#[derive(Debug)]
pub(super) struct Scheduler {
    pub(super) slots: Vec<Slot>,
    pub(super) names: HashMap<String, u32>,
    pub(super) plan: Plan,
    pub(super) backlogs: Backlogs,
    pub(super) lanes: Lanes,
    pub(super) running: HashMap<RunId, Running>,
    /// Functions whose slots have somebody waiting.
    waiting: BTreeSet<u32>,
    max_runs: usize,
    max_waiting: usize,
}

/// A function and its runs. A function that is gone keeps its slot, without triggers.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) function: Arc<Function>,
    pub(super) id: FunctionId,
    /// Of its triggers, in their order.
    pub(super) ids: Vec<TriggerId>,
    pub(super) running: usize,
    pub(super) waiting: VecDeque<Pending>,
    pub(super) gone: bool,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) function: u32,
    pub(super) backlog_of: Option<At>,
}

/// Fires of one instant that are being claimed.
#[derive(Debug, Default)]
pub(super) struct Before {
    all: usize,
    /// Of functions with a limit of their own, which they share.
    of_function: HashMap<u32, usize>,
}

/// What is to be done, in the order of the fields.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// To be recorded: fire times that never become runs, by the trigger's full name.
    pub(super) skipped: Vec<(String, SkippedSpan)>,
    /// To be recorded as interrupted: claimed runs that were waiting, and never start; and why.
    pub(super) dropped: Vec<(RunId, &'static str)>,
    /// To be told to end.
    pub(super) abort: Vec<RunId>,
    /// To be started. They waited, and the state is to be told.
    pub(super) start_waiting: Vec<Pending>,
    /// To be started; the claim said so already.
    pub(super) start: Vec<Pending>,
    /// To be claimed; the answers go to [`Scheduler::claimed`].
    pub(super) claim: Vec<Wanted>,
}

impl Effects {
    pub(super) const fn is_empty(&self) -> bool {
        self.skipped.is_empty()
            && self.dropped.is_empty()
            && self.abort.is_empty()
            && self.start_waiting.is_empty()
            && self.start.is_empty()
            && self.claim.is_empty()
    }
}

impl Scheduler {
    /// At most `max_runs` run at a time; more wait, and of one function about `max_waiting`.
    pub(super) fn new(max_runs: usize, max_waiting: usize) -> Self {
        Self {
            slots: Vec::new(),
            names: HashMap::new(),
            plan: Plan::default(),
            backlogs: Backlogs::default(),
            lanes: Lanes::default(),
            running: HashMap::new(),
            waiting: BTreeSet::new(),
            max_runs,
            max_waiting,
        }
    }

    /// What has become due by `now` (unix milliseconds). `cause` is why anything was missed.
    pub(super) fn due(&mut self, now: i64, cause: SkipReason, effects: &mut Effects) {
        for due in self.plan.due(now, cause) {
            match due {
                Due::Skipped { at, missed, reason } if self.backlogs.has(at) => {
                    self.backlogs.push(at, Late::Skipped(missed, reason));
                }
                Due::Skipped { at, missed, reason } => {
                    effects.skipped.push((self.full_name(at), self.span(at, missed, reason)));
                }
                Due::CatchUp { at, fire_time, since, missed } => {
                    self.backlogs.push(at, Late::Fire { fire_time, since, reason: Reason::CatchUp, missed });
                }
                Due::Fire { at, fire_time } if self.backlogs.has(at) => {
                    let (since, reason, missed) = (fire_time, Reason::Timed, 0);
                    self.backlogs.push(at, Late::Fire { fire_time, since, reason, missed });
                }
                Due::Fire { at, fire_time } if self.is_full(at.function) => {
                    let span = self.span(at, Missed::one(fire_time), SkipReason::Full);
                    effects.skipped.push((self.full_name(at), span));
                }
                Due::Fire { at, fire_time } => effects.claim.push(Wanted {
                    at,
                    fire_time,
                    since: fire_time,
                    reason: Reason::Timed,
                    attempt: 1,
                    missed: 0,
                    of_backlog: false,
                }),
            }
        }
        for at in self.backlogs.idle() {
            self.go_on(Some(at), effects);
        }
        self.lanes_due(now, effects);
    }

    /// A request for each of `wanted`. `before`: others that are being claimed, which may take the room there is; `request_id`
    /// makes ids.
    pub(super) fn requests(
        &self,
        wanted: &[Wanted],
        before: &mut Before,
        now: i64,
        mut request_id: impl FnMut() -> uuid::Uuid,
    ) -> Vec<ClaimRequest> {
        let room = self.max_runs.saturating_sub(self.running.len());
        let request = |wanted: &Wanted| {
            let slot = &self.slots[wanted.at.function as usize];
            let own_room = slot.function.max_runs.is_none_or(|max_runs| {
                let claimed = before.of_function.entry(wanted.at.function).or_default();
                *claimed += 1;
                slot.running + *claimed <= max_runs.get()
            });
            before.all += 1;
            ClaimRequest {
                request_id: request_id(),
                function: slot.id,
                trigger: slot.ids[wanted.at.trigger as usize],
                fire_time: wanted.fire_time,
                since: wanted.since,
                reason: wanted.reason,
                attempt: wanted.attempt,
                missed: wanted.missed,
                overlap: wanted.overlap(&slot.function),
                room: own_room && before.all <= room,
                now,
            }
        };
        wanted.iter().map(request).collect()
    }

    /// The answer to a claim.
    pub(super) fn claimed(
        &mut self,
        wanted: &Wanted,
        request: &ClaimRequest,
        claim: Claim,
        effects: &mut Effects,
    ) {
        let occurrence = Occurrence::from(request);
        let pending = |run| Pending { run, at: wanted.at, occurrence, of_backlog: wanted.of_backlog };
        match claim {
            Claim::Started(run) => {
                self.begin(&pending(run));
                effects.start.push(pending(run));
            }
            Claim::Waiting(run) => self.wait(pending(run)),
            Claim::Replaces { run, old } => {
                effects.abort.extend(old.into_iter().filter(|old| self.running.contains_key(old)));
                let slot = &mut self.slots[wanted.at.function as usize];
                for replaced in std::mem::take(&mut slot.waiting) {
                    self.go_on(replaced.of_backlog.then_some(replaced.at), effects);
                }
                self.wait(pending(run));
            }
            Claim::Skipped if wanted.is_of_lane() => self.lanes.put_off(wanted.at.function, request.now),
            Claim::Skipped | Claim::AlreadyClaimed => {
                self.go_on(wanted.of_backlog.then_some(wanted.at), effects);
            }
        }
    }

    /// A run has ended, and its end is on record. `now` is in unix milliseconds.
    pub(super) fn ended(&mut self, end: End, now: i64, effects: &mut Effects) {
        let Some(running) = self.running.remove(&end.run) else { return };
        self.slots[running.function as usize].running -= 1;
        self.lanes.ended(running.function, end, now);
        self.go_on(running.backlog_of, effects);
    }

    /// Starts waiting runs for which there is room now, each function in its own order. To be called after ends, and
    /// after answers to claims.
    pub(super) fn start_waiting(&mut self, effects: &mut Effects) {
        let mut from = 0;
        while self.running.len() < self.max_runs
            && let Some(function) = self.waiting.range(from..).next().copied()
        {
            from = function.saturating_add(1);
            while self.running.len() < self.max_runs
                && let Some(pending) = self.slots[function as usize].next_waiting()
            {
                self.begin(&pending);
                effects.start_waiting.push(pending);
            }
            if self.slots[function as usize].waiting.is_empty() {
                self.waiting.remove(&function);
            }
        }
    }

    /// Runs wait because as many run as a limit allows.
    pub(super) fn is_held_back(&self) -> bool {
        let full = self.running.len() >= self.max_runs;
        self.waiting.iter().any(|function| full || self.slots[*function as usize].is_full())
    }

    /// So many runs of a function wait that no more may.
    fn is_full(&self, function: u32) -> bool {
        self.slots[function as usize].waiting.len() >= self.max_waiting
    }

    /// A claimed run waits for room.
    pub(super) fn wait(&mut self, pending: Pending) {
        self.waiting.insert(pending.at.function);
        self.slots[pending.at.function as usize].waiting.push_back(pending);
    }

    /// A run goes on that an earlier process had started.
    pub(super) fn take_over(&mut self, pending: Pending, effects: &mut Effects) {
        self.begin(&pending);
        effects.start.push(pending);
    }

    fn begin(&mut self, pending: &Pending) {
        let backlog_of = pending.of_backlog.then_some(pending.at);
        self.running.insert(pending.run, Running { function: pending.at.function, backlog_of });
        self.slots[pending.at.function as usize].running += 1;
    }

    /// The next of a backlog whose fire has ended or will never run.
    pub(super) fn go_on(&mut self, backlog: Option<At>, effects: &mut Effects) {
        let Some(at) = backlog else { return };
        let mut skipped = Vec::new();
        effects.claim.extend(self.backlogs.next(at, &mut skipped));
        let spans = skipped.into_iter();
        let spans = spans.map(|(missed, reason)| (self.full_name(at), self.span(at, missed, reason)));
        effects.skipped.extend(spans);
    }

    fn span(&self, at: At, missed: Missed, reason: SkipReason) -> SkippedSpan {
        missed.span(self.id(at), reason)
    }

    /// `function/trigger`.
    pub(super) fn full_name(&self, at: At) -> String {
        full_name(&self.slots[at.function as usize].function, at)
    }

    /// The number of a trigger in the state.
    pub(super) fn id(&self, at: At) -> TriggerId {
        self.slots[at.function as usize].ids[at.trigger as usize]
    }
}

/// `function/trigger`.
pub(super) fn full_name(function: &Function, at: At) -> String {
    format!("{}/{}", function.name, function.triggers[at.trigger as usize].name)
}

impl Slot {
    /// As many of the function run as its own limit allows.
    fn is_full(&self) -> bool {
        self.function.max_runs.is_some_and(|max_runs| self.running >= max_runs.get())
    }

    fn next_waiting(&mut self) -> Option<Pending> {
        let busy = self.running > 0 && self.function.overlap != Overlap::Allow;
        if busy || self.is_full() {
            return None;
        }
        self.waiting.pop_front()
    }
}
