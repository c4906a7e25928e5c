//! What a function folder runs: cloud code, a command or a batch.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::daemon::absolute;
use super::decode::{Fields, Keys, Node};
use super::function::Scope;
use super::units::positive_duration;
use super::{batch, fetch, http};
use crate::settings::{CodeSettings, CommandSettings, Runtime, TargetSettings};

/// Per attempt, of functions and commands; the cloud's.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

/// Reads `target` of the function folder `dir`, or finds out what the folder holds.
pub(super) fn read(function: &Fields<'_>, dir: &Path, scope: &Scope<'_>) -> Option<TargetSettings> {
    const KEYS: Keys =
        Keys { known: &["function", "command", "http", "fetch", "batch"], ignored: &[], later: &["sql"] };
    let Some(node) = function.get("target") else { return untold(function, dir) };
    let fields = node.object(&KEYS)?;
    let given: Vec<&str> = KEYS.known.iter().copied().filter(|key| fields.get(key).is_some()).collect();
    match given[..] {
        ["function"] => fields.read("function", |node| code(function, Some(node), dir)),
        ["command"] => fields.read("command", |node| command(node, dir)),
        ["http"] => fields
            .read("http", |node| http::read(node, dir, &http::EVENT))
            .map(|request| TargetSettings::Http(Box::new(request))),
        ["fetch"] => fields
            .read("fetch", |node| fetch::read(node, dir, scope))
            .map(|page| TargetSettings::Fetch(Box::new(page))),
        ["batch"] => fields
            .read("batch", |node| batch::read(node, dir, scope))
            .map(|batch| TargetSettings::Batch(Box::new(batch))),
        [] => {
            // A target of a later version has been reported as such already.
            if node.entries().is_some_and(|entries| entries.is_empty()) {
                node.error(
                    "the target is empty",
                    "say `function`, `command`, `http`, `fetch` or `batch`".to_owned(),
                );
            }
            None
        }
        _ => {
            node.error(format!("a function has one target; here are {}", given.join(" and ")), None);
            None
        }
    }
}

/// The target of a folder that names none, as the cloud has it.
fn untold(function: &Fields<'_>, dir: &Path) -> Option<TargetSettings> {
    if function.get("handler").is_some() || dir.join("index.js").is_file() {
        return code(function, None, dir);
    }
    let help =
        "add an `index.js`, or a `target` with a `function`, a `command`, `http`, `fetch` or a `batch`"
            .to_owned();
    if dir.join("index.py").is_file() {
        function.node().error("Python functions are not supported by this version", help);
    } else {
        function.node().error("the folder has no `index.js`, and the file names no `target`", help);
    }
    None
}

/// A Node.js function: the cloud's own keys beside `target`, and ours in `target.function`, which win.
fn code(cloud: &Fields<'_>, ours: Option<&Node<'_>>, dir: &Path) -> Option<TargetSettings> {
    const KEYS: Keys = Keys {
        known: &["runtime", "handler", "timeout", "memory", "env"],
        ignored: &[],
        later: &["concurrency", "retry", "max_output"],
    };
    let ours = match ours {
        Some(node) => Some(node.object(&KEYS)?),
        None => None,
    };
    let ours = ours.as_ref();
    let runtime = ours.and_then(|fields| fields.get("runtime")).or_else(|| cloud.get("runtime"));
    let runtime = match runtime {
        Some(node) => runtime_of(node),
        None => Some(Runtime::NodeJs),
    };
    let handler = ours.and_then(|fields| fields.get("handler")).or_else(|| cloud.get("handler"));
    let handler = match handler {
        Some(node) => handler_of(node, dir),
        None if dir.join("index.js").is_file() => Some("index.main".to_owned()),
        None => {
            let help = "add the file, or name another as in `\"handler\": \"app.main\"`".to_owned();
            cloud.node().error("the folder has no `index.js` for the handler `index.main`", help);
            None
        }
    };
    let cloud_timeout = cloud.read("timeout", |node| node.integer(1..=900)).map(Duration::from_secs);
    let cloud_memory = cloud.read("memorySize", memory);
    let mut env = cloud.read("envVariables", variables).unwrap_or_default();
    env.extend(ours.and_then(|fields| fields.read("env", variables)).unwrap_or_default());
    Some(TargetSettings::Function(CodeSettings {
        runtime: runtime?,
        dir: absolute(dir, ""),
        handler: handler?,
        timeout: ours
            .and_then(|fields| fields.read("timeout", positive_duration))
            .or(cloud_timeout)
            .unwrap_or(DEFAULT_TIMEOUT),
        memory_mb: ours.and_then(|fields| fields.read("memory", memory)).or(cloud_memory).unwrap_or(256),
        env,
    }))
}

