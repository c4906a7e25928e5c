//! Files, images and headers of mails as people write them: what is wrong with them.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::support::Project;

fn project(more: &Value) -> Project {
    let config = json!({
        "databases": { "main": { "url": "sqlite://demo.db" } },
        "mail": { "out": { "url": "maildir:outbox", "from": "a@ex.test" } },
    });
    let project = Project::new(&config);
    let mut mail = json!({ "via": "out", "to": "{{ email }}", "subject": "s", "text": "t" });
    mail.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let batch = json!({
        "id": "b", "source": { "database": "main", "table": "users", "key": "id", "where": "status = false" },
        "mark": { "sent": { "status": true } }, "action": { "mail": mail },
    });
    let triggers = json!([{ "name": "t", "type": "timer", "config": "0 0 9 * * * *" }]);
    project.function("f", &json!({ "triggers": triggers, "target": { "batch": batch } }));
    project.write("triggers/f/files/a.pdf", "a");
    project.write("triggers/f/img/logo.png", "b");
    project.write("secret.pdf", "c");
    symlink("../../../secret.pdf", project.path("triggers/f/files/out.pdf")).unwrap();
    project
}

/// `path: message | help` of each finding of a kind, of the mail alone.
fn found(more: &Value, kind: &str) -> Vec<String> {
    let ran = project(more).gulou(&["check", "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let show = |found: &Value| {
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        let path = text("path");
        let path = path.strip_prefix("target.batch.action.mail.")?;
        Some(format!("{path}: {} | {}", text("message"), text("help")))
    };
    report[kind].as_array().unwrap().iter().filter_map(show).collect()
}

#[test]
fn what_is_right_is_taken() {
    let more = json!({
        "html": "<img src=\"cid:logo\">",
        "attachments": ["files/a.pdf", { "file": "x/{{ id }}.pdf", "name": "发票-{{ id }}.pdf", "type": "application/pdf" }],
        "inline": { "logo": "img/logo.png" },
        "headers": { "X-Campaign": "{{ campaign }}", "Precedence": "bulk" },
    });
    assert_eq!((found(&more, "errors"), found(&more, "warnings")), (vec![], vec![]));
    let filled_in = json!({ "html": "<img src=\"cid:{{ which }}\">", "inline": { "logo": "img/logo.png" } });
    assert_eq!((found(&filled_in, "errors"), found(&filled_in, "warnings")), (vec![], vec![]));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let help = "paths start at the function's folder, and stay in it";
    for (more, expected) in [
        (
            json!({ "attachments": ["files/b.pdf"] }),
            format!("attachments[0]: there is no file `files/b.pdf` | {help}"),
        ),
        (
            json!({ "attachments": [{ "file": "../../secret.pdf" }] }),
            format!("attachments[0].file: `../../secret.pdf` leads out of the folder | {help}"),
        ),
        (
            json!({ "attachments": ["files/out.pdf"] }),
            format!("attachments[0]: `files/out.pdf` leads out of the folder | {help}"),
        ),
        (json!({ "attachments": ["files"] }), format!("attachments[0]: `files` is no regular file | {help}")),
        (
            json!({ "attachments": "files/a.pdf" }),
            "attachments: a string was found where a list (`[…]`) is expected | ".into(),
        ),
        (json!({ "attachments": [{ "name": "x" }] }), "attachments[0]: `file` is missing here | ".into()),
        (
            json!({ "attachments": [{ "file": "files/a.pdf", "type": "pdf" }] }),
            "attachments[0].type: `pdf` is not a media type | write one such as `application/pdf`".into(),
        ),
        (
            json!({ "attachments": [{ "file": "files/a.pdf", "type": "message/rfc822" }] }),
            "attachments[0].type: a file cannot be enclosed as `message/rfc822`".into(),
        ),
        (json!({ "attachments": ["x/{{ id }.pdf"] }), "attachments[0]: the template cannot be read".into()),
        (
            json!({ "inline": { "logo": "img/logo.png" } }),
            "inline: nothing shows these images: the mail has no HTML".into(),
        ),
        (
            json!({ "html": "<p>\n<img src='cid:lgo'>", "inline": { "logo": "img/logo.png" } }),
            "html: line 2 of the HTML shows `cid:lgo`, which `inline` does not have | did you mean `logo`"
                .into(),
        ),
        (
            json!({ "html": "<img src='cid:logo'>" }),
            "html: line 1 of the HTML shows `cid:logo`, which `inline` does not have | add `\"inline\""
                .into(),
        ),
        (
            json!({ "html": "<p>", "inline": { "the logo": "img/logo.png" } }),
            "inline[\"the logo\"]: `the logo` cannot stand behind `cid:`".into(),
        ),
        (json!({ "headers": { "X Y": "a" } }), "headers[\"X Y\"]: `X Y` cannot name a header".into()),
        (
            json!({ "headers": { "reply-to": "a" } }),
            "headers.reply-to: `reply-to` has a key of its own | write it as `reply_to` of the mail".into(),
        ),
        (
            json!({ "headers": { "Message-Id": "a" } }),
            "headers.Message-Id: `Message-Id` cannot be set: it is made from the reservation".into(),
        ),
        (
            json!({ "headers": { "X-A": "a", "x-a": "b" } }),
            "headers.x-a: the header `x-a` is given twice".into(),
        ),
        (
            json!({ "headers": { "X-A": 1 } }),
            "headers.X-A: a number was found where a string is expected".into(),
        ),
    ] {
        let found = found(&more, "errors");
        assert!(found.len() == 1 && found[0].starts_with(&expected), "{expected}: {found:#?}");
    }
    for name in [
        "From",
        "To",
        "Date",
        "DKIM-Signature",
        "Content-Type",
        "MIME-Version",
        "Bcc",
        "Return-Path",
        "ARC-Seal",
    ] {
        let found = found(&json!({ "headers": { name: "a" } }), "errors");
        assert!(found.len() == 1 && found[0].starts_with(&format!("headers.{name}: ")), "{name}: {found:#?}");
    }
}

#[test]
fn an_image_that_nothing_shows_is_a_warning() {
    let more = json!({ "html": "<p>", "inline": { "logo": "img/logo.png" } });
    assert_eq!(found(&more, "warnings"), ["inline.logo: the HTML does not show `cid:logo` | "]);
    assert!(found(&more, "errors").is_empty());
}

#[test]
fn all_files_of_a_mail_are_bounded() {
    let project = project(&json!({ "attachments": ["files/a.pdf", "files/b.pdf"] }));
    for name in ["a", "b"] {
        project.write(&format!("triggers/f/files/{name}.pdf"), &"x".repeat(6 << 20));
    }
    let ran = project.gulou(&["check"]).expect_code(3);
    assert!(
        ran.stdout.contains("the mail's files have 12582912 bytes, and 10485760 are the limit"),
        "{ran:?}"
    );
}
