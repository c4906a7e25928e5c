//! When an expression fires in a zone whose clock may be set forward and back.
//!
//! A *fixed-time* expression fires once for each of its times: at the first instant after the gap when a gap swallows it,
//! the first time when it is repeated. An *interval* follows the clock as it runs: nothing in a gap, twice in a
//! repeated hour.

use super::calendar::LAST_SECOND;
use super::expression::Cron;
use super::zone::{Span, Zone};

/// Instants beyond this are outside of 1970-2099 in every zone; keeping to it keeps the arithmetic from overflowing.
pub(super) const FAR: i64 = LAST_SECOND as i64 + 2 * 86_400;

impl Cron {
    /// The first fire time later than `unix`; both in unix seconds. Never allocates, never loops: about ten
    /// nanoseconds, or a microsecond when there is none.
    ///
    /// ```
    /// use gulou::cron::{Cron, Zone};
    /// let cron = Cron::parse("0 30 17 * * FRI *")?;
    /// let shanghai = Zone::of(chrono_tz::Asia::Shanghai);
    /// assert_eq!(cron.next_after(1_767_225_600, &shanghai), Some(1_767_346_200)); // 2026-01-02T17:30:00+08:00
    /// # Ok::<(), gulou::cron::ParseError>(())
    /// ```
    pub fn next_after(&self, unix: i64, zone: &Zone) -> Option<i64> {
        let from = unix.saturating_add(1).max(-FAR);
        if from > FAR {
            return None;
        }
        let index = zone.index_at(from);
        if self.is_fixed_time() {
            self.fixed_from(from, index, zone)
        } else {
            self.interval_from(from, index, zone)
        }
    }

    /// The last fire time earlier than `unix`; both in unix seconds.
    pub fn previous_before(&self, unix: i64, zone: &Zone) -> Option<i64> {
        let until = unix.saturating_sub(1).min(FAR);
        if until < -FAR {
            return None;
        }
        let index = zone.index_at(until);
        if self.is_fixed_time() {
            self.fixed_until(until, index, zone)
        } else {
            self.interval_until(until, index, zone)
        }
    }

    fn fixed_from(&self, from: i64, index: usize, zone: &Zone) -> Option<i64> {
        let span = zone.span(index);
        // At the very start of a span the times of the gap before it are due; later, and in a repeated hour, only times
        // that the clock of the span before did not show.
        let earliest = if from == span.start { span.before } else { span.before.max(from + span.offset) };
        let local = self.first_at_or_after(earliest)?;
        Some(fixed_instant(local, &span, zone))
    }

    fn fixed_until(&self, until: i64, index: usize, zone: &Zone) -> Option<i64> {
        let span = zone.span(index);
        let shown = until + span.offset;
        let latest = if shown < span.before { span.before - 1 } else { shown };
        let local = self.last_at_or_before(latest)?;
        Some(fixed_instant(local, &span, zone))
    }

    fn interval_from(&self, from: i64, mut index: usize, zone: &Zone) -> Option<i64> {
        let mut span = zone.span(index);
        let mut shown = from + span.offset;
        loop {
            let found = self.first_at_or_after(shown);
            if let Some(local) = found
                && local < span.local_end()
            {
                return Some(local - span.offset);
            }
            // The clock may be set back to before `shown`; then what was before it comes again.
            let following = zone.spans().get(index + 1)?;
            if following.local_start() < shown {
                index += 1;
                span = *following;
                shown = span.local_start();
                continue;
            }
            // Otherwise nothing fires until a clock shows `local`, or has just been set past it.
            let local = found?;
            index = zone.index_of_local(local);
            span = zone.span(index);
            if local >= span.local_start() {
                return Some(local - span.offset);
            }
            shown = span.local_start();
        }
    }

    fn interval_until(&self, until: i64, mut index: usize, zone: &Zone) -> Option<i64> {
        let mut span = zone.span(index);
        let mut shown = until + span.offset;
        loop {
            let found = self.last_at_or_before(shown);
            if let Some(local) = found
                && local >= span.local_start()
            {
                return Some(local - span.offset);
            }
            // Before the clock was set back it may have shown what is after `shown`.
            index = index.checked_sub(1)?;
            if span.before - 1 > shown {
                span = zone.span(index);
                shown = span.local_end() - 1;
                continue;
            }
            let local = found?;
            index = zone.index_of_local(local);
            // Of two spans that show it, the later one counts.
            while zone.spans().get(index + 1).is_some_and(|following| following.local_start() <= local) {
                index += 1;
            }
            span = zone.span(index);
            if local >= span.local_start() {
                return Some(local - span.offset);
            }
            // `local` is in the gap before `span`: go on from the last second before the gap.
            index = index.checked_sub(1)?;
            span = zone.span(index);
            shown = span.local_end() - 1;
        }
    }
}

/// When a clock shows `local` for the first time, or the end of the gap that swallows it. `near` is a likely span.
fn fixed_instant(local: i64, near: &Span, zone: &Zone) -> i64 {
    if local >= near.before && local < near.local_end() {
        (local - near.offset).max(near.start)
    } else {
        zone.instant_of(local)
    }
}
