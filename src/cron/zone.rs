//! A time zone as a table of spans, each with one offset from UTC; good for 1970 to 2099.
//!
//! chrono-tz knows the rules; asking it costs about 20 ns a time and it answers for one instant only. The table is made
//! from it once for each zone and shared. A clock is set forward or back at the border of two spans.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

use super::calendar::LAST_SECOND;

/// One zone. Get it with [`Zone::of`]; it is made once and shared.
pub struct Zone {
    tz: Tz,
    spans: Box<[Span]>,
    /// The span that holds the first second of each [`BUCKET`] since [`FIRST`].
    buckets: Box<[u16]>,
}

/// A stretch of time with one offset. `start..end` in unix seconds; the local clock shows `unix + offset`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) offset: i64,
    /// What the local clock showed when the span before this one ended; [`i64::MIN`] for the first.
    /// Above `start + offset`: the hours between are repeated. Below: they are skipped.
    pub(super) before: i64,
}

/// No zone is further from UTC than this.
const MARGIN: i64 = 2 * 86_400;
/// Start of the table, a little before the first local second of 1970 anywhere.
const FIRST: i64 = -MARGIN;
/// End of the table, a little after the last local second of 2099 anywhere.
const LAST: i64 = LAST_SECOND as i64 + MARGIN;
/// Stands for a start or end that is never reached.
const NEVER: i64 = 1 << 40;
/// About six weeks, so that a bucket rarely holds more than one change.
const BUCKET: i64 = 1 << 22;
/// How far apart chrono-tz is asked when the table is made. The shortest time between two changes anywhere is longer.
const STEP: i64 = 86_400;

impl Zone {
    /// The zone `tz`, from the table that all share.
    pub fn of(tz: Tz) -> Arc<Self> {
        static ZONES: OnceLock<Mutex<HashMap<Tz, Arc<Zone>>>> = OnceLock::new();
        let mut zones = ZONES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(zones.entry(tz).or_insert_with(|| Arc::new(Self::build(tz))))
    }

    /// Which zone this is.
    pub const fn tz(&self) -> Tz {
        self.tz
    }

    /// Seconds to add to `unix` to get what the clock on the wall shows.
    pub fn offset_at(&self, unix: i64) -> i64 {
        self.spans[self.index_at(unix)].offset
    }

    /// When the clock on the wall shows `local` for the first time, or, when a gap swallows it, the end of the gap.
    /// `local` is in seconds since 1970-01-01T00:00:00 on that clock; the answer is in unix seconds.
    pub fn instant_of(&self, local: i64) -> i64 {
        let span = self.spans[self.index_of_local(local)];
        (local - span.offset).max(span.start)
    }

    fn build(tz: Tz) -> Self {
        let mut spans = vec![Span { start: -NEVER, end: NEVER, offset: offset(tz, FIRST), before: i64::MIN }];
        let mut known = FIRST;
        let mut current = spans[0].offset;
        while known < LAST {
            let there = known + STEP;
            let changed = offset(tz, there);
            if changed != current {
                let start = first_second_of(tz, changed, known, there);
                let before = start + current;
                if let Some(last) = spans.last_mut() {
                    last.end = start;
                }
                spans.push(Span { start, end: NEVER, offset: changed, before });
                current = changed;
            }
            known = there;
        }
        let mut index = 0;
        let buckets = (0..=(LAST - FIRST) / BUCKET)
            .map(|bucket| {
                while spans[usize::from(index)].end <= FIRST + bucket * BUCKET {
                    index += 1;
                }
                index
            })
            .collect();
        Self { tz, spans: spans.into(), buckets }
    }

    /// Where in the table the span of an instant is.
    pub(super) fn index_at(&self, unix: i64) -> usize {
        let last = self.spans.len() - 1;
        if unix >= self.spans[last].start {
            return last;
        }
        let bucket = usize::try_from((unix - FIRST) / BUCKET).unwrap_or(0);
        let mut index = self.buckets.get(bucket).map_or(0, |index| usize::from(*index));
        while self.spans[index].end <= unix {
            index += 1;
        }
        index
    }

    pub(super) fn span(&self, index: usize) -> Span {
        self.spans[index]
    }

    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The first span that is not over when its clock shows `local`: the one that shows it first, or, when no clock ever
    /// shows it, the one after the gap.
    pub(super) fn index_of_local(&self, local: i64) -> usize {
        let mut index = self.index_at(local.saturating_sub(MARGIN));
        while self.spans[index].local_end() <= local {
            index += 1;
        }
        index
    }
}

impl Span {
    /// What the clock shows when the span starts.
    pub(super) const fn local_start(&self) -> i64 {
        self.start + self.offset
    }

    /// What the clock would show when the span has just ended.
    pub(super) const fn local_end(&self) -> i64 {
        self.end + self.offset
    }
}

/// The name decides: there is one table for each.
impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.tz == other.tz
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zone").field(&self.tz.name()).finish()
    }
}

fn offset(tz: Tz, unix: i64) -> i64 {
    let utc = DateTime::from_timestamp(unix, 0).unwrap_or_default();
    tz.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc().into()
}

/// The second in `(low, high]` from which on the offset is `wanted`.
fn first_second_of(tz: Tz, wanted: i64, mut low: i64, mut high: i64) -> i64 {
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if offset(tz, middle) == wanted { high = middle } else { low = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Arc<Zone> {
        Zone::of(name.parse().unwrap())
    }

    #[test]
    fn shanghai_changed_its_clocks_from_1986_to_1991() {
        let zone = zone("Asia/Shanghai");
        assert_eq!(zone.spans().len(), 13);
        assert_eq!(zone.offset_at(0), 8 * 3600);
        assert_eq!(zone.offset_at(527_000_000), 9 * 3600);
        assert_eq!(zone.offset_at(4_000_000_000), 8 * 3600);
    }

    #[test]
    fn the_rules_go_on_until_2099() {
        let zone = zone("America/New_York");
        assert_eq!(zone.offset_at(4_086_000_000), -4 * 3600, "June 2099");
        assert_eq!(zone.spans().len(), 261);
    }

    #[test]
    fn a_zone_is_made_once() {
        assert!(Arc::ptr_eq(&zone("Europe/Berlin"), &zone("Europe/Berlin")));
    }

    /// What the search for a span relies on.
    #[test]
    fn local_clocks_move_on_from_span_to_span_in_every_zone() {
        for tz in chrono_tz::TZ_VARIANTS {
            let zone = Zone::of(tz);
            for pair in zone.spans().windows(2) {
                let [one, two] = pair else { unreachable!("windows of two") };
                assert_eq!(one.end, two.start, "{tz}");
                assert_eq!(two.before, one.local_end(), "{tz}");
                assert!(one.local_start() < two.local_start(), "{tz} {one:?}");
                assert!(one.local_end() < two.local_end(), "{tz} {one:?}");
                assert!(two.before <= two.local_end(), "{tz}: an hour is repeated twice");
                assert!(two.end - two.start > 2 * STEP, "{tz}: {two:?} could be missed");
            }
        }
    }
}
