//! Mails with files, images and headers of their own, read back by a MIME parser.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeZone, Utc};
use gulou::action::mail::{MailAction, RenderError, RenderedMail, Transport};
use gulou::action::{Delivery, Outcome};
use gulou::clock::Clock;
use gulou::run::{Row, Scalar};
use gulou::settings::{
    AttachedFile, AttachmentSettings, MailExtras, MailRoute, MailSettings, MailTransportSettings,
    TemplateSource,
};
use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders, PartType};
use serde_json::{Value, json};

use crate::support::letters::{patient, plain_smtp};
use crate::support::mailing::Mailing;
use crate::support::smtp_server::{Manners, SmtpServer};
use crate::support::{Project, eventually};

fn source(text: &str) -> TemplateSource {
    TemplateSource { origin: "here".into(), text: text.into() }
}

fn fixed(name: &str, bytes: &[u8]) -> AttachmentSettings {
    let file = AttachedFile::Fixed { name: name.into(), bytes: Arc::from(bytes) };
    AttachmentSettings { file, name: None, kind: None }
}

fn template(path: &str) -> AttachmentSettings {
    AttachmentSettings { file: AttachedFile::Template(source(path)), name: None, kind: None }
}

fn settings(extras: MailExtras) -> MailSettings {
    MailSettings {
        via: "outbox".into(),
        from: None,
        to: "{{ email }}".into(),
        reply_to: None,
        subject: "发票".into(),
        text: Some(source("{{ id }} 号发票")),
        html: Some(source("<p>{{ id }} 号发票</p><img src=\"cid:logo\">")),
        list_unsubscribe: None,
        extras,
    }
}

fn transport(route: MailRoute) -> Arc<Transport> {
    let settings = MailTransportSettings { route, from: "鼓楼 <drum@tower.test>".into(), dkim: None };
    Transport::with_timeouts(&settings, Clock::system(), patient())
}

fn action(settings: &MailSettings) -> MailAction {
    MailAction::new(settings, transport(MailRoute::Maildir("never-written".into()))).unwrap()
}

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 1, 1, 0, 3).unwrap()
}

fn row(id: &str, email: &str) -> Row {
    Row {
        columns: Arc::from(["id", "email"].map(str::to_owned)),
        values: [id, email].map(|text| Scalar::Text(text.to_owned())).to_vec(),
    }
}

fn render(action: &MailAction, id: &str) -> Result<RenderedMail, RenderError> {
    let row = row(id, "a@ex.test");
    action.render(&Delivery { row: &row, reservation: "r", fire_time: now(), now: now() })
}

/// `mixed(related(…), pdf)`.
fn structure(message: &Message<'_>, at: u32) -> String {
    let part = message.part(at).unwrap();
    let kind = part.content_type().and_then(|kind| kind.subtype()).unwrap_or("none").to_owned();
    match &part.body {
        PartType::Multipart(parts) => {
            let parts: Vec<String> = parts.iter().map(|part| structure(message, *part)).collect();
            format!("{kind}({})", parts.join(", "))
        }
        _ => kind,
    }
}

fn parsed(mail: &RenderedMail) -> Message<'_> {
    MessageParser::new().parse(mail.bytes()).unwrap()
}

fn disposition<'m>(part: &'m MessagePart<'_>) -> &'m str {
    part.content_disposition().unwrap().ctype()
}

