//! The WeCom robot: what it is sent, and what its answers mean.

use gulou::action::Outcome;
use gulou::action::follow::{Follow, Occasion};
use gulou::action::http::{Delivery, HttpClients};
use gulou::action::wecom::WecomRobot;
use gulou::settings::{Secret, TemplateSource, WecomKind, WecomRobotSettings};
use serde_json::{Map, Value, json};

use crate::support::web::{Web, ok, status};
use crate::target_harness::fire;

async fn send(web: &Web, kind: WecomKind, content: &str) -> Delivery {
    let settings = WecomRobotSettings {
        url: Secret::new(web.url("/cgi-bin/webhook/send?key=693a91f6-7xxx")),
        kind,
        content: TemplateSource { origin: "content".to_owned(), text: content.to_owned() },
    };
    let values = Map::from_iter([("n".to_owned(), json!([1, 2]))]);
    let at = fire("").fire_time;
    let robot = Follow::WecomRobot(WecomRobot::new(&settings, &HttpClients::default()).unwrap().into());
    robot.send(&Occasion { values: &values, fire_time: at, now: at, id: "1", file: None }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_is_sent_what_wecom_documents() {
    let web = Web::start(|_| ok(r#"{"errcode":0,"errmsg":"ok"}"#));
    let sent = send(&web, WecomKind::Text, "{{ n | length }} \"new\"").await;
    assert!(matches!(sent.outcome, Outcome::Sent { .. }), "{sent:?}");
    send(&web, WecomKind::Markdown, "**{{ n | join(', ') }}**").await;
    let asked = web.asked();
    assert_eq!(
        (asked[0].method.as_str(), asked[0].path.as_str()),
        ("POST", "/cgi-bin/webhook/send?key=693a91f6-7xxx")
    );
    let body = |index: usize| serde_json::from_str::<Value>(&asked[index].body).unwrap();
    assert_eq!(body(0), json!({ "msgtype": "text", "text": { "content": "2 \"new\"" } }));
    assert_eq!(body(1), json!({ "msgtype": "markdown", "markdown": { "content": "**1, 2**" } }));
}

#[tokio::test(flavor = "multi_thread")]
async fn its_answers_fall_into_classes() {
    for (answer, expected) in [
        (
            r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#,
            "Exhausted { reason: \"WeCom answered errcode 45009: api freq out of limit\", wait: 60s }",
        ),
        (r#"{"errcode":-1,"errmsg":"system busy"}"#, "Retry {"),
        (
            r#"{"errcode":40058,"errmsg":"key=693a91f6-7xxx is odd"}"#,
            "Failed { reason: \"WeCom answered errcode 40058: … is odd\" }",
        ),
        (r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#, "Halt {"),
        ("<html>", "Failed { reason: \"answered 200 OK, but not in JSON: <html>\" }"),
    ] {
        let web = Web::start(move |_| ok(answer));
        let outcome = format!("{:?}", send(&web, WecomKind::Text, "x").await.outcome);
        assert!(outcome.starts_with(expected), "{outcome}");
    }
    let web = Web::start(|_| ok(&json!({ "errcode": 40058, "errmsg": "x".repeat(5000) }).to_string()));
    let reason = send(&web, WecomKind::Text, "x").await.outcome.text().to_owned();
    assert_eq!(reason, format!("WeCom answered errcode 40058: {}…", "x".repeat(200)));
    let web = Web::start(|_| status("502 Bad Gateway", ""));
    assert!(matches!(send(&web, WecomKind::Text, "x").await.outcome, Outcome::Retry { .. }));
}
