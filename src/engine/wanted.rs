//! A claim that the engine is about to make.

use super::runner::Function;
use crate::run::Reason;
use crate::settings::Overlap;

/// A claim to be made, and where it came from.
pub(super) struct Wanted {
    pub(super) function: usize,
    pub(super) trigger: usize,
    pub(super) fire_time: i64,
    pub(super) reason: Reason,
    pub(super) attempt: u32,
    pub(super) missed: u32,
    pub(super) backlog_of: Option<usize>,
}

impl Wanted {
    /// What was cut off had passed the overlap rule already, and nothing of it runs any more.
    pub(super) const fn overlap(&self, function: &Function) -> Overlap {
        match self.reason {
            Reason::Resume | Reason::Retry => Overlap::Allow,
            Reason::Timed | Reason::CatchUp | Reason::Manual => function.overlap,
        }
    }
}
