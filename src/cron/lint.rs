//! Legal expressions that often do not say what their author meant.
//!
//! Looks at the masks, and at how ranges and steps were written. What needs a clock or facts about the function is looked
//! at where they are known: by the schedule.

use super::calendar;
use super::expression::{ALL_MONTHS, Cron, DAYS_GIVEN, WEEKDAYS_GIVEN, ranged, stepped};
use super::field::{Field, MONTHS, WEEKDAYS};

/// A remark about a schedule that is legal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lint {
    /// A stable name, such as `every-second`.
    pub code: &'static str,
    /// What to know and what to write instead, in English.
    pub en: String,
    /// The same in Chinese.
    pub zh: String,
}

const ALL_MINUTES: u64 = (1 << 60) - 1;

impl Cron {
    /// What may not be meant.
    pub fn lints(&self) -> Vec<Lint> {
        let checks = [self.every_second(), self.either_day(), self.range_end(), self.short_months()];
        let steps = [
            self.uneven_step(Field::Second),
            self.uneven_step(Field::Minute),
            self.uneven_step(Field::Hour),
            self.uneven_months(),
            self.uneven_days(),
            self.uneven_weekdays(),
        ];
        checks.into_iter().chain(steps).flatten().collect()
    }

    fn every_second(&self) -> Option<Lint> {
        if self.seconds != ALL_MINUTES || self.minutes == ALL_MINUTES || self.has(ranged(Field::Minute)) {
            return None;
        }
        let once = self.minutes.is_power_of_two() && self.hours.is_power_of_two();
        let (en, zh) = if once {
            let time = format!("{:02}:{:02}", self.hours.trailing_zeros(), self.minutes.trailing_zeros());
            (
                format!(
                    "fires sixty times, once in each of the 60 seconds of {time}; for one fire write `0` as the second"
                ),
                format!("会触发六十次：{time} 这一分钟的 60 秒每秒一次；只触发一次请把秒写成 `0`"),
            )
        } else {
            (
                "fires sixty times in each minute that matches, once in each of its 60 seconds; for one fire \
                 write `0` as the second"
                    .to_owned(),
                "每个匹配的分钟会触发六十次：60 秒每秒一次；只触发一次请把秒写成 `0`".to_owned(),
            )
        };
        Some(Lint { code: "every-second", en, zh })
    }

    fn either_day(&self) -> Option<Lint> {
        (self.has(DAYS_GIVEN) && self.has(WEEKDAYS_GIVEN)).then(|| Lint {
            code: "either-day",
            en: "both days are given: fires when the day of month or the day of week matches, not only when both do; \
                 if that is not meant, write `?` in one of the two"
                .to_owned(),
            zh: "日和星期都写了：任意一个匹配就触发，不需要两个都匹配；如果不是这个意思，请把其中一个写成 `?`".to_owned(),
        })
    }

    fn range_end(&self) -> Option<Lint> {
        if !self.has(ranged(Field::Hour)) || self.minutes.is_power_of_two() {
            return None;
        }
        let ends_run = |hour: &u32| {
            self.hours >> hour & 1 != 0
                && self.hours >> (hour + 1) & 1 == 0
                && self.hours >> (hour - 1) & 1 != 0
        };
        let (minute, second) = (self.minutes.ilog2(), self.seconds.ilog2());
        let times: Vec<_> =
            (1..23).filter(ends_run).map(|hour| format!("{hour:02}:{minute:02}:{second:02}")).collect();
        (!times.is_empty()).then(|| Lint {
            code: "range-end",
            en: format!(
                "a range of hours includes the whole of its last hour: fires until {}; to stop on the hour, end the \
                 range one hour earlier",
                times.join(" and ")
            ),
            zh: format!(
                "小时范围包含最后那个小时的全部：会一直触发到 {}；想在整点停止，请把范围的终点减一",
                times.join("、")
            ),
        })
    }

