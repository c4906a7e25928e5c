//! When a run that failed is tried again.

use std::time::Duration;

/// When a run that failed is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first one included; 2 to 100.
    pub attempts: u32,
    /// Before the second try, at most; 10 s unless configured.
    pub delay: Duration,
    /// Each later wait is so many times the one before; 2 unless configured, 1 to 10.
    pub factor: u32,
    /// No wait is longer; 10 min unless configured.
    pub max_delay: Duration,
    /// Each wait is drawn between nothing and its length ("full jitter",
    /// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>), so that what failed together does not
    /// come back together.
    pub jitter: bool,
    /// What is tried again.
    pub on: RetryOn,
}

/// Which ends of a try are followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// It failed.
    pub failed: bool,
    /// It did not end within its time.
    pub timed_out: bool,
}

impl RetryPolicy {
    /// What the cloud does with a timer's call: two more tries, a minute apart.
    pub const CLOUD: Self = Self {
        attempts: 3,
        delay: Duration::from_secs(60),
        factor: 1,
        max_delay: Duration::from_secs(60),
        jitter: false,
        on: RetryOn { failed: true, timed_out: true },
    };
}
