//! What changes while it is read, and what is wrong with it.

use serde_json::json;

use super::{Ground, moment, table, texts, walk};
use crate::batch::key::{Key, Part};
use crate::batch::source::{Source, Span};
use crate::db::{Access, Database};
use crate::settings::BatchSettings;

fn key(value: i64) -> Key {
    Part::Int(value).into()
}

/// `t` with rows 1 to 9 and a flag that is 0.
fn nine(ground: &Ground) -> BatchSettings {
    ground.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20), flag INTEGER)");
    let rows: Vec<String> = (1..10).map(|id| format!("({id}, 'n{id}', 0)")).collect();
    ground.sql(&format!("INSERT INTO t VALUES {}", rows.join(", ")));
    table("t", &["id"], "flag = 0", &[("flag", json!(1))])
}

async fn refusal(source: &Source) -> String {
    let refused = source.page(Span::default(), 4, moment()).await;
    refused.expect_err("it must be refused").to_string()
}

pub(super) async fn a_table_that_changes_between_pages(ground: Ground) {
    let source = ground.source(&nine(&ground));
    let mut span = Span::default();
    let mut read = Vec::new();
    for change in [
        // Behind the page, in it, and before it; a row comes back that was passed.
        "DELETE FROM t WHERE id IN (2, 5); INSERT INTO t VALUES (0, 'n0', 0)",
        "UPDATE t SET name = 'new' WHERE id = 8; UPDATE t SET flag = 1 WHERE id = 9; INSERT INTO t VALUES (10, 'n10', 0)",
        "SELECT 1",
    ] {
        let page = source.page(span, 3, moment()).await.unwrap();
        span = Span { after: page.rows.last().map(|row| row.key.clone()), until: None };
        read.extend(page.rows);
        ground.sql(change);
    }
    let names = texts(read.iter().map(|row| &row.row), "name");
    assert_eq!(names, ["n1", "n2", "n3", "n4", "n6", "n7", "new", "n10"]);
    ground.sql("ALTER TABLE t ADD COLUMN more INTEGER");
    ground.sql("ALTER TABLE t DROP COLUMN name");
    let page = source.page(span, 3, moment()).await.unwrap();
    assert!(page.rows.is_empty());
    let all = walk(&source, 2).await;
    assert_eq!(all[0].row.columns.to_vec(), ["id", "flag", "more"]);
}

pub(super) async fn rows_that_are_read_again(ground: Ground) {
    let source = ground.source(&nine(&ground));
    ground.sql("DELETE FROM t WHERE id = 3; UPDATE t SET flag = 1 WHERE id = 4; UPDATE t SET name = 'new' WHERE id = 5");
    let rows = source.again([9, 3, 4, 5, 77, 9].map(key).to_vec(), moment()).await.unwrap();
    let names = rows.iter().map(|row| row.as_ref().map(|row| texts([row], "name").remove(0)));
    let expected =
        [Some("n9"), None, None, Some("new"), None, Some("n9")].map(|name| name.map(str::to_owned));
    assert_eq!(names.collect::<Vec<_>>(), expected);
    assert_eq!(source.again(Vec::new(), moment()).await.unwrap(), []);
}

