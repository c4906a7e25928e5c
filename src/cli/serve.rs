//! `gulou serve`.

use clap::Args;

/// Load the triggers and fire them until told to stop
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  gulou serve --config config.example.json")]
pub(super) struct Serve {}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        anyhow::bail!("not here yet")
    }
}
