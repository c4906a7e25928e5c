//! What becomes of rows when nothing crashes.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::TimeDelta;
use rusqlite::Connection;
use serde_json::json;

use super::world::{World, account, context, failed, fire, halt, retry, sent, start_of_time, uncertain};
use crate::run::{Reason, Status};
use crate::settings::{MarkValue, OnUncertain, Pages, Rate, Relation};

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
async fn a_mark_that_does_not_change_the_condition_stops_the_batch() {
    let mut world = World::new(30);
    world.settings.pages = Pages::All;
    world.settings.source.relation =
        Relation::Table { name: "users".to_owned(), filter: Some("due = 0".to_owned()) };
    let outcome = world.run().await;
    assert_eq!(outcome.status, Status::Failed);
    let message = outcome.message.unwrap();
    assert!(message.contains("stuck: row ") && message.contains("due = 0"), "{message}");
    let delivered = world.post.taken().len();
    assert!(delivered < 30, "it stopped after {delivered} rows");
    // Never again what was delivered once, and nothing new while it is so.
    let outcome = world.run().await;
    assert_eq!(outcome.status, Status::Failed);
    assert!(outcome.message.unwrap().contains("stuck"));
    assert_eq!(world.post.taken().len(), delivered);
    world.settings.mark.as_mut().unwrap().sent.push(("due".to_owned(), MarkValue::Literal(json!(1))));
    assert_eq!(account(&world.run().await), format!("sent {}", 30 - delivered));
    assert!(world.post.counts().values().all(|count| *count == 1));
    assert!(world.ledger().is_empty());
}

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
async fn doubtful_rows_are_held_for_an_operator() {
    let mut world = World::new(3);
    world.post.answers(|email| if email == "2@x" { uncertain() } else { sent() });
    assert_eq!(account(&world.run().await), "sent 2, held 1");
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(account(&world.run().await), "");
    assert_eq!(world.ledger()["[2]"], "held");
}

#[tokio::test]
async fn a_refused_sender_stops_the_batch_at_once_and_costs_no_row() {
    let mut world = World::new(40);
    world.settings.pages = Pages::All;
    world.post.answers(|email| if email == "7@x" || email == "8@x" { halt() } else { sent() });
    let outcome = world.run().await;
    assert_eq!(outcome.status, Status::Failed);
    assert!(outcome.message.as_ref().unwrap().contains("530 log in first"), "{outcome:?}");
    let delivered = world.post.taken().len();
    assert!(delivered < 12, "{delivered}");
    world.post.answers(|_| sent());
    let outcome = world.run().await;
    assert_eq!(account(&outcome), format!("sent {}", 40 - delivered));
    assert!(world.keys("status = false").is_empty());
    assert!(world.post.counts().values().all(|count| *count == 1));
    assert!(world.ledger().is_empty());
}

#[tokio::test]
async fn a_drain_stops_at_a_checkpoint_and_the_rest_is_resumed() {
    for (pages, total) in [(Pages::All, 40), (Pages::Count(NonZeroU32::new(2).unwrap()), 20)] {
        for mark in [true, false] {
            let mut world = World::new(40);
            world.settings.pages = pages;
            if !mark {
                world.settings.mark = None;
            }
            let context = context();
            let drain = context.drain.clone();
            world.post.answers(move |email| {
                if email == "9@x" {
                    drain.cancel();
                }
                sent()
            });
            let due = world.next_fire();
            let outcome = world.start().await.batch.run(&due, &context).await;
            assert_eq!(outcome.status, Status::Interrupted, "{outcome:?}");
            let first = world.post.taken().len();
            assert!((9..15).contains(&first), "{first}");
            assert_eq!(account(&outcome), format!("sent {first}"));
            assert!(world.ledger().is_empty());

            let daemon = world.start().await;
            let recovery = daemon.batch.recover().await.unwrap();
            let interrupted: Vec<_> = recovery.interrupted.iter().map(|fire| fire.fire_time).collect();
            assert_eq!(interrupted, [due.fire_time]);
            let outcome = daemon.run(&fire(due.fire_time, Reason::Resume)).await;
            assert_eq!(account(&outcome), format!("sent {}", total - first), "{pages:?}, mark: {mark}");
            assert!(world.post.counts().values().all(|count| *count == 1));
            let again = daemon.run(&fire(due.fire_time, Reason::Resume)).await;
            assert_eq!((again.status, account(&again).as_str()), (Status::Succeeded, ""), "it is done");
            assert!(daemon.batch.recover().await.unwrap().interrupted.is_empty());
        }
    }
}

