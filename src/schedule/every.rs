//! `@every 90s`, `@every 1d12h from 2026-01-01T08:00:00+08:00`: what cron cannot say.
//!
//! Elapsed time: a day is 86,400 s whatever clocks do. Fire times are `anchor + k * period`, so that a restart and another
//! machine agree on them.

use std::time::Duration;

use super::{instant, is_blank};
use crate::cron::{ParseError, Zone, quoted};

/// 1970-01-01T00:00:00+08:00, where periods are counted from unless the text says otherwise.
const ANCHOR: i64 = -8 * 3600;

/// 2099-12-31T23:59:59Z: no fire time is later, no given instant either.
pub(super) const LAST: i64 = 4_102_444_799;

const LIKE: &str = "write it like `@every 90s` or `@every 1d12h`";

/// A fixed interval.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Every {
    /// Unix seconds of the first fire time.
    anchor: i64,
    /// Seconds, at least 1.
    period: i64,
}

impl Every {
    pub(super) const fn anchor(self) -> i64 {
        self.anchor
    }

    pub(super) const fn period(self) -> Duration {
        Duration::from_secs(self.period.unsigned_abs())
    }

    pub(super) fn next(self, after: i64) -> Option<i64> {
        let after = after.clamp(self.anchor - 1, LAST);
        let passed = (after - self.anchor).div_euclid(self.period);
        let next = self.anchor + (passed + 1) * self.period;
        (next <= LAST).then_some(next)
    }

    pub(super) fn previous(self, before: i64) -> Option<i64> {
        let before = before.clamp(self.anchor, LAST + 1);
        let passed = (before - 1 - self.anchor).div_euclid(self.period);
        (passed >= 0).then_some(self.anchor + passed * self.period)
    }

    /// How many fire times are later than `after` and not later than `until`.
    pub(super) fn count(self, after: i64, until: i64) -> u64 {
        let passed = |unix: i64| (unix.clamp(self.anchor - 1, LAST) - self.anchor).div_euclid(self.period);
        u64::try_from(passed(until) - passed(after)).unwrap_or(0)
    }
}

/// Reads what follows `@every`, which ends at byte `at`.
pub(super) fn parse(text: &str, at: usize, zone: &Zone) -> Result<Every, ParseError> {
    let (start, end) = word(text, at);
    let period = period(text, start, end)?;
    let (from, from_end) = word(text, end);
    if from == from_end {
        return Ok(Every { anchor: ANCHOR, period });
    }
    if &text[from..from_end] != "from" {
        let problem = format!("{} is not known here", quoted(&text[from..from_end]));
        return Err(ParseError::new(text, "interval", from, from_end, problem)
            .with_help("only `from` and a time may follow"));
    }
    // A time written with a blank in the middle is still one time, and is refused as one.
    let (start, _) = word(text, from_end);
    let end = text.trim_end_matches(is_blank).len().max(start);
    if start == end {
        return Err(missing_time(text, "from", start));
    }
    Ok(Every { anchor: instant(text, "from", start, end, zone)?, period })
}

pub(super) fn missing_time(text: &str, part: &'static str, at: usize) -> ParseError {
    ParseError::new(text, part, at, at, "the time is missing".to_owned())
        .with_help("write it like `2026-06-01T09:00:00+08:00`")
}

/// The next word after byte `at`; empty at the end of the text.
fn word(text: &str, at: usize) -> (usize, usize) {
    let rest = text[at..].trim_start_matches(is_blank);
    if rest.is_empty() {
        return (at, at);
    }
    let start = text.len() - rest.len();
    (start, rest.find(is_blank).map_or(text.len(), |length| start + length))
}

/// Seconds of `90s`, `90m`, `1d12h`.
fn period(text: &str, start: usize, end: usize) -> Result<i64, ParseError> {
    let word = &text[start..end];
    let error = |problem: String| ParseError::new(text, "interval", start, end, problem);
    let unreadable = || error(format!("{} is not an interval", quoted(word)));
    if word.is_empty() {
        return Err(error("the interval is missing".to_owned()).with_help(LIKE));
    }
    let mut rest = word;
    let mut seconds = 0_i64;
    let mut smallest = i64::MAX;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        rest = tail;
        let unit = match unit {
            _ if number.is_empty() => return Err(unreadable().with_help(LIKE)),
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            "" if rest.is_empty() => {
                let problem = format!("{} has no unit: expected s, m, h or d", quoted(word));
                return Err(
                    error(problem).with_help(format!("write `@every {word}{}`", unit_after(text, end)))
                );
            }
            "" if rest.starts_with('.') => {
                return Err(unreadable().with_help("write whole numbers, such as `1h30m`"));
            }
            "ms" | "us" | "ns" => return Err(unreadable().with_help("fire times are whole seconds")),
            _ => return Err(unreadable().with_help(LIKE)),
        };
        if unit >= smallest {
            let help = "units go from large to small, each once: `1d12h30m5s`";
            return Err(unreadable().with_help(help));
        }
        smallest = unit;
        let number = number.parse::<i64>().unwrap_or(i64::MAX);
        seconds = seconds.saturating_add(number.saturating_mul(unit));
    }
    match seconds {
        0 => Err(error("an interval of 0 never moves on".to_owned()).with_help("the shortest is `1s`")),
        1..=LAST => Ok(seconds),
        _ => Err(error(format!("the interval is too long: at most {} days", LAST / 86_400 + 1))),
    }
}

/// The unit that a following word such as `minutes` means; seconds without one.
fn unit_after(text: &str, at: usize) -> &str {
    let (start, end) = word(text, at);
    match text[start..end].chars().next() {
        Some('m') => "m",
        Some('h') => "h",
        Some('d') => "d",
        _ => "s",
    }
}
