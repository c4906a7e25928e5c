//! Power cuts at every step: before every write to the ledger, every mark and every delivery.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Fuse;
use super::world::{Answer, World, context, failed, fire, retry, sent};
use crate::run::{Fire, Reason, Status};
use crate::settings::{ActionSettings, OnUncertain, Pages};

const ROWS: u32 = 14;

/// What a batch goes through.
#[derive(Clone, Copy, Debug)]
struct Ordeal {
    on_uncertain: OnUncertain,
    /// Rows are marked; otherwise each goes out once for the fire.
    mark: bool,
    /// Steps until the first power cut, and from the restart to the second.
    cuts: [i64; 2],
}

/// 5@x never succeeds, 7@x and 12@x succeed at the second try.
fn answers(world: &World) {
    let clock = world.clock.clone();
    world.post.answers(move |email| match email {
        "5@x" => failed(),
        "7@x" | "12@x" if clock.monotonic().is_zero() => retry(),
        _ => sent(),
    });
}

/// A life until the power cut; false: it came to its end before that.
async fn life(world: &mut World, fire: &Fire, steps: i64) -> bool {
    world.fuse = Fuse::after(steps);
    let daemon = world.start().await;
    let run = async {
        daemon.batch.recover().await.unwrap();
        let outcome = daemon.batch.run(fire, &context()).await;
        assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
    };
    tokio::select! {
        biased;
        () = world.fuse.blown() => true,
        () = run => false,
    }
}

/// Two power cuts, then peace. True when both cuts happened.
async fn endure(ordeal: Ordeal) -> (World, bool) {
    let mut world = World::new(ROWS);
    world.settings.pages = Pages::All;
    world.settings.on_uncertain = ordeal.on_uncertain;
    if !ordeal.mark {
        world.settings.mark = None;
    }
    answers(&world);
    let timed = world.next_fire();
    let resumed = fire(timed.fire_time, Reason::Resume);
    let mut cut = life(&mut world, &timed, ordeal.cuts[0]).await;
    if cut {
        cut = life(&mut world, &resumed, ordeal.cuts[1]).await;
    }
    assert!(!life(&mut world, &resumed, i64::MAX).await);
    // Rows that wait are due now. Without a mark another fire would send to all again.
    for _ in 0..2 {
        world.clock.advance(Duration::from_secs(3600));
        if ordeal.mark {
            let later = world.next_fire();
            life(&mut world, &later, i64::MAX).await;
        }
    }
    (world, cut)
}

/// Every breach of the promise.
fn breaches(world: &World, ordeal: Ordeal) -> Vec<String> {
    let mut breaches = Vec::new();
    let (counts, ledger) = (world.post.counts(), world.ledger());
    let marked = world.keys("status = true");
    let mut held = 0;
    let mut repeated = 0;
    for row in 1..=ROWS {
        let times = counts.get(&format!("{row}@x")).copied().unwrap_or_default();
        let entry = ledger.get(&format!("[{row}]")).map(String::as_str);
        let is_marked = marked.contains(&i64::from(row));
        held += usize::from(entry == Some("held"));
        repeated += times.saturating_sub(1) as usize;
        let fine = match entry {
            Some("held") => !is_marked && ordeal.on_uncertain == OnUncertain::Hold,
            Some("kept") => !is_marked && times == 0 && row == 5,
            // Only a new fire takes what waits, and without a mark there is none here.
            Some("waiting" | "resend") => !ordeal.mark,
            Some(_) => false,
            None => times >= 1 && is_marked == ordeal.mark,
        };
        if !fine {
            breaches.push(format!("row {row}: taken {times} times, marked: {is_marked}, ledger: {entry:?}"));
        }
        if times > 1 && ordeal.on_uncertain == OnUncertain::Hold {
            breaches.push(format!("row {row}: taken {times} times, although doubtful rows are held"));
        }
    }
    let doubtful = world.settings.window * 2;
    if held > doubtful || repeated > doubtful {
        breaches.push(format!("{held} held and {repeated} repeated, at most {doubtful} can be in doubt"));
    }
    breaches
}

