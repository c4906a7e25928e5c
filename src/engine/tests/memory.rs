//! A store in memory that answers as the one on disk does: the simulation's. Whether it does is asked by
//! `memory_conformance`. Changes go through the same calls; there is nothing to wait for.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::run::{Reason, Status};
use crate::settings::Overlap;
use crate::store::runs::{Claim, ClaimRequest, RunId, RunRecord, SkipReason, SkippedSpan};
use crate::store::triggers::{Enrolled, Enrolment, FunctionId, Others, Place, TriggerId};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct MemoryStore {
    epoch: i64,
    functions: Vec<FunctionRow>,
    function_ids: HashMap<String, FunctionId>,
    triggers: Vec<TriggerRow>,
    runs: BTreeMap<RunId, RunRow>,
    last_run: RunId,
    skipped: BTreeMap<i64, SpanRow>,
    /// What has happened to fire times since somebody took it from here.
    pub(super) journal: Vec<Entry>,
}

/// What happened to a fire time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A span was recorded, and the row that holds it now.
    Skipped(SkippedSpan, SkippedSpan),
    /// A run started that had waited.
    Started(RunId),
    /// A run ended.
    Ended(RunId),
}

#[derive(Debug, Default)]
struct FunctionRow {
    name: String,
    triggers: HashMap<String, TriggerId>,
    /// Open runs, ascending.
    open: Vec<RunId>,
}

#[derive(Debug)]
struct TriggerRow {
    function: FunctionId,
    name: String,
    mark: Option<i64>,
    paused_since: Option<i64>,
    /// Its runs by fire time; true: scheduled ones.
    runs: BTreeMap<(i64, RunId), bool>,
    spans: std::collections::BTreeSet<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunRow {
    pub(super) function: FunctionId,
    pub(super) trigger: TriggerId,
    pub(super) request_id: Uuid,
    pub(super) fire_time: i64,
    pub(super) reason: Reason,
    pub(super) attempt: u32,
    pub(super) missed: u32,
    /// `waiting`, `running`, or how it ended.
    pub(super) state: &'static str,
    pub(super) epoch: i64,
    pub(super) created_at: i64,
    pub(super) started_at: Option<i64>,
    pub(super) finished_at: Option<i64>,
    pub(super) idle: bool,
    pub(super) repeats: i64,
}

#[derive(Clone, Copy, Debug)]
struct SpanRow {
    span: SkippedSpan,
    recorded_at: i64,
}

const fn is_scheduled(reason: Reason) -> bool {
    matches!(reason, Reason::Timed | Reason::CatchUp)
}

fn place(id: i64) -> usize {
    usize::try_from(id - 1).unwrap()
}

impl MemoryStore {
    /// The state is opened (again): nothing of it is lost, and what was open belongs to an earlier epoch.
    pub(super) fn open(&mut self) {
        self.epoch += 1;
        for trigger in &mut self.triggers {
            let newest = trigger.runs.iter().rev().find(|(_, scheduled)| **scheduled);
            if let (Some(((newest, _), _)), Some(mark)) = (newest, trigger.mark) {
                trigger.mark = Some(mark.max(*newest));
            }
        }
    }

    pub(super) fn enroll(&mut self, functions: &[Enrolment], others: Others, now: i64) -> Vec<Enrolled> {
        if others == Others::Leave {
            self.leave_strangers(functions);
        }
        functions.iter().map(|enrolment| self.enroll_one(enrolment, others, now)).collect()
    }

    fn leave_strangers(&mut self, functions: &[Enrolment]) {
        let named: HashMap<&str, &Enrolment> =
            functions.iter().map(|enrolment| (enrolment.function.as_str(), enrolment)).collect();
        for trigger in &mut self.triggers {
            let function = &self.functions[place(trigger.function)];
            let stays = named
                .get(function.name.as_str())
                .is_some_and(|enrolment| enrolment.triggers.iter().any(|other| *other.name == *trigger.name));
            if !stays {
                trigger.mark = None;
            }
        }
    }

    fn enroll_one(&mut self, enrolment: &Enrolment, others: Others, now: i64) -> Enrolled {
        let next = i64::try_from(self.functions.len()).unwrap() + 1;
        let function = *self.function_ids.entry(enrolment.function.clone()).or_insert(next);
        if function == next {
            self.functions.push(FunctionRow { name: enrolment.function.clone(), ..FunctionRow::default() });
        }
        let mut triggers = Vec::new();
        for settings in enrolment.triggers.iter() {
            let Some(id) = self.functions[place(function)].triggers.get(&*settings.name).copied() else {
                let id = i64::try_from(self.triggers.len()).unwrap() + 1;
                let name = settings.name.to_string();
                self.functions[place(function)].triggers.insert(name.clone(), id);
                let mark = settings.enabled.then_some(now);
                let (runs, spans) = Default::default();
                self.triggers.push(TriggerRow { function, name, mark, paused_since: None, runs, spans });
                triggers.push(Place {
                    id,
                    accounted: now,
                    paused_since: None,
                    paused_because: None,
                    ahead: None,
                });
                continue;
            };
            let row = &mut self.triggers[place(id)];
            let mark = row.mark;
            let accounted = mark.filter(|mark| settings.enabled && *mark <= now);
            let ahead = mark.filter(|mark| settings.enabled && *mark > now);
            if accounted.is_none() && (ahead.is_none() || others == Others::Leave) {
                row.mark = settings.enabled.then_some(now);
            }
            let accounted = accounted.unwrap_or(now);
            triggers.push(Place {
                id,
                accounted,
                paused_since: row.paused_since,
                paused_because: None,
                ahead,
            });
        }
        Enrolled { function, triggers }
    }

