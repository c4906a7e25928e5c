//! A daemon with its state in PostgreSQL: its verbs, its lock, and a server that goes away and comes back.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::servers::Postgres;
use crate::support::{Project, eventually};

const CONFIG: [&str; 2] = ["--config", "config.json"];

/// A function that fires every second and says so.
fn project(state: &str) -> Project {
    let state = state.replace(":secret@", "@");
    let state = json!({ "url": state, "password": { "file": "password" } });
    let project = Project::new(&json!({ "state": state, "triggers": "triggers" }));
    project.write("password", "secret");
    fs::set_permissions(project.path("password"), Permissions::from_mode(0o600)).unwrap();
    let triggers = json!([{ "name": "always", "type": "timer", "config": "* * * * * * *" }]);
    project.function(
        "drum",
        &json!({ "triggers": triggers, "target": { "command": { "argv": ["echo", "咚"] } } }),
    );
    project
}

fn history(project: &Project) -> Vec<Value> {
    let ran = project.gulou(&["history", CONFIG[0], CONFIG[1], "--json", "--count", "1000"]).expect_code(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn succeeded(project: &Project) -> usize {
    history(project).iter().filter(|run| run["state"] == "succeeded").count()
}

#[test]
fn a_daemon_fires_over_a_restart_of_its_server_and_a_kill_of_its_own() {
    let mut server = Postgres::start();
    let project = project(&server.database());
    assert!(history(&project).is_empty(), "there is no state yet");
    let daemon = project.serve("config.json");
    eventually("a run", || (succeeded(&project) > 0).then_some(()));
    let run = history(&project)[0]["run"].to_string();
    assert!(project.gulou(&["logs", CONFIG[0], CONFIG[1], &run]).expect_code(0).stdout.contains("咚"));
    let status = project.gulou(&["status", CONFIG[0], CONFIG[1]]).expect_code(0).stdout;
    assert!(status.contains("postgres://gulou@127.0.0.1:"), "{status}");
    assert!(project.path("gulou.sock").exists());

    let second = project.gulou(&["serve", CONFIG[0], CONFIG[1]]).expect_code(1);
    assert!(second.stderr.contains("is in use by another gulou process: gulou (pid "), "{}", second.stderr);
    assert!(!second.stderr.contains("secret"), "{}", second.stderr);

    server.kill();
    server.restart();
    let before = succeeded(&project);
    eventually("runs after the restart", || (succeeded(&project) > before).then_some(()));
    daemon.kill();

    let daemon = project.serve("config.json");
    let before = succeeded(&project);
    eventually("runs after the kill", || (succeeded(&project) > before).then_some(()));
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "the drain failed:\n{log}");
    let runs = history(&project);
    let mut fire_times: Vec<_> = runs.iter().map(|run| run["fire_time"].to_string()).collect();
    fire_times.sort();
    fire_times.dedup();
    assert_eq!(fire_times.len(), runs.len(), "a fire time ran twice");
    assert!(runs.iter().all(|run| run["state"] != "running"), "{runs:?}");
}
