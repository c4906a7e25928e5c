//! An HTTP request: `target.http`, and the same wherever else a request is described.

use std::path::Path;
use std::time::Duration;

use url::Url;

use super::daemon::absolute;
use super::decode::{Fields, Keys, Node};
use super::secret::{prefixed, secret};
use super::template::{is_filled_in, part, sourced, syntax_error};
use super::units::positive_duration;
use crate::settings::{HttpBody, HttpHeader, HttpSettings, HttpSuccess, HttpUrl, JsonRule, TlsMode};

/// Of the whole exchange; the cloud's for a function.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of an answer.
const MAX_RESPONSE: usize = 1 << 20;
/// Memory is not for the filling.
const LARGEST_RESPONSE: u64 = 256 << 20;

const KEYS: Keys = Keys::only(&[
    "url",
    "method",
    "headers",
    "body",
    "body_file",
    "timeout",
    "tls",
    "tls_ca",
    "redirects",
    "max_response",
    "success",
]);

const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

/// What a request is when its settings do not say.
pub(super) struct Usage {
    pub method: &'static str,
    /// Of methods that carry something.
    pub body: HttpBody,
}

/// A fire's request: the event is posted.
pub(super) const EVENT: Usage = Usage { method: "POST", body: HttpBody::Variable("event") };

/// A row of a batch is posted.
pub(super) const ROW: Usage = Usage { method: "POST", body: HttpBody::Variable("row") };

/// Reads a request; the paths of files are seen from `dir`.
pub(super) fn read(node: &Node<'_>, dir: &Path, usage: &Usage) -> Option<HttpSettings> {
    of_fields(&node.object(&KEYS)?, dir, usage)
}

/// The same from an object that has more to say.
pub(super) fn of_fields(fields: &Fields<'_>, dir: &Path, usage: &Usage) -> Option<HttpSettings> {
    let url = fields.need("url", |node| url(node, dir));
    let method = match fields.get("method") {
        Some(node) => node.word(METHODS),
        None => Some(usage.method),
    };
    let headers = fields.read("headers", |node| headers(node, dir)).unwrap_or_default();
    let tls = tls(fields, dir);
    let exchange = Exchange::read(fields);
    let success = match fields.get("success") {
        Some(node) => success(node),
        None => Some(HttpSuccess::default()),
    };
    let method = method?;
    let is_question = matches!(method, "GET" | "HEAD");
    if let (true, Some(node)) = (is_question, fields.get("body").or_else(|| fields.get("body_file"))) {
        let help = "write `\"method\": \"POST\"`, or delete the body".to_owned();
        node.error(format!("a {method} carries no body"), help);
    }
    let carries_nothing = is_question || method == "DELETE";
    let body = body(fields, dir, if carries_nothing { HttpBody::Empty } else { usage.body.clone() });
    Some(HttpSettings {
        method: method.to_owned(),
        url: url?,
        headers,
        body: body?,
        timeout: exchange.timeout,
        tls: tls?,
        redirects: exchange.redirects.unwrap_or(if is_question { 5 } else { 0 }),
        max_response: exchange.max_response,
        success: success?,
    })
}

/// The bounds of an exchange.
struct Exchange {
    timeout: Duration,
    redirects: Option<u8>,
    max_response: usize,
}

impl Exchange {
    fn read(fields: &Fields<'_>) -> Self {
        let redirects = fields.read("redirects", |node| node.integer(0..=20));
        let max_response = fields.read("max_response", |node| node.integer(1..=LARGEST_RESPONSE));
        Self {
            timeout: fields.read("timeout", positive_duration).unwrap_or(TIMEOUT),
            redirects: redirects.and_then(|redirects| u8::try_from(redirects).ok()),
            max_response: max_response.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(MAX_RESPONSE),
        }
    }
}

/// A template, or a secret as a whole.
pub(super) fn url(node: &Node<'_>, dir: &Path) -> Option<HttpUrl> {
    if node.is_object() {
        let secret = secret(node, dir)?;
        return is_url(node, secret.reveal()).then_some(HttpUrl::Secret(secret));
    }
    let source = sourced(node)?;
    let text = source.text.trim_start();
    let example = || Some("write one such as `https://example.com/path`".to_owned());
    if is_filled_in(text) {
        if !["http://", "https://", "{"].iter().any(|start| text.starts_with(start)) {
            node.error("the URL has to start with `https://` or `http://`", example());
            return None;
        }
    } else if let Err(problem) = check_url(text) {
        node.error(format!("this {problem}"), example());
        return None;
    }
    Some(HttpUrl::Template(source))
}

/// Whether `text` is a URL that can be asked for; reports why not, without quoting it.
pub(super) fn is_url(node: &Node<'_>, text: &str) -> bool {
    let problem = check_url(text).err();
    if let Some(problem) = &problem {
        node.error(format!("the secret {problem}"), "write the whole URL into it".to_owned());
    }
    problem.is_none()
}

pub(super) fn check_url(text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is not the URL of a web server: it has to start with `https://` or `http://`".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a login in it: write it as a header, `\"Authorization\": { \"env\": \"NAME\", \"prefix\": \"Basic \" }`".to_owned());
    }
    Ok(())
}

