//! A batch from a PostgreSQL table, through the program.

use serde_json::{Value, json};

use crate::servers;
use crate::support::Project;

/// A table `users` with `rows` rows, and a project whose batch mails them.
fn project(rows: u32) -> (Project, String) {
    let server = servers::postgres();
    let url = server.database();
    server.execute(
        &url,
        &format!(
            "CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text, status boolean DEFAULT false,
                                 sent_at timestamptz, due timestamptz DEFAULT now());
             INSERT INTO users (email) SELECT 'u' || n || '@x.test' FROM generate_series(1, {rows}) AS n"
        ),
    );
    let project = Project::new(&json!({
        "databases": { "main": {
            "url": url.replace("127.0.0.1", "localhost").replace(":secret@", "@").replace("postgres:", "postgresql:"),
            "password": { "env": "GULOU_TEST_PASSWORD" }, "tls": "verify", "tls_ca": server.ca()
        } },
        "mail": { "out": { "url": "maildir:outbox", "from": "gulou@example.com" } }
    }));
    project.function("mailing", &batch());
    (project, url)
}

fn batch() -> Value {
    json!({ "triggers": [{ "name": "t", "type": "timer", "config": "0 0 9 * * * *" }], "target": { "batch": {
        "id": "b",
        "source": { "database": "main", "table": "users", "key": "id",
                    "where": "status = false AND due < :now + interval '1 minute'", "page": 40 },
        "action": { "mail": { "via": "out", "to": "{{ email }}", "subject": "第 {{ id }} 封", "text": "since {{ due }}" } },
        "mark": { "sent": { "status": true, "sent_at": ":now" } },
        "pages": "all"
    } } })
}

fn gulou(project: &Project, args: &[&str], code: i32) -> String {
    let mut command = project.command(args);
    let ran = crate::support::run(command.env("GULOU_TEST_PASSWORD", "secret")).expect_code(code);
    assert!(!format!("{ran:?}").contains("secret"), "{ran:?}");
    format!("{}{}", ran.stdout, ran.stderr)
}

#[test]
fn postgres_rows_are_looked_at_delivered_and_marked() {
    let (project, url) = project(100);
    let server = servers::postgres();
    gulou(&project, &["check"], 0);
    let versions = "SELECT count(*), min(xmin::text::int), max(xmin::text::int), sum(n_tup_upd + n_tup_del)
                    FROM users, pg_stat_user_tables";
    let before = server.execute(&url, versions);
    let look = gulou(&project, &["dry-run"], 0);
    assert!(look.contains("100 rows deliverable, 3 pages of 40") && look.contains("u1@x.test"), "{look}");
    assert_eq!(server.execute(&url, versions), before);
    assert!(!project.path("outbox").exists() && !project.path("gulou.db").exists());

    let ran = gulou(&project, &["fire", "mailing"], 0);
    assert!(ran.contains("100 sent"), "{ran}");
    let left = "SELECT count(*) FILTER (WHERE NOT status), count(sent_at) FROM users";
    assert_eq!(server.execute(&url, left).trim(), "0|100");
    assert_eq!(std::fs::read_dir(project.path("outbox/new")).unwrap().count(), 100);
    // A flag that somebody resets means: send again.
    server.execute(&url, "UPDATE users SET status = false WHERE id = 7");
    assert!(gulou(&project, &["fire", "mailing"], 0).contains("1 sent"));
}

#[test]
fn what_a_postgres_database_contradicts_is_said() {
    let (project, url) = project(1);
    servers::postgres().execute(&url, "CREATE TABLE odd (\"Id\" int, email text, status boolean)");
    for (path, value, expected) in [
        ("/source/table", json!("user"), "no table `user`"),
        (
            "/source/where",
            json!("status = flase"),
            "the database refuses the condition: column \"flase\" does not exist",
        ),
        ("/source/key", json!("email"), "`email` may repeat: it has no unique index of its own"),
        ("/source/key", json!("Id"), "no column `Id`"),
        ("/mark/sent/sent_at", json!("$x"), ""),
        ("/source/where", json!("status = false AND due < $1"), "`$1` is not a parameter"),
    ] {
        let mut config = batch();
        *config.pointer_mut(&format!("/target/batch{path}")).unwrap() = value;
        project.function("mailing", &config);
        let code = if expected.is_empty() { 0 } else { 3 };
        let said = gulou(&project, &["check"], code);
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_postgres_that_is_away_fails_the_run_and_not_the_check() {
    let (project, _) = project(1);
    let config = std::fs::read_to_string(project.path("config.json")).unwrap();
    let port = format!(":{}/", servers::postgres().port());
    project.write("config.json", &config.replace(&port, ":1/"));
    let said = gulou(&project, &["check"], 0);
    assert!(said.contains("could not connect to database"), "{said}");
    assert!(gulou(&project, &["dry-run"], 1).contains("could not connect to database"));
    let said = gulou(&project, &["fire", "mailing"], 1);
    assert!(said.contains("the source could not be read: could not connect to database db_"), "{said}");
}
