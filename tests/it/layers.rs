//! Holds `src/` to the map in `ARCHITECTURE.md`: who may use whom, who may read the clock, how long
//! a file may be.
//!
//! The checker reads source text, without comments, string contents and test code. It is coarse on
//! purpose: a path it cannot place is a violation, so that nothing slips through.

use std::fs;
use std::path::Path;

use crate::support::repository;

/// A top module and what it may use of the crate: a module, or a path within one.
const TABLE: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("cron", &[]),
    ("run", &[]),
    ("spelling", &[]),
    ("sql", &[]),
    ("schedule", &["cron"]),
    ("settings", &["schedule"]),
    ("folder", &["settings"]),
    ("config", &["spelling", "sql", "settings", "schedule", "folder"]),
    ("tls", &["settings"]),
    ("db", &["settings", "sql", "tls", "run"]),
    ("store", &["settings", "run", "db::sqlite", "db::postgres"]),
    ("action", &["settings", "run", "clock", "folder", "tls", "store::memo"]),
    ("target", &["settings", "sql", "run", "clock", "action", "db", "store::memo"]),
    ("batch", &["settings", "sql", "run", "clock", "db", "action", "store"]),
    ("engine", &["settings", "spelling", "run", "clock", "schedule", "action", "target", "batch", "store"]),
    ("server", &["settings", "run", "spelling", "store", "engine"]),
    (
        "daemon",
        &[
            "settings", "run", "clock", "folder", "db", "action", "target", "batch", "store", "engine",
            "server",
        ],
    ),
    (
        "cli",
        &[
            "settings", "run", "spelling", "clock", "schedule", "config", "db", "action", "target", "batch",
            "store", "daemon", "server",
        ],
    ),
    ("main", &["cli"]),
];

/// A library, and the only places that may name it.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("anyhow", &["cli", "daemon"]),
    ("axum", &["server"]),
    ("base64", &["action/mail"]),
    ("http_body_util", &["cli/client"]),
    ("csv", &["action/export"]),
    ("encoding_rs", &["target/fetch/html"]),
    ("feed_rs", &["target/fetch/feed"]),
    ("hyper", &["server", "cli/client", "action/http/watched"]),
    ("hyper_util", &["cli/client"]),
    ("inotify", &["daemon/watch"]),
    ("jsonc_parser", &["config"]),
    ("mail_builder", &["action/mail"]),
    ("mail_parser", &["target/bounces"]),
    ("minijinja", &["action", "config/template"]),
    ("mysql_async", &["db/mysql", "batch/source/mysql"]),
    ("ring", &["target/fetch", "tls", "config/dkim", "action/mail/dkim", "action/mail/transport"]),
    ("rusqlite", &["store", "db", "batch/source"]),
    ("reqwest", &["action/http"]),
    ("rustls", &["tls", "db", "action/mail/smtp"]),
    ("rustls_native_certs", &["tls"]),
    ("rustls_pki_types", &["config/dkim"]),
    ("scraper", &["target/fetch/html", "config/fetch"]),
    ("sd_notify", &["daemon"]),
    ("tokio_postgres", &["store", "db", "batch/source"]),
    ("tokio_postgres_rustls", &["db"]),
    ("tracing_subscriber", &["cli", "daemon"]),
    ("url", &["action", "config/http", "config/per_domain", "config/dkim"]),
    ("zip", &["action/export"]),
];

/// What only the named places may write: reading the clock, printing.
const CALLS: &[(&str, &[&str])] = &[
    ("SystemTime::now", &["clock"]),
    ("Instant::now", &["clock"]),
    ("Utc::now", &["clock"]),
    ("Local::now", &["clock"]),
    ("println!", &["cli"]),
    ("print!", &["cli"]),
    ("eprintln!", &["cli"]),
    ("eprint!", &["cli"]),
    ("todo!", &[]),
    ("unimplemented!", &[]),
    ("dbg!", &[]),
    (".unwrap()", &[]),
    (".expect(\"", &[]),
];

const LONGEST_FILE: usize = 450;

fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    read_sources(&repository().join("src"), "", &mut files);
    assert!(files.len() > 20, "only {} source files found", files.len());
    files
}

/// A map that grants more than is used is out of date.
#[test]
fn every_grant_of_the_map_is_used() {
    let files = sources();
    let mut stale = Vec::new();
    for (module, allowed) in TABLE {
        let of_module = files.iter().filter(|(path, _)| path.split('/').next() == Some(*module));
        let used: Vec<String> = of_module
            .flat_map(|(path, text)| crate_paths(path, &without_tests(&without_comments_and_strings(text))))
            .map(|(_, used)| used)
            .collect();
        let unused = allowed.iter().filter(|grant| !used.iter().any(|used| falls_under(used, grant)));
        stale.extend(unused.map(|grant| format!("`{module}` does not use `{grant}`")));
    }
    assert!(stale.is_empty(), "{}", stale.join("\n"));
}

