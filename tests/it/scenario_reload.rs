//! Function folders that change while the daemon runs: what is valid takes effect, what is not leaves all as it was.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::support::{Daemon, Project, eventually, require};

const ALWAYS: &str = "* * * * * * *";
/// Does not come while a test runs.
const LATER: &str = "0 0 0 1 1 * 2098";

/// A command that prints `word`, on a schedule.
fn command(expression: &str, word: &str) -> Value {
    json!({
        "triggers": [{ "name": "t", "type": "timer", "config": expression }],
        "target": { "command": { "argv": ["echo", word] } },
    })
}

fn project(functions: &[(&str, Value)]) -> Project {
    let project = Project::new(&json!({}));
    for (name, config) in functions {
        project.function(name, config);
    }
    project
}

/// Runs the program on the state of the project, whatever its functions are like.
fn ask(project: &Project, args: &[&str]) -> String {
    project.write("ask/config.json", "{ \"state\": \"sqlite://../gulou.db\", \"triggers\": \".\" }");
    project.gulou(&[args, &["--config", "ask/config.json"]].concat()).expect_code(0).stdout
}

/// Ended runs of a function, newest first.
fn runs(project: &Project, function: &str) -> Vec<Value> {
    let history = ask(project, &["history", function, "--json", "--count", "1000"]);
    let runs: Vec<Value> = serde_json::from_str(&history).unwrap();
    runs.into_iter().filter(|run| run["state"] == "succeeded").collect()
}

/// Waits until the newest ended run of a function is another than now.
fn fires_again(project: &Project, function: &str) {
    let newest = |runs: &[Value]| runs.first().map(|run| run["run"].clone());
    let before = newest(&runs(project, function));
    eventually("one more run", || (newest(&runs(project, function)) != before).then_some(()));
}

/// Waits for a line of the log that has all of `parts`.
fn logged(daemon: &Daemon, parts: &[&str]) {
    eventually(&format!("a line with {parts:?} in the log"), || {
        daemon.log().lines().any(|line| parts.iter().all(|part| line.contains(part))).then_some(())
    });
}

