//! A run's output on its way into the state: lines are written in groups, as fast as commits allow.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::run::{Output, Stream};
use crate::store::Store;
use crate::store::runs::{OutputLine, RunId};

/// At most this many lines go into one write.
const GROUP: usize = 1000;
/// An attempt has fewer lines; those of the next are numbered behind them, in whatever process it runs.
const LINES: i64 = 1 << 32;

/// Takes the lines of one run. [`Recorder::close`] returns when all of them are durable. A run that says nothing
/// costs nothing.
pub(super) struct Recorder(Arc<Lines>);

struct Lines {
    store: Store,
    run: RunId,
    clock: Clock,
    mirror: Output,
    runtime: Handle,
    first: i64,
    writer: Mutex<Writer>,
}

enum Writer {
    NotYet,
    Writing(mpsc::UnboundedSender<Item>, JoinHandle<()>),
    Closed,
}

enum Item {
    Line(DateTime<Utc>, Stream, String),
    End,
}

impl Recorder {
    /// A recorder for an attempt of `run`; every line also goes to `mirror`. Must be called within the tokio runtime.
    pub(super) fn new(store: Store, run: RunId, attempt: u32, clock: Clock, mirror: Output) -> Self {
        let runtime = Handle::current();
        let (first, writer) = (i64::from(attempt) * LINES, Mutex::new(Writer::NotYet));
        Self(Arc::new(Lines { store, run, clock, mirror, runtime, first, writer }))
    }

    /// Where the run's lines go.
    pub(super) fn output(&self) -> Output {
        let lines = Arc::clone(&self.0);
        Output::new(move |stream, text| lines.line(stream, text))
    }

    /// Writes what is left. Lines that come later are dropped.
    pub(super) async fn close(self) {
        let writer = mem::replace(&mut *self.0.writer(), Writer::Closed);
        if let Writer::Writing(lines, task) = writer {
            let _ = lines.send(Item::End);
            if let Err(error) = task.await {
                tracing::error!(%error, "the output of a run could not be recorded");
            }
        }
    }
}

impl Lines {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, stream: Stream, text: String) {
        self.mirror.line(stream, text.clone());
        let mut writer = self.writer();
        if matches!(*writer, Writer::NotYet) {
            let (lines, queue) = mpsc::unbounded_channel();
            let task = self.runtime.spawn(write(self.store.clone(), self.run, self.first, queue));
            *writer = Writer::Writing(lines, task);
        }
        // After the end nobody listens: what a stray task still says belongs to no run.
        if let Writer::Writing(lines, _) = &*writer {
            let _ = lines.send(Item::Line(self.clock.now(), stream, text));
        }
    }
}

async fn write(store: Store, run: RunId, first: i64, mut queue: mpsc::UnboundedReceiver<Item>) {
    let mut seq = first;
    let mut items = Vec::new();
    let mut ended = false;
    while !ended && queue.recv_many(&mut items, GROUP).await > 0 {
        let mut lines = Vec::with_capacity(items.len());
        for item in items.drain(..) {
            match item {
                Item::Line(at, stream, text) => {
                    lines.push(OutputLine { seq, at: at.timestamp_millis(), stream, text });
                    seq += 1;
                }
                Item::End => {
                    ended = true;
                    break;
                }
            }
        }
        if !lines.is_empty()
            && let Err(error) = store.append_output(run, lines).await
        {
            tracing::error!(run, %error, "lines of output are lost");
        }
    }
}
