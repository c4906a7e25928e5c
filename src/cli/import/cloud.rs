//! `gulou import cloudbaserc`: the functions of a cloudbaserc.json that have timers, with their code.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, Value};

use super::super::folders::{PlaceArg, create};
use super::Tally;
use crate::config::name_problem;
use crate::schedule::{Language, Schedule};

/// Make function folders of the functions with timers in a cloudbaserc.json, their code included
#[derive(Args, Debug)]
#[command(after_help = "\
Expressions and names stay as they are. The code is copied from `functionRoot` beside the file, without node_modules; what \
the functions need is installed by `npm install` in their new folders.")]
pub(super) struct Cloudbaserc {
    /// The cloudbaserc.json
    #[arg(value_name = "FILE", default_value = "cloudbaserc.json")]
    file: PathBuf,
    #[command(flatten)]
    place: PlaceArg,
    /// Only show what would be written
    #[arg(long)]
    dry_run: bool,
}

/// Keys of a function that its `config.json` has as well, whatever they do there.
const KEPT: [&str; 13] = [
    "handler",
    "runtime",
    "timeout",
    "memorySize",
    "envVariables",
    "permissions",
    "installDependency",
    "ignore",
    "vpc",
    "params",
    "httpPath",
    "codeSecret",
    "layers",
];
/// Keys that are read here.
const READ: [&str; 6] = ["name", "triggers", "config", "functionPath", "dir", "description"];

impl Cloudbaserc {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let text = fs::read_to_string(&self.file)
            .with_context(|| format!("could not read {}", self.file.display()))?;
        let document: Value =
            serde_json::from_str(&text).with_context(|| format!("{} is not JSON", self.file.display()))?;
        let functions = document["functions"].as_array();
        let functions =
            functions.with_context(|| format!("{} has no list `functions`", self.file.display()))?;
        let root = match self.place.folder() {
            Ok(root) => root,
            Err(code) => return Ok(code),
        };
        let beside = self.file.parent().unwrap_or(Path::new(""));
        let code_root = beside.join(document["functionRoot"].as_str().unwrap_or("functions"));
        let defaults = document["functionDefaultConfig"].as_object();
        let mut out = io::stdout().lock();
        let (mut written, mut refused) = (0, 0);
        for (index, function) in functions.iter().enumerate() {
            let name = function["name"].as_str().map_or_else(|| format!("functions[{index}]"), str::to_owned);
            match read(function, defaults, beside, &code_root) {
                Ok(None) => writeln!(out, "{name}: has no timer, and is passed over")?,
                Ok(Some(function)) => {
                    let code = &function.code;
                    let result = if self.dry_run && root.join(&name).exists() {
                        Err(io::ErrorKind::AlreadyExists.into())
                    } else if self.dry_run {
                        Ok(())
                    } else {
                        let config = format!("{:#}\n", function.config);
                        create(&root, &name, |folder| {
                            copy(code, folder)?;
                            fs::write(folder.join("config.json"), config)
                        })
                    };
                    if let Err(error) = result {
                        refused += 1;
                        let reason = match error.kind() {
                            io::ErrorKind::AlreadyExists => {
                                "the folder exists, and is left as it is".to_owned()
                            }
                            _ => error.to_string(),
                        };
                        writeln!(out, "{name}: not converted: {reason}")?;
                        continue;
                    }
                    written += 1;
                    writeln!(out, "{name}: {}  →  {}", code.display(), root.join(&name).display())?;
                    for line in &function.triggers {
                        writeln!(out, "{name}: {line}")?;
                    }
                    for note in &function.notes {
                        writeln!(out, "{name}: warning: {note}")?;
                    }
                    if needs_install(code) {
                        let folder = root.join(&name);
                        writeln!(
                            out,
                            "{name}: its libraries are missing: run `npm install` in {}",
                            folder.display()
                        )?;
                    }
                }
                Err(reason) => {
                    refused += 1;
                    writeln!(out, "{name}: not converted: {reason}")?;
                }
            }
        }
        Tally { written, refused }.tell(&mut out, self.dry_run, "take the triggers off in the cloud")
    }
}

/// A function on its way.
struct Function {
    config: Value,
    code: PathBuf,
    /// Each with its expression in words.
    triggers: Vec<String>,
    notes: Vec<String>,
}

