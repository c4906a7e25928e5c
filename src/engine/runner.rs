//! What the engine knows of a function: its triggers, its rules, and how to run it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

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
    pub triggers: Arc<[TriggerSettings]>,
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
    Batch(Arc<Batch>),
    /// A function of this process, for programs that embed the engine: benchmarks and tests.
    Inline(Inline),
}

/// See [`Runner::Inline`]. Called for each fire; what it answers is awaited.
#[derive(Clone)]
pub struct Inline(Arc<dyn Fn(&Fire) -> InlineRun + Send + Sync>);

/// What an [`Inline`] does for one fire.
pub type InlineRun = Pin<Box<dyn Future<Output = Outcome> + Send>>;

impl Inline {
    /// Calls `function`.
    pub fn new(function: impl Fn(&Fire) -> InlineRun + Send + Sync + 'static) -> Self {
        Self(Arc::new(function))
    }
}

impl fmt::Debug for Inline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inline")
    }
}

impl Runner {
    /// The word for the kind of it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Target(target) => target.kind(),
            Self::Batch(_) => "batch",
            Self::Inline(_) => "inline",
        }
    }

    /// When the first row is due that waits in a batch's retry lane, unix milliseconds.
    pub(super) async fn next_retry(&self) -> Option<i64> {
        let Self::Batch(batch) = self else { return None };
        match batch.next_retry_at().await {
            Ok(due) => due.map(|due| due.timestamp_millis()),
            Err(error) => {
                tracing::error!(%error, "could not tell when rows are to be tried again; the next run takes them");
                None
            }
        }
    }

    pub(super) async fn run(&self, fire: &Fire, context: &RunContext) -> Outcome {
        match self {
            // Boxed: their futures are large, and every task of a run would be moved about with room for them.
            Self::Target(target) => Box::pin(target.run(fire, context)).await,
            Self::Batch(batch) => Box::pin(batch.run(fire, context)).await,
            Self::Inline(inline) => (inline.0)(fire).await,
        }
    }
}
