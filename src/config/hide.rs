//! What findings must not show: they quote lines of the files, and go to terminals and logs.
//!
//! Hidden are the values of keys that are called `password`, `token` or `secret`, logins of HTTP, variables of the environment, passwords in
//! URLs, keys of webhooks and private keys. It goes by the look of the text, because what is quoted need not be JSON, and is quoted
//! whichever value of the line is wrong.

use std::ops::Range;

/// Keys whose values are hidden, in any case of letters.
const KEYS: [&str; 6] = ["password", "token", "secret", "authorization", "proxy-authorization", "cookie"];
/// Keys whose objects have nothing but values that are hidden. A text is the name of a variable, and no secret.
const VARIABLES: [&str; 2] = ["env", "envVariables"];

/// The part `line` of `text` with a dot for each character that is hidden, so that columns stay what they are.
pub(super) fn line(text: &str, line: Range<usize>) -> String {
    // Both go from left to right.
    let mut hidden = passwords(&text[..line.end]).into_iter().peekable();
    let shown = |(at, c)| {
        let at = line.start + at;
        while hidden.next_if(|range| range.end <= at).is_some() {}
        if hidden.peek().is_some_and(|range| range.start <= at) { '•' } else { c }
    };
    text[line.clone()].char_indices().map(shown).collect()
}

/// A message, in which values are quoted by backticks.
pub(super) fn message(message: &str) -> String {
    let hide = |part: &str| match in_url(part) {
        Some(password) => format!("{}…{}", &part[..password.start], &part[password.end..]),
        None => part.to_owned(),
    };
    message.split('`').map(hide).collect::<Vec<_>>().join("`")
}

/// The password in `scheme://user:password@host`. It may contain what should have been written with `%`: rather too
/// much is taken for it than too little.
fn in_url(text: &str) -> Option<Range<usize>> {
    let start = text.find("://")? + 3;
    in_login(text, start).or_else(|| in_query(text, start))
}

/// The key of a webhook, as in `https://example.com/send?key=…`; all that follows belongs to it.
fn in_query(text: &str, start: usize) -> Option<Range<usize>> {
    let ends = ["?key=", "&key=", "access_token="].into_iter();
    let key = ends.filter_map(|name| Some(text[start..].find(name)? + name.len())).min()?;
    Some(start + key..text.len()).filter(|key| !key.is_empty())
}

fn in_login(text: &str, start: usize) -> Option<Range<usize>> {
    let end = start + text[start..].rfind('@')?;
    let colon = start + text[start..end].find(':')?;
    (colon + 1 < end).then_some(colon + 1..end)
}

/// What the next text means.
#[derive(Clone, Copy, PartialEq)]
enum After {
    Anything,
    /// One of [`KEYS`] was read.
    Key,
    /// And its colon.
    Colon,
    /// One of [`VARIABLES`] was read; its colon changes nothing.
    Variables,
}

impl After {
    fn name(name: &str) -> Self {
        if KEYS.iter().any(|key| key.eq_ignore_ascii_case(name)) {
            Self::Key
        } else if VARIABLES.contains(&name) {
            Self::Variables
        } else {
            Self::Anything
        }
    }
}

/// The bytes of all passwords in a text that resembles JSON.
fn passwords(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut after = After::Anything;
    // How many brackets are open, from that of the variables on.
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match c {
            '"' => {
                let inside = at + 1..at + string_end(rest);
                let string = &text[inside.clone()];
                let length = inside.len() + 2;
                let is_variable = depth > 0 && !is_key(&text[(inside.end + 1).min(text.len())..]);
                if after == After::Colon || is_variable || string.contains("PRIVATE KEY-----") {
                    found.push(inside);
                    after = After::Anything;
                } else {
                    let url = in_url(string);
                    found.extend(url.map(|url| inside.start + url.start..inside.start + url.end));
                    after = After::name(string);
                }
                length
            }
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest[2..].find("*/").map_or(rest.len(), |end| end + 4),
            ':' => {
                after = match after {
                    After::Key => After::Colon,
                    _ if depth > 0 => After::Colon,
                    After::Variables => After::Variables,
                    After::Anything | After::Colon => After::Anything,
                };
                1
            }
            '{' | '[' | '}' | ']' | ',' => {
                match c {
                    '{' | '[' if depth > 0 || after == After::Variables => depth += 1,
                    '}' | ']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                after = After::Anything;
                1
            }
            _ if c.is_whitespace() => c.len_utf8(),
            _ if after == After::Colon || (depth > 0 && !is_key(&rest[bare_end(rest)..])) => {
                let length = rest.find([',', '}', '\n']).unwrap_or(rest.len());
                found.push(at..at + length);
                after = After::Anything;
                length
            }
            // A key without quotes, or with single ones, is an error whose line is shown.
            '\'' => 1,
            _ => {
                let word = word_end(rest);
                after = After::name(&rest[..word]);
                word.max(c.len_utf8())
            }
        };
        at = (at + length).min(text.len());
    }
    found
}

