//! One mail for all rows of a run.
//!
//! The unit of doubt is the whole mail. Without a mark the ledger has one entry for it, in the scope of the fire;
//! with one it has an entry a row, all reserved in one commit and recorded in another.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::BatchError;
use super::account::{Account, Heading};
use super::deliver::Deliver;
use super::flow::Ended;
use super::job::{Job, is_lane_run};
use super::key::{Key, Part, WHOLE_PAGE};
use super::source::{Marked, ToMark};
use super::ticket::{Lane, NO_TURN, Ticket};
use crate::action::{Delivery, Outcome as Delivered};
use crate::run::{Fire, Outcome, Row, RunContext, Status};
use crate::store::ledger::{Due, EntryKey, FireState, Scope, Step, Verdict};

/// How long a delivery under way may take to end when the run must end now.
const ABORT_GRACE: Duration = Duration::from_secs(3);

/// Mails that wait are taken up by any run, whenever they are due: there is one a fire at most.
const ANY_TIME: TimeDelta = TimeDelta::days(36_500);

/// One mail: its reserved entries and the rows in it.
struct Mail {
    fire_time: DateTime<Utc>,
    tickets: Vec<Ticket>,
    rows: Vec<Row>,
}

/// Sends what there is to send, in one mail.
pub(super) async fn run<A: Deliver>(
    job: &Job<A>,
    fire: &Fire,
    context: &RunContext,
    scope: Scope,
    max_rows: u32,
) -> Ended {
    let began = job.clock.monotonic();
    let lane_only = is_lane_run(fire);
    let mut run = Run {
        job,
        fire,
        scope,
        max_rows,
        lane_only,
        account: Account::default(),
        problem: None,
        halted: false,
    };
    let result = run.go(context).await;
    let took = job.clock.monotonic().saturating_sub(began);
    let account = run.account;
    let (status, note) = match (result, run.problem, account.imbalance()) {
        (Err(error), _, _) => (Status::Failed, Some(error.to_string())),
        (Ok(()), _, Some(problem)) | (Ok(()), Some(problem), None) => (Status::Failed, Some(problem)),
        (Ok(()), None, None) => (Status::Succeeded, None),
    };
    let message = account.message(note.as_deref(), took);
    let idle = status == Status::Succeeded && account.selected == 0;
    let pause = run.halted && job.settings.pause_on_errors.is_some();
    let result = Some(account.to_json(took));
    let outcome = Outcome { status, message: Some(message), result, idle, pause };
    Ended { outcome, clean: status == Status::Succeeded }
}

struct Run<'a, A> {
    job: &'a Job<A>,
    fire: &'a Fire,
    scope: Scope,
    max_rows: u32,
    /// Only what waits and is due goes out.
    lane_only: bool,
    account: Account,
    /// Why a mail did not go out.
    problem: Option<String>,
    /// No mail would go out.
    halted: bool,
}

