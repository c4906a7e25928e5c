//! What only PostgreSQL has: its types, collations, and what it makes of a parameter.

use serde_json::json;

use super::marks::sent;
use super::types::{deadlocks_are_tried_again, keys_go_round, mark_fits, refusal};
use super::{Ground, moment, table, texts, walk};
use crate::batch::key::{Key, Part};
use crate::batch::source::{Marked, Span, ToMark};
use crate::run::Scalar;
use crate::settings::MarkValue;

#[tokio::test]
async fn values_have_a_spelling() {
    let ground = Ground::postgres();
    ground.sql(
        "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN age AS int;
         CREATE TABLE t (id int PRIMARY KEY, a timestamptz, b timestamp, c date, d time, e interval, f json, g jsonb,
           h uuid, i bytea, j int[], k text[], l mood, m pair, n age, o char(5), p real, q inet, r numeric, s \"char\",
           u oid, v money, w bit(3), x int4range);
         SET timezone = 'Asia/Shanghai';
         INSERT INTO t VALUES (1, '2026-06-01 09:00:00.5', '2026-06-01 09:00', '2026-06-01', '09:00', '36 hours',
           '{\"a\": [1,  2]}', '{\"b\":1}', 'FFFFFFFF-0000-4000-8000-000000000001', '\\x00ff', '{1,NULL}', '{\"a b\",c}',
           'happy', '(1,x)', 7, 'ab', 0.1, '10.0.0.1/8', 1.500, 'c', 5, 1, '101', '[1,5)')",
    );
    let source = ground.source(&table("t", &["id"], "true", &[]));
    let read = walk(&source, 5).await;
    let row = &read[0].row;
    for (column, text) in [
        ("a", "2026-06-01 01:00:00.5+00"),
        ("b", "2026-06-01 09:00:00"),
        ("c", "2026-06-01"),
        ("d", "09:00:00"),
        ("e", "36:00:00"),
        ("f", "{\"a\": [1,  2]}"),
        ("g", "{\"b\": 1}"),
        ("h", "ffffffff-0000-4000-8000-000000000001"),
        ("j", "{1,NULL}"),
        ("k", "{\"a b\",c}"),
        ("l", "happy"),
        ("m", "(1,x)"),
        ("o", "ab"),
        ("q", "10.0.0.1/8"),
        ("r", "1.500"),
        ("s", "c"),
        ("w", "101"),
        ("x", "[1,5)"),
    ] {
        assert_eq!(row.get(column), Some(&Scalar::Text(text.to_owned())), "{column}");
    }
    assert_eq!(row.get("i"), Some(&Scalar::Bytes(vec![0, 255])));
    assert_eq!(row.get("n"), Some(&Scalar::Int(7)));
    assert_eq!(row.get("p"), Some(&Scalar::Float(0.1)));
    assert_eq!(row.get("u"), Some(&Scalar::Int(5)));
    assert!(matches!(row.get("v"), Some(Scalar::Text(_))));
}

