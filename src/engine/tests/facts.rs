//! What happens in a simulated life, in the order in which it happens: all that the model gets to know.

use std::sync::Arc;

use crate::engine::runner::Function;
use crate::store::runs::{Claim, ClaimRequest, RunId, SkipReason, SkippedSpan};
use crate::store::triggers::{FunctionId, TriggerId};

/// Instants are unix milliseconds on the wall clock.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    /// A process starts with this configuration.
    Start { now: i64, max_runs: usize, config: Vec<Enlisted>, held: Held },
    /// The process is gone.
    Down,
    /// The process looks what is due.
    Look { now: i64, cause: SkipReason },
    /// These triggers are being paused.
    Pause { now: i64, triggers: Vec<TriggerId> },
    /// These triggers have gone on.
    Resumed { now: i64, triggers: Vec<TriggerId> },
    /// Functions are being taken over, others are gone.
    Apply { now: i64, put: Vec<Enlisted>, removed: Vec<FunctionId>, held: Held },
    /// What starts anew has its new place.
    Anew { now: i64 },
    /// What left has no place any more.
    Left,
    /// A claim and its answer.
    Claimed { request: ClaimRequest, answer: Claim },
    /// A span was recorded, and the row that holds it now.
    Skipped { now: i64, span: SkippedSpan, row: SkippedSpan },
    /// A run that had waited starts.
    Started { run: RunId },
    /// A run has been told to end.
    Aborted { run: RunId },
    /// A run ended.
    Ended { run: RunId },
    /// Of the retry lane of a function.
    Lane(LaneFact),
    /// The loop has heard of all ends, and done what follows from them.
    Rest,
    /// Nothing is left to be done until the next wake-up, order or end.
    Quiet { now: i64 },
}

/// What concerns a retry lane.
#[derive(Clone, Copy, Debug)]
pub(super) enum LaneFact {
    /// The loop hears of the end of a run of the function.
    Tried { now: i64, function: FunctionId, succeeded: bool },
    /// The first row is due then.
    Is { function: FunctionId, due: Option<i64> },
    /// Somebody asks for the rows.
    Asked { function: FunctionId },
}

/// A function with its number and those of its triggers.
#[derive(Clone, Debug)]
pub(super) struct Enlisted {
    pub(super) id: FunctionId,
    pub(super) triggers: Vec<TriggerId>,
    pub(super) function: Arc<Function>,
}

/// Fire times in the future of which triggers have runs: the clock went back.
pub(super) type Held = Vec<(TriggerId, Vec<i64>)>;
