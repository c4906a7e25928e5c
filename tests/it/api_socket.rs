//! The API on the socket beside the state, and the verbs that ask it: what they say, and what they change.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use gulou::server::socket;
use serde_json::{Value, json};

use crate::support::{Project, eventually};

/// A project with `f/t`, which fires at no time soon, and `g/a` and `g/b`; `b` is disabled.
pub(crate) fn project() -> Project {
    let project = Project::new(&json!({ "state": "sqlite://state.db", "triggers": "triggers" }));
    project.function("f", &function(&json!([timer("t", "0 0 0 1 1 * 2099")]), "echo f"));
    let two = json!([timer("a", "0 0 0 1 1 * 2098"), timer("b", "0 0 0 1 1 * 2098")]);
    let mut g = function(&two, "echo g");
    g["triggers"][1]["enabled"] = json!(false);
    project.function("g", &g);
    project
}

/// A function that runs a line of shell.
pub(crate) fn function(triggers: &Value, shell: &str) -> Value {
    json!({ "triggers": triggers, "target": { "command": { "argv": ["sh", "-c", shell], "timeout": "10m" } } })
}

pub(crate) fn timer(name: &str, config: &str) -> Value {
    json!({ "name": name, "type": "timer", "config": config })
}

/// One request, as bytes; answers the status and the whole body.
pub(crate) fn ask(project: &Project, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = socket::connect(&project.path("state.db.sock")).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    // An answer may come, and the connection end, before a body that is too long has been taken.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    let server = format!("server: gulou/{}", env!("CARGO_PKG_VERSION"));
    assert!(head.lines().any(|line| line == server), "{head}");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[track_caller]
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
fn asked_json(project: &Project, args: &[&str]) -> Value {
    parsed(&project.gulou(args).expect_code(0).stdout)
}

#[test]
fn without_a_daemon_the_verbs_say_so() {
    let project = project();
    for args in [&["status"][..], &["pause", "f"], &["resume", "--all"], &["reload"]] {
        let ran = project.gulou(args).expect_code(1);
        assert_eq!(ran.stdout, "");
        let said = ran.stderr.trim_end();
        assert!(said.starts_with("error: no gulou daemon is running on the state /"), "{said}");
        assert!(said.ends_with("/state.db; start it with `gulou serve`"), "{said}");
    }
    let listed = project.gulou(&["list"]).expect_code(0).stdout;
    assert!(listed.lines().any(|line| line.starts_with("f/t ") && line.ends_with("  on")), "{listed}");
    assert!(listed.lines().any(|line| line.starts_with("g/b ") && line.ends_with("  off")), "{listed}");
    assert!(!project.path("state.db").exists(), "looking makes no state");
}

#[test]
fn a_config_that_cannot_be_read_is_exit_code_3() {
    let project = Project::empty();
    for args in [&["status"][..], &["pause", "f"], &["reload"], &["fire", "f"], &["list"]] {
        let ran = project.gulou(args).expect_code(3);
        assert!(ran.stderr.contains("config.json"), "{}", ran.stderr);
    }
}

#[test]
fn a_selection_is_names_or_all() {
    let project = project();
    project.gulou(&["pause"]).expect_code(2);
    project.gulou(&["resume", "f", "--all"]).expect_code(2);
}

#[test]
fn status_and_list_say_what_the_daemon_runs() {
    let project = project();
    let daemon = project.serve("config.json");
    let status = asked_json(&project, &["status", "--json"]);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["state"], project.path("state.db").display().to_string());
    let counts = ["functions", "triggers", "paused", "running_count", "waiting", "backlog"];
    assert_eq!(counts.map(|key| status[key].as_u64().unwrap()), [2, 2, 0, 0, 0, 0]);
    assert_eq!(status["next"], json!({ "function": "g", "trigger": "a", "due": "2097-12-31T16:00:00Z" }));
    assert_eq!((&status["clock_behind"], &status["problems"]), (&Value::Null, &json!([])));
    assert_eq!(parsed(&ask(&project, "GET", "/api/v1/status", "").1)["pid"], status["pid"]);

    let text = project.gulou(&["status"]).expect_code(0).stdout;
    for line in ["functions 2", "triggers  2 enabled, 0 paused", "running   0"] {
        assert!(text.lines().any(|printed| printed == line), "{line} is not in\n{text}");
    }
    // What the daemon runs, and not what the files say meanwhile.
    let offline = project.gulou(&["list", "--json"]);
    fs::write(project.path("triggers/f/config.json"), "{").unwrap();
    assert_eq!(project.gulou(&["list", "--json"]).expect_code(0).stdout, offline.stdout);
    assert_eq!(daemon.stop().0, Some(0));
    project.gulou(&["list"]).expect_code(3);
}

