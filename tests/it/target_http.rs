//! The `http` target and the action below it, against a server that answers what the test says.

use std::sync::Arc;
use std::time::Duration;

use gulou::action::Outcome as Delivered;
use gulou::action::follow::{Follow, Occasion};
use gulou::action::http::{Delivery, HttpAction, HttpClients};
use gulou::run::{Status, Stream};
use gulou::settings::{
    HttpBody, HttpHeader, HttpSettings, HttpSuccess, HttpUrl, JsonRule, Secret, TemplateSource, TlsMode,
};
use gulou::target::Target;
use serde_json::{Map, Value, json};

use crate::support::web::{Answer, Web, answer, ok, status};
use crate::target_harness::{LONG, Recorder, fire, host, run};

pub(crate) fn source(text: &str) -> TemplateSource {
    TemplateSource { origin: "here".to_owned(), text: text.to_owned() }
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// A POST of the event to `url`.
pub(crate) fn post(url: &str) -> HttpSettings {
    HttpSettings {
        method: "POST".to_owned(),
        url: HttpUrl::Template(source(url)),
        headers: Vec::new(),
        body: HttpBody::Variable("event"),
        timeout: LONG,
        tls: TlsMode::Verify { ca: None },
        redirects: 0,
        max_response: 1 << 20,
        success: HttpSuccess::default(),
    }
}

fn get(url: &str) -> HttpSettings {
    HttpSettings { method: "GET".to_owned(), body: HttpBody::Empty, redirects: 5, ..post(url) }
}

pub(crate) fn target(settings: &HttpSettings) -> Target {
    Target::http(settings, &host(), &HttpClients::default()).unwrap()
}

/// One request of the action alone.
pub(crate) async fn send(settings: &HttpSettings) -> Delivery {
    let values = Map::from_iter([("event".to_owned(), json!({ "Message": "m" }))]);
    let at = fire("").fire_time;
    let action = Follow::Http(HttpAction::new(settings, &HttpClients::default()).unwrap().into());
    action.send(&Occasion { values: &values, fire_time: at, now: at, id: "1", file: None }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_is_posted_and_the_log_reads_like_the_clouds() {
    let web = Web::start(|_| ok("{\"done\": true}\n"));
    let (outcome, recorder) = run(&target(&post(&web.url("/hook"))), "鼓\"楼").await;
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
    assert_eq!(outcome.result, Some(json!({ "status": 200, "body": { "done": true } })));
    let asked = &web.asked()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/hook"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert!(asked.header("user-agent").unwrap().starts_with("gulou/"), "{asked:?}");
    let event: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(event, fire("鼓\"楼").event());
    let id = fire("").request_id;
    let lines = recorder.all();
    assert_eq!(lines[0], format!("START RequestId: {id}"));
    assert_eq!(lines[1], format!("POST {} ({} bytes)", web.url("/hook"), asked.body.len()));
    assert!(lines[2].starts_with("200 OK in ") && lines[2].ends_with(" ms, 15 bytes"), "{lines:?}");
    assert_eq!(lines[3..5], ["{\"done\": true}".to_owned(), format!("END RequestId: {id}")]);
    assert!(lines[5].starts_with(&format!("Report RequestId: {id} Duration:")), "{lines:?}");
    assert_eq!(recorder.lines(Stream::Stdout), ["{\"done\": true}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_escaped_for_where_they_stand() {
    let web = Web::start(|_| ok(""));
    let url = web.url("/{{ event.Message }}?at={{ fire_time.unix }}&of={{ function }}/{{ trigger }}");
    let nasty = "a\"b\\c\n/&= 鼓";
    let headers = vec![("X-Id".to_owned(), HttpHeader::Template(source("{{ request_id }}")))];
    let text = r#"{"text": "{{ event.Message }}", "whole": {{ event.Message | tojson }}, "n": {{ attempt }}, "b": {{ missed == 0 }}}"#;
    let settings = HttpSettings { headers, body: HttpBody::Text(source(text)), ..post(&url) };
    let (outcome, _) = run(&target(&settings), nasty).await;
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
    let value = json!({
        "msg": ["say {{ event.Message }}", "{{ event | tojson }}", "{{ attempt | tojson }}"], "n": 1, "x": null,
    });
    let settings = HttpSettings { body: HttpBody::Json { value, origin: "body".to_owned() }, ..post(&url) };
    run(&target(&settings), nasty).await;
    let form =
        vec![("content-type".to_owned(), HttpHeader::Template(source("application/x-www-form-urlencoded")))];
    let text = HttpBody::Text(source("m={{ event.Message }}"));
    run(&target(&HttpSettings { headers: form, body: text, ..post(&url) }), nasty).await;

    let asked = web.asked();
    assert_eq!(asked[0].path, "/a%22b%5Cc%0A%2F%26%3D%20%E9%BC%93?at=1591875815&of=notice/daily");
    assert_eq!(asked[0].header("x-id"), Some(fire("").request_id.as_str()));
    let body: Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(body, json!({ "text": nasty, "whole": nasty, "n": 1, "b": true }));
    let body: Value = serde_json::from_str(&asked[1].body).unwrap();
    let event = fire(nasty).event();
    assert_eq!(body, json!({ "msg": [format!("say {nasty}"), event, 1], "n": 1, "x": null }));
    assert_eq!(asked[2].body, "m=a%22b%5Cc%0A%2F%26%3D%20%E9%BC%93");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_filled_in_is_named_and_not_sent() {
    let web = Web::start(|_| ok(""));
    let header = |text: &str| vec![("X-Note".to_owned(), HttpHeader::Template(source(text)))];
    for (settings, expected) in [
        (post(&web.url("/{{ event.Mesage }}")), "there is no value `event.Mesage` (here line 1)"),
        (
            HttpSettings { headers: header("{{ event.Message }}"), ..post(&web.url("/")) },
            "X-Note: the value has a line end or another control character",
        ),
        (post("{{ event.Message | safe }}"), "url: `a\r\nb` is not a URL"),
        (post("ftp://{{ function }}/"), "does not start with `https://`"),
        (post("http://a:b@{{ function }}/"), "has a login in it"),
    ] {
        let (outcome, recorder) = run(&target(&settings), "a\r\nb").await;
        assert_eq!(outcome.status, Status::Failed);
        assert!(outcome.message.as_ref().unwrap().contains(expected), "{outcome:?}");
        assert!(recorder.all()[1].contains("ERROR RequestId"), "{:?}", recorder.all());
    }
    assert!(web.asked().is_empty());
    let broken = post("http://localhost/{{ event");
    assert!(Target::http(&broken, &host(), &HttpClients::default()).unwrap_err().starts_with("here:1: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_fall_into_classes() {
    let web = Web::start(|asked| {
        let code = asked.path.trim_start_matches('/');
        let headers = [
            ("Date", "Wed, 21 Oct 2026 07:28:00 GMT"),
            ("Retry-After", if code == "503" { "Wed, 21 Oct 2026 07:30:00 GMT" } else { "7" }),
        ];
        Answer::Bytes(answer(&format!("{code} Word"), &headers, "why  it\nis so"))
    });
    for code in [200, 201, 299] {
        let sent = send(&post(&web.url(&format!("/{code}")))).await;
        assert!(matches!(sent.outcome, Delivered::Sent { .. }), "{sent:?}");
    }
    for code in [400, 401, 404, 410, 422] {
        let failed = send(&post(&web.url(&format!("/{code}")))).await;
        let Delivered::Failed { reason } = &failed.outcome else { panic!("{failed:?}") };
        assert!(
            reason.starts_with(&format!("answered {code} ")) && reason.ends_with(": why it is so"),
            "{reason}"
        );
        assert_eq!(failed.retry_after, None);
    }
    let (outcome, _) = run(&target(&post(&web.url("/429"))), "").await;
    assert_eq!(
        outcome.message.as_deref(),
        Some("answered 429 Too Many Requests: why it is so (the server asks to wait 7 s)")
    );
    for (code, wait) in [(408, 7), (425, 7), (429, 7), (500, 7), (503, 120), (599, 7)] {
        let again = send(&post(&web.url(&format!("/{code}")))).await;
        assert!(matches!(again.outcome, Delivered::Retry { .. }), "{again:?}");
        assert_eq!(again.retry_after, Some(Duration::from_secs(wait)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn success_is_what_the_rules_say() {
    let web = Web::start(|asked| match asked.path.as_str() {
        "/ok" => ok(r#"{"errcode": 0}"#),
        "/bad" => ok(r#"{"errcode": 40001, "errmsg": "invalid credential"}"#),
        "/html" => ok("<html>"),
        "/less" => ok("{}"),
        "/long" => ok(&json!({ "errcode": "y".repeat(5000) }).to_string()),
        _ => status("404 Not Found", ""),
    });
    let json = Some(JsonRule { pointer: "/errcode".to_owned(), equals: json!(0) });
    let rule =
        |path: &str, success: &HttpSuccess| HttpSettings { success: success.clone(), ..post(&web.url(path)) };
    let by_json = HttpSuccess { json, ..HttpSuccess::default() };
    assert!(matches!(send(&rule("/ok", &by_json)).await.outcome, Delivered::Sent { .. }));
    for (path, expected) in [
        ("/bad", "answered 200 OK, but `/errcode` is 40001 and not 0: {\"errcode\": 40001, \"errmsg\""),
        ("/html", "answered 200 OK, but not in JSON: <html>"),
        ("/less", "answered 200 OK, but without `/errcode`: {}"),
        ("/long", &format!("answered 200 OK, but `/errcode` is \"{}… and not 0: {{", "y".repeat(199))),
    ] {
        let outcome = send(&rule(path, &by_json)).await.outcome;
        assert!(
            matches!(&outcome, Delivered::Failed { reason } if reason.starts_with(expected)),
            "{outcome:?}"
        );
    }
    let gone_is_fine = HttpSuccess { status: vec![(200, 200), (404, 404)], json: None };
    assert!(matches!(send(&rule("/gone", &gone_is_fine)).await.outcome, Delivered::Sent { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_cut_anywhere_is_doubt_for_a_post_and_another_try_for_a_get() {
    let whole = answer("200 OK", &[("X-More", "1")], "hello");
    for length in 0..whole.len() {
        let bytes = whole.clone();
        let web = Web::start(move |_| Answer::Cut(bytes.clone(), length));
        let posted = send(&post(&web.url("/"))).await.outcome;
        assert!(matches!(posted, Delivered::Uncertain { .. }), "{length}: {posted:?}");
        let got = send(&get(&web.url("/"))).await.outcome;
        assert!(matches!(got, Delivered::Retry { .. }), "{length}: {got:?}");
    }
    let web = Web::start(move |_| Answer::Cut(whole.clone(), whole.len()));
    assert!(matches!(send(&post(&web.url("/"))).await.outcome, Delivered::Sent { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_told_from_silence_which_is_doubt() {
    let secret_url = HttpSettings { url: HttpUrl::Secret(secret("http://127.0.0.1:1/k")), ..post("") };
    for settings in [
        post("http://127.0.0.1:1"),
        post("http://127.0.0.1:1/{{ event.Message }}"),
        get("http://127.0.0.1:1?x={{ event.Message }}"),
        secret_url,
    ] {
        let refused = send(&settings).await;
        assert!(
            matches!(refused.outcome, Delivered::Unreachable { .. }) && !refused.timed_out,
            "{refused:?}"
        );
    }
    // Others may go to servers that are there.
    for url in ["http://127.0.0.1:{{ event.Message | length }}/", "{{ 'http://127.0.0.1:1/' | safe }}"] {
        let refused = send(&post(url)).await;
        assert!(matches!(refused.outcome, Delivered::Retry { .. }), "{refused:?}");
    }
    let web = Web::start(|_| Answer::Silence);
    let short = Duration::from_millis(300);
    let posted = send(&HttpSettings { timeout: short, ..post(&web.url("/")) }).await;
    // A slow machine may not have sent it when the time is over; what the server has seen was sent.
    let in_doubt = matches!(posted.outcome, Delivered::Uncertain { .. });
    assert!(in_doubt || web.asked().is_empty(), "{posted:?}");
    assert!(posted.timed_out && posted.outcome.text() == "no answer within 0.3 s", "{posted:?}");
    let (outcome, _) = run(&target(&HttpSettings { timeout: short, ..get(&web.url("/")) }), "").await;
    assert_eq!(outcome.status, Status::TimedOut);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_ends_a_run_at_once() {
    let web = Web::start(|_| Answer::Silence);
    let recorder = Recorder::new();
    let (context, target) = (recorder.context.clone(), target(&post(&web.url("/"))));
    let running = tokio::spawn(async move { target.run(&fire(""), &context).await });
    web.wait_for(1);
    recorder.context.abort.cancel();
    let outcome = running.await.unwrap();
    assert_eq!(outcome.status, Status::Interrupted);
    web.wait_for_hang_up();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_long_is_refused_unread() {
    let web = Web::start(|asked| match asked.path.as_str() {
        "/sized" => ok(&"x".repeat(101)),
        "/fits" => ok(&"x".repeat(100)),
        "/refused" => Answer::Endless(b"HTTP/1.1 403 No\r\n\r\n".to_vec(), vec![b'y'; 4096]),
        _ => Answer::Endless(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
            b"3\r\nabc\r\n".repeat(100),
        ),
    });
    let bounded = |path: &str| HttpSettings { max_response: 100, ..post(&web.url(path)) };
    assert!(matches!(send(&bounded("/fits")).await.outcome, Delivered::Sent { .. }));
    for path in ["/sized", "/endless"] {
        let outcome = send(&bounded(path)).await.outcome;
        let expected = "answered 200 OK with more than 100 bytes; raise `max_response`";
        assert!(
            matches!(&outcome, Delivered::Failed { reason } if reason.starts_with(expected)),
            "{outcome:?}"
        );
    }
    web.wait_for_hang_up();
    // What was refused anyway need not be read to its end.
    let outcome = send(&bounded("/refused")).await.outcome;
    assert!(
        matches!(&outcome, Delivered::Failed { reason } if reason.starts_with("answered 403 Forbidden: yyy")),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_followed_as_far_as_allowed() {
    let web = Arc::new(Web::start(|asked| {
        let to = |code: &str, place: &str| Answer::Bytes(answer(code, &[("Location", place)], ""));
        match asked.path.as_str() {
            "/a" => to("302 Found", "b?x=1"),
            "/b?x=1" => ok("there"),
            "/keep" => to("307 Temporary Redirect", "/end"),
            "/see" => to("303 See Other", "/end"),
            "/loop" => to("301 Moved", "/loop"),
            "/ftp" => to("301 Moved", "ftp://localhost/"),
            _ => ok(&format!("{} {}", asked.method, asked.body)),
        }
    }));
    let body = |delivery: Delivery| String::from_utf8(delivery.reply.unwrap().body.to_vec()).unwrap();
    assert_eq!(body(send(&get(&web.url("/a"))).await), "there");
    let once = |path: &str| HttpSettings { redirects: 1, ..post(&web.url(path)) };
    assert_eq!(body(send(&once("/keep")).await), "POST {\"Message\":\"m\"}");
    assert_eq!(body(send(&once("/see")).await), "GET ");
    // A POST that turns into a GET on its way would look like a success.
    let outcome = send(&post(&web.url("/a"))).await.outcome;
    assert_eq!(
        outcome.text(),
        "answered 302 Found, a redirect to b?x=1; name the new URL, or allow `redirects`"
    );
    assert!(matches!(outcome, Delivered::Failed { .. }));
    let outcome = send(&get(&web.url("/loop"))).await.outcome;
    assert_eq!(outcome.text(), format!("more than 5 redirects; the last is to {}", web.url("/loop")));
    let outcome = send(&get(&web.url("/ftp"))).await.outcome;
    assert_eq!(outcome.text(), "redirects to ftp://localhost/, which is not HTTP");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_was_taken_is_not_sent_again_for_what_its_redirect_met_with() {
    let web = Web::start(|asked| {
        let to = |code: &str, place: &str| Answer::Bytes(answer(code, &[("Location", place)], ""));
        match asked.path.as_str() {
            "/gone" => to("303 See Other", "http://127.0.0.1:1/"),
            "/broken" => to("302 Found", "/break"),
            "/cut" => to("301 Moved", "/half"),
            "/busy" => to("303 See Other", "/503"),
            "/missing" => to("303 See Other", "/404"),
            "/repeated" => to("307 Temporary Redirect", "http://127.0.0.1:1/"),
            "/break" => Answer::Cut(Vec::new(), 0),
            "/half" => Answer::Cut(answer("200 OK", &[], "hello"), 45),
            "/404" => status("404 Not Found", ""),
            _ => status("503 Service Unavailable", ""),
        }
    });
    let outcome =
        async |settings: HttpSettings| send(&HttpSettings { redirects: 2, ..settings }).await.outcome;
    for path in ["/gone", "/broken", "/cut", "/busy"] {
        let posted = outcome(post(&web.url(path))).await;
        assert!(matches!(posted, Delivered::Uncertain { .. }), "{path}: {posted:?}");
        let got = outcome(get(&web.url(path))).await;
        assert!(matches!(got, Delivered::Retry { .. }), "{path}: {got:?}");
    }
    let missing = outcome(post(&web.url("/missing"))).await;
    assert!(matches!(missing, Delivered::Failed { .. }), "{missing:?}");
    // This server did not take it.
    let repeated = outcome(post(&web.url("/repeated"))).await;
    assert!(matches!(repeated, Delivered::Retry { .. }), "{repeated:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_without_a_body_that_nobody_answers_is_in_doubt() {
    let web = Web::start(|_| Answer::Silence);
    let settings =
        HttpSettings { body: HttpBody::Empty, timeout: Duration::from_millis(300), ..post(&web.url("/")) };
    let posted = send(&settings).await;
    assert!(posted.timed_out && matches!(posted.outcome, Delivered::Uncertain { .. }), "{posted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_proves_the_server() {
    let plain = Web::start(|_| ok("plain"));
    let place = plain.url("/");
    let web = Web::start_tls(move |asked| match asked.path.as_str() {
        "/down" => Answer::Bytes(answer("302 Found", &[("Location", &place)], "")),
        _ => ok("safe"),
    });
    let ca = |file| TlsMode::Verify { ca: Some(file) };
    let with = |tls: TlsMode| HttpSettings { tls, ..get(&web.url("/")) };
    for tls in [ca(web.ca()), TlsMode::Unverified] {
        let outcome = send(&with(tls)).await.outcome;
        assert!(matches!(outcome, Delivered::Sent { .. }), "{outcome:?}");
    }
    let other = Web::start_tls(|_| ok(""));
    let outcome = send(&with(ca(other.ca()))).await.outcome;
    assert!(
        matches!(&outcome, Delivered::Unreachable { reason } if reason.contains("certificate")),
        "{outcome:?}"
    );
    let missing = send(&with(ca("/nowhere/ca.pem".into()))).await.outcome;
    assert!(
        matches!(&missing, Delivered::Halt { reason } if reason.contains("could not read certificates from /nowhere")),
        "{missing:?}"
    );
    let settings = HttpSettings { tls: ca(web.ca()), ..get(&web.url("/down")) };
    let outcome = send(&settings).await.outcome;
    assert_eq!(outcome.text(), format!("redirects to {}, which is not encrypted", plain.url("/")));
    assert!(plain.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept() {
    let web = Web::start(|_| ok("x"));
    let target = target(&post(&web.url("/")));
    for _ in 0..3 {
        run(&target, "").await;
    }
    let connections: Vec<usize> = web.asked().iter().map(|asked| asked.connection).collect();
    assert_eq!(connections, [1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_text_is_not_printed() {
    let web = Web::start(|_| Answer::Bytes(answer("200 OK", &[("Content-Type", "image/png")], "a\0b")));
    let (outcome, recorder) = run(&target(&get(&web.url("/"))), "").await;
    assert_eq!(outcome.result.unwrap()["body"], json!({ "not_recorded": true, "bytes": 3 }));
    let lines = recorder.all();
    assert!(lines.contains(&"the answer is not text (image/png) and is not shown".to_owned()), "{lines:?}");
}
