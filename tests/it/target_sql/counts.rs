//! How the `sql` target counts rows: those that statements answer, and those of a table whose pages find the same again.

use gulou::run::Status;
use gulou::settings::SqlWork;
use serde_json::json;

use super::ground::{Ground, message, pages, script};
use crate::target_harness::{LONG, run};

async fn rows_are_counted_one_by_one(ground: Ground) {
    ground.ask("create table t (a integer primary key, b varchar(40))");
    let rows: Vec<String> = (0..32).map(|a| format!("({a}, 'x')")).collect();
    ground.ask(&format!("insert into t values {}", rows.join(", ")));
    let work = script(
        &[
            "SELECT a FROM t",
            "SELECT a FROM t WHERE b <> :message",
            "SELECT a FROM t WHERE a < 0",
            "SELECT a FROM t WHERE b = :message",
            "UPDATE t SET b = 'y' WHERE a < 3",
            "UPDATE t SET b = :message WHERE a < 2",
        ],
        true,
    );
    let (outcome, _) = run(&ground.target(work, LONG), "z").await;
    assert_eq!(
        outcome.result,
        Some(json!({ "rows": 69, "statements": [32, 32, 0, 0, 3, 2] })),
        "{outcome:?}"
    );

    // Behind the fourth page of eight, each of the 32 rows was changed once: that is no sign of anything.
    let is_mysql = matches!(ground, Ground::MariaDb(_));
    let bounded = |set: &str, condition: &str| {
        let rows = if is_mysql {
            format!("{condition} ORDER BY a LIMIT :page")
        } else {
            format!("a IN (SELECT a FROM t WHERE {condition} LIMIT :page)")
        };
        SqlWork::Pages(pages(&format!("UPDATE t SET {set} WHERE {rows}"), 8))
    };
    let (outcome, _) = run(&ground.target(bounded("b = 'done'", "b <> 'done'"), LONG), "").await;
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
    assert_eq!(outcome.result, Some(json!({ "rows": 32, "pages": 4 })));
    // With one row less it is.
    ground.ask("delete from t where a = 31");
    let (outcome, _) = run(&ground.target(bounded("b = 'again'", "a >= 0"), LONG), "").await;
    assert_eq!(outcome.result, Some(json!({ "rows": 32, "pages": 4 })), "{outcome:?}");
    let expected = "the same rows match again: 32 rows were changed, and t has fewer;";
    assert!(message(&outcome).starts_with(expected), "{outcome:?}");
}

#[tokio::test]
async fn rows_are_counted_on_sqlite() {
    rows_are_counted_one_by_one(Ground::sqlite()).await;
}

#[tokio::test]
async fn rows_are_counted_on_postgres() {
    rows_are_counted_one_by_one(Ground::postgres()).await;
}

#[tokio::test]
async fn rows_are_counted_on_mariadb() {
    rows_are_counted_one_by_one(Ground::mariadb()).await;
}
