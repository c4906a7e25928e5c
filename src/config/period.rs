//! From when until when a trigger fires: `start` and `end`.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeZone as _};
use chrono_tz::Tz;

use super::decode::{Fields, Node};
use crate::schedule::Schedule;

/// How a bound is written when it is not.
const EXAMPLE: &str = "write `2026-06-01` or `2026-06-01T09:00:00+08:00`";

/// Bounds of a trigger in unix seconds, both inclusive, as they were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Period {
    start: Option<i64>,
    end: Option<i64>,
}

impl Period {
    /// Reads `start` and `end` of a trigger whose clock is that of the zone `timezone`.
    pub fn read(trigger: &Fields<'_>, timezone: &str) -> Self {
        let Ok(zone) = crate::schedule::timezone(timezone) else { return Self::default() };
        let start = trigger.read("start", |node| bound(node, zone, first_second));
        let end = trigger.read("end", |node| bound(node, zone, last_second));
        if let (Some(first), Some(last), Some(node)) = (start, end, trigger.get("end"))
            && last < first
        {
            node.error("the end is before the start", None);
            return Self::default();
        }
        Self { start, end }
    }

    /// The part of `schedule` that lies within.
    pub fn of(self, schedule: Schedule) -> Schedule {
        schedule.within(self.start, self.end)
    }

    /// `its start`, `its end`, `its start and its end`: what there is of them.
    pub fn words(self) -> &'static str {
        match (self.start, self.end) {
            (Some(_), Some(_)) => "its start and its end",
            (Some(_), None) => "its start",
            _ => "its end",
        }
    }
}

/// An instant in RFC 3339, or a date, of which `second_of` takes a second.
fn bound(node: &Node<'_>, zone: Tz, second_of: fn(NaiveDate, Tz) -> Option<i64>) -> Option<i64> {
    if !node.is_string() {
        return node.wrong_type("a string such as `2026-06-01` or `2026-06-01T09:00:00+08:00`");
    }
    let text = node.string()?;
    if let Some(unix) = date(text).and_then(|date| second_of(date, zone)) {
        return Some(unix);
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) if time.timestamp_subsec_nanos() == 0 => Some(time.timestamp()),
        Ok(_) => {
            node.error(format!("`{text}` has a fraction: fire times are whole seconds"), None);
            None
        }
        Err(_) => {
            let help =
                with_offset(text, zone).map_or(EXAMPLE.to_owned(), |complete| format!("write `{complete}`"));
            node.error(format!("`{text}` is not a date or an instant"), help);
            None
        }
    }
}

/// A date with all its digits, and nothing else.
fn date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == "2026-06-01".len())
}

/// A date and time that lacks the offset, with the one of the zone.
fn with_offset(text: &str, zone: Tz) -> Option<String> {
    let text = text.replacen('T', " ", 1);
    let formats = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"];
    let local = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok())?;
    Some(zone.from_local_datetime(&local).earliest()?.to_rfc3339())
}

/// Not always midnight: some clocks are put forward at that time.
fn first_second(date: NaiveDate, zone: Tz) -> Option<i64> {
    let midnight = date.and_hms_opt(0, 0, 0)?;
    if let Some(first) = zone.from_local_datetime(&midnight).earliest() {
        return Some(first.timestamp());
    }
    let before = zone.from_local_datetime(&date.pred_opt()?.and_hms_opt(23, 59, 59)?).latest()?;
    Some(before.timestamp() + 1)
}

fn last_second(date: NaiveDate, zone: Tz) -> Option<i64> {
    Some(first_second(date.checked_add_days(Days::new(1))?, zone)? - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_a_first_and_a_last_second_in_its_zone() {
        let day = |text: &str, zone: Tz| {
            let shown = |unix| DateTime::from_timestamp(unix, 0).unwrap().with_timezone(&zone).to_rfc3339();
            let date = date(text).unwrap();
            [shown(first_second(date, zone).unwrap()), shown(last_second(date, zone).unwrap())]
        };
        assert_eq!(
            day("2026-06-01", Tz::Asia__Shanghai),
            ["2026-06-01T00:00:00+08:00", "2026-06-01T23:59:59+08:00"]
        );
        // Put forward at midnight, and back at midnight.
        assert_eq!(
            day("2018-11-04", Tz::America__Sao_Paulo),
            ["2018-11-04T01:00:00-02:00", "2018-11-04T23:59:59-02:00"]
        );
        assert_eq!(
            day("2018-02-17", Tz::America__Sao_Paulo),
            ["2018-02-17T00:00:00-02:00", "2018-02-17T23:59:59-03:00"]
        );
        // Between 01:00 and 00:00 of the same day the clock goes back.
        assert_eq!(
            day("2025-11-02", Tz::America__Havana),
            ["2025-11-02T00:00:00-04:00", "2025-11-02T23:59:59-05:00"]
        );
    }

    #[test]
    fn only_whole_dates_are_dates() {
        for text in ["2026-6-1", "2026-06-01 ", "+2026-06-01", "2026-02-30", "20260601", ""] {
            assert_eq!(date(text), None, "{text}");
        }
    }
}
