//! Runs a program: the event on standard input and in `GULOU_*` variables, success is exit code 0.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, memfd_create};
use serde_json::{Map, Value, json};

use super::cut::Cut;
use super::host::Host;
use super::log::RunLog;
use super::process::{Child, Spawn, describe_failure, find_program};
use super::wrap;
use crate::run::{Fire, Outcome, Preview, RunContext, Stream};
use crate::settings::{CommandSettings, Secret};

/// A program to run.
#[derive(Debug)]
pub struct CommandTarget {
    settings: CommandSettings,
    host: Host,
}

impl CommandTarget {
    pub fn new(settings: &CommandSettings, host: &Host) -> Self {
        Self { settings: settings.clone(), host: host.clone() }
    }

    /// One attempt, from `START` to `Report`.
    pub async fn run(&self, fire: &Fire, context: &RunContext) -> Outcome {
        let limit = self.settings.max_output.unwrap_or(self.host.limits.output);
        let log = Arc::new(RunLog::start(&context.output, &fire.request_id, limit, &self.host.clock));
        let outcome = self.attempt(fire, context, &log).await;
        log.end(&outcome, &[], None);
        outcome
    }

    async fn attempt(&self, fire: &Fire, context: &RunContext, log: &Arc<RunLog>) -> Outcome {
        let child = match self.start(fire, log).await {
            Ok(child) => child,
            Err(message) => return Outcome::failed(message),
        };
        let cut = tokio::select! {
            biased;
            () = child.exited() => None,
            cut = Cut::wait(self.settings.timeout, &context.abort) => Some(cut),
        };
        let ended = child.end(self.host.limits.grace).await;
        if let Some(cut) = cut {
            return cut.outcome();
        }
        log.left_behind(&ended.killed);
        let code = ended.status.and_then(|status| status.code());
        if code.is_some_and(|code| self.settings.success_codes.contains(&code)) {
            return Outcome::succeeded(None);
        }
        match describe_failure(ended.status) {
            None => Outcome::failed(format!(
                "{} exited with code 0, which is not in its `success_codes`",
                self.name()
            )),
            Some(how) => Outcome::failed(format!("{} {how}", self.name())),
        }
    }

    async fn start(&self, fire: &Fire, log: &Arc<RunLog>) -> Result<Child, String> {
        if let Some(problem) = self.problem() {
            return Err(problem);
        }
        let program = self.program().unwrap_or_default();
        let cannot = |error: io::Error| format!("cannot run {}: {error}", program.display());
        let mut words: Vec<OsString> =
            wrap::wrapping(&self.settings)?.into_iter().map(OsString::from).collect();
        words.push(program.clone().into());
        words.extend(self.settings.argv.iter().skip(1).map(OsString::from));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(&self.settings.cwd).envs(variables(fire));
        command
            .envs(self.settings.user.iter().flat_map(wrap::variables))
            .envs(self.settings.env.iter().map(|(name, value)| (name, value.reveal())));
        command.stdin(event_file(fire).map_err(cannot)?);
        let sink = |stream: Stream| {
            let log = log.clone();
            Arc::new(move |line| log.line(stream, line))
        };
        let line_limit = self.host.limits.line;
        let spawn = Spawn { command, line_limit, stdout: sink(Stream::Stdout), stderr: sink(Stream::Stderr) };
        Child::spawn(spawn, &self.host.registry).await.map_err(cannot)
    }

    /// What a run would do.
    pub fn preview(&self, fire: &Fire) -> Preview {
        let CommandSettings { argv, cwd, env, timeout, user, nice, .. } = &self.settings;
        let event = fire.event();
        let names: Vec<&String> = env.keys().collect();
        let program = self.program();
        let mut lines = vec![
            format!("runs {argv:?} in {}", cwd.display()),
            format!("at most {} s; event on standard input: {event}", timeout.as_secs_f64()),
        ];
        if !names.is_empty() {
            lines.push(format!("with {names:?} set beside GULOU_*"));
        }
        let user = user.as_ref().map(|user| &user.name);
        let wrapping = wrap::wrapping(&self.settings).unwrap_or_default();
        if !wrapping.is_empty() {
            lines.push(format!("by way of {wrapping:?}"));
        }
        let data = json!({
            "target": "command", "program": program, "wrapping": wrapping, "user": user, "nice": nice, "argv": argv, "cwd": cwd,
            "variables": variables(fire).map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<Map<_, _>>(),
            "env": names, "timeout_s": timeout.as_secs_f64(), "event": event,
        });
        Preview { lines, data, problem: self.problem() }
    }

    /// What keeps the program from running, as far as one can tell without running it.
    fn problem(&self) -> Option<String> {
        let cwd = &self.settings.cwd;
        if !cwd.is_dir() {
            return Some(format!(
                "the working folder {} does not exist; set `cwd` to one that does",
                cwd.display()
            ));
        }
        if self.program().is_some() {
            return wrap::wrapping(&self.settings).err();
        }
        let name = self.name();
        Some(if name.contains('/') {
            let file = cwd.join(name);
            format!("{} is not a program: check the path in `argv`, and `chmod +x` the file", file.display())
        } else {
            format!("there is no program `{name}` on the PATH: install it, or write its full path in `argv`")
        })
    }

    fn program(&self) -> Option<PathBuf> {
        let path = self.settings.env.get("PATH").map(Secret::reveal);
        find_program(self.name(), &self.settings.cwd, path)
    }

    fn name(&self) -> &str {
        self.settings.argv.first().map_or("", String::as_str)
    }
}

/// The fire, for programs that would rather not parse JSON.
fn variables(fire: &Fire) -> impl Iterator<Item = (&'static str, String)> {
    // The kernel's strings end at a NUL; an argument may hold one.
    let message = fire.argument.replace('\0', "\u{fffd}");
    [
        ("GULOU_FUNCTION", fire.function.clone()),
        ("GULOU_TRIGGER", fire.trigger.clone()),
        ("GULOU_FIRE_TIME", fire.fire_time.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ("GULOU_REQUEST_ID", fire.request_id.clone()),
        ("GULOU_REASON", fire.reason.to_string()),
        ("GULOU_ATTEMPT", fire.attempt.to_string()),
        ("GULOU_MISSED", fire.missed.to_string()),
        ("GULOU_MESSAGE", message),
    ]
    .into_iter()
}

/// The event as standard input. A file in memory, not a pipe: a program that reads only part of it,
/// or nothing, cannot hold anybody up.
fn event_file(fire: &Fire) -> io::Result<Stdio> {
    let mut memory = File::from(memfd_create("event", MemfdFlags::CLOEXEC)?);
    writeln!(memory, "{}", fire.event())?;
    memory.rewind()?;
    Ok(memory.into())
}
