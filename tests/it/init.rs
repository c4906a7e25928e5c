//! `gulou init`: what it writes is valid as it is, and does something.

use std::fs;

use serde_json::{Value, json};

use crate::support::Project;

const TEMPLATES: [&str; 6] = ["nodejs", "python", "command", "http", "sql", "mail"];

#[test]
fn every_template_passes_check_and_is_shown_what_it_would_do() {
    let project = Project::samples();
    fs::remove_dir_all(project.path("triggers")).unwrap();
    for template in TEMPLATES {
        let name = format!("my-{template}");
        let arguments = ["init", &name, "--template", template, "--config", "config.example.json"];
        let ran = project.gulou(&arguments).expect_code(0);
        assert!(ran.stdout.starts_with(&format!("wrote triggers/{name} (config.json, ")), "{}", ran.stdout);
    }
    let checked = project.gulou(&["check", "--config", "config.example.json", "--json"]).expect_code(0);
    let told: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!((&told["functions"], &told["warnings"]), (&json!(TEMPLATES.len()), &json!([])), "{told:#}");
    let help = project.gulou(&["init", "--help"]).expect_code(0).stdout;
    assert!(TEMPLATES.iter().all(|template| help.contains(&format!("- {template}:"))), "{help}");
    for name in ["my-command", "my-sql", "my-mail"] {
        project.gulou(&["fire", "--config", "config.example.json", name]).expect_code(0);
    }
    assert_eq!(fs::read_dir(project.path("var/outbox/new")).unwrap().count(), 1);
}

#[test]
fn a_new_nodejs_function_runs() {
    crate::support::require("node");
    let project = Project::new(&json!({}));
    project.gulou(&["init", "greeter"]).expect_code(0);
    let fired = project.gulou(&["fire", "greeter"]).expect_code(0);
    assert!(fired.stdout.starts_with("greeter: daily was due at "), "{}", fired.stdout);
}

#[test]
fn what_cannot_be_is_said_and_nothing_is_overwritten() {
    let project = Project::new(&json!({}));
    let ran = project.gulou(&["init", "clean-up", "--template", "sql"]).expect_code(1);
    assert!(ran.stderr.contains("needs a database: add one to `databases` in config.json"), "{}", ran.stderr);
    let ran = project.gulou(&["init", "1st"]).expect_code(2);
    assert!(
        ran.stderr.contains("`1st` cannot name a function: it must start with a letter"),
        "{}",
        ran.stderr
    );
    project.write("triggers/mine/index.js", "mine");
    let ran = project.gulou(&["init", "mine"]).expect_code(1);
    assert!(ran.stderr.contains("triggers/mine exists, and is left as it is"), "{}", ran.stderr);
    assert_eq!(fs::read_dir(project.path("triggers")).unwrap().count(), 1, "no draft is left");
}
