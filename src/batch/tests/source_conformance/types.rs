//! What holds for every type that keys and marks may have; which types there are is the database's to say.

use serde_json::{Value, json};

use super::marks::sent;
use super::{Ground, moment, table, walk};
use crate::batch::key::{Key, Part};
use crate::batch::source::{Marked, Source, Span};

/// Why a page cannot be read.
pub(super) async fn refusal(source: &Source) -> String {
    source.page(Span::default(), 4, moment()).await.unwrap_err().to_string()
}

/// Rows with keys of type `kind` come in the order of `expected`, keys as the ledger writes them, and are found by them again.
/// `values` are SQL literals, in the same order.
pub(super) async fn keys_go_round(
    ground: &Ground,
    name: &str,
    kind: &str,
    values: &[String],
    expected: &[&str],
) {
    ground.sql(&format!("CREATE TABLE {name} (k {kind} PRIMARY KEY, flag BOOLEAN DEFAULT false)"));
    for value in values.iter().rev() {
        ground.sql(&format!("INSERT INTO {name} (k) VALUES ({value})"));
    }
    let source = ground.source(&table(name, &["k"], "NOT flag", &[("flag", json!(true))]));
    let read: Vec<String> = walk(&source, 1).await.iter().map(|row| row.key.encode()).collect();
    assert_eq!(read, expected, "{kind}");
    // As the ledger hands them back.
    let known: Vec<Key> = expected.iter().map(|key| Key::decode(key).unwrap()).collect();
    let again = source.again(known.clone(), moment()).await.unwrap();
    assert!(again.iter().all(Option::is_some), "{kind}: {again:?}");
    let marked = sent(&source, known.into_iter()).await.unwrap();
    assert!(marked.iter().all(|marked| *marked == Marked::Done), "{kind}: {marked:?}");
    assert_eq!(source.count(moment()).await.unwrap(), 0, "{kind}");
}

/// A column of type `kind` that holds the SQL literal `open` holds what is shown as `done` after the mark.
pub(super) async fn mark_fits(ground: &Ground, name: &str, kind: &str, open: &str, mark: Value, done: &str) {
    ground.sql(&format!(
        "CREATE TABLE {name} (id INT PRIMARY KEY, flag {kind}); INSERT INTO {name} VALUES (1, {open})"
    ));
    let filter = if open == "NULL" { "flag IS NULL".to_owned() } else { format!("flag = {open}") };
    let source = ground.source(&table(name, &["id"], &filter, &[("flag", mark)]));
    assert_eq!(sent(&source, [Part::Int(1).into()].into_iter()).await.unwrap(), [Marked::Done], "{kind}");
    assert_eq!(ground.answer(&format!("SELECT flag FROM {name}")), done, "{kind}");
}

/// Two that mark the `rows` rows of `t` from either end are in each other's way, and both get through.
pub(super) async fn deadlocks_are_tried_again(ground: &Ground, rows: i64, rounds: u32) {
    let [one, other] =
        [(), ()].map(|()| ground.source(&table("t", &["id"], "flag = 0", &[("flag", json!(1))])));
    let ids = || (1..=rows).map(|id| Key::from(Part::Int(id)));
    let all = vec![Marked::Done; usize::try_from(rows).unwrap()];
    for _ in 0..rounds {
        ground.sql("UPDATE t SET flag = 0");
        let (marked, also) = tokio::join!(sent(&one, ids()), sent(&other, ids().rev()));
        assert_eq!((marked.unwrap(), also.unwrap()), (all.clone(), all.clone()));
    }
}
