//! The mail of a batch: addresses, subject, parts.

use std::path::Path;

use super::batch::reference;
use super::daemon::absolute;
use super::decode::{Fields, Keys, Node};
use super::function::Scope;
use super::json::Document;
use super::units::mailbox;
use crate::settings::{ActionSettings, MailSettings, TemplateSource};

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
    ],
    ignored: &[],
    later: &["cc", "bcc", "headers", "attachments"],
};

/// Reads `action.mail` of a batch in the function folder `dir`.
pub(super) fn read(node: &Node<'_>, dir: &Path, scope: &Scope<'_>) -> Option<ActionSettings> {
    let fields = node.object(&KEYS)?;
    let via = fields
        .need("via", |node| reference(node, "mail transport", "mail", scope.daemon.mail_names.as_deref()));
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
    let mail =
        MailSettings { via: via?, from, to: to?, reply_to, subject: subject?, text, html, list_unsubscribe };
    Some(if is_digest {
        ActionSettings::Digest { mail, max_rows: u32::try_from(max_rows.unwrap_or(1000)).ok()? }
    } else {
        ActionSettings::Mail(mail)
    })
}

/// A template that stands in the JSON itself.
fn template(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    if let Some((_, message)) = syntax_error(text) {
        node.error(format!("the template cannot be read: {message}"), None);
        return None;
    }
    Some(text.to_owned())
}

/// A part of the mail, written here or in a file of its own.
fn part(fields: &Fields<'_>, inline: &str, file: &str, dir: &Path) -> Option<TemplateSource> {
    if let (Some(_), Some(node)) = (fields.get(inline), fields.get(file)) {
        node.error(format!("`{inline}` and `{file}` exclude each other"), "keep one of them".to_owned());
        return None;
    }
    if let Some(node) = fields.get(inline) {
        return Some(TemplateSource { origin: node.path().to_owned(), text: template(node)? });
    }
    fields.read(file, |node| from_file(node, dir))
}

fn from_file(node: &Node<'_>, dir: &Path) -> Option<TemplateSource> {
    let name = node.text()?;
    let document = match Document::read(&dir.join(name)) {
        Ok(document) => document,
        Err(error) => {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => format!("there is no file `{name}`"),
                std::io::ErrorKind::InvalidData => format!("`{name}` is {error}"),
                _ => format!("could not read `{name}`: {error}"),
            };
            node.error(reason, "paths start at the function's folder".to_owned());
            return None;
        }
    };
    let text = document.text.trim_start_matches('\u{feff}');
    if let Some((line, message)) = syntax_error(text) {
        node.error_elsewhere(&document, line, format!("the template cannot be read: {message}"));
        return None;
    }
    Some(TemplateSource { origin: absolute(dir, name).display().to_string(), text: text.to_owned() })
}

/// Line and reason, when `text` is not a template.
fn syntax_error(text: &str) -> Option<(usize, String)> {
    let error = minijinja::Environment::new().template_from_str(text).err()?;
    let reason = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    Some((error.line().unwrap_or(1), reason))
}
