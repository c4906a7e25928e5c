//! A page to look at: `target.fetch`.

use std::path::Path;

use scraper::Selector;

use super::batch::reference;
use super::decode::{Fields, Keys, Node};
use super::function::Scope;
use super::http::{self, pointer};
use super::mail;
use super::secret::secret;
use super::template::part;
use crate::settings::{
    ActionSettings, FetchSettings, FollowSettings, HttpBody, HttpSettings, HttpUrl, Pick, SaveSettings,
    Secret, WecomKind, WecomRobotSettings,
};
use crate::spelling::nearest;

const KEYS: Keys = Keys::only(&[
    "url",
    "headers",
    "timeout",
    "tls",
    "tls_ca",
    "redirects",
    "max_response",
    "success",
    "json",
    "html",
    "feed",
    "key",
    "first",
    "save",
    "then",
]);

/// A page is asked for.
const PAGE: http::Usage = http::Usage { method: "GET", body: HttpBody::Empty };
/// A change is posted.
const CHANGE: http::Usage =
    http::Usage { method: "POST", body: HttpBody::Variables(&["url", "items", "new"]) };

/// What an entry of a feed has.
const ENTRY: [&str; 8] = ["id", "title", "link", "published", "updated", "summary", "content", "author"];

/// Reads `target.fetch` of the function folder `dir`.
pub(super) fn read(node: &Node<'_>, dir: &Path, scope: &Scope<'_>) -> Option<FetchSettings> {
    let fields = node.object(&KEYS)?;
    let request = http::of_fields(&fields, dir, &PAGE);
    let pick = pick(&fields);
    let of_pick = pick.as_ref().unwrap_or(&Pick::Whole);
    let key = match fields.get("key") {
        Some(node) => paths(node, of_pick),
        None => Some(Vec::new()),
    };
    let first = fields.read("first", |node| node.word(&["remember", "report"]));
    let save = match fields.get("save") {
        Some(node) => Some(save(node, of_pick, scope)?),
        None => None,
    };
    let then = match fields.get("then") {
        Some(node) => Some(follow(node, dir, scope)?),
        None => None,
    };
    if save.is_none() && then.is_none() {
        let help = "add `save`, `then`, or both; without them only the history tells of a change".to_owned();
        node.warning("nothing follows a change", help);
    }
    if let (Some(node), None) = (fields.get("first"), &then) {
        node.error("`first` belongs to a `then`", "delete it".to_owned());
    }
    Some(FetchSettings {
        request: request?,
        pick: pick?,
        key: key?,
        report_first: first == Some("report"),
        save,
        then,
    })
}

fn pick(fields: &Fields<'_>) -> Option<Pick> {
    let given: Vec<&str> =
        ["json", "html", "feed"].into_iter().filter(|key| fields.get(key).is_some()).collect();
    match given[..] {
        [] => Some(Pick::Whole),
        ["json"] => fields.read("json", pointer).map(Pick::Json),
        ["html"] => fields.read("html", selector).map(Pick::Html),
        ["feed"] => {
            let is_feed = fields.read("feed", Node::boolean)?;
            Some(if is_feed { Pick::Feed } else { Pick::Whole })
        }
        _ => {
            let message = format!("a page is looked at in one way; here are {}", given.join(" and "));
            fields.node().error(message, "keep one of them".to_owned());
            None
        }
    }
}

fn selector(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    is_selector(node, text).then(|| text.to_owned())
}

fn is_selector(node: &Node<'_>, text: &str) -> bool {
    let problem = Selector::parse(text).err();
    if let Some(problem) = &problem {
        let help = "write one such as `.price`, `#news li` or `a[href]`".to_owned();
        node.error(format!("`{text}` is not a CSS selector: {problem}"), help);
    }
    problem.is_none()
}

/// One path, or several.
fn paths(node: &Node<'_>, pick: &Pick) -> Option<Vec<String>> {
    let nodes = if node.is_string() { vec![node.clone()] } else { node.list()? };
    if nodes.is_empty() {
        node.error("nothing tells the items apart", "delete the key, or name a path".to_owned());
    }
    nodes.iter().map(|node| path(node, pick)).collect()
}

/// Where a value stands within an item.
fn path(node: &Node<'_>, pick: &Pick) -> Option<String> {
    match pick {
        Pick::Html(_) => {
            let text = node.text()?;
            // `a @href`: the attribute is ours, the rest is a selector.
            let selector = text.rsplit_once('@').map_or(text, |(selector, _)| selector).trim();
            let is_one = selector.is_empty() || selector == "text" || is_selector(node, selector);
            is_one.then(|| text.to_owned())
        }
        Pick::Feed => {
            let text = pointer(node)?;
            let field = text.trim_start_matches('/');
            if !ENTRY.contains(&field) {
                let help =
                    nearest(field, ENTRY).unwrap_or_else(|| format!("there are: /{}", ENTRY.join(", /")));
                node.error(format!("the entries of feeds have no `{text}`"), help);
                return None;
            }
            Some(text)
        }
        Pick::Json(_) | Pick::Whole => pointer(node),
    }
}

