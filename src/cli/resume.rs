//! `gulou resume`.

use clap::Args;

use super::pause::WhichArgs;

/// Let paused triggers fire again, from now on
///
/// What fell due while they were paused stays skipped.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  gulou resume --config config.example.json mass-mail
  gulou resume --config config.example.json --all

Prints the triggers that were paused before. Exit code 1 when no daemon is running.")]
pub(super) struct Resume {
    #[command(flatten)]
    which: WhichArgs,
}

impl Resume {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        self.which.tell("resume", "resumed", "nothing to resume: none of them is paused")
    }
}
