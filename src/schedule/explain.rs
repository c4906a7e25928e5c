//! A schedule for people: one sentence, and the days of a month on which it fires.

use chrono::{DateTime, Datelike, NaiveDate};

use super::{Form, Language, Schedule, written};

/// So many given instants are named; the rest is counted.
const NAMED: usize = 3;

impl Schedule {
    /// When it fires, in one sentence without a full stop and without the zone.
    pub fn explain(&self, language: Language) -> String {
        self.explain_form(language) + &self.explain_bounds(language)
    }

    fn explain_form(&self, language: Language) -> String {
        match (&self.form, language) {
            (Form::Cron(cron), _) => cron.explain(language),
            (Form::Every(every), Language::English) => {
                format!("every {}, counted from {}", written(every.period()), self.rfc3339(every.anchor()))
            }
            (Form::Every(every), Language::Chinese) => {
                format!("每 {} 一次，从 {} 起算", written(every.period()), self.rfc3339(every.anchor()))
            }
            (Form::At(times), Language::English) => {
                let once = if times.len() == 1 {
                    "once, at".to_owned()
                } else {
                    format!("{} times, at", times.len())
                };
                let more = times.len().saturating_sub(NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("{once} {}{more}", self.named(times, ", "))
            }
            (Form::At(times), Language::Chinese) => {
                let more = if times.len() > NAMED { "等" } else { "" };
                format!("共 {} 次：{}{more}", times.len(), self.named(times, "、"))
            }
        }
    }

    /// The days of a month, 1-31, with at least one fire on the zone's clock; none outside of 1970 to 2099.
    pub fn fire_days(&self, year: i32, month: u32) -> Vec<u32> {
        let Some(first) = NaiveDate::from_ymd_opt(year, month, 1) else { return Vec::new() };
        let midnight = |date: NaiveDate| {
            self.zone.instant_of(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp())
        };
        first
            .iter_days()
            .take_while(|date| date.month() == month)
            .filter(|date| {
                let (start, end) = (midnight(*date), date.succ_opt().map_or(i64::MIN, midnight));
                self.next(start - 1).is_some_and(|fire| fire < end)
            })
            .map(|date| date.day())
            .collect()
    }

    fn named(&self, times: &[i64], joint: &str) -> String {
        let times: Vec<_> = times.iter().take(NAMED).map(|time| self.rfc3339(*time)).collect();
        times.join(joint)
    }

    fn rfc3339(&self, unix: i64) -> String {
        DateTime::from_timestamp(unix, 0).unwrap_or_default().with_timezone(&self.timezone()).to_rfc3339()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(text: &str) -> Schedule {
        Schedule::parse(text, "Asia/Shanghai").unwrap()
    }

    #[test]
    fn all_forms_are_explained() {
        for (text, english, chinese) in [
            ("0 0 9 1 6 * *", "at 09:00, on the 1st of June", "6 月 1 日 09:00"),
            (
                "@every 90m",
                "every 1h30m, counted from 1970-01-01T00:00:00+08:00",
                "每 1h30m 一次，从 1970-01-01T00:00:00+08:00 起算",
            ),
            (
                "@at 2026-06-01T01:00:00Z",
                "once, at 2026-06-01T09:00:00+08:00",
                "共 1 次：2026-06-01T09:00:00+08:00",
            ),
            (
                "@at 2026-06-01T00:00:00Z,2026-06-02T00:00:00Z,2026-06-03T00:00:00Z,2026-06-04T00:00:00Z",
                "4 times, at 2026-06-01T08:00:00+08:00, 2026-06-02T08:00:00+08:00, 2026-06-03T08:00:00+08:00 and 1 more",
                "共 4 次：2026-06-01T08:00:00+08:00、2026-06-02T08:00:00+08:00、2026-06-03T08:00:00+08:00等",
            ),
        ] {
            assert_eq!(schedule(text).explain(Language::English), english);
            assert_eq!(schedule(text).explain(Language::Chinese), chinese);
        }
    }

    #[test]
    fn fire_days_are_days_of_the_zone() {
        assert_eq!(schedule("0 30 17 * * FRI *").fire_days(2026, 1), [2, 9, 16, 23, 30]);
        assert_eq!(schedule("0 0 0 L * * *").fire_days(2024, 2), [29]);
        assert_eq!(schedule("@at 2026-01-31T17:00:00Z").fire_days(2026, 2), [1]);
        assert_eq!(schedule("0 0 0 * * * *").fire_days(2100, 1), [0; 0]);
        let apia = Schedule::parse("* * * * * * *", "Pacific/Apia").unwrap();
        assert_eq!(apia.fire_days(2011, 12).len(), 30, "30 December was skipped");
    }
}
