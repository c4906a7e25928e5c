//! When a trigger fires: a cron expression in a zone, a fixed interval, or given instants.
//!
//! Knows the expression language (`cron`) and nothing else of the crate: no clock, no configuration.

mod at;
mod bounds;
mod every;
mod explain;
mod lint;
mod timezone;

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use crate::cron::{Cron, ParseError, Zone};
pub use crate::cron::{Language, Lint};
use every::Every;
pub use lint::LintFacts;
pub use timezone::{UnknownTimezone, timezone};

/// When a trigger fires. 96 bytes; the zone's table is shared by all schedules of the zone.
///
/// Two are equal when they are read from the same form, in the same zone, with the same bounds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Schedule {
    form: Form,
    zone: Arc<Zone>,
    /// Unix seconds; no fire time is earlier. [`i64::MIN`] without such a bound.
    start: i64,
    /// Unix seconds; no fire time is later. [`i64::MAX`] without such a bound.
    end: i64,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Form {
    Cron(Cron),
    Every(Every),
    /// Unix seconds, ascending.
    At(Arc<[i64]>),
}

/// Why a schedule was refused.
///
/// `Display` may take several lines, with a caret under the place; [`ScheduleError::one_line`] takes one.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The text is not one of the three forms.
    #[error(transparent)]
    Expression(#[from] ParseError),
    /// There is no such time zone.
    #[error(transparent)]
    Timezone(#[from] UnknownTimezone),
}

impl ScheduleError {
    /// The message in one line, without the caret.
    pub fn one_line(&self) -> String {
        match self {
            Self::Expression(error) => error.one_line(),
            Self::Timezone(error) => error.to_string(),
        }
    }
}

impl Schedule {
    /// Reads the text of `triggers[].config` for the IANA zone `timezone`: seven cron fields, `@every …` or `@at …`.
    ///
    /// ```
    /// use gulou::schedule::Schedule;
    /// let schedule = Schedule::parse("@every 90m from 2026-01-01T08:00:00+08:00", "Asia/Shanghai")?;
    /// assert_eq!(schedule.next(1_767_225_600), Some(1_767_231_000)); // 08:00 and 09:30 in Beijing
    /// # Ok::<(), gulou::schedule::ScheduleError>(())
    /// ```
    pub fn parse(text: &str, timezone: &str) -> Result<Self, ScheduleError> {
        let zone = Zone::of(self::timezone(timezone)?);
        let form = match word_and_rest(text) {
            ("@every", rest) => Form::Every(every::parse(text, rest, &zone)?),
            ("@at", rest) => Form::At(at::parse(text, rest, &zone)?.into()),
            _ => Form::Cron(Cron::parse(text)?),
        };
        Ok(Self { form, zone, start: i64::MIN, end: i64::MAX })
    }

    /// Has no fire time at all.
    pub fn never() -> Self {
        let form = Form::At(Arc::default());
        Self { form, zone: Zone::of(chrono_tz::Asia::Shanghai), start: i64::MIN, end: i64::MAX }
    }

    /// The first fire time later than `after`; both in unix seconds. `None` when there is none until the end of 2099.
    pub fn next(&self, after: i64) -> Option<i64> {
        let after = after.max(self.start.saturating_sub(1));
        let next = match &self.form {
            Form::Cron(cron) => cron.next_after(after, &self.zone),
            Form::Every(every) => every.next(after),
            Form::At(times) => times.get(times.partition_point(|time| *time <= after)).copied(),
        };
        next.filter(|next| *next <= self.end)
    }

    /// The last fire time earlier than `before`; both in unix seconds. `None` when there is none since 1970.
    pub fn previous(&self, before: i64) -> Option<i64> {
        let before = before.min(self.end.saturating_add(1));
        let previous = match &self.form {
            Form::Cron(cron) => cron.previous_before(before, &self.zone),
            Form::Every(every) => every.previous(before),
            Form::At(times) => times[..times.partition_point(|time| *time < before)].last().copied(),
        };
        previous.filter(|previous| *previous >= self.start)
    }

    /// How many fire times are later than `after` and not later than `until`, both in unix seconds. Counts days and
    /// does not walk, so that years of seconds take microseconds.
    pub fn count(&self, after: i64, until: i64) -> u64 {
        let (after, until) = (after.max(self.start.saturating_sub(1)), until.min(self.end));
        match &self.form {
            _ if after >= until => 0,
            Form::Cron(cron) => cron.count_between(after, until, &self.zone),
            Form::Every(every) => every.count(after, until),
            Form::At(times) => {
                let passed = |unix: i64| times.partition_point(|time| *time <= unix);
                (passed(until) - passed(after)) as u64
            }
        }
    }

    /// The zone whose clock the schedule follows.
    pub fn timezone(&self) -> Tz {
        self.zone.tz()
    }
}

/// The first word, and the byte at which the text after it starts.
fn word_and_rest(text: &str) -> (&str, usize) {
    let start = text.len() - text.trim_start_matches(is_blank).len();
    let end = text[start..].find(is_blank).map_or(text.len(), |length| start + length);
    (&text[start..end], end)
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// `1d2h3m4s`, as `@every` takes it; fractions of a second are rounded up.
fn written(duration: Duration) -> String {
    let mut rest = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    let mut text = String::new();
    for (unit, letter) in [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')] {
        if rest >= unit {
            text.push_str(&(rest / unit).to_string());
            text.push(letter);
            rest %= unit;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// An instant in RFC 3339 with whole seconds, between 1970 and 2099; unix seconds. `start..end` is where it stands.
fn instant(text: &str, part: &'static str, start: usize, end: usize, zone: &Zone) -> Result<i64, ParseError> {
    let word = &text[start..end];
    let error = |problem: String| ParseError::new(text, part, start, end, problem);
    let quoted = crate::cron::quoted(word);
    let Ok(time) = chrono::DateTime::parse_from_rfc3339(word) else {
        let error = error(format!("{quoted} is not a time"));
        return Err(match timezone::with_offset(word, zone) {
            Some(complete) => error.with_help(format!("write `{complete}`")),
            None => error.with_help("write it like `2026-06-01T09:00:00+08:00`"),
        });
    };
    if time.timestamp_subsec_nanos() != 0 {
        return Err(error(format!("{quoted} has a fraction: fire times are whole seconds")));
    }
    let unix = time.timestamp();
    if !(0..=every::LAST).contains(&unix) {
        return Err(error(format!("{quoted} is out of range: expected 1970 to 2099")));
    }
    Ok(unix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Schedule::parse(text, "Asia/Shanghai").unwrap_err().one_line()
    }

    #[test]
    fn is_small_and_shared() {
        fn shared<T: Send + Sync + Clone>() {}
        shared::<Schedule>();
        assert!(size_of::<Schedule>() <= 100, "{}", size_of::<Schedule>());
    }

    #[test]
    fn every_counts_from_its_anchor() {
        let schedule = Schedule::parse("@every 1d12h", "Asia/Shanghai").unwrap();
        let anchor = -8 * 3600;
        assert_eq!(schedule.next(0), Some(anchor + 36 * 3600));
        assert_eq!(schedule.previous(anchor + 36 * 3600 + 1), Some(anchor + 36 * 3600));
        assert_eq!(schedule.previous(anchor + 36 * 3600), Some(anchor));
        assert_eq!(schedule.previous(anchor), None);

        let schedule =
            Schedule::parse("  @every\t90s from 2026-01-01T08:00:00+08:00 ", "Asia/Shanghai").unwrap();
        let anchor = 1_767_225_600;
        assert_eq!(schedule.next(0), Some(anchor));
        assert_eq!(schedule.next(anchor), Some(anchor + 90));
        assert_eq!(schedule.next(anchor + 91), Some(anchor + 180));
        assert_eq!(schedule.next(i64::MAX), None);
        assert_eq!(schedule.next(i64::MIN), Some(anchor));
        assert_eq!(schedule.previous(i64::MIN), None);
    }

    #[test]
    fn at_takes_several_instants_in_any_order() {
        let text = "@at 2026-06-01T09:00:00+08:00, 2026-01-01T00:00:00Z,2026-06-01T01:00:00Z";
        let schedule = Schedule::parse(text, "Asia/Shanghai").unwrap();
        assert_eq!(schedule.next(0), Some(1_767_225_600));
        assert_eq!(schedule.next(1_767_225_600), Some(1_780_275_600));
        assert_eq!(schedule.next(1_780_275_600), None);
        assert_eq!(schedule.previous(1_780_275_600), Some(1_767_225_600));
        assert_eq!(schedule.previous(1_767_225_600), None);
    }

    #[test]
    fn counts_are_arithmetic() {
        let every = Schedule::parse("@every 90s from 2026-01-01T08:00:00+08:00", "UTC").unwrap();
        let anchor = 1_767_225_600;
        for (after, until, expected) in [
            (anchor - 1, anchor, 1),
            (anchor, anchor, 0),
            (anchor, anchor - 1, 0),
            (anchor, anchor + 89, 0),
            (anchor, anchor + 90, 1),
            (i64::MIN, anchor + 900, 11),
            (i64::MIN, i64::MAX, 25_946_880),
            (every::LAST, i64::MAX, 0),
        ] {
            assert_eq!(every.count(after, until), expected, "{after} {until}");
        }
        let at = Schedule::parse("@at 2026-01-01T00:00:00Z,2026-06-01T01:00:00Z", "UTC").unwrap();
        for (after, until, expected) in [
            (i64::MIN, i64::MAX, 2),
            (anchor - 1, anchor, 1),
            (anchor, 1_780_275_600, 1),
            (anchor, 1_780_275_599, 0),
            (i64::MAX, i64::MIN, 0),
        ] {
            assert_eq!(at.count(after, until), expected, "{after} {until}");
        }
    }

    #[test]
    fn equal_means_same_form_zone_and_bounds() {
        let parse = |text| Schedule::parse(text, "Asia/Shanghai").unwrap();
        assert_eq!(parse("0 0 9 * * MON *"), parse("0  0 9 * * mon *"));
        assert_eq!(parse("@every 90s"), parse("@every 1m30s"));
        assert_eq!(
            parse("@at 2026-06-01T09:00:00+08:00,2026-01-01T00:00:00Z"),
            parse("@at 2026-01-01T00:00:00Z,2026-06-01T01:00:00Z")
        );
        let one = parse("0 0 9 * * MON *");
        for other in [
            parse("0 0 9 * * TUE *"),
            parse("@every 7d"),
            Schedule::parse("0 0 9 * * MON *", "Asia/Hong_Kong").unwrap(),
            one.clone().within(Some(0), None),
            one.clone().within(None, Some(0)),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn every_says_what_is_wrong() {
        for (text, message) in [
            (
                "@every",
                "interval, column 7: the interval is missing; write it like `@every 90s` or `@every 1d12h`",
            ),
            ("@every 90", "interval, column 8: `90` has no unit: expected s, m, h or d; write `@every 90s`"),
            (
                "@every Xm",
                "interval, column 8: `Xm` is not an interval; write it like `@every 90s` or `@every 1d12h`",
            ),
            ("@every 0s", "interval, column 8: an interval of 0 never moves on; the shortest is `1s`"),
            ("@every 500ms", "interval, column 8: `500ms` is not an interval; fire times are whole seconds"),
            (
                "@every 1.5h",
                "interval, column 8: `1.5h` is not an interval; write whole numbers, such as `1h30m`",
            ),
            (
                "@every 90 min",
                "interval, column 8: `90` has no unit: expected s, m, h or d; write `@every 90m`",
            ),
            (
                "@every 2h3h",
                "interval, column 8: `2h3h` is not an interval; units go from large to small, each once: `1d12h30m5s`",
            ),
            (
                "@every 90s at noon",
                "interval, column 12: `at` is not known here; only `from` and a time may follow",
            ),
            (
                "@every 90s from",
                "from, column 16: the time is missing; write it like `2026-06-01T09:00:00+08:00`",
            ),
            (
                "@every 90s from 2026-01-01 08:00",
                "from, column 17: `2026-01-01 08:00` is not a time; write `2026-01-01T08:00:00+08:00`",
            ),
            (
                "@every 99999999999999999999d",
                "interval, column 8: the interval is too long: at most 47482 days",
            ),
        ] {
            assert_eq!(refused(text), message, "{text}");
        }
    }

    #[test]
    fn at_says_what_is_wrong() {
        for (text, message) in [
            ("@at", "time, column 4: the time is missing; write it like `2026-06-01T09:00:00+08:00`"),
            (
                "@at 2026-06-01T09:00:00",
                "time, column 5: `2026-06-01T09:00:00` is not a time; write `2026-06-01T09:00:00+08:00`",
            ),
            (
                "@at 2026-06-01T09:00:00Z,",
                "time, column 26: the time is missing; write it like `2026-06-01T09:00:00+08:00`",
            ),
            (
                "@at tomorrow",
                "time, column 5: `tomorrow` is not a time; write it like `2026-06-01T09:00:00+08:00`",
            ),
            (
                "@at 2100-06-01T09:00:00Z",
                "time, column 5: `2100-06-01T09:00:00Z` is out of range: expected 1970 to 2099",
            ),
            (
                "@at 2026-06-01T09:00:00.5Z",
                "time, column 5: `2026-06-01T09:00:00.5Z` has a fraction: fire times are whole seconds",
            ),
        ] {
            assert_eq!(refused(text), message, "{text}");
        }
    }

    #[test]
    fn a_time_without_offset_is_completed_by_the_zone() {
        let error = Schedule::parse("@at 2026-06-01 09:00", "America/New_York").unwrap_err();
        assert_eq!(
            error.to_string(),
            "time: `2026-06-01 09:00` is not a time\n  @at 2026-06-01 09:00\n      ^^^^^^^^^^^^^^^^\n  \
             help: write `2026-06-01T09:00:00-04:00`"
        );
    }
}
