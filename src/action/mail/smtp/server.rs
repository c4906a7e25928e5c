//! A mail server as its settings have it, and what its connections share.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::login::Login;
use crate::settings::{SmtpSecurity, SmtpServerSettings, TlsMode};
use crate::tls;

/// Where connections go, and how they are opened.
#[derive(Debug)]
pub(in crate::action::mail) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: SmtpSecurity,
    pub(super) login: Option<Login>,
    /// How many connections it may be asked for, at least 1.
    pub(super) most_connections: usize,
    /// There is another one, which may take what this one cannot.
    pub(super) stands_in: bool,
    /// Certificates are read once. It also keeps what makes the next handshake a short one.
    encryption: OnceLock<Arc<ClientConfig>>,
}

impl Server {
    pub(in crate::action::mail) fn new(settings: &SmtpServerSettings) -> Self {
        Self {
            host: settings.host.clone(),
            port: settings.port,
            security: settings.security.clone(),
            login: settings.login.as_ref().map(Login::new),
            most_connections: settings.connections.map_or(usize::MAX, NonZeroUsize::get),
            stands_in: false,
            encryption: OnceLock::new(),
        }
    }

    /// The same, in the place of another one for a while.
    pub(in crate::action::mail) fn standing_in(self) -> Self {
        Self { stands_in: true, ..self }
    }

    /// `host:port`.
    pub(in crate::action::mail) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// What an encrypted connection needs, and the name that the server's certificate must have. `mode` is the same each
    /// time.
    pub(super) fn encryption(
        &self,
        mode: &TlsMode,
    ) -> Result<(Arc<ClientConfig>, ServerName<'static>), String> {
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| format!("no certificate can have the name `{}`", self.host))?;
        if let Some(config) = self.encryption.get() {
            return Ok((Arc::clone(config), name));
        }
        let config = tls::client(mode)?.ok_or("TLS is off")?;
        Ok((Arc::clone(self.encryption.get_or_init(|| Arc::new(config))), name))
    }
}
