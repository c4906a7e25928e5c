//! The five fields of a crontab line as seven fields of Gulou's, with the same fire times, or why that cannot be.
//!
//! What cron means is what Vixie cron does, which Debian's and Red Hat's come from. Its rule of the two day fields: when
//! either of them *starts with* `*`, both must match; otherwise either may. Gulou takes either, unless a field *is* `*`.

/// What is between the blanks of a line, and what is to be said of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Converted {
    pub(super) expression: String,
    pub(super) notes: Vec<String>,
}

struct Kind {
    name: &'static str,
    min: u32,
    /// Of what cron takes: 7 is Sunday as well.
    max: u32,
    names: &'static [&'static str],
    /// The largest step that Gulou takes.
    step: u32,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const KINDS: [Kind; 5] = [
    Kind { name: "minute", min: 0, max: 59, names: &[], step: 59 },
    Kind { name: "hour", min: 0, max: 23, names: &[], step: 23 },
    Kind { name: "day of month", min: 1, max: 31, names: &[], step: 31 },
    Kind { name: "month", min: 1, max: 12, names: &MONTHS, step: 12 },
    Kind { name: "day of week", min: 0, max: 7, names: &DAYS, step: 6 },
];

/// The line's five fields in Gulou's spelling.
pub(super) fn convert(fields: [&str; 5]) -> Result<Converted, String> {
    let mut read = Vec::with_capacity(5);
    for (kind, text) in KINDS.iter().zip(fields) {
        read.push(Field::parse(kind, text).map_err(|problem| format!("{}: {problem}", kind.name))?);
    }
    let [minute, hour, day, month, weekday] = &read[..] else { return Err("five fields".to_owned()) };
    let (mut day_text, mut weekday_text) = (day.text.clone(), weekday.text.clone());
    if day.starts_with_star || weekday.starts_with_star {
        match (day.is_full(), weekday.is_full()) {
            (false, false) => {
                return Err(format!(
                    "cron takes days that match both `{}` and `{}`, because one of them starts with `*`; Gulou takes \
                     days that match either; give one of the two, and ask for the other in the command",
                    fields[2], fields[4]
                ));
            }
            (day_is_full, weekday_is_full) => {
                // What is always so decides nothing.
                if day_is_full {
                    "*".clone_into(&mut day_text);
                }
                if weekday_is_full {
                    "*".clone_into(&mut weekday_text);
                }
            }
        }
    }
    let expression = format!("0 {} {} {day_text} {} {weekday_text} *", minute.text, hour.text, month.text);
    Ok(Converted { expression, notes: read.into_iter().filter_map(|field| field.note).collect() })
}

struct Field {
    /// In Gulou's spelling.
    text: String,
    /// A bit for each value; Sunday is 0.
    values: u64,
    all: u64,
    starts_with_star: bool,
    note: Option<String>,
}

impl Field {
    fn parse(kind: &Kind, text: &str) -> Result<Self, String> {
        let mut field = Self {
            text: String::new(),
            values: 0,
            all: kind.bits(kind.min, kind.max, 1),
            starts_with_star: text.starts_with('*'),
            note: None,
        };
        // As long as every element can stay as it is.
        let mut spelled = Vec::new();
        let mut plain = true;
        for element in text.split(',') {
            let (range, step) = match element.split_once('/') {
                None => (element, None),
                Some((range, step)) => (range, Some(step)),
            };
            let (low, high) = kind.range(range, step.is_some())?;
            let step = step.map_or(Ok(1), |step| {
                number(step)
                    .filter(|step| *step > 0)
                    .ok_or_else(|| format!("`{element}` has no step that is a whole number from 1 on"))
            })?;
            if low > high {
                return Err(format!("`{element}` runs downward, which cron refuses"));
            }
            field.values |= kind.bits(low, high, step);
            if step > kind.max - kind.min && low != high {
                field.note = Some(format!("`{element}` of the {} is one value to cron: {low}", kind.name));
            }
            // The second Sunday of cron's week may be one that is left out.
            let last = high.min(kind.last());
            let stays = range == "*" && kind.bits(low, last, step) == kind.bits(low, high, step);
            plain &= step <= kind.step && (high == last || stays);
            spelled.push(match (range, step) {
                ("*", 1) => "*".to_owned(),
                ("*", step) => format!("*/{step}"),
                (_, 1) if low == high => low.to_string(),
                (_, 1) => format!("{low}-{high}"),
                (_, step) => format!("{low}-{high}/{step}"),
            });
        }
        let is_star_alone = text.starts_with('*') && spelled.len() == 1;
        // A `*` among others is all there is; so is a week that ends with its second Sunday.
        plain &= is_star_alone || !text.contains('*');
        field.text = if plain || (is_star_alone && spelled[0] == "*") {
            spelled.join(",")
        } else {
            kind.spell(field.values, field.starts_with_star)
        };
        Ok(field)
    }

    fn is_full(&self) -> bool {
        self.values == self.all
    }
}

impl Kind {
    /// The largest value of Gulou's.
    fn last(&self) -> u32 {
        if self.max == 7 { 6 } else { self.max }
    }

