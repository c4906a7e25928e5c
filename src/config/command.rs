//! `target.command`: a program to run.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use super::daemon::absolute;
use super::decode::{Keys, Node};
use super::units::{max_output, positive_duration};
use super::variables::variables;
use crate::settings::{CommandSettings, ResourceLimits, TargetSettings, UserSettings};

/// Per attempt, of functions and commands; the cloud's.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

/// A program, its folder, its variables, and what it may do.
pub(super) fn read(node: &Node<'_>, dir: &Path) -> Option<TargetSettings> {
    const KEYS: Keys = Keys::only(&[
        "argv",
        "shell",
        "cwd",
        "env",
        "timeout",
        "max_output",
        "success_codes",
        "user",
        "nice",
        "limits",
    ]);
    let fields = node.object(&KEYS)?;
    let cwd = fields.read("cwd", |node| {
        let path = absolute(dir, node.text()?);
        if !path.is_dir() {
            node.error(format!("there is no folder `{}`", node.text()?), None);
        }
        Some(path)
    });
    let shell = fields.read("shell", shell);
    let argv = fields.need("argv", |node| match shell {
        Some(shell) => script(node, shell),
        None => argv(node, dir),
    });
    Some(TargetSettings::Command(CommandSettings {
        argv: argv?,
        cwd: cwd.unwrap_or_else(|| absolute(dir, "")),
        env: fields.read("env", |node| variables(node, dir)).unwrap_or_default(),
        timeout: fields.read("timeout", positive_duration).unwrap_or(DEFAULT_TIMEOUT),
        max_output: fields.read("max_output", max_output),
        success_codes: fields.read("success_codes", codes).unwrap_or_else(|| vec![0]),
        user: fields.read("user", user),
        nice: fields.read("nice", nice).unwrap_or(0),
        limits: fields.read("limits", limits).unwrap_or_default(),
    }))
}

/// Program and arguments. A program with a `/` is a file, seen from the folder of the file that names it.
pub(super) fn argv(node: &Node<'_>, dir: &Path) -> Option<Vec<String>> {
    let mut argv = words(node)?;
    let (first, program) = (node.list()?.into_iter().next()?, argv.first_mut()?);
    if program.contains('/') {
        let path = absolute(dir, program);
        if !path.is_file() {
            first.error(
                format!("there is no file `{program}`"),
                "paths start at the folder of this file".to_owned(),
            );
            return None;
        }
        path.to_str()?.clone_into(program);
    } else if program.contains(' ') {
        let words: Vec<String> = program.split_whitespace().map(|word| format!("\"{word}\"")).collect();
        first.warning(
            format!("`{program}` is one word here, spaces and all"),
            format!("write [{}], or add `\"shell\": true`", words.join(", ")),
        );
    }
    Some(argv)
}

/// The shell that `argv` is a script of: `true` is `sh`. None for `false`.
fn shell(node: &Node<'_>) -> Option<&'static str> {
    if node.is_string() { node.word(&["sh", "bash"]) } else { node.boolean()?.then_some("sh") }
}

/// A script, and what becomes its `$1`, `$2` and so on.
fn script(node: &Node<'_>, shell: &str) -> Option<Vec<String>> {
    let words = words(node)?;
    let (script, arguments) = words.split_first()?;
    let mut argv = [shell, "-c", script, shell].map(str::to_owned).to_vec();
    argv.extend_from_slice(arguments);
    Some(argv)
}

/// At least one word, the first of them not empty.
fn words(node: &Node<'_>) -> Option<Vec<String>> {
    let nodes = node.list()?;
    let words = nodes.iter().map(|node| node.string().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
    let Some(first) = nodes.first() else {
        node.error("no program is named", "write `[\"program\", \"argument\"]`".to_owned());
        return None;
    };
    let nul = nodes.iter().find(|node| node.string().is_some_and(|text| text.contains('\0')));
    if let Some(at) = nul {
        at.error("a NUL character cannot be part of an argument", None);
        return None;
    }
    first.text()?;
    Some(words)
}

fn codes(node: &Node<'_>) -> Option<Vec<i32>> {
    let nodes = node.list()?;
    if nodes.is_empty() {
        node.error("no exit code is named, so nothing could ever succeed", "write `[0]`".to_owned());
        return None;
    }
    nodes.iter().map(|node| node.integer(0..=255).and_then(|code| i32::try_from(code).ok())).collect()
}

fn nice(node: &Node<'_>) -> Option<i32> {
    let value = node.scalar()?;
    let nice =
        value.as_i64().and_then(|nice| i32::try_from(nice).ok()).filter(|nice| (-20..=19).contains(nice));
    match nice {
        None => node.error("this is not a whole number from -20 to 19", None),
        Some(nice) if nice < 0 && own_uid() != 0 => {
            node.warning(
                format!("only a daemon that root runs can start a program with a `nice` of {nice}"),
                None,
            );
        }
        Some(_) => {}
    }
    nice
}

fn limits(node: &Node<'_>) -> Option<ResourceLimits> {
    let fields = node.object(&Keys::only(&["memory", "cpu", "files", "processes"]))?;
    Some(ResourceLimits {
        memory_mb: fields.read("memory", |node| node.integer(16..=1 << 30)),
        cpu_seconds: fields.read("cpu", |node| node.integer(1..=1 << 30)),
        files: fields.read("files", |node| node.integer(8..=1 << 20)),
        processes: fields.read("processes", |node| node.integer(1..=1 << 22)),
    })
}

/// A user of this machine by name or number.
fn user(node: &Node<'_>) -> Option<UserSettings> {
    let name = node.text()?;
    let file = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let Some(user) =
        file.lines().filter_map(passwd_line).find(|user| user.name == name || user.uid.to_string() == name)
    else {
        let help = "create it, as in `useradd --system NAME`".to_owned();
        node.error(format!("this machine has no user `{name}` in /etc/passwd"), help);
        return None;
    };
    if ![0, user.uid].contains(&own_uid()) {
        node.warning(format!("only a daemon that root runs can start a program as `{name}`"), None);
    }
    Some(user)
}

/// Who runs this: the owner of its entry in `/proc`.
fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").map_or(0, |entry| entry.uid())
}

/// passwd(5).
fn passwd_line(line: &str) -> Option<UserSettings> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields[..] else { return None };
    Some(UserSettings {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.to_owned(),
        shell: if shell.is_empty() { "/bin/sh" } else { shell }.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read() {
        let user = passwd_line("mail:x:8:12:Mail, :/var/mail:").unwrap();
        assert_eq!((user.uid, user.gid, user.shell.as_str()), (8, 12, "/bin/sh"));
        assert_eq!((user.name.as_str(), user.home.as_str()), ("mail", "/var/mail"));
        assert_eq!(passwd_line("+@admins"), None);
        assert_eq!(passwd_line("a:x:one:1::/:/bin/sh"), None);
    }
}
