//! `target.bounces` as people write it: what is wrong with it, what it would do, and kills at any moment.

use std::fs;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Project, repository};

const TABLES: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, bounced BOOLEAN NOT NULL DEFAULT false,
                      reason TEXT, soft INTEGER NOT NULL DEFAULT 0, other TEXT);
                      INSERT INTO users (id, email) VALUES (1, 'user00001@example.com'), (2, 'user00002@example.com'),
                      (3, 'user00003@example.com');";

fn whole() -> Value {
    json!({
        "maildir": "../../bounces", "database": "main", "table": "users", "key": "id", "recipient": "email",
        "hard": { "bounced": true, "reason": ":error" }, "soft": { "count": "soft", "limit": 1000 },
    })
}

fn project(change: &Value) -> Project {
    let project = Project::new(&json!({
        "databases": { "main": { "url": "sqlite://main.db", "create_with": "main.sql" } },
    }));
    project.write("main.sql", TABLES);
    let mut bounces = whole();
    for (key, value) in change.as_object().unwrap() {
        if value.is_null() {
            bounces.as_object_mut().unwrap().remove(key);
        } else {
            bounces[key] = value.clone();
        }
    }
    let triggers = json!([{ "name": "often", "type": "timer", "config": "0 */5 * * * * *" }]);
    project.function("returned", &json!({ "triggers": triggers, "target": { "bounces": bounces } }));
    project
}

