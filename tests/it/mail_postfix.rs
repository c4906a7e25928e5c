//! A mailing into a real Postfix, which queues the mails and delivers them: what the program says of a row, and what lies
//! in the Maildir in the end.

use mail_parser::MessageParser;
use serde_json::{Value, json};

use crate::servers::postfix::{MOST_BYTES, Postfix};
use crate::support::eventually;
use crate::support::mailing::Mailing;

const ROWS: u32 = 300;

/// Whom [`Mailing`] writes to.
fn people(rows: u32) -> Vec<String> {
    (1..=rows).map(|number| format!("p{number}")).collect()
}

/// Lines that a server could take for its own, or cut: dots, Chinese, more than SMTP's 998 bytes.
fn body() -> String {
    let long = "鼓楼定更击鼓，".repeat(400);
    let plain = "0123456789 ".repeat(300);
    format!(
        ".\n..\n{{{{ name }}}}，您好：\n.{{{{ id }}}}\n\nFrom the tower\n{long}\n{plain}\n{}\n.\n",
        ".".repeat(2000)
    )
}

fn settings(body: &str) -> Value {
    json!({ "concurrency": 8, "action": { "mail": {
        "via": "out", "to": "{{ email }}", "subject": "{{ name }}，您好", "text": body
    } } })
}

fn mailing(server: &Postfix, rows: u32, settings: &Value) -> Mailing {
    Mailing::to(&format!("smtp://127.0.0.1:{}", server.port()), rows, settings)
}

/// Serves until each row is settled and each mail is delivered.
fn deliver(server: &Postfix, mailing: &Mailing) {
    let daemon = mailing.project().serve("config.json");
    mailing.wait_until_through();
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    await_delivery(server);
}

fn await_delivery(server: &Postfix) {
    eventually("Postfix to deliver all of it", || (server.queued() == 0).then_some(()));
}

/// The one mail of a person is what was written to them.
fn check_mail(server: &Postfix, number: u32, body: &str) {
    let mails = server.delivered(&format!("p{number}"));
    assert_eq!(mails.len(), 1, "mails of p{number}");
    let mail = MessageParser::default().parse(&mails[0]).unwrap();
    let (name, id) = (format!("收件人{number}"), number.to_string());
    assert_eq!(mail.subject().unwrap(), format!("{name}，您好"));
    assert_eq!(mail.to().unwrap().first().unwrap().address(), Some(format!("p{number}@ex.test").as_str()));
    let written = body.replace("{{ name }}", &name).replace("{{ id }}", &id);
    assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n").trim_end(), written.trim_end());
}

#[test]
fn each_row_is_delivered_once_and_as_it_was_written() {
    let server = Postfix::start(&people(ROWS));
    let body = body();
    let mailing = mailing(&server, ROWS, &settings(&body));
    deliver(&server, &mailing);
    assert_eq!(mailing.open_rows(), 0);
    for number in 1..=ROWS {
        check_mail(&server, number, &body);
    }
    let log = server.log();
    assert_eq!(log.matches(" status=sent (delivered to maildir)").count(), ROWS as usize);
    assert!(!log.contains("lost connection") && !log.contains("warning:"), "{log}");
}

#[test]
fn a_connection_is_encrypted_and_the_server_has_to_prove_its_name() {
    let server = Postfix::start(&people(20));
    let mailing = mailing(&server, 20, &json!({ "concurrency": 2 }));
    let config = |more: &Value| {
        let path = mailing.project().path("config.json");
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        config["mail"]["out"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        mailing.project().write("config.json", &config.to_string());
    };
    // Nobody vouches for its certificate.
    config(&json!({ "tls": "starttls" }));
    let ran = mailing.project().gulou(&["fire", "mailing"]).expect_code(1);
    assert!(ran.stderr.contains("it is not trusted"), "{ran:?}");
    assert!(!server.log().contains("cleanup"), "a mail went out");

    config(&json!({ "tls_ca": server.ca() }));
    mailing.project().gulou(&["fire", "mailing"]).expect_code(0);
    await_delivery(&server);
    assert_eq!(mailing.open_rows(), 0);
    let log = server.log();
    assert!(log.contains("TLS connection established"), "{log}");
    for number in 1..=20 {
        check_mail(&server, number, "第 {{ id }} 封");
        // What the server writes about a mail that came encrypted.
        let mail = String::from_utf8(server.delivered(&format!("p{number}")).remove(0)).unwrap();
        assert!(mail.contains(" with ESMTPS id "), "{mail}");
    }
}

/// Each refusal stays with its row, with the words of the server.
#[test]
fn whom_the_server_does_not_know_and_what_it_does_not_take_fails_alone() {
    // The last two are nobody.
    let server = Postfix::start(&people(28));
    // One mail is too big for it.
    let body = format!("{{{{ '{}' if id == 7 else 'short' }}}}", "x".repeat(MOST_BYTES));
    let mailing = mailing(&server, 30, &settings(&body));
    deliver(&server, &mailing);
    let rows = mailing.project().gulou(&["batch", "rows", "mailing", "--failed", "--json"]).expect_code(0);
    let rows: Vec<Value> = rows.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3, "{rows:#?}");
    let reason = |key: u32| {
        let row = rows.iter().find(|row| row["key"].to_string().contains(&key.to_string()));
        row.unwrap_or_else(|| panic!("no {key}: {rows:#?}"))["detail"].as_str().unwrap().to_owned()
    };
    for number in [29, 30] {
        let said = format!(
            "recipient refused: 550 5.1.1 <p{number}@ex.test>: Recipient address rejected: User unknown"
        );
        assert!(reason(number).starts_with(&said), "{}", reason(number));
    }
    assert!(reason(7).contains(&format!("the server takes {MOST_BYTES}")), "{}", reason(7));
    for number in (1..=28).filter(|number| *number != 7) {
        assert_eq!(server.delivered(&format!("p{number}")).len(), 1, "mails of p{number}");
    }
    let log = server.log();
    assert!(server.delivered("p7").is_empty() && !log.contains("to=<p7@ex.test>"), "{log}");
    assert!(!log.contains("message size"), "Postfix was asked to take it:\n{log}");
}
