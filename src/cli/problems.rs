//! What keeps functions from running, for people: folders that cannot be used as they are, runs that had them paused.

use std::fmt::Write as _;

use super::times::seconds;
use crate::server::wire::{Halted, Problem};

/// A line for each folder, and under it all that is wrong. Empty when there are none.
pub(super) fn text(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let Problem { function, message, since, old_version_runs } = problem;
        let meanwhile = if *old_version_runs { "its old version goes on" } else { "it does not run" };
        let since = seconds(since.timestamp());
        let _ = writeln!(text, "the folder `{function}` cannot be used as it is since {since}; {meanwhile}:");
        for line in message.lines() {
            // An empty line stays empty.
            let _ = writeln!(text, "{}", format!("  {line}").trim_end());
        }
    }
    text
}

/// A line for each function that a run has paused. Empty when there are none.
pub(super) fn halted(halted: &[Halted]) -> String {
    let mut text = String::new();
    for Halted { function, since, reason } in halted {
        let since = seconds(since.timestamp());
        let _ = writeln!(
            text,
            "`{function}` is paused since {since}: {reason}\n  when it is mended, go on with `gulou resume {function}`"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn shows_every_line_of_what_is_wrong() {
        let problem = |function: &str, old_version_runs| Problem {
            function: function.to_owned(),
            message: "error: no\n  --> there\n\nerror: no again".to_owned(),
            since: DateTime::from_timestamp(1_780_000_000, 0).unwrap(),
            old_version_runs,
        };
        assert_eq!(
            text(&[problem("a", true), problem("b", false)]),
            "the folder `a` cannot be used as it is since 2026-05-29T04:26:40+08:00; its old version goes on:
  error: no
    --> there

  error: no again
the folder `b` cannot be used as it is since 2026-05-29T04:26:40+08:00; it does not run:
  error: no
    --> there

  error: no again
"
        );
        assert_eq!(text(&[]), "");
    }
}
