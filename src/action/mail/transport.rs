//! The way out for mail: a Maildir or an SMTP server.

use std::sync::Arc;

use super::maildir::Maildir;
use super::message::RenderedMail;
use super::smtp::{MAILS_PER_CONNECTION, Pool, Server, Timeouts};
use crate::action::Outcome;
use crate::clock::Clock;
use crate::settings::{MailRoute, MailTransportSettings};

/// An open way out. Connections and folders are made when the first mail needs them.
#[derive(Debug)]
pub struct Transport {
    from: String,
    route: Route,
}

#[derive(Debug)]
enum Route {
    Maildir(Maildir),
    Smtp(Pool),
}

impl Transport {
    /// Opens nothing yet; `clock` ages idle connections.
    pub fn open(settings: &MailTransportSettings, clock: Clock) -> Arc<Self> {
        Self::with_timeouts(settings, clock, Timeouts::default())
    }

    /// The same with other patience.
    pub fn with_timeouts(settings: &MailTransportSettings, clock: Clock, timeouts: Timeouts) -> Arc<Self> {
        let route = match &settings.route {
            MailRoute::Maildir(folder) => Route::Maildir(Maildir::new(folder.clone())),
            MailRoute::Smtp(smtp) => Route::Smtp(Pool::new(Server::new(&smtp.server), clock, timeouts)),
        };
        Arc::new(Self { from: settings.from.clone(), route })
    }

    /// Says goodbye on all connections. Later deliveries open new ones.
    pub async fn close(&self) {
        match &self.route {
            Route::Maildir(_) => {}
            Route::Smtp(pool) => pool.close().await,
        }
    }

    /// How many deliveries at once keep that many connections full.
    pub(super) fn at_once(&self, connections: usize) -> usize {
        match &self.route {
            Route::Maildir(_) => connections,
            Route::Smtp(_) => connections.saturating_mul(MAILS_PER_CONNECTION),
        }
    }

    /// `From` of mails that do not name another, as configured.
    pub(super) fn from(&self) -> &str {
        &self.from
    }

    /// `connections`: how many the sender may have.
    pub(super) async fn deliver(&self, mail: &RenderedMail, connections: usize) -> Outcome {
        match &self.route {
            Route::Maildir(maildir) => maildir.deliver(mail).await,
            Route::Smtp(pool) => pool.deliver(mail, connections).await,
        }
    }
}
