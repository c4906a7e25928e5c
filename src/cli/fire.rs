//! `gulou fire`: by the running daemon, or here when there is none.

use std::io::{Read as _, Stderr, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;

use super::client::Daemon;
use super::logging::{self, LogFormat};
use super::progress::Bar;
use super::{ConfigArg, exit};
use crate::clock::Clock;
use crate::daemon;
use crate::run::{Output, Progress, Status};
use crate::server::wire::{self, Ended, FireLine};
use crate::settings::{FunctionSettings, Settings};
use crate::spelling::did_you_mean;

/// Run a function now, as a timed fire would, and show what it says
///
/// The running daemon does it: the function's overlap rule holds, and when this command is interrupted the run
/// goes on. Without a daemon it runs here, holds the lock of the state meanwhile, and a batch shows on a terminal how
/// far it is. Either way it is recorded in the history.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  gulou fire --config config.example.json tomylove
  gulou fire --config config.example.json mass-mail/every-2-seconds
  echo '{}' | gulou fire --config config.example.json tomylove --event -

Exit code 1 when the run does not succeed, or is not begun.")]
pub(super) struct Fire {
    #[command(flatten)]
    config: ConfigArg,
    /// The function, or one of its triggers; the function's first trigger if none is named
    #[arg(value_name = "FUNCTION[/TRIGGER]")]
    name: String,
    /// Hand the function this event instead of a timer's: a file of JSON, or `-` for standard input. The run starts at once,
    /// or not at all where the overlap rule says no
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// Print one JSON object a line, as docs/api.md has them
    #[arg(long)]
    json: bool,
}

impl Fire {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let place = match self.config.place() {
            Ok(place) => place,
            Err(code) => return Ok(code),
        };
        let event = self.event.as_deref().map(read_event).transpose()?;
        match Daemon::find(&place.socket)? {
            Some(daemon) => self.ask(daemon, event),
            None => self.alone(event),
        }
    }

    /// The daemon runs it; this only listens.
    fn ask(self, mut daemon: Daemon, event: Option<Value>) -> anyhow::Result<u8> {
        let (function, trigger) = split(&self.name);
        let fire = wire::Fire { function: function.to_owned(), trigger: trigger.map(str::to_owned), event };
        let teller = Teller { json: self.json, bar: None };
        let (mut claimed, mut last) = (None, None);
        daemon.fire(&fire, |line| {
            if let FireLine::Claimed { run, .. } = &line {
                claimed = Some(*run);
            }
            teller.tell(&line);
            if matches!(line, FireLine::Ended { .. } | FireLine::Error { .. }) {
                last = Some(line);
            }
        })?;
        match (claimed, last) {
            (Some(run), Some(FireLine::Ended { ended })) => teller.close(run, &ended),
            (_, Some(FireLine::Error { error })) => bail!(error),
            (Some(run), _) => bail!("the daemon hung up before run {run} ended; `gulou logs {run}` has more"),
            _ => bail!("the daemon hung up before it said anything"),
        }
    }

    /// No daemon: the run happens in this process.
    fn alone(self, event: Option<Value>) -> anyhow::Result<u8> {
        let mut settings = match self.config.load() {
            Ok(loaded) => loaded.settings,
            Err(code) => return Ok(code),
        };
        let (function, trigger) = select(&settings, &self.name)?;
        settings.functions = vec![settings.functions.swap_remove(function)];
        let clock = Clock::system();
        // What the run says is shown as it comes, its end is the last line: the log would say it twice.
        logging::start(LogFormat::Text, "warn", &clock);
        let bar = if self.json { None } else { Bar::of_stderr().map(Arc::new) };
        let teller = Teller { json: self.json, bar: bar.clone() };
        let (mirror, progress) = (teller.clone(), Progress::default());
        let output = Output::new(move |stream, line| mirror.tell(&FireLine::output(stream, line)));
        let runtime = tokio::runtime::Runtime::new().context("could not start the async runtime")?;
        let (its_clock, its_progress) = (clock.clone(), progress.clone());
        // With what it waits for on the runtime's threads; from this one each delivery would have to wake another.
        let fired = runtime.spawn(async move {
            daemon::fire(&settings, its_clock, trigger, event.map(Arc::new), output, its_progress).await
        });
        let (run, outcome) = runtime.block_on(async {
            match &bar {
                Some(bar) => bar.during(fired, || progress.at(clock.monotonic())).await,
                None => fired.await,
            }
        })??;
        let ended = Ended::from(outcome);
        if self.json {
            // Nobody knows the number before the run begins; it comes where it is known.
            teller.tell(&FireLine::Claimed { run, waits: false });
            teller.tell(&FireLine::Ended { ended: ended.clone() });
        }
        teller.close(run, &ended)
    }
}

