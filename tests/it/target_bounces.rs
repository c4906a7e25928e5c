//! The `bounces` target on every kind of database: what it marks, what it counts, and that it counts once.

use std::fs;
use std::path::{Path, PathBuf};

use chrono_tz::Asia::Shanghai;
use gulou::db::{Access, Database};
use gulou::run::{Outcome, Output, Status};
use gulou::settings::{BouncesSettings, MarkValue, SoftBounces};
use gulou::store::Store;
use gulou::target::Target;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::repository;
use crate::target_harness::{Recorder, fire, host, run};
use crate::target_sql::ground::Ground;

/// A table of ten users, a Maildir, and a state.
struct Scene {
    ground: Ground,
    folder: TempDir,
    store: Store,
}

fn mark(columns: &[(&str, Value)]) -> Vec<(String, MarkValue)> {
    let value = |value: &Value| match value.as_str() {
        Some(name) if name.starts_with(':') => MarkValue::Parameter(name.to_owned()),
        _ => MarkValue::Literal(value.clone()),
    };
    columns.iter().map(|(column, of)| ((*column).to_owned(), value(of))).collect()
}

impl Scene {
    fn new(ground: Ground) -> Self {
        let kind = match ground {
            Ground::Sqlite(_) | Ground::MariaDb(_) => "DATETIME",
            Ground::Postgres(_) => "TIMESTAMPTZ",
        };
        ground.ask(&format!(
            "CREATE TABLE users (id BIGINT PRIMARY KEY, email VARCHAR(200) NOT NULL, bounced BOOLEAN NOT NULL DEFAULT false, \
             bounced_at {kind}, reason VARCHAR(250), soft INTEGER, note VARCHAR(250))"
        ));
        ground.ask("CREATE INDEX users_by_email ON users (email)");
        let rows: Vec<String> = (1..=10).map(|id| format!("({id}, 'user{id:05}@example.com')")).collect();
        ground.ask(&format!("INSERT INTO users (id, email) VALUES {}", rows.join(", ")));
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("bounces/new")).unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        Self { ground, folder, store }
    }

    fn all() -> [Self; 3] {
        [Ground::sqlite(), Ground::postgres(), Ground::mariadb()].map(Self::new)
    }

    fn maildir(&self) -> PathBuf {
        self.folder.path().join("bounces")
    }

    fn settings(&self) -> BouncesSettings {
        BouncesSettings {
            maildir: self.maildir(),
            database: "main".into(),
            table: "users".into(),
            key: "id".into(),
            recipient: "email".into(),
            hard: mark(&[
                ("bounced", json!(true)),
                ("bounced_at", json!(":now")),
                ("reason", json!(":error")),
            ]),
            soft: Some(SoftBounces {
                count: "soft".into(),
                limit: None,
                also: vec!["5.2.2".into()],
                mark: mark(&[("note", json!(":error"))]),
            }),
        }
    }

    fn target(&self, settings: &BouncesSettings) -> Target {
        let database = Database::new(&self.ground.settings(), Access::Full).unwrap();
        Target::bounces(settings, database, self.store.memo("notice", "bounces"), Shanghai, &host())
    }

    async fn run(&self) -> (Outcome, Recorder) {
        run(&self.target(&self.settings()), "").await
    }

    /// Puts samples into `new`.
    fn receive(&self, samples: &[&str]) {
        for (at, sample) in samples.iter().enumerate() {
            let bytes = fs::read(repository().join(format!("tests/fixtures/bounces/{sample}.eml"))).unwrap();
            fs::write(self.maildir().join(format!("new/17802756{at:02}.{sample}.mx")), bytes).unwrap();
        }
    }

    fn report(&self, name: &str, recipient: &str, action: &str, status: &str) {
        fs::write(self.maildir().join("new").join(name), report(recipient, action, status)).unwrap();
    }

    /// `id:soft` of rows that were counted, and the ids of those that bounced.
    fn rows(&self) -> (String, String) {
        let list = |what: &str, condition: &str| {
            let list = match self.ground {
                Ground::Sqlite(_) => format!("group_concat({what}, ' ')"),
                Ground::Postgres(_) => format!("string_agg({what}, ' ' order by id)"),
                Ground::MariaDb(_) => format!("group_concat({what} order by id separator ' ')"),
            };
            self.ground.ask(&format!("select coalesce({list}, '') from users where {condition}"))
        };
        let text = if matches!(self.ground, Ground::MariaDb(_)) { "char" } else { "text" };
        let pair = match self.ground {
            Ground::MariaDb(_) => "concat(id, ':', soft)",
            _ => "id || ':' || soft",
        };
        (list(pair, "soft is not null"), list(&format!("cast(id as {text})"), "bounced"))
    }

    fn names(&self, part: &str) -> Vec<String> {
        names(&self.maildir().join(part))
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn report(recipient: &str, action: &str, status: &str) -> String {
    format!(
        "From: mailer-daemon@mx.test\nContent-Type: multipart/report; boundary=b\n\n--b\n\
         Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.test\n\n\
         Final-Recipient: rfc822; {recipient}\nAction: {action}\nStatus: {status}\n\n--b--\n"
    )
}

#[track_caller]
fn came_to(outcome: &Outcome, counts: [u64; 5]) {
    let [read, hard, soft, unknown, unmatched] = counts;
    let expected =
        json!({ "read": read, "hard": hard, "soft": soft, "unknown": unknown, "unmatched": unmatched });
    assert_eq!(
        (outcome.status, outcome.result.as_ref()),
        (Status::Succeeded, Some(&expected)),
        "{outcome:?}"
    );
}

const SAMPLES: [&str; 11] = [
    "postfix",
    "postfix-delayed",
    "exim",
    "exim-old",
    "office365",
    "gmail",
    "qq",
    "full-mailbox",
    "out-of-office",
    "spam",
    "success",
];

#[tokio::test]
async fn bounces_mark_rows_and_nothing_else_does() {
    for scene in Scene::all() {
        scene.receive(&SAMPLES);
        let (outcome, recorder) = scene.run().await;
        came_to(&outcome, [11, 6, 3, 3, 0]);
        let counts = ("2:1 9:1 10:1".to_owned(), "1 3 4 5 6 7".to_owned());
        assert_eq!(scene.rows(), counts);
        let reason = scene.ground.ask("select reason from users where id = 1 and bounced_at is not null");
        assert!(
            reason.starts_with("550 5.1.1 <user00001@example.com>: Recipient address rejected"),
            "{reason}"
        );
        assert_eq!(scene.ground.ask("select note from users where id = 9"), "552 5.2.2 mailbox full");
        assert_eq!(scene.names(".processed/cur").len(), 8);
        let left = ["1780275608.out-of-office.mx:2,F", "1780275609.spam.mx:2,F", "1780275610.success.mx:2,F"];
        assert_eq!((scene.names("cur"), scene.names("new")), (left.map(str::to_owned).to_vec(), vec![]));
        let said = |recorder: &Recorder, what: &str| {
            recorder.all().iter().filter(|line| line.contains(what)).count()
        };
        assert_eq!(said(&recorder, "is left in `cur`: an automatic reply, from user00008@example.com"), 1);
        assert_eq!(said(&recorder, "hard: user00007@example.com: host mx.example.com"), 1);

        // What is left has been named, and is not read again.
        let (outcome, recorder) = scene.run().await;
        came_to(&outcome, [0, 0, 0, 0, 0]);
        assert!(outcome.idle && said(&recorder, "is left") == 0, "{outcome:?}");
        assert_eq!(scene.rows(), counts);
    }
}

#[tokio::test]
async fn what_was_looked_at_in_a_mail_program_is_read_too() {
    let scene = Scene::new(Ground::sqlite());
    fs::create_dir(scene.maildir().join("cur")).unwrap();
    for (name, row) in [("cur/1.a.mx:2,S", 1), ("cur/2.b.mx", 2), ("new/3.c.mx", 3)] {
        let text = report(&format!("user{row:05}@example.com"), "failed", "5.1.1");
        fs::write(scene.maildir().join(name), text).unwrap();
    }
    let (outcome, _) = scene.run().await;
    came_to(&outcome, [3, 3, 0, 0, 0]);
    assert_eq!(scene.rows().1, "1 2 3");
    assert_eq!(scene.names(".processed/cur"), ["1.a.mx:2,S", "2.b.mx:2,S", "3.c.mx:2,S"]);
}

#[tokio::test]
async fn soft_bounces_add_up_to_a_hard_one() {
    for scene in Scene::all() {
        let mut settings = scene.settings();
        settings.soft.as_mut().unwrap().limit = Some(3);
        let target = scene.target(&settings);
        for round in 1..=3 {
            scene.report(&format!("{round}.a.mx"), "USER00002@example.com", "delayed", "4.4.1");
            scene.report(&format!("{round}.b.mx"), "nobody@example.com", "failed", "5.1.1");
            let (outcome, _) = run(&target, "").await;
            came_to(&outcome, [2, 0, 1, 0, 1]);
            let bounced = if round < 3 { "" } else { "2" };
            assert_eq!(scene.rows(), (format!("2:{round}"), bounced.to_owned()));
        }
        assert_eq!(scene.ground.ask("select reason from users where id = 2"), "4.4.1 (3 soft bounces)");
        // Who puts the count back gives the row another chance.
        scene.ground.ask("UPDATE users SET soft = 0, bounced = false WHERE id = 2");
        for name in ["5.a.mx", "5.b.mx"] {
            scene.report(name, "user00002@example.com", "failed", "4.2.2");
        }
        let (outcome, _) = run(&target, "").await;
        came_to(&outcome, [2, 0, 2, 0, 0]);
        assert_eq!(scene.rows(), ("2:2".to_owned(), String::new()));
    }
}

/// The rows are written, and the mails cannot be put away: as after a crash between the two.
#[tokio::test]
async fn what_was_counted_before_a_crash_is_not_counted_again() {
    for scene in Scene::all() {
        for (at, row) in [1, 1, 2, 3].into_iter().enumerate() {
            let status = if row == 3 { "5.1.1" } else { "4.4.1" };
            scene.report(&format!("{at}.mx"), &format!("user{row:05}@example.com"), "failed", status);
        }
        // Nothing can be put into what is no folder.
        let blocked = scene.maildir().join(".processed");
        fs::write(&blocked, "").unwrap();
        for _ in 0..3 {
            let (outcome, _) = scene.run().await;
            let message = outcome.message.clone().unwrap();
            assert!(
                outcome.status == Status::Failed && message.starts_with("the rows are marked, but"),
                "{outcome:?}"
            );
            assert_eq!(scene.rows(), ("1:2 2:1".to_owned(), "3".to_owned()));
        }
        // More of them meanwhile.
        scene.report("9.mx", "user00001@example.com", "failed", "4.4.1");
        fs::remove_file(&blocked).unwrap();
        let (outcome, recorder) = scene.run().await;
        came_to(&outcome, [5, 1, 4, 0, 0]);
        assert!(
            recorder.all().iter().any(|line| line.starts_with("what was counted before")),
            "{:?}",
            recorder.all()
        );
        assert_eq!(scene.rows(), ("1:3 2:1".to_owned(), "3".to_owned()));
        came_to(&scene.run().await.0, [0, 0, 0, 0, 0]);
    }
}

/// The mails are put away, and the state still has what they were about, when somebody puts the count back.
#[tokio::test]
async fn what_was_put_away_before_a_crash_is_not_looked_at_again() {
    let scene = Scene::new(Ground::sqlite());
    scene.report("1.mx", "user00001@example.com", "failed", "4.4.1");
    scene.report("2.mx", "user00001@example.com", "failed", "4.4.1");
    let blocked = scene.maildir().join(".processed");
    fs::write(&blocked, "").unwrap();
    assert_eq!(scene.run().await.0.status, Status::Failed);
    assert_eq!(scene.rows().0, "1:2");
    fs::remove_file(&blocked).unwrap();
    // One of the two was moved before the power went.
    fs::create_dir_all(blocked.join("cur")).unwrap();
    fs::rename(scene.maildir().join("new/1.mx"), blocked.join("cur/1.mx:2,S")).unwrap();
    scene.ground.ask("UPDATE users SET soft = 0 WHERE id = 1");
    came_to(&scene.run().await.0, [2, 0, 2, 0, 0]);
    assert_eq!(scene.rows().0, "1:0");
    assert_eq!(scene.names(".processed/cur"), ["1.mx:2,S", "2.mx:2,S"]);
}

/// The rows cannot be written: nothing is put away, and all is done the next time.
#[tokio::test]
async fn what_could_not_be_written_is_written_later() {
    let scene = Scene::new(Ground::sqlite());
    scene.report("1.mx", "user00001@example.com", "failed", "4.4.1");
    scene.report("2.mx", "user00002@example.com", "failed", "5.1.1");
    scene.ground.ask("CREATE TRIGGER no BEFORE UPDATE ON users WHEN new.id = 2 BEGIN SELECT raise(ABORT, 'not today'); END");
    for _ in 0..2 {
        let (outcome, _) = scene.run().await;
        assert!(outcome.message.as_ref().unwrap().contains("not today"), "{outcome:?}");
        assert_eq!((scene.rows(), scene.names("new").len()), ((String::new(), String::new()), 2));
    }
    scene.ground.ask("DROP TRIGGER no");
    came_to(&scene.run().await.0, [2, 1, 1, 0, 0]);
    assert_eq!(scene.rows(), ("1:1".to_owned(), "2".to_owned()));
}

/// An alias of two mailboxes: one mail of ours, one report, two recipients, one row.
#[tokio::test]
async fn a_bounce_counts_once_a_row() {
    let mailbox = |user: u32, name: &str| {
        format!(
            "\nOriginal-Recipient: rfc822; user{user:05}@example.com\nFinal-Recipient: rfc822; {name}@elsewhere.test\n\
             Action: delayed\nStatus: 4.4.1\n"
        )
    };
    let all = [mailbox(1, "a"), mailbox(1, "b"), mailbox(2, "c"), mailbox(1, "d")].concat();
    let alias = report("gone@elsewhere.test", "relayed", "2.0.0").replace("\n--b--", &(all + "\n--b--"));
    for scene in Scene::all() {
        fs::write(scene.maildir().join("new/1.mx"), &alias).unwrap();
        fs::write(scene.maildir().join("new/2.mx"), &alias).unwrap();
        let blocked = scene.maildir().join(".processed");
        fs::write(&blocked, "").unwrap();
        for _ in 0..2 {
            assert_eq!(scene.run().await.0.status, Status::Failed);
            assert_eq!(scene.rows().0, "1:2 2:2");
        }
        fs::remove_file(&blocked).unwrap();
        came_to(&scene.run().await.0, [2, 0, 8, 0, 0]);
        fs::write(scene.maildir().join("new/3.mx"), &alias).unwrap();
        came_to(&scene.run().await.0, [1, 0, 4, 0, 0]);
        assert_eq!(scene.rows().0, "1:3 2:3");
    }
}

#[tokio::test]
async fn a_run_can_be_stopped_within_a_mail() {
    let scene = Scene::new(Ground::sqlite());
    let recipient = |at: u32| {
        format!("\nFinal-Recipient: rfc822; nobody{at}@example.com\nAction: failed\nStatus: 5.1.1\n")
    };
    let more: String = (1..100).map(recipient).collect();
    let text = report("nobody0@example.com", "failed", "5.1.1").replace("\n--b--", &(more + "\n--b--"));
    fs::write(scene.maildir().join("new/1.mx"), text).unwrap();
    let mut recorder = Recorder::new();
    let (abort, output) = (recorder.context.abort.clone(), recorder.context.output.clone());
    recorder.context.output = Output::new(move |stream, line| {
        if line.starts_with("in no row") {
            abort.cancel();
        }
        output.line(stream, line);
    });
    let outcome = scene.target(&scene.settings()).run(&fire(""), &recorder.context).await;
    assert_eq!(outcome.message.as_deref(), Some("was stopped before it ended"), "{outcome:?}");
    let said = recorder.all();
    assert_eq!(said.iter().filter(|line| line.starts_with("in no row")).count(), 1, "{said:?}");
    assert_eq!(scene.names("new"), ["1.mx"]);
    came_to(&scene.run().await.0, [1, 0, 0, 0, 100]);
}

#[tokio::test]
async fn a_report_of_too_many_is_left() {
    let scene = Scene::new(Ground::sqlite());
    let recipient = |at: u32| {
        format!("\nFinal-Recipient: rfc822; user{at:05}@example.com\nAction: failed\nStatus: 5.1.1\n")
    };
    let more: String = (2..=101).map(recipient).collect();
    let text = report("user00001@example.com", "failed", "5.1.1").replace("\n--b--", &(more + "\n--b--"));
    fs::write(scene.maildir().join("new/1.mx"), text).unwrap();
    let (outcome, recorder) = scene.run().await;
    came_to(&outcome, [1, 0, 0, 1, 0]);
    let line = "new/1.mx is left in `cur`: a report of more than 100 recipients, from mailer-daemon@mx.test";
    assert!(recorder.all().iter().any(|said| said.starts_with(line)), "{:?}", recorder.all());
    assert_eq!((scene.rows().1, scene.names("cur")), (String::new(), vec!["1.mx:2,F".to_owned()]));
}

#[tokio::test]
async fn a_huge_bounce_and_many_are_read() {
    let scene = Scene::new(Ground::sqlite());
    let huge = report("user00001@example.com", "failed", "5.1.1")
        .replace("--b--", "--b\nContent-Type: message/rfc822\n");
    let body = "To: user00001@example.com\n\n".to_owned() + &"line of a long mail\n".repeat(1_000_000);
    fs::write(scene.maildir().join("new/0.mx"), huge + &body).unwrap();
    for at in 1..=250 {
        scene.report(&format!("{at}.mx"), &format!("user{:05}@example.com", 2 + at % 2), "delayed", "4.4.1");
    }
    came_to(&scene.run().await.0, [251, 1, 250, 0, 0]);
    assert_eq!(scene.rows(), ("2:125 3:125".to_owned(), "1".to_owned()));
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let scene = Scene::new(Ground::sqlite());
    let run_with = async |change: &dyn Fn(&mut BouncesSettings)| {
        let mut settings = scene.settings();
        change(&mut settings);
        run(&scene.target(&settings), "").await.0.message.unwrap()
    };
    let gone = run_with(&|settings| settings.maildir = scene.folder.path().join("gone")).await;
    assert!(gone.starts_with("there is no Maildir "), "{gone}");
    scene.report("1.mx", "user00001@example.com", "failed", "5.1.1");
    let table = run_with(&|settings| settings.table = "people".into()).await;
    assert!(
        table.starts_with("could not look for rows of `people`: ") && table.contains("no such table"),
        "{table}"
    );
    scene.ground.ask("UPDATE users SET soft = 'many'");
    let count = run_with(&|_| {}).await;
    assert!(count.contains("the column `soft` of the row 1 holds \"many\""), "{count}");
    assert_eq!(scene.names("new"), ["1.mx"]);
}
