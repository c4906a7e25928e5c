//! Runs of several attempts. A run that waits for its next attempt is still running: the overlap rule holds, and the
//! state knows until when it waits.

use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::run::{Outcome, Status};
use crate::settings::RetryPolicy;

/// The wall clock is looked at so often, for somebody may set it.
const LOOK: Duration = Duration::from_secs(30);

/// How long a run waits after its attempt number `attempt`, which came to `outcome`; none: that was the last. `random` is
/// any number.
pub(super) fn wait_after(
    policy: &RetryPolicy,
    attempt: u32,
    outcome: &Outcome,
    random: u64,
) -> Option<Duration> {
    let again = match outcome.status {
        Status::Failed => policy.on.failed,
        Status::TimedOut => policy.on.timed_out,
        Status::Succeeded | Status::Interrupted => false,
    };
    if !again || attempt >= policy.attempts {
        return None;
    }
    let growth = policy.factor.saturating_pow(attempt.saturating_sub(1));
    let wait = policy.delay.saturating_mul(growth).min(policy.max_delay);
    if !policy.jitter {
        return Some(wait);
    }
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Some(Duration::from_millis(random % millis.saturating_add(1)))
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// The next attempt is due.
    Due,
    /// The daemon drains; the next process goes on.
    Drained,
    /// The run must end now.
    Aborted,
}

/// Waits until `due`, unix milliseconds.
pub(super) async fn wait_until(
    due: i64,
    clock: &Clock,
    drain: &CancellationToken,
    abort: &CancellationToken,
) -> Waited {
    loop {
        if abort.is_cancelled() {
            return Waited::Aborted;
        }
        if drain.is_cancelled() {
            return Waited::Drained;
        }
        let left = TimeDelta::milliseconds(due.saturating_sub(clock.now().timestamp_millis()));
        let Some(left) = left.to_std().ok().filter(|left| !left.is_zero()) else { return Waited::Due };
        tokio::select! {
            biased;
            () = abort.cancelled() => return Waited::Aborted,
            () = drain.cancelled() => return Waited::Drained,
            () = tokio::time::sleep(left.min(LOOK)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::RetryOn;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            attempts: 6,
            delay: Duration::from_secs(10),
            factor: 2,
            max_delay: Duration::from_secs(60),
            jitter: false,
            on: RetryOn { failed: true, timed_out: false },
        }
    }

    fn waits(policy: &RetryPolicy, random: u64) -> Vec<u64> {
        let failed = Outcome::failed("no");
        let waits = (1..).map_while(|attempt| wait_after(policy, attempt, &failed, random));
        waits.map(|wait| u64::try_from(wait.as_millis()).unwrap()).collect()
    }

    #[test]
    fn waits_grow_up_to_their_bound_and_end_with_the_attempts() {
        assert_eq!(waits(&policy(), 7), [10_000, 20_000, 40_000, 60_000, 60_000]);
        assert_eq!(waits(&RetryPolicy::CLOUD, 7), [60_000, 60_000]);
        let long = RetryPolicy { attempts: 100, factor: 10, ..policy() };
        assert_eq!(waits(&long, 7).len(), 99, "no overflow");
    }

    #[test]
    fn with_jitter_a_wait_is_drawn_from_all_of_its_length() {
        let policy = RetryPolicy { jitter: true, ..policy() };
        assert_eq!(waits(&policy, 0), [0; 5]);
        assert_eq!(waits(&policy, 10_000)[..2], [10_000, 10_000]);
        assert_eq!(waits(&policy, 10_001)[..2], [0, 10_001]);
    }

    #[test]
    fn only_what_the_policy_names_is_tried_again() {
        let outcome = |status| Outcome { status, ..Outcome::failed("no") };
        let again = |status| wait_after(&policy(), 1, &outcome(status), 0).is_some();
        assert!(again(Status::Failed));
        assert!(!again(Status::TimedOut) && !again(Status::Succeeded) && !again(Status::Interrupted));
    }
}