/// None: it has no timer.
fn read(
    function: &Value,
    defaults: Option<&Map<String, Value>>,
    beside: &Path,
    code_root: &Path,
) -> Result<Option<Function>, String> {
    let name = function["name"].as_str().ok_or("it has no name")?;
    if let Some(problem) = name_problem(name) {
        return Err(format!("`{name}` cannot name a function: {problem}"));
    }
    let own = function.as_object().ok_or("it is no object")?;
    let code = ["functionPath", "dir"].iter().find_map(|key| function[*key].as_str());
    let code = code.map_or_else(|| code_root.join(name), |path| beside.join(path));
    let mut notes = Vec::new();
    // What WeChat's tools keep beside the code is the function's own; what the file says comes on top of it.
    let mut config = old_config(&code, &mut notes);
    let old_versions = own.get("config").and_then(Value::as_object);
    for (key, value) in defaults.into_iter().flatten().chain(old_versions.into_iter().flatten()).chain(own) {
        if KEPT.contains(&key.as_str()) || key == "triggers" || key == "description" {
            config.insert(key.clone(), value.clone());
        } else if !READ.contains(&key.as_str()) {
            notes.push(format!("`{key}` means nothing here, and is left out"));
        }
    }
    let mut told = Vec::new();
    let mut triggers = Vec::new();
    for trigger in config.get("triggers").and_then(Value::as_array).into_iter().flatten() {
        if let Some(trigger) = timer(trigger, &mut told, &mut notes)? {
            triggers.push(trigger);
        }
    }
    if triggers.is_empty() {
        return Ok(None);
    }
    if !code.is_dir() {
        return Err(format!("there is no folder {} with its code", code.display()));
    }
    check_runtime(&config)?;
    for (key, value) in &config {
        if value.to_string().contains("{{") {
            notes.push(format!(
                "`{key}` has a `{{{{ … }}}}`, which only the cloud's tools fill in: write its value"
            ));
        }
    }
    config.insert("triggers".to_owned(), Value::Array(triggers));
    Ok(Some(Function { config: Value::Object(config), code, triggers: told, notes }))
}

/// The `config.json` in the folder of the code.
fn old_config(code: &Path, notes: &mut Vec<String>) -> Map<String, Value> {
    let Ok(text) = fs::read_to_string(code.join("config.json")) else { return Map::new() };
    if let Ok(Value::Object(config)) = serde_json::from_str(&text) {
        return config;
    }
    notes.push("the config.json beside the code is not JSON, and is left out".to_owned());
    Map::new()
}

/// A trigger as Gulou has it; none: of another kind.
fn timer(trigger: &Value, told: &mut Vec<String>, notes: &mut Vec<String>) -> Result<Option<Value>, String> {
    let name = trigger["name"].as_str().ok_or("a trigger has no name")?;
    if let Some(problem) = name_problem(name) {
        return Err(format!("`{name}` cannot name a trigger: {problem}"));
    }
    let kind = trigger["type"].as_str().unwrap_or("timer");
    if kind != "timer" {
        notes.push(format!("the trigger `{name}` is of the type `{kind}`, and is left out"));
        return Ok(None);
    }
    let expression =
        trigger["config"].as_str().ok_or_else(|| format!("the trigger `{name}` has no config"))?;
    // The cloud's clock.
    let schedule = Schedule::parse(expression, "Asia/Shanghai")
        .map_err(|error| format!("the trigger `{name}`: {}", error.one_line()))?;
    told.push(format!("{expression}  ({})", schedule.explain(Language::English)));
    let mut kept = Map::new();
    for (key, value) in trigger.as_object().into_iter().flatten() {
        if ["name", "type", "config", "argument", "enabled"].contains(&key.as_str()) {
            kept.insert(key.clone(), value.clone());
        } else {
            notes.push(format!("`{key}` of the trigger `{name}` means nothing here, and is left out"));
        }
    }
    Ok(Some(Value::Object(kept)))
}

fn check_runtime(config: &Map<String, Value>) -> Result<(), String> {
    let Some(runtime) = config.get("runtime").and_then(Value::as_str) else { return Ok(()) };
    let lower = runtime.to_lowercase();
    if lower.starts_with("nodejs") || lower.starts_with("python3") {
        return Ok(());
    }
    Err(format!("its runtime {runtime} is not one of Gulou's: Node.js, Python 3"))
}

/// Files and folders, links as links; not what a package manager brings back.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, target)?;
        } else if kind.is_dir() {
            if entry.file_name() != "node_modules" && entry.file_name() != ".git" {
                fs::create_dir(&target)?;
                copy(&source, &target)?;
            }
        } else if kind.is_file() {
            fs::copy(&source, target)?;
        }
    }
    Ok(())
}

/// Its package.json names libraries.
fn needs_install(code: &Path) -> bool {
    let package = fs::read_to_string(code.join("package.json")).unwrap_or_default();
    let package: Value = serde_json::from_str(&package).unwrap_or_default();
    package["dependencies"].as_object().is_some_and(|libraries| !libraries.is_empty())
}
