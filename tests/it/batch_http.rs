//! A batch whose rows go out as HTTP requests.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::Project;
use crate::support::web::{Answer, Web, answer, ok, status};

fn project(web: &Web, action: &Value) -> (Project, Connection) {
    let mut request = json!({ "url": web.url("/send/{{ id }}") });
    request.as_object_mut().unwrap().extend(action.as_object().unwrap().clone());
    let project = Project::new(&json!({ "databases": { "main": { "url": "sqlite://demo.db" } } }));
    let file = Connection::open(project.path("demo.db")).unwrap();
    file.execute_batch(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, status BOOLEAN NOT NULL DEFAULT false, error TEXT);
         INSERT INTO users (id, name) VALUES (1, 'a\"b'), (2, '鼓'), (3, NULL), (4, 'd');",
    )
    .unwrap();
    project.function(
        "calls",
        &json!({
            "triggers": [{ "name": "t", "type": "timer", "config": "0 0 9 * * * *" }],
            "target": { "batch": {
                "id": "calls", "concurrency": 1,
                "source": { "database": "main", "table": "users", "key": "id", "where": "status = false", "columns": ["id", "name"] },
                "action": { "http": request },
                "mark": { "sent": { "status": true }, "failed": { "status": true, "error": ":error" } }
            } }
        }),
    );
    (project, file)
}

fn rows(file: &Connection) -> String {
    let all = "SELECT group_concat(id || iif(status, coalesce(' ' || error, ' sent'), ''), ';') FROM (SELECT * FROM users ORDER BY id)";
    file.query_row(all, [], |row| row.get(0)).unwrap()
}

#[test]
fn each_row_is_a_request_and_its_answer_decides() {
    let web = Web::start(|asked| match asked.path.as_str() {
        "/send/1" => ok("{}"),
        "/send/2" => status("400 Bad Request", "bad name"),
        "/send/3" => status("503 Service Unavailable", ""),
        // Nobody knows what became of it.
        _ => Answer::Cut(answer("200 OK", &[], "{}"), 5),
    });
    let (project, file) = project(&web, &json!({}));
    let ran = project.gulou(&["fire", "calls/t"]);
    let asked = web.asked();
    let bodies: Vec<Value> = asked.iter().map(|asked| serde_json::from_str(&asked.body).unwrap()).collect();
    assert_eq!(
        bodies[..3],
        [json!({"id": 1, "name": "a\"b"}), json!({"id": 2, "name": "鼓"}), json!({"id": 3, "name": null})]
    );
    let mut keys: Vec<&str> = asked.iter().map(|asked| asked.header("idempotency-key").unwrap()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((asked.len(), keys.len()), (4, 4), "{ran:?}");
    assert_eq!(rows(&file), "1 sent;2 answered 400 Bad Request: bad name;3;4");
    let held = project.gulou(&["batch", "rows", "calls", "--held", "--json"]).expect_code(0).stdout;
    assert!(held.contains("broke") || held.contains("connection"), "{held}");
    let all = project.gulou(&["batch", "rows", "calls", "--json"]).expect_code(0).stdout;
    assert!(all.contains("answered 503 Service Unavailable"), "{all}");
    // What is held and what waits is not asked again by the next fire.
    project.gulou(&["fire", "calls/t"]);
    assert_eq!(web.asked().len(), 4);
}

#[test]
fn templates_see_columns_and_a_dry_run_shows_the_first_request() {
    let web = Web::start(|_| ok(r#"{"errcode": 0}"#));
    let action = json!({
        "headers": { "Idempotency-Key": "row-{{ id }}", "X-Key": { "file": "key" } },
        "body": { "to": "{{ name | default('nobody') }}", "n": "{{ id | tojson }}" },
        "success": { "json": { "pointer": "/errcode", "equals": 0 } },
    });
    let (project, file) = project(&web, &action);
    project.write("triggers/calls/key", "s3cr3t-key");
    let dry = project.gulou(&["dry-run"]).expect_code(0).stdout;
    for line in
        [format!("POST {}", web.url("/send/1")), "{\"to\":\"a\\\"b\",\"n\":1}".into(), "x-key: …".into()]
    {
        assert!(dry.contains(&line), "{line} in {dry}");
    }
    assert!(web.asked().is_empty());
    project.gulou(&["fire", "calls/t"]).expect_code(0);
    assert_eq!(rows(&file), "1 sent;2 sent;3 sent;4 sent");
    let asked = web.asked();
    assert_eq!(
        (asked[2].header("idempotency-key"), asked[2].body.as_str()),
        (Some("row-3"), "{\"to\":\"nobody\",\"n\":3}")
    );
    let tried = project.gulou(&["batch", "try", "calls", "--to", "a@b.c"]).expect_code(1);
    assert!(tried.stderr.contains("the batch `calls` sends no mail"), "{tried:?}");
}
