//! A trigger as the model sees it: how far its fire times are accounted for.

use std::collections::BTreeSet;

use crate::settings::TriggerSettings;
use crate::store::runs::SkippedSpan;
use crate::store::triggers::{FunctionId, TriggerId};

pub(super) type Verdict = Result<(), String>;

pub(super) fn refuse<T>(what: impl Into<String>) -> Result<T, String> {
    Err(what.into())
}

#[derive(Debug)]
pub(super) struct Trigger {
    pub(super) settings: TriggerSettings,
    pub(super) function: FunctionId,
    /// It is part of the configuration.
    pub(super) there: bool,
    /// The state has a place for it.
    pub(super) placed: bool,
    pub(super) paused_since: Option<i64>,
    /// Its fire times up to here are accounted for; unix seconds.
    pub(super) accounted: i64,
    /// The first fire time after that.
    pub(super) next: Option<i64>,
    /// Up to here its fire times come a second time, and so need not all be accounted for.
    pub(super) again_until: i64,
    /// Of those, the ones that have a run.
    pub(super) held: BTreeSet<i64>,
    /// The row of the span before, when no run has come since. More when the clock went back: later ones may be
    /// forgotten first.
    pub(super) spans: Vec<SkippedSpan>,
    /// Rows of spans before the newest run.
    pub(super) passed: Vec<SkippedSpan>,
}

impl Trigger {
    pub(super) const fn may_fire(&self) -> bool {
        self.there && self.settings.enabled && self.paused_since.is_none()
    }

    pub(super) fn new(settings: &TriggerSettings, function: FunctionId) -> Self {
        Self {
            settings: settings.clone(),
            function,
            there: false,
            placed: false,
            paused_since: None,
            accounted: i64::MIN,
            next: None,
            again_until: i64::MIN,
            held: BTreeSet::new(),
            spans: Vec::new(),
            passed: Vec::new(),
        }
    }

    /// It goes on from `now`, unix seconds.
    pub(super) fn restart(&mut self, now: i64, held: Option<&Vec<i64>>) {
        if self.accounted > now {
            self.again_until = self.again_until.max(self.accounted);
        }
        self.held = held.into_iter().flatten().copied().collect();
        self.accounted = now;
        self.next = self.settings.schedule.next(now);
    }

    /// Its fire times from `first` to `last` are accounted for.
    pub(super) fn advance(&mut self, first: i64, last: i64, count: i64) -> Result<(), String> {
        if count < 1 {
            return refuse("it accounts for nothing");
        }
        let next = |after: i64| self.settings.schedule.next(after);
        let mut time = self.next;
        while let Some(passed) = time.filter(|time| *time < first && *time <= self.again_until) {
            time = next(passed);
        }
        match time {
            Some(time) if time < first => return refuse(format!("{time} is on no record")),
            Some(time) if time == first => {}
            _ => {
                return refuse(format!(
                    "{first} is no fire time, or was accounted for before: {time:?} is next"
                ));
            }
        }
        for _ in 1..count {
            time = time.and_then(next);
        }
        if time != Some(last) {
            return refuse(format!("{count} fire times after {first} end at {time:?}"));
        }
        self.accounted = last;
        self.next = next(last);
        Ok(())
    }

    /// All that is surely due by `now` (unix milliseconds) is accounted for.
    pub(super) fn nothing_due(&self, id: TriggerId, now: i64) -> Verdict {
        let surely = |time: i64| time * 1000 + millis(self.settings.rules.jitter);
        match self.next.filter(|time| *time > self.again_until && surely(*time) < now) {
            Some(time) => refuse(format!("trigger {id}, at {now}: {time} is due and on no record")),
            None => Ok(()),
        }
    }
}

pub(super) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap()
}