#[tokio::test]
async fn keys_of_every_type_that_has_an_order() {
    let ground = Ground::postgres();
    ground.sql("CREATE EXTENSION IF NOT EXISTS citext; CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN code AS varchar(9)");
    ground.sql("CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
    for (number, (kind, values, expected)) in [
        ("smallint", ["-1", "7", "300"], ["[-1]", "[7]", "[300]"]),
        (
            "numeric",
            ["-1.5", "2", "10000000000000000000000000.25"],
            ["[\"-1.5\"]", "[\"2\"]", "[\"10000000000000000000000000.25\"]"],
        ),
        (
            "date",
            ["2025-12-31", "2026-01-01", "2026-10-01"],
            ["[\"2025-12-31\"]", "[\"2026-01-01\"]", "[\"2026-10-01\"]"],
        ),
        (
            "timestamptz",
            ["2026-01-01 00:00:00.000001+00", "2026-01-01 08:00:00.000002+08", "2026-01-02 00:00:00+00"],
            [
                "[\"2026-01-01 00:00:00.000001+00\"]",
                "[\"2026-01-01 00:00:00.000002+00\"]",
                "[\"2026-01-02 00:00:00+00\"]",
            ],
        ),
        ("mood", ["sad", "happy", ""], ["[\"sad\"]", "[\"happy\"]", ""]),
        ("code", ["A", "a", "é"], ["[\"A\"]", "[\"a\"]", "[\"é\"]"]),
        ("citext", ["A", "b", "C"], ["[\"A\"]", "[\"b\"]", "[\"C\"]"]),
        ("char(4)", ["a", "a b", "ab"], ["[\"a\"]", "[\"a b\"]", "[\"ab\"]"]),
        ("text COLLATE \"C\"", ["B", "a", "é"], ["[\"B\"]", "[\"a\"]", "[\"é\"]"]),
        ("text COLLATE \"en-x-icu\"", ["a", "B", "é"], ["[\"a\"]", "[\"B\"]", "[\"é\"]"]),
        ("text COLLATE ci", ["a", "B", "c "], ["[\"a\"]", "[\"B\"]", "[\"c \"]"]),
        (
            "bytea",
            ["\\x", "\\x00ff", "\\x01"],
            ["[{\"hex\":\"\"}]", "[{\"hex\":\"00ff\"}]", "[{\"hex\":\"01\"}]"],
        ),
        ("inet", ["9.0.0.1", "10.0.0.1", "::1"], ["[\"9.0.0.1/32\"]", "[\"10.0.0.1/32\"]", "[\"::1/128\"]"]),
    ]
    .into_iter()
    .enumerate()
    {
        let given = values.iter().filter(|value| !value.is_empty() || kind.starts_with("text"));
        let values: Vec<String> = given.map(|value| format!("'{value}'")).collect();
        let expected: Vec<&str> = expected.into_iter().filter(|key| !key.is_empty()).collect();
        keys_go_round(&ground, &format!("t{number}"), kind, &values, &expected).await;
    }
}

#[tokio::test]
async fn marks_are_taken_for_the_type_of_their_column() {
    let ground = Ground::postgres();
    ground.sql("CREATE TYPE mood AS ENUM ('open', 'done')");
    for (number, (kind, open, mark, done)) in [
        ("mood", "'open'", json!("done"), "done"),
        ("numeric(5,2)", "0", json!(true), "1.00"),
        ("jsonb", "'{}'", json!("{\"a\": 1}"), "{\"a\": 1}"),
        ("text[]", "'{}'", json!("{a,b}"), "{a,b}"),
        ("date", "NULL", json!("2026-06-01"), "2026-06-01"),
        ("date", "NULL", json!(":now"), "2026-06-01"),
        ("time", "NULL", json!(":now_local"), "09:00:01"),
        (
            "uuid",
            "NULL",
            json!("00000000-0000-4000-8000-000000000001"),
            "00000000-0000-4000-8000-000000000001",
        ),
        ("char(3)", "'no'", json!("yes"), "yes"),
        ("bigint", "0", json!(":fire_time_unix"), "1780275600"),
    ]
    .into_iter()
    .enumerate()
    {
        mark_fits(&ground, &format!("t{number}"), kind, open, mark, done).await;
    }
    ground.sql("CREATE TABLE n (id int PRIMARY KEY, at bigint, mood mood); INSERT INTO n VALUES (1)");
    for (column, mark, word) in [
        ("at", json!(":now"), "of type int8; unix seconds are :now_unix"),
        ("mood", json!("dnoe"), "invalid input value for enum mood: \"dnoe\""),
        ("nix", json!(1), "nix"),
    ] {
        let source = ground.source(&table("n", &["id"], "at IS NULL", &[(column, mark)]));
        let message = sent(&source, [Part::Int(1).into()].into_iter()).await.unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn an_error_has_the_room_of_its_column() {
    let ground = Ground::postgres();
    for (number, (kind, kept)) in
        [("varchar(5)", 5), ("text", 9), ("char(3)", 3), ("jsonb", 9)].into_iter().enumerate()
    {
        let name = format!("t{number}");
        ground.sql(&format!(
            "CREATE TABLE {name} (id int PRIMARY KEY, error {kind}); INSERT INTO {name} VALUES (1)"
        ));
        let mut settings = table(&name, &["id"], "error IS NULL", &[("id", json!(1))]);
        settings.mark.as_mut().unwrap().failed =
            Some(vec![("error".to_owned(), MarkValue::Parameter(":error".to_owned()))]);
        let failure = Some("123456\u{0}789".to_owned());
        let marked =
            ground.source(&settings).mark(vec![ToMark { key: Part::Int(1).into(), failure }], moment()).await;
        assert_eq!(marked.unwrap(), [Marked::Done]);
        assert_eq!(ground.answer(&format!("SELECT error FROM {name}")), "123456789"[..kept], "{kind}");
    }
}

#[tokio::test]
async fn times_are_taken_for_what_they_stand_beside() {
    let ground = Ground::postgres();
    ground.sql(
        "CREATE TABLE t (id int PRIMARY KEY, z timestamptz, w timestamp, d date, unix int);
         INSERT INTO t VALUES (1, '2026-05-31 01:00:00+00', '2026-05-31 01:00:00', '2026-05-31', 1780189200),
                              (2, '2026-06-01 01:00:00+00', '2026-06-01 01:00:00', '2026-06-01', 1780275600)",
    );
    for (condition, expected) in [
        ("z < :now - interval '1 hour'", vec!["1"]),
        ("w < :now - interval '1 hour'", vec!["1"]),
        ("z < :now_local - interval '1 hour'", vec!["1", "2"]),
        ("z >= date_trunc('day', :now)", vec!["2"]),
        ("d < :now", vec!["1"]),
        ("d = :now::date", vec!["2"]),
        ("d = :fire_time_local::timestamp::date", vec!["2"]),
        ("unix < :now_unix - 3600", vec!["1"]),
        ("z < to_timestamp(:now_unix) - interval '1 hour' AND z < :now", vec!["1"]),
        ("extract(epoch FROM :now - z) > 3600", vec!["1"]),
        ("to_char(z, 'YYYY-MM-DD HH24:MI:SS') = :fire_time", vec!["2"]),
        ("age(:now, z) > '1 hour'", vec!["1"]),
        ("z BETWEEN :fire_time AND :now AND ':no'::text <> E'\\':no' -- :no", vec!["2"]),
    ] {
        let read = walk(&ground.source(&table("t", &["id"], condition, &[])), 5).await;
        assert_eq!(texts(read.iter().map(|row| &row.row), "id"), expected, "{condition}");
    }
    for (condition, word) in [
        ("unix < :now", ":now_unix"),
        ("unix < 5 AND $1 = 2", "$1, which is unknown"),
        ("status = :now", "column \"status\" does not exist, near `status = "),
    ] {
        let message = refusal(&ground.source(&table("t", &["id"], condition, &[]))).await;
        assert!(message.contains(word), "{condition}: {message}");
    }
}

#[tokio::test]
async fn views_schemas_and_rules_are_marked() {
    let ground = Ground::postgres();
    ground.sql(
        "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, state text DEFAULT 'open');
         INSERT INTO shop.orders VALUES (1), (2), (3);
         CREATE VIEW v AS SELECT id, state AS s FROM shop.orders;
         CREATE VIEW w AS SELECT id, max(state) AS s FROM shop.orders GROUP BY id;
         CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN UPDATE shop.orders SET state = NEW.s WHERE id = NEW.id; RETURN NULL; END $$;
         CREATE TRIGGER c INSTEAD OF UPDATE ON w FOR EACH ROW EXECUTE FUNCTION change()",
    );
    for (id, name, column) in [(1, "shop.orders", "state"), (2, "v", "s"), (3, "w", "s")] {
        let source =
            ground.source(&table(name, &["id"], &format!("{column} = 'open'"), &[(column, json!("sent"))]));
        assert_eq!(
            sent(&source, [Part::Int(id).into()].into_iter()).await.unwrap(),
            [Marked::Done],
            "{name}"
        );
        assert_eq!(source.count(moment()).await.unwrap(), 3 - u64::try_from(id).unwrap());
    }
}

#[tokio::test]
async fn two_columns_of_one_name_are_refused() {
    let ground = Ground::postgres();
    let mut settings = table("", &["id"], "", &[]);
    settings.source.relation = crate::settings::Relation::Query("SELECT 1 AS id, 2 AS a, 3 AS a".to_owned());
    let message = refusal(&ground.source(&settings)).await;
    assert!(message.contains("two columns are called \"a\""), "{message}");
}

#[tokio::test]
async fn a_deadlock_is_tried_again() {
    let ground = Ground::postgres();
    ground.sql("CREATE TABLE t (id int PRIMARY KEY, flag int DEFAULT 0); INSERT INTO t SELECT generate_series(1, 200)");
    deadlocks_are_tried_again(&ground, 200, 20).await;
}

#[tokio::test]
async fn an_index_serves_whatever_is_asked() {
    let ground = Ground::postgres();
    ground.sql(
        "CREATE TABLE t (a int, b text, flag boolean DEFAULT false, PRIMARY KEY (a, b));
         INSERT INTO t SELECT n / 100, 'b' || n % 100 FROM generate_series(1, 50000) AS n;
         CREATE TABLE u (id int PRIMARY KEY, flag boolean DEFAULT false);
         INSERT INTO u SELECT n, n <= 40000 FROM generate_series(1, 50000) AS n;
         CREATE INDEX ON u (id) WHERE flag = false",
    );
    ground.sql("VACUUM ANALYZE");
    let scans = "SELECT relname, seq_scan FROM pg_stat_user_tables ORDER BY relname";
    let gone = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    // A session says what it did when it ends.
    let at_rest = async || {
        while ground.answer(gone) != "0" {
            tokio::task::yield_now().await;
        }
    };
    at_rest().await;
    let before = ground.answer(scans);
    for (name, key) in [("t", vec!["a", "b"]), ("u", vec!["id"])] {
        let source = ground.source(&table(name, &key, "flag = false", &[("flag", json!(true))]));
        let mut span = Span::default();
        for _ in 0..8 {
            let page = source.page(span, 100, moment()).await.unwrap();
            let keys: Vec<Key> = page.rows.into_iter().map(|row| row.key).collect();
            assert_eq!(source.again(keys.clone(), moment()).await.unwrap().iter().flatten().count(), 100);
            assert_eq!(sent(&source, keys[..50].iter().cloned()).await.unwrap(), [Marked::Done; 50]);
            span = Span { after: keys.last().cloned(), until: None };
        }
        let until = Some(span.after.unwrap());
        assert_eq!(source.page(Span { after: None, until }, 9, moment()).await.unwrap().rows.len(), 9);
    }
    at_rest().await;
    assert_eq!(ground.answer(scans), before);
    // What does scan the table is seen.
    ground.source(&table("t", &["a", "b"], "flag = false", &[])).count(moment()).await.unwrap();
    at_rest().await;
    assert_ne!(ground.answer(scans), before);
}
