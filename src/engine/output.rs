//! A run's output on its way into the state: lines are written in groups, as fast as commits allow.

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::run::{Output, Stream};
use crate::store::Store;
use crate::store::runs::{OutputLine, RunId};

/// At most this many lines go into one write.
const GROUP: usize = 1000;

/// Takes the lines of one run. [`Recorder::close`] returns when all of them are durable.
pub(super) struct Recorder {
    lines: mpsc::UnboundedSender<Item>,
    writer: JoinHandle<()>,
}

enum Item {
    Line(DateTime<Utc>, Stream, String),
    End,
}

impl Recorder {
    /// Starts recording for `run`; every line also goes to `mirror`.
    pub(super) fn start(store: Store, run: RunId, clock: Clock, mirror: Output) -> (Self, Output) {
        let (lines, queue) = mpsc::unbounded_channel();
        let writer = tokio::spawn(write(store, run, queue));
        let sender = lines.clone();
        let output = Output::new(move |stream, text: String| {
            mirror.line(stream, text.clone());
            // After the end nobody listens: what a stray task still says belongs to no run.
            let _ = sender.send(Item::Line(clock.now(), stream, text));
        });
        (Self { lines, writer }, output)
    }

    /// Writes what is left. Lines that come later are dropped.
    pub(super) async fn close(self) {
        let _ = self.lines.send(Item::End);
        if let Err(error) = self.writer.await {
            tracing::error!(%error, "the output of a run could not be recorded");
        }
    }
}

async fn write(store: Store, run: RunId, mut queue: mpsc::UnboundedReceiver<Item>) {
    let mut seq = 0;
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
