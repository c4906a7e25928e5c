//! A rendered mail, whole: headers, MIME body, CRLF line ends.
//!
//! Whatever the texts contain, the message keeps its shape: one header a header, lines within
//! RFC 5322's limit, no bare CR or LF. Knows nothing of templates and of how mail is carried.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Mailbox;
use mail_builder::headers::date::Date;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::headers::url::URL;
use mail_builder::mime::{BodyPart, MimePart};

use super::address::Address;
use super::extras::Filled;
use super::files;
use crate::action::template::RenderError;

/// RFC 5322 §2.1.1, without the CRLF.
const LINE_LIMIT: usize = 998;

/// The texts that a mail is built from, rendered.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) from: Arc<Address>,
    pub(super) to: Address,
    pub(super) reply_to: Option<Address>,
    pub(super) subject: String,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
    pub(super) list_unsubscribe: Option<String>,
    pub(super) extras: Filled,
    pub(super) now: DateTime<Utc>,
}

/// A mail ready to be delivered, and the same with a header in front of it, if that came later. Clones share both.
#[derive(Clone, Debug)]
pub struct RenderedMail(Arc<Whole>, Option<Arc<[u8]>>);

#[derive(Debug)]
struct Whole {
    parts: Parts,
    id: String,
    bytes: Vec<u8>,
    needs_stuffing: bool,
    needs_utf8: bool,
}

impl RenderedMail {
    /// Builds the message. `reservation` becomes the `Message-ID`.
    pub(super) fn build(mut parts: Parts, reservation: &str) -> Result<Self, RenderError> {
        parts.subject = one_line(&parts.subject);
        let id = safe_id(reservation);
        let bytes = serialize(&parts, &id);
        let longest = memchr::memchr_iter(b'\n', &bytes)
            .scan(0, |start, end| Some(end - std::mem::replace(start, end + 1)))
            .max()
            .unwrap_or_default();
        // `longest` counts the CR.
        if longest > LINE_LIMIT + 1 {
            return Err(RenderError::Header {
                header: "message".into(),
                reason: format!("a line has {} bytes, {LINE_LIMIT} are the limit", longest - 1),
            });
        }
        let needs_stuffing = memchr::memmem::find(&bytes, b"\n.").is_some();
        let needs_utf8 = !bytes.is_ascii();
        Ok(Self(Arc::new(Whole { parts, id, bytes, needs_stuffing, needs_utf8 }), None))
    }

    /// The envelope's sender, and the `From` header.
    pub fn from(&self) -> &Address {
        &self.0.parts.from
    }

    /// The envelope's recipient, and the `To` header.
    pub fn to(&self) -> &Address {
        &self.0.parts.to
    }

    /// The subject, decoded.
    pub fn subject(&self) -> &str {
        &self.0.parts.subject
    }

    /// The plain text part, decoded.
    pub fn text(&self) -> Option<&str> {
        self.0.parts.text.as_deref()
    }

    /// The HTML part, decoded.
    pub fn html(&self) -> Option<&str> {
        self.0.parts.html.as_deref()
    }

    /// The whole RFC 5322 message: CRLF line ends, the last line included; not dot-stuffed.
    pub fn bytes(&self) -> &[u8] {
        self.1.as_deref().unwrap_or(&self.0.bytes)
    }

    /// The same mail with `header` in front: ASCII, no line of it starts with a dot, and the last ends.
    pub(super) fn under(&self, header: &str) -> Self {
        Self(Arc::clone(&self.0), Some([header.as_bytes(), self.bytes()].concat().into()))
    }

    /// `Message-ID`, without its angle brackets.
    pub fn message_id(&self) -> String {
        format!("{}@{}", self.0.id, self.0.parts.from.domain())
    }

    /// The headers as a person reads them: decoded and unfolded, in the message's order.
    pub fn headers(&self) -> Vec<(&str, String)> {
        let parts = &self.0.parts;
        let mut headers = vec![
            ("From", parts.from.to_string()),
            ("To", parts.to.to_string()),
            ("Subject", parts.subject.clone()),
            ("Date", parts.now.to_rfc2822()),
            ("Message-ID", format!("<{}>", self.message_id())),
        ];
        headers.extend(parts.reply_to.as_ref().map(|address| ("Reply-To", address.to_string())));
        if let Some(url) = &parts.list_unsubscribe {
            headers.push(("List-Unsubscribe", format!("<{url}>")));
            headers.push(("List-Unsubscribe-Post", ONE_CLICK.to_owned()));
        }
        headers.extend(parts.extras.headers.iter().map(|(name, value)| (name.as_str(), value.clone())));
        headers
    }

