//! A request goes out, redirects are followed, an answer comes back: all of it bounded.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap};
use reqwest::{Body, Method, Response, StatusCode};
use url::Url;

use super::clients::HttpClients;
use super::request::HttpRequest;
use super::watched::{Begun, Watched};
use crate::settings::HttpSettings;

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Its headers; the first of a name counts.
    pub(super) headers: HeaderMap,
    /// The whole body, or the beginning of a longer one.
    pub body: Bytes,
    /// The body was longer than it may be.
    pub is_cut: bool,
    /// Who answered, after all redirects; may be a secret.
    pub(super) url: Url,
    /// Another server took the request before, and sent us to this one for its answer.
    pub(super) handed_over: bool,
}

impl Reply {
    /// The first header of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `link` as it is meant where it stands: on this page.
    pub fn absolute(&self, link: &str) -> String {
        self.url.join(link).map_or_else(|_| link.to_owned(), String::from)
    }

    /// `503 Service Unavailable`.
    pub fn status_text(&self) -> String {
        StatusCode::from_u16(self.status)
            .map_or_else(|_| self.status.to_string(), |status| status.to_string())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is known of the request.
    pub kind: FaultKind,
    /// One line, without secrets.
    pub reason: String,
    /// It was the timeout.
    pub timed_out: bool,
}

/// What is known of a request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Nothing was sent, for nobody is there; it would be the same for any other request.
    Nobody,
    /// The server cannot have got it, or may be asked again without harm.
    Again,
    /// The server may have done what it was asked to.
    Doubt,
    /// It would be the same another time: a redirect that is not followed, an answer that is too long.
    Final,
    /// No request could go out: certificates cannot be read.
    Halt,
}

/// Sends `request` and reads the answer.
pub(super) async fn exchange(
    clients: &HttpClients,
    settings: &HttpSettings,
    request: &HttpRequest,
) -> Result<Reply, Fault> {
    let begun = Begun::default();
    let walk = Walk { clients, settings, request, begun: begun.clone() };
    let mut hop = Hop {
        method: request.method.clone(),
        url: request.url.clone(),
        has_body: !request.body.is_empty(),
        is_home: true,
        handed_over: false,
        followed: 0,
    };
    let answered = tokio::time::timeout(settings.timeout, walk.until_answered(&mut hop)).await;
    answered
        .unwrap_or_else(|_| {
            let reason = format!("no answer within {} s", settings.timeout.as_secs_f64());
            Err(Fault { kind: walk.unanswered(&hop, !begun.has()), reason, timed_out: true })
        })
        .map_err(|fault| match fault.kind {
            // Whatever befalls the question for the answer, the request itself was taken.
            FaultKind::Again | FaultKind::Halt if hop.handed_over => {
                Fault { kind: FaultKind::Doubt, ..fault }
            }
            _ => fault,
        })
}

struct Walk<'a> {
    clients: &'a HttpClients,
    settings: &'a HttpSettings,
    request: &'a HttpRequest,
    begun: Begun,
}

/// Where a request goes next.
struct Hop {
    method: Method,
    url: Url,
    has_body: bool,
    /// It is the server that the request was made for.
    is_home: bool,
    /// A server took a request that must not be repeated, and sent us on to ask for the answer.
    handed_over: bool,
    /// Redirects before it.
    followed: u8,
}

