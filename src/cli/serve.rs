//! `gulou serve`.

use anyhow::Context as _;
use clap::Args;

use super::logging::{self, LogFormat};
use super::{ConfigArg, exit};
use crate::clock::Clock;
use crate::daemon;

/// Load the triggers and fire them until told to stop
///
/// SIGTERM or SIGINT drains: nothing new starts, functions and commands run to their end, batches stop at
/// a checkpoint and go on at the next start. A second signal stops everything at once.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  gulou serve --config config.example.json")]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigArg,
    /// How log lines look
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let loaded = match self.config.load() {
            Ok(loaded) => loaded,
            Err(code) => return Ok(code),
        };
        let clock = Clock::system();
        logging::start(self.log_format, "info", &clock);
        for warning in &loaded.warnings {
            let (file, line) = (warning.file.display(), warning.place.as_ref().map(|place| place.line));
            tracing::warn!(%file, line, path = warning.path, help = warning.help, "{}", warning.message);
        }
        let runtime = tokio::runtime::Runtime::new().context("could not start the async runtime")?;
        let clean = runtime.block_on(daemon::serve(&loaded.settings, clock))?;
        Ok(if clean { exit::OK } else { exit::FAILED })
    }
}
