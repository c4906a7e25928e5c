//! A simulated power cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Cuts the power after a number of durable steps: from then on nothing succeeds.
#[derive(Clone, Debug)]
pub(in crate::batch) struct Fuse(Arc<AtomicI64>);

impl Default for Fuse {
    fn default() -> Self {
        Self::after(i64::MAX)
    }
}

impl Fuse {
    /// Lets `steps` steps through.
    pub(super) fn after(steps: i64) -> Self {
        Self(Arc::new(AtomicI64::new(steps)))
    }

    /// True while there is power for one more step.
    pub(in crate::batch) fn burn(&self) -> bool {
        self.0.fetch_sub(1, Ordering::SeqCst) > 0
    }

    /// The power was cut.
    pub(super) fn is_blown(&self) -> bool {
        self.0.load(Ordering::SeqCst) < 0
    }
}
