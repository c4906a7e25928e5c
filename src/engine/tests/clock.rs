//! The engine with a clock that is set while it runs, on a real state.

use std::time::Duration;

use chrono::DateTime;
use tokio_util::sync::CancellationToken;

use super::settings::{function, trigger};
use crate::clock::Clock;
use crate::engine::{Engine, Function, Limits};
use crate::settings::{EventSettings, HistorySettings, Misfire, Overlap};
use crate::store::runs::{HistoryFilter, SkipReason};
use crate::store::{Reader, Store};

/// 2026-01-01T00:00:00 in Beijing.
const START: i64 = 1_767_196_800;

struct Machine {
    folder: tempfile::TempDir,
    clock: Clock,
}

impl Machine {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: Clock::manual(at(0)) }
    }

    /// A daemon that starts now, with a trigger of every ten seconds.
    async fn start(&self) -> Engine {
        let store = Store::open(&self.folder.path().join("state.db")).unwrap();
        let event = EventSettings { app_id: None, event_type: "timer".to_owned() };
        let history =
            HistorySettings { keep: Duration::from_secs(86_400), keep_runs: 1000, keep_output: 1 << 20 };
        let limits =
            Limits { max_runs: 100, max_waiting: 1000, drain_timeout: Duration::from_secs(60), history };
        let (drain, abort) = (CancellationToken::new(), CancellationToken::new());
        let (mut engine, _handle) = Engine::new(store, self.clock.clone(), event, limits, drain, abort);
        let triggers = vec![trigger("t", "*/10 * * * * * *", Misfire::Skip)];
        engine.recover(vec![Function::clone(&function("f", Overlap::Allow, triggers))]).await.unwrap();
        engine
    }

    /// The wall clock shows so many seconds after [`START`], and the engine wakes up.
    async fn set(&self, engine: &mut Engine, seconds: i64) {
        self.clock.set(at(seconds));
        engine.fire_due(SkipReason::Late).await;
    }

    /// Fire times of all runs, in seconds after [`START`], in the order of their claims.
    fn ran(&self) -> Vec<i64> {
        let reader = Reader::open(&self.folder.path().join("state.db")).unwrap().unwrap();
        let filter = HistoryFilter { limit: 100, ..HistoryFilter::default() };
        let mut runs: Vec<i64> =
            reader.history(&filter).unwrap().iter().map(|run| run.fire_time - START).collect();
        runs.reverse();
        runs
    }
}

fn at(seconds: i64) -> DateTime<chrono::Utc> {
    DateTime::from_timestamp(START + seconds, 0).unwrap()
}

#[tokio::test]
async fn a_clock_that_is_set_back_is_waited_for_and_said() {
    let machine = Machine::new();
    let mut engine = machine.start().await;
    machine.set(&mut engine, 35).await;
    assert_eq!(machine.ran(), [10, 20, 30]);
    assert_eq!(engine.status().clock_behind, None);

    machine.set(&mut engine, -3600).await;
    assert_eq!(engine.status().clock_behind, Some(at(35)));
    assert_eq!(engine.status().next.unwrap().due, at(40));
    machine.set(&mut engine, 35).await;
    assert_eq!((engine.status().clock_behind, machine.ran()), (None, vec![10, 20, 30]));
    machine.set(&mut engine, 40).await;
    assert_eq!(machine.ran(), [10, 20, 30, 40]);
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_skips_what_is_too_late() {
    let machine = Machine::new();
    let mut engine = machine.start().await;
    machine.set(&mut engine, 10).await;
    machine.set(&mut engine, 7200).await;
    // What is due within `start_within` of the new time runs.
    assert_eq!(machine.ran(), [10, 7140, 7150, 7160, 7170, 7180, 7190, 7200]);
    let reader = Reader::open(&machine.folder.path().join("state.db")).unwrap().unwrap();
    let span = reader.skipped(None, 10).unwrap().pop().unwrap();
    let expected = (START + 20, START + 7130, 712, "late".to_owned());
    assert_eq!((span.first, span.last, span.count, span.reason), expected);
}

/// The wait ends with a restart: triggers go on from now, and what ran does not run again.
#[tokio::test]
async fn after_a_restart_a_clock_that_was_set_back_is_taken_as_it_is() {
    let machine = Machine::new();
    let mut engine = machine.start().await;
    machine.set(&mut engine, 35).await;
    engine.drain.cancel();
    assert_eq!(engine.run().await.unwrap(), 0);
    machine.clock.set(at(15));
    let mut engine = machine.start().await;
    machine.set(&mut engine, 40).await;
    assert_eq!(machine.ran(), [10, 20, 30, 40]);
}
