//! A batch: its source, its action, its pace.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use super::database::dialect;
use super::decode::{Keys, Node};
use super::function::Scope;
use super::mark::{self, check_parameters};
use super::units::{duration, positive_duration, rate};
use super::{export, follow, http, mail, quota, wechat};
use crate::settings::{
    ActionSettings, BatchSettings, ErrorLimit, OnUncertain, Pages, Relation, SourceSettings,
};
use crate::spelling::nearest;
use crate::sql::Dialect;

const KEYS: Keys = Keys::only(&[
    "id",
    "source",
    "action",
    "mark",
    "pages",
    "concurrency",
    "window",
    "rate",
    "quota",
    "on_uncertain",
    "time_limit",
    "patience",
    "pause_on_errors",
]);

/// Reads `target.batch` of the function folder `dir`.
pub(super) fn read(node: &Node<'_>, dir: &Path, scope: &Scope<'_>) -> Option<BatchSettings> {
    let fields = node.object(&KEYS)?;
    let id = fields.need("id", |node| {
        let id = node.text()?;
        if id.len() > 100 || id.contains(char::is_control) || id.trim() != id {
            node.error("an id is a short name without spaces at its ends", None);
            return None;
        }
        Some(id.to_owned())
    });
    let action = fields.need("action", |node| action(node, dir, scope));
    let is_digest = matches!(action, Some(ActionSettings::Digest { .. }));
    let is_export = matches!(action, Some(ActionSettings::Export(_)));
    let source =
        fields.need("source", |node| source(node, scope, is_digest || is_export || action.is_none()));
    if is_export {
        export::check(&fields);
    }
    let mark = fields
        .read("mark", |node| if is_export { None } else { mark::read(node, source.as_ref(), is_digest) });
    let pages = fields.read("pages", pages).unwrap_or(Pages::Count(NonZeroU32::MIN));
    let concurrency = fields.read("concurrency", |node| node.integer(1..=1024)).unwrap_or(16);
    let window = fields.read("window", |node| {
        let window = node.integer(1..=1_000_000)?;
        if window < concurrency {
            let message =
                format!("a window of {window} keeps {concurrency} deliveries at a time from working");
            node.warning(message, format!("write at least {concurrency}"));
        }
        Some(window)
    });
    let rate = fields.read("rate", rate);
    let quota = fields.read("quota", |node| {
        if is_digest {
            node.error("one mail for all rows needs no quota", "delete it".to_owned());
        }
        quota::read(node, id.as_deref().unwrap_or_default())
    });
    let on_uncertain = fields.read("on_uncertain", |node| node.word(&["hold", "resend"]));
    let time_limit = fields.read("time_limit", positive_duration);
    let patience = fields.read("patience", duration).unwrap_or(PATIENCE);
    let pause_on_errors = fields.get("pause_on_errors").map_or(Some(ERROR_LIMIT), pause_on_errors);
    Some(BatchSettings {
        id: id?,
        source: source?,
        action: action?,
        mark,
        pages,
        concurrency: usize::try_from(concurrency).ok()?,
        window: usize::try_from(window.unwrap_or(256)).ok()?,
        rate,
        quota,
        on_uncertain: if on_uncertain == Some("resend") { OnUncertain::Resend } else { OnUncertain::Hold },
        time_limit,
        patience,
        pause_on_errors,
    })
}

const PATIENCE: Duration = Duration::from_secs(300);

const ERROR_LIMIT: ErrorLimit = ErrorLimit { percent: 50, of_last: 200 };

/// How many of how many; `false`: never.
fn pause_on_errors(node: &Node<'_>) -> Option<ErrorLimit> {
    if node.kind() == "a boolean" {
        return node.boolean().filter(|on| *on).map(|_| ERROR_LIMIT);
    }
    let fields = node.object(&Keys::only(&["percent", "of_last"]))?;
    let percent = fields.read("percent", |node| node.integer(1..=100));
    let of_last = fields.read("of_last", |node| node.integer(1..=100_000));
    Some(ErrorLimit {
        percent: percent.map_or(Some(ERROR_LIMIT.percent), |percent| u32::try_from(percent).ok())?,
        of_last: of_last.map_or(Some(ERROR_LIMIT.of_last), |rows| usize::try_from(rows).ok())?,
    })
}

fn pages(node: &Node<'_>) -> Option<Pages> {
    if node.is_string() {
        return node.word(&["all"]).map(|_| Pages::All);
    }
    let count = node.integer(1..=u64::from(u32::MAX))?;
    u32::try_from(count).ok().and_then(NonZeroU32::new).map(Pages::Count)
}

