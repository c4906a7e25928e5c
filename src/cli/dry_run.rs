//! `gulou dry-run`: what would happen, found without changing anything.
//!
//! Nothing here starts or writes: previews look at files, the state and the databases read-only.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use chrono_tz::{Asia::Shanghai, Tz};
use clap::Args;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::{ConfigArg, exit};
use crate::action::http::{HttpAction, HttpClients};
use crate::action::mail::{MailAction, Transport};
use crate::action::wechat::WechatAction;
use crate::action::wecom::WecomRobot;
use crate::batch::{self, Export, Occasion, RowAction};
use crate::clock::Clock;
use crate::config::lints;
use crate::db::{Access, Database, Databases, Moment};
use crate::run::{Fire, Preview, Reason};
use crate::schedule::Lint;
use crate::settings::{
    ActionSettings, BatchSettings, BouncesSettings, FunctionSettings, Settings, TargetSettings,
    TriggerSettings,
};
use crate::spelling::nearest;
use crate::store::Reader;
use crate::target::{Host, Target, preview_bounces, preview_fetch};

/// Show when each trigger fires next, and what its first fire would do, without changing anything
///
/// Exit code 1 when a fire would fail for a reason that is known already.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  gulou dry-run --config config.example.json
  gulou dry-run --config config.example.json mass-mail weekly-report/friday --json")]
pub(super) struct DryRun {
    #[command(flatten)]
    config: ConfigArg,
    /// Functions, or single triggers of them; all of them if none is named
    #[arg(value_name = "FUNCTION[/TRIGGER]")]
    names: Vec<String>,
    /// How many fire times to show of each trigger
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// Print a JSON array, one object a trigger
    #[arg(long)]
    json: bool,
}

/// One trigger, looked at.
struct Look<'a> {
    function: &'a FunctionSettings,
    trigger: &'a TriggerSettings,
    fires: Vec<DateTime<Utc>>,
    lints: Vec<Lint>,
    /// What the first fire would do; none without a fire.
    preview: Option<Preview>,
}

impl DryRun {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let clock = Clock::system();
        let settings = match self.config.load() {
            Ok(loaded) => loaded.settings,
            Err(code) => return Ok(code),
        };
        let unknown = |name: &&String| !triggers(&settings).any(|(f, t)| is_named(name, f, t));
        if let Some(name) = self.names.iter().find(unknown) {
            let known: Vec<String> = triggers(&settings)
                .flat_map(|(f, t)| [f.name.clone(), format!("{}/{}", f.name, t.name)])
                .collect();
            let help = nearest(name, known.iter().map(String::as_str))
                .unwrap_or_else(|| "`gulou list` shows what there is".to_owned());
            eprintln!("error: there is no function or trigger `{name}`; {help}");
            return Ok(exit::USAGE);
        }
        let viewer = Viewer::new(&settings, clock)?;
        let looks: Vec<Look<'_>> = triggers(&settings)
            .filter(|(function, trigger)| {
                self.names.is_empty() || self.names.iter().any(|name| is_named(name, function, trigger))
            })
            .map(|(function, trigger)| viewer.look(function, trigger, self.count))
            .collect();
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{:#}", looks.iter().map(Look::to_json).collect::<Value>())?;
        } else {
            for look in &looks {
                writeln!(out, "{}", look.text())?;
            }
            writeln!(out, "nothing was changed")?;
        }
        let fails = looks.iter().any(|look| look.problem().is_some());
        Ok(if fails { exit::FAILED } else { exit::OK })
    }
}

fn triggers(settings: &Settings) -> impl Iterator<Item = (&FunctionSettings, &TriggerSettings)> {
    settings
        .functions
        .iter()
        .flat_map(|function| function.triggers.iter().map(move |trigger| (function, trigger)))
}

fn is_named(name: &str, function: &FunctionSettings, trigger: &TriggerSettings) -> bool {
    match name.split_once('/') {
        Some((wanted, part)) => function.name == wanted && *trigger.name == *part,
        None => function.name == name,
    }
}

/// What previews are made with.
struct Viewer<'s> {
    settings: &'s Settings,
    clock: Clock,
    now: DateTime<Utc>,
    host: Host,
    state: Option<Reader>,
    runtime: Runtime,
}

