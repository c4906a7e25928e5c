//! `list`, `show`, `rows`: what batches hold back, and why.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Which, configured, shown_key};
use crate::cli::client::Daemon;
use crate::cli::times::{millis, seconds};
use crate::cli::{ConfigArg, exit};
use crate::server::ledger::{Batch, Batches, Row, Rows, RowsOf, State};
use crate::store::Reader;

/// Every batch that the ledger knows, or that a function runs, by id.
pub(super) fn all(config: &ConfigArg) -> Result<anyhow::Result<Vec<Batch>>, u8> {
    let place = config.place()?;
    match Daemon::find(&place.socket) {
        Ok(Some(mut daemon)) => {
            let asked = daemon.get("batches").and_then(|answer| daemon.typed::<Batches>(answer));
            return Ok(asked.map(|answer| answer.batches).map_err(Into::into));
        }
        Ok(None) => {}
        Err(error) => return Ok(Err(error.into())),
    }
    let settings = config.load()?.settings;
    let run = configured(&settings).map(|(function, batch)| (batch.id.clone(), function.name.clone()));
    let known = || anyhow::Ok(Reader::of(&place.state)?.map(|reader| reader.batches()).transpose()?);
    Ok(known().map(|known| Batch::all(known.unwrap_or_default(), run.collect())))
}

/// The same, of which one must be called `id`.
pub(super) fn one(config: &ConfigArg, id: &str) -> Result<anyhow::Result<Batch>, u8> {
    let found = all(config)?.and_then(|batches| {
        batches
            .into_iter()
            .find(|batch| batch.batch == id)
            .with_context(|| format!("there is no batch `{id}`; `gulou batch list` lists them"))
    });
    Ok(found)
}

pub(super) fn list(config: &ConfigArg, json: bool) -> anyhow::Result<u8> {
    let batches = match all(config) {
        Ok(batches) => batches?,
        Err(code) => return Ok(code),
    };
    if json {
        let batches: Vec<Value> = batches.iter().map(batch_json).collect();
        println!("{}", serde_json::to_string_pretty(&batches).context("could not print the batches")?);
        return Ok(exit::OK);
    }
    if batches.is_empty() {
        println!("no batches");
        return Ok(exit::OK);
    }
    println!("{:>9}  {:>9}  {:>9}  {:>9}  BATCH", "HELD", "FAILED", "RETRYING", "REMAINING");
    for Batch { batch, held, failed, retrying, remaining, .. } in batches {
        let remaining = remaining.map(|count| count.to_string()).unwrap_or_default();
        println!("{held:>9}  {failed:>9}  {retrying:>9}  {remaining:>9}  {batch}");
    }
    Ok(exit::OK)
}

pub(super) fn show(config: &ConfigArg, id: &str, json: bool) -> anyhow::Result<u8> {
    let batch = match one(config, id) {
        Ok(batch) => batch?,
        Err(code) => return Ok(code),
    };
    if json {
        let batch = batch_json(&batch);
        println!("{}", serde_json::to_string_pretty(&batch).context("could not print the batch")?);
        return Ok(exit::OK);
    }
    match &batch.function {
        Some(function) => println!("{id}, run by the function {function}"),
        None => println!("{id}, which no function runs any more"),
    }
    match (&batch.trigger, batch.fire_time, &batch.fire_state) {
        (Some(trigger), Some(time), Some(state)) => {
            println!("newest fire  {} {trigger}: {state}", seconds(time.timestamp()));
        }
        _ => println!("it never ran"),
    }
    if let Some(remaining) = batch.remaining {
        println!("remaining    {remaining} rows in this sweep");
    }
    println!("held         {}", batch.held);
    println!("failed       {}", batch.failed);
    let due = batch.next_retry.map(|at| format!(", the first at {}", millis(at.timestamp_millis())));
    println!("retrying     {}{}", batch.retrying, due.unwrap_or_default());
    println!("under way    {}", batch.under_way);
    Ok(exit::OK)
}

/// The shape that `batch list --json` prints a batch in.
fn batch_json(batch: &Batch) -> Value {
    json!({
        "batch": batch.batch,
        "function": batch.function,
        "held": batch.held,
        "failed": batch.failed,
        "retrying": batch.retrying,
        "under_way": batch.under_way,
        "next_retry": batch.next_retry.map(|at| millis(at.timestamp_millis())),
        "remaining": batch.remaining,
        "trigger": batch.trigger,
        "fire_time": batch.fire_time.map(|time| seconds(time.timestamp())),
        "fire_state": batch.fire_state,
    })
}

pub(super) fn rows(config: &ConfigArg, id: &str, which: Which, count: u32, json: bool) -> anyhow::Result<u8> {
    let rows = match read(config, id, which.state(), count) {
        Ok(rows) => rows?,
        Err(code) => return Ok(code),
    };
    if json {
        for row in &rows {
            println!("{}", row_json(row));
        }
    } else {
        print_rows(&rows);
    }
    Ok(exit::OK)
}

fn read(
    config: &ConfigArg,
    id: &str,
    state: Option<State>,
    count: u32,
) -> Result<anyhow::Result<Vec<Row>>, u8> {
    let place = config.place()?;
    match Daemon::find(&place.socket) {
        Ok(Some(mut daemon)) => {
            let body = RowsOf { batch: id.to_owned(), state, count: Some(count) };
            let asked = daemon.post("batches/rows", &body).and_then(|answer| daemon.typed::<Rows>(answer));
            return Ok(asked.map(|answer| answer.rows).map_err(Into::into));
        }
        Ok(None) => {}
        Err(error) => return Ok(Err(error.into())),
    }
    if let Err(error) = one(config, id)? {
        return Ok(Err(error));
    }
    let read = || {
        let Some(reader) = Reader::of(&place.state)? else { return anyhow::Ok(Vec::new()) };
        Ok(reader.batch_rows(id, state.map(Into::into), count)?)
    };
    Ok(read().map(|rows| rows.into_iter().map(Row::from).collect()))
}

/// The shape that `rows --json` and `export` print a row in.
pub(super) fn row_json(row: &Row) -> Value {
    json!({
        "key": row.key, "state": row.state, "at": millis(row.at.timestamp_millis()), "attempts": row.attempts,
        "reservation": row.reservation, "fire_time": seconds(row.fire_time.timestamp()), "detail": row.detail,
    })
}

fn print_rows(rows: &[Row]) {
    if rows.is_empty() {
        println!("no rows");
        return;
    }
    println!("{:<9}  {:<29}  {:>5}  {:<12}  WHY", "STATE", "SINCE / DUE", "TRIES", "KEY");
    for row in rows {
        let detail = row.detail.as_deref().unwrap_or_default();
        let (key, at) = (shown_key(&row.key), millis(row.at.timestamp_millis()));
        println!("{:<9}  {at:<29}  {:>5}  {key:<12}  {detail}", row.state, row.attempts);
    }
}
