//! Mails that come back: `target.bounces`.

use std::path::Path;

use super::batch::reference;
use super::daemon::absolute;
use super::decode::{Keys, Node};
use super::export::lies_in;
use super::function::Scope;
use super::mark::columns;
use crate::settings::{BouncesSettings, SoftBounces};

const KEYS: Keys = Keys::only(&["maildir", "database", "table", "key", "recipient", "hard", "soft"]);

/// Reads `target.bounces` of the function folder `dir`.
pub(super) fn read(node: &Node<'_>, dir: &Path, scope: &Scope<'_>) -> Option<BouncesSettings> {
    let fields = node.object(&KEYS)?;
    let maildir = fields.need("maildir", |node| {
        let path = node.text()?;
        if lies_in(dir, path) {
            let help = "each mail counts as a change of the function; write as in `../../var/bounces`";
            node.warning("the Maildir is in the function's own folder", help.to_owned());
        }
        Some(absolute(dir, path))
    });
    let database = fields.need("database", |node| {
        reference(node, "database", "databases", scope.daemon.database_names.as_deref())
    });
    let name = |node: &Node<'_>| node.text().map(str::to_owned);
    let table = fields.need("table", name);
    let key = fields.need("key", name);
    let recipient = fields.need("recipient", name);
    let hard = fields.need("hard", |node| columns(node, true));
    let soft = match fields.get("soft") {
        Some(node) => Some(soft(node)?),
        None => None,
    };
    Some(BouncesSettings {
        maildir: maildir?,
        database: database?,
        table: table?,
        key: key?,
        recipient: recipient?,
        hard: hard?,
        soft,
    })
}

fn soft(node: &Node<'_>) -> Option<SoftBounces> {
    let fields = node.object(&Keys::only(&["count", "limit", "also", "mark"]))?;
    let count = fields.need("count", |node| node.text().map(str::to_owned));
    let limit = fields.read("limit", |node| node.integer(1..=1_000_000));
    let also = fields.read("also", |node| node.list()?.iter().map(status).collect::<Option<Vec<_>>>());
    let mark = match fields.get("mark") {
        Some(node) => columns(node, true)?,
        None => Vec::new(),
    };
    if let (Some(node), Some(count)) = (fields.get("mark"), &count)
        && mark.iter().any(|(column, _)| column == count)
    {
        node.error(format!("`{count}` is counted up, and cannot be written too"), None);
    }
    Some(SoftBounces {
        count: count?,
        limit: limit.and_then(|limit| u32::try_from(limit).ok()),
        also: also.unwrap_or_default(),
        mark,
    })
}

/// `5.2.2`, or `5.7` for all that begin so.
fn status(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    let mut parts = text.split('.');
    let is_number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let is_status =
        parts.next() == Some("5") && (1..=2).contains(&parts.clone().count()) && parts.all(is_number);
    if !is_status {
        let help = "write one such as `5.2.2`, or `5.7` for all that begin so".to_owned();
        node.error(format!("`{text}` is no status of a mail that failed for good (RFC 3463)"), help);
    }
    Some(text.to_owned())
}
