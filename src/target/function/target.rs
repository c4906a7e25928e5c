//! A function as a target: a call, its log and its outcome.

use std::sync::Arc;

use serde_json::{Value, json};

use super::pool::Pool;
use super::request::{context, request};
use super::worker::End;
use super::{language, launch};
use crate::run::{Fire, Outcome, Preview, RunContext};
use crate::settings::CodeSettings;
use crate::target::host::Host;
use crate::target::log::RunLog;

/// A cloud function.
#[derive(Debug)]
pub struct FunctionTarget {
    settings: CodeSettings,
    host: Host,
    pool: Pool,
}

impl FunctionTarget {
    pub fn new(settings: &CodeSettings, host: &Host) -> Self {
        Self { settings: settings.clone(), host: host.clone(), pool: Pool::new(settings, host) }
    }

    /// One attempt, from `START` to `Report`.
    pub async fn run(&self, fire: &Fire, context: &RunContext) -> Outcome {
        let limit = self.settings.max_output.unwrap_or(self.host.limits.output);
        let log = Arc::new(RunLog::start(&context.output, &fire.request_id, limit, &self.host.clock));
        let call = request(fire, &self.settings);
        let called = self.pool.call(fire, call, &log, &context.abort).await;
        let (outcome, detail) = match called.end {
            End::Returned { result, unrecorded } => (returned(result, unrecorded, &log), Vec::new()),
            End::Threw(threw) => (Outcome::failed(threw.message), threw.detail),
            End::Died(how) | End::Unstarted(how) => (Outcome::failed(how), Vec::new()),
            End::Cut(cut) => (cut.outcome(), Vec::new()),
        };
        log.end(&outcome, &detail, called.memory);
        outcome
    }

    /// What a run would do.
    pub fn preview(&self, fire: &Fire) -> Preview {
        let CodeSettings { dir, handler, timeout, memory_mb, env, .. } = &self.settings;
        let (event, mut context) = (fire.event(), context(fire, &self.settings));
        // They repeat the values of `env`, which may be secrets.
        for name in ["environ", "environment"] {
            context[name] = Value::from("…");
        }
        let language = language::of(&self.settings);
        let code = language.handler_file(&self.settings);
        let place = code.clone().unwrap_or_else(|| dir.clone());
        let names: Vec<&String> = env.keys().collect();
        let mut lines = vec![
            format!("calls {handler} in {} ({})", place.display(), language.name),
            format!("at most {} s and {memory_mb} MiB; event {event}", timeout.as_secs_f64()),
        ];
        if !names.is_empty() {
            lines.push(format!("with {names:?} set"));
        }
        let data = json!({
            "target": "function", "runtime": language.word, "program": language.program(&self.settings),
            "args": launch::arguments(&self.settings, &fire.function, self.host.limits.result).map(|word| word.to_string_lossy().into_owned()),
            "handler": handler, "file": code, "cwd": dir, "env": names,
            "timeout_s": timeout.as_secs_f64(), "memory_mb": memory_mb, "event": event, "context": context,
        });
        Preview { lines, data, problem: language.problem(&self.settings) }
    }

    /// Ends idle workers, and waits for busy ones.
    pub async fn shutdown(&self) {
        self.pool.close().await;
    }
}

/// A value that cannot be recorded does not undo the work: nobody but the record is handed it.
fn returned(result: Option<Value>, unrecorded: Option<String>, log: &RunLog) -> Outcome {
    let message = unrecorded.map(|why| format!("the return value is not recorded: {why}"));
    if let Some(message) = &message {
        log.note(message);
    }
    Outcome { message, ..Outcome::succeeded(result) }
}
