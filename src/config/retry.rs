//! `retry` of a function.

use std::time::Duration;

use super::decode::{Keys, Node};
use super::units::{duration, positive_duration};
use crate::settings::{RetryOn, RetryPolicy};

const KEYS: Keys = Keys::only(&["attempts", "delay", "factor", "max_delay", "jitter", "on"]);

/// `"cloud"`, or a policy of one's own.
pub(super) fn read(node: &Node<'_>) -> Option<RetryPolicy> {
    if node.is_string() {
        return node.word(&["cloud"]).map(|_| RetryPolicy::CLOUD);
    }
    let fields = node.object(&KEYS)?;
    let attempts = fields.need("attempts", |node| node.integer(2..=100));
    let delay = fields.read("delay", duration).unwrap_or(Duration::from_secs(10));
    let factor = fields.read("factor", |node| node.integer(1..=10)).unwrap_or(2);
    let max_delay = fields.read("max_delay", positive_duration);
    if let (Some(bound), Some(node)) = (max_delay, fields.get("max_delay"))
        && bound < delay
    {
        node.error(
            "`max_delay` is shorter than `delay`",
            "no wait would ever be as long as `delay`".to_owned(),
        );
    }
    Some(RetryPolicy {
        attempts: u32::try_from(attempts?).ok()?,
        delay,
        factor: u32::try_from(factor).ok()?,
        max_delay: max_delay.unwrap_or(Duration::from_secs(600)).max(delay),
        jitter: fields.read("jitter", Node::boolean).unwrap_or(true),
        on: fields.read("on", on).unwrap_or(RetryOn { failed: true, timed_out: true }),
    })
}

fn on(node: &Node<'_>) -> Option<RetryOn> {
    let mut on = RetryOn { failed: false, timed_out: false };
    let words = node.list()?;
    if words.is_empty() {
        node.error("nothing would be tried again", "write `[\"failed\", \"timed-out\"]`".to_owned());
    }
    for word in words {
        match word.word(&["failed", "timed-out"])? {
            "failed" => on.failed = true,
            _ => on.timed_out = true,
        }
    }
    Some(on)
}
