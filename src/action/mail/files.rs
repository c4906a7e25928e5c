//! Files that a mail encloses.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use mail_builder::headers::content_type::ContentType;
use mail_builder::mime::{BodyPart, MimePart};

/// Bytes of a mail's file: what most servers take, with room for their encoding.
pub const MOST_BYTES: u64 = 10 << 20;

/// A file, ready to go into mails: it is encoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    name: String,
    kind: &'static str,
    bytes: Arc<[u8]>,
    /// In base64, in lines.
    encoded: Arc<str>,
}

impl Attachment {
    /// Of the name `name`, whose end says of what kind it is.
    pub fn new(name: &str, bytes: Arc<[u8]>) -> Self {
        let encoded = base64(&bytes).into();
        Self { name: name.to_owned(), kind: media_type(name), bytes, encoded }
    }

    /// Reads a file of at most `most` bytes. The reason, when it cannot be attached.
    pub async fn read(path: &Path, most: u64) -> Result<Self, String> {
        let shown = path.display();
        let refuse = |error: std::io::Error| format!("could not read {shown}: {error}");
        let size = tokio::fs::metadata(path).await.map_err(refuse)?.len();
        if size > most {
            return Err(format!("{shown} has {size} bytes, and {most} are the limit"));
        }
        let bytes = tokio::fs::read(path).await.map_err(refuse)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self::new(&name, bytes.into()))
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its media type.
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// Its content.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// For people: `report.pdf (12345 bytes)`.
    pub(super) fn shown(&self) -> String {
        format!("{} ({} bytes)", self.name, self.bytes.len())
    }

    fn part(&self) -> MimePart<'_> {
        let content = BodyPart::Binary(Cow::Borrowed(self.encoded.as_bytes()));
        let part = MimePart::new(ContentType::new(self.kind), content).transfer_encoding("base64");
        part.attachment(self.name.as_str())
    }
}

/// The texts of a mail with its file behind them (RFC 2046).
pub(super) fn body<'m>(
    text: Option<MimePart<'m>>,
    html: Option<MimePart<'m>>,
    file: &'m Attachment,
) -> MimePart<'m> {
    let mut texts: Vec<MimePart<'m>> = text.into_iter().chain(html).collect();
    let texts = match texts.len() {
        1 => texts.remove(0),
        _ => multipart("multipart/alternative", texts),
    };
    multipart("multipart/mixed", vec![texts, file.part()])
}

/// The lines that the builder makes of bytes, without its headers.
fn base64(bytes: &[u8]) -> String {
    let mut part = Vec::new();
    MimePart::new(ContentType::new("application/octet-stream"), bytes).write_part(&mut part);
    let lines = memchr::memmem::find(&part, b"\r\n\r\n").map_or(part.len(), |at| at + 4);
    String::from_utf8(part.split_off(lines)).unwrap_or_default()
}

fn multipart<'m>(kind: &'static str, parts: Vec<MimePart<'m>>) -> MimePart<'m> {
    MimePart::new(kind, BodyPart::Multipart(parts))
}

/// By the end of the name; what is not known is bytes.
fn media_type(name: &str) -> &'static str {
    const KINDS: [(&str, &str); 26] = [
        ("pdf", "application/pdf"),
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("gif", "image/gif"),
        ("webp", "image/webp"),
        ("svg", "image/svg+xml"),
        ("bmp", "image/bmp"),
        ("ico", "image/x-icon"),
        ("csv", "text/csv"),
        ("txt", "text/plain"),
        ("html", "text/html"),
        ("md", "text/markdown"),
        ("ics", "text/calendar"),
        ("vcf", "text/vcard"),
        ("xml", "application/xml"),
        ("json", "application/json"),
        ("zip", "application/zip"),
        ("gz", "application/gzip"),
        ("xls", "application/vnd.ms-excel"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("doc", "application/msword"),
        ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("ppt", "application/vnd.ms-powerpoint"),
        ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
        ("mp3", "audio/mpeg"),
    ];
    let end = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default();
    KINDS.iter().find(|(known, _)| *known == end).map_or("application/octet-stream", |(_, kind)| kind)
}
