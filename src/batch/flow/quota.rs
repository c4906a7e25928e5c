//! Quotas of a run: taken from the state before deliveries start, and waited for when they are used up.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Deliver, Event, Flow, Lane, StoreError, Stream, Ticket};
use crate::batch::quota::Way;
use crate::store::quota::Taken;

impl<A: Deliver> Flow<'_, A> {
    /// Whether a delivery may start by the quotas. The error: after how long to look again; none: when the state answers.
    pub(super) fn pass_quota(&mut self) -> Result<(), Option<Duration>> {
        let now = self.job.clock.now();
        match self.gate.way(now) {
            Way::Open => Ok(()),
            Way::Asked => Err(None),
            Way::Closed(wait) => Err(Some(wait)),
            Way::Ask => {
                let take = self.gate.ask(self.ready.len(), now);
                let ledger = self.job.ledger.clone();
                self.workers.spawn(async move { Event::Quota(ledger.take_quota(take).await) });
                Err(None)
            }
        }
    }

    pub(super) fn quota_answered(&mut self, taken: Result<Taken, StoreError>) {
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                self.gate.answered(None);
                self.broken = Some(error.to_string());
                return;
            }
        };
        match &taken {
            Taken::Full { until, name } if !self.gate.told => self.tell_of_quota(name, *until, "used up"),
            Taken::Some(_) | Taken::Full { .. } => {}
            Taken::Resting { until, name } => self.tell_of_quota(name, *until, "at rest"),
        }
        self.gate.answered(Some(taken));
    }

    /// Once a run, and whenever the other side has used the word.
    fn tell_of_quota(&mut self, name: &str, until: i64, how: &str) {
        self.gate.told = true;
        let at = DateTime::from_timestamp_millis(until).unwrap_or_default().with_timezone(&self.job.timezone);
        let at = at.format("%Y-%m-%d %H:%M:%S %Z").to_string();
        let trigger = self.fire.full_name();
        tracing::info!(trigger, quota = name, until = at, "the quota is {how}, deliveries wait");
        self.context
            .output
            .line(Stream::System, format!("the quota `{name}` is {how}, deliveries go on at {at}"));
    }

    /// A row came back because the other side's quota is used up: it waits until that turns, and so do all who share the
    /// quota. `Some`: it cannot, for the run stops.
    pub(super) fn exhausted(
        &mut self,
        ticket: Arc<Ticket>,
        reason: String,
        wait: Duration,
    ) -> Option<(Arc<Ticket>, String)> {
        let until = self.job.clock.now() + wait;
        if let Some(name) = self.gate.rest(until) {
            let millis = until.timestamp_millis();
            tracing::warn!(trigger = self.fire.full_name(), reason, "the other side takes no more for now");
            self.context.output.line(Stream::System, reason.clone());
            self.tell_of_quota(&name, millis, "at rest");
            let ledger = self.job.ledger.clone();
            self.workers.spawn(async move { Event::Rested(ledger.rest_quota(name, millis).await) });
        }
        let ticket = if self.stop.is_some() { Err(ticket) } else { self.put_in_front(ticket) };
        ticket.err().map(|ticket| (ticket, reason))
    }

    pub(super) fn rested(&mut self, rested: Result<(), StoreError>) {
        if let Err(error) = rested {
            self.broken = Some(error.to_string());
        }
    }

    /// A row that was started goes out again before all others. The error: something still has it.
    pub(super) fn put_in_front(&mut self, ticket: Arc<Ticket>) -> Result<(), Arc<Ticket>> {
        let mut ticket = Arc::try_unwrap(ticket)?;
        // The sweep has passed it.
        ticket.lane = Lane::Retry { own: true };
        self.ready.push_front(ticket);
        Ok(())
    }

    /// When the quotas let deliveries start again, if they do not.
    pub(super) fn quota_opens_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.gate.opens_at(now)
    }

    /// Gives back what was taken and not used.
    pub(super) async fn leave_quota(&mut self) {
        let Some(take) = self.gate.close(self.job.clock.now()) else { return };
        if let Err(error) = self.job.ledger.take_quota(take).await {
            self.broken = Some(error.to_string());
        }
    }
}
