//! `gulou logs`.

mod follow;

use std::io::{self, ErrorKind, Write};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use self::follow::Follow;
use super::times::millis;
use super::{ConfigArg, exit};
use crate::store::Reader;
use crate::store::runs::{RecordedLine, RunId};

/// Show the output of a run, or follow what runs say as they say it
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  gulou logs --config config.example.json 42
  gulou logs --config config.example.json -f 42          until the run has ended
  gulou logs --config config.example.json -f mass-mail   all runs of a function from now on
  gulou logs --config config.example.json -f             all runs")]
pub(super) struct Logs {
    #[command(flatten)]
    config: ConfigArg,
    /// The run's number, or its request id (see `gulou history`); with --follow also a function or a trigger
    #[arg(value_name = "RUN|FUNCTION[/TRIGGER]", required_unless_present = "follow")]
    name: Option<String>,
    /// Go on as more is said
    #[arg(short, long)]
    follow: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

impl Logs {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let place = match self.config.place() {
            Ok(place) => place,
            Err(code) => return Ok(code),
        };
        let reader =
            Reader::of(&place.state)?.with_context(|| format!("there is no state yet at {}", place.state))?;
        match self.print(&reader) {
            // Whoever read has seen enough.
            Err(error) if is_broken_pipe(&error) => Ok(exit::OK),
            printed => printed,
        }
    }

    fn print(&self, reader: &Reader) -> anyhow::Result<u8> {
        let mut teller = Teller { json: self.json, out: io::stdout() };
        let named = self.name.as_deref().filter(|name| is_run(name) || !self.follow);
        let Some(name) = named else {
            Follow::runs_of(reader, self.name.as_deref())?.forever(&mut teller)?;
            return Ok(exit::OK);
        };
        let Some(run) = reader.run(name)? else {
            bail!("there is no run `{name}`; `gulou history` lists the runs");
        };
        if self.follow {
            Follow::run(reader, &run).until_the_end(&mut teller)?;
            return Ok(exit::OK);
        }
        let lines = reader.output(run.id, -1)?;
        if lines.is_empty() && !self.json {
            eprintln!("run {} has said nothing, or its output is not kept any more", run.id);
        }
        for line in &lines {
            teller.line(None, line)?;
        }
        Ok(exit::OK)
    }
}

/// A number or a request id. Names of functions begin with a letter and may look like the latter's beginning only.
fn is_run(name: &str) -> bool {
    name.parse::<RunId>().is_ok() || uuid::Uuid::parse_str(name).is_ok()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Prints lines of runs.
struct Teller<W> {
    json: bool,
    out: W,
}

impl<W: Write> Teller<W> {
    /// `whose`: the run and its trigger, where lines of several are shown.
    fn line(&mut self, whose: Option<(RunId, &str)>, line: &RecordedLine) -> io::Result<()> {
        let RecordedLine { at, stream, text, .. } = line;
        if self.json {
            let mut value = json!({ "at": millis(*at), "stream": stream, "line": text });
            if let Some((run, trigger)) = whose {
                value["run"] = run.into();
                value["trigger"] = Value::from(trigger);
            }
            return writeln!(self.out, "{value}");
        }
        match whose {
            Some((run, trigger)) => {
                writeln!(self.out, "{} {trigger} {run} {stream:<6} {text}", millis(*at))
            }
            None => writeln!(self.out, "{} {stream:<6} {text}", millis(*at)),
        }
    }
}
