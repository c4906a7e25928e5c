//! What the system tells the daemon, and what the daemon tells systemd.

use anyhow::Context as _;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The first SIGTERM or SIGINT asks to drain, the second to stop at once.
pub(super) fn stop() -> anyhow::Result<(CancellationToken, CancellationToken)> {
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
            tell(&[NotifyState::Stopping]);
            token.cancel();
        }
    });
    Ok((drain, abort))
}

/// SIGHUP. From here on it no longer ends the process.
pub(super) fn hangups() -> anyhow::Result<Signal> {
    signal(SignalKind::hangup()).context("could not listen for SIGHUP")
}

/// The triggers are armed, or a reload is over.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A reload has begun; [`ready`] ends it. The time tells systemd that this is not the end of an earlier one
/// (`man 5 systemd.service`, `Type=notify-reload`).
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "could not notify systemd"),
    }
}

/// Tells systemd, when it is there.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "could not notify systemd");
    }
}
