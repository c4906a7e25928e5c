//! Which rows a run takes, and in which order.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use super::world::{World, account, failed, retry, sent, wait_until_reserved};
use crate::run::Status;
use crate::settings::Pages;

#[tokio::test]
async fn a_page_a_fire_until_the_table_is_sent() {
    let mut world = World::new(25);
    let daemon = world.start().await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let outcome = daemon.run(&world.next_fire()).await;
        assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
        seen.push((account(&outcome), outcome.result.unwrap()["remaining"].clone(), outcome.idle));
    }
    assert_eq!(
        seen,
        [
            ("sent 10".to_owned(), 15.into(), false),
            ("sent 10".to_owned(), 5.into(), false),
            ("sent 5".to_owned(), 0.into(), false),
            (String::new(), 0.into(), true),
        ]
    );
    assert_eq!(world.post.counts().len(), 25);
    assert!(world.post.counts().values().all(|count| *count == 1));
    assert_eq!(world.keys("status = true AND sent_at = '2026-06-01 01:00:00'").len(), 25);
    assert!(world.ledger().is_empty(), "the ledger empties itself");
}

#[tokio::test]
async fn all_pages_in_one_run() {
    let mut world = World::new(25);
    world.settings.pages = Pages::All;
    let outcome = world.run().await;
    assert_eq!(account(&outcome), "sent 25");
    let result = outcome.result.unwrap();
    assert_eq!((&result["pages"], &result["remaining"]), (&json!(3), &json!(0)));
    assert!(world.keys("status = false").is_empty());
}

#[tokio::test]
async fn a_page_is_filled_past_the_rows_that_the_ledger_holds() {
    let mut world = World::new(40);
    world.post.answers(|email| if email.len() == 3 { failed() } else { sent() });
    assert_eq!(account(&world.run().await), "sent 1, failed 9", "1@x to 9@x fail");
    // The sweep goes on behind them; once it is round, they are passed over.
    assert_eq!(account(&world.run().await), "sent 10");
    assert_eq!(account(&world.run().await), "sent 10");
    world.sql("UPDATE users SET status = false WHERE id IN (10, 11, 12, 13)");
    assert_eq!(account(&world.run().await), "sent 10", "31 to 40");
    assert_eq!(account(&world.run().await), "sent 4", "the flags that were reset");
    assert_eq!(account(&world.run().await), "");
    assert_eq!(world.keys("status = false"), (1..=9).collect::<Vec<_>>());
}

#[tokio::test]
async fn no_fire_is_wasted_on_the_end_of_a_sweep() {
    let mut world = World::new(0);
    world.add(101, 115);
    assert_eq!(account(&world.run().await), "sent 10");
    // Late rows, with keys that the sweep has passed: the page goes on with them.
    world.add(1, 8);
    assert_eq!(account(&world.run().await), "sent 10");
    assert_eq!(world.keys("status = false"), [6, 7, 8]);
    assert_eq!(account(&world.run().await), "sent 3");
    assert!(world.post.counts().values().all(|count| *count == 1));
}

#[tokio::test]
async fn a_table_may_grow_and_shrink_while_it_is_sent() {
    let mut world = World::new(60);
    world.settings.pages = Pages::All;
    let database = world.database();
    world.post.answers(move |email| {
        let source = Connection::open(&database).unwrap();
        source.busy_timeout(Duration::from_secs(10)).unwrap();
        if email == "5@x" {
            source.execute_batch("DELETE FROM users WHERE id > 50").unwrap();
            source.execute_batch("INSERT INTO users (id, email) VALUES (1000, '1000@x')").unwrap();
        }
        sent()
    });
    let outcome = world.run().await;
    assert_eq!(outcome.status, Status::Succeeded);
    assert!(world.keys("status = false").is_empty());
    assert!(world.post.counts().contains_key("1000@x"));
}

#[tokio::test]
async fn rows_that_wait_take_a_quarter_of_a_page_while_others_wait_behind_them() {
    let mut world = World::new(40);
    world.settings.source.page = 20;
    world.post.answers(|_| retry());
    assert_eq!(account(&world.run().await), "retrying 20");
    world.post.answers(|_| sent());
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(account(&world.run().await), "sent 20");
    assert_eq!(world.keys("status = true AND id <= 20").len(), 5, "due rows");
    assert_eq!(world.keys("status = true AND id > 20").len(), 15, "new rows");
    // With few new rows left, the page is filled with due ones.
    assert_eq!(account(&world.run().await), "sent 20");
    assert_eq!(
        (world.ledger(), world.keys("status = false")),
        ([].into(), vec![]),
        "{:?}",
        world.post.taken()
    );
}

#[tokio::test]
async fn a_row_that_comes_back_within_its_run_is_counted_once() {
    let mut world = World::new(12);
    world.settings.pages = Pages::All;
    world.settings.concurrency = 1;
    let clock = world.clock.clone();
    world.post.answers(move |email| match email {
        "1@x" if clock.monotonic().is_zero() => retry(),
        "6@x" => {
            clock.advance(Duration::from_secs(61));
            sent()
        }
        _ => sent(),
    });
    assert_eq!(account(&world.run().await), "sent 12");
    assert!(world.keys("status = false").is_empty());
}

#[tokio::test]
async fn without_a_mark_each_row_is_delivered_once_a_fire() {
    let mut world = World::new(25);
    world.settings.mark = None;
    world.settings.pages = Pages::All;
    world.post.answers(|email| if email == "3@x" { failed() } else { sent() });
    for round in 1..=3 {
        assert_eq!(account(&world.run().await), "sent 24, failed 1");
        assert!(world.post.counts().values().all(|count| *count == round));
        assert_eq!(world.ledger().len(), 1, "only what failed for this fire");
    }
}

#[tokio::test]
async fn without_a_mark_pages_walk_round_the_table() {
    let mut world = World::new(25);
    world.settings.mark = None;
    for _ in 0..5 {
        assert_eq!(account(&world.run().await), "sent 10");
    }
    assert!(world.post.counts().values().all(|count| *count == 2), "{:?}", world.post.counts());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_waited_long_are_read_again_before_they_are_delivered() {
    let mut world = World::new(8);
    world.settings.concurrency = 1;
    let (clock, database, state) = (world.clock.clone(), world.database(), world.state());
    world.post.answers(move |email| {
        if email == "2@x" {
            wait_until_reserved(&state, "[3]");
            clock.advance(Duration::from_secs(31));
            let source = Connection::open(&database).unwrap();
            source.busy_timeout(Duration::from_secs(10)).unwrap();
            source
                .execute_batch(
                    "UPDATE users SET email = 'new@x' WHERE id IN (4, 8);
                     DELETE FROM users WHERE id IN (3, 7)",
                )
                .unwrap();
        }
        sent()
    });
    let outcome = world.run().await;
    // 3 was reserved, 7 was not: it was never selected.
    assert_eq!(account(&outcome), "sent 6, vanished 1");
    assert_eq!(world.post.taken(), ["1@x", "2@x", "new@x", "5@x", "6@x", "new@x"]);
    assert!(world.ledger().is_empty());
}
