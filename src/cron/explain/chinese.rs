//! The sentence in Chinese: year, month, day, time.

use super::super::expression::Cron;
use super::{Set, clock};

const WEEKDAYS: [&str; 7] = ["周日", "周一", "周二", "周三", "周四", "周五", "周六"];

pub(super) fn sentence(cron: &Cron) -> String {
    let date = joined(&years(cron), &date(cron));
    let time = time(cron);
    match date.as_str() {
        "" if !cron.hour_set().is_all() => joined("每天", &time),
        "" => time,
        _ => joined(&date, &time),
    }
}

/// With a blank where a number follows a character.
fn joined(before: &str, after: &str) -> String {
    let blank = if !before.is_empty() && after.starts_with(|c: char| c.is_ascii_digit()) { " " } else { "" };
    format!("{before}{blank}{after}")
}

fn years(cron: &Cron) -> String {
    let runs = cron.year_runs();
    if runs.is_empty() { String::new() } else { format!("{} 年", numbers(&runs)) }
}

/// Month and day.
fn date(cron: &Cron) -> String {
    let months = cron.month_set();
    let month = if months.is_all() { String::new() } else { format!("{} 月", numbers(&months.runs())) };
    let each = if month.is_empty() { "每月" } else { month.as_str() };
    let of_month = cron.days_given().then(|| format!("{each}{}", days_of_month(cron)));
    let of_week = cron.weekdays_given().then(|| weekdays(cron, &month));
    match (of_month, of_week) {
        (Some(of_month), Some(of_week)) => format!("{of_month}，以及{of_week}（任一匹配即可）"),
        (Some(of_month), None) => of_month,
        (None, Some(of_week)) => of_week,
        (None, None) if month.is_empty() => {
            if years(cron).is_empty() {
                String::new()
            } else {
                "每天".to_owned()
            }
        }
        (None, None) => format!("{month}每天"),
    }
}

fn days_of_month(cron: &Cron) -> String {
    let days = cron.day_set();
    let mut parts = Vec::new();
    match days.step() {
        Some(step) => parts.push(format!("从 1 日起每 {step} 天")),
        None if days.count() > 0 => parts.push(format!(" {} 日", numbers(&days.runs()))),
        None => {}
    }
    parts.extend(cron.nearest_days().into_iter().map(|day| format!("离 {day} 日最近的工作日")));
    if cron.has_last_weekday() {
        parts.push("最后一个工作日".to_owned());
    }
    if cron.has_last_day() {
        parts.push("最后一天".to_owned());
    }
    parts.join("、")
}

/// The weekdays; `month` is empty when all of them count.
fn weekdays(cron: &Cron, month: &str) -> String {
    let plain: Vec<_> = cron
        .weekday_set()
        .runs()
        .into_iter()
        .map(|(first, last)| match last - first {
            0 => WEEKDAYS[first as usize].to_owned(),
            1 => format!("{}、{}", WEEKDAYS[first as usize], WEEKDAYS[last as usize]),
            _ => format!("{}至{}", WEEKDAYS[first as usize], WEEKDAYS[last as usize]),
        })
        .collect();
    let each = if month.is_empty() { "每月" } else { month };
    let mut parts = Vec::new();
    if !plain.is_empty() {
        parts.push(format!("{month}每{}", plain.join("、")));
    }
    let nth = cron
        .nth_weekdays()
        .into_iter()
        .map(|(day, nth)| format!("{each}第 {nth} 个{}", WEEKDAYS[day as usize]));
    let last =
        cron.last_weekdays().into_iter().map(|day| format!("{each}最后一个{}", WEEKDAYS[day as usize]));
    parts.extend(nth.chain(last));
    parts.join("、")
}

