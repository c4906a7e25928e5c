//! `gulou import crontab`: a function folder for each entry, with the same fire times.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::super::exit;
use super::super::folders::{PlaceArg, create};
use super::Tally;
use super::fields::{convert, nickname};
use super::lines::{self, Entry, Line};
use super::names::Names;
use crate::clock::Clock;
use crate::schedule::{self, Language, Schedule};

const NOTES: &str = "\
Examples:
  crontab -l | gulou import crontab - --dry-run
  gulou import crontab --system /etc/crontab --timezone Asia/Shanghai

Cron knows no timeout: the commands get one day. Their output is kept in the history instead of being mailed. A line that \
no seven fields can say, as `0 0 */2 * 1` (cron: both days; Gulou: either), is refused.";

/// Make a function folder of each entry of a crontab
#[derive(Args, Debug)]
#[command(after_help = NOTES)]
pub(super) struct Crontab {
    /// The crontab; `-`: what is on standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: PlaceArg,
    /// A user stands before each command, as in /etc/crontab
    #[arg(long)]
    system: bool,
    /// The IANA time zone of the times [default: this machine's, as cron has it]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Only show what would be written
    #[arg(long)]
    dry_run: bool,
}

impl Crontab {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let text = if self.file.as_os_str() == "-" {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).context("could not read standard input")?;
            text
        } else {
            fs::read_to_string(&self.file)
                .with_context(|| format!("could not read {}", self.file.display()))?
        };
        let root = match self.place.folder() {
            Ok(root) => root,
            Err(code) => return Ok(code),
        };
        let zone = match self.zone() {
            Ok(zone) => zone,
            Err(message) => {
                eprintln!("error: {message}");
                return Ok(exit::USAGE);
            }
        };
        let mut reader = Reader {
            is_system: self.system,
            zone: Ok(zone),
            shell: "/bin/sh".to_owned(),
            variables: BTreeMap::new(),
            home: std::env::var("HOME").ok(),
            comment: None,
            names: Names::new(&root),
            now: Clock::system().now().timestamp(),
        };
        let mut out = io::stdout().lock();
        let (mut written, mut refused) = (0, 0);
        for (number, line) in (1..).zip(text.lines()) {
            match reader.line(number, line) {
                Ok(None) => {}
                Ok(Some(Found::Warning(warning))) => writeln!(out, "line {number}: warning: {warning}")?,
                Ok(Some(Found::Function(function))) => {
                    if function.is_there {
                        let folder = root.join(&function.name);
                        writeln!(out, "line {number}: has been imported already, as {}", folder.display())?;
                        continue;
                    }
                    if !self.dry_run {
                        let config = format!("{:#}\n", function.config);
                        let fill = |folder: &Path| fs::write(folder.join("config.json"), config);
                        if let Err(error) = create(&root, &function.name, fill) {
                            refused += 1;
                            writeln!(out, "line {number}: not converted: {error}\n    {}", line.trim())?;
                            continue;
                        }
                    }
                    written += 1;
                    writeln!(out, "line {number}: {}", function.words(&root))?;
                    for note in function.notes {
                        writeln!(out, "line {number}: warning: {note}")?;
                    }
                }
                Err(reason) => {
                    refused += 1;
                    writeln!(out, "line {number}: not converted: {reason}\n    {}", line.trim())?;
                }
            }
        }
        Tally { written, refused }.tell(&mut out, self.dry_run, "take the lines out of the crontab")
    }

    /// Of what names no zone of its own.
    fn zone(&self) -> Result<String, String> {
        if let Some(zone) = &self.timezone {
            return known(zone).map_err(|problem| format!("--timezone: {problem}"));
        }
        machine_zone().ok_or_else(|| {
            "it cannot be told in which time zone this machine is; name it, as with `--timezone Asia/Shanghai`".to_owned()
        })
    }
}

fn known(zone: &str) -> Result<String, String> {
    schedule::timezone(zone).map(|zone| zone.name().to_owned()).map_err(|error| error.to_string())
}

/// The zone of this machine, by the link or the name that Debian and systemd keep.
fn machine_zone() -> Option<String> {
    let link = Path::new("/etc/localtime");
    let by_link = fs::read_link(link).ok().and_then(|target| {
        let target = target.to_str()?.to_owned();
        known(target.split_once("zoneinfo/")?.1).ok()
    });
    let by_name = || known(fs::read_to_string("/etc/timezone").ok()?.trim()).ok();
    // Without the file the C library has UTC.
    let without = || (!link.exists()).then(|| "UTC".to_owned());
    by_link.or_else(by_name).or_else(without)
}

/// What a line came to.
enum Found {
    Warning(String),
    Function(Box<Function>),
}

struct Function {
    name: String,
    /// An earlier import wrote it.
    is_there: bool,
    config: Value,
    time: String,
    expression: String,
    explained: String,
    notes: Vec<String>,
}

impl Function {
    fn words(&self, root: &Path) -> String {
        let Self { name, time, expression, explained, .. } = self;
        format!("{time}  →  {expression}  ({explained})  →  {}", root.join(name).display())
    }
}

/// Whether a function folder does the same as `config`, wherever the line stood.
fn is_same(folder: &Path, config: &Value) -> bool {
    let text = fs::read_to_string(folder.join("config.json")).unwrap_or_default();
    let there: Value = serde_json::from_str(&text).unwrap_or_default();
    ["triggers", "overlap", "target"].iter().all(|key| there[*key] == config[*key])
}

