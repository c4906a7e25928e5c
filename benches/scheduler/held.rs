//! Triggers that wait: memory, time to schedule, and what it costs to sleep.

use std::time::Duration;

use gulou::clock::Clock;
use gulou::engine::Inline;
use gulou::run::Outcome;
use tokio_util::sync::CancellationToken;

use super::measure::{cpu, resident, seconds, sleeps};
use super::{ours, rival};

pub(crate) const HEADING: &str = "held: triggers that fire once a year, mostly\n\
    who       triggers   bytes each    MB in all   first start s   next start s   wake-ups/s    CPU %";

/// Days and months, none of which comes while this runs.
const EXPRESSIONS: [&str; 4] = ["0 0 9 1 6 * *", "0 30 17 LW 3 ? *", "0 0 0 29 2 * *", "0 15 10 ? 2 FRI#2 *"];

pub(crate) fn ours(triggers: usize) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let inline = Inline::new(|_| Box::pin(async { Outcome::succeeded(None) }));
    let runtime = ours::runtime();
    let before = resident();
    let functions = ours::functions(triggers, &EXPRESSIONS, &inline);
    // The very first start makes a row for each trigger; every later one finds them.
    let first = {
        let (mut engine, _handle) = ours::engine(folder.path(), CancellationToken::new());
        let start = clock.monotonic();
        runtime.block_on(engine.recover(functions.clone())).unwrap();
        clock.monotonic().saturating_sub(start)
    };
    let drain = CancellationToken::new();
    let (mut engine, _handle) = ours::engine(folder.path(), drain.clone());
    let start = clock.monotonic();
    runtime.block_on(engine.recover(functions)).unwrap();
    let next = clock.monotonic().saturating_sub(start);
    let running = runtime.spawn(engine.run());
    let idle = idle();
    let held = resident() - before;
    row("gulou", triggers, held, Some(first), next, idle);
    drain.cancel();
    runtime.block_on(running).unwrap().unwrap();
}

pub(crate) fn rival(triggers: usize) {
    let clock = Clock::system();
    let runtime = ours::runtime();
    let before = resident();
    let start = clock.monotonic();
    let scheduler = runtime.block_on(rival::scheduler(triggers, rival::YEARLY, |_| {}));
    runtime.block_on(scheduler.start()).unwrap();
    let took = clock.monotonic().saturating_sub(start);
    let idle = idle();
    row("rival", triggers, resident() - before, None, took, idle);
    // It has no way to stop that is faster than this.
    std::process::exit(0);
}

/// Wake-ups a second and the share of a core, while nothing is due.
fn idle() -> (f64, f64) {
    // What the start has left to do is over by then.
    std::thread::sleep(Duration::from_secs(5));
    let (clock, slept, used) = (Clock::system(), sleeps(), cpu());
    std::thread::sleep(Duration::from_secs(seconds()));
    let took = clock.monotonic().as_secs_f64();
    // The one sleep of this thread is not theirs.
    let wakes = (sleeps() - slept).saturating_sub(1) as f64;
    (wakes / took, cpu().saturating_sub(used).as_secs_f64() / took * 100.0)
}

fn row(who: &str, triggers: usize, held: u64, first: Option<Duration>, next: Duration, idle: (f64, f64)) {
    let each = held as f64 / triggers as f64;
    let first = first.map_or("-".to_owned(), |first| format!("{:.2}", first.as_secs_f64()));
    println!(
        "{who:<8}  {triggers:>8}  {each:>11.0}  {:>11.0}  {first:>14}  {:>13.2}  {:>11.2}  {:>7.3}",
        held as f64 / 1e6,
        next.as_secs_f64(),
        idle.0,
        idle.1
    );
}
