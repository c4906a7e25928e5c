//! Databases on servers in the daemon config: URLs, passwords, TLS.

use serde_json::{Value, json};

use crate::support::Project;

/// Errors and warnings about `databases.d`, as `path: message | help`.
fn found(database: &Value) -> Vec<String> {
    let project = Project::new(&json!({ "databases": { "d": database } }));
    project.write("ca.pem", "");
    let ran = project.gulou(&["check", "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let all = ["errors", "warnings"].map(|kind| report[kind].as_array().unwrap().clone()).concat();
    let all =
        all.iter().filter(|found| found["path"].as_str().is_some_and(|path| path.starts_with("databases.d")));
    let show = |found: &Value| {
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        format!("{}: {} | {}", text("path"), text("message"), text("help"))
    };
    let all: Vec<String> = all.map(show).collect();
    assert!(!all.iter().any(|found| found.contains("hunter2")), "{all:#?}");
    all
}

#[track_caller]
fn refused(database: &Value, expected: &str) {
    let found = found(database);
    assert!(found.iter().any(|found| found.contains(expected)), "{expected}: {found:#?}");
}

#[test]
fn urls_of_servers_are_read_strictly() {
    for (url, expected) in [
        ("postgres://localhost/d", "names no user | write `postgres://user@host:5432/database`"),
        ("postgres://u@localhost", "names no database"),
        ("postgres://u@localhost:x/d", "`x` is not a port"),
        ("postgresql://u@localhost/d?sslmode=disable", "has options (`sslmode=disable`)"),
        ("mariadb://u@localhost", "names no database | write `mariadb://user@host:3306/database`"),
        ("mongodb://u@localhost/d", "`mongodb://` is not a kind of database"),
        ("localhost/d", "is not the URL of a database"),
    ] {
        refused(&json!({ "url": url }), expected);
    }
    refused(
        &json!({ "url": "sqlite://x.db", "password": { "env": "HOME" } }),
        "`password` belongs to a database on a server",
    );
    refused(
        &json!({ "url": "postgres://u@localhost/d", "create_with": "x.sql" }),
        "`create_with` belongs to a SQLite file",
    );
}

#[test]
fn a_password_does_not_belong_into_the_url() {
    // Nobody listens there.
    let url = "postgres://u:hunter2@127.0.0.1:1/d";
    let all = found(&json!({ "url": url }));
    assert_eq!(all.len(), 2, "{all:#?}");
    assert!(
        all[0].contains("the password stands in the URL")
            || all[1].contains("the password stands in the URL")
    );
    let refused_by = "could not connect to database d at 127.0.0.1:1: ";
    assert!(all.iter().any(|found| found.contains(refused_by)), "{all:#?}");
    refused(&json!({ "url": url, "password": { "env": "HOME" } }), "the URL has a password too");
    refused(
        &json!({ "url": "postgres://u@127.0.0.1:1/d", "password": "hunter2" }),
        "can be read by all who can read",
    );
}

#[test]
fn tls_is_said_in_a_word() {
    let url = "postgres://u@127.0.0.1:1/d";
    refused(&json!({ "url": url, "tls": "on" }), "where `off`, `verify` or `unverified` is expected");
    refused(
        &json!({ "url": url, "tls": "off", "tls_ca": "ca.pem" }),
        "with `tls` \"off\" no certificate is looked at",
    );
    refused(&json!({ "url": url, "tls_ca": "nix.pem" }), "there is no file `nix.pem`");
    refused(&json!({ "url": url, "tls_ca": "ca.pem" }), "could not read certificates from");
}
