//! Quotas: no span of time has more starts than they allow, through restarts, power cuts and other batches.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::Fuse;
use super::world::{Answer, Daemon, World, account, context, fire, sent};
use crate::action::Outcome;
use crate::clock::Clock;
use crate::run::{Output, Reason, RunContext, Status};
use crate::settings::{OnUncertain, Pages, QuotaSettings, Rate};

fn quota(name: &str, limits: &[(u32, u64)]) -> QuotaSettings {
    let limit = |(count, seconds): &(u32, u64)| Rate {
        count: (*count).try_into().unwrap(),
        per: Duration::from_secs(*seconds),
    };
    QuotaSettings { name: name.to_owned(), limits: limits.iter().map(limit).collect() }
}

/// When deliveries began, by the world's clock.
fn starts(world: &World) -> Arc<Mutex<Vec<DateTime<Utc>>>> {
    let starts: Arc<Mutex<Vec<_>>> = Arc::default();
    let (times, clock) = (Arc::clone(&starts), world.clock.clone());
    world.post.answers(move |_| {
        times.lock().unwrap().push(clock.now());
        sent()
    });
    starts
}

#[track_caller]
fn keeps(starts: &[DateTime<Utc>], limits: &[(u32, u64)], what: &str) {
    for (count, seconds) in limits {
        let span = TimeDelta::seconds(i64::try_from(*seconds).unwrap());
        for (index, start) in starts.iter().enumerate() {
            let within = starts[index..].iter().take_while(|at| **at < *start + span).count();
            assert!(within <= *count as usize, "{what}: {within} within {seconds} s of {start}");
        }
    }
}

/// Ends a run as soon as it says that it waits. Answers what it said beside the context.
fn until_it_waits() -> (RunContext, Arc<Mutex<Vec<String>>>) {
    let (drain, said) = (CancellationToken::new(), Arc::new(Mutex::new(Vec::new())));
    let (stop, lines) = (drain.clone(), Arc::clone(&said));
    let output = Output::new(move |_, line| {
        if line.contains("deliveries go on at") {
            stop.cancel();
        }
        lines.lock().unwrap().push(line);
    });
    (RunContext { output, drain, ..context() }, said)
}

#[tokio::test]
async fn a_run_waits_by_itself_until_the_window_has_room() {
    let mut world = World::new(12);
    world.clock = Clock::system();
    world.settings.pages = Pages::All;
    world.settings.quota = Some(quota("mass-mail", &[(5, 1)]));
    let starts = starts(&world);
    let outcome = world.run().await;
    assert_eq!((outcome.status, account(&outcome)), (Status::Succeeded, "sent 12".to_owned()));
    let starts = starts.lock().unwrap();
    keeps(&starts, &[(5, 1)], "a run");
    assert!(starts[11] - starts[0] < TimeDelta::seconds(60), "it goes on as soon as there is room");
}

#[tokio::test]
async fn a_stop_ends_the_wait_and_the_log_says_when_it_would_have_gone_on() {
    let mut world = World::new(30);
    world.settings.pages = Pages::All;
    world.settings.quota = Some(quota("provider-a", &[(4, 60)]));
    let (context, said) = until_it_waits();
    let fire = world.next_fire();
    let daemon = world.start().await;
    let outcome = daemon.batch.run(&fire, &context).await;
    assert_eq!((outcome.status, account(&outcome).as_str()), (Status::Interrupted, "sent 4"));
    let lines = said.lock().unwrap().clone();
    let expected = "the quota `provider-a` is used up, deliveries go on at 2026-06-01 09:01:01 CST";
    assert_eq!(lines.iter().filter(|line| *line == expected).count(), 1, "{lines:?}");
    // Nothing is left in doubt, and another batch with the same name finds the quota used up, another name not.
    assert!(world.ledger().is_empty());
    drop(daemon);
    world.settings.id = "other".to_owned();
    let (context, _) = until_it_waits();
    let other = world.next_fire();
    let outcome = world.start().await.batch.run(&other, &context).await;
    assert_eq!(account(&outcome), "");
    world.settings.quota = Some(quota("provider-b", &[(4, 60)]));
    let (context, _) = until_it_waits();
    let outcome = world.start().await.batch.run(&other, &context).await;
    assert_eq!(account(&outcome), "sent 4");
}

