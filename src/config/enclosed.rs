//! What a mail has besides its texts: attachments, images within the HTML, headers.

use std::path::Path;
use std::sync::Arc;

use super::daemon::absolute;
use super::decode::{Fields, Keys, Node};
use super::template::{is_filled_in, sourced};
use crate::folder::read_within;
use crate::settings::{AttachedFile, AttachmentSettings, MOST_ENCLOSED, MailExtras, TemplateSource};
use crate::spelling::nearest;

/// Headers that have keys of their own.
const KEYED: [(&str, &str); 6] = [
    ("from", "from"),
    ("to", "to"),
    ("subject", "subject"),
    ("reply-to", "reply_to"),
    ("list-unsubscribe", "list_unsubscribe"),
    ("list-unsubscribe-post", "list_unsubscribe"),
];

/// Headers that are not the author's to write, and why.
const REFUSED: [(&str, &str); 10] = [
    ("date", "Gulou writes it itself"),
    ("message-id", "it is made from the reservation, by which a bounce finds its row"),
    ("mime-version", "Gulou writes it itself"),
    ("dkim-signature", "a signature of something else is worth nothing"),
    ("return-path", "the server that delivers the mail writes it"),
    ("received", "servers on the way write it"),
    ("sender", "the mail has one author, who is in `from`"),
    ("cc", "a mail goes to one recipient, and would claim to go to more"),
    ("bcc", "a mail goes to one recipient, and all could read this"),
    ("authentication-results", "servers on the way write it"),
];

/// The beginnings of more such.
const REFUSED_KINDS: [(&str, &str); 3] = [
    ("content-", "it says how the mail's parts are written"),
    ("arc-", "servers on the way write it"),
    ("resent-", "the mail is not passed on, but sent"),
];

/// Reads `attachments`, `inline` and `headers` of a mail in the folder `dir`, whose HTML is `html`.
pub(super) fn read(mail: &Fields<'_>, html: Option<&TemplateSource>, dir: &Path) -> MailExtras {
    let extras = MailExtras {
        dir: absolute(dir, ""),
        attachments: mail.read("attachments", |node| attachments(node, dir)).unwrap_or_default(),
        inline: mail.read("inline", |node| inline(node, dir)).unwrap_or_default(),
        headers: mail.read("headers", headers).unwrap_or_default(),
    };
    let files = extras.attachments.iter().chain(extras.inline.iter().map(|(_, file)| file));
    let size: u64 = files.map(size).sum();
    if let Some(node) =
        mail.get("attachments").or_else(|| mail.get("inline")).filter(|_| size > MOST_ENCLOSED)
    {
        let help = "leave some out, or link to them".to_owned();
        node.error(format!("the mail's files have {size} bytes, and {MOST_ENCLOSED} are the limit"), help);
    }
    images(mail, html, &extras);
    extras
}

fn size(file: &AttachmentSettings) -> u64 {
    match &file.file {
        AttachedFile::Fixed { bytes, .. } => bytes.len() as u64,
        AttachedFile::Template(_) => 0,
    }
}

fn attachments(node: &Node<'_>, dir: &Path) -> Option<Vec<AttachmentSettings>> {
    node.list()?.iter().map(|node| attachment(node, dir)).collect()
}

/// A path, or an object that has more to say.
fn attachment(node: &Node<'_>, dir: &Path) -> Option<AttachmentSettings> {
    let fields = if node.is_string() {
        Fields::just("file", node)
    } else {
        node.object(&Keys::only(&["file", "name", "type"]))?
    };
    let file = fields.need("file", |node| file(node, dir));
    let name = fields.read("name", sourced);
    let kind = match fields.get("type") {
        Some(node) => Some(media_type(node)?),
        None => None,
    };
    Some(AttachmentSettings { file: file?, name, kind })
}

fn file(node: &Node<'_>, dir: &Path) -> Option<AttachedFile> {
    let source = sourced(node)?;
    if is_filled_in(&source.text) {
        return Some(AttachedFile::Template(source));
    }
    let path = source.text.trim();
    match read_within(dir, path, MOST_ENCLOSED) {
        Ok(bytes) => {
            let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
            Some(AttachedFile::Fixed { name, bytes: Arc::from(bytes) })
        }
        Err(fault) => {
            let help = "paths start at the function's folder, and stay in it".to_owned();
            node.error(fault.to_string(), help);
            None
        }
    }
}

fn media_type(node: &Node<'_>) -> Option<String> {
    let text = node.text()?.trim();
    let is_token = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&^_.+-".contains(c))
    };
    let help = || "write one such as `application/pdf`, or leave it to the end of the name".to_owned();
    match text.split_once('/') {
        Some((kind, _)) if ["multipart", "message"].iter().any(|whole| kind.eq_ignore_ascii_case(whole)) => {
            node.error(format!("a file cannot be enclosed as `{text}`"), help());
            None
        }
        Some((kind, rest)) if is_token(kind) && is_token(rest) => Some(text.to_ascii_lowercase()),
        _ => {
            node.error(format!("`{text}` is not a media type"), help());
            None
        }
    }
}

