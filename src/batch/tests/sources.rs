//! Where rows may come from, and what is refused.

use super::world::{World, account, failed, sent};
use crate::run::Status;
use crate::settings::{MarkValue, Pages, Relation};

async fn refusal(world: &mut World) -> String {
    let outcome = world.run().await;
    assert_eq!(outcome.status, Status::Failed, "{outcome:?}");
    assert!(world.post.taken().is_empty(), "nothing is delivered");
    outcome.message.unwrap()
}

fn table(world: &mut World, name: &str, filter: &str) {
    world.settings.source.relation =
        Relation::Table { name: name.to_owned(), filter: Some(filter.to_owned()) };
}

#[tokio::test]
async fn text_keys_are_read_in_their_own_order() {
    let mut world = World::new(0);
    world.sql(
        "CREATE TABLE people (name TEXT COLLATE NOCASE PRIMARY KEY, email TEXT, status BOOLEAN DEFAULT false);
         INSERT INTO people (name, email) VALUES
            ('10', '10@x'), ('9', '9@x'), ('a', 'a@x'), ('B', 'B@x'), ('c''s \"name\"', 'c@x'), ('鼓楼', 'g@x')",
    );
    world.settings.source.key = vec!["name".to_owned()];
    world.settings.source.columns = Vec::new();
    world.settings.source.page = 2;
    world.settings.concurrency = 1;
    world.settings.mark.as_mut().unwrap().sent.truncate(1);
    table(&mut world, "people", "status = false");
    for emails in [["10@x", "9@x"], ["a@x", "B@x"], ["c@x", "g@x"]] {
        assert_eq!(account(&world.run().await), "sent 2");
        let taken = world.post.taken();
        assert_eq!(taken[taken.len() - 2..], emails);
    }
    assert_eq!(account(&world.run().await), "");
    assert!(world.ledger().is_empty());
}

#[tokio::test]
async fn a_query_of_ones_own_with_a_due_time_in_the_table() {
    let mut world = World::new(6);
    world.sql("UPDATE users SET due = 1780275600 + id");
    world.settings.source.relation = Relation::Query(
        "SELECT u.id AS id, u.email FROM users AS u WHERE u.due <= :fire_time_unix AND :now >= '2026' -- due\n;"
            .to_owned(),
    );
    world.settings.source.columns = Vec::new();
    world.settings.mark = None;
    world.settings.pages = Pages::All;
    assert_eq!(account(&world.run().await), "sent 1");
    assert_eq!(account(&world.run().await), "sent 2");
    assert_eq!(world.post.counts()["1@x"], 2);
}

