//! `gulou serve`.

use anyhow::Context as _;
use clap::Args;

use super::logging::{self, LogFormat};
use super::{ConfigArg, exit};
use crate::clock::Clock;
use crate::config::{Diagnostic, Folders};
use crate::daemon::{self, Source};

/// Load the triggers and fire them until told to stop
///
/// SIGTERM or SIGINT drains: nothing new starts, functions and commands run to their end, batches stop at
/// a checkpoint and go on at the next start. A second signal stops everything at once.
///
/// Function folders that change while it runs take effect within a second; an invalid one keeps its old version
/// running, and the log says why. SIGHUP reads everything again, files outside of the folders too.
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
        let clock = Clock::system();
        let (mut folders, loaded) = match Folders::load(&self.config.config, clock.now()) {
            Ok(loaded) => loaded,
            Err(invalid) => {
                eprintln!("{invalid}");
                return Ok(exit::CONFIG);
            }
        };
        logging::start(self.log_format, "info", &clock);
        loaded.warnings.iter().for_each(log);
        let (root, file) = folders.watched();
        let now = clock.clone();
        let look = Box::new(move |ask: &_| {
            let (mut look, warnings) = folders.look(ask, now.now());
            warnings.iter().for_each(log);
            look.warnings = warnings.iter().map(one_line).collect();
            look
        });
        let runtime = tokio::runtime::Runtime::new().context("could not start the async runtime")?;
        let source = Source { root, file, look };
        let clean = runtime.block_on(daemon::serve(loaded.settings, clock, source))?;
        Ok(if clean { exit::OK } else { exit::FAILED })
    }
}

fn log(warning: &Diagnostic) {
    let (file, line) = (warning.file.display(), warning.place.as_ref().map(|place| place.line));
    tracing::warn!(%file, line, path = warning.path, help = warning.help, "{}", warning.message);
}

fn one_line(warning: &Diagnostic) -> String {
    let line = warning.place.as_ref().map_or(String::new(), |place| format!(":{}", place.line));
    format!("{}{line}: {}", warning.file.display(), warning.message)
}
