//! What must not be shown of an HTTP request, nor told to other servers.

use gulou::settings::{HttpHeader, HttpSettings, HttpUrl};

use crate::support::web::{Answer, Web, answer, ok, status};
use crate::target_harness::{fire, run};
use crate::target_http::{post, secret, send, source, target};

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_sent_and_never_shown() {
    // It answers what it was told, as a careless server does.
    let web = Web::start(|asked| {
        let told = format!("{} {}", asked.path, asked.header("authorization").unwrap_or_default());
        status("400 Bad Request", &told)
    });
    let header = HttpHeader::Secret { prefix: "Bearer ".to_owned(), secret: secret("s3cr3t-token") };
    let settings = HttpSettings {
        url: HttpUrl::Secret(secret(&web.url("/send?key=4711-0815"))),
        headers: vec![("Authorization".to_owned(), header)],
        ..post("")
    };
    let target = target(&settings);
    let (outcome, recorder) = run(&target, "m").await;
    let asked = &web.asked()[0];
    assert_eq!(asked.path, "/send?key=4711-0815");
    assert_eq!(asked.header("authorization"), Some("Bearer s3cr3t-token"));
    let preview = target.preview(&fire("m"));
    let shown = format!("{outcome:?} {:?} {preview:?} {target:?}", recorder.all());
    for hidden in ["s3cr3t-token", "4711-0815"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    assert!(preview.lines.contains(&"  authorization: …".to_owned()), "{preview:?}");
    assert!(preview.lines[1].ends_with(&format!("POST {}", web.url("/…"))), "{preview:?}");
    assert!(outcome.message.unwrap().starts_with("answered 400 Bad Request: …"));
    // Nor when there is nobody to tell.
    let gone = HttpSettings {
        url: HttpUrl::Secret(secret("http://127.0.0.1:1/send?key=4711-0815")),
        ..settings.clone()
    };
    let reason = send(&gone).await.outcome.text().to_owned();
    assert!(reason.starts_with("http://127.0.0.1:1/…: ") && !reason.contains("4711"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_in_plain_headers_are_not_shown_either() {
    let web = Web::start(|asked| {
        let token = asked.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
        let session = asked.header("cookie").unwrap().strip_prefix("a=b; sid=").unwrap();
        status("400 Bad Request", &format!("{token} and {session}; Bearer {token}"))
    });
    let plain = |name: &str, text: &str| (name.to_owned(), HttpHeader::Template(source(text)));
    let headers = vec![plain("Authorization", "Bearer s3cr3t-token"), plain("Cookie", "a=b; sid=0815-4711")];
    let (outcome, recorder) = run(&target(&HttpSettings { headers, ..post(&web.url("/")) }), "m").await;
    assert_eq!(outcome.message.as_deref(), Some("answered 400 Bad Request: … and …; …"));
    let shown = format!("{outcome:?} {:?}", recorder.all());
    assert!(!shown.contains("s3cr3t") && !shown.contains("0815"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_secret_is_shown_where_a_quote_ends() {
    let token = "0123456789".repeat(9);
    // Wherever the quote ends, and whatever room others make.
    for (before, first) in [(150, 0), (199, 0), (200, 0), (201, 0), (0, 2), (0, 3), (40, 3), (170, 3)] {
        let body = format!("{}{}{token}{}", "x".repeat(before), token.repeat(first), "z".repeat(300));
        let web = Web::start(move |_| status("400 Bad Request", &body));
        let header = HttpHeader::Secret { prefix: String::new(), secret: secret(&token) };
        let settings = HttpSettings { headers: vec![("X-Key".to_owned(), header)], ..post(&web.url("/")) };
        let reason = send(&settings).await.outcome.text().to_owned();
        let quote = reason.strip_prefix("answered 400 Bad Request: ").unwrap();
        assert!(!quote.contains(|c: char| c.is_ascii_digit()) && quote.ends_with('…'), "{before}: {quote}");
        assert!(quote.len() <= 200 + "…".len() && quote.starts_with(&"x".repeat(before.min(200))), "{quote}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_stay_with_the_server_they_were_meant_for() {
    let other = Web::start(|_| ok("other"));
    let away = other.url("/away");
    let web = Web::start(move |asked| match asked.path.as_str() {
        "/near" => Answer::Bytes(answer("307 T", &[("Location", "/here")], "")),
        "/far" => Answer::Bytes(answer("307 T", &[("Location", &away)], "")),
        _ => ok("home"),
    });
    let key = HttpHeader::Secret { prefix: String::new(), secret: secret("s3cr3t") };
    let plain = |text: &str| HttpHeader::Template(source(text));
    let headers = vec![
        ("X-Api-Key".to_owned(), key),
        ("Authorization".to_owned(), plain("Basic abc")),
        ("X-Plain".to_owned(), plain("p")),
    ];
    let from = |path: &str| HttpSettings { headers: headers.clone(), redirects: 3, ..post(&web.url(path)) };
    send(&from("/near")).await;
    let here = web.asked().pop().unwrap();
    assert_eq!((here.path.as_str(), here.header("x-api-key")), ("/here", Some("s3cr3t")));
    send(&from("/far")).await;
    let there = other.asked().pop().unwrap();
    assert_eq!((there.header("x-api-key"), there.header("authorization")), (None, None));
    assert_eq!(there.header("x-plain"), Some("p"));
}