async fn every_cut(on_uncertain: OnUncertain, mark: bool) {
    for second in [i64::MAX, 1, 4, 9] {
        let mut first = 0;
        loop {
            let ordeal = Ordeal { on_uncertain, mark, cuts: [first, second] };
            let (world, cut) = endure(ordeal).await;
            let breaches = breaches(&world, ordeal);
            assert!(breaches.is_empty(), "{ordeal:?}:\n{}", breaches.join("\n"));
            if !cut && (second != i64::MAX || first > 60) {
                break;
            }
            first += 1;
        }
        assert!(first > 8, "only {first} cuts were survived");
    }
}

#[tokio::test]
async fn doubtful_rows_are_held_wherever_the_power_is_cut() {
    every_cut(OnUncertain::Hold, true).await;
}

#[tokio::test]
async fn doubtful_rows_are_sent_again_wherever_the_power_is_cut() {
    every_cut(OnUncertain::Resend, true).await;
}

#[tokio::test]
async fn without_a_mark_rows_are_held_wherever_the_power_is_cut() {
    every_cut(OnUncertain::Hold, false).await;
}

#[tokio::test]
async fn without_a_mark_rows_are_sent_again_wherever_the_power_is_cut() {
    every_cut(OnUncertain::Resend, false).await;
}

/// A digest of 3 rows: how often it was taken, and what the ledger holds.
async fn digest_with_cut(
    on_uncertain: OnUncertain,
    mark: bool,
    steps: i64,
) -> (BTreeMap<String, u32>, BTreeMap<String, String>, bool) {
    let mut world = World::new(3);
    world.settings.action = ActionSettings::Digest { mail: super::world::mail(), max_rows: 10 };
    world.settings.on_uncertain = on_uncertain;
    if !mark {
        world.settings.mark = None;
    }
    let timed = world.next_fire();
    let cut = life(&mut world, &timed, steps).await;
    if cut {
        life(&mut world, &fire(timed.fire_time, Reason::Resume), i64::MAX).await;
    }
    (world.post.counts(), world.ledger(), cut)
}

#[tokio::test]
async fn a_digest_goes_out_once_wherever_the_power_is_cut() {
    for mark in [true, false] {
        for steps in 0.. {
            let (counts, ledger, cut) = digest_with_cut(OnUncertain::Resend, mark, steps).await;
            let times = counts.get("1@x+2@x+3@x").copied().unwrap_or_default();
            // The other side took it, and the power went before that was recorded.
            let doubtful = times == 2 && cut;
            assert!(times == 1 || doubtful, "mark: {mark}, {steps} steps: {counts:?}");
            assert!(ledger.is_empty(), "mark: {mark}, {steps} steps: {ledger:?}");
            if !cut {
                break;
            }
        }
    }
}

#[tokio::test]
async fn rows_that_the_other_side_took_in_silence_are_in_doubt() {
    let mut world = World::new(10);
    world.post.answers(|email| if email == "4@x" { Answer::Silent } else { sent() });
    let timed = world.next_fire();
    let daemon = world.start().await;
    let post = world.post.clone();
    let all_but_silent = async {
        while post.counts().len() < 7 {
            tokio::task::yield_now().await;
        }
    };
    let context = context();
    tokio::select! {
        outcome = daemon.batch.run(&timed, &context) => panic!("{outcome:?}"),
        () = all_but_silent => {}
    }
    drop(daemon);
    let daemon = world.start().await;
    let recovery = daemon.batch.recover().await.unwrap();
    assert!((1..=4).contains(&recovery.held), "{recovery:?}");
    assert_eq!(world.ledger()["[4]"], "held");
    assert_eq!(recovery.interrupted.len(), 1);
    assert_eq!(recovery.interrupted[0].trigger, "mass-mail/t");
}
