//! Prepares a worker: its program, its arguments, its variables, its end of the conversation.

use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter};
use std::path::Path;
use std::process::{Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};

use super::language::{self, Language, bootstrap};
use super::surroundings::variables;
use crate::run::Fire;
use crate::settings::CodeSettings;

/// Where a worker reads calls and writes replies; above the standard streams, which are the user's.
/// The bootstraps keep both from the processes that user code starts.
const REQUESTS: i32 = 3;
const REPLIES: i32 = 4;

/// What runs a worker of `function`, without the bootstrap.
pub fn arguments(settings: &CodeSettings, function: &str, result_limit: usize) -> [OsString; 3] {
    [settings.handler.clone().into(), function.into(), result_limit.to_string().into()]
}

/// A command that runs a worker, and our ends of its conversation.
pub struct Launch {
    pub command: Command,
    pub requests: PipeWriter,
    pub replies: PipeReader,
    pub language: &'static Language,
    /// MiB that a call may use.
    pub memory_mb: u32,
}

impl Launch {
    /// Prepares a worker for `fire` and what comes after it; starts nothing.
    pub fn new(
        program: &Path,
        settings: &CodeSettings,
        fire: &Fire,
        result_limit: usize,
    ) -> io::Result<Self> {
        let (their_requests, requests) = io::pipe()?;
        let (replies, their_replies) = io::pipe()?;
        let bootstrap = bootstrap(settings)?;
        let mut command = Command::new(program);
        command.args(bootstrap.arguments).args(arguments(settings, &fire.function, result_limit));
        command
            .current_dir(&settings.dir)
            .envs(variables(settings, fire.app_id.as_deref()))
            .stdin(Stdio::null());
        let mut mappings = vec![
            FdMapping { parent_fd: their_requests.into(), child_fd: REQUESTS },
            FdMapping { parent_fd: their_replies.into(), child_fd: REPLIES },
        ];
        mappings.extend(bootstrap.script);
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        let (language, memory_mb) = (language::of(settings), settings.memory_mb);
        Ok(Self { command, requests, replies, language, memory_mb })
    }
}
