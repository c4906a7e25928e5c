//! Processes that lost their parent: reaped when they die, ended when their daemon is gone.

use std::collections::HashSet;
use std::io;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{
    Pid, Signal, WaitOptions, getpgrp, getpid, kill_process, set_child_subreaper, waitpid,
};
use tokio::signal::unix::{SignalKind, signal};

use super::marker::Owner;
use super::table::{self, Census, Entry};

/// Looks at the process table in search of orphans; each look finds what the ones before forked.
const ORPHAN_ROUNDS: u32 = 100;

/// The children that this process started itself and reaps one by one. All others came by adoption.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    own: Arc<Mutex<HashSet<i32>>>,
    /// Starting is one after the other anyway; this way it takes one thread, not one a start.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Looks for their descendants.
    pub(super) census: Census,
}

impl Registry {
    /// Starts a child and knows it before it can die.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let mut own = self.lock();
        let child = command.spawn()?;
        own.insert(child.id().cast_signed());
        Ok(child)
    }

    /// The same, off the runtime's threads. The command goes, and with it what it holds open.
    pub async fn start(&self, mut command: Command) -> io::Result<Child> {
        let _turn = self.turn.lock().await;
        let registry = self.clone();
        let started = tokio::task::spawn_blocking(move || registry.spawn(&mut command));
        started.await.map_err(io::Error::other)?
    }

    /// A child that has been reaped.
    pub fn forget(&self, pid: i32) {
        self.lock().remove(&pid);
    }

    /// Reaps dead children that came by adoption.
    fn reap(&self) {
        let own = self.lock();
        for pid in table::children().into_iter().filter(|pid| !own.contains(pid)) {
            // Our own process group holds no user process: a child in it was started by other code.
            let ours = |group| Some(getpgrp()) == Pid::from_raw(group);
            if table::entry(pid).is_some_and(|entry| entry.zombie && !ours(entry.group)) {
                let _ = waitpid(Pid::from_raw(pid), WaitOptions::NOHANG);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<i32>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes this process the parent of every descendant that loses its own, so that they stay in sight,
/// and reaps them when they die. Needs the tokio runtime; lasts as long as the process.
pub fn become_reaper(registry: Registry) -> io::Result<()> {
    set_child_subreaper(Some(getpid()))?;
    let mut deaths = signal(SignalKind::child())?;
    tokio::spawn(async move {
        while deaths.recv().await.is_some() {
            registry.reap();
        }
    });
    Ok(())
}

/// Kills what is left of daemons that are gone: processes with a marker whose owner no longer lives.
/// Answers how many there were.
pub fn end_orphans() -> usize {
    let me = Owner::this_process();
    let mut ended = HashSet::new();
    for _ in 0..ORPHAN_ROUNDS {
        let orphaned = |entry: &Entry| entry.marker.as_ref().is_some_and(|value| me.is_orphaned(value));
        let orphans: Vec<_> = table::read(0).into_iter().filter(orphaned).collect();
        if orphans.is_empty() {
            break;
        }
        for orphan in orphans {
            if let Some(pid) = Pid::from_raw(orphan.pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
            ended.insert((orphan.pid, orphan.started));
        }
    }
    ended.len()
}
