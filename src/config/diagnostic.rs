//! One thing to say about a configuration file, for people and for programs.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthChar;

/// Source lines longer than this many columns are shown in part.
const SHOWN_WIDTH: usize = 110;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, and probably does not do what its author meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A place in a text file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// How many characters are meant, within the line; at least 1.
    pub length: usize,
    /// The text of the line.
    pub text: String,
}

/// One thing to say about a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as reached from the working directory.
    pub file: PathBuf,
    /// Where in the file; none when the file as a whole is meant.
    pub place: Option<Place>,
    /// The JSON path of the value, as in `triggers[0].config`; empty for the file as a whole.
    pub path: String,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it, in one line.
    pub help: Option<String>,
}

impl Diagnostic {
    /// The same for programs: `severity`, `file`, `line`, `column`, `path`, `message`, `help`.
    pub fn to_json(&self) -> Value {
        json!({
            "severity": self.severity.as_str(),
            "file": self.file.display().to_string(),
            "line": self.place.as_ref().map(|place| place.line),
            "column": self.place.as_ref().map(|place| place.column),
            "path": self.path,
            "message": self.message,
            "help": self.help,
        })
    }
}

impl fmt::Display for Diagnostic {
    /// Several lines: the message, the place with a caret under the text, the fix. No line end at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.severity.as_str(), self.message)?;
        let number = self.place.as_ref().map_or(String::new(), |place| place.line.to_string());
        let margin = " ".repeat(number.len());
        write!(f, "{margin}--> {}", self.file.display())?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        if !self.path.is_empty() {
            write!(f, " ({})", self.path)?;
        }
        if let Some(place) = &self.place {
            let (text, padding, carets) = place.shown();
            write!(f, "\n{margin} |\n{number} | {text}\n{margin} | {padding}{carets}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n{margin} = help: {help}")?;
        }
        Ok(())
    }
}

impl Place {
    /// The line (or the part around the place), what stands under it before the carets, and the carets.
    fn shown(&self) -> (String, String, String) {
        // Other control characters could steer the terminal.
        let shown = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
        let characters: Vec<char> = self.text.chars().map(shown).collect();
        let at = (self.column - 1).min(characters.len());
        let end = (at + self.length).min(characters.len());
        let mut from = 0;
        if width(&characters) > SHOWN_WIDTH {
            while width(&characters[from..at]) > SHOWN_WIDTH / 3 {
                from += 1;
            }
        }
        let mut to = characters.len();
        while to > at + 1 && width(&characters[from..to]) > SHOWN_WIDTH {
            to -= 1;
        }
        let (lead, tail) = (if from > 0 { "…" } else { "" }, if to < characters.len() { "…" } else { "" });
        let text = characters[from..to].iter().collect::<String>();
        // A tab stays a tab, so that the caret lands under its text whatever the tab width is.
        let padding = characters[from..at]
            .iter()
            .map(|&c| if c == '\t' { "\t".to_owned() } else { " ".repeat(width(&[c])) })
            .collect::<String>();
        let carets = "^".repeat(width(&characters[at..end.min(to).max(at)]).max(1));
        (format!("{lead}{text}{tail}"), format!("{}{padding}", " ".repeat(lead.chars().count())), carets)
    }
}

fn width(characters: &[char]) -> usize {
    characters.iter().map(|c| c.width().unwrap_or(1)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnostic(text: &str, column: usize, length: usize) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            file: PathBuf::from("config.json"),
            place: Some(Place { line: 12, column, length, text: text.to_owned() }),
            path: "triggers[0].name".to_owned(),
            message: "no".to_owned(),
            help: Some("yes".to_owned()),
        }
    }

    #[test]
    fn the_caret_stands_under_the_text_behind_wide_characters() {
        let shown = diagnostic("\t\"鼓楼\": 1", 8, 1).to_string();
        assert_eq!(
            shown,
            "error: no\n  --> config.json:12:8 (triggers[0].name)\n   |\n12 | \t\"鼓楼\": 1\n   | \t        ^\n   = help: yes"
        );
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let shown = diagnostic(&format!("{}X{}", "a".repeat(500), "b".repeat(500)), 501, 1).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        let x = lines[3].chars().position(|c| c == 'X');
        assert_eq!(x, lines[4].chars().position(|c| c == '^'));
        assert!(lines[3].chars().count() < 130);
    }

    #[test]
    fn a_place_at_the_end_of_a_line_has_a_caret() {
        assert!(diagnostic("{", 2, 1).to_string().contains("\n   |  ^\n"));
    }
}