    fn range(&self, text: &str, has_step: bool) -> Result<(u32, u32), String> {
        if text == "*" {
            // To cron the week has two Sundays: a step from one to the other meets both.
            return Ok((self.min, self.max));
        }
        match text.split_once('-') {
            Some((low, high)) => Ok((self.value(low)?, self.value(high)?)),
            None if has_step => Err(format!(
                "`{text}/…` means different things to different crons; write `{text}-{}/…` there",
                self.last()
            )),
            None => self.value(text).map(|value| (value, value)),
        }
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let by_name = self.names.iter().position(|name| text.eq_ignore_ascii_case(name));
        let by_name = by_name.and_then(|index| u32::try_from(index).ok()).map(|index| index + self.min);
        match by_name.or_else(|| number(text)) {
            Some(value) if (self.min..=self.max).contains(&value) => Ok(value),
            _ if text.contains('~') => {
                Err(format!("`{text}` is a random time, which Gulou does not have: see `jitter`"))
            }
            _ => Err(format!("`{text}` is not a value from {} to {}", self.min, self.max)),
        }
    }

    fn bits(&self, low: u32, high: u32, step: u32) -> u64 {
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        let bit = |value: u32| 1 << if self.max == 7 && value == 7 { 0 } else { value };
        (low..=high).step_by(step).map(bit).fold(0, |bits, bit: u64| bits | bit)
    }

    /// `values` as a list of values and ranges.
    fn spell(&self, values: u64, is_star: bool) -> String {
        if is_star && values == self.bits(self.min, self.max, 1) {
            return "*".to_owned();
        }
        let mut parts: Vec<(u32, u32)> = Vec::new();
        for value in (self.min..=self.last()).filter(|value| values >> value & 1 == 1) {
            match parts.last_mut() {
                Some((_, high)) if *high + 1 == value => *high = value,
                _ => parts.push((value, value)),
            }
        }
        let spelled = parts.into_iter().map(|(low, high)| match high - low {
            0 => low.to_string(),
            1 => format!("{low},{high}"),
            _ => format!("{low}-{high}"),
        });
        spelled.collect::<Vec<_>>().join(",")
    }
}

