//! `gulou dry-run`.

use clap::Args;

/// Show what each trigger would do, and change nothing
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  gulou dry-run --config config.example.json mass-mail")]
pub(super) struct DryRun {}

impl DryRun {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        anyhow::bail!("not here yet")
    }
}