#[test]
fn a_pause_outlives_the_daemon_and_is_never_caught_up() {
    let project = project();
    let mut often = function(&json!([timer("t", "* * * * * * *")]), "true");
    often["triggers"][0]["misfire"] = json!("all");
    project.function("often", &often);
    project.function("clock", &function(&json!([timer("t", "* * * * * * *")]), "true"));
    let daemon = project.serve("config.json");
    let count =
        |name| asked_json(&project, &["history", name, "-n", "100000", "--json"]).as_array().unwrap().len();
    let runs = || count("often");
    eventually("a run", || (runs() > 0).then_some(()));

    let paused = project.gulou(&["pause", "often", "g/a"]).expect_code(0).stdout;
    let mut lines: Vec<&str> = paused.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["paused g/a", "paused often/t"]);
    let again = project.gulou(&["pause", "often"]).expect_code(0).stdout;
    assert_eq!(again, "nothing to pause: all of them are paused already\n");
    let listed = project.gulou(&["list"]).expect_code(0).stdout;
    assert!(
        listed.lines().any(|line| line.starts_with("often/t ") && line.ends_with("  command  paused")),
        "{listed}"
    );
    let listed = asked_json(&project, &["list", "--json"]);
    let entry = listed.as_array().unwrap().iter().find(|entry| entry["function"] == "often").unwrap();
    assert!(entry["paused_since"].is_string() && entry["next"].is_null(), "{entry}");
    assert_eq!(asked_json(&project, &["status", "--json"])["paused"], 2);

    assert_eq!(daemon.stop().0, Some(0));
    let before = runs();
    let daemon = project.serve("config.json");
    assert_eq!(asked_json(&project, &["status", "--json"])["paused"], 2);
    let ticks = count("clock");
    eventually("two seconds to pass", || (count("clock") > ticks + 2).then_some(()));
    assert_eq!(runs(), before, "nothing runs while it is paused");

    let resumed = asked_json(&project, &["resume", "--all", "--json"]);
    let mut names: Vec<&str> =
        resumed["changed"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["g/a", "often/t"]);
    eventually("runs after the pause", || (runs() > before).then_some(()));
    eventually("what was skipped to be on record", || {
        let skipped = asked_json(&project, &["history", "often", "--skipped", "--json"]);
        skipped.as_array().unwrap().iter().any(|span| span["reason"] == "paused").then_some(())
    });
    let history = asked_json(&project, &["history", "often", "-n", "100000", "--json"]);
    assert!(history.as_array().unwrap().iter().all(|run| run["reason"] == "timed"), "{history:#}");
    assert_eq!(daemon.stop().0, Some(0));
}

#[test]
fn one_unknown_name_and_nothing_is_paused() {
    let project = project();
    let daemon = project.serve("config.json");
    for (name, nearest) in [("ff", "`f`"), ("g/aa", "`a`")] {
        let ran = project.gulou(&["pause", "f", name]).expect_code(1);
        assert!(ran.stderr.contains("there is no ") && ran.stderr.contains(nearest), "{}", ran.stderr);
    }
    assert_eq!(asked_json(&project, &["status", "--json"])["paused"], 0);
    assert_eq!(daemon.stop().0, Some(0));
}

#[test]
fn a_folder_that_became_invalid_is_shown_and_its_old_version_runs() {
    let project = project();
    let daemon = project.serve("config.json");
    project.function("new", &function(&json!([timer("t", "0 0 0 1 1 * 2099")]), "echo new"));
    fs::write(project.path("triggers/f/config.json"), "{ \"triggers\": 1 }").unwrap();
    let reloaded = project.gulou(&["reload"]).expect_code(3).stdout;
    // The daemon may have seen it by itself already.
    assert!(reloaded.contains("the folder `f` cannot be used as it is since "), "{reloaded}");
    assert!(reloaded.contains("its old version goes on:\n  error: "), "{reloaded}");

    for verb in ["list", "status"] {
        let shown = project.gulou(&[verb]).expect_code(0).stdout;
        assert!(shown.contains("the folder `f` cannot be used as it is since "), "{shown}");
        assert!(shown.contains("triggers/f/config.json:1:15 (triggers)"), "{shown}");
    }
    let status = asked_json(&project, &["status", "--json"]);
    assert_eq!(status["functions"], 3);
    assert_eq!(
        (&status["problems"][0]["function"], &status["problems"][0]["old_version_runs"]),
        (&json!("f"), &json!(true))
    );
    // It can be told as if nothing were wrong, and its past can be looked at.
    assert_eq!(project.gulou(&["pause", "f"]).expect_code(0).stdout, "paused f/t\n");
    assert_eq!(project.gulou(&["fire", "f"]).expect_code(0).stdout, "f\n");
    assert_eq!(asked_json(&project, &["history", "f", "--json"]).as_array().unwrap().len(), 1);

    fs::remove_dir_all(project.path("triggers/f")).unwrap();
    project.gulou(&["reload"]).expect_code(0);
    let status = asked_json(&project, &["status", "--json"]);
    assert_eq!((&status["functions"], &status["problems"]), (&json!(2), &json!([])));
    assert_eq!(daemon.stop().0, Some(0));
}

