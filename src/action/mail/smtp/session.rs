//! The protocol on one greeted connection: envelopes, bodies, and what the server answers to them.
//!
//! With PIPELINING (RFC 2920) a mail's MAIL, RCPT and DATA go out in one write, and that write may carry the body
//! of the mail before as well: DATA ends a group, but a body's final dot does not. Without it, each command waits
//! for the answer to the one before. Either way every mail gets its exact outcome.

use std::fmt::Write;
use std::time::Duration;

use super::Timeouts;
use super::hello::Offers;
use super::reply::Reply;
use super::verdict::{CLOSING, Stage, refused};
use super::wire::{Wire, WireError};
use crate::action::Outcome;
use crate::action::mail::message::RenderedMail;

/// The line that ends a body.
const END: &str = ".\r\n";

/// A greeted connection.
#[derive(Debug)]
pub(super) struct Session {
    wire: Wire,
    offers: Offers,
    timeouts: Timeouts,
    /// The last mail left a transaction open.
    reset_due: bool,
    /// What goes out behind a body, or alone; the envelope of the mail that comes next is in it.
    out: String,
    /// Where in `out` that envelope starts.
    envelope_at: usize,
    /// That envelope asks for SMTPUTF8.
    is_utf8: bool,
}

/// What the server made of an envelope.
#[derive(Debug)]
pub(super) enum Envelope {
    /// It waits for the body.
    Accepted,
    /// It does not take the mail.
    Refused {
        /// What becomes of the mail.
        outcome: Outcome,
        /// It waits for the body all the same (RFC 2920 §3.1).
        body_due: bool,
    },
    /// The connection is over.
    Lost {
        /// What becomes of the mail, if it is not tried on another connection.
        outcome: Outcome,
        /// The server had not answered anything about it.
        unheard: bool,
        /// The server was silent, and the connection did not break.
        silent: bool,
    },
}

/// What became of a body.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) outcome: Outcome,
    /// The connection goes on, with the next envelope if there was one.
    pub(super) usable: bool,
}

impl Session {
    /// Speaks on a connection whose greeting is done.
    pub(super) fn new(wire: Wire, offers: Offers, timeouts: Timeouts) -> Self {
        Self { wire, offers, timeouts, reset_due: false, out: String::new(), envelope_at: 0, is_utf8: false }
    }

