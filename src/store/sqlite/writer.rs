//! The writer thread: takes work from a queue, commits for many at once.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::StoreError;
use super::checkpoint::{Checkpoint, REST};
use super::sync::{Answer, Syncer};

/// No more work joins a commit that has this many rows, so that the first of them does not wait for ever.
const GROUP: usize = 1024;

/// Which work goes first when several wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// In the order of its coming.
    InOrder,
    /// When nothing else waits.
    Last,
}

struct Work {
    rows: usize,
    turn: Turn,
    run: Run,
}

/// Does the work inside the open transaction (none: it could not be opened, do nothing) and returns
/// what sends the answer once it is known whether the commit holds.
type Run = Box<dyn FnOnce(Option<&Connection>) -> Answer + Send>;

#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Work>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// `connection` is to the database `path`, and in write-ahead mode.
    pub(super) fn start(mut connection: Connection, path: &Path) -> Result<Self, StoreError> {
        let checkpoint = Checkpoint::take_over(&mut connection)?;
        let syncer = Syncer::start(path)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let (queue, work) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("state-writer".to_owned())
            .spawn(move || run(connection, &checkpoint, &syncer, work))
            .map_err(|source| StoreError::io(path, source))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues `work` on about `rows` rows; its answer goes to `reply` after the commit.
    pub(super) fn submit<T, F>(
        &self,
        rows: usize,
        turn: Turn,
        work: F,
        reply: oneshot::Sender<Result<T, StoreError>>,
    ) -> Result<(), StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let run: Run = Box::new(move |connection| {
            let result = connection.map_or(Err(StoreError::Closed), |c| in_savepoint(c, work));
            Box::new(move |committed| {
                let answer = match committed {
                    Ok(()) => result,
                    Err(reason) => Err(StoreError::Commit(reason.to_owned())),
                };
                // Who asked may have given up waiting; the work is done all the same.
                let _ = reply.send(answer);
            })
        });
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(Work { rows, turn, run }).map_err(|_| StoreError::Closed)
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

fn run(connection: Connection, checkpoint: &Checkpoint, syncer: &Syncer, work: mpsc::Receiver<Work>) {
    let mut queue = Queue { incoming: work, in_order: VecDeque::new(), last: VecDeque::new() };
    let mut next = queue.wait(None);
    while let Some(first) = next {
        commit_group(&connection, syncer, first, &mut queue);
        next = if checkpoint.is_due() { queue.wait(Some(REST)) } else { queue.wait(None) };
        if checkpoint.is_overdue() || (next.is_none() && checkpoint.is_due()) {
            checkpoint.run(&connection);
        }
        next = next.or_else(|| queue.wait(None));
    }
    if let Err((_, error)) = connection.close() {
        tracing::error!(%error, "could not close the state database");
    }
}

/// What waits for the writer.
struct Queue {
    incoming: mpsc::Receiver<Work>,
    in_order: VecDeque<Work>,
    last: VecDeque<Work>,
}

impl Queue {
    /// The next work, if any waits.
    fn next(&mut self) -> Option<Work> {
        while let Ok(work) = self.incoming.try_recv() {
            self.sort(work);
        }
        self.in_order.pop_front().or_else(|| self.last.pop_front())
    }

    /// The next work; none when nobody can bring any more, or within `patience`.
    fn wait(&mut self, patience: Option<Duration>) -> Option<Work> {
        self.next().or_else(|| {
            let work = match patience {
                Some(patience) => self.incoming.recv_timeout(patience).ok()?,
                None => self.incoming.recv().ok()?,
            };
            self.sort(work);
            self.next()
        })
    }

    fn sort(&mut self, work: Work) {
        match work.turn {
            Turn::InOrder => self.in_order.push_back(work),
            Turn::Last => self.last.push_back(work),
        }
    }
}

fn commit_group(connection: &Connection, syncer: &Syncer, first: Work, queue: &mut Queue) {
    let opened = match syncer.failure() {
        Some(reason) => Err(reason.to_owned()),
        None => connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| error.to_string()),
    };
    if let Err(reason) = opened {
        (first.run)(None)(Err(&reason));
        return;
    }
    let mut rows = first.rows;
    let mut answers = vec![(first.run)(Some(connection))];
    while rows < GROUP {
        let Some(next) = queue.next() else { break };
        rows += next.rows;
        answers.push((next.run)(Some(connection)));
    }
    let Err(error) = connection.execute_batch("COMMIT") else {
        syncer.submit(answers);
        return;
    };
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "could not roll back the state database");
    }
    let reason = error.to_string();
    for answer in answers {
        answer(Err(&reason));
    }
}

fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.prepare_cached("SAVEPOINT work")?.execute([])?;
    let result = work(connection);
    if result.is_err() {
        connection.prepare_cached("ROLLBACK TO work")?.execute([])?;
    }
    connection.prepare_cached("RELEASE work")?.execute([])?;
    result
}
