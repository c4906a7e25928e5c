//! The protocol on one connection: greeting, EHLO, then one mail after the other.
//!
//! With PIPELINING (RFC 2920) a mail's MAIL, RCPT and DATA go out in one write; without it, each
//! waits for the answer to the one before. Either way every mail gets its exact outcome.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use super::Timeouts;
use super::reply::Reply;
use super::verdict::{CLOSING, Stage, refused};
use super::wire::{Wire, WireError};
use crate::action::Outcome;
use crate::action::mail::message::RenderedMail;

/// A greeted connection.
#[derive(Debug)]
pub(super) struct Session {
    wire: Wire,
    offers: Offers,
    timeouts: Timeouts,
    /// The last mail left a transaction open.
    reset_due: bool,
    /// Reused for every envelope.
    commands: String,
}

/// What the server's EHLO answer offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an extension of its own")]
struct Offers {
    pipelining: bool,
    eight_bit: bool,
    utf8: bool,
    /// RFC 1870: MAIL may declare the size.
    size: bool,
    /// The size in bytes that the server takes, if it says so.
    limit: Option<usize>,
}

/// What became of a mail on a connection.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) outcome: Outcome,
    /// What the connection is good for now.
    pub(super) after: After,
}

/// The state of a connection after a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The next mail may use it.
    Usable,
    /// It is gone, or in an unknown state.
    Broken,
    /// It was gone before the server answered anything about this mail.
    Stale,
}

/// Why the envelope or the body ended early.
struct Stop(Outcome, After);

impl Session {
    /// Connects, reads the greeting and says hello. The outcome is that of any mail that was to
    /// use the connection.
    pub(super) async fn open(host: &str, port: u16, timeouts: Timeouts) -> Result<Self, Outcome> {
        let unreachable = |what: &dyn std::fmt::Display| Outcome::Unreachable {
            reason: format!("could not connect to {host}:{port}: {what}"),
        };
        let wire = match tokio::time::timeout(timeouts.connect, Wire::connect(host, port)).await {
            Ok(Ok(wire)) => wire,
            Ok(Err(error)) => return Err(unreachable(&error)),
            Err(_) => return Err(unreachable(&format!("no answer in {:?}", timeouts.connect))),
        };
        let mut session =
            Self { wire, offers: Offers::default(), timeouts, reset_due: false, commands: String::new() };
        session.greet().await.map_err(|error| match error {
            Greet::Lost(error) => unreachable(&error),
            Greet::Refused(Outcome::Retry { reason }) => unreachable(&reason),
            Greet::Refused(outcome) => outcome,
        })?;
        Ok(session)
    }

