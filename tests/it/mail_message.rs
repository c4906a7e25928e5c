//! Rendered mails, read back by a MIME parser that knows nothing of how they were made.

use std::sync::Arc;

use chrono::{DateTime, TimeZone, Utc};
use gulou::action::Delivery;
use gulou::action::mail::{MailAction, RenderError, RenderedMail, Transport};
use gulou::clock::Clock;
use gulou::run::{Row, Scalar};
use gulou::settings::{MailExtras, MailRoute, MailSettings, MailTransportSettings, TemplateSource};
use mail_parser::{MessageParser, MimeHeaders};
use proptest::prelude::*;

fn settings() -> MailSettings {
    MailSettings {
        via: "outbox".into(),
        from: None,
        to: "{{ name }} <{{ email }}>".into(),
        reply_to: Some("客服 <help@tower.test>".into()),
        subject: "{{ name }}，六一快乐".into(),
        text: Some(source("mail.txt", "亲爱的 {{ name }}：\n\n{{ note }}\n")),
        html: Some(source("mail.html", "<p>亲爱的 {{ name }}：</p>\n<p>{{ note }}</p>\n")),
        list_unsubscribe: Some("https://tower.test/out?who={{ email }}".into()),
        extras: MailExtras::default(),
    }
}

fn source(origin: &str, text: &str) -> TemplateSource {
    TemplateSource { origin: origin.into(), text: text.into() }
}

fn action(settings: &MailSettings) -> MailAction {
    MailAction::new(settings, transport()).unwrap()
}

fn transport() -> Arc<Transport> {
    let settings = MailTransportSettings {
        route: MailRoute::Maildir("never-written".into()),
        from: "鼓楼 <drum@tower.test>".into(),
        dkim: None,
    };
    Transport::open(&settings, Clock::manual(now()))
}

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 1, 1, 0, 3).unwrap()
}

fn row(name: &str, email: &str, note: &str) -> Row {
    Row {
        columns: Arc::from(["name", "email", "note"].map(str::to_owned)),
        values: [name, email, note].map(|text| Scalar::Text(text.to_owned())).to_vec(),
    }
}

fn render(action: &MailAction, row: &Row) -> Result<RenderedMail, RenderError> {
    action.render(&Delivery { row, reservation: "mass-mail/7", fire_time: now(), now: now() })
}

/// Header names in their order, as they stand in the bytes.
fn header_names(bytes: &[u8]) -> Vec<String> {
    let message = MessageParser::new().parse(bytes).unwrap();
    message.headers_raw().map(|(name, _)| name.to_owned()).collect()
}

const ALL_HEADERS: [&str; 10] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "MIME-Version",
    "Content-Type",
];