    fn short_months(&self) -> Option<Lint> {
        let named = (self.days | self.nearest) & !1;
        let written_out = !self.has(stepped(Field::DayOfMonth) | ranged(Field::DayOfMonth));
        let day = named.checked_ilog2().filter(|day| *day >= 29)?;
        if !written_out && named.trailing_zeros() < 29 {
            return None;
        }
        // Judged in a leap year first: what is missing even there.
        let longest = |month: u32| calendar::month_length(2, month);
        let missing: Vec<_> =
            (1..=12).filter(|month| self.has_month(*month) && longest(*month) < day).collect();
        let comes = (1..=12).any(|month| self.has_month(month) && longest(month) >= day);
        let (en, zh) = match missing[..] {
            _ if !comes => return None,
            [] if self.has_month(2) => (
                format!("day {day} comes in FEB only in leap years"),
                format!("只有闰年的 2 月才有 {day} 日"),
            ),
            [] => return None,
            _ => {
                let letters: Vec<_> = missing.iter().map(|month| name(MONTHS[*month as usize - 1])).collect();
                let numbers: Vec<_> = missing.iter().map(ToString::to_string).collect();
                (
                    format!("day {day} does not come in {}: it is skipped there", letters.join(", ")),
                    format!("{} 月没有 {day} 日，遇到时会跳过", numbers.join("、")),
                )
            }
        };
        Some(Lint {
            code: "short-months",
            en: format!("{en}; for the last day of the month write `L`"),
            zh: format!("{zh}；每月最后一天请写 `L`"),
        })
    }

    /// `*/7` in second, minute or hour.
    fn uneven_step(&self, field: Field) -> Option<Lint> {
        let (bits, size, unit, above, letter) = match field {
            Field::Second => (self.seconds, 60, "second", "a minute", "s"),
            Field::Minute => (self.minutes, 60, "minute", "an hour", "m"),
            _ => (u64::from(self.hours), 24, "hour", "a day", "h"),
        };
        let (unit_zh, above_zh) = match field {
            Field::Second => ("秒", "一分钟"),
            Field::Minute => ("分钟", "一小时"),
            _ => ("小时", "一天"),
        };
        // Within one minute or hour nothing wraps.
        let wraps = match field {
            Field::Second => self.minutes.count_ones() > 1,
            Field::Minute => self.hours.count_ones() > 1,
            _ => true,
        };
        let Wrap { step, last, first, gap } =
            wrap(bits, size).filter(|wrap| wraps && self.has(stepped(field)) && wrap.step != wrap.gap)?;
        let plural = if gap == 1 { "" } else { "s" };
        Some(Lint {
            code: "uneven-step",
            en: format!(
                "a step of {step} does not divide the {size} {unit}s of {above}: after {unit} {last} comes {unit} \
                 {first}, {gap} {unit}{plural} later; `@every {step}{letter}` keeps the pace"
            ),
            zh: format!(
                "步长 {step} 不能整除{above_zh}的 {size} {unit_zh}：{last} 之后是 {first}，间隔 {gap} {unit_zh}；\
                 要间隔均匀请写 `@every {step}{letter}`"
            ),
        })
    }

    fn uneven_months(&self) -> Option<Lint> {
        let Wrap { step, last, first, gap } = wrap(u64::from(self.months) >> 1, 12).filter(|wrap| {
            self.has(stepped(Field::Month)) && self.months != ALL_MONTHS && wrap.step != wrap.gap
        })?;
        let [last, first] = [last, first].map(|month| month + 1);
        let plural = if gap == 1 { "" } else { "s" };
        Some(Lint {
            code: "uneven-step",
            en: format!(
                "a step of {step} does not divide the 12 months of a year: after month {last} comes month {first}, \
                 {gap} month{plural} later"
            ),
            zh: format!("步长 {step} 不能整除一年的 12 个月：{last} 月之后是 {first} 月，间隔 {gap} 个月"),
        })
    }

    /// `*/2` in day of month: months differ in length, so no step divides them.
    fn uneven_days(&self) -> Option<Lint> {
        let Wrap { step, last, first, .. } =
            wrap(u64::from(self.days) >> 1, 31).filter(|_| self.has(stepped(Field::DayOfMonth)))?;
        let [last, first] = [last, first].map(|day| day + 1);
        Some(Lint {
            code: "uneven-step",
            en: format!(
                "a step of {step} starts again each month: after day {last} comes day {first}; `@every {step}d` keeps \
                 the pace"
            ),
            zh: format!(
                "步长 {step} 每月重新开始：{last} 日之后是 {first} 日；要间隔均匀请写 `@every {step}d`"
            ),
        })
    }

