//! Opening and making SQLite files.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::super::{Access, DbError};
use super::Database;
use crate::settings::SqliteSettings;

fn database(dir: &Path, script: Option<&str>) -> Database {
    let create_with = script.map(|text| {
        let path = dir.join("make.sql");
        fs::write(&path, text).unwrap();
        path
    });
    let settings = SqliteSettings { path: dir.join("var").join("main.db"), create_with };
    Database::new(settings, Access::Full)
}

async fn rows(database: &Database) -> Result<i64, DbError> {
    database
        .call(|connection| Ok(connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()))
        .await
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_database_is_made_once_and_then_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let script = "PRAGMA journal_mode = WAL; CREATE TABLE t (i); INSERT INTO t VALUES (1), (2);";
    assert_eq!(rows(&database(dir.path(), Some(script))).await.unwrap(), 2);
    Connection::open(dir.path().join("var/main.db")).unwrap().execute_batch("DELETE FROM t").unwrap();
    assert_eq!(rows(&database(dir.path(), Some(script))).await.unwrap(), 0);
}

#[tokio::test]
async fn a_script_that_fails_leaves_nothing_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let broken =
        database(dir.path(), Some("CREATE TABLE t (i); INSERT INTO t VALUES (1); INSERT INTO u VALUES (1)"));
    for _ in 0..2 {
        let error = rows(&broken).await.unwrap_err();
        assert!(
            matches!(&error, DbError::Create { .. }) && error.to_string().contains("no such table: u"),
            "{error}"
        );
        assert_eq!(names(&dir.path().join("var")), Vec::<String>::new());
    }
    fs::write(dir.path().join("make.sql"), "CREATE TABLE t (i)").unwrap();
    assert_eq!(rows(&broken).await.unwrap(), 0);
    assert_eq!(names(&dir.path().join("var")), ["main.db"]);
}

#[tokio::test]
async fn a_missing_file_is_not_made_without_a_script() {
    let dir = tempfile::tempdir().unwrap();
    let error = rows(&database(dir.path(), None)).await.unwrap_err();
    assert!(matches!(error, DbError::Missing { .. }), "{error}");
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn many_at_once_make_one_database() {
    let dir = tempfile::tempdir().unwrap();
    let script = "CREATE TABLE t (i); INSERT INTO t VALUES (1)";
    let connections: Vec<Database> = (0..8).map(|_| database(dir.path(), Some(script))).collect();
    let counts = connections.iter().map(|database| {
        let database = database.clone();
        tokio::spawn(async move { rows(&database).await.unwrap() })
    });
    for count in counts.collect::<Vec<_>>() {
        assert_eq!(count.await.unwrap(), 1);
    }
    assert_eq!(names(&dir.path().join("var")), ["main.db"]);
}

#[tokio::test]
async fn the_owners_journal_mode_stays() {
    for mode in ["wal", "delete"] {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("PRAGMA journal_mode = {mode}; CREATE TABLE t (i)");
        let database = database(dir.path(), Some(&script));
        let found = database.call(|connection| {
            let pragma = |name| {
                connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
            };
            Ok((pragma("journal_mode").unwrap(), pragma("synchronous").unwrap()))
        });
        assert_eq!(found.await.unwrap(), (mode.to_owned().into(), 2.into()), "synced on commit");
    }
}
