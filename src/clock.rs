//! The only reader of time. Everything else is handed a [`Clock`].
//!
//! Wall time is for reporting and scheduling, monotonic time for measuring how long something took.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

/// The system clock, or one that a test moves by hand.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { started: Instant },
    Manual(Arc<Mutex<Manual>>),
}

#[derive(Debug)]
struct Manual {
    wall: DateTime<Utc>,
    elapsed: Duration,
}

impl Clock {
    /// The machine's clock.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn system() -> Self {
        Self(Source::System { started: Instant::now() })
    }

    /// A clock that stands at `wall` until [`Clock::advance`] or [`Clock::set`] moves it.
    pub fn manual(wall: DateTime<Utc>) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(Manual { wall, elapsed: Duration::ZERO }))))
    }

    /// The wall clock, in UTC.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Source::System { .. } => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
                DateTime::from_timestamp(seconds, since.subsec_nanos()).unwrap_or(DateTime::<Utc>::MAX_UTC)
            }
            Source::Manual(manual) => lock(manual).wall,
        }
    }

    /// Time since this clock was made; never goes back, whatever happens to the wall clock.
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Source::System { started } => started.elapsed(),
            Source::Manual(manual) => lock(manual).elapsed,
        }
    }

    /// Moves a manual clock forward; does nothing to the system clock.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(manual) = &self.0 {
            let mut manual = lock(manual);
            manual.wall += by;
            manual.elapsed += by;
        }
    }

    /// Puts the wall time of a manual clock somewhere else, as an operator with `date -s` would.
    pub fn set(&self, wall: DateTime<Utc>) {
        if let Source::Manual(manual) = &self.0 {
            lock(manual).wall = wall;
        }
    }
}

fn lock(manual: &Mutex<Manual>) -> std::sync::MutexGuard<'_, Manual> {
    manual.lock().unwrap_or_else(PoisonError::into_inner)
}