#[tokio::test]
async fn an_abort_leaves_what_was_under_way_in_doubt() {
    let mut world = World::new(10);
    let context = context();
    let abort = context.abort.clone();
    world.post.answers(move |email| {
        if email == "4@x" {
            abort.cancel();
            return super::world::Answer::Silent;
        }
        sent()
    });
    let due = world.next_fire();
    let outcome = world.start().await.batch.run(&due, &context).await;
    assert_eq!(outcome.status, Status::Interrupted);
    let delivered = world.post.taken().len();
    assert_eq!(account(&outcome), format!("sent {}, held 1", delivered - 1));
    assert_eq!(world.ledger().into_iter().collect::<Vec<_>>(), [("[4]".to_owned(), "held".to_owned())]);
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

#[tokio::test]
async fn a_rate_is_kept() {
    let mut world = World::new(10);
    world.clock = crate::clock::Clock::system();
    world.settings.rate = Some(Rate { count: NonZeroU32::new(100).unwrap(), per: Duration::from_secs(1) });
    let began = world.clock.monotonic();
    assert_eq!(account(&world.run().await), "sent 10");
    assert!(world.clock.monotonic() - began >= Duration::from_millis(60));
}

#[tokio::test]
async fn a_time_limit_ends_the_run_at_a_checkpoint() {
    let mut world = World::new(40);
    world.settings.pages = Pages::All;
    world.settings.time_limit = Some(Duration::from_secs(20));
    let clock = world.clock.clone();
    world.post.answers(move |_| {
        clock.advance(Duration::from_secs(2));
        sent()
    });
    let outcome = world.run().await;
    assert_eq!(outcome.status, Status::Succeeded);
    assert!(outcome.message.as_ref().unwrap().contains("time limit"), "{outcome:?}");
    let delivered = world.post.taken().len();
    assert!((10..=14).contains(&delivered), "{outcome:?}");
    assert!(world.ledger().is_empty());
}

#[tokio::test]
async fn rows_that_waited_long_are_read_again_before_they_are_delivered() {
    let mut world = World::new(8);
    world.settings.concurrency = 1;
    let (clock, database) = (world.clock.clone(), world.database());
    world.post.answers(move |email| {
        if email == "2@x" {
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

#[tokio::test]
async fn recording_with_an_old_epoch_is_refused() {
    let mut world = World::new(10);
    let state = world.state();
    world.post.answers(move |email| {
        if email == "2@x" {
            let state = Connection::open(&state).unwrap();
            state.busy_timeout(Duration::from_secs(10)).unwrap();
            state.execute_batch("UPDATE meta SET value = value + 1 WHERE name = 'epoch'").unwrap();
        }
        sent()
    });
    let outcome = world.run().await;
    assert_eq!(outcome.status, Status::Failed);
    assert!(outcome.message.as_ref().unwrap().contains("epoch 1 is over"), "{outcome:?}");
    let counts = super::world::counts(&outcome);
    let uncertain = counts.iter().find(|(name, _)| name == "uncertain").unwrap().1;
    assert!((1..=4).contains(&uncertain), "{counts:?}");
    world.state_sql("UPDATE ledger_entry SET epoch = epoch + 7");
    world.post.answers(|_| sent());
    let next = world.run().await;
    assert!(world.post.counts().values().all(|count| *count == 1), "{next:?}");
}

#[tokio::test]
async fn a_resumption_of_a_fire_that_is_over_does_nothing() {
    let mut world = World::new(5);
    world.settings.mark = None;
    world.settings.pages = Pages::All;
    let due = start_of_time();
    let daemon = world.start().await;
    assert_eq!(account(&daemon.run(&fire(due, Reason::Timed)).await), "sent 5");
    assert_eq!(account(&daemon.run(&fire(due, Reason::Resume)).await), "");
    // Somebody who asks for it gets it, in the same second too.
    assert_eq!(account(&daemon.run(&fire(due, Reason::Manual)).await), "sent 5");
}
