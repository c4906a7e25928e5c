//! The `sql` target on every kind of database: transactions, parameters, pages, timeouts, stops; copies of SQLite files.

mod counts;
pub(crate) mod ground;
mod sessions;

use std::fs;
use std::time::Duration;

use gulou::run::{Status, Stream};
use gulou::settings::{BackupSettings, SqlPages, SqlWork};
use rusqlite::Connection;
use serde_json::json;

use self::ground::{Ground, message, pages, script};
use crate::support::{PATIENCE, eventually};
use crate::target_harness::{LONG, Recorder, fire, run};

async fn statements_take_effect_together_or_not_at_all(ground: Ground) {
    ground.ask("create table t (a integer primary key, b varchar(40))");
    let target = ground.plain(&[
        "INSERT INTO t VALUES (1, :message), (2, 'it''s ? :no')",
        "UPDATE t SET b = :fire_time_local WHERE a = 2",
        "DELETE FROM t WHERE a > 5",
    ]);
    let (outcome, recorder) = run(&target, "鼓楼").await;
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
    assert_eq!(outcome.result, Some(json!({ "rows": 3, "statements": [2, 1, 0] })));
    assert!(!outcome.idle);
    assert_eq!(ground.ask("select b from t where a = 1"), "鼓楼");
    assert_eq!(ground.ask("select b from t where a = 2"), "2020-06-11 19:43:35");
    let log = recorder.lines(Stream::System);
    assert!(log[0].starts_with("START RequestId"), "{log:?}");
    assert_eq!(log[1], "2 rows: INSERT INTO t VALUES (1, :message), (2, 'it''s ? :no')");
    assert!(log[2].starts_with("1 row: UPDATE") && log[3].starts_with("0 rows: DELETE"), "{log:?}");
    assert!(log[4].starts_with("END") && log[5].starts_with("Report"), "{log:?}");

    // The second time its first statement fails, and takes the others with it.
    let target = ground.plain(&["DELETE FROM t WHERE a = 2", "INSERT INTO t VALUES (1, 'x')"]);
    let (outcome, _) = run(&target, "").await;
    assert_eq!(outcome.status, Status::Failed);
    assert!(message(&outcome).starts_with("statement 2: database "), "{outcome:?}");
    assert!(message(&outcome).ends_with("; all is as it was"), "{outcome:?}");
    assert_eq!(ground.ask("select count(*) from t"), "2");
    // One after the other: what is done is done, and told.
    let work = script(&["DELETE FROM t WHERE a = 2", "INSERT INTO t VALUES (1, 'x')"], false);
    let (outcome, _) = run(&ground.target(work, LONG), "").await;
    assert_eq!(
        (outcome.status, &outcome.result),
        (Status::Failed, &Some(json!({ "rows": 1, "statements": [1] })))
    );
    assert!(message(&outcome).ends_with("; the 1 statement before it took effect"), "{outcome:?}");
    assert_eq!(ground.ask("select count(*) from t"), "1");
    // Nothing to do folds in the history.
    let (outcome, _) = run(&ground.plain(&["DELETE FROM t WHERE a = 77"]), "").await;
    assert!(outcome.idle && outcome.status == Status::Succeeded, "{outcome:?}");
}

#[tokio::test]
async fn statements_take_effect_together_on_sqlite() {
    statements_take_effect_together_or_not_at_all(Ground::sqlite()).await;
}

#[tokio::test]
async fn statements_take_effect_together_on_postgres() {
    statements_take_effect_together_or_not_at_all(Ground::postgres()).await;
}

#[tokio::test]
async fn statements_take_effect_together_on_mariadb() {
    statements_take_effect_together_or_not_at_all(Ground::mariadb()).await;
}

