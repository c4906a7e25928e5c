//! What can be wrong inside one of the seven fields.

use super::super::error::{ParseError, quoted};
use super::super::field::{Field, MONTHS, WEEKDAYS};
use super::{At, expected, helped, write_instead};

impl At<'_> {
    pub(super) fn empty_item(&self) -> ParseError {
        let field = &self.text[self.item.field_start..self.item.field_end];
        let place = self.item.start - self.item.field_start;
        let problem = if place == 0 {
            "nothing stands before the comma"
        } else if self.item.end == self.item.field_end {
            "nothing stands after the comma"
        } else {
            "nothing stands between two commas"
        };
        let items: Vec<_> = field.split(',').filter(|item| !item.is_empty()).collect();
        helped(self.error(problem.to_owned()), write_instead(&self.with_field(&items.join(","))))
    }

    pub(super) fn star_in_list(&self) -> ParseError {
        self.error("`*` cannot be part of a list: it stands for every value already".to_owned())
            .with_help("write `*` alone, or only the other values")
    }

    pub(super) fn out_of_range(&self) -> ParseError {
        let field = self.fault.field;
        let number = self.faulty();
        let trimmed = number.trim_start_matches('0');
        if let Some(help) = special_elsewhere(field, &self.item().to_ascii_uppercase()) {
            return self.not_a_value().with_help(help);
        }
        let problem = |expected: &str| format!("{} is out of range: expected {expected}", bare(number));
        let numbers = format!("{}-{}", field.min(), field.max());
        match (field, trimmed) {
            (Field::DayOfWeek, "7") => {
                let problem = "7 is not a weekday: Sunday is 0".to_owned();
                helped(self.error(problem), self.without_seven())
            }
            (Field::DayOfWeek, _) => self.error(problem("0-6 (0 is Sunday) or SUN-SAT")),
            (Field::Hour, "24") => self.error(problem("0-23")).with_help("midnight is hour 0"),
            (Field::Second | Field::Minute, "60") => {
                self.error(problem("0-59")).with_help("the next one starts at 0")
            }
            (Field::DayOfMonth | Field::Month, "") => {
                self.error(problem(&numbers)).with_help(format!("the first {} is 1", field.unit()))
            }
            (Field::Year, _) if number.len() == 2 => self
                .error(problem("1970-2099"))
                .with_help(format!("a year has four digits: {}", with_century(number))),
            _ => self.error(problem(&numbers)),
        }
    }

    /// The expression with 0 for Sunday instead of 7.
    fn without_seven(&self) -> Option<String> {
        let item = self.item();
        let corrected = match item.split_once('-') {
            Some(("0" | "1", "7")) => "0-6".to_owned(),
            Some((day @ "6", "7")) => format!("{day},0"),
            Some((from, "7")) => format!("{from}-6,0"),
            _ => item.replacen('7', "0", 1),
        };
        write_instead(&self.with_item(&corrected))
    }

    pub(super) fn reversed(&self) -> ParseError {
        let field = self.fault.field;
        let error = self.error(format!("the range {} runs backwards", quoted(self.faulty())));
        let Some((from, to)) = self.faulty().split_once('-') else { return error };
        let rest = &self.text[self.fault.end..self.item.end];
        let turned = format!("{to}-{from}{rest}");
        let wrapped = format!("{},{}", up_to_last(field, from), from_first(field, to));
        let candidate = if rest.is_empty() && field != Field::Year { wrapped } else { turned };
        helped(error, write_instead(&self.with_item(&candidate)))
    }

    pub(super) fn mixed(&self) -> ParseError {
        let field = self.fault.field;
        let error = self.error(format!("the range {} mixes a name and a number", quoted(self.faulty())));
        let names: Vec<_> = self.faulty().split('-').map(|end| name_of(field, end)).collect();
        let rest = &self.text[self.fault.end..self.item.end];
        helped(error, write_instead(&self.with_item(&format!("{}{rest}", names.join("-")))))
    }

    pub(super) fn step(&self) -> ParseError {
        let field = self.fault.field;
        let step = &self.text[self.fault.start..self.item.end];
        let problem = if step.is_empty() {
            format!("the step is missing: expected 1-{} after `/`", field.max())
        } else {
            format!("{} is not a step: expected 1-{} after `/`", quoted(step), field.max())
        };
        let end = self.item.end.max(self.fault.start);
        ParseError::new(self.text, field.name(), self.fault.start, end, problem)
    }

    pub(super) fn step_out_of_range(&self) -> ParseError {
        let field = self.fault.field;
        let number = self.faulty();
        if number.bytes().all(|digit| digit == b'0') {
            return self.error(format!("a step of 0 never moves on: expected 1-{}", field.max()));
        }
        let error = |problem: String| self.error(problem);
        let beyond = format!("a step of {} is beyond the field: expected 1-{}", bare(number), field.max());
        let unit = field.unit();
        let wild = self.item().starts_with("*/") || self.item().starts_with("0/");
        let cannot = format!("cron cannot say every {} {unit}s", bare(number));
        match (field, number.parse::<u64>()) {
            (Field::Second | Field::Minute, Ok(60)) | (Field::Hour, Ok(24)) if wild => {
                let once = format!("every {number} {unit}s is once {}", field.above());
                helped(error(once), write_instead(&self.with_item("0")))
            }
            (Field::Second, Ok(step)) if wild => error(cannot).with_help(format!("write `@every {step}s`")),
            (Field::Minute, Ok(step)) if wild => error(cannot).with_help(format!("write `@every {step}m`")),
            (Field::Hour, Ok(step)) if wild => error(cannot).with_help(format!("write `@every {step}h`")),
            (Field::DayOfMonth | Field::DayOfWeek, Ok(step)) if self.item().starts_with("*/") => {
                error(cannot).with_help(format!("write `@every {step}d`"))
            }
            _ => error(beyond),
        }
    }

    pub(super) fn ordinal(&self) -> ParseError {
        self.item_error(format!("{} has no number 1-5 after `#`", quoted(self.item())))
            .with_help("`5#2` is the second Friday of the month")
    }

    /// Something that is neither a value nor a range.
    pub(super) fn unreadable(&self) -> ParseError {
        let field = self.fault.field;
        let item = self.item();
        let upper = item.to_ascii_uppercase();
        if let Some(error) = self.question_mark(&upper) {
            return error;
        }
        if let Some(help) = special_elsewhere(field, &upper) {
            return self.not_a_value().with_help(help);
        }
        if let Some(error) = self.dashes(item) {
            return error;
        }
        if item.starts_with('/') {
            return helped(
                self.item_error(format!("the step {} has no start", quoted(item))),
                write_instead(&self.with_item(&format!("*{item}"))),
            );
        }
        let help = self.words(&upper);
        helped(self.not_a_value(), help)
    }

    fn not_a_value(&self) -> ParseError {
        let field = self.fault.field;
        let item = quoted(self.item());
        self.item_error(format!("{item} is not {} {field}: expected {}", article(field), expected(field)))
    }

    fn question_mark(&self, item: &str) -> Option<ParseError> {
        let field = self.fault.field;
        if !item.contains('?') {
            return None;
        }
        let days = matches!(field, Field::DayOfMonth | Field::DayOfWeek);
        let problem = if days { "`?` stands alone" } else { "`?` is for day of month and day of week only" };
        Some(helped(self.item_error(problem.to_owned()), write_instead(&self.with_field("*"))))
    }

    /// Ranges with too many or too few ends.
    fn dashes(&self, item: &str) -> Option<ParseError> {
        let value = |end: &str| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let problem = match item.split('-').collect::<Vec<_>>()[..] {
            ["", ""] => "the range `-` has no ends".to_owned(),
            ["", end] if value(end) => format!("the range {} has no start", quoted(item)),
            [start, ""] if value(start) && !start.eq_ignore_ascii_case("L") => {
                format!("the range {} has no end", quoted(item))
            }
            [_, _, _, ..] => format!("{} is not a range: expected two values with one `-`", quoted(item)),
            _ => return None,
        };
        Some(self.item_error(problem))
    }

    /// Names that are misspelt, spelt out, or in the wrong field.
    fn words(&self, item: &str) -> Option<String> {
        let field = self.fault.field;
        let mut corrected = item.to_owned();
        for word in item.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 1) {
            if field.names().iter().any(|name| name.as_slice() == word.as_bytes()) {
                continue;
            }
            if let Some(other) = [Field::Month, Field::DayOfWeek]
                .into_iter()
                .find(|other| other.names().iter().any(|name| name.as_slice() == word.as_bytes()))
            {
                return Some(format!("`{word}` belongs to the {other} field"));
            }
            if field.names().is_empty() {
                return None;
            }
            corrected = corrected.replacen(word, nearest_name(field, word)?, 1);
        }
        write_instead(&self.with_item(&corrected))
    }
}

