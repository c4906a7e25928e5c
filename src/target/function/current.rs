//! Whose the lines are that a worker prints.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::run::Stream;
use crate::target::log::RunLog;

/// What Node.js says before it gives up for want of memory.
const HEAP_IS_FULL: &str = "JavaScript heap out of memory";

/// The run that gets what the worker prints; none between calls.
#[derive(Clone)]
pub struct Current {
    log: Arc<Mutex<Option<Arc<RunLog>>>>,
    function: Arc<str>,
    heap_was_full: Arc<AtomicBool>,
}

impl Current {
    /// Gives the lines of a worker of `function` to `log`.
    pub fn new(function: Arc<str>, log: &Arc<RunLog>) -> Self {
        Self { log: Arc::new(Mutex::new(Some(log.clone()))), function, heap_was_full: Arc::default() }
    }

    pub fn set(&self, log: Option<Arc<RunLog>>) {
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = log;
    }

    /// A line that the worker printed.
    pub fn line(&self, stream: Stream, line: String) {
        if stream == Stream::Stderr && line.contains(HEAP_IS_FULL) {
            self.heap_was_full.store(true, Ordering::Relaxed);
        }
        // Held while the line is handed on: none may come after the log's end.
        let current = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = &*current {
            log.line(stream, line);
        } else {
            let (function, stream) = (&*self.function, stream.as_str());
            tracing::info!(function, stream, line, "printed by a worker between calls");
        }
    }

    /// Whether the worker has said so.
    pub fn heap_was_full(&self) -> bool {
        self.heap_was_full.load(Ordering::Relaxed)
    }

    pub fn function(&self) -> &str {
        &self.function
    }
}
