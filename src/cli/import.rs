//! `gulou import`: function folders from what others keep their timers in.

mod cloud;
mod crontab;
mod fields;
mod lines;
mod names;

use clap::{Args, Subcommand};

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
