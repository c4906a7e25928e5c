//! The mails for one server and the connections that carry them.
//!
//! A connection has up to three mails at once: one whose body is out, one whose envelope is, and one that waits to
//! follow. A sender with few mails in delivery has a connection for each, so that none waits for the answer to another;
//! one with many has the connections it may have, full. A server is asked for no more than it takes, and never for more
//! than its settings allow, however many senders there are.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::server::Server;
use super::{Timeouts, connection};
use crate::action::Outcome;
use crate::action::mail::message::RenderedMail;
use crate::clock::Clock;

/// How many mails in delivery keep a connection full.
pub(in crate::action::mail) const MAILS_PER_CONNECTION: usize = 3;

/// A server that took fewer connections than were asked for is not asked for more until this is over.
const ENOUGH: Duration = Duration::from_secs(30);

/// So long it is waited for connections to end.
const GOODBYE: Duration = Duration::from_secs(3);

/// The pool of one server.
#[derive(Debug)]
pub(in crate::action::mail) struct Pool(Arc<Shared>);

/// What the connections of a server share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) server: Server,
    pub(super) timeouts: Timeouts,
    clock: Clock,
    state: Mutex<State>,
    /// Mails that were handed in and have no outcome yet.
    under_way: AtomicUsize,
    /// The server answers an envelope that comes with the body before it.
    overlaps: AtomicBool,
    /// A connection has ended, or mails come again while the pool closes.
    changed: Notify,
}

/// A mail and who waits for its outcome.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) mail: RenderedMail,
    /// How many connections its sender may have.
    connections: usize,
    outcome: oneshot::Sender<Outcome>,
}

#[derive(Debug, Default)]
struct State {
    /// Mails that no connection has taken.
    queue: VecDeque<Job>,
    /// Connections that are not open yet, without those that are slow.
    opening: usize,
    /// Connections that have not opened for long: they may do, and others need not wait for them.
    slow: usize,
    /// Connections that are.
    open: usize,
    /// Those that have nothing to do; the one that was used last is last.
    waiting: Vec<Waiting>,
    /// Numbers those that wait.
    waits: u64,
    /// Until when the server is not asked for another connection, monotonic.
    enough_until: Duration,
    /// Connections end when they have nothing to do.
    closing: bool,
    /// Connections of any kind, with those that say goodbye.
    alive: usize,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Slow,
    Open,
    /// It takes no more mails.
    Ending,
}

/// A connection's place in the pool, which counts it for as long as this value lives.
#[derive(Debug)]
pub(super) struct Place {
    pool: Arc<Shared>,
    phase: Phase,
}

/// A connection with nothing to do.
#[derive(Debug)]
struct Waiting {
    number: u64,
    /// Dropped: the connection ends.
    hand: oneshot::Sender<Job>,
}

/// A waiting connection's side of it.
#[derive(Debug)]
pub(super) struct Wait {
    number: u64,
    /// The mail that comes; an error: the connection is to end.
    pub(super) handed: oneshot::Receiver<Job>,
}

/// What a connection does next.
#[derive(Debug)]
pub(super) enum Next {
    /// This mail.
    Job(Job),
    /// Nothing until one comes.
    Wait(Wait),
    /// Goodbye.
    End,
}

/// Counts a mail as under way for as long as this value lives.
struct UnderWay<'a>(&'a AtomicUsize);

impl Pool {
    pub(in crate::action::mail) fn new(server: Server, clock: Clock, timeouts: Timeouts) -> Self {
        Self(Arc::new(Shared {
            server,
            timeouts,
            clock,
            state: Mutex::default(),
            under_way: AtomicUsize::new(0),
            overlaps: AtomicBool::new(true),
            changed: Notify::new(),
        }))
    }