#[tokio::test]
async fn a_condition_may_use_the_time_in_every_form() {
    let mut world = World::new(1);
    table(
        &mut world,
        "main.users",
        "status = false AND :now = '2026-06-01 01:00:00' AND :now_local = '2026-06-01 09:00:00'
         AND :now_unix = 1780275600 AND :fire_time_local = '2026-06-01 09:00:01'",
    );
    assert_eq!(account(&world.run().await), "sent 1");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_by_name() {
    let mut world = World::new(12);
    table(&mut world, "users", "status = :whatever");
    assert!(refusal(&mut world).await.contains(":whatever"), "parameter");
    table(&mut world, "users", "status = false");
    world.settings.source.columns = vec!["id".to_owned(), "mail".to_owned()];
    let message = refusal(&mut world).await;
    assert!(message.contains("no such column: \"mail\"") && !message.contains('\n'), "{message}");
    world.settings.source.columns = Vec::new();
    table(&mut world, "nobody", "1");
    assert!(refusal(&mut world).await.contains("no such table: nobody"), "table");
    table(&mut world, "users", "status = false");
    world.settings.source.key = vec!["due".to_owned()];
    assert!(refusal(&mut world).await.contains("the key \"due\" is not unique: 0 occurs twice"), "key");
    world.settings.source.key = vec!["sent_at".to_owned()];
    assert!(refusal(&mut world).await.contains("NULL"), "null key");
    world.sql("UPDATE users SET sent_at = 0.5 + id");
    world
        .sql("CREATE TABLE reals (k REAL, status BOOLEAN DEFAULT false); INSERT INTO reals (k) VALUES (0.5)");
    table(&mut world, "reals", "status = false");
    world.settings.source.key = vec!["k".to_owned()];
    assert!(refusal(&mut world).await.contains("floating-point"), "real key");
}

#[tokio::test]
async fn a_key_that_repeats_at_the_border_of_a_page_is_found() {
    let mut world = World::new(12);
    // Rows 10 and 11 share a key, and a page has ten rows.
    world.sql("UPDATE users SET due = id; UPDATE users SET due = 10 WHERE id = 11");
    world.settings.source.key = vec!["due".to_owned()];
    assert!(refusal(&mut world).await.contains("10 occurs twice"));
}

#[tokio::test]
async fn a_mark_that_cannot_be_made_loses_nothing() {
    let mut world = World::new(20);
    world.settings.pages = Pages::All;
    world.settings.mark.as_mut().unwrap().sent[0] = ("stauts".to_owned(), MarkValue::Literal(1.into()));
    let outcome = world.run().await;
    assert_eq!(outcome.status, Status::Failed);
    let message = outcome.message.unwrap();
    assert!(message.contains("could not be marked") && message.contains("stauts"), "{message}");
    let delivered = world.post.taken().len();
    assert_eq!(world.ledger().values().filter(|state| *state == "sent").count(), delivered);
    // As long as it is so, nothing more goes out.
    assert_eq!(world.run().await.status, Status::Failed);
    assert_eq!(world.post.taken().len(), delivered);
    world.settings.mark.as_mut().unwrap().sent[0].0 = "status".to_owned();
    assert_eq!(account(&world.run().await), format!("sent {}", 20 - delivered));
    assert!(world.post.counts().values().all(|count| *count == 1));
    assert!(world.keys("status = false").is_empty());
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_refused() {
    let mut world = World::new(1);
    world.settings.source.relation = Relation::Query("SELECT * FROM users".to_owned());
    assert!(world.refused().contains("a query cannot be marked"));
    world.settings.source.relation = Relation::Table { name: "users".to_owned(), filter: None };
    assert!(world.refused().contains("a mark needs a \"where\""));
    world.settings.source.key = Vec::new();
    assert!(world.refused().contains("source.key"));
}

#[tokio::test]
async fn a_key_of_several_columns() {
    let mut world = World::new(0);
    world.sql(
        "CREATE TABLE orders (shop TEXT, number INTEGER, email TEXT, status BOOLEAN DEFAULT false,
                              PRIMARY KEY (shop, number));
         INSERT INTO orders (shop, number, email) VALUES
            ('b', 1, 'b1@x'), ('a', 10, 'a10@x'), ('a', 9, 'a9@x'), ('c', 1, 'c1@x'), ('a', 1, 'a1@x')",
    );
    world.settings.source.key = vec!["shop".to_owned(), "number".to_owned()];
    world.settings.source.columns = vec!["email".to_owned()];
    world.settings.source.page = 2;
    world.settings.concurrency = 1;
    world.settings.mark.as_mut().unwrap().sent.truncate(1);
    table(&mut world, "orders", "status = false");
    world.post.answers(|email| if email == "a10@x" { failed() } else { sent() });
    assert_eq!(account(&world.run().await), "sent 2");
    assert_eq!(account(&world.run().await), "sent 1, failed 1");
    assert_eq!(account(&world.run().await), "sent 1");
    assert_eq!(world.post.taken(), ["a1@x", "a9@x", "b1@x", "c1@x"]);
    assert_eq!(world.ledger().into_keys().collect::<Vec<_>>(), ["[\"a\",10]"]);
}

#[tokio::test]
async fn a_key_that_is_not_what_the_ledger_has_is_refused() {
    let mut world = World::new(30);
    assert_eq!(account(&world.run().await), "sent 10");
    world.settings.source.key = vec!["id".to_owned(), "email".to_owned()];
    let outcome = world.run().await;
    let message = outcome.message.unwrap();
    assert!(message.contains("has the key 10 of this batch, which is not of the 2 columns"), "{message}");
    world.settings.source.key.truncate(1);
    assert_eq!(account(&world.run().await), "sent 10");
}
