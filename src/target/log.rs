//! The log of one run, as the cloud's console shows it, and the bound on what a run may print.
//!
//! ```text
//! START RequestId: 0f2c…
//! (lines of output)
//! ERROR RequestId: 0f2c… TypeError: …        only when the run failed
//! END RequestId: 0f2c…
//! Report RequestId: 0f2c… Duration:12ms Memory:48MB
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::run::{Outcome, Output, Status, Stream};

/// Writes the log of one run. Lines may come from several tasks at once.
#[derive(Debug)]
pub struct RunLog {
    output: Output,
    request_id: String,
    limit: usize,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When user code got its turn.
    started: Duration,
    /// Bytes of output that were kept.
    kept: usize,
    /// Bytes of output that came after the bound was reached.
    dropped: usize,
}

impl RunLog {
    /// Writes `START`. Keeps `limit` bytes of output.
    pub fn start(output: &Output, request_id: &str, limit: usize, clock: &Clock) -> Self {
        output.line(Stream::System, format!("START RequestId: {request_id}"));
        Self {
            output: output.clone(),
            request_id: request_id.to_owned(),
            limit,
            clock: clock.clone(),
            state: Mutex::new(State { started: clock.monotonic(), kept: 0, dropped: 0 }),
        }
    }

    /// A line that user code printed.
    pub fn line(&self, stream: Stream, text: String) {
        let mut state = self.lock();
        if state.dropped > 0 || state.kept + text.len() > self.limit {
            if state.dropped == 0 {
                let note = format!("the output is cut here: {} bytes of a run's output are kept", self.limit);
                self.output.line(Stream::System, note);
            }
            state.dropped += text.len() + 1;
        } else {
            state.kept += text.len() + 1;
            self.output.line(stream, text);
        }
    }

    /// A remark of our own.
    pub fn note(&self, text: impl Into<String>) {
        self.output.line(Stream::System, text);
    }

    /// Says how long the run waited for its turn; its duration counts from now on.
    pub fn begin_after_wait(&self) {
        let now = self.clock.monotonic();
        let waited = now.saturating_sub(std::mem::replace(&mut self.lock().started, now));
        self.note(format!("waited {} ms", waited.as_millis()));
    }

    /// Says which processes outlived the run and had to be ended.
    pub fn left_behind(&self, names: &[String]) {
        if !names.is_empty() {
            self.note(format!("ended what the run left behind: {}", names.join(", ")));
        }
    }

    /// Writes what went wrong, if anything did, then `END` and `Report`. `detail` is a stack or the
    /// like; `memory` is the largest resident size in KiB, where it is known.
    pub fn end(&self, outcome: &Outcome, detail: &[String], memory: Option<u64>) {
        let (started, dropped) = {
            let state = self.lock();
            (state.started, state.dropped)
        };
        if dropped > 0 {
            self.note(format!("{dropped} bytes of output were not kept"));
        }
        if let Some(message) = outcome.message.as_ref().filter(|_| outcome.status != Status::Succeeded) {
            self.note(format!("ERROR RequestId: {} {message}", self.request_id));
            for line in detail {
                self.note(line);
            }
        }
        self.note(format!("END RequestId: {}", self.request_id));
        let took = self.clock.monotonic().saturating_sub(started).as_millis();
        let memory = memory.map(|kib| format!(" Memory:{}MB", kib.div_ceil(1024))).unwrap_or_default();
        self.note(format!("Report RequestId: {} Duration:{took}ms{memory}", self.request_id));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
