//! `env`: variables of functions and commands.

use std::path::Path;

use super::decode::Node;
use super::secret::secret;
use crate::settings::{Secret, Variables};

/// Names and values that a process can have. A value is text, or kept elsewhere as secrets are; files are seen from `dir`.
pub(super) fn variables(node: &Node<'_>, dir: &Path) -> Option<Variables> {
    let mut variables = Variables::new();
    for (name, node) in node.entries()? {
        if name.is_empty() || name.contains(['=', '\0']) {
            node.error(format!("`{name}` cannot name a variable"), None);
        }
        let value = match node.kind() {
            "an object" => secret(&node, dir),
            "a string" => node.string().map(|text| Secret::new(text.to_owned())),
            _ => node.wrong_type("a string, or `{ \"env\": \"NAME\" }` or `{ \"file\": \"PATH\" }`"),
        };
        if let Some(value) = value {
            if value.reveal().contains('\0') {
                node.error("a NUL character cannot be part of a variable", None);
            }
            variables.insert(name.to_owned(), value);
        }
    }
    Some(variables)
}
