//! One run of a batch, from the first page to the account.
//!
//! A single task owns all state here; reading, the ledger's writes, marking and the deliveries are
//! workers that report to it as [`Event`]s. At most one of each kind is under way (deliveries: as many as
//! `concurrency`), and what gathers meanwhile goes into the next one together: under load the groups grow by
//! themselves, and a single row never waits for others.
//!
//! - `intake`: rows from the source and the retry lane, up to their reservation
//! - `delivery`: tickets into deliveries
//! - `quota`: when no more may start for now
//! - `outage`: when nobody is there to take deliveries
//! - `settle`: outcomes into the ledger, marks into the source

mod delivery;
mod intake;
mod outage;
mod quota;
mod settle;

use std::collections::VecDeque;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::delivery::Deliveries;
use self::intake::Intake;
use self::outage::Outage;
use self::settle::{Lingering, PendingMark, PendingStep, Settled};
use super::account::{Account, Heading};
use super::deliver::Deliver;
use super::errors::Errors;
use super::job::{Job, is_lane_run};
use super::pace::Pacer;
use super::quota::Gate;
use super::source::{Marked, Moment, Page};
use super::ticket::{Lane, Position, Ticket, lane_heading};
use crate::db::DbError;
use crate::run::{Fire, Outcome, Row, RunContext, Status, Stream};
use crate::settings::Pages;
use crate::store::StoreError;
use crate::store::ledger::{Due, EntryKey, FireState, Scope, Step, Sweep};
use crate::store::quota::Taken;

/// A row that was read longer ago is read again before it is delivered.
const STALE: Duration = Duration::from_secs(30);
/// How long deliveries under way may take to end when the run must end now.
const ABORT_GRACE: Duration = Duration::from_secs(3);
/// Time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);

/// Why a run ends before its work does.
#[derive(Clone, Debug)]
enum Stop {
    /// The daemon drains.
    Drain,
    /// The run must end now.
    Abort,
    /// The time that the settings allow is over.
    TimeLimit,
    /// Going on is impossible; one line.
    Failed(String),
    /// Going on would do harm, and so would the next run; one line.
    Harm(String),
}

/// Where rows that were looked up stand among those that are ready.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// They were ready before: whatever is ready by now was reserved after them.
    Front,
    /// They are of the retry lane.
    Back,
}

/// What a worker reports.
enum Event {
    /// A page was read, at this monotonic time, and the rows were counted if that was asked for.
    Page(Duration, Result<(Page, Option<u64>), DbError>),
    /// Rows were looked up again, at this monotonic time.
    Again(Duration, Place, Vec<Ticket>, Result<Vec<Option<Row>>, DbError>),
    /// Rows of the retry lane were reserved; that many were asked for.
    Lane(usize, Result<Vec<Due>, StoreError>),
    /// A step of the ledger is durable.
    Step(PendingStep, Result<Vec<usize>, StoreError>),
    /// Marks are durable.
    Mark(Vec<PendingMark>, Result<Vec<Marked>, DbError>),
    /// What the quotas allow is taken.
    Quota(Result<Taken, StoreError>),
    /// Others know that a quota is at rest.
    Rested(Result<(), StoreError>),
}

/// How a run ended.
pub(super) struct Ended {
    /// For the engine.
    pub(super) outcome: Outcome,
    /// Nothing is left in the ledger that a later run must settle first.
    pub(super) clean: bool,
}

/// A run under way.
pub(super) struct Flow<'a, A: Deliver> {
    job: &'a Job<A>,
    fire: &'a Fire,
    context: &'a RunContext,
    pacer: &'a mut Pacer,
    errors: &'a mut Errors,
    scope: Scope,
    began: Duration,
    reported: Duration,
    account: Account,
    stop: Option<Stop>,
    /// The ledger cannot be written: nothing can be promised any more.
    broken: Option<String>,
    workers: JoinSet<Event>,
    intake: Intake,
    /// Reserved, durable, not started; in the order of reservation.
    ready: VecDeque<Ticket>,
    /// How many rows should be ready: no more than keep the deliveries busy, since a crash puts them in
    /// doubt. The window is the bound.
    depth: usize,
    /// Where the sweep stands if nothing that is ready is started.
    started: Position,
    deliveries: Deliveries,
    /// The run stops, or nobody is there: those whose turn has not come are given back.
    no_turns: CancellationToken,
    /// How many of them there may be.
    at_once: usize,
    outage: Option<Outage>,
    gate: Gate,
    /// Outcomes that are not written yet.
    settled: Vec<Settled>,
    /// Rows whose mark is to come.
    to_mark: Vec<PendingMark>,
    /// Entries that go with the next step.
    to_forget: Vec<EntryKey>,
    lingering: VecDeque<Lingering>,
    untaken: u64,
    /// The ledger is being written.
    stepping: bool,
    /// Rows that the ledger is reserving or recording.
    in_ledger: usize,
    /// Reserved rows that are looked up again.
    in_look_up: usize,
    /// Those of them that were ready: nothing may start before them, since deliveries start in key order.
    in_second_look: usize,
    marking: bool,
    /// Marks do not work; those to come are left to a later run.
    unmarkable: bool,
}