    /// Delivers on whichever connection is free first. A mail whose connection died before the server answered
    /// anything about it goes to another. A server that takes no more connections is waited for until one of those it
    /// has is free. A dropped call takes the mail back if no connection has taken it, and leaves it in doubt otherwise.
    /// `connections`: how many the sender may have for its mails.
    pub(in crate::action::mail) async fn deliver(&self, mail: &RenderedMail, connections: usize) -> Outcome {
        let (outcome, answer) = oneshot::channel();
        let _under_way = UnderWay::new(&self.0.under_way);
        self.0.submit(Job { mail: mail.clone(), connections, outcome });
        answer.await.unwrap_or_else(|_| Outcome::Uncertain {
            reason: "the connection was given up while the mail was on its way".to_owned(),
        })
    }

    /// The server's `host:port`.
    pub(in crate::action::mail) fn address(&self) -> String {
        self.0.server.address()
    }

    /// How many connections a sender gets that may have `wanted`.
    pub(in crate::action::mail) fn connections(&self, wanted: usize) -> usize {
        wanted.min(self.0.server.most_connections)
    }

    /// Says QUIT on all connections, on each as soon as it has nothing to do, and waits a moment for their ends. Deliveries
    /// that come meanwhile are carried out, and nothing is waited for any more.
    pub(in crate::action::mail) async fn close(&self) {
        self.0.lock().close();
        let ended = async {
            loop {
                let changed = self.0.changed.notified();
                {
                    let state = self.0.lock();
                    if state.alive == 0 || !state.closing {
                        return;
                    }
                }
                changed.await;
            }
        };
        // A server that does not answer is left to itself: whatever became of its mails is known by now.
        let _ = tokio::time::timeout(GOODBYE, ended).await;
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.lock().close();
    }
}

impl Shared {
    /// Hands a mail to a connection that waits, or lines it up and sees to it that there are connections enough.
    fn submit(self: &Arc<Self>, job: Job) {
        let mut state = self.lock();
        if std::mem::take(&mut state.closing) {
            self.changed.notify_waiters();
        }
        if let Some(job) = state.hand_over(job) {
            state.queue.push_back(job);
            self.open_more(state);
        }
    }

    /// A mail that waits.
    pub(super) fn take(&self) -> Option<Job> {
        self.lock().first()
    }

    /// Gives a mail back that the server has not heard of; it is the next to go.
    pub(super) fn put_back(self: &Arc<Self>, job: Job) {
        let mut state = self.lock();
        if let Some(job) = state.hand_over(job) {
            state.queue.push_front(job);
            self.open_more(state);
        }
    }

    /// A mail that waits; or, if there is none, the place of a connection that has nothing to do.
    pub(super) fn take_or_wait(&self) -> Next {
        let mut state = self.lock();
        if let Some(job) = state.first() {
            return Next::Job(job);
        }
        if state.closing {
            return Next::End;
        }
        let (hand, handed) = oneshot::channel();
        state.waits += 1;
        let number = state.waits;
        state.waiting.push(Waiting { number, hand });
        Next::Wait(Wait { number, handed })
    }

    /// A connection that waits is to end. It may have been handed a mail meanwhile.
    pub(super) fn wait_no_more(&self, wait: &mut Wait) -> Option<Job> {
        self.lock().waiting.retain(|waiting| waiting.number != wait.number);
        wait.handed.try_recv().ok()
    }

