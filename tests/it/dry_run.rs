//! A dry run shows what would happen, down to the first mail, and changes nothing at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::support::{Project, eventually};

/// Everything in a folder: the bytes of files, the times of files and folders.
type Contents = BTreeMap<String, (SystemTime, Option<Vec<u8>>)>;

fn contents(project: &Project) -> Contents {
    fn read(path: &Path, name: &str, into: &mut Contents) {
        let metadata = fs::symlink_metadata(path).unwrap();
        let modified = metadata.modified().unwrap();
        if metadata.is_dir() {
            into.insert(format!("{name}/"), (modified, None));
            for entry in fs::read_dir(path).unwrap() {
                let entry = entry.unwrap();
                read(&entry.path(), &format!("{name}/{}", entry.file_name().display()), into);
            }
        } else {
            // The socket of a daemon that was killed has no bytes.
            let bytes = metadata.is_file().then(|| fs::read(path).unwrap());
            into.insert(name.to_owned(), (modified, bytes));
        }
    }
    let mut contents = Contents::new();
    read(&project.path(""), "", &mut contents);
    contents
}

/// A dry run of all samples, as JSON and for people, that must leave every file as it was.
#[track_caller]
fn look(project: &Project) -> (Vec<Value>, String) {
    let before = contents(project);
    let text = project.gulou(&["dry-run", "--config", "config.example.json"]).expect_code(0).stdout;
    let json = project.gulou(&["dry-run", "--config", "config.example.json", "--json"]).expect_code(0).stdout;
    let after = contents(project);
    let changed: Vec<&String> =
        before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name)).collect();
    assert!(changed.is_empty(), "the dry run changed {changed:?}");
    (serde_json::from_str(&json).unwrap(), text)
}

fn of<'v>(all: &'v [Value], function: &str) -> &'v Value {
    all.iter().find(|trigger| trigger["function"] == function).unwrap()
}

fn mails(project: &Project) -> usize {
    fs::read_dir(project.path("var/outbox/new")).map_or(0, Iterator::count)
}

#[test]
fn a_fresh_clone_sees_the_real_first_mail() {
    let project = Project::samples();
    let (all, text) = look(&project);
    assert_eq!(all.len(), 18);
    assert!(!project.path("var").exists());
    assert!(text.contains("user00001@example.com"), "{text}");
    assert!(text.contains("鼓楼的新声音"), "{text}");
    assert!(text.contains("10000 rows deliverable, 10 pages of 1000 at most, in 10 fires"), "{text}");
    assert!(text.contains("var/demo.db does not exist yet"), "{text}");
    assert!(text.ends_with("nothing was changed\n"), "{text}");

    let next = &of(&all, "weekly-report")["next"][0];
    let beijing = next["beijing"].as_str().unwrap();
    assert!(beijing.ends_with("T17:30:00+08:00"), "{beijing}");
    assert!(next["utc"].as_str().unwrap().ends_with("T09:30:00Z"), "{next}");
    let mass_mail = of(&all, "mass-mail");
    assert_eq!(mass_mail["problem"], Value::Null);
    assert_eq!(
        (&mass_mail["first"]["deliverable"], &mass_mail["first"]["pages"]),
        (&json!(10_000), &json!(10))
    );
    assert_eq!(of(&all, "activities")["first"]["deliverable"], 10);
    assert_eq!(of(&all, "weekly-report")["first"]["deliverable"], 50);
    assert_eq!(of(&all, "reminders")["first"]["deliverable"], 0);
    assert_eq!(of(&all, "clean-up")["first"]["argv"][0], "sh");
}

#[test]
fn nothing_changes_after_a_clean_stop() {
    let project = Project::samples();
    let daemon = project.serve("config.example.json");
    eventually("the first page", || (mails(&project) >= 1000).then_some(()));
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    let sent = mails(&project);
    let (all, text) = look(&project);
    assert_eq!(mails(&project), sent);
    let first = format!("user{:05}@example.com", sent + 1);
    assert!(text.contains(&first), "the next mail goes to {first}\n{text}");
    assert_eq!(of(&all, "mass-mail")["problem"], Value::Null);
}

#[test]
fn nothing_changes_after_a_crash() {
    let project = Project::samples();
    let daemon = project.serve("config.example.json");
    eventually("the first mails", || (mails(&project) >= 100).then_some(()));
    daemon.kill();
    let left = fs::read_dir(project.path("var")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<String> = left.map(|name| name.display().to_string()).collect();
    assert!(left.contains(&"gulou.db-wal".to_owned()), "the crash left no log behind: {left:?}");
    let (all, _) = look(&project);
    assert_eq!(of(&all, "mass-mail")["problem"], Value::Null);
}

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
fn lints_are_shown_and_stop_nothing() {
    let project = Project::new(&json!({}));
    let trigger = json!({ "name": "t", "config": "* 30 17 * * FRI *" });
    project.function("f", &json!({ "triggers": [trigger], "target": { "command": { "argv": ["true"] } } }));
    let ran = project.gulou(&["dry-run"]).expect_code(0);
    assert!(ran.stdout.contains("  lint   fires sixty times"), "{}", ran.stdout);
    let ran = project.gulou(&["dry-run", "--json"]).expect_code(0);
    let all: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(all[0]["lints"][0]["code"], "every-second");
}

#[test]
fn a_disabled_trigger_is_shown_as_such() {
    let project = Project::new(&json!({}));
    let trigger = json!({ "name": "t", "config": "0 0 9 * * * *", "enabled": false });
    project.function("f", &json!({ "triggers": [trigger], "target": { "command": { "argv": ["true"] } } }));
    let ran = project.gulou(&["dry-run"]).expect_code(0);
    assert!(ran.stdout.contains("f/t  0 0 9 * * * *\n  disabled: it never fires\n"), "{}", ran.stdout);
}