impl<'a, A: Deliver> Flow<'a, A> {
    pub(super) fn new(
        job: &'a Job<A>,
        fire: &'a Fire,
        context: &'a RunContext,
        (pacer, errors): (&'a mut Pacer, &'a mut Errors),
        scope: Scope,
    ) -> Self {
        let began = job.clock.monotonic();
        let budget = match job.settings.pages {
            Pages::All => None,
            Pages::Count(pages) => {
                let rows = u64::from(pages.get()) * u64::from(job.settings.source.page);
                Some(rows.saturating_sub(scope.taken))
            }
        };
        let intake = if is_lane_run(fire) {
            Intake::of_lane(job.page())
        } else {
            Intake::new(&scope.sweep, budget, job.page())
        };
        let at_once = job.action.at_once(job.settings.concurrency).max(1);
        Self {
            started: intake.taken.clone(),
            account: Account { remaining: scope.sweep.remaining, ..Account::default() },
            deliveries: Deliveries::new(),
            no_turns: CancellationToken::new(),
            job,
            fire,
            context,
            pacer,
            errors,
            scope,
            began,
            reported: began,
            stop: None,
            broken: None,
            workers: JoinSet::new(),
            intake,
            ready: VecDeque::new(),
            outage: None,
            gate: Gate::new(job.settings.quota.as_ref(), job.action.quota().as_ref()),
            depth: (2 * at_once).clamp(1, job.settings.window.max(1)),
            at_once,
            settled: Vec::new(),
            to_mark: Vec::new(),
            to_forget: Vec::new(),
            lingering: VecDeque::new(),
            untaken: 0,
            stepping: false,
            in_ledger: 0,
            in_look_up: 0,
            in_second_look: 0,
            marking: false,
            unmarkable: false,
        }
    }

    /// Runs to the end, whatever the end is.
    pub(super) async fn run(mut self) -> Ended {
        self.report();
        loop {
            let wait = self.launch();
            if self.broken.is_some() || self.is_over() {
                break;
            }
            self.next(wait).await;
            self.report();
        }
        if self.broken.is_none() {
            self.leave_quota().await;
        }
        // The fire and the sweep of its scope are not a lane run's own.
        if self.broken.is_none() && !is_lane_run(self.fire) {
            self.close().await;
        }
        self.end()
    }

    /// Starts whatever can start. Answers how long the rate makes the next delivery wait.
    fn launch(&mut self) -> Option<Duration> {
        let now = self.job.clock.monotonic();
        if self.stop.is_none() && self.limit().is_some_and(|limit| now >= limit) {
            self.stop = Some(Stop::TimeLimit);
        }
        self.deliveries.abort_if_due(now);
        self.give_up_if_due(now);
        if self.stop.is_some() {
            self.no_turns.cancel();
            self.release();
        }
        self.launch_ledger();
        self.launch_reading();
        self.launch_mark();
        self.start_deliveries()
    }

