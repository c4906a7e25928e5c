//! All that was found, in all files, until it is sorted and handed over.

use std::cell::RefCell;
use std::path::Path;

use jsonc_parser::ast::Value;

use super::diagnostic::{Diagnostic, Severity};
use super::hide;
use super::json::{self, Document};

/// All that was found, in all files.
#[derive(Default)]
pub(super) struct Findings(RefCell<Vec<Diagnostic>>);

impl Findings {
    /// Reports what a file as a whole has wrong.
    pub fn file_error(&self, file: &Path, message: impl Into<String>, help: Option<&str>) {
        self.file(Severity::Error, file, message.into(), help);
    }

    /// Reports what a file or folder as a whole has odd.
    pub fn file_warning(&self, file: &Path, message: impl Into<String>, help: Option<&str>) {
        self.file(Severity::Warning, file, message.into(), help);
    }

    fn file(&self, severity: Severity, file: &Path, message: String, help: Option<&str>) {
        let help = help.map(str::to_owned);
        let diagnostic =
            Diagnostic { severity, file: file.to_owned(), place: None, path: String::new(), message, help };
        self.push(diagnostic);
    }

    /// Adds one more.
    pub fn push(&self, mut diagnostic: Diagnostic) {
        diagnostic.message = hide::message(&one_line(&diagnostic.message));
        diagnostic.path = one_line(&diagnostic.path);
        diagnostic.help = diagnostic.help.map(|help| hide::message(&one_line(&help)));
        self.0.borrow_mut().push(diagnostic);
    }

    /// Parses `document`, reports what is not JSON, and answers the root.
    pub fn parse<'a>(&self, document: &'a Document) -> Option<Value<'a>> {
        let (value, errors) = json::parse(&document.text);
        for error in errors {
            self.push(Diagnostic {
                severity: Severity::Error,
                file: document.file.clone(),
                place: Some(document.place(error.start, error.end)),
                path: String::new(),
                message: error.message,
                help: error.help,
            });
        }
        value
    }

    /// The errors and the warnings, in the order of files and lines.
    pub fn into_sorted(self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let mut all = self.0.into_inner();
        all.sort_by_key(|found| {
            let place = found.place.as_ref().map(|place| (place.line, place.column));
            (found.file.clone(), place)
        });
        all.into_iter().partition(|found| found.severity == Severity::Error)
    }
}

/// Messages and paths quote what was written, line ends and all; they are one line, and cannot steer a terminal.
fn one_line(text: &str) -> String {
    let written = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_cannot_steer_the_terminal() {
        let findings = Findings::default();
        let text = "a\u{7f}b\u{9b}c\nd".to_owned();
        findings.push(Diagnostic {
            severity: Severity::Error,
            file: "config.json".into(),
            place: None,
            path: text.clone(),
            message: text.clone(),
            help: Some(text),
        });
        let (errors, _) = findings.into_sorted();
        let written = r"a\u{7f}b\u{9b}c\nd";
        assert_eq!(errors[0].path, written);
        assert_eq!(errors[0].message, written);
        assert_eq!(errors[0].help.as_deref(), Some(written));
    }
}