impl Field {
    /// What one step of the field is.
    const fn unit(self) -> &'static str {
        match self {
            Self::DayOfMonth | Self::DayOfWeek => "day",
            other => other.name(),
        }
    }

    /// What the field counts through.
    const fn above(self) -> &'static str {
        match self {
            Self::Second => "a minute",
            Self::Minute => "an hour",
            Self::Hour => "a day",
            Self::DayOfMonth => "a month",
            Self::DayOfWeek => "a week",
            Self::Month | Self::Year => "a year",
        }
    }
}

const fn article(field: Field) -> &'static str {
    if matches!(field, Field::Hour) { "an" } else { "a" }
}

fn with_century(digits: &str) -> String {
    let century = if digits >= "70" { "19" } else { "20" };
    format!("`{century}{digits}`")
}

/// A number without needless zeros, and never too long to read.
fn bare(number: &str) -> String {
    let trimmed = number.trim_start_matches('0');
    let trimmed = if trimmed.is_empty() { "0" } else { trimmed };
    if trimmed.len() > 12 { quoted(trimmed) } else { trimmed.to_owned() }
}

/// The element from `value` to the end of the field.
fn up_to_last(field: Field, value: &str) -> String {
    let last = name_like(field, field.max(), value);
    if value.eq_ignore_ascii_case(&last) { last } else { format!("{value}-{last}") }
}

