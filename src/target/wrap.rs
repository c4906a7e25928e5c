//! What stands before a program so that it runs as another user, more modestly or within limits.
//!
//! Programs of util-linux and coreutils do it and then become the program, so that nothing of it ever runs without
//! its limits. To do the same here takes code between `fork` and `exec`.

use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::process::find_program;
use crate::settings::{CommandSettings, ResourceLimits, UserSettings};

/// Program and arguments to put before the command's own; empty when it runs as it is. Or why it cannot be so.
pub fn wrapping(settings: &CommandSettings) -> Result<Vec<String>, String> {
    let is_root = geteuid().is_root();
    let CommandSettings { user, nice, limits, .. } = settings;
    let mut words = Vec::new();
    // Limits first and the user last: only root may raise limits and be less nice.
    let options = limit_options(limits);
    if !options.is_empty() {
        words.push(tool("prlimit", "util-linux")?);
        words.extend(options);
        words.push("--".to_owned());
    }
    if *nice < 0 && !is_root {
        return Err(format!(
            "only root can run a program with a `nice` of {nice}, and this process is not root's"
        ));
    }
    if *nice != 0 {
        words.extend([tool("nice", "coreutils")?, "-n".to_owned(), nice.to_string(), "--".to_owned()]);
    }
    if let Some(UserSettings { name, uid, gid, .. }) =
        user.as_ref().filter(|user| user.uid != geteuid().as_raw())
    {
        if !is_root {
            return Err(format!("only root can run a program as `{name}`, and this process is not root's"));
        }
        words.push(tool("setpriv", "util-linux")?);
        words.extend([format!("--reuid={uid}"), format!("--regid={gid}")]);
        words.extend(["--init-groups", "--"].map(str::to_owned));
    }
    Ok(words)
}

/// What a user's programs expect to find, as a login sets it.
pub fn variables(user: &UserSettings) -> [(&'static str, &str); 4] {
    [("HOME", &user.home), ("SHELL", &user.shell), ("USER", &user.name), ("LOGNAME", &user.name)]
}

fn limit_options(limits: &ResourceLimits) -> Vec<String> {
    let ResourceLimits { memory_mb, cpu_seconds, files, processes } = limits;
    let bytes = memory_mb.map(|mebibytes| format!("--as={}", mebibytes * 1024 * 1024));
    // The soft limit sends SIGXCPU, which tells what happened; the hard one KILL.
    let cpu = cpu_seconds.map(|seconds| format!("--cpu={seconds}:{}", seconds + 1));
    let files = files.map(|count| format!("--nofile={count}"));
    let processes = processes.map(|count| format!("--nproc={count}"));
    [bytes, cpu, files, processes].into_iter().flatten().collect()
}

fn tool(name: &str, package: &str) -> Result<String, String> {
    let found: Option<PathBuf> = find_program(name, Path::new("/"), None);
    let found = found.and_then(|path| path.into_os_string().into_string().ok());
    found.ok_or_else(|| {
        format!("this takes `{name}`, which is not on the PATH (Debian, Ubuntu: `apt install {package}`)")
    })
}
