//! What becomes of a row.

use std::time::Duration;

use chrono::TimeDelta;
use rusqlite::Connection;
use serde_json::json;

use super::world::{World, account, failed, retry, sent, uncertain};
use crate::settings::{MarkValue, OnUncertain, Pages};

#[tokio::test]
async fn a_row_that_goes_before_its_mark_is_vanished() {
    let mut world = World::new(5);
    let database = world.database();
    world.post.answers(move |email| {
        if email == "3@x" {
            let source = Connection::open(&database).unwrap();
            source.busy_timeout(Duration::from_secs(10)).unwrap();
            source.execute_batch("DELETE FROM users WHERE id = 3").unwrap();
        }
        sent()
    });
    let outcome = world.run().await;
    assert_eq!(account(&outcome), "sent 4, vanished 1");
    assert_eq!(outcome.result.unwrap()["vanished_after_delivery"], 1);
    assert!(world.ledger().is_empty());
}

#[tokio::test]
async fn a_row_that_cannot_be_rendered_fails_alone() {
    let mut world = World::new(3);
    world.sql("UPDATE users SET email = NULL WHERE id = 2");
    assert_eq!(account(&world.run().await), "sent 2, failed 1");
    assert_eq!(world.ledger().into_iter().collect::<Vec<_>>(), [("[2]".to_owned(), "kept".to_owned())]);
}

#[tokio::test]
async fn a_failure_is_marked_if_the_mark_says_how() {
    let mut world = World::new(3);
    world.settings.mark.as_mut().unwrap().failed = Some(vec![
        ("status".to_owned(), MarkValue::Literal(json!(2))),
        ("error".to_owned(), MarkValue::Parameter(":error".to_owned())),
        ("due".to_owned(), MarkValue::Parameter(":fire_time_unix".to_owned())),
    ]);
    world.post.answers(|email| if email == "2@x" { failed() } else { sent() });
    assert_eq!(account(&world.run().await), "sent 2, failed 1");
    assert_eq!(world.keys("status = 2 AND error = '550 no such user' AND due = 1780275601"), [2]);
    assert_eq!(world.keys("status = 1 AND error IS NULL"), [1, 3]);
    assert!(world.ledger().is_empty());
}

#[tokio::test]
async fn a_transient_failure_waits_longer_each_time_and_then_fails() {
    let mut world = World::new(1);
    world.post.answers(|_| retry());
    let daemon = world.start().await;
    assert_eq!(account(&daemon.run(&world.next_fire()).await), "retrying 1");
    for wait in [1, 5, 30, 120, 480] {
        let due = daemon.batch.next_retry_at().await.unwrap().unwrap();
        assert_eq!(due, world.clock.now() + TimeDelta::minutes(wait));
        world.clock.advance(Duration::from_secs(wait.unsigned_abs() * 60 - 1));
        assert_eq!(account(&daemon.run(&world.next_fire()).await), "", "not due yet");
        world.clock.advance(Duration::from_secs(1));
        let outcome = daemon.run(&world.next_fire()).await;
        assert_eq!(account(&outcome), if wait == 480 { "failed 1" } else { "retrying 1" });
    }
    assert_eq!(daemon.batch.next_retry_at().await.unwrap(), None);
    assert_eq!(world.ledger()["[1]"], "kept");
}

#[tokio::test]
async fn a_later_try_has_the_same_reservation_and_the_row_as_it_is_then() {
    let mut world = World::new(1);
    world.post.answers(|_| uncertain());
    world.settings.on_uncertain = OnUncertain::Resend;
    assert_eq!(account(&world.run().await), "uncertain 1");
    world.sql("UPDATE users SET email = 'new@x'");
    world.post.answers(|_| sent());
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(account(&world.run().await), "sent 1");
    assert_eq!(world.post.taken(), ["1@x", "new@x"]);
    let reservations = world.post.reservations();
    assert_eq!(reservations[0], reservations[1]);
    assert_eq!(world.keys("status = true"), [1]);
}

#[tokio::test]
async fn a_waiting_row_that_no_longer_matches_is_vanished() {
    let mut world = World::new(2);
    world.post.answers(|_| retry());
    assert_eq!(account(&world.run().await), "retrying 2");
    world.sql("UPDATE users SET status = true WHERE id = 1; DELETE FROM users WHERE id = 2");
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(account(&world.run().await), "vanished 2");
    assert!(world.ledger().is_empty());
}

#[tokio::test]
async fn doubtful_rows_are_held_for_an_operator() {
    let mut world = World::new(3);
    world.post.answers(|email| if email == "2@x" { uncertain() } else { sent() });
    assert_eq!(account(&world.run().await), "sent 2, held 1");
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(account(&world.run().await), "");
    assert_eq!(world.ledger()["[2]"], "held");
}

#[tokio::test]
async fn without_a_mark_a_retry_belongs_to_its_fire() {
    let mut world = World::new(1);
    world.settings.mark = None;
    world.settings.pages = Pages::All;
    world.post.answers(|_| retry());
    assert_eq!(account(&world.run().await), "retrying 1");
    world.post.answers(|_| sent());
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(account(&world.run().await), "sent 2", "the earlier fire's row and this one's");
    assert!(world.ledger().is_empty());
}