impl<'s> Viewer<'s> {
    fn new(settings: &'s Settings, clock: Clock) -> anyhow::Result<Self> {
        let state = Reader::of(&settings.state).context("could not look at the state")?;
        let runtime = Builder::new_current_thread().enable_all().build().context("could not start")?;
        Ok(Self { runtime, settings, now: clock.now(), host: Host::new(clock.clone()), clock, state })
    }

    fn look<'a>(&self, function: &'a FunctionSettings, trigger: &'a TriggerSettings, count: u16) -> Look<'a> {
        let mut fires = Vec::new();
        let mut after = self.now.timestamp();
        while trigger.enabled && fires.len() < usize::from(count.max(PERIODS)) {
            let Some(next) = trigger.schedule.next(after) else { break };
            after = next;
            fires.extend(DateTime::from_timestamp(next, 0));
        }
        let interval = interval(&fires);
        fires.truncate(usize::from(count));
        let preview = fires.first().map(|first| self.preview(function, trigger, *first, interval));
        let lints = lints(function, trigger, self.now);
        Look { function, trigger, fires, lints, preview }
    }

    fn preview(
        &self,
        function: &FunctionSettings,
        trigger: &TriggerSettings,
        fire_time: DateTime<Utc>,
        interval: Option<Duration>,
    ) -> Preview {
        let fire = Fire {
            request_id: "00000000-0000-0000-0000-000000000000".to_owned(),
            function: function.name.clone(),
            trigger: trigger.name.to_string(),
            fire_time,
            reason: Reason::Timed,
            attempt: 1,
            missed: 0,
            argument: trigger.argument.to_string(),
            event_type: self.settings.event.event_type.clone(),
            app_id: self.settings.event.app_id.clone(),
            own_event: None,
        };
        match &function.target {
            TargetSettings::Function(code) => Target::function(code, &self.host).preview(&fire),
            TargetSettings::Command(command) => Target::command(command, &self.host).preview(&fire),
            TargetSettings::Http(request) => {
                match Target::http(request, &self.host, &HttpClients::default()) {
                    Ok(target) => target.preview(&fire),
                    Err(problem) => Preview {
                        lines: Vec::new(),
                        data: json!({ "target": "http" }),
                        problem: Some(problem),
                    },
                }
            }
            TargetSettings::Sql(sql) => match Databases::new(&self.settings.databases).connect(&sql.database)
            {
                Ok(database) => {
                    let timezone = trigger.schedule.timezone();
                    Target::sql(sql, database, timezone, &self.host).preview(&fire)
                }
                Err(error) => Preview {
                    lines: Vec::new(),
                    data: json!({ "target": "sql" }),
                    problem: Some(error.to_string()),
                },
            },
            TargetSettings::Fetch(page) => preview_fetch(page, &HttpClients::default(), &self.clock, &fire),
            TargetSettings::Bounces(bounces) => self.bounces(bounces, &fire, trigger.schedule.timezone()),
            TargetSettings::Batch(batch) => {
                let timezone = trigger.schedule.timezone();
                self.batch(batch, &fire, timezone, interval).unwrap_or_else(|error| Preview {
                    lines: Vec::new(),
                    data: json!({ "target": "batch" }),
                    problem: Some(format!("{error:#}")),
                })
            }
        }
    }

    fn bounces(&self, bounces: &BouncesSettings, fire: &Fire, timezone: Tz) -> Preview {
        let database = self.settings.databases.get(&bounces.database);
        let database = database.ok_or_else(|| format!("there is no database `{}`", bounces.database));
        let database = database.and_then(|database| {
            Database::new(database, Access::ReadOnly).map_err(|error| error.to_string())
        });
        match database {
            Ok(database) => {
                let moment = Moment { fire_time: fire.fire_time, now: self.now, timezone };
                self.runtime.block_on(preview_bounces(bounces, database, moment))
            }
            Err(problem) => {
                Preview { lines: Vec::new(), data: json!({ "target": "bounces" }), problem: Some(problem) }
            }
        }
    }