/// Names and values; a value is a template, or a secret with what stands before it.
pub(super) fn headers(node: &Node<'_>, dir: &Path) -> Option<Vec<(String, HttpHeader)>> {
    const OURS: [&str; 4] = ["content-length", "transfer-encoding", "connection", "host"];
    const LOGINS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
    let mut headers: Vec<(String, HttpHeader)> = Vec::new();
    for (name, node) in node.entries()? {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            node.error(format!("`{name}` cannot name a header"), None);
        } else if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            node.error(format!("`{name}` is set by Gulou itself"), "delete it".to_owned());
        } else if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            node.error(format!("the header `{name}` is given twice"), "delete one of them".to_owned());
        }
        let value = if node.is_object() {
            prefixed(&node, dir).map(|(prefix, secret)| HttpHeader::Secret { prefix, secret })
        } else {
            let source = sourced(&node);
            if source.as_ref().is_some_and(|source| !is_filled_in(&source.text))
                && LOGINS.iter().any(|login| name.eq_ignore_ascii_case(login))
            {
                let help = "write `{ \"env\": \"NAME\", \"prefix\": \"Bearer \" }` instead".to_owned();
                node.warning("this secret can be read by all who can read this file", help);
            }
            source.map(HttpHeader::Template)
        };
        headers.extend(value.map(|value| (name.to_owned(), value)));
    }
    Some(headers)
}

/// What is carried; `default` where the file does not say.
fn body(fields: &Fields<'_>, dir: &Path, default: HttpBody) -> Option<HttpBody> {
    let given = fields.get("body");
    match given {
        Some(node) if matches!(node.kind(), "an object" | "a list") => {
            if fields.get("body_file").is_some() {
                node.error("`body` and `body_file` exclude each other", "keep one of them".to_owned());
            }
            let value = node.json()?;
            let mut texts = vec![&value];
            while let Some(next) = texts.pop() {
                match next {
                    serde_json::Value::String(text) => {
                        if let Some((_, problem)) = syntax_error(text) {
                            node.error(format!("the template `{text}` cannot be read: {problem}"), None);
                            return None;
                        }
                    }
                    serde_json::Value::Array(values) => texts.extend(values),
                    serde_json::Value::Object(values) => texts.extend(values.values()),
                    _ => {}
                }
            }
            Some(HttpBody::Json { value, origin: node.path().to_owned() })
        }
        Some(node) if node.is_string() && node.string() == Some("") => Some(HttpBody::Empty),
        Some(node) if !node.is_string() => node.wrong_type("a string, an object or a list"),
        None if fields.get("body_file").is_none() => Some(default),
        _ => part(fields, "body", "body_file", dir).map(HttpBody::Text),
    }
}

/// Of servers that are asked by `https://`.
pub(super) fn tls(fields: &Fields<'_>, dir: &Path) -> Option<TlsMode> {
    let ca = fields.read("tls_ca", |node| {
        let path = absolute(dir, node.text()?);
        if !path.is_file() {
            node.error(
                format!("there is no file `{}`", node.text()?),
                "paths start at the function's folder".to_owned(),
            );
        }
        Some(path)
    });
    let word = match fields.get("tls") {
        Some(node) => node.word(&["verify", "unverified"])?,
        None => "verify",
    };
    if let Some(node) = fields.get("tls_ca").filter(|_| word == "unverified") {
        let help = "write `\"tls\": \"verify\"`, or delete this".to_owned();
        node.error("with `tls` \"unverified\" no certificate is looked at", help);
    }
    Some(if word == "verify" { TlsMode::Verify { ca } } else { TlsMode::Unverified })
}

fn success(node: &Node<'_>) -> Option<HttpSuccess> {
    let fields = node.object(&Keys::only(&["status", "json"]))?;
    let status = match fields.get("status") {
        None => HttpSuccess::default().status,
        Some(node) if node.kind() == "a list" => {
            let nodes = node.list()?;
            if nodes.is_empty() {
                node.error("no answer could be a success", "write `[200]` or `[\"2xx\"]`".to_owned());
            }
            nodes.iter().map(status_range).collect::<Option<Vec<_>>>()?
        }
        Some(node) => vec![status_range(node)?],
    };
    let json = match fields.get("json") {
        None => None,
        Some(node) => {
            let fields = node.object(&Keys::only(&["pointer", "equals"]))?;
            let pointer = fields.need("pointer", pointer);
            let equals = fields.need("equals", Node::scalar);
            Some(JsonRule { pointer: pointer?, equals: equals? })
        }
    };
    Some(HttpSuccess { status, json })
}

/// `200`, or `"2xx"` for all of them.
fn status_range(node: &Node<'_>) -> Option<(u16, u16)> {
    if node.is_string() {
        const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];
        let word = node.word(&CLASSES)?;
        let class = u16::try_from(CLASSES.iter().position(|class| *class == word)? + 2).ok()?;
        return Some((class * 100, class * 100 + 99));
    }
    let code = u16::try_from(node.integer(200..=599)?).ok()?;
    Some((code, code))
}

/// A JSON pointer (RFC 6901): empty for the whole value, or a path that starts with `/`.
pub(super) fn pointer(node: &Node<'_>) -> Option<String> {
    let text = node.string()?;
    if text.is_empty() || text.starts_with('/') {
        return Some(text.to_owned());
    }
    let plain = text.trim_start_matches(['$', '.']).replace(['.', '['], "/").replace(']', "");
    node.error(format!("`{text}` is not a JSON pointer"), format!("write `/{plain}`"));
    None
}
