//! The command line: one file a verb. clap stays here.

mod batch;
mod check;
mod dry_run;
pub mod exit;
mod explain;
mod fire;
mod history;
mod list;
mod logging;
mod logs;
mod next;
mod serve;
mod times;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::clock::Clock;
use crate::config::Loaded;

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
    Next(next::Next),
    Explain(explain::Explain),
    Fire(fire::Fire),
    History(history::History),
    Logs(logs::Logs),
    Batch(batch::Batch),
}

/// Where the daemon config is; shared by all verbs that read it.
#[derive(Args, Debug)]
struct ConfigArg {
    /// The daemon config file; relative paths in it start at its folder
    #[arg(short, long, value_name = "FILE", default_value = "config.json")]
    config: PathBuf,
}

impl ConfigArg {
    /// Loads everything; on errors prints them all and answers the exit code instead.
    fn load(&self) -> Result<Loaded, u8> {
        match crate::config::load(&self.config, Clock::system().now()) {
            Ok(loaded) => Ok(loaded),
            Err(invalid) => {
                eprintln!("{invalid}");
                Err(exit::CONFIG)
            }
        }
    }
}

/// Reads the command line, runs the verb, prints what went wrong, and answers the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.verb {
        Verb::Serve(verb) => verb.run(),
        Verb::DryRun(verb) => verb.run(),
        Verb::Check(verb) => verb.run(),
        Verb::List(verb) => verb.run(),
        Verb::Next(verb) => verb.run(),
        Verb::Explain(verb) => verb.run(),
        Verb::Fire(verb) => verb.run(),
        Verb::History(verb) => verb.run(),
        Verb::Logs(verb) => verb.run(),
        Verb::Batch(verb) => verb.run(),
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
