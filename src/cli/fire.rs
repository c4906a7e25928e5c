//! `gulou fire`.

use anyhow::{Context as _, bail};
use clap::Args;

use super::logging::{self, LogFormat};
use super::{ConfigArg, exit};
use crate::clock::Clock;
use crate::daemon;
use crate::run::{Output, Status, Stream};
use crate::settings::{FunctionSettings, Settings};

/// Run a function now, in the foreground, as a timed fire would
///
/// Takes the lock of the state, so no daemon may be running on it. The run is recorded in the history.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  gulou fire --config config.example.json tomylove
  gulou fire --config config.example.json mass-mail/every-2-seconds")]
pub(super) struct Fire {
    #[command(flatten)]
    config: ConfigArg,
    /// The function, or one of its triggers; the function's first trigger if none is named
    #[arg(value_name = "FUNCTION[/TRIGGER]")]
    name: String,
}

impl Fire {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let mut settings = match self.config.load() {
            Ok(loaded) => loaded.settings,
            Err(code) => return Ok(code),
        };
        let (function, trigger) = select(&settings, &self.name)?;
        settings.functions = vec![settings.functions.swap_remove(function)];
        let clock = Clock::system();
        // What the run says is shown as it comes, its end is the last line: the log would say it twice.
        logging::start(LogFormat::Text, "warn", &clock);
        let output = Output::new(|stream, text| match stream {
            Stream::Stdout => println!("{text}"),
            Stream::Stderr | Stream::System => eprintln!("{text}"),
        });
        let runtime = tokio::runtime::Runtime::new().context("could not start the async runtime")?;
        let (run, outcome) = runtime.block_on(daemon::fire(&settings, clock, trigger, output))?;
        if let Some(result) = &outcome.result {
            println!("{}", serde_json::to_string_pretty(result).context("could not print the result")?);
        }
        let reason = outcome.message.as_deref().filter(|_| outcome.status != Status::Succeeded);
        let reason = reason.map(|text| format!(": {text}")).unwrap_or_default();
        eprintln!("run {run} {}{reason}", outcome.status.as_str());
        Ok(if outcome.status == Status::Succeeded { exit::OK } else { exit::FAILED })
    }
}

/// Finds what `name` means: (function, trigger within it).
fn select(settings: &Settings, name: &str) -> anyhow::Result<(usize, usize)> {
    let (function_name, trigger_name) = match name.split_once('/') {
        Some((function, trigger)) => (function, Some(trigger)),
        None => (name, None),
    };
    let names = || settings.functions.iter().map(|f| f.name.as_str());
    let Some(index) = names().position(|candidate| candidate == function_name) else {
        bail!("there is no function `{function_name}`{}", did_you_mean(function_name, names()));
    };
    let function: &FunctionSettings = &settings.functions[index];
    let triggers = || function.triggers.iter().map(|trigger| &*trigger.name);
    match trigger_name {
        None if function.triggers.is_empty() => bail!("the function `{function_name}` has no trigger"),
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

/// The nearest of `names`, as the end of an error message.
fn did_you_mean<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> String {
    names
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, _)| *distance <= 3)
        .min()
        .map(|(_, name)| format!("; did you mean `{name}`?"))
        .unwrap_or_default()
}
