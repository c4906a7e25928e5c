//! What the databases say to batches and statements: tables, keys, columns, conditions. Looks, and changes nothing.

mod returned;
mod saving;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::statements;
use crate::config::{Diagnostic, Severity};
use crate::db::{Inspector, Table};
use crate::settings::{
    BatchSettings, DatabaseSettings, MarkSettings, MarkValue, Relation, Settings, SourceSettings,
    TargetSettings,
};
use crate::spelling::nearest;

/// The JSON path of a batch's source.
const SOURCE: [&str; 3] = ["target", "batch", "source"];

/// All that the databases contradict, and what they leave open.
pub(super) async fn check(settings: &Settings, daemon_file: &Path) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut inspectors = BTreeMap::new();
    for (name, database) in &settings.databases {
        let mut say = |severity, key, message, help: Option<&str>| {
            let path = ["databases", name.as_str(), key];
            found.push(Diagnostic::at(daemon_file, &path, severity, message, help.map(str::to_owned)));
        };
        match (Inspector::open(database).await, database) {
            (Ok(Some(inspector)), _) => {
                for warning in inspector.warnings().await.unwrap_or_default() {
                    say(Severity::Warning, "url", warning, None);
                }
                inspectors.insert(name.as_str(), inspector);
            }
            (Ok(None), DatabaseSettings::Sqlite(file)) => {
                let message = format!("there is no file `{}` yet", shown(&file.path).display());
                say(
                    Severity::Warning,
                    "url",
                    message,
                    Some("name a script that makes it with `create_with`"),
                );
            }
            (Err(error), DatabaseSettings::Sqlite(file)) => {
                let key = if file.path.exists() { "url" } else { "create_with" };
                say(Severity::Error, key, error.to_string(), None);
            }
            // A server may be reachable from where the daemon will run.
            (Err(error), _) => say(Severity::Warning, "url", error.to_string(), None),
            (Ok(None), _) => {}
        }
    }
    for function in &settings.functions {
        let file = shown(&function.dir.join("config.json"));
        match &function.target {
            TargetSettings::Batch(batch) => {
                if let Some(inspector) = inspectors.get(batch.source.database.as_str()) {
                    Checker { inspector, file, found: &mut found }.batch(batch).await;
                }
            }
            TargetSettings::Fetch(page) => {
                let Some(save) = &page.save else { continue };
                if let Some(inspector) = inspectors.get(save.database.as_str()) {
                    found.extend(saving::check(inspector, &file, save).await);
                }
            }
            TargetSettings::Bounces(bounces) => {
                if let Some(inspector) = inspectors.get(bounces.database.as_str()) {
                    found.extend(returned::check(inspector, &file, bounces).await);
                }
            }
            TargetSettings::Sql(sql) => {
                let Some(inspector) = inspectors.get(sql.database.as_str()) else { continue };
                statements::check(sql, inspector, &file, &mut found).await;
            }
            TargetSettings::Function(_) | TargetSettings::Command(_) | TargetSettings::Http(_) => {}
        }
    }
    found
}

/// As short as it can be said from the working directory.
fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).to_owned()
}

struct Checker<'a> {
    inspector: &'a Inspector,
    file: PathBuf,
    found: &'a mut Vec<Diagnostic>,
}

