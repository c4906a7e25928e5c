//! The account adds up, and agrees with the table and the ledger, whatever the outcomes are.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use super::world::{Answer, World, counts, failed, halt, retry, sent, uncertain};
use crate::settings::{MarkValue, OnUncertain, Pages};

/// What a batch is asked to do.
#[derive(Clone, Debug)]
struct Trial {
    rows: u32,
    page: u32,
    pages: Option<u32>,
    window: usize,
    concurrency: usize,
    resend: bool,
    mark: bool,
    mark_failed: bool,
    /// One digit a delivery, over and over.
    outcomes: Vec<u8>,
}

prop_compose! {
    fn trial()(
        rows in 0_u32..40,
        page in 1_u32..15,
        pages in proptest::option::of(1_u32..4),
        window in 1_usize..12,
        concurrency in 1_usize..6,
        flags in proptest::array::uniform3(any::<bool>()),
        outcomes in proptest::collection::vec(0_u8..24, 1..30),
    ) -> Trial {
        let [resend, mark, mark_failed] = flags;
        Trial { rows, page, pages, window, concurrency, resend, mark, mark_failed, outcomes }
    }
}

fn answer(digit: u8) -> Answer {
    match digit {
        0 | 1 => failed(),
        2 | 3 => retry(),
        4 => uncertain(),
        5 => halt(),
        _ => sent(),
    }
}

fn world(trial: &Trial) -> World {
    let mut world = World::new(trial.rows);
    let settings = &mut world.settings;
    settings.source.page = trial.page;
    settings.pages = trial.pages.and_then(NonZeroU32::new).map_or(Pages::All, Pages::Count);
    settings.window = trial.window;
    settings.concurrency = trial.concurrency;
    if trial.resend {
        settings.on_uncertain = OnUncertain::Resend;
    }
    if !trial.mark {
        settings.mark = None;
    } else if trial.mark_failed {
        let failed = vec![("status".to_owned(), MarkValue::Literal(2.into()))];
        settings.mark.as_mut().unwrap().failed = Some(failed);
    }
    let outcomes = trial.outcomes.clone();
    let next = std::sync::atomic::AtomicUsize::new(0);
    world.post.answers(move |_| {
        let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        answer(outcomes[at % outcomes.len()])
    });
    world
}

/// Runs four fires, some of them with due retries. `counts` checks that each account adds up.
async fn check(trial: Trial) {
    let mut world = world(&trial);
    let mut total: BTreeMap<String, u64> = BTreeMap::new();
    let daemon = world.start().await;
    for round in 0..4 {
        let outcome = daemon.run(&world.next_fire()).await;
        for (name, count) in counts(&outcome) {
            *total.entry(name).or_default() += count;
        }
        if round % 2 == 1 {
            world.clock.advance(Duration::from_secs(3600));
        }
    }
    let total = |name: &str| total.get(name).copied().unwrap_or_default();
    let states = world.states();
    let held = states.iter().filter(|state| *state == "held").count() as u64;
    assert_eq!(total("held"), held, "what is held stays held");
    let unsettled = ["reserved", "sent", "failed"];
    assert!(states.iter().all(|state| !unsettled.contains(&state.as_str())), "{states:?}");
    if trial.mark {
        assert_eq!(total("sent"), world.keys("status = 1").len() as u64, "sent is marked");
        let failed = if trial.mark_failed {
            world.keys("status = 2").len()
        } else {
            states.iter().filter(|state| *state == "kept").count()
        };
        assert_eq!(total("failed"), failed as u64);
        let most = if trial.resend { u32::MAX } else { 1 };
        assert!(world.post.counts().values().all(|count| *count <= most), "{:?}", world.post.counts());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_account_adds_up(trial in trial()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(check(trial));
    }
}
