//! `gulou fire --event`: a function is tried with an event of one's own, as in the cloud's console.

use serde_json::{Value, json};

use crate::api_fire::{Listener, go, with_slow};
use crate::api_socket::{ask, timer};
use crate::support::Project;

/// `echo` returns its event, and has no trigger; `show` prints it; `mail` is a batch.
fn project() -> Project {
    let config = json!({
        "state": "sqlite://state.db",
        "databases": { "main": { "url": "sqlite://main.db" } },
        "mail": { "out": { "url": "maildir:outbox", "from": "a@ex.test" } },
    });
    let project = Project::new(&config);
    project.write("triggers/echo/index.js", "exports.main = async (event) => ({ got: event })");
    project.function("echo", &json!({ "triggers": [] }));
    let show = json!({ "command": { "argv": ["cat"] } });
    project.function("show", &json!({ "triggers": [timer("t", "0 0 0 1 1 * 2099")], "target": show }));
    rusqlite::Connection::open(project.path("main.db"))
        .unwrap()
        .execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, status BOOLEAN)")
        .unwrap();
    let mail = json!({ "batch": {
        "id": "mail",
        "source": { "database": "main", "table": "users", "key": "id", "where": "status = false" },
        "action": { "mail": { "via": "out", "to": "{{ email }}", "subject": "s", "text": "t" } },
        "mark": { "sent": { "status": true } },
    } });
    project.function("mail", &json!({ "triggers": [timer("t", "0 0 0 1 1 * 2099")], "target": mail }));
    project
}

#[test]
fn a_function_gets_the_event_it_is_fired_with() {
    let project = project();
    project.write("event.json", "{ \"openid\": \"o1\", \"n\": [1, null] }");
    for with_daemon in [false, true] {
        let daemon = with_daemon.then(|| project.serve("config.json"));
        let ran = project.gulou(&["fire", "echo", "--event", "event.json"]).expect_code(0);
        let result: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(result, json!({ "got": { "openid": "o1", "n": [1, null] } }));
        // Without one it is a timer's, though the function has no timer.
        let ran = project.gulou(&["fire", "echo"]).expect_code(0);
        let result: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(
            (&result["got"]["Type"], &result["got"]["TriggerName"]),
            (&json!("timer"), &json!("by-hand"))
        );
        let ran = project.gulou(&["fire", "show", "--event", "event.json"]).expect_code(0);
        let result: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(result["openid"], "o1", "a command has it on its stdin");
        let refused = project.gulou(&["fire", "mail", "--event", "event.json"]).expect_code(1).stderr;
        assert!(refused.contains("`mail` runs a batch, which takes no event"), "{refused}");
        if let Some(daemon) = daemon {
            assert_eq!(
                ask(&project, "POST", "/api/v1/fire", "{\"function\": \"mail\", \"event\": 1}").0,
                400
            );
            let (status, said) =
                ask(&project, "POST", "/api/v1/fire", "{\"function\": \"echo\", \"event\": null}");
            assert!(status == 200 && said.contains("{\"got\":null}"), "{said}");
            assert_eq!(daemon.stop().0, Some(0));
        }
    }
}

#[test]
fn an_event_that_cannot_be_read_is_named() {
    let project = project();
    project.write("event.json", "{ \"openid\": ");
    let said = project.gulou(&["fire", "echo", "--event", "event.json"]).expect_code(1).stderr;
    assert!(said.contains("event.json is not JSON"), "{said}");
    let said = project.gulou(&["fire", "echo", "--event", "none.json"]).expect_code(1).stderr;
    assert!(said.contains("could not read the event none.json"), "{said}");
}

/// The state does not keep the event: such a run never waits for its turn.
#[test]
fn a_run_with_an_event_starts_at_once_or_not_at_all() {
    let project = with_slow("queue");
    project.write("event.json", "{}");
    let daemon = project.serve("config.json");
    let listener = Listener::begun(&project);
    let said = project.gulou(&["fire", "slow", "--event", "event.json"]).expect_code(1).stderr;
    assert!(said.contains("the function `slow` is still running, so this was not started"), "{said}");
    go(&project);
    drop(listener);
    daemon.stop();
}
