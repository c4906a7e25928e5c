//! What is marked.

use serde_json::{Value, json};

use super::{Ground, moment, table, walk};
use crate::batch::key::{Key, Part};
use crate::batch::source::{Marked, Source, ToMark};
use crate::db::DbError;
use crate::settings::{BatchSettings, MarkValue};

fn key(value: i64) -> Key {
    Part::Int(value).into()
}

/// Marks rows as sent.
pub(super) async fn sent(source: &Source, keys: impl Iterator<Item = Key>) -> Result<Vec<Marked>, DbError> {
    source.mark(keys.map(|key| ToMark { key, failure: None }).collect(), moment()).await
}

pub(super) async fn flags(ground: Ground) {
    let cases: [(&str, &str, &str, Value, &str); 7] = [
        ("BOOLEAN", "false", "flag = false", json!(true), "flag = true"),
        ("BOOLEAN", "false", "NOT flag", json!(1), "flag = true"),
        ("SMALLINT", "0", "flag = 0", json!(1), "flag = 1"),
        ("SMALLINT", "0", "flag = 0", json!(true), "flag = 1"),
        ("VARCHAR(10)", "'open'", "flag = 'open'", json!("it's \"s\""), "flag = 'it''s \"s\"'"),
        ("INTEGER", "7", "flag IS NOT NULL", json!(null), "flag IS NULL"),
        ("DOUBLE PRECISION", "0", "flag = 0", json!(-1.5), "flag = -1.5"),
    ];
    for (number, (kind, open, filter, mark, done)) in cases.into_iter().enumerate() {
        let name = format!("t{number}");
        ground.sql(&format!("CREATE TABLE {name} (id INTEGER PRIMARY KEY, flag {kind})"));
        ground.sql(&format!("INSERT INTO {name} VALUES (1, {open}), (2, {open})"));
        let source = ground.source(&table(&name, &["id"], filter, &[("flag", mark)]));
        assert_eq!(walk(&source, 10).await.len(), 2, "{kind}: {filter}");
        assert_eq!(sent(&source, [key(2)].into_iter()).await.unwrap(), [Marked::Done], "{kind}: {filter}");
        assert_eq!(ground.answer(&format!("SELECT id FROM {name} WHERE {done}")), "2", "{kind}: {filter}");
        // Again: it changes nothing.
        assert_eq!(sent(&source, [key(2)].into_iter()).await.unwrap(), [Marked::Done]);
        assert_eq!(source.count(moment()).await.unwrap(), 1);
    }
}

pub(super) async fn times_as_marks(ground: Ground) {
    for (number, (kind, is_instant)) in ground.words.times.iter().enumerate() {
        let name = format!("t{number}");
        ground.sql(&format!(
            "CREATE TABLE {name} (id INTEGER PRIMARY KEY, sent_at {kind}, fire {kind}, local {kind}, unix BIGINT)"
        ));
        ground.sql(&format!("INSERT INTO {name} (id) VALUES (1), (2)"));
        let mark = [
            ("sent_at", json!(":now")),
            ("fire", json!(":fire_time")),
            ("local", json!(":now_local")),
            ("unix", json!(":now_unix")),
        ];
        let source = ground.source(&table(&name, &["id"], "sent_at IS NULL", &mark));
        assert_eq!(sent(&source, [1, 2].map(key).into_iter()).await.unwrap(), [Marked::Done; 2]);
        let (zone, local) = if *is_instant { ("+00", "01") } else { ("", "09") };
        let found = ground.answer(&format!(
            "SELECT id FROM {name} WHERE sent_at = '2026-06-01 01:00:01{zone}' AND fire = '2026-06-01 01:00:00{zone}'
             AND local = '2026-06-01 {local}:00:01{zone}' AND unix = 1780275601"
        ));
        assert_eq!(found, "1\n2", "{kind}");
    }
}

fn failing(ground: &Ground) -> BatchSettings {
    ground.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, state VARCHAR(10), error VARCHAR(20))");
    ground.sql("INSERT INTO t VALUES (1, 'open', ''), (2, 'open', ''), (3, 'open', ''), (4, 'open', '')");
    let mut settings = table("t", &["id"], "state = 'open'", &[("state", json!("sent"))]);
    settings.mark.as_mut().unwrap().failed = Some(vec![
        ("state".to_owned(), MarkValue::Literal(json!("failed"))),
        ("error".to_owned(), MarkValue::Parameter(":error".to_owned())),
    ]);
    settings
}

