//! How far a run has got: the run writes, whoever asks reads, and neither waits for the other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The rate is that of so long a time.
const WINDOW: Duration = Duration::from_secs(10);
/// Between two samples of the counts, from which the rate is found.
const SAMPLE: Duration = Duration::from_secs(1);
/// From a shorter time no rate is told.
const SHORTEST: Duration = Duration::from_millis(100);
/// A count that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Where a run writes how far it has got. Cheap to clone; clones share what is written.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// In the order of [`Counts`].
    counts: [AtomicU64; 7],
    /// When the newest sample was taken, in milliseconds, monotonic.
    sampled: AtomicU64,
    /// Monotonic times, and how many rows had been settled; from before the window to the present. Empty: nothing
    /// has been written yet.
    samples: Mutex<VecDeque<(Duration, u64)>>,
}

/// Rows of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// That it took.
    pub taken: u64,
    /// Delivered.
    pub sent: u64,
    /// Failed for good.
    pub failed: u64,
    /// Not delivered, and tried again later.
    pub retrying: u64,
    /// All that have come to an end in this run, whatever it is.
    pub settled: u64,
    /// To come in this pass through the table, of this run and of later ones, if that is known.
    pub remaining: Option<u64>,
    /// To come in this run, if that is known.
    pub to_come: Option<u64>,
}

/// A run at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HowFar {
    /// Its rows.
    pub counts: Counts,
    /// Rows settled a second, over the last ten seconds; to a tenth.
    pub rate: f64,
    /// The time until its end at that rate; none: it cannot be told.
    pub left: Option<Duration>,
}

impl Progress {
    /// Writes how far the run is at `now`, monotonic. Only the run itself may call it.
    pub fn publish(&self, now: Duration, counts: &Counts) {
        let Counts { taken, sent, failed, retrying, settled, remaining, to_come } = *counts;
        let (remaining, to_come) = (remaining.unwrap_or(UNKNOWN), to_come.unwrap_or(UNKNOWN));
        let values = [taken, sent, failed, retrying, settled, remaining, to_come];
        for (count, value) in self.0.counts.iter().zip(values) {
            count.store(value, Ordering::Relaxed);
        }
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let newest = self.0.sampled.load(Ordering::Relaxed);
        if newest != 0 && u128::from(millis - newest.min(millis)) < SAMPLE.as_millis() {
            return;
        }
        // 0 says that there is none yet.
        self.0.sampled.store(millis.max(1), Ordering::Relaxed);
        let mut samples = self.0.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push_back((now, settled));
        while samples.get(1).is_some_and(|(at, _)| *at + WINDOW <= now) {
            samples.pop_front();
        }
    }

    /// How far it is at `now`, by the same clock; none: it has not begun, or does not say.
    pub fn at(&self, now: Duration) -> Option<HowFar> {
        let (since, before) = {
            let samples = self.0.samples.lock().unwrap_or_else(PoisonError::into_inner);
            // A run that stands still takes no samples.
            let outside = samples.iter().rev().find(|(at, _)| *at + WINDOW <= now);
            *outside.or_else(|| samples.front())?
        };
        let values = self.0.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        let [taken, sent, failed, retrying, settled, remaining, to_come] = values;
        let known = |count: u64| (count != UNKNOWN).then_some(count);
        let (remaining, to_come) = (known(remaining), known(to_come));
        let rate = rate(settled.saturating_sub(before), now.saturating_sub(since));
        let left = to_come.and_then(|rows| time_for(rows + taken.saturating_sub(settled), rate));
        let counts = Counts { taken, sent, failed, retrying, settled, remaining, to_come };
        Some(HowFar { counts, rate: (rate * 10.0).round() / 10.0, left })
    }
}

/// Rows a second.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(rows: u64, took: Duration) -> f64 {
    if took < SHORTEST { 0.0 } else { rows as f64 / took.as_secs_f64() }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn time_for(rows: u64, rate: f64) -> Option<Duration> {
    if rows == 0 { Some(Duration::ZERO) } else { Duration::try_from_secs_f64(rows as f64 / rate).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(settled: u64) -> Counts {
        let (taken, to_come) = (settled + 10, Some(990 - settled.min(990)));
        Counts { taken, sent: settled, failed: 0, retrying: 0, settled, remaining: Some(5000), to_come }
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// 20 rows a second, told every 50 ms from second 100 on.
    fn steady(until: u32) -> Progress {
        let progress = Progress::default();
        for step in 0..=until * 20 {
            let at = Duration::from_secs(100) + Duration::from_millis(50) * step;
            progress.publish(at, &counts(step.into()));
        }
        progress
    }

    #[test]
    fn what_was_not_begun_is_not_told() {
        assert_eq!(Progress::default().at(seconds(5.0)), None);
    }

    #[test]
    fn the_first_word_tells_no_rate() {
        let progress = Progress::default();
        progress.publish(Duration::ZERO, &counts(0));
        let told = progress.at(seconds(0.05)).unwrap();
        assert_eq!((told.counts, told.rate, told.left), (counts(0), 0.0, None));
    }

    #[test]
    fn a_steady_run_has_its_rate_and_its_end() {
        for after in [1, 7, 40] {
            let told = steady(after).at(seconds(100.0 + f64::from(after))).unwrap();
            assert_eq!((told.counts, told.rate), (counts(u64::from(after) * 20), 20.0));
            // 1000 rows in all.
            assert_eq!(told.left, Some(seconds(50.0 - f64::from(after))), "after {after} s");
        }
    }

    #[test]
    fn only_the_last_seconds_make_the_rate() {
        let progress = steady(20);
        for step in 1..=30_u64 {
            progress.publish(Duration::from_secs(120 + step), &counts(400 + step));
        }
        assert_eq!(progress.at(seconds(150.0)).map(|told| told.rate), Some(1.0));
        assert!(progress.0.samples.lock().unwrap().len() <= 12);
    }

    #[test]
    fn a_run_that_stands_still_slows_down_to_nothing() {
        let progress = steady(20);
        assert_eq!(progress.at(seconds(125.0)).map(|told| told.rate), Some(10.0));
        let told = progress.at(seconds(100_000.0)).unwrap();
        assert_eq!((told.rate, told.counts.settled), (0.0, 400));
    }

    #[test]
    fn without_a_count_there_is_no_end() {
        let progress = Progress::default();
        let unknown = |settled| Counts { to_come: None, remaining: None, ..counts(settled) };
        progress.publish(seconds(1.0), &unknown(0));
        progress.publish(seconds(3.0), &unknown(50));
        let told = progress.at(seconds(3.0)).unwrap();
        assert_eq!((told.counts, told.rate, told.left), (unknown(50), 25.0, None));
    }
}
