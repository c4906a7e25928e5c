//! `gulou fire` beside a running daemon: it listens to a run that is the daemon's.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::api_socket::{ask, function, project, timer};
use crate::support::{Project, eventually};

/// Adds `slow`, which says `begun` and waits for the file `go` in its folder.
pub(crate) fn with_slow(overlap: &str) -> Project {
    let project = project();
    let mut slow = function(
        &json!([timer("t", "0 0 0 1 1 * 2099")]),
        "echo begun; until [ -e go ]; do sleep 0.05; done; echo done",
    );
    slow["overlap"] = json!(overlap);
    project.function("slow", &slow);
    project
}

pub(crate) fn go(project: &Project) {
    fs::write(project.path("triggers/slow/go"), "").unwrap();
}

/// A `gulou fire` in the background.
pub(crate) struct Listener {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Listener {
    pub(crate) fn start(project: &Project, args: &[&str]) -> Self {
        let mut command = project.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// Fires `slow`, and has seen its first line.
    #[track_caller]
    pub(crate) fn begun(project: &Project) -> Self {
        let mut listener = Self::start(project, &["fire", "slow"]);
        assert_eq!(listener.line(), "begun\n");
        listener
    }

    /// The next line, as soon as it comes.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    pub(crate) fn succeeds(mut self) -> bool {
        self.child.wait().unwrap().success()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn runs(project: &Project, name: &str) -> Vec<Value> {
    let ran = project.gulou(&["history", name, "--json"]).expect_code(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn shows_what_the_foreground_shows() {
    let project = project();
    let both = "echo out; echo err >&2; exit $1";
    let argv = |code: &str| json!({ "command": { "argv": ["sh", "-c", both, "sh", code] } });
    for (name, code) in [("good", "0"), ("bad", "3")] {
        let target = argv(code);
        project.function(name, &json!({ "triggers": [timer("t", "0 0 0 1 1 * 2099")], "target": target }));
    }
    // Without a daemon, and with one.
    let alone = [project.gulou(&["fire", "good"]), project.gulou(&["fire", "bad/t"])];
    let daemon = project.serve("config.json");
    let asked = [project.gulou(&["fire", "good"]), project.gulou(&["fire", "bad/t"])];
    for (number, (alone, asked)) in alone.iter().zip(&asked).enumerate() {
        assert_eq!((alone.code, &alone.stdout), (asked.code, &asked.stdout));
        let last = |text: &str| text.lines().last().unwrap().to_owned();
        let ours = format!("run {} ", number + 1);
        let theirs = format!("run {} ", number + 3);
        assert_eq!(
            last(&alone.stderr).replace(&ours, "run N "),
            last(&asked.stderr).replace(&theirs, "run N ")
        );
        assert!(asked.stderr.lines().any(|line| line == "err"), "{}", asked.stderr);
        assert!(asked.stderr.contains("START RequestId: "), "{}", asked.stderr);
    }
    assert_eq!((asked[0].code, asked[1].code), (Some(0), Some(1)));
    assert_eq!(asked[0].stdout, "out\n");
    assert!(asked[0].stderr.ends_with("run 3 succeeded\n"), "{}", asked[0].stderr);

    let lines = project.gulou(&["fire", "good", "--json"]).expect_code(0).stdout;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({ "run": 5, "waits": false }));
    assert!(lines.contains(&json!({ "stream": "stdout", "line": "out" })), "{lines:#?}");
    assert_eq!(lines.last().unwrap()["ended"]["status"], "succeeded");
    assert_eq!(daemon.stop().0, Some(0));
}

#[test]
fn lines_come_as_they_are_said_and_the_run_does_not_need_a_listener() {
    let project = with_slow("allow");
    let daemon = project.serve("config.json");
    let mut stays = Listener::begun(&project);
    // It has a line of a run that has not ended: lines are not kept for the end.
    assert!(runs(&project, "slow").iter().all(|run| run["state"] == "running"));
    drop(Listener::begun(&project));
    go(&project);
    assert_eq!(stays.line(), "done\n");
    assert!(stays.succeeds());
    let ended = eventually("both runs to end", || {
        let runs = runs(&project, "slow");
        runs.iter().all(|run| run["state"] != "running").then_some(runs)
    });
    assert_eq!(ended.len(), 2);
    assert!(ended.iter().all(|run| run["state"] == "succeeded" && run["reason"] == "manual"), "{ended:#?}");
    assert_eq!(daemon.stop().0, Some(0));
}

#[test]
fn a_busy_function_is_not_fired_again() {
    let project = with_slow("skip");
    let daemon = project.serve("config.json");
    let listener = Listener::begun(&project);
    let ran = project.gulou(&["fire", "slow"]).expect_code(1);
    assert!(ran.stderr.contains("the function `slow` is still running"), "{}", ran.stderr);
    assert_eq!(ask(&project, "POST", "/api/v1/fire", "{\"function\": \"slow\"}").0, 409);
    let status = project.gulou(&["status"]).expect_code(0).stdout;
    assert!(status.lines().any(|line| line.ends_with("  slow/t (manual)")), "{status}");
    go(&project);
    drop(listener);
    assert_eq!(daemon.stop().0, Some(0));
    assert_eq!(runs(&project, "slow").len(), 1);
}

#[test]
fn a_run_may_have_to_wait() {
    let project = with_slow("queue");
    let daemon = project.serve("config.json");
    let first = Listener::begun(&project);
    let mut second = Listener::start(&project, &["fire", "slow", "--json"]);
    assert_eq!(second.line(), "{\"run\":2,\"waits\":true}\n");
    go(&project);
    assert!(first.succeeds() && second.succeeds());
    assert_eq!(daemon.stop().0, Some(0));
}

#[test]
fn a_stop_lets_the_run_end_and_its_listener_hear_it() {
    let project = with_slow("allow");
    let mut daemon = project.serve("config.json");
    let mut listener = Listener::begun(&project);
    daemon.terminate();
    daemon.wait_for("STOPPING=1");
    // Nothing new: the daemon says that it stops for as long as it drains.
    let said = eventually("the daemon to say that it stops", || {
        let ran = project.gulou(&["fire", "f"]);
        (ran.code == Some(1)).then_some(ran.stderr)
    });
    assert!(said.contains("the daemon is stopping"), "{said}");
    assert_eq!(ask(&project, "GET", "/api/v1/status", "").0, 503);
    go(&project);
    assert_eq!(listener.line(), "done\n");
    assert!(listener.succeeds());
    assert_eq!(daemon.wait().0, Some(0));
}