#[test]
fn what_is_asked_wrongly_is_answered_rightly() {
    let project = project();
    let daemon = project.serve("config.json");
    let too_long = format!("{{\"names\": [\"{}\"]}}", "f".repeat(200_000));
    let cases = [
        ("GET", "/", "", 404, "the API begins at /api/v1"),
        ("GET", "/api/v1/nothing", "", 404, "there is nothing at /api/v1/nothing"),
        ("DELETE", "/api/v1/status", "", 405, "takes another method"),
        ("GET", "/api/v1/fire", "", 405, "takes another method"),
        ("PUT", "/api/v1/pause", "{\"all\": true}", 405, "takes another method"),
        ("POST", "/api/v1/pause", "", 400, "the body should be {"),
        ("POST", "/api/v1/resume", "{\"all\": false}", 400, "the body should be {"),
        ("POST", "/api/v1/pause", &too_long, 413, "the body is longer than 131072 bytes"),
        ("POST", "/api/v1/pause", "{\"names\": [\"ff\"]}", 404, "there is no function `ff`"),
        ("POST", "/api/v1/fire", "{\"trigger\": \"t\"}", 400, "missing field `function`"),
        ("POST", "/api/v1/fire", "{\"function\": \"f\", \"argv\": [\"id\"]}", 400, "unknown field `argv`"),
        ("POST", "/api/v1/fire", "{\"function\": \"ff\"}", 404, "did you mean `f`?"),
        ("POST", "/api/v1/fire", "{\"function\": \"f\", \"trigger\": \"tt\"}", 404, "there is no trigger"),
    ];
    for (method, path, body, status, said) in cases {
        let (answered, text) = ask(&project, method, path, body);
        assert_eq!(answered, status, "{method} {path}: {text}");
        let error = parsed(&text)["error"].as_str().unwrap().to_owned();
        assert!(error.contains(said), "{method} {path}: {error}");
    }
    assert_eq!(daemon.stop().0, Some(0));
}

#[test]
fn the_socket_is_the_owners_and_goes_with_the_daemon() {
    let project = project();
    let path = project.path("state.db.sock");
    let daemon = project.serve("config.json");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    daemon.kill();
    assert!(path.exists(), "nobody could take it away");
    let ran = project.gulou(&["status"]).expect_code(1);
    assert!(ran.stderr.contains("no gulou daemon is running"), "{}", ran.stderr);

    let daemon = project.serve("config.json");
    project.gulou(&["status"]).expect_code(0);
    assert_eq!(daemon.stop().0, Some(0));
    let left: Vec<_> =
        fs::read_dir(project.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("sock")), "{left:?}");
}

#[test]
fn a_client_that_is_never_satisfied_does_not_keep_the_daemon() {
    let project = project();
    let daemon = project.serve("config.json");
    let mut half = socket::connect(&project.path("state.db.sock")).unwrap();
    half.write_all(b"POST /api/v1/pause HTTP/1.1\r\ncontent-length: 10\r\n\r\n{").unwrap();
    let idle = socket::connect(&project.path("state.db.sock")).unwrap();
    project.gulou(&["status"]).expect_code(0);
    assert_eq!(daemon.stop().0, Some(0));
    drop((half, idle));
}

#[test]
fn a_state_may_lie_deeper_than_a_socket_can_say() {
    let deep = Path::new(&"深".repeat(40)).join("d".repeat(120));
    let state = deep.join("state.db");
    let project = Project::new(&json!({
        "state": format!("sqlite://{}", state.display()), "triggers": "triggers"
    }));
    let daemon = project.serve("config.json");
    assert_eq!(asked_json(&project, &["status", "--json"])["functions"], 0);
    assert!(project.path(deep.join("state.db.sock")).exists());
    assert_eq!(daemon.stop().0, Some(0));
}
