//! Signed mails (DKIM): what a verifier makes of them that is not ours, and what is wrong with keys.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use gulou::action::Delivery;
use gulou::action::mail::{MailAction, RenderedMail, Transport};
use gulou::clock::Clock;
use gulou::run::{Row, Scalar};
use gulou::settings::{MailExtras, MailSettings, MailTransportSettings, TemplateSource};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::Project;
use crate::support::dkim::{KeyFile, fields, openssl, tag_of};
use crate::support::letters::{kind, mail, patient};
use crate::support::smtp_server::{Manners, SmtpServer};

fn keys() -> [KeyFile; 3] {
    [KeyFile::rsa(), KeyFile::old_rsa(), KeyFile::ed25519()]
}

/// A way out as the configuration has it, which signs with the key in that file.
fn settings(url: &str, key: &Path) -> (Project, MailTransportSettings) {
    let dkim = json!({ "domain": "Tower.test", "selector": "s1", "key": { "file": key } });
    let transport = json!({ "url": url, "from": "鼓楼 <drum@tower.test>", "dkim": dkim });
    let project = Project::new(&json!({ "mail": { "m": transport } }));
    let loaded = gulou::config::load(&project.path("config.json"), Clock::system().now()).unwrap();
    let settings = loaded.settings.mail["m"].clone();
    (project, settings)
}

fn action(settings: &MailTransportSettings, html: bool) -> MailAction {
    let clock = Clock::manual(DateTime::<Utc>::UNIX_EPOCH + chrono::TimeDelta::seconds(1_780_275_600));
    let transport = Transport::with_timeouts(settings, clock, patient());
    let source = |text: &str| TemplateSource { origin: "mail".into(), text: text.into() };
    let mail = MailSettings {
        via: "m".into(),
        from: None,
        to: "{{ email }}".into(),
        reply_to: html.then(|| "帮助 <help@tower.test>".into()),
        subject: "一封很长的主题，长到必须折行，折行之后签名仍然要对 {{ email }} and so on and so forth"
            .into(),
        text: Some(source("{{ body }}")),
        html: html.then(|| source("<p>{{ body }}</p>")),
        list_unsubscribe: html.then(|| "https://tower.test/u/{{ email }}".into()),
        extras: MailExtras::default(),
    };
    MailAction::new(&mail, transport).unwrap()
}

/// As it was taken by a server.
async fn sent(action: &MailAction, server: &SmtpServer, body: &str) -> (RenderedMail, Vec<u8>) {
    let mail = mail(action, "a@ex.test", body);
    let outcome = action.deliver(&mail).await;
    assert_eq!(kind(&outcome), "sent", "{outcome:?}");
    (mail, server.seen().mails.pop().unwrap().body)
}

#[tokio::test]
async fn signatures_hold_for_whatever_is_in_the_body() {
    let bodies = [
        "",
        "\n",
        "\n\n\n",
        " \t \n \n",
        "hello",
        "hello\n\n\n\n",
        "trailing \t\n  leading\nin   the \t middle\n \n",
        ".\n..two\n.\n",
        "From the start of a line\n",
        "六一快乐 \n\t鼓楼\n",
        &"a long line of words ".repeat(200),
        &"0123456789\n".repeat(9_000),
    ];
    for key in keys() {
        let server = SmtpServer::start(Manners::kind());
        let (_project, settings) = settings(&format!("smtp://127.0.0.1:{}", server.port()), &key.private());
        for html in [false, true] {
            let action = action(&settings, html);
            for body in bodies {
                let (unsigned, arrived) = sent(&action, &server, body).await;
                assert_eq!(key.verify(&arrived), Ok(()), "{body:?}: {}", String::from_utf8_lossy(&arrived));
                assert!(arrived.ends_with(unsigned.bytes()), "what is signed is what was rendered");
            }
        }
    }
}

#[tokio::test]
async fn what_is_signed_is_named_and_nothing_else_is() {
    let key = KeyFile::ed25519();
    let server = SmtpServer::start(Manners::kind());
    let (_project, settings) = settings(&format!("smtp://127.0.0.1:{}", server.port()), &key.private());
    for (html, expected) in [
        (
            true,
            "From:From:To:Reply-To:Subject:Date:Message-ID:MIME-Version:Content-Type:List-Unsubscribe:List-Unsubscribe-Post",
        ),
        (false, "From:From:To:Subject:Date:Message-ID:MIME-Version:Content-Type:Content-Transfer-Encoding"),
    ] {
        let (_, arrived) = sent(&action(&settings, html), &server, "hello").await;
        let text = String::from_utf8(arrived).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        let (name, signature) = fields(head).remove(0);
        assert_eq!(name, "dkim-signature");
        assert_eq!(tag_of(&signature, "h"), expected);
        assert_eq!(
            (tag_of(&signature, "d"), tag_of(&signature, "s")),
            ("tower.test".to_owned(), "s1".to_owned())
        );
        assert_eq!(tag_of(&signature, "t"), "1780275600");
        assert!(head.split("\r\n").all(|line| line.len() <= 78), "{head}");
    }
}

