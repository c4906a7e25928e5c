//! Who is told of what goes wrong.

use std::time::Duration;

use super::FollowSettings;

/// Who is told of what goes wrong with a function.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertSettings {
    /// A run failed, after all its attempts.
    pub on_failure: Option<FollowSettings>,
    /// A run succeeded after one that failed.
    pub on_recovery: Option<FollowSettings>,
    /// Fire times were missed: the daemon was down, too busy or full.
    pub on_missed: Option<FollowSettings>,
    /// Of each kind and function, one alert in this time at most; 10 min unless configured.
    pub every: Duration,
}