pub(super) async fn errors_as_marks(ground: Ground) {
    let source = ground.source(&failing(&ground));
    let row = |id, failure: Option<&str>| ToMark { key: key(id), failure: failure.map(str::to_owned) };
    let rows = vec![
        row(3, Some("550 \"no\", 'such' \\user {鼓}")),
        row(1, None),
        row(77, Some("gone")),
        row(2, Some("421")),
    ];
    let marked = source.mark(rows, moment()).await.unwrap();
    assert_eq!(marked, [Marked::Done, Marked::Done, Marked::Vanished, Marked::Done]);
    let found = ground.answer("SELECT id, state, substr(error, 1, 16) FROM t ORDER BY id");
    assert_eq!(found, "1|sent|\n2|failed|421\n3|failed|550 \"no\", 'such'\n4|open|");
}

pub(super) async fn rows_that_vanish(ground: Ground) {
    let source = ground.source(&failing(&ground));
    assert_eq!(walk(&source, 10).await.len(), 4);
    ground.sql("DELETE FROM t WHERE id IN (1, 3)");
    let marked = sent(&source, [4, 3, 2, 1].map(key).into_iter()).await.unwrap();
    assert_eq!(marked, [Marked::Done, Marked::Vanished, Marked::Done, Marked::Vanished]);
    assert_eq!(sent(&source, [].into_iter()).await.unwrap(), []);
}

pub(super) async fn rows_that_are_stuck(ground: Ground) {
    ground.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, flag INTEGER, other INTEGER)");
    ground.sql("INSERT INTO t VALUES (1, 0, 0), (2, 0, 5), (3, 0, 0)");
    let filter = "flag = 0 OR other = 5";
    let source = ground.source(&table("t", &["id"], filter, &[("flag", json!(1))]));
    let marked = sent(&source, [1, 2, 3].map(key).into_iter()).await.unwrap();
    assert_eq!(marked, [Marked::Done, Marked::Stuck, Marked::Done]);
    let said = source.stuck(&key(2));
    assert!(said.contains("row 2 ") && said.contains(filter), "{said}");
}

pub(super) async fn a_mark_that_fails_undoes_all(ground: Ground) {
    ground.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, flag INTEGER CHECK (flag <> 1 OR id <> 2))");
    ground.sql("INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)");
    let source = ground.source(&table("t", &["id"], "flag = 0", &[("flag", json!(1))]));
    let message = sent(&source, [1, 2, 3].map(key).into_iter()).await.unwrap_err().to_string();
    assert!(["check", "constraint"].iter().any(|word| message.to_lowercase().contains(word)), "{message}");
    assert_eq!(ground.answer("SELECT sum(flag) FROM t"), "0");
    assert_eq!(sent(&source, [1, 3].map(key).into_iter()).await.unwrap(), [Marked::Done; 2]);
    assert_eq!(ground.answer("SELECT id FROM t WHERE flag = 1 ORDER BY id"), "1\n3");
}

pub(super) async fn a_mark_of_several_rows_undoes_all(ground: Ground) {
    ground.sql("CREATE TABLE t (id INTEGER, flag INTEGER)");
    ground.sql("INSERT INTO t VALUES (1, 0), (2, 0), (2, 7), (3, 0)");
    let source = ground.source(&table("t", &["id"], "flag = 0", &[("flag", json!(1))]));
    let message = sent(&source, [1, 2, 3].map(key).into_iter()).await.unwrap_err().to_string();
    assert!(message.contains("not unique: the mark of 2 changed 2 rows; nothing is marked"), "{message}");
    assert_eq!(ground.answer("SELECT sum(flag) FROM t"), "7");
}

pub(super) async fn many_rows_at_once(ground: Ground) {
    ground
        .sql("CREATE TABLE t (a INTEGER NOT NULL, b VARCHAR(10) NOT NULL, flag INTEGER, PRIMARY KEY (a, b))");
    let rows: Vec<String> =
        (0..5000).map(|number| format!("({}, 'b{}', 0)", number / 50, number % 50)).collect();
    ground.sql(&format!("INSERT INTO t VALUES {}", rows.join(", ")));
    let source = ground.source(&table("t", &["a", "b"], "flag = 0", &[("flag", json!(1))]));
    let keys: Vec<Key> = walk(&source, 1000).await.into_iter().map(|row| row.key).collect();
    assert_eq!(keys.len(), 5000);
    let marked = sent(&source, keys.into_iter().step_by(2)).await.unwrap();
    assert_eq!(marked, vec![Marked::Done; 2500]);
    assert_eq!(source.count(moment()).await.unwrap(), 2500);
}
