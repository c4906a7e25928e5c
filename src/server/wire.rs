//! The shapes of what is said on the API: the server writes them, the client reads them. What their fields
//! mean is said where the engine has them, in `engine::handle`, and in `docs/api.md`.
//!
//! Instants are UTC, RFC 3339 with at most milliseconds. A later version may add keys; a reader passes over
//! those that it does not know.

mod fire;

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::{Deserialize, Serialize};

use crate::engine::handle::{self, FolderProblem};
use crate::engine::reload::ReloadReport;
use crate::run::{Counts, HowFar};

pub use self::fire::{Ended, Fire, FireLine};

/// Where the addresses of this version of the API begin.
pub const ROOT: &str = "/api/v1";
/// The header `server` of every answer.
pub const SERVER: &str = concat!("gulou/", env!("CARGO_PKG_VERSION"));

/// Answer of `GET status`: the daemon at one instant.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// Of the daemon's program.
    pub version: String,
    /// Of the daemon's process.
    pub pid: u32,
    /// The state file.
    pub state: String,
    /// The instant.
    pub now: DateTime<Utc>,
    /// When the daemon was started.
    pub started_at: DateTime<Utc>,
    /// When function folders were last taken over, after the start.
    pub reloaded_at: Option<DateTime<Utc>>,
    /// How many.
    pub functions: usize,
    /// How many are enabled.
    pub triggers: usize,
    /// How many of those are paused.
    pub paused: usize,
    /// How many run.
    pub running_count: usize,
    /// The oldest of them.
    pub running: Vec<Running>,
    /// Runs that wait for room.
    pub waiting: usize,
    /// Some of them because as many run as `max_runs` allows.
    #[serde(default)]
    pub full: bool,
    /// Missed fires to be caught up, and live ones behind them.
    pub backlog: usize,
    /// What fires next.
    pub next: Option<Next>,
    /// How long the newest claims took to become durable, in milliseconds.
    pub claim_ms: Option<f64>,
    /// The clock went back; fire times up to here are done.
    pub clock_behind: Option<DateTime<Utc>>,
    /// Folders that cannot be used as they are.
    pub problems: Vec<Problem>,
    /// Functions that a run has paused.
    #[serde(default)]
    pub halted: Vec<Halted>,
}

/// A function that a run has paused.
#[derive(Debug, Serialize, Deserialize)]
pub struct Halted {
    /// Its name.
    pub function: String,
    /// When.
    pub since: DateTime<Utc>,
    /// What the run said.
    pub reason: String,
}

/// A run in flight.
#[derive(Debug, Serialize, Deserialize)]
pub struct Running {
    /// Its number.
    pub run: i64,
    /// The function.
    pub function: String,
    /// The trigger within the function.
    pub trigger: String,
    /// When it was due.
    pub fire_time: DateTime<Utc>,
    /// Why it runs.
    pub reason: String,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// How far it is, if it is a batch that goes row by row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// How far a batch is: numbers of rows, those of this run but for `remaining`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// That it took.
    pub taken: u64,
    /// Delivered.
    pub sent: u64,
    /// Failed for good.
    pub failed: u64,
    /// Not delivered, and tried again later.
    pub retrying: u64,
    /// To come in this pass through the table, of this run and of later ones.
    pub remaining: Option<u64>,
    /// Rows a second, over the last ten seconds.
    pub rate: f64,
    /// Until the run ends at that rate, in milliseconds.
    pub left_ms: Option<u64>,
}

/// What fires next.
#[derive(Debug, Serialize, Deserialize)]
pub struct Next {
    /// The function.
    pub function: String,
    /// The trigger within the function.
    pub trigger: String,
    /// When, jitter included.
    pub due: DateTime<Utc>,
}

/// A function folder that cannot be used as it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Problem {
    /// The folder's name.
    pub function: String,
    /// All that is wrong; may have several lines.
    pub message: String,
    /// When it was found.
    pub since: DateTime<Utc>,
    /// An older version of the function goes on running.
    pub old_version_runs: bool,
}

/// Answer of `GET triggers`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Triggers {
    /// By function, and in the order of its file.
    pub triggers: Vec<Trigger>,
}

/// A trigger as it runs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Trigger {
    /// The function.
    pub function: String,
    /// Its name within the function.
    pub trigger: String,
    /// The text of its schedule.
    pub expression: String,
    /// IANA name.
    pub timezone: String,
    /// `function`, `command` or `batch`.
    pub target: String,
    /// What its file says.
    pub enabled: bool,
    /// Since when it is paused.
    pub paused_since: Option<DateTime<Utc>>,
    /// Why, if it was a run that asked for it since the daemon was started.
    #[serde(default)]
    pub paused_because: Option<String>,
    /// When it fires next, if it does.
    pub next: Option<DateTime<Utc>>,
    /// Runs of its function in flight.
    pub running: usize,
    /// Runs of its function that wait for room.
    pub waiting: usize,
}