    fn uneven_weekdays(&self) -> Option<Lint> {
        let weekdays = self.weeks & 0x7f;
        let Wrap { step, last, first, gap } =
            wrap(weekdays, 7).filter(|wrap| self.has(stepped(Field::DayOfWeek)) && wrap.step != wrap.gap)?;
        let [last_name, first_name] = [last, first].map(|day| name(WEEKDAYS[day as usize]));
        let plural = if gap == 1 { "" } else { "s" };
        let [last, first] = [last, first].map(|day| ["日", "一", "二", "三", "四", "五", "六"][day as usize]);
        Some(Lint {
            code: "uneven-step",
            en: format!(
                "a step of {step} does not divide the 7 days of a week: after {last_name} comes {first_name}, {gap} \
                 day{plural} later; `@every {step}d` keeps the pace"
            ),
            zh: format!(
                "步长 {step} 不能整除一周的 7 天：星期{last}之后是星期{first}，间隔 {gap} 天；\
                 要间隔均匀请写 `@every {step}d`"
            ),
        })
    }
}

fn name(letters: &[u8; 3]) -> &str {
    std::str::from_utf8(letters).unwrap_or_default()
}

/// Values at equal distances that run up to the end of their field, and what happens there.
struct Wrap {
    step: u32,
    last: u32,
    first: u32,
    /// From the last value to the first one of the next round.
    gap: u32,
}

