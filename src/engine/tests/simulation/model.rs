//! What must be true of every life, whatever happened: told from the facts and the schedules alone.
//!
//! It knows no plan and no scheduler. Of each trigger it holds how far its fire times are accounted for, and asks the
//! schedule for nothing but the next one. A fire time is accounted for by a scheduled run, by the count of a run that
//! stands for several, or by a span; the facts of a trigger must come in the order of its fire times, without a gap and
//! without a repetition, each with a reason that holds. What is due and on no record when all is quiet must be waiting
//! behind a run of its own trigger.
//!
//! When the clock has gone back while no process ran, a start goes on from *now*: fire times up to the old mark come
//! again. Those that have a run never run again; those that were skipped, or whose runs were folded or pruned, may.

use std::collections::{HashMap, HashSet};

use super::super::facts::{Enlisted, Fact, Held};
use super::lanes::{self, Lanes};
use super::rules::Rules;
use super::trigger::{Trigger, Verdict, millis, refuse};
use crate::run::Reason;
use crate::schedule::Schedule;
use crate::settings::Misfire;
use crate::store::runs::{Claim, ClaimRequest, RunId, SkipReason, SkippedSpan};
use crate::store::triggers::{FunctionId, TriggerId};

/// More are never caught up one by one.
const CATCH_UP_LIMIT: usize = 1000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Model {
    triggers: HashMap<TriggerId, Trigger>,
    rules: Rules,
    pub(super) lanes: Lanes,
    /// When the process started, unix milliseconds.
    started: i64,
    looks: u32,
    /// The latest time at which it looked.
    reached: i64,
    /// Triggers whose fires run one after the other, and the run of each that is open.
    chains: HashMap<TriggerId, Option<RunId>>,
    chained_by: HashMap<RunId, TriggerId>,
    /// Those that start anew, or leave, with the change under way.
    anew: Vec<TriggerId>,
    renewed: HashMap<TriggerId, Schedule>,
    leaving: HashSet<TriggerId>,
    held: HashMap<TriggerId, Vec<i64>>,
    /// Fire times accounted for by a run, and by a span.
    pub(super) fired: u64,
    pub(super) skipped: u64,
}

impl Model {
    /// Takes a fact; says what is wrong with it.
    pub(super) fn observe(&mut self, fact: &Fact) -> Verdict {
        match fact {
            Fact::Start { now, max_runs, config, held } => {
                self.start(*now, *max_runs, config, held);
                Ok(())
            }
            Fact::Down => {
                self.down();
                Ok(())
            }
            Fact::Look { now, cause } => {
                self.reached = self.reached.max(*now);
                self.looks += 1;
                if self.looks == 1 {
                    // Whatever came before belongs to the start.
                    self.started = *now;
                }
                let expected = if self.looks == 1 { SkipReason::Down } else { SkipReason::Late };
                assert_eq!(*cause, expected, "the world looks with the wrong cause");
                Ok(())
            }
            Fact::Pause { now, triggers } => self.pause(*now, triggers),
            Fact::Resumed { now, triggers } => self.resumed(*now, triggers),
            Fact::Apply { now, put, removed, held } => {
                self.apply(*now, put, removed, held);
                Ok(())
            }
            Fact::Anew { now } => {
                let held = std::mem::take(&mut self.held);
                for id in std::mem::take(&mut self.anew) {
                    let schedule = self.renewed.remove(&id);
                    let trigger = self.trigger(id);
                    trigger.settings.schedule = schedule.expect("it starts anew");
                    trigger.restart(now.div_euclid(1000), held.get(&id));
                }
                Ok(())
            }
            Fact::Left => {
                for id in std::mem::take(&mut self.leaving) {
                    let trigger = self.trigger(id);
                    trigger.placed &= trigger.there;
                }
                Ok(())
            }
            Fact::Claimed { request, answer } => self.claimed(request, answer),
            Fact::Skipped { now, span, row } => self.span(*now, span, row),
            Fact::Started { run } => self.rules.started(*run),
            Fact::Aborted { run } => self.rules.aborted(*run),
            Fact::Ended { run } => {
                if let Some(trigger) = self.chained_by.remove(run) {
                    self.chains.insert(trigger, None);
                }
                self.rules.ended(*run)
            }
            Fact::Lane(fact) => {
                self.lanes.observe(fact);
                Ok(())
            }
            Fact::Rest => {
                self.chains.retain(|_, open| open.is_some());
                Ok(())
            }
            Fact::Quiet { now } => self.quiet(*now),
        }
    }

