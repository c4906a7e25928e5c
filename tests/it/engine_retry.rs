//! Runs that fail and are tried again, through the real daemon.

use gulou::store::Reader;
use gulou::store::runs::{HistoryFilter, RunRecord};
use serde_json::{Value, json};

use crate::support::{Project, eventually};

/// One function `f` that fires every second and appends the number of its attempt to `attempts`. `skip`: while it runs, and
/// while it waits for its next attempt, it is not started again.
fn project(script: &str, retry: &Value) -> Project {
    let project = Project::new(&json!({ "state": "sqlite://gulou.db" }));
    let script = format!("echo $GULOU_ATTEMPT $GULOU_REASON >> ../../attempts; {script}");
    let function = json!({
        "triggers": [{ "name": "t", "type": "timer", "config": "* * * * * * *" }],
        "overlap": "skip",
        "retry": retry,
        "target": { "command": { "argv": ["/bin/sh", "-c", script], "timeout": "10m" } },
    });
    project.function("f", &function);
    project
}

/// All runs, the oldest first.
fn runs(project: &Project) -> Vec<RunRecord> {
    let Some(reader) = Reader::open(&project.path("gulou.db")).unwrap() else { return Vec::new() };
    let mut runs = reader.history(&HistoryFilter { limit: 1000, ..HistoryFilter::default() }).unwrap();
    runs.reverse();
    runs
}

fn attempts(project: &Project) -> String {
    std::fs::read_to_string(project.path("attempts")).unwrap_or_default()
}

#[test]
fn a_run_is_tried_again_until_it_succeeds() {
    let project =
        project("test $GULOU_ATTEMPT = 3 && sleep 1000; exit 7", &json!({ "attempts": 5, "delay": "1ms" }));
    let daemon = project.serve("config.json");
    eventually("the third attempt", || attempts(&project).contains("3 retry").then_some(()));
    let first = runs(&project).remove(0);
    assert_eq!((first.state.as_str(), first.attempt, first.retry_at), ("running", 3, None));
    assert_eq!(runs(&project).len(), 1, "while it is tried again it is still running");
    assert_eq!(attempts(&project), "1 timed\n2 retry\n3 retry\n");
    let log = project.gulou(&["logs", &first.id.to_string()]).expect_code(0).stdout;
    let of_request = format!("START RequestId: {}", first.request_id);
    assert_eq!(log.matches(&of_request).count(), 3, "{log}");
    let errors = log.lines().filter(|line| line.contains("ERROR RequestId")).count();
    assert_eq!(errors, 2, "{log}");
    daemon.kill();
}

#[test]
fn the_last_attempt_is_the_end() {
    let project = project("exit 7", &json!({ "attempts": 2, "delay": "0s" }));
    let daemon = project.serve("config.json");
    let first =
        eventually("a run to end", || runs(&project).into_iter().find(|run| run.finished_at.is_some()));
    assert_eq!((first.state.as_str(), first.attempt), ("failed", 2));
    assert!(attempts(&project).starts_with("1 timed\n2 retry\n"), "{}", attempts(&project));
    // Whoever fires by hand sees it fail.
    daemon.stop();
    let before = attempts(&project);
    project.gulou(&["fire", "f"]).expect_code(1);
    assert_eq!(attempts(&project), format!("{before}1 manual\n"));
}

#[test]
fn a_run_that_waits_for_its_next_attempt_outlives_the_daemon() {
    let project =
        project("exit 7", &json!({ "attempts": 2, "delay": "1h", "max_delay": "1h", "jitter": false }));
    for crash in [false, true] {
        let daemon = project.serve("config.json");
        let waiting =
            eventually("a run to wait", || runs(&project).pop().filter(|run| run.retry_at.is_some()));
        assert_eq!((waiting.state.as_str(), waiting.attempt), ("running", 2));
        assert!(waiting.message.unwrap().contains("exited with code 7"), "why it waits");
        if crash {
            daemon.kill();
        } else {
            daemon.stop();
        }
        assert_eq!(runs(&project).pop().unwrap().id, waiting.id, "nothing is recorded as ended");
    }
    // Its time comes.
    let state = rusqlite::Connection::open(project.path("gulou.db")).unwrap();
    state.execute("UPDATE run SET retry_at = retry_at - 3600000", []).unwrap();
    let before = attempts(&project);
    let daemon = project.serve("config.json");
    let first =
        eventually("the run to end", || runs(&project).into_iter().find(|run| run.finished_at.is_some()));
    assert_eq!((first.id, first.state.as_str(), first.attempt), (1, "failed", 2));
    assert!(attempts(&project).starts_with(&format!("{before}2 retry\n")), "{}", attempts(&project));
    daemon.kill();
}

#[test]
fn a_policy_that_makes_no_sense_is_refused() {
    for (retry, complaint) in [
        (json!("clod"), "clod"),
        (json!({}), "attempts"),
        (json!({ "attempts": 1 }), "from 2 to 100"),
        (json!({ "attempts": 3, "delay": "1m", "max_delay": "1s" }), "shorter than `delay`"),
        (json!({ "attempts": 3, "on": [] }), "nothing would be tried again"),
    ] {
        let said = project("true", &retry).gulou(&["check", "--config", "config.json"]).expect_code(3).stdout;
        assert!(said.contains("retry") && said.contains(complaint), "{said}");
    }
}

/// Even when the next attempt is due at once: a drain must not wait for all of them.
#[test]
fn a_drain_ends_a_run_between_two_attempts() {
    let project = project("sleep 0.3; exit 7", &json!({ "attempts": 100, "delay": "0s" }));
    let daemon = project.serve("config.json");
    eventually("the second attempt", || attempts(&project).contains("2 retry").then_some(()));
    assert_eq!(daemon.stop().0, Some(0));
    let run = runs(&project).pop().unwrap();
    assert_eq!((run.state.as_str(), run.finished_at), ("running", None));
    assert!(run.retry_at.is_some() && run.attempt < 100, "the next process goes on");
}
