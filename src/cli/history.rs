//! `gulou history`.

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::times::{millis, seconds};
use super::{ConfigArg, exit};
use crate::store::Reader;
use crate::store::runs::{HistoryFilter, RunRecord, SkippedRecord};

/// Show past runs, the newest first
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  gulou history --config config.example.json
  gulou history --config config.example.json mass-mail --state failed --count 5
  gulou history --config config.example.json mass-mail --json")]
pub(super) struct History {
    #[command(flatten)]
    config: ConfigArg,
    /// Only this function, or one trigger of it
    #[arg(value_name = "FUNCTION[/TRIGGER]")]
    name: Option<String>,
    /// Only runs in this state: waiting, running, succeeded, failed, timed-out, interrupted
    #[arg(long, value_parser = ["waiting", "running", "succeeded", "failed", "timed-out", "interrupted"])]
    state: Option<String>,
    /// How many runs
    #[arg(short = 'n', long, default_value_t = 20)]
    count: u32,
    /// Fire times that were skipped, instead of runs
    #[arg(long)]
    skipped: bool,
    /// One JSON array
    #[arg(long)]
    json: bool,
}

impl History {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let place = match self.config.place() {
            Ok(place) => place,
            Err(code) => return Ok(code),
        };
        let reader = Reader::of(&place.state)?;
        let (function, trigger) = match self.name.as_deref().map(|name| name.split_once('/')) {
            None => (None, None),
            Some(None) => (self.name.clone(), None),
            Some(Some((function, trigger))) => (Some(function.to_owned()), Some(trigger.to_owned())),
        };
        if self.skipped {
            let spans = reader.map(|r| r.skipped(function.as_deref(), self.count)).transpose()?;
            return self.print_skipped(&spans.unwrap_or_default());
        }
        let filter =
            HistoryFilter { function, trigger, state: self.state.clone(), after: 0, limit: self.count };
        let runs = reader.map(|r| r.history(&filter)).transpose()?.unwrap_or_default();
        if self.json {
            let runs: Vec<Value> = runs.iter().map(run_json).collect();
            println!("{}", serde_json::to_string_pretty(&runs).context("could not print the runs")?);
        } else if runs.is_empty() {
            println!("no runs");
        } else {
            print_runs(&runs);
        }
        Ok(exit::OK)
    }

    fn print_skipped(&self, spans: &[SkippedRecord]) -> anyhow::Result<u8> {
        if self.json {
            let spans: Vec<Value> = spans
                .iter()
                .map(|span| {
                    json!({
                        "function": span.function, "trigger": span.trigger, "count": span.count,
                        "first": seconds(span.first), "last": seconds(span.last), "reason": span.reason,
                    })
                })
                .collect();
            println!("{}", serde_json::to_string_pretty(&spans).context("could not print the spans")?);
            return Ok(exit::OK);
        }
        if spans.is_empty() {
            println!("nothing was skipped");
        }
        for span in spans {
            println!(
                "{}/{}: {} skipped ({}), {} to {}",
                span.function,
                span.trigger,
                span.count,
                span.reason,
                seconds(span.first),
                seconds(span.last)
            );
        }
        Ok(exit::OK)
    }
}

fn print_runs(runs: &[RunRecord]) {
    println!("{:>6}  {:<25}  {:<11}  {:>9}  TRIGGER", "RUN", "FIRE TIME", "STATE", "TOOK");
    for run in runs {
        let took = match (run.started_at, run.finished_at) {
            (Some(from), Some(to)) if run.repeats == 0 => duration(to - from),
            _ => String::new(),
        };
        let name = format!("{}/{}", run.function, run.trigger);
        let reason = if run.reason == "timed" { String::new() } else { format!(" ({})", run.reason) };
        let repeats =
            if run.repeats == 0 { String::new() } else { format!(" (and {} more like it)", run.repeats) };
        let message = run.message.as_deref().map(|text| format!("  {text}")).unwrap_or_default();
        let (id, state, time) = (run.id, &run.state, seconds(run.fire_time));
        println!("{id:>6}  {time}  {state:<11}  {took:>9}  {name}{reason}{repeats}{message}");
    }
}

/// The shape that `history --json` prints a run in.
fn run_json(run: &RunRecord) -> Value {
    json!({
        "run": run.id,
        "request_id": run.request_id.to_string(),
        "function": run.function,
        "trigger": run.trigger,
        "fire_time": seconds(run.fire_time),
        "reason": run.reason,
        "attempt": run.attempt,
        "missed": run.missed,
        "state": run.state,
        "repeats": run.repeats,
        "started_at": run.started_at.map(millis),
        "finished_at": run.finished_at.map(millis),
        "message": run.message,
        "result": run.result,
    })
}

fn duration(millis: i64) -> String {
    if millis < 10_000 {
        return format!("{millis} ms");
    }
    format!("{}.{} s", millis / 1000, millis % 1000 / 100)
}
