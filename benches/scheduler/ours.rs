//! An engine on a state file, with functions of this process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gulou::clock::Clock;
use gulou::engine::{Engine, Function, Handle, Inline, Limits, Runner};
use gulou::schedule::Schedule;
use gulou::settings::{
    EventSettings, FireRules, HistorySettings, Misfire, OnInterrupted, Overlap, TriggerSettings,
};
use gulou::store::Store;
use tokio_util::sync::CancellationToken;

/// Triggers of one function.
const TRIGGERS: usize = 1000;

/// So many triggers with these expressions in turn, a thousand to a function; all functions run `inline`.
pub(crate) fn functions(triggers: usize, expressions: &[&str], inline: &Inline) -> Vec<Function> {
    let rules = Arc::new(FireRules {
        misfire: Misfire::Skip,
        start_within: Duration::from_secs(60),
        jitter: Duration::ZERO,
        catch_up: Duration::from_secs(3600),
    });
    let trigger = |number: usize| {
        let expression = expressions[number % expressions.len()];
        TriggerSettings {
            name: format!("trigger-{number}").into(),
            schedule: Schedule::parse(expression, "Asia/Shanghai").unwrap(),
            expression: expression.into(),
            argument: "".into(),
            enabled: true,
            rules: Arc::clone(&rules),
        }
    };
    (0..triggers)
        .step_by(TRIGGERS)
        .map(|first| Function {
            name: format!("function-{}", first / TRIGGERS),
            triggers: (first..triggers.min(first + TRIGGERS)).map(trigger).collect(),
            overlap: Overlap::Allow,
            on_interrupted: OnInterrupted::Fail,
            max_runs: None,
            alerts: None,
            retry: None,
            runner: Runner::Inline(inline.clone()),
        })
        .collect()
}

/// An engine on the state in `folder`; it ends when the token is cancelled.
pub(crate) fn engine(folder: &Path, drain: CancellationToken) -> (Engine, Handle) {
    let limits = Limits {
        max_runs: 1_000_000,
        max_waiting: 1_000_000,
        drain_timeout: Duration::from_secs(60),
        history: HistorySettings {
            keep: Duration::from_secs(30 * 86_400),
            keep_runs: 100_000,
            keep_output: 1 << 30,
        },
    };
    let event = EventSettings { app_id: None, event_type: "timer".to_owned() };
    let store = Store::open(&folder.join("state.db")).unwrap();
    Engine::new(store, Clock::system(), event, limits, drain, CancellationToken::new())
}

/// A runtime as the daemon has it.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}
