//! What the engine knows of a function: its triggers, its rules, and how to run it.

use std::sync::Arc;

use crate::action::mail::MailAction;
use crate::batch::Batch;
use crate::run::{Fire, Outcome, RunContext};
use crate::settings::{OnInterrupted, Overlap, TriggerSettings};
use crate::target::Target;

/// A function with all that a fire of it needs.
#[derive(Clone, Debug)]
pub struct Function {
    /// The folder's name.
    pub name: String,
    /// Its triggers.
    pub triggers: Vec<TriggerSettings>,
    /// What happens when a fire finds it running.
    pub overlap: Overlap,
    /// What happens to a run that the end of the daemon cut off.
    pub on_interrupted: OnInterrupted,
    /// How it runs.
    pub runner: Runner,
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