#[test]
fn images_are_related_and_files_are_enclosed() {
    let image = b"\x89PNG\r\n\x1a\n\0\0".repeat(100);
    let mut pdf = fixed("list.pdf", b"%PDF-1.7\r\n.\r\n");
    pdf.name = Some(source("价目表（第 {{ id }} 号）与很长很长很长很长很长很长很长的名字.pdf"));
    let mut odd = fixed("data", b"\0\x01");
    odd.kind = Some("application/x-odd".into());
    let all = MailExtras {
        attachments: vec![pdf, odd],
        inline: vec![("logo".into(), fixed("logo.png", &image))],
        ..MailExtras::default()
    };
    let mail = render(&action(&settings(all.clone())), "7").unwrap();
    let message = parsed(&mail);
    assert_eq!(structure(&message, 0), "mixed(related(alternative(plain, html), png), pdf, x-odd)");
    let related = message.parts.iter().find(|part| part.is_content_type("multipart", "related")).unwrap();
    assert_eq!(related.content_type().unwrap().attribute("type"), Some("multipart/alternative"));
    let part = |kind: &str| {
        message
            .parts
            .iter()
            .find(|part| part.content_type().and_then(|kind| kind.subtype()) == Some(kind))
            .unwrap()
    };
    assert_eq!(part("png").contents(), image);
    assert_eq!((part("png").content_id(), disposition(part("png"))), (Some("logo"), "inline"));
    assert_eq!(part("pdf").contents(), b"%PDF-1.7\r\n.\r\n");
    let name = "价目表（第 7 号）与很长很长很长很长很长很长很长的名字.pdf";
    assert_eq!((part("pdf").attachment_name(), disposition(part("pdf"))), (Some(name), "attachment"));
    assert_eq!((part("x-odd").attachment_name(), part("x-odd").contents()), (Some("data"), &b"\0\x01"[..]));
    let text = String::from_utf8(mail.bytes().to_vec()).unwrap();
    assert!(text.contains("filename*0*=UTF-8''") && text.is_ascii(), "RFC 2231: {text}");
    assert!(text.lines().all(|line| line.len() <= 78), "{text}");
    assert_eq!(
        mail.lines().split_off(6),
        [
            "7 号发票".to_owned(),
            "[cid:logo] logo.png (1000 bytes)".into(),
            format!("[file] {name} (13 bytes)"),
            "[file] data (2 bytes)".into()
        ]
    );

    let structure_of = |change: &dyn Fn(&mut MailSettings)| {
        let mut settings = settings(all.clone());
        change(&mut settings);
        let mail = render(&action(&settings), "7").unwrap();
        structure(&parsed(&mail), 0)
    };
    assert_eq!(structure_of(&|mail| mail.text = None), "mixed(related(html, png), pdf, x-odd)");
    assert_eq!(
        structure_of(&|mail| mail.extras.attachments.clear()),
        "related(alternative(plain, html), png)"
    );
    assert_eq!(
        structure_of(&|mail| mail.extras.inline.clear()),
        "mixed(alternative(plain, html), pdf, x-odd)"
    );
    let text_only = |mail: &mut MailSettings| {
        mail.html = None;
        mail.extras.inline.clear();
    };
    assert_eq!(structure_of(&text_only), "mixed(plain, pdf, x-odd)");
}

#[test]
fn a_file_is_found_for_each_row_and_never_elsewhere() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("f");
    fs::create_dir_all(dir.join("invoices")).unwrap();
    fs::write(dir.join("invoices/7.pdf"), "seven").unwrap();
    fs::write(outer.path().join("secret.pdf"), "secret").unwrap();
    let mut file = template("invoices/{{ id }}.pdf");
    file.name = Some(source("发票-{{ id }}.pdf"));
    let extras = MailExtras { dir: dir.clone(), attachments: vec![file], ..MailExtras::default() };
    let action = action(&settings(extras));
    let mail = render(&action, "7").unwrap();
    let message = parsed(&mail);
    let part = message.attachment(0).unwrap();
    assert_eq!((part.attachment_name(), part.contents()), (Some("发票-7.pdf"), &b"seven"[..]));
    let fails = |id: &str| Outcome::from(render(&action, id).unwrap_err());
    let missing = "attachments[0].file: there is no file `invoices/8.pdf`";
    assert_eq!(fails("8"), Outcome::Failed { reason: missing.into() });
    let outside = "attachments[0].file: `invoices/../../secret.pdf` leads out of the folder";
    assert_eq!(fails("../../secret"), Outcome::Failed { reason: outside.into() });

    // What comes later is found.
    fs::write(dir.join("invoices/8.pdf"), "eight").unwrap();
    assert!(render(&action, "8").is_ok());
    fs::write(dir.join("invoices/9.pdf"), vec![0; (10 << 20) + 1]).unwrap();
    let Outcome::Failed { reason } = fails("9") else { panic!("too large") };
    assert_eq!(
        reason,
        "attachments[0].file: `invoices/9.pdf` has 10485761 bytes, and 10485760 are the limit"
    );
}

