//! `gulou next`.

use clap::Args;

/// Print the next fire times of a seven-field cron expression
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  gulou next --count 3 '*/5 * 9-12 * * * *'")]
pub(super) struct Next {}

impl Next {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        anyhow::bail!("not here yet")
    }
}
