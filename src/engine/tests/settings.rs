//! Functions and triggers for tests.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::runner::{Function, Inline, Runner};
use crate::run::Outcome;
use crate::schedule::Schedule;
use crate::settings::{FireRules, Misfire, OnInterrupted, Overlap, TriggerSettings};

/// A trigger of the usual rules: in time within a minute, caught up within an hour, no jitter.
pub(super) fn trigger(name: &str, expression: &str, misfire: Misfire) -> TriggerSettings {
    TriggerSettings {
        name: name.into(),
        schedule: Schedule::parse(expression, "Asia/Shanghai").unwrap(),
        expression: expression.into(),
        argument: "".into(),
        enabled: true,
        rules: Arc::new(FireRules {
            misfire,
            start_within: Duration::from_secs(60),
            jitter: Duration::ZERO,
            catch_up: Duration::from_secs(3600),
        }),
    }
}

/// A function that nobody really runs.
pub(super) fn function(name: &str, overlap: Overlap, triggers: Vec<TriggerSettings>) -> Arc<Function> {
    let runner = Runner::Inline(Inline::new(|_| Box::pin(async { Outcome::succeeded(None) })));
    let on_interrupted = OnInterrupted::Fail;
    Arc::new(Function {
        name: name.to_owned(),
        triggers: triggers.into(),
        overlap,
        on_interrupted,
        max_runs: None,
        retry: None,
        runner,
    })
}
