//! `target.function`: code with a handler, in Node.js or Python.

use std::path::Path;
use std::time::Duration;

use super::command::DEFAULT_TIMEOUT;
use super::daemon::absolute;
use super::decode::{Fields, Keys, Node};
use super::units::{max_output, positive_duration};
use super::variables::variables;
use crate::settings::{CodeSettings, Runtime, TargetSettings};

/// Workers at a time. What fires faster than it ends would otherwise fill the machine with processes.
const CONCURRENCY: usize = 64;

/// What the cloud calls a language, and how a folder shows it.
struct Language {
    runtime: Runtime,
    /// What the names of its runtimes start with, in lower case.
    word: &'static str,
    /// Of the handler's file, in the order in which the runtime looks for them.
    extensions: &'static [&'static str],
    /// Unless the file says otherwise; the cloud's.
    handler: &'static str,
}

const LANGUAGES: [Language; 2] = [
    Language {
        runtime: Runtime::NodeJs,
        word: "nodejs",
        extensions: &["js", "mjs", "cjs"],
        handler: "index.main",
    },
    Language { runtime: Runtime::Python, word: "python", extensions: &["py"], handler: "index.main_handler" },
];

impl Language {
    /// Whether `dir` has the file `stem` in this language.
    fn has(&self, dir: &Path, stem: &str) -> bool {
        self.extensions.iter().any(|extension| dir.join(format!("{stem}.{extension}")).is_file())
    }

    fn file(&self, stem: &str) -> String {
        format!("{stem}.{}", self.extensions[0])
    }
}

/// Whether the folder has code where the cloud looks for it.
pub(super) fn is_in(dir: &Path) -> bool {
    LANGUAGES.iter().any(|language| language.has(dir, "index"))
}

/// The cloud's own keys beside `target`, and ours in `target.function`, which win.
pub(super) fn read(cloud: &Fields<'_>, ours: Option<&Node<'_>>, dir: &Path) -> Option<TargetSettings> {
    const KEYS: Keys =
        Keys::only(&["runtime", "handler", "timeout", "memory", "concurrency", "max_output", "env"]);
    let ours = match ours {
        Some(node) => Some(node.object(&KEYS)?),
        None => None,
    };
    let ours = ours.as_ref();
    let either = |key| ours.and_then(|fields| fields.get(key)).or_else(|| cloud.get(key));
    let handler = either("handler");
    let language = match either("runtime") {
        Some(node) => language_of(node),
        None => Some(language_in(dir, handler)),
    };
    let handler = language.and_then(|language| match handler {
        Some(node) => handler_of(node, language, dir),
        None => default_handler(cloud, language, dir),
    });
    let concurrency = ours.and_then(|fields| fields.read("concurrency", |node| node.integer(1..=1000)));
    let cloud_timeout = cloud.read("timeout", |node| node.integer(1..=900)).map(Duration::from_secs);
    let cloud_memory = cloud.read("memorySize", memory);
    let mut env = cloud.read("envVariables", |node| variables(node, dir)).unwrap_or_default();
    env.extend(ours.and_then(|fields| fields.read("env", |node| variables(node, dir))).unwrap_or_default());
    Some(TargetSettings::Function(CodeSettings {
        runtime: language?.runtime,
        dir: absolute(dir, ""),
        handler: handler?,
        timeout: ours
            .and_then(|fields| fields.read("timeout", positive_duration))
            .or(cloud_timeout)
            .unwrap_or(DEFAULT_TIMEOUT),
        memory_mb: ours.and_then(|fields| fields.read("memory", memory)).or(cloud_memory).unwrap_or(256),
        concurrency: concurrency.and_then(|workers| usize::try_from(workers).ok()).unwrap_or(CONCURRENCY),
        max_output: ours.and_then(|fields| fields.read("max_output", max_output)),
        env,
    }))
}

fn memory(node: &Node<'_>) -> Option<u32> {
    node.integer(16..=1_048_576).and_then(|megabytes| u32::try_from(megabytes).ok())
}

/// `nodejs`, `python`, or the cloud's name of a version such as `Nodejs18.15`: any of them is what is on the PATH.
fn language_of(node: &Node<'_>) -> Option<&'static Language> {
    let text = node.string()?;
    let lower = text.to_lowercase();
    let found = LANGUAGES.iter().find(|language| lower.starts_with(language.word));
    // Python 2 would not understand the code, and the code would not understand Python 3.
    if found.is_none() || lower.starts_with("python2") {
        node.error(format!("`{text}` is not a runtime"), "write `nodejs` or `python`".to_owned());
        return None;
    }
    found
}

/// The language of the handler's file, or of `index`; Node.js, as in WeChat's cloud, where there is none.
fn language_in(dir: &Path, handler: Option<&Node<'_>>) -> &'static Language {
    let named = handler.filter(|node| node.is_string()).and_then(Node::string);
    let stem = named.and_then(|text| text.rsplit_once('.')).map_or("index", |(stem, _)| stem);
    LANGUAGES.iter().find(|language| language.has(dir, stem)).unwrap_or(&LANGUAGES[0])
}

fn default_handler(cloud: &Fields<'_>, language: &Language, dir: &Path) -> Option<String> {
    if language.has(dir, "index") {
        return Some(language.handler.to_owned());
    }
    let message =
        format!("the folder has no `{}` for the handler `{}`", language.file("index"), language.handler);
    let help = "add the file, or name another as in `\"handler\": \"app.main\"`".to_owned();
    cloud.node().error(message, help);
    None
}

fn handler_of(node: &Node<'_>, language: &Language, dir: &Path) -> Option<String> {
    let text = node.text()?;
    let Some((stem, function)) =
        text.rsplit_once('.').filter(|(stem, function)| !stem.is_empty() && !function.is_empty())
    else {
        let message = format!("`{text}` is not a handler");
        node.error(message, format!("write `file.function`, as in `{}`", language.handler));
        return None;
    };
    if !language.has(dir, stem) {
        let file = language.file(stem);
        let message = format!("the folder has no `{file}` for the handler `{text}`");
        node.error(message, format!("the handler calls `{function}` of `{file}`"));
        return None;
    }
    Some(text.to_owned())
}
