//! What the program does with what it cannot use: it says so, all of it, and breaks nothing.

use serde_json::json;

use crate::support::mailing::Mailing;
use crate::support::promise::judge;
use crate::support::{Project, eventually, free_address};

fn idle() -> Project {
    let project = Project::new(&json!({ "state": "sqlite://state.db", "triggers": "triggers" }));
    project.function(
        "yearly",
        &json!({
            "triggers": [{ "name": "new-year", "type": "timer", "config": "0 0 0 1 1 * *" }],
            "target": { "command": { "argv": ["true"] } },
        }),
    );
    project
}

#[test]
fn every_error_of_every_file_is_reported_at_once() {
    let project = idle();
    project.write(
        "config.json",
        r#"{ "state": "sqlite://state.db", "trigers": "triggers", "max_runs": "many" }"#,
    );
    project.write("triggers/comma/config.json", "{ \"triggers\": [], }\n");
    project.function(
        "twice",
        &json!({
            "triggers": [
                { "name": "a", "type": "timer", "config": "0 0 9 * * 7 *" },
                { "name": "a", "type": "timer", "config": "*/5 * * * *" }
            ],
            "target": { "command": { "argv": ["true"] } },
        }),
    );
    let check = project.gulou(&["check", "--config", "config.json"]).expect_code(3);
    let said = check.stdout + &check.stderr;
    for part in ["trigers", "triggers", "max_runs", "comma", "twice", "day of week", "0 */5 * * * * *"] {
        assert!(said.contains(part), "no word of {part}:\n{said}");
    }
    let serve = project.gulou(&["serve", "--config", "config.json"]).expect_code(3);
    assert!(serve.stderr.contains("max_runs"), "{}", serve.stderr);
    assert!(!project.path("state.db").exists(), "an invalid configuration must start nothing");

    let missing = project.gulou(&["serve", "--config", "nowhere.json"]).expect_code(3);
    assert!(missing.stderr.contains("nowhere.json"), "{}", missing.stderr);
}

#[test]
fn a_second_daemon_is_refused() {
    let project = idle();
    let daemon = project.serve("config.json");
    let second = project.gulou(&["serve", "--config", "config.json"]).expect_code(1);
    assert!(second.stderr.contains("in use by another gulou process"), "{}", second.stderr);
    // A fire asks the daemon that is there, or takes its place.
    project.gulou(&["fire", "--config", "config.json", "yearly"]).expect_code(0);
    assert_eq!(daemon.stop().0, Some(0));
    project.gulou(&["fire", "--config", "config.json", "yearly"]).expect_code(0);
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused() {
    let project = idle();
    project.gulou(&["serve", "--confg", "config.json"]).expect_code(2);
    project.gulou(&["sever"]).expect_code(2);
    let next = project.gulou(&["next", "0 0 9 * * 7 *"]);
    assert_eq!(next.code, Some(2), "{next:?}");
    assert!(next.stdout.is_empty() && next.stderr.contains("day of week"), "{next:?}");
    let fire = project.gulou(&["fire", "--config", "config.json", "yeary"]).expect_code(1);
    assert!(fire.stderr.contains("yearly"), "{}", fire.stderr);
}

#[test]
fn a_dead_mail_server_loses_no_row() {
    let nobody = free_address();
    let mailing = Mailing::to(&format!("smtp://{nobody}"), 300, &json!({ "window": 32, "patience": "1s" }));
    let daemon = mailing.project().serve("config.json");
    eventually("a run to end", || {
        let args = ["history", "--config", "config.json", "mailing", "--json"];
        let history = mailing.project().gulou(&args).expect_code(0);
        let runs: serde_json::Value = serde_json::from_str(&history.stdout).unwrap();
        let ended = runs.as_array().unwrap().iter().any(|run| !run["finished_at"].is_null());
        ended.then_some(())
    });
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(mailing.open_rows(), 300, "a row was marked that nobody got");
    let testimony = mailing.testimony(Vec::new());
    // Rows that no run has reached yet are still to come, not skipped.
    let breaches = judge(&testimony, false).err().unwrap_or_default();
    let broken: Vec<_> = breaches.iter().filter(|breach| !breach.contains("silently skipped")).collect();
    assert!(broken.is_empty(), "{broken:?}");
}
