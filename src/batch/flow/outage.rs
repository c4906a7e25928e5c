//! When nobody is there to take deliveries: the run waits, asks again now and then with a single row, and gives up when
//! it has waited long enough. No row is to blame, so none uses up a try.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Deliver, Flow, Stop, Stream, Ticket};
use crate::action::Outcome;
use crate::batch::ticket;
use crate::store::ledger::Verdict;

/// Before the first question whether somebody is there again; doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// Before rows that a run gave up on are tried by another.
const NEXT_RUN: TimeDelta = TimeDelta::minutes(1);

/// Nobody is there.
#[derive(Debug)]
pub(super) struct Outage {
    /// Monotonic.
    since: Duration,
    /// When the next row asks again; monotonic.
    ask_at: Duration,
    wait: Duration,
    give_up_at: Duration,
    /// What the last row met with.
    reason: String,
}

impl Outage {
    /// How long until the next row may ask, or until it is time to give up; `None`: now.
    pub(super) fn wait_left(&self, now: Duration) -> Option<Duration> {
        let until = self.ask_at.min(self.give_up_at);
        (now < until).then(|| until.saturating_sub(now))
    }
}

impl<A: Deliver> Flow<'_, A> {
    /// A row came back because nobody was there: it waits for the next question. `Some`: it cannot, for the run stops.
    pub(super) fn came_back(&mut self, ticket: Arc<Ticket>, reason: String) -> Option<(Arc<Ticket>, String)> {
        if self.stop.is_some() {
            return Some((ticket, reason));
        }
        if let Err(ticket) = self.put_in_front(ticket) {
            return Some((ticket, reason));
        }
        let now = self.job.clock.monotonic();
        match &mut self.outage {
            // Those that were under way when it began come back one after the other.
            Some(outage) if now < outage.ask_at => {}
            Some(outage) => {
                outage.wait = (outage.wait * 2).min(LONGEST);
                outage.ask_at = now + outage.wait;
                outage.reason = reason;
            }
            None => {
                let trigger = self.fire.full_name();
                tracing::warn!(trigger, reason, "nobody is there to take deliveries, waiting");
                let line = format!("nobody is there to take deliveries, waiting: {reason}");
                self.context.output.line(Stream::System, line);
                let give_up_at = now + self.job.settings.patience;
                let outage = Outage { since: now, ask_at: now + FIRST, wait: FIRST, give_up_at, reason };
                self.outage = Some(outage);
                // One row asks, and no others.
                self.call_back();
            }
        }
        None
    }

    /// A delivery got an answer.
    pub(super) fn somebody_is_there(&mut self, answer: &Outcome) {
        // These may come from our own side: a template that a row does not fill.
        if matches!(answer, Outcome::Failed { .. } | Outcome::Halt { .. }) {
            return;
        }
        if let Some(outage) = self.outage.take() {
            let waited = self.job.clock.monotonic().saturating_sub(outage.since).as_secs();
            tracing::info!(trigger = self.fire.full_name(), waited_s = waited, "deliveries go on");
            self.context.output.line(Stream::System, format!("deliveries go on after {waited} s"));
        }
    }

    /// Ends the run if it has waited long enough.
    pub(super) fn give_up_if_due(&mut self, now: Duration) {
        let Some(outage) = self.outage.as_ref().filter(|outage| now >= outage.give_up_at) else { return };
        if self.stop.is_none() && self.deliveries.is_empty() {
            let waited = self.job.settings.patience.as_secs();
            self.stop = Some(Stop::Failed(format!("gave up after {waited} s: {}", outage.reason)));
        }
    }

    /// A reserved row of the retry lane that this run will not start.
    pub(super) fn put_back(&self, ticket: &Ticket, now: DateTime<Utc>) -> Verdict {
        match (&self.outage, self.quota_opens_at(now)) {
            (Some(outage), _) => ticket::put_back(ticket, outage.reason.clone(), now + NEXT_RUN),
            (None, Some(opens_at)) => ticket::put_back(ticket, "its quota was used up".to_owned(), opens_at),
            (None, None) => ticket::put_back(ticket, "the run was stopped".to_owned(), now),
        }
    }
}
