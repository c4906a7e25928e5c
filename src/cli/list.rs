//! `gulou list`: the triggers and when they fire next.

use std::io::Write as _;

use chrono::DateTime;
use chrono_tz::Tz;
use clap::Args;
use serde_json::json;
use unicode_width::UnicodeWidthStr;

use super::{ConfigArg, exit};
use crate::clock::Clock;
use crate::settings::{FunctionSettings, TargetSettings, TriggerSettings};

/// List the triggers with their next fire times
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  gulou list --config config.example.json")]
pub(super) struct List {
    #[command(flatten)]
    config: ConfigArg,
    /// Print a JSON array, one object a trigger
    #[arg(long)]
    json: bool,
}

const HEADINGS: [&str; 5] = ["TRIGGER", "SCHEDULE", "NEXT FIRE", "TARGET", "ENABLED"];

impl List {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let now = Clock::system().now();
        let settings = match self.config.load() {
            Ok(loaded) => loaded.settings,
            Err(code) => return Ok(code),
        };
        let all = settings
            .functions
            .iter()
            .flat_map(|function| function.triggers.iter().map(move |trigger| (function, trigger)));
        let mut out = std::io::stdout().lock();
        if self.json {
            let all: Vec<_> =
                all.map(|(function, trigger)| entry(function, trigger, now.timestamp())).collect();
            writeln!(out, "{:#}", serde_json::Value::from(all))?;
        } else {
            let rows: Vec<_> =
                all.map(|(function, trigger)| row(function, trigger, now.timestamp())).collect();
            write!(out, "{}", table(&rows))?;
        }
        Ok(exit::OK)
    }
}

fn row(function: &FunctionSettings, trigger: &TriggerSettings, now: i64) -> [String; 5] {
    let next = next(trigger, now).map_or_else(
        || "never".to_owned(),
        |next| format!("{} {}", next.format("%Y-%m-%d %H:%M:%S %a"), trigger.schedule.timezone()),
    );
    [
        format!("{}/{}", function.name, trigger.name),
        trigger.expression.to_string(),
        if trigger.enabled { next } else { "-".to_owned() },
        kind(&function.target).to_owned(),
        if trigger.enabled { "yes" } else { "no" }.to_owned(),
    ]
}

fn entry(function: &FunctionSettings, trigger: &TriggerSettings, now: i64) -> serde_json::Value {
    let next = next(trigger, now).filter(|_| trigger.enabled);
    json!({
        "function": function.name,
        "trigger": trigger.name,
        "expression": trigger.expression,
        "timezone": trigger.schedule.timezone().name(),
        "next": next.map(|next| next.to_rfc3339()),
        "next_utc": next.map(|next| next.to_utc().format("%Y-%m-%dT%H:%M:%SZ").to_string()),
        "target": kind(&function.target),
        "enabled": trigger.enabled,
    })
}

fn next(trigger: &TriggerSettings, now: i64) -> Option<DateTime<Tz>> {
    let next = DateTime::from_timestamp(trigger.schedule.next(now)?, 0)?;
    Some(next.with_timezone(&trigger.schedule.timezone()))
}

const fn kind(target: &TargetSettings) -> &'static str {
    match target {
        TargetSettings::Function(_) => "function",
        TargetSettings::Command(_) => "command",
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
    use super::table;

    #[test]
    fn columns_align_behind_chinese_text() {
        let row = |name: &str| [name, "x", "y", "z", "yes"].map(str::to_owned);
        let text = table(&[row("a/鼓楼"), row("abcdef")]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "TRIGGER  SCHEDULE  NEXT FIRE  TARGET  ENABLED");
        assert_eq!(lines[1], "a/鼓楼   x         y          z       yes");
        assert_eq!(lines[2], "abcdef   x         y          z       yes");
    }
}
