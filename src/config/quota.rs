//! Quotas of a batch: so many deliveries in any span of time.

use std::num::NonZeroU32;
use std::time::Duration;

use super::decode::{Keys, Node};
use super::units::parse_duration;
use crate::settings::{QuotaSettings, Rate};

/// Reads `"10000/1h"`, a list of such, or an object that names the quota too; `batch` names it otherwise.
pub(super) fn read(node: &Node<'_>, batch: &str) -> Option<QuotaSettings> {
    if !node.is_object() {
        return Some(QuotaSettings { name: batch.to_owned(), limits: limits(node)? });
    }
    let fields = node.object(&Keys::only(&["name", "limit"]))?;
    let name = fields.read("name", |node| {
        let name = node.text()?;
        if name.len() > 100 || name.contains(char::is_control) || name.trim() != name {
            node.error("a name is short and has no spaces at its ends", None);
            return None;
        }
        Some(name.to_owned())
    });
    let limits = fields.need("limit", limits);
    Some(QuotaSettings { name: name.unwrap_or_else(|| batch.to_owned()), limits: limits? })
}

fn limits(node: &Node<'_>) -> Option<Vec<Rate>> {
    let nodes = if node.kind() == "a list" { node.list()? } else { vec![node.clone()] };
    if nodes.is_empty() {
        node.error("no limit is given", "write one such as `10000/1h`".to_owned());
        return None;
    }
    let mut limits: Vec<Rate> = Vec::with_capacity(nodes.len());
    for node in &nodes {
        let limit = limit(node)?;
        if limits.iter().any(|known| known.per == limit.per) {
            node.error("two limits for the same time", "keep the smaller one".to_owned());
            return None;
        }
        limits.push(limit);
    }
    Some(limits)
}

fn limit(node: &Node<'_>) -> Option<Rate> {
    if !node.is_string() {
        return node.wrong_type("a string such as `10000/1h`");
    }
    let text = node.string()?;
    let limit = parse_limit(text);
    if limit.is_none() {
        let help = "write how many in how long, such as `20/1m` or `10000/1h`; at least a second".to_owned();
        node.error(format!("`{text}` is not a quota"), help);
    }
    limit
}

/// `10000/1h`; `10000/h` means the same.
fn parse_limit(text: &str) -> Option<Rate> {
    let (count, per) = text.split_once('/')?;
    if !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let bare = per.starts_with(|c: char| c.is_ascii_alphabetic());
    let per = if bare { parse_duration(&format!("1{per}"))? } else { parse_duration(per)? };
    (per >= Duration::from_secs(1)).then_some(Rate { count: count.parse::<NonZeroU32>().ok()?, per })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_counts_in_a_time() {
        for (text, count, seconds) in
            [("10000/1h", 10_000, 3600), ("20/1m", 20, 60), ("5/h", 5, 3600), ("1/1d12h", 1, 129_600)]
        {
            let limit = parse_limit(text).unwrap();
            assert_eq!((limit.count.get(), limit.per), (count, Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "10", "0/1h", "/1h", "10/", "10/0s", "10/1ms", "+1/1h", "1.5/1h", "10/1x", "10 /1h"]
        {
            assert_eq!(parse_limit(text), None, "{text}");
        }
    }
}
