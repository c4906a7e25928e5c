//! How a run ends before its work does, and how the work goes on.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;
use tokio::sync::Notify;

use super::world::{
    Answer, World, account, context, counts, failed, fire, halt, sent, start_of_time, wait_until_reserved,
};
use crate::clock::Clock;
use crate::run::{Reason, Status};
use crate::settings::{ErrorLimit, MarkValue, Pages, Rate, Relation};

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
async fn a_refused_sender_stops_the_batch_at_once_and_costs_no_row() {
    let mut world = World::new(40);
    world.settings.pages = Pages::All;
    world.post.answers(|email| if email == "7@x" || email == "8@x" { halt() } else { sent() });
    let outcome = world.run().await;
    assert_eq!(outcome.status, Status::Failed);
    assert!(outcome.message.as_ref().unwrap().contains("530 log in first"), "{outcome:?}");
    assert!(outcome.pause, "the next run would fare alike");
    let delivered = world.post.taken().len();
    assert!(delivered < 12, "{delivered}");
    world.post.answers(|_| sent());
    let outcome = world.run().await;
    assert_eq!(account(&outcome), format!("sent {}", 40 - delivered));
    assert!(world.keys("status = false").is_empty());
    assert!(world.post.counts().values().all(|count| *count == 1));
    assert!(world.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_stops_at_a_checkpoint_and_the_rest_is_resumed() {
    for (pages, total) in [(Pages::All, 40), (Pages::Count(NonZeroU32::new(2).unwrap()), 20)] {
        for mark in [true, false] {
            let mut world = World::new(40);
            world.settings.pages = pages;
            world.settings.concurrency = 1;
            if !mark {
                world.settings.mark = None;
            }
            let context = context();
            let (drain, state) = (context.drain.clone(), world.state());
            world.post.answers(move |email| {
                if email == "9@x" {
                    // Reserved and not started: it goes back.
                    wait_until_reserved(&state, "[10]");
                    drain.cancel();
                }
                sent()
            });
            let due = world.next_fire();
            let outcome = world.start().await.batch.run(&due, &context).await;
            assert_eq!(outcome.status, Status::Interrupted, "{outcome:?}");
            let first = world.post.taken().len();
            assert_eq!(first, 9);
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

/// They hold nobody else up either.
#[tokio::test]
async fn rows_whose_turn_does_not_come_are_given_back_and_not_in_doubt() {
    for at_once in [false, true] {
        let mut world = World::new(10);
        world.settings.concurrency = 4;
        world.post.keeps_waiting(|email| ["2@x", "5@x", "7@x"].contains(&email));
        let context = context();
        let stop = if at_once { context.abort.clone() } else { context.drain.clone() };
        world.post.answers(move |email| {
            if email == "10@x" {
                stop.cancel();
            }
            sent()
        });
        let fire = world.next_fire();
        let outcome = world.start().await.batch.run(&fire, &context).await;
        assert_eq!(
            (outcome.status, account(&outcome)),
            (Status::Interrupted, "sent 7, retrying 3".to_owned())
        );
        let waiting: BTreeMap<String, String> =
            [2, 5, 7].map(|key| (format!("[{key}]"), "waiting".to_owned())).into();
        assert_eq!(world.ledger(), waiting);

        world.post.keeps_waiting(|_| false);
        world.clock = Clock::manual(start_of_time() + chrono::TimeDelta::hours(1));
        world.run().await;
        assert_eq!(world.post.counts().len(), 10);
        assert!(world.post.counts().values().all(|count| *count == 1));
    }
}

/// Somebody else dealt with the row meanwhile.
#[tokio::test]
async fn a_row_that_waited_long_for_its_turn_is_read_again() {
    let mut world = World::new(10);
    let (clock, database) = (world.clock.clone(), world.database());
    let waited = AtomicBool::new(false);
    world.post.keeps_waiting(move |email| {
        if email == "2@x" && !waited.swap(true, Ordering::SeqCst) {
            clock.advance(Duration::from_secs(31));
            let people = Connection::open(&database).unwrap();
            people.execute("UPDATE users SET status = true WHERE id = 2", []).unwrap();
        }
        false
    });
    let outcome = world.run().await;
    assert_eq!(outcome.status, Status::Succeeded);
    assert!(!world.post.counts().contains_key("2@x"), "{:?}", world.post.counts());
    assert_eq!(world.post.counts().len(), 9);
    assert!(world.post.counts().values().all(|count| *count == 1));
    assert!(world.ledger().is_empty());
}

#[tokio::test]
async fn an_abort_leaves_what_was_under_way_in_doubt() {
    let mut world = World::new(10);
    // What is under way is given some real time to end.
    world.clock = Clock::system();
    let context = context();
    let abort = context.abort.clone();
    world.post.answers(move |email| {
        if email == "4@x" {
            abort.cancel();
            return Answer::Silent;
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

/// A new version, as a change of the folder makes it, fires while a run of the old one is under way.
#[tokio::test]
async fn versions_of_a_batch_run_one_after_the_other() {
    let mut world = World::new(20);
    let [old, new] = world.start_versions().await;
    let in_the_middle = Arc::new(Notify::new());
    let signal = Arc::clone(&in_the_middle);
    world.post.answers(move |email| {
        if email == "3@x" {
            signal.notify_one();
        }
        sent()
    });
    let (first, second) = (world.next_fire(), world.next_fire());
    let (first, second) = tokio::join!(old.run(&first), async {
        in_the_middle.notified().await;
        new.run(&second).await
    });
    assert_eq!([account(&first), account(&second)], ["sent 10", "sent 10"]);
    assert!(world.post.counts().len() == 20 && world.post.counts().values().all(|count| *count == 1));
    assert!(world.ledger().is_empty());
}

#[tokio::test]
async fn a_rate_is_kept() {
    let mut world = World::new(10);
    world.clock = Clock::system();
    world.settings.rate = Some(Rate { count: NonZeroU32::new(100).unwrap(), per: Duration::from_secs(1) });
    let began = world.clock.monotonic();
    assert_eq!(account(&world.run().await), "sent 10");
    assert!(world.clock.monotonic().saturating_sub(began) >= Duration::from_millis(60));
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
    let counts = counts(&outcome);
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

/// Every second row fails, from the fifth on.
fn every_second(email: &str) -> Answer {
    let id: u32 = email.trim_end_matches("@x").parse().unwrap();
    if id > 4 && id.is_multiple_of(2) { failed() } else { sent() }
}

#[tokio::test]
async fn a_batch_of_which_too_many_rows_fail_stops() {
    for mark in [true, false] {
        let mut world = World::new(60);
        world.settings.pages = Pages::All;
        world.settings.concurrency = 1;
        if !mark {
            world.settings.mark = None;
        }
        world.settings.pause_on_errors = Some(ErrorLimit { percent: 50, of_last: 10 });
        world.post.answers(every_second);
        let outcome = world.run().await;
        assert_eq!((outcome.status, outcome.pause), (Status::Failed, true));
        let message = outcome.message.as_ref().unwrap();
        let expected = "stopped: 5 of the last 10 rows failed, 50 % are too many; the last one: 550 no such user; 9 sent, 5 failed";
        assert!(message.starts_with(expected), "{message}");
        assert_eq!(
            account(&outcome),
            "sent 9, failed 5",
            "nothing but what was under way came after the fourteenth row"
        );
        assert_eq!(world.states(), vec!["kept"; 5]);
        if mark {
            // Mended: the rest goes out, and what failed stays failed.
            world.post.answers(|_| sent());
            assert_eq!(account(&world.run().await), "sent 46");
            assert!(world.post.counts().values().all(|count| *count == 1));
        }
    }
}

#[tokio::test]
async fn outcomes_count_over_runs() {
    let mut world = World::new(40);
    world.settings.source.page = 4;
    world.settings.pause_on_errors = Some(ErrorLimit { percent: 100, of_last: 10 });
    world.post.answers(|_| failed());
    let daemon = world.start().await;
    let mut failures = 0;
    for run in 1..=3 {
        let outcome = daemon.run(&world.next_fire()).await;
        failures += counts(&outcome)[0].1;
        assert_eq!(outcome.pause, run == 3, "{outcome:?}");
    }
    assert!((10..=12).contains(&failures), "{failures}");
}

#[tokio::test]
async fn a_batch_may_go_on_whatever_fails() {
    let mut world = World::new(300);
    world.settings.pages = Pages::All;
    world.settings.pause_on_errors = None;
    world.post.answers(|_| failed());
    let outcome = world.run().await;
    assert_eq!((outcome.status, account(&outcome).as_str()), (Status::Succeeded, "failed 300"));
    world.add(301, 301);
    world.post.answers(|_| halt());
    let outcome = world.run().await;
    assert_eq!((outcome.status, outcome.pause), (Status::Failed, false), "it stops, and is not paused");
}

/// With `overlap: allow` runs wait in the batch for each other.
#[tokio::test]
async fn who_waited_behind_a_run_that_stopped_does_not_begin() {
    let mut world = World::new(20);
    world.post.answers(|_| halt());
    let daemon = world.start().await;
    let (first, second) = (world.next_fire(), world.next_fire());
    let (first, second) = tokio::join!(daemon.run(&first), daemon.run(&second));
    assert_eq!((first.status, first.pause), (Status::Failed, true));
    assert_eq!((second.status, second.result), (Status::Interrupted, None));
    world.post.answers(|_| sent());
    assert_eq!(account(&daemon.run(&world.next_fire()).await), "sent 10", "once it goes on");
}
