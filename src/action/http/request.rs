//! A request that is ready to go out, and what of it may be shown.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use url::Url;

use crate::settings::Secret;

/// Secrets that are shorter are not looked for in what servers answer: half of every text would be hidden.
const SHORTEST: usize = 6;
/// Bytes of a body that are shown.
const SHOWN: usize = 2000;
/// What stands for a secret.
const HIDDEN: &str = "…";

/// A request that is ready to go out.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    pub(super) method: Method,
    pub(super) url: Url,
    /// The URL is one of the secrets.
    pub(super) is_url_secret: bool,
    /// All requests of the action go to this server, whatever fills their templates: when it is gone, none can be sent.
    pub(super) is_of_one_server: bool,
    pub(super) headers: Vec<Header>,
    pub(super) body: Bytes,
    /// What is never shown, wherever it turns up.
    pub(super) secrets: Vec<Secret>,
}

/// One header.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) name: HeaderName,
    pub(super) value: HeaderValue,
    /// Not shown, and not taken along to another server.
    pub(super) is_secret: bool,
}

impl HttpRequest {
    /// Adds a header, or replaces all of that name. The reason, when it is none.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), String> {
        let header = Header::new(name, value, false)?;
        self.headers.retain(|known| known.name != header.name);
        self.headers.push(header);
        Ok(())
    }

    /// `POST https://example.com/path`, without secrets.
    pub fn title(&self) -> String {
        format!("{} {}", self.method, self.shown_url(&self.url))
    }

    /// For people, one line each: what would go out, without secrets.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.title()];
        lines.extend(
            self.headers.iter().map(|header| format!("{}: {}", header.name, self.shown_value(header))),
        );
        if !self.body.is_empty() {
            lines.push(String::new());
            lines.extend(self.shown_body().lines().map(str::to_owned));
        }
        lines
    }

    /// `text` without the secrets of this request: a server may answer what it was told.
    pub fn without_secrets(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets.iter().map(Secret::reveal).filter(|secret| secret.len() >= SHORTEST) {
            if text.contains(secret) {
                text = text.replace(secret, HIDDEN);
            }
        }
        text
    }

    /// What may be said of a URL that this request goes to.
    pub(super) fn shown_url(&self, url: &Url) -> String {
        if self.is_url_secret && *url == self.url {
            return format!("{}/{HIDDEN}", url.origin().ascii_serialization());
        }
        self.without_secrets(url.as_str())
    }

    /// The URL, secret or not; for comparing, not for showing.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The URL, without secrets.
    pub fn shown(&self) -> String {
        self.shown_url(&self.url)
    }

    /// The server may answer that nothing has changed.
    pub fn is_conditional(&self) -> bool {
        self.headers.iter().any(|header| header.name == IF_NONE_MATCH || header.name == IF_MODIFIED_SINCE)
    }

    /// Bytes of the body.
    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    fn shown_value(&self, header: &Header) -> String {
        if header.is_secret {
            return HIDDEN.to_owned();
        }
        self.without_secrets(&String::from_utf8_lossy(header.value.as_bytes()))
    }

    fn shown_body(&self) -> String {
        let text = self.without_secrets(&String::from_utf8_lossy(&self.body));
        match text.char_indices().find(|(at, _)| *at >= SHOWN) {
            Some((at, _)) => format!("{}… ({} bytes in all)", &text[..at], self.body.len()),
            None => text,
        }
    }
}

impl Header {
    /// The reason, when it is none: names have no spaces, values no line ends.
    pub(super) fn new(name: &str, value: &str, is_secret: bool) -> Result<Self, String> {
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| "this is not a header's name".to_owned())?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| "the value has a line end or another control character".to_owned())?;
        let is_login = matches!(name.as_str(), "authorization" | "cookie" | "proxy-authorization");
        Ok(Self { name, value, is_secret: is_secret || is_login })
    }
}
