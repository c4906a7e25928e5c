//! What the engine knows of a function: its triggers, its rules, and how to run it.

use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::Batch;
use crate::run::{Fire, Outcome, RunContext};
use crate::schedule::Schedule;
use crate::settings::{FireRules, Misfire, OnInterrupted, Overlap, RetryPolicy, TriggerSettings};
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
    /// Runs of it at a time; more wait.
    pub max_runs: Option<NonZeroUsize>,
    /// What happens to a run that the end of the daemon cut off.
    pub on_interrupted: OnInterrupted,
    /// When a run that failed is tried again.
    pub retry: Option<Arc<RetryPolicy>>,
    /// How it runs.
    pub runner: Runner,
}

/// The triggers of a function, or what stands for one where there is none: it can be fired by hand all the same.
pub fn or_by_hand(triggers: &Arc<[TriggerSettings]>) -> Arc<[TriggerSettings]> {
    if !triggers.is_empty() {
        return Arc::clone(triggers);
    }
    let rules = FireRules {
        misfire: Misfire::Skip,
        start_within: Duration::ZERO,
        jitter: Duration::ZERO,
        catch_up: Duration::ZERO,
    };
    Arc::new([TriggerSettings {
        name: "by-hand".into(),
        schedule: Schedule::never(),
        expression: "".into(),
        argument: "".into(),
        enabled: false,
        rules: Arc::new(rules),
    }])
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

    /// Rows of a table.
    pub(super) const fn is_batch(&self) -> bool {
        matches!(self, Self::Batch(_))
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
