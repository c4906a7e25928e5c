//! What only MySQL and MariaDB have: their types, collations, and what they make of a parameter.

use serde_json::json;

use super::marks::sent;
use super::types::{deadlocks_are_tried_again, keys_go_round, mark_fits, refusal};
use super::{Ground, moment, table, texts, walk};
use crate::batch::key::{Key, Part};
use crate::batch::source::{Marked, Span, ToMark};
use crate::run::Scalar;
use crate::settings::MarkValue;
use crate::test_servers;

#[tokio::test]
async fn values_have_a_spelling() {
    let ground = Ground::mariadb();
    ground.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, a TIMESTAMP NULL, b DATETIME(3), c DATE, d TIME, e TIME(6), f JSON,
           g ENUM('sad', 'happy'), h SET('x', 'y', 'z'), i BLOB, j BIT(12), k YEAR, l TINYINT(1), m BIGINT UNSIGNED,
           n UUID, o CHAR(5), p FLOAT, q DECIMAL(20, 5), r VARBINARY(9), s MEDIUMTEXT, t BIT(64), u DATE,
           v VARCHAR(9) CHARACTER SET latin1, w INET6);
         SET time_zone = '+08:00';
         INSERT INTO t VALUES (1, '2026-06-01 09:00:00', '2026-06-01 09:00:00.5', '2026-06-01', '09:00', '-25:00:00.25',
           '{\"a\": [1,  2]}', 'happy', 'x,z', x'00ff', b'100000000001', 2026, 7, 18446744073709551615,
           'FFFFFFFF-0000-4000-8000-000000000001', 'ab', 0.1, 1.5, x'ff', '鼓', ~0, NULL, 'é', '::1')",
    );
    ground.sql("SET sql_mode = ''; UPDATE t SET u = '0000-00-00'");
    let read = walk(&ground.source(&table("t", &["id"], "true", &[])), 5).await;
    let row = &read[0].row;
    for (column, text) in [
        ("a", "2026-06-01 01:00:00"),
        ("b", "2026-06-01 09:00:00.500"),
        ("c", "2026-06-01"),
        ("d", "09:00:00"),
        ("e", "-25:00:00.250000"),
        ("f", "{\"a\": [1,  2]}"),
        ("g", "happy"),
        ("h", "x,z"),
        ("m", "18446744073709551615"),
        ("n", "ffffffff-0000-4000-8000-000000000001"),
        ("o", "ab"),
        ("q", "1.50000"),
        ("s", "鼓"),
        ("t", "18446744073709551615"),
        ("u", "0000-00-00"),
        ("v", "é"),
        ("w", "::1"),
    ] {
        assert_eq!(row.get(column), Some(&Scalar::Text(text.to_owned())), "{column}");
    }
    assert_eq!(row.get("i"), Some(&Scalar::Bytes(vec![0, 255])));
    assert_eq!(row.get("r"), Some(&Scalar::Bytes(vec![255])));
    assert_eq!(row.get("j"), Some(&Scalar::Int(2049)));
    assert_eq!(row.get("k"), Some(&Scalar::Int(2026)));
    assert_eq!(row.get("l"), Some(&Scalar::Int(7)));
    assert_eq!(row.get("p"), Some(&Scalar::Float(0.1)));
}