    fn batch(
        &self,
        batch: &BatchSettings,
        fire: &Fire,
        timezone: Tz,
        interval: Option<Duration>,
    ) -> anyhow::Result<Preview> {
        let name = &batch.source.database;
        let database =
            self.settings.databases.get(name).with_context(|| format!("there is no database `{name}`"))?;
        let action = match &batch.action {
            ActionSettings::Mail(mail) | ActionSettings::Digest { mail, .. } => {
                let transport = self
                    .settings
                    .mail
                    .get(&mail.via)
                    .with_context(|| format!("there is no mail transport `{}`", mail.via))?;
                let transport = Transport::open(transport, self.clock.clone());
                RowAction::Mail(Arc::new(MailAction::new(mail, transport)?))
            }
            ActionSettings::Http(request) => {
                RowAction::Http(Box::new(HttpAction::new(request, &HttpClients::default())?))
            }
            ActionSettings::Export(export) => {
                RowAction::Export(Box::new(Export::new(export, None).map_err(anyhow::Error::msg)?))
            }
            ActionSettings::WecomRobot(robot) => {
                RowAction::WecomRobot(Box::new(WecomRobot::new(robot, &HttpClients::default())?))
            }
            ActionSettings::Wechat(message) => {
                let account = self.settings.wechat.get(&message.via);
                let account =
                    account.with_context(|| format!("there is no WeChat account `{}`", message.via))?;
                let action = WechatAction::to_look_at(message, account, self.clock.clone())?;
                RowAction::Wechat(Box::new(action))
            }
        };
        let state = self.state.as_ref();
        let occasion = Occasion { fire, now: self.now, timezone, interval };
        Ok(self.runtime.block_on(batch::preview(batch, database, &action, state, occasion)))
    }
}

/// Fire times that are looked at to tell whether they are evenly apart.
const PERIODS: u16 = 5;

/// The time between fires, if it is regular.
fn interval(fires: &[DateTime<Utc>]) -> Option<Duration> {
    let gaps: Vec<_> = fires.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let first = *gaps.first()?;
    gaps.iter().all(|gap| *gap == first).then(|| first.to_std().ok()).flatten()
}

impl Look<'_> {
    fn problem(&self) -> Option<&str> {
        self.preview.as_ref()?.problem.as_deref()
    }

    fn text(&self) -> String {
        let Look { function, trigger, .. } = self;
        let mut lines = vec![format!("{}/{}  {}", function.name, trigger.name, trigger.expression)];
        if !trigger.enabled {
            lines.push("  disabled: it never fires".to_owned());
        } else if self.fires.is_empty() {
            lines.push("  it never fires again".to_owned());
        }
        for (index, time) in self.fires.iter().enumerate() {
            let label = if index == 0 { "fires" } else { "" };
            lines.push(format!("  {label:<7}{}", self.times(*time)));
        }
        lines.extend(self.lints.iter().map(|lint| format!("  lint   {}", lint.en)));
        if let Some(preview) = &self.preview {
            for (index, line) in preview.lines.iter().enumerate() {
                let label = if index == 0 { "first" } else { "" };
                lines.push(format!("  {label:<7}{line}").trim_end().to_owned());
            }
            if let Some(problem) = &preview.problem {
                lines.push(format!("  error  {problem}"));
            }
        }
        lines.join("\n") + "\n"
    }

    /// In Beijing time, in UTC, and in the trigger's own zone if that is another.
    fn times(&self, time: DateTime<Utc>) -> String {
        let beijing = time.with_timezone(&Shanghai).format("%Y-%m-%d %H:%M:%S %a");
        let utc = time.format("%Y-%m-%d %H:%M:%S");
        let zone = self.trigger.schedule.timezone();
        let own = if [Shanghai, chrono_tz::UTC].contains(&zone) {
            String::new()
        } else {
            format!("   {} {zone}", time.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S"))
        };
        format!("{beijing} Beijing   {utc} UTC{own}")
    }

    fn to_json(&self) -> Value {
        let zone = self.trigger.schedule.timezone();
        let time = |time: &DateTime<Utc>| {
            json!({
                "beijing": time.with_timezone(&Shanghai).to_rfc3339(),
                "utc": time.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
                "local": time.with_timezone(&zone).to_rfc3339(),
            })
        };
        json!({
            "function": self.function.name,
            "trigger": self.trigger.name,
            "expression": self.trigger.expression,
            "timezone": zone.name(),
            "enabled": self.trigger.enabled,
            "next": self.fires.iter().map(time).collect::<Vec<_>>(),
            "lints": self.lints.iter().map(|lint| json!({ "code": lint.code, "message": lint.en })).collect::<Vec<_>>(),
            "first": self.preview.as_ref().map(|preview| &preview.data),
            "lines": self.preview.as_ref().map(|preview| &preview.lines),
            "problem": self.problem(),
        })
    }
}
