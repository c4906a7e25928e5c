//! Small values that are written as text: durations, rates, names, addresses, time zones.
//!
//! Pure functions from text to value, with the reason as text; the caller knows the place.

use std::num::NonZeroU32;
use std::time::Duration;

use super::decode::Node;
use crate::settings::Rate;

/// Names of triggers and functions have at most this many characters.
const NAME_LENGTH: usize = 60;

/// A duration such as `90s`, `5m`, `1d12h` or `0s`: whole numbers with `d`, `h`, `m`, `s` or `ms`, falling.
pub(super) fn duration(node: &Node<'_>) -> Option<Duration> {
    if !node.is_string() {
        return node.wrong_type("a string such as `90s`, `5m` or `1d12h`");
    }
    let text = node.string()?;
    let duration = parse_duration(text);
    if duration.is_none() {
        let help = "write one such as `90s`, `5m` or `1d12h`".to_owned();
        node.error(format!("`{text}` is not a duration"), help);
    }
    duration
}

/// The same, longer than nothing.
pub(super) fn positive_duration(node: &Node<'_>) -> Option<Duration> {
    let duration = duration(node)?;
    if duration.is_zero() {
        node.error("this must be longer than nothing", None);
        return None;
    }
    Some(duration)
}

/// Bytes of output; a gibibyte is more than anybody reads, and less than what fills a disk.
pub(super) fn max_output(node: &Node<'_>) -> Option<usize> {
    node.integer(0..=1 << 30).and_then(|bytes| usize::try_from(bytes).ok())
}

pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut rest = text;
    let mut units = UNITS.as_slice();
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let letters = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let index = units.iter().position(|(unit, _)| *unit == &rest[digits..letters])?;
        let count: u64 = rest[..digits].parse().ok()?;
        total = total.checked_add(count.checked_mul(units[index].1)?)?;
        units = &units[index + 1..];
        rest = &rest[letters..];
    }
    // A hundred years: longer is a slip of the pen, and would overflow dates.
    (!text.is_empty() && total <= 36_525 * 86_400_000).then(|| Duration::from_millis(total))
}

/// A rate such as `500/s`, `30/m` or `10000/h`.
pub(super) fn rate(node: &Node<'_>) -> Option<Rate> {
    if !node.is_string() {
        return node.wrong_type("a string such as `500/s`");
    }
    let text = node.string()?;
    let rate = parse_rate(text);
    if rate.is_none() {
        let help = "write one such as `500/s`, `30/m` or `10000/h`".to_owned();
        node.error(format!("`{text}` is not a rate"), help);
    }
    rate
}

fn parse_rate(text: &str) -> Option<Rate> {
    let (count, unit) = text.split_once('/')?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    if !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Rate { count: count.parse::<NonZeroU32>().ok()?, per: Duration::from_secs(seconds) })
}

/// Why `name` cannot name a trigger or a function (the cloud's rule), if it cannot.
pub fn name_problem(name: &str) -> Option<&'static str> {
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Some("it must start with a letter (a-z, A-Z)");
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return Some("only a-z, A-Z, 0-9, `-` and `_` are allowed");
    }
    (name.len() > NAME_LENGTH).then_some("it has more than 60 characters")
}

/// A mail address as `address` or `name <address>`; only what is wrong for certain is refused.
pub(super) fn mailbox(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    if is_mailbox(text) {
        return Some(text.to_owned());
    }
    let help = "write `name@example.com` or `Name <name@example.com>`".to_owned();
    node.error(format!("`{text}` is not a mail address"), help);
    None
}

fn is_mailbox(text: &str) -> bool {
    let text = text.trim();
    let address = match text.strip_suffix('>') {
        Some(open) => match open.rsplit_once('<') {
            Some((_, address)) => address,
            None => return false,
        },
        None => text,
    };
    let plain = |part: &str| {
        !part.is_empty()
            && !part.contains(|c: char| c.is_whitespace() || c.is_control() || "<>,;\"".contains(c))
    };
    !text.contains(char::is_control)
        && address
            .rsplit_once('@')
            .is_some_and(|(local, domain)| plain(local) && plain(domain) && !local.contains('@'))
}

/// An IANA time zone.
pub(super) fn timezone(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    match crate::schedule::timezone(text) {
        Ok(zone) => Some(zone.name().to_owned()),
        Err(error) => {
            node.error(error.to_string(), None);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("5m", 300), ("1d12h", 129_600), ("1h0m1s", 3601)] {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("1s500ms"), Some(Duration::from_millis(1500)));
        for text in [
            "",
            "90",
            "s",
            "1s1m",
            "1m1m",
            "-1s",
            "1.5s",
            "5 m",
            "1w",
            "９s",
            "99999999999999999999s",
            "99999d",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!(parse_rate("500/s").unwrap().count.get(), 500);
        assert_eq!(parse_rate("10000/h").unwrap().per, Duration::from_secs(3600));
        for text in ["500", "0/s", "/s", "500/", "500/x", "+5/s", "1.5/s", "500 /s"] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
    }

    #[test]
    fn names() {
        for name in ["a", "tomylove", "A-1_b", &"a".repeat(60)] {
            assert_eq!(name_problem(name), None, "{name}");
        }
        for name in ["", "1a", "-a", "a b", "鼓楼", "a.b", &"a".repeat(61)] {
            assert!(name_problem(name).is_some(), "{name}");
        }
    }

    #[test]
    fn mailboxes() {
        for text in ["a@b", "鼓楼 <gulou@example.com>", "\"Lou, Gu\" <g+l@example.com>", "用户@例子.中国"]
        {
            assert!(is_mailbox(text), "{text}");
        }
        for text in ["", "a", "a@", "@b", "a b@c", "A <a@b", "a@b, c@d", "a@b\r\nBcc: c@d", "<>"] {
            assert!(!is_mailbox(text), "{text}");
        }
    }
}