    /// Ready for another mail, as far as can be told without asking.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.wire.is_quiet()
    }

    /// Waits until the server says something unasked, or hangs up.
    pub(super) async fn disturbed(&mut self) {
        self.wire.disturbed().await;
    }

    /// The next envelope may go out with the body before it.
    pub(super) fn may_overlap(&self) -> bool {
        self.offers.pipelining
    }

    /// Why this server would refuse the mail, known before asking.
    pub(super) fn cannot_take(&self, mail: &RenderedMail) -> Option<String> {
        self.offers.cannot_take(mail)
    }

    /// Sends a mail's envelope when nothing else is on its way. [`Session::envelope`] hears what becomes of it.
    pub(super) async fn begin(&mut self, mail: &RenderedMail) -> Result<(), WireError> {
        self.out.clear();
        self.compose(mail);
        if self.offers.pipelining {
            self.wire.send_within(&self.out, self.timeouts.command).await?;
        }
        Ok(())
    }

    /// Writes the envelope of `mail` behind what is in `out`.
    fn compose(&mut self, mail: &RenderedMail) {
        self.envelope_at = self.out.len();
        self.is_utf8 = mail.needs_utf8();
        let out = &mut self.out;
        if self.reset_due {
            out.push_str("RSET\r\n");
        }
        for part in ["MAIL FROM:<", mail.from().spec(), ">"] {
            out.push_str(part);
        }
        if self.offers.size {
            // Writing to a String cannot fail.
            let _ = write!(out, " SIZE={}", mail.bytes().len());
        }
        if mail.needs_utf8() {
            out.push_str(" SMTPUTF8");
            if self.offers.eight_bit {
                out.push_str(" BODY=8BITMIME");
            }
        }
        for part in ["\r\nRCPT TO:<", mail.to().spec(), ">\r\nDATA\r\n"] {
            out.push_str(part);
        }
    }

    /// Hears what becomes of the envelope that was sent, or sends it command by command when the server wants it so.
    /// The first refusal decides what becomes of the mail.
    pub(super) async fn envelope(&mut self) -> Envelope {
        const STAGES: [Stage; 4] = [Stage::Reset, Stage::Sender, Stage::Recipient, Stage::Data];
        let commands = std::mem::take(&mut self.out);
        let lines = commands.get(self.envelope_at..).unwrap_or_default().split_inclusive('\n');
        let stages = STAGES.into_iter().skip(usize::from(!self.reset_due)).zip(lines);
        let heard = self.converse(stages).await;
        self.out = commands;
        heard
    }

    async fn converse(&mut self, stages: impl Iterator<Item = (Stage, &str)>) -> Envelope {
        let grouped = self.offers.pipelining;
        let mut refusal = None;
        let mut body_due = false;
        for (stage, line) in stages {
            let unheard = matches!(stage, Stage::Reset | Stage::Sender);
            let reply = match if grouped { self.answer().await } else { self.ask(line).await } {
                Ok(reply) => reply,
                Err(error) => {
                    let silent = matches!(error, WireError::Timeout);
                    return Envelope::Lost {
                        outcome: refusal.unwrap_or_else(|| lost(&error)),
                        unheard,
                        silent,
                    };
                }
            };
            body_due = stage == Stage::Data && reply.code == 354;
            let accepted = if stage == Stage::Data { body_due } else { reply.is_positive() };
            if unheard {
                self.reset_due = stage == Stage::Sender && accepted;
            }
            if accepted {
                continue;
            }
            let outcome = refusal.unwrap_or_else(|| {
                let utf8 = stage == Stage::Sender && self.is_utf8;
                let stage = if utf8 { Stage::Utf8Sender } else { stage };
                refused(stage, reply.code, &self.wire.text(&reply))
            });
            if reply.code == CLOSING || stage == Stage::Reset {
                return Envelope::Lost { outcome, unheard, silent: false };
            }
            if !(400..600).contains(&reply.code) {
                return Envelope::Lost { outcome, unheard: false, silent: false };
            }
            refusal = Some(outcome);
            if !grouped {
                break;
            }
        }
        match refusal {
            None => Envelope::Accepted,
            Some(outcome) => Envelope::Refused { outcome, body_due },
        }
    }

    /// RFC 2920 §3.1: a server that refused the recipient and asks for the body all the same gets
    /// a lone dot; its answer changes nothing. Whether the connection goes on.
    pub(super) async fn empty_body(&mut self) -> bool {
        self.reset_due = false;
        matches!(self.ask(END).await, Ok(reply) if reply.code != CLOSING)
    }

    /// Writes the body of `mail` and its final dot, the envelope of `next` right behind them, and hears what becomes
    /// of `mail`. Until the system has taken the final dot, the server cannot have the mail; from then on, only its
    /// answer tells.
    pub(super) async fn body(&mut self, mail: &RenderedMail, next: Option<&RenderedMail>) -> Settled {
        let broken = |outcome| Settled { outcome, usable: false };
        self.reset_due = false;
        self.out.clear();
        self.out.push_str(END);
        if let Some(next) = next {
            self.compose(next);
        }
        let stuffed = mail.needs_stuffing().then(|| stuff(mail.bytes()));
        let bytes = stuffed.as_deref().unwrap_or(mail.bytes());
        let mut accepted = 0;
        let writing = self.wire.send_counted(bytes, self.out.as_bytes(), &mut accepted);
        let written = tokio::time::timeout(self.timeouts.body, writing).await;
        if accepted < bytes.len() + END.len() {
            return broken(self.cut_off(written.ok()).await);
        }
        let reply = match self.wire.reply_within(self.timeouts.answer).await {
            Ok(reply) => reply,
            Err(error) => {
                let reason = format!("the mail went out whole, but {error}");
                return broken(Outcome::Uncertain { reason });
            }
        };
        let text = self.wire.text(&reply);
        let settled = |outcome| Settled { outcome, usable: matches!(written, Ok(Ok(()))) };
        match reply.code {
            200..=299 => settled(Outcome::Sent { detail: text }),
            CLOSING => broken(refused(Stage::Body, CLOSING, &text)),
            400..=599 => settled(refused(Stage::Body, reply.code, &text)),
            _ => {
                let reason = format!("the mail went out whole, but the answer was {text}");
                broken(Outcome::Uncertain { reason })
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

    /// Waits for the answer to a command.
    async fn answer(&mut self) -> Result<Reply, WireError> {
        self.wire.reply_within(self.timeouts.command).await
    }

    /// Sends a command and waits for its answer.
    async fn ask(&mut self, command: &str) -> Result<Reply, WireError> {
        self.wire.ask(command, self.timeouts.command).await
    }
}

pub(super) fn lost(error: &WireError) -> Outcome {
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
