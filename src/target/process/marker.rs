//! The variable that names the run, in the environment of each of its processes.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use super::table::{self, Entry};

/// The variable. User code should leave it alone; a process that clears it is found as a descendant
/// or by its process group.
const VARIABLE: &str = "GULOU_RUN";

/// Who started a run: this process, named so that no later process can be taken for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The PID namespace; a container's processes are visible from its host under other numbers.
    namespace: String,
    pid: i32,
    /// Clock ticks from boot to the start of the process.
    started: u64,
}

impl Owner {
    /// This process.
    pub fn this_process() -> Self {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let namespace = namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
        Self { namespace, pid, started: table::own_start() }
    }

    /// What the values of all markers of this owner start with.
    fn prefix(&self) -> String {
        format!("{}.{}.{}/", self.namespace, self.pid, self.started)
    }

    /// The start of the environment entry that all processes of this owner carry.
    pub fn entry_prefix(&self) -> String {
        format!("{VARIABLE}={}", self.prefix())
    }

    /// Whether the process that wrote `value` is of this machine's view of the world and gone.
    pub fn is_orphaned(&self, value: &str) -> bool {
        let Some((owner, _)) = value.split_once('/') else { return false };
        let mut parts = owner.split('.');
        let (Some(namespace), Some(pid), Some(started)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let (Ok(pid), Ok(started)) = (pid.parse::<i32>(), started.parse::<u64>()) else { return false };
        namespace == self.namespace && table::entry(pid).is_none_or(|entry| entry.started != started)
    }
}

/// Marks the processes of one run, or of one worker.
#[derive(Clone, Debug)]
pub struct Marker(String);

impl Marker {
    /// A marker that no other run of any daemon has.
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{}{count}", Owner::this_process().prefix()))
    }

    /// The variable's name and value.
    pub fn variable(&self) -> (&'static str, &str) {
        (VARIABLE, &self.0)
    }

    /// Whether the process carries the marker.
    pub fn is_on(&self, entry: &Entry) -> bool {
        entry.marker.as_ref() == Some(&self.0)
    }
}

/// The marker's value in the environment that a process was started with. None without a marker, and
/// for processes of other users.
pub fn marker_of(pid: i32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(VARIABLE.as_bytes())?.strip_prefix(b"=")?;
        String::from_utf8(value.to_vec()).ok()
    })
}