/// `path: message | help` of each finding of a kind.
#[track_caller]
fn found(change: &Value, kind: &str, code: i32) -> Vec<String> {
    let ran = project(change).gulou(&["check", "--json"]).expect_code(code);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let show = |found: &Value| {
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        format!("{}: {} | {}", text("path").replace("target.bounces.", ""), text("message"), text("help"))
    };
    report[kind].as_array().unwrap().iter().map(show).collect()
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_its_fix() {
    assert_eq!(found(&json!({}), "errors", 0), Vec::<String>::new());
    assert_eq!(
        found(&json!({}), "warnings", 0).iter().filter(|found| !found.starts_with("databases")).count(),
        0
    );
    for (change, expected) in [
        (json!({ "maildir": null }), "target.bounces: `maildir` is missing here | "),
        (json!({ "hard": null }), "target.bounces: `hard` is missing here | "),
        (json!({ "hard": {} }), "hard: no column is named | write as in"),
        (json!({ "hard": { "reason": ":eror" } }), "hard.reason: `:eror` is not a parameter"),
        (json!({ "database": "mian" }), "database: "),
        (json!({ "mailbox": "x" }), "mailbox: unknown key `mailbox`"),
        (json!({ "soft": { "limit": 5 } }), "soft: `count` is missing here | "),
        (json!({ "soft": { "count": "soft", "limit": 0 } }), "soft.limit: `0` is not a whole number"),
        (
            json!({ "soft": { "count": "soft", "also": ["4.2.2"] } }),
            "soft.also[0]: `4.2.2` is no status of a mail that failed for good (RFC 3463) | write one such as `5.2.2`",
        ),
        (
            json!({ "soft": { "count": "soft", "mark": { "soft": 1 } } }),
            "soft.mark: `soft` is counted up, and cannot be written too",
        ),
    ] {
        let found = found(&change, "errors", 3);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}: {found:#?}");
    }
    let inside = found(&json!({ "maildir": "bounces" }), "warnings", 0);
    assert!(
        inside.iter().any(|found| found.starts_with("maildir: the Maildir is in the function's own folder")),
        "{inside:#?}"
    );
}

#[test]
fn the_database_is_looked_at() {
    for (change, expected) in [
        (json!({ "table": "user" }), "table: the database has no table `user` | did you mean `users`"),
        (json!({ "recipient": "mail" }), "recipient: the table `users` has no column `mail`"),
        (json!({ "key": "other" }), "key: `other` may repeat: it has no unique index of its own | choose"),
        (
            json!({ "hard": { "bouncd": true } }),
            "hard.bouncd: the table `users` has no column `bouncd` | did you mean `bounced`",
        ),
        (
            json!({ "soft": { "count": "sotf" } }),
            "soft.count: the table `users` has no column `sotf` | did you mean `soft`",
        ),
    ] {
        let found = found(&change, "errors", 3);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}: {found:#?}");
    }
    let slow = found(&json!({ "recipient": "other" }), "warnings", 0);
    assert!(
        slow.iter().any(|found| found.starts_with("recipient: no index finds a row by its `other`")),
        "{slow:#?}"
    );
}

fn receive(project: &Project, name: &str, sample: &str) {
    let bytes = fs::read(repository().join(format!("tests/fixtures/bounces/{sample}.eml"))).unwrap();
    fs::create_dir_all(project.path("bounces/new")).unwrap();
    fs::write(project.path(format!("bounces/new/{name}")), bytes).unwrap();
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let project = project(&json!({}));
    let ran = project.gulou(&["dry-run"]).expect_code(1);
    assert!(ran.stdout.contains("error  there is no Maildir "), "{}", ran.stdout);
    for sample in ["postfix", "postfix-delayed", "gmail", "spam"] {
        receive(&project, &format!("{sample}.mx"), sample);
    }
    let ran = project.gulou(&["dry-run"]).expect_code(0);
    for line in [
        "4 to read: 1 hard, 1 soft, 1 no bounces, 1 in no row of `users`",
        "hard: user00001@example.com: 550 5.1.1 <user00001@example.com>",
        "soft: user00002@example.com, User00002@Example.com: 4.4.1 connect to",
        "in no row: user00006@example.com",
        "left: no bounce, from win@spam.test",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    let data: Value =
        serde_json::from_str(&project.gulou(&["dry-run", "--json"]).expect_code(0).stdout).unwrap();
    assert_eq!((&data[0]["first"]["hard"], &data[0]["first"]["unmatched"]), (&json!(1), &json!(1)));
    assert_eq!(fs::read_dir(project.path("bounces/new")).unwrap().count(), 4);
    // What cannot be read is named, and the rest is told.
    fs::create_dir(project.path("bounces/new/0.folder")).unwrap();
    let ran = project.gulou(&["dry-run"]).expect_code(0);
    for line in [
        "5 to read: 1 hard, 1 soft, 2 no bounces, 1 in no row",
        "new/0.folder could not be read, and stays where it is: ",
        "hard: user00001@example.com",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    fs::remove_dir(project.path("bounces/new/0.folder")).unwrap();
    assert_eq!(fs::read_dir(project.path("bounces")).unwrap().count(), 1);
    assert!(!project.path("main.db").exists() && !project.path("gulou.db").exists());
}

#[test]
fn a_run_is_in_the_history_with_its_counts() {
    let project = project(&json!({}));
    receive(&project, "1.mx", "postfix");
    receive(&project, "2.mx", "spam");
    let ran = project.gulou(&["fire", "returned"]).expect_code(0);
    assert!(
        ran.stdout.contains("hard: user00001@example.com")
            || ran.stderr.contains("hard: user00001@example.com"),
        "{ran:?}"
    );
    let history: Value =
        serde_json::from_str(&project.gulou(&["history", "returned", "--json"]).expect_code(0).stdout)
            .unwrap();
    let counts = json!({ "read": 2, "hard": 1, "soft": 0, "unknown": 1, "unmatched": 0 });
    assert_eq!(history[0]["result"], counts);
}

/// Killed at moments that differ from round to round: each bounce has counted once.
#[test]
fn kills_at_any_moment_count_nothing_twice() {
    const ROUND: usize = 300;
    let project = project(&json!({}));
    fs::create_dir_all(project.path("bounces/new")).unwrap();
    let sample = fs::read_to_string(repository().join("tests/fixtures/bounces/postfix-delayed.eml")).unwrap();
    let left = || fs::read_dir(project.path("bounces/new")).unwrap().count();
    let (mut kills, mut mails) = (0, 0);
    while kills < 8 {
        for _ in 0..ROUND {
            let user = format!("ser0000{}", 1 + mails % 3);
            let text = sample.replace("ser00002", &user);
            fs::write(project.path(format!("bounces/new/{mails:05}.mx")), text).unwrap();
            mails += 1;
        }
        let mut run = project
            .command(&["fire", "returned"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // It has put some of them away, and more are to come.
        let enough = left() - 1 - (kills * 37 + 5) % ROUND;
        while left() > enough && run.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        // One that ended before it could be killed is no blow.
        kills += usize::from(run.try_wait().unwrap().is_none());
        // It may have ended in between.
        let _ = run.kill();
        run.wait().unwrap();
    }
    // What a kill left in the state is settled by a run that is let be.
    project.gulou(&["fire", "returned"]).expect_code(0);
    assert_eq!(left(), 0);
    let database = Connection::open(project.path("main.db")).unwrap();
    let mut counts = database.prepare("SELECT soft FROM users ORDER BY id").unwrap();
    let counts: Vec<u32> = counts.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(counts, [u32::try_from(mails / 3).unwrap(); 3]);
    let put_away = fs::read_dir(project.path("bounces/.processed/cur")).unwrap().count();
    assert_eq!(put_away, mails);
}
