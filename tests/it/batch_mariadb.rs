//! Batches from a MariaDB through the program: checked, shown, sent and marked.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::servers;
use crate::support::{Project, eventually};

/// A project whose one batch sends the open rows of `users` on a shared server; its database is at the URL.
fn mailing(changes: &[(&str, Value)]) -> (Project, String) {
    let mariadb = servers::mariadb();
    let url = mariadb.database();
    let project = Project::new(&json!({
        "state": "sqlite://gulou.db",
        "databases": { "shop": {
            "url": url.replace(":secret@", "@"), "password": { "file": "password" }, "tls": "verify", "tls_ca": mariadb.ca(),
        } },
        "mail": { "out": { "url": "maildir:outbox", "from": "鼓楼 <gulou@example.com>" } },
    }));
    project.write("password", "secret\n");
    // A secret that others can read is warned of.
    fs::set_permissions(project.path("password"), fs::Permissions::from_mode(0o600)).unwrap();
    let mut source =
        json!({ "database": "shop", "table": "users", "key": "id", "where": "status = false", "page": 100 });
    for (key, value) in changes {
        source[*key] = value.clone();
    }
    project.function(
        "mailing",
        &json!({
            "triggers": [{ "name": "soon", "type": "timer", "config": "* * * * * * *" }],
            "target": { "batch": {
                "id": "mailing", "source": source, "pages": "all",
                "action": { "mail": {
                    "via": "out", "to": "{{ email }}", "subject": "{{ name }} 你好", "text": "第 {{ id }} 封",
                } },
                "mark": { "sent": { "status": true, "sent_at": ":now" }, "failed": { "error": ":error", "status": true } },
            } },
        }),
    );
    mariadb.execute(
        &url,
        "create table users (
           id int auto_increment primary key, email varchar(50) not null, name varchar(20) not null,
           status boolean not null default false, sent_at datetime null, error varchar(12), key (email)
         );
         insert into users (email, name) select concat('user', seq, '@example.com'), '鼓楼🥁' from seq_1_to_500;
         update users set email = 'nobody' where id = 250",
    );
    (project, url)
}

#[test]
fn a_table_in_mariadb_is_sent_and_marked() {
    let mariadb = servers::mariadb();
    let (project, url) = mailing(&[]);
    let checked = project.gulou(&["check"]).expect_code(0);
    assert!(!checked.stdout.contains("secret"), "{checked:?}");
    let shown = project.gulou(&["dry-run", "--json"]).expect_code(0);
    assert!(shown.stdout.contains("\"deliverable\": 500"), "{shown:?}");
    assert_eq!(mariadb.execute(&url, "select count(*) from users where status"), "0\n", "it only looks");

    let daemon = project.serve("config.json");
    eventually("the last flag", || {
        (mariadb.execute(&url, "select count(*) from users where not status") == "0\n").then_some(())
    });
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("secret"), "{log}");
    let mails = fs::read_dir(project.path("outbox/new")).unwrap().count();
    assert_eq!(mails, 499);
    let sent = "select count(*) from users where sent_at > '2020-01-01' and error is null";
    assert_eq!(mariadb.execute(&url, sent), "499\n");
    let failed = "select id, char_length(error), sent_at from users where error is not null";
    assert_eq!(mariadb.execute(&url, failed), "250\t12\tNULL\n", "what is said has the room of its column");
}

/// What `check` says, a line a finding, after `code`.
#[track_caller]
fn findings(project: &Project, code: i32) -> String {
    let told: Value =
        serde_json::from_str(&project.gulou(&["check", "--json"]).expect_code(code).stdout).unwrap();
    let all = ["errors", "warnings"].into_iter().flat_map(|kind| told[kind].as_array().unwrap().clone());
    let lines =
        all.map(|found| format!("{} {}", found["path"].as_str().unwrap_or_default(), found["message"]));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn check_looks_into_mariadb() {
    let mariadb = servers::mariadb();
    for (changes, code, expected) in [
        (vec![("table", json!("usres"))], 3, "the database has no table `usres`"),
        (vec![("key", json!("idd"))], 3, "has no column `idd`"),
        (vec![("key", json!("email"))], 3, "`email` may repeat"),
        (vec![("where", json!("stauts = 0"))], 3, "Unknown column 'stauts'"),
        (vec![("key", json!(["id", "email"]))], 0, "no index gives the rows in the order of `id, email`"),
        (vec![("columns", json!(["id", "emial"]))], 3, "has no column `emial`"),
    ] {
        let (project, _) = mailing(&changes);
        let found = findings(&project, code);
        assert!(found.contains(expected), "{changes:?}: {found}");
    }
    let (project, url) = mailing(&[]);
    assert_eq!(findings(&project, 0), "");
    mariadb.execute(&url, "alter table users engine = MyISAM");
    let found = findings(&project, 3);
    assert!(found.contains("cannot be marked: its engine MyISAM"), "{found}");
    // A server that is away hides nothing else, and may be there when it is needed.
    mariadb.execute(&url, "alter table users engine = InnoDB");
    let config = fs::read_to_string(project.path("config.json")).unwrap();
    project.write("config.json", &config.replace(&format!(":{}/", mariadb.port()), ":9/"));
    let found = findings(&project, 0);
    assert!(found.contains("could not connect to database db_") && !found.contains("secret"), "{found}");
}
