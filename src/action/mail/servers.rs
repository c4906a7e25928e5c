//! The mail servers of a way out: the main one, and the one that stands in for it while it is not there.
//!
//! A mail goes to the fallback only if the main server has not heard of it: nobody was there, the greeting put us off,
//! or there was no way to log in. A mail that was refused, or is in doubt, stays where it was. Knows nothing of the
//! protocol.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::message::RenderedMail;
use super::smtp::{MAILS_PER_CONNECTION, Pool, Server, Timeouts};
use crate::action::Outcome;
use crate::clock::Clock;
use crate::settings::SmtpSettings;

/// So long after the main server was found missing, a single mail asks whether it is back.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Where mails go.
#[derive(Debug)]
pub(super) struct Servers {
    main: Pool,
    fallback: Option<Fallback>,
}

/// The other server, and what is known about the main one.
#[derive(Debug)]
struct Fallback {
    pool: Pool,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The main server is not there.
    outage: Option<Outage>,
    /// How often it went or came back: what a mail learns counts only if nobody learned of a change before it.
    changes: u64,
}

#[derive(Debug)]
struct Outage {
    /// Monotonic.
    since: Duration,
    /// When the next mail may ask; monotonic.
    ask_at: Duration,
    /// A mail is asking.
    asking: bool,
    /// What the last one met with.
    reason: String,
}

/// Where a mail goes first.
#[derive(Debug)]
enum Way {
    /// To the main server, as it stood after so many changes.
    Main(u64),
    /// To the fallback, and why.
    Fallback(String),
}

/// A mail that goes to the main server. However it ends, the next one may ask afterwards.
struct Attempt<'a> {
    fallback: &'a Fallback,
    changes: u64,
}

impl Servers {
    pub(super) fn new(settings: &SmtpSettings, clock: Clock, timeouts: Timeouts) -> Self {
        let fallback = settings.fallback.as_ref().map(|server| Fallback {
            pool: Pool::new(Server::new(server).standing_in(), clock.clone(), timeouts),
            clock: clock.clone(),
            state: Mutex::default(),
        });
        Self { main: Pool::new(Server::new(&settings.server), clock, timeouts), fallback }
    }

    /// How many deliveries at once keep the connections full that a sender gets if it may have that many.
    pub(super) fn at_once(&self, connections: usize) -> usize {
        let fallback = self.fallback.as_ref().map(|fallback| &fallback.pool);
        let most = [Some(&self.main), fallback]
            .into_iter()
            .flatten()
            .map(|pool| pool.connections(connections))
            .max();
        most.unwrap_or(connections).saturating_mul(MAILS_PER_CONNECTION)
    }

    /// Delivers to whichever server is there. `connections`: how many the sender may have to it.
    pub(super) async fn deliver(&self, mail: &RenderedMail, connections: usize) -> Outcome {
        let Some(fallback) = &self.fallback else { return self.main.deliver(mail, connections).await };
        let why = match fallback.way() {
            Way::Fallback(why) => why,
            Way::Main(changes) => {
                let attempt = Attempt { fallback, changes };
                match self.main.deliver(mail, connections).await {
                    Outcome::Unreachable { reason } => {
                        attempt.nobody_there(&reason, &self.main.address());
                        reason
                    }
                    answer => {
                        attempt.somebody_there(&self.main.address());
                        return answer;
                    }
                }
            }
        };
        match fallback.pool.deliver(mail, connections).await {
            Outcome::Unreachable { reason } => {
                fallback.ask_at_once();
                Outcome::Unreachable { reason: format!("{why}; nor is the fallback there: {reason}") }
            }
            answer => answer,
        }
    }

    /// Says goodbye on all connections. Later deliveries open new ones.
    pub(super) async fn close(&self) {
        let fallback = async {
            if let Some(fallback) = &self.fallback {
                fallback.pool.close().await;
            }
        };
        tokio::join!(self.main.close(), fallback);
    }
}

impl Fallback {
    fn way(&self) -> Way {
        let mut state = self.lock();
        let changes = state.changes;
        let Some(outage) = &mut state.outage else { return Way::Main(changes) };
        if outage.asking || self.clock.monotonic() < outage.ask_at {
            return Way::Fallback(outage.reason.clone());
        }
        outage.asking = true;
        Way::Main(changes)
    }

    /// Nobody takes mails: the next one need not wait before it asks.
    fn ask_at_once(&self) {
        if let Some(outage) = &mut self.lock().outage {
            outage.ask_at = self.clock.monotonic();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    fn nobody_there(&self, reason: &str, server: &str) {
        let now = self.fallback.clock.monotonic();
        let mut state = self.fallback.lock();
        if state.changes != self.changes {
            return;
        }
        if let Some(outage) = &mut state.outage {
            reason.clone_into(&mut outage.reason);
            return;
        }
        let fallback = self.fallback.pool.address();
        tracing::warn!(server, fallback, reason, "the mail server is not there, mails go to the fallback");
        state.changes += 1;
        let reason = reason.to_owned();
        state.outage = Some(Outage { since: now, ask_at: now + ASK_AGAIN, asking: false, reason });
    }

    fn somebody_there(&self, server: &str) {
        let mut state = self.fallback.lock();
        if state.changes != self.changes {
            return;
        }
        if let Some(outage) = state.outage.take() {
            let away_s = self.fallback.clock.monotonic().saturating_sub(outage.since).as_secs();
            tracing::info!(server, away_s, "the mail server is back, mails go to it again");
            state.changes += 1;
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut state = self.fallback.lock();
        if state.changes != self.changes {
            return;
        }
        if let Some(outage) = &mut state.outage {
            outage.asking = false;
            outage.ask_at = self.fallback.clock.monotonic() + ASK_AGAIN;
        }
    }
}
