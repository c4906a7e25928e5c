//! HTTP requests: what is asked, what may come back, and what counts as success.

use std::time::Duration;

use serde_json::Value;

use super::{Secret, TemplateSource, TlsMode};

/// A request and its rules.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSettings {
    /// `GET`, `POST`, …
    pub method: String,
    /// Where it goes.
    pub url: HttpUrl,
    /// In the order of the file; names as they were written.
    pub headers: Vec<(String, HttpHeader)>,
    /// What it carries.
    pub body: HttpBody,
    /// From the first byte sent to the last one received, redirects included; 20 s unless configured.
    pub timeout: Duration,
    /// Of `https://`: [`TlsMode::Verify`] or [`TlsMode::Unverified`].
    pub tls: TlsMode,
    /// So many redirects are followed; 5 for `GET` and `HEAD` unless configured, else 0.
    pub redirects: u8,
    /// More bytes than this of an answer are an error; 1 MiB unless configured.
    pub max_response: usize,
    /// What counts as success.
    pub success: HttpSuccess,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq)]
pub enum HttpUrl {
    /// A template; values are percent-encoded.
    Template(TemplateSource),
    /// As it is, and never shown but for its host: the key of a webhook is a part of its URL.
    Secret(Secret),
}

/// The value of a header.
#[derive(Clone, Debug, PartialEq)]
pub enum HttpHeader {
    /// A template.
    Template(TemplateSource),
    /// Never shown, and never taken along to another server.
    Secret {
        /// What stands before it, such as `Bearer `.
        prefix: String,
        /// The secret.
        secret: Secret,
    },
}

/// What a request carries.
#[derive(Clone, Debug, PartialEq)]
pub enum HttpBody {
    /// Nothing.
    Empty,
    /// One of the values that templates see, as JSON.
    Variable(&'static str),
    /// Several of them, as one JSON object.
    Variables(&'static [&'static str]),
    /// A text, with its values escaped as its `Content-Type` asks.
    Text(TemplateSource),
    /// JSON whose texts are templates.
    Json {
        /// The JSON.
        value: Value,
        /// Its JSON path in the file, for messages.
        origin: String,
    },
}

/// What counts as success.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSuccess {
    /// Inclusive ranges of status codes; `200..=299` unless configured.
    pub status: Vec<(u16, u16)>,
    /// And what the answer has to say.
    pub json: Option<JsonRule>,
}

/// A value that a JSON answer must have.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonRule {
    /// RFC 6901, such as `/errcode`.
    pub pointer: String,
    /// What stands there.
    pub equals: Value,
}

impl Default for HttpSuccess {
    fn default() -> Self {
        Self { status: vec![(200, 299)], json: None }
    }
}

/// A message to a group robot of WeCom (企业微信群机器人).
#[derive(Clone, Debug, PartialEq)]
pub struct WecomRobotSettings {
    /// The webhook's URL, key included.
    pub url: Secret,
    /// How the text is shown.
    pub kind: WecomKind,
    /// Template of the text.
    pub content: TemplateSource,
}

/// How WeCom shows a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WecomKind {
    /// As it is; at most 2048 bytes.
    Text,
    /// In WeCom's Markdown; at most 4096 bytes.
    Markdown,
}