    fn trigger(&mut self, id: TriggerId) -> &mut Trigger {
        self.triggers.get_mut(&id).expect("the trigger was enlisted")
    }

    fn start(&mut self, now: i64, max_runs: usize, config: &[Enlisted], held: &Held) {
        (self.started, self.looks, self.reached) = (now, 0, now);
        self.rules.start(max_runs);
        self.anew.clear();
        self.leaving.clear();
        let held: HashMap<TriggerId, &Vec<i64>> = held.iter().map(|(id, times)| (*id, times)).collect();
        let seconds = now.div_euclid(1000);
        let named: HashSet<TriggerId> =
            config.iter().flat_map(|function| &function.triggers).copied().collect();
        for (id, trigger) in &mut self.triggers {
            trigger.there &= named.contains(id);
            trigger.placed &= named.contains(id);
        }
        for enlisted in config {
            self.rules.put(enlisted.id, enlisted.function.overlap);
            for (id, settings) in enlisted.triggers.iter().zip(enlisted.function.triggers.iter()) {
                let trigger = self.triggers.entry(*id).or_insert_with(|| Trigger::new(settings, enlisted.id));
                trigger.settings = settings.clone();
                trigger.there = true;
                let goes_on = trigger.placed && settings.enabled && trigger.accounted <= seconds;
                trigger.placed = settings.enabled;
                if goes_on {
                    trigger.next = settings.schedule.next(trigger.accounted);
                    trigger.held = held.get(id).into_iter().copied().flatten().copied().collect();
                } else {
                    trigger.restart(seconds, held.get(id).copied());
                }
            }
        }
    }

    fn down(&mut self) {
        self.chains.clear();
        self.chained_by.clear();
        self.lanes.down();
        self.rules.down();
    }

    fn pause(&mut self, now: i64, triggers: &[TriggerId]) -> Verdict {
        for id in triggers {
            let trigger = self.trigger(*id);
            if trigger.paused_since.replace(now).is_some() {
                return refuse(format!("trigger {id} was paused twice"));
            }
        }
        Ok(())
    }

    fn resumed(&mut self, now: i64, triggers: &[TriggerId]) -> Verdict {
        for id in triggers {
            let trigger = self.trigger(*id);
            if trigger.paused_since.take().is_none() {
                return refuse(format!("trigger {id} went on though it was not paused"));
            }
            trigger.nothing_due(*id, now)?;
        }
        Ok(())
    }

