//! The protocol on one greeted connection: one mail after the other.
//!
//! With PIPELINING (RFC 2920) a mail's MAIL, RCPT and DATA go out in one write; without it, each
//! waits for the answer to the one before. Either way every mail gets its exact outcome.

use std::fmt::Write;
use std::time::Duration;

use super::Timeouts;
use super::hello::Offers;
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
    /// Speaks on a connection whose greeting is done.
    pub(super) fn new(wire: Wire, offers: Offers, timeouts: Timeouts) -> Self {
        Self { wire, offers, timeouts, reset_due: false, commands: String::new() }
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
            self.wire
                .send_within(commands, self.timeouts.command)
                .await
                .map_err(|error| Stop(lost(&error), After::Stale))?;
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
        let reply = match self.wire.reply_within(self.timeouts.answer).await {
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
        match self.wire.reply_within(MOMENT).await {
            Ok(reply) if reply.code >= 400 => refused(Stage::Body, reply.code, &self.wire.text(&reply)),
            _ => match written {
                Some(Err(error)) => lost(&error.into()),
                _ => lost(&WireError::Timeout),
            },
        }
    }

    /// Waits for the answer to a command.
    async fn answer(&mut self) -> Result<Reply, WireError> {
        self.wire.reply_within(self.timeouts.command).await
    }

    /// Sends a command and waits for its answer.
    async fn ask(&mut self, command: &str) -> Result<Reply, WireError> {
        self.wire.ask(command, self.timeouts.command).await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_stuffed_at_line_starts_only() {
        assert_eq!(stuff(b".\r\na.b\r\n..\r\n"), b"..\r\na.b\r\n...\r\n");
    }
}
