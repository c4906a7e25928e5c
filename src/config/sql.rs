//! `target.sql`: statements, a statement that is repeated, a copy.

use std::path::Path;
use std::time::Duration;

use super::batch::reference;
use super::daemon::absolute;
use super::database::dialect;
use super::decode::{Fields, Keys, Node};
use super::function::Scope;
use super::json::Document;
use super::mark::check_parameters;
use super::units::{duration, positive_duration};
use crate::settings::{BackupSettings, DatabaseSettings, SqlPages, SqlSettings, SqlStatement, SqlWork};
use crate::sql::Dialect;

/// Of a transaction, and of a copy.
const TIMEOUT: Duration = Duration::from_secs(20);
const COPY_TIMEOUT: Duration = Duration::from_secs(3600);

const KEYS: Keys = Keys::only(&[
    "database",
    "statement",
    "statements",
    "file",
    "delete",
    "backup",
    "transaction",
    "page",
    "max_pages",
    "pause",
    "timeout",
    "time_limit",
]);

/// The keys of which one says what is done.
const WORK: [&str; 5] = ["statement", "statements", "file", "delete", "backup"];

/// Reads `target.sql` of the function folder `dir`.
pub(super) fn read(node: &Node<'_>, dir: &Path, scope: &Scope<'_>) -> Option<SqlSettings> {
    let fields = node.object(&KEYS)?;
    let database = fields.need("database", |node| {
        reference(node, "database", "databases", scope.daemon.database_names.as_deref())
    });
    let settings = database.as_ref().and_then(|name| scope.daemon.databases.get(name));
    // Of a database that is not there, or wrong, nothing is known but that its SQL is standard.
    let dialect = settings.map_or(Dialect::Sqlite, dialect);
    let timeout = fields.read("timeout", positive_duration);
    let given: Vec<&str> = WORK.into_iter().filter(|key| fields.get(key).is_some()).collect();
    let work = match given[..] {
        [] => {
            node.error(
                "nothing says what is done",
                "say `statement`, `statements`, `file`, `delete` or `backup`".to_owned(),
            );
            None
        }
        ["backup"] => fields.read("backup", |node| backup(node, dir, settings)).map(|backup| {
            only_for(&fields, &["transaction", "page", "max_pages", "pause", "time_limit"], "statements");
            SqlWork::Backup(backup)
        }),
        ["delete"] => {
            let statement = fields.read("delete", |node| delete(node, dialect));
            pages(&fields, statement)
        }
        [key] => {
            let has_pages = fields.get("page").is_some();
            let statements = fields.read(key, |node| match key {
                "statement" => Some(texts(node, node.text()?, dialect, has_pages, Place::Key)),
                "statements" => listed(node, dialect, has_pages),
                _ => from_file(node, dir, dialect, has_pages),
            });
            let statements = statements?.into_iter().collect::<Option<Vec<_>>>();
            if has_pages {
                repeated(&fields, statements?, dialect)
            } else {
                plain(&fields, statements?, dialect)
            }
        }
        _ => {
            node.error(format!("{} exclude each other", given.join(" and ")), "keep one of them".to_owned());
            None
        }
    };
    let work = work?;
    let default = if matches!(work, SqlWork::Backup(_)) { COPY_TIMEOUT } else { TIMEOUT };
    Some(SqlSettings { database: database?, timeout: timeout.unwrap_or(default), work })
}

/// Reports keys that mean nothing here.
fn only_for(fields: &Fields<'_>, keys: &[&str], what: &str) {
    for key in keys {
        if let Some(node) = fields.get(key) {
            node.error(format!("`{key}` belongs to {what}"), "delete the key".to_owned());
        }
    }
}

/// Where a text stands that has statements.
#[derive(Clone, Copy)]
enum Place<'p> {
    Key,
    Listed(usize),
    File(&'p Document),
}

