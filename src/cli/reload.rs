//! `gulou reload`.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::Args;

use super::client::Daemon;
use super::{ConfigArg, exit, problems};
use crate::server::wire::Reloaded;

/// Have the running daemon look at the function folders now
///
/// Says what it took over. Folders that are valid take effect, whatever is wrong with others; those that are
/// not keep their old versions. Runs in flight go on as they began.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  gulou reload --config config.example.json

Exit code 3 when a folder cannot be used as it is, 1 when no daemon is running.")]
pub(super) struct Reload {
    #[command(flatten)]
    config: ConfigArg,
    /// Print one JSON object, as docs/api.md has it
    #[arg(long)]
    json: bool,
}

impl Reload {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let place = match self.config.place() {
            Ok(place) => place,
            Err(code) => return Ok(code),
        };
        let mut daemon = Daemon::reach(&place)?;
        let answer = daemon.post("reload", &serde_json::json!({}))?;
        let report: Reloaded = daemon.typed(answer.clone())?;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{answer:#}")?;
        } else {
            write!(out, "{}", text(&report))?;
        }
        Ok(if report.problems.is_empty() { exit::OK } else { exit::CONFIG })
    }
}

fn text(report: &Reloaded) -> String {
    let Reloaded { added, changed, removed, problems, notes } = report;
    let mut text = String::new();
    for (done, names) in [("added", added), ("changed", changed), ("removed", removed)] {
        for name in names {
            let _ = writeln!(text, "{done} {name}");
        }
    }
    if text.is_empty() {
        text.push_str("nothing has changed\n");
    }
    for note in notes {
        let _ = writeln!(text, "{note}");
    }
    text.push_str(&problems::text(problems));
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn says_what_was_taken_over_and_what_was_not() {
        let report = json!({
            "added": ["a", "b"], "changed": ["c"], "removed": ["d"], "notes": ["`mail` needs a restart"],
            "problems": [{ "function": "e", "message": "error: no", "since": "2026-06-01T00:00:00Z",
                           "old_version_runs": false }],
        });
        assert_eq!(
            text(&serde_json::from_value(report).unwrap()),
            "\
added a
added b
changed c
removed d
`mail` needs a restart
the folder `e` cannot be used as it is since 2026-06-01T08:00:00+08:00; it does not run:
  error: no
"
        );
        let nothing = json!({ "added": [], "changed": [], "removed": [], "notes": [], "problems": [] });
        assert_eq!(text(&serde_json::from_value(nothing).unwrap()), "nothing has changed\n");
    }
}