fn time(cron: &Cron) -> String {
    let (seconds, minutes, hours) = (cron.second_set(), cron.minute_set(), cron.hour_set());
    if let Some(times) = cron.few_times() {
        return times.into_iter().map(clock).collect::<Vec<_>>().join("、");
    }
    if seconds.is_all()
        && let (Some(minute), Some(hour)) = (minutes.single(), hours.single())
    {
        return format!("从 {hour:02}:{minute:02}:00 到 {hour:02}:{minute:02}:59 每秒一次，共六十次");
    }
    let during = during(hours);
    let Some(second) = seconds.single() else {
        let minutes = if minutes.is_all() {
            String::new()
        } else {
            format!("第 {} 分钟里", numbers(&minutes.runs()))
        };
        return format!("{during}{minutes}{}", every(seconds, "秒"));
    };
    let at_second = if second == 0 { String::new() } else { format!("的第 {second} 秒") };
    let Some(minute) = minutes.single() else {
        return format!("{during}{}{at_second}", every(minutes, "分钟"));
    };
    let at = if second == 0 { format!("{minute} 分") } else { format!("{minute} 分 {second} 秒") };
    if hours.is_all() {
        return if (minute, second) == (0, 0) {
            "每小时整点".to_owned()
        } else {
            format!("每小时 {at}")
        };
    }
    if let Some(step) = hours.step() {
        return format!("从 0 点起每 {step} 小时的 {at}");
    }
    format!("{} 点，每小时的 {at}", numbers(&hours.runs()))
}

fn every(set: Set, unit: &str) -> String {
    match set.step() {
        _ if set.is_all() => format!("每{unit}"),
        Some(step) => format!("每 {step} {unit}"),
        None => format!("第 {} {unit}", numbers(&set.runs())),
    }
}

fn during(hours: Set) -> String {
    if hours.is_all() {
        return String::new();
    }
    let runs = hours.runs().into_iter().map(|(first, last)| format!("{first:02}:00 到 {last:02}:59"));
    format!("{} 之间", runs.collect::<Vec<_>>().join("、"))
}

fn numbers(runs: &[(u32, u32)]) -> String {
    let number = |(first, last): &(u32, u32)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    runs.iter().map(number).collect::<Vec<_>>().join("、")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_when_it_fires() {
        for (text, expected) in [
            ("* * * * * * *", "每秒"),
            ("*/5 * * * * * *", "每 5 秒"),
            ("0 * * * * * *", "每分钟"),
            ("30 * * * * * *", "每分钟的第 30 秒"),
            ("0 */15 * * * * *", "每 15 分钟"),
            ("0 0 * * * * *", "每小时整点"),
            ("0 30 * * * * *", "每小时 30 分"),
            ("0 0 */2 * * * *", "每天从 0 点起每 2 小时的 0 分"),
            ("0 0 9 * * * *", "每天 09:00"),
            ("5 0 9,18 * * * *", "每天 09:00:05、18:00:05"),
            ("* 30 17 * * FRI *", "每周五从 17:30:00 到 17:30:59 每秒一次，共六十次"),
            ("*/5 * 9-12,14-18 * * MON-FRI *", "每周一至周五 09:00 到 12:59、14:00 到 18:59 之间每 5 秒"),
            ("0 30 9-17 * * * *", "每天 9-17 点，每小时的 30 分"),
            ("0 0 9 1 6 * *", "6 月 1 日 09:00"),
            ("0 0 0 1,15-20,L * * *", "每月 1、15-20 日、最后一天 00:00"),
            ("0 0 0 15W,LW * * *", "每月离 15 日最近的工作日、最后一个工作日 00:00"),
            ("0 0 0 * * 5#2,1L *", "每月第 2 个周五、每月最后一个周一 00:00"),
            ("0 0 0 13 * FRI *", "每月 13 日，以及每周五（任一匹配即可） 00:00"),
            ("0 0 0 * 6-8,12 SUN,SAT 2026-2028,2030", "2026-2028、2030 年 6-8、12 月每周日、周六 00:00"),
            ("0 0 0 * 2 * *", "2 月每天 00:00"),
            ("0 0 0 * * * 2026", "2026 年每天 00:00"),
            ("0 0 0 */2 * * *", "每月从 1 日起每 2 天 00:00"),
            ("*/10 0-4,30 * * * * *", "第 0-4、30 分钟里每 10 秒"),
            ("0 1,2,3,10,20,30,31 8 * * * *", "每天 08:00 到 08:59 之间第 1-3、10、20、30-31 分钟"),
        ] {
            assert_eq!(sentence(&Cron::parse(text).unwrap()), expected, "{text}");
        }
    }
}
