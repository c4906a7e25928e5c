//! `gulou pause`, and what it shares with `resume`: which triggers are meant.

use std::io::Write as _;

use clap::Args;

use super::client::Daemon;
use super::{ConfigArg, exit};
use crate::server::wire::{Changed, Which};

/// Keep triggers from firing until `resume`
///
/// The running daemon is told, and remembers it over restarts. What waits to be caught up, and what falls due
/// while a trigger is paused, is skipped and recorded with the reason `paused`. Runs in flight go on, and
/// `gulou fire` works.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  gulou pause --config config.example.json mass-mail
  gulou pause --config config.example.json mass-mail/every-2-seconds activities
  gulou pause --config config.example.json --all

Prints the triggers that were not paused before. Exit code 1 when no daemon is running.")]
pub(super) struct Pause {
    #[command(flatten)]
    which: WhichArgs,
}

impl Pause {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        self.which.tell("pause", "paused", "nothing to pause: all of them are paused already")
    }
}

/// The triggers that `pause` and `resume` are about.
#[derive(Args, Debug)]
pub(super) struct WhichArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Functions, and single triggers
    #[arg(value_name = "FUNCTION[/TRIGGER]", required_unless_present = "all")]
    names: Vec<String>,
    /// Every enabled trigger of every function
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Print one JSON object, as docs/api.md has it
    #[arg(long)]
    json: bool,
}

impl WhichArgs {
    /// Gives the order, and prints what came of it: `done` and the name of each trigger, or `nothing`.
    pub(super) fn tell(self, order: &str, done: &str, nothing: &str) -> anyhow::Result<u8> {
        let place = match self.config.place() {
            Ok(place) => place,
            Err(code) => return Ok(code),
        };
        let which = if self.all {
            Which { names: None, all: Some(true) }
        } else {
            Which { names: Some(self.names), all: None }
        };
        let mut daemon = Daemon::reach(&place)?;
        let answer = daemon.post(order, &which)?;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{answer:#}")?;
            return Ok(exit::OK);
        }
        let Changed { changed } = daemon.typed(answer)?;
        for name in &changed {
            writeln!(out, "{done} {name}")?;
        }
        if changed.is_empty() {
            writeln!(out, "{nothing}")?;
        }
        Ok(exit::OK)
    }
}