#[tokio::test]
async fn what_a_run_does_not_use_is_there_for_the_next() {
    let mut world = World::new(3);
    world.settings.quota = Some(quota("q", &[(60, 60)]));
    for _ in 0..20 {
        world.sql("UPDATE users SET status = false");
        assert_eq!(account(&world.run().await), "sent 3");
    }
}

/// Runs are cut off by power cuts and stops at random, the clock goes on and sometimes back, and in the end all is sent.
#[tokio::test]
async fn no_window_has_more_starts_than_the_quota_whatever_happens() {
    let limits = [(7, 60), (30, 600)];
    let cases: u64 = std::env::var("GULOU_QUOTA_LIVES").map_or(12, |text| text.parse().unwrap());
    for seed in 1..=cases {
        let mut random = seed;
        let mut roll = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut world = World::new(90);
        world.settings.pages = Pages::All;
        world.settings.on_uncertain = OnUncertain::Resend;
        world.settings.quota = Some(quota("q", &limits));
        let starts = starts(&world);
        let mut lives = 0;
        while !world.keys("status = false").is_empty() {
            lives += 1;
            assert!(lives < 2000, "seed {seed}: it never ends, {:?} are left", world.keys("status = false"));
            let steps = if roll(3) == 0 { i64::try_from(roll(40)).unwrap() } else { i64::MAX };
            world.fuse = Fuse::after(steps);
            let (context, _) = until_it_waits();
            let fire = world.next_fire();
            let Daemon { batch } = world.start().await;
            tokio::select! {
                biased;
                () = world.fuse.blown() => {}
                _ = batch.run(&fire, &context) => {}
            }
            drop(batch);
            world.clock.advance(Duration::from_millis(roll(40_000)));
        }
        let starts = starts.lock().unwrap();
        keeps(&starts, &limits, &format!("seed {seed}"));
        assert!(starts.len() >= 90, "seed {seed}");
    }
}

fn exhausted(hours: u64) -> Answer {
    let wait = Duration::from_secs(hours * 3600);
    Answer::Give(Outcome::Exhausted { reason: "errcode 45009".to_owned(), wait })
}

/// The other side's word holds for the row, the run, and whoever starts later.
#[tokio::test]
async fn when_the_other_side_takes_no_more_all_wait_and_no_row_is_to_blame() {
    let mut world = World::new(8);
    world.settings.pages = Pages::All;
    // What the action would say of itself.
    world.post.is_of("account");
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&asked);
    world.post.answers(move |email| {
        noted.lock().unwrap().push(email.to_owned());
        if email == "1@x" { sent() } else { exhausted(7) }
    });
    let (context, said) = until_it_waits();
    let fire_one = world.next_fire();
    let outcome = world.start().await.batch.run(&fire_one, &context).await;
    assert_eq!(outcome.status, Status::Interrupted);
    let tried = asked.lock().unwrap().len();
    assert!(tried <= 4, "{tried}: no more are asked than were under way");
    assert!(
        said.lock().unwrap().iter().any(|line| line.ends_with("deliveries go on at 2026-06-01 16:00:00 CST"))
    );
    assert_eq!(world.keys("status = true"), [1]);
    assert!(world.states().iter().all(|state| state == "waiting"), "{:?}", world.ledger());

    // Another run, of another batch with the same account: not one row is asked.
    for id in ["mass-mail", "other"] {
        world.settings.id = id.to_owned();
        let (context, said) = until_it_waits();
        let fire = world.next_fire();
        world.start().await.batch.run(&fire, &context).await;
        assert!(said.lock().unwrap().iter().any(|line| line.contains("`account` is at rest")));
    }
    assert_eq!(asked.lock().unwrap().len(), tried);

    // The quota has turned.
    world.settings.id = "mass-mail".to_owned();
    world.clock.advance(Duration::from_secs(7 * 3600));
    world.post.answers(|_| sent());
    let daemon = world.start().await;
    daemon.run(&fire(world.clock.now(), Reason::Retry)).await;
    daemon.run(&world.next_fire()).await;
    assert_eq!(world.keys("status = true").len(), 8);
    assert!(world.post.counts().values().all(|count| *count == 1));
}
