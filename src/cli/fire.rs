//! `gulou fire`.

use clap::Args;

/// Run a function now, in the foreground
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  gulou fire --config config.example.json tomylove")]
pub(super) struct Fire {}

impl Fire {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        anyhow::bail!("not here yet")
    }
}
