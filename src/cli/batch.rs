//! `gulou batch`: the rows that the ledger keeps, and the way out for them.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::times::{millis, seconds};
use super::{ConfigArg, exit};
use crate::clock::Clock;
use crate::settings::{BatchSettings, Settings, TargetSettings};
use crate::store::ledger_rows::{BatchSummary, LedgerRow, Requeue, RowState};
use crate::store::{Reader, Store};

/// Show what batches hold back, and hand rows back for delivery
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  gulou batch list
  gulou batch rows mass-mail --held
  gulou batch release mass-mail 17 18      they were not delivered: deliver them
  gulou batch resend mass-mail --all       deliver them although it may be the second time")]
pub(super) struct Batch {
    #[command(flatten)]
    config: ConfigArg,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Every batch, with the rows that it holds back
    List {
        /// One JSON array
        #[arg(long)]
        json: bool,
    },
    /// One batch
    Show {
        /// The batch's id
        #[arg(value_name = "BATCH")]
        batch: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Rows that a batch holds back, the longest held first
    Rows {
        /// The batch's id
        #[arg(value_name = "BATCH")]
        batch: String,
        #[command(flatten)]
        which: Which,
        /// How many rows
        #[arg(short = 'n', long, default_value_t = 100)]
        count: u32,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Deliver rows although it may be the second time; with --failed, try failed rows again
    Resend(Requeued),
    /// Deliver held rows that you know were not delivered
    Release(Requeued),
}

#[derive(Args, Clone, Copy, Debug)]
#[group(multiple = false)]
struct Which {
    /// Rows that may or may not have been delivered
    #[arg(long)]
    held: bool,
    /// Rows that failed for good
    #[arg(long)]
    failed: bool,
    /// Rows that wait for another try
    #[arg(long)]
    retrying: bool,
}

impl Which {
    fn state(self) -> Option<RowState> {
        match self {
            Self { held: true, .. } => Some(RowState::Held),
            Self { failed: true, .. } => Some(RowState::Failed),
            Self { retrying: true, .. } => Some(RowState::Retrying),
            Self { .. } => None,
        }
    }
}

#[derive(Args, Debug)]
struct Requeued {
    /// The batch's id
    #[arg(value_name = "BATCH")]
    batch: String,
    /// Keys of the rows, as in the table
    #[arg(value_name = "KEY", required_unless_present = "all", conflicts_with = "all")]
    keys: Vec<String>,
    /// All rows in that state
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    which: Which,
}

impl Batch {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let settings = match self.config.load() {
            Ok(loaded) => loaded.settings,
            Err(code) => return Ok(code),
        };
        match self.verb {
            Verb::List { json } => list(&settings, json),
            Verb::Show { batch, json } => show(&settings, &batch, json),
            Verb::Rows { batch, which, count, json } => rows(&settings, &batch, which, count, json),
            Verb::Resend(rows) => {
                let state = rows.which.state().unwrap_or(RowState::Held);
                requeue(&settings, &rows, state, state == RowState::Held)
            }
            Verb::Release(rows) => {
                if !matches!(rows.which.state(), None | Some(RowState::Held)) {
                    bail!("only held rows are released; use `gulou batch resend`");
                }
                requeue(&settings, &rows, RowState::Held, false)
            }
        }
    }
}

/// The batches of the configuration: function and settings.
fn configured(settings: &Settings) -> impl Iterator<Item = (&str, &BatchSettings)> {
    settings.functions.iter().filter_map(|function| match &function.target {
        TargetSettings::Batch(batch) => Some((function.name.as_str(), &**batch)),
        TargetSettings::Function(_) | TargetSettings::Command(_) => None,
    })
}

/// What the ledger says of every batch that is configured or known to it.
fn summaries(settings: &Settings) -> anyhow::Result<Vec<BatchSummary>> {
    let reader = Reader::of(&settings.state)?;
    let mut summaries = reader.map(|reader| reader.batches()).transpose()?.unwrap_or_default();
    for (_, batch) in configured(settings) {
        if summaries.iter().all(|summary| summary.batch != batch.id) {
            summaries.push(BatchSummary { batch: batch.id.clone(), ..BatchSummary::default() });
        }
    }
    summaries.sort_by(|one, other| one.batch.cmp(&other.batch));
    Ok(summaries)
}

fn list(settings: &Settings, json: bool) -> anyhow::Result<u8> {
    let summaries = summaries(settings)?;
    if json {
        let summaries: Vec<Value> = summaries.iter().map(summary_json).collect();
        println!("{}", serde_json::to_string_pretty(&summaries).context("could not print the batches")?);
        return Ok(exit::OK);
    }
    if summaries.is_empty() {
        println!("no batches");
        return Ok(exit::OK);
    }
    println!("{:>9}  {:>9}  {:>9}  {:>9}  BATCH", "HELD", "FAILED", "RETRYING", "REMAINING");
    for summary in summaries {
        let BatchSummary { batch, held, failed, retrying, remaining, .. } = summary;
        let remaining = remaining.map(|count| count.to_string()).unwrap_or_default();
        println!("{held:>9}  {failed:>9}  {retrying:>9}  {remaining:>9}  {batch}");
    }
    Ok(exit::OK)
}

fn show(settings: &Settings, batch: &str, json: bool) -> anyhow::Result<u8> {
    let Some(summary) = summaries(settings)?.into_iter().find(|summary| summary.batch == batch) else {
        bail!("there is no batch `{batch}`; `gulou batch list` lists them");
    };
    if json {
        let summary = summary_json(&summary);
        println!("{}", serde_json::to_string_pretty(&summary).context("could not print the batch")?);
        return Ok(exit::OK);
    }
    match configured(settings).find(|(_, configured)| configured.id == batch) {
        Some((function, _)) => println!("{batch}, run by the function {function}"),
        None => println!("{batch}, which no function runs any more"),
    }
    match (&summary.trigger, summary.fire_time, &summary.fire_state) {
        (Some(trigger), Some(time), Some(state)) => {
            println!("newest fire  {} {trigger}: {state}", seconds(time));
        }
        _ => println!("it never ran"),
    }
    if let Some(remaining) = summary.remaining {
        println!("remaining    {remaining} rows in this sweep");
    }
    println!("held         {}", summary.held);
    println!("failed       {}", summary.failed);
    let due = summary.next_retry.map(|at| format!(", the first at {}", millis(at))).unwrap_or_default();
    println!("retrying     {}{due}", summary.retrying);
    println!("under way    {}", summary.under_way);
    Ok(exit::OK)
}

/// The shape that `batch list --json` prints a batch in.
fn summary_json(summary: &BatchSummary) -> Value {
    json!({
        "batch": summary.batch,
        "held": summary.held,
        "failed": summary.failed,
        "retrying": summary.retrying,
        "under_way": summary.under_way,
        "next_retry": summary.next_retry.map(millis),
        "remaining": summary.remaining,
        "trigger": summary.trigger,
        "fire_time": summary.fire_time.map(seconds),
        "fire_state": summary.fire_state,
    })
}

fn rows(settings: &Settings, batch: &str, which: Which, count: u32, json: bool) -> anyhow::Result<u8> {
    if summaries(settings)?.iter().all(|summary| summary.batch != batch) {
        bail!("there is no batch `{batch}`; `gulou batch list` lists them");
    }
    let reader = Reader::of(&settings.state)?;
    let rows = reader.map(|reader| reader.batch_rows(batch, which.state(), count)).transpose()?;
    let rows = rows.unwrap_or_default();
    if !json {
        print_rows(&rows);
        return Ok(exit::OK);
    }
    for row in rows {
        let key: Value = serde_json::from_str(&row.key).unwrap_or_default();
        println!(
            "{}",
            json!({
                "key": key, "state": row.state, "at": millis(row.at), "attempts": row.attempts,
                "reservation": row.reservation, "fire_time": seconds(row.fire_time), "detail": row.detail,
            })
        );
    }
    Ok(exit::OK)
}

fn print_rows(rows: &[LedgerRow]) {
    if rows.is_empty() {
        println!("no rows");
        return;
    }
    println!("{:<9}  {:<29}  {:>5}  {:<12}  WHY", "STATE", "SINCE / DUE", "TRIES", "KEY");
    for row in rows {
        let detail = row.detail.as_deref().unwrap_or_default();
        let key = shown_key(&row.key);
        println!("{:<9}  {:<29}  {:>5}  {key:<12}  {detail}", row.state, millis(row.at), row.attempts);
    }
}

/// A key as an operator would type it.
fn shown_key(key: &str) -> String {
    match serde_json::from_str::<Vec<Value>>(key).ok().as_deref() {
        Some([Value::String(text)]) => text.clone(),
        Some([value]) => value.to_string(),
        Some([]) => "(all)".to_owned(),
        _ => key.to_owned(),
    }
}

fn requeue(settings: &Settings, rows: &Requeued, state: RowState, doubtful: bool) -> anyhow::Result<u8> {
    if summaries(settings)?.iter().all(|summary| summary.batch != rows.batch) {
        bail!("there is no batch `{}`; `gulou batch list` lists them", rows.batch);
    }
    // A number may be a number or a text in the table.
    let spellings = rows.keys.iter().flat_map(|key| {
        let number = key.parse::<i64>().ok().map(|number| format!("[{number}]"));
        number.into_iter().chain([json!([key]).to_string()])
    });
    let requeue = Requeue {
        batch: rows.batch.clone(),
        state,
        keys: (!rows.all).then(|| spellings.collect()),
        doubtful,
        now: Clock::system().now().timestamp_millis(),
    };
    let store = Store::take(&settings.state)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().context("could not start")?;
    let count = runtime.block_on(store.requeue(requeue))?;
    let what = if count == 1 { "row goes" } else { "rows go" };
    println!("{count} {what} out with the next run of {}", rows.batch);
    let all_found = rows.all || count >= rows.keys.len() as u64;
    Ok(if all_found { exit::OK } else { exit::FAILED })
}
