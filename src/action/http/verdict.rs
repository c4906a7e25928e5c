//! What an answer means.

use std::time::Duration;

use serde_json::Value;

use super::exchange::{Fault, FaultKind, Reply, retry_after};
use super::request::HttpRequest;
use crate::action::Outcome;
use crate::settings::HttpSuccess;

/// Bytes of an answer that a reason quotes.
pub const QUOTED: usize = 200;

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// In the words that all actions share.
    pub outcome: Outcome,
    /// What the server answered, if it did.
    pub reply: Option<Reply>,
    /// The server wants to be asked again after this, not earlier.
    pub retry_after: Option<Duration>,
    /// It was the timeout that ended it.
    pub timed_out: bool,
}

impl Delivery {
    /// One that no server had a part in.
    pub const fn of(outcome: Outcome) -> Self {
        Self { outcome, reply: None, retry_after: None, timed_out: false }
    }
}

pub(super) fn delivery(rule: &HttpSuccess, request: &HttpRequest, reply: Reply) -> Delivery {
    let outcome = judge(rule, request, &reply);
    let waits = matches!(outcome, Outcome::Retry { .. });
    let retry_after = waits.then(|| retry_after(&reply)).flatten();
    Delivery { outcome, retry_after, reply: Some(reply), timed_out: false }
}

impl From<Fault> for Delivery {
    fn from(Fault { kind, reason, timed_out }: Fault) -> Self {
        let outcome = match kind {
            FaultKind::Nobody => Outcome::Unreachable { reason },
            FaultKind::Again => Outcome::Retry { reason },
            FaultKind::Doubt => Outcome::Uncertain { reason },
            FaultKind::Final => Outcome::Failed { reason },
            FaultKind::Halt => Outcome::Halt { reason },
        };
        Self { timed_out, ..Self::of(outcome) }
    }
}

/// Whether an answer with this status would be the same another time.
pub const fn final_status(status: u16) -> bool {
    !matches!(status, 408 | 425 | 429 | 500..=599)
}

/// What `reply` means under `rule`.
pub fn judge(rule: &HttpSuccess, request: &HttpRequest, reply: &Reply) -> Outcome {
    let status = reply.status_text();
    if !rule.status.iter().any(|(first, last)| (*first..=*last).contains(&reply.status)) {
        let reason = format!("answered {status}{}", quote(request, reply));
        return if final_status(reply.status) {
            Outcome::Failed { reason }
        } else if reply.handed_over {
            Outcome::Uncertain { reason }
        } else {
            Outcome::Retry { reason }
        };
    }
    if reply.is_cut {
        let reason = format!(
            "answered {status} with more than {} bytes; raise `max_response`, or ask for less",
            reply.body.len()
        );
        return Outcome::Failed { reason };
    }
    if let Some(rule) = &rule.json {
        let wrong = |what: String| Outcome::Failed {
            reason: format!("answered {status}, but {what}{}", quote(request, reply)),
        };
        let Ok(answer) = serde_json::from_slice::<Value>(&reply.body) else {
            return wrong("not in JSON".to_owned());
        };
        match answer.pointer(&rule.pointer) {
            Some(found) if *found == rule.equals => {}
            Some(found) => {
                let found = request.beginning(found.to_string().as_bytes(), QUOTED);
                return wrong(format!("`{}` is {found} and not {}", rule.pointer, rule.equals));
            }
            None => return wrong(format!("without `{}`", rule.pointer)),
        }
    }
    Outcome::Sent { detail: status }
}

/// The beginning of an answer, on one line.
fn quote(request: &HttpRequest, reply: &Reply) -> String {
    if let Some(to) = reply.header("location").filter(|_| (300..400).contains(&reply.status)) {
        let to = request.beginning(to.as_bytes(), QUOTED);
        return format!(", a redirect to {to}; name the new URL, or allow `redirects`");
    }
    let text = request.beginning(&reply.body, QUOTED);
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_text = !text.contains(|c: char| c == '\u{fffd}' || (c.is_control() && !c.is_whitespace()));
    if words.is_empty() || !is_text {
        return String::new();
    }
    format!(": {}", words.join(" "))
}
