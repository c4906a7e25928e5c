//! The composition root: settings become running parts, the system's signals become orders.
//!
//! - `wiring`: from settings to parts
//! - `signals`: SIGTERM, SIGINT, SIGHUP, and what systemd is told
//! - `reload`: function folders that change while the daemon runs
//! - `watch`: where changes show (inotify); `settle`: until when a folder is left alone because it is being written
//!
//! How folders are read is nobody's business here: the caller hands in a closure that does it.

mod reload;
mod settle;
mod signals;
mod watch;
mod wiring;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use reload::Reloader;
pub(crate) use reload::Source;
use wiring::{Runners, Wiring};

use crate::batch::Discarded;
use crate::clock::Clock;
use crate::engine::handle::CommandError;
use crate::engine::{Engine, Foreground, Limits, Reload, Runner};
use crate::run::{Outcome, Output, Progress};
use crate::server::socket::Socket;
use crate::server::{self, Api, Info};
use crate::settings::Settings;
use crate::store::Store;
use crate::store::ledger_rows::Selection;
use crate::store::runs::RunId;

/// The daemon: fires triggers until SIGTERM or SIGINT, and takes over what changes in `source`, from which `settings`
/// were read. True when every run had ended by then.
pub(crate) async fn serve(settings: Settings, clock: Clock, source: Source) -> anyhow::Result<bool> {
    let (drain, abort) = signals::stop()?;
    let hangups = signals::hangups()?;
    let wiring = Arc::new(Wiring::open(&settings, clock.clone())?);
    let Settings { state, socket, event, history, max_runs, max_waiting, drain_timeout, functions, .. } =
        settings;
    let functions =
        functions.iter().map(|function| wiring.function(function)).collect::<anyhow::Result<Vec<_>>>()?;
    let limits = Limits { max_runs, max_waiting, drain_timeout, history };
    let triggers: usize = functions.iter().map(|function| function.triggers.len()).sum();
    let count = functions.len();
    let runners = Runners::of(&functions);
    let (mut engine, handle) = Engine::new(wiring.store.clone(), clock, event, limits, drain, abort);
    engine.recover(functions).await.context("could not settle what the last process left behind")?;
    let (reload, requests) = Reload::channel();
    let stop = CancellationToken::new();
    let reloader = Reloader::new(handle.clone(), Arc::clone(&wiring), runners, source);
    let reloader = tokio::spawn(reloader.run(hangups, requests, stop.clone()));
    let api = Api { handle, reload, info: Info { state: state.clone() } };
    let api = serve_api(&socket, &wiring.store, api, &stop);
    tracing::info!(functions = count, triggers, %state, "ready");
    signals::ready();
    let aborted = engine.run().await.context("could not get a timer from the system")?;
    stop.cancel();
    if let Some(api) = api {
        api.await.context("the API broke off")?;
    }
    let runners = reloader.await.context("the watch over the function folders broke off")?;
    wiring.close().await;
    runners.close().await;
    if aborted > 0 {
        tracing::error!(aborted, "stopped before all runs had ended");
    } else {
        tracing::info!("stopped");
    }
    Ok(aborted == 0)
}

/// The API on its socket; none where the system gives no socket: triggers fire all the same.
fn serve_api(path: &Path, store: &Store, api: Api, stop: &CancellationToken) -> Option<JoinHandle<()>> {
    match Socket::bind(path, store) {
        Ok(socket) => Some(tokio::spawn(server::serve(socket, api, stop.clone()))),
        Err(error) => {
            tracing::error!(%error, "nobody can ask this daemon anything");
            None
        }
    }
}

/// One manual fire of the first function in `settings`, by the path of a timed one, with `event` in the place of a timer's if
/// there is one.
///
/// Fails when a daemon holds the state.
pub(crate) async fn fire(
    settings: &Settings,
    clock: Clock,
    trigger: usize,
    event: Option<Arc<Value>>,
    output: Output,
    progress: Progress,
) -> anyhow::Result<(RunId, Outcome)> {
    let (drain, abort) = signals::stop()?;
    let wiring = Wiring::open(settings, clock)?;
    let function = wiring.function(settings.functions.first().context("there is no function to fire")?)?;
    if let Runner::Batch(batch) = &function.runner {
        if event.is_some() {
            return Err(CommandError::TakesNoEvent { function: function.name }.into());
        }
        batch.recover().await?;
    }
    let (store, clock, own_event, event) = (&wiring.store, &wiring.clock, event, &settings.event);
    let foreground = Foreground { store, clock, event, own_event, output, progress, drain, abort };
    let fired = foreground.run(&function, trigger).await?;
    wiring.close().await;
    Runners::of(&[function]).close().await;
    Ok(fired)
}

/// Discards rows of the batch that the first function in `settings` runs.
///
/// Fails when a daemon holds the state.
pub(crate) async fn discard(settings: &Settings, clock: Clock, rows: Selection) -> anyhow::Result<Discarded> {
    let wiring = Wiring::open(settings, clock)?;
    let function = wiring.function(settings.functions.first().context("there is no function")?)?;
    let Runner::Batch(batch) = &function.runner else { anyhow::bail!("the function runs no batch") };
    Ok(batch.discard(rows).await?)
}
