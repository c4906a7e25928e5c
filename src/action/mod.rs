//! One delivery: a rendered input goes out, an outcome comes back. Knows nothing of batches.

mod errcode;
pub mod export;
pub mod follow;
pub mod http;
pub mod mail;
mod template;
pub mod wechat;
pub mod wecom;

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::run::Row;

/// What became of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side took responsibility for it.
    Sent {
        /// What it answered, for the record.
        detail: String,
    },
    /// Final for this row: it will never succeed as it is (5xx, an invalid address, a missing column).
    Failed {
        /// One line.
        reason: String,
    },
    /// Not delivered, and another try may succeed (4xx, no connection, dropped before the end).
    Retry {
        /// One line.
        reason: String,
    },
    /// Not delivered, and no other would be for now: nobody is there to take it (no connection, a greeting that
    /// says "later"). The row is not to blame.
    Unreachable {
        /// One line.
        reason: String,
    },
    /// Not delivered, and no other would be for now: the other side has taken as many as it takes. The row is not to
    /// blame.
    Exhausted {
        /// One line.
        reason: String,
        /// How long until it takes more.
        wait: Duration,
    },
    /// Nobody can know: the connection went after the mail was whole and before the answer.
    Uncertain {
        /// One line.
        reason: String,
    },
    /// Not delivered, and no row would be: the sender or the login is refused, or the template asks
    /// for a column that no row has. The batch stops.
    Halt {
        /// One line.
        reason: String,
    },
}

impl Outcome {
    /// What the other side answered, or what went wrong; one line.
    pub fn text(&self) -> &str {
        match self {
            Self::Sent { detail: text }
            | Self::Failed { reason: text }
            | Self::Retry { reason: text }
            | Self::Unreachable { reason: text }
            | Self::Exhausted { reason: text, .. }
            | Self::Uncertain { reason: text }
            | Self::Halt { reason: text } => text,
        }
    }
}

/// What a row is rendered with.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The row.
    pub row: &'a Row,
    /// Unique and stable for this delivery; `Message-ID` comes from it.
    pub reservation: &'a str,
    /// When the fire was due; `fire_time` in templates, in Beijing time.
    pub fire_time: DateTime<Utc>,
    /// `Date` of mails; `now` in templates.
    pub now: DateTime<Utc>,
}
