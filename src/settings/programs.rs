//! What runs as processes of the user's: functions and commands.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::Secret;

/// Names and values of variables. Any value may be a secret.
pub type Variables = BTreeMap<String, Secret>;

/// A cloud function.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeSettings {
    /// The language.
    pub runtime: Runtime,
    /// The folder with the code.
    pub dir: PathBuf,
    /// `file.function`, as in `index.main`.
    pub handler: String,
    /// Per attempt; 20 s unless configured.
    pub timeout: Duration,
    /// MiB that a call may use, with all that it started; 256 unless configured.
    pub memory_mb: u32,
    /// Workers at a time, at least 1; further calls wait in line. 64 unless configured.
    pub concurrency: usize,
    /// Bytes of output kept of one run; the target's own bound unless configured.
    pub max_output: Option<usize>,
    /// Variables beside the daemon's own environment; `TZ=UTC` unless set here.
    pub env: Variables,
}

/// A function's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Node.js, found as `node` on the PATH.
    NodeJs,
    /// Python, found as `python3` on the PATH.
    Python,
}

/// A program to run.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandSettings {
    /// Program and arguments; never a shell unless it is named here. At least one.
    pub argv: Vec<String>,
    /// Where it runs: the function's folder unless configured.
    pub cwd: PathBuf,
    /// Variables beside the daemon's own environment.
    pub env: Variables,
    /// Per attempt; 20 s unless configured.
    pub timeout: Duration,
    /// Bytes of output kept of one run; the target's own bound unless configured.
    pub max_output: Option<usize>,
    /// Exit codes that mean that the work is done; 0 unless configured.
    pub success_codes: Vec<i32>,
    /// Who runs it, if not the daemon's own user; only root can make it so.
    pub user: Option<UserSettings>,
    /// Added to the daemon's own niceness, -20 to 19; below 0 only by root.
    pub nice: i32,
    /// What each of its processes may take of the system.
    pub limits: ResourceLimits,
}

/// A user of this machine, as `/etc/passwd` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSettings {
    /// The name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its first group.
    pub gid: u32,
    /// Its folder.
    pub home: String,
    /// Its shell.
    pub shell: String,
}

/// Limits of the system, setrlimit(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceLimits {
    /// MiB of addresses (`RLIMIT_AS`) of a process.
    pub memory_mb: Option<u64>,
    /// Seconds on a processor (`RLIMIT_CPU`) of a process.
    pub cpu_seconds: Option<u64>,
    /// Descriptors (`RLIMIT_NOFILE`) of a process.
    pub files: Option<u64>,
    /// Processes and threads (`RLIMIT_NPROC`) of its user; root has no such limit.
    pub processes: Option<u64>,
}
