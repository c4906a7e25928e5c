//! Schedules and instants on the command line.

use chrono::{DateTime, FixedOffset, Offset, SecondsFormat, TimeDelta, TimeZone, Utc};
use chrono_tz::Asia::Shanghai;
use chrono_tz::Tz;

use crate::clock::Clock;
use crate::schedule::{self, Schedule};

/// A schedule and the instant to start from, now if none was typed, as `next` and `explain` take them. An
/// error of the expression has several lines with a caret, or one when `one_line` asks for it.
pub(super) fn schedule(
    expression: &str,
    zone: &str,
    after: Option<&str>,
    one_line: bool,
) -> Result<(Schedule, i64), String> {
    let after = match after {
        None => Clock::system().now().timestamp(),
        Some(text) => parse("--after", text)?,
    };
    schedule::timezone(zone).map_err(|error| format!("--tz: {error}"))?;
    let schedule = Schedule::parse(expression, zone)
        .map_err(|error| if one_line { error.one_line() } else { error.to_string() })?;
    Ok((schedule, after))
}

/// An instant that the user typed for `option`; fractions of a second are dropped. The error is one line.
fn parse(option: &str, text: &str) -> Result<i64, String> {
    DateTime::parse_from_rfc3339(text).map(|time| time.timestamp()).map_err(|_| {
        let text = text.escape_debug();
        format!("{option}: `{text}` is not a time; write it like `2026-06-01T09:00:00+08:00`")
    })
}

/// An instant with the zone's offset. RFC 3339 knows whole minutes only; offsets of the 1970s with seconds in them are cut.
pub(super) fn rfc3339(unix: i64, zone: Tz) -> String {
    let utc = DateTime::from_timestamp(unix, 0).unwrap_or_default();
    let offset = zone.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc();
    let offset = FixedOffset::east_opt(offset / 60 * 60).unwrap_or_else(|| Utc.fix());
    utc.with_timezone(&offset).format("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// Beijing time.
pub(super) fn seconds(unix: i64) -> String {
    DateTime::from_timestamp(unix, 0).unwrap_or_default().with_timezone(&Shanghai).to_rfc3339()
}

/// Beijing time with milliseconds.
pub(super) fn millis(unix: i64) -> String {
    let instant = DateTime::from_timestamp_millis(unix).unwrap_or_default().with_timezone(&Shanghai);
    instant.to_rfc3339_opts(SecondsFormat::Millis, false)
}

/// A span of time in its two largest units, for people; nothing below a second.
pub(super) fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} m {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} m", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_with_seconds_keep_the_instant() {
        let text = rfc3339(0, chrono_tz::Africa::Monrovia);
        assert_eq!(text, "1969-12-31T23:16:00-00:44");
        assert_eq!(parse("--after", &text), Ok(0));
    }

    #[test]
    fn spans_have_two_units() {
        let text = |seconds| span(TimeDelta::seconds(seconds));
        assert_eq!(
            [-5, 0, 59, 60, 3599, 3600, 86_399, 86_400, 300_000].map(text),
            ["0 s", "0 s", "59 s", "1 m 0 s", "59 m 59 s", "1 h 0 m", "23 h 59 m", "1 d 0 h", "3 d 11 h"]
        );
    }
}
