//! A text of several statements, taken apart.

use super::{Dialect, begins_name};

impl Dialect {
    /// The statements of `sql`, which `;` parts, each with its first byte; without blanks around them. The body of a
    /// trigger of SQLite belongs to its statement.
    pub fn statements(self, sql: &str) -> Vec<(usize, &str)> {
        let mut found = Vec::new();
        let mut piece = Piece::default();
        for (at, token) in self.tokens(sql) {
            let ends = token == ";" && !(self == Self::Sqlite && piece.goes_on());
            if ends {
                found.extend(std::mem::take(&mut piece).of(sql));
            } else {
                piece.take(at, token);
            }
        }
        found.extend(piece.of(sql));
        found
    }

    /// The words that `sql` starts with, in lower case, at most `count`.
    pub fn first_words(self, sql: &str, count: usize) -> Vec<String> {
        let words = self.tokens(sql).map(|(_, token)| token).take_while(|token| is_word(token));
        words.take(count).map(str::to_lowercase).collect()
    }

    /// The tokens of `sql`, without blanks and comments, each with its first byte.
    pub fn tokens(self, sql: &str) -> impl Iterator<Item = (usize, &str)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            loop {
                let c = sql[at..].chars().next()?;
                let (_, length) = self.token(&sql[at..], c);
                let start = at;
                at += length;
                let token = &sql[start..at];
                if !c.is_whitespace() && !self.is_comment(token) {
                    return Some((start, token));
                }
            }
        })
    }

    fn is_comment(self, token: &str) -> bool {
        match self {
            Self::MySql if token.starts_with("/*!") || token.starts_with("/*M!") => false,
            // Two minus signs without a blank are no comment.
            Self::MySql if token == "--" => false,
            Self::MySql if token.starts_with('#') => true,
            _ => token.starts_with("--") || token.starts_with("/*"),
        }
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(begins_name)
}

/// The statement that is being read.
#[derive(Default)]
struct Piece {
    start: Option<usize>,
    end: usize,
    /// The first words, in lower case.
    first: Vec<String>,
    /// Its last two tokens are a `;` and `END`.
    before_last: Last,
    last: Last,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    Semicolon,
    End,
    #[default]
    Other,
}

impl Piece {
    fn take(&mut self, at: usize, token: &str) {
        if self.first.len() < 3 {
            self.first.push(token.to_lowercase());
        }
        self.start.get_or_insert(at);
        self.end = at + token.len();
        self.before_last = self.last;
        self.last = match token {
            ";" => Last::Semicolon,
            _ if token.eq_ignore_ascii_case("end") => Last::End,
            _ => Last::Other,
        };
    }

    /// It is a trigger whose body has not ended.
    fn goes_on(&self) -> bool {
        let first: Vec<&str> = self.first.iter().map(String::as_str).collect();
        let is_trigger =
            matches!(first[..], ["create", "trigger", ..] | ["create", "temp" | "temporary", "trigger"]);
        is_trigger && (self.before_last, self.last) != (Last::Semicolon, Last::End)
    }

    fn of(self, sql: &str) -> Option<(usize, &str)> {
        self.start.map(|start| (start, &sql[start..self.end]))
    }
}

#[cfg(test)]
mod tests {
    use super::Dialect::{self, MySql, Postgres, Sqlite};

    #[track_caller]
    fn parts(dialect: Dialect, sql: &str, expected: &[&str]) {
        let found = dialect.statements(sql);
        assert_eq!(found.iter().map(|(_, text)| *text).collect::<Vec<_>>(), expected, "{dialect:?}: {sql}");
        assert!(found.iter().all(|(at, text)| sql[*at..].starts_with(text)));
    }

    #[test]
    fn semicolons_part_statements() {
        for dialect in [Sqlite, Postgres, MySql] {
            parts(
                dialect,
                " DELETE FROM a ;\n;-- no ; more\nUPDATE b SET c = ';' ; /* ; */ ",
                &["DELETE FROM a", "UPDATE b SET c = ';'"],
            );
            parts(dialect, "SELECT 1 -- one\n + 2", &["SELECT 1 -- one\n + 2"]);
            parts(dialect, " ;; -- nothing", &[]);
        }
        parts(Postgres, "DO $x$ a; b; $x$; SELECT E'\\';'", &["DO $x$ a; b; $x$", "SELECT E'\\';'"]);
        parts(MySql, "SELECT 1; # no ; more\nSELECT 'it\\';s'", &["SELECT 1", "SELECT 'it\\';s'"]);
        parts(MySql, "SELECT 1--2; SELECT 3", &["SELECT 1--2", "SELECT 3"]);
    }

    #[test]
    fn a_trigger_keeps_its_body() {
        let trigger = "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN UPDATE b SET c = CASE 1 WHEN 1 THEN 2 END; \
                       DELETE FROM d; END";
        parts(Sqlite, &format!("{trigger}; SELECT 1"), &[trigger, "SELECT 1"]);
        parts(Sqlite, "CREATE TABLE trigger (a); SELECT 1", &["CREATE TABLE trigger (a)", "SELECT 1"]);
    }

    #[test]
    fn first_words_are_found_behind_comments() {
        assert_eq!(Sqlite.first_words("/* x */ -- y\n Delete FROM t", 2), ["delete", "from"]);
        assert_eq!(Postgres.first_words("(SELECT 1)", 2), Vec::<String>::new());
    }
}
