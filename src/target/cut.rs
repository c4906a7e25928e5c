//! What ends a run that does not end by itself.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::run::{Outcome, Status};

/// Why a run was cut off.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// It took longer than this.
    Timeout(Duration),
    /// Somebody wants it to end now.
    Abort,
}

impl Cut {
    /// Returns when the run must end. Cancel safe.
    pub async fn wait(timeout: Duration, abort: &CancellationToken) -> Self {
        tokio::select! {
            biased;
            () = abort.cancelled() => Self::Abort,
            () = tokio::time::sleep(timeout) => Self::Timeout(timeout),
        }
    }

    /// The outcome of the run.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Timeout(limit) => Outcome {
                status: Status::TimedOut,
                ..Outcome::failed(format!(
                    "did not end within its timeout of {} s and was killed",
                    limit.as_secs_f64()
                ))
            },
            Self::Abort => Outcome::interrupted("was stopped before it ended"),
        }
    }
}