/// Body of `POST pause` and `POST resume`: one of the two.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Functions (`name`) and single triggers (`function/trigger`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// Never false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
}

/// Answer of `POST pause` and `POST resume`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Changed {
    /// Full names of the triggers that were not paused (or not running) before.
    pub changed: Vec<String>,
}

/// Answer of `POST reload`: names of functions.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reloaded {
    /// New ones.
    pub added: Vec<String>,
    /// Those that run in a new version from now on.
    pub changed: Vec<String>,
    /// Those whose folders are gone.
    pub removed: Vec<String>,
    /// Folders that cannot be used as they are.
    pub problems: Vec<Problem>,
    /// What else is worth knowing, one line each.
    pub notes: Vec<String>,
}

/// Every answer that is not 200.
#[derive(Debug, Serialize, Deserialize)]
pub struct Error {
    /// A sentence for people.
    pub error: String,
}

impl Status {
    /// What the engine says, and what it does not know.
    pub(super) fn new(status: handle::Status, state: String) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            state,
            now: millis(status.now),
            started_at: millis(status.started_at),
            reloaded_at: status.reloaded_at.map(millis),
            functions: status.functions,
            triggers: status.triggers,
            paused: status.paused,
            running_count: status.running_count,
            running: status.running.into_iter().map(Running::from).collect(),
            waiting: status.waiting,
            full: status.full,
            backlog: status.backlog,
            next: status.next.map(Next::from),
            claim_ms: status.claimed_in.map(|took| took.as_secs_f64() * 1000.0),
            clock_behind: status.clock_behind.map(millis),
            problems: status.problems.into_iter().map(Problem::from).collect(),
            halted: status.halted.into_iter().map(Halted::from).collect(),
        }
    }
}

impl From<handle::RunStatus> for Running {
    fn from(run: handle::RunStatus) -> Self {
        let handle::RunStatus { run, function, trigger, fire_time, reason, started_at, progress } = run;
        let (fire_time, started_at) = (millis(fire_time), millis(started_at));
        let progress = progress.map(Progress::from);
        Self { run, function, trigger, fire_time, reason: reason.to_owned(), started_at, progress }
    }
}

impl From<HowFar> for Progress {
    fn from(HowFar { counts, rate, left }: HowFar) -> Self {
        let Counts { taken, sent, failed, retrying, remaining, .. } = counts;
        let left_ms = left.and_then(|left| u64::try_from(left.as_millis()).ok());
        Self { taken, sent, failed, retrying, remaining, rate, left_ms }
    }
}

impl From<handle::NextFire> for Next {
    fn from(next: handle::NextFire) -> Self {
        Self { function: next.function, trigger: next.trigger, due: millis(next.due) }
    }
}

impl From<FolderProblem> for Problem {
    fn from(problem: FolderProblem) -> Self {
        let FolderProblem { function, message, since, old_version_runs } = problem;
        Self { function, message, since: millis(since), old_version_runs }
    }
}

impl From<handle::Halted> for Halted {
    fn from(halted: handle::Halted) -> Self {
        let handle::Halted { function, since, reason } = halted;
        Self { function, since: millis(since), reason }
    }
}

impl From<handle::TriggerStatus> for Trigger {
    fn from(trigger: handle::TriggerStatus) -> Self {
        Self {
            function: trigger.function,
            trigger: trigger.trigger,
            expression: trigger.expression,
            timezone: trigger.timezone.to_owned(),
            target: trigger.target.to_owned(),
            enabled: trigger.enabled,
            paused_since: trigger.paused_since.map(millis),
            paused_because: trigger.paused_because,
            next: trigger.next.map(millis),
            running: trigger.running,
            waiting: trigger.waiting,
        }
    }
}

impl From<ReloadReport> for Reloaded {
    fn from(report: ReloadReport) -> Self {
        let ReloadReport { added, changed, removed, problems, notes } = report;
        let problems = problems.into_iter().map(Problem::from).collect();
        Self { added, changed, removed, problems, notes }
    }
}

fn millis(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant.trunc_subsecs(3)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn instant(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn instants_are_utc_with_milliseconds_at_most() {
        let problem = FolderProblem {
            function: "f".to_owned(),
            message: "error: no\n  --> here".to_owned(),
            since: instant("2026-06-01T09:00:00.123456789+08:00"),
            old_version_runs: true,
        };
        assert_eq!(
            serde_json::to_value(Problem::from(problem)).unwrap(),
            json!({ "function": "f", "message": "error: no\n  --> here", "since": "2026-06-01T01:00:00.123Z",
                    "old_version_runs": true })
        );
        let next = handle::NextFire {
            function: "f".to_owned(),
            trigger: "t".to_owned(),
            due: instant("2026-06-01T09:00:00+08:00"),
        };
        assert_eq!(
            serde_json::to_value(Next::from(next)).unwrap(),
            json!({ "function": "f", "trigger": "t", "due": "2026-06-01T01:00:00Z" })
        );
    }
}