impl Checker<'_> {
    async fn batch(mut self, batch: &BatchSettings) {
        let source = &batch.source;
        match &source.relation {
            Relation::Query(query) => self.query(query, source).await,
            Relation::Table { name, filter } => {
                self.table(name, filter.as_deref(), source, batch.mark.as_ref()).await;
            }
        }
    }

    fn error(&mut self, key: &str, message: String, help: Option<String>) {
        let path: Vec<&str> = SOURCE.into_iter().chain([key]).collect();
        self.found.push(Diagnostic::at(&self.file, &path, Severity::Error, message, help));
    }

    async fn query(&mut self, query: &str, source: &SourceSettings) {
        match self.inspector.query_columns(query).await {
            Err(reason) => self.error("query", format!("the database refuses the query: {reason}"), None),
            Ok(columns) => {
                let names: Vec<&str> = columns.iter().map(String::as_str).collect();
                self.known("key", source.key.iter(), &names, "the query");
                self.known("columns", source.columns.iter(), &names, "the query");
            }
        }
    }

    async fn table(
        &mut self,
        name: &str,
        filter: Option<&str>,
        source: &SourceSettings,
        mark: Option<&MarkSettings>,
    ) {
        let table = match self.inspector.table(name).await {
            Ok(Some(table)) => table,
            Ok(None) => {
                let tables = self.inspector.tables().await.unwrap_or_default();
                let help = nearest(name, tables.iter().map(String::as_str));
                return self.error("table", format!("the database has no table `{name}`"), help);
            }
            Err(error) => return self.error("table", error.to_string(), None),
        };
        let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        let of = format!("the table `{name}`");
        if self.known("key", source.key.iter(), &names, &of) && !source.key.is_empty() {
            self.key(name, &source.key, &table).await;
        }
        self.known("columns", source.columns.iter(), &names, &of);
        if let Some(filter) = filter
            && let Some(problem) = self.inspector.condition_problem(name, filter).await
        {
            self.error("where", format!("the database refuses the condition: {problem}"), None);
        }
        let Some(mark) = mark else { return };
        if let Some(problem) = table.unmarkable {
            self.error("table", problem, None);
        }
        for (part, columns) in [("sent", Some(&mark.sent)), ("failed", mark.failed.as_ref())] {
            self.marked(part, columns.map_or(&[], Vec::as_slice), &names, &of);
        }
    }

    /// Reports names that are not among `columns`; true when all are.
    fn known<'n>(
        &mut self,
        key: &str,
        wanted: impl Iterator<Item = &'n String>,
        columns: &[&str],
        of: &str,
    ) -> bool {
        let before = self.found.len();
        let is_exact = self.inspector.is_exact();
        for name in wanted.filter(|name| !has(columns, name, is_exact)) {
            self.error(key, format!("{of} has no column `{name}`"), nearest(name, columns.iter().copied()));
        }
        self.found.len() == before
    }

    fn marked(&mut self, part: &str, marks: &[(String, MarkValue)], columns: &[&str], of: &str) {
        let is_exact = self.inspector.is_exact();
        for (name, _) in marks.iter().filter(|(name, _)| !has(columns, name, is_exact)) {
            let path = ["target", "batch", "mark", part, name];
            let message = format!("{of} has no column `{name}`");
            let help = nearest(name, columns.iter().copied());
            self.found.push(Diagnostic::at(&self.file, &path, Severity::Error, message, help));
        }
    }

    /// Pages are cut by the key: a repeated value would hide rows, and NULL is never reached.
    async fn key(&mut self, name: &str, key: &[String], table: &Table) {
        if table.is_view {
            return;
        }
        let all = key.join(", ");
        if !table.is_unique(key) {
            let help = format!("choose the primary key, or run CREATE UNIQUE INDEX on {name} ({all})");
            let of_their_own = if key.len() == 1 { "of its own" } else { "over its columns" };
            self.error(
                "key",
                format!("`{all}` may repeat: it has no unique index {of_their_own}"),
                Some(help),
            );
        } else if !table.is_sorted_by(key) {
            let path: Vec<&str> = SOURCE.into_iter().chain(["key"]).collect();
            let message =
                format!("no index gives the rows in the order of `{all}`: each page sorts the table");
            let help = format!("run CREATE INDEX on {name} ({all})");
            self.found.push(Diagnostic::at(&self.file, &path, Severity::Warning, message, Some(help)));
        }
        let nullable = |column: &&String| {
            !table.columns.iter().any(|known| known.name.eq_ignore_ascii_case(column) && known.not_null)
        };
        for column in key.iter().filter(nullable) {
            match self.inspector.has_null(name, column).await {
                Ok(false) => {}
                Ok(true) => {
                    let help =
                        "rows without a key are never reached: fill it, or choose another key".to_owned();
                    self.error("key", format!("there are rows whose `{column}` is NULL"), Some(help));
                }
                Err(error) => self.error("key", error.to_string(), None),
            }
        }
    }
}

fn has(columns: &[&str], name: &str, is_exact: bool) -> bool {
    columns.iter().any(|column| *column == name || (!is_exact && column.eq_ignore_ascii_case(name)))
}
