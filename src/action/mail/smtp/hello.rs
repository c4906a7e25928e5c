//! From nothing to a connection that takes mail: connecting, TLS, the greeting, EHLO, the login.

use std::net::SocketAddr;
use std::time::Duration;

use super::Timeouts;
use super::login::{Denied, Methods};
use super::reply::Reply;
use super::server::Server;
use super::tls::HandshakeError;
use super::verdict::{Stage, refused};
use super::wire::{EncryptError, Wire, WireError};
use crate::action::Outcome;
use crate::action::mail::message::RenderedMail;
use crate::settings::{SmtpSecurity, TlsMode};

/// What the server's EHLO answer offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an extension of its own")]
pub(super) struct Offers {
    pub(super) pipelining: bool,
    pub(super) eight_bit: bool,
    pub(super) utf8: bool,
    /// RFC 1870: MAIL may declare the size.
    pub(super) size: bool,
    /// The size in bytes that the server takes, if it says so.
    pub(super) limit: Option<usize>,
}

/// What the server says it can do.
#[derive(Debug, Default)]
struct Welcome {
    offers: Offers,
    starttls: bool,
    methods: Methods,
}

/// Opens a connection to `server` that takes mail. The error is the outcome of any mail that was to use it.
pub(super) async fn connect(server: &Server, timeouts: Timeouts) -> Result<(Wire, Offers), Outcome> {
    open(server, timeouts).await.map_err(|refusal| refusal.outcome(server))
}

async fn open(server: &Server, timeouts: Timeouts) -> Result<(Wire, Offers), Refusal> {
    let patience = timeouts.command;
    let connecting = tokio::time::timeout(timeouts.connect, Wire::connect(&server.host, server.port));
    let mut wire = connecting
        .await
        .map_err(|_| Refusal::Later(format!("no answer in {:?}", timeouts.connect)))?
        .map_err(|error| Refusal::Later(error.to_string()))?;
    if let SmtpSecurity::Implicit(mode) = &server.security {
        wire = encrypt(wire, server, mode, timeouts).await?;
    }
    let greeting = wire.reply_within(patience).await?;
    if greeting.code != 220 {
        return Err(unwelcome(&wire, &greeting));
    }
    if wire.has_more() {
        // It would be taken for the answer to the next command, and that for the one to the command after it.
        return Err(Refusal::Later("it said more than its greeting before it was asked".to_owned()));
    }
    let mut welcome = hello(&mut wire, patience).await?;
    if let Some(mode) = start_tls(&mut wire, server, &welcome, patience).await? {
        wire = encrypt(wire, server, mode, timeouts).await?;
        // What was offered in the clear may have been offered by somebody else (RFC 3207 §4.2).
        welcome = hello(&mut wire, patience).await?;
    }
    if let Some(login) = &server.login {
        if !wire.is_encrypted() && server.security != SmtpSecurity::Plain {
            return Err(Refusal::Never("no login is sent in the clear".to_owned()));
        }
        login.log_in(&mut wire, &welcome.methods, patience).await?;
    }
    Ok((wire, welcome.offers))
}

async fn hello(wire: &mut Wire, patience: Duration) -> Result<Welcome, Refusal> {
    let name = literal(wire.local_addr().map_err(WireError::from)?);
    let hello = wire.ask(&format!("EHLO {name}\r\n"), patience).await?;
    if hello.is_positive() {
        return Ok(Welcome::read(|| wire.lines(&hello)));
    }
    if hello.code < 500 {
        return Err(unwelcome(wire, &hello));
    }
    let hello = wire.ask(&format!("HELO {name}\r\n"), patience).await?;
    if hello.is_positive() { Ok(Welcome::default()) } else { Err(unwelcome(wire, &hello)) }
}

/// Asks for TLS if the settings want it; whom to trust when it begins, none: it goes on in the clear.
async fn start_tls<'a>(
    wire: &mut Wire,
    server: &'a Server,
    welcome: &Welcome,
    patience: Duration,
) -> Result<Option<&'a TlsMode>, Refusal> {
    let (mode, required) = match &server.security {
        SmtpSecurity::Plain | SmtpSecurity::Implicit(_) => return Ok(None),
        SmtpSecurity::StartTls(mode) => (mode, true),
        SmtpSecurity::Opportunistic => (&TlsMode::Unverified, false),
    };
    if !welcome.starttls {
        let offer =
            "it does not offer STARTTLS, and nothing is sent to it in the clear unless \"tls\" is \"off\"";
        return if required { Err(Refusal::Never(offer.to_owned())) } else { Ok(None) };
    }
    let reply = wire.ask("STARTTLS\r\n", patience).await?;
    let text = wire.text(&reply);
    match reply.code {
        220 => Ok(Some(mode)),
        400..=499 if required || reply.code == 421 => {
            Err(Refusal::Later(format!("it cannot do TLS now: {text}")))
        }
        _ if required => {
            Err(Refusal::Never(format!("it offers STARTTLS and refuses it, nothing was sent: {text}")))
        }
        _ => Ok(None),
    }
}