impl Walk<'_> {
    /// Leaves in `hop` how far it came.
    async fn until_answered(&self, hop: &mut Hop) -> Result<Reply, Fault> {
        loop {
            let response = self.ask(hop).await?;
            let followed = hop.followed;
            let is_last = followed == self.settings.redirects;
            match location(&response, &hop.url) {
                Some(url) if !is_last => {
                    *hop = self.next(hop, url, response.status())?;
                }
                Some(url) if followed > 0 => {
                    let shown = self.request.shown_url(&url);
                    return Err(self.fault(
                        FaultKind::Final,
                        &format!("more than {followed} redirects; the last is to {shown}"),
                    ));
                }
                _ => return self.read(response, hop).await,
            }
        }
    }

    async fn ask(&self, hop: &Hop) -> Result<Response, Fault> {
        let client = self
            .clients
            .client(&hop.url, &self.settings.tls)
            .map_err(|reason| self.fault(FaultKind::Halt, &reason))?;
        let mut request = client.request(hop.method.clone(), hop.url.clone());
        for known in &self.request.headers {
            let is_of_body = known.name == header::CONTENT_TYPE;
            if (hop.is_home || !known.is_secret) && (hop.has_body || !is_of_body) {
                let mut value = known.value.clone();
                value.set_sensitive(known.is_secret);
                request = request.header(known.name.clone(), value);
            }
        }
        if hop.has_body {
            request = request.body(Body::wrap(Watched::new(self.request.body.clone(), self.begun.clone())));
        } else {
            // Nobody watches whether it goes out.
            self.begun.note();
            if hop.method == Method::POST || hop.method == Method::PUT || hop.method == Method::PATCH {
                request = request.header(header::CONTENT_LENGTH, 0);
            }
        }
        request.send().await.map_err(|error| {
            let kind = self.unanswered(hop, error.is_connect());
            let reason = format!("{}: {}", self.request.shown_url(&hop.url), why(error));
            self.fault(kind, &reason)
        })
    }

    /// What is known of a request when the connection ended without an answer, or did not come about.
    fn unanswered(&self, hop: &Hop, unconnected: bool) -> FaultKind {
        if unconnected && hop.followed == 0 && self.request.is_of_one_server {
            FaultKind::Nobody
        } else if unconnected || !self.begun.has() || hop.method.is_idempotent() {
            // RFC 9110 §9.2.2: asking twice is as good as asking once.
            FaultKind::Again
        } else {
            FaultKind::Doubt
        }
    }

    /// What a redirect makes of the request.
    fn next(&self, hop: &Hop, url: Url, status: StatusCode) -> Result<Hop, Fault> {
        let shown = self.request.shown_url(&url);
        if !matches!(url.scheme(), "http" | "https") {
            return Err(self.fault(FaultKind::Final, &format!("redirects to {shown}, which is not HTTP")));
        }
        if hop.url.scheme() == "https" && url.scheme() == "http" {
            return Err(
                self.fault(FaultKind::Final, &format!("redirects to {shown}, which is not encrypted"))
            );
        }
        // As browsers do, RFC 9110 §15.4: 307 and 308 repeat the request, the others ask for the new place.
        let repeats =
            matches!(status.as_u16(), 307 | 308) || hop.method == Method::GET || hop.method == Method::HEAD;
        let is_home = hop.is_home && url.origin() == self.request.url.origin();
        let method = if repeats { hop.method.clone() } else { Method::GET };
        let handed_over = hop.handed_over || !(repeats || hop.method.is_idempotent());
        let (has_body, followed) = (hop.has_body && repeats, hop.followed + 1);
        Ok(Hop { method, url, has_body, is_home, handed_over, followed })
    }

    async fn read(&self, mut response: Response, hop: &Hop) -> Result<Reply, Fault> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let limit = self.settings.max_response;
        let mut body = Vec::new();
        let mut is_cut = false;
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                    body.extend_from_slice(&chunk[..limit - body.len()]);
                    is_cut = true;
                    break;
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Err(error) => {
                    let kind = if hop.method.is_idempotent() { FaultKind::Again } else { FaultKind::Doubt };
                    let reason = format!(
                        "{}: the answer ({status}) broke off after {} bytes: {}",
                        self.request.shown_url(&hop.url),
                        body.len(),
                        why(error)
                    );
                    return Err(self.fault(kind, &reason));
                }
            }
        }
        let (url, handed_over) = (hop.url.clone(), hop.handed_over);
        Ok(Reply { status, headers, body: body.into(), is_cut, url, handed_over })
    }

    fn fault(&self, kind: FaultKind, reason: &str) -> Fault {
        Fault { kind, reason: self.request.without_secrets(reason), timed_out: false }
    }
}

/// Where an answer sends us, if it does.
fn location(response: &Response, from: &Url) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let to = response.headers().get(header::LOCATION)?.to_str().ok()?;
    from.join(to).ok()
}

/// The reasons below `error`, without the URL, which may be a secret.
fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut reasons: Vec<String> = Vec::new();
    let mut source = error.source();
    while let Some(reason) = source {
        let text = reason.to_string();
        // Many repeat what lies below them.
        if !reasons.last().is_some_and(|last| last.contains(&text)) {
            reasons.push(text);
        }
        source = reason.source();
    }
    if reasons.is_empty() { error.to_string() } else { reasons.join(": ") }
}

/// What `Retry-After` says: seconds, or a time that is compared with the server's own clock.
pub(super) fn retry_after(reply: &Reply) -> Option<Duration> {
    let text = reply.header("retry-after")?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    let now = chrono::DateTime::parse_from_rfc2822(reply.header("date")?).ok()?;
    (at - now).to_std().ok()
}