async fn what_takes_too_long_is_cancelled_and_undone(ground: Ground) {
    ground.ask("create table t (a integer)");
    let work = || script(&["INSERT INTO t VALUES (1)", ground.endless()], true);
    let (outcome, _) = run(&ground.target(work(), Duration::from_millis(300)), "").await;
    assert_eq!(outcome.status, Status::TimedOut, "{outcome:?}");
    assert!(message(&outcome).contains("within its timeout of 0.3 s and was cancelled"), "{outcome:?}");
    assert_eq!(ground.ask("select count(*) from t"), "0");
    // The same connection serves on, and nothing holds a lock.
    ground.ask("insert into t values (7)");
    let target = ground.target(work(), LONG);
    let recorder = Recorder::new();
    let abort = recorder.context.abort.clone();
    let running = tokio::spawn(async move { target.run(&fire(""), &recorder.context).await });
    let at_work = async {
        while !ground.is_at_work() {
            // It runs on this thread.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, at_work).await.unwrap();
    abort.cancel();
    let outcome = tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    assert_eq!(outcome.status, Status::Interrupted, "{outcome:?}");
    assert_eq!(ground.ask("select count(*) from t"), "1");
    let (outcome, _) = run(&ground.plain(&["DELETE FROM t"]), "").await;
    assert_eq!(outcome.result, Some(json!({ "rows": 1, "statements": [1] })));
}

#[tokio::test]
async fn what_takes_too_long_is_cancelled_on_sqlite() {
    what_takes_too_long_is_cancelled_and_undone(Ground::sqlite()).await;
}

#[tokio::test]
async fn what_takes_too_long_is_cancelled_on_postgres() {
    what_takes_too_long_is_cancelled_and_undone(Ground::postgres()).await;
}

#[tokio::test]
async fn what_takes_too_long_is_cancelled_on_mariadb() {
    what_takes_too_long_is_cancelled_and_undone(Ground::mariadb()).await;
}

async fn pages_go_on_until_nothing_is_left(ground: Ground) {
    ground.ask("create table t (a integer primary key, b integer not null default 0)");
    for start in [0, 10, 20] {
        let rows: Vec<String> = (start..start + 10).map(|a| format!("({a}, 0)")).collect();
        ground.ask(&format!("insert into t values {}", rows.join(", ")));
    }
    let is_mysql = matches!(ground, Ground::MariaDb(_));
    let bounded = |verb: &str, condition: &str| {
        if is_mysql {
            format!("{verb} WHERE {condition} ORDER BY a LIMIT :page")
        } else {
            format!("{verb} WHERE a IN (SELECT a FROM t WHERE {condition} LIMIT :page)")
        }
    };
    // Every page finds the same rows.
    let work = SqlWork::Pages(pages(&bounded("UPDATE t SET b = b + 1", "a >= 0"), 8));
    let (outcome, _) = run(&ground.target(work, LONG), "").await;
    assert_eq!(outcome.status, Status::Failed, "{outcome:?}");
    assert!(message(&outcome).contains("the same rows match again"), "{outcome:?}");
    assert_eq!(outcome.result, Some(json!({ "rows": 32, "pages": 4 })));
    let limited = SqlPages { max_pages: 2, ..pages(&bounded("UPDATE t SET b = b + 1", "a >= 0"), 8) };
    let (outcome, _) = run(&ground.target(SqlWork::Pages(limited), LONG), "").await;
    assert!(message(&outcome).contains("stopped behind page 2, as `max_pages` says"), "{outcome:?}");

    // One that changes what it asks for ends by itself, however small its pages.
    let work = SqlWork::Pages(pages(&bounded("UPDATE t SET b = -1", "b <> -1"), 3));
    let (outcome, _) = run(&ground.target(work, LONG), "").await;
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
    assert_eq!(outcome.result, Some(json!({ "rows": 30, "pages": 10 })));

    // A stop comes behind a page, and the next run goes on.
    let target = ground.target(SqlWork::Pages(pages(&bounded("DELETE FROM t", "a > 4"), 8)), LONG);
    let recorder = Recorder::new();
    recorder.context.drain.cancel();
    let outcome = target.run(&fire(""), &recorder.context).await;
    assert_eq!(outcome.status, Status::Interrupted);
    assert_eq!(message(&outcome), "stopped after 8 rows in 1 page; the next fire goes on");
    assert_eq!(ground.ask("select count(*) from t"), "22");
    let (outcome, _) = run(&target, "").await;
    assert_eq!(outcome.result, Some(json!({ "rows": 17, "pages": 3 })));
    let (outcome, _) = run(&target, "").await;
    assert!(outcome.idle && outcome.result == Some(json!({ "rows": 0, "pages": 0 })), "{outcome:?}");
    assert_eq!(ground.ask("select count(*) from t"), "5");

    // As long as it may work, and not longer: the first page is done all the same.
    let limited = SqlPages {
        time_limit: Some(Duration::from_nanos(1)),
        ..pages(&bounded("DELETE FROM t", "a > 2"), 1)
    };
    let (outcome, _) = run(&ground.target(SqlWork::Pages(limited), LONG), "").await;
    assert_eq!(message(&outcome), "1 row in 1 page; its time limit has come, the next fire goes on");
}

#[tokio::test]
async fn pages_go_on_until_nothing_is_left_on_sqlite() {
    pages_go_on_until_nothing_is_left(Ground::sqlite()).await;
}

#[tokio::test]
async fn pages_go_on_until_nothing_is_left_on_postgres() {
    pages_go_on_until_nothing_is_left(Ground::postgres()).await;
}

#[tokio::test]
async fn pages_go_on_until_nothing_is_left_on_mariadb() {
    pages_go_on_until_nothing_is_left(Ground::mariadb()).await;
}

#[tokio::test]
async fn times_have_the_types_of_postgres() {
    let ground = Ground::postgres();
    ground.ask(
        "create table t (at timestamptz, said text); insert into t values (now() - interval '2 days', '')",
    );
    let (outcome, _) = run(
        &ground.plain(&[
            "UPDATE t SET said = :message WHERE at < :now - interval '1 day' AND :message <> 'no'",
            "INSERT INTO t VALUES (:fire_time, :fire_time_local)",
            "INSERT INTO t VALUES (to_timestamp(:fire_time_unix), :message)",
        ]),
        "yes",
    )
    .await;
    assert_eq!(outcome.result, Some(json!({ "rows": 3, "statements": [1, 1, 1] })), "{outcome:?}");
    assert_eq!(ground.ask("select count(*) from t where extract(epoch from at) = 1591875815"), "2");
    assert_eq!(ground.ask("select count(*) from t where said = 'yes'"), "2");
    // Where no time can be, it is said what can.
    ground.ask("create table u (n bigint); insert into u values (1)");
    let delete = "DELETE FROM u WHERE n < :now";
    let page = "DELETE FROM u WHERE n IN (SELECT n FROM u WHERE n < :now LIMIT :page)";
    for work in [script(&[delete], true), script(&[delete], false), SqlWork::Pages(pages(page, 8))] {
        let (outcome, _) = run(&ground.target(work, LONG), "").await;
        let expected =
            ":now stands where the database expects a value of type int8; unix seconds are :now_unix";
        assert!(message(&outcome).contains(expected), "{outcome:?}");
    }
    let (outcome, _) = run(&ground.plain(&["DELETE FROM u WHERE n < :now_unix"]), "").await;
    assert_eq!(outcome.result, Some(json!({ "rows": 1, "statements": [1] })), "{outcome:?}");
    // What cannot run in a transaction runs without one.
    let (outcome, _) = run(&ground.target(script(&["VACUUM t"], false), LONG), "").await;
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
}

#[tokio::test]
async fn vacuum_and_a_lock_that_somebody_holds() {
    let ground = Ground::sqlite();
    ground.ask("create table t (a integer); insert into t values (1)");
    let (outcome, _) = run(&ground.target(script(&["VACUUM", "PRAGMA optimize"], false), LONG), "").await;
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
    // A lock is waited for, and an abort ends the waiting at once.
    let holder = Connection::open(ground.path("main.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (outcome, _) =
        run(&ground.target(script(&["DELETE FROM t"], true), Duration::from_millis(200)), "").await;
    assert_eq!(outcome.status, Status::TimedOut, "{outcome:?}");
    holder.execute_batch("COMMIT").unwrap();
    let (outcome, _) = run(&ground.plain(&["DELETE FROM t"]), "").await;
    assert_eq!(outcome.result, Some(json!({ "rows": 1, "statements": [1] })));
}

#[tokio::test]
async fn copies_are_whole_and_the_oldest_go() {
    let ground = Ground::sqlite();
    ground.ask("create table t (a integer); insert into t values (1), (2)");
    let folder = ground.path("backups/daily");
    let target = |keep| {
        let backup = BackupSettings { to: folder.clone(), keep };
        ground.target(SqlWork::Backup(backup), LONG)
    };
    let mut fire = fire("");
    for _ in 0..3 {
        let recorder = Recorder::new();
        let outcome = target(None).run(&fire, &recorder.context).await;
        assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
        fire.fire_time += Duration::from_secs(86_400);
    }
    for name in ["main.db", "main-2020.db", "other-20200611T114335Z.db", "main-20200611T114335Z.db.txt"] {
        fs::write(folder.join(name), "not ours").unwrap();
    }
    fs::write(folder.join(".main-20200614T114335Z.db.part"), "left by a crash").unwrap();
    ground.ask("insert into t values (3)");
    let outcome = target(Some(2)).run(&fire, &Recorder::new().context).await;
    let result = outcome.result.unwrap();
    assert_eq!(result["deleted"], json!(["main-20200611T114335Z.db", "main-20200612T114335Z.db"]));
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "main-2020.db",
            "main-20200611T114335Z.db.txt",
            "main-20200613T114335Z.db",
            "main-20200614T114335Z.db",
            "main.db",
            "other-20200611T114335Z.db"
        ]
    );
    let copy = Connection::open(folder.join("main-20200614T114335Z.db")).unwrap();
    assert_eq!(copy.query_row("SELECT sum(a) FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 6);
    // A folder that cannot be is an error that names it.
    let backup = BackupSettings { to: ground.path("main.db"), keep: None };
    let (outcome, _) = run(&ground.target(SqlWork::Backup(backup), LONG), "").await;
    assert!(message(&outcome).contains("main.db"), "{outcome:?}");
    // A timeout leaves nothing behind.
    let backup = BackupSettings { to: ground.path("none"), keep: None };
    ground.ask(
        "insert into t select n from (with recursive c (n) as (select 1 union all select n + 1 from c where n < 300000) \
         select n from c)",
    );
    let (outcome, _) = run(&ground.target(SqlWork::Backup(backup), Duration::from_nanos(1)), "").await;
    assert_eq!(outcome.status, Status::TimedOut, "{outcome:?}");
    let left = fs::read_dir(ground.path("none")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

#[tokio::test]
async fn concurrent_writers_wait_for_each_other() {
    let ground = Ground::sqlite();
    ground.ask("create table t (a integer)");
    let runs: Vec<_> = (0..8)
        .map(|_| {
            let target = ground.plain(&["INSERT INTO t VALUES (1)", "UPDATE t SET a = a + 1"]);
            tokio::spawn(async move { run(&target, "").await.0.status })
        })
        .collect();
    for run in runs {
        assert_eq!(run.await.unwrap(), Status::Succeeded);
    }
    eventually("all rows", || (ground.ask("select count(*) from t") == "8").then_some(()));
}
