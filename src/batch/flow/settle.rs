//! Outcomes into the ledger, marks into the source.

use std::sync::Arc;

use super::{
    DbError, Deliver, EntryKey, Event, Flow, Heading, Lane, Marked, Step, Stop, StoreError, Sweep, Ticket,
};
use crate::action::Outcome;
use crate::batch::source::ToMark;
use crate::store::ledger::{Record, Verdict};

/// Rows a mark's transaction has at most.
const MARK_GROUP: usize = 1000;
/// Rows that wait for their mark before it begins, unless nothing else is under way.
const MARK_WORTH: usize = 128;

/// An outcome on its way to the ledger.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) record: Record,
    /// Where the row stands in the account from now on; none: it was not this run's after all.
    pub(super) heading: Option<Heading>,
    /// The row is to be marked once this is recorded.
    pub(super) mark: Option<PendingMark>,
}

/// An entry of the retry lane whose row is marked, and which must still hold the sweep back.
///
/// A page that was read before the mark may have the row, as deliverable. Were the entry gone when
/// that page is reserved, the row would be delivered twice. (Rows of the sweep itself lie behind it.)
#[derive(Debug)]
pub(super) struct Lingering {
    entry: EntryKey,
    /// Number of the newest reading that may have begun before the mark.
    until: u64,
}

/// A row on its way to its mark.
#[derive(Debug)]
pub(super) struct PendingMark {
    entry: EntryKey,
    row: ToMark,
    from_lane: bool,
}

/// A step of the ledger under way.
#[derive(Debug)]
pub(super) struct PendingStep {
    reserving: Vec<Ticket>,
    settled: Vec<(Option<Heading>, Option<PendingMark>)>,
}

