//! Templates: written in the JSON itself, or in files beside it.

use std::path::Path;

use super::daemon::absolute;
use super::decode::{Fields, Node};
use super::json::Document;
use crate::settings::TemplateSource;

/// A template that stands in the JSON itself.
pub(super) fn template(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    if let Some((_, message)) = syntax_error(text) {
        node.error(format!("the template cannot be read: {message}"), None);
        return None;
    }
    Some(text.to_owned())
}

/// The same, with its place.
pub(super) fn sourced(node: &Node<'_>) -> Option<TemplateSource> {
    Some(TemplateSource { origin: node.path().to_owned(), text: template(node)? })
}

/// Whether `text` has anything to fill in.
pub(super) fn is_filled_in(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

/// A text, written here or in a file of its own.
pub(super) fn part(fields: &Fields<'_>, inline: &str, file: &str, dir: &Path) -> Option<TemplateSource> {
    if let (Some(_), Some(node)) = (fields.get(inline), fields.get(file)) {
        node.error(format!("`{inline}` and `{file}` exclude each other"), "keep one of them".to_owned());
        return None;
    }
    if let Some(node) = fields.get(inline) {
        return sourced(node);
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
pub(super) fn syntax_error(text: &str) -> Option<(usize, String)> {
    let error = minijinja::Environment::new().template_from_str(text).err()?;
    let reason = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    Some((error.line().unwrap_or(1), reason))
}
