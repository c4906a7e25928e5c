//! SQL as text: what the dialects spell differently, and where a statement has parameters. Pure: knows neither
//! databases nor what the parameters mean.

mod split;

use std::fmt::Write as _;

/// How a kind of database spells SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB, with their default `sql_mode`.
    MySql,
}

/// A parameter in a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'s> {
    /// Its first byte.
    pub at: usize,
    /// As it is written: `:now`, or what the database itself would take for a parameter, as `?` or `$1`.
    pub text: &'s str,
}

impl Dialect {
    /// `name` as an identifier.
    pub fn quote(self, name: &str) -> String {
        match self {
            Self::Sqlite | Self::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
            Self::MySql => format!("`{}`", name.replace('`', "``")),
        }
    }

    /// `schema.table` or `table` as identifiers.
    pub fn quote_path(self, path: &str) -> String {
        path.split('.').map(|name| self.quote(name)).collect::<Vec<_>>().join(".")
    }

    /// A condition that always holds.
    pub fn always(self) -> &'static str {
        match self {
            Self::Sqlite | Self::MySql => "1",
            Self::Postgres => "true",
        }
    }

    /// The parameters of `sql` in order; quoted text and comments have none.
    pub fn parameters(self, sql: &str) -> Vec<Parameter<'_>> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(c) = sql[at..].chars().next() {
            let (is_parameter, length) = self.token(&sql[at..], c);
            if is_parameter {
                found.push(Parameter { at, text: &sql[at..at + length] });
            }
            at += length;
        }
        found
    }

    /// The statement with each of its parameters in the database's own spelling, and their names in that order. A
    /// parameter that is used twice stands there twice: a database may take it for two types.
    pub fn positional(self, sql: &str) -> (String, Vec<String>) {
        let parameters = self.parameters(sql);
        let mut text = String::with_capacity(sql.len());
        let mut copied = 0;
        for (number, parameter) in (1..).zip(&parameters) {
            text.push_str(&sql[copied..parameter.at]);
            copied = parameter.at + parameter.text.len();
            match self {
                Self::Sqlite => text.push_str(parameter.text),
                // Writing to a String cannot fail.
                Self::Postgres => drop(write!(text, "${number}")),
                Self::MySql => text.push('?'),
            }
        }
        text.push_str(&sql[copied..]);
        (text, parameters.iter().map(|parameter| parameter.text.to_owned()).collect())
    }

    /// Whether what `sql` starts with, the character `c`, is a parameter, and how many bytes belong together.
    fn token(self, sql: &str, c: char) -> (bool, usize) {
        let second = sql[c.len_utf8()..].chars().next();
        match (self, c) {
            (Self::Postgres, 'e' | 'E') if second == Some('\'') => (false, 1 + quoted(&sql[1..], '\'', true)),
            (Self::MySql, '\'' | '"') => (false, quoted(sql, c, true)),
            (_, '\'' | '"') | (Self::Sqlite | Self::MySql, '`') => (false, quoted(sql, c, false)),
            (Self::Sqlite, '[') => (false, quoted(sql, ']', false)),
            (Self::MySql, '#') => (false, line(sql)),
            (Self::MySql, '-') if sql.starts_with("--") => {
                // Without a space they are two minus signs.
                let is_comment = !sql[2..].starts_with(|c: char| !c.is_whitespace() && !c.is_control());
                (false, if is_comment { line(sql) } else { 2 })
            }
            (_, '-') if sql.starts_with("--") => (false, line(sql)),
            // What stands in these is run.
            (Self::MySql, '/') if sql.starts_with("/*!") || sql.starts_with("/*M!") => (false, 3),
            (_, '/') if sql.starts_with("/*") => (false, comment(sql, self == Self::Postgres)),
            (Self::Postgres, ':') if second == Some(':') => (false, 2),
            (Self::Postgres, '$') => dollar(sql),
            (Self::Sqlite, '?') => (true, 1 + word(&sql[1..])),
            (Self::MySql, '?') => (true, 1),
            (Self::Sqlite, ':' | '@' | '$') if second.is_some_and(is_name) => (true, 1 + word(&sql[1..])),
            // Not a digit, as in `list[1:2]`.
            (_, ':') if second.is_some_and(begins_name) => (true, 1 + word(&sql[1..])),
            _ if begins_name(c) => (false, sql.find(|c| !is_name(c) && c != '$').unwrap_or(sql.len())),
            _ => (false, c.len_utf8()),
        }
    }
}

