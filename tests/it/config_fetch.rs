//! `target.fetch` as people write it: what is wrong with it, what it would do, what it does.

use serde_json::{Value, json};

use crate::support::Project;
use crate::support::web::{Web, ok};

const TABLES: &str =
    "CREATE TABLE news (guid TEXT PRIMARY KEY, title TEXT, at TEXT); CREATE TABLE loose (guid, title);
    CREATE VIEW seen AS SELECT * FROM news; CREATE TABLE two (a, b, UNIQUE (a, b));";

fn project(page: &Value) -> Project {
    let project = Project::new(&json!({
        "databases": { "main": { "url": "sqlite://news.db", "create_with": "news.sql" } },
        "mail": { "outbox": { "url": "maildir:outbox", "from": "gulou@example.com" } },
    }));
    project.write("news.sql", TABLES);
    let triggers = json!([{ "name": "often", "type": "timer", "config": "0 */5 * * * * *" }]);
    project.function("news", &json!({ "triggers": triggers, "target": { "fetch": page } }));
    project
}

/// `path: message | help` of each finding of a kind.
#[track_caller]
fn found(page: &Value, kind: &str, code: i32) -> Vec<String> {
    let ran = project(page).gulou(&["check", "--json"]).expect_code(code);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let show = |found: &Value| {
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        format!("{}: {} | {}", text("path").replace("target.fetch.", ""), text("message"), text("help"))
    };
    report[kind].as_array().unwrap().iter().map(show).collect()
}

/// A fetch of a feed with `more` in it.
fn page(more: &Value) -> Value {
    let mut page =
        json!({ "url": "https://a.b/feed", "feed": true, "then": { "http": { "url": "https://a.b" } } });
    page.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    page
}