fn memory(node: &Node<'_>) -> Option<u32> {
    node.integer(1..=1_048_576).and_then(|megabytes| u32::try_from(megabytes).ok())
}

/// `nodejs`, or the cloud's name of a version such as `Nodejs18.15`: any of them is the `node` on the PATH.
fn runtime_of(node: &Node<'_>) -> Option<Runtime> {
    let text = node.string()?;
    let lower = text.to_lowercase();
    if lower.starts_with("nodejs") {
        return Some(Runtime::NodeJs);
    }
    let message = if lower.starts_with("python") {
        format!("the runtime `{text}` is not supported by this version")
    } else {
        format!("`{text}` is not a runtime")
    };
    node.error(message, "write `nodejs`".to_owned());
    None
}

fn handler_of(node: &Node<'_>, dir: &Path) -> Option<String> {
    let text = node.text()?;
    let Some((file, function)) =
        text.rsplit_once('.').filter(|(file, function)| !file.is_empty() && !function.is_empty())
    else {
        node.error(
            format!("`{text}` is not a handler"),
            "write `file.function`, as in `index.main`".to_owned(),
        );
        return None;
    };
    if !dir.join(format!("{file}.js")).is_file() {
        let message = format!("the folder has no `{file}.js` for the handler `{text}`");
        node.error(message, format!("the handler calls `exports.{function}` of `{file}.js`"));
        return None;
    }
    Some(text.to_owned())
}

fn command(node: &Node<'_>, dir: &Path) -> Option<TargetSettings> {
    const KEYS: Keys = Keys {
        known: &["argv", "cwd", "env", "timeout"],
        ignored: &[],
        later: &["shell", "user", "retry", "success_codes", "max_output"],
    };
    let fields = node.object(&KEYS)?;
    let cwd = fields.read("cwd", |node| {
        let path = absolute(dir, node.text()?);
        if !path.is_dir() {
            node.error(format!("there is no folder `{}`", node.text()?), None);
        }
        Some(path)
    });
    let argv = fields.need("argv", |node| argv(node, dir));
    Some(TargetSettings::Command(CommandSettings {
        argv: argv?,
        cwd: cwd.unwrap_or_else(|| absolute(dir, "")),
        env: fields.read("env", variables).unwrap_or_default(),
        timeout: fields.read("timeout", positive_duration).unwrap_or(DEFAULT_TIMEOUT),
    }))
}

/// Program and arguments. A program with a `/` is a file, seen from the function's folder.
fn argv(node: &Node<'_>, dir: &Path) -> Option<Vec<String>> {
    let nodes = node.list()?;
    let mut argv = nodes.iter().map(|node| node.string().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
    let (Some(first), Some(program)) = (nodes.first(), argv.first_mut()) else {
        node.error("no program is named", "write `[\"program\", \"argument\"]`".to_owned());
        return None;
    };
    if let Some(at) = argv_nul(&nodes) {
        at.error("a NUL character cannot be part of an argument", None);
        return None;
    }
    first.text()?;
    if program.contains('/') {
        let path = absolute(dir, program);
        if !path.is_file() {
            first.error(
                format!("there is no file `{program}`"),
                "paths start at the function's folder".to_owned(),
            );
            return None;
        }
        path.to_str()?.clone_into(program);
    } else if program.contains(' ') {
        let words: Vec<String> = program.split_whitespace().map(|word| format!("\"{word}\"")).collect();
        first.warning(
            format!("`{program}` is one word here, spaces and all"),
            format!("write [{}]", words.join(", ")),
        );
    }
    Some(argv)
}

fn argv_nul<'n, 'a>(nodes: &'n [Node<'a>]) -> Option<&'n Node<'a>> {
    nodes.iter().find(|node| node.string().is_some_and(|text| text.contains('\0')))
}

fn variables(node: &Node<'_>) -> Option<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for (name, node) in node.entries()? {
        if name.is_empty() || name.contains(['=', '\0']) {
            node.error(format!("`{name}` cannot name a variable"), None);
        }
        if let Some(value) = node.string() {
            if value.contains('\0') {
                node.error("a NUL character cannot be part of a variable", None);
            }
            variables.insert(name.to_owned(), value.to_owned());
        }
    }
    Some(variables)
}
