//! Nobody is there to take deliveries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::world::{World, account, context, sent, start_of_time, unreachable};
use crate::clock::Clock;
use crate::run::{Output, RunContext, Status};

/// Answers "nobody" so many times, and delivers then.
fn away_for(world: &World, times: u32) -> Arc<AtomicU32> {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    world.post.answers(
        move |_| {
            if count.fetch_add(1, Ordering::SeqCst) < times { unreachable() } else { sent() }
        },
    );
    asked
}

#[tokio::test]
async fn a_run_waits_and_goes_on_by_itself() {
    let mut world = World::new(25);
    world.clock = Clock::system();
    // Three were under way when it began, one asked again.
    let asked = away_for(&world, 4);
    let (said, lines) = std::sync::mpsc::channel();
    let output = Output::new(move |_, line| said.send(line).unwrap());
    let fire = world.next_fire();
    let outcome = world.start().await.batch.run(&fire, &RunContext { output, ..context() }).await;
    assert_eq!((outcome.status, account(&outcome)), (Status::Succeeded, "sent 10".to_owned()));
    assert_eq!(asked.load(Ordering::SeqCst), 14, "each row asked once, but for those that came back");
    assert_eq!(world.keys("status = true"), (1..=10).collect::<Vec<_>>());
    assert!(world.post.counts().values().all(|count| *count == 1));
    assert!(world.ledger().is_empty());
    let lines: Vec<String> = lines.try_iter().collect();
    assert_eq!(lines[0], "nobody is there to take deliveries, waiting: nobody listens");
    assert!(lines[1].starts_with("deliveries go on after "), "{lines:?}");
}

/// The row that asks is the only one: those that wait for their turn come back.
#[tokio::test]
async fn rows_that_wait_for_their_turn_do_not_hold_the_question_up() {
    let mut world = World::new(25);
    world.clock = Clock::system();
    let asked = away_for(&world, 2);
    world.post.keeps_waiting(move |email| email == "2@x" && asked.load(Ordering::SeqCst) < 2);
    let outcome = world.run().await;
    assert_eq!((outcome.status, account(&outcome)), (Status::Succeeded, "sent 10".to_owned()));
    assert_eq!(world.post.counts().len(), 10);
    assert!(world.post.counts().values().all(|count| *count == 1));
}

#[tokio::test]
async fn a_run_gives_up_and_no_row_is_to_blame() {
    let mut world = World::new(25);
    world.clock = Clock::system();
    world.settings.patience = Duration::from_millis(50);
    world.post.answers(|_| unreachable());
    let outcome = world.run().await;
    assert_eq!((outcome.status, outcome.pause), (Status::Failed, false));
    assert!(outcome.message.as_ref().unwrap().starts_with("gave up after 0 s: nobody listens; 0 sent"));
    assert_eq!(account(&outcome), "retrying 3", "those that were tried; the others are as they were");
    let waiting: BTreeMap<String, String> =
        (1..=3).map(|key| (format!("[{key}]"), "waiting".to_owned())).collect();
    assert_eq!(world.ledger(), waiting);

    // Later than the next try of them.
    world.post.answers(|_| sent());
    world.clock = Clock::manual(start_of_time() + chrono::TimeDelta::days(36_500));
    for _ in 0..3 {
        world.run().await;
    }
    assert_eq!(world.keys("status = true").len(), 25);
    assert!(world.post.counts().values().all(|count| *count == 1));
}

#[tokio::test]
async fn a_drain_ends_the_wait() {
    let mut world = World::new(25);
    world.clock = Clock::system();
    let drain = CancellationToken::new();
    let stop = drain.clone();
    let output = Output::new(move |_, _| stop.cancel());
    world.post.answers(|_| unreachable());
    let fire = world.next_fire();
    let outcome = world.start().await.batch.run(&fire, &RunContext { output, drain, ..context() }).await;
    assert_eq!(outcome.status, Status::Interrupted);
    assert_eq!(account(&outcome), "retrying 3");
    assert!(world.states().iter().all(|state| state == "waiting"));
}