fn stops_well(daemon: Daemon) {
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn a_schedule_that_changed_takes_effect() {
    let project = project(&[("f", command(LATER, "old"))]);
    let daemon = project.serve("config.json");
    project.function("f", &command(ALWAYS, "new"));
    logged(&daemon, &["functions reloaded", "changed=\"f\""]);
    fires_again(&project, "f");
    let run = runs(&project, "f")[0]["run"].to_string();
    let output = ask(&project, &["logs", &run]);
    assert!(output.contains("stdout new"), "{output}");
    stops_well(daemon);
}

#[test]
fn an_invalid_folder_keeps_its_old_version_running() {
    let project = project(&[("f", command(ALWAYS, "x"))]);
    let daemon = project.serve("config.json");
    fires_again(&project, "f");
    project
        .write("triggers/f/config.json", "{ \"triggers\": [{ \"name\": \"t\", \"config\": \"5 fields\" }] }");
    logged(&daemon, &["ERROR", "its old version goes on"]);
    let log = daemon.log();
    assert!(log.contains("triggers/f/config.json:1:") && log.contains('^'), "{log}");
    fires_again(&project, "f");
    project.function("f", &command(ALWAYS, "x"));
    logged(&daemon, &["functions reloaded", "mended=\"f\"", "invalid=0"]);
    fires_again(&project, "f");
    // A folder that was never valid does not keep the rest from running either.
    project.write("triggers/new/config.json", "[]");
    logged(&daemon, &["ERROR", "cannot be used, and does not run", "function=\"new\""]);
    fires_again(&project, "f");
    stops_well(daemon);
}

#[test]
fn removed_and_renamed_folders_stop_and_new_ones_start() {
    let project = project(&[("old", command(ALWAYS, "x")), ("witness", command(ALWAYS, "x"))]);
    let daemon = project.serve("config.json");
    fires_again(&project, "old");
    fs::rename(project.path("triggers/old"), project.path("triggers/new")).unwrap();
    logged(&daemon, &["functions reloaded", "added=\"new\"", "removed=\"old\""]);
    fires_again(&project, "new");
    fs::remove_dir_all(project.path("triggers/new")).unwrap();
    logged(&daemon, &["functions reloaded", "removed=\"new\""]);
    // What was claimed before may still end; by the second fire of the witness it has.
    fires_again(&project, "witness");
    let ended = |name: &str| runs(&project, name).len();
    let before = (ended("old"), ended("new"));
    fires_again(&project, "witness");
    fires_again(&project, "witness");
    assert_eq!((ended("old"), ended("new")), before, "a removed function has fired");
    stops_well(daemon);
}

#[test]
fn a_folder_that_is_being_copied_is_waited_for() {
    let project = project(&[("f", command(LATER, "x"))]);
    let daemon = project.serve("config.json");
    project.write("triggers/slow/readme.md", "");
    logged(&daemon, &["the folder has no `config.json`", "triggers/slow"]);
    let text = command(ALWAYS, "x").to_string();
    let (half, rest) = text.split_at(text.len() / 2);
    let mut file = File::create(project.path("triggers/slow/config.json")).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    // The daemon looks at others meanwhile.
    project.function("f", &command("0 0 0 2 1 * 2098", "x"));
    logged(&daemon, &["functions reloaded", "changed=\"f\""]);
    assert!(!daemon.log().contains("ERROR"), "half a file was read:\n{}", daemon.log());
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    logged(&daemon, &["functions reloaded", "added=\"slow\""]);
    assert!(!daemon.log().contains("ERROR"), "half a file was read:\n{}", daemon.log());
    fires_again(&project, "slow");
    stops_well(daemon);
}

/// The file is replaced through a hidden link, as Kubernetes does it with a `ConfigMap`; then the whole folder of the
/// functions through another, as deployment tools do.
#[test]
fn links_that_lead_elsewhere_are_followed() {
    let project = Project::empty();
    project.write("config.json", "{}");
    let version = |name: &str, word: &str| {
        project.write(&format!("one/f/{name}/config.json"), &command(LATER, word).to_string());
    };
    version("..1", "x");
    let [data, next] = ["one/f/..data", "one/f/..next"].map(|name| project.path(name));
    symlink("..1", &data).unwrap();
    symlink("..data/config.json", project.path("one/f/config.json")).unwrap();
    symlink("one", project.path("triggers")).unwrap();
    let daemon = project.serve("config.json");
    version("..2", "y");
    symlink("..2", &next).unwrap();
    fs::rename(&next, &data).unwrap();
    logged(&daemon, &["functions reloaded", "changed=\"f\""]);
    project.write("two/g/config.json", &command(LATER, "x").to_string());
    symlink("two", project.path("next")).unwrap();
    fs::rename(project.path("next"), project.path("triggers")).unwrap();
    logged(&daemon, &["functions reloaded", "added=\"g\"", "removed=\"f\""]);
    // And what is there now is watched.
    project.write("two/g/config.json", &command(LATER, "y").to_string());
    logged(&daemon, &["functions reloaded", "changed=\"g\""]);
    stops_well(daemon);
}

#[test]
fn nodejs_code_that_changed_is_a_new_version() {
    require("node");
    let project = Project::new(&json!({}));
    project.function("f", &json!({ "triggers": [{ "name": "t", "type": "timer", "config": ALWAYS }] }));
    project.write("triggers/f/index.js", "exports.main = () => 'old'");
    let daemon = project.serve("config.json");
    let answers = |word: &str| {
        eventually(&format!("the function to answer `{word}`"), || {
            runs(&project, "f").first().filter(|run| run["result"] == word).map(|_| ())
        });
    };
    answers("old");
    project.write("triggers/f/index.js", "exports.main = () => 'new'");
    logged(&daemon, &["functions reloaded", "changed=\"f\""]);
    answers("new");
    stops_well(daemon);
}

/// One run of a function is in the middle when its code changes, another when its folder goes.
#[test]
fn nodejs_runs_in_flight_are_not_disturbed() {
    require("node");
    let project = Project::new(&json!({}));
    let config = json!({
        "triggers": [{ "name": "t", "type": "timer", "config": ALWAYS }],
        "overlap": "skip", "timeout": 900,
    });
    project.function("f", &config);
    // Says that it has started, waits until it may end, and answers its version.
    let code = |version: &str| {
        format!(
            "const fs = require('fs'), path = require('path')
             const beside = name => path.join(__dirname, '../..', name)
             exports.main = async () => {{
               fs.writeFileSync(beside('started-{version}'), '')
               while (!fs.existsSync(beside('go-{version}'))) await new Promise(go => setTimeout(go, 20))
               return '{version}'
             }}"
        )
    };
    let started = |version: &str| {
        let file = project.path(format!("started-{version}"));
        eventually(&format!("a run of {version}"), || file.exists().then_some(()));
    };
    let ended = |version: &str| {
        eventually(&format!("the end of a run of {version}"), || {
            runs(&project, "f").iter().any(|run| run["result"] == version).then_some(())
        });
    };
    project.write("triggers/f/index.js", &code("one"));
    let daemon = project.serve("config.json");
    started("one");
    project.write("triggers/f/index.js", &code("two"));
    logged(&daemon, &["functions reloaded", "changed=\"f\""]);
    project.write("go-one", "");
    ended("one");
    started("two");
    fs::remove_dir_all(project.path("triggers/f")).unwrap();
    logged(&daemon, &["functions reloaded", "removed=\"f\""]);
    project.write("go-two", "");
    ended("two");
    assert!(!daemon.log().contains("ERROR"), "{}", daemon.log());
    stops_well(daemon);
}

/// A template outside of the folder is not watched; SIGHUP reads everything, and systemd is told.
#[test]
fn sighup_reads_everything() {
    let project = Project::new(&json!({
        "databases": { "main": { "url": "sqlite://demo.db" } },
        "mail": { "outbox": { "url": "maildir:outbox", "from": "gulou@example.com" } }
    }));
    project.write("mail.txt", "old");
    project.function(
        "mail",
        &json!({ "triggers": [{ "name": "t", "config": LATER }], "target": { "batch": {
            "id": "b",
            "source": { "database": "main", "table": "users", "key": "id", "where": "status = 0" },
            "action": { "mail": {
                "via": "outbox", "to": "{{ email }}", "subject": "s", "text_file": "../../mail.txt"
            } },
            "mark": { "sent": { "status": 1 } } } } }),
    );
    let mut daemon = project.serve("config.json");
    daemon.hang_up();
    daemon.wait_for("RELOADING=1");
    daemon.wait_for("READY=1");
    logged(&daemon, &["no function has changed"]);
    project.write("mail.txt", "new");
    daemon.hang_up();
    daemon.wait_for("RELOADING=1");
    daemon.wait_for("READY=1");
    logged(&daemon, &["functions reloaded", "changed=\"mail\""]);
    stops_well(daemon);
}

#[test]
fn a_daemon_config_that_changed_is_spoken_of() {
    let project = project(&[("f", command(LATER, "x"))]);
    let daemon = project.serve("config.json");
    project.write("config.json", "{ \"max_runs\": 9 }");
    logged(&daemon, &["WARN", "`config.json` has changed: that takes effect at the next start"]);
    project.write("config.json", "{ \"max_runs\": 0 }");
    logged(&daemon, &["WARN", "`config.json`:1 is invalid, and nothing of it is taken over"]);
    stops_well(daemon);
}
