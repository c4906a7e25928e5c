//! `@at 2026-06-01T09:00:00+08:00`: given instants, several with commas between them.

use super::every::missing_time;
use super::{instant, is_blank};
use crate::cron::{ParseError, Zone};

/// Reads what follows `@at`, which ends at byte `at`: unix seconds, ascending, each once.
pub(super) fn parse(text: &str, at: usize, zone: &Zone) -> Result<Vec<i64>, ParseError> {
    let mut times = Vec::new();
    let mut at = at;
    for piece in text[at..].split(',') {
        let word = piece.trim_matches(is_blank);
        let start = at + (piece.len() - piece.trim_start_matches(is_blank).len());
        if word.is_empty() {
            return Err(missing_time(text, "time", at));
        }
        times.push(instant(text, "time", start, start + word.len(), zone)?);
        at += piece.len() + 1;
    }
    times.sort_unstable();
    times.dedup();
    Ok(times)
}
