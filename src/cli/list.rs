//! `gulou list`.

use clap::Args;

/// List the triggers with their next fire times
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  gulou list --config config.example.json")]
pub(super) struct List {}

impl List {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        anyhow::bail!("not here yet")
    }
}
