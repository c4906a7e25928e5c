//! All files together: the daemon config, every function folder, and what only all of them can say.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::daemon::DaemonConfig;
use super::decode::Node;
use super::diagnostic::Diagnostic;
use super::findings::Findings;
use super::function::{self, Scope};
use super::json::Document;
use super::units::name_problem;
use crate::folder::may_be_function;
use crate::settings::{FunctionSettings, Settings, TargetSettings};

/// The file that makes a folder a function.
const FUNCTION_FILE: &str = "config.json";

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub settings: Settings,
    /// What it probably does not mean.
    pub warnings: Vec<Diagnostic>,
}

/// A configuration that cannot be used, with everything that is wrong in all its files.
///
/// `Display` shows it all to people, with a summary as the last line.
#[derive(Clone, Debug)]
pub struct Invalid {
    /// At least one.
    pub errors: Vec<Diagnostic>,
    /// What it probably does not mean.
    pub warnings: Vec<Diagnostic>,
}

impl std::error::Error for Invalid {}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for found in self.errors.iter().chain(&self.warnings) {
            writeln!(f, "{found}\n")?;
        }
        write!(f, "the configuration is invalid: {}", count(&self.errors, "error"))?;
        if !self.warnings.is_empty() {
            write!(f, ", {}", count(&self.warnings, "warning"))?;
        }
        Ok(())
    }
}

fn count(found: &[Diagnostic], word: &str) -> String {
    format!("{} {word}{}", found.len(), if found.len() == 1 { "" } else { "s" })
}

/// Reads the daemon config at `path` and every function folder it names. `now` tells what never fires again.
///
/// Fails with all errors of all files at once. Changes nothing.
pub fn load(path: &Path, now: DateTime<Utc>) -> Result<Loaded, Invalid> {
    let findings = Findings::default();
    let daemon = read_daemon(path, &findings);
    load_with(daemon.as_ref(), path, now, findings)
}

/// The same with a daemon config that has been read already, if it could be; `findings` has what was found in it.
pub(super) fn load_with(
    daemon: Option<&DaemonConfig>,
    path: &Path,
    now: DateTime<Utc>,
    findings: Findings,
) -> Result<Loaded, Invalid> {
    let functions = daemon.map(|daemon| read_functions(&Scope::new(daemon, now), path, &findings));
    let (errors, warnings) = findings.into_sorted();
    match daemon.zip(functions) {
        Some((daemon, functions)) if errors.is_empty() => {
            Ok(Loaded { settings: daemon.clone().settings(functions), warnings })
        }
        _ => Err(Invalid { errors, warnings }),
    }
}

pub(super) fn read_daemon(path: &Path, findings: &Findings) -> Option<DaemonConfig> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let document = match Document::read(path) {
        Ok(document) => document,
        Err(error) => {
            let help =
                "name the daemon config with `--config FILE`; `config.example.json` is one to start from";
            findings.file_error(
                path,
                reason(&error),
                (error.kind() == io::ErrorKind::NotFound).then_some(help),
            );
            return None;
        }
    };
    Some(match findings.parse(&document) {
        Some(value) => DaemonConfig::read(&Node::root(&document, findings, &value), folder),
        None => DaemonConfig::defaults(folder),
    })
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::InvalidData => format!("the file is {error}"),
        _ => format!("could not read it: {error}"),
    }
}

fn read_functions(scope: &Scope<'_>, daemon_file: &Path, findings: &Findings) -> Vec<FunctionSettings> {
    let root = &scope.daemon.triggers;
    let mut folders = match folders(root) {
        Ok(folders) => folders,
        Err(error) => {
            // Where the daemon config could not be read, nobody knows whether this folder is meant.
            if scope.daemon.database_names.is_some() {
                let message =
                    format!("could not read the folder `{}` of the functions: {error}", root.display());
                findings.file_error(daemon_file, message, Some("create it, or name another with `triggers`"));
            }
            return Vec::new();
        }
    };
    folders.sort();
    let mut functions = Vec::new();
    let mut batches: BTreeMap<String, String> = BTreeMap::new();
    for dir in &folders {
        let Some(function) = read_function(dir, scope, findings) else { continue };
        if let TargetSettings::Batch(batch) = &function.target
            && let Some(other) = batches.insert(batch.id.clone(), function.name.clone())
        {
            batch_is_taken(findings, dir, &batch.id, &other);
        }
        functions.push(function);
    }
    if folders.is_empty() {
        findings.file_warning(root, "there are no function folders here", None);
    }
    functions
}

/// Says that the batch of the folder `dir` has an id that belongs to the function `other`.
pub(super) fn batch_is_taken(findings: &Findings, dir: &Path, id: &str, other: &str) {
    findings.file_error(
        &dir.join(FUNCTION_FILE),
        format!("the batch id `{id}` is taken by the function `{other}`"),
        Some("each batch has an id of its own: the ledger goes by it"),
    );
}

