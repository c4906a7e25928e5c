//! From settings to running parts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use chrono_tz::Asia::Shanghai;
use chrono_tz::Tz;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::action::follow::Follow;
use crate::action::http::{HttpAction, HttpClients};
use crate::action::mail::{MailAction, Transport};
use crate::action::wechat::{WechatAccount, WechatAction};
use crate::action::wecom::WecomRobot;
use crate::batch::{Batch, Export, Line, RowAction};
use crate::clock::Clock;
use crate::db::Databases;
use crate::engine::{Alerts, Function, Runner, or_by_hand};
use crate::settings::{
    ActionSettings, BatchSettings, FetchSettings, FollowSettings, FunctionSettings, Settings, TargetSettings,
};
use crate::store::Store;
use crate::target::{Host, Links, Target};

/// What functions share: made once, used by every version of every function.
#[derive(Debug)]
pub(super) struct Wiring {
    pub(super) clock: Clock,
    pub(super) store: Store,
    host: Host,
    clients: HttpClients,
    databases: Databases,
    transports: BTreeMap<String, Arc<Transport>>,
    accounts: BTreeMap<String, Arc<WechatAccount>>,
    /// By the id of the batch; an old version may still run when a new one begins, even in another folder.
    lines: Mutex<BTreeMap<String, Line>>,
}

impl Wiring {
    /// Takes the state's lock. Databases and servers are reached on first use.
    pub(super) fn open(settings: &Settings, clock: Clock) -> anyhow::Result<Self> {
        let store = Store::take(&settings.state)?;
        let host = Host::supervise(clock.clone());
        let databases = Databases::new(&settings.databases);
        let open =
            |(name, transport): (&String, _)| (name.clone(), Transport::open(transport, clock.clone()));
        let transports = settings.mail.iter().map(open).collect();
        let clients = HttpClients::default();
        let accounts = settings.wechat.iter().map(|(name, account)| {
            // No function is called so.
            let memo = store.memo("@wechat", &account.appid);
            (name.clone(), Arc::new(WechatAccount::new(account, &clients, Some(memo), clock.clone())))
        });
        let accounts = accounts.collect();
        Ok(Self { clock, store, host, clients, databases, transports, accounts, lines: Mutex::default() })
    }

    /// Compiles templates; starts nothing.
    pub(super) fn function(&self, settings: &FunctionSettings) -> anyhow::Result<Function> {
        let runner = match &settings.target {
            TargetSettings::Function(code) => Runner::Target(Arc::new(Target::function(code, &self.host))),
            TargetSettings::Command(command) => {
                Runner::Target(Arc::new(Target::command(command, &self.host)))
            }
            TargetSettings::Http(request) => {
                let target = Target::http(request, &self.host, &self.clients).map_err(anyhow::Error::msg);
                let context = || format!("could not set up the function `{}`", settings.name);
                Runner::Target(Arc::new(target.with_context(context)?))
            }
            TargetSettings::Fetch(page) => {
                let context = || format!("could not set up the function `{}`", settings.name);
                let links = self.links(page, &settings.name).with_context(context)?;
                let target = Target::fetch(page, &self.host, links).map_err(anyhow::Error::msg);
                Runner::Target(Arc::new(target.with_context(context)?))
            }
            TargetSettings::Bounces(bounces) => {
                let database = self
                    .databases
                    .connect(&bounces.database)
                    .with_context(|| format!("could not set up the function `{}`", settings.name))?;
                let memo = self.store.memo(&settings.name, "bounces");
                let target = Target::bounces(bounces, database, memo, timezone(settings), &self.host);
                Runner::Target(Arc::new(target))
            }
            TargetSettings::Sql(sql) => {
                let database = self
                    .databases
                    .connect(&sql.database)
                    .with_context(|| format!("could not set up the function `{}`", settings.name))?;
                Runner::Target(Arc::new(Target::sql(sql, database, timezone(settings), &self.host)))
            }
            TargetSettings::Batch(batch) => {
                let batch = self
                    .batch(batch, settings)
                    .with_context(|| format!("could not set up the function `{}`", settings.name))?;
                Runner::Batch(Arc::new(batch))
            }
        };
        Ok(Function {
            name: settings.name.clone(),
            triggers: or_by_hand(&settings.triggers),
            overlap: settings.overlap,
            max_runs: settings.max_runs,
            alerts: self.alerts(settings)?,
            on_interrupted: settings.on_interrupted,
            retry: settings.retry.clone(),
            runner,
        })
    }

