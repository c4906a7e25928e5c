//! What the daemon does for processes that lost their parent, and for all when it is killed itself.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Project, eventually};
use crate::target_harness::is_alive;

/// Ignores TERM, and has a child in another session that does too.
const STUBBORN: &str = r#"trap "" TERM; echo $PPID > daemon
    (setsid sh -c 'trap "" TERM; echo $$ > escaped; while :; do sleep 1000; done' &)
    echo $$ > leader; while :; do sleep 1000; done"#;

/// A project whose functions start within a second.
fn project(functions: &[(&str, Value)]) -> Project {
    let project = Project::new(&json!({ "state": "sqlite://gulou.db" }));
    for (name, target) in functions {
        let trigger = json!({ "name": "t", "type": "timer", "config": "* * * * * * *" });
        project.function(name, &json!({ "triggers": [trigger], "overlap": "skip", "target": target }));
    }
    project
}

fn command(script: &str) -> Value {
    json!({ "command": { "argv": ["/bin/sh", "-c", script], "timeout": "10m" } })
}

/// The process number that user code writes into `file`.
fn written(project: &Project, file: &str) -> String {
    eventually(file, || {
        let text = fs::read_to_string(project.path(file)).ok()?;
        let pid = text.strip_suffix('\n')?;
        Some(pid.to_owned())
    })
}

fn gone(pid: &str) {
    eventually("a process's end", || (!is_alive(pid)).then_some(()));
}

#[test]
fn all_user_processes_end_when_the_daemon_is_killed() {
    let project = project(&[
        ("stubborn", command(STUBBORN)),
        (
            "blocked",
            json!({ "function": { "runtime": "nodejs", "handler": "index.main", "timeout": "10m" } }),
        ),
    ]);
    let blocked = r"require('fs').writeFileSync('worker', `${process.pid}\n`); for (;;);";
    project.write("triggers/blocked/index.js", &format!("exports.main = () => {{ {blocked} }};"));
    let daemon = project.serve("config.json");
    let files = ["stubborn/leader", "stubborn/escaped", "blocked/worker"];
    let pids = files.map(|file| written(&project, &format!("triggers/{file}")));
    assert!(pids.iter().all(|pid| is_alive(pid)));
    daemon.kill();
    for pid in &pids {
        gone(pid);
    }
}

#[test]
fn what_nobody_could_end_is_ended_by_the_next_daemon() {
    let project = project(&[("stubborn", command(STUBBORN))]);
    let daemon = project.serve("config.json");
    let files = ["leader", "escaped", "daemon"];
    let [leader, escaped, parent] = files.map(|file| written(&project, &format!("triggers/stubborn/{file}")));
    let guard = children(&parent).into_iter().find(|pid| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("\0guard\0"))
    });
    let guard = rustix::process::Pid::from_raw(guard.unwrap().parse().unwrap()).unwrap();
    rustix::process::kill_process(guard, rustix::process::Signal::KILL).unwrap();
    gone(&guard.as_raw_nonzero().to_string());
    assert!(is_alive(&leader) && is_alive(&escaped));
    daemon.kill();
    // Any daemon that starts now ends them, one of another test perhaps a moment before this one.
    let daemon = project.serve("config.json");
    gone(&leader);
    gone(&escaped);
    daemon.kill();
}

#[test]
fn adopted_processes_are_reaped() {
    // One ends by itself without a parent, one is ended with the run.
    let script = "echo $PPID > daemon; (setsid true &); (setsid sleep 1000 &); echo x >> runs";
    let project = project(&[("strays", command(script))]);
    let daemon = project.serve("config.json");
    let parent = written(&project, "triggers/strays/daemon");
    eventually("some runs", || {
        let runs = fs::read_to_string(project.path("triggers/strays/runs")).ok()?;
        (runs.lines().count() >= 3).then_some(())
    });
    let is_zombie = |pid: &String| {
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        status.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z"))
    };
    eventually("all dead children to be reaped", || (!children(&parent).iter().any(is_zombie)).then_some(()));
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn what_systemd_tells_the_daemon_stays_with_the_daemon() {
    let project = project(&[("curious", command("env > new; mv new variables"))]);
    let daemon = project.serve("config.json");
    let file = project.path("triggers/curious/variables");
    let variables = eventually("the variables", || fs::read_to_string(&file).ok());
    assert!(variables.contains("GULOU_TRIGGER=t") && !variables.contains("NOTIFY_SOCKET"), "{variables}");
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
}

/// The children of a process, dead ones that are not reaped included.
fn children(parent: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).unwrap().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}