/// The folders that may be functions, hidden ones and those of package managers left out.
pub(super) fn folders(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.file_name().is_some_and(may_be_function) && path.is_dir() {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// One function folder; none when it is no function, or cannot be used: then an error was reported.
pub(super) fn read_function(dir: &Path, scope: &Scope<'_>, findings: &Findings) -> Option<FunctionSettings> {
    let file = dir.join(FUNCTION_FILE);
    let name = dir.file_name()?.to_string_lossy().into_owned();
    let document = match Document::read(&file) {
        Ok(document) => document,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            findings.file_warning(
                dir,
                "the folder has no `config.json`: it is not a function and is passed over",
                None,
            );
            return None;
        }
        Err(error) => {
            findings.file_error(&file, reason(&error), None);
            return None;
        }
    };
    if let Some(problem) = name_problem(&name) {
        findings.file_error(
            dir,
            format!("`{name}` cannot name a function: {problem}"),
            Some("rename the folder"),
        );
    }
    let value = findings.parse(&document)?;
    function::read(&Node::root(&document, findings, &value), &name, dir, scope)
}

/// What is wrong with the function folder `dir` by itself, whatever databases and transports there are.
pub fn function_errors(dir: &Path, now: DateTime<Utc>) -> Vec<Diagnostic> {
    let findings = Findings::default();
    let daemon = DaemonConfig::defaults(Path::new(""));
    read_function(dir, &Scope::new(&daemon, now), &findings);
    findings.into_sorted().0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A daemon config and a function with most of the keys there are.
    const DAEMON: &str = r#"{ "timezone": "Asia/Shanghai", "databases": { "main": { "url": "sqlite://demo.db" } },
  "mail": { "outbox": { "url": "smtp://[::1]:25", "from": "鼓楼 <gulou@example.com>" } },
  "history": { "keep": "1d12h", "keep_runs": 10 }, "max_runs": 1 }"#;
    const FUNCTION: &str = r#"{ "triggers": [{ "name": "t", "type": "timer", "config": "*/5 * 9-12 * * MON-FRI *",
    "argument": "\u4e2d文\n", "misfire": "once", "jitter": "5s" }], "overlap": { "queue": 3 },
  "target": { "batch": { "id": "b", "rate": "500/s", "pages": "all", "window": 9,
    "source": { "database": "main", "table": "users", "key": "id", "where": "名 = ':x' AND s = 0 AND t < :now" },
    "action": { "mail": { "via": "outbox", "to": "{{ email }}", "subject": "您好，{{ name }}", "text": "x" } },
    "mark": { "sent": { "s": 1, "at": ":now" }, "failed": { "e": ":error" } } } } }"#;

    /// `text` with pieces cut out, doubled or replaced, as a careless hand would.
    fn mangled(text: &'static str) -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just(String::new()),
            "[\\PC\\n]{0,3}",
            prop::sample::select(vec![
                "\"", "\\", "{", "}", "[", "]", ",", ":", "，", "：", "“", "//", "/*", "\u{feff}", "null",
                "NaN", "-", "1e9", "{{", "\\ud800"
            ])
            .prop_map(str::to_owned),
        ];
        let edits = prop::collection::vec((0..text.len(), 0..12_usize, piece), 1..4);
        edits.prop_map(move |edits| {
            let mut text = text.to_owned();
            for (at, length, piece) in edits {
                let kept = text.chars().take(at);
                let rest = text.chars().skip(at + length);
                text = kept.chain(piece.chars()).chain(rest).collect();
            }
            text
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is written, loading ends, and every place is in the file.
        #[test]
        fn nothing_that_is_written_breaks_the_loader(daemon in mangled(DAEMON), function in mangled(FUNCTION)) {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("config.json");
            let dir = folder.path().join("triggers/f");
            fs::create_dir_all(&dir).unwrap();
            fs::write(&file, &daemon).unwrap();
            fs::write(dir.join("config.json"), &function).unwrap();
            let now = DateTime::from_timestamp(1_780_000_000, 0).unwrap();
            let found = match load(&file, now) {
                Ok(loaded) => loaded.warnings,
                Err(invalid) => {
                    prop_assert!(!invalid.errors.is_empty());
                    invalid.errors.into_iter().chain(invalid.warnings).collect()
                }
            };
            for found in found {
                let text = if found.file == file { &daemon } else { &function };
                if let Some(place) = &found.place {
                    let line = text.split('\n').nth(place.line - 1).map(str::to_owned);
                    prop_assert!(line.is_some_and(|line| place.column <= line.chars().count() + 1), "{}", found);
                }
                prop_assert!(!found.message.contains('\n') && found.to_string().contains("-->"), "{}", found);
            }
        }

        /// What this loader takes for JSON is JSON.
        #[test]
        fn only_json_is_taken_for_json(text in mangled(FUNCTION)) {
            let (value, errors) = super::super::json::parse(&text);
            let is_json = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            prop_assert_eq!(value.is_some() && errors.is_empty(), is_json, "{}", text);
        }
    }
}
