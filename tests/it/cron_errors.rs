//! What a person reads when an expression is refused.

use gulou::schedule::Schedule;

fn refused(text: &str) -> String {
    Schedule::parse(text, "Asia/Shanghai").expect_err(text).one_line()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_common_mistake_gets_its_fix() {
    for (text, message) in [
        // Lines of crontab.
        (
            "*/5 * * * *",
            "expression, column 1: five fields instead of seven: looks like a crontab line; write `0 */5 * * * * *`",
        ),
        (
            "30 9 * * 1-7",
            "expression, column 1: five fields instead of seven: looks like a crontab line; write `0 30 9 * * 0-6 *`",
        ),
        (
            "0 */5 * * * *",
            "expression, column 1: six fields instead of seven: looks like a crontab line without the year; write \
             `0 */5 * * * * *`",
        ),
        (
            "30 9 1 6 * 2026",
            "expression, column 1: six fields instead of seven: looks like a crontab line without the second; write \
             `0 30 9 1 6 * 2026`",
        ),
        (
            "0 0 9, 12 * * * *",
            "expression, column 7: 8 fields instead of seven: a blank inside a list; write `0 0 9,12 * * * *`",
        ),
        ("@daily", "expression, column 1: `@daily` is not known here; write `0 0 0 * * * *`"),
        ("@evry 5m", "expression, column 1: `@evry` is not known; did you mean `@every`?"),
        (
            "@reboot",
            "expression, column 1: `@reboot` is not known; only times are schedules; start it by hand with `gulou fire`",
        ),
        // Sunday.
        ("0 0 0 * * 7 *", "day of week, column 11: 7 is not a weekday: Sunday is 0; write `0 0 0 * * 0 *`"),
        (
            "0 0 0 * * 5-7 *",
            "day of week, column 13: 7 is not a weekday: Sunday is 0; write `0 0 0 * * 5-6,0 *`",
        ),
        // Input methods.
        (
            "0 0 0 * * MON，FRI *",
            "day of week, column 14: `，` is full-width: expected `,`; write `0 0 0 * * MON,FRI *`",
        ),
        ("＊／５ * * * * * *", "second, column 1: `＊` is full-width: expected `*`; write `*/5 * * * * * *`"),
        ("0 0 9－17 * * * *", "hour, column 6: `－` is full-width: expected `-`; write `0 0 9-17 * * * *`"),
        ("0 0 9–17 * * * *", "hour, column 6: `–` only looks like `-`; write `0 0 9-17 * * * *`"),
        (
            "0 0　9 * * * *",
            "minute, column 4: a full-width blank: expected a plain one; write `0 0 9 * * * *`",
        ),
        ("0 0 9 * * * *\n", "expression, column 14: a line break; write `0 0 9 * * * *`"),
        // Steps.
        ("*/90 * * * * * *", "second, column 3: cron cannot say every 90 seconds; write `@every 90s`"),
        ("0 */90 * * * * *", "minute, column 5: cron cannot say every 90 minutes; write `@every 90m`"),
        ("0 0 */48 * * * *", "hour, column 7: cron cannot say every 48 hours; write `@every 48h`"),
        ("0 */60 * * * * *", "minute, column 5: every 60 minutes is once an hour; write `0 0 * * * * *`"),
        ("0 */0 * * * * *", "minute, column 5: a step of 0 never moves on: expected 1-59"),
        ("0 /5 * * * * *", "minute, column 3: the step `/5` has no start; write `0 */5 * * * * *`"),
        // Ranges.
        (
            "0 0 0 * * FRI-MON *",
            "day of week, column 11: the range `FRI-MON` runs backwards; write `0 0 0 * * FRI-SAT,SUN-MON *`",
        ),
        (
            "0 0 22-2 * * * *",
            "hour, column 5: the range `22-2` runs backwards; write `0 0 22-23,0-2 * * * *`",
        ),
        (
            "0 0 0 * * 1-FRI *",
            "day of week, column 11: the range `1-FRI` mixes a name and a number; write `0 0 0 * * MON-FRI *`",
        ),
        // Lists.
        ("0 0 9, * * * *", "hour, column 7: nothing stands after the comma; write `0 0 9 * * * *`"),
        (
            "0 0 9,* * * * *",
            "hour, column 7: `*` cannot be part of a list: it stands for every value already; write `*` alone, or only the other values",
        ),
        // Names and letters.
        (
            "0 0 0 * * friday *",
            "day of week, column 11: `friday` is not a day of week: expected 0-6 (0 is Sunday) or SUN-SAT, `?`, `5L` or \
             `5#2`; write `0 0 0 * * FRI *`",
        ),
        (
            "0 0 0 * Sept * *",
            "month, column 9: `Sept` is not a month: expected 1-12 or JAN-DEC; write `0 0 0 * SEP * *`",
        ),
        (
            "0 0 L * * * *",
            "hour, column 5: `L` is not an hour: expected 0-23; `L` belongs to the day of month field",
        ),
        (
            "0 0 0 * * L *",
            "day of week, column 11: `L` is not a day of week: expected 0-6 (0 is Sunday) or SUN-SAT, `?`, `5L` or \
             `5#2`; write `6` for Saturday, or `6L` for the last Saturday of the month",
        ),
        (
            "0 0 0 * * FRIL *",
            "day of week, column 11: `FRIL` is not a day of week: expected 0-6 (0 is Sunday) or SUN-SAT, `?`, `5L` or \
             `5#2`; write `5L` for the last FRI of the month",
        ),
        (
            "0 0 0 L-3 * * *",
            "day of month, column 7: `L-3` is not a day of month: expected 1-31, `?`, `L`, `LW` or `15W`; `L` is the \
             last day of the month; a day counted from the end cannot be said",
        ),
        (
            "0 ? * * * * *",
            "minute, column 3: `?` is for day of month and day of week only; write `0 * * * * * *`",
        ),
        // One line, whatever was written.
        (
            "WED77\u{1b}5#7 0 0 * * * *",
            "second, column 1: `WED77\u{fffd}5#7` is not a second: expected 0-59; `WED77\u{fffd}5#7` belongs to the day \
             of week field",
        ),
        (
            "0 0 9\t* * ?\t\t?",
            "year, column 14: `?` is for day of month and day of week only; write `0 0 9 * * ? *`",
        ),
    ] {
        assert_eq!(refused(text), message, "{text}");
    }
}

/// A fix that is offered as a whole schedule is one.
#[test]
fn the_fixes_that_are_offered_are_valid() {
    let mut offered = 0;
    let table =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/cron_invalid.jsonl"));
    for line in table.unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let message = refused(row["expr"].as_str().unwrap());
        let Some((_, fix)) = message.split_once("; write `") else { continue };
        let fix = fix.split('`').next().unwrap();
        if fix.contains(' ') {
            assert!(Schedule::parse(fix, "UTC").is_ok(), "{message}");
            offered += 1;
        }
    }
    assert!(offered > 50, "{offered}");
}

#[test]
fn the_caret_stands_under_the_place() {
    let error = Schedule::parse("0 0 0 * * MON，FRI *", "Asia/Shanghai").unwrap_err();
    assert_eq!(
        error.to_string(),
        "day of week: `，` is full-width: expected `,`\n  0 0 0 * * MON，FRI *\n               ^^\n  \
         help: write `0 0 0 * * MON,FRI *`"
    );
}