fn begins_name(c: char) -> bool {
    is_name(c) && !c.is_ascii_digit()
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Length of the name at the start.
fn word(sql: &str) -> usize {
    sql.find(|c| !is_name(c)).unwrap_or(sql.len())
}

/// Length of what starts with a quote and ends with `end`. Two of them within are read as two texts side by side.
fn quoted(sql: &str, end: char, backslash: bool) -> usize {
    let mut escaped = false;
    for (at, c) in sql.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if backslash => escaped = true,
            _ if c == end => return at + c.len_utf8(),
            _ => {}
        }
    }
    sql.len()
}

fn line(sql: &str) -> usize {
    sql.find('\n').unwrap_or(sql.len())
}

fn comment(sql: &str, nests: bool) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < sql.len() {
        let rest = &sql.as_bytes()[at..];
        if rest.starts_with(b"/*") && (nests || depth == 0) {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    sql.len()
}

/// `$1`, which is a parameter, or a text between `$tag$`.
fn dollar(sql: &str) -> (bool, usize) {
    let length = word(&sql[1..]);
    if sql[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return (true, 1 + length);
    }
    if !sql[1 + length..].starts_with('$') {
        return (false, 1 + length);
    }
    let (tag, text) = sql.split_at(length + 2);
    (false, text.find(tag).map_or(sql.len(), |end| tag.len() + end + tag.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Dialect::{self, MySql, Postgres, Sqlite};

    const ALL: [Dialect; 3] = [Sqlite, Postgres, MySql];

    /// The parameters that each of the dialects finds.
    #[track_caller]
    fn finds(dialects: &[Dialect], sql: &str, expected: &[&str]) {
        for dialect in dialects {
            let found: Vec<&str> = dialect.parameters(sql).iter().map(|parameter| parameter.text).collect();
            assert_eq!(found, expected, "{dialect:?}: {sql}");
        }
    }

    #[test]
    fn parameters_are_found_where_they_stand() {
        finds(&ALL, "due <= :now AND t > :fire_time_unix", &[":now", ":fire_time_unix"]);
        finds(&ALL, ":now", &[":now"]);
        finds(&ALL, "a<:now)", &[":now"]);
        finds(&ALL, "a1:now", &[":now"]);
        finds(&ALL, "a = 1 : now := :", &[]);
        let found = Sqlite.parameters("名 = :x");
        assert_eq!((found[0].at, found[0].text), (6, ":x"));
    }

    #[test]
    fn quoted_text_has_none() {
        finds(&ALL, "a = ':no' AND b = 'it''s :no' AND c = :now", &[":now"]);
        finds(&ALL, "\":no\" = :now AND \"a\"\":no\" = 1", &[":now"]);
        finds(&ALL, "a = ': b' AND c = 'it''s :no", &[]);
        finds(&[Sqlite, MySql], "`:no` = :now AND `a``:no` = 1", &[":now"]);
        finds(&[Sqlite], "[:no] = :now", &[":now"]);
        finds(&[Postgres, MySql], "ARRAY[:now]", &[":now"]);
        finds(&[Postgres], "list[1:2] = tags[:now_unix]", &[":now_unix"]);
    }

    #[test]
    fn a_backslash_escapes_where_the_database_says_so() {
        finds(&[MySql], r"a = 'it\'s :no' AND b = :now", &[":now"]);
        finds(&[MySql], r#"a = "say \":no" AND b = :now"#, &[":now"]);
        finds(&[MySql], r"a = 'x\\' AND b = :now", &[":now"]);
        finds(&[MySql], r"`a\` = :now", &[":now"]);
        finds(&[Sqlite, Postgres], r"a = 'c:\' AND b = :now", &[":now"]);
        finds(&[Postgres], r"a = E'it\'s :no' AND b = e'\\' AND c = :now", &[":now"]);
        finds(&[Postgres], r"a = somee'\' AND b = :now", &[":now"]);
    }

    #[test]
    fn comments_have_none() {
        finds(&ALL, "a = 1 -- :no\n AND b = :now /* :no */", &[":now"]);
        finds(&ALL, "a = 1 -- it's :no", &[]);
        finds(&ALL, "/*/ :no */ b = :now", &[":now"]);
        finds(&ALL, "b = :now /* :no", &[":now"]);
        finds(&[Postgres], "/* a /* b */ :no */ :now", &[":now"]);
        finds(&[Sqlite, MySql], "/* a /* b */ :now", &[":now"]);
        finds(&[MySql], "a = 1 # it's :no\n AND b = :now", &[":now"]);
        finds(&[Postgres], "a # :now", &[":now"]);
        finds(&[MySql], "a = 1--:now", &[":now"]);
        finds(&[MySql], "a = 1 --\n + :now", &[":now"]);
        finds(&[MySql], "/*!50100 a = :now */ AND b = :now_unix", &[":now", ":now_unix"]);
    }

    #[test]
    fn what_postgres_spells_with_colons_and_dollars() {
        finds(&[Postgres], "a::text = :now::text AND b::timestamptz < :now", &[":now", ":now"]);
        finds(&[Postgres], "a = $$it's :no$$ AND b = $x$ $$ :no $x$ AND c = :now", &[":now"]);
        finds(&[Postgres], "a$b = :now AND a$$ = :now", &[":now", ":now"]);
        finds(&[Postgres], "a = $x$ :no", &[]);
        finds(&[Postgres], "a @> b AND c ? 'x' AND d = :now", &[":now"]);
    }

    #[test]
    fn what_the_database_would_take_for_a_parameter_is_found_too() {
        finds(&[Postgres], "a = $1 AND b = :now", &["$1", ":now"]);
        finds(&[MySql], "a = ? AND b = :now AND c = @x", &["?", ":now"]);
        finds(&[Sqlite], "a = ? AND b = ?1 AND c = @x AND d = $y AND e = :1", &["?", "?1", "@x", "$y", ":1"]);
    }

    #[test]
    fn parameters_are_given_places() {
        let sql = "a < :now AND b = ':no' AND c::text > :key AND d < :now";
        let names = [":now", ":key", ":now"].map(str::to_owned).to_vec();
        let numbered = "a < $1 AND b = ':no' AND c::text > $2 AND d < $3".to_owned();
        assert_eq!(Postgres.positional(sql), (numbered, names));
        let sql = "a < :now AND b = :key -- :no";
        let names = [":now", ":key"].map(str::to_owned).to_vec();
        assert_eq!(MySql.positional(sql), ("a < ? AND b = ? -- :no".to_owned(), names.clone()));
        assert_eq!(Sqlite.positional(sql), (sql.to_owned(), names));
    }

    #[test]
    fn identifiers_are_quoted() {
        assert_eq!(Sqlite.quote_path("main.my \"t\""), "\"main\".\"my \"\"t\"\"\"");
        assert_eq!(MySql.quote_path("shop.my `t`"), "`shop`.`my ``t```");
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(sql in "[-a:'\"`$/*#?\\\\\n\\[\\] e名1]{0,40}") {
            for dialect in ALL {
                let found = dialect.parameters(&sql);
                prop_assert!(found.windows(2).all(|pair| pair[0].at + pair[0].text.len() <= pair[1].at));
                let (_, names) = dialect.positional(&sql);
                prop_assert_eq!(names.len(), found.len());
            }
        }

        #[test]
        fn a_quoted_name_hides_what_is_in_it(name in "[-a:'\"`$/*#?\n\\[\\] e名]{1,20}") {
            for dialect in ALL {
                let sql = format!("{} = :now", dialect.quote(&name));
                let found: Vec<_> = dialect.parameters(&sql).iter().map(|found| found.text).collect();
                prop_assert_eq!(found, [":now"], "{:?}: {}", dialect, sql);
            }
        }
    }
}