    fn alerts(&self, function: &FunctionSettings) -> anyhow::Result<Option<Arc<Alerts>>> {
        let Some(settings) = &function.alerts else { return Ok(None) };
        let action = |follow: &Option<FollowSettings>| {
            let Some(follow) = follow else { return Ok(None) };
            let action = Follow::new(follow, &self.clients, self.transport_of(follow));
            let context = || format!("could not set up the alerts of the function `{}`", function.name);
            Ok::<_, anyhow::Error>(Some(Arc::new(action.map_err(anyhow::Error::msg).with_context(context)?)))
        };
        Ok(Some(Arc::new(Alerts {
            on_failure: action(&settings.on_failure)?,
            on_recovery: action(&settings.on_recovery)?,
            on_missed: action(&settings.on_missed)?,
            every: settings.every,
        })))
    }

    fn transport_of(&self, follow: &FollowSettings) -> Option<Arc<Transport>> {
        match follow {
            FollowSettings::Mail(mail) => self.transports.get(&mail.via).cloned(),
            FollowSettings::Http(_) | FollowSettings::WecomRobot(_) => None,
        }
    }

    fn links(&self, page: &FetchSettings, function: &str) -> anyhow::Result<Links> {
        let save = page.save.as_ref();
        let database = save.map(|save| self.databases.connect(&save.database)).transpose()?;
        let transport = page.then.as_ref().and_then(|follow| self.transport_of(follow));
        let memo = self.store.memo(function, "fetch");
        Ok(Links { clients: self.clients.clone(), memo, database, transport })
    }

    fn batch(&self, batch: &BatchSettings, function: &FunctionSettings) -> anyhow::Result<Batch> {
        let database = self.databases.connect(&batch.source.database)?;
        let action = match &batch.action {
            ActionSettings::Mail(mail) | ActionSettings::Digest { mail, .. } => {
                let transport = self
                    .transports
                    .get(&mail.via)
                    .with_context(|| format!("there is no mail transport `{}`", mail.via))?;
                let action = MailAction::new(mail, Arc::clone(transport))?;
                RowAction::Mail(Arc::new(action.over(batch.concurrency)))
            }
            ActionSettings::Http(request) => {
                RowAction::Http(Box::new(HttpAction::new(request, &self.clients)?))
            }
            ActionSettings::Export(export) => {
                let follow = export.then.as_ref();
                let follow =
                    follow.map(|then| Follow::new(then, &self.clients, self.transport_of(then))).transpose();
                let export = follow.and_then(|follow| Export::new(export, follow));
                RowAction::Export(Box::new(export.map_err(anyhow::Error::msg)?))
            }
            ActionSettings::WecomRobot(robot) => {
                RowAction::WecomRobot(Box::new(WecomRobot::new(robot, &self.clients)?))
            }
            ActionSettings::Wechat(message) => {
                let account = self.accounts.get(&message.via);
                let account =
                    account.with_context(|| format!("there is no WeChat account `{}`", message.via))?;
                RowAction::Wechat(Box::new(WechatAction::new(message, Arc::clone(account))?))
            }
        };
        let line = {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.entry(batch.id.clone()).or_default().clone()
        };
        let batch =
            Batch::new(batch, database, action, self.store.clone(), self.clock.clone(), timezone(function))?;
        Ok(batch.in_line(line))
    }

    /// Says goodbye to mail servers. To be called when nothing runs any more.
    pub(super) async fn close(&self) {
        let goodbye = |transport: &Arc<Transport>| {
            let transport = Arc::clone(transport);
            async move { transport.close().await }
        };
        self.transports.values().map(goodbye).collect::<JoinSet<()>>().join_all().await;
    }
}

/// Of the `_local` parameters.
fn timezone(function: &FunctionSettings) -> Tz {
    function.triggers.first().map_or(Shanghai, |trigger| trigger.schedule.timezone())
}

/// The runners in force, by function, and the old ones that have still to end.
#[derive(Debug)]
pub(super) struct Runners {
    current: BTreeMap<String, Runner>,
    retiring: TaskTracker,
}

impl Runners {
    pub(super) fn of(functions: &[Function]) -> Self {
        let current = functions.iter().map(|function| (function.name.clone(), function.runner.clone()));
        Self { current: current.collect(), retiring: TaskTracker::new() }
    }

    pub(super) fn has(&self, function: &str) -> bool {
        self.current.contains_key(function)
    }

    /// Puts `runner` into force; the one before it ends its idle workers, and its busy ones after their calls.
    pub(super) fn put(&mut self, function: String, runner: Runner) {
        if let Some(old) = self.current.insert(function, runner) {
            self.retire(old);
        }
    }

    pub(super) fn remove(&mut self, function: &str) {
        if let Some(old) = self.current.remove(function) {
            self.retire(old);
        }
    }

    fn retire(&self, runner: Runner) {
        if let Runner::Target(target) = runner {
            self.retiring.spawn(async move { target.shutdown().await });
        }
    }

    /// Ends all workers. To be called when nothing runs any more.
    pub(super) async fn close(mut self) {
        for runner in std::mem::take(&mut self.current).into_values() {
            self.retire(runner);
        }
        self.retiring.close();
        self.retiring.wait().await;
    }
}