/// What holds for the lines to come.
struct Reader<'r> {
    is_system: bool,
    /// Or why a line said nothing of it that can be used.
    zone: Result<String, String>,
    shell: String,
    variables: BTreeMap<String, String>,
    home: Option<String>,
    /// Of the line right before.
    comment: Option<String>,
    names: Names<'r>,
    now: i64,
}

impl Reader<'_> {
    fn line(&mut self, number: usize, line: &str) -> Result<Option<Found>, String> {
        let comment = self.comment.take();
        match lines::read(line, self.is_system)? {
            None => Ok(None),
            Some(Line::Comment(text)) => {
                self.comment = Some(text.to_owned()).filter(|text| !text.is_empty());
                Ok(None)
            }
            Some(Line::Variable(name, value)) => Ok(self.variable(name, value).map(Found::Warning)),
            Some(Line::Entry(entry)) => self
                .entry(number, line, &entry, comment)
                .map(|function| Some(Found::Function(Box::new(function)))),
        }
    }

    /// A variable; answers what is to be said of it.
    fn variable(&mut self, name: String, value: String) -> Option<String> {
        match name.as_str() {
            "CRON_TZ" => {
                self.zone = known(&value).map_err(|problem| format!("CRON_TZ: {problem}"));
                return self.zone.as_ref().err().cloned();
            }
            "MAILTO" | "MAILFROM" => {
                return Some(format!("{name} has no effect: output is kept, and `gulou logs` shows it"));
            }
            "LOGNAME" | "USER" => return Some(format!("{name} has no effect, as in cron")),
            "SHELL" => self.shell.clone_from(&value),
            "HOME" => self.home = Some(value.clone()),
            _ => {}
        }
        let warning = (name == "TZ")
            .then(|| "TZ is the zone of the commands, as in cron; that of their times is CRON_TZ".to_owned());
        self.variables.insert(name, value);
        warning
    }

    fn entry(
        &mut self,
        number: usize,
        line: &str,
        entry: &Entry<'_>,
        comment: Option<String>,
    ) -> Result<Function, String> {
        let fields = match entry.time[..] {
            [word] => nickname(word)?,
            [minute, hour, day, month, weekday] => [minute, hour, day, month, weekday],
            _ => return Err("this is not five fields".to_owned()),
        };
        let converted = convert(fields)?;
        let zone = self.zone.clone()?;
        let schedule = Schedule::parse(&converted.expression, &zone).map_err(|error| error.one_line())?;
        if schedule.next(self.now).is_none() {
            return Err("it never fires, in cron neither".to_owned());
        }
        let mut notes = converted.notes;
        let (command, input) = lines::split_input(entry.command);
        let argv = json!([self.shell, "-c", self.script(&command, input.as_deref(), &mut notes)]);
        let mut target = json!({ "argv": argv });
        if self.shell.contains('/') && !Path::new(&self.shell).is_file() {
            return Err(format!("there is no shell {}", self.shell));
        }
        let (user, home) = self.user(entry.user)?;
        if let Some(home) = home {
            if Path::new(&home).is_dir() {
                target["cwd"] = home.into();
            } else {
                notes.push(format!("there is no folder {home}: the command runs in the function's own"));
            }
        }
        if !self.variables.is_empty() {
            target["env"] = json!(self.variables);
        }
        if let Some(user) = user {
            target["user"] = user.into();
        }
        target["timeout"] = "1d".into();
        let origin = format!("crontab line {number}: {}", line.trim());
        let description = comment.map_or(origin.clone(), |comment| format!("{comment} ({origin})"));
        let trigger = json!({
            "name": "cron", "type": "timer", "config": converted.expression, "timezone": zone,
        });
        let config = json!({
            "description": description, "triggers": [trigger], "overlap": "allow", "target": { "command": target },
        });
        let (name, is_there) = self.names.of_command(&command, number, |folder| is_same(folder, &config));
        Ok(Function {
            name,
            is_there,
            config,
            time: entry.time.join(" "),
            explained: schedule.explain(Language::English),
            expression: converted.expression,
            notes,
        })
    }

    /// What the shell is given. Cron's commands read what stands behind the `%`, or nothing; Gulou's the event.
    fn script(&self, command: &str, input: Option<&str>, notes: &mut Vec<String>) -> String {
        let shell = self.shell.rsplit('/').next().unwrap_or_default();
        if !["sh", "bash", "dash", "ksh", "zsh", "ash"].contains(&shell) {
            let what = if input.is_some() { "its input is lost" } else { "it finds the event on its input" };
            notes.push(format!("nobody knows how {shell} is told what to read: {what}"));
            return command.to_owned();
        }
        match input {
            None => format!("exec </dev/null; {command}"),
            Some(input) => {
                let mut end = "GULOU_INPUT".to_owned();
                while input.lines().any(|line| line == end) {
                    end.push('_');
                }
                let line_end = if input.is_empty() || input.ends_with('\n') { "" } else { "\n" };
                format!("exec <<'{end}'\n{input}{line_end}{end}\n{command}")
            }
        }
    }

    /// Who runs the command, if not the daemon's own user, and where.
    fn user(&self, user: Option<&str>) -> Result<(Option<String>, Option<String>), String> {
        let Some(user) = user else { return Ok((None, self.home.clone())) };
        let passwords = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let mut entries = passwords.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let entry = entries.find(|entry| entry[0] == user);
        let entry = entry.ok_or_else(|| format!("this machine has no user `{user}`"))?;
        let home = self.variables.get("HOME").cloned();
        Ok((Some(user.to_owned()), home.or_else(|| entry.get(5).map(|home| (*home).to_owned()))))
    }
}
