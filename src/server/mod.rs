//! The HTTP API: what a running daemon can be asked and told, over a Unix socket beside its state.
//!
//! `socket` is the place, `wire` and `ledger` the shapes of what is said, `routes` and `batches` the addresses, `fire` the
//! one answer that comes in pieces, `reply` how errors look. It can fire, pause, resume, reload; it can never define
//! what is run. `docs/api.md` is its reference, for people; the CLI's remote verbs are its first user.
//! Knows the engine's handle, and nothing of what stands behind it; of the store it keeps the lock, for the
//! socket's sake.

mod batches;
mod fire;
pub mod ledger;
mod reply;
mod routes;
pub mod socket;
pub mod wire;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::socket::Socket;
use crate::engine::{Handle, Reload};
use crate::settings::StateSettings;

/// How long answers may take to end once the server is told to stop. Those of an engine that has ended
/// take no time; a client that does not read must not keep the daemon.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What the API speaks for.
#[derive(Clone, Debug)]
pub struct Api {
    /// The engine.
    pub handle: Handle,
    /// The look at the function folders.
    pub reload: Reload,
    /// What does not change.
    pub info: Info,
}

/// What the daemon says about itself.
#[derive(Clone, Debug)]
pub struct Info {
    /// Where the state is.
    pub state: StateSettings,
}

/// Answers on `socket` until `stop`; then accepts nothing new, lets answers in flight end, and takes the
/// socket away.
///
/// To be stopped when the engine has ended: while it drains, questions get the answer that it does.
pub async fn serve(socket: Socket, api: Api, stop: CancellationToken) {
    let Socket { listener, place } = socket;
    let told = stop.clone();
    let server = axum::serve(listener, routes::router(api))
        .with_graceful_shutdown(async move { told.cancelled().await })
        .into_future();
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        // Accepting never fails for good: axum waits and goes on, so there is no error to look at.
        _ = server => {}
        () = late => tracing::warn!("some clients of the API did not take their answers"),
    }
    drop(place);
}
