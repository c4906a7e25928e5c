//! The tables of `tests/conformance`: what other engines' own tests say, random expressions with the answer that several
//! engines agree on, and the clock changes.

use std::fs;
use std::path::Path;

use chrono::{DateTime, FixedOffset};
use gulou::cron::Cron;
use gulou::schedule::Schedule;
use serde_json::Value;

fn rows(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(file);
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn time(value: &Value) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap()
}

/// The fire times after `after`, with the zone's offset, up to the number that the row gives.
fn next(row: &Value) -> Vec<DateTime<FixedOffset>> {
    let schedule = Schedule::parse(row["expr"].as_str().unwrap(), row["tz"].as_str().unwrap()).unwrap();
    let random = row["source"].as_str().is_some_and(|source| source.starts_with("random:"));
    let count = if random { 5 } else { row["next"].as_array().unwrap().len().max(1) };
    let mut at = time(&row["after"]).timestamp();
    let mut found = Vec::new();
    while found.len() < count
        && let Some(unix) = schedule.next(at)
    {
        found.push(
            DateTime::from_timestamp(unix, 0).unwrap().with_timezone(&schedule.timezone()).fixed_offset(),
        );
        at = unix;
    }
    found
}

fn all_agree(file: &str) {
    let rows = rows(file);
    assert!(rows.len() > 10, "{file} is not empty");
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let expected: Vec<_> = row["next"].as_array().unwrap().iter().map(time).collect();
            let found = next(row);
            let same = found.len() == expected.len()
                && found.iter().zip(&expected).all(|(one, two)| one == two && one.offset() == two.offset());
            (!same).then(|| format!("{row}\n  found {found:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} rows differ:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn the_table_holds() {
    all_agree("cron.jsonl");
}

#[test]
fn the_peers_own_tables_hold() {
    all_agree("cron_peers.jsonl");
}

#[test]
fn the_clock_changes_hold() {
    all_agree("cron_dst.jsonl");
}

#[test]
fn what_is_invalid_is_refused_in_words() {
    for row in rows("cron_invalid.jsonl") {
        let text = row["expr"].as_str().unwrap();
        let error = Cron::parse(text).expect_err(text);
        let line = error.one_line();
        assert!(!line.contains('\n'), "{line}");
        assert!(error.to_string().contains('^'), "{error}");
        assert!(Schedule::parse(text, "Asia/Shanghai").is_err(), "{text}");
    }
}

/// Walking back over what was found going forward gives the same times.
#[test]
fn the_table_holds_backwards() {
    for row in rows("cron.jsonl") {
        let found = next(&row);
        let schedule = Schedule::parse(row["expr"].as_str().unwrap(), row["tz"].as_str().unwrap()).unwrap();
        for pair in found.windows(2) {
            let previous = schedule.previous(pair[1].timestamp());
            assert_eq!(previous, Some(pair[0].timestamp()), "{row}");
        }
    }
}
