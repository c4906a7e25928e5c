//! Who fires by hand and waits for the end is told, whatever becomes of the run.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::settings::{function, trigger};
use crate::clock::Clock;
use crate::engine::handle::{Fired, ManualFire};
use crate::engine::runner::{Function, Inline, Runner};
use crate::engine::{Engine, Handle, Limits};
use crate::run::{Outcome, Output};
use crate::settings::{EventSettings, HistorySettings, Misfire, Overlap};
use crate::store::Store;

async fn fire(handle: &Handle) -> Fired {
    let mirror = Output::discard();
    handle.fire(ManualFire { function: "f".to_owned(), trigger: None, event: None, mirror }).await.unwrap()
}

/// It waited for ever: the run that was replaced before it started had nobody left who could end it.
#[tokio::test]
async fn the_caller_of_a_waiting_run_that_is_replaced_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("state.db")).unwrap();
    let limits = Limits {
        max_runs: 9,
        max_waiting: 1000,
        drain_timeout: Duration::from_secs(60),
        history: HistorySettings { keep: Duration::from_secs(3600), keep_runs: 100, keep_output: 1 << 20 },
    };
    let (drain, abort) = (CancellationToken::new(), CancellationToken::new());
    let event = EventSettings { app_id: None, event_type: "timer".to_owned() };
    let (mut engine, handle) =
        Engine::new(store, Clock::system(), event, limits, drain.clone(), abort.clone());
    let gate = Arc::new(Semaphore::new(0));
    let open = Arc::clone(&gate);
    let runner = Runner::Inline(Inline::new(move |_| {
        let gate = Arc::clone(&gate);
        Box::pin(async move {
            gate.acquire_owned().await.unwrap().forget();
            Outcome::succeeded(None)
        })
    }));
    let never = trigger("t", "0 0 0 1 1 * 2020", Misfire::Skip);
    let f = Function { runner, ..Function::clone(&function("f", Overlap::Replace, vec![never])) };
    engine.recover(vec![f]).await.unwrap();
    let running = tokio::spawn(engine.run());
    let (first, second, third) = (fire(&handle).await, fire(&handle).await, fire(&handle).await);
    assert_eq!((first.waits, second.waits, third.waits), (false, true, true));
    assert!(second.ended.await.is_err(), "it never runs");
    open.add_permits(2);
    assert!(first.ended.await.is_ok() && third.ended.await.is_ok());
    drain.cancel();
    assert_eq!(running.await.unwrap().unwrap(), 0);
}
