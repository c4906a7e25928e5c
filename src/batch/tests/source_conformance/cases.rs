//! What is read.

use serde_json::json;

use super::{Ground, moment, table, texts, walk};
use crate::batch::key::{Key, Part};
use crate::batch::source::{Keyed, Span};
use crate::run::Scalar;
use crate::settings::Relation;
use crate::sql::Dialect;

fn rows(read: &[Keyed]) -> impl Iterator<Item = &crate::run::Row> {
    read.iter().map(|row| &row.row)
}

pub(super) async fn integer_keys(ground: Ground) {
    ground.sql("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20))");
    ground.sql(
        "INSERT INTO t VALUES (-9223372036854775808, 'a'), (-1, 'b'), (0, 'c'), (10, 'd'), (9, 'e'),
         (9223372036854775807, 'f'), (11, 'no')",
    );
    let source = ground.source(&table("t", &["id"], "name <> 'no'", &[]));
    for page in [1, 2, 3, 6, 7] {
        assert_eq!(texts(rows(&walk(&source, page).await), "name"), ["a", "b", "c", "e", "d", "f"]);
    }
    let key = |value| Some(Key::from(Part::Int(value)));
    for (after, until, expected) in [
        (None, key(0), vec!["a", "b", "c"]),
        (key(-1), key(9), vec!["c", "e"]),
        (key(10), None, vec!["f"]),
        (key(i64::MAX), None, vec![]),
    ] {
        let page = source.page(Span { after, until }, 10, moment()).await.unwrap();
        assert_eq!(
            (texts(rows(&page.rows), "name"), page.more),
            (expected.iter().map(|&n| n.to_owned()).collect(), false)
        );
    }
}

pub(super) async fn text_keys(ground: Ground) {
    ground.sql(&format!("CREATE TABLE t (k {} PRIMARY KEY, flag INTEGER)", ground.words.text_key));
    ground.sql(
        "INSERT INTO t VALUES ('10', 0), ('9', 0), ('a', 0), ('B', 0), ('b', 0), ('é', 0), ('e', 0), ('鼓楼', 0),
         ('c''s \"name\", {x}', 0), ('NULL', 0), ('', 0), ('%_', 0)",
    );
    let source = ground.source(&table("t", &["k"], "flag = 0", &[("flag", json!(1))]));
    let order: Vec<String> =
        ground.answer("SELECT k FROM t ORDER BY k").split('\n').map(str::to_owned).collect();
    assert_eq!(order.len(), 12);
    for page in [1, 5, 12] {
        assert_eq!(texts(rows(&walk(&source, page).await), "k"), order);
    }
    let keys: Vec<Key> = walk(&source, 12).await.into_iter().map(|row| row.key).collect();
    let again = source.again(keys, moment()).await.unwrap();
    assert_eq!(texts(again.iter().flatten(), "k"), order);
}

pub(super) async fn uuid_keys(ground: Ground) {
    ground.sql(&format!("CREATE TABLE t (k {} PRIMARY KEY, flag INTEGER)", ground.words.uuid));
    let uuids = [
        "00000000-0000-4000-8000-000000000001",
        "7fffffff-0000-4000-8000-00000000000a",
        "ffffffff-ffff-4fff-bfff-ffffffffffff",
    ];
    for uuid in uuids.iter().rev() {
        ground.sql(&format!("INSERT INTO t VALUES ('{uuid}', 0)"));
    }
    let source = ground.source(&table("t", &["k"], "flag = 0", &[("flag", json!(1))]));
    let read = walk(&source, 1).await;
    assert_eq!(texts(rows(&read), "k"), uuids);
    assert_eq!(read[0].key.encode(), format!("[\"{}\"]", uuids[0]));
    let keys = vec![read[2].key.clone(), Key::decode(&read[0].key.encode()).unwrap()];
    let again = source.again(keys, moment()).await.unwrap();
    assert_eq!(texts(again.iter().flatten(), "k"), [uuids[2], uuids[0]]);
}

