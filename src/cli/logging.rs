//! The daemon's own log: to standard error, in Beijing time, with fields.

use std::fmt;
use std::io::IsTerminal;

use chrono::SecondsFormat;
use chrono_tz::Asia::Shanghai;
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::clock::Clock;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Starts the log. `RUST_LOG` chooses levels; `level` without it.
pub(super) fn start(format: LogFormat, level: &str, clock: &Clock) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_timer(BeijingTime(clock.clone()));
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

struct BeijingTime(Clock);

impl FormatTime for BeijingTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let now = self.0.now().with_timezone(&Shanghai);
        writer.write_str(&now.to_rfc3339_opts(SecondsFormat::Millis, false))
    }
}
