//! Runs that deliver what waits for another try, and nothing else.

use std::time::Duration;

use rusqlite::Connection;

use super::Fuse;
use super::world::{Daemon, World, account, fire, mail, retry, sent};
use crate::run::{self, Reason, Status};
use crate::settings::{ActionSettings, Pages};

const MINUTE: Duration = Duration::from_secs(60);

/// A wake-up of the lane.
async fn wake(world: &World, daemon: &Daemon) -> run::Outcome {
    daemon.run(&fire(world.clock.now(), Reason::Retry)).await
}

/// Where the newest scope stands: trigger's fire, its state, rows taken, cursor.
fn scope(world: &World) -> (i64, String, i64, Option<String>) {
    let state = Connection::open(world.state()).unwrap();
    let newest = "SELECT fire_time, state, taken, cursor FROM ledger_scope ORDER BY id DESC LIMIT 1";
    state.query_row(newest, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap()
}

#[tokio::test]
async fn rows_that_are_due_go_out_and_the_sweep_stays_where_it_is() {
    for mark in [true, false] {
        let mut world = World::new(30);
        if !mark {
            world.settings.mark = None;
        }
        world.post.answers(|email| if email == "2@x" || email == "3@x" { retry() } else { sent() });
        let daemon = world.start().await;
        assert_eq!(account(&daemon.run(&world.next_fire()).await), "sent 8, retrying 2");
        let before = scope(&world);
        let early = wake(&world, &daemon).await;
        assert_eq!((account(&early).as_str(), early.idle), ("", true), "not due yet");
        world.clock.advance(MINUTE);
        world.post.answers(|email| if email == "3@x" { retry() } else { sent() });
        let outcome = wake(&world, &daemon).await;
        assert_eq!((account(&outcome).as_str(), outcome.status), ("sent 1, retrying 1", Status::Succeeded));
        assert_eq!(outcome.result.unwrap()["remaining"], serde_json::Value::Null);
        assert_eq!(scope(&world), before, "fire, rows taken and cursor are as they were");
        assert_eq!(world.post.taken().len(), 9, "no page was read");
        world.post.answers(|_| sent());
        world.clock.advance(5 * MINUTE);
        assert_eq!(account(&wake(&world, &daemon).await), "sent 1");
        assert_eq!(daemon.batch.next_retry_at().await.unwrap(), None);
        assert_eq!(account(&daemon.run(&world.next_fire()).await), "sent 10", "the next page");
        assert!(world.post.counts().values().all(|count| *count == 1) && world.ledger().is_empty());
    }
}

#[tokio::test]
async fn all_that_is_due_goes_out_however_much_it_is() {
    let mut world = World::new(60);
    world.settings.pages = Pages::All;
    world.post.answers(|_| retry());
    let daemon = world.start().await;
    assert_eq!(account(&daemon.run(&world.next_fire()).await), "retrying 60");
    world.post.answers(|_| sent());
    world.clock.advance(MINUTE);
    assert_eq!(account(&wake(&world, &daemon).await), "sent 60", "six pages of it");
    assert!(world.keys("status = false").is_empty());
}

#[tokio::test]
async fn a_batch_that_never_ran_has_nothing_to_do() {
    let world = World::new(3);
    let outcome = wake(&world, &world.start().await).await;
    assert_eq!((outcome.status, outcome.idle), (Status::Succeeded, true));
    assert!(world.post.taken().is_empty());
}

/// The fire that the drain stopped is resumed for the rest of its page, whatever the lane did meanwhile.
#[tokio::test]
async fn a_stopped_fire_keeps_its_place() {
    let mut world = World::new(10);
    world.settings.concurrency = 1;
    let context = super::world::context();
    let drain = context.drain.clone();
    world.post.answers(move |email| {
        if email == "4@x" {
            drain.cancel();
        }
        if email == "1@x" { retry() } else { sent() }
    });
    let due = world.next_fire();
    let daemon = world.start().await;
    assert_eq!(daemon.batch.run(&due, &context).await.status, Status::Interrupted);
    world.post.answers(|_| sent());
    world.clock.advance(MINUTE);
    assert_eq!(account(&wake(&world, &daemon).await), "sent 1");
    let interrupted = daemon.batch.recover().await.unwrap().interrupted;
    assert_eq!(interrupted.len(), 1);
    assert_eq!(account(&daemon.run(&fire(due.fire_time, Reason::Resume)).await), "sent 6");
    assert!(world.keys("status = false").is_empty() && world.ledger().is_empty());
}

/// The power goes at every step of a lane run; nothing is delivered twice, nothing lost.
#[tokio::test]
async fn a_power_cut_leaves_at_most_what_was_under_way_in_doubt() {
    let mut cuts = 0;
    loop {
        let mut world = World::new(6);
        world.post.answers(|_| retry());
        assert_eq!(account(&world.run().await), "retrying 6");
        world.post.answers(|_| sent());
        world.clock.advance(MINUTE);
        world.fuse = Fuse::after(cuts);
        let daemon = world.start().await;
        let fuse = world.fuse.clone();
        let done = tokio::select! {
            biased;
            () = fuse.blown() => false,
            _ = wake(&world, &daemon) => true,
        };
        drop(daemon);
        world.fuse = Fuse::default();
        let daemon = world.start().await;
        let recovery = daemon.batch.recover().await.unwrap();
        assert!(recovery.held <= 4, "{cuts}: {recovery:?}");
        wake(&world, &daemon).await;
        let held = u64::try_from(world.ledger().len()).unwrap();
        assert_eq!(held, recovery.held, "{cuts}");
        assert_eq!(world.keys("status = true").len() as u64 + held, 6, "{cuts}");
        assert!(world.post.counts().values().all(|count| *count == 1), "{cuts}");
        if done {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 8, "{cuts}");
}

#[tokio::test]
async fn a_digest_that_waits_goes_out_alone() {
    for mark in [true, false] {
        let mut world = World::new(2);
        world.settings.action = ActionSettings::Digest { mail: mail(), max_rows: 9 };
        if !mark {
            world.settings.mark = None;
        }
        world.post.answers(|_| retry());
        let daemon = world.start().await;
        let due = world.next_fire();
        assert_eq!(account(&daemon.run(&due).await), "retrying 2");
        assert_eq!(account(&wake(&world, &daemon).await), "", "not due yet");
        world.post.answers(|_| sent());
        world.clock.advance(MINUTE);
        if mark {
            world.add(3, 3);
        }
        assert_eq!(account(&wake(&world, &daemon).await), "sent 2");
        assert_eq!(world.post.taken(), ["1@x+2@x"]);
        assert!(world.ledger().is_empty());
        // The fire is over: a resumption must not send it again.
        let resumed = daemon.run(&fire(due.fire_time, Reason::Resume)).await;
        assert_eq!(account(&resumed), if mark { "sent 1" } else { "" });
    }
}
