//! `gulou next` as a program: streams and exit codes.

use std::process::{Command, Output};

fn next(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gulou")).arg("next").args(arguments).output().unwrap()
}

fn answer(arguments: &[&str]) -> String {
    let output = next(arguments);
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one line on stderr of a call that is refused with `--json`.
fn refusal(arguments: &[&str]) -> String {
    let output = next(arguments);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    line.trim_end().to_owned()
}

const AFTER: &str = "2026-01-01T00:00:00.999+08:00";

#[test]
fn answers_with_one_json_array() {
    let found = answer(&["--count", "2", "--after", AFTER, "--json", "0 0 9 * * MON-FRI *"]);
    assert_eq!(found, "[\"2026-01-01T09:00:00+08:00\",\"2026-01-02T09:00:00+08:00\"]\n");
    let found = answer(&["--count", "1", "--after", AFTER, "--tz", "UTC", "--json", "--", "0 0 9 * * * *"]);
    assert_eq!(found, "[\"2026-01-01T09:00:00+00:00\"]\n");
}

#[test]
fn a_schedule_that_runs_out_gives_fewer() {
    assert_eq!(answer(&["--count", "3", "--after", AFTER, "--json", "0 0 0 30 2 * *"]), "[]\n");
    let found = answer(&["--count", "3", "--after", "2099-12-31T23:59:57+08:00", "--json", "* * * * * * *"]);
    assert_eq!(found, "[\"2099-12-31T23:59:58+08:00\",\"2099-12-31T23:59:59+08:00\"]\n");
}

#[test]
fn previous_goes_back_from_the_newest() {
    let found = answer(&["--previous", "--count", "2", "--after", AFTER, "0 0 9 * * * *"]);
    assert_eq!(found, "2025-12-31T09:00:00+08:00\n2025-12-30T09:00:00+08:00\n");
}

#[test]
fn tabs_and_blanks_are_one_argument() {
    assert_eq!(answer(&["--count", "1", "--after", AFTER, "--json", "0\t0  9 * * *\t\t*"]).len(), 30);
}

#[test]
fn without_after_it_starts_now() {
    assert_eq!(answer(&["--count", "3", "--json", "* * * * * * *"]).matches("+08:00").count(), 3);
}

#[test]
fn refuses_in_one_line_that_names_the_field() {
    for (expression, line) in [
        ("0 0 24 * * * *", "hour, column 5: 24 is out of range: expected 0-23; midnight is hour 0"),
        ("-1 0 0 * * * *", "second, column 1: the range `-1` has no start"),
        (
            "",
            "expression, column 1: there is nothing here; seven fields are needed: second minute hour day-of-month \
             month day-of-week year, such as `0 0 9 * * * *` (every day at 09:00:00)",
        ),
        (
            "*/5 * * * *",
            "expression, column 1: five fields instead of seven: looks like a crontab line; write `0 */5 * * * * *`",
        ),
        (
            "@every Xm",
            "interval, column 8: `Xm` is not an interval; write it like `@every 90s` or `@every 1d12h`",
        ),
    ] {
        assert_eq!(refusal(&["--count", "1", "--after", AFTER, "--json", expression]), line);
    }
}

#[test]
fn refuses_a_wrong_zone_time_and_count() {
    for (option, value, line) in [
        ("--tz", "Asia/Shanghia", "--tz: unknown time zone `Asia/Shanghia`; did you mean `Asia/Shanghai`?"),
        (
            "--after",
            "yesterday",
            "--after: `yesterday` is not a time; write it like `2026-06-01T09:00:00+08:00`",
        ),
        ("--count", "0", "--count: `0` is not a whole number from 1 on"),
        ("--count", "-1", "--count: `-1` is not a whole number from 1 on"),
        ("--count", "many", "--count: `many` is not a whole number from 1 on"),
    ] {
        assert_eq!(refusal(&[option, value, "--json", "0 0 9 * * * *"]), line);
    }
}

#[test]
fn a_person_gets_the_caret() {
    let output = next(&["0 0 0 * * 1-7 *"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "day of week: 7 is not a weekday: Sunday is 0\n  0 0 0 * * 1-7 *\n              ^\n  help: write `0 0 0 * * 0-6 *`\n"
    );
}

#[test]
fn help_has_examples() {
    let help = answer(&["--help"]);
    assert!(help.contains("gulou next --count 3"), "{help}");
}
