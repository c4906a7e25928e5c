//! What the system tells of a running process: how busy its storage is, and how much memory it takes.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use gulou::clock::Clock;

/// The threads that read and write databases, by their names.
const STORAGE: [&str; 3] = ["state-writer", "state-sync", "database"];
/// Between two looks: they cost the machine something too.
const PAUSE: Duration = Duration::from_millis(5);

/// What was seen of a process that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Part of the time in which storage computed or waited for the disk, all its threads together.
    pub(crate) storage_share: f64,
    /// What all its threads computed, at the last look.
    pub(crate) cpu_seconds: f64,
    /// Most memory that it had, in KiB.
    pub(crate) peak_kib: u64,
}

impl Seen {
    /// Looks until `child` ends.
    pub(crate) fn of(child: &mut Child) -> Self {
        let clock = Clock::system();
        let (mut looks, mut waiting, mut peak_kib, mut cpu_seconds) = (0_u32, 0_u32, 0, 0.0_f64);
        let mut computed: HashMap<PathBuf, f64> = HashMap::new();
        while child.try_wait().unwrap().is_none() {
            looks += 1;
            for (thread, is_waiting, seconds) in storage(child.id()) {
                waiting += u32::from(is_waiting);
                computed.insert(thread, seconds);
            }
            peak_kib = peak_kib.max(peak(child.id()));
            cpu_seconds = cpu_seconds.max(cpu(child.id()));
            std::thread::sleep(PAUSE);
        }
        let computed: f64 = computed.values().sum();
        let storage_share =
            computed / clock.monotonic().as_secs_f64() + f64::from(waiting) / f64::from(looks.max(1));
        Self { storage_share, cpu_seconds, peak_kib }
    }
}

/// Each storage thread of the process: whether it waits for the disk, and for how many seconds it has computed.
fn storage(process: u32) -> impl Iterator<Item = (PathBuf, bool, f64)> {
    // Threads come and go between the looks.
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    threads.filter_map(|thread| {
        let thread = thread.path();
        // `TID (NAME) STATE …`: proc_pid_stat(5).
        let stat = fs::read_to_string(thread.join("stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
        if !STORAGE.contains(&name) {
            return None;
        }
        // Nanoseconds on a processor come first: proc_pid_schedstat(5).
        let times = fs::read_to_string(thread.join("schedstat")).ok()?;
        let seconds = times.split(' ').next()?.parse::<f64>().ok()? / 1e9;
        Some((thread, rest.starts_with('D'), seconds))
    })
}

/// `utime` and `stime` of `/proc/PID/stat`, in ticks of a hundredth of a second.
fn cpu(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ');
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}
