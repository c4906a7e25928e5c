//! The command line: one file a verb. clap stays here.

mod batch;
mod check;
mod client;
mod dry_run;
pub mod exit;
mod explain;
mod fire;
mod folders;
mod history;
mod import;
mod init;
mod list;
mod logging;
mod logs;
mod manual;
mod next;
mod pause;
mod problems;
mod progress;
mod reload;
mod resume;
mod schema;
mod serve;
mod status;
mod times;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::clock::Clock;
use crate::config::{self, Invalid, Loaded, StatePlace};

/// Runs cloud-function folders, commands and database batches on a seven-field cron schedule.
#[derive(Debug, Parser)]
#[command(name = "gulou", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::Serve),
    DryRun(dry_run::DryRun),
    Check(check::Check),
    List(list::List),
    Status(status::Status),
    Next(next::Next),
    Explain(explain::Explain),
    Fire(fire::Fire),
    Pause(pause::Pause),
    Resume(resume::Resume),
    Reload(reload::Reload),
    History(history::History),
    Logs(logs::Logs),
    Batch(batch::Batch),
    Init(init::Init),
    Import(import::Import),
    Schema(schema::Schema),
    Completions(manual::Completions),
    Man(manual::Manual),
}

/// Where the daemon config is; shared by all verbs that read it.
#[derive(Args, Debug)]
struct ConfigArg {
    /// The daemon config file; relative paths in it start at its folder
    #[arg(short, long, value_name = "FILE", default_value = "config.json", global = true)]
    config: PathBuf,
}

impl ConfigArg {
    /// Loads everything; on errors prints them all and answers the exit code instead.
    fn load(&self) -> Result<Loaded, u8> {
        valid(config::load(&self.config, Clock::system().now()))
    }

    /// Only where the state and its daemon are: what a verb needs that reads history, or asks the daemon, while function
    /// folders may be invalid. On errors as [`ConfigArg::load`].
    fn place(&self) -> Result<StatePlace, u8> {
        valid(config::state_place(&self.config))
    }
}

fn valid<T>(read: Result<T, Invalid>) -> Result<T, u8> {
    read.map_err(|invalid| {
        eprintln!("{invalid}");
        exit::CONFIG
    })
}

/// Reads the command line, runs the verb, prints what went wrong, and answers the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.verb {
        Verb::Serve(verb) => verb.run(),
        Verb::DryRun(verb) => verb.run(),
        Verb::Check(verb) => verb.run(),
        Verb::List(verb) => verb.run(),
        Verb::Status(verb) => verb.run(),
        Verb::Next(verb) => verb.run(),
        Verb::Explain(verb) => verb.run(),
        Verb::Fire(verb) => verb.run(),
        Verb::Pause(verb) => verb.run(),
        Verb::Resume(verb) => verb.run(),
        Verb::Reload(verb) => verb.run(),
        Verb::History(verb) => verb.run(),
        Verb::Logs(verb) => verb.run(),
        Verb::Batch(verb) => verb.run(),
        Verb::Init(verb) => verb.run(),
        Verb::Import(verb) => verb.run(),
        Verb::Schema(verb) => verb.run(),
        Verb::Completions(verb) => verb.run(),
        Verb::Man(verb) => verb.run(),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let mark = if std::io::stderr().is_terminal() { "\x1b[1;31merror:\x1b[0m" } else { "error:" };
            eprintln!("{mark} {error:#}");
            ExitCode::from(exit::FAILED)
        }
    }
}