    /// Waits until something happens, and takes it in.
    async fn next(&mut self, wait: Option<Duration>) {
        let stopping = self.stop.is_some();
        let aborting = matches!(self.stop, Some(Stop::Abort));
        let now = self.job.clock.monotonic();
        // These only wake up: under load other branches win, so `launch` looks at the clock itself.
        let limit = self.limit().filter(|_| !stopping).map(|limit| limit.saturating_sub(now));
        let grace = self.deliveries.grace(now);
        tokio::select! {
            biased;
            () = self.context.abort.cancelled(), if !aborting => {
                self.stop = Some(Stop::Abort);
                self.deliveries.end_by(now + ABORT_GRACE);
            }
            () = self.context.drain.cancelled(), if !stopping => self.stop = Some(Stop::Drain),
            () = tokio::time::sleep(limit.unwrap_or_default()), if limit.is_some() => {}
            () = tokio::time::sleep(grace.unwrap_or_default()), if grace.is_some() => {}
            Some(event) = self.workers.join_next() => match event {
                Ok(event) => self.take_in(event),
                Err(error) => self.broken = Some(format!("a worker of the batch died: {error}")),
            },
            Some((ticket, ended)) = self.deliveries.next() => {
                self.ended(ticket, ended);
                while let Some((ticket, ended)) = self.deliveries.try_next() {
                    self.ended(ticket, ended);
                }
            }
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
    }

    fn take_in(&mut self, event: Event) {
        match event {
            Event::Page(read_at, page) => self.page_read(read_at, page),
            Event::Again(read_at, place, tickets, rows) => self.read_again(read_at, place, tickets, rows),
            Event::Lane(asked, due) => self.lane_taken(asked, due),
            Event::Step(step, refused) => self.stepped(step, refused),
            Event::Mark(rows, marked) => self.marked(rows, marked),
            Event::Quota(taken) => self.quota_answered(taken),
            Event::Rested(rested) => self.rested(rested),
        }
    }

    fn is_over(&self) -> bool {
        let idle = self.workers.is_empty() && self.deliveries.is_empty() && self.ready.is_empty();
        let written = self.settled.is_empty() && self.to_forget.is_empty() && self.lingering.is_empty();
        let marked = self.to_mark.is_empty() || self.unmarkable;
        idle && written && marked && (self.stop.is_some() || self.intake.is_over())
    }

    /// Rows that were reserved and never started are known not to be delivered: they go back.
    fn release(&mut self) {
        self.intake.discard();
        if self.ready.is_empty() {
            return;
        }
        let now = self.job.clock.now();
        for ticket in std::mem::take(&mut self.ready) {
            match &ticket.lane {
                Lane::Sweep(_) => {
                    self.account.selected -= 1;
                    self.untaken += 1;
                    self.account.remaining = self.account.remaining.map(|remaining| remaining + 1);
                    self.to_forget.push(ticket.entry);
                }
                Lane::Retry { own } => {
                    let verdict = self.put_back(&ticket, now);
                    let heading = own.then(|| lane_heading(ticket.doubtful));
                    if !own {
                        self.account.selected -= 1;
                    }
                    self.settled.push(Settled { record: ticket.record(verdict), heading, mark: None });
                }
            }
        }
        self.intake.taken = self.started.clone();
    }

    /// The last write: where the sweep stands and how the fire does.
    async fn close(&mut self) {
        let fire = match &self.stop {
            None | Some(Stop::TimeLimit) => FireState::Done,
            Some(Stop::Drain | Stop::Abort) => FireState::Stopped,
            Some(Stop::Failed(_) | Stop::Harm(_)) => FireState::Failed,
        };
        if self.intake.is_exhausted() {
            self.account.remaining = Some(0);
        }
        let step = Step {
            scope: self.scope.id,
            run: self.scope.run,
            sweep: Some(Sweep { remaining: self.account.remaining, ..self.intake.resting_place() }),
            fire: Some(fire),
            now: self.job.clock.now().timestamp_millis(),
            ..Step::default()
        };
        if let Err(error) = self.job.ledger.step(step).await {
            self.broken = Some(error.to_string());
        }
    }

    fn end(mut self) -> Ended {
        let took = self.took();
        if self.broken.is_some() {
            // What has no record is for the next run to settle.
            let Account { sent, failed, held, retrying, uncertain, vanished, .. } = self.account;
            let known = sent + failed + held + retrying + uncertain + vanished;
            self.account.uncertain += self.account.selected.saturating_sub(known);
        }
        self.account.pages = self.intake.pages();
        let clean = self.broken.is_none() && self.to_mark.is_empty() && self.account.stuck == 0;
        let pause = matches!(self.stop, Some(Stop::Harm(_)));
        let (status, note) = match (self.broken, self.stop, self.account.imbalance()) {
            (Some(reason), _, _)
            | (None, _, Some(reason))
            | (None, Some(Stop::Failed(reason) | Stop::Harm(reason)), None) => (Status::Failed, Some(reason)),
            (None, Some(Stop::Drain), None) => {
                (Status::Interrupted, Some("stopped, to go on later".to_owned()))
            }
            (None, Some(Stop::Abort), None) => (Status::Interrupted, Some("stopped at once".to_owned())),
            (None, Some(Stop::TimeLimit), None) => {
                (Status::Succeeded, Some("stopped at the time limit".to_owned()))
            }
            (None, None, None) => (Status::Succeeded, None),
        };
        let message = self.account.message(note.as_deref(), took);
        let idle = status == Status::Succeeded && self.account.selected == 0;
        let result = Some(self.account.to_json(took));
        Ended { outcome: Outcome { status, message: Some(message), result, idle, pause }, clean }
    }

    /// When the time is over that the settings allow, monotonic.
    fn limit(&self) -> Option<Duration> {
        self.job.settings.time_limit.map(|limit| self.began + limit)
    }

    fn took(&self) -> Duration {
        self.job.clock.monotonic().saturating_sub(self.began)
    }

    fn report(&mut self) {
        let now = self.job.clock.monotonic();
        let to_come = self.account.remaining.filter(|_| !is_lane_run(self.fire));
        let counts = self.account.counts(to_come.map(|rows| self.intake.of_these(rows)));
        self.context.progress.publish(now, &counts);
        if now.saturating_sub(self.reported) >= PROGRESS {
            self.reported = now;
            self.context.output.line(Stream::System, self.account.to_line(self.took()));
        }
    }

    fn moment(&self) -> Moment {
        self.job.moment(self.fire.fire_time)
    }

    fn fail(&mut self, reason: String) {
        if !matches!(self.stop, Some(Stop::Failed(_) | Stop::Harm(_))) {
            self.stop = Some(Stop::Failed(reason));
        }
    }

    fn enter(&mut self, heading: Heading) {
        self.account.enter(heading);
    }
}
