//! How fast deliveries may start.

use std::time::Duration;

use crate::settings::Rate;

/// A late start may be made up for by this much, so that coarse timers do not cost rate.
const SLACK: Duration = Duration::from_millis(20);

/// Spaces starts evenly. Times are monotonic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacer {
    interval: Duration,
    next: Duration,
}

impl Pacer {
    /// No rate: everything may start at once.
    pub(super) fn new(rate: Option<Rate>) -> Self {
        let interval = rate.map_or(Duration::ZERO, |rate| rate.per / rate.count.get());
        Self { interval, next: Duration::ZERO }
    }

    /// Takes a start at `now`, or says how long to wait for it.
    pub(super) fn start(&mut self, now: Duration) -> Result<(), Duration> {
        if self.interval.is_zero() {
            return Ok(());
        }
        if let Some(wait) = self.next.checked_sub(now).filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        self.next = self.next.max(now.saturating_sub(SLACK)) + self.interval;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn pacer(count: u32, per: Duration) -> Pacer {
        Pacer::new(Some(Rate { count: NonZeroU32::new(count).unwrap(), per }))
    }

    /// Starts in `[from, to)`, asked every `step`.
    fn starts(pacer: &mut Pacer, from: Duration, to: Duration, step: Duration) -> u32 {
        let mut now = from;
        let mut count = 0;
        while now < to {
            while pacer.start(now).is_ok() {
                count += 1;
            }
            now += step;
        }
        count
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_rate_is_kept_with_a_coarse_timer() {
        for (count, step) in [(500, 1), (500, 7), (5000, 3), (10, 1)] {
            let mut pacer = pacer(count, SECOND);
            let began = starts(&mut pacer, SECOND, 11 * SECOND, Duration::from_millis(step));
            let wanted = count * 10;
            assert!(began.abs_diff(wanted) <= wanted / 100 + 1, "{count}/s every {step} ms: {began}");
        }
    }

    #[test]
    fn starts_are_even_and_a_pause_is_not_made_up_for() {
        let mut pacer = pacer(60, Duration::from_secs(60));
        assert_eq!(pacer.start(SECOND), Ok(()));
        assert!(pacer.start(SECOND + SECOND / 2).is_err());
        let almost_a_second = (101 * SECOND).saturating_sub(2 * SLACK);
        assert_eq!(starts(&mut pacer, 100 * SECOND, almost_a_second, Duration::from_millis(10)), 1);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut pacer = Pacer::new(None);
        assert!((0..1000).all(|_| pacer.start(Duration::ZERO).is_ok()));
    }
}
