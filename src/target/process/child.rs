//! One user process, its output, and the tree below it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::handle::Handle;
use super::marker::Marker;
use super::memory::Meter;
use super::pipe::{OutputPipe, Sink};
use super::strays::Registry;
use super::table;
use super::tree::Tree;

/// What systemd tells the daemon alone; a user program that heeds it would speak for the daemon.
const SERVICE_MANAGER: [&str; 5] =
    ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS"];

/// How long the threads of a killed process may take to end.
const LAST_THREADS: Duration = Duration::from_secs(5);

/// How to start a process, beside the command itself.
pub struct Spawn {
    /// Program, arguments, folder, variables, standard input.
    pub command: Command,
    /// Bytes of one line of output.
    pub line_limit: usize,
    /// Takes the lines of standard output.
    pub stdout: Sink,
    /// Takes the lines of standard error.
    pub stderr: Sink,
}

/// A process that was started here and is not reaped yet.
#[derive(Debug)]
pub struct Child {
    inner: std::process::Child,
    tree: Tree,
    handle: Handle,
    output: [Arc<OutputPipe>; 2],
    readers: JoinSet<()>,
    registry: Registry,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// None when it hangs in the kernel and could not be killed.
    pub status: Option<ExitStatus>,
    /// The names of the processes that still ran and had to be killed.
    pub killed: Vec<String>,
}

impl Child {
    /// Starts a process in a group of its own, with a marker, and reads its output from now on.
    pub async fn spawn(spawn: Spawn, registry: &Registry) -> io::Result<Self> {
        let Spawn { mut command, line_limit, stdout, stderr } = spawn;
        let marker = Marker::new();
        let (stdout, stdout_end) = OutputPipe::new(line_limit, stdout)?;
        let (stderr, stderr_end) = OutputPipe::new(line_limit, stderr)?;
        for name in SERVICE_MANAGER {
            command.env_remove(name);
        }
        let (name, value) = marker.variable();
        command.env(name, value).process_group(0).stdout(stdout_end).stderr(stderr_end);
        let mut inner = registry.start(command).await?;
        let pid = inner.id().cast_signed();
        let handle = match Handle::open(pid) {
            Ok(handle) => handle,
            Err(error) => {
                // Nobody could tell when it ends: better no process than one out of control.
                let _ = inner.kill();
                let _ = inner.wait();
                registry.forget(pid);
                return Err(error);
            }
        };
        let output = [Arc::new(stdout), Arc::new(stderr)];
        let mut readers = JoinSet::new();
        for pipe in &output {
            let pipe = pipe.clone();
            readers.spawn(async move { pipe.follow().await });
        }
        let since = table::entry(pid).map_or(0, |entry| entry.started);
        let tree = Tree { leader: pid, since, marker, census: registry.census.clone() };
        Ok(Self { inner, tree, handle, output, readers, registry: registry.clone() })
    }

    /// Returns when the process has ended by itself. Cancel safe.
    pub async fn exited(&self) {
        self.handle.ended().await;
    }

    /// Measures what the process and all that it started use from now on.
    pub fn meter(&self) -> Meter {
        Meter::begin(&self.tree)
    }

    /// Hands on all output that was written before this call.
    pub fn drain(&self) {
        for pipe in &self.output {
            pipe.drain();
        }
    }

    /// Ends what is left of the process and of everything it started: TERM, and KILL after `grace`.
    /// When it returns all of its output has been handed on.
    pub async fn end(mut self, grace: Duration) -> Ended {
        let killed = self.tree.end(grace).await;
        // One whose first thread has ended looks dead in the table while its other threads are still ending.
        let _ = timeout(LAST_THREADS, self.handle.ended()).await;
        self.readers.shutdown().await;
        self.drain();
        Ended { status: self.inner.try_wait().ok().flatten(), killed }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Still running only when the runtime was torn down in the middle of a run.
        if let (Ok(None), Some(group)) = (self.inner.try_wait(), Pid::from_raw(self.tree.leader)) {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.inner.try_wait();
        }
        self.registry.forget(self.tree.leader);
    }
}
