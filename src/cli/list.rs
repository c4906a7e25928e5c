//! `gulou list`: the triggers and when they fire next.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use clap::Args;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::client::{ClientError, Daemon};
use super::{ConfigArg, exit, problems};
use crate::clock::Clock;
use crate::server::wire::{Halted, Problem, Status, Trigger, Triggers};
use crate::settings::{FunctionSettings, Settings, TargetSettings, TriggerSettings};

/// List the triggers with their next fire times
///
/// The running daemon is asked, so that the list is what really runs: with what is paused, and with function
/// folders that cannot be used as they are now, below the table. Without a daemon it is what the files say.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  gulou list --config config.example.json")]
pub(super) struct List {
    #[command(flatten)]
    config: ConfigArg,
    /// Print a JSON array, one object a trigger
    #[arg(long)]
    json: bool,
}

const HEADINGS: [&str; 5] = ["TRIGGER", "SCHEDULE", "NEXT FIRE", "TARGET", "STATE"];

impl List {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let place = match self.config.place() {
            Ok(place) => place,
            Err(code) => return Ok(code),
        };
        let Listing { triggers, problems, halted } = match running(&place.socket)? {
            Some(found) => found,
            None => match self.config.load() {
                Ok(loaded) => on_disk(&loaded.settings, Clock::system().now()),
                Err(code) => return Ok(code),
            },
        };
        let mut out = std::io::stdout().lock();
        let problems = problems::halted(&halted) + &problems::text(&problems);
        if self.json {
            let all: anyhow::Result<Vec<Value>> = triggers.iter().map(entry).collect();
            writeln!(out, "{:#}", Value::from(all?))?;
            eprint!("{problems}");
        } else {
            let rows: anyhow::Result<Vec<_>> = triggers.iter().map(row).collect();
            write!(out, "{}", table(&rows?))?;
            if !problems.is_empty() {
                write!(out, "\n{problems}")?;
            }
        }
        Ok(exit::OK)
    }
}

/// What there is to show.
struct Listing {
    triggers: Vec<Trigger>,
    problems: Vec<Problem>,
    halted: Vec<Halted>,
}

/// What the daemon at `socket` runs, if there is one, and what keeps functions from running.
fn running(socket: &Path) -> Result<Option<Listing>, ClientError> {
    let Some(mut daemon) = Daemon::find(socket)? else { return Ok(None) };
    let triggers = daemon.get("triggers")?;
    let Triggers { triggers } = daemon.typed(triggers)?;
    let status = daemon.get("status")?;
    let Status { problems, halted, .. } = daemon.typed(status)?;
    Ok(Some(Listing { triggers, problems, halted }))
}

/// What a daemon would run that starts now.
fn on_disk(settings: &Settings, now: DateTime<Utc>) -> Listing {
    let trigger = |function: &FunctionSettings, trigger: &TriggerSettings| Trigger {
        function: function.name.clone(),
        trigger: trigger.name.to_string(),
        expression: trigger.expression.to_string(),
        timezone: trigger.schedule.timezone().name().to_owned(),
        target: kind(&function.target).to_owned(),
        enabled: trigger.enabled,
        paused_since: None,
        paused_because: None,
        next: trigger.schedule.next(now.timestamp()).and_then(|next| DateTime::from_timestamp(next, 0)),
        running: 0,
        waiting: 0,
    };
    let all = settings.functions.iter();
    let all = all.flat_map(|function| function.triggers.iter().map(move |one| trigger(function, one)));
    Listing { triggers: all.collect(), problems: Vec::new(), halted: Vec::new() }
}

fn row(trigger: &Trigger) -> anyhow::Result<[String; 5]> {
    let state = match (trigger.enabled, trigger.paused_since) {
        (false, _) => "off",
        (true, Some(_)) => "paused",
        (true, None) => "on",
    };
    let next = if state == "on" {
        next(trigger)?.map_or_else(
            || "never".to_owned(),
            |next| format!("{} {}", next.format("%Y-%m-%d %H:%M:%S %a"), trigger.timezone),
        )
    } else {
        "-".to_owned()
    };
    Ok([
        format!("{}/{}", trigger.function, trigger.trigger),
        trigger.expression.clone(),
        next,
        trigger.target.clone(),
        state.to_owned(),
    ])
}

