//! `gulou logs`: what runs said, and what they say.

use serde_json::Value;

use crate::api_fire::{Listener, go, with_slow};
use crate::api_socket::project;

#[test]
fn a_run_is_followed_to_its_end() {
    let project = with_slow("allow");
    let daemon = project.serve("config.json");
    let _fired = Listener::begun(&project);
    let mut follower = Listener::start(&project, &["logs", "-f", "1"]);
    assert!(follower.line().contains("system START RequestId: "), "from the first line on");
    assert!(follower.line().ends_with("stdout begun\n"));
    go(&project);
    assert!(follower.line().ends_with("stdout done\n"));
    assert!(follower.line().contains("system END RequestId: "));
    assert!(follower.line().contains("system Report RequestId: "));
    assert_eq!(follower.line(), "", "nothing more comes");
    assert!(follower.succeeds());
    // The same to read afterwards, and as JSON.
    let lines = project.gulou(&["logs", "1", "--json"]).expect_code(0).stdout;
    assert_eq!(lines.lines().count(), 5);
    daemon.stop();
}

#[test]
fn runs_of_a_function_are_followed_as_they_come() {
    let project = with_slow("allow");
    go(&project);
    let daemon = project.serve("config.json");
    // One is over before anybody follows.
    project.gulou(&["fire", "slow"]).expect_code(0);
    std::fs::remove_file(project.path("triggers/slow/go")).unwrap();
    let _fired = Listener::begun(&project);
    let mut follower = Listener::start(&project, &["logs", "-f", "slow", "--json"]);
    let mut next = || serde_json::from_str::<Value>(&follower.line()).unwrap();
    let first = next();
    assert_eq!(
        (&first["run"], &first["trigger"]),
        (&2.into(), &"slow/t".into()),
        "what runs, from its start"
    );
    assert_eq!(next()["line"], "begun");
    go(&project);
    assert_eq!(next()["line"], "done");
    project.gulou(&["fire", "f"]).expect_code(0);
    project.gulou(&["fire", "slow"]).expect_code(0);
    let of_next = std::iter::from_fn(|| Some(next())).find(|line| line["run"] != 2).unwrap();
    assert_eq!(of_next["run"], 4, "the run of another function is not shown");
    daemon.stop();
}

#[test]
fn who_asks_for_nothing_is_told_how() {
    let project = project();
    assert!(project.gulou(&["logs"]).expect_code(2).stderr.contains("RUN|FUNCTION"));
    project.gulou(&["fire", "f"]).expect_code(0);
    let said = project.gulou(&["logs", "f"]).expect_code(1).stderr;
    assert!(said.contains("there is no run `f`"), "{said}");
}