/// The statements of a text; none where one is wrong, which has been reported.
fn texts(
    node: &Node<'_>,
    text: &str,
    dialect: Dialect,
    has_pages: bool,
    place: Place<'_>,
) -> Vec<Option<SqlStatement>> {
    let found = dialect.statements(text);
    if found.is_empty() {
        node.error("there is no statement in it", None);
        return vec![None];
    }
    let is_inline = !matches!(place, Place::File(_));
    if is_inline && check_parameters(node, text, dialect, &allowed(has_pages)).is_none() {
        return vec![None];
    }
    let read = |(at, statement): &(usize, &str)| {
        let line = 1 + text[..*at].matches('\n').count();
        let (origin, path) = match place {
            Place::Key => (String::new(), vec!["statement".to_owned()]),
            Place::Listed(index) => {
                (format!("statement {}", index + 1), vec!["statements".to_owned(), index.to_string()])
            }
            Place::File(document) => {
                let name = document.file.file_name().unwrap_or_default().to_string_lossy();
                (format!("{name}:{line}"), vec!["file".to_owned()])
            }
        };
        if let Place::File(document) = place {
            let problem = parameter_problem(statement, dialect, has_pages);
            if let Some(problem) = problem {
                node.error_elsewhere(document, line, problem);
                return None;
            }
        }
        Some(SqlStatement { text: (*statement).to_owned(), origin, path })
    };
    found.iter().map(read).collect()
}

/// What a statement may name beside the times.
fn allowed(has_pages: bool) -> Vec<&'static str> {
    let all = ["message", "page"];
    all[..if has_pages { 2 } else { 1 }].to_vec()
}

fn parameter_problem(statement: &str, dialect: Dialect, has_pages: bool) -> Option<String> {
    let known = |text: &str| super::mark::is_parameter(text, &allowed(has_pages));
    let unknown = dialect.parameters(statement).into_iter().find(|parameter| !known(parameter.text))?;
    Some(format!("`{}` is not a parameter", unknown.text))
}

fn listed(node: &Node<'_>, dialect: Dialect, has_pages: bool) -> Option<Vec<Option<SqlStatement>>> {
    let nodes = node.list()?;
    if nodes.is_empty() {
        node.error("no statement is listed", None);
        return None;
    }
    let read = |(index, node): (usize, &Node<'_>)| match node.text() {
        Some(text) => texts(node, text, dialect, has_pages, Place::Listed(index)),
        None => vec![None],
    };
    Some(nodes.iter().enumerate().flat_map(read).collect())
}

fn from_file(
    node: &Node<'_>,
    dir: &Path,
    dialect: Dialect,
    has_pages: bool,
) -> Option<Vec<Option<SqlStatement>>> {
    let path = absolute(dir, node.text()?);
    match Document::read(&path) {
        Ok(document) => Some(texts(node, &document.text, dialect, has_pages, Place::File(&document))),
        Err(error) => {
            node.error(format!("could not read `{}`: {error}", path.display()), None);
            None
        }
    }
}

/// Words that begin or end a transaction.
const BRACKETS: [&str; 5] = ["begin", "commit", "rollback", "end", "start"];
/// What databases refuse within one.
const ALONE: [&str; 3] = ["vacuum", "attach", "detach"];
/// What MySQL ends one for.
const DEFINITIONS: [&str; 5] = ["create", "alter", "drop", "truncate", "rename"];

fn plain(fields: &Fields<'_>, statements: Vec<SqlStatement>, dialect: Dialect) -> Option<SqlWork> {
    only_for(fields, &["max_pages", "pause", "time_limit"], "a statement with `page`");
    let transaction = fields.read("transaction", Node::boolean).unwrap_or(true);
    for statement in &statements {
        let words = dialect.first_words(&statement.text, 1);
        let [first] = &words[..] else { continue };
        let node = fields.get(statement.path.first().map_or("", String::as_str)).unwrap_or(fields.node());
        let first = first.as_str();
        if BRACKETS.contains(&first) {
            let (message, help) = if transaction {
                let help = "delete it; with `\"transaction\": false` each statement takes effect on its own";
                (format!("`{first}` is not needed: the statements run in one transaction"), help)
            } else {
                let help = "delete it, or delete `\"transaction\": false`: then all run in one transaction";
                (format!("`{first}` does not go with `\"transaction\": false`"), help)
            };
            node.error(message, help.to_owned());
            return None;
        }
        if transaction && ALONE.contains(&first) {
            let help = "say `\"transaction\": false`".to_owned();
            node.error(format!("`{first}` cannot run in a transaction"), help);
            return None;
        }
        if transaction && statements.len() > 1 && dialect == Dialect::MySql && DEFINITIONS.contains(&first) {
            let message =
                format!("MySQL ends the transaction for a `{first}`: what stands before it cannot be undone");
            node.warning(message, "say `\"transaction\": false` if that is meant".to_owned());
        }
    }
    Some(SqlWork::Statements { statements, transaction })
}