/// Whether `path` is `grant` or lies within it.
fn falls_under(path: &str, grant: &str) -> bool {
    path.strip_prefix(grant).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn the_source_keeps_to_the_map() {
    let files = sources();
    let found: Vec<String> = files.iter().flat_map(|(path, text)| violations(path, text)).collect();
    assert!(found.is_empty(), "{} violations of the map:\n{}", found.len(), found.join("\n"));
}

fn read_sources(dir: &Path, prefix: &str, into: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read_sources(&entry.path(), &format!("{name}/"), into);
        } else if let Some(module) = name.strip_suffix(".rs") {
            into.push((module.to_owned(), fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

/// What is wrong with the file whose path below `src/`, without `.rs`, is `path`.
fn violations(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut complain = |line: usize, what: String| found.push(format!("src/{path}.rs:{line}: {what}"));
    let length = text.lines().count();
    if length > LONGEST_FILE {
        complain(length, format!("{length} lines; at most {LONGEST_FILE}: split it by subject"));
    }
    if !text.starts_with("//!") {
        complain(1, "no `//!` that says what the file is for".to_owned());
    }
    // A folder's or file's own tests are free to do what tests do.
    if path.rsplit('/').any(|part| part == "tests") {
        return found;
    }
    let code = without_tests(&without_comments_and_strings(text));
    let top = path.split('/').next().unwrap_or_default();

    let allowed = TABLE.iter().find(|(module, _)| *module == top).map(|(_, allowed)| *allowed);
    for (line, used) in crate_paths(path, &code) {
        let first = used.split("::").next().unwrap_or_default();
        match allowed {
            _ if first == top || top == "lib" => {}
            None => complain(line, format!("`{top}` is not on the map; add it to the table")),
            Some(allowed) if allowed.iter().any(|grant| falls_under(&used, grant)) => {}
            Some(_) => complain(line, format!("`{top}` may not use `{used}`")),
        }
    }
    let only_in =
        |places: &[&str]| places.iter().any(|place| path == *place || path.starts_with(&format!("{place}/")));
    for (library, places) in LIBRARIES.iter().filter(|(_, places)| !only_in(places)) {
        for line in lines_with_word(&code, &format!("{library}::")) {
            complain(line, format!("`{library}` belongs to {} alone", places.join(", ")));
        }
    }
    for (call, _) in CALLS.iter().filter(|(_, places)| !only_in(places)) {
        for line in lines_with_word(&code, call) {
            complain(line, format!("`{call}` has no place here"));
        }
    }
    found
}

/// Line numbers, from 1, where `word` stands and is not the tail of a longer one.
fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    let starts_a_word =
        |at: usize| !word.starts_with(is_name) || !code[..at].chars().next_back().is_some_and(is_name);
    code.match_indices(word).filter(|(at, _)| starts_a_word(*at)).map(|(at, _)| line_of(code, at)).collect()
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every path that starts at the crate's root, with its line: `crate::a::b`, `gulou::a`, and a chain
/// of `super` that climbs as far. Groups are taken apart.
fn crate_paths(path: &str, code: &str) -> Vec<(usize, String)> {
    // `a/b/mod` and `a/b` are both two modules deep.
    let depth = path.strip_suffix("/mod").unwrap_or(path).split('/').count();
    let climb = "super::".repeat(depth);
    let mut found = Vec::new();
    for root in ["crate::", "gulou::", climb.as_str()] {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].trim_end_matches("self::");
            // `$crate`, a longer name, or a longer chain, which is found where it starts.
            if before.ends_with(|c: char| is_name(c) || c == ':' || c == '$') {
                continue;
            }
            let line = line_of(code, at);
            found.extend(expand(&code[at + root.len()..]).into_iter().map(|used| (line, used)));
        }
    }
    found
}

/// The paths that `rest`, the text behind a root, names: one, or those of a `{group}`.
fn expand(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else {
        let mut end = rest.find(|c: char| !is_name(c) && c != ':').unwrap_or(rest.len());
        let prefix = rest[..end].trim_end_matches(':').to_owned();
        if rest[..end].ends_with("::") && rest[end..].starts_with('{') {
            end += 1;
            return members(&rest[end..])
                .into_iter()
                .flat_map(|member| {
                    expand(member).into_iter().map(|tail| format!("{prefix}::{tail}")).collect::<Vec<_>>()
                })
                .collect();
        }
        return vec![prefix];
    };
    members(group).into_iter().flat_map(expand).collect()
}

/// The members of a group whose opening brace has been read.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0_u32, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' if depth > 0 => {}
            '}' | ',' => {
                let member = group[start..at].trim();
                if !member.is_empty() {
                    found.push(member);
                }
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// The text with comments and the insides of strings blanked; lines stay where they are.
fn without_comments_and_strings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (keep, length) = if rest.starts_with("//") {
            (0, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (0, block_comment(rest))
        } else if let Some((open, length)) = raw_string(rest).filter(|_| !out.ends_with(is_name)) {
            (open, length)
        } else if c == '"' {
            (1, quoted(rest, '"'))
        } else if c == '\'' && is_char_literal(rest) {
            (1, quoted(rest, '\''))
        } else {
            (c.len_utf8(), c.len_utf8())
        };
        out.push_str(&rest[..keep]);
        out.extend(rest[keep..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[length..];
    }
    out
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_u32;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Lengths of the opening and of the whole raw string that `text` starts with.
fn raw_string(text: &str) -> Option<(usize, usize)> {
    let body = text.strip_prefix('r').or_else(|| text.strip_prefix("br"))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let body = body[hashes..].strip_prefix('"')?;
    let open = text.len() - body.len();
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close).map_or(text.len(), |at| open + at + close.len());
    Some((open, end))
}

/// Length of the literal that `text` starts with, quotes included.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character in quotes, not a lifetime.
fn is_char_literal(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

/// The code with every item that carries `#[cfg(test)]` blanked.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let item = &rest[at + MARK.len()..];
        let length = at + MARK.len() + item_length(item);
        out.push_str(&rest[..at]);
        out.extend(rest[at..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[length..];
    }
    out + rest
}

/// Up to the item's `;`, or to the brace that closes its first one.
fn item_length(item: &str) -> usize {
    let mut depth = 0_u32;
    for (at, c) in item.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    item.len()
}

mod the_checker {
    use super::violations;

    #[track_caller]
    fn finds(path: &str, code: &str, expected: &[&str]) {
        let found = violations(path, &format!("//! Purpose.\n{code}"));
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} should say {expected}");
        }
    }

    #[test]
    fn refuses_what_the_table_does_not_grant() {
        finds(
            "store/sqlite/runs",
            "use crate::config::Config;",
            &["src/store/sqlite/runs.rs:2: `store` may not use `config::Config`"],
        );
        finds(
            "cron/next",
            "fn f() { crate::clock::Clock::system(); }",
            &["`cron` may not use `clock::Clock::system`"],
        );
        finds("engine/plan", "use crate::{run::Fire,\n  config};", &["`engine` may not use `config`"]);
        finds(
            "batch/pace",
            "use crate::{run, engine::{plan, dispatch::x}};",
            &["engine::plan", "engine::dispatch::x"],
        );
        finds("store/mod", "use crate::db::mysql::Database;", &["`store` may not use `db::mysql::Database`"]);
        finds("action/mail/smtp", "use super::super::super::config;", &["`action` may not use `config`"]);
        finds("clock", "use super::run;", &["`clock` may not use `run`"]);
        finds("main", "fn main() { gulou::daemon::run() }", &["`main` may not use `daemon::run`"]);
        finds("console", "use crate::engine;", &["`console` is not on the map"]);
    }

    #[test]
    fn refuses_libraries_and_calls_out_of_place() {
        finds("config/mod", "use clap::Parser;", &["`clap` belongs to cli alone"]);
        finds("engine/mod", "type E = rusqlite::Error;", &["`rusqlite` belongs to"]);
        finds(
            "batch/mod",
            "fn f() { let t = tokio::time::Instant::now(); }",
            &["`Instant::now` has no place here"],
        );
        finds("batch/mod", "fn f() { g().unwrap(); h().expect(\"there\"); }", &[".unwrap()", ".expect("]);
        finds("store/mod", "fn f() { eprintln!(\"no\"); }", &["`eprintln!` has no place here"]);
        assert_eq!(violations("cron/mod", "fn f() {}").len(), 1, "no purpose");
        assert_eq!(violations("cron/mod", &"//!\n".repeat(451)).len(), 1, "too long");
    }

    #[test]
    fn lets_pass_what_is_allowed() {
        finds(
            "store/sqlite/reader",
            "use crate::db::sqlite::open;\nuse super::super::StoreError;\npub(in crate::store) fn f() {}",
            &[],
        );
        finds("cli/next", "use crate::{schedule, config::Config, store};\nuse clap::Args;", &[]);
        finds("clock", "fn f() { Instant::now(); }", &[]);
        finds("lib", "pub mod anything;", &[]);
        finds("cron/parse", "fn f(p: &mut P) { p.expect(b','); q.unwrap_or(1); MyUtc::nower(); }", &[]);
    }

    #[test]
    fn does_not_read_comments_strings_and_tests() {
        finds(
            "cron/mod",
            "// crate::config\n/* crate::a /* crate::b */ crate::c */\n/// See [`crate::config`].",
            &[],
        );
        finds(
            "cron/mod",
            "const A: &str = \"crate::config \\\" crate::x\"; const B: char = '\"'; const C: &str = r#\"\"crate::y\"#;",
            &[],
        );
        finds("cron/mod", "#[cfg(test)]\nmod tests {\n use crate::config; fn f() { x.unwrap() }\n}\n", &[]);
        finds(
            "cron/mod",
            "#[cfg(test)]\nuse crate::config;\nfn f<'a>(x: &'a str) {}\nuse crate::store;",
            &["src/cron/mod.rs:5: `cron` may not use `store`"],
        );
        finds("cron/tests", "use crate::config;", &[]);
    }
}
