//! `gulou logs`.

use clap::Args;

/// Show the output of a run
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  gulou logs --config config.example.json 42")]
pub(super) struct Logs {}

impl Logs {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        anyhow::bail!("not here yet")
    }
}
