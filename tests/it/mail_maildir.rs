//! Mail into a Maildir: whole files only, one for each reservation, and clear words when the
//! folder cannot be written.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use gulou::action::mail::{MailAction, RenderedMail, Transport};
use gulou::action::{Delivery, Outcome};
use gulou::clock::Clock;
use gulou::run::{Row, Scalar};
use gulou::settings::{MailExtras, MailRoute, MailSettings, MailTransportSettings, TemplateSource};

fn action(folder: &Path) -> MailAction {
    let settings = MailTransportSettings {
        route: MailRoute::Maildir(folder.to_owned()),
        from: "drum@tower.test".into(),
        dkim: None,
    };
    let mail = MailSettings {
        via: "outbox".into(),
        from: None,
        to: "a@ex.test".into(),
        reply_to: None,
        subject: "六一快乐".into(),
        text: Some(TemplateSource { origin: "text".into(), text: "{{ body }}".into() }),
        html: None,
        list_unsubscribe: None,
        extras: MailExtras::default(),
    };
    MailAction::new(&mail, Transport::open(&settings, Clock::system())).unwrap()
}

fn mail(action: &MailAction, reservation: &str, body: &str) -> RenderedMail {
    let row = Row { columns: Arc::from(["body".to_owned()]), values: vec![Scalar::Text(body.into())] };
    let at = DateTime::<Utc>::UNIX_EPOCH;
    action.render(&Delivery { row: &row, reservation, fire_time: at, now: at }).unwrap()
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_mail_arrives_whole_and_under_a_safe_name() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("var/outbox");
    let action = action(&folder);
    let mail = mail(&action, "mass-mail:scope/../7", "你好");
    let outcome = action.deliver(&mail).await;
    let name = "mass-mail=3Ascope=2F=2E=2E=2F7";
    assert_eq!(outcome, Outcome::Sent { detail: format!("new/{name}") });
    assert_eq!(fs::read(folder.join("new").join(name)).unwrap(), mail.bytes());
    assert_eq!(names(&folder), ["cur", "new", "tmp"].map(str::to_owned).into());
    assert!(names(&folder.join("tmp")).is_empty());
}

#[tokio::test]
async fn a_reservation_never_yields_two_files() {
    let dir = tempfile::tempdir().unwrap();
    let action = action(dir.path());
    for body in ["first", "again"] {
        let outcome = action.deliver(&mail(&action, "r1", body)).await;
        assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
    }
    // What a crash in the middle of a delivery leaves behind does not stand in the way.
    fs::write(dir.path().join("tmp/r2"), "half a mail, and longer than the whole one".repeat(100)).unwrap();
    let second = mail(&action, "r2", "whole");
    assert!(matches!(action.deliver(&second).await, Outcome::Sent { .. }));
    assert_eq!(names(&dir.path().join("new")), ["r1", "r2"].map(str::to_owned).into());
    assert_eq!(fs::read(dir.path().join("new/r2")).unwrap(), second.bytes());
    assert!(names(&dir.path().join("tmp")).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_all_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let action = Arc::new(action(dir.path()));
    let lanes: Vec<_> = (0..16)
        .map(|lane| {
            let action = action.clone();
            tokio::spawn(async move {
                for index in 0..25 {
                    let outcome = action.deliver(&mail(&action, &format!("r{lane}-{index}"), "hi")).await;
                    assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
    assert_eq!(names(&dir.path().join("new")).len(), 400);
    assert!(names(&dir.path().join("tmp")).is_empty());
}

#[tokio::test]
async fn a_folder_that_was_removed_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("outbox");
    let action = action(&folder);
    for reservation in ["r1", "r2"] {
        assert!(matches!(action.deliver(&mail(&action, reservation, "hi")).await, Outcome::Sent { .. }));
        fs::remove_dir_all(&folder).unwrap();
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_halts() {
    let dir = tempfile::tempdir().unwrap();
    // A file in the way stops root, too.
    fs::write(dir.path().join("outbox"), "").unwrap();
    let action = action(&dir.path().join("outbox"));
    let outcome = action.deliver(&mail(&action, "r1", "hi")).await;
    let Outcome::Halt { reason } = &outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("outbox") && reason.contains("Not a directory"), "{reason}");
}

#[tokio::test]
async fn a_full_disk_halts_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let action = action(dir.path());
    for part in ["tmp", "new", "cur"] {
        fs::create_dir(dir.path().join(part)).unwrap();
    }
    // Every write to this device fails with "no space left".
    std::os::unix::fs::symlink("/dev/full", dir.path().join("tmp/r1")).unwrap();
    let outcome = action.deliver(&mail(&action, "r1", "hi")).await;
    let Outcome::Halt { reason } = &outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("No space left"), "{reason}");
    assert!(names(&dir.path().join("new")).is_empty() && names(&dir.path().join("tmp")).is_empty());
}

#[tokio::test]
async fn a_name_that_no_file_can_have_fails_its_row_alone() {
    let dir = tempfile::tempdir().unwrap();
    let action = action(dir.path());
    let outcome = action.deliver(&mail(&action, &"r".repeat(300), "hi")).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    assert!(matches!(action.deliver(&mail(&action, "r1", "hi")).await, Outcome::Sent { .. }));
}
