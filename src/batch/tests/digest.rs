//! One mail for all rows.

use std::time::Duration;

use super::world::{World, account, failed, fire, mail, retry, sent, uncertain};
use crate::run::{Reason, Status};
use crate::settings::{ActionSettings, Relation};

/// A digest without a mark and without a key, over rows that are due.
fn world(rows: u32) -> World {
    let mut world = World::new(rows);
    world.settings.action = ActionSettings::Digest { mail: mail(), max_rows: 5 };
    world.settings.mark = None;
    world.settings.source.key = Vec::new();
    world.settings.source.relation =
        Relation::Query("SELECT email FROM users WHERE due = 0 ORDER BY id DESC".to_owned());
    world.settings.source.columns = Vec::new();
    world
}

#[tokio::test]
async fn all_rows_go_out_in_one_mail_in_the_querys_order() {
    let mut world = world(3);
    let outcome = world.run().await;
    assert_eq!((outcome.status, account(&outcome).as_str()), (Status::Succeeded, "sent 3"));
    assert_eq!(world.post.taken(), ["3@x+2@x+1@x"]);
    assert_eq!(account(&world.run().await), "sent 3", "each fire has its own");
    assert!(world.ledger().is_empty());
}

#[tokio::test]
async fn without_rows_nothing_is_sent() {
    let mut world = world(0);
    let outcome = world.run().await;
    assert_eq!((outcome.status, outcome.idle), (Status::Succeeded, true));
    assert_eq!(outcome.message.unwrap(), "nothing to send");
    assert!(world.post.taken().is_empty());
}

#[tokio::test]
async fn more_rows_than_allowed_fail_the_run() {
    let outcome = world(6).run().await;
    assert_eq!(outcome.status, Status::Failed);
    assert!(outcome.message.unwrap().contains("more than 5 rows"));
}

#[tokio::test]
async fn a_mail_that_did_not_go_out_is_sent_by_the_next_run() {
    let mut world = world(2);
    world.post.answers(|_| retry());
    let outcome = world.run().await;
    assert_eq!((outcome.status, account(&outcome).as_str()), (Status::Failed, "retrying 2"));
    world.post.answers(|_| sent());
    world.clock.advance(Duration::from_secs(1));
    let outcome = world.run().await;
    assert_eq!((outcome.status, account(&outcome).as_str()), (Status::Succeeded, "sent 4"));
    assert_eq!(world.post.taken().len(), 2, "the earlier fire's and this one's");
    assert!(world.ledger().is_empty());
}

#[tokio::test]
async fn a_resumption_of_the_fire_sends_it_once() {
    let mut world = world(2);
    let daemon = world.start().await;
    let due = world.next_fire();
    world.post.answers(|_| retry());
    assert_eq!(account(&daemon.run(&due).await), "retrying 2");
    world.post.answers(|_| sent());
    assert_eq!(account(&daemon.run(&fire(due.fire_time, Reason::Resume)).await), "sent 2");
    assert_eq!(account(&daemon.run(&fire(due.fire_time, Reason::Resume)).await), "");
    assert_eq!(world.post.taken().len(), 1);
}

#[tokio::test]
async fn a_mail_that_failed_or_is_in_doubt_fails_the_run() {
    for (answer, heading) in [(failed(), "failed 2"), (uncertain(), "held 2")] {
        let mut world = world(2);
        world.post.answers(move |_| answer.clone());
        let outcome = world.run().await;
        assert_eq!((outcome.status, account(&outcome).as_str()), (Status::Failed, heading));
        assert_eq!(world.ledger().len(), 1);
    }
}

#[tokio::test]
async fn rows_of_a_digest_may_be_marked() {
    let mut world = World::new(3);
    world.settings.action = ActionSettings::Digest { mail: mail(), max_rows: 5 };
    world.post.answers(|_| retry());
    assert_eq!(account(&world.run().await), "retrying 3");
    world.add(4, 4);
    world.sql("DELETE FROM users WHERE id = 2");
    world.post.answers(|_| sent());
    assert_eq!(account(&world.run().await), "sent 3");
    assert_eq!(world.post.taken(), ["1@x+3@x+4@x"]);
    assert!(world.keys("status = false").is_empty());
    assert!(world.ledger().is_empty());
    assert_eq!(account(&world.run().await), "");
}
