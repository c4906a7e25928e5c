//! Connections to a real server.

use super::*;
use crate::db::server_settings;
use crate::settings::{Secret, TlsMode};
use crate::test_servers;

/// A database of its own, and its settings.
fn settings(tls: TlsMode) -> (String, ServerSettings) {
    let url = test_servers::postgres().database();
    let settings = ServerSettings { host: "localhost".to_owned(), tls, ..server_settings(&url) };
    (url, settings)
}

async fn answer(settings: &ServerSettings, access: Access, sql: &str) -> Result<String, DbError> {
    let database = Database::new(settings.clone(), access);
    let session = database.session().await?;
    let row = session.client().query_one(sql, &[]).await.map_err(|error| database.fault(&error, sql))?;
    Ok(row.get(0))
}

#[tokio::test]
async fn postgres_tls_proves_the_server() {
    let is_encrypted = "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let ca = || Some(test_servers::postgres().ca().to_owned());
    for (tls, encrypted) in
        [(TlsMode::Off, "false"), (TlsMode::Unverified, "true"), (TlsMode::Verify { ca: ca() }, "true")]
    {
        let (_, settings) = settings(tls);
        assert_eq!(answer(&settings, Access::Full, is_encrypted).await.unwrap(), encrypted);
    }
    // The certificate is good for localhost and 127.0.0.1, and signed by nobody whom the world knows.
    let (_, stranger) = settings(TlsMode::Verify { ca: ca() });
    let stranger = ServerSettings { host: "127.0.0.2".to_owned(), ..stranger };
    let error = answer(&stranger, Access::Full, is_encrypted).await.unwrap_err().to_string();
    assert!(error.contains("could not connect to database db_"), "{error}");
    let (_, unknown) = settings(TlsMode::Verify { ca: None });
    let error = answer(&unknown, Access::Full, is_encrypted).await.unwrap_err().to_string();
    assert!(error.contains("certificate") || error.contains("trusts"), "{error}");
}

#[tokio::test]
async fn a_postgres_that_lets_nobody_in_says_why() {
    let (_, good) = settings(TlsMode::Off);
    let wrong = Some(Secret::new("hunter2".to_owned()));
    for (settings, word) in [
        (ServerSettings { password: wrong, ..good.clone() }, "password authentication failed"),
        (ServerSettings { password: None, ..good.clone() }, "password"),
        (ServerSettings { database: "nix".to_owned(), ..good.clone() }, "\"nix\" does not exist"),
        (ServerSettings { port: 1, ..good.clone() }, "nnection refused"),
        (ServerSettings { host: "nowhere.invalid".to_owned(), ..good.clone() }, "nowhere.invalid"),
    ] {
        let error = answer(&settings, Access::Full, "SELECT 1").await.unwrap_err().to_string();
        assert!(error.starts_with("could not connect to database ") && error.contains(word), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_session_of_postgres_syncs_what_it_commits() {
    let (url, settings) = settings(TlsMode::Off);
    let server = test_servers::postgres();
    let name = &settings.database;
    let setting = |name| format!("SELECT current_setting('{name}')");
    for (default, expected) in
        [("off", "on"), ("on", "on"), ("remote_apply", "remote_apply"), ("local", "local")]
    {
        server.execute(&url, &format!("ALTER DATABASE {name} SET synchronous_commit = {default}"));
        let found = answer(&settings, Access::Full, &setting("synchronous_commit")).await.unwrap();
        assert_eq!(found, expected, "{default}");
    }
    server.execute(&url, &format!("ALTER DATABASE {name} SET timezone = 'Asia/Shanghai'"));
    server.execute(&url, &format!("ALTER DATABASE {name} SET standard_conforming_strings = off"));
    server.execute(&url, &format!("ALTER DATABASE {name} SET default_transaction_isolation = serializable"));
    for (name, expected) in [
        ("timezone", "UTC"),
        ("standard_conforming_strings", "on"),
        ("default_transaction_isolation", "read committed"),
        ("default_transaction_read_only", "off"),
        ("application_name", "gulou"),
    ] {
        assert_eq!(answer(&settings, Access::Full, &setting(name)).await.unwrap(), expected);
    }
    let read_only = answer(&settings, Access::ReadOnly, &setting("transaction_read_only")).await;
    assert_eq!(read_only.unwrap(), "on");
}

/// `name: unique, not null` of each column.
#[tokio::test]
async fn tables_of_postgres_are_looked_at() {
    let (url, settings) = settings(TlsMode::Off);
    test_servers::postgres().execute(
        &url,
        "CREATE TABLE t (id int PRIMARY KEY, a int UNIQUE, b int, c int NOT NULL, gone int, \"D\" int);
         ALTER TABLE t DROP COLUMN gone; CREATE UNIQUE INDEX ON t (b, c); CREATE UNIQUE INDEX ON t (\"D\") WHERE b > 1;
         CREATE UNIQUE INDEX ON t ((c + 1)); CREATE UNIQUE INDEX ON t (c, id) INCLUDE (\"D\");
         CREATE SCHEMA s; CREATE TABLE s.u (x int); CREATE VIEW v AS SELECT id FROM t; INSERT INTO t VALUES (1, NULL, 2, 3)",
    );
    let it = crate::db::Inspector::Postgres(Inspector::open(&settings).await.unwrap());
    assert_eq!(it.tables().await.unwrap(), ["s.u", "t", "v"]);
    let table = it.table("t").await.unwrap().unwrap();
    let columns: Vec<_> =
        table.columns.iter().map(|column| (column.name.as_str(), column.not_null)).collect();
    assert_eq!(columns, [("id", true), ("a", false), ("b", false), ("c", true), ("D", false)]);
    let unique = |columns: &[&str]| table.is_unique(&columns.iter().map(|&c| c.into()).collect::<Vec<_>>());
    assert!(unique(&["id"]) && unique(&["a"]) && unique(&["c", "b"]) && unique(&["c", "id"]));
    assert!(!unique(&["b"]) && !unique(&["c"]) && !unique(&["D"]) && !unique(&["c", "D"]));
    assert!(it.table("v").await.unwrap().unwrap().is_view);
    assert!(it.table("s.u").await.unwrap().is_some() && it.table("u").await.unwrap().is_none());
    assert!(it.has_null("t", "a").await.unwrap() && !it.has_null("t", "b").await.unwrap());
    assert_eq!(it.condition_problem("t", "b = 1 AND now() < :now - interval '1 day' -- x").await, None);
    let problem = it.condition_problem("t", "nix = 1").await.unwrap();
    assert_eq!(problem, "column \"nix\" does not exist, near `nix = 1`");
    let misplaced = ":now stands where the database expects a value of type int4; unix seconds are :now_unix";
    assert_eq!(it.condition_problem("t", "id < :now").await.unwrap(), misplaced);
    assert_eq!(it.statement_problem("DELETE FROM t WHERE id < :now").await.unwrap(), misplaced);
    assert_eq!(it.statement_problem("DELETE FROM t WHERE id < :now_unix").await, None);
    assert_eq!(it.query_columns("SELECT id, count(*) AS n FROM t GROUP BY id").await.unwrap(), ["id", "n"]);
    assert!(it.query_columns("SELECT * FROM x").await.unwrap_err().contains("relation \"x\" does not exist"));
}