impl<A: Deliver> Run<'_, A> {
    async fn go(&mut self, context: &RunContext) -> Result<(), BatchError> {
        let mails =
            if self.job.rules.marks_sent { self.rows_to_send().await? } else { self.mails_to_send().await? };
        for mail in mails {
            let (reservation, rows) = (mail.tickets.first(), &mail.rows);
            let Some(reservation) = reservation.map(|ticket| ticket.reservation.clone()) else { continue };
            self.account.selected += rows.len() as u64;
            self.account.pages += 1;
            let outcome = self.deliver(&mail, &reservation, context).await;
            self.settle(mail, outcome).await?;
        }
        if !self.lane_only {
            let fire = if self.problem.is_some() { FireState::Failed } else { FireState::Done };
            self.step(Step { fire: Some(fire), ..Step::default() }).await?;
        }
        Ok(())
    }

    /// With a mark: what waits and what is new, together in one mail.
    async fn rows_to_send(&mut self) -> Result<Vec<Mail>, BatchError> {
        let found = self.job.source.all(self.max_rows, self.job.moment(self.fire.fire_time)).await?;
        let mut waiting: HashMap<String, Due> = HashMap::new();
        for due in self.take_waiting().await? {
            waiting.insert(due.entry.key.clone(), due);
        }
        let mut mail = Mail { fire_time: self.fire.fire_time, tickets: Vec::new(), rows: Vec::new() };
        let mut reserve = Vec::new();
        for (key, row) in found {
            let Some(key) = key else { continue };
            if let Some(due) = waiting.remove(&key.encode()) {
                mail.tickets.push(self.waiting_ticket(due, key, row));
            } else if !self.lane_only {
                let ticket = self.ticket(key.encode(), key, row);
                reserve.push((ticket.entry.key.clone(), ticket.reservation.clone()));
                mail.tickets.push(ticket);
            }
        }
        let record = waiting.into_values().map(|due| {
            // It no longer matches: whoever changed it has taken care of it.
            self.waiting_ticket(due, Part::Int(0).into(), no_row()).record(Verdict::Gone)
        });
        let record = record.collect();
        let order: Vec<String> = reserve.iter().map(|(key, _)| key.clone()).collect();
        let refused = self.step(Step { reserve, record, ..Step::default() }).await?;
        let refused: Vec<&String> = refused.into_iter().filter_map(|at| order.get(at)).collect();
        mail.tickets.retain(|ticket| !refused.contains(&&ticket.entry.key));
        mail.rows = mail.tickets.iter().map(|ticket| ticket.row.clone()).collect();
        Ok(vec![mail])
    }

    /// Without a mark: mails of earlier fires that wait, and this fire's.
    async fn mails_to_send(&mut self) -> Result<Vec<Mail>, BatchError> {
        let mut mails = Vec::new();
        let mut own = false;
        for due in self.take_waiting().await? {
            own |= due.entry.scope == self.scope.id;
            let fire_time = DateTime::from_timestamp(due.fire_time, 0).unwrap_or(self.fire.fire_time);
            let rows = self.all_rows(fire_time).await?;
            let ticket = self.waiting_ticket(due, Part::Int(0).into(), no_row());
            if rows.is_empty() {
                let record = vec![ticket.record(Verdict::Gone)];
                self.step(Step { record, ..Step::default() }).await?;
            } else {
                mails.push(Mail { fire_time, tickets: vec![ticket], rows });
            }
        }
        if own || self.lane_only {
            return Ok(mails);
        }
        let rows = self.all_rows(self.fire.fire_time).await?;
        if rows.is_empty() {
            return Ok(mails);
        }
        let ticket = self.ticket(WHOLE_PAGE.to_owned(), Part::Int(0).into(), no_row());
        let reserve = vec![(ticket.entry.key.clone(), ticket.reservation.clone())];
        if self.step(Step { reserve, ..Step::default() }).await?.is_empty() {
            mails.push(Mail { fire_time: self.fire.fire_time, tickets: vec![ticket], rows });
        } else {
            self.problem = Some("the mail of this fire is held or has failed already".to_owned());
        }
        Ok(mails)
    }

    async fn all_rows(&self, fire_time: DateTime<Utc>) -> Result<Vec<Row>, BatchError> {
        let rows = self.job.source.all(self.max_rows, self.job.moment(fire_time)).await?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    async fn take_waiting(&self) -> Result<Vec<Due>, BatchError> {
        let wait = if self.lane_only { TimeDelta::zero() } else { ANY_TIME };
        let run = (self.scope.id, self.scope.run, !self.lane_only);
        Ok(self.job.ledger.take_due(run, self.job.clock.now() + wait, self.max_rows as usize).await?)
    }

    fn ticket(&self, key: String, row_key: Key, row: Row) -> Ticket {
        Ticket {
            entry: EntryKey { scope: self.scope.id, key },
            key: row_key,
            reservation: self.job.ledger.new_id(),
            attempts: 0,
            doubtful: false,
            fire_time: self.fire.fire_time,
            lane: Lane::Retry { own: false },
            row,
            read_at: Duration::ZERO,
        }
    }

    fn waiting_ticket(&self, due: Due, row_key: Key, row: Row) -> Ticket {
        Ticket {
            entry: due.entry,
            reservation: due.reservation,
            attempts: due.attempts,
            doubtful: due.doubtful,
            ..self.ticket(String::new(), row_key, row)
        }
    }

    async fn deliver(&self, mail: &Mail, reservation: &str, context: &RunContext) -> Delivered {
        let row = no_row();
        let delivery =
            Delivery { row: &row, reservation, fire_time: mail.fire_time, now: self.job.clock.now() };
        let rendered = match self.job.action.render_digest(&delivery, &mail.rows).await {
            Ok(rendered) => rendered,
            Err(outcome) => return outcome,
        };
        let turn = tokio::select! {
            biased;
            turn = self.job.action.turn(&rendered) => turn,
            () = context.abort.cancelled() => return Delivered::Unreachable { reason: NO_TURN.to_owned() },
        };
        let aborted = async {
            context.abort.cancelled().await;
            tokio::time::sleep(ABORT_GRACE).await;
        };
        tokio::select! {
            biased;
            outcome = self.job.action.deliver(turn, &rendered) => outcome,
            () = aborted => Delivered::Uncertain {
                reason: "the run had to end while the delivery was under way".to_owned(),
            },
        }
    }

    /// Records what came of a mail, for all its entries in one commit, and marks its rows.
    async fn settle(&mut self, mail: Mail, outcome: Delivered) -> Result<(), BatchError> {
        let now = self.job.clock.now();
        let mut record = Vec::with_capacity(mail.tickets.len());
        let mut heading = Heading::Sent;
        for ticket in &mail.tickets {
            let (verdict, under) = self.job.rules.settle(ticket, outcome.clone(), now);
            heading = under;
            record.push(ticket.record(verdict));
        }
        // Without a mark nothing but the fire's state tells that the mail went out: one commit for both.
        let fire = (heading == Heading::Sent && !self.job.rules.marks_sent).then_some(FireState::Done);
        // The mail may be that of an earlier fire.
        let scope = mail.tickets.first().map_or(self.scope.id, |ticket| ticket.entry.scope);
        let (run, now) = (self.scope.run, now.timestamp_millis());
        self.job.ledger.step(Step { scope, run, record, fire, now, ..Step::default() }).await?;
        mail.rows.iter().for_each(|_| self.account.enter(heading));
        self.halted |= matches!(outcome, Delivered::Halt { .. });
        self.problem = match outcome {
            Delivered::Sent { .. } => self.problem.take(),
            Delivered::Failed { reason } | Delivered::Halt { reason } => Some(format!("not sent: {reason}")),
            Delivered::Retry { reason }
            | Delivered::Unreachable { reason }
            | Delivered::Exhausted { reason, .. } => Some(format!("not sent, to be tried again: {reason}")),
            Delivered::Uncertain { reason } => Some(format!("nobody knows whether it was sent: {reason}")),
        };
        let failure = match heading {
            Heading::Sent if self.job.rules.marks_sent => None,
            Heading::Failed if self.job.rules.marks_failed => self.problem.clone(),
            _ => return Ok(()),
        };
        self.mark(mail, failure.as_deref()).await
    }

    async fn mark(&mut self, mail: Mail, failure: Option<&str>) -> Result<(), BatchError> {
        let row = |ticket: &Ticket| ToMark { key: ticket.key.clone(), failure: failure.map(str::to_owned) };
        let rows: Vec<ToMark> = mail.tickets.iter().map(row).collect();
        let marked = self.job.source.mark(rows, self.job.moment(mail.fire_time)).await?;
        let mut forget = Vec::with_capacity(marked.len());
        for (ticket, marked) in mail.tickets.into_iter().zip(marked) {
            match marked {
                Marked::Stuck => {
                    self.account.stuck += 1;
                    self.problem = Some(self.job.source.stuck(&ticket.key));
                    continue;
                }
                Marked::Vanished => {
                    self.account.take_out(if failure.is_some() { Heading::Failed } else { Heading::Sent });
                    self.account.enter(Heading::Vanished);
                    self.account.vanished_after_delivery += u64::from(failure.is_none());
                }
                Marked::Done => {}
            }
            forget.push(ticket.entry);
        }
        self.step(Step { forget, ..Step::default() }).await?;
        Ok(())
    }

    async fn step(&self, step: Step) -> Result<Vec<usize>, BatchError> {
        let Scope { id, run, .. } = self.scope;
        let now = self.job.clock.now().timestamp_millis();
        Ok(self.job.ledger.step(Step { scope: id, run, now, ..step }).await?)
    }
}

fn no_row() -> Row {
    Row { columns: [].into(), values: Vec::new() }
}
