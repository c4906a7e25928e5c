//! What all targets of a daemon share.

use std::sync::Arc;
use std::time::Duration;

use super::process::{Guard, Registry, become_reaper, end_orphans};
use crate::clock::Clock;

/// The bounds that keep user code from filling memory, disk or the process table.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of output kept of one run, both streams together.
    pub output: usize,
    /// Bytes of one line of output; a longer line is split.
    pub line: usize,
    /// Bytes of a return value, as JSON, that are recorded; 6 MiB, as in the cloud.
    pub result: usize,
    /// Between TERM and KILL.
    pub grace: Duration,
    /// A worker that nobody called for this long ends.
    pub idle: Duration,
    /// For Node.js itself to start, before any user code is loaded; beside the run's timeout.
    pub start: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            output: 1024 * 1024,
            line: 16 * 1024,
            result: 6 * 1024 * 1024,
            grace: Duration::from_secs(2),
            idle: Duration::from_secs(300),
            start: Duration::from_secs(30),
        }
    }
}

/// What all targets of a daemon share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Host {
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) registry: Registry,
    /// Held for as long as targets run, and never looked at.
    guard: Option<Arc<Guard>>,
}

impl Host {
    /// A host that leaves the process as it is: for `dry-run`, tests and programs that run other
    /// children of their own.
    pub fn new(clock: Clock) -> Self {
        Self { clock, limits: Limits::default(), registry: Registry::default(), guard: None }
    }

    /// The host of a process that exists to run targets. Call it once, inside the tokio runtime and
    /// before the first run: user processes that lose their parent become children of this process
    /// and are reaped by it, and all of them end when this process ends, however it ends. Also ends
    /// what an earlier daemon of this user left behind when it was killed. What the system refuses
    /// of this is logged; targets run without it.
    pub fn supervise(clock: Clock) -> Self {
        let mut host = Self::new(clock);
        let orphans = end_orphans();
        if orphans > 0 {
            tracing::warn!(orphans, "ended processes that an earlier daemon left behind");
        }
        if let Err(error) = become_reaper(host.registry.clone()) {
            tracing::warn!(%error, "cannot adopt orphaned user processes; init will reap them");
        }
        match Guard::start(&host.registry) {
            Ok(guard) => host.guard = Some(Arc::new(guard)),
            Err(error) => {
                tracing::warn!(%error, "cannot start /bin/sh; if this process is killed, user processes live on");
            }
        }
        host
    }

    /// The same host with other bounds.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}
