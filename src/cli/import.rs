//! `gulou import`: function folders from what others keep their timers in.

mod cloud;
mod crontab;
mod fields;
mod lines;
mod names;

use std::io::Write;

use clap::{Args, Subcommand};

use super::exit;

/// Make function folders of a crontab, or of a cloudbaserc.json
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  crontab -l | gulou import crontab -
  gulou import crontab --system /etc/crontab --dry-run
  gulou import cloudbaserc cloudbaserc.json --to triggers

Folders that exist are never changed. Exit code 1 when something could not be converted: it is named with the reason, \
and all else is written.")]
pub(super) struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    Crontab(crontab::Crontab),
    #[command(alias = "cloudbaserc.json")]
    Cloudbaserc(cloud::Cloudbaserc),
}

impl Import {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        match self.from {
            From::Crontab(verb) => verb.run(),
            From::Cloudbaserc(verb) => verb.run(),
        }
    }
}

/// How many functions came of it, and how many did not.
struct Tally {
    written: usize,
    refused: usize,
}

impl Tally {
    /// The last lines; answers the exit code. `then`: what is to be done where they came from.
    fn tell(&self, out: &mut impl Write, dry_run: bool, then: &str) -> anyhow::Result<u8> {
        let &Self { written, refused } = self;
        let verb = if dry_run { "would be written" } else { "written" };
        let functions = if written == 1 { "function" } else { "functions" };
        writeln!(out, "{written} {functions} {verb}, {refused} not converted")?;
        if written > 0 && !dry_run {
            writeln!(out, "next: `gulou check`, and {then}")?;
        }
        Ok(if refused == 0 { exit::OK } else { exit::FAILED })
    }
}