fn save(node: &Node<'_>, pick: &Pick, scope: &Scope<'_>) -> Option<SaveSettings> {
    let fields = node.object(&Keys::only(&["database", "table", "key", "columns"]))?;
    let database = fields.need("database", |node| {
        reference(node, "database", "databases", scope.daemon.database_names.as_deref())
    });
    let table = fields.need("table", Node::text).map(str::to_owned);
    let columns = fields.need("columns", |node| {
        let entries = node.entries()?;
        if entries.is_empty() {
            node.error("a row has no columns", "write `{ \"column\": \"path\" }`".to_owned());
        }
        let column = |(name, node): (&str, Node<'_>)| Some((name.to_owned(), path(&node, pick)?));
        entries.into_iter().map(column).collect::<Option<Vec<_>>>()
    });
    let key = fields.need("key", |node| {
        let nodes = if node.is_string() { vec![node.clone()] } else { node.list()? };
        if nodes.is_empty() {
            node.error("nothing tells the rows apart", "name the columns of a unique index".to_owned());
        }
        let mut key = Vec::with_capacity(nodes.len());
        for node in &nodes {
            let name = node.text()?;
            let mut known = columns.iter().flatten().map(|(column, _)| column.as_str());
            if columns.is_some() && !known.any(|column| column == name) {
                let known = columns.iter().flatten().map(|(column, _)| column.as_str());
                let help = nearest(name, known).unwrap_or_else(|| "add it there".to_owned());
                node.error(format!("the key `{name}` is not one of the `columns`"), help);
            }
            key.push(name.to_owned());
        }
        Some(key)
    });
    Some(SaveSettings { database: database?, table: table?, key: key?, columns: columns? })
}

/// What is done about a change.
fn follow(node: &Node<'_>, dir: &Path, scope: &Scope<'_>) -> Option<FollowSettings> {
    const KEYS: Keys = Keys::only(&["http", "wecom_robot", "mail"]);
    let fields = node.object(&KEYS)?;
    let given: Vec<&str> = KEYS.known.iter().copied().filter(|key| fields.get(key).is_some()).collect();
    match given[..] {
        ["http"] => fields
            .read("http", |node| -> Option<HttpSettings> { http::read(node, dir, &CHANGE) })
            .map(|request| FollowSettings::Http(Box::new(request))),
        ["wecom_robot"] => {
            fields.read("wecom_robot", |node| wecom(node, dir)).map(FollowSettings::WecomRobot)
        }
        ["mail"] => fields.read("mail", |node| match mail::read(node, dir, scope)? {
            ActionSettings::Mail(mail) => Some(FollowSettings::Mail(Box::new(mail))),
            ActionSettings::Digest { .. } | ActionSettings::Http(_) => {
                let help =
                    "delete `per`: there is one mail a change, with `items` and `new` in its templates";
                node.error("`\"per\": \"run\"` belongs to the mail of a batch", help.to_owned());
                None
            }
        }),
        [] => {
            if node.entries().is_some_and(|entries| entries.is_empty()) {
                node.error("nothing is done", "say `http`, `wecom_robot` or `mail`".to_owned());
            }
            None
        }
        _ => {
            let message = format!("one thing is done about a change; here are {}", given.join(" and "));
            node.error(message, "keep one of them".to_owned());
            None
        }
    }
}

/// A message to a WeCom group: `url`, `kind`, and `content` or `content_file`.
pub(super) fn wecom(node: &Node<'_>, dir: &Path) -> Option<WecomRobotSettings> {
    let fields = node.object(&Keys::only(&["url", "kind", "content", "content_file"]))?;
    let url = fields.need("url", |node| webhook(node, dir));
    let kind = match fields.get("kind") {
        Some(node) => node.word(&["text", "markdown"]),
        None => Some("text"),
    };
    if ["content", "content_file"].iter().all(|key| fields.get(key).is_none()) {
        node.error("the message has no text", "add `content` or `content_file`".to_owned());
    }
    let content = part(&fields, "content", "content_file", dir);
    let kind = if kind? == "markdown" { WecomKind::Markdown } else { WecomKind::Text };
    Some(WecomRobotSettings { url: url?, kind, content: content? })
}

/// The URL of a robot, whose key makes it a secret.
fn webhook(node: &Node<'_>, dir: &Path) -> Option<Secret> {
    if node.is_string() {
        let text = node.text()?;
        // What a sample has in place of a key is nobody's secret.
        let key = text.rsplit_once("key=").map_or("", |(_, key)| key);
        if !key.is_empty() && key.chars().all(|c| c == '0' || c == '-') {
            return Some(Secret::new(text.to_owned()));
        }
        let secret = secret(node, dir)?;
        http::is_url(node, secret.reveal()).then_some(secret)
    } else {
        match http::url(node, dir)? {
            HttpUrl::Secret(secret) => Some(secret),
            HttpUrl::Template(_) => None,
        }
    }
}