    pub(super) fn dismiss(&mut self, triggers: &[TriggerId]) {
        for trigger in triggers {
            self.triggers[place(*trigger)].mark = None;
        }
    }

    pub(super) fn start_anew(&mut self, triggers: &[TriggerId], now: i64) {
        for trigger in triggers {
            self.triggers[place(*trigger)].mark = Some(now);
        }
    }

    pub(super) fn pause(&mut self, triggers: &[TriggerId], skipped: &[SkippedSpan], now: i64) {
        for span in skipped {
            self.skip(span, now);
        }
        for trigger in triggers {
            self.triggers[place(*trigger)].paused_since = Some(now);
        }
    }

    pub(super) fn resume(&mut self, triggers: &[TriggerId], skipped: &[SkippedSpan], now: i64) {
        for span in skipped {
            self.skip(span, now);
        }
        for trigger in triggers {
            self.triggers[place(*trigger)].paused_since = None;
        }
    }

    pub(super) fn claim(&mut self, request: &ClaimRequest) -> Claim {
        if is_scheduled(request.reason) && self.claimed_before(request.trigger, request.fire_time) {
            return Claim::AlreadyClaimed;
        }
        let open = &self.functions[place(request.function)].open;
        let busy = !open.is_empty();
        let waiting: Vec<RunId> =
            open.iter().copied().filter(|run| self.runs[run].state == "waiting").collect();
        let refused = match request.overlap {
            Overlap::Skip => busy,
            Overlap::Queue(limit) => busy && waiting.len() >= limit as usize,
            Overlap::Allow | Overlap::Replace => false,
        };
        if refused {
            self.skip_for_overlap(request);
            return Claim::Skipped;
        }
        if request.overlap == Overlap::Replace && busy {
            let old = open.clone();
            let run = self.insert(request, true);
            for waiting in waiting {
                self.finish(waiting, Status::Interrupted, false, request.now);
            }
            return Claim::Replaces { run, old };
        }
        let waits = !request.room || (busy && request.overlap != Overlap::Allow);
        let run = self.insert(request, waits);
        if waits { Claim::Waiting(run) } else { Claim::Started(run) }
    }

    fn claimed_before(&self, trigger: TriggerId, fire_time: i64) -> bool {
        let row = &self.triggers[place(trigger)];
        row.mark.is_some_and(|mark| mark >= fire_time)
            || row.runs.range((fire_time, 0)..=(fire_time, RunId::MAX)).any(|(_, scheduled)| *scheduled)
    }

    fn skip_for_overlap(&mut self, request: &ClaimRequest) {
        if is_scheduled(request.reason) {
            let &ClaimRequest { trigger, since: first, fire_time: last, missed, .. } = request;
            let (count, reason) = (1 + i64::from(missed), SkipReason::Overlap);
            let span = SkippedSpan { trigger, first, last, count, reason };
            self.skip(&span, request.now);
        }
    }

    fn insert(&mut self, request: &ClaimRequest, waits: bool) -> RunId {
        let &ClaimRequest { function, trigger, fire_time, reason, attempt, missed, now, .. } = request;
        self.last_run += 1;
        let run = RunRow {
            function,
            trigger,
            request_id: request.request_id,
            fire_time,
            reason,
            attempt,
            missed,
            state: if waits { "waiting" } else { "running" },
            epoch: self.epoch,
            created_at: now,
            started_at: (!waits).then_some(now),
            finished_at: None,
            idle: false,
            repeats: 0,
        };
        self.runs.insert(self.last_run, run);
        self.functions[place(function)].open.push(self.last_run);
        self.triggers[place(trigger)].runs.insert((fire_time, self.last_run), is_scheduled(reason));
        self.last_run
    }

    pub(super) fn start(&mut self, runs: &[RunId], now: i64) {
        for id in runs {
            if let Some(run) = self.runs.get_mut(id).filter(|run| run.state == "waiting") {
                run.state = "running";
                run.started_at = Some(now);
                self.journal.push(Entry::Started(*id));
            }
        }
    }

    pub(super) fn adopt(&mut self, run: RunId) {
        let epoch = self.epoch;
        self.runs.entry(run).and_modify(|run| run.epoch = epoch);
    }