/// Shows a run as it goes. That nobody reads must not stop it.
#[derive(Clone)]
struct Teller {
    json: bool,
    /// Stays below what is shown.
    bar: Option<Arc<Bar<Stderr>>>,
}

impl Teller {
    fn tell(&self, line: &FireLine) {
        match &self.bar {
            Some(bar) => bar.aside(|| self.print(line)),
            None => self.print(line),
        }
    }

    fn print(&self, line: &FireLine) {
        let _ = match line {
            line if self.json => match serde_json::to_string(line) {
                Ok(text) => writeln!(std::io::stdout(), "{text}"),
                Err(error) => writeln!(std::io::stderr(), "a line is no JSON: {error}"),
            },
            FireLine::Output { stream, line } if stream == "stdout" => {
                writeln!(std::io::stdout(), "{line}")
            }
            FireLine::Output { line, .. } => writeln!(std::io::stderr(), "{line}"),
            FireLine::Claimed { run, waits: true } => {
                writeln!(std::io::stderr(), "run {run} waits for room")
            }
            FireLine::Claimed { .. } | FireLine::Ended { .. } | FireLine::Error { .. } => Ok(()),
        };
    }

    /// The result and the last line; answers the exit code.
    fn close(&self, run: i64, ended: &Ended) -> anyhow::Result<u8> {
        let Ended { status, message, result } = ended;
        let succeeded = status == Status::Succeeded.as_str();
        if !self.json {
            if let Some(result) = result {
                println!("{}", serde_json::to_string_pretty(result).context("could not print the result")?);
            }
            let reason = message.as_deref().filter(|_| !succeeded);
            let reason = reason.map(|text| format!(": {text}")).unwrap_or_default();
            eprintln!("run {run} {status}{reason}");
        }
        Ok(if succeeded { exit::OK } else { exit::FAILED })
    }
}

/// The event in a file of JSON, or on standard input.
fn read_event(path: &Path) -> anyhow::Result<Value> {
    let (name, text) = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("could not read the event from standard input")?;
        ("standard input".to_owned(), text)
    } else {
        let name = path.display().to_string();
        let text =
            std::fs::read_to_string(path).with_context(|| format!("could not read the event {name}"))?;
        (name, text)
    };
    serde_json::from_str(&text).with_context(|| format!("the event in {name} is not JSON"))
}

/// Function and trigger of a full name.
fn split(name: &str) -> (&str, Option<&str>) {
    name.split_once('/').map_or((name, None), |(function, trigger)| (function, Some(trigger)))
}

/// Finds what `name` means: (function, trigger within it).
fn select(settings: &Settings, name: &str) -> anyhow::Result<(usize, usize)> {
    let (function_name, trigger_name) = split(name);
    let names = || settings.functions.iter().map(|f| f.name.as_str());
    let Some(index) = names().position(|candidate| candidate == function_name) else {
        bail!("there is no function `{function_name}`{}", did_you_mean(function_name, names()));
    };
    let function: &FunctionSettings = &settings.functions[index];
    let triggers = || function.triggers.iter().map(|trigger| &*trigger.name);
    match trigger_name {
        None => Ok((index, 0)),
        Some(wanted) => match triggers().position(|candidate| candidate == wanted) {
            Some(trigger) => Ok((index, trigger)),
            None => bail!(
                "the function `{function_name}` has no trigger `{wanted}`{}",
                did_you_mean(wanted, triggers())
            ),
        },
    }
}