#[tokio::test]
async fn what_was_changed_on_the_way_is_found_and_white_space_is_not() {
    for key in [KeyFile::rsa(), KeyFile::ed25519()] {
        let server = SmtpServer::start(Manners::kind());
        let (_project, settings) = settings(&format!("smtp://127.0.0.1:{}", server.port()), &key.private());
        let (_, arrived) = sent(&action(&settings, true), &server, "hello").await;
        let text = String::from_utf8(arrived).unwrap();
        let changed = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}: {text}");
            key.verify(text.replacen(from, to, 1).as_bytes())
        };
        for (from, to) in [
            ("hello", "hallo"),
            ("\r\nTo: ", "\r\nTo: b@ex.test, "),
            ("\r\nSubject: ", "\r\nSubject: Re: "),
            ("\r\nFrom: ", "\r\nFrom: evil@ex.test\r\nFrom: "),
            ("List-Unsubscribe-Post: ", "List-Unsubscribe-Post: x"),
            ("https://tower.test/u", "https://evil.test/u"),
            ("t=17802756", "t=17802757"),
        ] {
            assert!(changed(from, to).is_err(), "{to}");
        }
        for (from, to) in [("\r\nTo: ", "\r\nto:\t "), ("\r\nSubject: ", "\r\nX-Relay: y\r\nSUBJECT:\r\n  ")]
        {
            assert_eq!(changed(from, to), Ok(()), "{to}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_in_a_folder_and_many_at_once_are_signed() {
    let key = KeyFile::rsa();
    let (project, settings) = settings("maildir:out", &key.private());
    let (action, mut mails) = (Arc::new(action(&settings, false)), JoinSet::new());
    for index in 0..40 {
        let action = Arc::clone(&action);
        mails.spawn(async move {
            kind(&action.deliver(&mail(&action, &format!("u{index}@ex.test"), "hi")).await)
        });
    }
    assert!(mails.join_all().await.iter().all(|outcome| *outcome == "sent"));
    let files: Vec<_> = fs::read_dir(project.path("out/new")).unwrap().collect();
    assert_eq!(files.len(), 40);
    for file in files {
        assert_eq!(key.verify(&fs::read(file.unwrap().path()).unwrap()), Ok(()));
    }
}

/// A domain and addresses that only SMTPUTF8 has.
#[tokio::test]
async fn addresses_in_utf_8_are_signed_as_they_stand() {
    let key = KeyFile::ed25519();
    let server = SmtpServer::start(Manners::kind().with("SMTPUTF8"));
    let (_project, settings) = settings(&format!("smtp://127.0.0.1:{}", server.port()), &key.private());
    let action = action(&settings, false);
    let columns = Arc::from(["email".to_owned(), "body".to_owned()]);
    let row =
        Row { columns, values: ["用户@例子.test", "hi"].map(|text| Scalar::Text(text.into())).to_vec() };
    let at = DateTime::<Utc>::UNIX_EPOCH;
    let mail = action.render(&Delivery { row: &row, reservation: "r", fire_time: at, now: at }).unwrap();
    let outcome = action.deliver(&mail).await;
    assert_eq!(kind(&outcome), "sent", "{outcome:?}");
    assert_eq!(key.verify(&server.seen().mails[0].body), Ok(()));
}

/// What `check` says about `mail.m`, as `path: message | help`, and the whole of what it prints.
fn found(dkim: &Value, key: &[u8]) -> (Vec<String>, String) {
    let transport = json!({ "url": "maildir:out", "from": "鼓楼 <drum@tower.test>", "dkim": dkim });
    let project = Project::new(&json!({ "mail": { "m": transport } }));
    fs::write(project.path("dkim.pem"), key).unwrap();
    fs::set_permissions(project.path("dkim.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    let ran = project.gulou(&["check", "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let all = ["errors", "warnings"].map(|kind| report[kind].as_array().unwrap().clone()).concat();
    let show = |found: &Value| {
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        format!("{}: {} | {}", text("path"), text("message"), text("help"))
    };
    let of_mail = |found: &String| found.starts_with("mail.m");
    let said = project.gulou(&["check"]);
    (all.iter().map(show).filter(of_mail).collect(), format!("{}{}", said.stdout, said.stderr))
}

#[test]
fn keys_that_cannot_sign_are_told_by_check() {
    let make = |args: &[&str]| openssl(args, b"");
    let rsa = make(&["genrsa", "2048"]);
    let cases: [(Vec<u8>, &str); 8] = [
        (b"nonsense".to_vec(), "this is not a private key in PEM | make one with `openssl genrsa"),
        (make(&["genrsa", "1024"]), "the RSA key is too short: 2048 bits are the least"),
        (make(&["genrsa", "-traditional", "1024"]), "the RSA key is too short: 2048 bits are the least"),
        (
            make(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
            "neither RSA nor Ed25519",
        ),
        (openssl(&["pkey", "-pubout"], &rsa), "this is a public key, and the private one signs"),
        (
            openssl(&["pkey", "-aes256", "-passout", "pass:x"], &rsa),
            "the key is encrypted | write it without",
        ),
        (rsa[..rsa.len() / 2].to_vec(), "this is not a private key in PEM"),
        (
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_vec(),
            "the key cannot be used: ",
        ),
    ];
    let dkim = json!({ "domain": "tower.test", "selector": "s1", "key": { "file": "dkim.pem" } });
    for (key, expected) in &cases {
        let (found, _) = found(&dkim, key);
        assert!(
            found.len() == 1 && found[0].starts_with("mail.m.dkim.key: ") && found[0].contains(expected),
            "{expected}: {found:#?}"
        );
    }
    assert_eq!(found(&dkim, &rsa).0, Vec::<String>::new());
}

#[test]
fn names_and_places_of_keys_are_looked_at() {
    let rsa = openssl(&["genrsa", "2048"], b"");
    let good = json!({ "domain": "tower.test", "selector": "s1", "key": { "file": "dkim.pem" } });
    for (key, value, expected) in [
        ("domain", json!("drum@tower.test"), "mail.m.dkim.domain: `drum@tower.test` is not a domain"),
        (
            "domain",
            json!("elsewhere.test"),
            "a signature of elsewhere.test says nothing about mails from tower.test",
        ),
        ("domain", json!("xtower.test"), "says nothing about mails from tower.test"),
        (
            "selector",
            json!("s1._domainkey.tower.test"),
            "what stands before `._domainkey` alone | write `s1`",
        ),
        ("selector", json!("s 1"), "`s 1` is not a selector"),
        ("selector", json!("s1."), "`s1.` is not a selector"),
        ("key", json!({ "file": "none.pem" }), "there is no file"),
        ("key", json!({ "env": "GULOU_NOT_SET" }), "the environment variable `GULOU_NOT_SET` is not set"),
        ("headers", json!([]), "unknown key `headers`"),
    ] {
        let mut dkim = good.clone();
        dkim[key] = value;
        let (found, _) = found(&dkim, &rsa);
        assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:#?}");
    }
    for domain in ["mail.tower.test", "TOWER.test"] {
        let mut dkim = good.clone();
        dkim["domain"] = json!(domain);
        assert_eq!(found(&dkim, &rsa).0, Vec::<String>::new());
    }
    for missing in ["domain", "selector", "key"] {
        let mut dkim = good.clone();
        dkim.as_object_mut().unwrap().remove(missing);
        assert!(found(&dkim, &rsa).0[0].contains(&format!("`{missing}`")));
    }
}

/// In the file itself a key is a warning, and no line of what is said shows it.
#[test]
fn a_key_is_never_shown() {
    let rsa = String::from_utf8(openssl(&["genrsa", "2048"], b"")).unwrap();
    let secret: String = rsa.lines().nth(3).unwrap().to_owned();
    let dkim = json!({ "domain": "tower.test", "selector": "s1", "key": rsa });
    let (warnings, said) = found(&dkim, b"");
    assert!(
        warnings.len() == 1 && warnings[0].contains("can be read by all who can read this file"),
        "{warnings:?}"
    );
    assert!(!said.contains(&secret), "{said}");
    let broken = json!({ "domain": "tower.test", "selector": "s1", "key": rsa.replace("END", "EMD") });
    let (errors, said) = found(&broken, b"");
    assert!(errors.iter().any(|error| error.contains("this is not a private key")), "{errors:?}");
    assert!(!said.contains(&secret), "{said}");
    let (_project, settings) = settings("maildir:out", &KeyFile::rsa().private());
    let shown = format!("{settings:?} {:?}", action(&settings, false));
    assert!(shown.contains("tower.test") && !shown.contains("[48, 130"), "{shown}");
}
