//! A dry run shows what would happen.

use serde_json::{Value, json};

use crate::support::Project;

#[test]
fn single_functions_and_triggers_can_be_named() {
    let project = Project::samples();
    let names = |arguments: &[&str]| {
        let mut all = vec!["dry-run", "--config", "config.example.json", "--json", "--count", "1"];
        all.extend(arguments);
        let shown: Vec<Value> = serde_json::from_str(&project.gulou(&all).expect_code(0).stdout).unwrap();
        let name = |one: &Value| {
            assert_eq!(one["next"].as_array().unwrap().len(), 1);
            format!("{}/{}", one["function"].as_str().unwrap(), one["trigger"].as_str().unwrap())
        };
        shown.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(names(&["clean-up", "working-hours/closing"]), ["clean-up/nightly", "working-hours/closing"]);
    let ran = project.gulou(&["dry-run", "--config", "config.example.json", "cleanup"]).expect_code(2);
    assert!(ran.stderr.contains("did you mean `clean-up`?"), "{}", ran.stderr);
}

#[test]
fn what_would_fail_is_said() {
    let project = Project::new(&json!({}));
    project.function(
        "f",
        &json!({
            "triggers": [{ "name": "t", "config": "0 0 9 * * * *", "timezone": "Europe/Berlin" }],
            "target": { "command": { "argv": ["no-such-program-anywhere"] } }
        }),
    );
    let ran = project.gulou(&["dry-run"]).expect_code(1);
    assert!(ran.stdout.contains("error  there is no program `no-such-program-anywhere`"), "{}", ran.stdout);
    assert!(ran.stdout.contains("09:00:00 Europe/Berlin"), "{}", ran.stdout);
    project.write("config.json", "[]");
    project.gulou(&["dry-run"]).expect_code(3);
}

#[test]
fn a_disabled_trigger_is_shown_as_such() {
    let project = Project::new(&json!({}));
    let trigger = json!({ "name": "t", "config": "0 0 9 * * * *", "enabled": false });
    project.function("f", &json!({ "triggers": [trigger], "target": { "command": { "argv": ["true"] } } }));
    let ran = project.gulou(&["dry-run"]).expect_code(0);
    assert!(ran.stdout.contains("f/t  0 0 9 * * * *\n  disabled: it never fires\n"), "{}", ran.stdout);
}