    /// The mail as a person reads it, one line each: headers, a blank line, the text (or the HTML
    /// when there is no text).
    pub fn lines(&self) -> Vec<String> {
        let headers = self.headers().into_iter().map(|(name, value)| format!("{name}: {value}"));
        let body = self.text().or(self.html()).unwrap_or_default();
        let Filled { attachments, inline, .. } = &self.0.parts.extras;
        let images = inline.iter().map(|(name, image)| format!("[cid:{name}] {}", image.shown()));
        let files = attachments.iter().map(|file| format!("[file] {}", file.shown()));
        headers
            .chain([String::new()])
            .chain(body.lines().map(str::to_owned))
            .chain(images)
            .chain(files)
            .collect()
    }

    /// The reservation, in characters that file names and message ids may have.
    pub(super) fn id(&self) -> &str {
        &self.0.id
    }

    /// A line starts with a dot.
    pub(super) fn needs_stuffing(&self) -> bool {
        self.0.needs_stuffing
    }

    /// Only a server with SMTPUTF8 takes it.
    pub(super) fn needs_utf8(&self) -> bool {
        self.0.needs_utf8
    }
}

/// RFC 8058.
const ONE_CLICK: &str = "List-Unsubscribe=One-Click";

fn serialize(parts: &Parts, id: &str) -> Vec<u8> {
    let mut message = MessageBuilder::new()
        .from(mailbox(&parts.from))
        .to(mailbox(&parts.to))
        .subject(parts.subject.as_str())
        .date(Date::new(parts.now.timestamp()))
        .message_id(format!("{id}@{}", parts.from.domain()));
    if let Some(address) = &parts.reply_to {
        message = message.reply_to(mailbox(address));
    }
    if let Some(url) = &parts.list_unsubscribe {
        message = message
            .header("List-Unsubscribe", URL::new(url.as_str()))
            .header("List-Unsubscribe-Post", Raw::new(ONE_CLICK));
    }
    let Filled { attachments, inline, headers } = &parts.extras;
    for (name, value) in headers {
        message = message.header(name.as_str(), Text::new(value.as_str()));
    }
    if !attachments.is_empty() || !inline.is_empty() {
        let text = |kind: &'static str, text| MimePart::new(kind, BodyPart::Text(body(text)));
        let plain = parts.text.as_deref().map(|plain| text("text/plain", plain));
        let html = parts.html.as_deref().map(|html| text("text/html", html));
        message = message.body(files::body(plain, html, inline, attachments));
    } else {
        if let Some(text) = &parts.text {
            message = message.text_body(body(text));
        }
        if let Some(html) = &parts.html {
            message = message.html_body(body(html));
        }
    }
    let mut bytes = Vec::new();
    message.serialize(&mut bytes);
    if !bytes.ends_with(b"\r\n") {
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn mailbox(address: &Address) -> Mailbox<'_> {
    Mailbox::new_address(address.name(), address.spec())
}

/// Without what the builder would let through as 7-bit text and RFC 5321 §2.3.8 and §4.5.2 do not
/// allow: bare CR and NUL.
fn body(text: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'\r', 0, text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\0', "").replace("\r\n", "\n").replace('\r', "\n"))
}

/// Runs of control characters and line ends become one space; an encoded word that somebody wrote
/// by hand stays text.
fn one_line(text: &str) -> String {
    if !text.contains(char::is_control) && !text.contains("=?") {
        return text.trim().to_owned();
    }
    let mut line = String::with_capacity(text.len());
    for part in text.split(char::is_control).filter(|part| !part.is_empty()) {
        if !line.is_empty() && !line.ends_with(' ') {
            line.push(' ');
        }
        line.push_str(part);
    }
    line.trim().replace("=?", "= ?")
}

/// `reservation` with all but letters, digits, `-` and `_` as `=XX`: different reservations stay
/// different, and file names and message ids (RFC 5322's atoms) may have it.
fn safe_id(reservation: &str) -> String {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if reservation.bytes().all(is_safe) {
        return reservation.to_owned();
    }
    let mut id = String::with_capacity(reservation.len());
    for byte in reservation.bytes() {
        if is_safe(byte) {
            id.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(id, "={byte:02X}");
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_texts_are_one_line() {
        assert_eq!(one_line("六一快乐"), "六一快乐");
        assert_eq!(one_line(" a\r\nBcc: x@y.test\t\u{0}b\u{85}\n"), "a Bcc: x@y.test b");
        assert_eq!(one_line("=?utf-8?Q?=0D=0ABcc:?="), "= ?utf-8?Q?=0D=0ABcc:?=");
        assert_eq!(one_line("\r\n"), "");
    }

    #[test]
    fn ids_are_safe_and_stay_different() {
        assert_eq!(safe_id("mass-mail/2:张"), "mass-mail=2F2=3A=E5=BC=A0");
        assert_eq!(safe_id("../a"), "=2E=2E=2Fa");
        assert_ne!(safe_id("=2F"), safe_id("/"));
    }

    #[test]
    fn bodies_lose_bare_carriage_returns_and_nul() {
        assert_eq!(body("a\rb\0c\r\nd\n"), "a\nbc\nd\n");
    }
}
