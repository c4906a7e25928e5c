//! `gulou logs`.

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use super::times::millis;
use super::{ConfigArg, exit};
use crate::store::Reader;

/// Show the output of a run
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  gulou logs --config config.example.json 42")]
pub(super) struct Logs {
    #[command(flatten)]
    config: ConfigArg,
    /// The run's number, or its request id (see `gulou history`)
    #[arg(value_name = "RUN")]
    run: String,
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
        let Some(run) = reader.run(&self.run)? else {
            bail!("there is no run `{}`; `gulou history` lists the runs", self.run);
        };
        for line in reader.output(run.id)? {
            if self.json {
                println!("{}", json!({ "at": millis(line.at), "stream": line.stream, "line": line.text }));
            } else {
                println!("{} {:<6} {}", millis(line.at), line.stream, line.text);
            }
        }
        Ok(exit::OK)
    }
}
