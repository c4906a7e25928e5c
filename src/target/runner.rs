//! The one type that the engine sees: a target of any kind.

use serde_json::json;

use super::Host;
use crate::run::{Fire, Outcome, Preview, RunContext};
use crate::settings::{CodeSettings, CommandSettings};

/// What a fire runs. Made once a function, called for each of its fires, from many tasks at once.
#[derive(Debug)]
pub struct Target {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Function(CodeSettings),
    Command(CommandSettings),
}

impl Target {
    /// A cloud function. Starts nothing yet.
    pub fn function(settings: &CodeSettings, _host: &Host) -> Self {
        Self { kind: Kind::Function(settings.clone()) }
    }

    /// A program. Starts nothing yet.
    pub fn command(settings: &CommandSettings, _host: &Host) -> Self {
        Self { kind: Kind::Command(settings.clone()) }
    }

    /// Runs one attempt to its end and writes its log to `context.output`, from `START` to
    /// `Report`. Never fails otherwise than by its outcome. When it returns, no process of the run is
    /// left (a function's idle worker excepted). Ignores `context.drain`.
    pub async fn run(&self, _fire: &Fire, _context: &RunContext) -> Outcome {
        Outcome::failed("running targets is not built yet")
    }

    /// What [`Target::run`] would do, without doing it: program, arguments, folder, variables, event.
    pub fn preview(&self, fire: &Fire) -> Preview {
        let (kind, program) = match &self.kind {
            Kind::Function(code) => ("function", code.handler.clone()),
            Kind::Command(command) => ("command", command.argv.join(" ")),
        };
        Preview {
            lines: vec![format!("{kind} {program}")],
            data: json!({ "kind": kind, "event": fire.event() }),
            problem: None,
        }
    }

    /// Ends idle workers and waits for busy ones. Runs still in flight end by their own token.
    pub async fn shutdown(&self) {}
}
