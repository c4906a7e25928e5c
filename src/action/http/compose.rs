//! A request's templates and the values that fill them.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Map, Value};
use url::Url;

use super::clients::HttpClients;
use super::exchange::{self, Fault, Reply};
use super::request::{Header, HttpRequest};
use super::verdict::{self, Delivery};
use crate::action::Delivery as Delivered;
use crate::action::template::{Context, Place, RenderError, TemplateError, Templates};
use crate::run::{Row, Scalar};
use crate::settings::{HttpBody, HttpHeader, HttpSettings, HttpUrl, Secret, TemplateSource};

const URL: &str = "url";
const BODY: &str = "body";
/// draft-ietf-httpapi-idempotency-key-header.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The `http` action: compiled templates, and connections.
#[derive(Debug)]
pub struct HttpAction {
    settings: HttpSettings,
    method: Method,
    templates: Templates,
    clients: HttpClients,
}

impl HttpAction {
    /// Compiles the templates of `settings`. The error names the place, the line and what is wrong.
    pub fn new(settings: &HttpSettings, clients: &HttpClients) -> Result<Self, TemplateError> {
        let mut sources: Vec<(Cow<'static, str>, Place, TemplateSource)> = Vec::new();
        if let HttpUrl::Template(source) = &settings.url {
            sources.push((URL.into(), Place::Url, source.clone()));
        }
        for (index, (_, value)) in settings.headers.iter().enumerate() {
            if let HttpHeader::Template(source) = value {
                sources.push((header_name(index).into(), Place::Text, source.clone()));
            }
        }
        match &settings.body {
            HttpBody::Empty | HttpBody::Variable(_) | HttpBody::Variables(_) => {}
            HttpBody::Text(source) => sources.push((BODY.into(), place_of_body(settings), source.clone())),
            HttpBody::Json { value, origin } => {
                let mut texts = Vec::new();
                collect(value, &mut texts);
                sources.extend(texts.into_iter().enumerate().map(|(index, text)| {
                    let source = TemplateSource { origin: origin.clone(), text: text.to_owned() };
                    (leaf_name(index).into(), Place::Text, source)
                }));
            }
        }
        let method = Method::from_bytes(settings.method.as_bytes()).map_err(|_| TemplateError {
            origin: "method".to_owned(),
            line: 1,
            message: format!("`{}` is not a method", settings.method),
        })?;
        let templates = Templates::compile(sources)?;
        Ok(Self { settings: settings.clone(), method, templates, clients: clients.clone() })
    }

    /// The request for `values`, which templates see as variables beside `fire_time` and `now`.
    pub fn render(
        &self,
        values: &Map<String, Value>,
        fire_time: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<HttpRequest, RenderError> {
        self.fill(&Context::values(values, fire_time, now), values)
    }

    /// The request for one row, whose columns templates see; its whole is the variable `row` of bodies. It carries the
    /// delivery's own `Idempotency-Key`, by which a server can tell a second try from a second order.
    pub fn render_row(&self, delivery: &Delivered<'_>) -> Result<HttpRequest, RenderError> {
        let Delivered { row, reservation, fire_time, now } = *delivery;
        let values = Map::from_iter([("row".to_owned(), json_of(row))]);
        let mut request = self.fill(&Context::row(row, fire_time, now), &values)?;
        if !request.headers.iter().any(|header| header.name == IDEMPOTENCY_KEY) {
            request
                .set_header(IDEMPOTENCY_KEY, reservation)
                .map_err(|reason| RenderError::Header { header: IDEMPOTENCY_KEY.into(), reason })?;
        }
        Ok(request)
    }

    fn fill(&self, context: &Context, values: &Map<String, Value>) -> Result<HttpRequest, RenderError> {
        let mut secrets = Vec::new();
        let (text, is_url_secret) = match &self.settings.url {
            HttpUrl::Template(_) => (self.templates.render(URL, context)?, false),
            HttpUrl::Secret(secret) => {
                secrets.push(secret.clone());
                (secret.reveal().to_owned(), true)
            }
        };
        let url = url(&text, is_url_secret)?;
        if is_url_secret {
            let path = &url[url::Position::BeforePath..];
            secrets.push(Secret::new(path.to_owned()));
            secrets.extend(url.query().map(|query| Secret::new(query.to_owned())));
        }
        let mut headers = Vec::with_capacity(self.settings.headers.len() + 1);
        for (index, (name, value)) in self.settings.headers.iter().enumerate() {
            let header = match value {
                HttpHeader::Template(_) => {
                    Header::new(name, &self.templates.render(&header_name(index), context)?, false)
                }
                HttpHeader::Secret { prefix, secret } => {
                    secrets.push(secret.clone());
                    Header::new(name, &format!("{prefix}{}", secret.reveal()), true)
                }
            };
            let wrong = |reason| RenderError::Header { header: name.clone().into(), reason };
            let header = header.map_err(wrong)?;
            secrets.extend(header.secrets());
            headers.push(header);
        }
        // The whole of one may be hidden only as long as none of its parts is.
        secrets.sort_by_key(|secret| Reverse(secret.reveal().len()));
        let body = self.body(values, context)?;
        let names_type = headers.iter().any(|header| header.name == "content-type");
        if !names_type && !matches!(self.settings.body, HttpBody::Empty) {
            let wrong = |reason| RenderError::Header { header: "Content-Type".into(), reason };
            headers.push(Header::new("content-type", "application/json", false).map_err(wrong)?);
        }
        let is_of_one_server = match &self.settings.url {
            HttpUrl::Template(source) => names_server(&source.text),
            HttpUrl::Secret(_) => true,
        };
        let method = self.method.clone();
        Ok(HttpRequest { method, url, is_url_secret, is_of_one_server, headers, body, secrets })
    }

    /// Sends it, and says what became of it. A future that is dropped leaves it in doubt.
    pub async fn deliver(&self, request: &HttpRequest) -> Delivery {
        match self.exchange(request).await {
            Ok(reply) => self.judge(request, reply),
            Err(fault) => fault.into(),
        }
    }

    /// Sends it, and hands back whatever was answered, for those who judge it themselves.
    pub async fn exchange(&self, request: &HttpRequest) -> Result<Reply, Fault> {
        exchange::exchange(&self.clients, &self.settings, request).await
    }

    /// What an answer to `request` means.
    pub fn judge(&self, request: &HttpRequest, reply: Reply) -> Delivery {
        verdict::delivery(&self.settings.success, request, reply)
    }

    /// Of the whole exchange.
    pub const fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    fn body(&self, values: &Map<String, Value>, context: &Context) -> Result<Bytes, RenderError> {
        let of = |name: &str| values.get(name).cloned().unwrap_or_default();
        Ok(match &self.settings.body {
            HttpBody::Empty => Bytes::new(),
            HttpBody::Variable(name) => of(name).to_string().into(),
            HttpBody::Variables(names) => {
                let object: Map<_, _> = names.iter().map(|name| ((*name).to_owned(), of(name))).collect();
                Value::Object(object).to_string().into()
            }
            HttpBody::Text(_) => self.templates.render(BODY, context)?.into(),
            HttpBody::Json { value, .. } => {
                let mut next = 0;
                self.filled(value, &mut next, context)?.to_string().into()
            }
        })
    }

    /// `value` with its templates filled in; `next` counts them in the order of [`collect`].
    fn filled(&self, value: &Value, next: &mut usize, context: &Context) -> Result<Value, RenderError> {
        Ok(match value {
            Value::String(text) => {
                let rendered = self.templates.render(&leaf_name(*next), context)?;
                *next += 1;
                let whole = is_whole(text).then(|| serde_json::from_str(&rendered).ok()).flatten();
                whole.unwrap_or(Value::String(rendered))
            }
            Value::Array(values) => {
                let filled = values.iter().map(|value| self.filled(value, next, context));
                Value::Array(filled.collect::<Result<_, _>>()?)
            }
            Value::Object(values) => {
                let mut filled = Map::new();
                for (name, value) in values {
                    filled.insert(name.clone(), self.filled(value, next, context)?);
                }
                Value::Object(filled)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        })
    }
}

/// A row as an object. Bytes have no place in JSON: they are written in hexadecimal.
fn json_of(row: &Row) -> Value {
    let value = |scalar: &Scalar| match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => Value::from(*value),
        Scalar::Int(value) => Value::from(*value),
        Scalar::Float(value) => Value::from(*value),
        Scalar::Text(text) => Value::from(text.as_str()),
        Scalar::Bytes(bytes) => {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat().into()
        }
    };
    Value::Object(row.columns.iter().cloned().zip(row.values.iter().map(value)).collect())
}

fn header_name(index: usize) -> String {
    format!("header {index}")
}

fn leaf_name(index: usize) -> String {
    format!("{BODY} {index}")
}

/// All texts of `value`, in order.
fn collect<'v>(value: &'v Value, into: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
        Value::Object(values) => values.values().for_each(|value| collect(value, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a text of a JSON body is nothing but `{{ … | tojson }}`: then the value stands there itself, and no text.
fn is_whole(text: &str) -> bool {
    let inside = text.trim().strip_prefix("{{").and_then(|text| text.strip_suffix("}}"));
    inside.is_some_and(|inside| !inside.contains("{{") && inside.trim_end().ends_with("tojson"))
}

/// How values are escaped in a body that is one text.
fn place_of_body(settings: &HttpSettings) -> Place {
    let of_type = settings.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let Some((_, HttpHeader::Template(source))) = of_type else { return Place::Json };
    let kind = source.text.to_ascii_lowercase();
    if kind.contains("json") {
        Place::Json
    } else if kind.contains("x-www-form-urlencoded") {
        Place::Url
    } else if kind.contains("xml") || kind.contains("html") {
        Place::Html
    } else {
        Place::Text
    }
}

/// Whether the server in a URL's template is written out, so that it is the same for all values.
fn names_server(template: &str) -> bool {
    let server = template.split_once("://").and_then(|(_, rest)| rest.split_once(['/', '?', '#']));
    let server = server.map_or(template, |(server, _)| server);
    !server.contains('{') && !template.trim_start().starts_with('{')
}

/// A URL that can be asked for.
fn url(text: &str, is_secret: bool) -> Result<Url, RenderError> {
    let wrong = |reason: String| {
        let shown = if is_secret { "the URL".to_owned() } else { format!("`{text}`") };
        RenderError::Header { header: "url".into(), reason: format!("{shown} {reason}") }
    };
    let url = Url::parse(text).map_err(|error| wrong(format!("is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("does not start with `https://` or `http://`".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("has a login in it; write an `Authorization` header".to_owned()));
    }
    Ok(url)
}
