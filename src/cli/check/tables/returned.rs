//! What a database says to a target that marks bounces: its table, the columns, the key.

use std::path::Path;

use crate::config::{Diagnostic, Severity};
use crate::db::Inspector;
use crate::settings::{BouncesSettings, MarkValue};
use crate::spelling::nearest;

const PLACE: [&str; 2] = ["target", "bounces"];

/// All that the database contradicts, and what costs more than it need.
pub(super) async fn check(inspector: &Inspector, file: &Path, bounces: &BouncesSettings) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut say = |severity, key: &[&str], message: String, help: Option<String>| {
        let path: Vec<&str> = PLACE.iter().chain(key).copied().collect();
        found.push(Diagnostic::at(file, &path, severity, message, help));
    };
    let name = &bounces.table;
    let table = match inspector.table(name).await {
        Ok(Some(table)) => table,
        Ok(None) => {
            let tables = inspector.tables().await.unwrap_or_default();
            let help = nearest(name, tables.iter().map(String::as_str));
            say(Severity::Error, &["table"], format!("the database has no table `{name}`"), help);
            return found;
        }
        Err(problem) => {
            say(Severity::Error, &["table"], problem.to_string(), None);
            return found;
        }
    };
    if let Some(problem) = &table.unmarkable {
        say(Severity::Error, &["table"], problem.clone(), None);
    }
    let names = || table.columns.iter().map(|column| column.name.as_str());
    let is_exact = inspector.is_exact();
    let is_known =
        |name: &str| names().any(|known| known == name || (!is_exact && known.eq_ignore_ascii_case(name)));
    let marked =
        |mark: &'_ [(String, MarkValue)]| mark.iter().map(|(column, _)| column.clone()).collect::<Vec<_>>();
    let mut wanted = vec![(vec!["key"], bounces.key.clone()), (vec!["recipient"], bounces.recipient.clone())];
    let hard = marked(&bounces.hard);
    wanted.extend(hard.iter().map(|column| (vec!["hard", column.as_str()], column.clone())));
    let soft = bounces.soft.as_ref().map(|soft| (soft.count.clone(), marked(&soft.mark)));
    if let Some((count, mark)) = &soft {
        wanted.push((vec!["soft", "count"], count.clone()));
        wanted.extend(mark.iter().map(|column| (vec!["soft", "mark", column.as_str()], column.clone())));
    }
    let mut all_known = true;
    for (key, column) in wanted.iter().filter(|(_, column)| !is_known(column)) {
        all_known = false;
        let message = format!("the table `{name}` has no column `{column}`");
        say(Severity::Error, key, message, nearest(column, names()));
    }
    if !all_known || table.is_view {
        return found;
    }
    if !table.is_unique(std::slice::from_ref(&bounces.key)) {
        let help = format!("choose the primary key, or run CREATE UNIQUE INDEX on {name} ({})", bounces.key);
        let message = format!("`{}` may repeat: it has no unique index of its own", bounces.key);
        say(Severity::Error, &["key"], message, Some(help));
    }
    if !table.is_sorted_by(std::slice::from_ref(&bounces.recipient)) {
        let help = format!("run CREATE INDEX on {name} ({})", bounces.recipient);
        let message =
            format!("no index finds a row by its `{}`: each bounce reads the table", bounces.recipient);
        say(Severity::Warning, &["recipient"], message, Some(help));
    }
    found
}