    /// The server does not answer an envelope that comes with the body before it.
    pub(super) fn overlap_no_more(&self) {
        if self.overlaps.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                server = self.server.address(),
                "the server offers PIPELINING and does not answer to it; mails wait for one another from now on"
            );
        }
    }

    /// An envelope may go out with the body before it.
    pub(super) fn overlaps(&self) -> bool {
        self.overlaps.load(Ordering::Relaxed)
    }

    /// Opens as many connections as the mails that wait are worth.
    fn open_more(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let Some(first) = state.queue.front() else { return };
        let mails = self.under_way.load(Ordering::Relaxed);
        // Several senders: what all of them may have shows in how many mails there are.
        let worth = mails.min(first.connections).max(mails.div_ceil(MAILS_PER_CONNECTION)).max(1);
        let there = state.open + state.opening;
        let may = there == 0 || self.clock.monotonic() >= state.enough_until;
        // Each that is slow stands for another one, and no more.
        if !may || state.slow > worth {
            return;
        }
        let more = worth.saturating_sub(there).min(self.server.most_connections.saturating_sub(state.alive));
        state.opening += more;
        state.alive += more;
        // Where all ends, the tasks are dropped at once, and lock the state.
        drop(state);
        for _ in 0..more {
            let place = Place { pool: Arc::clone(self), phase: Phase::Opening };
            tokio::spawn(connection::serve(place));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives a mail to a connection that waits, as long as there is one: none waits while mails stand in line.
    fn hand_over(&mut self, mut job: Job) -> Option<Job> {
        while let Some(waiting) = self.waiting.pop() {
            match waiting.hand.send(job) {
                Ok(()) => return None,
                // It is ending.
                Err(back) => job = back,
            }
        }
        Some(job)
    }

    fn close(&mut self) {
        self.closing = true;
        self.waiting.clear();
    }

    /// The first mail in line that is still wanted.
    fn first(&mut self) -> Option<Job> {
        loop {
            let job = self.queue.pop_front()?;
            if !job.outcome.is_closed() {
                return Some(job);
            }
        }
    }
}

impl Job {
    /// Says what became of the mail.
    pub(super) fn settle(self, outcome: Outcome) {
        // Nobody waits any more: whoever handed it in has it down as uncertain.
        let _ = self.outcome.send(outcome);
    }
}

impl State {
    /// Connections in this phase, where they are counted.
    const fn of(&mut self, phase: Phase) -> Option<&mut usize> {
        match phase {
            Phase::Opening => Some(&mut self.opening),
            Phase::Slow => Some(&mut self.slow),
            Phase::Open => Some(&mut self.open),
            Phase::Ending => None,
        }
    }
}

impl Place {
    /// The connection has not opened for a while: mails that wait may get another.
    pub(super) fn is_slow(&mut self) {
        let pool = Arc::clone(&self.pool);
        let mut state = pool.lock();
        self.enter(Phase::Slow, &mut state);
        pool.open_more(state);
    }

    pub(super) fn opened(&mut self) {
        let pool = Arc::clone(&self.pool);
        self.enter(Phase::Open, &mut pool.lock());
    }

    /// Mails wait for the connections that there are; without any they have this outcome.
    pub(super) fn not_opened(&mut self, outcome: &Outcome) {
        let pool = Arc::clone(&self.pool);
        let mut state = pool.lock();
        self.enter(Phase::Ending, &mut state);
        if state.open + state.opening > 0 {
            state.enough_until = pool.clock.monotonic() + ENOUGH;
            return;
        }
        for job in std::mem::take(&mut state.queue) {
            job.settle(outcome.clone());
        }
    }

    /// It takes no more mails. Those that wait get another.
    pub(super) fn closed(&mut self) {
        let pool = Arc::clone(&self.pool);
        let mut state = pool.lock();
        self.enter(Phase::Ending, &mut state);
        pool.open_more(state);
    }

    fn enter(&mut self, phase: Phase, state: &mut State) {
        let from = std::mem::replace(&mut self.phase, phase);
        if let Some(count) = state.of(from) {
            *count -= 1;
        }
        if let Some(count) = state.of(phase) {
            *count += 1;
        }
        if state.open + state.opening == 0 {
            // How many the server takes when it is back, nobody knows.
            state.enough_until = Duration::ZERO;
        }
    }
}

impl Deref for Place {
    type Target = Arc<Shared>;

    fn deref(&self) -> &Self::Target {
        &self.pool
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let pool = Arc::clone(&self.pool);
        let mut state = pool.lock();
        let is_done = self.phase == Phase::Ending;
        self.enter(Phase::Ending, &mut state);
        state.alive -= 1;
        pool.changed.notify_waiters();
        // Where connections are counted another may take its place; not where one was cut off, for there all ends.
        if is_done && Handle::try_current().is_ok() {
            pool.open_more(state);
        }
    }
}

impl<'a> UnderWay<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
