//! What waits for the writer, and in which order it is done.

use std::collections::VecDeque;
use std::pin::Pin;

use tokio::sync::{mpsc, oneshot};

use super::session::Session;
use super::{StoreError, runs};
use crate::store::runs::Ended;

/// So many ends are written at once.
const ENDS: usize = 1024;

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;
type Attempt<'a> = Pin<Box<dyn Future<Output = Result<(), ()>> + 'a>>;

/// Why nothing of a transaction is done, for all whose work was in it.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// Another owner has opened the state since.
    Stale { ours: i64, current: i64 },
    /// The server has been away for too long.
    Away(String),
    /// The server would not begin or commit it.
    Refused(String),
}

impl Refusal {
    pub(super) fn error(&self) -> StoreError {
        match self.clone() {
            Self::Stale { ours, current } => StoreError::StaleEpoch { ours, current },
            Self::Away(reason) => StoreError::Away(reason),
            Self::Refused(reason) => StoreError::Commit(reason),
        }
    }
}

/// A piece of work that can be tried again.
pub(super) trait Job: Send {
    /// About how many rows it writes.
    fn rows(&self) -> usize;
    /// Does it within the open transaction.
    fn attempt<'a>(&'a mut self, session: &'a Session) -> Attempt<'a>;
    /// Why the last attempt failed, if it did.
    fn failure(&self) -> Option<&StoreError>;
    /// Answers who waits, once the last attempt is durable, or undone.
    fn answer(self: Box<Self>, undone: Option<&Refusal>);
}

struct Call<T, F> {
    rows: usize,
    work: F,
    result: Result<T, StoreError>,
    reply: Answer<T>,
}

impl<T, F> Job for Call<T, F>
where
    T: Send + 'static,
    F: AsyncFn(&Session) -> Result<T, StoreError> + Send + 'static,
{
    fn rows(&self) -> usize {
        self.rows
    }

    fn attempt<'a>(&'a mut self, session: &'a Session) -> Attempt<'a> {
        Box::pin(async {
            self.result = (self.work)(session).await;
            self.result.as_ref().map(|_| ()).map_err(|_| ())
        })
    }

    fn failure(&self) -> Option<&StoreError> {
        self.result.as_ref().err()
    }

    fn answer(self: Box<Self>, undone: Option<&Refusal>) {
        let answer = undone.map_or(self.result, |refusal| Err(refusal.error()));
        // Who asked may have given up waiting; the work is done all the same.
        let _ = self.reply.send(answer);
    }
}

/// Ends of runs that are written together.
struct Ends {
    runs: Vec<Ended>,
    replies: Vec<Answer<()>>,
    result: Result<(), StoreError>,
}

impl Job for Ends {
    fn rows(&self) -> usize {
        self.runs.len()
    }

    fn attempt<'a>(&'a mut self, session: &'a Session) -> Attempt<'a> {
        Box::pin(async {
            self.result = runs::finish_all(session, &self.runs).await;
            self.result.as_ref().copied().map_err(|_| ())
        })
    }

    fn failure(&self) -> Option<&StoreError> {
        self.result.as_ref().err()
    }

    fn answer(self: Box<Self>, undone: Option<&Refusal>) {
        for reply in self.replies {
            let answer = match (undone, &self.result) {
                (Some(refusal), _) => Err(refusal.error()),
                (None, Ok(())) => Ok(()),
                (None, Err(error)) => Err(StoreError::Commit(error.to_string())),
            };
            let _ = reply.send(answer);
        }
    }
}

/// What is brought to the writer.
pub(super) enum Message {
    Work(Box<dyn Job>),
    End(Ended, Answer<()>),
}

impl Message {
    pub(super) fn work<T, F>(rows: usize, work: F, reply: Answer<T>) -> Self
    where
        T: Send + 'static,
        F: AsyncFn(&Session) -> Result<T, StoreError> + Send + 'static,
    {
        Self::Work(Box::new(Call { rows, work, result: Err(StoreError::Closed), reply }))
    }
}

/// What waits for the writer. Ends of runs give way to all other work: a fire that waits for its claim is late by what
/// is done before it, and nobody acts on an end before its answer.
pub(super) struct Queue {
    incoming: mpsc::UnboundedReceiver<Message>,
    in_order: VecDeque<Box<dyn Job>>,
    ends: Vec<(Ended, Answer<()>)>,
}

impl Queue {
    pub(super) const fn new(incoming: mpsc::UnboundedReceiver<Message>) -> Self {
        Self { incoming, in_order: VecDeque::new(), ends: Vec::new() }
    }

    /// The next work, if any waits.
    pub(super) fn next(&mut self) -> Option<Box<dyn Job>> {
        while let Ok(message) = self.incoming.try_recv() {
            self.sort(message);
        }
        if let Some(job) = self.in_order.pop_front() {
            return Some(job);
        }
        if self.ends.is_empty() {
            return None;
        }
        let (runs, replies) = self.ends.drain(..self.ends.len().min(ENDS)).unzip();
        Some(Box::new(Ends { runs, replies, result: Ok(()) }))
    }

    /// The next work; none when nobody can bring any more.
    pub(super) async fn wait(&mut self) -> Option<Box<dyn Job>> {
        if let Some(job) = self.next() {
            return Some(job);
        }
        let message = self.incoming.recv().await?;
        self.sort(message);
        self.next()
    }

    fn sort(&mut self, message: Message) {
        match message {
            Message::Work(job) => self.in_order.push_back(job),
            Message::End(end, reply) => self.ends.push((end, reply)),
        }
    }
}
