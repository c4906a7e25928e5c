//! A simulated power cut.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio_util::sync::CancellationToken;

/// Cuts the power after a number of steps: from then on nothing is written or delivered.
#[derive(Clone, Debug)]
pub(in crate::batch) struct Fuse {
    left: Arc<AtomicI64>,
    blown: CancellationToken,
}

impl Default for Fuse {
    fn default() -> Self {
        Self::after(i64::MAX)
    }
}

impl Fuse {
    /// Lets `steps` steps through.
    pub(super) fn after(steps: i64) -> Self {
        Self { left: Arc::new(AtomicI64::new(steps)), blown: CancellationToken::new() }
    }

    /// Takes one step; never returns without power.
    pub(in crate::batch) async fn burn(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.blown.cancel();
            pending::<()>().await;
        }
    }

    /// Waits for the power cut.
    pub(super) async fn blown(&self) {
        self.blown.cancelled().await;
    }
}
