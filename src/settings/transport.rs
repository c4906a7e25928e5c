//! Ways out for mail: a folder or servers, and what a connection to a server needs.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::{DkimSettings, Secret, TlsMode};

/// Where mail goes.
#[derive(Clone, Debug, PartialEq)]
pub struct MailTransportSettings {
    /// The way out.
    pub route: MailRoute,
    /// `From` of mails that do not name another: `name <address>` or an address.
    pub from: String,
    /// How mails are signed; none: they are not.
    pub dkim: Option<DkimSettings>,
}

/// The way out for mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailRoute {
    /// Files in a Maildir (`tmp`, `new`, `cur`); the folder is created.
    Maildir(PathBuf),
    /// Submission or relay servers.
    Smtp(Box<SmtpSettings>),
}

/// The servers of a way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpSettings {
    /// The one that is used.
    pub server: SmtpServerSettings,
    /// The one that is used while that one is not there.
    pub fallback: Option<SmtpServerSettings>,
    /// How many mails may be on their way to one domain.
    pub per_domain: Option<DomainLimits>,
}

/// How many mails may be on their way to a recipient's domain at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainLimits {
    /// To each domain that is not named; none: to those, as many as there are.
    pub default: Option<NonZeroUsize>,
    /// To those that are: small letters, ASCII as IDNA has it.
    pub domains: BTreeMap<String, NonZeroUsize>,
}

/// A mail server, and how it is talked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpServerSettings {
    /// Name or address.
    pub host: String,
    /// The scheme's own unless given: 25, or 465.
    pub port: u16,
    /// How the connection is kept from others.
    pub security: SmtpSecurity,
    /// Who logs in; none: nobody.
    pub login: Option<SmtpLogin>,
    /// The most connections to it at a time, for all senders together; none: as many as they ask for.
    pub connections: Option<NonZeroUsize>,
}

/// How a connection to a mail server is kept from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// It is not.
    Plain,
    /// By STARTTLS to whoever answers, if the server offers it; else it is not. Never with a login.
    Opportunistic,
    /// By STARTTLS (RFC 3207) or not at all; not [`TlsMode::Off`].
    StartTls(TlsMode),
    /// From the first byte on (RFC 8314); not [`TlsMode::Off`].
    Implicit(TlsMode),
}

/// A login at a mail server (RFC 4954).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpLogin {
    /// Who.
    pub user: String,
    /// With what.
    pub proof: LoginProof,
    /// How a password is told; none: as the server offers it.
    pub method: Option<PasswordMethod>,
}

/// What shows that a login is no stranger's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginProof {
    /// A password.
    Password(Secret),
    /// An OAuth 2.0 access token (XOAUTH2).
    Token(Secret),
    /// Program and arguments; what it prints is the token. At least one.
    TokenCommand(Vec<String>),
}

/// How a password is told to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordMethod {
    /// RFC 4616.
    Plain,
    /// In two answers; older than the standards.
    Login,
}
