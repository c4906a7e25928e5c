//! `start` and `end` of a trigger: what they take, what they refuse, and which fire times are left.

use serde_json::{Value, json};

use crate::support::Project;

/// A project with one command, whose trigger has `keys` beside its name.
fn project(keys: &Value) -> Project {
    let project = Project::new(&json!({}));
    let mut trigger = json!({ "name": "t" });
    trigger.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    project.function("f", &json!({ "triggers": [trigger], "target": { "command": { "argv": ["true"] } } }));
    project
}

/// What `check` says, and its exit code: `severity path: message | help` of each finding.
fn said(keys: &Value) -> (Option<i32>, Vec<String>) {
    let ran = project(keys).gulou(&["check", "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let show = |found: &Value| {
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        let help = if found["help"].is_null() { String::new() } else { format!(" | {}", text("help")) };
        format!("{} {}: {}{help}", text("severity"), text("path"), text("message"))
    };
    let all = ["errors", "warnings"].iter().flat_map(|kind| report[kind].as_array().unwrap());
    (ran.code, all.map(show).collect())
}

/// The next fire time that `list` shows.
fn next(keys: &Value) -> Value {
    let ran = project(keys).gulou(&["list", "--json"]).expect_code(0);
    serde_json::from_str::<Value>(&ran.stdout).unwrap()[0]["next"].take()
}

#[test]
fn the_first_fire_is_not_before_the_start() {
    let daily = "0 0 9 * * * *";
    let start = |start: &str| json!({ "config": daily, "start": start, "end": "2098-12-31" });
    assert_eq!(next(&start("2090-06-01")), "2090-06-01T09:00:00+08:00");
    assert_eq!(next(&start("2090-06-01T09:00:00+08:00")), "2090-06-01T09:00:00+08:00");
    assert_eq!(next(&start("2090-06-01T01:00:01Z")), "2090-06-02T09:00:00+08:00");
    // A date is one of the trigger's zone, and its last day counts.
    let keys = json!({ "config": "59 59 23 * * * *", "timezone": "America/New_York", "start": "2090-06-01", "end": "2090-06-01" });
    assert_eq!(next(&keys), "2090-06-01T23:59:59-04:00");
    let keys = json!({ "config": "@every 1h", "start": "2090-06-01T09:30:00+08:00" });
    assert_eq!(next(&keys), "2090-06-01T10:00:00+08:00");
}

#[test]
fn bounds_that_are_none_are_refused() {
    let errors = |keys: Value| {
        let (code, said) = said(&keys);
        assert_eq!(code, Some(3), "{said:#?}");
        said
    };
    let daily = "0 0 9 * * * *";
    assert_eq!(
        errors(json!({ "config": daily, "start": "tomorrow" })),
        [
            "error triggers[0].start: `tomorrow` is not a date or an instant | write `2026-06-01` or `2026-06-01T09:00:00+08:00`"
        ]
    );
    assert_eq!(
        errors(json!({ "config": daily, "end": "2090-06-01 09:00", "timezone": "America/New_York" })),
        [
            "error triggers[0].end: `2090-06-01 09:00` is not a date or an instant | write `2090-06-01T09:00:00-04:00`"
        ]
    );
    assert_eq!(
        errors(json!({ "config": daily, "end": "2090-02-30" })),
        [
            "error triggers[0].end: `2090-02-30` is not a date or an instant | write `2026-06-01` or `2026-06-01T09:00:00+08:00`"
        ]
    );
    assert_eq!(
        errors(json!({ "config": daily, "end": "2090-06-01T09:00:00.5Z" })),
        ["error triggers[0].end: `2090-06-01T09:00:00.5Z` has a fraction: fire times are whole seconds"]
    );
    assert_eq!(
        errors(json!({ "config": daily, "start": 20_900_601 })),
        [
            "error triggers[0].start: a number was found where a string such as `2026-06-01` or `2026-06-01T09:00:00+08:00` is expected | write `\"20900601\"`"
        ]
    );
    assert_eq!(
        errors(json!({ "config": daily, "start": "2090-06-02", "end": "2090-06-01" })),
        ["error triggers[0].end: the end is before the start"]
    );
}

#[test]
fn a_trigger_that_never_fires_within_its_bounds_is_wrong() {
    let help = "correct it, or say `\"enabled\": false`";
    assert_eq!(
        said(&json!({ "config": "0 0 9 1 6 * *", "start": "2090-06-02", "end": "2091-05-31" })),
        (
            Some(3),
            vec![format!(
                "error triggers[0].config: `0 0 9 1 6 * *` never fires within its start and its end | {help}"
            )]
        )
    );
    assert_eq!(
        said(&json!({ "config": "0 0 9 1 6 * 2089", "start": "2090-06-02" })),
        (
            Some(3),
            vec![format!(
                "error triggers[0].config: `0 0 9 1 6 * 2089` never fires within its start | {help}"
            )]
        )
    );
    let at = "@at 2090-06-01T09:00:00+08:00";
    assert_eq!(
        said(&json!({ "config": at, "end": "2090-05-31" })),
        (Some(3), vec![format!("error triggers[0].config: `{at}` never fires within its end | {help}")])
    );
}

/// The end of a season must not keep the daemon from starting after it.
#[test]
fn an_end_that_has_passed_is_only_doubted() {
    assert_eq!(
        said(&json!({ "config": "0 0 9 * * * *", "start": "2020-06-01", "end": "2020-06-30" })),
        (
            Some(0),
            vec![
                "warning triggers[0].config: `0 0 9 * * * *` never fires again: its end has passed"
                    .to_owned()
            ]
        )
    );
}

#[test]
fn single_times_outside_of_the_bounds_are_doubted() {
    let keys = json!({
        "config": "@at 2090-06-01T09:00:00+08:00, 2090-06-02T09:00:00+08:00, 2090-06-03T09:00:00+08:00",
        "start": "2090-06-02", "end": "2090-06-02"
    });
    assert_eq!(
        said(&keys),
        (
            Some(0),
            vec!["warning triggers[0].config: 2 of 3 times are outside of its start and its end".to_owned()]
        )
    );
}
