//! Mail servers in the daemon config: URLs, TLS, logins.

use gulou::clock::Clock;
use gulou::settings::{LoginProof, MailRoute, Secret, SmtpSecurity, SmtpSettings, TlsMode};
use serde_json::{Value, json};

use crate::support::Project;

fn project(transport: &Value) -> Project {
    let mut transport = transport.clone();
    transport["from"] = json!("a@example.com");
    let project = Project::new(&json!({ "mail": { "m": transport } }));
    project.write("ca.pem", "");
    project
}

/// Errors and warnings about `mail.m`, as `path: message | help`.
fn found(transport: &Value) -> Vec<String> {
    let ran = project(transport).gulou(&["check", "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let all = ["errors", "warnings"].map(|kind| report[kind].as_array().unwrap().clone()).concat();
    let show = |found: &Value| {
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        format!("{}: {} | {}", text("path"), text("message"), text("help"))
    };
    let of_mail = |found: &&Value| found["path"].as_str().is_some_and(|path| path.starts_with("mail.m"));
    let all: Vec<String> = all.iter().filter(of_mail).map(show).collect();
    assert!(!all.iter().any(|found| found.contains("hunter2")), "{all:#?}");
    all
}

/// What a transport comes to, and how many warnings there are.
fn settings(transport: &Value) -> (SmtpSettings, usize) {
    let project = project(transport);
    let loaded = gulou::config::load(&project.path("config.json"), Clock::system().now()).unwrap();
    match &loaded.settings.mail["m"].route {
        MailRoute::Smtp(smtp) => {
            let warnings = loaded.warnings.iter().filter(|found| found.path.starts_with("mail.m"));
            (SmtpSettings::clone(smtp), warnings.count())
        }
        MailRoute::Maildir(_) => panic!("a folder"),
    }
}

#[track_caller]
fn refused(transport: &Value, expected: &str) {
    let found = found(transport);
    assert!(found.iter().any(|found| found.contains(expected)), "{expected}: {found:#?}");
}

fn with(url: &str, more: &Value) -> Value {
    let mut transport = json!({ "url": url });
    for (key, value) in more.as_object().unwrap() {
        transport[key] = value.clone();
    }
    transport
}

#[test]
fn what_is_encrypted_when_nothing_is_said() {
    let verify = || TlsMode::Verify { ca: None };
    let login = json!({ "user": "me", "password": { "env": "HOME" } });
    let nothing = json!({});
    for (url, more, expected) in [
        ("smtps://mail.example.com", &nothing, SmtpSecurity::Implicit(verify())),
        ("smtps://localhost", &nothing, SmtpSecurity::Implicit(verify())),
        ("smtp://mail.example.com:587", &nothing, SmtpSecurity::StartTls(verify())),
        ("smtp://mail.example.com", &login, SmtpSecurity::StartTls(verify())),
        ("smtp://mail.example.com", &nothing, SmtpSecurity::Opportunistic),
        ("smtp://127.0.0.9:587", &nothing, SmtpSecurity::Plain),
        ("smtp://localhost", &login, SmtpSecurity::Plain),
        ("smtp://[::1]:2525", &nothing, SmtpSecurity::Plain),
    ] {
        let (smtp, warnings) = settings(&with(url, more));
        assert_eq!((smtp.server.security, warnings), (expected, 0), "{url} {more}");
        assert_eq!(smtp.server.login.is_some(), *more == login);
    }
}

#[test]
fn what_tls_says_holds() {
    for (url, word, expected) in [
        ("smtp://h:587", "starttls", SmtpSecurity::StartTls(TlsMode::Verify { ca: None })),
        ("smtp://localhost", "verify", SmtpSecurity::StartTls(TlsMode::Verify { ca: None })),
        ("smtp://h:587", "unverified", SmtpSecurity::StartTls(TlsMode::Unverified)),
        ("smtp://h:587", "opportunistic", SmtpSecurity::Opportunistic),
        ("smtp://h:587", "off", SmtpSecurity::Plain),
        ("smtps://h", "verify", SmtpSecurity::Implicit(TlsMode::Verify { ca: None })),
        ("smtps://h", "unverified", SmtpSecurity::Implicit(TlsMode::Unverified)),
    ] {
        let (smtp, warnings) = settings(&with(url, &json!({ "tls": word })));
        assert_eq!((smtp.server.security, warnings), (expected, 0), "{url} {word}");
    }
    let ca = settings(&with("smtp://localhost", &json!({ "tls_ca": "ca.pem" }))).0.server.security;
    assert!(
        matches!(&ca, SmtpSecurity::StartTls(TlsMode::Verify { ca: Some(path) }) if path.ends_with("ca.pem"))
    );
}

#[test]
fn what_contradicts_itself_is_refused() {
    let env = json!({ "env": "HOME" });
    for (url, more, expected) in [
        (
            "smtps://h",
            json!({ "tls": "off" }),
            "mail.m.tls: `smtps://` is encrypted from the first byte on, not \"off\"",
        ),
        ("smtps://h", json!({ "tls": "starttls" }), "| write `smtp://`, or delete this"),
        ("smtp://h", json!({ "tls": "tsl" }), "`tsl` was found where `starttls`"),
        (
            "smtp://h",
            json!({ "tls": "off", "tls_ca": "ca.pem" }),
            "with `tls` \"off\" no certificate is looked at | write `\"tls\": \"starttls\"`",
        ),
        ("smtp://h", json!({ "tls_ca": "no.pem" }), "there is no file `no.pem`"),
        (
            "smtp://h",
            json!({ "tls": "opportunistic", "user": "me", "password": env }),
            "a login is not sent to a server that may do without",
        ),
        ("smtp://h", json!({ "user": "me" }), "mail.m.user: the user has no password | add `\"password\""),
        ("smtp://me@h", json!({}), "mail.m.url: the user has no password"),
        (
            "smtp://h",
            json!({ "password": env }),
            "mail.m.password: this does not say who logs in | add `user`",
        ),
        ("smtp://h", json!({ "auth": "plain" }), "nobody logs in"),
        ("smtp://me@h", json!({ "user": "you", "password": env }), "the URL names a user too"),
        ("smtp://me:hunter2@h", json!({ "password": env }), "the URL has a password too"),
        (
            "smtp://me@h",
            json!({ "password": env, "token": env }),
            "one of `password`, `token` and `token_command`",
        ),
        ("smtp://me@h", json!({ "password": env, "auth": "xoauth2" }), "`xoauth2` needs a token"),
        ("smtp://me@h", json!({ "token": env, "auth": "login" }), "a token is told by `xoauth2` alone"),
        (
            "smtp://me@h",
            json!({ "token": env, "auth": "cram-md5" }),
            "`cram-md5` was found where `plain`, `login` or `xoauth2`",
        ),
        ("smtp://me@h", json!({ "token_command": [] }), "no program is named"),
        ("smtp://me@h", json!({ "token_command": ["./no.sh"] }), "there is no file `./no.sh`"),
        ("maildir:x", json!({ "user": "me" }), "`user` belongs to a mail server"),
        ("submission://h", json!({}), "`submission://` is written another way here"),
        ("mail.example.com", json!({}), "is not the URL of a way out for mail | write `maildir:var/outbox`"),
    ] {
        refused(&with(url, &more), expected);
    }
}

#[test]
fn what_is_odd_is_a_warning() {
    let env = json!({ "env": "HOME" });
    for (url, more, expected) in [
        (
            "smtp://h:465",
            json!({}),
            "at port 465 servers expect TLS from the first byte on | write `smtps://`",
        ),
        ("smtps://h:587", json!({}), "at port 587 servers expect TLS after STARTTLS"),
        ("smtp://me@h", json!({ "tls": "off", "password": env }), "the login goes to h in the clear"),
        ("smtp://me@h", json!({ "password": "hunter2" }), "can be read by all who can read this file"),
        ("smtp://me@h", json!({ "token": "hunter2" }), "can be read by all who can read this file"),
        ("smtp://me:hunter2@h", json!({}), "the password stands in the URL"),
    ] {
        let found = found(&with(url, &more));
        assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:#?}");
        settings(&with(url, &more));
    }
}

#[test]
fn logins_are_read() {
    let login = settings(&with("smtp://me%40ex.test:p%20w@h:587", &json!({}))).0.server.login.unwrap();
    assert_eq!(
        (login.user.as_str(), login.proof),
        ("me@ex.test", LoginProof::Password(Secret::new("p w".into())))
    );
    let command = json!({ "user": "me", "token_command": ["token", "--for", "me"] });
    let login = settings(&with("smtps://h", &command)).0.server.login.unwrap();
    assert_eq!(login.proof, LoginProof::TokenCommand(["token", "--for", "me"].map(str::to_owned).to_vec()));
}

#[test]
fn a_fallback_is_a_server_like_the_main_one() {
    let fallback = json!({ "fallback": {
        "url": "smtp://me@relay.example.com:587", "password": { "env": "HOME" }, "tls_ca": "ca.pem"
    } });
    let (smtp, warnings) = settings(&with("smtps://mail.example.com", &fallback));
    let fallback = smtp.fallback.unwrap();
    assert_eq!((fallback.host.as_str(), fallback.port, warnings), ("relay.example.com", 587, 0));
    assert!(matches!(fallback.security, SmtpSecurity::StartTls(TlsMode::Verify { ca: Some(_) })));
    assert_eq!(fallback.login.unwrap().user, "me");
    assert!(smtp.server.login.is_none());
    for (url, fallback, expected) in [
        ("smtp://h", json!({}), "mail.m.fallback: "),
        ("smtp://h", json!("smtp://g"), "mail.m.fallback: a string was found"),
        (
            "smtp://h",
            json!({ "url": "smtp://g", "from": "b@example.com" }),
            "mail.m.fallback.from: unknown key `from`",
        ),
        ("smtp://h", json!({ "url": "smtp://g", "fallback": {} }), "unknown key `fallback`"),
        (
            "smtp://h",
            json!({ "url": "maildir:out" }),
            "mail.m.fallback.url: a folder cannot stand in for a mail server",
        ),
        (
            "smtp://h",
            json!({ "url": "smtp://me:hunter2@H:25" }),
            "mail.m.fallback.url: the fallback is the server itself",
        ),
        (
            "smtp://h",
            json!({ "url": "smtp://g", "user": "me" }),
            "mail.m.fallback.user: the user has no password",
        ),
        ("maildir:out", json!({ "url": "smtp://g" }), "mail.m.fallback: `fallback` belongs to a mail server"),
    ] {
        refused(&with(url, &json!({ "fallback": fallback })), expected);
    }
}

#[test]
fn connections_are_a_number_of_each_server() {
    let limits = json!({ "connections": 3, "fallback": { "url": "smtp://g", "connections": 1000 } });
    let (smtp, _) = settings(&with("smtp://h", &limits));
    let most = |server: &gulou::settings::SmtpServerSettings| server.connections.map(usize::from);
    assert_eq!((most(&smtp.server), smtp.fallback.as_ref().and_then(most)), (Some(3), Some(1000)));
    for (value, expected) in [(json!(0), "1"), (json!(1001), "1000"), (json!("3"), "a string was found")] {
        refused(&with("smtp://h", &json!({ "connections": value })), expected);
    }
    refused(&with("maildir:x", &json!({ "connections": 3 })), "`connections` belongs to a mail server");
}

#[test]
fn limits_of_domains_are_a_number_or_a_number_of_each() {
    let read = |value: Value| {
        let limits = settings(&with("smtp://h", &json!({ "per_domain": value }))).0.per_domain.unwrap();
        let of: Vec<_> = limits.domains.into_iter().map(|(domain, most)| (domain, most.get())).collect();
        (limits.default.map(usize::from), of)
    };
    assert_eq!(read(json!(4)), (Some(4), vec![]));
    let named = json!({ "default": 4, "QQ.com": 2, "例子.test": 1 });
    assert_eq!(read(named), (Some(4), vec![("qq.com".to_owned(), 2), ("xn--fsqu00a.test".to_owned(), 1)]));
    assert_eq!(read(json!({ "qq.com": 2 })), (None, vec![("qq.com".to_owned(), 2)]));
    for (value, expected) in [
        (json!("4"), "mail.m.per_domain: a string was found"),
        (json!(0), "mail.m.per_domain: "),
        (json!({}), "mail.m.per_domain: no domain is limited"),
        (json!({ "default": 0 }), "mail.m.per_domain.default: "),
        (json!({ "a@qq.com": 1 }), "`a@qq.com` is more than a domain | write `qq.com`"),
        (json!({ "*.qq.com": 1 }), "`*.qq.com` is not a domain"),
        (json!({ "q q": 1 }), "`q q` is not a domain"),
        (json!({ "qq.com": 1, "QQ.COM": 2 }), "`qq.com` is limited twice, in two spellings"),
    ] {
        refused(&with("smtp://h", &json!({ "per_domain": value })), expected);
    }
    refused(&with("maildir:x", &json!({ "per_domain": 4 })), "`per_domain` belongs to a mail server");
}
