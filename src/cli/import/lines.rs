//! The lines of a crontab, as cron reads them: comments, variables, entries.

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'t> {
    /// The text of a comment.
    Comment(&'t str),
    /// A variable of all entries behind it.
    Variable(String, String),
    /// A time and a command.
    Entry(Entry<'t>),
}

/// A time and a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'t> {
    /// Five fields, or a word with an `@`.
    pub(super) time: Vec<&'t str>,
    /// Of the system's crontab.
    pub(super) user: Option<&'t str>,
    /// As it is written, with its `%`.
    pub(super) command: &'t str,
}

/// What a line says; none: nothing. `is_system`: a user stands before the command.
pub(super) fn read(line: &str, is_system: bool) -> Result<Option<Line<'_>>, String> {
    let line = line.trim_start();
    if line.is_empty() {
        return Ok(None);
    }
    if let Some(comment) = line.strip_prefix('#') {
        return Ok(Some(Line::Comment(comment.trim())));
    }
    if let Some((name, value)) = variable(line) {
        return Ok(Some(Line::Variable(name, value)));
    }
    let mut rest = line;
    let mut word = || {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after.trim_start();
        word
    };
    let first = word();
    let mut time = vec![first];
    if !first.starts_with('@') {
        time.extend((0..4).map(|_| word()));
    }
    let user = is_system.then(&mut word);
    let command = rest.trim_end();
    if command.is_empty() || user == Some("") {
        let fields = if first.starts_with('@') { "a word" } else { "five fields" };
        let user = if is_system { ", a user" } else { "" };
        return Err(format!("this is not {fields}{user} and a command"));
    }
    Ok(Some(Line::Entry(Entry { time, user, command })))
}

/// `NAME = value`: the first word, and a `=` right behind it.
fn variable(line: &str) -> Option<(String, String)> {
    let end = line.find(|c: char| c.is_whitespace() || c == '=')?;
    let value = line[end..].trim_start().strip_prefix('=')?;
    let name = unquoted(&line[..end]);
    (!name.is_empty()).then(|| (name.to_owned(), unquoted(value.trim()).to_owned()))
}

fn unquoted(text: &str) -> &str {
    ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(text)
}

/// The command proper, and what it reads: what stands behind the first `%`, each further one a line end. `\%` is a
/// `%`.
pub(super) fn split_input(command: &str) -> (String, Option<String>) {
    let mut proper = String::new();
    let mut chars = command.chars();
    let mut escaped = false;
    let mut has_input = false;
    for c in chars.by_ref() {
        if escaped && c == '%' {
            proper.pop();
        }
        if c == '%' && !escaped {
            has_input = true;
            break;
        }
        proper.push(c);
        escaped = c == '\\' && !escaped;
    }
    if !has_input {
        return (proper, None);
    }
    let mut input = String::new();
    let mut escaped = false;
    for c in chars {
        match c {
            '%' if escaped => {
                input.pop();
                input.push('%');
            }
            '%' => input.push('\n'),
            c => input.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    (proper, Some(input))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_cron_reads_them() {
        let variable = |name: &str, value: &str| Ok(Some(Line::Variable(name.to_owned(), value.to_owned())));
        assert_eq!(read("", false), Ok(None));
        assert_eq!(read("  # nightly", false), Ok(Some(Line::Comment("nightly"))));
        assert_eq!(read("PATH=/bin:/usr/bin", false), variable("PATH", "/bin:/usr/bin"));
        assert_eq!(read(" \"A\"  =  ' b = c ' ", false), variable("A", " b = c "));
        assert_eq!(read("EMPTY=", false), variable("EMPTY", ""));
        let entry = |time: &[&'static str], user, command| {
            Ok(Some(Line::Entry(Entry { time: time.to_vec(), user, command })))
        };
        assert_eq!(
            read("0 3 *\t* 1  A=b run  x ", false),
            entry(&["0", "3", "*", "*", "1"], None, "A=b run  x")
        );
        assert_eq!(read("@daily root run", true), entry(&["@daily"], Some("root"), "run"));
        assert_eq!(
            read("17 * * * * root cd / && x", true),
            entry(&["17", "*", "*", "*", "*"], Some("root"), "cd / && x")
        );
        assert!(read("0 3 * * *", false).unwrap_err().contains("five fields and a command"));
        assert!(read("0 3 * * * root", true).unwrap_err().contains("five fields, a user and a command"));
    }

    #[test]
    fn a_percent_sign_begins_the_input() {
        let split = |command: &str| split_input(command);
        assert_eq!(split("date +\\%F"), ("date +%F".to_owned(), None));
        assert_eq!(
            split("mail me%Hi,%%100\\% off"),
            ("mail me".to_owned(), Some("Hi,\n\n100% off".to_owned()))
        );
        assert_eq!(split("cat%"), ("cat".to_owned(), Some(String::new())));
        assert_eq!(split("echo a\\\\b"), ("echo a\\\\b".to_owned(), None));
        assert_eq!(split("echo \\\\%in"), ("echo \\\\".to_owned(), Some("in".to_owned())));
    }
}