#[tokio::test]
async fn keys_of_every_type_that_has_an_order() {
    let ground = Ground::mariadb();
    for (number, (kind, values, expected)) in [
        ("TINYINT", ["-1", "7", "100"], ["[-1]", "[7]", "[100]"]),
        (
            "BIGINT UNSIGNED",
            ["7", "9223372036854775808", "18446744073709551615"],
            ["[7]", "[\"9223372036854775808\"]", "[\"18446744073709551615\"]"],
        ),
        (
            "DATE",
            ["'2025-12-31'", "'2026-01-01'", "'2026-10-01'"],
            ["[\"2025-12-31\"]", "[\"2026-01-01\"]", "[\"2026-10-01\"]"],
        ),
        (
            "DATETIME(6)",
            ["'2026-01-01 00:00:00.000001'", "'2026-01-01 00:00:00.000002'", "'2026-01-02'"],
            [
                "[\"2026-01-01 00:00:00.000001\"]",
                "[\"2026-01-01 00:00:00.000002\"]",
                "[\"2026-01-02 00:00:00.000000\"]",
            ],
        ),
        (
            "TIME",
            ["'-10:00:00'", "'09:00:00'", "'100:00:00'"],
            ["[\"-10:00:00\"]", "[\"09:00:00\"]", "[\"100:00:00\"]"],
        ),
        (
            "BINARY(16)",
            ["x'00'", "x'00ff'", "x'c328ff'"],
            [
                "[{\"hex\":\"00000000000000000000000000000000\"}]",
                "[{\"hex\":\"00ff0000000000000000000000000000\"}]",
                "[{\"hex\":\"c328ff00000000000000000000000000\"}]",
            ],
        ),
        (
            "VARBINARY(9)",
            ["''", "x'00'", "'a'"],
            ["[{\"hex\":\"\"}]", "[{\"hex\":\"00\"}]", "[{\"hex\":\"61\"}]"],
        ),
        ("VARCHAR(9) COLLATE utf8mb4_bin", ["'A'", "'a'", "'é'"], ["[\"A\"]", "[\"a\"]", "[\"é\"]"]),
        ("VARCHAR(9) COLLATE utf8mb4_general_ci", ["'a'", "'B'", "'c'"], ["[\"a\"]", "[\"B\"]", "[\"c\"]"]),
        ("VARCHAR(9) COLLATE utf8mb4_unicode_ci", ["'10'", "'9'", "'Ä'"], ["[\"10\"]", "[\"9\"]", "[\"Ä\"]"]),
        ("VARCHAR(9) CHARACTER SET latin1", ["'a'", "'é'", "'z'"], ["[\"a\"]", "[\"é\"]", "[\"z\"]"]),
        ("CHAR(4)", ["'a'", "'a b'", "'ab'"], ["[\"a\"]", "[\"a b\"]", "[\"ab\"]"]),
        ("INET6", ["'::1'", "'::2'", "'ff::'"], ["[\"::1\"]", "[\"::2\"]", "[\"ff::\"]"]),
    ]
    .into_iter()
    .enumerate()
    {
        let values = values.map(str::to_owned);
        keys_go_round(&ground, &format!("t{number}"), kind, &values, &expected).await;
    }
    for (number, (kind, word)) in [
        ("ENUM('b', 'a')", "\"k\" is an ENUM"),
        ("SET('b', 'a')", "\"k\" is a SET"),
        ("DECIMAL(9, 2)", "\"k\" is a DECIMAL"),
        ("FLOAT", "\"k\" is a floating-point number"),
        ("BIT(3)", "\"k\" is a BIT field"),
    ]
    .into_iter()
    .enumerate()
    {
        ground.sql(&format!("CREATE TABLE r{number} (k {kind} PRIMARY KEY)"));
        let message = refusal(&ground.source(&table(&format!("r{number}"), &["k"], "true", &[]))).await;
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn what_a_collation_takes_for_the_same() {
    let ground = Ground::mariadb();
    ground.sql(
        "CREATE TABLE t (k VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY, flag INT DEFAULT 0);
         INSERT INTO t (k) VALUES ('b'), ('A'), ('é'), ('z '), ('d')",
    );
    let source = ground.source(&table("t", &["k"], "flag = 0", &[("flag", json!(1))]));
    for page in [1, 2, 5] {
        assert_eq!(
            texts(walk(&source, page).await.iter().map(|row| &row.row), "k"),
            ["A", "b", "d", "é", "z "]
        );
    }
    let text = |text: &str| Key::from(Part::Text(text.to_owned()));
    let known = ["A", "b", "d", "é", "z "].map(text).to_vec();
    ground.sql("UPDATE t SET k = 'B' WHERE k = 'b'; UPDATE t SET k = 'z' WHERE k = 'z'");
    // Another row, as far as the ledger goes: it is read again under its own key.
    let again = source.again(known.clone(), moment()).await.unwrap();
    assert_eq!(again.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, true, false]);
    // What was delivered is marked all the same.
    assert_eq!(sent(&source, known.into_iter()).await.unwrap(), [Marked::Done; 5]);
    assert_eq!(source.count(moment()).await.unwrap(), 0);
    // Without a unique index a key may find a row that nobody delivered.
    ground.sql(
        "CREATE TABLE u (k VARCHAR(9) COLLATE utf8mb4_general_ci, flag INT DEFAULT 0);
         INSERT INTO u (k) VALUES ('a'), ('A'), ('b')",
    );
    let source = ground.source(&table("u", &["k"], "flag = 0", &[("flag", json!(1))]));
    // As many rows as keys: one of them is gone.
    let message = sent(&source, ["a", "gone", "b"].map(text).into_iter()).await.unwrap_err().to_string();
    assert!(message.contains("not unique: the mark of \"a\" changed 2 rows; nothing is marked"), "{message}");
    assert_eq!(ground.answer("SELECT sum(flag) FROM u"), "0");
}

#[tokio::test]
async fn marks_are_taken_for_the_type_of_their_column() {
    let ground = Ground::mariadb();
    for (number, (kind, open, mark, done)) in [
        ("ENUM('open', 'done')", "'open'", json!("done"), "done"),
        ("DECIMAL(5, 2)", "0", json!(true), "1.00"),
        ("JSON", "'{}'", json!("{\"a\": 1}"), "{\"a\": 1}"),
        ("DATE", "NULL", json!("2026-06-01"), "2026-06-01"),
        ("DATE", "NULL", json!(":now"), "2026-06-01"),
        ("DATETIME", "NULL", json!(":now_local"), "2026-06-01 09:00:01"),
        ("TIME", "NULL", json!(":now_local"), "09:00:01"),
        ("CHAR(3)", "'no'", json!("yes"), "yes"),
        ("BIGINT", "0", json!(":fire_time_unix"), "1780275600"),
        ("BIT(1)", "0", json!(true), "\u{1}"),
    ]
    .into_iter()
    .enumerate()
    {
        mark_fits(&ground, &format!("t{number}"), kind, open, mark, done).await;
    }
    ground.sql("CREATE TABLE n (id INT PRIMARY KEY, at BIGINT, mood ENUM('sad', 'happy'), word VARCHAR(3)); INSERT INTO n (id) VALUES (1)");
    for (column, mark, word) in [
        ("at", json!(":now"), "column"),
        ("mood", json!("dnoe"), "'mood'"),
        ("word", json!("long"), "too long for column 'word'"),
        ("nix", json!(1), "nix"),
    ] {
        let source = ground.source(&table("n", &["id"], "at IS NULL", &[(column, mark)]));
        let message = sent(&source, [Part::Int(1).into()].into_iter()).await.unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
    assert_eq!(ground.answer("SELECT concat(at IS NULL, mood IS NULL, word IS NULL) FROM n"), "111");
}

#[tokio::test]
async fn an_error_has_the_room_of_its_column() {
    let ground = Ground::mariadb();
    for (number, (kind, kept)) in [
        ("VARCHAR(5)", "12鼓🥁5"),
        ("TEXT", "12鼓🥁56789"),
        ("CHAR(3)", "12鼓"),
        ("VARCHAR(5) CHARACTER SET latin1", "12??5"),
        ("VARCHAR(5) CHARACTER SET utf8mb3", "12鼓?5"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("t{number}");
        ground.sql(&format!(
            "CREATE TABLE {name} (id INT PRIMARY KEY, Error {kind}); INSERT INTO {name} (id) VALUES (1), (2)"
        ));
        let mut settings = table(&name, &["id"], "error IS NULL", &[("id", json!(1))]);
        settings.mark.as_mut().unwrap().failed =
            Some(vec![("error".to_owned(), MarkValue::Parameter(":error".to_owned()))]);
        let failed = |id| ToMark { key: Part::Int(id).into(), failure: Some("12鼓🥁56789".to_owned()) };
        let marked = ground.source(&settings).mark(vec![failed(1), failed(2)], moment()).await;
        assert_eq!(marked.unwrap(), [Marked::Done; 2]);
        assert_eq!(ground.answer(&format!("SELECT error FROM {name}")), format!("{kept}\n{kept}"), "{kind}");
    }
}

#[tokio::test]
async fn times_are_taken_for_what_they_stand_beside() {
    let ground = Ground::mariadb();
    ground.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, z TIMESTAMP NULL, w DATETIME, d DATE, unix INT);
         SET time_zone = '+00:00';
         INSERT INTO t VALUES (1, '2026-05-31 01:00:00', '2026-05-31 01:00:00', '2026-05-31', 1780189200),
                              (2, '2026-06-01 01:00:00', '2026-06-01 01:00:00', '2026-06-01', 1780275600)",
    );
    for (condition, expected) in [
        ("z < :now - INTERVAL 1 HOUR", vec!["1"]),
        ("w < :now - INTERVAL 1 HOUR", vec!["1"]),
        ("w < :now_local - INTERVAL 1 HOUR", vec!["1", "2"]),
        ("z >= date(:now)", vec!["2"]),
        ("d < :now AND d < date(:now)", vec!["1"]),
        ("d = date(:now)", vec!["2"]),
        ("unix < :now_unix - 3600", vec!["1"]),
        ("timestampdiff(SECOND, z, :now) > 3600", vec!["1"]),
        ("z BETWEEN :fire_time AND :now AND ':no' <> 'it\\'s :no' -- :no", vec!["2"]),
        ("unix_timestamp(z) = :fire_time_unix AND \"?\" = '?' # ?", vec!["2"]),
    ] {
        let read = walk(&ground.source(&table("t", &["id"], condition, &[])), 5).await;
        assert_eq!(texts(read.iter().map(|row| &row.row), "id"), expected, "{condition}");
    }
    for (condition, word) in [
        ("unix < 5 AND ? = 2", "?, which is unknown"),
        ("status = :now", "'status'"),
        ("unix = 5-':no'", "cannot be told from a parameter"),
    ] {
        let message = refusal(&ground.source(&table("t", &["id"], condition, &[]))).await;
        assert!(message.contains(word), "{condition}: {message}");
    }
}

#[tokio::test]
async fn views_and_other_databases_are_marked_and_other_engines_refused() {
    let ground = Ground::mariadb();
    let other = Ground::mariadb();
    let name = other.server_settings().database.clone();
    other.sql("CREATE TABLE orders (id INT PRIMARY KEY, state VARCHAR(9) DEFAULT 'open'); INSERT INTO orders (id) VALUES (1), (2)");
    ground.sql(&format!("CREATE VIEW v AS SELECT id, state AS s FROM {name}.orders"));
    for (id, name, column) in [(1, format!("{name}.orders"), "state"), (2, "v".to_owned(), "s")] {
        let source =
            ground.source(&table(&name, &["id"], &format!("{column} = 'open'"), &[(column, json!("sent"))]));
        let marked = sent(&source, [Part::Int(id).into()].into_iter()).await.unwrap();
        assert_eq!(marked, [Marked::Done], "{name}");
        assert_eq!(source.count(moment()).await.unwrap(), 2 - u64::try_from(id).unwrap());
    }
    ground.sql("CREATE TABLE m (id INT PRIMARY KEY, flag INT) ENGINE = MyISAM; INSERT INTO m VALUES (1, 0)");
    assert_eq!(walk(&ground.source(&table("m", &["id"], "flag = 0", &[])), 5).await.len(), 1);
    let source = ground.source(&table("m", &["id"], "flag = 0", &[("flag", json!(1))]));
    let message = refusal(&source).await;
    assert!(message.contains("its engine MyISAM has no transactions"), "before it delivers: {message}");
    let message = sent(&source, [Part::Int(1).into()].into_iter()).await.unwrap_err().to_string();
    assert!(message.contains("its engine MyISAM has no transactions"), "{message}");
}

#[tokio::test]
async fn a_deadlock_is_tried_again() {
    let ground = Ground::mariadb();
    ground.sql("CREATE TABLE t (id INT PRIMARY KEY, flag INT DEFAULT 0); INSERT INTO t (id) SELECT seq FROM seq_1_to_600");
    deadlocks_are_tried_again(&ground, 600, 10).await;
}

#[tokio::test]
async fn an_index_serves_a_page_and_the_sets_of_a_key_of_several_columns() {
    let ground = Ground::mariadb();
    ground.sql(
        "CREATE TABLE t (a INT NOT NULL, b VARCHAR(9) NOT NULL, flag INT NOT NULL DEFAULT 0, PRIMARY KEY (a, b));
         INSERT INTO t (a, b) SELECT seq DIV 100, seq FROM seq_1_to_20000; ANALYZE TABLE t",
    );
    let server = test_servers::mariadb();
    server.execute(&server.admin(), "SET GLOBAL userstat = 1");
    let database = &ground.server_settings().database;
    let rows_read = || {
        let sql = format!(
            "SELECT ifnull(sum(rows_read), 0) FROM information_schema.table_statistics WHERE table_schema = '{database}'"
        );
        server.execute(&server.admin(), &sql).trim().parse::<u64>().unwrap()
    };
    let source = ground.source(&table("t", &["a", "b"], "flag = 0", &[("flag", json!(1))]));
    let before = rows_read();
    let span = Span { after: Key::decode("[150,\"15050\"]"), until: None };
    let page = source.page(span, 100, moment()).await.unwrap();
    let keys: Vec<Key> = page.rows.into_iter().map(|row| row.key).collect();
    assert_eq!(source.again(keys.clone(), moment()).await.unwrap().iter().flatten().count(), 100);
    assert_eq!(sent(&source, keys.into_iter()).await.unwrap(), [Marked::Done; 100]);
    // A page reads from the beginning of its `a`; then each row is read again, changed, and looked at.
    let read = rows_read() - before;
    assert!((400..2000).contains(&read), "{read} rows are read");
}