#[test]
fn names_and_sizes_are_bounded() {
    let half = vec![0; 6 << 20];
    let extras = |attachments| MailExtras { attachments, ..MailExtras::default() };
    let both = action(&settings(extras(vec![fixed("a", &half), fixed("b", &half)])));
    let error = render(&both, "7").unwrap_err().to_string();
    assert_eq!(error, "attachments: the files have 12582912 bytes, and 10485760 are the limit");
    let mut named = fixed("a.pdf", b"x");
    named.name = Some(source("{{ id }}.pdf"));
    let named = action(&settings(extras(vec![named])));
    for id in ["a/b", "a\\b", "a\r\nX: y"] {
        let error = render(&named, id).unwrap_err().to_string();
        assert!(
            error.starts_with("attachments[0].name: ") && error.ends_with("is no name of a file"),
            "{error}"
        );
    }
    let quoted = render(&named, "a\"; x=\"y").unwrap();
    assert_eq!(parsed(&quoted).attachment(0).unwrap().attachment_name(), Some("a\"; x=\"y.pdf"));
}

#[test]
fn headers_of_ones_own_are_one_line_each() {
    let headers =
        [("X-Campaign", "{{ id }}"), ("Precedence", "bulk"), ("X-None", "{{ nothing | default(\"\") }}")];
    let headers = headers.map(|(name, value)| (name.to_owned(), source(value))).to_vec();
    let action = action(&settings(MailExtras { headers, ..MailExtras::default() }));
    let raw = |mail: &RenderedMail, name: &str| {
        let message = parsed(mail);
        message.header_raw(name).map(|value| value.trim().to_owned())
    };
    let mail = render(&action, "summer-2026").unwrap();
    assert_eq!(raw(&mail, "X-Campaign").as_deref(), Some("summer-2026"));
    assert_eq!(raw(&mail, "Precedence").as_deref(), Some("bulk"));
    assert_eq!(raw(&mail, "X-None"), None);
    assert!(mail.lines().contains(&"X-Campaign: summer-2026".to_owned()));
    // RFC 2047, and back.
    let long = "六一儿童节".repeat(30);
    let mail = render(&action, &long).unwrap();
    let value = raw(&mail, "X-Campaign").unwrap();
    assert!(value.starts_with("=?utf-8?") && mail.bytes().is_ascii(), "{value}");
    let message = MessageParser::new().header_text("X-Campaign").parse(mail.bytes()).unwrap();
    assert_eq!(message.header("X-Campaign").unwrap().as_text(), Some(long.as_str()));
    for value in ["a\r\nBcc: b@ex.test", "a\nb", "a\0b", "a\u{85}b"] {
        let error = render(&action, value).unwrap_err().to_string();
        assert!(error.starts_with("X-Campaign: ") && error.contains("a line end"), "{error}");
    }
    // A word that decodes to a line end stays what it is.
    let mail = render(&action, "=?utf-8?Q?=0D=0ABcc:_x?=").unwrap();
    let message = MessageParser::new().header_text("X-Campaign").parse(mail.bytes()).unwrap();
    assert_eq!(message.header("X-Campaign").unwrap().as_text(), Some("= ?utf-8?Q?=0D=0ABcc:_x?="));
}

#[tokio::test]
async fn a_megabyte_arrives_as_it_was() {
    let bytes: Vec<u8> =
        (0..1_000_000_u32).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("7.bin"), &bytes).unwrap();
    let attachments = vec![fixed("大文件.zip", &bytes), template("{{ id }}.bin")];
    let extras = MailExtras { dir: dir.path().to_owned(), attachments, ..MailExtras::default() };
    let server = SmtpServer::start(Manners::kind());
    let transport = transport(plain_smtp("127.0.0.1", server.port()));
    let action = Arc::new(MailAction::new(&settings(extras), transport.clone()).unwrap());
    for at in 0..3 {
        let (row, reservation) = (row("7", "a@ex.test"), format!("r-{at}"));
        let delivery = Delivery { row: &row, reservation: &reservation, fire_time: now(), now: now() };
        let mail = action.render_row(&delivery).await.unwrap();
        let outcome = action.deliver(&mail).await;
        assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
    }
    transport.close().await;
    let seen = server.seen();
    assert_eq!(seen.mails.len(), 3);
    for mail in seen.mails {
        let message = MessageParser::new().parse(&mail.body).unwrap();
        assert_eq!(structure(&message, 0), "mixed(alternative(plain, html), zip, octet-stream)");
        assert_eq!(message.attachment(0).unwrap().attachment_name(), Some("大文件.zip"));
        assert!(message.attachments().all(|part| part.contents() == bytes));
    }
}