#[test]
fn a_parser_reads_what_was_meant() {
    let mail = render(&action(&settings()), &row("张三", "zhang@ex.test", "a < b & c")).unwrap();
    let message = MessageParser::new().parse(mail.bytes()).unwrap();
    assert_eq!(header_names(mail.bytes()), ALL_HEADERS);
    let from = message.from().unwrap().first().unwrap();
    assert_eq!((from.name(), from.address()), (Some("鼓楼"), Some("drum@tower.test")));
    let to = message.to().unwrap().first().unwrap();
    assert_eq!((to.name(), to.address()), (Some("张三"), Some("zhang@ex.test")));
    let reply_to = message.reply_to().unwrap().first().unwrap();
    assert_eq!((reply_to.name(), reply_to.address()), (Some("客服"), Some("help@tower.test")));
    assert_eq!(message.subject(), Some("张三，六一快乐"));
    assert_eq!(message.date().unwrap().to_timestamp(), now().timestamp());
    assert_eq!(message.message_id(), Some("mass-mail=2F7@tower.test"));
    let raw = |name: &str| message.header_raw(name).unwrap().trim().to_owned();
    assert_eq!(raw("List-Unsubscribe"), "<https://tower.test/out?who=zhang%40ex.test>");
    assert_eq!(raw("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    assert_eq!(raw("MIME-Version"), "1.0");
    assert!(message.content_type().unwrap().attribute("boundary").is_some());
    assert_eq!(message.content_type().unwrap().subtype(), Some("alternative"));
    assert_eq!(message.body_text(0).unwrap().replace("\r\n", "\n"), "亲爱的 张三：\n\na < b & c");
    let html = message.body_html(0).unwrap().replace("\r\n", "\n");
    assert_eq!(html, "<p>亲爱的 张三：</p>\n<p>a &lt; b &amp; c</p>");
    assert!(mail.bytes().is_ascii(), "7-bit: any server takes it");
}

#[test]
fn a_mail_of_one_part_is_not_multipart() {
    for (text, html, kind) in
        [(Some(source("t", "你好")), None, "plain"), (None, Some(source("h", "<b>你好</b>")), "html")]
    {
        let settings = MailSettings { text, html, reply_to: None, list_unsubscribe: None, ..settings() };
        let mail = render(&action(&settings), &row("张三", "a@ex.test", "")).unwrap();
        let message = MessageParser::new().parse(mail.bytes()).unwrap();
        let content = message.content_type().unwrap();
        assert_eq!((content.ctype(), content.subtype()), ("text", Some(kind)));
        assert_eq!(content.attribute("charset"), Some("utf-8"));
        assert_eq!(message.reply_to(), None);
        assert_eq!(message.header_raw("List-Unsubscribe-Post"), None);
        assert!(message.body_text(0).unwrap().contains("你好"));
    }
}

#[test]
fn a_preview_shows_the_mail_decoded() {
    let mail = render(&action(&settings()), &row("张三", "zhang@ex.test", "好")).unwrap();
    assert_eq!(
        mail.lines(),
        [
            "From: 鼓楼 <drum@tower.test>",
            "To: 张三 <zhang@ex.test>",
            "Subject: 张三，六一快乐",
            "Date: Mon, 1 Jun 2026 01:00:03 +0000",
            "Message-ID: <mass-mail=2F7@tower.test>",
            "Reply-To: 客服 <help@tower.test>",
            "List-Unsubscribe: <https://tower.test/out?who=zhang%40ex.test>",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            "",
            "亲爱的 张三：",
            "",
            "好",
        ]
    );
    assert_eq!(mail.to().spec(), "zhang@ex.test");
    assert_eq!(mail.from().spec(), "drum@tower.test");
}

#[test]
fn what_cannot_be_a_mail_fails_its_row() {
    let failure =
        |settings: &MailSettings, row: &Row| render(&action(settings), row).unwrap_err().to_string();
    let fine = row("张三", "a@ex.test", "");
    let several = failure(&settings(), &row("张三", "a@ex.test, b@ex.test", ""));
    assert!(several.starts_with("To: ") && several.contains("more than one address"), "{several}");
    let injected = failure(&settings(), &row("张三", "a@ex.test>\r\nBcc: <b@ex.test", ""));
    assert!(injected.contains("control character"), "{injected}");
    let plain = MailSettings { list_unsubscribe: Some("http://tower.test/".into()), ..settings() };
    assert!(failure(&plain, &fine).contains("does not start with https://"));
    let spaced =
        MailSettings { list_unsubscribe: Some("https://tower.test/ {{ name | safe }}".into()), ..settings() };
    assert!(failure(&spaced, &fine).contains("what a URL cannot"));
    let unknown = MailSettings { subject: "{{ nmae }}".into(), ..settings() };
    assert_eq!(
        failure(&unknown, &fine),
        "column \"nmae\" is missing (subject line 1); fill it, or write {{ nmae | default(\"…\") }}"
    );
    let long = MailSettings {
        list_unsubscribe: Some(format!("https://tower.test/{}", "x".repeat(999))),
        ..settings()
    };
    assert!(failure(&long, &fine).contains("998 are the limit"));
}

#[test]
fn mistakes_in_the_settings_are_told_at_once() {
    let error = |settings: &MailSettings| MailAction::new(settings, transport()).unwrap_err().to_string();
    let broken = MailSettings { html: Some(source("a/mail.html", "<p>\n{% if %}")), ..settings() };
    assert!(error(&broken).starts_with("a/mail.html:2: syntax error"), "{}", error(&broken));
    let from = MailSettings { from: Some("nobody".into()), ..settings() };
    assert_eq!(
        error(&from),
        "from:1: \"nobody\" is not an address; write user@example.com or name <user@example.com>"
    );
    assert_eq!(action(&settings()).columns(), ["email", "name", "note"]);
}

#[tokio::test]
async fn a_digest_has_all_rows() {
    let digest = MailSettings {
        to: "boss@ex.test".into(),
        subject: "周报：{{ rows | length }} 条".into(),
        text: Some(source(
            "t",
            "{% for row in rows %}{{ row.name }} {{ row.note }}\n{% endfor %}{{ fire_time }}",
        )),
        html: None,
        list_unsubscribe: None,
        ..settings()
    };
    let action = Arc::new(action(&digest));
    assert_eq!(action.columns(), ["rows"]);
    let rows = [row("张三", "", "甲"), row("李四", "", "乙")];
    let mail = action.render_digest(&rows, "weekly", now(), now()).await.unwrap();
    assert_eq!(mail.subject(), "周报：2 条");
    assert_eq!(mail.text(), Some("张三 甲\n李四 乙\n2026-06-01 09:00:03"));
}

/// Text that looks for trouble: line ends, controls, header and MIME syntax, any Unicode.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => any::<String>(),
        2 => "[ -~]{0,120}",
        1 => "\\PC{0,40}",
        4 => prop::sample::select(vec![
            "\r\n", "\n", "\r", "\0", "\t", " ", "\u{85}", "\u{2028}", "\u{7f}", "\r\n ", "\r\n\r\n", "\r\n.\r\n", ".",
            "Bcc: x@y.test", "Content-Type: text/html", "=?utf-8?B?DQpCY2M6?=", "=?utf-8?Q?=0D=0ABcc:_x?=",
            "<", ">", "\"", "\\", ",", ";", ":", "(", ")", "@", "--", "=", "你好", "👨‍👩‍👧",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// Words only: how text is cut at spaces and controls is not the point here.
fn words(text: &str) -> String {
    text.replace("=?", "= ?")
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn lines(text: &str) -> String {
    text.replace('\0', "").replace("\r\n", "\n").replace('\r', "\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_row_value_can_inject_anything(name in hostile(), note in hostile(), id in hostile()) {
        let settings = MailSettings {
            subject: "{{ name }}".into(),
            text: Some(source("t", "{{ note }}|")),
            html: Some(source("h", "<p>{{ note }}</p>")),
            ..settings()
        };
        let action = action(&settings);
        let row = row(&name, "a@ex.test", &note);
        let rendered = action.render(&Delivery { row: &row, reservation: &id, fire_time: now(), now: now() });
        // Control characters in front of an address and ids too long for a line are refused.
        let mail = match rendered {
            Ok(mail) => mail,
            Err(RenderError::Header { .. }) => return Ok(()),
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        };
        prop_assert_eq!(header_names(mail.bytes()), ALL_HEADERS);
        let message = MessageParser::new().parse(mail.bytes()).unwrap();
        prop_assert_eq!(words(message.subject().unwrap_or_default()), words(&name));
        prop_assert_eq!(message.to().unwrap().iter().count(), 1);
        prop_assert_eq!(message.to().unwrap().first().unwrap().address(), Some("a@ex.test"));
        prop_assert_eq!(message.parts.len(), 3, "multipart, text, html");
        prop_assert_eq!(lines(&message.body_text(0).unwrap()), format!("{}|", lines(&note)));
        for line in mail.bytes().split_inclusive(|byte| *byte == b'\n') {
            prop_assert!(line.ends_with(b"\r\n") && line.len() <= 1000);
            prop_assert!(!line[..line.len() - 2].contains(&b'\r'));
        }
        prop_assert!(mail.bytes().is_ascii() && !mail.bytes().contains(&0));
    }

    #[test]
    fn no_address_is_more_than_one(email in hostile()) {
        let action = action(&MailSettings { to: "{{ email }}".into(), list_unsubscribe: None, ..settings() });
        for email in [email.clone(), format!("{email}@ex.test"), format!("a@ex.test{email}"), format!("{email} <a@ex.test>")] {
            if let Ok(mail) = render(&action, &row("", &email, "")) {
                let message = MessageParser::new().parse(mail.bytes()).unwrap();
                prop_assert_eq!(message.to().unwrap().iter().count(), 1);
                let spec = mail.to().spec();
                prop_assert!(!spec.contains(char::is_control) && email.contains(spec), "{:?}", spec);
                if !spec.contains(['"', '>']) {
                    prop_assert_eq!(message.to().unwrap().first().unwrap().address(), Some(spec));
                }
            }
        }
    }
}