impl<A: Deliver> Flow<'_, A> {
    /// A delivery has ended.
    pub(super) fn delivered(&mut self, ticket: Arc<Ticket>, outcome: Outcome) {
        let (ticket, outcome) = match outcome {
            Outcome::Unreachable { reason } => match self.came_back(ticket, reason) {
                Some((ticket, reason)) => (ticket, Outcome::Unreachable { reason }),
                None => return,
            },
            Outcome::Exhausted { reason, wait } => {
                self.somebody_is_there(&Outcome::Exhausted { reason: reason.clone(), wait });
                match self.exhausted(ticket, reason, wait) {
                    Some((ticket, reason)) => (ticket, Outcome::Exhausted { reason, wait }),
                    None => return,
                }
            }
            answer => {
                self.somebody_is_there(&answer);
                (ticket, answer)
            }
        };
        if let Outcome::Halt { reason } = &outcome {
            self.harm(format!("stopped, nothing more would be delivered: {reason}"));
        }
        let (verdict, heading) = self.job.rules.settle(&ticket, outcome, self.job.clock.now());
        let failure = match &verdict {
            Verdict::Sent { .. } => Some(None),
            Verdict::Failed { reason } => Some(Some(reason.clone())),
            _ => None,
        };
        self.count_errors(&verdict, heading);
        let mark = failure.map(|failure| PendingMark {
            entry: ticket.entry.clone(),
            row: ToMark { key: ticket.key.clone(), failure },
            from_lane: matches!(ticket.lane, Lane::Retry { .. }),
        });
        self.settled.push(Settled { record: ticket.record(verdict), heading: Some(heading), mark });
    }

    /// Stops the run if too many of the last rows failed.
    fn count_errors(&mut self, verdict: &Verdict, heading: Heading) {
        let Some(limit) = self.job.settings.pause_on_errors else { return };
        let reason = match (heading, verdict) {
            (Heading::Failed, Verdict::Failed { reason } | Verdict::Kept { reason }) => Some(reason),
            (Heading::Sent, _) => None,
            _ => return,
        };
        let Some(failed) = self.errors.enter(reason.is_some(), limit) else { return };
        let (percent, rows) = (limit.percent, limit.of_last);
        let last = reason.map(String::as_str).unwrap_or_default();
        self.harm(format!(
            "stopped: {failed} of the last {rows} rows failed, {percent} % are too many; the last one: {last}"
        ));
    }

    /// Stops the run, and those to come, unless it stops already.
    fn harm(&mut self, reason: String) {
        if self.stop.is_none() {
            let pauses = self.job.settings.pause_on_errors.is_some();
            self.stop = Some(if pauses { Stop::Harm(reason) } else { Stop::Failed(reason) });
        }
    }

    /// Rows that are reserved, or about to be, and not recorded.
    fn ahead(&self) -> usize {
        self.ready.len() + self.deliveries.len() + self.settled.len() + self.in_ledger + self.in_look_up
    }

    /// Writes what there is to write, and reserves what the window has room for: all in one commit.
    pub(super) fn launch_ledger(&mut self) {
        if self.stepping {
            return;
        }
        // Marks that lag far behind would fill the memory.
        let lagging = self.to_mark.len() > 4 * MARK_GROUP;
        let is_closed = self.quota_opens_at(self.job.clock.now()).is_some();
        let room = if lagging || self.outage.is_some() || is_closed {
            0
        } else {
            self.job.settings.window.max(1).saturating_sub(self.ahead())
        };
        let room = room.min(self.depth.saturating_sub(self.ready.len()));
        if self.launch_lane(room) {
            self.stepping = true;
            return;
        }
        if self.may_gather(is_closed) {
            return;
        }
        let reserving = self.next_reservations(room);
        self.intake.drop_surplus();
        self.let_go();
        if reserving.is_empty() && self.settled.is_empty() && self.to_forget.is_empty() {
            return;
        }
        let settled = std::mem::take(&mut self.settled);
        self.stepping = true;
        self.in_ledger = reserving.len() + settled.len();
        let moved = !reserving.is_empty() || self.untaken > 0;
        let remaining = self.account.remaining.map(|left| left.saturating_sub(reserving.len() as u64));
        let mut step = Step {
            scope: self.scope.id,
            run: self.scope.run,
            reserve: reserving.iter().map(|row| (row.entry.key.clone(), row.reservation.clone())).collect(),
            record: Vec::with_capacity(settled.len()),
            forget: std::mem::take(&mut self.to_forget),
            untaken: std::mem::take(&mut self.untaken),
            sweep: moved.then(|| Sweep { remaining, ..self.intake.place() }),
            fire: None,
            now: self.job.clock.now().timestamp_millis(),
        };
        let settled = settled.into_iter().map(|Settled { record, heading, mark }| {
            step.record.push(record);
            (heading, mark)
        });
        let pending = PendingStep { reserving, settled: settled.collect() };
        let ledger = self.job.ledger.clone();
        self.workers.spawn(async move { Event::Step(pending, ledger.step(step).await) });
    }

    /// Enough is reserved to keep the deliveries busy: outcomes may gather, so that more of them share a commit.
    fn may_gather(&self, is_closed: bool) -> bool {
        let slack = self.ready.len() > self.at_once;
        slack
            && self.stop.is_none()
            && self.outage.is_none()
            && !is_closed
            && self.settled.len() < self.job.settings.window / 4
    }

    /// A step is durable, or the ledger is broken.
    pub(super) fn stepped(&mut self, step: PendingStep, refused: Result<Vec<usize>, StoreError>) {
        self.stepping = false;
        self.in_ledger = 0;
        let PendingStep { reserving, settled } = step;
        let refused = match refused {
            Ok(refused) => refused,
            Err(error) => {
                self.broken = Some(error.to_string());
                return;
            }
        };
        for (heading, mark) in settled {
            if let Some(heading) = heading {
                self.enter(heading);
            }
            self.to_mark.extend(mark);
        }
        let passed = reserving.len() as u64;
        self.account.remaining = self.account.remaining.map(|left| left.saturating_sub(passed));
        self.account.selected += passed - refused.len() as u64;
        self.intake.give_back(refused.len());
        if self.ready.is_empty() && self.deliveries.len() < self.at_once {
            // Deliveries had to wait for this: reserve further ahead from now on.
            self.depth = (self.depth * 2).min(self.job.settings.window).max(1);
        }
        let mut refused = refused.into_iter().peekable();
        for (position, ticket) in reserving.into_iter().enumerate() {
            // The ledger holds the key already: it is passed over.
            if refused.next_if_eq(&position).is_none() {
                self.ready.push_back(ticket);
            }
        }
    }

    /// Marks what is recorded, when it is worth a transaction or nothing else is under way.
    pub(super) fn launch_mark(&mut self) {
        let quiet = self.deliveries.is_empty() || self.stop.is_some();
        let due = self.to_mark.len() >= MARK_WORTH || (quiet && !self.to_mark.is_empty());
        if self.marking || self.unmarkable || !due {
            return;
        }
        self.marking = true;
        let count = self.to_mark.len().min(MARK_GROUP);
        let group: Vec<PendingMark> = self.to_mark.drain(..count).collect();
        let rows = group.iter().map(|pending| pending.row.clone()).collect();
        let (source, moment) = (self.job.source.clone(), self.moment());
        self.workers.spawn(async move { Event::Mark(group, source.mark(rows, moment).await) });
    }

    /// Marks are durable, or were all undone.
    pub(super) fn marked(&mut self, group: Vec<PendingMark>, marked: Result<Vec<Marked>, DbError>) {
        self.marking = false;
        let marked = match marked {
            Ok(marked) => marked,
            Err(error) => {
                self.unmarkable = true;
                self.to_mark.extend(group);
                self.fail(format!(
                    "delivered rows could not be marked, which the next run does first: {error}"
                ));
                return;
            }
        };
        for (PendingMark { entry, row, from_lane }, marked) in group.into_iter().zip(marked) {
            match marked {
                Marked::Done => {}
                Marked::Vanished => {
                    let heading = if row.failure.is_some() { Heading::Failed } else { Heading::Sent };
                    self.account.take_out(heading);
                    self.account.enter(Heading::Vanished);
                    self.account.vanished_after_delivery += u64::from(row.failure.is_none());
                }
                Marked::Stuck => {
                    self.account.stuck += 1;
                    let reason = self.job.source.stuck(&row.key);
                    self.fail(reason);
                    continue;
                }
            }
            if from_lane {
                let until = self.intake.newest_reading();
                self.lingering.push_back(Lingering { entry, until });
            } else {
                self.to_forget.push(entry);
            }
        }
    }

    /// Entries of the retry lane that no page can bring back any more go.
    fn let_go(&mut self) {
        let oldest = self.intake.oldest_reading();
        while self.lingering.front().is_some_and(|first| first.until < oldest) {
            self.to_forget.extend(self.lingering.pop_front().map(|first| first.entry));
        }
    }
}
