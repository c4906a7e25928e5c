//! `target.http` as people write it: what is wrong with it, what it would do, what it does.

use serde_json::{Value, json};

use crate::support::Project;
use crate::support::web::{Web, ok};

fn project(request: &Value) -> Project {
    let project = Project::new(&json!({}));
    project.function(
        "hook",
        &json!({
            "triggers": [{ "name": "daily", "type": "timer", "config": "0 0 9 * * * *", "argument": "你\"好" }],
            "target": { "http": request },
        }),
    );
    project
}

/// `path: message | help` of each finding of a kind.
#[track_caller]
fn found(request: &Value, kind: &str, code: i32) -> Vec<String> {
    let ran = project(request).gulou(&["check", "--json"]).expect_code(code);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let show = |found: &Value| {
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        let path = text("path").replace("target.http.", "");
        format!("{path}: {} | {}", text("message"), text("help"))
    };
    report[kind].as_array().unwrap().iter().map(show).collect()
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_its_fix() {
    for (request, expected) in [
        (json!({}), "target.http: `url` is missing here"),
        (
            json!({ "url": "example.com/x" }),
            "url: this is not a URL: relative URL without a base | write one such as",
        ),
        (json!({ "url": "ftp://example.com" }), "url: this is not the URL of a web server"),
        (json!({ "url": "{{ event.Message" }), "url: the template cannot be read"),
        (json!({ "url": "example.com/{{ trigger }}" }), "url: the URL has to start with `https://`"),
        (json!({ "url": "https://me:pw@example.com" }), "url: this has a login in it: write it as a header"),
        (
            json!({ "url": { "env": "GULOU_NO_SUCH" } }),
            "url.env: the environment variable `GULOU_NO_SUCH` is not set",
        ),
        (
            json!({ "url": "https://a.b", "metod": "GET" }),
            "metod: unknown key `metod` | did you mean `method`?",
        ),
        (json!({ "url": "https://a.b", "method": "get" }), "method: `get` was found where `GET`, `POST`"),
        (
            json!({ "url": "https://a.b", "method": "GET", "body": "x" }),
            "body: a GET carries no body | write `\"method\": \"POST\"`",
        ),
        (
            json!({ "url": "https://a.b", "body": { "a": ["{{ x"] } }),
            "body: the template `{{ x` cannot be read",
        ),
        (
            json!({ "url": "https://a.b", "body": 5 }),
            "body: a number was found where a string, an object or a list",
        ),
        (
            json!({ "url": "https://a.b", "body": "x", "body_file": "b" }),
            "body_file: `body` and `body_file` exclude",
        ),
        (json!({ "url": "https://a.b", "body_file": "b" }), "body_file: there is no file `b`"),
        (
            json!({ "url": "https://a.b", "headers": { "A B": "x" } }),
            "headers[\"A B\"]: `A B` cannot name a header",
        ),
        (
            json!({ "url": "https://a.b", "headers": { "Host": "x" } }),
            "headers.Host: `Host` is set by Gulou itself",
        ),
        (
            json!({ "url": "https://a.b", "headers": { "A": "x", "a": "y" } }),
            "headers.a: the header `a` is given twice",
        ),
        (
            json!({ "url": "https://a.b", "headers": { "A": { "env": "GULOU_NO_SUCH", "prefix": "B " } } }),
            "headers.A.env: the environment",
        ),
        (json!({ "url": "https://a.b", "timeout": "0s" }), "timeout: this must be longer"),
        (
            json!({ "url": "https://a.b", "tls": "off" }),
            "tls: `off` was found where `verify` or `unverified`",
        ),
        (json!({ "url": "https://a.b", "tls_ca": "ca.pem" }), "tls_ca: there is no file `ca.pem`"),
        (
            json!({ "url": "https://a.b", "redirects": 21 }),
            "redirects: `21` is not a whole number from 0 to 20",
        ),
        (json!({ "url": "https://a.b", "max_response": 0 }), "max_response: `0` is not"),
        (
            json!({ "url": "https://a.b", "success": { "status": "2XX" } }),
            "success.status: `2XX` was found where `2xx`",
        ),
        (
            json!({ "url": "https://a.b", "success": { "status": [] } }),
            "success.status: no answer could be a success",
        ),
        (
            json!({ "url": "https://a.b", "success": { "json": { "pointer": "$.a[0]", "equals": 0 } } }),
            "success.json.pointer: `$.a[0]` is not a JSON pointer | write `/a/0`",
        ),
        (
            json!({ "url": "https://a.b", "success": { "json": { "pointer": "/a" } } }),
            "success.json: `equals` is missing",
        ),
    ] {
        let errors = found(&request, "errors", 3);
        assert!(errors.iter().any(|error| error.starts_with(expected)), "{expected}: {errors:#?}");
    }
    let login = json!({ "url": "https://a.b", "headers": { "Authorization": "Bearer abc" } });
    let warnings = found(&login, "warnings", 0);
    assert!(warnings[0].contains("can be read by all") && !warnings[0].contains("abc"), "{warnings:?}");
}

#[test]
fn a_dry_run_shows_the_request_and_sends_nothing() {
    let web = Web::start(|_| ok("{}"));
    let project = project(&json!({
        "url": web.url("/{{ trigger }}"), "headers": { "X-Key": { "file": "key" } },
        "body": { "text": "{{ event.Message }}" },
    }));
    project.write("triggers/hook/key", "s3cr3t-key");
    let shown = project.gulou(&["dry-run"]).expect_code(0).stdout;
    for line in [format!("POST {}", web.url("/daily")), "x-key: …".into(), "{\"text\":\"你\\\"好\"}".into()]
    {
        assert!(shown.contains(&line), "{line} in {shown}");
    }
    assert!(!shown.contains("s3cr3t") && web.asked().is_empty(), "{shown}");
    project.gulou(&["fire", "hook/daily"]).expect_code(0);
    let asked = &web.asked()[0];
    assert_eq!((asked.path.as_str(), asked.header("x-key")), ("/daily", Some("s3cr3t-key")));
    let listed = project.gulou(&["list"]).expect_code(0).stdout;
    assert!(listed.contains("  http "), "{listed}");
}

#[test]
fn a_failed_request_fails_the_fire_and_says_why() {
    let web = Web::start(|_| crate::support::web::status("404 Not Found", "no such hook"));
    let project = project(&json!({ "url": web.url("/") }));
    let ran = project.gulou(&["fire", "hook/daily"]).expect_code(1);
    assert!(
        format!("{}{}", ran.stdout, ran.stderr).contains("answered 404 Not Found: no such hook"),
        "{ran:?}"
    );
}
