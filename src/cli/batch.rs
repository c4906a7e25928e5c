//! `gulou batch`: the rows that the ledger keeps, and the way out for them.
//!
//! - `show`: `list`, `show`, `rows`
//! - `settle`: `resend`, `release`, `discard`
//! - `export`: rows for other programs
//! - `trial`: one mail to somebody who wants to see it
//!
//! The running daemon is asked where it has a say; without one the state is read or changed here.

mod export;
mod settle;
mod show;
mod trial;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::ConfigArg;
use crate::server::ledger::State;
use crate::settings::{BatchSettings, FunctionSettings, Settings, TargetSettings};

/// Show what batches hold back, and settle it
///
/// Works while the daemon runs, and without it. A row that a run has in its hands is left alone.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  gulou batch list
  gulou batch rows mass-mail --held
  gulou batch release mass-mail 17 18      they were not delivered: deliver them
  gulou batch resend mass-mail --all       deliver them although it may be the second time
  gulou batch discard mass-mail 17         never deliver it
  gulou batch try mass-mail --to me@example.com")]
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
    Resend(settle::Picked),
    /// Deliver held rows that you know were not delivered
    Release(settle::Picked),
    /// Never deliver these rows
    ///
    /// Where `mark.failed` names columns, the rows are marked as failed, with `discarded by an operator` for `:error`, and
    /// leave the ledger. With `"keep"`, or without a mark, they stay in it as failed: their table still has them as
    /// undelivered, and they would be picked up again. `resend --failed` is the way back.
    Discard(settle::Picked),
    Export(export::Export),
    Try(trial::Try),
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
    const fn state(self) -> Option<State> {
        match self {
            Self { held: true, .. } => Some(State::Held),
            Self { failed: true, .. } => Some(State::Failed),
            Self { retrying: true, .. } => Some(State::Retrying),
            Self { .. } => None,
        }
    }
}

impl Batch {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let config = &self.config;
        match self.verb {
            Verb::List { json } => show::list(config, json),
            Verb::Show { batch, json } => show::show(config, &batch, json),
            Verb::Rows { batch, which, count, json } => show::rows(config, &batch, which, count, json),
            Verb::Resend(rows) => rows.resend(config),
            Verb::Release(rows) => rows.release(config),
            Verb::Discard(rows) => rows.discard(config),
            Verb::Export(export) => export.run(config),
            Verb::Try(trial) => trial.run(config),
        }
    }
}

/// The batches of the configuration: function and settings.
fn configured(settings: &Settings) -> impl Iterator<Item = (&FunctionSettings, &BatchSettings)> {
    settings.functions.iter().filter_map(|function| match &function.target {
        TargetSettings::Batch(batch) => Some((function, &**batch)),
        TargetSettings::Function(_)
        | TargetSettings::Command(_)
        | TargetSettings::Http(_)
        | TargetSettings::Fetch(_)
        | TargetSettings::Bounces(_)
        | TargetSettings::Sql(_) => None,
    })
}

/// A key as an operator would type it.
fn shown_key(key: &Value) -> String {
    match key.as_array().map(Vec::as_slice) {
        Some([Value::String(text)]) => text.clone(),
        Some([value]) => value.to_string(),
        Some([]) => "(all)".to_owned(),
        _ => key.to_string(),
    }
}

/// What a typed key may mean: a number may be a number or a text in the table; a JSON array is a key of several columns.
fn spellings(key: &str) -> Vec<Vec<Value>> {
    if let Ok(Value::Array(columns)) = serde_json::from_str(key) {
        return vec![columns];
    }
    let number = key.parse::<i64>().ok().map(|number| vec![Value::from(number)]);
    number.into_iter().chain([vec![Value::from(key)]]).collect()
}
