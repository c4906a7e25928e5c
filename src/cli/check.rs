//! `gulou check`.

use clap::Args;

/// Check the daemon config and every function folder
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  gulou check --config config.example.json")]
pub(super) struct Check {}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        anyhow::bail!("not here yet")
    }
}
