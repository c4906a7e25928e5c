//! Whether a delivery may start by the quotas of its run: what is taken from the state, and when there is more.
//!
//! Knows nothing of runs; times of day are the wall clock's, since quotas outlive the process.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::settings::QuotaSettings;
use crate::store::quota::{Allowance, Limit, Take, Taken};

/// A wait is cut up, so that a clock that is set is noticed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Whether a delivery may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It may.
    Open,
    /// The state is to be asked.
    Ask,
    /// The state is being asked.
    Asked,
    /// Not yet; look again after this.
    Closed(Duration),
}

/// The quotas of one run.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    limits: Vec<Limit>,
    names: Vec<String>,
    /// The quota that the other side keeps.
    theirs: Option<String>,
    held: Option<Allowance>,
    asked: bool,
    /// Nothing starts before; unix milliseconds.
    closed: i64,
    /// The run has said that it is used up.
    pub(super) told: bool,
}

impl Gate {
    /// Of the batch's `own` quota and that of its action.
    pub(super) fn new(own: Option<&QuotaSettings>, theirs: Option<&QuotaSettings>) -> Self {
        let quotas = || own.into_iter().chain(theirs);
        let limits = quotas().flat_map(|quota| {
            quota.limits.iter().map(|rate| Limit {
                name: quota.name.clone(),
                count: rate.count.get(),
                per: i64::try_from(rate.per.as_millis()).unwrap_or(i64::MAX / 4),
            })
        });
        Self {
            limits: limits.collect(),
            names: quotas().map(|quota| quota.name.clone()).collect(),
            theirs: theirs.map(|quota| quota.name.clone()),
            held: None,
            asked: false,
            closed: i64::MIN,
            told: false,
        }
    }

    pub(super) fn way(&self, now: DateTime<Utc>) -> Way {
        let now = now.timestamp_millis();
        if self.asked {
            Way::Asked
        } else if now < self.closed {
            let left = Duration::from_millis(self.closed.abs_diff(now));
            Way::Closed(left.min(LOOK_AGAIN))
        } else if self.names.is_empty() || self.held.as_ref().is_some_and(|held| held.is_good(now)) {
            Way::Open
        } else {
            Way::Ask
        }
    }

    /// A delivery starts.
    pub(super) fn start(&mut self) {
        if let Some(held) = &mut self.held {
            held.count = held.count.saturating_sub(1);
        }
    }

    /// What the state is to be asked for, when `wanted` deliveries could start.
    pub(super) fn ask(&mut self, wanted: usize, now: DateTime<Utc>) -> Take {
        self.asked = true;
        // Where nothing is counted, one answer is good for the whole run.
        let wanted = if self.limits.is_empty() { usize::MAX } else { wanted };
        self.take(u32::try_from(wanted).unwrap_or(u32::MAX), now)
    }

    fn take(&mut self, wanted: u32, now: DateTime<Utc>) -> Take {
        Take {
            limits: self.limits.clone(),
            names: self.names.clone(),
            wanted,
            back: self.held.take().filter(|held| held.count > 0),
            now: now.timestamp_millis(),
        }
    }

    /// The state has answered, or could not.
    pub(super) fn answered(&mut self, taken: Option<Taken>) {
        self.asked = false;
        match taken {
            Some(Taken::Some(allowance)) => self.held = Some(allowance),
            Some(Taken::Full { until, .. } | Taken::Resting { until, .. }) => self.closed = until,
            None => {}
        }
    }

    /// The other side takes nothing before `until`. Answers the name of the quota that rests, if it is news.
    pub(super) fn rest(&mut self, until: DateTime<Utc>) -> Option<String> {
        let until = until.timestamp_millis();
        // Those that were under way say the same, a little later.
        let is_news = until > self.closed.saturating_add(60_000);
        self.closed = self.closed.max(until);
        self.theirs.clone().filter(|_| is_news)
    }

    /// Gives back what was not used.
    pub(super) fn close(&mut self, now: DateTime<Utc>) -> Option<Take> {
        let has_some = !self.limits.is_empty() && self.held.as_ref().is_some_and(|held| held.count > 0);
        has_some.then(|| self.take(0, now))
    }

    /// When it opens again, if it is closed at `now`.
    pub(super) fn opens_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.closed).filter(|until| *until > now)
    }
}
