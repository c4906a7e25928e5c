//! How much memory a run uses: its process and all that it started, as `/proc` shows it (proc(5)).
//!
//! Counted is the resident size. Where there are several processes, pages that they share are counted once
//! (by the proportional size), because forks of one process share nearly all of them.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::table::{self, Entry};
use super::tree::Tree;

/// Between two looks. A run that is shorter than this is never looked at while it lasts.
const INTERVAL: Duration = Duration::from_millis(100);

/// Looks with one list of the run's processes; a list is read from the whole process table.
const LOOKS: u32 = 5;

/// Measures one run.
#[derive(Debug)]
pub struct Meter {
    tree: Tree,
    /// KiB; the most that was seen.
    peak: AtomicU64,
}

impl Meter {
    /// Begins to measure: what the process used before counts no more.
    pub fn begin(tree: &Tree) -> Self {
        // 5 resets the kernel's own note of the peak; where that is refused the note is of the process's whole life.
        let _ = fs::write(format!("/proc/{}/clear_refs", tree.leader), "5");
        Self { tree: tree.clone(), peak: AtomicU64::new(0) }
    }

    /// Returns when the run uses more than `limit` KiB: how much. Cancel safe.
    pub async fn exceeds(&self, limit: u64) -> u64 {
        let mut others: Arc<[Entry]> = Arc::new([]);
        for look in 0.. {
            sleep(INTERVAL).await;
            if look % LOOKS == 0 {
                others = self.others().await;
            }
            let used = self.used(&others, limit);
            self.peak.fetch_max(used, Ordering::Relaxed);
            if used > limit {
                return used;
            }
        }
        0
    }

    /// KiB; the most that the run is known to have used. None when the process is gone and was never looked at.
    pub fn peak(&self) -> Option<u64> {
        let seen = self.peak.load(Ordering::Relaxed);
        let noted = status(self.tree.leader, "VmHWM:").unwrap_or(0);
        Some(seen.max(noted)).filter(|peak| *peak > 0)
    }

    async fn others(&self) -> Arc<[Entry]> {
        let table = self.tree.census.recent(INTERVAL * LOOKS).await;
        let mut members = self.tree.members(&table);
        members.retain(|entry| entry.pid != self.tree.leader);
        members.into()
    }

    fn used(&self, others: &[Entry], limit: u64) -> u64 {
        let alive = |entry: &&Entry| table::entry(entry.pid).is_some_and(|now| now.started == entry.started);
        let mut all = vec![self.tree.leader];
        all.extend(others.iter().filter(alive).map(|entry| entry.pid));
        let resident = all.iter().filter_map(|pid| status(*pid, "VmRSS:")).sum();
        if resident <= limit || all.len() == 1 {
            return resident;
        }
        // Dearer to find out, and never more than the resident sizes together.
        all.iter().filter_map(|pid| proportional(*pid).or_else(|| status(*pid, "VmRSS:"))).sum()
    }
}

/// A size in KiB of `/proc/PID/status`. None for the dead.
fn status(pid: i32, name: &str) -> Option<u64> {
    size(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, name)
}

/// KiB; shared pages count in part. None for the dead, and for what this process may not look into.
fn proportional(pid: i32) -> Option<u64> {
    size(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?, "Pss:")
}

fn size(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        let text = "Name:\tnode\nVmPeak:\t  99 kB\nVmHWM:\t   70 kB\nVmRSS:\t   60 kB\n";
        assert_eq!(
            (size(text, "VmHWM:"), size(text, "VmRSS:"), size(text, "Pss:")),
            (Some(70), Some(60), None)
        );
        let me = rustix::process::getpid().as_raw_nonzero().get();
        let (resident, shared) = (status(me, "VmRSS:").unwrap(), proportional(me).unwrap());
        assert!(resident > 0 && shared > 0);
    }
}
