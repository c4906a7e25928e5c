//! The way out for mail: a Maildir or SMTP servers.

use std::sync::Arc;

use ring::error::KeyRejected;

use super::dkim::Signer;
use super::domains::{Domains, Place};
use super::maildir::Maildir;
use super::message::RenderedMail;
use super::servers::Servers;
use super::smtp::Timeouts;
use crate::action::Outcome;
use crate::clock::Clock;
use crate::settings::{MailRoute, MailTransportSettings};

/// An open way out. Connections and folders are made when the first mail needs them.
#[derive(Debug)]
pub struct Transport {
    from: String,
    route: Route,
    domains: Option<Domains>,
    /// What signs the mails, or why nothing can.
    signer: Option<Result<Signer, KeyRejected>>,
}

#[derive(Debug)]
enum Route {
    Maildir(Maildir),
    Smtp(Servers),
}

impl Transport {
    /// Opens nothing yet; `clock` measures how long a server is left alone.
    pub fn open(settings: &MailTransportSettings, clock: Clock) -> Arc<Self> {
        Self::with_timeouts(settings, clock, Timeouts::default())
    }

    /// The same with other patience.
    pub fn with_timeouts(settings: &MailTransportSettings, clock: Clock, timeouts: Timeouts) -> Arc<Self> {
        let signer = settings.dkim.as_ref().map(|dkim| Signer::new(dkim, clock.clone()));
        let (route, domains) = match &settings.route {
            MailRoute::Maildir(folder) => (Route::Maildir(Maildir::new(folder.clone())), None),
            MailRoute::Smtp(smtp) => {
                let domains = smtp.per_domain.clone().map(Domains::new);
                (Route::Smtp(Servers::new(smtp, clock, timeouts)), domains)
            }
        };
        Arc::new(Self { from: settings.from.clone(), route, domains, signer })
    }

    /// Says goodbye on all connections. Later deliveries open new ones.
    pub async fn close(&self) {
        match &self.route {
            Route::Maildir(_) => {}
            Route::Smtp(servers) => servers.close().await,
        }
    }

    /// How many deliveries at once keep that many connections full.
    pub(super) fn at_once(&self, connections: usize) -> usize {
        match &self.route {
            Route::Maildir(_) => connections,
            Route::Smtp(servers) => servers.at_once(connections),
        }
    }

    /// `From` of mails that do not name another, as configured.
    pub(super) fn from(&self) -> &str {
        &self.from
    }

    /// Domains get so many mails at a time and no more.
    pub(super) fn limits_domains(&self) -> bool {
        self.domains.is_some()
    }

    /// Waits until the domain that `mail` goes to has room for it; none: nothing limits how many it gets.
    pub(super) async fn place(&self, mail: &RenderedMail) -> Option<Place> {
        self.domains.as_ref()?.place(mail.to()).await
    }

    /// `connections`: how many the sender may have.
    pub(super) async fn deliver(&self, mail: &RenderedMail, connections: usize) -> Outcome {
        match &self.signer {
            None => self.carry(mail, connections).await,
            Some(Ok(signer)) => match signer.sign(mail).await {
                Ok(mail) => self.carry(&mail, connections).await,
                Err(outcome) => outcome,
            },
            Some(Err(problem)) => Outcome::Halt {
                reason: format!("could not sign the mail (dkim): the key cannot be used: {problem}"),
            },
        }
    }

    async fn carry(&self, mail: &RenderedMail, connections: usize) -> Outcome {
        match &self.route {
            Route::Maildir(maildir) => maildir.deliver(mail).await,
            Route::Smtp(servers) => servers.deliver(mail, connections).await,
        }
    }
}