fn save(table: &str, key: &Value, columns: &Value) -> Value {
    page(&json!({ "save": { "database": "main", "table": table, "key": key, "columns": columns } }))
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_its_fix() {
    let robot = |robot: Value| page(&json!({ "then": { "wecom_robot": robot } }));
    for (page, expected) in [
        (json!({ "feed": true }), "target.fetch: `url` is missing here"),
        (page(&json!({ "feeds": true })), "feeds: unknown key `feeds` | did you mean `feed`?"),
        (
            page(&json!({ "json": "/a" })),
            "target.fetch: a page is looked at in one way; here are json and feed",
        ),
        (page(&json!({ "body": "x" })), "body: unknown key `body`"),
        (
            json!({ "url": "https://a.b", "json": "data.items" }),
            "json: `data.items` is not a JSON pointer | write `/data/items`",
        ),
        (json!({ "url": "https://a.b", "html": "div[" }), "html: `div[` is not a CSS selector: "),
        (
            json!({ "url": "https://a.b", "html": "li", "key": ["a >"] }),
            "key[0]: `a >` is not a CSS selector: ",
        ),
        (page(&json!({ "key": "/guid" })), "key: the entries of feeds have no `/guid` | "),
        (
            page(&json!({ "key": "/titel" })),
            "key: the entries of feeds have no `/titel` | did you mean `title`?",
        ),
        (page(&json!({ "key": [] })), "key: nothing tells the items apart"),
        (page(&json!({ "first": "tell" })), "first: `tell` was found where `remember` or `report`"),
        (page(&json!({ "then": {} })), "then: nothing is done | say `http`"),
        (
            page(&json!({ "then": { "http": { "url": "https://a.b" }, "mail": {} } })),
            "then: one thing is done; here are http and mail",
        ),
        (page(&json!({ "then": { "http": { "url": "a.b" } } })), "then.http.url: this is not a URL"),
        (
            page(&json!({ "then": { "mail": { "via": "outbax" } } })),
            "then.mail.via: the daemon config has no mail transport called `outbax` | did you mean `outbox`?",
        ),
        (
            page(
                &json!({ "then": { "mail": { "via": "outbox", "to": "a@b.c", "subject": "s", "text": "t", "per": "run" } } }),
            ),
            "then.mail: `\"per\": \"run\"` belongs to the mail of a batch",
        ),
        (robot(json!({ "content": "x" })), "then.wecom_robot: `url` is missing"),
        (
            robot(json!({ "url": { "env": "GULOU_NO_SUCH" }, "content": "x" })),
            "then.wecom_robot.url.env: the environment variable",
        ),
        (robot(json!({ "url": "weixin", "content": "x" })), "then.wecom_robot.url: the secret is not a URL"),
        (
            robot(json!({ "url": "https://a.b/?key=0", "kind": "html", "content": "x" })),
            "then.wecom_robot.kind: `html` was found where `text` or `markdown`",
        ),
        (robot(json!({ "url": "https://a.b/?key=0" })), "then.wecom_robot: the message has no text"),
        (
            robot(json!({ "url": "https://a.b/?key=0", "content": "{{ x" })),
            "then.wecom_robot.content: the template cannot be read",
        ),
        (page(&json!({ "save": {} })), "save: `database` is missing here"),
        (
            page(&json!({ "save": { "database": "mian" } })),
            "save.database: the daemon config has no database called `mian` | did you mean `main`?",
        ),
        (save("news", &json!("guid"), &json!({})), "save.columns: a row has no columns"),
        (
            save("news", &json!("gid"), &json!({ "guid": "/id" })),
            "save.key: the key `gid` is not one of the `columns` | did you mean `guid`?",
        ),
        (
            save("news", &json!("guid"), &json!({ "guid": "id" })),
            "save.columns.guid: `id` is not a JSON pointer | write `/id`",
        ),
        // What the database says.
        (
            save("newss", &json!("guid"), &json!({ "guid": "/id" })),
            "save.table: the database has no table `newss` | did you mean `news`?",
        ),
        (save("seen", &json!("guid"), &json!({ "guid": "/id" })), "save.table: `seen` is a view"),
        (
            save("news", &json!("guid"), &json!({ "guid": "/id", "titel": "/title" })),
            "save.columns.titel: the table `news` has no column `titel` | did you mean `title`?",
        ),
        (
            save("loose", &json!("guid"), &json!({ "guid": "/id" })),
            "save.key: no unique index is over `guid` and nothing else | run CREATE UNIQUE INDEX on loose (guid)",
        ),
        (save("two", &json!("a"), &json!({ "a": "/id" })), "save.key: no unique index is over `a`"),
    ] {
        let errors = found(&page, "errors", 3);
        assert!(errors.iter().any(|error| error.starts_with(expected)), "{expected}: {errors:#?}");
    }
    for fine in [
        page(&json!({ "first": "report", "key": ["/link", "/title"] })),
        save("two", &json!(["b", "a"]), &json!({ "a": "/id", "b": "/link" })),
        save("news", &json!(["GUID"]), &json!({ "GUID": "/id" })),
        json!({ "url": "https://a.b", "html": "li", "save": { "database": "main", "table": "news", "key": "guid",
            "columns": { "guid": "a @href", "title": "text", "at": "time@datetime" } } }),
    ] {
        assert_eq!(found(&fine, "warnings", 0), [""; 0]);
    }
    let idle = found(&json!({ "url": "https://a.b" }), "warnings", 0);
    assert!(idle[0].starts_with("target.fetch: nothing follows a change | add `save`"), "{idle:?}");
}

#[test]
fn a_webhook_in_plain_sight_is_a_warning_that_does_not_tell_it() {
    let robot =
        json!({ "url": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=4711-0815", "content": "x" });
    let project = project(&page(&json!({ "then": { "wecom_robot": robot } })));
    let checked = project.gulou(&["check"]).expect_code(0).stdout;
    assert!(checked.contains("this secret can be read by all") && !checked.contains("4711"), "{checked}");
    let dry = project.gulou(&["dry-run"]).expect_code(0).stdout;
    assert!(
        dry.contains("when it has changed: a message to a WeCom group") && !dry.contains("4711"),
        "{dry}"
    );
}

#[test]
fn a_dry_run_asks_nobody_and_a_fire_remembers() {
    let web = Web::start(|_| ok(r#"{"items": [{"id": "a", "name": "A"}]}"#));
    let project = project(&json!({
        "url": web.url("/list"), "json": "/items",
        "save": { "database": "main", "table": "news", "key": "guid", "columns": { "guid": "/id", "title": "/name" } },
    }));
    let shown = project.gulou(&["dry-run"]).expect_code(0).stdout;
    for line in [
        format!("GET {}", web.url("/list")),
        "looks at `/items` of the JSON".to_owned(),
        "when it has changed: rows of `news` (guid, title) in the database `main`".to_owned(),
    ] {
        assert!(shown.contains(&line), "{line} in {shown}");
    }
    assert!(web.asked().is_empty() && !project.path("news.db").exists());
    let first = project.gulou(&["fire", "news/often"]).expect_code(0);
    let told = format!("{}{}", first.stdout, first.stderr);
    assert!(told.contains("1 items, 1 new; 1 rows inserted, 0 updated"), "{told}");
    let second = project.gulou(&["fire", "news/often"]).expect_code(0);
    assert!(!format!("{}{}", second.stdout, second.stderr).contains("inserted"), "{second:?}");
    let file = rusqlite::Connection::open(project.path("news.db")).unwrap();
    let title: String =
        file.query_row("SELECT title FROM news WHERE guid = 'a'", [], |row| row.get(0)).unwrap();
    assert_eq!(title, "A");
    assert_eq!(web.asked().len(), 2);
}
