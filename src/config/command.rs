//! `target.command`: a program to run.

use std::path::Path;
use std::time::Duration;

use super::daemon::absolute;
use super::decode::{Keys, Node};
use super::units::{max_output, positive_duration};
use super::variables::variables;
use crate::settings::{CommandSettings, TargetSettings};

/// Per attempt, of functions and commands; the cloud's.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

/// A program, its folder and its variables.
pub(super) fn read(node: &Node<'_>, dir: &Path) -> Option<TargetSettings> {
    const KEYS: Keys = Keys {
        known: &["argv", "cwd", "env", "timeout", "max_output"],
        ignored: &[],
        later: &["shell", "user", "retry", "success_codes"],
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
        max_output: fields.read("max_output", max_output),
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
