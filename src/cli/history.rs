//! `gulou history`.

use clap::Args;

/// Show past runs
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  gulou history --config config.example.json --function mass-mail")]
pub(super) struct History {}

impl History {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        anyhow::bail!("not here yet")
    }
}
