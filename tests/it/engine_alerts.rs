//! Who is told of what goes wrong, through the real daemon and a real web server.

use serde_json::{Value, json};

use crate::support::web::{Asked, Web, ok, status};
use crate::support::{Project, eventually};

/// One function `f` that fires every second and does what the file `todo` says.
fn project(web: &Web, every: &str) -> Project {
    let hook = |kind: &str| json!({ "http": { "url": web.url(&format!("/{kind}")) } });
    let project = Project::new(&json!({
        "state": "sqlite://gulou.db",
        "alerts": {
            "on_failure": hook("failure"), "on_recovery": hook("recovery"), "on_missed": hook("missed"),
            "every": every,
        },
    }));
    project.function("f", &function(&json!({})));
    todo(&project, "exit 7");
    project
}

fn function(more: &Value) -> Value {
    let mut function = json!({
        "triggers": [{ "name": "t", "type": "timer", "config": "* * * * * * *" }],
        "target": { "command": { "argv": ["/bin/sh", "../../todo"], "timeout": "10m" } },
    });
    function.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    function
}

fn todo(project: &Project, script: &str) {
    project.write("todo.new", script);
    std::fs::rename(project.path("todo.new"), project.path("todo")).unwrap();
}

fn to<'a>(asked: &'a [Asked], path: &str) -> Vec<&'a Asked> {
    asked.iter().filter(|asked| asked.path == path).collect()
}

fn told(asked: &Asked) -> Value {
    serde_json::from_str(&asked.body).unwrap()
}

#[test]
fn a_failure_is_told_once_in_a_while_and_a_recovery_after_it() {
    let web = Web::start(|_| ok("{}"));
    let project = project(&web, "1h");
    let daemon = project.serve("config.json");
    let asked = web.wait_for(1);
    let first = told(&asked[0]);
    assert_eq!(asked[0].path, "/failure");
    assert_eq!(
        (&first["kind"], &first["function"], &first["trigger"]),
        (&json!("failure"), &json!("f"), &json!("f/t"))
    );
    assert_eq!((&first["message"], &first["more"]), (&json!("/bin/sh exited with code 7"), &json!(0)));
    assert!(
        first["text"].as_str().unwrap().starts_with("f/t failed: /bin/sh exited with code 7 (run 1, due ")
    );
    let failed = || {
        let runs = project.gulou(&["history", "--json", "--state", "failed"]).expect_code(0).stdout;
        serde_json::from_str::<Vec<Value>>(&runs).unwrap().len()
    };
    eventually("three runs to fail", || (failed() >= 3).then_some(()));
    todo(&project, "exit 0");
    let asked = web.wait_for(2);
    assert_eq!(to(&asked, "/failure").len(), 1, "the others are counted, not told");
    let [recovery] = to(&asked, "/recovery")[..] else { panic!("{asked:?}") };
    let recovery = told(recovery);
    assert!(recovery["text"].as_str().unwrap().starts_with("f/t is well again after "), "{recovery}");
    daemon.stop();
}

#[test]
fn what_was_kept_back_is_told_when_the_while_is_over_if_it_is_still_so() {
    let web = Web::start(|_| ok("{}"));
    let project = project(&web, "3s");
    let daemon = project.serve("config.json");
    let asked = web.wait_for(2);
    let second = told(to(&asked, "/failure")[1]);
    assert!(second["more"].as_u64().unwrap() >= 1, "{second}");
    daemon.stop();
}

#[test]
fn a_recovery_is_known_across_a_restart_and_by_hand_nobody_is_alarmed() {
    let web = Web::start(|_| ok("{}"));
    let project = project(&web, "1h");
    let daemon = project.serve("config.json");
    web.wait_for(1);
    daemon.stop();
    todo(&project, "exit 0");
    let daemon = project.serve("config.json");
    let asked = web.wait_for(2);
    assert_eq!(to(&asked, "/recovery").len(), 1, "{asked:?}");
    // Alone in this: its own function, which says that nobody is to be told.
    project.function(
        "quiet",
        &json!({
            "triggers": [{ "name": "t", "type": "timer", "config": "0 0 0 1 1 * 2099" }],
            "target": { "command": { "argv": ["false"] } },
        }),
    );
    eventually("the new function", || project.gulou(&["list"]).stdout.contains("quiet").then_some(()));
    project.gulou(&["fire", "quiet"]).expect_code(1);
    daemon.stop();
    assert_eq!(to(&web.asked(), "/failure").len(), 1, "{:?}", web.asked());
}

#[test]
fn missed_fires_are_told_with_their_number() {
    let web = Web::start(|_| ok("{}"));
    let project = project(&web, "1h");
    todo(&project, "exit 0");
    let daemon = project.serve("config.json");
    eventually("a run", || project.gulou(&["history"]).stdout.contains("succeeded").then_some(()));
    daemon.kill();
    // It was down for an hour.
    let state = rusqlite::Connection::open(project.path("gulou.db")).unwrap();
    state
        .execute_batch("DELETE FROM run; UPDATE trigger SET mark = unixepoch() - 3600; UPDATE meta SET value = 0 WHERE name = 'runs'")
        .unwrap();
    drop(state);
    let daemon = project.serve("config.json");
    let asked = web.wait_for(1);
    let missed = told(to(&asked, "/missed")[0]);
    assert!(missed["text"].as_str().unwrap().contains("fire times were missed (down), from "), "{missed}");
    daemon.stop();
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    let times = std::sync::atomic::AtomicU32::new(0);
    let web = Web::start(move |_| {
        let first = times.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        if first { status("503 Service Unavailable", "") } else { ok("{}") }
    });
    let project = project(&web, "1h");
    let daemon = project.serve("config.json");
    let asked = web.wait_for(2);
    assert_eq!(asked[0].body, asked[1].body);
    eventually("the log to say so", || daemon.log().contains("alert sent").then_some(()));
    daemon.stop();
}

#[test]
fn a_function_may_have_alerts_of_its_own_or_none() {
    let web = Web::start(|_| ok("{}"));
    let project = project(&web, "1h");
    project.function("f", &function(&json!({ "alerts": false })));
    project.function(
        "g",
        &function(&json!({
            "alerts": { "on_failure": { "http": {
                "url": web.url("/own"), "body": { "said": "{{ function }}: {{ message }}" }
            } } }
        })),
    );
    let daemon = project.serve("config.json");
    let asked = web.wait_for(1);
    assert_eq!(
        (asked[0].path.as_str(), told(&asked[0])),
        ("/own", json!({ "said": "g: /bin/sh exited with code 7" }))
    );
    daemon.stop();
    assert!(to(&web.asked(), "/failure").is_empty());
    for (alerts, complaint) in [
        (json!({}), "nobody is told of anything"),
        (json!({ "on_failure": {} }), "nothing is done"),
        (json!({ "on_failure": { "http": {} } }), "url"),
    ] {
        project.function("f", &function(&json!({ "alerts": alerts })));
        let said = project.gulou(&["check", "--config", "config.json"]).expect_code(3).stdout;
        assert!(said.contains(complaint) && said.contains("alerts"), "{said}");
    }
}