async fn encrypt(wire: Wire, server: &Server, mode: &TlsMode, timeouts: Timeouts) -> Result<Wire, Refusal> {
    let (config, name) = server.encryption(mode).map_err(Refusal::Never)?;
    match tokio::time::timeout(timeouts.connect, wire.encrypt(config, name)).await {
        Ok(Ok(wire)) => Ok(wire),
        Ok(Err(EncryptError::Handshake(HandshakeError::Io(error)))) => {
            Err(Refusal::Later(format!("the TLS handshake broke off: {error}")))
        }
        // The server's own trouble, as far as anybody can tell.
        Ok(Err(EncryptError::Handshake(HandshakeError::Tls(error @ rustls::Error::AlertReceived(_))))) => {
            Err(Refusal::Later(format!("the TLS handshake was refused: {error}")))
        }
        Ok(Err(EncryptError::Handshake(HandshakeError::Tls(error)))) => Err(Refusal::Never(distrust(&error))),
        Ok(Err(error)) => Err(Refusal::Never(error.to_string())),
        Err(_) => Err(Refusal::Later(format!("no TLS handshake in {:?}", timeouts.connect))),
    }
}

fn distrust(error: &rustls::Error) -> String {
    let help = match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            "; \"tls_ca\" names a file with the certificates to trust"
        }
        rustls::Error::InvalidMessage(_) => "; is this a port that begins with TLS?",
        _ => "",
    };
    format!("it is not trusted: {error}{help}")
}

fn unwelcome(wire: &Wire, reply: &Reply) -> Refusal {
    Refusal::Said(refused(Stage::Hello, reply.code, &wire.text(reply)))
}

impl Welcome {
    fn read<'a, I: Iterator<Item = &'a str>>(lines: impl Fn() -> I) -> Self {
        let starttls = lines().skip(1).any(|line| line.trim().eq_ignore_ascii_case("STARTTLS"));
        Self { offers: Offers::read(lines()), starttls, methods: Methods::read(lines()) }
    }
}

impl Offers {
    fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut offers = Self::default();
        for line in lines.skip(1) {
            let mut words = line.split_ascii_whitespace();
            match words.next().map(str::to_ascii_uppercase).as_deref() {
                Some("PIPELINING") => offers.pipelining = true,
                Some("8BITMIME") => offers.eight_bit = true,
                Some("SMTPUTF8") => offers.utf8 = true,
                // RFC 1870 §3: no number, or 0, is no limit.
                Some("SIZE") => {
                    offers.size = true;
                    let limit = words.next().and_then(|word| word.parse().ok());
                    offers.limit = limit.filter(|limit| *limit > 0);
                }
                _ => {}
            }
        }
        offers
    }

    /// Why this server would refuse the mail, known before asking.
    pub(super) fn cannot_take(&self, mail: &RenderedMail) -> Option<String> {
        if mail.needs_utf8() && !self.utf8 {
            return Some(format!(
                "the server takes ASCII addresses only (it does not offer SMTPUTF8), not {} to {}; \
                 a domain can be written in its xn-- form",
                mail.from().spec(),
                mail.to().spec(),
            ));
        }
        let size = mail.bytes().len();
        let limit = self.limit.filter(|limit| size > *limit)?;
        Some(format!("the mail has {size} bytes, the server takes {limit}"))
    }
}

/// Why a connection takes no mail.
enum Refusal {
    /// It is gone.
    Lost(WireError),
    /// The server cannot be used now.
    Later(String),
    /// It cannot be used until somebody mends the settings, or the server.
    Never(String),
    /// What an answer of its means for a mail.
    Said(Outcome),
}

impl Refusal {
    fn outcome(self, server: &Server) -> Outcome {
        let address = server.address();
        let unreachable = |what: &dyn std::fmt::Display| Outcome::Unreachable {
            reason: format!("could not connect to {address}: {what}"),
        };
        match self {
            Self::Lost(error) => unreachable(&error),
            Self::Later(reason) | Self::Said(Outcome::Retry { reason }) => unreachable(&reason),
            Self::Never(reason) => Outcome::Halt { reason: format!("could not use {address}: {reason}") },
            Self::Said(outcome) => outcome,
        }
    }
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self::Lost(error)
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Lost(error) => Self::Lost(error),
            Denied::Later(reason) => Self::Later(reason),
            Denied::Never(reason) => Self::Never(reason),
        }
    }
}

/// What EHLO calls us: an address literal (RFC 5321 §4.1.3), since the machine's name is nobody's
/// business and often no name that the world knows.
fn literal(addr: SocketAddr) -> String {
    match addr.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => format!("[{ip}]"),
        std::net::IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_read_from_the_answer_to_ehlo() {
        let read = |lines: &[&str]| Offers::read(lines.iter().copied());
        let all = read(&["mx.test", "pipelining", "SIZE 1000", "8BITMIME", "SMTPUTF8", "X-OTHER"]);
        let expected =
            Offers { pipelining: true, eight_bit: true, utf8: true, size: true, limit: Some(1000) };
        assert_eq!(all, expected);
        for unlimited in ["SIZE", "SIZE 0"] {
            assert_eq!(read(&["mx.test", unlimited]), Offers { size: true, ..Offers::default() });
        }
        assert_eq!(read(&["PIPELINING is our name"]), Offers::default());
    }

    #[test]
    fn address_literals() {
        assert_eq!(literal("127.0.0.1:5".parse().unwrap()), "[127.0.0.1]");
        assert_eq!(literal("[::1]:5".parse().unwrap()), "[IPv6:::1]");
    }
}
