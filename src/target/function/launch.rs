//! Starts Node.js with the bootstrap, and says what is missing when it cannot.

use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};

use crate::settings::{CodeSettings, Runtime};
use crate::target::process::find_program;

const BOOTSTRAP: &str = include_str!("bootstrap.cjs");

/// Where a worker reads calls and writes replies; above the standard streams, which are the user's.
/// Node.js keeps both from the processes that it starts.
const REQUESTS: i32 = 3;
const REPLIES: i32 = 4;

/// Extensions of a handler's file, in the order in which they are tried.
const EXTENSIONS: [&str; 3] = ["js", "mjs", "cjs"];

/// The runtime's program, if it is installed.
pub fn program(settings: &CodeSettings) -> Option<PathBuf> {
    let path = settings.env.get("PATH").map(String::as_str);
    match settings.runtime {
        Runtime::NodeJs => find_program("node", &settings.dir, path),
    }
}

/// The file with the handler, if it is there.
pub fn handler_file(settings: &CodeSettings) -> Option<PathBuf> {
    let (stem, _) = settings.handler.rsplit_once('.')?;
    EXTENSIONS
        .iter()
        .map(|extension| settings.dir.join(format!("{stem}.{extension}")))
        .find(|file| file.is_file())
}

/// What keeps the function from running, as far as one can tell without running it.
pub fn problem(settings: &CodeSettings) -> Option<String> {
    if program(settings).is_none() {
        return Some(
            "Node.js is not installed: there is no `node` on the PATH; install it (Debian, Ubuntu: \
             `apt install nodejs`; others: https://nodejs.org), or set PATH in the function's `env`"
                .to_owned(),
        );
    }
    if handler_file(settings).is_none() {
        let CodeSettings { dir, handler, .. } = settings;
        let stem = handler.rsplit_once('.').map_or(handler.as_str(), |(stem, _)| stem);
        return Some(format!(
            "the handler `{handler}` has no file: {} needs {stem}.js, {stem}.mjs or {stem}.cjs",
            dir.display()
        ));
    }
    None
}

/// What runs a worker of `function`, without the bootstrap's text.
pub fn arguments(settings: &CodeSettings, function: &str, result_limit: usize) -> [OsString; 3] {
    [settings.handler.clone().into(), function.into(), result_limit.to_string().into()]
}

/// The variables of a worker beside the daemon's own.
pub fn variables(settings: &CodeSettings) -> impl Iterator<Item = (&str, &str)> {
    let user = settings.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // As in the cloud, so that a function formats dates here as it did there.
    std::iter::once(("TZ", "UTC")).chain(user)
}

/// A command that runs a worker, and our ends of its conversation.
pub struct Launch {
    pub command: Command,
    pub requests: PipeWriter,
    pub replies: PipeReader,
}

impl Launch {
    /// Prepares a worker of `function`; starts nothing.
    pub fn new(
        program: &Path,
        settings: &CodeSettings,
        function: &str,
        result_limit: usize,
    ) -> io::Result<Self> {
        let (their_requests, requests) = io::pipe()?;
        let (replies, their_replies) = io::pipe()?;
        let mut command = Command::new(program);
        // By argument, not by file: nothing to clean up, nothing to tamper with. The bootstrap
        // gives the process a shorter title.
        command.args(["-e", BOOTSTRAP, "--"]).args(arguments(settings, function, result_limit));
        command.current_dir(&settings.dir).envs(variables(settings)).stdin(Stdio::null());
        let mappings = vec![
            FdMapping { parent_fd: their_requests.into(), child_fd: REQUESTS },
            FdMapping { parent_fd: their_replies.into(), child_fd: REPLIES },
        ];
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        Ok(Self { command, requests, replies })
    }
}
