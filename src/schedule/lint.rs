//! Remarks that need more than the expression: a clock, and what the trigger runs.

use std::time::Duration;

use super::{Form, Schedule, written};
use crate::cron::Lint;

/// What is known about a trigger beside its schedule.
#[derive(Clone, Copy, Debug, Default)]
pub struct LintFacts {
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// How long a page of a batch takes at its rate.
    pub page_time: Option<Duration>,
    /// Unix seconds.
    pub now: i64,
}

/// So many fire times from now on are looked at to find the closest two.
const LOOKED_AT: usize = 500;

/// A last fire within so many seconds is near: a year.
const NEAR: i64 = 366 * 86_400;

impl Schedule {
    /// What is legal but may not be meant; no remark on a schedule that never fires again, which is for the caller to say.
    pub fn lints(&self, facts: &LintFacts) -> Vec<Lint> {
        let mut lints = match &self.form {
            Form::Cron(cron) => cron.lints(),
            Form::Every(_) | Form::At(_) => Vec::new(),
        };
        lints.extend(self.last_year(facts.now));
        if let Some(closest) = self.closest(facts.now) {
            lints.extend(
                facts
                    .timeout
                    .filter(|timeout| closest < *timeout)
                    .map(|timeout| timeout_lint(closest, timeout)),
            );
            lints.extend(facts.page_time.filter(|time| closest < *time).map(|time| page_lint(closest, time)));
        }
        lints
    }

    /// The shortest time between two of the coming fires.
    fn closest(&self, now: i64) -> Option<Duration> {
        let times = std::iter::successors(self.next(now), |at| self.next(*at)).take(LOOKED_AT);
        let gaps = times.clone().skip(1).zip(times).map(|(later, earlier)| later.abs_diff(earlier));
        gaps.min().map(Duration::from_secs)
    }

    fn last_year(&self, now: i64) -> Option<Lint> {
        let Form::Cron(cron) = &self.form else { return None };
        let year = cron.last_year()?;
        // Where a bound comes first, its author has written down the day already.
        let last = cron.previous_before(i64::MAX, &self.zone).filter(|last| *last <= self.end)?;
        if last < self.start || !(now..now.saturating_add(NEAR)).contains(&last) {
            return None;
        }
        let time = self.clock(last);
        Some(Lint {
            code: "last-year",
            en: format!("the last fire ever is {time}: the year field ends with {year}"),
            zh: format!("最后一次触发是 {time}：年份字段到 {year} 为止"),
        })
    }
}

fn timeout_lint(closest: Duration, timeout: Duration) -> Lint {
    let (closest, timeout) = (written(closest), written(timeout));
    Lint {
        code: "shorter-than-timeout",
        en: format!("fires {closest} apart, but a run may take {timeout} (its timeout): runs can overlap"),
        zh: format!("两次触发最近相隔 {closest}，而一次运行可能长达 {timeout}（超时时间）：运行可能重叠"),
    }
}

fn page_lint(closest: Duration, time: Duration) -> Lint {
    let (closest, time) = (written(closest), written(time));
    Lint {
        code: "shorter-than-page",
        en: format!(
            "fires {closest} apart, but a page takes about {time} at its rate: fires will be held up"
        ),
        zh: format!("两次触发最近相隔 {closest}，而按速率发送一页约需 {time}：后面的触发会被耽搁"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01T00:00:00+08:00
    const NOW: i64 = 1_767_196_800;

    fn only(text: &str, facts: LintFacts) -> (&'static str, String, String) {
        let schedule = Schedule::parse(text, "Asia/Shanghai").unwrap();
        let mut lints = schedule.lints(&facts);
        assert_eq!(lints.len(), 1, "{lints:?}");
        let Lint { code, en, zh } = lints.remove(0);
        (code, en, zh)
    }

    #[test]
    fn a_fire_before_the_run_can_be_over() {
        let facts = LintFacts { timeout: Some(Duration::from_secs(20)), page_time: None, now: NOW };
        assert_eq!(
            only("*/5 * * * * * *", facts),
            (
                "shorter-than-timeout",
                "fires 5s apart, but a run may take 20s (its timeout): runs can overlap".to_owned(),
                "两次触发最近相隔 5s，而一次运行可能长达 20s（超时时间）：运行可能重叠".to_owned()
            )
        );
        for text in ["*/20 * * * * * *", "@every 20s", "0 0 9 * * * *", "@at 2026-06-01T09:00:00Z"] {
            assert_eq!(Schedule::parse(text, "UTC").unwrap().lints(&facts), [], "{text}");
        }
    }

    #[test]
    fn a_fire_before_the_page_can_be_over() {
        let facts = LintFacts { timeout: None, page_time: Some(Duration::from_millis(100_500)), now: NOW };
        assert_eq!(
            only("@every 90s", facts),
            (
                "shorter-than-page",
                "fires 1m30s apart, but a page takes about 1m41s at its rate: fires will be held up"
                    .to_owned(),
                "两次触发最近相隔 1m30s，而按速率发送一页约需 1m41s：后面的触发会被耽搁".to_owned()
            )
        );
    }

    #[test]
    fn a_last_year_that_is_near() {
        let facts = LintFacts { now: NOW, ..LintFacts::default() };
        assert_eq!(
            only("0 0 9 * * MON 2024-2026", facts),
            (
                "last-year",
                "the last fire ever is 2026-12-28 09:00:00: the year field ends with 2026".to_owned(),
                "最后一次触发是 2026-12-28 09:00:00：年份字段到 2026 为止".to_owned()
            )
        );
        let bounded = Schedule::parse("0 0 9 * * MON 2024-2026", "Asia/Shanghai").unwrap();
        assert_eq!(bounded.clone().within(None, Some(NOW + 86_400)).lints(&facts), []);
        assert_eq!(bounded.within(None, Some(NOW + 366 * 86_400)).lints(&facts).len(), 1);
        for text in ["0 0 9 * * MON 2024-2028", "0 0 9 * * MON 2025", "0 0 9 * * MON *"] {
            assert_eq!(Schedule::parse(text, "Asia/Shanghai").unwrap().lints(&facts), [], "{text}");
        }
    }

    #[test]
    fn what_the_expression_says_is_there_too() {
        let facts = LintFacts { now: NOW, ..LintFacts::default() };
        assert_eq!(only("0 0 9 1 * MON *", facts).0, "either-day");
    }
}
