//! A fire on its way to a run: wanted, claimed, waiting.

use chrono::DateTime;
use uuid::Uuid;

use super::plan::At;
use super::runner::Function;
use crate::run::{Fire, Reason};
use crate::settings::{EventSettings, Overlap};
use crate::store::runs::{ClaimRequest, RunId, RunRecord};

/// A claim to be made, and where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) at: At,
    pub(super) fire_time: i64,
    /// The first of the missed fire times that it stands for; `fire_time` when there is no other.
    pub(super) since: i64,
    pub(super) reason: Reason,
    pub(super) attempt: u32,
    pub(super) missed: u32,
    /// It is the first of its trigger's backlog; the next is wanted when it has ended.
    pub(super) of_backlog: bool,
}

impl Wanted {
    /// What was cut off had passed the overlap rule already, and nothing of it runs any more.
    pub(super) const fn overlap(&self, function: &Function) -> Overlap {
        match self.reason {
            // Whatever runs takes the rows of the lane itself.
            Reason::Retry if self.is_of_lane() => Overlap::Skip,
            Reason::Resume | Reason::Retry => Overlap::Allow,
            Reason::Timed | Reason::CatchUp | Reason::Manual => function.overlap,
        }
    }

    /// It delivers what waits in the retry lane, and is no later attempt of a run that was cut off.
    pub(super) const fn is_of_lane(&self) -> bool {
        matches!(self.reason, Reason::Retry) && self.attempt == 1
    }
}

/// A claimed run that waits, or starts now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) run: RunId,
    pub(super) at: At,
    pub(super) occurrence: Occurrence,
    /// See [`Wanted`].
    pub(super) of_backlog: bool,
}

/// What tells one run of a trigger from another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Occurrence {
    pub(super) request_id: Uuid,
    pub(super) fire_time: i64,
    pub(super) reason: Reason,
    pub(super) attempt: u32,
    pub(super) missed: u32,
    /// When its attempt is due, if it waits for that; unix milliseconds.
    pub(super) retry_at: Option<i64>,
}

impl Occurrence {
    /// The fire of a function's trigger.
    pub(super) fn fire(&self, function: &Function, trigger: usize, event: &EventSettings) -> Fire {
        let settings = &function.triggers[trigger];
        Fire {
            request_id: self.request_id.to_string(),
            function: function.name.clone(),
            trigger: settings.name.to_string(),
            fire_time: DateTime::from_timestamp(self.fire_time, 0).unwrap_or_default(),
            reason: self.reason,
            attempt: self.attempt,
            missed: self.missed,
            argument: settings.argument.to_string(),
            event_type: event.event_type.clone(),
            app_id: event.app_id.clone(),
            own_event: None,
        }
    }
}

impl From<&ClaimRequest> for Occurrence {
    fn from(request: &ClaimRequest) -> Self {
        let &ClaimRequest { request_id, fire_time, reason, attempt, missed, .. } = request;
        Self { request_id, fire_time, reason, attempt, missed, retry_at: None }
    }
}

impl From<&RunRecord> for Occurrence {
    fn from(run: &RunRecord) -> Self {
        let &RunRecord { request_id, fire_time, attempt, missed, retry_at, .. } = run;
        let reason = Reason::from_word(&run.reason).unwrap_or(Reason::Timed);
        Self { request_id, fire_time, reason, attempt, missed, retry_at }
    }
}
