//! WeChat's accounts, messages and quotas as people write them: what is wrong with them.

use serde_json::{Value, json};

use crate::support::Project;

fn project(account: &Value, batch: &Value) -> Project {
    let config = json!({
        "databases": { "main": { "url": "sqlite://demo.db" } }, "wechat": { "main": account },
    });
    let project = Project::new(&config);
    project.write("secret", "0123456789abcdef");
    let mut of_function = json!({
        "id": "b", "source": { "database": "main", "table": "users", "key": "id", "where": "status = false" },
        "mark": { "sent": { "status": true } },
    });
    of_function.as_object_mut().unwrap().extend(batch.as_object().unwrap().clone());
    let triggers = json!([{ "name": "t", "type": "timer", "config": "0 0 9 * * * *" }]);
    project.function("f", &json!({ "triggers": triggers, "target": { "batch": of_function } }));
    project
}

/// `path: message | help` of each finding of a kind.
#[track_caller]
fn found(account: &Value, batch: &Value, kind: &str) -> Vec<String> {
    let ran = project(account, batch).gulou(&["check", "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let show = |found: &Value| {
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        format!("{}: {} | {}", text("path").replace("target.batch.", ""), text("message"), text("help"))
    };
    report[kind].as_array().unwrap().iter().map(show).collect()
}

fn account() -> Value {
    json!({ "appid": "wx0123456789abcdef", "secret": { "file": "secret" } })
}

fn subscribe(key: &str, value: Value) -> Value {
    let mut message = json!({
        "via": "main", "touser": "{{ openid }}", "template_id": "T", "data": { "thing1": "{{ name }}" }
    });
    message[key] = value;
    json!({ "action": { "wechat_subscribe": message } })
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_its_fix() {
    let long = "a".repeat(101);
    let http = json!({ "url": "https://example.com" });
    let rows = |quota: Value| json!({ "action": { "http": http }, "quota": quota });
    for (batch, expected) in [
        (
            subscribe("via", json!("mian")),
            "wechat_subscribe.via: the daemon config has no WeChat account called `mian` | did you mean `main`?",
        ),
        (subscribe("touser", json!("{{ openid")), "touser: the template cannot be read"),
        (subscribe("data", json!({})), "data: the message says nothing | name the template's keywords"),
        (
            subscribe("data", json!({ "thing1": { "vlaue": "x" } })),
            "unknown key `vlaue` | did you mean `value`?",
        ),
        (
            subscribe("data", json!({ "thing1": { "value": "x", "color": "#173177" } })),
            "a subscription message has no colors",
        ),
        (subscribe("lang", json!("zh-CN")), "lang: `zh-CN` was found where `zh_CN`"),
        (
            subscribe("miniprogram_state", json!("release")),
            "miniprogram_state: `release` was found where `developer`",
        ),
        (subscribe("url", json!("https://a.b")), "unknown key `url`"),
        (json!({ "action": { "wechat_template": {} } }), "wechat_template: `via` is missing here"),
        (
            json!({ "action": { "http": http, "wecom_robot": {} } }),
            "a batch does one thing with a row | keep `http` or `wecom_robot`",
        ),
        (
            json!({ "action": {} }),
            "the action is empty | say what is done with a row: one of `mail`, `http`, `wecom_robot`",
        ),
        (json!({ "action": { "function": {} } }), "`function` is not supported by this version"),
        (rows(json!("10000")), "quota: `10000` is not a quota | write how many in how long, such as `20/1m`"),
        (rows(json!(10_000)), "quota: a number was found where a string such as `10000/1h` is expected"),
        (rows(json!([])), "quota: no limit is given"),
        (rows(json!(["20/1m", "30/60s"])), "quota[1]: two limits for the same time | keep the smaller one"),
        (rows(json!({ "name": "p" })), "quota: `limit` is missing here"),
        (rows(json!({ "name": long, "limit": "1/1s" })), "quota.name: a name is short"),
    ] {
        let errors = found(&account(), &batch, "errors");
        assert!(errors.iter().any(|error| error.contains(expected)), "{expected} in {errors:#?}");
    }
    for (account, expected) in [
        (json!({ "secret": { "file": "secret" } }), "wechat.main: `appid` is missing here"),
        (json!({ "appid": "wx1" }), "wechat.main: `secret` is missing here"),
        (
            json!({ "appid": "wx 1", "secret": { "file": "secret" } }),
            "wechat.main.appid: `wx 1` is not an appid",
        ),
        (
            json!({ "appid": "wx1", "secret": { "file": "secret" }, "base": "api.weixin.qq.com" }),
            "wechat.main.base: this is not a URL",
        ),
    ] {
        let errors = found(&account, &subscribe("lang", json!("zh_CN")), "errors");
        assert!(errors.iter().any(|error| error.contains(expected)), "{expected} in {errors:#?}");
    }
}

#[test]
fn what_is_right_passes_and_a_secret_that_can_be_read_is_warned_of() {
    for quota in [json!("10000/1h"), json!(["20/1m", "10000/h"]), json!({ "name": "p", "limit": ["1/1s"] })] {
        let mut batch = subscribe("page", json!("index?id={{ id }}"));
        batch["quota"] = quota;
        assert_eq!(found(&account(), &batch, "errors"), Vec::<String>::new());
    }
    let open = json!({ "appid": "wx1", "secret": "0123456789abcdef-s3cret", "base": "http://example.com" });
    let warnings = found(&open, &subscribe("lang", json!("zh_CN")), "warnings").join("\n");
    for expected in ["this secret can be read by all", "the secret of the account goes out unencrypted"] {
        assert!(warnings.contains(expected), "{warnings}");
    }
    // Neither the line that is quoted nor another shows it.
    let ran = project(&open, &subscribe("lang", json!("zh_CN"))).gulou(&["check"]);
    assert!(!format!("{ran:?}").contains("s3cret"), "{ran:?}");
}