fn entry(trigger: &Trigger) -> anyhow::Result<Value> {
    let next = next(trigger)?.filter(|_| trigger.enabled);
    Ok(json!({
        "function": trigger.function,
        "trigger": trigger.trigger,
        "expression": trigger.expression,
        "timezone": trigger.timezone,
        "next": next.map(|next| next.to_rfc3339()),
        "next_utc": next.map(|next| next.to_utc().format("%Y-%m-%dT%H:%M:%SZ").to_string()),
        "target": trigger.target,
        "enabled": trigger.enabled,
        "paused_because": trigger.paused_because,
        "paused_since": trigger.paused_since.map(|since| super::times::seconds(since.timestamp())),
    }))
}

/// In the trigger's own zone.
fn next(trigger: &Trigger) -> anyhow::Result<Option<DateTime<Tz>>> {
    let Some(next) = trigger.next else { return Ok(None) };
    let zone: Tz = trigger.timezone.parse().with_context(|| {
        format!("the daemon knows a time zone that this gulou does not: {}", trigger.timezone)
    })?;
    // Jitter moves a fire by parts of a second.
    let whole = DateTime::from_timestamp(next.timestamp(), 0).unwrap_or(next);
    Ok(Some(whole.with_timezone(&zone)))
}

const fn kind(target: &TargetSettings) -> &'static str {
    match target {
        TargetSettings::Function(_) => "function",
        TargetSettings::Command(_) => "command",
        TargetSettings::Http(_) => "http",
        TargetSettings::Sql(_) => "sql",
        TargetSettings::Fetch(_) => "fetch",
        TargetSettings::Bounces(_) => "bounces",
        TargetSettings::Batch(_) => "batch",
    }
}

/// Columns as wide as their widest cell on a terminal, where a Chinese character takes two places.
fn table(rows: &[[String; 5]]) -> String {
    let widths: [usize; 5] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].width());
        cells.chain([HEADINGS[column].width()]).max().unwrap_or_default()
    });
    let line = |cells: [&str; 5]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| {
            let blanks = width.saturating_sub(cell.width());
            format!("{cell}{}", " ".repeat(blanks))
        });
        let line = padded.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    };
    let body = rows.iter().map(|row| line(std::array::from_fn(|column| row[column].as_str())));
    std::iter::once(line(HEADINGS)).chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_behind_chinese_text() {
        let row = |name: &str| [name, "x", "y", "z", "on"].map(str::to_owned);
        let text = table(&[row("a/鼓楼"), row("abcdef")]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "TRIGGER  SCHEDULE  NEXT FIRE  TARGET  STATE");
        assert_eq!(lines[1], "a/鼓楼   x         y          z       on");
        assert_eq!(lines[2], "abcdef   x         y          z       on");
    }

    #[test]
    fn only_what_is_on_has_a_next_fire() {
        let shown = |enabled: bool, paused: bool| {
            let trigger = serde_json::from_value(json!({
                "function": "f", "trigger": "t", "expression": "0 0 9 * * * *", "timezone": "Asia/Shanghai",
                "target": "command", "enabled": enabled, "running": 0, "waiting": 0,
                "paused_since": paused.then_some("2026-06-01T00:00:00Z"), "next": "2026-06-01T01:00:00.750Z",
            }));
            let [_, _, next, _, state] = row(&trigger.unwrap()).unwrap();
            (next, state)
        };
        let (next, state) = shown(true, false);
        assert_eq!((next.as_str(), state.as_str()), ("2026-06-01 09:00:00 Mon Asia/Shanghai", "on"));
        assert_eq!(shown(true, true), ("-".to_owned(), "paused".to_owned()));
        assert_eq!(shown(false, true), ("-".to_owned(), "off".to_owned()));
    }
}
