//! What can be wrong with the line as a whole: words with `@`, full-width characters, too few or too many fields.

use super::super::error::{ParseError, quoted};
use super::{ends_field, write_instead};

/// The words that other programs know, and what to write here.
const MACROS: [(&str, &str); 8] = [
    ("@yearly", "0 0 0 1 1 * *"),
    ("@annually", "0 0 0 1 1 * *"),
    ("@monthly", "0 0 0 1 * * *"),
    ("@weekly", "0 0 0 * * 0 *"),
    ("@daily", "0 0 0 * * * *"),
    ("@midnight", "0 0 0 * * * *"),
    ("@hourly", "0 0 * * * * *"),
    ("@minutely", "0 * * * * * *"),
];

const PART: &str = "expression";

/// The error about the line, if it is one; `None` when its seven fields have to be looked at one by one.
pub(super) fn explain(text: &str) -> Option<ParseError> {
    if text.trim().is_empty() {
        let error = ParseError::new(text, PART, 0, text.len(), "there is nothing here".to_owned());
        return Some(error.with_help(
            "seven fields are needed: second minute hour day-of-month month day-of-week year, \
             such as `0 0 9 * * * *` (every day at 09:00:00)",
        ));
    }
    let start = text.len() - text.trim_start_matches(ends_field).len();
    if text[start..].starts_with('@') {
        return Some(at_word(text, start));
    }
    look_alike(text).or_else(|| line_break(text)).or_else(|| field_count(text))
}

/// `@daily` and its relatives.
fn at_word(text: &str, start: usize) -> ParseError {
    let word = text[start..].split(ends_field).next().unwrap_or_default();
    let end = start + word.len();
    let lower = word.to_ascii_lowercase();
    let error = |problem| ParseError::new(text, PART, start, end, problem);
    if let Some((_, same)) = MACROS.iter().find(|(name, _)| *name == lower) {
        return error(format!("{} is not known here", quoted(word))).with_help(format!("write `{same}`"));
    }
    let unknown = error(format!("{} is not known", quoted(word)));
    let nearest = MACROS
        .iter()
        .map(|(name, same)| (*name, Some(*same)))
        .chain([("@every", None), ("@at", None)])
        .map(|(name, same)| (strsim::damerau_levenshtein(name, &lower), name, same))
        .min_by_key(|(distance, ..)| *distance);
    match nearest {
        _ if lower == "@reboot" => {
            unknown.with_help("only times are schedules; start it by hand with `gulou fire`")
        }
        Some((..=2, _, Some(same))) => unknown.with_help(format!("write `{same}`")),
        Some((..=2, name, None)) => unknown.with_help(format!("did you mean `{name}`?")),
        _ => unknown.with_help("write seven fields, `@every 90s`, or `@at 2026-06-01T09:00:00+08:00`"),
    }
}

/// The plain character that one from an input method stands for.
fn plain(c: char) -> Option<char> {
    match c {
        '\u{3000}' | '\u{a0}' => Some(' '),
        '、' => Some(','),
        '–' | '—' | '−' | '‐' | '‑' => Some('-'),
        '∗' | '⋆' | '✱' => Some('*'),
        '⁄' | '∕' | '÷' => Some('/'),
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0),
        _ => None,
    }
}

/// Characters that look like ours but are not.
fn look_alike(text: &str) -> Option<ParseError> {
    let (at, found) = text.char_indices().find(|(_, c)| plain(*c).is_some())?;
    let wide = ('\u{ff01}'..='\u{ff5e}').contains(&found) || found == '\u{3000}';
    let problem = match (plain(found)?, wide) {
        (' ', true) => "a full-width blank: expected a plain one".to_owned(),
        (' ', false) => "a no-break space: expected a plain blank".to_owned(),
        (wanted, true) => format!("`{found}` is full-width: expected `{wanted}`"),
        (wanted, false) => format!("`{found}` only looks like `{wanted}`"),
    };
    let part = part_at(text, at);
    let error = ParseError::new(text, part, at, at + found.len_utf8(), problem);
    let corrected: String = text.chars().map(|c| plain(c).unwrap_or(c)).collect();
    Some(match write_instead(&corrected) {
        Some(help) => error.with_help(help),
        None => error.with_help("switch the input method to half-width characters"),
    })
}

/// The field in which a place lies.
fn part_at(text: &str, at: usize) -> &'static str {
    let blank = |c: char| ends_field(c) || plain(c) == Some(' ');
    let until = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
    let before = text[..until].split(blank).filter(|field| !field.is_empty()).count();
    super::Field::ALL.get(before.saturating_sub(1)).map_or(PART, |field| field.name())
}

fn line_break(text: &str) -> Option<ParseError> {
    let at = text.find(['\n', '\r'])?;
    let error = ParseError::new(text, PART, at, at + 1, "a line break".to_owned());
    let one_line: Vec<_> = text.split_whitespace().collect();
    let help = write_instead(&one_line.join(" "));
    Some(error.with_help(help.unwrap_or_else(|| "write the seven fields on one line".to_owned())))
}

fn field_count(text: &str) -> Option<ParseError> {
    let places = places_of_fields(text);
    let fields: Vec<&str> = places.iter().map(|(start, end)| &text[*start..*end]).collect();
    let count = fields.len();
    if count == 7 {
        return None;
    }
    // "9, 12" is one list to the author and two fields to the grammar.
    if let Some(index) = fields.windows(2).position(|pair| pair[0].ends_with(',') || pair[1].starts_with(','))
    {
        let blank = places[index].1;
        let problem = format!("{count} fields instead of seven: a blank inside a list");
        let joined = fields.join(" ").replace(", ", ",").replace(" ,", ",");
        let help = write_instead(&joined).unwrap_or_else(|| "write lists without blanks: `9,12`".to_owned());
        return Some(ParseError::new(text, PART, blank, blank + 1, problem).with_help(help));
    }
    let line = fields.join(" ");
    let (problem, help) = match count {
        5 => ("five fields instead of seven: looks like a crontab line".to_owned(), from_crontab(&fields)),
        6 => {
            let year_last = fields[5].starts_with("19") || fields[5].starts_with("20");
            let (missing, candidate) =
                if year_last { ("second", format!("0 {line}")) } else { ("year", format!("{line} *")) };
            let problem =
                format!("six fields instead of seven: looks like a crontab line without the {missing}");
            (problem, write_instead(&candidate))
        }
        1 => ("one field instead of seven".to_owned(), None),
        _ => (format!("{count} fields instead of seven"), None),
    };
    let first_wrong = if count > 7 { places[7].0 } else { places[0].0 };
    let help = help.unwrap_or_else(|| {
        "the fields are second minute hour day-of-month month day-of-week year".to_owned()
    });
    Some(ParseError::new(text, PART, first_wrong, places[count - 1].1, problem).with_help(help))
}

/// Start and end of each field.
fn places_of_fields(text: &str) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    let mut start = 0;
    for piece in text.split(ends_field) {
        if !piece.is_empty() {
            places.push((start, start + piece.len()));
        }
        start += piece.len() + 1;
    }
    places
}

/// The seven fields for a line of crontab(5), where 7 is another Sunday.
fn from_crontab(fields: &[&str]) -> Option<String> {
    let weekday = match fields[4] {
        "7" => "0",
        "1-7" | "0-7" => "0-6",
        other => other,
    };
    write_instead(&format!("0 {} {weekday} *", fields[..4].join(" ")))
}
