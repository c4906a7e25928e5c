//! The composition root: settings become running parts; signals and systemd are told here.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use chrono_tz::Asia::Shanghai;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::action::mail::{MailAction, Transport};
use crate::batch::Batch;
use crate::clock::Clock;
use crate::db::Databases;
use crate::engine::{Engine, Foreground, Function, Limits, Runner};
use crate::run::{Outcome, Output};
use crate::settings::{ActionSettings, BatchSettings, FunctionSettings, Settings, TargetSettings};
use crate::store::Store;
use crate::store::runs::RunId;
use crate::target::{Host, Target};

/// What runs share: made once, used by every function.
pub(crate) struct Parts {
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) functions: Vec<Function>,
    pub(crate) closing: Closing,
}

/// What wants a last word before the process ends.
pub(crate) struct Closing {
    transports: Vec<Arc<Transport>>,
    runners: Vec<Runner>,
}

impl Closing {
    /// Says goodbye to mail servers and ends idle workers. To be called when nothing runs any more.
    async fn close(self) {
        for transport in self.transports {
            transport.close().await;
        }
        for runner in self.runners {
            if let Runner::Target(target) = runner {
                target.shutdown().await;
            }
        }
    }
}

impl Parts {
    /// Takes the state's lock and compiles templates. Databases and servers are reached on first use.
    pub(crate) fn build(settings: &Settings, clock: Clock) -> anyhow::Result<Self> {
        let store = Store::open(&settings.state)?;
        let host = Host::supervise(clock.clone());
        let databases = Databases::new(&settings.databases);
        let open = |(name, transport)| (name, Transport::open(transport, clock.clone()));
        let transports: BTreeMap<_, _> = settings.mail.iter().map(open).collect();
        let wiring = Wiring {
            clock: &clock,
            store: &store,
            host: &host,
            databases: &databases,
            transports: &transports,
        };
        let functions: Vec<Function> =
            settings.functions.iter().map(|function| wiring.function(function)).collect::<Result<_, _>>()?;
        let runners = functions.iter().map(|function| function.runner.clone()).collect();
        let closing = Closing { transports: transports.into_values().collect(), runners };
        Ok(Self { clock, store, functions, closing })
    }
}

struct Wiring<'a> {
    clock: &'a Clock,
    store: &'a Store,
    host: &'a Host,
    databases: &'a Databases,
    transports: &'a BTreeMap<&'a String, Arc<Transport>>,
}

impl Wiring<'_> {
    fn function(&self, settings: &FunctionSettings) -> anyhow::Result<Function> {
        let runner = match &settings.target {
            TargetSettings::Function(code) => Runner::Target(Arc::new(Target::function(code, self.host))),
            TargetSettings::Command(command) => Runner::Target(Arc::new(Target::command(command, self.host))),
            TargetSettings::Batch(batch) => {
                let batch = self
                    .batch(batch, settings)
                    .with_context(|| format!("could not set up the function `{}`", settings.name))?;
                Runner::Batch(Arc::new(batch))
            }
        };
        Ok(Function {
            name: settings.name.clone(),
            triggers: Arc::clone(&settings.triggers),
            overlap: settings.overlap,
            on_interrupted: settings.on_interrupted,
            runner,
        })
    }

    fn batch(&self, batch: &BatchSettings, function: &FunctionSettings) -> anyhow::Result<Batch<MailAction>> {
        let name = &batch.source.database;
        let database =
            self.databases.connect(name).with_context(|| format!("there is no database `{name}`"))?;
        let (ActionSettings::Mail(mail) | ActionSettings::Digest { mail, .. }) = &batch.action;
        let transport = self
            .transports
            .get(&mail.via)
            .with_context(|| format!("there is no mail transport `{}`", mail.via))?;
        let action = MailAction::new(mail, Arc::clone(transport))?;
        let timezone = function.triggers.first().map_or(Shanghai, |trigger| trigger.schedule.timezone());
        Ok(Batch::new(batch, database, action, self.store.clone(), self.clock.clone(), timezone)?)
    }
}

/// The daemon: fires triggers until SIGTERM or SIGINT. True when every run had ended by then.
pub(crate) async fn serve(settings: &Settings, clock: Clock) -> anyhow::Result<bool> {
    let (drain, abort) = stop_signals()?;
    let Parts { clock, store, functions, closing } = Parts::build(settings, clock)?;
    let limits = Limits {
        max_runs: settings.max_runs,
        drain_timeout: settings.drain_timeout,
        history: settings.history.clone(),
    };
    let triggers: usize = functions.iter().map(|function| function.triggers.len()).sum();
    let folders = functions.len();
    let event = settings.event.clone();
    let mut engine = Engine::new(store, clock, functions, event, limits, drain, abort);
    engine.recover().await.context("could not settle what the last process left behind")?;
    tracing::info!(functions = folders, triggers, state = %settings.state.display(), "ready");
    notify(&[NotifyState::Ready]);
    let aborted = engine.run().await.context("could not get a timer from the system")?;
    closing.close().await;
    if aborted > 0 {
        tracing::error!(aborted, "stopped before all runs had ended");
    } else {
        tracing::info!("stopped");
    }
    Ok(aborted == 0)
}

/// One manual fire of the first function in `settings`, by the path of a timed one.
///
/// Fails when a daemon holds the state.
pub(crate) async fn fire(
    settings: &Settings,
    clock: Clock,
    trigger: usize,
    output: Output,
) -> anyhow::Result<(RunId, Outcome)> {
    let (drain, abort) = stop_signals()?;
    let Parts { clock, store, functions, closing } = Parts::build(settings, clock)?;
    let function = functions.first().context("there is no function to fire")?;
    if let Runner::Batch(batch) = &function.runner {
        batch.recover().await?;
    }
    let event = &settings.event;
    let foreground = Foreground { store: &store, clock: &clock, event, output, drain, abort };
    let fired = foreground.run(function, trigger).await?;
    closing.close().await;
    Ok(fired)
}

/// The first SIGTERM or SIGINT asks to drain, the second to stop at once.
fn stop_signals() -> anyhow::Result<(CancellationToken, CancellationToken)> {
    let (drain, abort) = (CancellationToken::new(), CancellationToken::new());
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let tokens = (drain.clone(), abort.clone());
    tokio::spawn(async move {
        for token in [tokens.0, tokens.1] {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM"),
                _ = interrupt.recv() => tracing::info!("SIGINT"),
            }
            notify(&[NotifyState::Stopping]);
            token.cancel();
        }
    });
    Ok((drain, abort))
}

/// Tells systemd, when it is there.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "could not notify systemd");
    }
}