fn number(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// The five fields that a word such as `@daily` stands for.
pub(super) fn nickname(word: &str) -> Result<[&'static str; 5], String> {
    match word {
        "@hourly" => Ok(["0", "*", "*", "*", "*"]),
        "@daily" | "@midnight" => Ok(["0", "0", "*", "*", "*"]),
        "@weekly" => Ok(["0", "0", "*", "*", "0"]),
        "@monthly" => Ok(["0", "0", "1", "*", "*"]),
        "@yearly" | "@annually" => Ok(["0", "0", "1", "1", "*"]),
        "@reboot" => {
            Err("`@reboot` has no time: let systemd start it, or run it with `gulou fire`".to_owned())
        }
        _ => Err(format!("`{word}` is not a word of cron's")),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, Days, NaiveDate};
    use proptest::prelude::*;

    use super::*;
    use crate::schedule::Schedule;

    #[track_caller]
    fn becomes(line: &str, expected: &str) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let converted = convert(fields.try_into().unwrap()).map(|converted| converted.expression);
        assert_eq!(converted.as_deref(), Ok(expected), "{line}");
    }

    #[test]
    fn five_fields_become_seven() {
        becomes("* * * * *", "0 * * * * * *");
        becomes("*/15 0 1,15 * 1-5", "0 */15 0 1,15 * 1-5 *");
        becomes("05 08 * JAN-Mar mon,WED", "0 5 8 * 1-3 1,3 *");
        becomes("0 22 * * 7", "0 0 22 * * 0 *");
        becomes("0 22 * * 5-7", "0 0 22 * * 0,5,6 *");
        becomes("0 22 * * 0-7", "0 0 22 * * * *");
        becomes("0 22 1 * 0-7", "0 0 22 1 * 0-6 *");
        becomes("0 22 * * */2", "0 0 22 * * */2 *");
        becomes("0 22 * * */5", "0 0 22 * * */5 *");
        becomes("0 22 * * */7", "0 0 22 * * 0 *");
        becomes("0 0-23/2 * * *", "0 0 0-23/2 * * * *");
        becomes("*/90 * * * *", "0 0 * * * * *");
        becomes("5-5 1,2,3,4 * * *", "0 5 1,2,3,4 * * * *");
        // Both days: either, when neither starts with a `*`.
        becomes("0 0 13 * 5", "0 0 0 13 * 5 *");
        becomes("0 0 1-31 * 5", "0 0 0 1-31 * 5 *");
        becomes("0 0 */1 * 5", "0 0 0 * * 5 *");
        becomes("0 0 */2 * *", "0 0 0 */2 * * *");
        becomes("0 0 *,5 * 1", "0 0 0 * * 1 *");
        becomes("0 0 */2 * 0-6", "0 0 0 */2 * * *");
        becomes(
            "*/2,7 0 * * *",
            "0 0,2,4,6-8,10,12,14,16,18,20,22,24,26,28,30,32,34,36,38,40,42,44,46,48,50,52,54,56,58 0 * * * *",
        );
    }

    #[test]
    fn what_would_mean_something_else_is_refused() {
        for (line, reason) in [
            ("0 0 */2 * 1", "cron takes days that match both `*/2` and `1`"),
            ("0 0 1 * */2", "cron takes days that match both `1` and `*/2`"),
            ("0 0 */2,1 * 1", "both `*/2,1` and `1`"),
            ("60 * * * *", "minute: `60` is not a value from 0 to 59"),
            ("* * 0 * *", "day of month: `0` is not a value from 1 to 31"),
            ("5/15 * * * *", "minute: `5/…` means different things to different crons; write `5-59/…` there"),
            ("* * * * FRI-SUN", "day of week: `FRI-SUN` runs downward"),
            ("0~30 * * * *", "minute: `0~30` is a random time"),
            ("*/0 * * * *", "no step"),
            ("1, * * * *", "minute: `` is not a value"),
            ("* * L * *", "day of month: `L` is not a value"),
            ("* * * * MONDAY", "`MONDAY` is not a value"),
        ] {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let found = convert(fields.try_into().unwrap()).unwrap_err();
            assert!(found.contains(reason), "{line}: {found}");
        }
        assert!(nickname("@reboot").unwrap_err().contains("has no time"));
        assert!(nickname("@dayly").is_err());
    }

    /// Whether a field has a value, read in another way than above.
    fn has(field: &str, value: u32, last: u32, first: u32) -> bool {
        field.split(',').any(|element| {
            let (range, step) = element.split_once('/').unwrap_or((element, "1"));
            let step: u32 = step.parse().unwrap();
            let (low, high) = match range.split_once('-') {
                _ if range == "*" => (first, last),
                Some((low, high)) => (low.parse().unwrap(), high.parse().unwrap()),
                None => (range.parse().unwrap(), range.parse().unwrap()),
            };
            (low..=high).contains(&value) && (value - low).is_multiple_of(step)
        })
    }

    /// Whether cron takes the day.
    fn takes(fields: &[String; 5], date: NaiveDate) -> bool {
        let [_, _, day, month, weekday] = fields;
        let of_week = date.weekday().num_days_from_sunday();
        let in_month = has(day, date.day(), 31, 1);
        let in_week = has(weekday, of_week, 7, 0) || (of_week == 0 && has(weekday, 7, 7, 0));
        let both = day.starts_with('*') || weekday.starts_with('*');
        has(month, date.month(), 12, 1) && if both { in_month && in_week } else { in_month || in_week }
    }

    fn field(first: u32, last: u32) -> impl Strategy<Value = String> {
        let value = || first..=last;
        let range = (value(), value()).prop_map(|(a, b)| (a.min(b), a.max(b)));
        let element = prop_oneof![
            3 => value().prop_map(|value| value.to_string()),
            2 => range.clone().prop_map(|(low, high)| format!("{low}-{high}")),
            2 => (range, 1..=last + 3).prop_map(|((low, high), step)| format!("{low}-{high}/{step}")),
            1 => (1..=last + 3).prop_map(|step| format!("*/{step}")),
            1 => Just("*".to_owned()),
        ];
        prop_oneof![
            2 => Just("*".to_owned()),
            4 => prop::collection::vec(element, 1..4).prop_map(|elements| elements.join(",")),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_converted_line_fires_when_cron_does(
            minute in field(0, 59), hour in field(0, 23), day in field(1, 31), month in field(1, 12),
            weekday in field(0, 7), start in 0..3_000_u64,
        ) {
            let fields = [minute, hour, day, month, weekday];
            let Ok(converted) = convert(fields.each_ref().map(String::as_str)) else {
                // Only what no seven fields can say.
                let both = (fields[2].starts_with('*') || fields[4].starts_with('*')) && fields[2] != "*" && fields[4] != "*";
                prop_assert!(both, "{:?} was refused", fields);
                return Ok(());
            };
            let schedule = Schedule::parse(&converted.expression, "UTC")
                .map_err(|error| TestCaseError::fail(format!("{fields:?} → {}: {error}", converted.expression)))?;
            let minutes: Vec<i64> = (0..60).filter(|minute| has(&fields[0], *minute, 59, 0)).map(i64::from).collect();
            let hours: Vec<i64> = (0..24).filter(|hour| has(&fields[1], *hour, 23, 0)).map(i64::from).collect();
            let first = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap() + Days::new(start);
            for date in first.iter_days().take(20) {
                let midnight = date.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp();
                let times = hours.iter().flat_map(|hour| minutes.iter().map(move |minute| hour * 3600 + minute * 60));
                let is_taken = takes(&fields, date);
                let expected: Vec<i64> = times.filter(|_| is_taken).map(|time| midnight + time).collect();
                let mut found = Vec::new();
                let mut at = midnight - 1;
                while let Some(next) = schedule.next(at).filter(|next| *next < midnight + 86_400) {
                    found.push(next);
                    at = next;
                }
                prop_assert_eq!(found, expected, "{:?} → {} on {}", fields, converted.expression, date);
            }
        }
    }
}
