//! Legal schedules that may not say what their author meant, seen beside what they fire.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::schedule::{Lint, LintFacts};
use crate::settings::{FunctionSettings, Overlap, Pages, TargetSettings, TriggerSettings};

/// What may not be meant by the schedule of `trigger`, which belongs to `function`; nothing if it is disabled.
pub fn lints(function: &FunctionSettings, trigger: &TriggerSettings, now: DateTime<Utc>) -> Vec<Lint> {
    if !trigger.enabled {
        return Vec::new();
    }
    let (timeout, page_time) = match &function.target {
        // Where overlap is settled by a rule of its own, a long run surprises nobody.
        _ if function.overlap != Overlap::Allow && !matches!(function.target, TargetSettings::Batch(_)) => {
            (None, None)
        }
        TargetSettings::Function(code) => (Some(code.timeout), None),
        TargetSettings::Command(command) => (Some(command.timeout), None),
        TargetSettings::Http(request) => (Some(request.timeout), None),
        TargetSettings::Sql(sql) => (Some(sql.timeout), None),
        TargetSettings::Fetch(page) => (Some(page.request.timeout), None),
        TargetSettings::Bounces(_) => (None, None),
        TargetSettings::Batch(batch) => {
            let pages = match batch.pages {
                Pages::Count(pages) => Some(pages),
                Pages::All => None,
            };
            let rows = pages.map(|pages| pages.get().saturating_mul(batch.source.page));
            (None, batch.rate.zip(rows).map(|(rate, rows)| time_of(rows, rate.count.get(), rate.per)))
        }
    };
    trigger.schedule.lints(&LintFacts { timeout, page_time, now: now.timestamp() })
}

/// How long `rows` take at `count` in `per`.
fn time_of(rows: u32, count: u32, per: Duration) -> Duration {
    per.saturating_mul(rows) / count
}
