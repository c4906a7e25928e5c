//! When a trigger fires: a cron expression in a zone, a fixed interval, or given instants.

/// When a trigger fires.
#[derive(Clone, Debug)]
pub struct Schedule {}

/// Why a schedule was refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ScheduleError(String);

impl Schedule {
    /// Reads the text of `triggers[].config` for the IANA zone `timezone`.
    pub fn parse(_text: &str, _timezone: &str) -> Result<Self, ScheduleError> {
        Ok(Self {})
    }

    /// The first fire time later than `after`; both in unix seconds.
    pub fn next(&self, after: i64) -> Option<i64> {
        Some(after + 1)
    }
}
