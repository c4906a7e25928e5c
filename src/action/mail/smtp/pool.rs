//! Connections to one server: as many as there are mails in delivery, kept for the next ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::server::Server;
use super::session::{After, Attempt, Session};
use super::{Timeouts, hello};
use crate::action::Outcome;
use crate::action::mail::message::RenderedMail;
use crate::clock::Clock;

/// The pool of one server.
#[derive(Debug)]
pub(in crate::action::mail) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    server: Server,
    clock: Clock,
    timeouts: Timeouts,
    idle: Mutex<Idle>,
    /// A busy connection is done.
    freed: Notify,
}

/// One of the connections that carry a mail, for as long as this value lives.
struct Busy<'a>(&'a Shared);

#[derive(Debug, Default)]
struct Idle {
    /// The newest last; each with the monotonic time since which it has had nothing to do.
    sessions: Vec<(Duration, Session)>,
    /// Connections that carry a mail.
    busy: usize,
    /// A sweep that closes old ones is on its way.
    sweeping: bool,
}

impl Pool {
    pub(in crate::action::mail) fn new(server: Server, clock: Clock, timeouts: Timeouts) -> Self {
        let (idle, freed) = (Mutex::default(), Notify::new());
        Self(Arc::new(Shared { server, clock, timeouts, idle, freed }))
    }

    /// Delivers on an idle connection, or on a new one when there is none, or when the idle one
    /// turns out to be dead before the server has answered anything about this mail. A server that takes no more
    /// connections is waited for until one of those it has is free.
    pub(in crate::action::mail) async fn deliver(&self, mail: &RenderedMail) -> Outcome {
        loop {
            if let Some((mut session, _busy)) = self.0.take() {
                let attempt = session.deliver(mail).await;
                if attempt.after != After::Stale {
                    return self.settle(session, attempt);
                }
            }
            match hello::connect(&self.0.server, self.0.timeouts).await {
                Ok((wire, offers)) => {
                    let mut session = Session::new(wire, offers, self.0.timeouts);
                    let _busy = Busy::new(&self.0);
                    let attempt = session.deliver(mail).await;
                    return self.settle(session, attempt);
                }
                Err(Outcome::Unreachable { reason }) => {
                    if !self.0.one_is_freed().await {
                        return Outcome::Unreachable { reason };
                    }
                }
                Err(outcome) => return outcome,
            }
        }
    }

    /// Says QUIT on all idle connections at once.
    pub(in crate::action::mail) async fn close(&self) {
        let sessions = std::mem::take(&mut self.0.lock().sessions);
        quit(sessions).await;
    }

    fn settle(&self, session: Session, attempt: Attempt) -> Outcome {
        if attempt.after == After::Usable {
            self.put(session);
        }
        attempt.outcome
    }

    fn put(&self, session: Session) {
        let mut idle = self.0.lock();
        idle.sessions.push((self.0.clock.monotonic(), session));
        if !idle.sweeping {
            idle.sweeping = true;
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
    }
}

impl Shared {
    /// The connection that was used last, if it is still there: the others may grow old and go.
    fn take(&self) -> Option<(Session, Busy<'_>)> {
        loop {
            let (mut session, busy) = {
                let mut idle = self.lock();
                let (_, session) = idle.sessions.pop()?;
                idle.busy += 1;
                (session, Busy(self))
            };
            if session.is_quiet() {
                return Some((session, busy));
            }
        }
    }

    /// Waits until a connection may be idle; false: there is none at all.
    async fn one_is_freed(&self) -> bool {
        let mut freed = std::pin::pin!(self.freed.notified());
        // From here on none is missed.
        freed.as_mut().enable();
        let (idle, busy) = {
            let idle = self.lock();
            (idle.sessions.len(), idle.busy)
        };
        if idle == 0 && busy > 0 {
            freed.await;
        }
        idle + busy > 0
    }

    /// Takes out what has been idle for too long. Nothing left: the sweep ends.
    fn expired(&self) -> (Vec<(Duration, Session)>, bool) {
        let now = self.clock.monotonic();
        let mut idle = self.lock();
        let young =
            idle.sessions.partition_point(|(since, _)| now.saturating_sub(*since) >= self.timeouts.idle);
        let expired = idle.sessions.drain(..young).collect();
        idle.sweeping = !idle.sessions.is_empty();
        (expired, idle.sweeping)
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Busy<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.lock().busy += 1;
        Self(shared)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.lock().busy -= 1;
        self.0.freed.notify_waiters();
    }
}

/// Closes connections that have been idle for too long, and ends when none is left.
async fn sweep(pool: Weak<Shared>) {
    loop {
        let Some(patience) = pool.upgrade().map(|pool| pool.timeouts.idle) else { return };
        tokio::time::sleep(patience).await;
        let Some((expired, more)) = pool.upgrade().map(|pool| pool.expired()) else { return };
        quit(expired).await;
        if !more {
            return;
        }
    }
}

async fn quit(sessions: Vec<(Duration, Session)>) {
    let goodbyes: JoinSet<()> = sessions.into_iter().map(|(_, session)| session.quit()).collect();
    goodbyes.join_all().await;
}