pub(super) async fn keys_of_several_columns(ground: Ground) {
    ground.sql(&format!(
        "CREATE TABLE t (shop {} NOT NULL, number INTEGER NOT NULL, flag INTEGER, PRIMARY KEY (shop, number))",
        ground.words.text_key
    ));
    ground.sql(
        "INSERT INTO t VALUES ('b', 1, 0), ('a', 10, 0), ('a', 9, 0), ('c', 1, 0), ('a', -1, 0), ('b', 7, 1)",
    );
    let source = ground.source(&table("t", &["shop", "number"], "flag = 0", &[("flag", json!(1))]));
    for page in [1, 2, 3, 5] {
        let read = walk(&source, page).await;
        let keys: Vec<String> = read.iter().map(|row| row.key.encode()).collect();
        assert_eq!(keys, ["[\"a\",-1]", "[\"a\",9]", "[\"a\",10]", "[\"b\",1]", "[\"c\",1]"], "{page}");
    }
    let span = Span { after: Key::decode("[\"a\",9]"), until: Key::decode("[\"b\",1]") };
    let page = source.page(span, 10, moment()).await.unwrap();
    assert_eq!(texts(rows(&page.rows), "number"), ["10", "1"]);
    let keys = ["[\"c\",1]", "[\"c\",2]", "[\"a\",9]"].map(|key| Key::decode(key).unwrap()).to_vec();
    let again = source.again(keys, moment()).await.unwrap();
    assert!(again[1].is_none());
    assert_eq!(texts(again.iter().flatten(), "shop"), ["c", "a"]);
}

pub(super) async fn a_query(ground: Ground) {
    ground.sql("CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(20), due INTEGER)");
    ground.sql("CREATE TABLE orders (owner INTEGER, cents INTEGER)");
    ground.sql("INSERT INTO users VALUES (1, 'a', 1780275600), (2, 'b', 1780275600), (3, 'c', 1780275601), (4, 'd', 1)");
    ground.sql("INSERT INTO orders VALUES (1, 5), (1, 6), (2, 7), (3, 8)");
    let mut settings = table("", &["id"], "", &[]);
    settings.source.relation = Relation::Query(
        "WITH due AS (SELECT * FROM users WHERE due <= :fire_time_unix) -- :no
         SELECT due.id AS id, due.name, sum(cents) AS total FROM due JOIN orders ON owner = due.id
         GROUP BY due.id, due.name HAVING sum(cents) > 0 AND ':no' <> '' -- the end"
            .to_owned(),
    );
    let source = ground.source(&settings);
    let read = walk(&source, 1).await;
    assert_eq!(texts(rows(&read), "name"), ["a", "b"]);
    assert_eq!(texts(rows(&read), "total"), ["11", "7"]);
    assert_eq!(source.count(moment()).await.unwrap(), 2);
    let keys = [2, 4, 1].map(|id| Key::from(Part::Int(id))).to_vec();
    let again = source.again(keys, moment()).await.unwrap();
    assert_eq!(again.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    settings.source.columns = vec!["name".to_owned()];
    let read = walk(&ground.source(&settings), 5).await;
    assert_eq!(read[0].row.columns.to_vec(), ["name"]);
}

pub(super) async fn times_in_conditions(ground: Ground) {
    for (number, (kind, is_instant)) in ground.words.times.iter().enumerate() {
        let name = format!("t{number}");
        ground.sql(&format!("CREATE TABLE {name} (id INTEGER PRIMARY KEY, due {kind})"));
        // Around the fire time, 01:00:00, and the present, 01:00:01.
        let zone = if *is_instant { "+00" } else { "" };
        for (id, time) in [
            (1, "2026-05-31 23:00:00"),
            (2, "2026-06-01 01:00:00"),
            (3, "2026-06-01 01:00:01"),
            (4, "2026-06-01 09:00:00"),
        ] {
            ground.sql(&format!("INSERT INTO {name} VALUES ({id}, '{time}{zone}')"));
        }
        // What a clock in Shanghai shows is eight hours on; an instant is the same everywhere.
        let local = if *is_instant { vec!["1", "2"] } else { vec!["1", "2", "3", "4"] };
        for (condition, expected) in [
            ("due <= :now", vec!["1", "2", "3"]),
            ("due < :now", vec!["1", "2"]),
            ("due <= :fire_time", vec!["1", "2"]),
            ("due = :fire_time", vec!["2"]),
            ("due <= :fire_time_local", local),
            ("due > :fire_time AND due <= :now AND :now_unix = 1780275601 + 0", vec!["3"]),
        ] {
            let source = ground.source(&table(&name, &["id"], condition, &[]));
            let read = walk(&source, 10).await;
            assert_eq!(texts(rows(&read), "id"), expected, "{kind}: {condition}");
            assert_eq!(source.count(moment()).await.unwrap(), expected.len() as u64);
        }
    }
}

pub(super) async fn names_that_need_quotes(ground: Ground) {
    let quoted = match ground.settings {
        crate::settings::DatabaseSettings::MySql(_) => Dialect::MySql,
        _ => Dialect::Postgres,
    };
    let [strange, order, select, plain] = ["a \"b\" `c` 'd' :now ? $1 名", "order", "select", "Mixed Case"]
        .map(|name| (name, quoted.quote(name)));
    ground.sql(&format!(
        "CREATE TABLE {} ({} INTEGER NOT NULL, {} INTEGER NOT NULL, {} INTEGER, PRIMARY KEY ({}, {}))",
        strange.1, order.1, strange.1, select.1, order.1, strange.1
    ));
    ground.sql(&format!("INSERT INTO {} VALUES (1, 1, 0), (1, 2, 0), (2, 1, 0)", strange.1));
    let filter = format!("{} = 0", select.1);
    let mut settings = table(strange.0, &[order.0, strange.0], &filter, &[(select.0, json!(1))]);
    settings.source.columns = vec![strange.0.to_owned(), select.0.to_owned()];
    let source = ground.source(&settings);
    let read = walk(&source, 1).await;
    assert_eq!(texts(rows(&read), strange.0), ["1", "2", "1"]);
    let marked = super::marks::sent(&source, read.into_iter().map(|row| row.key)).await.unwrap();
    assert_eq!(marked.len(), 3);
    assert_eq!(source.count(moment()).await.unwrap(), 0);
    assert_eq!(plain.0, "Mixed Case");
}

pub(super) async fn values_of_every_type(ground: Ground) {
    let (decimal, exactly) = &ground.words.decimal;
    ground.sql(&format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, small SMALLINT, big BIGINT, real8 DOUBLE PRECISION, flag BOOLEAN,
                         words TEXT, bytes {}, exact {decimal}, empty INTEGER)",
        ground.words.bytes
    ));
    ground.sql("INSERT INTO t VALUES (1, -7, 9007199254740993, 0.1, true, '鼓 '' \"', NULL, '12345678901234567890.10', NULL)");
    let source = ground.source(&table("t", &["id"], "flag", &[]));
    let read = walk(&source, 10).await;
    let value = |name: &str| read[0].row.get(name).unwrap().clone();
    assert_eq!(value("small"), Scalar::Int(-7));
    assert_eq!(value("big"), Scalar::Int(9_007_199_254_740_993));
    assert_eq!(value("real8"), Scalar::Float(0.1));
    assert_eq!(value("flag"), ground.words.yes);
    assert_eq!(value("words"), Scalar::Text("鼓 ' \"".to_owned()));
    assert_eq!(&value("exact"), exactly);
    assert_eq!((value("bytes"), value("empty")), (Scalar::Null, Scalar::Null));
    let names = ["id", "small", "big", "real8", "flag", "words", "bytes", "exact", "empty"];
    assert_eq!(read[0].row.columns.to_vec(), names);
}

