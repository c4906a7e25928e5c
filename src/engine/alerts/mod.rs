//! Tells people of what goes wrong: runs that failed, functions that are well again, fire times that were missed.
//!
//! One alert of a kind about a function in a while; what comes meanwhile is counted, and told when the while is over, if it
//! is still so then. Alerts are not durable: one that is under way when the daemon dies is lost, the log has all of it.

mod desk;
mod gate;

use std::sync::Arc;
use std::time::Duration;

pub(super) use self::desk::Desk;
use crate::action::follow::Follow;

/// Who is told of what about a function.
#[derive(Clone, Debug)]
pub struct Alerts {
    /// A run failed, after all its attempts.
    pub on_failure: Option<Arc<Follow>>,
    /// A run succeeded after one that failed.
    pub on_recovery: Option<Arc<Follow>>,
    /// Fire times were missed.
    pub on_missed: Option<Arc<Follow>>,
    /// Of each kind, one alert in this time at most.
    pub every: Duration,
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Failure,
    Recovery,
    Missed,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Recovery => "recovery",
            Self::Missed => "missed",
        }
    }
}

impl Alerts {
    fn action(&self, kind: Kind) -> Option<&Arc<Follow>> {
        match kind {
            Kind::Failure => self.on_failure.as_ref(),
            Kind::Recovery => self.on_recovery.as_ref(),
            Kind::Missed => self.on_missed.as_ref(),
        }
    }
}
