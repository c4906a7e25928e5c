//! Ten years of a thousand triggers, with stops, kills, jumps of the clock, slow runs, pauses and reloads, looked at by
//! an independent model: every due fire time is accounted for exactly once.
//!
//! `world` is the machine, `fleet` what is configured, `life` what happens, `model` (with `trigger`, `rules` and `lanes`) what must be true of it.
//! The seed of a failing life replays it; see `scripts/torture.sh --simulation`.

mod doctored;
mod fleet;
mod lanes;
mod life;
mod model;
mod rng;
mod rules;
mod trigger;

use life::{Size, Story, live};

const HOUR: i64 = 3_600_000;

/// A number from the environment: `GULOU_SIM_SEED`, `GULOU_SIM_TRIGGERS`, `GULOU_SIM_DAYS`.
fn asked(name: &str) -> Option<u64> {
    let name = format!("GULOU_SIM_{name}");
    std::env::var(&name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn lives(seed: u64, size: Size) -> Story {
    live(seed, size, false).unwrap_or_else(|what| {
        let Size { triggers, days, .. } = size;
        panic!(
            "{what}\nagain with: GULOU_SIM_SEED={seed} GULOU_SIM_TRIGGERS={triggers} GULOU_SIM_DAYS={days} \
             cargo test --lib simulation"
        )
    })
}

fn size(triggers: usize, days: i64) -> Size {
    // About as many events for a small fleet as for a large one.
    Size { triggers, days, between: (days * 24 * HOUR / 800).max(1) }
}

#[test]
fn every_due_fire_is_accounted_for_exactly_once() {
    if let Some(seed) = asked("SEED") {
        let triggers = asked("TRIGGERS").map_or(30, |triggers| usize::try_from(triggers).unwrap());
        let days = asked("DAYS").map_or(60, u64::cast_signed);
        let started = crate::clock::Clock::system();
        let story = lives(seed, size(triggers, days));
        let Story { fired, skipped, events, starts, lanes, .. } = story;
        let took = started.monotonic();
        println!(
            "seed {seed}: {days} days of {triggers} triggers: {fired} fire times ran, {skipped} were skipped; {events} \
             events, {starts} starts; {lanes} runs of retry lanes; {took:.2?}"
        );
        return;
    }
    let fixed = 0..30;
    let random = uuid::Uuid::new_v4().as_u64_pair().0;
    let stories = fixed.chain([random]).map(|seed| lives(seed, size(30, 60)));
    assert!(stories.map(|story| story.lanes).sum::<u64>() > 1000, "retry lanes are lived through");
}
