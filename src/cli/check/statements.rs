//! What the databases say to the statements of `sql` targets: prepared, and never run.

use std::path::Path;

use crate::config::{Diagnostic, Severity};
use crate::db::Inspector;
use crate::settings::{SqlSettings, SqlStatement, SqlWork};

/// All that the database refuses of a target whose function folder has this `file`.
pub(super) async fn check(
    sql: &SqlSettings,
    inspector: &Inspector,
    file: &Path,
    found: &mut Vec<Diagnostic>,
) {
    let statements = match &sql.work {
        SqlWork::Statements { statements, .. } => statements.as_slice(),
        SqlWork::Pages(pages) => std::slice::from_ref(&pages.statement),
        SqlWork::Backup(_) => &[],
    };
    for SqlStatement { text, origin, path } in statements {
        if let Some(reason) = inspector.statement_problem(text).await {
            let path: Vec<&str> =
                ["target", "sql"].into_iter().chain(path.iter().map(String::as_str)).collect();
            let place = if origin.is_empty() { String::new() } else { format!(" ({origin})") };
            let message = format!("the database refuses the statement{place}: {reason}");
            found.push(Diagnostic::at(file, &path, Severity::Error, message, None));
        }
        // What comes behind a change of tables may need it.
        if inspector.defines(text) {
            break;
        }
    }
}