pub(super) async fn counting_and_taking_all(ground: Ground) {
    ground.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20))");
    ground.sql("INSERT INTO t VALUES (3, 'a'), (1, 'c'), (2, 'b'), (4, 'no')");
    let mut settings = table("t", &["id"], "name <> 'no'", &[]);
    let source = ground.source(&settings);
    assert_eq!(source.count(moment()).await.unwrap(), 3);
    let all = source.all(3, moment()).await.unwrap();
    assert_eq!(texts(all.iter().map(|(_, row)| row), "name"), ["c", "b", "a"]);
    assert_eq!(all[0].0, Some(Key::from(Part::Int(1))));
    let message = source.all(2, moment()).await.unwrap_err().to_string();
    assert!(message.contains("more than 2 rows"), "{message}");
    settings.source.relation =
        Relation::Query("SELECT name FROM t WHERE id < 4 ORDER BY name DESC".to_owned());
    settings.source.key = Vec::new();
    settings.action =
        crate::settings::ActionSettings::Digest { mail: super::super::world::mail(), max_rows: 9 };
    let all = ground.source(&settings).all(9, moment()).await.unwrap();
    assert_eq!(texts(all.iter().map(|(_, row)| row), "name"), ["c", "b", "a"]);
    assert!(all.iter().all(|(key, _)| key.is_none()));
}
