//! The writer thread: takes work from a queue, commits for many at once.

use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::StoreError;
use super::checkpoint::{Checkpoint, REST};

/// No more work joins a commit that has this many rows, so that the first of them does not wait for ever.
const GROUP: usize = 1024;

struct Work {
    rows: usize,
    run: Run,
}

/// Does the work inside the open transaction (none: it could not be opened, do nothing) and returns
/// what sends the answer once it is known whether the commit held.
type Run = Box<dyn FnOnce(Option<&Connection>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), &rusqlite::Error>) + Send>;

#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Work>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(mut connection: Connection) -> Result<Self, StoreError> {
        let checkpoint = Checkpoint::take_over(&mut connection)?;
        let (queue, work) = mpsc::channel();
        let thread = std::thread::spawn(move || run(connection, &checkpoint, &work));
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues `work` on about `rows` rows; its answer goes to `reply` after the commit.
    pub(super) fn submit<T, F>(
        &self,
        rows: usize,
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
                    Err(error) => Err(StoreError::Commit(error.to_string())),
                };
                // Who asked may have given up waiting; the work is done all the same.
                let _ = reply.send(answer);
            })
        });
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(Work { rows, run }).map_err(|_| StoreError::Closed)
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

fn run(connection: Connection, checkpoint: &Checkpoint, work: &mpsc::Receiver<Work>) {
    let mut next = work.recv().ok();
    while let Some(first) = next {
        commit_group(&connection, first, work);
        next = if checkpoint.is_due() { work.recv_timeout(REST).ok() } else { work.recv().ok() };
        if checkpoint.is_overdue() || (next.is_none() && checkpoint.is_due()) {
            checkpoint.run(&connection);
        }
        next = next.or_else(|| work.recv().ok());
    }
    if let Err((_, error)) = connection.close() {
        tracing::error!(%error, "could not close the state database");
    }
}

fn commit_group(connection: &Connection, first: Work, queue: &mpsc::Receiver<Work>) {
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        (first.run)(None)(Err(&error));
        return;
    }
    let mut rows = first.rows;
    let mut answers = vec![(first.run)(Some(connection))];
    while rows < GROUP {
        let Ok(next) = queue.try_recv() else { break };
        rows += next.rows;
        answers.push((next.run)(Some(connection)));
    }
    let committed = connection.execute_batch("COMMIT");
    if committed.is_err()
        && !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "could not roll back the state database");
    }
    for answer in answers {
        answer(committed.as_ref().map(|&()| ()));
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
