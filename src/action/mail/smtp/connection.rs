//! One connection at work: it takes mails from the pool, and sends each envelope with the body before it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::hello::{self, Offers};
use super::pool::{Job, Next, Place, Wait};
use super::session::{Envelope, Session, lost};
use super::wire::Wire;
use crate::action::Outcome;

/// A connection that is not open by then is slow.
const SLOW: Duration = Duration::from_secs(5);

/// A connection from its opening to its end.
struct Connection {
    session: Session,
    /// The server has answered about no mail on it yet. A mail that is lost then counts as tried.
    fresh: bool,
    /// The last to be dropped: the connection is counted until it is gone.
    pool: Place,
}

/// Opens a connection and serves the pool with it until there is nothing to do for long, or until it breaks.
pub(super) async fn serve(mut pool: Place) {
    match open(&mut pool).await {
        Err(outcome) => pool.not_opened(&outcome),
        Ok((wire, offers)) => {
            let mut session = Session::new(wire, offers, pool.timeouts);
            if !session.is_quiet() {
                let reason = format!(
                    "could not use {}: it hung up, or said more than it was asked, before any mail",
                    pool.server.address()
                );
                return pool.not_opened(&Outcome::Unreachable { reason });
            }
            pool.opened();
            Connection { pool, session, fresh: true }.run().await;
        }
    }
}

/// A server may need long for its greeting, or be gone without a word: after a while others are not kept from trying.
async fn open(pool: &mut Place) -> Result<(Wire, Offers), Outcome> {
    let shared = Arc::clone(pool);
    let mut opening = pin!(hello::connect(&shared.server, shared.timeouts));
    if let Ok(opened) = tokio::time::timeout(SLOW, opening.as_mut()).await {
        return opened;
    }
    pool.is_slow();
    opening.await
}

impl Connection {
    async fn run(mut self) {
        let mut usable = true;
        while usable && let Some(job) = self.next().await {
            usable = self.train(job).await;
        }
        self.pool.closed();
        if usable {
            self.session.quit().await;
        }
    }

    /// The next mail, as soon as there is one; none: the connection is to end.
    async fn next(&mut self) -> Option<Job> {
        loop {
            let job = match self.pool.take_or_wait() {
                Next::Job(job) => Some(job),
                Next::Wait(wait) => self.wait(wait).await,
                Next::End => None,
            };
            let job = job?;
            if !self.session.is_quiet() {
                self.pool.put_back(job);
                return None;
            }
            if let Some(job) = self.acceptable(job) {
                return Some(job);
            }
        }
    }

    async fn wait(&mut self, mut wait: Wait) -> Option<Job> {
        tokio::select! {
            biased;
            job = &mut wait.handed => job.ok(),
            () = self.session.disturbed() => self.pool.wait_no_more(&mut wait),
            () = tokio::time::sleep(self.pool.timeouts.idle) => self.pool.wait_no_more(&mut wait),
        }
    }

    /// The mail, unless it is known that the server does not take it.
    fn acceptable(&self, job: Job) -> Option<Job> {
        match self.session.cannot_take(&job.mail) {
            None => Some(job),
            Some(reason) => {
                let outcome = if self.pool.server.stands_in {
                    Outcome::Retry { reason: format!("the fallback cannot take it: {reason}") }
                } else {
                    Outcome::Failed { reason }
                };
                job.settle(outcome);
                None
            }
        }
    }

    /// Delivers one mail, and others behind it as long as there are some. Whether the connection goes on.
    async fn train(&mut self, mut job: Job) -> bool {
        let mut not_begun = self.session.begin(&job.mail).await.err();
        let mut behind_a_body = false;
        loop {
            let heard = match not_begun.take() {
                None => self.session.envelope().await,
                Some(error) => Envelope::Lost { outcome: lost(&error), unheard: true, silent: false },
            };
            let next = match heard {
                Envelope::Accepted => {
                    let next = if self.overlaps() { self.next_now().await } else { None };
                    let settled = self.session.body(&job.mail, next.as_ref().map(|next| &next.mail)).await;
                    job.settle(settled.outcome);
                    if !settled.usable {
                        if let Some(next) = next {
                            self.pool.put_back(next);
                        }
                        return false;
                    }
                    behind_a_body = next.is_some();
                    next
                }
                Envelope::Refused { outcome, body_due } => {
                    job.settle(outcome);
                    if body_due && !self.session.empty_body().await {
                        return false;
                    }
                    behind_a_body = false;
                    let next = self.take();
                    if let Some(next) = &next {
                        not_begun = self.session.begin(&next.mail).await.err();
                    }
                    next
                }
                Envelope::Lost { outcome, unheard, silent } => {
                    if behind_a_body && unheard && silent {
                        self.pool.overlap_no_more();
                    }
                    if unheard && !self.fresh {
                        self.pool.put_back(job);
                    } else {
                        job.settle(outcome);
                    }
                    return false;
                }
            };
            self.fresh = false;
            match next {
                Some(next) => job = next,
                None => return true,
            }
        }
    }

    fn overlaps(&self) -> bool {
        self.session.may_overlap() && self.pool.overlaps()
    }

    /// A mail that waits. One that is just being made may still come in time.
    async fn next_now(&self) -> Option<Job> {
        if let Some(job) = self.take() {
            return Some(job);
        }
        tokio::task::yield_now().await;
        self.take()
    }

    fn take(&self) -> Option<Job> {
        loop {
            if let Some(job) = self.acceptable(self.pool.take()?) {
                return Some(job);
            }
        }
    }
}
