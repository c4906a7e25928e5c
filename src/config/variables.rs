//! `env`: variables of functions and commands.

use std::collections::BTreeMap;

use super::decode::Node;

/// Names and values that a process can have.
pub(super) fn variables(node: &Node<'_>) -> Option<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for (name, node) in node.entries()? {
        if name.is_empty() || name.contains(['=', '\0']) {
            node.error(format!("`{name}` cannot name a variable"), None);
        }
        if let Some(value) = node.string() {
            if value.contains('\0') {
                node.error("a NUL character cannot be part of a variable", None);
            }
            variables.insert(name.to_owned(), value.to_owned());
        }
    }
    Some(variables)
}