fn action(node: &Node<'_>, dir: &Path, scope: &Scope<'_>) -> Option<ActionSettings> {
    const KEYS: Keys = Keys {
        known: &["mail", "http", "wecom_robot", "wechat_subscribe", "wechat_template", "export"],
        ignored: &[],
        later: &["function", "sql"],
    };
    let fields = node.object(&KEYS)?;
    if node.entries()?.is_empty() {
        let all = KEYS.known.join("`, `");
        node.error("the action is empty", format!("say what is done with a row: one of `{all}`"));
    }
    let mut given = KEYS.known.iter().filter_map(|key| Some((*key, fields.get(key)?)));
    let (key, value) = given.next()?;
    if let Some((other, node)) = given.next() {
        node.error("a batch does one thing with a row", format!("keep `{key}` or `{other}`"));
        return None;
    }
    let accounts = scope.daemon.wechat_names.as_deref();
    let mail_names = scope.daemon.mail_names.as_deref();
    match key {
        "http" => http::read(value, dir, &http::ROW).map(|request| ActionSettings::Http(Box::new(request))),
        "wecom_robot" => follow::wecom(value, dir).map(ActionSettings::WecomRobot),
        "wechat_subscribe" => wechat::subscribe(value, accounts).map(Box::new).map(ActionSettings::Wechat),
        "wechat_template" => wechat::template(value, accounts).map(Box::new).map(ActionSettings::Wechat),
        "export" => export::read(value, dir, scope),
        _ => mail::read(value, dir, mail_names),
    }
}

fn source(node: &Node<'_>, scope: &Scope<'_>, may_lack_key: bool) -> Option<SourceSettings> {
    let fields =
        node.object(&Keys::only(&["database", "table", "where", "query", "key", "columns", "page"]))?;
    let database = fields.need("database", |node| {
        reference(node, "database", "databases", scope.daemon.database_names.as_deref())
    });
    // Of a database that is not there, or wrong, nothing is known but that its SQL is standard.
    let settings = database.as_ref().and_then(|name| scope.daemon.databases.get(name));
    let dialect = settings.map_or(Dialect::Sqlite, dialect);
    let filter = fields.get("where").map(|node| statement(node, "where", dialect));
    let is_filter_wrong = matches!(filter, Some(None));
    let filter = filter.flatten();
    let relation = match (fields.get("table"), fields.get("query")) {
        (Some(table), None) => table.text().map(|name| Relation::Table { name: name.to_owned(), filter }),
        (None, Some(query)) => {
            if let Some(node) = fields.get("where") {
                node.error("`where` belongs to a `table`", "write the condition into the query".to_owned());
            }
            query_of(query, dialect).map(Relation::Query)
        }
        (None, None) => {
            node.error("the rows come from nowhere", "say `table`, or `query`".to_owned());
            None
        }
        (Some(_), Some(query)) => {
            query.error("`table` and `query` exclude each other", "keep one of them".to_owned());
            None
        }
    };
    let key = if may_lack_key { fields.read("key", key) } else { fields.need("key", key) };
    let columns = fields.read("columns", columns).unwrap_or_default();
    let page = fields.read("page", |node| node.integer(1..=100_000)).unwrap_or(1000);
    if is_filter_wrong {
        return None;
    }
    Some(SourceSettings {
        database: database?,
        relation: relation?,
        key: key.unwrap_or_default(),
        columns,
        page: u32::try_from(page).ok()?,
    })
}

/// A name of an entry of the daemon config.
pub(super) fn reference(
    node: &Node<'_>,
    kind: &str,
    section: &str,
    names: Option<&[String]>,
) -> Option<String> {
    let name = node.text()?;
    let Some(names) = names else { return Some(name.to_owned()) };
    if names.iter().any(|known| known == name) {
        return Some(name.to_owned());
    }
    let names = names.iter().map(String::as_str);
    let help = nearest(name, names.clone()).unwrap_or_else(|| {
        let all: Vec<&str> = names.collect();
        if all.is_empty() {
            format!("add it to `{section}` there")
        } else {
            format!("there are: {}", all.join(", "))
        }
    });
    node.error(format!("the daemon config has no {kind} called `{name}`"), help);
    None
}

/// A column, or several.
fn key(node: &Node<'_>) -> Option<Vec<String>> {
    if node.is_string() {
        return node.text().map(|column| vec![column.to_owned()]);
    }
    if node.kind() != "a list" {
        return node.wrong_type("a column's name or a list of them");
    }
    let key = columns(node)?;
    if key.is_empty() {
        node.error("no column is named", "write as in `\"id\"` or `[\"shop\", \"number\"]`".to_owned());
        return None;
    }
    Some(key)
}

fn columns(node: &Node<'_>) -> Option<Vec<String>> {
    let mut columns: Vec<String> = Vec::new();
    for node in node.list()? {
        let Some(column) = node.text() else { continue };
        if columns.iter().any(|known| known == column) {
            node.error(format!("`{column}` is listed twice"), "delete one of them".to_owned());
        } else {
            columns.push(column.to_owned());
        }
    }
    Some(columns)
}

/// SQL of the user's own, without a semicolon at its end.
fn statement(node: &Node<'_>, what: &str, dialect: Dialect) -> Option<String> {
    let text = node.text()?;
    if text.trim_end().ends_with(';') {
        node.error(
            format!("a `;` ends this {what}"),
            "leave the `;` out: Gulou puts it into a longer statement".to_owned(),
        );
        return None;
    }
    check_parameters(node, text, dialect, &[])?;
    Some(text.to_owned())
}

fn query_of(node: &Node<'_>, dialect: Dialect) -> Option<String> {
    let text = statement(node, "query", dialect)?;
    let first = text.split_whitespace().next().unwrap_or_default().to_lowercase();
    if !["select", "with", "values"].contains(&first.as_str()) {
        node.error(format!("a query reads rows; this starts with `{first}`"), "write a `SELECT`".to_owned());
        return None;
    }
    Some(text)
}