/// Whether what stands before `rest` is a key.
fn is_key(rest: &str) -> bool {
    rest.trim_start_matches('\'').trim_start().starts_with(':')
}

/// Where the word that starts `text` ends.
fn word_end(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// The same of a word that may have single quotes.
fn bare_end(text: &str) -> usize {
    let Some(inside) = text.strip_prefix('\'') else { return word_end(text) };
    let word = word_end(inside);
    1 + word + usize::from(inside[word..].starts_with('\''))
}

/// Where the string that starts `text` with its quote has the other one; the end of the line, if it has none.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return at,
            '"' if !escaped => return at,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::super::decode::{Keys, Node};
    use super::super::findings::Findings;
    use super::super::json::Document;
    use super::*;

    fn hidden(text: &str) -> String {
        line(text, 0..text.len())
    }

    #[test]
    fn passwords_are_hidden_and_columns_stay() {
        for (text, shown) in [
            (r#"{"password": "a\"鼓", "x": 1}"#, r#"{"password": "••••", "x": 1}"#),
            ("{\"password\" /* \" */ : // \"\n \"ab\"}", "{\"password\" /* \" */ : // \"\n \"••\"}"),
            ("{\"password\": \"ab\n}", "{\"password\": \"••\n}"),
            ("{\"password\": \"ab", "{\"password\": \"••"),
            (r#"{"password": 12, "x": 1}"#, r#"{"password": ••, "x": 1}"#),
            (r#"{password: "ab"}"#, r#"{password: "••"}"#),
            ("{'password': 'ab'}", "{'password': ••••}"),
            (
                r#"{"Proxy-Authorization": "ab", "COOKIE": "c"}"#,
                r#"{"Proxy-Authorization": "••", "COOKIE": "•"}"#,
            ),
            (
                r#"{"env": {"A": "b\"}", "C" : "d", E: 12, "F": "env"}, "g": "h"}"#,
                r#"{"env": {"A": "••••", "C" : "•", E: ••, "F": "•••"}, "g": "h"}"#,
            ),
            (
                r#"{"envVariables": {"A": {"file": "f", "b": ["c"]}, "D": "e"}}"#,
                r#"{"envVariables": {"A": {"file": "•", "b": ["•"]}, "D": "•"}}"#,
            ),
            ("{'env': {'A': 'b c', 'D': e}, 'f': g}", "{'env': {'A': •••••, 'D': •}, 'f': g}"),
            ("{env: {A: http://b:c, D: e}}", "{env: {A: ••••••••••, D: •}}"),
            (r#"{"env": ["A=b"], "c": "d"}"#, r#"{"env": ["•••"], "c": "d"}"#),
            ("{env: {\n\"A\": \"b\n\"C\": \"d", "{env: {\n\"A\": \"•\n\"C\": \"•"),
            (r#"["postgres://u:p:/@w@host:1/db"]"#, r#"["postgres://u:•••••@host:1/db"]"#),
        ] {
            assert_eq!(hidden(text), shown);
        }
    }

    #[test]
    fn the_rest_is_shown() {
        for text in [
            r#"{"password": {"env": "NAME"}, "x": "password", "y": "z"}"#,
            r#"{"url": {"env": "NAME"}, "a": {"b": "env", "c": {"d": "e"}}}"#,
            r#"{"env": {}, "x": "y"}"#,
            r#"{"x": ["password", "y"], "password": ["y"]}"#,
            r#"{"url": "postgres://user@host:5432/db", "mail": "http://host:80/"}"#,
            r#"{"passwords": "x", "a": "postgres://u:@h" "#,
            "鼓 \" \\",
            "",
        ] {
            assert_eq!(hidden(text), text);
        }
    }

    #[test]
    fn a_line_is_hidden_for_what_stands_above_it() {
        let text = "{\"password\":\n\"ab\"}\n";
        assert_eq!(line(text, 13..18), "\"••\"}");
    }

    #[test]
    fn an_error_beside_a_password_does_not_show_it() {
        let text = "{\"password\": \"s3\", \"nonsense\": 1}".to_owned();
        let document = Document { file: "c.json".into(), text };
        let findings = Findings::default();
        let value = findings.parse(&document).unwrap();
        Node::root(&document, &findings, &value).object(&Keys::only(&["password"]));
        let (errors, _) = findings.into_sorted();
        assert_eq!(
            errors[0].to_string(),
            "error: unknown key `nonsense`\n --> c.json:1:20 (nonsense)\n  |\n\
             1 | {\"password\": \"••\", \"nonsense\": 1}\n  |                    ^^^^^^^^^^\n  \
             = help: known here: password"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_keeps_its_columns(text in r#"([{}\[\]":,'/*\\\n @鼓a1]|password|"password":|"env":|://){0,30}"#) {
            proptest::prop_assert_eq!(hidden(&text).chars().count(), text.chars().count());
        }
    }

    #[test]
    fn messages_quote_urls_without_the_password() {
        assert_eq!(
            message("`pg://u:p@h/db` is no URL: write `pg://user@host` @"),
            "`pg://u:…@h/db` is no URL: write `pg://user@host` @"
        );
    }
}
