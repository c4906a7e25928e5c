//! How delivered rows are marked, and the parameters that marks and SQL may use.

use super::decode::{Keys, Node};
use crate::settings::{MarkSettings, MarkValue, Relation, SourceSettings};
use crate::spelling::nearest;
use crate::sql::Dialect;

/// What SQL and marks may use.
const TIMES: [&str; 6] = ["now", "now_local", "now_unix", "fire_time", "fire_time_local", "fire_time_unix"];

/// What a mark of failed rows may use as well.
const ERROR: &str = "error";

/// Reads `mark` of a batch with this source, if that could be read.
pub(super) fn read(
    node: &Node<'_>,
    source: Option<&SourceSettings>,
    is_digest: bool,
) -> Option<MarkSettings> {
    let fields = node.object(&Keys::only(&["sent", "failed"]))?;
    let sent = fields.need("sent", |node| columns(node, false));
    let failed = fields.read("failed", |node| {
        if node.is_string() { node.word(&["keep"]).map(|_| None) } else { columns(node, true).map(Some) }
    });
    if let Some(source) = source {
        check_source(node, source, sent.as_deref().unwrap_or_default(), is_digest);
    }
    Some(MarkSettings { sent: sent?, failed: failed.flatten() })
}

fn check_source(node: &Node<'_>, source: &SourceSettings, sent: &[(String, MarkValue)], is_digest: bool) {
    let Relation::Table { filter, .. } = &source.relation else {
        let help = "read from a `table`, or leave `mark` out: then each row is sent once per fire".to_owned();
        node.error("rows of a query cannot be marked: it has no one table to write to", help);
        return;
    };
    if source.key.is_empty() && is_digest {
        node.error("a mark finds its rows by the source's `key`", "add `key` to the source".to_owned());
    }
    let Some(filter) = filter else {
        let help = "add a `where` to the source, as in `status = false`".to_owned();
        node.error("a mark needs a `where` that no longer holds once a row is marked", help);
        return;
    };
    let filter = filter.to_lowercase();
    let mentioned = |column: &str| {
        filter.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == column.to_lowercase())
    };
    if !sent.is_empty() && !sent.iter().any(|(column, _)| mentioned(column)) {
        let message =
            "a marked row still matches: `where` asks for none of the columns that `mark.sent` writes";
        node.warning(message, "write the condition into `where`, as in `status = false`".to_owned());
    }
}

pub(super) fn columns(node: &Node<'_>, is_failed: bool) -> Option<Vec<(String, MarkValue)>> {
    let entries = node.entries()?;
    if entries.is_empty() {
        node.error("no column is named", "write as in `{ \"status\": true }`".to_owned());
        return None;
    }
    entries.into_iter().map(|(column, node)| Some((column.to_owned(), value(&node, is_failed)?))).collect()
}

fn value(node: &Node<'_>, is_failed: bool) -> Option<MarkValue> {
    let scalar = node.scalar()?;
    let Some(name) = scalar.as_str().and_then(|text| text.strip_prefix(':')) else {
        return Some(MarkValue::Literal(scalar));
    };
    if TIMES.contains(&name) || (is_failed && name == ERROR) {
        return Some(MarkValue::Parameter(format!(":{name}")));
    }
    let (message, help) = if name == ERROR {
        ("`:error` is known only of failed rows".to_owned(), None)
    } else {
        (format!("`:{name}` is not a parameter"), Some(parameter_help(name, &[])))
    };
    node.error(message, help);
    None
}

fn parameter_help(name: &str, more: &[&str]) -> String {
    let known: Vec<String> = TIMES.iter().chain(more).map(|name| format!(":{name}")).collect();
    nearest(&format!(":{name}"), known.iter().map(String::as_str))
        .unwrap_or_else(|| format!("known: {}", known.join(", ")))
}

/// Whether `text` is a parameter that is bound: a time, or one of the names in `more`.
pub(super) fn is_parameter(text: &str, more: &[&str]) -> bool {
    text.strip_prefix(':').is_some_and(|name| TIMES.contains(&name) || more.contains(&name))
}

/// Reports the first parameter of an SQL text that nobody binds: neither a time, nor one of the names in `more`.
pub(super) fn check_parameters(node: &Node<'_>, sql: &str, dialect: Dialect, more: &[&str]) -> Option<()> {
    for parameter in dialect.parameters(sql) {
        if is_parameter(parameter.text, more) {
            continue;
        }
        let name = parameter.text.strip_prefix(':').unwrap_or(parameter.text);
        let (offset, length) = (sql[..parameter.at].chars().count(), parameter.text.chars().count());
        let message = format!("`{}` is not a parameter", parameter.text);
        node.error_inside(offset, length, message, Some(parameter_help(name, more)));
        return None;
    }
    Some(())
}
