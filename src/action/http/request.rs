//! A request that is ready to go out, and what of it may be shown.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{COOKIE, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH};
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

    /// Adds a header, unless there is one of that name. The reason, when it is none.
    pub fn add_header(&mut self, name: &str, value: &str) -> Result<(), String> {
        let header = Header::new(name, value, false)?;
        if !self.headers.iter().any(|known| known.name == header.name) {
            self.headers.push(header);
        }
        Ok(())
    }

    /// What it carries.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Has it carry `body`.
    pub fn set_body(&mut self, body: Bytes) {
        self.body = body;
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

    /// At most `limit` bytes of the beginning of `text`, without secrets and without the beginning of one.
    pub fn beginning(&self, text: &[u8], limit: usize) -> String {
        let secrets = || self.secrets.iter().map(Secret::reveal).filter(|secret| secret.len() >= SHORTEST);
        // A secret that starts within the limit is whole in this.
        let longest = secrets().map(str::len).max().unwrap_or_default();
        let seen = &text[..text.len().min(limit + longest)];
        let mut shown = self.without_secrets(String::from_utf8_lossy(seen).trim_end_matches('\u{fffd}'));
        let mut is_cut = seen.len() < text.len();
        if is_cut {
            // What was hidden made room for what follows it: that may be the first part of another.
            let part = |secret: &str| {
                secret.char_indices().rev().map(|(at, _)| at).find(|at| shown.ends_with(&secret[..*at]))
            };
            let part = secrets().filter_map(part).max().unwrap_or_default();
            shown.truncate(shown.len() - part);
        }
        if shown.len() > limit {
            let end = (0..=limit).rev().find(|at| shown.is_char_boundary(*at)).unwrap_or_default();
            shown.truncate(end);
            is_cut = true;
        }
        let more = if is_cut { "…" } else { "" };
        format!("{}{more}", shown.trim_end())
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

    /// What must not be shown of it, in the forms in which a server may repeat it: whole, without its scheme, and
    /// cookies without their names.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        if !self.is_secret {
            return Vec::new();
        }
        let value = String::from_utf8_lossy(self.value.as_bytes());
        let mut texts = vec![&*value];
        texts.extend(value.split_once(' ').map(|(_, login)| login.trim()));
        if self.name == COOKIE {
            texts.extend(value.split(';').filter_map(|pair| Some(pair.split_once('=')?.1.trim())));
        }
        texts.into_iter().map(|text| Secret::new(text.to_owned())).collect()
    }
}
