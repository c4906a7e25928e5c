//! Rows that are to be in a table, on all three kinds of database.

use gulou::db::{Access, Database, Upsert, Upserted};
use gulou::settings::{DatabaseSettings, SqliteSettings};
use serde_json::{Value, json};

use crate::servers::{self, parts};
use crate::support::{PATIENCE, eventually, server_settings};

fn rows(rows: &Value) -> Upsert {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Upsert {
        table: "news".to_owned(),
        key: names(&["guid"]),
        columns: names(&["guid", "Title", "at", "extra"]),
        rows: serde_json::from_value(rows.clone()).unwrap(),
    }
}

/// What every database has to do; `read` answers guid, title, time and the rest of each row, in order.
async fn conforms(database: Database, read: impl Fn() -> String, expected: &str) {
    let at = "2026-06-01T09:00:00+08:00";
    let first = json!([["a", "1", at, null], ["b", "old", at, { "x": [1, true] }], ["b", "2", at, { "x": [1, true] }]]);
    let done = |inserted, updated, unchanged| Upserted { inserted, updated, unchanged };
    assert_eq!(database.upsert(rows(&first)).await.unwrap(), done(2, 0, 0));
    assert_eq!(database.upsert(rows(&first)).await.unwrap(), done(0, 0, 2));
    let second =
        json!([["c", "鼓'\"楼\\", null, 5], ["b", "3", at, { "x": [1, true] }], ["a", "1", at, null]]);
    assert_eq!(database.upsert(rows(&second)).await.unwrap(), done(1, 1, 1));
    assert_eq!(database.upsert(rows(&json!([]))).await.unwrap(), done(0, 0, 0));
    let before = read();
    assert_eq!(before, expected);
    // All or nothing: the second row has no key.
    database.upsert(rows(&json!([["d", "4", at, null], [null, "5", at, null]]))).await.unwrap_err();
    assert_eq!(read(), before);
    let only_keys = Upsert { columns: vec!["guid".to_owned()], ..rows(&json!([["a"], ["e"]])) };
    assert_eq!(database.upsert(only_keys.clone()).await.unwrap(), done(1, 0, 1));
    let nowhere = Upsert { table: "nowhere".to_owned(), ..only_keys };
    let error = database.upsert(nowhere).await.unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_file_are_inserted_updated_or_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("news.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch("CREATE TABLE news (guid TEXT PRIMARY KEY NOT NULL, Title TEXT, at TEXT, extra)")
        .unwrap();
    let settings = DatabaseSettings::Sqlite(SqliteSettings { path, create_with: None });
    let read = || {
        let all = "SELECT group_concat(concat_ws('|', guid, Title, at, extra), char(10)) FROM (SELECT * FROM news ORDER BY guid)";
        connection.query_row(all, [], |row| row.get(0)).unwrap()
    };
    let expected =
        "a|1|2026-06-01T09:00:00+08:00\nb|3|2026-06-01T09:00:00+08:00|{\"x\":[1,true]}\nc|鼓'\"楼\\|5";
    conforms(Database::new(&settings, Access::Full).unwrap(), read, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_on_postgres_are_inserted_updated_or_left() {
    let postgres = servers::postgres();
    let url = postgres.database();
    let create = "CREATE TABLE news (guid text PRIMARY KEY, \"Title\" text, at timestamptz, extra json, n int DEFAULT 7)";
    postgres.execute(&url, create);
    let read = || {
        let all = "SELECT string_agg(concat_ws('|', guid, \"Title\", at AT TIME ZONE 'UTC', extra), E'\\n' ORDER BY guid) FROM news";
        postgres.execute(&url, all).trim_end().to_owned()
    };
    let expected = "a|1|2026-06-01 01:00:00\nb|3|2026-06-01 01:00:00|{\"x\":[1,true]}\nc|鼓'\"楼\\|5";
    let settings = DatabaseSettings::Postgres(server_settings(&url));
    conforms(Database::new(&settings, Access::Full).unwrap(), read, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_any_more_is_ended_on_postgres() {
    let postgres = servers::postgres();
    let url = postgres.database();
    postgres.execute(
        &url,
        "CREATE TABLE news (guid text PRIMARY KEY, \"Title\" text, at timestamptz, extra json);
         CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN IF NEW.guid = 'slow' THEN PERFORM pg_sleep(3600); END IF; RETURN NEW; END $$;
         CREATE TRIGGER dawdle BEFORE INSERT ON news FOR EACH ROW EXECUTE FUNCTION dawdle()",
    );
    let [.., name] = parts(&url);
    let sleeping =
        format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event = 'PgSleep'");
    let wait_for = |count: &str| {
        let is_so = || (postgres.execute(&url, &sleeping).trim() == count).then_some(());
        eventually(&format!("{count} statements that sleep"), is_so);
    };
    let database = Database::new(&DatabaseSettings::Postgres(server_settings(&url)), Access::Full).unwrap();
    let of_task = database.clone();
    let slow = rows(&json!([["slow", "1", null, null]]));
    let task = tokio::spawn(async move { of_task.upsert(slow).await });
    wait_for("1");
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let next = database.upsert(rows(&json!([["a", "1", null, null]])));
    let done = tokio::time::timeout(PATIENCE, next).await.expect("it waits for nobody").unwrap();
    assert_eq!(done, Upserted { inserted: 1, updated: 0, unchanged: 0 });
    wait_for("0");
    assert_eq!(postgres.execute(&url, "SELECT string_agg(guid, ' ') FROM news").trim(), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_on_mariadb_are_inserted_updated_or_left() {
    let mariadb = servers::mariadb();
    let url = mariadb.database();
    let create = "CREATE TABLE news (guid varchar(100) PRIMARY KEY, Title text, at datetime, extra text) CHARSET utf8mb4";
    mariadb.execute(&url, create);
    let read = || {
        let all = "SELECT group_concat(concat_ws('|', guid, Title, at, extra) ORDER BY guid SEPARATOR ';') FROM news";
        mariadb.execute(&url, all).trim_end().to_owned()
    };
    // The client doubles backslashes in what it prints.
    let expected = "a|1|2026-06-01 01:00:00;b|3|2026-06-01 01:00:00|{\"x\":[1,true]};c|鼓'\"楼\\\\|5";
    let settings = DatabaseSettings::MySql(server_settings(&url));
    conforms(Database::new(&settings, Access::Full).unwrap(), read, expected).await;
}