    fn apply(&mut self, now: i64, put: &[Enlisted], removed: &[FunctionId], held: &Held) {
        let seconds = now.div_euclid(1000);
        self.held = held.iter().cloned().collect();
        let functions: HashSet<FunctionId> =
            put.iter().map(|put| put.id).chain(removed.iter().copied()).collect();
        let named: HashSet<TriggerId> = put.iter().flat_map(|function| &function.triggers).copied().collect();
        for (id, trigger) in &mut self.triggers {
            if trigger.there && functions.contains(&trigger.function) && !named.contains(id) {
                trigger.there = false;
                self.leaving.insert(*id);
            }
        }
        for enlisted in put {
            self.rules.put(enlisted.id, enlisted.function.overlap);
            for (id, settings) in enlisted.triggers.iter().zip(enlisted.function.triggers.iter()) {
                let held = self.held.get(id).cloned();
                let trigger = self.triggers.entry(*id).or_insert_with(|| Trigger::new(settings, enlisted.id));
                let old = std::mem::replace(&mut trigger.settings, settings.clone());
                let was_active = trigger.there && old.enabled;
                trigger.there = true;
                if was_active && settings.enabled && old.schedule == settings.schedule {
                    continue;
                }
                if was_active {
                    // What it leaves behind is skipped before it starts anew, by its old schedule.
                    trigger.settings.schedule = old.schedule;
                    self.leaving.insert(*id);
                    self.anew.push(*id);
                    trigger.placed = settings.enabled;
                    self.renewed.insert(*id, settings.schedule.clone());
                } else {
                    trigger.placed = settings.enabled;
                    trigger.restart(seconds, held.as_ref());
                    // What is still under way from before it left has nothing to do with what it fires now.
                    if let Some(Some(run)) = self.chains.remove(id) {
                        self.chained_by.remove(&run);
                    }
                }
            }
        }
    }

    fn claimed(&mut self, request: &ClaimRequest, answer: &Claim) -> Verdict {
        let &ClaimRequest { trigger: id, fire_time, since, reason, missed, now, .. } = request;
        let scheduled = matches!(reason, Reason::Timed | Reason::CatchUp);
        let run = match answer {
            Claim::Started(run) | Claim::Waiting(run) | Claim::Replaces { run, .. } => Some(*run),
            Claim::Skipped | Claim::AlreadyClaimed => None,
        };
        self.rules.claimed(request, answer)?;
        if lanes::is_of_lane(request) {
            if !self.triggers[&id].may_fire() {
                return refuse(format!("rows of trigger {id} go out at {now}, and it may not fire"));
            }
            self.lanes.claimed(request, answer)?;
        }
        if !scheduled {
            return Ok(());
        }
        let (chained, reached) = (self.chains.get(&id).copied(), self.reached);
        let trigger = self.triggers.get_mut(&id).expect("the trigger was enlisted");
        if *answer == Claim::AlreadyClaimed {
            return if fire_time > trigger.again_until {
                refuse(format!("trigger {id}: the state took {fire_time} for claimed, and it never was"))
            } else {
                Ok(())
            };
        }
        let at = format!("trigger {id}, fire time {fire_time}, at {now}");
        let late_from = |within: i64| fire_time * 1000 + within;
        let rules = &trigger.settings.rules;
        let (within, jitter) = (millis(rules.start_within), millis(rules.jitter));
        match () {
            () if !trigger.there || !trigger.settings.enabled => {
                return refuse(format!("{at}: it is gone or disabled"));
            }
            () if trigger.paused_since.is_some() => return refuse(format!("{at}: it is paused")),
            () if late_from(0) > reached => return refuse(format!("{at}: it is not due")),
            () if matches!(chained, Some(Some(_))) => {
                return refuse(format!("{at}: the one before it is still open"));
            }
            () if reason == Reason::CatchUp && late_from(within) >= reached => {
                return refuse(format!("{at}: caught up though it was in time"));
            }
            () if reason == Reason::CatchUp && rules.misfire == Misfire::Skip && chained.is_none() => {
                return refuse(format!("{at}: caught up against its rule"));
            }
            () if reason == Reason::Timed && chained.is_none() && late_from(within + jitter) < now => {
                return refuse(format!("{at}: ran though it was late"));
            }
            () => {}
        }
        let serial = reason == Reason::CatchUp || chained.is_some();
        let Some(run) = run else {
            if serial {
                self.chains.insert(id, None);
            }
            return Ok(());
        };
        if trigger.held.contains(&fire_time) {
            return refuse(format!("{at}: it runs a second time"));
        }
        trigger.advance(since, fire_time, 1 + i64::from(missed)).map_err(|what| format!("{at}: {what}"))?;
        trigger.passed.extend(trigger.spans.extract_if(.., |before| before.last < fire_time));
        let enough = trigger.passed.len().saturating_sub(16);
        trigger.passed.drain(..enough);
        self.fired += 1 + u64::from(missed);
        if serial {
            self.chains.insert(id, Some(run));
            self.chained_by.insert(run, id);
        }
        Ok(())
    }

