//! Tickets into deliveries.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};

use super::{Deliver, Flow, Lane, STALE, Ticket};
use crate::action::{Delivery, Outcome};
use crate::batch::ticket::NO_TURN;

/// How a delivery ends; none: it has not begun, for its turn did not come in time.
type Ended = Option<Outcome>;

/// Deliveries under way.
#[derive(Debug)]
pub(super) struct Deliveries {
    tasks: JoinSet<Ended>,
    tickets: HashMap<Id, Arc<Ticket>>,
    end_by: Option<Duration>,
}

impl Deliveries {
    pub(super) fn new() -> Self {
        Self { tasks: JoinSet::new(), tickets: HashMap::new(), end_by: None }
    }

    pub(super) fn len(&self) -> usize {
        self.tickets.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// Gives up on what is still under way at `deadline`, monotonic.
    pub(super) fn end_by(&mut self, deadline: Duration) {
        self.end_by = Some(deadline);
    }

    /// How long what is under way may still take, if that is limited.
    pub(super) fn grace(&self, now: Duration) -> Option<Duration> {
        self.end_by.filter(|_| !self.is_empty()).map(|end_by| end_by.saturating_sub(now))
    }

    /// Cuts off what is under way if it has had its time; each is reported as uncertain.
    pub(super) fn abort_if_due(&mut self, now: Duration) {
        if self.end_by.is_some_and(|end_by| now >= end_by) {
            self.end_by = None;
            self.tasks.abort_all();
        }
    }

    /// The next that ends; none: nothing is under way.
    pub(super) async fn next(&mut self) -> Option<(Arc<Ticket>, Ended)> {
        let ended = self.tasks.join_next_with_id().await?;
        self.ended(ended)
    }

    /// The next that has ended already.
    pub(super) fn try_next(&mut self) -> Option<(Arc<Ticket>, Ended)> {
        let ended = self.tasks.try_join_next_with_id()?;
        self.ended(ended)
    }

    fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) -> Option<(Arc<Ticket>, Ended)> {
        let (id, outcome) = ended.unwrap_or_else(|error| {
            let reason = if error.is_cancelled() {
                "the run had to end while the delivery was under way".to_owned()
            } else {
                format!("the delivery panicked: {error}")
            };
            (error.id(), Some(Outcome::Uncertain { reason }))
        });
        Some((self.tickets.remove(&id)?, outcome))
    }
}

impl<A: Deliver> Flow<'_, A> {
    /// Starts what may start. Answers how long rate and quotas make the next one wait.
    pub(super) fn start_deliveries(&mut self) -> Option<Duration> {
        while self.deliveries.len() < self.at_once && self.in_second_look == 0 {
            let read_at = self.ready.front()?.read_at;
            let now = self.job.clock.monotonic();
            if let Some(outage) = &self.outage {
                let wait = outage.wait_left(now);
                if !self.deliveries.is_empty() || wait.is_some() {
                    return wait;
                }
            }
            if let Err(wait) = self.pass_quota() {
                return wait;
            }
            if now.saturating_sub(read_at) > STALE {
                self.read_ready_again();
                return None;
            }
            if let Err(wait) = self.pacer.start(now) {
                return Some(wait);
            }
            let ticket = self.ready.pop_front()?;
            self.gate.start();
            if let Lane::Sweep(position) = &ticket.lane {
                self.started = position.clone();
            }
            self.start(ticket);
        }
        None
    }

    /// A delivery has ended, or did not begin: then its row is looked at again, and is the next in line.
    pub(super) fn ended(&mut self, ticket: Arc<Ticket>, ended: Ended) {
        if let Some(outcome) = ended {
            return self.delivered(ticket, outcome);
        }
        let ticket = if self.stop.is_some() { Err(ticket) } else { self.put_in_front(ticket) };
        if let Err(ticket) = ticket {
            self.delivered(ticket, Outcome::Unreachable { reason: NO_TURN.to_owned() });
        }
    }

    /// Those that wait for their turn come back.
    pub(super) fn call_back(&mut self) {
        std::mem::take(&mut self.no_turns).cancel();
    }

    fn start(&mut self, ticket: Ticket) {
        let ticket = Arc::new(ticket);
        let action = Arc::clone(&self.job.action);
        let clock = self.job.clock.clone();
        let row = Arc::clone(&ticket);
        let no_turns = self.no_turns.clone();
        let task = self.deliveries.tasks.spawn(async move {
            let delivery = Delivery {
                row: &row.row,
                reservation: &row.reservation,
                fire_time: row.fire_time,
                now: clock.now(),
            };
            let rendered = match action.render(&delivery).await {
                Ok(rendered) => rendered,
                Err(outcome) => return Some(outcome),
            };
            let turn = tokio::select! {
                biased;
                turn = action.turn(&rendered) => turn,
                () = no_turns.cancelled() => return None,
            };
            let is_stale = clock.monotonic().saturating_sub(row.read_at) > STALE;
            if is_stale { None } else { Some(action.deliver(turn, &rendered).await) }
        });
        self.deliveries.tickets.insert(task.id(), ticket);
    }
}