/// The element from the start of the field to `value`.
fn from_first(field: Field, value: &str) -> String {
    let first = name_like(field, field.min(), value);
    if value.eq_ignore_ascii_case(&first) { first } else { format!("{first}-{value}") }
}

/// A number, as a name when `like` is one.
fn name_like(field: Field, number: u32, like: &str) -> String {
    let number = number.to_string();
    if like.starts_with(|c: char| c.is_ascii_alphabetic()) { name_of(field, &number) } else { number }
}

/// The name of a number; the text itself when there is none.
fn name_of(field: Field, number: &str) -> String {
    let index = number.parse::<usize>().ok().and_then(|number| number.checked_sub(field.min() as usize));
    let name = index.and_then(|index| field.names().get(index));
    name.map_or_else(|| number.to_owned(), |name| String::from_utf8_lossy(*name).into_owned())
}

/// The name that `word`, in capitals, was meant to be: spelt out, or off by a letter.
fn nearest_name(field: Field, word: &str) -> Option<&'static str> {
    let names = field.names().iter().filter_map(|name| std::str::from_utf8(*name).ok());
    let (distance, name) = names
        .map(|name| {
            let spelt_out = word.starts_with(name) || word.starts_with(&name[..2]) && word.len() > 3;
            (if spelt_out { 0 } else { strsim::damerau_levenshtein(name, word) }, name)
        })
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= 1).then_some(name)
}

/// Help for the letters of a day field: in the wrong field, or in a form that is not known.
fn special_elsewhere(field: Field, item: &str) -> Option<String> {
    let number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let named = |word: &str| WEEKDAYS.iter().chain(&MONTHS).any(|name| word.as_bytes().starts_with(*name));
    if field == Field::DayOfWeek {
        if item == "L" {
            return Some("write `6` for Saturday, or `6L` for the last Saturday of the month".to_owned());
        }
        if let Some(day) = item.strip_suffix('L')
            && let Some(index) = WEEKDAYS.iter().position(|name| name.as_slice() == day.as_bytes())
        {
            return Some(format!("write `{index}L` for the last {day} of the month"));
        }
    }
    if field == Field::DayOfMonth {
        if item.starts_with("L-") {
            return Some(
                "`L` is the last day of the month; a day counted from the end cannot be said".to_owned(),
            );
        }
        if item.strip_suffix('L').is_some_and(number) {
            return Some(format!("`{item}` belongs to the day of week field"));
        }
        if item.contains('W') && item.contains('-') {
            return Some("`W` takes one day, such as `15W`".to_owned());
        }
        if let Some(day) = item.strip_prefix('W').filter(|day| number(day)) {
            return Some(format!("write `{day}W` for the weekday nearest to day {day}"));
        }
    }
    if item == "L" || item == "LW" || item.strip_suffix('W').is_some_and(number) {
        return (field != Field::DayOfMonth).then(|| format!("`{item}` belongs to the day of month field"));
    }
    let weekday_form = item.strip_suffix('L').is_some_and(number)
        || item.split_once('#').is_some_and(|(day, nth)| (number(day) || named(day)) && number(nth));
    (weekday_form && field != Field::DayOfWeek).then(|| format!("`{item}` belongs to the day of week field"))
}
