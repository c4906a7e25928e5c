//! What an answer means for a mail.

use crate::action::Outcome;

/// What the server was answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The connection itself, or EHLO.
    Hello,
    /// RSET before the next mail.
    Reset,
    /// MAIL FROM.
    Sender,
    /// MAIL FROM of a mail that makes use of SMTPUTF8.
    Utf8Sender,
    /// RCPT TO.
    Recipient,
    /// DATA, before the body.
    Data,
    /// The body.
    Body,
}

/// The outcome of a refusal with `code`; `text` is the reply on one line.
pub(super) fn refused(stage: Stage, code: u16, text: &str) -> Outcome {
    let what = match stage {
        Stage::Hello => "the server does not want us",
        Stage::Sender | Stage::Utf8Sender => "sender refused",
        Stage::Recipient => "recipient refused",
        Stage::Reset | Stage::Data | Stage::Body => "mail refused",
    };
    let reason = format!("{what}: {text}");
    match (code, stage) {
        (400..=499, _) => Outcome::Retry { reason },
        // RFC 1870 §6.2: the declared size is too much; other mails may be smaller. RFC 6531 §3.5: the offer of SMTPUTF8
        // was not meant; other mails do without it.
        (552, Stage::Sender | Stage::Utf8Sender) | (501 | 504 | 555, Stage::Utf8Sender) => {
            Outcome::Failed { reason }
        }
        (500..=599, Stage::Utf8Sender) if text.contains(" 5.6.7 ") => Outcome::Failed { reason },
        // RFC 4954 §6: the login is missing, too weak, wrong, or wants encryption.
        (500..=599, Stage::Hello | Stage::Sender | Stage::Utf8Sender) | (530 | 534 | 535 | 538, _) => {
            Outcome::Halt { reason }
        }
        (500..=599, _) => Outcome::Failed { reason },
        _ => Outcome::Retry { reason: format!("unexpected answer: {text}") },
    }
}

/// The server is about to hang up (RFC 5321 §3.8).
pub(super) const CLOSING: u16 = 421;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_what_their_stage_makes_of_them() {
        let kind = |stage, code| match refused(stage, code, "text") {
            Outcome::Failed { .. } => "failed",
            Outcome::Retry { .. } => "retry",
            Outcome::Halt { .. } => "halt",
            other => panic!("{other:?}"),
        };
        for stage in [Stage::Hello, Stage::Sender, Stage::Recipient, Stage::Data, Stage::Body] {
            assert_eq!(kind(stage, 451), "retry");
            assert_eq!(kind(stage, 421), "retry");
            assert_eq!(kind(stage, 530), "halt");
            assert_eq!(kind(stage, 535), "halt");
            assert_eq!(kind(stage, 354), "retry");
        }
        assert_eq!(kind(Stage::Hello, 554), "halt");
        assert_eq!(kind(Stage::Sender, 550), "halt");
        assert_eq!(kind(Stage::Sender, 552), "failed");
        assert_eq!(kind(Stage::Sender, 555), "halt");
        assert_eq!(kind(Stage::Utf8Sender, 550), "halt");
        assert_eq!(kind(Stage::Utf8Sender, 553), "halt");
        assert_eq!(kind(Stage::Utf8Sender, 555), "failed");
        assert_eq!(kind(Stage::Recipient, 550), "failed");
        assert_eq!(kind(Stage::Data, 554), "failed");
        assert_eq!(kind(Stage::Body, 554), "failed");
    }
}
