//! `gulou status`: the running daemon at this moment.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::Args;

use super::client::Daemon;
use super::times::{seconds, span};
use super::{ConfigArg, exit, problems, progress};
use crate::server::wire;

/// Show what the running daemon does: what runs, what waits, what fires next, what is wrong
///
/// Exit code 1 when no daemon is running.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  gulou status --config config.example.json
  gulou status --config config.example.json --json")]
pub(super) struct Status {
    #[command(flatten)]
    config: ConfigArg,
    /// Print one JSON object, as docs/api.md has it
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let place = match self.config.place() {
            Ok(place) => place,
            Err(code) => return Ok(code),
        };
        let mut daemon = Daemon::reach(&place)?;
        let status = daemon.get("status")?;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{status:#}")?;
        } else {
            write!(out, "{}", text(&daemon.typed(status)?))?;
        }
        Ok(exit::OK)
    }
}

fn text(status: &wire::Status) -> String {
    let mut text = String::new();
    let mut line = |what: &str, said: String| {
        let _ = writeln!(text, "{what:<10}{said}");
    };
    let wire::Status { version, pid, now, started_at, .. } = status;
    let up = span(*now - started_at);
    line("gulou", format!("{version}, process {pid}, up {up}, since {}", seconds(started_at.timestamp())));
    line("state", status.state.clone());
    if let Some(at) = status.reloaded_at {
        line("reloaded", seconds(at.timestamp()));
    }
    line("functions", status.functions.to_string());
    line("triggers", format!("{} enabled, {} paused", status.triggers, status.paused));
    line("running", status.running_count.to_string());
    let why = if status.full { " (as many run as `max_runs` allows)" } else { "" };
    line("waiting", format!("{} for room{why}, {} missed or behind them", status.waiting, status.backlog));
    line(
        "next fire",
        status.next.as_ref().map_or_else(
            || "none".to_owned(),
            |next| {
                let wire::Next { function, trigger, due } = next;
                format!("{}, in {}: {function}/{trigger}", seconds(due.timestamp()), span(*due - now))
            },
        ),
    );
    if let Some(claim_ms) = status.claim_ms {
        line("claims", format!("durable in {claim_ms:.1} ms"));
    }
    if let Some(until) = status.clock_behind {
        let until = seconds(until.timestamp());
        let _ = writeln!(
            text,
            "\nthe clock went back: fire times up to {until} have been dealt with already; triggers wait until \
             the clock gets there again"
        );
    }
    if !status.running.is_empty() {
        text.push('\n');
        text.push_str(&running(status));
    }
    if !status.halted.is_empty() {
        text.push('\n');
        text.push_str(&problems::halted(&status.halted));
    }
    if !status.problems.is_empty() {
        text.push('\n');
        text.push_str(&problems::text(&status.problems));
    }
    text
}

fn running(status: &wire::Status) -> String {
    let mut text = format!("{:>6}  {:<25}  {:>9}  TRIGGER\n", "RUN", "FIRE TIME", "FOR");
    for run in &status.running {
        let wire::Running { run, function, trigger, fire_time, reason, started_at, progress } = run;
        let reason = if reason == "timed" { String::new() } else { format!(" ({reason})") };
        let (time, age) = (seconds(fire_time.timestamp()), span(status.now - started_at));
        let _ = writeln!(text, "{run:>6}  {time}  {age:>9}  {function}/{trigger}{reason}");
        if let Some(progress) = progress {
            let _ = writeln!(text, "        {}", progress::text(progress));
        }
    }
    let more = status.running_count.saturating_sub(status.running.len());
    if more > 0 {
        let _ = writeln!(text, "        and {more} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(changes: &serde_json::Value) -> String {
        let mut status = json!({
            "version": "0.1.0", "pid": 4242, "state": "/srv/gulou.db",
            "now": "2026-06-01T01:00:00.250Z", "started_at": "2026-05-31T22:00:00.5Z", "reloaded_at": null,
            "functions": 2, "triggers": 3, "paused": 1, "running_count": 0, "running": [],
            "waiting": 0, "backlog": 0, "next": null, "claim_ms": null, "clock_behind": null, "problems": []
        });
        for (key, value) in changes.as_object().unwrap() {
            status[key] = value.clone();
        }
        text(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn a_quiet_daemon_is_a_few_lines() {
        assert_eq!(
            status(&json!({})),
            "\
gulou     0.1.0, process 4242, up 2 h 59 m, since 2026-06-01T06:00:00+08:00
state     /srv/gulou.db
functions 2
triggers  3 enabled, 1 paused
running   0
waiting   0 for room, 0 missed or behind them
next fire none
"
        );
    }

    #[test]
    fn everything_else_comes_below() {
        let text = status(&json!({
            "running_count": 3,
            "running": [{ "run": 7, "function": "f", "trigger": "t", "fire_time": "2026-06-01T00:59:00Z",
                          "reason": "manual", "started_at": "2026-06-01T00:59:00.250Z" },
                        { "run": 8, "function": "b", "trigger": "t", "fire_time": "2026-06-01T01:00:00Z",
                          "reason": "timed", "started_at": "2026-06-01T01:00:00.250Z",
                          "progress": { "taken": 700, "sent": 600, "failed": 2, "retrying": 0,
                                        "remaining": 9000, "rate": 312.4, "left_ms": 33_000 } }],
            "next": { "function": "f", "trigger": "t", "due": "2026-06-01T01:00:05.250Z" },
            "reloaded_at": "2026-06-01T00:00:00Z",
            "claim_ms": 0.8249, "clock_behind": "2026-06-01T02:00:00Z",
            "problems": [{ "function": "g", "message": "error: no", "since": "2026-06-01T00:00:00Z",
                           "old_version_runs": true }],
        }));
        let (head, below) = text.split_once("\n\n").unwrap();
        assert!(head.contains("\nreloaded  2026-06-01T08:00:00+08:00\n"), "{head}");
        let end = "next fire 2026-06-01T09:00:05+08:00, in 5 s: f/t\nclaims    durable in 0.8 ms";
        assert!(head.ends_with(end), "{head}");
        assert_eq!(
            below,
            "\
the clock went back: fire times up to 2026-06-01T10:00:00+08:00 have been dealt with already; triggers wait until the clock gets there again

   RUN  FIRE TIME                        FOR  TRIGGER
     7  2026-06-01T08:59:00+08:00    1 m 0 s  f/t (manual)
     8  2026-06-01T09:00:00+08:00        0 s  b/t
        600 sent, 2 failed, 312/s, 9000 remaining, 33 s left
        and 1 more

the folder `g` cannot be used as it is since 2026-06-01T08:00:00+08:00; its old version goes on:
  error: no
"
        );
    }
}
