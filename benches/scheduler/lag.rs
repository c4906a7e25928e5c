//! Triggers that fire every second, with nothing to do: how late, and whether any is missed.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gulou::clock::Clock;
use gulou::engine::Inline;
use gulou::run::Outcome;
use gulou::store::Reader;
use tokio_util::sync::CancellationToken;

use super::measure::{cpu, percentile, seconds};
use super::{ours, rival};

pub(crate) const HEADING: &str = "\nlag: every second, no-op; ours claims and records each fire durably, the rival keeps nothing\n\
    who       triggers     fires    missed   lag ms p50      p99      max   commit ms p50      p99   less commit p99   CPU %";

/// What the fires have left behind.
struct Tally {
    /// Start minus fire time, microseconds.
    lags: Mutex<Vec<u32>>,
    fires: AtomicU32,
    first: AtomicI64,
    last: AtomicI64,
}

impl Tally {
    /// With room for all that comes, so that its growth is not measured.
    fn new(triggers: usize) -> Self {
        let room = triggers * (usize::try_from(seconds()).unwrap() + 60);
        Self {
            lags: Mutex::new(Vec::with_capacity(room)),
            fires: AtomicU32::new(0),
            first: AtomicI64::new(0),
            last: AtomicI64::new(0),
        }
    }

    fn fired(&self, fire_time: i64, lag_us: i64) {
        self.lags.lock().unwrap().push(u32::try_from(lag_us.max(0)).unwrap_or(u32::MAX));
        self.fires.fetch_add(1, Ordering::Relaxed);
        let _ = self.first.compare_exchange(0, fire_time, Ordering::Relaxed, Ordering::Relaxed);
        self.last.fetch_max(fire_time, Ordering::Relaxed);
    }

    /// Fires that there should have been and were not, given how many triggers have had every second.
    fn missed(&self, triggers: usize) -> i64 {
        let seconds = self.last.load(Ordering::Relaxed) - self.first.load(Ordering::Relaxed) + 1;
        seconds * triggers as i64 - i64::from(self.fires.load(Ordering::Relaxed))
    }
}

pub(crate) fn ours(triggers: usize) {
    let folder = tempfile::tempdir().unwrap();
    let tally = Arc::new(Tally::new(triggers));
    let (seen, clock) = (Arc::clone(&tally), Clock::system());
    let inline = Inline::new(move |fire| {
        let lag = clock.now() - fire.fire_time;
        seen.fired(fire.fire_time.timestamp(), lag.num_microseconds().unwrap_or(i64::MAX));
        Box::pin(async { Outcome::succeeded(None) })
    });
    let functions = ours::functions(triggers, &["* * * * * * *"], &inline);
    let drain = CancellationToken::new();
    let runtime = ours::runtime();
    let (mut engine, handle) = ours::engine(folder.path(), drain.clone());
    runtime.block_on(engine.recover(functions)).unwrap();
    let (start, used) = (Clock::system(), cpu());
    let running = runtime.spawn(engine.run());
    // In the middle of each second the newest claims are asked for.
    let (mut commits, mut less_commit) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        for _ in 0..seconds() {
            until_the_middle_of_a_second().await;
            let Some(commit) = handle.status().await.unwrap().claimed_in else { continue };
            let commit = u32::try_from(commit.as_micros()).unwrap();
            commits.push(commit);
            let lag = tally.lags.lock().unwrap().last().copied().unwrap();
            less_commit.push(lag.saturating_sub(commit));
        }
    });
    let share = cpu().saturating_sub(used).as_secs_f64() / start.monotonic().as_secs_f64() * 100.0;
    drain.cancel();
    assert_eq!(runtime.block_on(running).unwrap().unwrap(), 0);
    let reader = Reader::open(&folder.path().join("state.db")).unwrap().unwrap();
    let skipped: i64 = reader.skipped(None, u32::MAX).unwrap().iter().map(|span| span.count).sum();
    // Of one trigger each fire has the commit that was asked for.
    let less_commit = (triggers == 1).then(|| percentile(&mut less_commit, 0.99));
    let commit = Some((percentile(&mut commits, 0.5), percentile(&mut commits, 0.99)));
    row("gulou", triggers, &tally, tally.missed(triggers) + skipped, commit, less_commit, share);
}

pub(crate) fn rival(triggers: usize) {
    let tally = Arc::new(Tally::new(triggers));
    let (seen, clock) = (Arc::clone(&tally), Clock::system());
    let runtime = ours::runtime();
    // It does not say for which second it fires: a fire counts for the second in which it comes, which flatters it.
    let fire = move |_| {
        let now = clock.now();
        seen.fired(now.timestamp(), i64::from(now.timestamp_subsec_micros()));
    };
    let scheduler = runtime.block_on(rival::scheduler(triggers, rival::EVERY_SECOND, fire));
    let (start, used) = (Clock::system(), cpu());
    runtime.block_on(scheduler.start()).unwrap();
    std::thread::sleep(Duration::from_secs(seconds()));
    let share = cpu().saturating_sub(used).as_secs_f64() / start.monotonic().as_secs_f64() * 100.0;
    row("rival", triggers, &tally, tally.missed(triggers), None, None, share);
    // It has no way to stop that is faster than this.
    std::process::exit(0);
}

async fn until_the_middle_of_a_second() {
    let past = Clock::system().now().timestamp_subsec_millis();
    let wait = if past < 500 { 500 - past } else { 1500 - past };
    tokio::time::sleep(Duration::from_millis(wait.into())).await;
}

fn row(
    who: &str,
    triggers: usize,
    tally: &Tally,
    missed: i64,
    commit: Option<(u32, u32)>,
    less_commit: Option<u32>,
    share: f64,
) {
    let mut lags = std::mem::take(&mut *tally.lags.lock().unwrap());
    let ms = |us: u32| format!("{:.2}", f64::from(us) / 1000.0);
    let dash = || "-".to_owned();
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| ms(percentile(&mut lags, share)));
    let (commit_p50, commit_p99) = commit.map_or_else(|| (dash(), dash()), |(p50, p99)| (ms(p50), ms(p99)));
    let less = less_commit.map_or_else(dash, ms);
    let fires = lags.len();
    println!(
        "{who:<8}  {triggers:>8}  {fires:>8}  {missed:>8}  {p50:>11}  {p99:>7}  {max:>7}  {commit_p50:>14}  {commit_p99:>7}  \
         {less:>16}  {share:>6.1}"
    );
}
