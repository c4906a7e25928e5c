//! From nothing to a connection that takes mail: connecting, the greeting, EHLO.

use std::net::SocketAddr;
use std::time::Duration;

use super::Timeouts;
use super::reply::Reply;
use super::verdict::{Stage, refused};
use super::wire::{Wire, WireError};
use crate::action::Outcome;
use crate::action::mail::message::RenderedMail;

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

/// Connects, reads the greeting and says hello. The error is the outcome of any mail that was to use the
/// connection.
pub(super) async fn connect(host: &str, port: u16, timeouts: Timeouts) -> Result<(Wire, Offers), Outcome> {
    let unreachable = |what: &dyn std::fmt::Display| Outcome::Unreachable {
        reason: format!("could not connect to {host}:{port}: {what}"),
    };
    let mut wire = match tokio::time::timeout(timeouts.connect, Wire::connect(host, port)).await {
        Ok(Ok(wire)) => wire,
        Ok(Err(error)) => return Err(unreachable(&error)),
        Err(_) => return Err(unreachable(&format!("no answer in {:?}", timeouts.connect))),
    };
    let offers = greet(&mut wire, timeouts.command).await.map_err(|error| match error {
        Greet::Lost(error) => unreachable(&error),
        Greet::Refused(Outcome::Retry { reason }) => unreachable(&reason),
        Greet::Refused(outcome) => outcome,
    })?;
    Ok((wire, offers))
}

async fn greet(wire: &mut Wire, patience: Duration) -> Result<Offers, Greet> {
    let greeting = wire.reply_within(patience).await?;
    if greeting.code != 220 {
        return Err(unwelcome(wire, &greeting));
    }
    let name = literal(wire.local_addr().map_err(WireError::from)?);
    let hello = wire.ask(&format!("EHLO {name}\r\n"), patience).await?;
    if hello.is_positive() {
        return Ok(Offers::read(wire.lines(&hello)));
    }
    if hello.code < 500 {
        return Err(unwelcome(wire, &hello));
    }
    let hello = wire.ask(&format!("HELO {name}\r\n"), patience).await?;
    if hello.is_positive() { Ok(Offers::default()) } else { Err(unwelcome(wire, &hello)) }
}

fn unwelcome(wire: &Wire, reply: &Reply) -> Greet {
    Greet::Refused(refused(Stage::Hello, reply.code, &wire.text(reply)))
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

/// Why no greeting came to pass.
enum Greet {
    Lost(WireError),
    Refused(Outcome),
}

impl From<WireError> for Greet {
    fn from(error: WireError) -> Self {
        Self::Lost(error)
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
