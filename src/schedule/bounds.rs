//! A schedule that begins or ends: fire times outside of its bounds do not exist.

use chrono::DateTime;

use super::{Language, Schedule};

impl Schedule {
    /// The same schedule without the fire times before `start` and after `end`, in unix seconds; a fire time that equals one
    /// of them stays. Bounds that are there already stay as well: what is left lies within both.
    ///
    /// ```
    /// use gulou::schedule::Schedule;
    /// let june = (1_780_243_200, 1_782_835_199);
    /// let schedule = Schedule::parse("0 0 9 * * * *", "Asia/Shanghai")?.within(Some(june.0), Some(june.1));
    /// assert_eq!(schedule.next(0), Some(1_780_275_600)); // 2026-06-01T09:00:00+08:00
    /// assert_eq!(schedule.next(june.1), None);
    /// assert_eq!(schedule.count(0, i64::MAX), 30);
    /// # Ok::<(), gulou::schedule::ScheduleError>(())
    /// ```
    #[must_use]
    pub fn within(self, start: Option<i64>, end: Option<i64>) -> Self {
        Self {
            start: self.start.max(start.unwrap_or(i64::MIN)),
            end: self.end.min(end.unwrap_or(i64::MAX)),
            ..self
        }
    }

    /// The first and the last instant at which it may fire, in unix seconds, as [`Schedule::within`] set them.
    pub fn bounds(&self) -> (Option<i64>, Option<i64>) {
        (Some(self.start).filter(|start| *start != i64::MIN), Some(self.end).filter(|end| *end != i64::MAX))
    }

    /// What an explanation says about the bounds; nothing without any.
    pub(super) fn explain_bounds(&self, language: Language) -> String {
        let (start, end) = self.bounds();
        let [start, end] = [start, end].map(|unix| unix.map(|unix| self.clock(unix)));
        match (language, start, end) {
            (_, None, None) => String::new(),
            (Language::English, Some(start), None) => format!(", from {start}"),
            (Language::English, None, Some(end)) => format!(", until {end}"),
            (Language::English, Some(start), Some(end)) => format!(", from {start} until {end}"),
            (Language::Chinese, Some(start), None) => format!("，自 {start} 起"),
            (Language::Chinese, None, Some(end)) => format!("，至 {end} 止"),
            (Language::Chinese, Some(start), Some(end)) => format!("，自 {start} 起，至 {end} 止"),
        }
    }

    /// What the zone's clock shows, to the second.
    pub(super) fn clock(&self, unix: i64) -> String {
        let time = DateTime::from_timestamp(unix, 0).unwrap_or_default().with_timezone(&self.timezone());
        time.format("%Y-%m-%d %H:%M:%S").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_exists_outside_of_the_bounds() {
        for text in ["0 0 9 * * * *", "@every 24h from 2020-01-01T09:00:00+08:00"] {
            let all = Schedule::parse(text, "Asia/Shanghai").unwrap();
            assert_eq!(all.bounds(), (None, None));
            let (first, last) = (1_780_275_600, 1_780_275_600 + 29 * 86_400);
            for (start, end) in [(first, last), (first - 86_399, last + 86_399)] {
                let june = all.clone().within(Some(start), Some(end));
                assert_eq!(june.bounds(), (Some(start), Some(end)));
                for before in [i64::MIN, 0, first - 1] {
                    assert_eq!(june.next(before), Some(first), "{text}");
                }
                assert_eq!(june.next(first), Some(first + 86_400));
                assert_eq!(june.next(last), None);
                assert_eq!(june.next(i64::MAX), None);
                assert_eq!(june.previous(i64::MAX), Some(last));
                assert_eq!(june.previous(last), Some(last - 86_400));
                assert_eq!(june.previous(first), None);
                assert_eq!(june.previous(i64::MIN), None);
                assert_eq!(june.count(i64::MIN, i64::MAX), 30);
                assert_eq!(june.count(first, last), 29);
                assert_eq!(june.count(first - 1, first), 1);
                assert_eq!(june.count(last, i64::MAX), 0);
                assert_eq!(june.fire_days(2026, 6).len(), 30);
                assert_eq!(june.fire_days(2026, 7), [0; 0]);
            }
            let nothing = all.within(Some(last), Some(first));
            assert_eq!((nothing.next(0), nothing.previous(i64::MAX)), (None, None));
            assert_eq!(nothing.count(i64::MIN, i64::MAX), 0);
        }
    }

    #[test]
    fn bounds_only_ever_narrow() {
        let schedule = Schedule::parse("0 0 9 * * * *", "UTC").unwrap().within(Some(10), None);
        assert_eq!(schedule.bounds(), (Some(10), None));
        let schedule = schedule.within(Some(5), Some(30)).within(None, Some(40));
        assert_eq!(schedule.bounds(), (Some(10), Some(30)));
    }

    #[test]
    fn explanations_say_them() {
        let daily = Schedule::parse("0 0 9 * * * *", "Asia/Shanghai").unwrap();
        let (start, end) = (Some(1_780_243_200), Some(1_782_835_199));
        for (start, end, english, chinese) in [
            (None, None, "at 09:00, every day", "每天 09:00"),
            (
                start,
                None,
                "at 09:00, every day, from 2026-06-01 00:00:00",
                "每天 09:00，自 2026-06-01 00:00:00 起",
            ),
            (
                None,
                end,
                "at 09:00, every day, until 2026-06-30 23:59:59",
                "每天 09:00，至 2026-06-30 23:59:59 止",
            ),
            (
                start,
                end,
                "at 09:00, every day, from 2026-06-01 00:00:00 until 2026-06-30 23:59:59",
                "每天 09:00，自 2026-06-01 00:00:00 起，至 2026-06-30 23:59:59 止",
            ),
        ] {
            let schedule = daily.clone().within(start, end);
            assert_eq!(schedule.explain(Language::English), english);
            assert_eq!(schedule.explain(Language::Chinese), chinese);
        }
    }
}