    /// Ready for another mail, as far as can be told without asking.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.wire.is_quiet()
    }

    /// Delivers one mail.
    pub(super) async fn deliver(&mut self, mail: &RenderedMail) -> Attempt {
        if let Some(reason) = self.offers.cannot_take(mail) {
            return Attempt { outcome: Outcome::Failed { reason }, after: After::Usable };
        }
        let delivered = match self.envelope(mail).await {
            Ok(()) => self.body(mail).await,
            Err(stop) => Err(stop),
        };
        match delivered {
            Ok(outcome) => Attempt { outcome, after: After::Usable },
            Err(Stop(outcome, after)) => Attempt { outcome, after },
        }
    }

    /// Says goodbye, and waits a moment for the answer.
    pub(super) async fn quit(mut self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        // Whatever happens, the connection is over.
        let _ = tokio::time::timeout(PATIENCE, async {
            self.wire.send(b"QUIT\r\n").await?;
            self.wire.reply().await
        })
        .await;
    }

    async fn greet(&mut self) -> Result<(), Greet> {
        let greeting = self.reply(self.timeouts.command).await?;
        if greeting.code != 220 {
            return Err(self.unwelcome(&greeting));
        }
        let name = literal(self.wire.local_addr().map_err(WireError::from)?);
        let hello = self.ask(&format!("EHLO {name}\r\n")).await?;
        if hello.is_positive() {
            self.offers = Offers::read(self.wire.lines(&hello));
            return Ok(());
        }
        if hello.code < 500 {
            return Err(self.unwelcome(&hello));
        }
        let hello = self.ask(&format!("HELO {name}\r\n")).await?;
        if hello.is_positive() { Ok(()) } else { Err(self.unwelcome(&hello)) }
    }

    fn unwelcome(&self, reply: &Reply) -> Greet {
        Greet::Refused(refused(Stage::Hello, reply.code, &self.wire.text(reply)))
    }

    /// MAIL, RCPT and DATA, after a RSET when the last mail left a transaction open. `Ok` means
    /// that the server waits for the body. The first refusal decides what becomes of the mail.
    async fn envelope(&mut self, mail: &RenderedMail) -> Result<(), Stop> {
        let mut commands = std::mem::take(&mut self.commands);
        self.compose(&mut commands, mail);
        let result = self.converse(&commands).await;
        self.commands = commands;
        result
    }

    fn compose(&self, commands: &mut String, mail: &RenderedMail) {
        commands.clear();
        if self.reset_due {
            commands.push_str("RSET\r\n");
        }
        // Writing to a String cannot fail.
        let _ = write!(commands, "MAIL FROM:<{}>", mail.from().spec());
        if self.offers.size {
            let _ = write!(commands, " SIZE={}", mail.bytes().len());
        }
        if mail.needs_utf8() {
            commands.push_str(" SMTPUTF8");
            if self.offers.eight_bit {
                commands.push_str(" BODY=8BITMIME");
            }
        }
        let _ = write!(commands, "\r\nRCPT TO:<{}>\r\nDATA\r\n", mail.to().spec());
    }

    async fn converse(&mut self, commands: &str) -> Result<(), Stop> {
        const STAGES: [Stage; 4] = [Stage::Reset, Stage::Sender, Stage::Recipient, Stage::Data];
        let grouped = self.offers.pipelining;
        if grouped {
            self.send(commands).await.map_err(|error| Stop(lost(&error), After::Stale))?;
        }
        let stages = STAGES.iter().skip(usize::from(!self.reset_due));
        let mut refusal = None;
        let mut waits_for_body = false;
        for (&stage, line) in stages.zip(commands.split_inclusive('\n')) {
            let first = matches!(stage, Stage::Reset | Stage::Sender);
            let reply = match if grouped { self.answer().await } else { self.ask(line).await } {
                Ok(reply) => reply,
                Err(error) => {
                    let after = if first { After::Stale } else { After::Broken };
                    return Err(Stop(refusal.unwrap_or_else(|| lost(&error)), after));
                }
            };
            waits_for_body = stage == Stage::Data && reply.code == 354;
            let accepted = if stage == Stage::Data { waits_for_body } else { reply.is_positive() };
            if matches!(stage, Stage::Reset | Stage::Sender) {
                self.reset_due = stage == Stage::Sender && accepted;
            }
            if accepted {
                continue;
            }
            let outcome = refusal.unwrap_or_else(|| refused(stage, reply.code, &self.wire.text(&reply)));
            if reply.code == CLOSING || stage == Stage::Reset {
                let after = if first { After::Stale } else { After::Broken };
                return Err(Stop(outcome, after));
            }
            if !(400..600).contains(&reply.code) {
                return Err(Stop(outcome, After::Broken));
            }
            refusal = Some(outcome);
            if !grouped {
                break;
            }
        }
        match refusal {
            None => Ok(()),
            Some(outcome) if waits_for_body => Err(Stop(outcome, self.empty_body().await)),
            Some(outcome) => Err(Stop(outcome, After::Usable)),
        }
    }

    /// RFC 2920 §3.1: a server that refused the recipient and asks for the body all the same gets
    /// a lone dot; its answer changes nothing.
    async fn empty_body(&mut self) -> After {
        self.reset_due = false;
        match self.ask(".\r\n").await {
            Ok(reply) if reply.code != CLOSING => After::Usable,
            _ => After::Broken,
        }
    }

    /// Writes the body and its final dot. Until the system has taken the last byte, the server
    /// cannot have the mail; from then on, only its answer tells.
    async fn body(&mut self, mail: &RenderedMail) -> Result<Outcome, Stop> {
        const END: &[u8] = b".\r\n";
        let stuffed = mail.needs_stuffing().then(|| stuff(mail.bytes()));
        let bytes = stuffed.as_deref().unwrap_or(mail.bytes());
        let mut accepted = 0;
        let writing = self.wire.send_counted(bytes, END, &mut accepted);
        let written = tokio::time::timeout(self.timeouts.body, writing).await;
        if accepted < bytes.len() + END.len() {
            return Err(Stop(self.cut_off(written.ok()).await, After::Broken));
        }
        let reply = match self.reply(self.timeouts.answer).await {
            Ok(reply) => reply,
            Err(error) => {
                let reason = format!("the mail went out whole, but {error}");
                return Err(Stop(Outcome::Uncertain { reason }, After::Broken));
            }
        };
        self.reset_due = false;
        let text = self.wire.text(&reply);
        match reply.code {
            200..=299 => Ok(Outcome::Sent { detail: text }),
            CLOSING => Err(Stop(refused(Stage::Body, CLOSING, &text), After::Broken)),
            400..=599 => Err(Stop(refused(Stage::Body, reply.code, &text), After::Usable)),
            _ => {
                let reason = format!("the mail went out whole, but the answer was {text}");
                Err(Stop(Outcome::Uncertain { reason }, After::Broken))
            }
        }
    }

    /// The body could not be written to its end. The server may have said why.
    async fn cut_off(&mut self, written: Option<std::io::Result<()>>) -> Outcome {
        const MOMENT: Duration = Duration::from_millis(200);
        match self.reply(MOMENT).await {
            Ok(reply) if reply.code >= 400 => refused(Stage::Body, reply.code, &self.wire.text(&reply)),
            _ => match written {
                Some(Err(error)) => lost(&error.into()),
                _ => lost(&WireError::Timeout),
            },
        }
    }

    /// Sends a command and waits for its answer.
    async fn ask(&mut self, command: &str) -> Result<Reply, WireError> {
        self.send(command).await?;
        self.answer().await
    }

    async fn send(&mut self, commands: &str) -> Result<(), WireError> {
        let sending = self.wire.send(commands.as_bytes());
        tokio::time::timeout(self.timeouts.command, sending).await.map_err(|_| WireError::Timeout)??;
        Ok(())
    }

    /// Waits for the answer to a command.
    async fn answer(&mut self) -> Result<Reply, WireError> {
        self.reply(self.timeouts.command).await
    }

    async fn reply(&mut self, patience: Duration) -> Result<Reply, WireError> {
        tokio::time::timeout(patience, self.wire.reply()).await.map_err(|_| WireError::Timeout)?
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
    fn cannot_take(&self, mail: &RenderedMail) -> Option<String> {
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

fn lost(error: &WireError) -> Outcome {
    Outcome::Retry { reason: error.to_string() }
}

/// RFC 5321 §4.5.2: a dot that starts a line is doubled.
fn stuff(bytes: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(bytes.len() + 64);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    stuffed
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
    fn dots_are_stuffed_at_line_starts_only() {
        assert_eq!(stuff(b".\r\na.b\r\n..\r\n"), b"..\r\na.b\r\n...\r\n");
    }

    #[test]
    fn address_literals() {
        assert_eq!(literal("127.0.0.1:5".parse().unwrap()), "[127.0.0.1]");
        assert_eq!(literal("[::1]:5".parse().unwrap()), "[IPv6:::1]");
    }
}
