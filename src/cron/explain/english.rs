//! The sentence in English: time, day, month, year.

use super::super::expression::Cron;
use super::{Set, clock};

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const EACH_MONTH: &str = " of each month";
const NTH: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

pub(super) fn sentence(cron: &Cron) -> String {
    let day = match (days(cron), months(cron.month_set())) {
        (None, None) if time_of_day(cron) => ", every day".to_owned(),
        (None, None) => String::new(),
        (None, Some(months)) => format!(", every day in {months}"),
        (Some(days), None) => format!(", {days}"),
        (Some(days), Some(months)) => {
            let joint =
                if days.matches(EACH_MONTH).count() == 1 && days.ends_with(EACH_MONTH) { "of" } else { "in" };
            format!(", {} {joint} {months}", days.replace(EACH_MONTH, ""))
        }
    };
    let years = cron.year_runs();
    let year =
        if years.is_empty() { String::new() } else { format!(", in {}", list(&numbers(&years), "and")) };
    format!("{}{day}{year}", time(cron))
}

/// Whether the time part names times that come once a day.
fn time_of_day(cron: &Cron) -> bool {
    !cron.hour_set().is_all()
}

fn time(cron: &Cron) -> String {
    let (seconds, minutes, hours) = (cron.second_set(), cron.minute_set(), cron.hour_set());
    if let Some(times) = cron.few_times() {
        return format!("at {}", list(&times.into_iter().map(clock).collect::<Vec<_>>(), "and"));
    }
    if seconds.is_all()
        && let (Some(minute), Some(hour)) = (minutes.single(), hours.single())
    {
        return format!(
            "sixty times, every second from {hour:02}:{minute:02}:00 to {hour:02}:{minute:02}:59"
        );
    }
    let Some(second) = seconds.single() else {
        let minutes = match minutes.single() {
            _ if minutes.is_all() => String::new(),
            Some(minute) => format!(" of minute {minute}"),
            None => format!(" of {}", many(minutes, "minute")),
        };
        return format!("{}{minutes}{}", every(seconds, "second"), during(hours));
    };
    let at_second = if second == 0 { String::new() } else { format!(" at second {second}") };
    let Some(minute) = minutes.single() else {
        return format!("{}{at_second}{}", every(minutes, "minute"), during(hours));
    };
    let at = if second == 0 { format!("{minute:02}") } else { format!("{minute:02}:{second:02}") };
    if hours.is_all() {
        return match (minute, second) {
            (0, 0) => "every hour, on the hour".to_owned(),
            _ => format!("every hour at xx:{at}"),
        };
    }
    if let Some(step) = hours.step() {
        return format!("every {step} hours from 00:{at}");
    }
    let runs = hours.runs().into_iter().map(|(first, last)| match last - first {
        0 => format!("at {first:02}:{at}"),
        _ => format!("every hour from {first:02}:{at} to {last:02}:{at}"),
    });
    list(&runs.collect::<Vec<_>>(), "and")
}

/// "every 5 seconds", "at seconds 1, 2 and 30-40".
fn every(set: Set, unit: &str) -> String {
    match set.step() {
        _ if set.is_all() => format!("every {unit}"),
        Some(step) => format!("every {step} {unit}s"),
        None => format!("at {}", many(set, unit)),
    }
}

/// "seconds 1, 2 and 30-40".
fn many(set: Set, unit: &str) -> String {
    format!("{unit}s {}", list(&numbers(&set.runs()), "and"))
}

fn during(hours: Set) -> String {
    if hours.is_all() {
        return String::new();
    }
    let runs = hours.runs().into_iter().map(|(first, last)| format!("from {first:02}:00 to {last:02}:59"));
    format!(", {}", list(&runs.collect::<Vec<_>>(), "and"))
}

fn days(cron: &Cron) -> Option<String> {
    let of_month = cron.days_given().then(|| days_of_month(cron));
    let of_week = cron.weekdays_given().then(|| weekdays(cron));
    match (of_month, of_week) {
        (Some(of_month), Some(of_week)) => Some(format!("{of_month} and also {of_week}, whichever matches")),
        (of_month, of_week) => of_month.or(of_week),
    }
}

fn days_of_month(cron: &Cron) -> String {
    let mut parts: Vec<String> = match cron.day_set().step() {
        Some(step) => vec![format!("every {step} days from the 1st on")],
        None => cron.day_set().runs().into_iter().map(day_run).collect(),
    };
    parts.extend(
        cron.nearest_days().into_iter().map(|day| format!("the weekday nearest to the {}", ordinal(day))),
    );
    if cron.has_last_weekday() {
        parts.push("the last weekday (Monday to Friday)".to_owned());
    }
    if cron.has_last_day() {
        parts.push("the last day".to_owned());
    }
    let parts = list(&parts, "and");
    if parts.starts_with("every") {
        format!("{parts} of each month")
    } else {
        format!("on {parts} of each month")
    }
}

