//! Any text is read, or refused in words; what is read can be asked anything.
#![no_main]

use std::time::Duration;

use gulou_fuzz::schedule::{Language, LintFacts, Schedule};

const ZONES: [&str; 4] = ["Asia/Shanghai", "America/New_York", "Pacific/Apia", "Africa/Monrovia"];

libfuzzer_sys::fuzz_target!(|input: (u8, i64, &str)| {
    let (zone, unix, text) = input;
    let zone = ZONES[usize::from(zone) % ZONES.len()];
    match Schedule::parse(text, zone) {
        Ok(schedule) => {
            assert_eq!(Schedule::parse(&format!("\t {text}  "), zone).unwrap(), schedule);
            described(&schedule, unix);
            for at in [unix, unix.rem_euclid(4_102_444_800), i64::MIN, i64::MAX, 0] {
                asked(&schedule, at);
                asked(&schedule.clone().within(Some(at), Some(unix)), at);
                asked(&schedule.clone().within(None, Some(at)), unix);
            }
        }
        Err(error) => {
            let line = error.one_line();
            assert!(!line.contains(char::is_control), "{line:?}");
            let shown = error.to_string();
            assert!(shown.contains('^'), "{shown}");
            assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
            assert!(!line.contains(&format!("write `{text}`")), "the fix is the mistake: {line}");
        }
    }
});

fn described(schedule: &Schedule, unix: i64) {
    for language in [Language::English, Language::Chinese] {
        let sentence = schedule.explain(language);
        assert!(!sentence.is_empty() && !sentence.contains(char::is_control), "{sentence:?}");
    }
    let timeout = Some(Duration::from_secs(unix.unsigned_abs() % 100_000));
    let facts = LintFacts { timeout, page_time: timeout, now: unix };
    for lint in schedule.lints(&facts) {
        assert!(!lint.en.is_empty() && !lint.zh.is_empty(), "{lint:?}");
    }
    let days = schedule.fire_days(2026, u32::try_from(unix.rem_euclid(14)).unwrap());
    assert!(days.is_sorted() && days.len() <= 31, "{days:?}");
}

fn asked(schedule: &Schedule, at: i64) {
    let (start, end) = schedule.bounds();
    if let Some(next) = schedule.next(at) {
        assert!(next > at);
        assert!(start.is_none_or(|start| next >= start) && end.is_none_or(|end| next <= end));
        assert_eq!(schedule.count(at, next), 1);
        assert_eq!(schedule.count(at, next - 1), 0);
        assert_eq!(schedule.next(next - 1), Some(next));
        assert!(schedule.previous(next).is_none_or(|previous| previous <= at));
    } else {
        assert_eq!(schedule.count(at, i64::MAX), 0);
    }
    if let Some(previous) = schedule.previous(at) {
        assert!(previous < at);
        assert!(start.is_none_or(|start| previous >= start) && end.is_none_or(|end| previous <= end));
        assert_eq!(schedule.count(previous - 1, at - 1), 1);
        assert_eq!(schedule.previous(previous + 1), Some(previous));
    } else if at > i64::MIN {
        assert_eq!(schedule.count(i64::MIN, at - 1), 0);
    }
}
