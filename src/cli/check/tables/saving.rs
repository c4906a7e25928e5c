//! What a database says to a fetch that saves: its table, the columns, the key.

use std::path::Path;

use crate::config::{Diagnostic, Severity};
use crate::db::Inspector;
use crate::settings::SaveSettings;
use crate::spelling::nearest;

/// All that the database contradicts.
pub(super) async fn check(inspector: &Inspector, file: &Path, save: &SaveSettings) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut error = |key: &str, below: Option<&str>, message: String, help: Option<String>| {
        let path: Vec<&str> = ["target", "fetch", "save", key].into_iter().chain(below).collect();
        found.push(Diagnostic::at(file, &path, Severity::Error, message, help));
    };
    let table = match inspector.table(&save.table).await {
        Ok(Some(table)) => table,
        Ok(None) => {
            let tables = inspector.tables().await.unwrap_or_default();
            let help = nearest(&save.table, tables.iter().map(String::as_str));
            error("table", None, format!("the database has no table `{}`", save.table), help);
            return found;
        }
        Err(problem) => {
            error("table", None, problem.to_string(), None);
            return found;
        }
    };
    if table.is_view {
        error("table", None, format!("`{}` is a view: rows are saved to a table", save.table), None);
        return found;
    }
    let names = || table.columns.iter().map(|column| column.name.as_str());
    let is_exact = inspector.is_exact();
    let is_known =
        |name: &str| names().any(|known| known == name || (!is_exact && known.eq_ignore_ascii_case(name)));
    let mut all_known = true;
    for (name, _) in save.columns.iter().filter(|(name, _)| !is_known(name)) {
        all_known = false;
        let message = format!("the table `{}` has no column `{name}`", save.table);
        error("columns", Some(name), message, nearest(name, names()));
    }
    // An index over some of the key's columns is not what rows are told apart by.
    let is_key = |index: &Vec<String>| {
        let among = |name: &String| save.key.iter().any(|column| column.eq_ignore_ascii_case(name));
        index.len() == save.key.len() && index.iter().all(among)
    };
    if all_known && !table.unique.iter().any(is_key) {
        let all = save.key.join(", ");
        let help = format!("run CREATE UNIQUE INDEX on {} ({all}), or name the columns of one", save.table);
        error("key", None, format!("no unique index is over `{all}` and nothing else"), Some(help));
    }
    found
}