    pub(super) fn finish(&mut self, id: RunId, status: Status, idle: bool, now: i64) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        (run.state, run.finished_at, run.idle) = (status.as_str(), Some(now), idle);
        let (function, trigger, fire_time, reason) = (run.function, run.trigger, run.fire_time, run.reason);
        self.functions[place(function)].open.retain(|open| *open != id);
        self.journal.push(Entry::Ended(id));
        if !idle || reason != Reason::Timed {
            return;
        }
        let row = &mut self.triggers[place(trigger)];
        let earlier = row.runs.range(..=(fire_time, RunId::MAX)).rev();
        let Some(previous) = earlier.map(|((_, run), _)| *run).find(|run| *run != id) else { return };
        let previous = self.runs.get_mut(&previous).unwrap();
        if previous.idle {
            previous.repeats += 1;
            previous.finished_at = Some(now);
            row.runs.remove(&(fire_time, id));
            raise(&mut row.mark, fire_time);
            self.runs.remove(&id);
        }
    }

    pub(super) fn skip(&mut self, span: &SkippedSpan, now: i64) {
        let row = &mut self.triggers[place(span.trigger)];
        let mark = row.mark;
        let newest = row.spans.last().and_then(|newest| self.skipped.get_mut(newest)).filter(|newest| {
            let later = row.runs.range((newest.span.last + 1, 0)..).any(|(_, scheduled)| *scheduled);
            let after = newest.span.last < span.first && mark.is_some_and(|mark| mark <= newest.span.last);
            newest.span.reason == span.reason && after && !later
        });
        let now_there = if let Some(newest) = newest {
            newest.span.last = span.last;
            newest.span.count += span.count;
            newest.recorded_at = now;
            newest.span
        } else {
            let id = self.skipped.last_key_value().map_or(1, |(id, _)| id + 1);
            self.skipped.insert(id, SpanRow { span: *span, recorded_at: now });
            row.spans.insert(id);
            *span
        };
        raise(&mut row.mark, span.last);
        self.journal.push(Entry::Skipped(*span, now_there));
    }

    pub(super) fn left_open(&self) -> Vec<RunRecord> {
        let mut left: Vec<RunId> =
            self.functions.iter().flat_map(|function| function.open.iter().copied()).collect();
        left.retain(|run| self.runs[run].epoch < self.epoch);
        left.sort_unstable();
        left.into_iter().map(|run| self.record(run)).collect()
    }

    fn record(&self, id: RunId) -> RunRecord {
        let run = &self.runs[&id];
        RunRecord {
            id,
            request_id: run.request_id,
            function: self.functions[place(run.function)].name.clone(),
            trigger: self.triggers[place(run.trigger)].name.clone(),
            fire_time: run.fire_time,
            reason: run.reason.to_string(),
            attempt: run.attempt,
            missed: run.missed,
            state: run.state.to_owned(),
            repeats: run.repeats,
            created_at: run.created_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
            retry_at: None,
            message: None,
            result: None,
        }
    }

    pub(super) fn prune(&mut self, before: i64, keep: i64, limit: u32) -> usize {
        let newest = self.skipped.last_key_value().map_or(0, |(id, _)| *id);
        let old = self.skipped.iter().filter(|(id, row)| row.recorded_at < before || **id <= newest - keep);
        let old: Vec<i64> = old.take(limit as usize).map(|(id, _)| *id).collect();
        for id in old {
            let row = self.skipped.remove(&id).unwrap();
            self.triggers[place(row.span.trigger)].spans.remove(&id);
        }
        let excess = i64::try_from(self.runs.len()).unwrap() - keep;
        let excess = usize::try_from(excess.clamp(0, i64::from(limit))).unwrap();
        let ended = || self.runs.iter().filter(|(_, run)| run.finished_at.is_some()).take(limit as usize);
        let by_count = excess.checked_sub(1).and_then(|nth| ended().nth(nth));
        let by_age = ended().take_while(|(_, run)| run.finished_at < Some(before)).last();
        let Some(last) = by_count.map(|(id, _)| *id).max(by_age.map(|(id, _)| *id)) else { return 0 };
        let gone: Vec<RunId> = ended().map(|(id, _)| *id).take_while(|id| *id <= last).collect();
        for id in &gone {
            let run = self.runs.remove(id).unwrap();
            let row = &mut self.triggers[place(run.trigger)];
            if row.runs.remove(&(run.fire_time, *id)) == Some(true) {
                raise(&mut row.mark, run.fire_time);
            }
        }
        gone.len()
    }

    /// All runs, oldest first.
    pub(super) fn history(&self) -> Vec<RunRecord> {
        self.runs.keys().map(|run| self.record(*run)).collect()
    }

    /// All spans, oldest first.
    pub(super) fn spans(&self) -> Vec<SkippedSpan> {
        self.skipped.values().map(|row| row.span).collect()
    }

    pub(super) fn run(&self, id: RunId) -> Option<&RunRow> {
        self.runs.get(&id)
    }

    /// Fire times after `after` of which a trigger still has scheduled runs.
    pub(super) fn claimed_after(&self, trigger: TriggerId, after: i64) -> Vec<i64> {
        let runs = self.triggers[place(trigger)].runs.range((after + 1, 0)..);
        runs.filter(|(_, scheduled)| **scheduled).map(|((fire_time, _), _)| *fire_time).collect()
    }
}

fn raise(mark: &mut Option<i64>, fire_time: i64) {
    *mark = mark.map(|mark| mark.max(fire_time));
}