/// A mailing to a Maildir whose mails have files.
fn mailing(rows: u32) -> Mailing {
    let settings = json!({
        "action": { "mail": {
            "via": "out", "to": "{{ email }}", "subject": "{{ name }}", "text": "第 {{ id }} 封",
            "html": "<img src=\"cid:logo\">",
            "attachments": ["files/list.csv", { "file": "files/{{ id }}.txt", "name": "第{{ id }}封.txt" }],
            "inline": { "logo": "files/logo.png" },
            "headers": { "X-Campaign": "夏" },
        } },
    });
    let mailing = Mailing::to("maildir:outbox", rows, &settings);
    for (name, text) in [("list.csv", "old"), ("logo.png", "png"), ("1.txt", "one"), ("3.txt", "three")] {
        mailing.project().write(&format!("triggers/mailing/files/{name}"), text);
    }
    mailing
}

fn letters(project: &Project) -> Vec<Vec<u8>> {
    let files = fs::read_dir(project.path("outbox/new")).into_iter().flatten();
    files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

#[test]
fn a_dry_run_lists_files_and_headers() {
    let mailing = mailing(3);
    let ran = mailing.project().gulou(&["dry-run", "--json"]).expect_code(0);
    let looks: Value = serde_json::from_str(&ran.stdout).unwrap();
    let first: Vec<&str> =
        looks[0]["first"]["first"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for line in [
        "X-Campaign: 夏",
        "[cid:logo] logo.png (3 bytes)",
        "[file] list.csv (3 bytes)",
        "[file] 第1封.txt (3 bytes)",
    ] {
        assert!(first.contains(&line), "{line}: {first:#?}");
    }
    fs::remove_file(mailing.project().path("triggers/mailing/files/1.txt")).unwrap();
    let ran = mailing.project().gulou(&["dry-run"]).expect_code(1);
    assert!(ran.stdout.contains("there is no file `files/1.txt`"), "{}", ran.stdout);
    assert!(!Path::new(&mailing.project().path("outbox")).exists());
}

#[test]
fn a_row_without_its_file_fails_and_the_others_go_out() {
    let mailing = mailing(3);
    mailing.project().gulou(&["fire", "mailing"]).expect_code(0);
    assert_eq!((letters(mailing.project()).len(), mailing.open_rows()), (2, 1));
    let rows = mailing.project().gulou(&["batch", "rows", "mailing"]).expect_code(0).stdout;
    assert!(
        rows.contains("attachments[0].file") || rows.contains("there is no file `files/2.txt`"),
        "{rows}"
    );
}

#[test]
fn a_file_that_was_replaced_goes_out_in_its_new_form() {
    let mailing = mailing(1);
    let project = mailing.project();
    let daemon = project.serve("config.json");
    project.write("triggers/mailing/files/list.csv", "new");
    eventually("a reload", || daemon.log().contains("functions reloaded").then_some(()));
    let database = rusqlite::Connection::open(project.path("main.db")).unwrap();
    database.execute("INSERT INTO people (id, email, name) VALUES (3, 'a@ex.test', '甲')", []).unwrap();
    mailing.wait_until_through();
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    let letters = letters(mailing.project());
    let files = |letter: &[u8]| -> Vec<(String, Vec<u8>)> {
        let message = MessageParser::new().parse(letter).unwrap();
        let name = |part: &MessagePart<'_>| part.attachment_name().unwrap_or_default().to_owned();
        message.attachments().map(|part| (name(part), part.contents().to_vec())).collect()
    };
    let of_third = letters.iter().map(|letter| files(letter));
    let of_third =
        of_third.into_iter().find(|files| files.iter().any(|(name, _)| name == "第3封.txt")).unwrap();
    assert!(of_third.contains(&("list.csv".to_owned(), b"new".to_vec())), "{of_third:?}");
}
