//! Ends everything that a run started.

use std::collections::{BTreeSet, HashSet};
use std::pin::pin;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{sleep, timeout};

use super::handle::Handle;
use super::marker::Marker;
use super::table::{self, Census, Entry};

/// How long a killed process may take to go before it is asked about again; one that hangs in the
/// kernel (a dead network file system) goes when it can.
const KILL_WAIT: Duration = Duration::from_secs(1);

/// Rounds of KILL before the rest is given up and reported; each round finds what was forked since.
const KILL_ROUNDS: u32 = 10;

/// What belongs to a run.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The first process, which leads a group of its own. Must not be reaped before the tree has
    /// ended: as long as it is not, nobody else can get its number.
    pub leader: i32,
    /// When the leader started; nothing of the tree is older.
    pub since: u64,
    /// What all processes of the tree carry.
    pub marker: Marker,
    /// Looks for them.
    pub census: Census,
}

/// A living process of a tree.
struct Victim {
    name: String,
    handle: Handle,
}

impl Tree {
    /// Sends TERM to every living process of the tree, and KILL to what is left after `grace`; looks
    /// again until nothing is left. Answers the names of the processes it had to end.
    pub async fn end(&self, grace: Duration) -> Vec<String> {
        let mut patience = pin!(sleep(grace));
        let mut names = BTreeSet::new();
        let mut kills = 0;
        loop {
            let victims = self.living().await;
            if victims.is_empty() {
                return names.into_iter().collect();
            }
            names.extend(victims.iter().map(|victim| victim.name.clone()));
            if patience.is_elapsed() {
                kills += 1;
                if kills > KILL_ROUNDS {
                    let left: Vec<_> = victims.iter().map(|victim| victim.name.as_str()).collect();
                    tracing::error!(?left, "could not end processes of a run; they are left behind");
                    return names.into_iter().collect();
                }
                signal(&victims, Signal::KILL);
                let _ = timeout(KILL_WAIT, gone(&victims)).await;
            } else {
                signal(&victims, Signal::TERM);
                tokio::select! {
                    () = gone(&victims) => {}
                    () = &mut patience => {}
                }
            }
        }
    }

    async fn living(&self) -> Vec<Victim> {
        self.members(&self.census.take().await).into_iter().filter_map(|entry| Victim::new(&entry)).collect()
    }

    /// The living processes of `table` that belong to the tree: by marker, by group, or by descent.
    pub fn members(&self, table: &[Entry]) -> Vec<Entry> {
        let young: Vec<&Entry> = table.iter().filter(|entry| entry.started >= self.since).collect();
        let belongs = |entry: &Entry| entry.group == self.leader || self.marker.is_on(entry);
        let mut members: HashSet<i32> =
            young.iter().filter(|entry| belongs(entry)).map(|entry| entry.pid).collect();
        loop {
            let before = members.len();
            for entry in &young {
                if members.contains(&entry.parent) {
                    members.insert(entry.pid);
                }
            }
            if members.len() == before {
                break;
            }
        }
        young.into_iter().filter(|entry| members.contains(&entry.pid) && !entry.zombie).cloned().collect()
    }
}

impl Victim {
    fn new(entry: &Entry) -> Option<Self> {
        let handle = Handle::open(entry.pid).ok()?;
        // The handle may be of a newcomer that got the number since the table was read.
        let same = table::entry(entry.pid).is_some_and(|now| now.started == entry.started);
        same.then(|| Self { name: entry.name.clone(), handle })
    }
}

fn signal(victims: &[Victim], signal: Signal) {
    for victim in victims {
        victim.handle.signal(signal);
    }
}

async fn gone(victims: &[Victim]) {
    for victim in victims {
        victim.handle.ended().await;
    }
}
