//! A mail: addresses, subject, texts.

use std::path::Path;

use super::batch::reference;
use super::decode::{Keys, Node};
use super::enclosed;
use super::template::{part, template};
use super::units::mailbox;
use crate::settings::{ActionSettings, MailSettings};

const KEYS: Keys = Keys {
    known: &[
        "via",
        "from",
        "to",
        "reply_to",
        "subject",
        "text",
        "text_file",
        "html",
        "html_file",
        "list_unsubscribe",
        "per",
        "max_rows",
        "attachments",
        "inline",
        "headers",
    ],
    ignored: &[],
    later: &["cc", "bcc"],
};

/// Reads a mail's templates in the folder `dir`. `mail_names`: the transports there are, as far as is known.
pub(super) fn read(node: &Node<'_>, dir: &Path, mail_names: Option<&[String]>) -> Option<ActionSettings> {
    let fields = node.object(&KEYS)?;
    let via = fields.need("via", |node| reference(node, "mail transport", "mail", mail_names));
    let from = fields.read("from", mailbox);
    let to = fields.need("to", template);
    let reply_to = fields.read("reply_to", template);
    let subject = fields.need("subject", template);
    let text = part(&fields, "text", "text_file", dir);
    let html = part(&fields, "html", "html_file", dir);
    if ["text", "text_file", "html", "html_file"].iter().all(|key| fields.get(key).is_none()) {
        node.error(
            "the mail has no text",
            "add `text` or `text_file`, and `html` or `html_file` if you like".to_owned(),
        );
    }
    let list_unsubscribe = fields.read("list_unsubscribe", |node| {
        let url = template(node)?;
        if !url.trim_start().starts_with("https://") && !url.trim_start().starts_with("{{") {
            node.error("one-click unsubscribe (RFC 8058) needs an address that starts with `https://`", None);
        }
        Some(url)
    });
    let is_digest = fields.read("per", |node| node.word(&["row", "run"])) == Some("run");
    let max_rows = fields.read("max_rows", |node| {
        if !is_digest {
            node.error("`max_rows` belongs to a mail with `\"per\": \"run\"`", None);
        }
        node.integer(1..=1_000_000)
    });
    let extras = enclosed::read(&fields, html.as_ref(), dir);
    let mail = MailSettings {
        via: via?,
        from,
        to: to?,
        reply_to,
        subject: subject?,
        text,
        html,
        list_unsubscribe,
        extras,
    };
    Some(if is_digest {
        ActionSettings::Digest { mail, max_rows: u32::try_from(max_rows.unwrap_or(1000)).ok()? }
    } else {
        ActionSettings::Mail(mail)
    })
}
