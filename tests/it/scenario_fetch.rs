//! A daemon that looks at a page every second.

use serde_json::{Value, json};

use crate::support::web::{Answer, Web, answer};
use crate::support::{Project, eventually};

/// As long as nothing changes, a look is one conditional request, and all looks together are one line of the history.
#[test]
fn looks_that_find_nothing_new_are_one_line_of_the_history() {
    let web = Web::start(|asked| match asked.header("if-none-match") {
        None => Answer::Bytes(answer("200 OK", &[("ETag", "\"1\"")], r#"[{"id": 1}]"#)),
        Some(_) => Answer::Bytes(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec()),
    });
    let project = Project::new(&json!({}));
    let then = json!({ "http": { "url": web.url("/hook") } });
    project.function(
        "news",
        &json!({
            "triggers": [{ "name": "often", "type": "timer", "config": "* * * * * * *" }],
            "target": { "fetch": { "url": web.url("/page"), "json": "", "key": "/id", "then": then } },
        }),
    );
    let daemon = project.serve("config.json");
    let runs = eventually("four looks that find nothing", || {
        let ran = project.gulou(&["history", "news", "--json"]).expect_code(0);
        let runs: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
        let last = runs.iter().find(|run| run["result"]["unchanged"] == true)?;
        (last["repeats"].as_u64() >= Some(3)).then_some(runs)
    });
    let idle = runs.iter().filter(|run| run["result"]["unchanged"] == true).count();
    let found = runs.iter().filter(|run| run["result"]["new"] == 1).count();
    assert_eq!((idle, found), (1, 1), "{runs:#?}");
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    let asked = web.asked();
    let unconditional = asked.iter().filter(|asked| asked.header("if-none-match").is_none()).count();
    assert_eq!(unconditional, 1, "{asked:#?}");
}