    fn span(&mut self, now: i64, span: &SkippedSpan, row: &SkippedSpan) -> Verdict {
        let &SkippedSpan { trigger: id, first, last, count, reason } = span;
        let at = format!("trigger {id}, skipped {first} to {last} ({count}, {}), at {now}", reason.as_str());
        let chained = self.chains.contains_key(&id);
        let (started, looks, leaving) = (self.started, self.looks, self.leaving.contains(&id));
        let reached = self.reached.max(now);
        let trigger = self.triggers.get_mut(&id).expect("the trigger was enlisted");
        let rules = &trigger.settings.rules;
        let in_time = last * 1000 + millis(rules.start_within) >= reached;
        let misfire_holds = chained || rules.misfire == Misfire::Skip;
        let holds = match reason {
            // As many may wait as want to.
            SkipReason::Full => false,
            SkipReason::Down => {
                misfire_holds && last * 1000 < started && (!in_time || chained) && (looks == 1 || chained)
            }
            SkipReason::Late => misfire_holds && !in_time && (looks > 1 || chained),
            SkipReason::Paused => trigger.paused_since.is_some() && last * 1000 <= reached,
            SkipReason::Overlap => self.rules.is_busy(trigger.function),
            SkipReason::CatchUpLimit => {
                let later = std::iter::successors(trigger.settings.schedule.next(last), |time| {
                    trigger.settings.schedule.next(*time)
                });
                let too_old = last * 1000 < reached.saturating_sub(millis(rules.catch_up));
                (chained || rules.misfire == Misfire::All)
                    && !in_time
                    && (too_old
                        || later.take(CATCH_UP_LIMIT).filter(|time| time * 1000 < reached).count()
                            == CATCH_UP_LIMIT)
            }
            SkipReason::Removed => leaving && last * 1000 <= reached,
        };
        if !holds {
            return refuse(format!("{at}: the reason does not hold"));
        }
        // A row grows only from one span to the next, with nothing of the trigger in between.
        let grown = |before: &SkippedSpan| {
            let grown = SkippedSpan { first: before.first, count: before.count + count, ..*span };
            before.reason == reason && before.last < first && *row == grown
        };
        // While fire times come again, a run that lay between may be forgotten, and the mark that knew of it put back.
        let again = trigger.accounted <= trigger.again_until;
        let passed = trigger.passed.iter().filter(|_| again);
        if row != span && !trigger.spans.iter().chain(passed).any(grown) {
            return refuse(format!("{at}: the row says {row:?}, after {:?}", trigger.spans));
        }
        trigger.advance(first, last, count).map_err(|what| format!("{at}: {what}"))?;
        trigger.spans.retain(|before| before.last >= first);
        trigger.spans.push(*row);
        self.skipped += count.unsigned_abs();
        Ok(())
    }

    /// Nothing is under way: what is due is on record, or waits behind a run of its trigger.
    fn quiet(&mut self, now: i64) -> Verdict {
        self.rules.quiet()?;
        for (id, trigger) in &self.triggers {
            if trigger.may_fire() && !self.chains.contains_key(id) {
                trigger.nothing_due(*id, now)?;
            }
        }
        for function in self.lanes.overdue(now).filter(|function| !self.rules.is_busy(*function)) {
            let mut triggers = self.triggers.values().filter(|trigger| trigger.function == function);
            if triggers.any(Trigger::may_fire) {
                return refuse(format!(
                    "rows of function {function} are due at {now}, and nobody takes them"
                ));
            }
        }
        Ok(())
    }
}
