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
    let read = read_all(path, now, &findings);
    let (errors, warnings) = findings.into_sorted();
    match read {
        Some(settings) if errors.is_empty() => Ok(Loaded { settings, warnings }),
        _ => Err(Invalid { errors, warnings }),
    }
}

/// What could be read, with stand-ins for what could not; none without a daemon config.
fn read_all(path: &Path, now: DateTime<Utc>, findings: &Findings) -> Option<Settings> {
    let daemon = read_daemon(path, findings)?;
    let functions = read_functions(&Scope { daemon: &daemon, now }, path, findings);
    Some(Settings {
        state: daemon.state,
        databases: daemon.databases,
        mail: daemon.mail,
        event: daemon.event,
        history: daemon.history,
        max_runs: daemon.max_runs,
        drain_timeout: daemon.drain_timeout,
        functions,
    })
}

fn read_daemon(path: &Path, findings: &Findings) -> Option<DaemonConfig> {
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
            let message = format!("the batch id `{}` is taken by the function `{other}`", batch.id);
            findings.file_error(
                &dir.join(FUNCTION_FILE),
                message,
                Some("each batch has an id of its own: the ledger goes by it"),
            );
        }
        functions.push(function);
    }
    if folders.is_empty() {
        findings.file_warning(root, "there are no function folders here", None);
    }
    functions
}

/// The folders that may be functions, hidden ones and those of package managers left out.
fn folders(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && !name.starts_with('.') && name != "node_modules" {
            folders.push(path);
        }
    }
    Ok(folders)
}

fn read_function(dir: &Path, scope: &Scope<'_>, findings: &Findings) -> Option<FunctionSettings> {
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