pub(super) async fn keys_of_another_kind(ground: Ground) {
    let source = ground.source(&nine(&ground));
    let others = vec![Part::Text("no key".to_owned()).into(), key(1), Key::decode("[1,2]").unwrap()];
    let rows = source.again(others, moment()).await.unwrap();
    assert_eq!(rows.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
    let span = Span { after: Key::decode("[1,2]"), until: None };
    let message = source.page(span, 4, moment()).await.unwrap_err().to_string();
    assert!(message.contains("the ledger has the key (1, 2)"), "{message}");
}

pub(super) async fn a_key_that_is_not_unique(ground: Ground) {
    ground.sql("CREATE TABLE t (id INTEGER, flag INTEGER)");
    ground.sql("INSERT INTO t VALUES (1, 0), (2, 0), (3, 0), (4, 0), (4, 0), (5, 0)");
    let source = ground.source(&table("t", &["id"], "flag = 0", &[("flag", json!(1))]));
    // They are the last of the page and the first of the next.
    let message = refusal(&source).await;
    assert!(message.contains("the key \"id\" is not unique: 4 occurs twice"), "{message}");
}

pub(super) async fn a_key_that_is_null(ground: Ground) {
    ground.sql("CREATE TABLE t (id INTEGER, flag INTEGER)");
    ground.sql("INSERT INTO t VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (NULL, 1)");
    let source = ground.source(&table("t", &["id"], "flag = 0", &[("flag", json!(1))]));
    assert_eq!(walk(&source, 4).await.len(), 6);
    ground.sql("UPDATE t SET flag = 0 WHERE id IS NULL");
    let message = refusal(&source).await;
    assert!(message.contains("the key \"id\" is NULL in a row"), "{message}");
}

pub(super) async fn what_is_wrong_is_said(ground: Ground) {
    let settings = nine(&ground);
    let changed = |change: &dyn Fn(&mut BatchSettings)| {
        let mut settings = settings.clone();
        change(&mut settings);
        ground.source(&settings)
    };
    let filter = |filter: &str| table("t", &["id"], filter, &[]);
    for (source, word) in [
        (ground.source(&filter("stauts = 1")), "stauts"),
        (ground.source(&filter("flag = :whatever")), ":whatever, which is unknown"),
        (ground.source(&filter("flag = = 0")), "="),
        (ground.source(&table("nobody", &["id"], "flag = 0", &[])), "nobody"),
        (ground.source(&table("t", &["idd"], "flag = 0", &[])), "idd"),
        (changed(&|settings| settings.source.columns = vec!["emial".to_owned()]), "emial"),
    ] {
        let message = refusal(&source).await;
        assert!(message.contains(word) && !message.contains("secret"), "{word}: {message}");
    }
    ground.sql("CREATE TABLE reals (k DOUBLE PRECISION PRIMARY KEY, flag INTEGER); INSERT INTO reals VALUES (0.5, 0)");
    let message = refusal(&ground.source(&table("reals", &["k"], "flag = 0", &[]))).await;
    assert!(message.contains("the key \"k\" is a floating-point number"), "{message}");
}

pub(super) async fn a_connection_that_is_lost(ground: Ground) {
    let Some(mut server) = ground.server_of_its_own() else { return };
    let (database, settings) = (server.settings(), table("t", &["id"], "flag = 0", &[("flag", json!(1))]));
    server.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, flag INTEGER); INSERT INTO t VALUES (1, 0), (2, 0)",
    );
    let source = Source::new(&settings, Database::new(&database, Access::Full).unwrap()).unwrap();
    let keys = || [1, 2].map(key).into_iter();
    assert_eq!(source.count(moment()).await.unwrap(), 2);
    // At rest: nobody notices.
    server.terminate_connections();
    tokio::task::yield_now().await;
    let _ = source.count(moment()).await;
    assert_eq!(source.count(moment()).await.unwrap(), 2);
    // In the middle of a statement.
    let slow = table("t", &["id"], &format!("flag = 0 AND {}", server.slow()), &[]);
    let slow = Source::new(&slow, Database::new(&database, Access::Full).unwrap()).unwrap();
    let waiting = tokio::spawn(async move { slow.count(moment()).await });
    while !server.is_busy() {
        // Not a mere yield: the other task waits for the network, which is looked at when nobody wants to go on.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    server.terminate_connections();
    let message = waiting.await.unwrap().unwrap_err().to_string();
    assert!(message.contains("database db_") && !message.contains("secret"), "{message}");
    // Away, and back.
    server.stop();
    let message = super::marks::sent(&source, keys()).await.unwrap_err().to_string();
    assert!(message.contains(&format!("127.0.0.1:{}", server.port())), "{message}");
    server.restart();
    let mut marked = super::marks::sent(&source, keys()).await;
    if marked.is_err() {
        marked = super::marks::sent(&source, keys()).await;
    }
    assert_eq!(marked.unwrap().len(), 2);
    assert_eq!(server.execute("SELECT sum(flag) FROM t").trim(), "2");
}

pub(super) async fn a_session_that_only_looks(ground: Ground) {
    let source = ground.source_with(&nine(&ground), Access::ReadOnly);
    assert_eq!(source.count(moment()).await.unwrap(), 9);
    assert_eq!(walk(&source, 4).await.len(), 9);
    let message = super::marks::sent(&source, [key(1)].into_iter()).await.unwrap_err().to_string();
    let message = message.to_lowercase().replace(['-', ' '], "");
    assert!(message.contains("readonly"), "{message}");
    assert_eq!(ground.answer("SELECT sum(flag) FROM t"), "0");
}
