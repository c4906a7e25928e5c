//! What all runs of a batch share.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::ledger::Ledger;
use super::source::{Moment, Source};
use super::ticket::Rules;
use crate::clock::Clock;
use crate::run::{Fire, Reason};
use crate::settings::BatchSettings;

/// A batch's parts.
#[derive(Debug)]
pub(super) struct Job<A> {
    pub(super) settings: BatchSettings,
    pub(super) source: Source,
    pub(super) ledger: Ledger,
    pub(super) action: Arc<A>,
    pub(super) clock: Clock,
    pub(super) timezone: Tz,
    pub(super) rules: Rules,
}

/// Whether a run delivers what is due of the retry lane, and nothing else: batches have no other retries.
pub(super) fn is_lane_run(fire: &Fire) -> bool {
    fire.reason == Reason::Retry
}

impl<A> Job<A> {
    /// The present moment of a run for a fire that was due at `fire_time`.
    pub(super) fn moment(&self, fire_time: DateTime<Utc>) -> Moment {
        Moment { fire_time, now: self.clock.now(), timezone: self.timezone }
    }

    /// Rows a page.
    pub(super) fn page(&self) -> usize {
        self.settings.source.page as usize
    }
}