fn day_run((first, last): (u32, u32)) -> String {
    match last - first {
        0 => format!("the {}", ordinal(first)),
        _ => format!("the {} to the {}", ordinal(first), ordinal(last)),
    }
}

fn weekdays(cron: &Cron) -> String {
    let plain = cron.weekday_set().runs().into_iter().map(|(first, last)| match last - first {
        0 => format!("every {}", WEEKDAYS[first as usize]),
        1 => format!("every {} and {}", WEEKDAYS[first as usize], WEEKDAYS[last as usize]),
        6 => "every day of the week".to_owned(),
        _ => format!("{} to {}", WEEKDAYS[first as usize], WEEKDAYS[last as usize]),
    });
    let nth = cron.nth_weekdays().into_iter().map(|(day, nth)| {
        format!("on the {} {} of each month", NTH[nth as usize - 1], WEEKDAYS[day as usize])
    });
    let last = cron
        .last_weekdays()
        .into_iter()
        .map(|day| format!("on the last {} of each month", WEEKDAYS[day as usize]));
    list(&plain.chain(nth).chain(last).collect::<Vec<_>>(), "and")
}

fn months(months: Set) -> Option<String> {
    if months.is_all() {
        return None;
    }
    let name = |month: u32| MONTHS[month as usize - 1];
    let runs = months.runs().into_iter().map(|(first, last)| match last - first {
        0 => name(first).to_owned(),
        _ => format!("{} to {}", name(first), name(last)),
    });
    Some(list(&runs.collect::<Vec<_>>(), "and"))
}

fn numbers(runs: &[(u32, u32)]) -> Vec<String> {
    let number = |(first, last): &(u32, u32)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    runs.iter().map(number).collect()
}

fn ordinal(day: u32) -> String {
    let ending = match (day % 10, day / 10) {
        (_, 1) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{day}{ending}")
}

/// "a", "a and b", "a, b and c".
fn list(parts: &[String], joint: &str) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} {joint} {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_when_it_fires() {
        for (text, expected) in [
            ("* * * * * * *", "every second"),
            ("*/5 * * * * * *", "every 5 seconds"),
            ("0 * * * * * *", "every minute"),
            ("30 * * * * * *", "every minute at second 30"),
            ("0 */15 * * * * *", "every 15 minutes"),
            ("0 0 * * * * *", "every hour, on the hour"),
            ("0 30 * * * * *", "every hour at xx:30"),
            ("0 0 */2 * * * *", "every 2 hours from 00:00, every day"),
            ("0 0 9 * * * *", "at 09:00, every day"),
            ("5 0 9,18 * * * *", "at 09:00:05 and 18:00:05, every day"),
            ("* 30 17 * * FRI *", "sixty times, every second from 17:30:00 to 17:30:59, every Friday"),
            (
                "*/5 * 9-12,14-18 * * MON-FRI *",
                "every 5 seconds, from 09:00 to 12:59 and from 14:00 to 18:59, Monday to Friday",
            ),
            ("0 30 9-17 * * * *", "every hour from 09:30 to 17:30, every day"),
            ("0 0 9 1 6 * *", "at 09:00, on the 1st of June"),
            (
                "0 0 0 1,15-20,L * * *",
                "at 00:00, on the 1st, the 15th to the 20th and the last day of each month",
            ),
            (
                "0 0 0 15W,LW * * *",
                "at 00:00, on the weekday nearest to the 15th and the last weekday (Monday to Friday) of each month",
            ),
            (
                "0 0 0 * * 5#2,1L *",
                "at 00:00, on the second Friday of each month and on the last Monday of each month",
            ),
            (
                "0 0 0 13 * FRI *",
                "at 00:00, on the 13th of each month and also every Friday, whichever matches",
            ),
            (
                "0 0 0 * 6-8,12 SUN,SAT 2026-2028,2030",
                "at 00:00, every Sunday and every Saturday in June to August and December, in 2026-2028 and 2030",
            ),
            ("0 0 0 * 2 * *", "at 00:00, every day in February"),
            ("0 0 0 */2 * * *", "at 00:00, every 2 days from the 1st on of each month"),
            ("*/10 0-4,30 * * * * *", "every 10 seconds of minutes 0-4 and 30"),
            (
                "0 1,2,3,10,20,30,31 8 * * * *",
                "at minutes 1-3, 10, 20 and 30-31, from 08:00 to 08:59, every day",
            ),
        ] {
            assert_eq!(sentence(&Cron::parse(text).unwrap()), expected, "{text}");
        }
    }
}
