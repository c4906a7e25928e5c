//! What the engine knows of a function: its triggers, its rules, and how to run it.

use std::sync::Arc;

use chrono::DateTime;

use crate::action::mail::MailAction;
use crate::batch::Batch;
use crate::run::{Fire, Outcome, Reason, RunContext};
use crate::settings::{EventSettings, OnInterrupted, Overlap, TriggerSettings};
use crate::store::runs::{ClaimRequest, RunRecord};
use crate::target::Target;

/// A function with all that a fire of it needs.
#[derive(Clone, Debug)]
pub struct Function {
    /// The folder's name.
    pub name: String,
    /// Its triggers.
    pub triggers: Arc<[TriggerSettings]>,
    /// What happens when a fire finds it running.
    pub overlap: Overlap,
    /// What happens to a run that the end of the daemon cut off.
    pub on_interrupted: OnInterrupted,
    /// How it runs.
    pub runner: Runner,
}

impl Function {
    /// The fire of a claimed run.
    pub(super) fn fire(&self, trigger: usize, occurrence: Occurrence, event: &EventSettings) -> Fire {
        let settings = &self.triggers[trigger];
        let Occurrence { request_id, fire_time, reason, attempt, missed } = occurrence;
        Fire {
            request_id,
            function: self.name.clone(),
            trigger: settings.name.to_string(),
            fire_time: DateTime::from_timestamp(fire_time, 0).unwrap_or_default(),
            reason,
            attempt,
            missed,
            argument: settings.argument.to_string(),
            event_type: event.event_type.clone(),
            app_id: event.app_id.clone(),
        }
    }
}

/// What tells one run of a trigger from another.
pub(super) struct Occurrence {
    request_id: String,
    fire_time: i64,
    reason: Reason,
    attempt: u32,
    missed: u32,
}

impl From<&ClaimRequest> for Occurrence {
    fn from(request: &ClaimRequest) -> Self {
        let &ClaimRequest { fire_time, reason, attempt, missed, .. } = request;
        Self { request_id: request.request_id.clone(), fire_time, reason, attempt, missed }
    }
}

impl From<&RunRecord> for Occurrence {
    fn from(run: &RunRecord) -> Self {
        let &RunRecord { fire_time, attempt, missed, .. } = run;
        let reason = Reason::from_word(&run.reason).unwrap_or(Reason::Timed);
        Self { request_id: run.request_id.clone(), fire_time, reason, attempt, missed }
    }
}

/// How a function runs.
#[derive(Clone, Debug)]
pub enum Runner {
    /// Code or a program.
    Target(Arc<Target>),
    /// Rows of a table.
    Batch(Arc<Batch<MailAction>>),
}

impl Runner {
    pub(super) async fn run(&self, fire: &Fire, context: &RunContext) -> Outcome {
        match self {
            Self::Target(target) => target.run(fire, context).await,
            Self::Batch(batch) => batch.run(fire, context).await,
        }
    }
}