fn inline(node: &Node<'_>, dir: &Path) -> Option<Vec<(String, AttachmentSettings)>> {
    let entries = node.entries()?;
    let image = |(name, node): (&str, Node<'_>)| {
        if name.is_empty() || !name.chars().all(is_of_name) {
            let help = "letters, digits and `. _ - + @`, as in `cid:logo`".to_owned();
            node.error(format!("`{name}` cannot stand behind `cid:`"), help);
        }
        Some((name.to_owned(), attachment(&node, dir)?))
    };
    entries.into_iter().map(image).collect()
}

const fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@')
}

/// Whether the HTML shows what there is, and nothing else.
fn images(mail: &Fields<'_>, html: Option<&TemplateSource>, extras: &MailExtras) {
    let Some(node) = mail.get("html").or_else(|| mail.get("html_file")) else {
        if let Some(node) = mail.get("inline") {
            node.error(
                "nothing shows these images: the mail has no HTML",
                "write them into `attachments`".to_owned(),
            );
        }
        return;
    };
    // What is wrong with the HTML itself has been said.
    let Some(html) = html else { return };
    let shown = shown(&html.text);
    for (name, line) in
        shown.names.iter().filter(|(name, _)| !extras.inline.iter().any(|(known, _)| known == name))
    {
        let known = extras.inline.iter().map(|(name, _)| name.as_str());
        let help = nearest(name, known);
        let help = help.unwrap_or_else(|| format!("add `\"inline\": {{ \"{name}\": \"img/{name}.png\" }}`"));
        node.error(format!("line {line} of the HTML shows `cid:{name}`, which `inline` does not have"), help);
    }
    let Some(inline) = mail.get("inline").filter(|_| !shown.are_filled_in) else { return };
    for (name, _) in &extras.inline {
        if !shown.names.iter().any(|(used, _)| used == name) {
            inline.warning_at(name, format!("the HTML does not show `cid:{name}`"));
        }
    }
}

/// The names behind `cid:` in a template.
struct Shown {
    /// Each with its line.
    names: Vec<(String, usize)>,
    /// Some name is known only when the template is filled in.
    are_filled_in: bool,
}

fn shown(html: &str) -> Shown {
    let mut shown = Shown { names: Vec::new(), are_filled_in: false };
    for (at, _) in html.match_indices("cid:") {
        // An address in an attribute or in a style, not a word of the text.
        if !html[..at].ends_with(['"', '\'', '(', '=']) {
            continue;
        }
        let rest = &html[at + "cid:".len()..];
        let name = &rest[..rest.find(|c| !is_of_name(c)).unwrap_or(rest.len())];
        if rest[name.len()..].starts_with("{{") || rest[name.len()..].starts_with("{%") {
            shown.are_filled_in = true;
        } else if !name.is_empty() {
            shown.names.push((name.to_owned(), 1 + html[..at].matches('\n').count()));
        }
    }
    shown
}

fn headers(node: &Node<'_>) -> Option<Vec<(String, TemplateSource)>> {
    let mut headers: Vec<(String, TemplateSource)> = Vec::new();
    for (name, node) in node.entries()? {
        let lower = name.to_ascii_lowercase();
        let is_token = |c: char| c.is_ascii_graphic() && c != ':';
        let refused = REFUSED.iter().find(|(refused, _)| *refused == lower);
        let refused = refused.or_else(|| REFUSED_KINDS.iter().find(|(start, _)| lower.starts_with(start)));
        if name.is_empty() || name.len() > 70 || !name.chars().all(is_token) {
            node.error(format!("`{name}` cannot name a header"), "write one such as `X-Campaign`".to_owned());
        } else if let Some((_, key)) = KEYED.iter().find(|(keyed, _)| *keyed == lower) {
            node.error(format!("`{name}` has a key of its own"), format!("write it as `{key}` of the mail"));
        } else if let Some((_, reason)) = refused {
            node.error(format!("`{name}` cannot be set: {reason}"), "delete it".to_owned());
        } else if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            node.error(format!("the header `{name}` is given twice"), "delete one of them".to_owned());
        }
        headers.extend(sourced(&node).map(|source| (name.to_owned(), source)));
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_html_shows_is_found() {
        let found = shown(
            "<p>cid:x, an acid: test</p>\n<img src=\"cid:logo\"><img src='cid:a.b@c'>\n\
             <td style=\"background: url(cid:back)\"><img src=cid:bare>",
        );
        let names: Vec<(&str, usize)> =
            found.names.iter().map(|(name, line)| (name.as_str(), *line)).collect();
        assert_eq!(names, [("logo", 2), ("a.b@c", 2), ("back", 3), ("bare", 3)]);
        assert!(!found.are_filled_in);
        let found = shown("<img src=\"cid:{{ which }}\"><img src=\"cid:a{% if b %}c{% endif %}\">");
        assert!(found.names.is_empty() && found.are_filled_in);
    }
}