/// A statement of the user's own that is repeated.
fn repeated(fields: &Fields<'_>, mut statements: Vec<SqlStatement>, dialect: Dialect) -> Option<SqlWork> {
    let page = fields.get("page")?;
    let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
        page.error("`page` repeats one statement; here are several", None);
        return None;
    };
    if !dialect.parameters(&statement.text).iter().any(|parameter| parameter.text == ":page") {
        let help = "write its bound as `:page`, as in `DELETE FROM t WHERE id IN (SELECT id FROM t WHERE … LIMIT :page)`";
        page.error("the statement does not say how many rows it changes at most", help.to_owned());
        return None;
    }
    pages(fields, Some(statement))
}

fn pages(fields: &Fields<'_>, statement: Option<SqlStatement>) -> Option<SqlWork> {
    only_for(fields, &["transaction"], "statements without `page`: each page is a transaction");
    let number = |key: &str, default: u32, range| {
        let number = fields.read(key, |node| node.integer(range));
        number.and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
    };
    let page = number("page", 1000, 1..=100_000);
    let max_pages = number("max_pages", 10_000, 1..=u64::from(u32::MAX));
    let pause = fields.read("pause", duration).unwrap_or_default();
    let time_limit = fields.read("time_limit", positive_duration);
    Some(SqlWork::Pages(SqlPages { statement: statement?, page, max_pages, pause, time_limit }))
}

/// A bounded `DELETE`, written for the database at hand.
fn delete(node: &Node<'_>, dialect: Dialect) -> Option<SqlStatement> {
    let fields = node.object(&Keys::only(&["table", "where", "key"]))?;
    let table = fields.need("table", Node::text);
    let key = fields.need("key", Node::text);
    let condition = fields.need("where", |node| {
        let text = node.text()?;
        if text.trim_end().ends_with(';') {
            node.error("a `;` ends this condition", "leave the `;` out".to_owned());
            return None;
        }
        check_parameters(node, text, dialect, &["message"])?;
        Some(text)
    });
    let (table, key, condition) = (dialect.quote_path(table?), dialect.quote(key?), condition?);
    // A comment at the end of the condition must not swallow the bracket.
    let text = match dialect {
        Dialect::MySql => format!("DELETE FROM {table} WHERE ({condition}\n) ORDER BY {key} LIMIT :page"),
        Dialect::Sqlite | Dialect::Postgres => {
            format!(
                "DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE ({condition}\n) LIMIT :page)"
            )
        }
    };
    Some(SqlStatement { text, origin: String::new(), path: vec!["delete".to_owned()] })
}

fn backup(node: &Node<'_>, dir: &Path, database: Option<&DatabaseSettings>) -> Option<BackupSettings> {
    let fields = node.object(&Keys::only(&["to", "keep"]))?;
    let other = match database {
        Some(DatabaseSettings::Postgres(_)) => Some(("PostgreSQL", "pg_dump", "; the sample `pg-dump` does")),
        Some(DatabaseSettings::MySql(_)) => Some(("MySQL and MariaDB", "mariadb-dump", "")),
        _ => None,
    };
    if let Some((kind, program, sample)) = other {
        let help = format!("run `{program}` from a `command`{sample}");
        node.error(format!("`backup` copies SQLite files; {kind} has a program of its own"), help);
        return None;
    }
    let to = fields.need("to", |node| {
        let to = absolute(dir, node.text()?);
        if to.is_file() {
            node.error("this is a file; name the folder that the copies go to", None);
            return None;
        }
        Some(to)
    });
    let keep = fields.read("keep", |node| node.integer(1..=100_000));
    Some(BackupSettings { to: to?, keep: keep.and_then(|keep| u32::try_from(keep).ok()) })
}