/// `None` when the values are not at equal distances from the start of the field to its end.
fn wrap(bits: u64, size: u32) -> Option<Wrap> {
    let first = bits.trailing_zeros();
    let rest = bits & bits.wrapping_sub(1);
    if rest == 0 {
        return None;
    }
    let step = rest.trailing_zeros() - first;
    let last = bits.ilog2();
    let even = (first..=last).step_by(step as usize).fold(0, |all, value| all | 1_u64 << value) == bits;
    let whole = first < step && last + step >= size;
    (even && whole && step > 1).then_some(Wrap { step, last, first, gap: size - last + first })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lints(text: &str) -> Vec<(&'static str, String, String)> {
        let lints = Cron::parse(text).unwrap().lints();
        lints.into_iter().map(|Lint { code, en, zh }| (code, en, zh)).collect()
    }

    fn only(text: &str, code: &str, en: &str, zh: &str) {
        let found = lints(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!((found[0].0, found[0].1.as_str(), found[0].2.as_str()), (code, en, zh), "{text}");
    }

    #[test]
    fn ordinary_expressions_get_no_remark() {
        for text in [
            "0 0 9 * * * *",
            "*/5 * * * * * *",
            "* * * * * * *",
            "0 */15 9,17 * * MON-FRI *",
            "0 0 9-17 * * * *",
            "0 30 17 * * FRI *",
            "0 0 0 L * * *",
            "0 0 0 1,15 * ? *",
            "0 0 0 31 1,3,5 * *",
            "*/10 30 17 * * * *",
            "0 0 0 1-31 * * *",
            "0 0 9-17/2 * * * *",
            "0 0,40 * * * * *",
            "* 0-29 9 * * * *",
            "0 0 0 30 2 * *",
        ] {
            assert_eq!(lints(text), [], "{text}");
        }
    }

    #[test]
    fn a_wildcard_second_with_a_fixed_minute() {
        only(
            "* 30 17 * * FRI *",
            "every-second",
            "fires sixty times, once in each of the 60 seconds of 17:30; for one fire write `0` as the second",
            "会触发六十次：17:30 这一分钟的 60 秒每秒一次；只触发一次请把秒写成 `0`",
        );
        only(
            "* */5 * * * * *",
            "every-second",
            "fires sixty times in each minute that matches, once in each of its 60 seconds; for one fire write `0` as \
             the second",
            "每个匹配的分钟会触发六十次：60 秒每秒一次；只触发一次请把秒写成 `0`",
        );
    }

    #[test]
    fn both_days_given() {
        only(
            "0 0 9 1 * MON *",
            "either-day",
            "both days are given: fires when the day of month or the day of week matches, not only when both do; if \
             that is not meant, write `?` in one of the two",
            "日和星期都写了：任意一个匹配就触发，不需要两个都匹配；如果不是这个意思，请把其中一个写成 `?`",
        );
    }

    #[test]
    fn a_range_of_hours_that_runs_on() {
        only(
            "*/5 * 9-12 * * * *",
            "range-end",
            "a range of hours includes the whole of its last hour: fires until 12:59:55; to stop on the hour, end the \
             range one hour earlier",
            "小时范围包含最后那个小时的全部：会一直触发到 12:59:55；想在整点停止，请把范围的终点减一",
        );
        only(
            "0 */5 9-12,14-18 * * MON-FRI *",
            "range-end",
            "a range of hours includes the whole of its last hour: fires until 12:55:00 and 18:55:00; to stop on the \
             hour, end the range one hour earlier",
            "小时范围包含最后那个小时的全部：会一直触发到 12:55:00、18:55:00；想在整点停止，请把范围的终点减一",
        );
    }

    #[test]
    fn days_that_skip_months() {
        only(
            "0 0 0 31 * * *",
            "short-months",
            "day 31 does not come in FEB, APR, JUN, SEP, NOV: it is skipped there; for the last day of the month \
             write `L`",
            "2、4、6、9、11 月没有 31 日，遇到时会跳过；每月最后一天请写 `L`",
        );
        only(
            "0 0 0 15,30 * * *",
            "short-months",
            "day 30 does not come in FEB: it is skipped there; for the last day of the month write `L`",
            "2 月没有 30 日，遇到时会跳过；每月最后一天请写 `L`",
        );
        only(
            "0 0 0 29 * * *",
            "short-months",
            "day 29 comes in FEB only in leap years; for the last day of the month write `L`",
            "只有闰年的 2 月才有 29 日；每月最后一天请写 `L`",
        );
    }

    #[test]
    fn steps_that_do_not_divide() {
        only(
            "*/7 * * * * * *",
            "uneven-step",
            "a step of 7 does not divide the 60 seconds of a minute: after second 56 comes second 0, 4 seconds later; \
             `@every 7s` keeps the pace",
            "步长 7 不能整除一分钟的 60 秒：56 之后是 0，间隔 4 秒；要间隔均匀请写 `@every 7s`",
        );
        only(
            "0 */40 * * * * *",
            "uneven-step",
            "a step of 40 does not divide the 60 minutes of an hour: after minute 40 comes minute 0, 20 minutes later; \
             `@every 40m` keeps the pace",
            "步长 40 不能整除一小时的 60 分钟：40 之后是 0，间隔 20 分钟；要间隔均匀请写 `@every 40m`",
        );
        only(
            "0 0 */5 * * * *",
            "uneven-step",
            "a step of 5 does not divide the 24 hours of a day: after hour 20 comes hour 0, 4 hours later; `@every 5h` \
             keeps the pace",
            "步长 5 不能整除一天的 24 小时：20 之后是 0，间隔 4 小时；要间隔均匀请写 `@every 5h`",
        );
        only(
            "0 0 0 */2 * * *",
            "uneven-step",
            "a step of 2 starts again each month: after day 31 comes day 1; `@every 2d` keeps the pace",
            "步长 2 每月重新开始：31 日之后是 1 日；要间隔均匀请写 `@every 2d`",
        );
        only(
            "0 0 0 1 */5 * *",
            "uneven-step",
            "a step of 5 does not divide the 12 months of a year: after month 11 comes month 1, 2 months later",
            "步长 5 不能整除一年的 12 个月：11 月之后是 1 月，间隔 2 个月",
        );
        only(
            "0 0 0 * * */2 *",
            "uneven-step",
            "a step of 2 does not divide the 7 days of a week: after SAT comes SUN, 1 day later; `@every 2d` keeps the \
             pace",
            "步长 2 不能整除一周的 7 天：星期六之后是星期日，间隔 1 天；要间隔均匀请写 `@every 2d`",
        );
    }
}
