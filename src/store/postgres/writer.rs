//! The writer: a thread with the owner's connection, which takes work from a queue and commits for many at once.

use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

use super::owner::{FENCE, Owner, current_epoch};
use super::queue::{Job, Message, Queue, Refusal};
use super::session::Session;
use super::{Server, StoreError};

/// No more work joins a commit that has this many rows, so that the first of them does not wait for ever.
const GROUP: usize = 1024;
/// How long work waits for a server that is away. Who asked may ask again, and meanwhile look whether it is to stop.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::UnboundedSender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Opens the state; answers with the epoch.
    pub(super) fn start(server: Server) -> Result<(Self, i64), StoreError> {
        let (queue, work) = mpsc::unbounded_channel();
        let (opened, answer) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let state = server.name();
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(source) => {
                    let _ = opened.send(Err(StoreError::Io { path: state.into(), source }));
                    return;
                }
            };
            runtime.block_on(async {
                match Owner::open(server).await {
                    Ok(owner) => {
                        let _ = opened.send(Ok(owner.epoch()));
                        run(owner, Queue::new(work)).await;
                    }
                    Err(error) => {
                        let _ = opened.send(Err(error));
                    }
                }
            });
        });
        let epoch = answer.recv().map_err(|_| StoreError::Closed)??;
        Ok((Self { queue: Some(queue), thread: Some(thread) }, epoch))
    }

    pub(super) fn submit(&self, message: Message) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(message).map_err(|_| StoreError::Closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the state writer panicked");
        }
    }
}

async fn run(mut owner: Owner, mut queue: Queue) {
    while let Some(first) = queue.wait().await {
        let mut rows = first.rows();
        let mut jobs = vec![first];
        while rows < GROUP {
            let Some(next) = queue.next() else { break };
            rows += next.rows();
            jobs.push(next);
        }
        commit_group(&mut owner, jobs).await;
    }
    owner.close().await;
}

/// What became of a transaction that did not hold.
enum Trouble {
    /// A piece of work failed; all is undone.
    Work,
    /// All is undone, and would be the next time.
    Refused(Refusal),
    /// The connection is gone. If it went during the commit: the count of commits that tells whether it held.
    Lost { reason: String, in_doubt: Option<i64> },
}

/// Does `jobs` in one transaction, or in one each when that fails, and answers.
async fn commit_group(owner: &mut Owner, mut jobs: Vec<Box<dyn Job>>) {
    let committed = commit(owner, &mut jobs).await;
    if jobs.len() > 1 && matches!(committed, Ok(false)) {
        for job in jobs {
            Box::pin(commit_group(owner, vec![job])).await;
        }
        return;
    }
    for job in jobs {
        // A single piece of work that failed knows itself why.
        job.answer(committed.as_ref().err());
    }
}

/// Does `jobs` in one transaction, over a new connection if need be, but not for longer than [`PATIENCE`]. False: one of
/// them failed, and all are undone.
async fn commit(owner: &mut Owner, jobs: &mut [Box<dyn Job>]) -> Result<bool, Refusal> {
    let mut doubt = None;
    loop {
        if owner.session().is_none() {
            let mut reason = "it does not answer".to_owned();
            let regained = tokio::time::timeout(PATIENCE, owner.regain(&mut reason)).await;
            let commits = regained.unwrap_or(Err(Refusal::Away(reason)))?;
            // The lock is ours: the old session is over, and what it did is decided.
            if doubt.take().is_some_and(|number| commits >= number) {
                return Ok(true);
            }
        }
        let Some(session) = owner.session() else { continue };
        match transaction(session, owner.epoch(), jobs).await {
            Ok(()) => return Ok(true),
            Err(Trouble::Work) => return Ok(false),
            Err(Trouble::Refused(refusal)) => return Err(refusal),
            Err(Trouble::Lost { reason, in_doubt }) => {
                owner.lose(&reason);
                doubt = in_doubt;
            }
        }
    }
}

async fn transaction(session: &Session, epoch: i64, jobs: &mut [Box<dyn Job>]) -> Result<(), Trouble> {
    let Some((first, others)) = jobs.split_first_mut() else { return Ok(()) };
    let ours: [super::session::Param<'_>; 1] = [&epoch];
    // Sent together: one round trip for the beginning and the first words of the first piece of work.
    let (begun, fence, _) = tokio::join!(
        biased;
        session.batch("BEGIN"),
        session.query_opt(FENCE, &ours),
        first.attempt(session),
    );
    let lost = |error: &StoreError, in_doubt| {
        session.is_lost(error).then(|| Trouble::Lost { reason: error.to_string(), in_doubt })
    };
    let fence = match begun.and(fence) {
        Ok(fence) => fence,
        Err(error) => {
            let trouble = lost(&error, None);
            return Err(undo(session, trouble.unwrap_or_else(|| refused(&error))).await);
        }
    };
    let Some(fence) = fence else {
        let trouble = match current_epoch(session).await {
            Ok(current) => Trouble::Refused(Refusal::Stale { ours: epoch, current }),
            Err(error) => lost(&error, None).unwrap_or_else(|| refused(&error)),
        };
        return Err(undo(session, trouble).await);
    };
    let mut failure = first.failure();
    for job in others {
        if failure.is_some() {
            break;
        }
        let _ = job.attempt(session).await;
        failure = job.failure();
    }
    if let Some(error) = failure {
        let trouble = lost(error, None).unwrap_or(Trouble::Work);
        return Err(undo(session, trouble).await);
    }
    match session.batch("COMMIT").await {
        Ok(()) => Ok(()),
        Err(error) => {
            let trouble = lost(&error, Some(fence.get(0)));
            Err(undo(session, trouble.unwrap_or_else(|| refused(&error))).await)
        }
    }
}

fn refused(error: &StoreError) -> Trouble {
    Trouble::Refused(Refusal::Refused(error.to_string()))
}

/// Leaves the connection without a transaction.
async fn undo(session: &Session, trouble: Trouble) -> Trouble {
    if matches!(trouble, Trouble::Lost { .. }) {
        return trouble;
    }
    match session.batch("ROLLBACK").await {
        Ok(()) => trouble,
        // All is undone in any case.
        Err(error) => Trouble::Lost { reason: error.to_string(), in_doubt: None },
    }
}
